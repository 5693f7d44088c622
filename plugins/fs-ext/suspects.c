/* SPDX-License-Identifier: GPL-3.0-or-later */
/* suspects.c - which inodes may have changed when only some blocks of the device did, and where content lies. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "fs-ext.h"

#define MAX_SCAN 20000000u /* inodes looked at one by one; beyond that every name is compared instead */

int ext_extent(struct domu_fs *fs, uint64_t ino, uint64_t offset, uint64_t len, uint64_t *at, uint64_t *run)
{
	struct ext_fs *x = ext_of(fs);
	uint32_t bs = x->e2->blocksize;
	uint64_t skip = offset % bs;
	struct ext_inode in;
	struct ext_run r;
	int rc = ext_iget(x, ino, &in);

	if (rc != 0)
		return rc;
	if (!LINUX_S_ISREG(in.i.i_mode) || (in.i.i_flags & (EXT4_INLINE_DATA_FL | EXT4_ENCRYPT_FL)) != 0)
		return -EOPNOTSUPP;
	if (len > ext_max_size(x, &in) || offset > ext_max_size(x, &in))
		return -EOPNOTSUPP;
	rc = ext_map(x, &in, offset / bs, (skip + len + bs - 1) / bs, &r);
	if (rc != 0)
		return rc;
	*at = r.pblk == 0 || r.unwritten ? UINT64_MAX : r.pblk * bs + skip;
	*run = r.len * bs - skip < len ? r.len * bs - skip : len;
	return 0;
}

/* ---- what a block is for ----------------------------------------------------------- */

struct table {
	uint64_t blk, len; /* of a group's inode table, or a bitmap */
	dgrp_t group;
	bool inodes;
};

struct search {
	struct ext_fs *a, *b; /* before and after */
	int (*fn)(void *user, uint64_t ino);
	void *user;
	struct table *tables; /* of b, ascending and apart */
	size_t n_tables;
	uint64_t *left; /* changed blocks that are neither inodes nor fixed: whose? */
	size_t n_left, cap;
	size_t n_owned; /* of them: someone's */
	bool *owned;
};

static int by_block(const void *a, const void *b)
{
	const struct table *x = a, *y = b;

	return x->blk < y->blk ? -1 : x->blk > y->blk;
}

/* Only then does a place on the disk mean the same on both sides. */
static bool same_layout(ext2_filsys a, ext2_filsys b)
{
	if (a->blocksize != b->blocksize || EXT2_INODE_SIZE(a->super) != EXT2_INODE_SIZE(b->super) ||
	    a->super->s_inodes_per_group != b->super->s_inodes_per_group ||
	    a->super->s_blocks_per_group != b->super->s_blocks_per_group ||
	    a->super->s_first_data_block != b->super->s_first_data_block || a->group_desc_count > b->group_desc_count ||
	    EXT2_FIRST_INO(a->super) != EXT2_FIRST_INO(b->super))
		return false;
	/* The values of attributes in inodes of their own: no name leads there. */
	if (ext2fs_has_feature_ea_inode(b->super) || ext2fs_has_feature_bigalloc(b->super))
		return false;
	for (dgrp_t g = 0; g < a->group_desc_count; g++)
		if (ext2fs_inode_table_loc(a, g) != ext2fs_inode_table_loc(b, g))
			return false;
	return true;
}

static int list_tables(struct search *s)
{
	ext2_filsys e2 = s->b->e2;

	s->tables = calloc((size_t)e2->group_desc_count * 3, sizeof *s->tables);
	if (s->tables == NULL)
		return ext_nomem(s->b);
	for (dgrp_t g = 0; g < e2->group_desc_count; g++) {
		s->tables[s->n_tables++] = (struct table){ .blk = ext2fs_inode_table_loc(e2, g),
			                                   .len = e2->inode_blocks_per_group,
			                                   .group = g,
			                                   .inodes = true };
		s->tables[s->n_tables++] = (struct table){ .blk = ext2fs_block_bitmap_loc(e2, g), .len = 1 };
		s->tables[s->n_tables++] = (struct table){ .blk = ext2fs_inode_bitmap_loc(e2, g), .len = 1 };
	}
	qsort(s->tables, s->n_tables, sizeof *s->tables, by_block);
	for (size_t i = 1; i < s->n_tables; i++)
		if (s->tables[i].blk - s->tables[i - 1].blk < s->tables[i - 1].len)
			return -EOPNOTSUPP;
	return 0;
}

