/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open.c - opening and closing, what keeps a filesystem from being changed, and how full it is. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "block/block.h"
#include "fs-ext.h"

#define MMP_SEQ_CLEAN 0xFF4D4D50u
#define MMP_SEQ_FSCK  0xE24D4D50u
#define MMP_MAGIC     0x004D4D50u

static int refuse(struct ext_fs *x, const char *why, const char *instead)
{
	return domu_fail(x->fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: cannot be changed here: %s: %s",
	                 x->fs->block->name, why, instead);
}

static int refuse_unchecked(struct ext_fs *x, const char *why, const char *first)
{
	char instead[160];

	snprintf(instead, sizeof instead, "%sdomu-rescue fsck -y %.100s", first, domu_guest_word(x->fs->ctx));
	return refuse(x, why, instead);
}

/* Multi-mount protection: a node that uses the filesystem counts in its own block. */
static int check_mmp(struct ext_fs *x)
{
	const struct mmp_struct *mmp = (const void *)x->buf;
	uint64_t blk = x->e2->super->s_mmp_block;
	char why[128];
	int rc;

	if (!ext_block_ok(x, blk, 1))
		return ext_damaged(x, "the multi-mount protection block %" PRIu64 " is outside the filesystem", blk);
	rc = ext_read_blocks(x, blk, 1, x->buf);
	if (rc != 0)
		return rc;
	if (domu_le32(&mmp->mmp_magic) != MMP_MAGIC)
		return ext_damaged(x, "block %" PRIu64 " is no multi-mount protection block", blk);
	if (domu_le32(&mmp->mmp_seq) == MMP_SEQ_CLEAN)
		return 0;
	snprintf(why, sizeof why, "multi-mount protection says that %.64s uses it", mmp->mmp_nodename);
	return refuse_unchecked(x, why,
	                        domu_le32(&mmp->mmp_seq) == MMP_SEQ_FSCK ? "if no check is running, "
	                                                                 : "if that is over, ");
}

/*
 * What libext2fs would write without keeping it right.  Asked at the first
 * change and not when opening, so that such a filesystem can still be read
 * in a session that has a stage.
 */
static int may_change(struct ext_fs *x)
{
	struct ext2_super_block *sb = x->e2->super;
	char names[128], why[192];

	if (!x->fs->writable)
		return domu_fail(x->fs->ctx, DOMU_FAILED, -EROFS, "%s: opened for reading only", x->fs->block->name);
	if (ext2fs_has_feature_journal_needs_recovery(sb))
		return refuse_unchecked(x, "its journal has not been replayed", "");
	if ((sb->s_state & EXT2_ERROR_FS) != 0)
		return refuse_unchecked(x, "its kernel marked it as having errors", "");
	if (!ext2fs_has_feature_journal(sb) && (sb->s_state & EXT2_VALID_FS) == 0)
		return refuse_unchecked(x, "it was not unmounted cleanly and has no journal", "");
	if (ext2fs_has_feature_orphan_present(sb))
		return refuse_unchecked(x, "files deleted while open are still to be removed", "");
	if (ext2fs_has_feature_journal(sb) && sb->s_journal_inum == 0)
		return refuse(x, "its journal is on another device", "change it in the guest");
	if (ext2fs_has_feature_shared_blocks(sb))
		return refuse(x, "its files share blocks", "give each its own with e2fsck -fy -E unshare_blocks");
	if ((sb->s_feature_compat & ~(uint32_t)EXT2_LIB_FEATURE_COMPAT_SUPP) != 0) {
		ext_feature_names(sb->s_feature_compat & ~(uint32_t)EXT2_LIB_FEATURE_COMPAT_SUPP, 0, 0, names,
		                  sizeof names);
		snprintf(why, sizeof why, "it has features that nothing here knows (%s)", names);
		return refuse(x, why, "change it in the guest, or with e2fsprogs that know them");
	}
	if (ext2fs_has_feature_readonly(sb))
		return refuse(x, "its feature read-only says that it must not be",
		              "clear it with tune2fs -O ^read-only");
	if (x->fs->probe.size > x->fs->block->size)
		return refuse(x, "it is larger than its device", "mend the partition, or run resize");
	return ext2fs_has_feature_mmp(sb) ? check_mmp(x) : 0;
}

