/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fsext-open.c - the ext driver's probe, its door, what it refuses, and a filesystem that becomes full. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsext-util.h"

static void probe(struct image *im, uint32_t sector_size, struct domu_probe *p)
{
	image_must_open(im, DOMU_FS_UNREPLAYED);
	im->block->sector_size = sector_size;
	cr_assert_eq(ext_probe(im->block, p), 0);
	image_close(im);
}

static const char *blkid(struct image *im, const char *tag)
{
	cr_assert_eq(run(im, "blkid -p -o value -s %s img", tag), 0, "%s", output(im));
	return strtok((char *)output(im), "\n");
}

Test(fsext_open, probe_says_what_blkid_and_dumpe2fs_say, .timeout = 600)
{
	static const char *const options[] = {
		"-t ext2 -L one",
		"-t ext3 -L two -I 128",
		"-t ext4 -L sixteen-letters.",
		"-t ext4 -b 1024 -O ^has_journal",
		"-t ext4 -O ^extent,^64bit,^flex_bg,^metadata_csum,^huge_file,^dir_nlink,^extra_isize",
		"-t ext4 -O "
		"bigalloc,inline_data,ea_inode,large_dir,metadata_csum_seed,project,quota,encrypt,verity,casefold",
		"-t ext4 -O fast_commit,stable_inodes,orphan_file,mmp,meta_bg,^resize_inode",
	};

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		struct domu_probe p;
		struct image im;

		image_make(&im, "40M", options[i]);
		probe(&im, 512, &p);
		cr_assert_str_eq(p.type, blkid(&im, "TYPE"), "%s: %s", options[i], p.type);
		cr_assert_str_eq(p.uuid, blkid(&im, "UUID"));
		cr_assert_eq(p.size, 40u << 20);
		if (strstr(options[i], "-L") != NULL)
			cr_assert_str_eq(p.label, blkid(&im, "LABEL"));
		cr_assert_eq(run(&im, "dumpe2fs -h img 2>/dev/null | sed -n 's/^Filesystem features: *//p'"), 0);
		cr_assert_str_eq(p.features, strtok((char *)output(&im), "\n"));
		cr_assert(p.has_door && p.door == 1024 && !p.closed && !p.needs_replay);
		probe(&im, 4096, &p);
		cr_assert(p.has_door && p.door == 0);
		image_free(&im);
	}
}

Test(fsext_open, what_is_no_filesystem_is_not_claimed, .timeout = 600)
{
	struct image im;
	struct domu_probe p;

	image_make(&im, "8M", "-t ext4");
	image_must_open(&im, 0);
	im.block->size = 1500;
	cr_assert_eq(ext_probe(im.block, &p), -ENODATA);
	image_close(&im);
	cr_assert_eq(run(&im, "mke2fs -q -F -O journal_dev img"), 0, "%s", output(&im));
	cr_assert_lt(image_open(&im, 0), 0);
	cr_assert_eq(run(&im, "head -c 8M /dev/urandom >img"), 0);
	cr_assert_lt(image_open(&im, 0), 0);
	cr_assert_eq(run(&im, "head -c 8M /dev/zero >img"), 0);
	cr_assert_lt(image_open(&im, 0), 0);
	image_free(&im);
}

static void sector_io(struct image *im, bool write, void *sector, size_t len, uint64_t offset)
{
	int fd = open(im->path, O_RDWR);

	cr_assert_geq(fd, 0);
	if (write)
		cr_assert_eq(pwrite(fd, sector, len, (off_t)offset), (ssize_t)len);
	else
		cr_assert_eq(pread(fd, sector, len, (off_t)offset), (ssize_t)len);
	close(fd);
}

static void try_door(const char *options, uint32_t sector_size)
{
	uint8_t open_door[4096], closed[4096];
	struct domu_probe p, q;
	struct image im;

	image_make(&im, "16M", options);
	probe(&im, sector_size, &p);
	sector_io(&im, false, open_door, sector_size, p.door);
	memcpy(closed, open_door, sizeof closed);
	cr_assert_eq(ext_door_close(closed, sector_size, "20261123T180953-abcdef"), 0);
	cr_assert_eq(ext_door_close(closed, sector_size, "other"), -EINVAL, "closed twice");
	sector_io(&im, true, closed, sector_size, p.door);

	cr_assert_not(image_mount(&im, ""), "the kernel mounts it");
	cr_assert_not(image_mount(&im, "ro"), "the kernel mounts it read-only");
	cr_assert_eq(run(&im, "sha256sum img >sum"), 0);
	cr_assert_geq(run(&im, "e2fsck -p img"), 8);
	cr_assert_geq(run(&im, "e2fsck -fy img"), 8);
	cr_assert_eq(run(&im, "sha256sum -c sum"), 0, "e2fsck changed it");
	cr_assert_str_eq(blkid(&im, "UUID"), p.uuid);
	cr_assert_eq(image_open(&im, DOMU_FS_WRITE), -EOPNOTSUPP);
	cr_assert_eq(im.ctx.error.status, DOMU_UNSUPPORTED);
	cr_assert_not_null(strstr(im.ctx.error.message, "20261123T180953-abcdef"));

	sector_io(&im, true, open_door, sector_size, p.door);
	image_clean(&im);
	probe(&im, sector_size, &q);
	cr_assert_str_eq(p.features, q.features);
	image_free(&im);
}

