/* SPDX-License-Identifier: GPL-3.0-or-later */
/* alloc.c - giving blocks to a file and taking them away: whole pieces at a time, into extents or indirect blocks. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs-ext.h"

#define EXTENT_MAX 32768u /* blocks in a written extent */

/*
 * libext2fs writes a file block by block: each is zeroed first, then its
 * inode and tree are written anew.  In a log that only grows this would cost
 * three records for one, so here a piece is mapped at once.
 */
static uint64_t goal_for(struct ext_fs *x, const struct ext_inode *in, uint64_t lblk)
{
	struct ext_run before;
	struct ext2_inode copy = in->i;

	if (lblk > 0 && ext_map(x, in, lblk - 1, 1, &before) == 0 && before.pblk != 0)
		return before.pblk + 1;
	return ext2fs_find_inode_goal(x->e2, in->ino, &copy, lblk);
}

/* Marks a free piece of at most n blocks as used; n and the result are whole clusters. */
static int claim(struct ext_fs *x, struct ext_inode *in, uint64_t goal, uint64_t n, struct ext_run *run)
{
	uint64_t ratio = (uint64_t)EXT2FS_CLUSTER_RATIO(x->e2);
	blk64_t pblk = 0, len = 0;
	errcode_t rc;

	rc = ext2fs_new_range(x->e2, 0, goal & ~(ratio - 1), n, NULL, &pblk, &len);
	if (rc == 0 && len > n)
		len = n;
	len &= ~(ratio - 1);
	if (rc == 0 && (len == 0 || !ext_block_ok(x, pblk, len)))
		rc = EXT2_ET_BLOCK_ALLOC_FAIL;
	if (rc == 0 && (in->i.i_flags & EXT4_EXTENTS_FL) == 0 && pblk + len > UINT32_MAX)
		rc = EXT2_ET_BLOCK_ALLOC_FAIL;
	if (rc != 0)
		return ext_fail(x, rc, "cannot allocate blocks for inode %" PRIu32, in->ino);
	ext2fs_block_alloc_stats_range(x->e2, pblk, (blk_t)len, +1);
	ext2fs_iblk_add_blocks(x->e2, &in->i, len / ratio);
	*run = (struct ext_run){ .pblk = pblk, .len = len };
	return 0;
}

static void unclaim(struct ext_fs *x, struct ext_inode *in, uint64_t pblk, uint64_t len)
{
	if (len == 0)
		return;
	ext2fs_block_alloc_stats_range(x->e2, pblk, (blk_t)len, -1);
	ext2fs_iblk_sub_blocks(x->e2, &in->i, len / (uint64_t)EXT2FS_CLUSTER_RATIO(x->e2));
}

/* ---- extents -------------------------------------------------------------- */

static errcode_t insert_extent(struct ext_fs *x, struct ext_inode *in, uint64_t lblk, const struct ext_run *run)
{
	struct ext2fs_extent e = { .e_pblk = run->pblk, .e_lblk = lblk, .e_len = (uint32_t)run->len }, near;
	ext2_extent_handle_t h;
	int op = EXT2_EXTENT_INSERT_AFTER;
	errcode_t rc = ext2fs_extent_open2(x->e2, in->ino, &in->i, &h);

	if (rc != 0)
		return rc;
	if (lblk > 0 && ext2fs_extent_goto(h, lblk - 1) == 0 && ext2fs_extent_get(h, EXT2_EXTENT_CURRENT, &near) == 0 &&
	    (near.e_flags & EXT2_EXTENT_FLAGS_UNINIT) == 0 && near.e_lblk + near.e_len == lblk &&
	    near.e_pblk + near.e_len == run->pblk && near.e_len + run->len <= EXTENT_MAX) {
		near.e_len += (uint32_t)run->len;
		rc = ext2fs_extent_replace(h, 0, &near);
		ext2fs_extent_free(h);
		return rc;
	}
	/* Where lblk is in a hole this ends beside it, on an extent before or, at the beginning, after it. */
	ext2fs_extent_goto(h, lblk);
	rc = ext2fs_extent_get(h, EXT2_EXTENT_CURRENT, &near);
	if (rc == 0 && near.e_lblk > lblk)
		op = 0;
	if (rc == 0 || rc == EXT2_ET_NO_CURRENT_NODE)
		rc = ext2fs_extent_insert(h, op, &e);
	if (rc == 0)
		rc = ext2fs_extent_fix_parents(h);
	ext2fs_extent_free(h);
	return rc;
}

