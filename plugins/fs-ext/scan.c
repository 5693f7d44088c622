/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan.c - every inode in use in one pass over the inode tables, without libext2fs' way of one at a time. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "fs-ext.h"

#define EA_MAGIC 0xEA020000u /* before the attributes that are in an inode */

/*
 * Only what is sound is given, by the same rules as ext_iget().  All else is
 * left to the way by name, which says what is wrong with it.
 */

static uint32_t seed_of(const struct ext_fs *x, uint32_t ino, uint32_t generation)
{
	uint8_t v[8];

	if (!ext2fs_has_feature_metadata_csum(x->e2->super))
		return 0;
	domu_put_le32(v, ino);
	domu_put_le32(v + 4, generation);
	return domu_crc32c(x->e2->csum_seed, v, sizeof v);
}

uint32_t ext_scan_seed(const struct ext_fs *x, const struct ext_inode *in)
{
	return seed_of(x, in->ino, in->i.i_generation);
}

static bool in_use(const uint8_t *raw)
{
	return domu_le16(raw + offsetof(struct ext2_inode, i_mode)) != 0 &&
	       domu_le16(raw + offsetof(struct ext2_inode, i_links_count)) != 0;
}

/* As ext2fs_inode_csum_verify(), which computes it byte by byte; zeros where it stands, so that it is one pass. */
static bool csum_ok(const struct ext_fs *x, uint32_t ino, uint8_t *raw)
{
	const size_t end = offsetof(struct ext2_inode_large, i_checksum_hi) + 2;
	uint8_t *lo = raw + offsetof(struct ext2_inode, osd2.linux2.l_i_checksum_lo), *hi = raw + end - 2;
	size_t size = ext_inode_size(x), fixed = EXT2_GOOD_OLD_INODE_SIZE;
	uint32_t crc, have = domu_le16(lo);
	bool has_hi;

	if (!ext2fs_has_feature_metadata_csum(x->e2->super))
		return true;
	if (size > EXT2_GOOD_OLD_INODE_SIZE)
		fixed += domu_le16(raw + offsetof(struct ext2_inode_large, i_extra_isize));
	has_hi = end <= fixed && fixed <= size;
	memset(lo, 0, 2);
	if (has_hi) {
		have |= (uint32_t)domu_le16(hi) << 16;
		memset(hi, 0, 2);
	}
	crc = domu_crc32c(seed_of(x, ino, domu_le32(raw + offsetof(struct ext2_inode, i_generation))), raw, size);
	return have == (has_hi ? crc : crc & 0xffff);
}

static bool has_xattrs(const struct ext_fs *x, const struct ext_inode *in)
{
	size_t at = EXT2_GOOD_OLD_INODE_SIZE + (size_t)in->large.i_extra_isize;

	if (ext2fs_file_acl_block(x->e2, &in->i) != 0)
		return true;
	return ext_has_bytes(x, in, at) && at + 8 <= ext_inode_size(x) && domu_le32(in->raw + at) == EA_MAGIC &&
	       domu_le32(in->raw + at + 4) != 0;
}

/* Of a map that has more than one level, where that is: files are laid near it. */
static uint64_t first_byte(const struct ext_fs *x, const struct ext_inode *in)
{
	const uint8_t *map = (const uint8_t *)in->i.i_block;
	uint64_t blk = 0;

	if ((in->i.i_flags & EXT4_INLINE_DATA_FL) != 0 || in->i.i_blocks == 0 ||
	    (!LINUX_S_ISREG(in->i.i_mode) && !LINUX_S_ISLNK(in->i.i_mode) && !LINUX_S_ISDIR(in->i.i_mode)))
		return UINT64_MAX;
	if ((in->i.i_flags & EXT4_EXTENTS_FL) == 0) {
		for (unsigned i = 0; i < EXT2_N_BLOCKS && blk == 0; i++)
			blk = in->i.i_block[i];
	} else if (domu_le16(map) == EXT3_EXT_MAGIC && domu_le16(map + 2) > 0) {
		blk = domu_le16(map + 6) == 0 ? (uint64_t)domu_le16(map + 18) << 32 | domu_le32(map + 20)
		                              : (uint64_t)domu_le16(map + 20) << 32 | domu_le32(map + 16);
	}
	return ext_block_ok(x, blk, 1) ? blk * x->e2->blocksize : UINT64_MAX;
}