Test(fsext_open, closed_door_keeps_everybody_out, .timeout = 600)
{
	try_door("-t ext2", 512);
	try_door("-t ext3 -b 1024", 512);
	try_door("-t ext4", 512);
	try_door("-t ext4 -b 1024", 512);
	try_door("-t ext4 -b 4096", 4096);
}

Test(fsext_open, door_is_refused_for_other_sectors)
{
	uint8_t sector[4096] = { 0 };

	cr_assert_eq(ext_door_close(sector, 512, "id"), -EINVAL);
	cr_assert_eq(ext_door_close(sector, 4096, "id"), -EINVAL);
	memset(sector, 0xff, sizeof sector);
	cr_assert_eq(ext_door_close(sector, 512, "id"), -EINVAL);
}

/* What is done to a sound image, what the first change then says, and whether it can be read. */
static const struct refusal {
	const char *mke2fs, *debugfs, *says;
} refusals[] = {
	{ "-t ext4", "ssv state 3", "having errors" },
	{ "-t ext2", "ssv state 0", "not unmounted cleanly" },
	{ "-t ext4 -O orphan_file", "feature orphan_present", "deleted while open" },
	{ "-t ext4", "ssv journal_inum 0", "another device" },
	{ "-t ext4", "feature shared_blocks", "share blocks" },
	{ "-t ext4", "ssv feature_compat 0x100023c", "FEATURE_C24" },
	{ "-t ext4", "feature read-only", "read-only" },
	/* debugfs would count as a node itself, and leave it clean. */
	{ "-t ext4 -b 1024 -O mmp", NULL, "multi-mount" },
};

Test(fsext_open, what_cannot_be_kept_right_is_read_but_not_changed, .timeout = 600)
{
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		const struct refusal *r = &refusals[i];
		struct domu_stat a = { .mode = S_IFREG | 0644 };
		struct image im;
		uint64_t ino;
		int rc;

		image_make(&im, "32M", r->mke2fs);
		if (r->debugfs != NULL)
			cr_assert_eq(run(&im, "debugfs -w -R '%s' img", r->debugfs), 0);
		else
			cr_assert_eq(
			    run(&im, "b=$(dumpe2fs -h img 2>/dev/null | sed -n 's/^MMP block number: *//p'); "
			             "printf '\\001\\002\\000\\000' | dd of=img bs=1 seek=$((b*1024+4)) conv=notrunc"),
			    0, "%s", output(&im));
		cr_assert_eq(run(&im, "cp img before"), 0);
		image_must_open(&im, DOMU_FS_WRITE);
		cr_assert_neq(walk(&im, "lost+found"), 0, "%s", r->says);
		rc = im.fs->ops->create(im.fs, im.fs->root, "f", &a, NULL, &ino);
		cr_assert_eq(rc, -EOPNOTSUPP, "%s: %d", r->says, rc);
		cr_assert_eq(im.ctx.error.status, DOMU_UNSUPPORTED);
		cr_assert_not_null(strstr(im.ctx.error.message, r->says), "%s", im.ctx.error.message);
		image_close(&im);
		cr_assert_eq(run(&im, "cmp img before"), 0, "%s: %s", r->says, output(&im));
		image_free(&im);
	}
}

Test(fsext_open, journal_to_replay_and_unknown_features, .timeout = 600)
{
	struct image im;

	image_make(&im, "32M", "-t ext4");
	cr_assert_eq(run(&im, "debugfs -w -R 'feature needs_recovery' img"), 0);
	cr_assert_eq(image_open(&im, 0), -EOPNOTSUPP);
	cr_assert_not_null(strstr(im.ctx.error.message, "journal"));
	domu_error_clear(&im.ctx);
	image_must_open(&im, DOMU_FS_UNREPLAYED);
	cr_assert_neq(walk(&im, "lost+found"), 0);
	image_close(&im);
	image_free(&im);

	image_make(&im, "32M", "-t ext4 -O ^metadata_csum");
	cr_assert_eq(run(&im, "debugfs -w -R 'ssv feature_incompat 0x001002c2' img"), 0, "%s", output(&im));
	cr_assert_eq(image_open(&im, 0), -EOPNOTSUPP);
	cr_assert_eq(im.ctx.error.status, DOMU_UNSUPPORTED);
	cr_assert_not_null(strstr(im.ctx.error.message, "FEATURE_I20"), "%s", im.ctx.error.message);
	image_free(&im);
}

