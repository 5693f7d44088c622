/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-guest-checks.c - each check by itself: what a made-up Xen or sysfs says, what cannot be told; the table. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/plugins.h"
#include "tests/unit/guest-inuse.h"

TestSuite(checks, .init = open_bench, .fini = close_bench, .timeout = 600);

static struct domu_view view;
static struct domu_answer a;
static struct domu_relatives related;

/* A view of a host below the test's own folder, where a Xen is. */
static void open_view(void)
{
	open_disk(image);
	view =
	    (struct domu_view){ .ctx = &b.ctx, .guest = g, .depth = DOMU_VERDICT_CHANGE, .xen = true, .root = b.dir };
	view.live_read = view.backends_read = true;
}

static void close_view(void)
{
	domu_toolstacks_free(&view.toolstacks);
	domu_answer_clear(&a);
}

static void says(domu_check_fn fn, enum domu_check_result want, const char *word, const char *next)
{
	domu_answer_clear(&a);
	fn(&view, &k, &related, &a);
	cr_assert_eq(a.result, want, "%s, not %s: %s", domu_check_result_name(a.result), domu_check_result_name(want),
	             a.detail);
	if (word != NULL)
		cr_assert(a.detail != NULL && strstr(a.detail, word) != NULL, "%s, not %s", a.detail, word);
	if (next != NULL)
		cr_assert(a.next != NULL && strstr(a.next, next) != NULL, "%s, not %s", a.next, next);
}

static void host_file(const char *path, const char *text)
{
	char dir[512];

	snprintf(dir, sizeof dir, "%s/%s", b.dir, path);
	*strrchr(dir, '/') = '\0';
	cr_assert_eq(run("mkdir", "-p", dir), 0);
	bench_file(&b, path, text);
}

/* ---- domains ---------------------------------------------------------------------- */

/* One live domain with the disk, as it is called. */
static void domain(const char *name, enum domu_guest_state state, const char *stub_of, const char *word,
                   const char *next)
{
	struct domu_disk disk = { .vdev = "xvda", .path = image };
	struct domu_guest live = { .name = (char *)name,
		                   .domid = 7,
		                   .state = state,
		                   .disks = &disk,
		                   .n_disks = 1,
		                   .stub_of = (char *)stub_of };
	struct domu_guest *lives[] = { &live };

	view.live.v = lives;
	view.live.n = 1;
	says(domu_check_domains, DOMU_CHECK_FAIL, word, next);
	view.live.n = 0;
}

Test(checks, a_domain_is_named_by_what_it_is_to_the_guest)
{
	open_view();
	domain("web1", DOMU_STATE_RUNNING, NULL, "domain web1 (7, running) has it as xvda", "xl shutdown web1");
	domain("web1", DOMU_STATE_PAUSED, NULL, "(7, paused)", "xl unpause web1 && xl shutdown web1");
	domain("web1-2026-11-25T10:00Z", DOMU_STATE_CRASHED, NULL, "(7, crashed)", "xl destroy web1-2026");
	domain("web1-dm", DOMU_STATE_RUNNING, "web1", "domain web1-dm (7, running), the device model of web1, has it",
	       "xl shutdown web1");
	domain("web1", DOMU_STATE_SUSPENDED, NULL, "(7, suspended)", "xl list");
	cr_assert_null(strstr(a.next, "destroy"), "it may be in the midst of being saved");
	domain("web1--incoming", DOMU_STATE_PAUSED, NULL, "which is web1 on its way here from another host", "xl list");
	cr_assert_null(strstr(a.next, "unpause"), "it would run on both hosts");
	domain("web1--migratedaway", DOMU_STATE_SUSPENDED, NULL, "what is left of web1 that went to another host",
	       "xl list");
	cr_assert_null(strstr(a.next, "destroy"));
	close_view();
}

