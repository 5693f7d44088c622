/* SPDX-License-Identifier: GPL-3.0-or-later */
/* probe.c - xfs and btrfs by their superblocks, read in the worker before any appliance is started. */
#include "config.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "fs-appliance.h"

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static void uuid_text(const uint8_t *u, char out[40])
{
	snprintf(out, 40, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
	         u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

static void label_text(const uint8_t *p, size_t size, struct domu_probe *out)
{
	size_t n = strnlen((const char *)p, size);

	if (n > sizeof out->label - 1)
		n = sizeof out->label - 1;
	memcpy(out->label, p, n);
	out->label[n] = '\0';
}

static void add_feature(struct domu_probe *out, const char *name)
{
	size_t n = strlen(out->features);

	snprintf(out->features + n, sizeof out->features - n, "%s%s", n > 0 ? " " : "", name);
}

struct feature {
	uint32_t bit;
	const char *name;
};

static void add_features(struct domu_probe *out, uint64_t bits, const struct feature *f)
{
	for (; f->name != NULL; f++)
		if (bits & f->bit)
			add_feature(out, f->name);
}

/* The bit says it, the text by whom. */
static void look_at_door(const uint8_t *sb, uint64_t incompat, struct domu_probe *out)
{
	const char *text = (const char *)sb + DOOR_TEXT_AT;
	const size_t prefix = strlen(DOOR_TEXT);

	if ((incompat & DOOR_BIT) == 0)
		return;
	out->closed = true;
	if (memcmp(text, DOOR_TEXT, prefix) == 0 && strnlen(text + prefix, DOOR_ID_LEN + 1) <= DOOR_ID_LEN)
		snprintf(out->closed_by, sizeof out->closed_by, "%s", text + prefix);
}

static int probe_xfs(struct domu_block *b, struct domu_probe *out)
{
	static const struct feature ro_compat[] = {
		{ 1, "finobt" }, { 2, "rmapbt" }, { 4, "reflink" }, { 8, "inobtcnt" }, { 0, NULL }
	};
	static const struct feature incompat[] = { { 1, "ftype" },   { 2, "sparse" },       { 4, "meta_uuid" },
		                                   { 8, "bigtime" }, { 16, "needsrepair" }, { 32, "nrext64" },
		                                   { 0, NULL } };
	uint8_t sb[512];
	uint32_t sector;
	uint64_t blocks, left;

	if (b->size < sizeof sb || domu_block_pread(b, sb, sizeof sb, 0) != 0 || memcmp(sb, "XFSB", 4) != 0)
		return -ENODATA;
	out->block_size = be32(sb + XFS_BLOCK_SIZE_AT);
	sector = be16(sb + XFS_SECTOR_AT);
	blocks = be64(sb + XFS_BLOCKS_AT);
	left = be64(sb + XFS_FREE_AT);
	if (sb[XFS_BLOCK_LOG_AT] < 9 || sb[XFS_BLOCK_LOG_AT] > 16 || out->block_size != 1u << sb[XFS_BLOCK_LOG_AT] ||
	    sb[XFS_SECTOR_LOG_AT] < 9 || sb[XFS_SECTOR_LOG_AT] > 15 || sector != 1u << sb[XFS_SECTOR_LOG_AT] ||
	    !domu_mul(blocks, out->block_size, &out->size))
		return -ENODATA;
	snprintf(out->type, sizeof out->type, "xfs");
	uuid_text(sb + XFS_UUID_AT, out->uuid);
	label_text(sb + XFS_LABEL_AT, 12, out);
	if (left <= blocks)
		out->used = (blocks - left) * out->block_size;
	if ((be16(sb + XFS_VERSION_AT) & 15) != XFS_CRC_VERSION) {
		add_feature(out, "v4");
		return 0;
	}
	add_feature(out, "crc");
	add_features(out, be32(sb + XFS_RO_COMPAT_AT), ro_compat);
	add_features(out, be32(sb + XFS_INCOMPAT_AT), incompat);
	out->has_door = true;
	out->door = 0;
	look_at_door(sb, be32(sb + XFS_INCOMPAT_AT), out);
	return 0;
}

static int probe_btrfs(struct domu_block *b, struct domu_probe *out)
{
	static const struct feature incompat[] = { { 1, "mixed_backref" },
		                                   { 2, "default_subvol" },
		                                   { 4, "mixed_bg" },
		                                   { 8, "lzo" },
		                                   { 16, "zstd" },
		                                   { 32, "big_metadata" },
		                                   { 64, "extended_iref" },
		                                   { 128, "raid56" },
		                                   { 256, "skinny_metadata" },
		                                   { 512, "no_holes" },
		                                   { 1024, "metadata_uuid" },
		                                   { 2048, "raid1c34" },
		                                   { 4096, "zoned" },
		                                   { 0, NULL } };
	uint8_t sb[1024];
	uint64_t flags;

	if (b->size < BTRFS_SB_OFFSET + BTRFS_SB_SIZE || domu_block_pread(b, sb, sizeof sb, BTRFS_SB_OFFSET) != 0 ||
	    memcmp(sb + BTRFS_MAGIC_AT, "_BHRfS_M", 8) != 0 || domu_le64(sb + BTRFS_BYTENR_AT) != BTRFS_SB_OFFSET)
		return -ENODATA;
	snprintf(out->type, sizeof out->type, "btrfs");
	uuid_text(sb + BTRFS_UUID_AT, out->uuid);
	label_text(sb + BTRFS_LABEL_AT, 256, out);
	out->size = domu_le64(sb + BTRFS_TOTAL_AT);
	out->used = domu_le64(sb + BTRFS_USED_AT);
	out->block_size = domu_le32(sb + BTRFS_SECTOR_AT);
	flags = domu_le64(sb + BTRFS_INCOMPAT_AT);
	add_features(out, flags, incompat);
	if (domu_le64(sb + BTRFS_DEVICES_AT) != 1)
		add_feature(out, "multi-device");
	out->has_door = domu_le16(sb + BTRFS_CSUM_TYPE_AT) == 0;
	out->door = BTRFS_SB_OFFSET;
	look_at_door(sb, flags, out);
	return 0;
}

int app_probe(struct domu_block *b, struct domu_probe *out)
{
	int rc = probe_xfs(b, out);

	if (rc != -ENODATA)
		return rc;
	memset(out, 0, sizeof *out);
	return probe_btrfs(b, out);
}