Test(fsext_open, flags_of_inodes_are_respected, .timeout = 600)
{
	static const struct {
		const char *flags;
		bool content, dir;
	} t[] = {
		{ "0x800", true, false },
		{ "0x800", false, true },
		{ "0x100000", true, false },
	};
	struct domu_stat a = { .mode = S_IFREG | 0644 };

	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct image im;
		uint64_t ino;
		int rc;

		image_make(&im, "16M", "-t ext4 -O encrypt,verity,casefold,^metadata_csum");
		cr_assert_eq(run(&im,
		                 "echo abc >f; printf 'write f f\\nmkdir d\\nsif %s flags %s\\n' >cmds; "
		                 "debugfs -w -f cmds img",
		                 t[i].dir ? "d" : "f", t[i].flags),
		             0, "%s", output(&im));
		image_must_open(&im, DOMU_FS_WRITE);
		ino = walk(&im, t[i].dir ? "d" : "f");
		cr_assert_neq(ino, 0);
		if (t[i].content) {
			cr_assert_eq(im.fs->ops->truncate(im.fs, ino, 1), -EOPNOTSUPP, "%zu", i);
			rc = im.fs->ops->write(im.fs, ino, "x", 1, 0);
		} else {
			rc = im.fs->ops->create(im.fs, ino, "n", &a, NULL, &ino);
		}
		cr_assert_eq(rc, -EOPNOTSUPP, "%zu: %d", i, rc);
		image_close(&im);
		image_free(&im);
	}
}

Test(fsext_open, names_in_a_directory_that_folds, .timeout = 600)
{
	struct domu_stat a = { .mode = S_IFREG | 0644 }, d = { .mode = S_IFDIR | 0755 };
	const struct domu_fs_ops *ops;
	uint64_t fold, ino, other, sub;
	struct image im;

	image_make(&im, "16M", "-t ext4 -O casefold -E encoding=utf8,encoding_flags=strict");
	cr_assert_eq(run(&im, "printf 'mkdir d\nsif d flags 0x40080000\n' | debugfs -w -f - img"), 0);
	image_must_open(&im, DOMU_FS_WRITE);
	ops = im.fs->ops;
	fold = walk(&im, "d");
	cr_assert_eq(ops->create(im.fs, fold, "H\xc3\xa4llo", &a, NULL, &ino), 0, "%s", im.ctx.error.message);
	cr_assert_eq(ops->lookup(im.fs, fold, "h\xc3\x84LLO", &other), 0);
	cr_assert_eq(other, ino);
	cr_assert_eq(ops->create(im.fs, fold, "h\xc3\xa4llo", &a, NULL, &other), -EEXIST);
	cr_assert_eq(ops->create(im.fs, fold, "not\xff", &a, NULL, &other), -EINVAL);
	cr_assert_eq(ops->create(im.fs, im.fs->root, "not\xff", &a, NULL, &other), 0, "outside it any name will do");
	cr_assert_eq(ops->create(im.fs, fold, "Sub", &d, NULL, &sub), 0);
	cr_assert_eq(ops->create(im.fs, sub, "Deep", &a, NULL, &other), 0);
	cr_assert_eq(walk(&im, "d/SUB/deep"), other, "a directory in it folds, too");
	for (unsigned i = 0; i < 400; i++) {
		char name[64];

		snprintf(name, sizeof name, "One-Of-Many-With-A-Long-Name-%u", i);
		cr_assert_eq(ops->create(im.fs, sub, name, &a, NULL, &other), 0, "%s", im.ctx.error.message);
	}
	cr_assert_eq(ops->rename(im.fs, sub, "one-of-many-with-a-long-name-7", fold, "H\xc3\x84LLO"), 0);
	cr_assert_eq(ops->unlink(im.fs, sub, "one-of-MANY-with-a-long-name-399"), 0);
	cr_assert_eq(ops->rmdir(im.fs, fold, "sUB"), -ENOTEMPTY);
	image_close(&im);
	image_clean(&im);
	cr_assert_eq(run(&im, "debugfs -R 'ls -p /d' img | grep -c 'H\xc3\xa4llo'"), 0, "the old name stays: %s",
	             output(&im));
	image_free(&im);
}