Test(checks, a_path_of_a_driver_domain_is_none_of_this_host)
{
	struct domu_disk disk = { .vdev = "xvda", .path = image, .backend = (char *)"domain 3" };
	struct domu_guest live = { .name = (char *)"web2", .domid = 7, .disks = &disk, .n_disks = 1 };
	struct domu_guest *lives[] = { &live };

	open_view();
	view.live.v = lives;
	view.live.n = 1;
	says(domu_check_domains, DOMU_CHECK_PASS, NULL, NULL);
	view.live.n = 0;
	close_view();
}

Test(checks, a_domain_is_stopped_by_the_toolstack_that_keeps_it)
{
	open_view();
	host_file("etc/libvirt/libxl/virt.xml", "<domain><name>virt</name></domain>");
	domain("virt", DOMU_STATE_RUNNING, NULL, "domain virt", "virsh shutdown virt");
	domain("virt", DOMU_STATE_CRASHED, NULL, "domain virt", "virsh destroy virt");
	domain("web 1;reboot", DOMU_STATE_RUNNING, NULL, "domain web 1;reboot", "xl shutdown 'web 1;reboot'");
	domain("web1", DOMU_STATE_RUNNING, NULL, "domain web1", "xl shutdown web1");
	domu_toolstacks_free(&view.toolstacks);
	view.toolstacks_read = false;
	host_file("etc/xensource-inventory", "");
	domain("web1", DOMU_STATE_RUNNING, NULL, "domain web1", "xe vm-shutdown vm=web1");
	close_view();
}

Test(checks, xen_that_does_not_answer_is_unknown_to_all_who_ask_it)
{
	domu_check_fn fns[] = { domu_check_domains, domu_check_backends, domu_check_driver_domains };

	open_view();
	view.live_error = view.backends_error = (char *)"no answer";
	for (size_t i = 0; i < 3; i++)
		says(fns[i], DOMU_CHECK_UNKNOWN, "no answer", NULL);
	view.live_error = view.backends_error = NULL;
	for (size_t i = 0; i < 3; i++)
		says(fns[i], DOMU_CHECK_PASS, NULL, NULL);
	view.xen = false;
	for (size_t i = 0; i < 3; i++)
		says(fns[i], DOMU_CHECK_SKIPPED, "no Xen", NULL);
	close_view();
}

#ifdef HAVE_LIBXL
Test(checks, whether_xen_answers)
{
	open_view();
	cr_assert_eq(domu_plugins_load(&b.ctx, DOMU_PLUGIN_SOURCE), 0);
	says(domu_check_xen, DOMU_CHECK_PASS, NULL, NULL);
	view.live_error = (char *)"libxl does not answer";
	says(domu_check_xen, DOMU_CHECK_UNKNOWN, "libxl does not answer", NULL);
	view.live_error = NULL;
	view.xen = false;
	says(domu_check_xen, DOMU_CHECK_SKIPPED, "no Xen", NULL);
	close_view();
}
#endif

/* ---- backends ---------------------------------------------------------------------- */

static void backend(const char *path, const char *params, const char *script, uint64_t dev, enum domu_check_result want,
                    const char *word)
{
	struct domu_backend_copy c = { .path = (char *)path,
		                       .params = (char *)params,
		                       .script = (char *)script,
		                       .vdev = (char *)"xvda",
		                       .dev = dev,
		                       .frontend = 7,
		                       .state = 4 };

	view.backends = &c;
	view.n_backends = 1;
	says(domu_check_backends, want, word, NULL);
	view.n_backends = 0;
}

#define VBD "/local/domain/0/backend/vbd/7/51712"