/* The table or bitmap that the block is in, or NULL. */
static const struct table *table_of(const struct search *s, uint64_t blk)
{
	size_t low = 0, high = s->n_tables;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->tables[mid].blk <= blk)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 && blk - s->tables[low - 1].blk < s->tables[low - 1].len ? &s->tables[low - 1] : NULL;
}

/* Superblocks and descriptors: of nobody's. */
static bool is_fixed(const struct search *s, uint64_t blk)
{
	ext2_filsys e2 = s->b->e2;
	blk64_t super = 0, old_desc = 0, new_desc = 0;
	uint64_t n_desc = e2->desc_blocks + (uint64_t)e2->super->s_reserved_gdt_blocks;
	blk_t used = 0;
	dgrp_t g;

	if (blk <= e2->super->s_first_data_block)
		return true;
	if (blk >= ext2fs_blocks_count(e2->super))
		return false;
	g = ext2fs_group_of_blk2(e2, blk);
	ext2fs_super_and_bgd_loc2(e2, g, &super, &old_desc, &new_desc, &used);
	return (super != 0 && blk == super) || (old_desc != 0 && blk >= old_desc && blk - old_desc < n_desc) ||
	       (new_desc != 0 && blk == new_desc);
}

/* ---- whose it is --------------------------------------------------------------------- */

/* Marks the changed blocks in [blk, blk+len) as owned; how many there are. */
static size_t own(struct search *s, uint64_t blk, uint64_t len)
{
	size_t low = 0, high = s->n_left, met = 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->left[mid] < blk)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < s->n_left && s->left[low] - blk < len; low++) {
		met++;
		s->n_owned += !s->owned[low];
		s->owned[low] = true;
	}
	return met;
}

/* Every block that the inode has: content, mapping, attributes.  True: some of them changed. */
static bool own_blocks(struct search *s, struct ext_fs *x, const struct ext_inode *in)
{
	uint32_t bs = x->e2->blocksize;
	uint64_t size = ext_isize(x, in), blocks, at = 0, acl = ext2fs_file_acl_block(x->e2, &in->i);
	size_t met = acl != 0 ? own(s, acl, 1) : 0;
	struct ext_run run;

	if (!(LINUX_S_ISREG(in->i.i_mode) || LINUX_S_ISDIR(in->i.i_mode) || LINUX_S_ISLNK(in->i.i_mode)) ||
	    (in->i.i_flags & EXT4_INLINE_DATA_FL) != 0 || ext_fast_link(x, in))
		return met > 0;
	if (size > ext_max_size(x, in))
		return true;
	blocks = size / bs + 1;
	/* What was met before in the cache is not this inode's. */
	ext_map_forget(x);
	while (at < blocks) {
		if (ext_map(x, in, at, blocks - at, &run) != 0)
			return true;
		if (run.pblk != 0)
			met += own(s, run.pblk, run.len);
		for (unsigned i = 0; i < EXT_MAX_DEPTH; i++)
			if (x->tree[i].blk != 0)
				met += own(s, x->tree[i].blk, 1);
		at += run.len;
	}
	return met > 0;
}

/* Quietly: an inode with a wrong checksum is one more to look at. */
static bool read_inode(struct ext_fs *x, uint32_t ino, struct ext_inode *in)
{
	memset(in, 0, sizeof *in);
	in->ino = ino;
	return ino <= x->e2->super->s_inodes_count &&
	       ext2fs_read_inode_full(x->e2, ino, &in->i, (int)ext_inode_size(x)) == 0;
}

static int compare_inode(struct search *s, uint32_t ino)
{
	struct ext_inode *old = malloc(sizeof *old), *new = malloc(sizeof *new);
	bool has_old, has_new;
	int rc = 0;

	if (old == NULL || new == NULL) {
		rc = ext_nomem(s->b);
		goto out;
	}
	has_old = read_inode(s->a, ino, old);
	has_new = read_inode(s->b, ino, new);
	if (has_old && has_new && memcmp(old->raw, new->raw, ext_inode_size(s->b)) == 0)
		goto out;
	rc = s->fn(s->user, ino);
	if (rc == 0 && has_old && old->i.i_links_count != 0)
		own_blocks(s, s->a, old);
	if (rc == 0 && has_new && new->i.i_links_count != 0)
		own_blocks(s, s->b, new);
out:
	free(old);
	free(new);
	return rc;
}

