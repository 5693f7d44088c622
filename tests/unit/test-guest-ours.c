/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-guest-ours.c - what we hold ourselves, locks, what changed meanwhile, waiving, saved states. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "tests/unit/guest-inuse.h"

TestSuite(inuse, .init = open_bench, .fini = close_bench, .timeout = 600);

/* ---- ourselves --------------------------------------------------------------------- */

Test(inuse, what_we_hold_for_a_commit_is_not_in_use)
{
	int fd;

	open_disk(image);
	fd = domu_backing_open_rw(&b.ctx, &k);
	cr_assert_geq(fd, 0);
	look(DOMU_VERDICT_RECHECK);
	cr_assert_not(v.in_use);
	cr_assert_eq(v.n, 9);
	close(fd);
}

Test(inuse, a_device_that_we_hold_for_a_commit_is_claimed_by_nobody_else)
{
	int fd;

	make_loop(image, "4096");
	open_disk(loop);
	cr_assert(k.is_device);
	cr_assert_eq(k.size, SIZE);
	cr_assert_eq(k.sector_size, 4096);
	cr_assert_eq(k.whole_dev, k.dev);
	fd = domu_backing_open_rw(&b.ctx, &k);
	cr_assert_geq(fd, 0);
	look(DOMU_VERDICT_RECHECK);
	passes("exclusive");
	passes("mounts");
	close(fd);
}

Test(inuse, what_we_hold_for_a_commit_keeps_qemu_away)
{
	int fd;

	if (run("qemu-io", "--version") != 0)
		skip("no qemu-io here");
	open_disk(image);
	cr_assert_eq(run("qemu-io", "-f", "raw", "-c", "length", image), 0);
	fd = domu_backing_open_rw(&b.ctx, &k);
	cr_assert_geq(fd, 0, "%s", b.ctx.error.message);
	cr_assert_neq(run("qemu-io", "-f", "raw", "-c", "length", image), 0);
	cr_assert_neq(run("qemu-io", "-r", "-f", "raw", "-c", "length", image), 0);
	close(fd);
	cr_assert_eq(run("qemu-io", "-f", "raw", "-c", "length", image), 0);
}

Test(inuse, our_lock_is_exclusive_and_says_whose_it_is)
{
	struct domu_backing other;
	char state[512], owner[64];
	int status;
	pid_t pid;

	snprintf(state, sizeof state, "%s/state", b.dir);
	open_disk(image);
	cr_assert_eq(domu_backing_lock(&b.ctx, state, &k), 0, "%s", b.ctx.error.message);
	cr_assert_geq(k.lock_fd, 0);
	k.state_dir = state;
	look(DOMU_VERDICT_CHANGE);
	passes("own-lock");
	/* Twice in one process: one disk under two names. */
	cr_assert_eq(domu_backing_open(&b.ctx, &g->disks[0], &other), 0);
	cr_assert_lt(domu_backing_lock(&b.ctx, state, &other), 0);
	cr_assert_not_null(strstr(b.ctx.error.message, "twice"), "%s", b.ctx.error.message);
	domu_backing_close(&other);
	domu_error_clear(&b.ctx);
	snprintf(owner, sizeof owner, "pid %d, ", (int)getpid());
	pid = fork();
	if (pid == 0) {
		struct domu_backing mine;
		int bad = 0;

		if (domu_backing_open(&b.ctx, &g->disks[0], &mine) != 0)
			_exit(99);
		bad |= domu_backing_lock(&b.ctx, state, &mine) < 0 ? 0 : 1;
		bad |= b.ctx.error.status == DOMU_INUSE ? 0 : 2;
		bad |= strstr(b.ctx.error.message, owner) != NULL ? 0 : 4;
		mine.state_dir = state;
		if (domu_verdict_make(&b.ctx, g, &mine, 1, DOMU_VERDICT_READ, NULL, &v) != 0)
			_exit(98);
		/* Reading beside a change is allowed: the disk stays as it is until the commit. */
		bad |=
		    !v.in_use && !line("own-lock")->blocks && strstr(line("own-lock")->detail, owner) != NULL ? 0 : 8;
		domu_verdict_free(&v);
		if (domu_verdict_make(&b.ctx, g, &mine, 1, DOMU_VERDICT_CHANGE, NULL, &v) != 0)
			_exit(97);
		bad |= v.in_use && line("own-lock")->blocks && strstr(line("own-lock")->detail, owner) != NULL ? 0 : 16;
		_exit(bad);
	}
	waitpid(pid, &status, 0);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", WEXITSTATUS(status));
	close(k.lock_fd);
	k.lock_fd = -1;
	look(DOMU_VERDICT_READ);
	passes("own-lock");
	cr_assert_eq(domu_backing_lock(&b.ctx, state, &k), 0);
}

