/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan-dir.c - the blocks of all directories, sorted by where they are and read in large pieces. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "fs-ext.h"

#define MAX_BLOCKS (1u << 20) /* of all directories together: more are walked by name */

static int odd(struct ext_scan *s, uint32_t dir)
{
	return s->to->odd(s->user, dir);
}

static int note(struct ext_scan *s, uint64_t pblk, uint32_t dir, uint32_t seed)
{
	if (s->n == MAX_BLOCKS)
		return -E2BIG;
	if (!DOMU_ARRAY_ROOM(s->blocks, s->cap, s->n + 1))
		return -ENOMEM;
	s->blocks[s->n++] = (struct ext_scan_block){ .pblk = pblk, .dir = dir, .seed = seed };
	return 0;
}

static int give_name(void *user, const struct ext_dirent *de)
{
	struct ext_scan *s = user;

	if (de->name[0] == '.' && (de->len == 1 || (de->len == 2 && de->name[1] == '.')))
		return 0;
	s->rc = s->to->name(s->user, s->dir, de->name, de->len, de->ino);
	return s->rc != 0 ? 1 : 0;
}

/* Names are in the inode: nothing is read for them. */
static int scan_inline(struct ext_scan *s, const struct ext_inode *in)
{
	int rc;

	s->dir = in->ino;
	rc = ext_dir_walk(s->x, in, give_name, s);
	if (s->rc != 0)
		return s->rc;
	return rc == -EUCLEAN ? odd(s, in->ino) : rc;
}

int ext_scan_dir(struct ext_scan *s, const struct ext_inode *in, uint32_t seed)
{
	uint64_t blocks = ext_isize(s->x, in) / s->x->e2->blocksize;
	struct ext_run run;

	if ((in->i.i_flags & EXT4_ENCRYPT_FL) != 0)
		return odd(s, in->ino);
	if ((in->i.i_flags & EXT4_INLINE_DATA_FL) != 0)
		return scan_inline(s, in);
	if (blocks > ext2fs_blocks_count(s->x->e2->super))
		return odd(s, in->ino);
	for (uint64_t lblk = 0; lblk < blocks; lblk += run.len) {
		int rc = ext_map(s->x, in, lblk, blocks - lblk, &run);

		if (rc == -EUCLEAN || (rc == 0 && (run.pblk == 0 || run.unwritten)))
			return odd(s, in->ino);
		for (uint64_t i = 0; rc == 0 && i < run.len; i++)
			rc = note(s, run.pblk + i, in->ino, seed);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* ---- reading them ------------------------------------------------------------------ */

static int by_place(const void *a, const void *b)
{
	const struct ext_scan_block *x = a, *y = b;

	return x->pblk < y->pblk ? -1 : x->pblk > y->pblk;
}

static int take_block(struct ext_scan *s, const struct ext_scan_block *b, uint8_t *data)
{
	bool damaged = !ext_dir_csum_ok(s->x, b->dir, b->seed, data);
	int rc = 0;

	s->dir = b->dir;
	if (!damaged)
		rc = ext_dir_entries(s->x, data, s->x->e2->blocksize, give_name, s, &damaged);
	if (s->rc != 0)
		return s->rc;
	return rc >= 0 && damaged ? odd(s, b->dir) : rc > 0 ? 0 : rc;
}

/* From block i on: as many as one read gives. */
static size_t reach(const struct ext_scan *s, size_t i)
{
	uint64_t size = s->x->e2->blocksize, first = s->blocks[i].pblk, last = first;
	size_t j = i + 1;

	for (; j < s->n; j++) {
		uint64_t at = s->blocks[j].pblk;

		if ((at - first + 1) * size > EXT_SCAN_PIECE || (at - last) * size > EXT_SCAN_GAP + size)
			break;
		last = at;
	}
	return j;
}

int ext_scan_blocks(struct ext_scan *s)
{
	uint64_t size = s->x->e2->blocksize;
	int rc = 0;

	if (s->n > 1)
		qsort(s->blocks, s->n, sizeof *s->blocks, by_place);
	for (size_t i = 0, j; rc == 0 && i < s->n; i = j) {
		uint64_t first = s->blocks[i].pblk;

		j = reach(s, i);
		rc = domu_block_pread(s->x->fs->block, s->piece, (size_t)((s->blocks[j - 1].pblk - first + 1) * size),
		                      first * size);
		for (size_t k = i; rc == 0 && k < j; k++)
			rc = take_block(s, &s->blocks[k], s->piece + (s->blocks[k].pblk - first) * size);
	}
	return rc;
}
