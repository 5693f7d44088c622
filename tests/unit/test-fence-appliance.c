/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fence-appliance.c - filesystems through the appliance; what it wrote is judged by this host's kernel. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/proxy.h"
#include "tests/unit/fence-help.h"

#define IMAGE_SIZE (320u << 20)

static struct domu_appliance *appliance;
static struct domu_fs *fs;
static double took;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start(const char *type, const char *mkfs)
{
	struct domu_export_opts disk = { .writable = true, .uid = DOMU_WORKER_UID };
	char make[1024];
	int fd;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	snprintf(make, sizeof make,
	         "%s; mkdir m; mount -o loop fs m; mkdir m/dir; echo hello >m/dir/hello; ln -s hello m/dir/link; "
	         "ln m/dir/hello m/dir/second; chmod 640 m/dir/hello; chown 12:34 m/dir/hello; umount m",
	         mkfs);
	bench_private();
	bench_open(IMAGE_SIZE, make);
	/* A table, so that the filesystem is found as a partition. */
	cr_assert_eq(sh("echo 'start=2048,size=%u' | sfdisk -q %s 2>/dev/null", IMAGE_SIZE / 512, bench.image), 0);
	disk.stack = bench_stack();
	disk.size = IMAGE_SIZE + 2 * PART_OFFSET;
	took = now();
	cr_assert_eq(domu_appliance_start(&bench.ctx, &disk, PART_OFFSET, IMAGE_SIZE, type, DOMU_FS_WRITE, &fd,
	                                  &appliance),
	             0, "%s", bench.ctx.error.message);
	took = now() - took;
	cr_log_info("%s: started in %.1f s", type, took);
	cr_assert_eq(domu_proxy_open(&bench.ctx, fd, NULL, DOMU_FS_WRITE, &fs), 0, "%s", bench.ctx.error.message);
}