Test(checks, a_backend_is_compared_by_device_path_or_not_at_all)
{
	char text[600];

	open_view();
	backend(VBD, image, NULL, 0, DOMU_CHECK_FAIL, "served to domain 7 as xvda (backendtype phy, " VBD ")");
	snprintf(text, sizeof text, "raw:%s", image);
	backend("/local/domain/0/backend/qdisk/7/51712", text, NULL, 0, DOMU_CHECK_FAIL, "backendtype qdisk");
	snprintf(text, sizeof text, "tap:aio:%s", image);
	backend("/local/domain/0/backend/tap/7/51712", text, NULL, 0, DOMU_CHECK_FAIL, "backendtype tap");
	backend(VBD, "/absent", NULL, 0, DOMU_CHECK_PASS, NULL);
	/* A path from where a domain was started: told only by its last part. */
	backend(VBD, "raw:a.img", NULL, 0, DOMU_CHECK_UNKNOWN, "whether raw:a.img, which domain 7 has as xvda");
	backend(VBD, "raw:b.img", NULL, 0, DOMU_CHECK_PASS, NULL);
	backend(VBD, "raw:a.img", NULL, makedev(8, 16), DOMU_CHECK_PASS, NULL);
	/* A script's word says nothing, the device that it made everything. */
	backend(VBD, "iqn.2001-05.com.example:a", "block-iscsi", 0, DOMU_CHECK_UNKNOWN,
	        "what the script block-iscsi makes of iqn.2001-05.com.example:a for domain 7 as xvda");
	backend(VBD, "iqn.2001-05.com.example:a", "block-iscsi", makedev(8, 16), DOMU_CHECK_PASS, NULL);
	backend(VBD, "/absent", "block-mine", 0, DOMU_CHECK_UNKNOWN, "block-mine");
	backend(VBD, image, "block-mine", makedev(8, 16), DOMU_CHECK_FAIL, "served");
	close_view();
}

Test(checks, a_disk_attached_to_the_dom0_is_what_is_behind_it)
{
	struct domu_backend_copy two[] = {
		{ .path = (char *)"/local/domain/0/backend/vbd/0/268441856",
		  .params = (char *)"word:a",
		  .script = (char *)"block-mine",
		  .vdev = (char *)"xvdz",
		  .dev = makedev(253, 5),
		  .state = 4 },
		{ .path = (char *)VBD,
		  .params = (char *)"/dev/vg/a",
		  .vdev = (char *)"xvda",
		  .dev = makedev(253, 5),
		  .frontend = 7,
		  .state = 4 },
	};
	char other[600];

	open_view();
	free(k.path);
	k.path = strdup("/dev/xvdz1");
	k.is_device = true;
	k.dev = k.whole_dev = makedev(202, 6401);
	view.backends = two;
	view.n_backends = 1;
	says(domu_check_backends, DOMU_CHECK_PASS, NULL, NULL);
	view.n_backends = 2;
	says(domu_check_backends, DOMU_CHECK_FAIL, "served to domain 7 as xvda", NULL);
	two[1].dev = makedev(253, 6);
	says(domu_check_backends, DOMU_CHECK_PASS, NULL, NULL);
	two[1].dev = 0;
	two[1].params = (char *)"aio:word:a";
	says(domu_check_backends, DOMU_CHECK_PASS, NULL, NULL);
	two[1].params = (char *)"word:a";
	says(domu_check_backends, DOMU_CHECK_FAIL, "served to domain 7", NULL);
	/* One file by two names: a loop over it here, qemu there. */
	cr_assert_eq(link(image, bench_path(&b, "other.img")), 0);
	snprintf(other, sizeof other, "raw:%s", bench_path(&b, "other.img"));
	two[0].params = image;
	two[1].params = other;
	says(domu_check_backends, DOMU_CHECK_FAIL, "served to domain 7", NULL);
	two[1].dev = makedev(7, 250);
	says(domu_check_backends, DOMU_CHECK_FAIL, "served to domain 7", NULL);
	two[1].params = (char *)"raw:/absent";
	says(domu_check_backends, DOMU_CHECK_PASS, NULL, NULL);
	two[0].params = two[1].params = (char *)"word:a";
	two[1].dev = 0;
	/* A driver domain's. */
	two[0].domain = 3;
	view.n_backends = 1;
	says(domu_check_driver_domains, DOMU_CHECK_PASS, NULL, NULL);
	two[1].domain = 3;
	view.n_backends = 2;
	says(domu_check_driver_domains, DOMU_CHECK_UNKNOWN, "driver domain 3 serves", NULL);
	says(domu_check_backends, DOMU_CHECK_FAIL, "served to domain 7", NULL);
	view.n_backends = 0;
	k.is_device = false;
	close_view();
}