Test(inuse, what_only_root_can_tell_is_no_use)
{
	char state[512];
	int pid;

	if (geteuid() != 0)
		skip("only root can become somebody who may not look");
	snprintf(state, sizeof state, "%s/state", b.dir);
	open_disk(image);
	cr_assert_eq(domu_backing_lock(&b.ctx, state, &k), 0);
	domu_backing_unlock(&k);
	k.state_dir = state;
	cr_assert_eq(seteuid(65534), 0);
	look(DOMU_VERDICT_READ);
	cr_assert(v.in_use && domu_verdict_untold(&v));
	cr_assert_eq(domu_verdict_refuse(&b.ctx, g, &v), -EPERM);
	cr_assert_eq(b.ctx.error.status, DOMU_FAILED);
	cr_assert_not_null(strstr(b.ctx.error.message, "only root can tell"), "%s", b.ctx.error.message);
	cr_assert_not_null(strstr(b.ctx.error.message, "run as root (check own-lock)"), "%s", b.ctx.error.message);
	/* A use that anybody can see is one. */
	cr_assert_eq(seteuid(0), 0);
	pid = run_start("flock", "--no-fork", image, "sh", "-c", "echo locked" STAYS, NULL);
	cr_assert_eq(seteuid(65534), 0);
	look(DOMU_VERDICT_CHANGE);
	cr_assert(v.in_use && !domu_verdict_untold(&v));
	refused("lock on it");
	cr_assert_eq(seteuid(0), 0);
	run_stop(pid);
}

/* Numbers that no device here has: the lock needs none. */
static struct domu_backing made_up(struct domu_disk *d, unsigned minor, unsigned whole)
{
	return (struct domu_backing){
		.disk = d,
		.path = (char *)"/dev/made-up",
		.fd = -1,
		.lock_fd = -1,
		.parent_lock_fd = -1,
		.is_device = true,
		.dev = makedev(259, minor),
		.whole_dev = makedev(259, whole),
	};
}

Test(inuse, a_partitions_lock_and_the_whole_disks_exclude_each_other)
{
	struct domu_disk d = { .vdev = "xvda" };
	struct domu_backing whole = made_up(&d, 0, 0), one = made_up(&d, 1, 0), two = made_up(&d, 2, 0);

	cr_assert_eq(domu_backing_lock(&b.ctx, b.dir, &one), 0);
	cr_assert_eq(domu_backing_lock(&b.ctx, b.dir, &two), 0);
	cr_assert_lt(domu_backing_lock(&b.ctx, b.dir, &whole), 0);
	close(one.lock_fd);
	close(one.parent_lock_fd);
	cr_assert_lt(domu_backing_lock(&b.ctx, b.dir, &whole), 0);
	close(two.lock_fd);
	close(two.parent_lock_fd);
	cr_assert_eq(domu_backing_lock(&b.ctx, b.dir, &whole), 0);
	one.lock_fd = one.parent_lock_fd = -1;
	cr_assert_lt(domu_backing_lock(&b.ctx, b.dir, &one), 0);
	cr_assert_eq(one.lock_fd, -1);
	cr_assert_eq(one.parent_lock_fd, -1);
	close(whole.lock_fd);
}

