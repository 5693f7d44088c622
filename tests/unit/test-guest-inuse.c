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
#include <time.h>
#include <unistd.h>

#include "tests/unit/guest-inuse.h"

TestSuite(inuse, .init = open_bench, .fini = close_bench, .timeout = 600);

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
	for (; domu_check_info(n) != NULL; n++)
		cr_assert_str_eq(v.v[n].check, domu_check_info(n)->name);
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
		skip("there is a Xen here");
	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	for (const char *const *n = names; *n != NULL; n++)
		cr_assert_eq(line(*n)->result, DOMU_CHECK_SKIPPED, "%s", *n);
	cr_assert_eq(domu_hotplug_lock(&b.ctx, "a test", &fd), 0);
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

Test(inuse, who_has_the_file_below_a_loop_has_the_loop)
{
	const char *other = bench_path(&b, "other");
	char text[64];
	int pid;

	cr_assert_eq(link(image, other), 0);
	make_loop(image, "512");
	open_disk(loop);
	cr_expect_eq(domu_same_disk(&k, other), DOMU_SAME_YES);
	cr_expect_eq(domu_same_disk(&k, bench_image(&b, "b.img", SIZE)), DOMU_SAME_NO);
	pid = hold("3<>");
	look(DOMU_VERDICT_CHANGE);
	run_stop(pid);
	snprintf(text, sizeof text, "process %d (sh)", pid);
	holds("writers", text);
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
		skip("no loop over a loop here");
	look(DOMU_VERDICT_READ);
	run("losetup", "-d", second);
	holds("stacked", second + 5);
	until_free(DOMU_VERDICT_READ);
	if (run_line(second, sizeof second, "losetup", "-f", "--show", image, NULL) != 0)
		skip("no second loop here");
	look(DOMU_VERDICT_READ);
	run("losetup", "-d", second);
	holds("stacked", "same file");
	until_free(DOMU_VERDICT_READ);
}

/* The library's naps: none is slept when a test counts them, and at the last one it does something. */
static unsigned naps;
static void (*at_last_nap)(void);

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
	if (at_last_nap == NULL)
		return clock_nanosleep(CLOCK_REALTIME, 0, wanted, left) == 0 ? 0 : -1;
	if (naps > 0 && --naps == 0)
		at_last_nap();
	return 0;
}

/* Another guest's loop, which the kernel takes its time to take down: it does not answer, and then it is no more. */
static const char backing[] = "/sys/block/loop999999/loop/backing_file";

static void remove_backing(void)
{
	unlink(backing);
}

Test(inuse, a_loop_that_is_being_taken_down_is_waited_for)
{
	FILE *f;

	open_disk(image);
	if (geteuid() != 0 || mount("none", "/sys/block", "tmpfs", 0, NULL) < 0)
		skip("no /sys/block of its own here");
	cr_assert_eq(run("mkdir", "-p", "/sys/block/loop999999/loop"), 0);
	f = fopen(backing, "we");
	cr_assert(f != NULL && fputs("/nowhere\n", f) > 0 && fclose(f) == 0);
	naps = 200;
	at_last_nap = remove_backing;
	look(DOMU_VERDICT_READ);
	passes("stacked");
	cr_assert_eq(naps, 0);
	/* One that never answers is no reason to wait for ever. */
	f = fopen(backing, "we");
	cr_assert(f != NULL && fclose(f) == 0);
	look(DOMU_VERDICT_READ);
	cr_assert_eq(line("stacked")->result, DOMU_CHECK_UNKNOWN);
	cr_assert_eq(umount("/sys/block"), 0);
}

/* ---- the page cache ---------------------------------------------------------- */

/* How many pages of it this host remembers. */
static unsigned remembered(int fd)
{
	static unsigned char pages[SIZE / 4096];
	void *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	unsigned n = 0;

	cr_assert_neq(map, MAP_FAILED);
	cr_assert_eq(mincore(map, SIZE, pages), 0);
	munmap(map, SIZE);
	for (size_t i = 0; i < SIZE / 4096; i++)
		n += pages[i] & 1;
	return n;
}

Test(inuse, nothing_of_a_device_is_remembered_whatever_is_still_to_be_written)
{
	static char text[SIZE];
	int fd;

	make_loop(image, "512");
	open_disk(loop);
	fd = open(loop, O_RDWR);
	memset(text, 'x', sizeof text);
	cr_assert_eq(pwrite(fd, text, sizeof text, 0), (ssize_t)sizeof text);
	close(fd);
	cr_assert_gt(remembered(k.fd), 0);
	domu_backing_forget_all(&k);
	cr_assert_eq(remembered(k.fd), 0);
}

/* ---- mounts and swap ---------------------------------------------------------- */

Test(inuse, a_mount_is_found_and_named)
{
	char umount[600];

	cr_assert_eq(rmdir(mnt), 0);
	snprintf(mnt, sizeof mnt, "%s", bench_path(&b, "m nt"));
	snprintf(umount, sizeof umount, "umount '%s'", mnt);
	cr_assert_eq(mkdir(mnt, 0700), 0);
	cr_assert_eq(run("mke2fs", "-q", "-F", image), 0);
	if (run("mount", "-o", "loop", image, mnt) != 0)
		skip("cannot mount here");
	open_disk(image);
	look(DOMU_VERDICT_READ);
	holds("mounts", mnt);
	refused(umount);
	look(DOMU_VERDICT_CHANGE);
	holds("mounts", mnt);
	cr_assert_eq(run("umount", mnt), 0);
	until_free(DOMU_VERDICT_CHANGE);
}