Test(checks, who_uses_a_disk_that_is_attached_to_the_dom0_is_said)
{
	struct domu_backend_copy c = {
		.path = (char *)"/local/domain/0/backend/vbd/0/51712", .params = image, .vdev = loop + 5, .state = 4
	};
	char word[700], next[700];
	int pid;

	/* A loop is what xvdz would be. */
	cr_assert_eq(run("mke2fs", "-q", "-F", image), 0);
	make_loop(image, "512");
	open_view();
	view.backends = &c;
	view.n_backends = 1;
	snprintf(next, sizeof next, "xl block-detach 0 %s", loop + 5);
	says(domu_check_backends, DOMU_CHECK_FAIL, "attached to this Dom0 as loop", next);
	cr_assert_str_eq(a.next, next);
	if (run("mount", loop, mnt) == 0) {
		snprintf(word, sizeof word, "; %s: mounted on %s", loop, mnt);
		snprintf(next, sizeof next, "umount %s && xl block-detach 0 %s", mnt, loop + 5);
		says(domu_check_backends, DOMU_CHECK_FAIL, word, NULL);
		cr_assert_str_eq(a.next, next);
		cr_assert_eq(run("umount", mnt), 0);
	}
	snprintf(word, sizeof word, "exec 3<>%s; echo open" STAYS, loop);
	pid = run_start("sh", "-c", word, NULL);
	snprintf(word, sizeof word, "; %s: process %d (sh) has it open for writing", loop, pid);
	snprintf(next, sizeof next, "kill %d && xl block-detach 0 %s", pid, loop + 5);
	says(domu_check_backends, DOMU_CHECK_FAIL, word, NULL);
	cr_assert_str_eq(a.next, next);
	run_stop(pid);
	/* A name that leads elsewhere, and one that leads nowhere. */
	c.vdev = (char *)"../etc/passwd";
	says(domu_check_backends, DOMU_CHECK_FAIL, "attached to this Dom0 as", NULL);
	c.vdev = (char *)"xvd-absent";
	says(domu_check_backends, DOMU_CHECK_FAIL, "attached to this Dom0 as", "xl block-detach 0 xvd-absent");
	view.n_backends = 0;
	close_view();
}

Test(checks, a_driver_domain_is_named_with_whom_it_serves)
{
	struct domu_backend_copy c = { .path = (char *)"/local/domain/3/backend/vbd/7/51712",
		                       .params = (char *)"/dev/sda",
		                       .vdev = (char *)"xvda",
		                       .domain = 3,
		                       .frontend = 7,
		                       .state = 4 };
	struct domu_guest storage = { .name = (char *)"storage", .domid = 3 };
	struct domu_guest web = { .name = (char *)"web2", .domid = 7, .state = DOMU_STATE_RUNNING };
	struct domu_guest *lives[] = { &storage, &web };

	open_view();
	view.live.v = lives;
	view.live.n = 2;
	view.backends = &c;
	view.n_backends = 1;
	says(domu_check_driver_domains, DOMU_CHECK_UNKNOWN,
	     "the driver domain storage (3) serves /dev/sda to domain web2 (7) as xvda", "xl shutdown web2");
	says(domu_check_backends, DOMU_CHECK_PASS, NULL, NULL);
	c.state = 6;
	says(domu_check_driver_domains, DOMU_CHECK_PASS, NULL, NULL);
	c.state = 4;
	c.domain = 0;
	says(domu_check_driver_domains, DOMU_CHECK_PASS, NULL, NULL);
	view.live.n = view.n_backends = 0;
	close_view();
}

/* ---- what the kernel has ------------------------------------------------------------- */

