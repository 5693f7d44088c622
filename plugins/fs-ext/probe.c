/* SPDX-License-Identifier: GPL-3.0-or-later */
/* probe.c - what a superblock says before anything is opened, and the door in its sector. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "fs-ext.h"

/* Offsets in the superblock, as Documentation/filesystems/ext4/super.rst has them. */
enum {
	SB_BLOCKS = 0x04,
	SB_FREE = 0x0c,
	SB_LOG_BLOCK = 0x18,
	SB_BLOCKS_PER_GROUP = 0x20,
	SB_MAGIC = 0x38,
	SB_REV = 0x4c,
	SB_FIRST_INO = 0x54,
	SB_INODE_SIZE = 0x58,
	SB_COMPAT = 0x5c,
	SB_INCOMPAT = 0x60,
	SB_RO_COMPAT = 0x64,
	SB_UUID = 0x68,
	SB_LABEL = 0x78,
	SB_LAST_MOUNTED = 0x88,
	SB_BLOCKS_HI = 0x150,
	SB_FREE_HI = 0x158,
};
#define LAST_MOUNTED_LEN 64

struct feature {
	uint32_t bit;
	const char *name;
};

/* The names that dumpe2fs prints. */
static const struct feature compat_names[] = {
	{ EXT2_FEATURE_COMPAT_DIR_PREALLOC, "dir_prealloc" },
	{ EXT2_FEATURE_COMPAT_IMAGIC_INODES, "imagic_inodes" },
	{ EXT3_FEATURE_COMPAT_HAS_JOURNAL, "has_journal" },
	{ EXT2_FEATURE_COMPAT_EXT_ATTR, "ext_attr" },
	{ EXT2_FEATURE_COMPAT_RESIZE_INODE, "resize_inode" },
	{ EXT2_FEATURE_COMPAT_DIR_INDEX, "dir_index" },
	{ EXT2_FEATURE_COMPAT_LAZY_BG, "lazy_bg" },
	{ EXT2_FEATURE_COMPAT_EXCLUDE_BITMAP, "snapshot_bitmap" },
	{ EXT4_FEATURE_COMPAT_SPARSE_SUPER2, "sparse_super2" },
	{ EXT4_FEATURE_COMPAT_FAST_COMMIT, "fast_commit" },
	{ EXT4_FEATURE_COMPAT_STABLE_INODES, "stable_inodes" },
	{ EXT4_FEATURE_COMPAT_ORPHAN_FILE, "orphan_file" },
	{ 0, NULL },
};

static const struct feature incompat_names[] = {
	{ EXT2_FEATURE_INCOMPAT_COMPRESSION, "compression" },
	{ EXT2_FEATURE_INCOMPAT_FILETYPE, "filetype" },
	{ EXT3_FEATURE_INCOMPAT_RECOVER, "needs_recovery" },
	{ EXT3_FEATURE_INCOMPAT_JOURNAL_DEV, "journal_dev" },
	{ EXT3_FEATURE_INCOMPAT_EXTENTS, "extent" },
	{ EXT2_FEATURE_INCOMPAT_META_BG, "meta_bg" },
	{ EXT4_FEATURE_INCOMPAT_64BIT, "64bit" },
	{ EXT4_FEATURE_INCOMPAT_MMP, "mmp" },
	{ EXT4_FEATURE_INCOMPAT_FLEX_BG, "flex_bg" },
	{ EXT4_FEATURE_INCOMPAT_EA_INODE, "ea_inode" },
	{ EXT4_FEATURE_INCOMPAT_DIRDATA, "dirdata" },
	{ EXT4_FEATURE_INCOMPAT_CSUM_SEED, "metadata_csum_seed" },
	{ EXT4_FEATURE_INCOMPAT_LARGEDIR, "large_dir" },
	{ EXT4_FEATURE_INCOMPAT_INLINE_DATA, "inline_data" },
	{ EXT4_FEATURE_INCOMPAT_ENCRYPT, "encrypt" },
	{ EXT4_FEATURE_INCOMPAT_CASEFOLD, "casefold" },
	{ EXT_DOOR_BIT, "domu-rescue-closed" },
	{ 0, NULL },
};

