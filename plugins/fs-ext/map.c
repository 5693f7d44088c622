/* SPDX-License-Identifier: GPL-3.0-or-later */
/* map.c - where a file's blocks are: extent trees and indirect blocks, read without trusting them. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs-ext.h"

#define UNWRITTEN_LEN 32768u /* a length above this is that of an unwritten extent */

void ext_map_forget(struct ext_fs *x)
{
	for (unsigned i = 0; i < EXT_MAX_DEPTH; i++)
		x->tree[i].blk = 0;
}

static int bad_map(struct ext_fs *x, const struct ext_inode *in)
{
	return ext_damaged(x, "the block map of inode %" PRIu32 " is damaged", in->ino);
}

/* A mapping block through the cache of its level; the pointer is good until the next call at that level. */
static int tree_block(struct ext_fs *x, const struct ext_inode *in, unsigned level, uint64_t blk, const uint8_t **data)
{
	struct ext_tree_block *t = &x->tree[level];
	int rc;

	if (!ext_block_ok(x, blk, 1))
		return bad_map(x, in);
	if (t->blk != blk) {
		if (t->data == NULL)
			t->data = malloc(x->e2->blocksize);
		if (t->data == NULL)
			return ext_nomem(x);
		t->blk = 0;
		rc = ext_read_blocks(x, blk, 1, t->data);
		if (rc != 0)
			return rc;
		if ((in->i.i_flags & EXT4_EXTENTS_FL) != 0 &&
		    !ext2fs_extent_block_csum_verify(x->e2, in->ino, (struct ext3_extent_header *)t->data))
			return ext_damaged(x, "checksum of extent block %" PRIu64 " of inode %" PRIu32 " is wrong", blk,
			                   in->ino);
		t->blk = blk;
	}
	*data = t->data;
	return 0;
}