Test(inuse, the_hotplug_lock_is_shared_with_xens_scripts)
{
	char dir[512], path[600];
	int fd = -1, second = -1, holder;

	snprintf(dir, sizeof dir, "%s/hotplug", b.dir);
	snprintf(path, sizeof path, "%s/block", dir);
	cr_assert_eq(domu_hotplug_lock_at(&b.ctx, dir, "one", 1, &fd), 0, "%s", b.ctx.error.message);
	cr_assert_lt(domu_hotplug_lock_at(&b.ctx, dir, "two", 1, &second), 0);
	cr_assert_eq(b.ctx.error.status, DOMU_INUSE);
	close(fd);
	/* A holder of a file that was unlinked holds nothing. */
	holder = open(path, O_RDWR | O_CREAT, 0600);
	cr_assert_eq(flock(holder, LOCK_EX), 0);
	cr_assert_lt(domu_hotplug_lock_at(&b.ctx, dir, "one", 0, &fd), 0);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(domu_hotplug_lock_at(&b.ctx, dir, "one", 1, &fd), 0);
	cr_assert_neq(run("flock", "-n", path, "true"), 0);
	close(fd);
	close(holder);
	cr_assert_eq(run("flock", "-n", path, "true"), 0);
}

static void held_by(const char *dir, const char *word)
{
	int fd;

	domu_error_clear(&b.ctx);
	cr_assert_lt(domu_hotplug_lock_at(&b.ctx, dir, "this one", 0, &fd), 0);
	cr_assert_not_null(strstr(b.ctx.error.message, word), "%s, not %s", b.ctx.error.message, word);
}

Test(inuse, who_has_the_hotplug_lock_is_said)
{
	char dir[512], word[200], script[1200];
	int fd, pid;

	snprintf(dir, sizeof dir, "%s/hotplug", b.dir);
	cr_assert_eq(domu_hotplug_lock_at(&b.ctx, dir, "commit 1 of web1", 1, &fd), 0, "%s", b.ctx.error.message);
	snprintf(word, sizeof word, "held by another domu-rescue (pid %d, commit 1 of web1); try again when", getpid());
	held_by(dir, word);
	close(fd);
	/* As Xen's script does it: flock(1) takes it and ends.  What we had said is still in the file. */
	snprintf(script, sizeof script, "exec 8<>%s/block; flock 8; echo has it" STAYS, dir);
	pid = run_start("sh", "-c", script, NULL);
	snprintf(word, sizeof word, "held by process %d (sh)", pid);
	held_by(dir, word);
	held_by(dir, "(sh): a guest is being started or stopped; try again");
	/* Who only waits for it is not taken for who has it. */
	run_stop(pid);
	cr_assert_eq(domu_hotplug_lock_at(&b.ctx, dir, "commit 2 of\nweb2", 1, &fd), 0);
	snprintf(script, sizeof script, "exec 8<>%s/block; echo open; exec flock 8 true >/dev/null", dir);
	pid = run_start("sh", "-c", script, NULL);
	held_by(dir, "commit 2 of web2");
	close(fd);
	run_stop(pid);
}

/* ---- changed meanwhile, waived ------------------------------------------------------- */

Test(inuse, a_disk_that_became_another_is_refused)
{
	open_disk(image);
	cr_assert_eq(truncate(image, SIZE / 2), 0);
	look(DOMU_VERDICT_CHANGE);
	holds("unchanged", "size");
	cr_assert_eq(rename(bench_image(&b, "b.img", SIZE), image), 0);
	look(DOMU_VERDICT_CHANGE);
	holds("resolve", "not the disk");
	cr_assert_lt(domu_backing_open_rw(&b.ctx, &k), 0);
	cr_assert_eq(unlink(image), 0);
	look(DOMU_VERDICT_CHANGE);
	holds("resolve", "gone");
}

