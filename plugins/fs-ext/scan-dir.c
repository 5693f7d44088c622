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

/* As many as one read gives. */
static int plan_blocks(struct ext_scan *s, struct ext_piece *p)
{
	uint64_t size = s->x->e2->blocksize, first, last;
	size_t i = s->next;

	if (i == s->n)
		return 1;
	first = last = s->blocks[i].pblk;
	for (i++; i < s->n && i - s->next < EXT_SCAN_BLOCKS; i++) {
		uint64_t at = s->blocks[i].pblk;

		if ((at - first + 1) * size > EXT_SCAN_PIECE || (at - last) * size > EXT_SCAN_GAP + size)
			break;
		last = at;
	}
	p->offset = first * size;
	p->len = (size_t)((last - first + 1) * size);
	p->first = s->next;
	p->n = i - s->next;
	s->next = i;
	return 0;
}

struct names {
	struct ext_made *made;
	size_t size; /* of its bytes */
	unsigned n;
};

/* An entry takes more on the disk; only a block that is there twice may need more room than the piece had. */
static int make_name(void *user, const struct ext_dirent *de)
{
	struct names *to = user;
	uint8_t *p = to->made->bytes + to->made->used;

	if (de->name[0] == '.' && (de->len == 1 || (de->len == 2 && de->name[1] == '.')))
		return 0;
	if (5 + de->len > to->size - to->made->used)
		return 1;
	memcpy(p, &de->ino, 4);
	p[4] = (uint8_t)de->len;
	memcpy(p + 5, de->name, de->len);
	to->made->used += 5 + de->len;
	to->n++;
	return 0;
}

static void make_blocks(const struct ext_scan *s, const struct ext_piece *p, uint8_t *data)
{
	size_t bs = s->x->e2->blocksize;
	struct names to = { .made = p->made, .size = p->len };

	for (size_t i = 0; i < p->n; i++) {
		const struct ext_scan_block *b = &s->blocks[p->first + i];
		const uint8_t *block = data + (b->pblk * bs - p->offset);
		size_t used = p->made->used;
		bool damaged = false;

		to.n = 0;
		p->made->blocks[i].state = EXT_BLOCK_ODD;
		if (ext_dir_block_good(s->x, b->seed, block) &&
		    ext_dir_entries(s->x, block, bs, make_name, &to, &damaged) == 0)
			p->made->blocks[i].state = damaged ? EXT_BLOCK_DAMAGED : EXT_BLOCK_GOOD;
		else
			p->made->used = used;
		p->made->blocks[i].names = to.n;
	}
}

/* Its checksum seems wrong, which libext2fs is to say; or its piece had no room for its names. */
static int take_odd(struct ext_scan *s, const struct ext_scan_block *b)
{
	uint8_t *data = s->x->pieces[0];
	bool damaged = false;
	int rc = domu_block_pread(s->x->fs->block, data, s->x->e2->blocksize, b->pblk * s->x->e2->blocksize);

	if (rc != 0)
		return rc;
	s->dir = b->dir;
	if (!ext_dir_csum_ok(s->x, b->dir, b->seed, data))
		return odd(s, b->dir);
	rc = ext_dir_entries(s->x, data, s->x->e2->blocksize, give_name, s, &damaged);
	if (s->rc != 0)
		return s->rc;
	return damaged ? odd(s, b->dir) : 0;
}

static int use_blocks(struct ext_scan *s, const struct ext_piece *p)
{
	const uint8_t *at = p->made->bytes;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->n; i++) {
		const struct ext_scan_block *b = &s->blocks[p->first + i];

		if (p->made->blocks[i].state == EXT_BLOCK_ODD) {
			rc = take_odd(s, b);
			continue;
		}
		for (unsigned k = 0; rc == 0 && k < p->made->blocks[i].names; k++, at += 5 + at[4])
			rc = s->to->name(s->user, b->dir, (const char *)at + 5, at[4], domu_le32(at));
		if (rc == 0 && p->made->blocks[i].state == EXT_BLOCK_DAMAGED)
			rc = odd(s, b->dir);
	}
	return rc;
}

int ext_scan_blocks(struct ext_scan *s)
{
	static const struct ext_scan_pass pass = { .plan = plan_blocks, .make = make_blocks, .use = use_blocks };

	if (s->n > 1)
		qsort(s->blocks, s->n, sizeof *s->blocks, by_place);
	return ext_scan_read(s, &pass);
}