static void finish(void)
{
	/* The appliance's session, in which qemu is too. */
	cr_assert_eq(sh("ps -o sid=,comm= --ppid %d | awk '/domu-appliance/ { print $1 }' >%s/sid; test -s %s/sid",
	                (int)getpid(), bench.dir, bench.dir),
	             0);
	cr_assert_eq(sh("pgrep -s $(cat %s/sid) qemu >/dev/null", bench.dir), 0);
	cr_assert_eq(domu_fs_close(fs), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(domu_appliance_end(&bench.ctx, appliance), 0, "%s", bench.ctx.error.message);
	cr_expect_eq(sh("! grep -qE ' (/dev/shm|/run|/tmp)/domu-rescue\\.' /proc/self/mountinfo"), 0);
	/* What was killed may take a moment to go. */
	cr_expect_eq(
	    sh("for i in $(seq 1200); do pgrep -s $(cat %s/sid) -r R,S,D >/dev/null || exit 0; sleep 0.1; done; "
	       "exit 1",
	       bench.dir),
	    0);
}

static uint64_t look(uint64_t dir, const char *name)
{
	uint64_t ino = 0;

	cr_assert_eq(domu_fs_lookup(fs, dir, name, &ino), 0, "%s: %s", name, bench.ctx.error.message);
	return ino;
}

static int add_name(void *user, const char *name, size_t len, uint64_t ino, uint32_t type)
{
	char *all = user;
	size_t n = strlen(all);

	(void)ino;
	snprintf(all + n, 256 - n, "%.*s%s ", (int)len, name, S_ISLNK(type) ? "@" : S_ISDIR(type) ? "/" : "");
	return 0;
}

static void read_what_is_there(void)
{
	uint64_t dir = look(fs->root, "dir"), file = look(dir, "hello"), other;
	struct domu_stat st;
	char names[256] = "", text[64];
	ssize_t n;

	cr_assert_eq(domu_fs_readdir(fs, dir, add_name, names), 0, "%s", bench.ctx.error.message);
	cr_expect_not_null(strstr(names, "hello "));
	cr_expect_not_null(strstr(names, "link@ "));
	cr_assert_eq(domu_fs_stat(fs, file, &st), 0);
	cr_expect_eq(st.mode, S_IFREG | 0640);
	cr_expect_eq(st.uid, 12);
	cr_expect_eq(st.gid, 34);
	cr_expect_eq(st.nlink, 2);
	cr_expect_eq(look(dir, "second"), file);
	n = domu_fs_read(fs, file, text, sizeof text, 0);
	cr_expect_eq(n, 6);
	cr_expect_eq(memcmp(text, "hello\n", 6), 0);
	cr_expect_eq(domu_fs_read(fs, file, text, sizeof text, 6), 0);
	cr_expect_eq(domu_fs_readlink(fs, look(dir, "link"), text, sizeof text), 5);
	cr_expect_eq(domu_fs_lookup(fs, dir, "absent", &other), -ENOENT);
	domu_error_clear(&bench.ctx);
}

static void change_things(void)
{
	struct domu_stat attr = { .mode = S_IFREG | 0644, .uid = 5, .gid = 6, .mtime = { 1600000000, 123 } };
	uint64_t dir = look(fs->root, "dir"), ino, sub;
	char *big = malloc(5 << 20);

	memset(big, 'x', 5 << 20);
	cr_assert_eq(domu_fs_create(fs, dir, "new", &attr, NULL, &ino), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(domu_fs_write(fs, ino, big, 5 << 20, 0), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(domu_fs_truncate(fs, ino, 4500000), 0);
	cr_assert_eq(domu_fs_setxattr(fs, ino, "user.colour", "blue", 4), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(domu_fs_setattr(fs, ino, &attr, DOMU_ATTR_MTIME), 0);
	attr.mode = S_IFDIR | 0751;
	cr_assert_eq(domu_fs_create(fs, dir, "sub", &attr, NULL, &sub), 0, "%s", bench.ctx.error.message);
	attr.mode = S_IFLNK | 0777;
	cr_assert_eq(domu_fs_create(fs, sub, "sym", &attr, "../new", &ino), 0, "%s", bench.ctx.error.message);
	attr.mode = S_IFBLK | 0600;
	attr.rdev_major = 8;
	attr.rdev_minor = 3;
	cr_assert_eq(domu_fs_create(fs, sub, "node", &attr, NULL, &ino), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(domu_fs_unlink(fs, dir, "hello"), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(domu_fs_rename(fs, dir, "sub", fs->root, "moved"), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(domu_fs_link(fs, sub, "hard", look(dir, "new")), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(domu_fs_rmdir(fs, fs->root, "moved"), -ENOTEMPTY);
	domu_error_clear(&bench.ctx);
	cr_assert_eq(domu_fs_flush(fs), 0, "%s", bench.ctx.error.message);
	free(big);
}

/* By the kernel, without a replay: all of it is on the disk, not in a journal. */
static void judge(const char *options)
{
	bench_write_out("out", IMAGE_SIZE);
	cr_assert_eq(sh("cd %s; mount -o loop,ro,%s out m; trap 'umount m' EXIT; cd m; test ! -e dir/hello; "
	                "test \"$(cat dir/second)\" = hello; "
	                "test \"$(stat -c '%%s %%a %%u %%g %%Y %%h' dir/new)\" = '4500000 644 5 6 1600000000 2'; "
	                "test \"$(tr -d x <dir/new | wc -c)\" = 0; "
	                "getfattr -n user.colour dir/new | grep -q blue; "
	                "test \"$(stat -c '%%a %%u' moved)\" = '751 5'; test \"$(readlink moved/sym)\" = ../new; "
	                "test \"$(stat -c '%%F %%t:%%T' moved/node)\" = 'block special file 8:3'; "
	                "test moved/hard -ef dir/new; cd ..",
	                bench.dir, options),
	             0);
}

static void check_is_clean(void)
{
	int result = -1;

	cr_assert_eq(domu_fs_check(fs, DOMU_CHECK_NO, bench_line, NULL, &result), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(result, 0, "%s", bench.text);
	/* And it is mounted again. */
	look(fs->root, "moved");
}

Test(appliance, xfs, .timeout = 600, .fini = bench_close)
{
	start("xfs", "mkfs.xfs -q fs");
	read_what_is_there();
	change_things();
	judge("norecovery,nouuid");
	check_is_clean();
	finish();
	cr_assert_eq(sh("cd %s; xfs_repair -n out >/dev/null 2>&1", bench.dir), 0);
}

Test(appliance, ext4, .timeout = 600, .fini = bench_close)
{
	start("ext4", "mke2fs -q -t ext4 fs");
	read_what_is_there();
	change_things();
	judge("noload");
	check_is_clean();
	finish();
	cr_assert_eq(sh("cd %s; e2fsck -fn out >/dev/null 2>&1", bench.dir), 0);
}