/* Index of the last of n entries whose first block (le32 at its start) is <= lblk, or -1. */
static int find_entry(const uint8_t *entries, unsigned n, uint64_t lblk)
{
	unsigned lo = 0, hi = n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (domu_le32(entries + (size_t)mid * 12) <= lblk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (int)lo - 1;
}

static void set_hole(struct ext_run *run, uint64_t lblk, uint64_t until, uint64_t max)
{
	run->pblk = 0;
	run->unwritten = false;
	run->len = until > lblk && until - lblk < max ? until - lblk : max;
}

static int map_leaf(struct ext_fs *x, const struct ext_inode *in, const uint8_t *entries, unsigned n, uint64_t lblk,
                    uint64_t until, uint64_t max, struct ext_run *run)
{
	int at = find_entry(entries, n, lblk);
	const uint8_t *e;
	uint64_t first, pblk;
	uint32_t len;
	bool unwritten;

	if (at + 1 < (int)n && domu_le32(entries + (size_t)(at + 1) * 12) < until)
		until = domu_le32(entries + (size_t)(at + 1) * 12);
	if (at < 0) {
		set_hole(run, lblk, until, max);
		return 0;
	}
	e = entries + (size_t)at * 12;
	first = domu_le32(e);
	len = domu_le16(e + 4);
	pblk = (uint64_t)domu_le16(e + 6) << 32 | domu_le32(e + 8);
	unwritten = len > UNWRITTEN_LEN;
	if (unwritten)
		len -= UNWRITTEN_LEN;
	if (len == 0 || !ext_block_ok(x, pblk, len))
		return bad_map(x, in);
	if (lblk >= first + len) {
		set_hole(run, lblk, until, max);
		return 0;
	}
	run->pblk = pblk + (lblk - first);
	run->len = first + len - lblk;
	if (run->len > max)
		run->len = max;
	run->unwritten = unwritten;
	return 0;
}

static int map_extents(struct ext_fs *x, const struct ext_inode *in, uint64_t lblk, uint64_t max, struct ext_run *run)
{
	const uint8_t *node = (const uint8_t *)in->i.i_block;
	size_t size = sizeof in->i.i_block;
	unsigned depth = domu_le16(node + 6);
	uint64_t until = UINT64_MAX;

	if (depth > EXT_MAX_DEPTH)
		return bad_map(x, in);
	for (unsigned level = 0;; level++) {
		unsigned n = domu_le16(node + 2);
		const uint8_t *entries = node + 12;
		int at, rc;

		if (domu_le16(node) != EXT3_EXT_MAGIC || domu_le16(node + 6) != depth - level ||
		    n > domu_le16(node + 4) || n > (size - 12) / 12)
			return bad_map(x, in);
		if (level == depth)
			return map_leaf(x, in, entries, n, lblk, until, max, run);
		at = find_entry(entries, n, lblk);
		if (at + 1 < (int)n && domu_le32(entries + (size_t)(at + 1) * 12) < until)
			until = domu_le32(entries + (size_t)(at + 1) * 12);
		if (at < 0) {
			set_hole(run, lblk, until, max);
			return 0;
		}
		entries += (size_t)at * 12;
		rc = tree_block(x, in, level, (uint64_t)domu_le16(entries + 8) << 32 | domu_le32(entries + 4), &node);
		if (rc != 0)
			return rc;
		size = x->e2->blocksize;
	}
}

/* Pointers p[at..n) as a run. */
static int ind_run(struct ext_fs *x, const struct ext_inode *in, const uint8_t *p, uint64_t at, uint64_t n,
                   uint64_t max, struct ext_run *run)
{
	uint64_t first = domu_le32(p + at * 4), len = 1;

	if (n - at < max)
		max = n - at;
	while (len < max && domu_le32(p + (at + len) * 4) == (first == 0 ? 0 : first + len))
		len++;
	if (first != 0 && !ext_block_ok(x, first, len))
		return bad_map(x, in);
	*run = (struct ext_run){ .pblk = first, .len = len };
	return 0;
}

static int map_indirect(struct ext_fs *x, const struct ext_inode *in, uint64_t lblk, uint64_t max, struct ext_run *run)
{
	uint64_t per = x->e2->blocksize / 4, span = 1, at = lblk;
	const uint8_t *p = (const uint8_t *)in->i.i_block;
	unsigned depth;

	if (at < EXT2_NDIR_BLOCKS)
		return ind_run(x, in, p, at, EXT2_NDIR_BLOCKS, max, run);
	at -= EXT2_NDIR_BLOCKS;
	for (depth = 1; depth <= 3; depth++) {
		span *= per;
		if (at < span)
			break;
		at -= span;
	}
	if (depth > 3) {
		set_hole(run, lblk, UINT64_MAX, max);
		return 0;
	}
	p += (EXT2_NDIR_BLOCKS + depth - 1) * 4;
	/* p is at the pointer to a block that maps span blocks, of which the at-th is wanted. */
	for (unsigned level = 0; level < depth; level++) {
		uint32_t blk = domu_le32(p);
		int rc;

		if (blk == 0) {
			set_hole(run, lblk, lblk + (span - at), max);
			return 0;
		}
		rc = tree_block(x, in, level, blk, &p);
		if (rc != 0)
			return rc;
		span /= per;
		if (level + 1 < depth) {
			p += at / span * 4;
			at %= span;
		}
	}
	return ind_run(x, in, p, at, per, max, run);
}

int ext_map(struct ext_fs *x, const struct ext_inode *in, uint64_t lblk, uint64_t max, struct ext_run *run)
{
	*run = (struct ext_run){ .len = max };
	if ((in->i.i_flags & EXT4_INLINE_DATA_FL) != 0)
		return bad_map(x, in);
	if ((in->i.i_flags & EXT4_EXTENTS_FL) != 0)
		return map_extents(x, in, lblk, max, run);
	return map_indirect(x, in, lblk, max, run);
}