static int alloc_extent(struct ext_fs *x, struct ext_inode *in, uint64_t lblk, uint64_t n, struct ext_run *run)
{
	uint64_t ratio = (uint64_t)EXT2FS_CLUSTER_RATIO(x->e2), off = lblk & (ratio - 1);
	uint64_t claimed, start;
	blk64_t same = 0;
	errcode_t rc = 0;
	int err;

	if (n > EXTENT_MAX)
		n = EXTENT_MAX;
	/* A part of a cluster may have to go where the rest of that cluster is. */
	if (off != 0 || n < ratio) {
		if (n > ratio - off)
			n = ratio - off;
		rc = ext2fs_map_cluster_block(x->e2, in->ino, &in->i, lblk, &same);
		if (rc != 0)
			return ext_fail(x, rc, "cannot map block %" PRIu64 " of inode %" PRIu32, lblk, in->ino);
	} else {
		n &= ~(ratio - 1);
	}
	if (same != 0) {
		*run = (struct ext_run){ .pblk = same, .len = n };
		start = claimed = 0;
	} else {
		err = claim(x, in, goal_for(x, in, lblk), n > ratio ? n : ratio, run);
		if (err != 0)
			return err;
		start = run->pblk;
		claimed = run->len;
		run->pblk += off;
		if (run->len > n)
			run->len = n;
	}
	rc = insert_extent(x, in, lblk, run);
	if (rc == 0)
		return 0;
	unclaim(x, in, start, claimed);
	return ext_fail(x, rc, "cannot map block %" PRIu64 " of inode %" PRIu32, lblk, in->ino);
}

int ext_convert(struct ext_fs *x, struct ext_inode *in, uint64_t lblk, const struct ext_run *run)
{
	ext2_extent_handle_t h;
	errcode_t rc = ext2fs_extent_open2(x->e2, in->ino, &in->i, &h);

	if (rc == 0) {
		for (uint64_t i = 0; rc == 0 && i < run->len; i++)
			rc = ext2fs_extent_set_bmap(h, lblk + i, run->pblk + i, 0);
		ext2fs_extent_free(h);
	}
	ext_map_forget(x);
	return ext_fail(x, rc, "cannot map block %" PRIu64 " of inode %" PRIu32, lblk, in->ino);
}

/* ---- indirect blocks ------------------------------------------------------- */

struct chain {
	uint8_t *data[3]; /* the blocks from the inode's pointer down */
	uint64_t blk[3];
	bool dirty[3];
	uint64_t at[3]; /* the pointer used in each */
	unsigned depth;
};

/* How to reach lblk (not a direct block); false: beyond what can be mapped. */
static bool chain_path(const struct ext_fs *x, uint64_t lblk, struct chain *c)
{
	uint64_t per = x->e2->blocksize / 4, span = 1;

	lblk -= EXT2_NDIR_BLOCKS;
	for (c->depth = 1; c->depth <= 3; c->depth++) {
		span *= per;
		if (lblk < span)
			break;
		lblk -= span;
	}
	if (c->depth > 3)
		return false;
	for (unsigned i = 0; i < c->depth; i++) {
		span /= per;
		c->at[i] = lblk / span;
		lblk %= span;
	}
	return true;
}