Test(inuse, one_check_is_waived_by_its_name_and_no_other)
{
	static const char *const writers[] = { "writers", NULL }, *const mounts[] = { "mounts", NULL },
	                         *const none[] = { "writer", NULL };
	int pid = hold("3<>");

	open_disk(image);
	cr_assert_eq(domu_verdict_make(&b.ctx, g, &k, 1, DOMU_VERDICT_CHANGE, writers, &v), 0);
	cr_assert_not(v.in_use);
	cr_assert_eq(line("writers")->result, DOMU_CHECK_WAIVED);
	cr_assert_not_null(line("writers")->detail);
	domu_verdict_free(&v);
	cr_assert_eq(domu_verdict_make(&b.ctx, g, &k, 1, DOMU_VERDICT_CHANGE, mounts, &v), 0);
	cr_assert(v.in_use);
	domu_verdict_free(&v);
	cr_assert_lt(domu_verdict_make(&b.ctx, g, &k, 1, DOMU_VERDICT_CHANGE, none, &v), 0);
	cr_assert_eq(b.ctx.error.status, DOMU_USAGE);
	run_stop(pid);
}

/* ---- saved states ------------------------------------------------------------------------ */

static void look_at_saves(const char *guest, struct domu_answer *a)
{
	const char *dirs[] = { b.dir, NULL };
	struct domu_view view = { .ctx = &b.ctx, .guest = g, .save_dirs = dirs };
	struct domu_relatives none = { 0 };

	memset(a, 0, sizeof *a);
	free(g->name);
	g->name = strdup(guest);
	domu_check_saved(&view, &k, &none, a);
	free(a->next);
}

static void save_file(const char *name, const char *magic, size_t len, const char *text)
{
	static const uint32_t order = 0x01020304, zero;
	uint32_t n = (uint32_t)strlen(text);
	FILE *f = fopen(bench_path(&b, name), "we");

	fwrite(magic, 1, len, f);
	fwrite(&order, 1, 4, f);
	fwrite(&zero, 1, 4, f);
	fwrite(&zero, 1, 4, f);
	fwrite(&n, 1, 4, f);
	fwrite(&n, 1, 4, f);
	fputs(text, f);
	for (int i = 0; i < 200; i++)
		putc(0, f);
	fclose(f);
}

/* The disk is reached as what was attached to the Dom0: the saved state names what is behind it. */
static void attached_saves(const char *magic, size_t len)
{
	const char *dirs[] = { b.dir, NULL };
	struct domu_backend_copy behind = { .path = (char *)"/local/domain/0/backend/vbd/0/268441856",
		                            .vdev = (char *)"xvdz",
		                            .params = (char *)"word:a",
		                            .script = (char *)"block-mine",
		                            .state = 4 };
	struct domu_disk disk = { .vdev = "xvda", .path = (char *)"/dev/xvdz" };
	struct domu_backing xvdz = { .disk = &disk, .path = (char *)"/dev/xvdz", .is_device = true, .fd = -1 };
	struct domu_view view = { .ctx = &b.ctx, .guest = g, .save_dirs = dirs, .xen = true };
	static const char *const texts[][2] = {
		{ "{\"pdev_path\": \"word:a\"}", "word:a" },
		{ "disk=['word:a,xvda,w']", "word:a" },
		{ "{\"pdev_path\": \"word:abc\"}", NULL },
		{ "{\"pdev_path\": \"password:a\"}", NULL },
		{ "{\"pdev_path\": \"/proc/self/exe\"}", "/proc/self/exe" },
	};
	struct domu_relatives none = { 0 };

	free(g->name);
	g->name = NULL;
	view.backends = &behind;
	view.n_backends = 1;
	view.live_read = view.backends_read = true;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct domu_answer a = { 0 };

		behind.params = (char *)(texts[i][1] != NULL ? texts[i][1] : "word:a");
		save_file("other", magic, len, texts[i][0]);
		domu_check_saved(&view, &xvdz, &none, &a);
		cr_expect_eq(a.result, texts[i][1] != NULL ? DOMU_CHECK_FAIL : DOMU_CHECK_PASS, "%s", texts[i][0]);
		domu_answer_clear(&a);
	}
}

/* A header of 64 bytes, the XML, and the guest's memory. */
static void libvirt_save(const char *xml, const char *memory)
{
	char header[64] = "libvirt-xml\n \0 \r\2";
	uint32_t len = (uint32_t)strlen(xml);
	FILE *f = fopen(bench_path(&b, "web.b.save"), "we");

	memcpy(header + 20, &len, sizeof len);
	fwrite(header, 1, sizeof header, f);
	fputs(xml, f);
	fputs(memory, f);
	fclose(f);
}