/* One holder, with what sysfs says of it. */
static void holder(const char *name, const char *uuid, const char *dm, const char *word, const char *next)
{
	struct domu_related h = { .dev = makedev(253, 4), .holder = true };
	char path[128];

	snprintf(h.name, sizeof h.name, "%s", name);
	snprintf(path, sizeof path, "sys/block/%s/dm/uuid", name);
	if (uuid != NULL)
		host_file(path, uuid);
	snprintf(path, sizeof path, "sys/block/%s/dm/name", name);
	if (dm != NULL)
		host_file(path, dm);
	related.v = &h;
	related.n = 1;
	says(domu_check_stacked, DOMU_CHECK_FAIL, word, next);
	related.n = 0;
}

Test(checks, a_holder_is_called_as_an_administrator_calls_it)
{
	open_view();
	holder("dm-1", "LVM-abcdef", "my--vg-root--two\n", "LV my-vg/root-two (dm-1) is over it", "vgchange -an my-vg");
	holder("dm-2", "CRYPT-LUKS2-12-secret\n", "secret\n", "dm-crypt secret (dm-2) is over it",
	       "cryptsetup close secret");
	holder("dm-3", "mpath-3600\n", "mpatha\n", "multipath mpatha (dm-3) is over it", "multipath -f mpatha");
	holder("dm-4", "part1-mpath-3600\n", "mpatha-part1\n", "partition mpatha-part1 (dm-4)", NULL);
	holder("dm-5", "\n", "over\n", "device-mapper over (dm-5) is over it", "dmsetup remove over");
	holder("md7", NULL, NULL, "md7 is over it", "mdadm --stop /dev/md7");
	holder("bcache0", NULL, NULL, "bcache0 is over it", "/sys/block/bcache0/bcache/stop");
	holder("loop3", NULL, NULL, "loop3 is over it", "losetup -d /dev/loop3");
	says(domu_check_stacked, DOMU_CHECK_PASS, NULL, NULL);
	close_view();
}

Test(checks, a_loop_that_does_not_answer_is_unknown)
{
	struct domu_loop l = { .name = "loop9", .known = false };

	open_view();
	view.loops.v = &l;
	view.loops.n = 1;
	view.loops_read = true;
	says(domu_check_stacked, DOMU_CHECK_UNKNOWN, "what loop9 is over cannot be told", NULL);
	view.loops.n = 0;
	close_view();
}

Test(checks, a_tapdisk_is_found_by_what_it_was_told_to_open)
{
	char text[600];

	open_view();
	host_file("sys/class/blktap2/blktap0/name", "vhd:/somewhere/else.vhd\n");
	says(domu_check_stacked, DOMU_CHECK_PASS, NULL, NULL);
	snprintf(text, sizeof text, "aio:%s\n", image);
	host_file("sys/class/blktap2/blktap1/name", text);
	host_file("sys/class/blktap2/blktap1/task", "4711\n");
	says(domu_check_stacked, DOMU_CHECK_FAIL, "tapdisk serves it as blktap1 (aio:", "tap-ctl list");
	cr_assert_not_null(strstr(a.detail, "process 4711"));
	close_view();
}

/* A device below which sysfs has that. */
static void device(const char *link, const char *drbd, enum domu_check_result want, const char *word)
{
	char path[512];

	snprintf(path, sizeof path, "%s", bench_path(&b, "sys/dev/block/147:2"));
	unlink(path);
	cr_assert_eq(symlink(link, path), 0);
	if (drbd != NULL)
		host_file("proc/drbd", drbd);
	says(domu_check_other_hosts, want, word, NULL);
}

