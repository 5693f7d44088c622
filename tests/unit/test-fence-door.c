/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fence-door.c - xfs and btrfs: what probing finds, and that a closed door keeps everybody out. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/plugins.h"
#include "block/commit.h"
#include "fs/fs.h"
#include "tests/unit/fence-help.h"

#define IMAGE_SIZE (320u << 20)
#define ID         "20260102T030405-1a2b3c"

static struct domu_probe probe(const char *file, const struct domu_fs_ops **ops)
{
	char path[96];
	struct domu_probe p;
	struct domu_block *b;
	int fd;

	snprintf(path, sizeof path, "%s/%s", bench.dir, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(domu_raw_open(&bench.ctx, fd, "xvda", 0, 0, &b), 0);
	*ops = domu_fs_probe(b, &p);
	domu_block_close(b);
	close(fd);
	return p;
}

/* Closes the door of DIR/fs by one sector, or puts back what was there. */
static void swap_sector(uint64_t door, void *sector, size_t size)
{
	char path[96];
	int fd;

	snprintf(path, sizeof path, "%s/fs", bench.dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(domu_pwrite_full(&domu_io_system, fd, sector, size, door), 0);
	close(fd);
}

/* What would repair or change it: each must refuse, or change not one byte.  $d is a device with the filesystem. */
struct tools {
	const char *check; /* of an open one */
	const char *const *refuse;
	const char *const *harmless;
	const char *const *mount; /* options */
};

static const char *const xfs_refuse[] = { "xfs_repair $d", "xfs_repair -n $d", "xfs_repair -L $d", NULL };
/* xfs_admin -L and -U fail at the closed superblock, but write its copies: see doc/safety.md. */
static const char *const xfs_harmless[] = { "xfs_db -r -c check $d", NULL };
static const char *const xfs_mount[] = { "ro", "rw", "ro,norecovery", NULL };
static const struct tools xfs_tools = { "xfs_repair -n fs", xfs_refuse, xfs_harmless, xfs_mount };

static const char *const btrfs_refuse[] = { "btrfs check --readonly $d",       "btrfs check --force --repair $d",
	                                    "btrfs filesystem label $d other", "btrfstune -f -u $d",
	                                    "btrfs rescue zero-log $d",        NULL };
static const char *const btrfs_harmless[] = { "btrfs rescue super-recover -y $d", NULL };
static const char *const btrfs_mount[] = { "ro", "rw", "ro,rescue=all", "rw,usebackuproot", "rw,degraded", NULL };
static const struct tools btrfs_tools = { "btrfs check --readonly fs", btrfs_refuse, btrfs_harmless, btrfs_mount };

/* Runs the command on a loop device of DIR/fs. */
static int on_loop(const char *command)
{
	return sh("cd %s; d=$(losetup -f --show fs); trap 'losetup -d $d' EXIT; { %s; } </dev/null >said 2>&1",
	          bench.dir, command);
}

static void nobody_gets_in(const char *type, const struct tools *t)
{
	char mount[128];

	cr_assert_eq(sh("cd %s; cp --sparse=always fs closed; mkdir -p m", bench.dir), 0);
	for (size_t i = 0; t->refuse[i] != NULL; i++)
		cr_expect_neq(on_loop(t->refuse[i]), 0, "%s", t->refuse[i]);
	for (size_t i = 0; t->harmless[i] != NULL; i++)
		on_loop(t->harmless[i]);
	for (size_t i = 0; t->mount[i] != NULL; i++) {
		snprintf(mount, sizeof mount, "mount -t %s -o %s $d m && umount m", type, t->mount[i]);
		cr_expect_neq(on_loop(mount), 0, "%s", mount);
	}
	cr_assert_eq(sh("cd %s; cmp fs closed", bench.dir), 0);
}

static void door(const char *type, const char *mkfs, const struct tools *t, size_t size)
{
	const struct domu_fs_ops *ops;
	struct domu_probe p;
	uint8_t old[4096], closed[4096];
	char path[96], id[DOMU_ID_LEN + 1];
	int fd;

	bench_private();
	bench_open(IMAGE_SIZE, mkfs);
	cr_assert_eq(domu_plugins_load(&bench.ctx, DOMU_PLUGIN_FS), 0);
	p = probe("fs", &ops);
	cr_assert_str_eq(p.type, type);
	cr_assert_str_eq(p.label, "name");
	cr_assert_eq(sh("test $(blkid -p -s UUID -o value %s/fs) = %s", bench.dir, p.uuid), 0);
	cr_assert_eq(p.size, IMAGE_SIZE);
	cr_assert(p.used > 0 && p.used < IMAGE_SIZE);
	cr_assert(p.has_door && !p.closed);
	cr_assert_not_null(ops->door_close);

	snprintf(path, sizeof path, "%s/fs", bench.dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(domu_pread_full(fd, old, size, p.door), 0);
	close(fd);
	memcpy(closed, old, size);
	cr_assert_not(domu_door_is_closed(old, size, id));
	cr_assert_eq(ops->door_close(closed, (uint32_t)size, ID), 0);
	cr_assert(domu_door_is_closed(closed, size, id));
	cr_assert_str_eq(id, ID);

	swap_sector(p.door, closed, size);
	p = probe("fs", &ops);
	cr_assert(p.closed);
	cr_assert_str_eq(p.closed_by, ID);
	cr_assert_str_eq(p.label, "name");
	/* The kernel does not mount it, because of the feature, not of a checksum. */
	cr_assert_eq(
	    sh("cd %s; mkdir -p m; l=$(losetup -f --show -r fs); trap 'losetup -d $l' EXIT; "
	       "echo %s >/dev/kmsg; if mount -o ro,norecovery $l m 2>/dev/null || mount -o ro $l m 2>/dev/null; "
	       "then umount m; exit 1; fi; dmesg | sed -n '\\|%s|,$p' | grep \"${l#/dev/}\" >log; "
	       "grep -qiE 'incompat|unsupported optional' log; ! grep -qiE 'mismatch|crc error|corrupt' log",
	       bench.dir, bench.dir, bench.dir),
	    0);
	nobody_gets_in(type, t);
	swap_sector(p.door, old, size);
	cr_assert_eq(sh("cd %s; mount -o loop fs m; umount m; %s >/dev/null 2>&1", bench.dir, t->check), 0);
}

Test(door, xfs, .fini = bench_close)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	door("xfs", "mkfs.xfs -q -L name fs", &xfs_tools, 512);
}

Test(door, xfs_of_large_sectors_by_a_small_one, .fini = bench_close)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	door("xfs", "mkfs.xfs -q -s size=4096 -L name fs", &xfs_tools, 512);
}

Test(door, btrfs, .fini = bench_close)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	door("btrfs", "mkfs.btrfs -q -L name fs", &btrfs_tools, 512);
}

Test(door, btrfs_by_a_large_sector, .fini = bench_close)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	door("btrfs", "mkfs.btrfs -q -L name fs", &btrfs_tools, 4096);
}

Test(probe, of_anything_else_is_not_ours, .fini = bench_close)
{
	const struct domu_fs_ops *ops;

	bench_open(1 << 20, "head -c 1M /dev/urandom >fs; printf XFSB | dd of=fs conv=notrunc");
	cr_assert_eq(domu_plugins_load(&bench.ctx, DOMU_PLUGIN_FS), 0);
	cr_assert_str_neq(probe("fs", &ops).type, "btrfs");
}
