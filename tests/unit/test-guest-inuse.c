/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-guest-inuse.c - whoever holds a disk is found: loops, mounts, swap, writers, locks; nobody else is. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/check.h"
#include "tests/unit/guest-help.h"

#define SIZE (8u << 20)

static struct bench b;
static struct domu_guest *g;
static struct domu_backing k; /* of g's one disk */
static struct domu_verdict v;
static char image[512], loop[64], mnt[512];

static void open_bench(void)
{
	bench_open(&b);
	snprintf(image, sizeof image, "%s", bench_image(&b, "a.img", SIZE));
	snprintf(mnt, sizeof mnt, "%s", bench_path(&b, "mnt"));
	cr_assert_eq(mkdir(mnt, 0700), 0);
	loop[0] = '\0';
	k.fd = k.lock_fd = k.parent_lock_fd = -1;
}

static void close_bench(void)
{
	domu_verdict_free(&v);
	domu_backing_close(&k);
	domu_guest_free(g);
	run("umount", "-q", mnt);
	if (loop[0] != '\0')
		run("losetup", "-d", loop);
	bench_close(&b);
}

TestSuite(inuse, .init = open_bench, .fini = close_bench, .timeout = 60);

static void open_disk(const char *path)
{
	cr_assert_eq(domu_guest_find(&b.ctx, &b.where, path, &g), 0, "%s", b.ctx.error.message);
	cr_assert_eq(domu_backing_open(&b.ctx, &g->disks[0], &k), 0, "%s", b.ctx.error.message);
}

static void look(enum domu_verdict_depth depth)
{
	domu_verdict_free(&v);
	cr_assert_eq(domu_verdict_make(&b.ctx, g, &k, 1, depth, NULL, &v), 0);
}

static const struct domu_verdict_line *line(const char *check)
{
	for (size_t i = 0; i < v.n; i++)
		if (strcmp(v.v[i].check, check) == 0)
			return &v.v[i];
	cr_assert_fail("no check %s", check);
	return NULL;
}

static void holds(const char *check, const char *word)
{
	const struct domu_verdict_line *l = line(check);

	cr_assert_eq(l->result, DOMU_CHECK_FAIL, "%s: %s (%s)", check, domu_check_result_name(l->result), l->detail);
	cr_assert(l->blocks);
	cr_assert(v.in_use);
	cr_assert_str_eq(l->disk, "xvda");
	cr_assert_not_null(strstr(l->detail, word), "%s: %s", check, l->detail);
}

static void passes(const char *check)
{
	const struct domu_verdict_line *l = line(check);

	cr_assert_eq(l->result, DOMU_CHECK_PASS, "%s: %s (%s)", check, domu_check_result_name(l->result), l->detail);
}

static void refused(const char *word)
{
	domu_error_clear(&b.ctx);
	cr_assert_lt(domu_verdict_refuse(&b.ctx, g, &v), 0);
	cr_assert_eq(b.ctx.error.status, DOMU_INUSE);
	cr_assert_not_null(strstr(b.ctx.error.message, word), "%s", b.ctx.error.message);
	cr_assert_not_null(strstr(b.ctx.error.message, image[0] ? "xvda" : ""), "%s", b.ctx.error.message);
}

/* Over image, or the test is skipped aloud. */
static void make_loop(const char *file, const char *sector)
{
	if (run_line(loop, sizeof loop, "losetup", "-f", "--show", "-b", sector, file, NULL) != 0) {
		loop[0] = '\0';
		cr_skip_test("no loop devices here");
	}
}

/* ---- nobody ---------------------------------------------------------------- */

Test(inuse, a_stopped_guest_is_free)
{
	size_t n = 0;

	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	for (size_t i = 0; i < v.n; i++)
		cr_assert(!v.v[i].blocks, "%s: %s", v.v[i].check, v.v[i].detail);
	cr_assert_not(v.in_use);
	/* Every check once, in the order of the names. */
	for (const char *const *name = domu_check_names(); *name != NULL; name++, n++)
		cr_assert_str_eq(v.v[n].check, *name);
	cr_assert_eq(n, v.n);
	cr_assert_eq(n, 15);
	look(DOMU_VERDICT_READ);
	cr_assert_not(v.in_use);
	cr_assert_eq(v.n, 7);
}