Test(checks, another_host_is_seen_or_cannot_be)
{
	open_view();
	says(domu_check_other_hosts, DOMU_CHECK_PASS, NULL, NULL);
	cr_assert_eq(run("mkdir", "-p", bench_path(&b, "sys/dev/block")), 0);
	k.is_device = true;
	k.whole_dev = k.dev = makedev(147, 2);
	device("../../devices/pci0000:00/ata1/block/sda", NULL, DOMU_CHECK_PASS, NULL);
	device("../../devices/platform/host2/session1/target2:0:0/block/sdb", NULL, DOMU_CHECK_UNKNOWN, "iSCSI");
	device("../../devices/pci0000:00/host1/rport-1:0-0/block/sdc", NULL, DOMU_CHECK_UNKNOWN, "Fibre Channel");
	device("../../devices/rbd/0/block/rbd0", NULL, DOMU_CHECK_UNKNOWN, "Ceph RBD");
	device("../../devices/virtual/block/drbd2", " 2: cs:Connected ro:Secondary/Secondary ds:U/U\n",
	       DOMU_CHECK_UNKNOWN, "DRBD");
	device("../../devices/virtual/block/drbd2",
	       " 1: cs:Connected ro:Secondary/Secondary\n 2: cs:Connected ro:Secondary/Primary ds:U/U\n",
	       DOMU_CHECK_FAIL, "DRBD's other node is primary");
	host_file("sys/block/dm-9/dm/uuid", "LVM-abc\n");
	host_file("sys/block/dm-9/dm/name", "vg-web1\n");
	device("../../devices/virtual/block/dm-9", NULL, DOMU_CHECK_PASS, NULL);
	host_file("run/lvm/lvmlockd.socket", "");
	device("../../devices/virtual/block/dm-9", NULL, DOMU_CHECK_UNKNOWN, "another host may have vg/web1 active");
	k.is_device = false;
	close_view();
}

Test(checks, the_hotplug_lock_is_looked_for_only_in_a_commit)
{
	int fd;

	open_view();
	host_file("var/run/xen-hotplug/block", "");
	says(domu_check_hotplug, DOMU_CHECK_PASS, NULL, NULL);
	view.depth = DOMU_VERDICT_RECHECK;
	says(domu_check_hotplug, DOMU_CHECK_FAIL, "hotplug lock is not held", NULL);
	fd = open(bench_path(&b, "var/run/xen-hotplug/block"), O_RDWR);
	says(domu_check_hotplug, DOMU_CHECK_PASS, NULL, NULL);
	close(fd);
	view.xen = false;
	says(domu_check_hotplug, DOMU_CHECK_SKIPPED, "no Xen", NULL);
	close_view();
}

/* ---- what is ours -------------------------------------------------------------------- */

Test(checks, a_path_that_leads_elsewhere_and_a_size_that_changed)
{
	open_view();
	says(domu_check_resolve, DOMU_CHECK_PASS, NULL, NULL);
	says(domu_check_unchanged, DOMU_CHECK_PASS, NULL, NULL);
	cr_assert_eq(truncate(image, SIZE + 512), 0);
	says(domu_check_unchanged, DOMU_CHECK_FAIL, "its size has changed", NULL);
	says(domu_check_resolve, DOMU_CHECK_PASS, NULL, NULL);
	cr_assert_eq(rename(image, bench_path(&b, "other.img")), 0);
	says(domu_check_resolve, DOMU_CHECK_FAIL, "is gone", NULL);
	bench_image(&b, "a.img", SIZE);
	says(domu_check_resolve, DOMU_CHECK_FAIL, "is not the disk any more", NULL);
	close_view();
}

/* Somebody who may not look, without a word that only root knows. */
static void as_nobody(domu_check_fn fn, const char *word)
{
	if (geteuid() != 0)
		return;
	cr_assert_eq(seteuid(65534), 0);
	says(fn, DOMU_CHECK_UNKNOWN, word, NULL);
	cr_assert_eq(seteuid(0), 0);
}

Test(checks, what_may_not_be_looked_at_is_unknown)
{
	struct domu_related h = { .dev = makedev(7, 250) };
	char state[512], path[600];
	FILE *f;

	if (geteuid() != 0)
		skip("only root can become somebody who may not look");
	open_view();
	snprintf(state, sizeof state, "%s", bench_path(&b, "state"));
	cr_assert_eq(domu_backing_lock(&b.ctx, state, &k), 0);
	domu_backing_unlock(&k);
	k.state_dir = state;
	says(domu_check_own_lock, DOMU_CHECK_PASS, NULL, NULL);
	as_nobody(domu_check_own_lock, "whether another domu-rescue has it cannot be seen");
	related.v = &h;
	related.n = 1;
	as_nobody(domu_check_mounts, "cannot be seen");
	as_nobody(domu_check_writers, "cannot be seen");
	related.n = 0;
	snprintf(path, sizeof path, "%s/saves", b.dir);
	cr_assert_eq(mkdir(path, 0755), 0);
	f = fopen(bench_path(&b, "saves/x"), "we");
	fclose(f);
	view.save_dirs = (const char *const[]){ path, NULL };
	says(domu_check_saved, DOMU_CHECK_UNKNOWN, "may be a saved state", NULL);
	close_view();
}