static const struct feature ro_compat_names[] = {
	{ EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER, "sparse_super" },
	{ EXT2_FEATURE_RO_COMPAT_LARGE_FILE, "large_file" },
	{ EXT4_FEATURE_RO_COMPAT_HUGE_FILE, "huge_file" },
	{ EXT4_FEATURE_RO_COMPAT_GDT_CSUM, "uninit_bg" },
	{ EXT4_FEATURE_RO_COMPAT_DIR_NLINK, "dir_nlink" },
	{ EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE, "extra_isize" },
	{ EXT4_FEATURE_RO_COMPAT_HAS_SNAPSHOT, "snapshot" },
	{ EXT4_FEATURE_RO_COMPAT_QUOTA, "quota" },
	{ EXT4_FEATURE_RO_COMPAT_BIGALLOC, "bigalloc" },
	{ EXT4_FEATURE_RO_COMPAT_METADATA_CSUM, "metadata_csum" },
	{ EXT4_FEATURE_RO_COMPAT_REPLICA, "replica" },
	{ EXT4_FEATURE_RO_COMPAT_READONLY, "read-only" },
	{ EXT4_FEATURE_RO_COMPAT_PROJECT, "project" },
	{ EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS, "shared_blocks" },
	{ EXT4_FEATURE_RO_COMPAT_VERITY, "verity" },
	{ EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, "orphan_present" },
	{ 0, NULL },
};

static size_t add_names(char *out, size_t size, size_t used, const struct feature *table, char kind, uint32_t bits)
{
	for (unsigned n = 0; n < 32; n++) {
		const struct feature *f = table;
		uint32_t bit = 1u << n;
		char other[16];
		int len;

		if ((bits & bit) == 0)
			continue;
		while (f->bit != 0 && f->bit != bit)
			f++;
		snprintf(other, sizeof other, "FEATURE_%c%u", kind, n);
		len = snprintf(out + used, size - used, "%s%s", used > 0 ? " " : "", f->bit != 0 ? f->name : other);
		if (len < 0 || (size_t)len >= size - used) {
			out[used] = '\0';
			return used;
		}
		used += (size_t)len;
	}
	return used;
}

void ext_feature_names(uint32_t compat, uint32_t incompat, uint32_t ro_compat, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	used = add_names(out, size, used, compat_names, 'C', compat);
	used = add_names(out, size, used, incompat_names, 'I', incompat);
	add_names(out, size, used, ro_compat_names, 'R', ro_compat);
}

/* As blkid tells the three apart: by what an ext2 or ext3 driver would refuse. */
static const char *type_of(uint32_t compat, uint32_t incompat, uint32_t ro_compat)
{
	const uint32_t old_incompat =
	    EXT2_FEATURE_INCOMPAT_FILETYPE | EXT2_FEATURE_INCOMPAT_META_BG | EXT3_FEATURE_INCOMPAT_RECOVER;
	const uint32_t old_ro = EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE | 0x4;

	if ((incompat & ~old_incompat) != 0 || (ro_compat & ~old_ro) != 0)
		return "ext4";
	return (compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL) != 0 ? "ext3" : "ext2";
}

/* What makes 512 bytes with the magic a superblock: fields that all of them have. */
static bool sane(const uint8_t *sb)
{
	return domu_le16(sb + SB_MAGIC) == EXT2_SUPER_MAGIC && domu_le32(sb + SB_REV) <= EXT2_DYNAMIC_REV &&
	       domu_le32(sb + SB_LOG_BLOCK) <= EXT2_MAX_BLOCK_LOG_SIZE - EXT2_MIN_BLOCK_LOG_SIZE;
}

static void put_text(char *out, size_t size, const uint8_t *field, size_t len)
{
	size_t n = strnlen((const char *)field, len);

	snprintf(out, size, "%.*s", (int)n, (const char *)field);
}