int ext_begin_change(struct ext_fs *x)
{
	errcode_t rc;
	int err;

	ext_map_forget(x);
	if (x->bitmaps)
		return 0;
	err = may_change(x);
	if (err != 0)
		return err;
	rc = ext2fs_read_bitmaps(x->e2);
	if (rc != 0)
		return ext_fail(x, rc, "cannot read the bitmaps");
	x->bitmaps = true;
	return 0;
}

static int open_failed(struct ext_fs *x, errcode_t rc, bool writable)
{
	struct domu_block *b = x->fs->block;
	uint8_t sb[SUPERBLOCK_SIZE];
	char names[256];
	uint32_t incompat, ro_compat;

	if ((rc != EXT2_ET_UNSUPP_FEATURE && rc != EXT2_ET_RO_UNSUPP_FEATURE) ||
	    domu_block_pread(b, sb, sizeof sb, SUPERBLOCK_OFFSET) != 0)
		return ext_fail(x, rc, "cannot open the %s filesystem", x->fs->probe.type);
	incompat = domu_le32(sb + offsetof(struct ext2_super_block, s_feature_incompat)) &
	           ~(uint32_t)(EXT2_LIB_FEATURE_INCOMPAT_SUPP | EXT4_FEATURE_INCOMPAT_MMP);
	ro_compat = domu_le32(sb + offsetof(struct ext2_super_block, s_feature_ro_compat)) &
	            ~(uint32_t)EXT2_LIB_FEATURE_RO_COMPAT_SUPP;
	ext_feature_names(0, incompat, writable ? ro_compat : 0, names, sizeof names);
	return domu_fail(x->fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
	                 "%s: the filesystem has features that libext2fs does not know (%s): use --engine guestfs",
	                 b->name, names);
}

static int check_before(struct domu_ctx *ctx, struct domu_block *b, const struct domu_probe *p, unsigned flags)
{
	if (p->closed)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: closed, because the commit %s was cut short: domu-rescue recover %s", b->name,
		                 p->closed_by, domu_guest_word(ctx));
	if (p->needs_replay && (flags & DOMU_FS_UNREPLAYED) == 0)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: the journal has to be replayed before it can be read: domu-rescue fsck %s",
		                 b->name, domu_guest_word(ctx));
	if (p->size > b->size)
		domu_say(ctx, DOMU_WARNING,
		         "%s: the filesystem has %" PRIu64 " bytes, its device only %" PRIu64
		         ": what lies beyond cannot be read",
		         b->name, p->size, b->size);
	return 0;
}

/* libext2fs prints what it cannot return; whatever matters comes back as an error, too. */
static void silent(const char *whoami, long code, const char *fmt, va_list args)
{
	(void)whoami;
	(void)code;
	(void)fmt;
	(void)args;
}

static void free_all(struct ext_fs *x)
{
	if (x == NULL)
		return;
	for (unsigned i = 0; i < EXT_MAX_DEPTH; i++)
		free(x->tree[i].data);
	ext_names_forget(x);
	free(x->buf);
	ext_scan_free(x);
	free(x->fs);
	free(x);
}

static int open_e2(struct ext_fs *x, unsigned flags)
{
	int e2flags = EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP;
	bool write = (flags & DOMU_FS_WRITE) != 0 && !x->fs->block->readonly;
	char name[32];
	errcode_t rc;
	int err;

	err = domu_ext_io_name(x->fs->block, name);
	if (err != 0)
		return domu_fail(x->fs->ctx, DOMU_FAILED, err, "%s: too many filesystems are open", x->fs->block->name);
	if (write)
		rc = ext2fs_open(name, e2flags | EXT2_FLAG_RW, 0, 0, domu_ext_io(), &x->e2);
	else
		rc = ext2fs_open(name, e2flags, 0, 0, domu_ext_io(), &x->e2);
	if (rc != 0) {
		x->e2 = NULL;
		return open_failed(x, rc, write);
	}
	x->fs->writable = write;
	if (ext_inode_size(x) > EXT_MAX_INODE)
		return refuse(x, "its inodes are larger than 4096 bytes", "use --engine guestfs");
	return 0;
}