/* Fills it, by content or by names, until nothing more goes in. */
static void fill(struct image *im, uint64_t *ino)
{
	static uint8_t data[1 << 20];
	struct domu_stat a = { .mode = S_IFREG | 0644 };
	uint64_t at = 0;
	int rc;

	memset(data, 'f', sizeof data);
	cr_assert_eq(im->fs->ops->create(im->fs, im->fs->root, "big", &a, NULL, ino), 0);
	while ((rc = im->fs->ops->write(im->fs, *ino, data, sizeof data, at)) == 0)
		at += sizeof data;
	cr_assert_eq(rc, -ENOSPC, "%d %s", rc, im->ctx.error.message);
	cr_assert_not_null(strstr(im->ctx.error.message, "full"));
	cr_assert_eq(im->ctx.error.status, DOMU_FAILED);
}

Test(fsext_open, full_filesystem_says_so_and_stays_sound, .timeout = 600)
{
	static const char *const options[] = { "-t ext2", "-t ext3 -b 4096", "-t ext4", "-t ext4 -O bigalloc -C 16384",
		                               "-t ext4 -O inline_data" };

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		struct domu_stat d = { .mode = S_IFDIR | 0755 };
		struct domu_statfs before, full, after;
		struct image im;
		uint64_t ino, dir;

		image_make(&im, "24M", options[i]);
		image_must_open(&im, DOMU_FS_WRITE);
		im.fs->ops->statfs(im.fs, &before);
		fill(&im, &ino);
		im.fs->ops->statfs(im.fs, &full);
		cr_assert_lt(full.free, 65536, "%s: %lu free", options[i], full.free);
		domu_error_clear(&im.ctx);
		cr_assert_eq(im.fs->ops->create(im.fs, im.fs->root, "d", &d, NULL, &dir), -ENOSPC);
		image_close(&im);
		image_clean(&im);

		domu_error_clear(&im.ctx);
		image_must_open(&im, DOMU_FS_WRITE);
		cr_assert_eq(im.fs->ops->unlink(im.fs, im.fs->root, "big"), 0, "%s", im.ctx.error.message);
		im.fs->ops->statfs(im.fs, &after);
		cr_assert_eq(before.free, after.free, "%s: %lu, was %lu", options[i], after.free, before.free);
		cr_assert_eq(before.files_free, after.files_free);
		image_close(&im);
		image_clean(&im);
		image_free(&im);
	}
}

Test(fsext_open, no_free_inode_is_told, .timeout = 600)
{
	struct domu_stat a = { .mode = S_IFREG | 0644 };
	struct image im;
	uint64_t ino;
	char name[32];
	int rc = 0;

	image_make(&im, "16M", "-t ext4 -N 64");
	image_must_open(&im, DOMU_FS_WRITE);
	for (unsigned i = 0; rc == 0; i++) {
		snprintf(name, sizeof name, "f%u", i);
		rc = im.fs->ops->create(im.fs, im.fs->root, name, &a, NULL, &ino);
	}
	cr_assert_eq(rc, -ENOSPC);
	cr_assert_not_null(strstr(im.ctx.error.message, "inodes"));
	image_close(&im);
	image_clean(&im);
	image_free(&im);
}

Test(fsext_open, large_directory_made_here_is_read_by_the_kernel, .timeout = 600)
{
	struct domu_stat a = { .mode = S_IFREG | 0644 }, d = { .mode = S_IFDIR | 0755 };
	struct image im;
	uint64_t dir, ino;
	char name[64];

	image_make(&im, "64M", "-t ext4 -N 8000");
	image_must_open(&im, DOMU_FS_WRITE);
	cr_assert_eq(im.fs->ops->create(im.fs, im.fs->root, "d", &d, NULL, &dir), 0);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "name-%u-%.*s", i, (int)(i % 40),
		         "----------------------------------------");
		cr_assert_eq(im.fs->ops->create(im.fs, dir, name, &a, NULL, &ino), 0, "%s", im.ctx.error.message);
		if (i % 7 == 3)
			cr_assert_eq(im.fs->ops->unlink(im.fs, dir, name), 0, "%s", im.ctx.error.message);
		else if (i % 100 == 0)
			cr_assert_eq(im.fs->ops->create(im.fs, dir, name, &a, NULL, &ino), -EEXIST);
	}
	image_close(&im);
	image_clean(&im);
	if (image_mount(&im, "")) {
		cr_assert_eq(run(&im, "ls mnt/d | wc -l | grep -qx %u && rm -r mnt/d", 5000 - 5000 / 7), 0, "%s",
		             output(&im));
		image_umount(&im);
		image_clean(&im);
	}
	image_free(&im);
}