Test(inuse, a_saved_state_of_libvirt_is_its_xml)
{
	const char *dirs[] = { bench_path(&b, "libvirt"), NULL };
	struct domu_view view = { .ctx = &b.ctx, .save_dirs = dirs };
	struct domu_relatives none = { 0 };
	struct domu_answer a = { 0 };
	char text[700], dir[512];

	snprintf(dir, sizeof dir, "%s", dirs[0]);
	dirs[0] = dir;
	snprintf(text, sizeof text, "<source file='%s'/>", image);
	open_disk(image);
	view.guest = g;
	cr_assert_eq(mkdir(dir, 0700), 0);
	snprintf(b.dir, sizeof b.dir, "%.60s", dir);
	libvirt_save(text, "");
	domu_check_saved(&view, &k, &none, &a);
	cr_expect_eq(a.result, DOMU_CHECK_FAIL);
	cr_expect_str_eq(a.next, "virsh start web.b");
	domu_answer_clear(&a);
	libvirt_save("<source file='/other'/>", text);
	domu_check_saved(&view, &k, &none, &a);
	cr_expect_eq(a.result, DOMU_CHECK_PASS, "%s", a.detail);
	domu_answer_clear(&a);
	*strrchr(b.dir, '/') = '\0';
}

Test(inuse, a_saved_state_that_would_resume_on_the_disk_is_found)
{
	static const char magic[32] = "Xen saved domain, xl format\n \0 \r";
	char text[1024], dir[600];
	struct domu_answer a;

	/* The images are elsewhere than the saves. */
	snprintf(dir, sizeof dir, "%s/saves", b.dir);
	open_disk(image);
	cr_assert_eq(mkdir(dir, 0700), 0);
	snprintf(b.dir, sizeof b.dir, "%.60s", dir);
	look_at_saves("web1", &a);
	cr_assert_eq(a.result, DOMU_CHECK_SKIPPED);
	free(a.detail);
	snprintf(text, sizeof text, "{\"disks\": [{\"pdev_path\": \"%s\", \"vdev\": \"xvda\"}]}", image);
	save_file("other", magic, sizeof magic, text);
	look_at_saves("web1", &a);
	cr_assert_eq(a.result, DOMU_CHECK_FAIL);
	free(a.detail);
	snprintf(text, sizeof text, "name='x'\ndisk=['phy:%s,xvda,w']\n", image);
	save_file("other", magic, sizeof magic, text);
	look_at_saves("web1", &a);
	cr_assert_eq(a.result, DOMU_CHECK_FAIL);
	free(a.detail);
	save_file("other", magic, sizeof magic, "{\"disks\": [{\"pdev_path\": \"/somewhere/else\"}]}");
	look_at_saves("web1", &a);
	cr_assert_neq(a.result, DOMU_CHECK_FAIL);
	free(a.detail);
	look_at_saves("other", &a);
	cr_assert_eq(a.result, DOMU_CHECK_FAIL, "a save of the guest itself, whatever it names");
	free(a.detail);
	attached_saves(magic, sizeof magic);
	save_file("other", "something that is no save file...", 32, "");
	look_at_saves("web1", &a);
	cr_assert_eq(a.result, DOMU_CHECK_UNKNOWN);
	free(a.detail);
	*strrchr(b.dir, '/') = '\0';
}

/* ---- what Xen says, made up --------------------------------------------------------------- */