static int take_block(struct search *s, uint64_t blk)
{
	if (is_fixed(s, blk))
		return 0;
	if (!DOMU_ARRAY_ROOM(s->left, s->cap, s->n_left + 1))
		return ext_nomem(s->b);
	s->left[s->n_left++] = blk;
	return 0;
}

typedef int (*block_fn)(struct search *s, uint64_t blk, const struct table *t);

static int each_block(struct search *s, const struct domu_span *spans, size_t n, block_fn fn)
{
	uint32_t bs = s->b->e2->blocksize;
	uint64_t next = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t blk = spans[i].offset / bs, end = (spans[i].offset + spans[i].len + bs - 1) / bs;

		/* Two spans may share a block. */
		for (blk = blk > next ? blk : next; blk < end; blk++) {
			int rc = fn(s, blk, table_of(s, blk));

			if (rc != 0)
				return rc;
		}
		next = end > next ? end : next;
	}
	return 0;
}

static int sort_out(struct search *s, uint64_t blk, const struct table *t)
{
	return t == NULL ? take_block(s, blk) : 0;
}

static int look_at_inodes(struct search *s, uint64_t blk, const struct table *t)
{
	uint32_t per = s->b->e2->blocksize / EXT2_INODE_SIZE(s->b->e2->super);
	uint32_t in_group, ipg = s->b->e2->super->s_inodes_per_group;
	int rc = 0;

	if (t == NULL || !t->inodes)
		return 0;
	in_group = (uint32_t)(blk - t->blk) * per;
	for (uint32_t i = in_group; rc == 0 && i < in_group + per && i < ipg; i++)
		rc = compare_inode(s, t->group * ipg + i + 1);
	return rc;
}

/* The journal, quota files and the like. */
static void own_reserved(struct search *s)
{
	struct ext_inode *in = malloc(sizeof *in);

	for (uint32_t ino = 1; in != NULL && ino < EXT2_FIRST_INO(s->b->e2->super); ino++) {
		if (ino == EXT2_ROOT_INO)
			continue;
		if (read_inode(s->b, ino, in) && in->i.i_links_count != 0)
			own_blocks(s, s->b, in);
	}
	free(in);
}

/* Blocks changed whose inodes did not: all inodes in use are asked. */
static int scan(struct search *s)
{
	ext2_filsys e2 = s->b->e2;
	uint32_t ipg = e2->super->s_inodes_per_group;
	struct ext_inode *in;
	int rc = 0;

	if (e2->super->s_inodes_count > MAX_SCAN)
		return -EOPNOTSUPP;
	in = malloc(sizeof *in);
	if (in == NULL)
		return ext_nomem(s->b);
	for (dgrp_t g = 0; rc == 0 && g < e2->group_desc_count; g++) {
		uint32_t used = ipg;

		if (ext2fs_has_group_desc_csum(e2) && ext2fs_bg_itable_unused(e2, g) <= ipg)
			used = ipg - ext2fs_bg_itable_unused(e2, g);
		for (uint32_t i = 0; rc == 0 && i < used; i++) {
			uint32_t ino = g * ipg + i + 1;
			bool met = read_inode(s->b, ino, in) && in->i.i_links_count != 0 && own_blocks(s, s->b, in);

			if (read_inode(s->a, ino, in) && in->i.i_links_count != 0)
				met = own_blocks(s, s->a, in) || met;
			if (met)
				rc = s->fn(s->user, ino);
		}
	}
	free(in);
	return rc;
}

int ext_suspects(struct domu_fs *before, struct domu_fs *after, const struct domu_span *spans, size_t n,
                 int (*fn)(void *user, uint64_t ino), void *user)
{
	struct search s = { .a = ext_of(before), .b = ext_of(after), .fn = fn, .user = user };
	int rc;

	if (!same_layout(s.a->e2, s.b->e2))
		return -EOPNOTSUPP;
	rc = list_tables(&s);
	if (rc == 0)
		rc = each_block(&s, spans, n, sort_out);
	if (rc == 0) {
		s.owned = calloc(s.n_left + 1, sizeof *s.owned);
		rc = s.owned == NULL ? ext_nomem(s.b) : each_block(&s, spans, n, look_at_inodes);
	}
	if (rc == 0 && s.n_owned < s.n_left)
		own_reserved(&s);
	if (rc == 0 && s.n_owned < s.n_left)
		rc = scan(&s);
	ext_map_forget(s.a);
	ext_map_forget(s.b);
	free(s.tables);
	free(s.left);
	free(s.owned);
	return rc;
}