/* The inode as it lies there, where it is sound; in->large is all zeros, or was so filled before. */
static inline void make_inode(const struct ext_scan *s, struct ext_made *m, struct ext_inode *in, uint32_t ino,
                              uint8_t *raw)
{
	const struct ext2_super_block *sb = s->x->e2->super;
	struct domu_scan_inode *out = &m->inodes[m->n_inodes];
	size_t size = ext_inode_size(s->x);

	if (!in_use(raw) || (ino != EXT2_ROOT_INO && ino < EXT2_FIRST_INO(sb)) || ino > sb->s_inodes_count ||
	    !csum_ok(s->x, ino, raw))
		return;
	in->ino = ino;
	memcpy(in->raw, raw, size);
	if ((in->i.i_flags & EXT4_EA_INODE_FL) != 0)
		return;
	ext_stat_of(s->x, in, &out->st);
	out->xattrs = has_xattrs(s->x, in);
	out->first = first_byte(s->x, in);
	m->n_inodes++;
	if (!LINUX_S_ISDIR(in->i.i_mode))
		return;
	memcpy(m->bytes + m->used, raw, size);
	m->used += size;
}

static int use_inodes(struct ext_scan *s, const struct ext_piece *p)
{
	size_t size = ext_inode_size(s->x);
	const uint8_t *raw = p->made->bytes;
	struct ext_inode in;
	int rc = 0;

	memset(&in.large, 0, sizeof in.large);
	for (size_t i = 0; rc == 0 && i < p->made->n_inodes; i++) {
		const struct domu_scan_inode *one = &p->made->inodes[i];

		if (s->to->inode != NULL)
			rc = s->to->inode(s->user, one);
		if (!LINUX_S_ISDIR(one->st.mode))
			continue;
		if (rc == 0 && s->to->name != NULL) {
			in.ino = (uint32_t)one->st.ino;
			memcpy(in.raw, raw, size);
			rc = ext_scan_dir(s, &in, ext_scan_seed(s->x, &in));
		}
		raw += size;
	}
	return rc;
}

/* How many inodes of a group were ever used. */
static uint32_t used_inodes(ext2_filsys e2, dgrp_t g)
{
	uint32_t all = e2->super->s_inodes_per_group, unused;

	if (!ext2fs_has_group_desc_csum(e2))
		return all;
	if (ext2fs_bg_flags_test(e2, g, EXT2_BG_INODE_UNINIT))
		return 0;
	unused = ext2fs_bg_itable_unused(e2, g);
	return unused < all ? all - unused : 0;
}

/* The next piece of the tables, of which only what was ever used is read. */
static int plan_table(struct ext_scan *s, struct ext_piece *p)
{
	ext2_filsys e2 = s->x->e2;
	uint32_t size = (uint32_t)ext_inode_size(s->x), per = EXT_SCAN_PIECE / size;
	dgrp_t g;

	for (; s->left == 0; s->next++) {
		g = (dgrp_t)s->next;
		if (g >= e2->group_desc_count)
			return 1;
		s->left = used_inodes(e2, g);
		s->offset = ext2fs_inode_table_loc(e2, g) * e2->blocksize;
		s->ino = g * e2->super->s_inodes_per_group + 1;
		if (s->left > 0 && !ext_block_ok(s->x, ext2fs_inode_table_loc(e2, g), e2->inode_blocks_per_group))
			return -EUCLEAN;
	}
	p->first = s->ino;
	p->n = s->left < per ? s->left : per;
	p->offset = s->offset;
	p->len = p->n * size;
	s->left -= (uint32_t)p->n;
	s->ino += (uint32_t)p->n;
	s->offset += p->len;
	return 0;
}

static void make_table(const struct ext_scan *s, const struct ext_piece *p, uint8_t *data)
{
	struct ext_inode in;

	memset(&in.large, 0, sizeof in.large);
	for (size_t i = 0; i < p->n; i++)
		make_inode(s, p->made, &in, (uint32_t)(p->first + i), data + i * ext_inode_size(s->x));
}

static const struct ext_scan_pass tables = { .plan = plan_table, .make = make_table, .use = use_inodes };

/* ---- some of them --------------------------------------------------------------- */