static struct domu_answer ask_xen(domu_check_fn fn, enum domu_verdict_depth depth, const char *path, bool readonly,
                                  const char *params, unsigned backend_domain, int state, const char *error)
{
	struct domu_disk disk = { .vdev = "xvda", .path = (char *)path, .readonly = readonly };
	struct domu_guest live = {
		.name = (char *)"web1", .domid = 7, .state = DOMU_STATE_RUNNING, .disks = &disk, .n_disks = 1
	};
	struct domu_guest *lives[] = { &live };
	struct domu_backend_copy backend = { .path = (char *)"/local/domain/0/backend/vbd/7/51712",
		                             .params = (char *)params,
		                             .domain = backend_domain,
		                             .frontend = 7,
		                             .state = state };
	struct domu_view view = { .ctx = &b.ctx, .guest = g, .depth = depth, .xen = true };
	struct domu_relatives none = { 0 };
	struct domu_answer a = { 0 };

	view.live_read = view.backends_read = true;
	view.live.v = lives;
	view.live.n = path != NULL ? 1 : 0;
	view.backends = &backend;
	view.n_backends = params != NULL ? 1 : 0;
	view.live_error = view.backends_error = (char *)error;
	fn(&view, &k, &none, &a);
	return a;
}

static void xen_says(domu_check_fn fn, enum domu_verdict_depth depth, const char *path, bool readonly,
                     const char *params, unsigned domain, int state, const char *error, enum domu_check_result want,
                     const char *word)
{
	struct domu_answer a = ask_xen(fn, depth, path, readonly, params, domain, state, error);

	cr_assert_eq(a.result, want, "%s: %s, not %s: %s", path != NULL ? path : params,
	             domu_check_result_name(a.result), domu_check_result_name(want), a.detail);
	if (word != NULL)
		cr_assert_not_null(strstr(a.detail, word), "%s", a.detail);
	domu_answer_clear(&a);
}

Test(inuse, a_live_domain_with_the_disk_is_found_by_any_name_of_it)
{
	const char *other;

	open_disk(image);
	other = bench_path(&b, "link");
	cr_assert_eq(link(image, other), 0);
	xen_says(domu_check_domains, DOMU_VERDICT_CHANGE, image, false, NULL, 0, 0, NULL, DOMU_CHECK_FAIL,
	         "domain web1 (7");
	xen_says(domu_check_domains, DOMU_VERDICT_READ, other, false, NULL, 0, 0, NULL, DOMU_CHECK_FAIL, "as xvda");
	xen_says(domu_check_domains, DOMU_VERDICT_CHANGE, other, true, NULL, 0, 0, NULL, DOMU_CHECK_FAIL, "web1");
	xen_says(domu_check_domains, DOMU_VERDICT_READ, other, true, NULL, 0, 0, NULL, DOMU_CHECK_PASS, NULL);
	xen_says(domu_check_domains, DOMU_VERDICT_CHANGE, "/dev/null", false, NULL, 0, 0, NULL, DOMU_CHECK_PASS, NULL);
	xen_says(domu_check_domains, DOMU_VERDICT_CHANGE, "/absent", false, NULL, 0, 0, NULL, DOMU_CHECK_PASS, NULL);
	xen_says(domu_check_domains, DOMU_VERDICT_CHANGE, NULL, false, "x", 0, 0, "no answer", DOMU_CHECK_UNKNOWN,
	         "no answer");
}

Test(inuse, a_backend_that_serves_the_disk_is_found_unless_closed)
{
	char aio[600];

	open_disk(image);
	snprintf(aio, sizeof aio, "aio:%s", image);
	xen_says(domu_check_backends, DOMU_VERDICT_READ, NULL, false, image, 0, 4, NULL, DOMU_CHECK_FAIL, "domain 7");
	xen_says(domu_check_backends, DOMU_VERDICT_READ, NULL, false, aio, 0, 4, NULL, DOMU_CHECK_FAIL, "domain 7");
	xen_says(domu_check_backends, DOMU_VERDICT_READ, NULL, false, aio, 0, 6, NULL, DOMU_CHECK_PASS, NULL);
	xen_says(domu_check_backends, DOMU_VERDICT_READ, NULL, false, "/absent", 0, 4, NULL, DOMU_CHECK_PASS, NULL);
	xen_says(domu_check_driver_domains, DOMU_VERDICT_CHANGE, NULL, false, "/absent", 3, 4, NULL, DOMU_CHECK_UNKNOWN,
	         "domain 3");
	xen_says(domu_check_driver_domains, DOMU_VERDICT_CHANGE, NULL, false, "/absent", 0, 4, NULL, DOMU_CHECK_PASS,
	         NULL);
}