static int mount_elsewhere(const char *what, const char *options)
{
	char script[2048];

	snprintf(script, sizeof script, "mount %s %s %s && echo mounted" STAYS, options, what, mnt);
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
		skip("no namespace of its own here");
	}
	look(DOMU_VERDICT_READ);
	if (kill(pid, 0) == 0)
		holds("mounts", "mount namespace of pid");
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
		skip("no swapon here");
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

/* ---- partitions ----------------------------------------------------------------- */

/* They outlive the loop otherwise, and are in the way of the next one's. */
static void remove_partitions(void)
{
	char path[80];

	domu_backing_close(&k);
	for (int i = 1; i <= 2; i++) {
		snprintf(path, sizeof path, "%sp%d", loop, i);
		for (int tries = 0; tries < 3000 && access(path, F_OK) == 0; tries++) {
			if (run("delpart", loop, i == 1 ? "1" : "2") != 0)
				usleep(20000);
		}
	}
}

/* loop, with two partitions that only the kernel knows. */
static void make_partitions(char one[80], char two[80])
{
	struct stat st;

	make_loop(image, "512");
	remove_partitions();
	snprintf(one, 80, "%sp1", loop);
	snprintf(two, 80, "%sp2", loop);
	if (run("addpart", loop, "1", "2048", "4096") == 0 && run("addpart", loop, "2", "8192", "4096") == 0 &&
	    stat(one, &st) == 0 && stat(two, &st) == 0)
		return;
	remove_partitions();
	skip("no partitions on loops here");
}

Test(inuse, a_mounted_partition_is_use_of_the_whole_disk_and_not_of_its_neighbour)
{
	char one[80], two[80];
	int pid;

	make_partitions(one, two);
	cr_assert_eq(run("mke2fs", "-q", "-F", two), 0);
	pid = mount_elsewhere(two, "");
	open_disk(loop);
	cr_expect_eq(k.whole_dev, k.dev);
	look(DOMU_VERDICT_READ);
	holds("mounts", "mount namespace");
	domu_backing_close(&k);
	domu_guest_free(g);
	open_disk(one);
	cr_expect_neq(k.whole_dev, k.dev);
	cr_expect_eq(k.size, 4096 * 512);
	look(DOMU_VERDICT_READ);
	cr_expect_not(v.in_use);
	domu_backing_close(&k);
	domu_guest_free(g);
	open_disk(two);
	look(DOMU_VERDICT_READ);
	holds("mounts", "mount namespace");
	run_stop(pid);
	remove_partitions();
}

Test(inuse, a_whole_disk_that_is_held_is_use_of_its_partitions)
{
	char one[80], two[80];
	int fd;

	make_partitions(one, two);
	open_disk(one);
	look(DOMU_VERDICT_READ);
	cr_expect_not(v.in_use);
	fd = open(loop, O_RDONLY | O_EXCL);
	look(DOMU_VERDICT_READ);
	close(fd);
	holds("mounts", "kernel");
	cr_expect_eq(domu_same_disk(&k, loop), DOMU_SAME_YES);
	cr_expect_eq(domu_same_disk(&k, one), DOMU_SAME_YES);
	cr_expect_eq(domu_same_disk(&k, two), DOMU_SAME_NO);
	cr_expect_eq(domu_same_disk(&k, image), DOMU_SAME_YES);
	remove_partitions();
}

/* ---- processes ------------------------------------------------------------------ */

Test(inuse, a_process_that_may_write_is_named)
{
	int pid = hold("3<>");
	char text[64];

	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	run_stop(pid);
	snprintf(text, sizeof text, "process %d (sh)", pid);
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

/* A process that has it locked. */
static pid_t flock_holder(void)
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
	return pid;
}

Test(inuse, a_flock_is_found)
{
	pid_t pid = flock_holder();

	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	run_stop(pid);
	holds("image-lock", "FLOCK");
}

static pid_t holder;

static void end_holder(void)
{
	run_stop(holder);
}

/* As another command that asks about the same image just then. */
Test(inuse, a_flock_that_does_not_stay_is_no_holder)
{
	holder = flock_holder();
	open_disk(image);
	naps = 20;
	at_last_nap = end_holder;
	look(DOMU_VERDICT_CHANGE);
	passes("image-lock");
	cr_assert_eq(naps, 0);
}

/* Line by line, qemu-io prints the length when it has opened the image, with all of its locks. */
static void qemu(const char *option)
{
	char script[1024];
	int pid;

	if (run("qemu-io", "--version") != 0)
		skip("no qemu-io here");
	snprintf(script, sizeof script, "exec stdbuf -oL qemu-io -f raw %s -c length -c 'sleep 1000000' %s", option,
	         image);
	pid = run_start("sh", "-c", script, NULL);
	open_disk(image);
	look(DOMU_VERDICT_CHANGE);
	cr_expect_lt(domu_backing_open_rw(&b.ctx, &k), 0);
	cr_expect_eq(b.ctx.error.status, DOMU_INUSE);
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