Test(inuse, xen_checks_are_skipped_only_without_a_xen)
{
	static const char *const names[] = { "xen", "domains", "backends", "driver-domains", "hotplug-lock", NULL };
	int fd = 0;

	if (domu_xen_here())
		cr_skip_test("there is a Xen here");
	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	for (const char *const *n = names; *n != NULL; n++)
		cr_assert_eq(line(*n)->result, DOMU_CHECK_SKIPPED, "%s", *n);
	cr_assert_eq(domu_hotplug_lock(&b.ctx, &fd), 0);
	cr_assert_eq(fd, -1);
}

/* ---- loops ------------------------------------------------------------------ */

Test(inuse, a_loop_over_the_file_is_found)
{
	make_loop(image, "512");
	open_disk(image);
	look(DOMU_VERDICT_READ);
	holds("stacked", loop + 5);
	refused("losetup -d /dev/loop");
	look(DOMU_VERDICT_CHANGE);
	holds("stacked", loop + 5);
}

Test(inuse, a_loop_over_a_hard_link_of_the_file_is_found)
{
	const char *other = bench_path(&b, "other");

	cr_assert_eq(link(image, other), 0);
	make_loop(other, "512");
	cr_assert_eq(unlink(other), 0);
	open_disk(image);
	look(DOMU_VERDICT_READ);
	holds("stacked", loop + 5);
}

Test(inuse, a_loop_over_another_file_does_not_matter)
{
	make_loop(bench_image(&b, "b.img", SIZE), "512");
	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	cr_assert_not(v.in_use);
}

Test(inuse, a_loop_over_a_loop_and_two_over_one_file_are_found)
{
	char second[64];

	make_loop(image, "512");
	open_disk(loop);
	if (run_line(second, sizeof second, "losetup", "-f", "--show", loop, NULL) != 0)
		cr_skip_test("no loop over a loop here");
	look(DOMU_VERDICT_READ);
	run("losetup", "-d", second);
	holds("stacked", second + 5);
	if (run_line(second, sizeof second, "losetup", "-f", "--show", image, NULL) != 0)
		cr_skip_test("no second loop here");
	look(DOMU_VERDICT_READ);
	run("losetup", "-d", second);
	holds("stacked", "same file");
	look(DOMU_VERDICT_READ);
	passes("stacked");
}

/* ---- mounts and swap ---------------------------------------------------------- */

Test(inuse, a_mount_is_found_and_named)
{
	cr_assert_eq(run("mke2fs", "-q", "-F", image), 0);
	if (run("mount", "-o", "loop", image, mnt) != 0)
		cr_skip_test("cannot mount here");
	open_disk(image);
	look(DOMU_VERDICT_READ);
	holds("mounts", mnt);
	refused("umount");
	look(DOMU_VERDICT_CHANGE);
	holds("mounts", mnt);
	cr_assert_eq(run("umount", mnt), 0);
	look(DOMU_VERDICT_CHANGE);
	cr_assert_not(v.in_use);
}

static int mount_elsewhere(const char *what, const char *options)
{
	char script[2048];

	snprintf(script, sizeof script, "mount %s %s %s && echo mounted && exec sleep 60 >/dev/null", options, what,
	         mnt);
	return run_start("unshare", "-m", "sh", "-c", script, NULL);
}

Test(inuse, a_mount_in_another_namespace_is_found)
{
	int pid;

	cr_assert_eq(run("mke2fs", "-q", "-F", image), 0);
	make_loop(image, "512");
	open_disk(image);
	pid = mount_elsewhere(loop, "");
	if (run("mountpoint", "-q", mnt) == 0) {
		run_stop(pid);
		cr_skip_test("no namespace of its own here");
	}
	look(DOMU_VERDICT_READ);
	if (kill(pid, 0) == 0)
		holds("mounts", "(sleep)");
	run_stop(pid);
}

Test(inuse, a_device_that_is_mounted_elsewhere_is_found)
{
	int pid;

	cr_assert_eq(run("mke2fs", "-q", "-F", image), 0);
	make_loop(image, "512");
	open_disk(loop);
	look(DOMU_VERDICT_READ);
	cr_assert_not(v.in_use);
	pid = mount_elsewhere(loop, "");
	look(DOMU_VERDICT_READ);
	holds("mounts", "mount namespace of pid");
	look(DOMU_VERDICT_CHANGE);
	holds("exclusive", "exclusively");
	cr_assert_lt(domu_backing_open_rw(&b.ctx, &k), 0);
	cr_assert_eq(b.ctx.error.status, DOMU_INUSE);
	run_stop(pid);
}