static void put_uuid(char out[40], const uint8_t *u)
{
	static const uint8_t none[16];

	if (memcmp(u, none, sizeof none) == 0)
		return;
	snprintf(out, 40, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
	         u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

static void probe_sizes(const uint8_t *sb, uint32_t incompat, struct domu_probe *out)
{
	uint64_t blocks = domu_le32(sb + SB_BLOCKS), unused = domu_le32(sb + SB_FREE);

	out->block_size = EXT2_MIN_BLOCK_SIZE << domu_le32(sb + SB_LOG_BLOCK);
	if ((incompat & EXT4_FEATURE_INCOMPAT_64BIT) != 0) {
		blocks |= (uint64_t)domu_le32(sb + SB_BLOCKS_HI) << 32;
		unused |= (uint64_t)domu_le32(sb + SB_FREE_HI) << 32;
	}
	if (!domu_mul(blocks, out->block_size, &out->size))
		out->size = 0;
	else if (unused <= blocks)
		out->used = (blocks - unused) * out->block_size;
}

int ext_probe(struct domu_block *b, struct domu_probe *out)
{
	uint8_t sb[SUPERBLOCK_SIZE];
	uint32_t compat = 0, incompat = 0, ro_compat = 0;

	memset(out, 0, sizeof *out);
	if (b->size < SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE ||
	    domu_block_pread(b, sb, sizeof sb, SUPERBLOCK_OFFSET) != 0 || !sane(sb))
		return -ENODATA;
	if (domu_le32(sb + SB_REV) >= EXT2_DYNAMIC_REV) {
		compat = domu_le32(sb + SB_COMPAT);
		incompat = domu_le32(sb + SB_INCOMPAT);
		ro_compat = domu_le32(sb + SB_RO_COMPAT);
	}
	/* A journal device has the same superblock and no filesystem. */
	if ((incompat & EXT3_FEATURE_INCOMPAT_JOURNAL_DEV) != 0 || domu_le32(sb + SB_BLOCKS_PER_GROUP) == 0)
		return -ENODATA;
	put_uuid(out->uuid, sb + SB_UUID);
	put_text(out->label, sizeof out->label, sb + SB_LABEL, 16);
	snprintf(out->type, sizeof out->type, "%s", type_of(compat, incompat & ~EXT_DOOR_BIT, ro_compat));
	probe_sizes(sb, incompat, out);
	out->needs_replay =
	    (compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL) != 0 && (incompat & EXT3_FEATURE_INCOMPAT_RECOVER) != 0;
	ext_feature_names(compat, incompat, ro_compat, out->features, sizeof out->features);
	if (b->sector_size >= 512) {
		out->has_door = true;
		out->door = SUPERBLOCK_OFFSET / b->sector_size * b->sector_size;
	}
	if ((incompat & EXT_DOOR_BIT) != 0 &&
	    memcmp(sb + SB_LAST_MOUNTED, EXT_DOOR_TEXT, sizeof EXT_DOOR_TEXT - 1) == 0) {
		out->closed = true;
		put_text(out->closed_by, sizeof out->closed_by, sb + SB_LAST_MOUNTED + sizeof EXT_DOOR_TEXT - 1,
		         LAST_MOUNTED_LEN - (sizeof EXT_DOOR_TEXT - 1));
	}
	return 0;
}

/*
 * Without metadata_csum nobody looks at the superblock's checksum, whichever
 * of its two sectors is already new: the unknown incompat bit then keeps every
 * driver and e2fsck off.  A revision 0 superblock has no feature words: closed,
 * it is of revision 1, with the sizes that revision 0 implies.
 */
int ext_door_close(void *sector, uint32_t sector_size, const char *id)
{
	uint8_t *sb = sector;
	uint32_t incompat = 0, ro_compat = 0;
	char text[LAST_MOUNTED_LEN + 1] = "";

	if (sector_size < 512 || id == NULL)
		return -EINVAL;
	sb += SUPERBLOCK_OFFSET % sector_size;
	if (!sane(sb))
		return -EINVAL;
	if (domu_le32(sb + SB_REV) >= EXT2_DYNAMIC_REV) {
		incompat = domu_le32(sb + SB_INCOMPAT);
		ro_compat = domu_le32(sb + SB_RO_COMPAT);
	}
	if ((incompat & (EXT_DOOR_BIT | EXT3_FEATURE_INCOMPAT_JOURNAL_DEV)) != 0)
		return -EINVAL;
	if (snprintf(text, sizeof text, "%s%s", EXT_DOOR_TEXT, id) > LAST_MOUNTED_LEN)
		return -EINVAL;
	if (domu_le32(sb + SB_REV) < EXT2_DYNAMIC_REV) {
		domu_put_le32(sb + SB_REV, EXT2_DYNAMIC_REV);
		domu_put_le32(sb + SB_FIRST_INO, EXT2_GOOD_OLD_FIRST_INO);
		domu_put_le32(sb + SB_INODE_SIZE,
		              EXT2_GOOD_OLD_INODE_SIZE); /* and the number of its group, 0 in the first */
		domu_put_le32(sb + SB_COMPAT, 0);
	}
	domu_put_le32(sb + SB_INCOMPAT, incompat | EXT_DOOR_BIT);
	domu_put_le32(sb + SB_RO_COMPAT, ro_compat & ~(uint32_t)EXT4_FEATURE_RO_COMPAT_METADATA_CSUM);
	memcpy(sb + SB_LAST_MOUNTED, text, LAST_MOUNTED_LEN);
	return 0;
}