/* ---- the table ------------------------------------------------------------------------ */

/* "| 4 | `domains` | no domain ... | r c a | tests |": the cell of that number, trimmed.  false: no such row. */
static bool cell_of(const char *line, unsigned number, char *out, size_t size)
{
	size_t n;

	for (; number > 1 && line != NULL; number--)
		line = strchr(line + 1, '|');
	if (line == NULL || *line != '|')
		return false;
	line += 1 + strspn(line + 1, " ");
	n = strcspn(line, "|\n");
	while (n > 0 && line[n - 1] == ' ')
		n--;
	snprintf(out, size, "%.*s", (int)n, line);
	return true;
}

static void when_text(unsigned when, char out[64])
{
	snprintf(out, 64, "%s%s%s%s", when & DOMU_CHECK_AT_READ ? "reading, " : "",
	         when & DOMU_CHECK_AT_CHANGE ? "changing" : "", when & DOMU_CHECK_AGAIN ? ", again" : "",
	         when & DOMU_CHECK_AT_START          ? ", watching"
	         : when & DOMU_CHECK_AT_START_CHANGE ? ", watching a change"
	                                             : "");
}

/* Every file named is there, and names the check or its function. */
static void tests_are_there(const char *check, char *list)
{
	char path[512], word[64], *save = NULL, line[2048];

	for (char *name = strtok_r(list, ", ", &save); name != NULL; name = strtok_r(NULL, ", ", &save)) {
		bool found = false;
		FILE *f;

		snprintf(path, sizeof path, SRCDIR "/tests/%s", name);
		f = fopen(path, "re");
		cr_assert_not_null(f, "%s: there is no %s", check, path);
		snprintf(word, sizeof word, "%s", check);
		while (!found && fgets(line, sizeof line, f) != NULL) {
			for (char *p = line; *p != '\0'; p++)
				*p = *p == '_' ? '-' : *p;
			found = strstr(line, word) != NULL;
		}
		fclose(f);
		cr_assert(found, "%s does not name %s", path, check);
	}
}

Test(checks, the_table_of_the_documentation_is_that_of_the_program)
{
	FILE *f = fopen(SRCDIR "/doc/safety.md", "re");
	char *line = NULL, cell[512], want[512], tests[512];
	const struct domu_check_info *c;
	size_t cap = 0, i = 0;

	cr_assert_not_null(f);
	while (getline(&line, &cap, f) > 0) {
		snprintf(want, sizeof want, "| %zu | `", i + 1);
		c = domu_check_info(i);
		if (c == NULL || strncmp(line, want, strlen(want)) != 0)
			continue;
		snprintf(want, sizeof want, "`%s`", c->name);
		cr_assert(cell_of(line, 1, cell, sizeof cell) && strtoul(cell, NULL, 10) == i + 1);
		cr_assert(cell_of(line, 2, cell, sizeof cell));
		cr_assert_str_eq(cell, want);
		cr_assert(cell_of(line, 3, cell, sizeof cell));
		cr_assert_str_eq(cell, c->what);
		when_text(c->when, want);
		cr_assert(cell_of(line, 4, cell, sizeof cell));
		cr_assert_str_eq(cell, want);
		cr_assert(cell_of(line, 5, tests, sizeof tests));
		cr_assert_neq(tests[0], '\0');
		tests_are_there(c->name, tests);
		i++;
	}
	free(line);
	fclose(f);
	cr_assert_null(domu_check_info(i), "doc/safety.md ends after %zu checks", i);
	cr_assert_eq(i, 15);
}