/* The byte of the block device where it is; 0: nowhere, or never used. */
static uint64_t place_of(const struct ext_fs *x, struct ext_group *in, uint32_t ino)
{
	ext2_filsys e2 = x->e2;
	uint32_t per = e2->super->s_inodes_per_group;
	dgrp_t g;

	if (ino == 0 || ino > e2->super->s_inodes_count)
		return 0;
	if (in->first == 0 || ino < in->first || ino - in->first >= per) {
		g = (ino - 1) / per;
		in->first = g * per + 1;
		in->used = used_inodes(e2, g);
		in->table = 0;
		if (ext_block_ok(x, ext2fs_inode_table_loc(e2, g), e2->inode_blocks_per_group))
			in->table = ext2fs_inode_table_loc(e2, g) * e2->blocksize;
	}
	if (in->table == 0 || ino - in->first >= in->used)
		return 0;
	return in->table + (uint64_t)(ino - in->first) * ext_inode_size(x);
}

/* From the next of them, which is at first, on: as many as one read gives. */
static void reach(struct ext_scan *s, struct ext_piece *p)
{
	size_t size = ext_inode_size(s->x);

	p->len = size;
	for (p->n = 1; p->first + p->n < s->n_inos; p->n++) {
		uint64_t at = place_of(s->x, &s->planned, s->inos[p->first + p->n]);

		if (at < p->offset + p->len || at + size - p->offset > EXT_SCAN_PIECE ||
		    at - p->offset - p->len > EXT_SCAN_NEAR)
			break;
		p->len = (size_t)(at + size - p->offset);
	}
}

/*
 * From the next on, as many as lie near each other: the disk begins to read them, with what is between, which takes it
 * no longer.  What is read without gaps the kernel sees by itself.
 */
static size_t announce(struct ext_scan *s, size_t i, uint64_t first)
{
	size_t size = ext_inode_size(s->x);
	uint32_t block = s->x->e2->blocksize;
	uint64_t end = first + size;
	bool gaps = false;

	for (i++; i < s->n_inos; i++) {
		uint64_t at = place_of(s->x, &s->planned, s->inos[i]);

		if (at < end || at - end > EXT_SCAN_GAP || at + size - first > EXT_SCAN_AHEAD)
			break;
		gaps = gaps || at - end > EXT_SCAN_NEAR;
		end = at + size;
	}
	if (gaps)
		io_channel_cache_readahead(s->x->e2->io, first / block, (end - 1) / block - first / block + 1);
	return i;
}

static int plan_listed(struct ext_scan *s, struct ext_piece *p)
{
	while (s->next < s->n_inos && (p->offset = place_of(s->x, &s->planned, s->inos[s->next])) == 0)
		s->next++;
	if (s->next == s->n_inos)
		return 1;
	if (s->next >= s->told)
		s->told = announce(s, s->next, p->offset);
	p->first = s->next;
	reach(s, p);
	s->next += p->n;
	return 0;
}

static void make_listed(const struct ext_scan *s, const struct ext_piece *p, uint8_t *data)
{
	struct ext_group g = { 0 };
	struct ext_inode in;

	memset(&in.large, 0, sizeof in.large);
	for (size_t i = 0; i < p->n; i++) {
		uint32_t ino = s->inos[p->first + i];

		make_inode(s, p->made, &in, ino, data + (place_of(s->x, &g, ino) - p->offset));
	}
}

static const struct ext_scan_pass listed = { .plan = plan_listed, .make = make_listed, .use = use_inodes };

/* ---- the driver's calls ------------------------------------------------------------ */

static int scan(struct domu_fs *fs, const uint32_t *inos, size_t n, const struct domu_scan *to, void *user)
{
	struct ext_scan s = { .x = ext_of(fs), .to = to, .user = user, .inos = inos, .n_inos = n };
	int rc;

	/* The inodes are looked at as they are on the disk. */
	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		return -EOPNOTSUPP;
	/* They are read past libext2fs' cache, in which a change may still be. */
	if (fs->writable && io_channel_flush(s.x->e2->io) != 0)
		return -EIO;
	rc = ext_scan_read(&s, inos != NULL ? &listed : &tables);
	if (rc == 0)
		rc = ext_scan_blocks(&s);
	free(s.blocks);
	/* A part is followed by others. */
	if (inos == NULL)
		ext_scan_free(s.x);
	return rc;
}

int ext_scan(struct domu_fs *fs, const struct domu_scan *to, void *user)
{
	return scan(fs, NULL, 0, to, user);
}

int ext_scan_some(struct domu_fs *fs, const uint32_t *inos, size_t n, const struct domu_scan *to, void *user)
{
	return n > 0 ? scan(fs, inos, n, to, user) : 0;
}