int ext_open(struct domu_ctx *ctx, struct domu_block *b, unsigned flags, struct domu_fs **fs)
{
	struct ext_fs *x = calloc(1, sizeof *x);
	int rc;

	*fs = NULL;
	if (x != NULL)
		x->fs = calloc(1, sizeof *x->fs);
	if (x == NULL || x->fs == NULL) {
		free_all(x);
		return domu_fail(ctx, DOMU_FAILED, -ENOMEM, "out of memory");
	}
	initialize_ext2_error_table();
	set_com_err_hook(silent);
	x->fs->ctx = ctx;
	x->fs->block = b;
	x->fs->priv = x;
	x->fs->root = EXT2_ROOT_INO;
	x->fs->ops = ext_ops();
	rc = ext_probe(b, &x->fs->probe);
	if (rc != 0)
		domu_fail(ctx, DOMU_FAILED, rc, "%s: no ext2, ext3 or ext4 filesystem", b->name);
	if (rc == 0)
		rc = check_before(ctx, b, &x->fs->probe, flags);
	if (rc == 0)
		rc = open_e2(x, flags);
	if (rc == 0) {
		x->buf = malloc(x->e2->blocksize);
		if (x->buf == NULL)
			rc = ext_nomem(x);
	}
	if (rc != 0) {
		if (x->e2 != NULL)
			ext2fs_free(x->e2);
		free_all(x);
		return rc;
	}
	*fs = x->fs;
	return 0;
}

/* Only what was changed is written: a superblock that nothing changed stays as it is. */
int ext_flush(struct domu_fs *fs)
{
	struct ext_fs *x = ext_of(fs);
	errcode_t rc = 0;

	if ((x->e2->flags & (EXT2_FLAG_DIRTY | EXT2_FLAG_BB_DIRTY | EXT2_FLAG_IB_DIRTY)) != 0)
		rc = ext2fs_flush2(x->e2, 0);
	else if (fs->writable)
		rc = io_channel_flush(x->e2->io);
	return ext_fail(x, rc, "cannot write everything");
}

/* Not ext2fs_close(): that would count what was written in the superblock, one more block after everything was told. */
int ext_close(struct domu_fs *fs)
{
	struct ext_fs *x = ext_of(fs);
	int rc = ext_flush(fs);

	ext2fs_free(x->e2);
	free_all(x);
	return rc;
}

/* As the kernel counts what is not for files: ext4_calculate_overhead(). */
static uint64_t overhead_blocks(struct ext_fs *x)
{
	ext2_filsys e2 = x->e2;
	struct ext2_super_block *sb = e2->super;
	uint64_t sum = sb->s_first_data_block;
	struct ext_inode in;

	if (ext2fs_has_feature_bigalloc(sb) && sb->s_overhead_clusters != 0)
		return (uint64_t)sb->s_overhead_clusters << e2->cluster_ratio_bits;
	for (dgrp_t g = 0; g < e2->group_desc_count; g++) {
		blk64_t super = 0, old_desc = 0, new_desc = 0;
		blk_t used = 0;

		ext2fs_super_and_bgd_loc2(e2, g, &super, &old_desc, &new_desc, &used);
		sum += used + e2->inode_blocks_per_group + 2;
	}
	if (ext2fs_has_feature_journal(sb) && sb->s_journal_inum != 0 && ext_iread(x, sb->s_journal_inum, &in) == 0 &&
	    LINUX_S_ISREG(in.i.i_mode))
		sum += ext_isize(x, &in) / e2->blocksize;
	return sum;
}

int ext_statfs(struct domu_fs *fs, struct domu_statfs *sf)
{
	struct ext_fs *x = ext_of(fs);
	ext2_filsys e2 = x->e2;
	uint64_t blocks = ext2fs_blocks_count(e2->super), overhead = overhead_blocks(x);
	uint64_t unused = 0, inodes = 0, reserved = ext2fs_r_blocks_count(e2->super);

	memset(sf, 0, sizeof *sf);
	for (dgrp_t g = 0; g < e2->group_desc_count; g++) {
		unused += ext2fs_bg_free_blocks_count(e2, g);
		inodes += ext2fs_bg_free_inodes_count(e2, g);
	}
	unused <<= e2->cluster_ratio_bits;
	if (ext2fs_has_feature_extents(e2->super)) {
		/* The kernel keeps 2 %, at most 4096 clusters, for extent trees that have to grow. */
		uint64_t clusters = (blocks >> e2->cluster_ratio_bits) / 50;

		reserved += (clusters < 4096 ? clusters : 4096) << e2->cluster_ratio_bits;
	}
	sf->block_size = e2->blocksize;
	sf->size = (overhead < blocks ? blocks - overhead : 0) * e2->blocksize;
	sf->free = (unused < blocks ? unused : blocks) * e2->blocksize;
	sf->avail = unused > reserved ? (unused - reserved) * e2->blocksize : 0;
	sf->files = e2->super->s_inodes_count;
	sf->files_free = inodes;
	return 0;
}