/* Reads the chain, or makes the blocks of it that are missing. */
static int chain_open(struct ext_fs *x, struct ext_inode *in, struct chain *c, uint64_t goal)
{
	uint32_t bs = x->e2->blocksize;

	for (unsigned i = 0; i < c->depth; i++) {
		uint8_t *p = i == 0 ? (uint8_t *)&in->i.i_block[EXT2_NDIR_BLOCKS + c->depth - 1]
		                    : c->data[i - 1] + c->at[i - 1] * 4;
		struct ext_run meta;
		int rc;

		c->data[i] = calloc(1, bs);
		if (c->data[i] == NULL)
			return ext_nomem(x);
		c->blk[i] = domu_le32(p);
		if (c->blk[i] != 0) {
			if (!ext_block_ok(x, c->blk[i], 1))
				return ext_damaged(x, "the block map of inode %" PRIu32 " is damaged", in->ino);
			rc = ext_read_blocks(x, c->blk[i], 1, c->data[i]);
		} else {
			rc = claim(x, in, goal, 1, &meta);
			if (rc == 0) {
				c->blk[i] = meta.pblk;
				c->dirty[i] = true;
				domu_put_le32(p, (uint32_t)meta.pblk);
				if (i > 0)
					c->dirty[i - 1] = true;
			}
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int chain_close(struct ext_fs *x, struct chain *c, int rc)
{
	for (unsigned i = 0; i < c->depth; i++) {
		/* Also after a failure: what points to it may already be in the inode. */
		if (c->data[i] != NULL && c->dirty[i]) {
			int err = ext_write_blocks(x, c->blk[i], 1, c->data[i]);

			if (rc == 0)
				rc = err;
		}
		free(c->data[i]);
	}
	return rc;
}

static int alloc_indirect(struct ext_fs *x, struct ext_inode *in, uint64_t lblk, uint64_t n, struct ext_run *run)
{
	uint64_t per = x->e2->blocksize / 4, goal = goal_for(x, in, lblk);
	struct chain c = { .depth = 0 };
	uint8_t *slots = (uint8_t *)&in->i.i_block[lblk < EXT2_NDIR_BLOCKS ? lblk : 0];
	int rc = 0;

	if (lblk < EXT2_NDIR_BLOCKS) {
		if (n > EXT2_NDIR_BLOCKS - lblk)
			n = EXT2_NDIR_BLOCKS - lblk;
	} else if (!chain_path(x, lblk, &c)) {
		return ext_fail(x, EXT2_ET_FILE_TOO_BIG, "cannot map block %" PRIu64 " of inode %" PRIu32, lblk,
		                in->ino);
	} else {
		rc = chain_open(x, in, &c, goal);
		if (rc != 0)
			return chain_close(x, &c, rc);
		slots = c.data[c.depth - 1] + c.at[c.depth - 1] * 4;
		if (n > per - c.at[c.depth - 1])
			n = per - c.at[c.depth - 1];
	}
	rc = claim(x, in, goal, n, run);
	for (uint64_t i = 0; rc == 0 && i < run->len; i++)
		domu_put_le32(slots + i * 4, (uint32_t)(run->pblk + i));
	if (c.depth > 0 && rc == 0)
		c.dirty[c.depth - 1] = true;
	return chain_close(x, &c, rc);
}

int ext_alloc(struct ext_fs *x, struct ext_inode *in, uint64_t lblk, uint64_t n, struct ext_run *run)
{
	int rc;

	if ((in->i.i_flags & EXT4_EXTENTS_FL) != 0)
		rc = alloc_extent(x, in, lblk, n, run);
	else
		rc = alloc_indirect(x, in, lblk, n, run);
	ext_map_forget(x);
	return rc;
}

/* ---- freeing ---------------------------------------------------------------- */

/* libext2fs follows a tree without asking whether it can be one: the whole of it is looked at before. */
static int check_map(struct ext_fs *x, const struct ext_inode *in)
{
	const uint64_t end = (uint64_t)UINT32_MAX + 1;
	struct ext_run run;
	int rc = 0;

	for (uint64_t lblk = 0; rc == 0 && lblk < end; lblk += run.len)
		rc = ext_map(x, in, lblk, end - lblk, &run);
	return rc;
}

int ext_punch(struct ext_fs *x, struct ext_inode *in, uint64_t lblk)
{
	struct ext2_super_block *sb = x->e2->super;
	blk64_t blocks = ext2fs_blocks_count(sb);
	errcode_t rc;
	int err = check_map(x, in);

	if (err != 0)
		return err;
	/*
	 * ext2fs_punch() up to 1.47 refuses an extent that ends with the
	 * filesystem's last block: for the time of the call there is one more.
	 */
	if (blocks < UINT32_MAX || ext2fs_has_feature_64bit(sb))
		ext2fs_blocks_count_set(sb, blocks + 1);
	rc = ext2fs_punch(x->e2, in->ino, &in->i, NULL, lblk, ~0ULL);
	ext2fs_blocks_count_set(sb, blocks);
	ext_map_forget(x);
	return ext_fail(x, rc, "cannot free blocks of inode %" PRIu32, in->ino);
}