Test(inuse, swap_is_found)
{
	char what[64];

	cr_assert_eq(run("mkswap", image), 0);
	make_loop(image, "512");
	snprintf(what, sizeof what, "%s", loop);
	if (run("swapon", what) != 0)
		cr_skip_test("no swapon here");
	open_disk(image);
	look(DOMU_VERDICT_READ);
	cr_expect_not_null(strstr(line("mounts")->detail, "swap"));
	refused("swapoff");
	domu_backing_close(&k);
	domu_guest_free(g);
	open_disk(loop);
	look(DOMU_VERDICT_READ);
	run("swapoff", what);
	holds("mounts", "swap");
}

/* ---- processes ------------------------------------------------------------------ */

static int hold(const char *redirection)
{
	char script[1024];

	snprintf(script, sizeof script, "exec %s%s; echo open; exec sleep 60 >/dev/null", redirection, image);
	return run_start("sh", "-c", script, NULL);
}

Test(inuse, a_process_that_may_write_is_named)
{
	int pid = hold("3<>");
	char text[64];

	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	run_stop(pid);
	snprintf(text, sizeof text, "process %d (sleep)", pid);
	holds("writers", text);
	refused("kill");
	look(DOMU_VERDICT_CHANGE);
	cr_assert_not(v.in_use);
}

Test(inuse, a_process_that_only_reads_does_not_matter)
{
	int pid = hold("3<");

	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	run_stop(pid);
	passes("writers");
	cr_assert_not(v.in_use);
}

Test(inuse, writers_are_no_matter_for_reading)
{
	int pid = hold("3<>");

	open_disk(image);
	look(DOMU_VERDICT_READ);
	run_stop(pid);
	cr_assert_not(v.in_use);
}

Test(inuse, a_writable_mapping_without_a_descriptor_is_found)
{
	int p[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(image, O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
			_exit(1);
		close(fd);
		if (write(p[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	cr_assert_eq(read(p[0], &c, 1), 1);
	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	run_stop(pid);
	holds("writers", "open for writing");
}

Test(inuse, a_flock_is_found)
{
	int fd = -1, p[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = open(image, O_RDONLY);
		if (flock(fd, LOCK_EX) == 0 && write(p[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	cr_assert_eq(read(p[0], &c, 1), 1);
	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	run_stop(pid);
	holds("image-lock", "FLOCK");
}

/* qemu-io prints nothing until it ends: looked at until it has the lock. */
static void qemu(const char *option)
{
	char script[1024];
	int pid;

	if (run("qemu-io", "--version") != 0)
		cr_skip_test("no qemu-io here");
	snprintf(script, sizeof script, "echo; exec qemu-io -f raw %s -c 'sleep 60000' %s >/dev/null", option, image);
	pid = run_start("sh", "-c", script, NULL);
	open_disk(image);
	for (int i = 0; i < 200; i++) {
		look(DOMU_VERDICT_CHANGE);
		if (line("image-lock")->result == DOMU_CHECK_FAIL)
			break;
		usleep(50000);
	}
	run_stop(pid);
}

Test(inuse, qemus_image_lock_is_found)
{
	qemu("");
	holds("image-lock", "qemu");
	holds("writers", "(qemu-io)");
}

Test(inuse, a_qemu_that_only_reads_objects_to_a_writer)
{
	qemu("-r");
	passes("writers");
	holds("image-lock", "qemu");
}

Test(inuse, an_exclusive_holder_of_a_device_is_found)
{
	int fd;

	make_loop(image, "512");
	open_disk(loop);
	fd = open(loop, O_RDONLY | O_EXCL);
	cr_assert_geq(fd, 0);
	look(DOMU_VERDICT_CHANGE);
	holds("exclusive", "exclusively");
	look(DOMU_VERDICT_READ);
	holds("mounts", "kernel");
	close(fd);
	look(DOMU_VERDICT_READ);
	cr_assert_not(v.in_use);
}

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
	snprintf(owner, sizeof owner, "pid %d since", (int)getpid());
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
		bad |= v.in_use && line("own-lock")->blocks && strstr(line("own-lock")->detail, owner) != NULL ? 0 : 8;
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
	save_file("other", "something that is no save file...", 32, "");
	look_at_saves("web1", &a);
	cr_assert_eq(a.result, DOMU_CHECK_UNKNOWN);
	free(a.detail);
	*strrchr(b.dir, '/') = '\0';
}
