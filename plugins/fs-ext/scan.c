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

uint32_t ext_scan_seed(const struct ext_fs *x, const struct ext_inode *in)
{
	uint8_t v[8];

	if (!ext2fs_has_feature_metadata_csum(x->e2->super))
		return 0;
	domu_put_le32(v, in->ino);
	domu_put_le32(v + 4, in->i.i_generation);
	return domu_crc32c(x->e2->csum_seed, v, sizeof v);
}

/* As ext2fs_inode_csum_verify(), which computes it byte by byte; zeros where it stands, so that it is one pass. */
static bool csum_ok(const struct ext_fs *x, struct ext_inode *in, uint32_t seed)
{
	uint8_t *lo = in->raw + offsetof(struct ext2_inode, osd2.linux2.l_i_checksum_lo);
	uint8_t *hi = in->raw + offsetof(struct ext2_inode_large, i_checksum_hi);
	bool has_hi = ext_has(x, in, i_checksum_hi);
	uint32_t crc, have = domu_le16(lo);

	if (!ext2fs_has_feature_metadata_csum(x->e2->super))
		return true;
	memset(lo, 0, 2);
	if (has_hi) {
		have |= (uint32_t)domu_le16(hi) << 16;
		memset(hi, 0, 2);
	}
	crc = domu_crc32c(seed, in->raw, ext_inode_size(x));
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

static inline int give_inode(struct ext_scan *s, struct ext_inode *in)
{
	struct ext_fs *x = s->x;
	struct domu_scan_inode out;
	uint32_t seed = ext_scan_seed(x, in);
	int rc = 0;

	if ((in->ino != EXT2_ROOT_INO && in->ino < EXT2_FIRST_INO(x->e2->super)) ||
	    in->ino > x->e2->super->s_inodes_count || (in->i.i_flags & EXT4_EA_INODE_FL) != 0 || !csum_ok(x, in, seed))
		return 0;
	if (s->to->inode != NULL) {
		ext_stat_of(x, in, &out.st);
		out.xattrs = has_xattrs(x, in);
		out.first = first_byte(x, in);
		rc = s->to->inode(s->user, &out);
	}
	return rc == 0 && s->to->name != NULL && LINUX_S_ISDIR(in->i.i_mode) ? ext_scan_dir(s, in, seed) : rc;
}

/* The inode as it lies there; in->large is all zeros, or was so filled before. */
static inline int take_raw(struct ext_scan *s, struct ext_inode *in, uint32_t ino, const uint8_t *raw)
{
	if (domu_le16(raw + offsetof(struct ext2_inode, i_mode)) == 0 ||
	    domu_le16(raw + offsetof(struct ext2_inode, i_links_count)) == 0)
		return 0;
	in->ino = ino;
	memcpy(in->raw, raw, ext_inode_size(s->x));
	return give_inode(s, in);
}

static int scan_piece(struct ext_scan *s, uint32_t ino, size_t len)
{
	size_t size = ext_inode_size(s->x);
	struct ext_inode in;
	int rc = 0;

	memset(&in.large, 0, sizeof in.large);
	for (size_t at = 0; rc == 0 && at < len; at += size, ino++)
		rc = take_raw(s, &in, ino, s->piece + at);
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

static int scan_group(struct ext_scan *s, dgrp_t g)
{
	ext2_filsys e2 = s->x->e2;
	size_t size = ext_inode_size(s->x), per = EXT_SCAN_PIECE / size;
	uint64_t offset = ext2fs_inode_table_loc(e2, g) * e2->blocksize;
	uint32_t left = used_inodes(e2, g), ino = g * e2->super->s_inodes_per_group + 1;

	if (left > 0 && !ext_block_ok(s->x, ext2fs_inode_table_loc(e2, g), e2->inode_blocks_per_group))
		return -EUCLEAN;
	while (left > 0) {
		uint32_t n = left < per ? left : (uint32_t)per;
		int rc = domu_block_pread(s->x->fs->block, s->piece, n * size, offset);

		if (rc == 0)
			rc = scan_piece(s, ino, n * size);
		if (rc != 0)
			return rc;
		left -= n;
		ino += n;
		offset += n * size;
	}
	return 0;
}

/* ---- some of them --------------------------------------------------------------- */

/* The byte of the block device where it is; 0: nowhere, or never used. */
static uint64_t place_of(struct ext_scan *s, uint32_t ino)
{
	ext2_filsys e2 = s->x->e2;
	uint32_t per = e2->super->s_inodes_per_group;
	dgrp_t g;

	if (ino == 0 || ino > e2->super->s_inodes_count)
		return 0;
	if (s->first == 0 || ino < s->first || ino - s->first >= per) {
		g = (ino - 1) / per;
		s->first = g * per + 1;
		s->used = used_inodes(e2, g);
		s->table = 0;
		if (ext_block_ok(s->x, ext2fs_inode_table_loc(e2, g), e2->inode_blocks_per_group))
			s->table = ext2fs_inode_table_loc(e2, g) * e2->blocksize;
	}
	if (s->table == 0 || ino - s->first >= s->used)
		return 0;
	return s->table + (uint64_t)(ino - s->first) * ext_inode_size(s->x);
}

/* From inos[0] on: as many as one read gives; *len: of that read. */
static size_t reach(struct ext_scan *s, const uint32_t *inos, size_t n, uint64_t first, size_t *len)
{
	size_t size = ext_inode_size(s->x), i = 1;

	*len = size;
	for (; i < n; i++) {
		uint64_t at = place_of(s, inos[i]);

		if (at < first + *len || at + size - first > EXT_SCAN_PIECE || at - first - *len > EXT_SCAN_NEAR)
			break;
		*len = (size_t)(at + size - first);
	}
	return i;
}

/*
 * From inos[0] on, as many as lie near each other: the disk begins to read them, with what is between, which takes it
 * no longer.  What is read without gaps the kernel sees by itself.
 */
static size_t announce(struct ext_scan *s, const uint32_t *inos, size_t n, uint64_t first)
{
	size_t size = ext_inode_size(s->x), i = 1;
	uint32_t block = s->x->e2->blocksize;
	uint64_t end = first + size;
	bool gaps = false;

	for (; i < n; i++) {
		uint64_t at = place_of(s, inos[i]);

		if (at < end || at - end > EXT_SCAN_GAP || at + size - first > EXT_SCAN_AHEAD)
			break;
		gaps = gaps || at - end > EXT_SCAN_NEAR;
		end = at + size;
	}
	if (gaps)
		io_channel_cache_readahead(s->x->e2->io, first / block, (end - 1) / block - first / block + 1);
	return i;
}

static int scan_list(struct ext_scan *s, const uint32_t *inos, size_t n)
{
	struct ext_inode in;
	size_t len, k, told = 0;
	int rc = 0;

	memset(&in.large, 0, sizeof in.large);
	for (size_t i = 0; rc == 0 && i < n; i += k) {
		uint64_t first = place_of(s, inos[i]);

		k = 1;
		if (first == 0)
			continue;
		if (i >= told)
			told = i + announce(s, inos + i, n - i, first);
		k = reach(s, inos + i, n - i, first, &len);
		rc = domu_block_pread(s->x->fs->block, s->piece, len, first);
		for (size_t j = i; rc == 0 && j < i + k; j++)
			rc = take_raw(s, &in, inos[j], s->piece + (place_of(s, inos[j]) - first));
	}
	return rc;
}

/* ---- the driver's calls ------------------------------------------------------------ */

static int scan(struct domu_fs *fs, const uint32_t *inos, size_t n, const struct domu_scan *to, void *user)
{
	struct ext_scan s = { .x = ext_of(fs), .to = to, .user = user };
	ext2_filsys e2 = s.x->e2;
	int rc = 0;

	/* The inodes are looked at as they are on the disk. */
	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		return -EOPNOTSUPP;
	/* They are read past libext2fs' cache, in which a change may still be. */
	if (fs->writable && io_channel_flush(e2->io) != 0)
		return -EIO;
	s.piece = malloc(EXT_SCAN_PIECE > e2->blocksize ? EXT_SCAN_PIECE : e2->blocksize);
	if (s.piece == NULL)
		return -ENOMEM;
	for (dgrp_t g = 0; rc == 0 && inos == NULL && g < e2->group_desc_count; g++)
		rc = scan_group(&s, g);
	if (rc == 0 && inos != NULL)
		rc = scan_list(&s, inos, n);
	if (rc == 0)
		rc = ext_scan_blocks(&s);
	free(s.blocks);
	free(s.piece);
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
