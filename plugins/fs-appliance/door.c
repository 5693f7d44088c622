/* SPDX-License-Identifier: GPL-3.0-or-later */
/* door.c - the doors of xfs and btrfs: an unknown incompatible feature, and the checksum that goes with it. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/num.h"
#include "fs-appliance.h"

/*
 * The checksum covers more than the sector that is at hand.  CRC is linear:
 * that of the changed bytes is the old one XOR that of the difference, begun
 * with 0, followed by zeros to the end.  So it becomes right without the rest
 * being known, and stays wrong where it was wrong.
 */
static void correct(uint8_t *sector, const uint8_t *old, size_t from, size_t size, size_t covered, uint8_t *crc)
{
	static const uint8_t zeros[512];
	uint8_t delta[512];
	uint32_t c = 0;
	size_t at, n;

	for (at = from; at < size; at += n) {
		n = size - at < sizeof delta ? size - at : sizeof delta;
		for (size_t i = 0; i < n; i++)
			delta[i] = sector[at + i] ^ old[at + i];
		c = domu_crc32c(c, delta, n);
	}
	for (; at < covered; at += n) {
		n = covered - at < sizeof zeros ? covered - at : sizeof zeros;
		c = domu_crc32c(c, zeros, n);
	}
	domu_put_le32(crc, domu_le32(crc) ^ c);
}

static void put_text(uint8_t *sector, const char *id)
{
	char *text = (char *)sector + DOOR_TEXT_AT;

	memcpy(text, DOOR_TEXT, strlen(DOOR_TEXT));
	memcpy(text + strlen(DOOR_TEXT), id, strlen(id) + 1);
}

static int close_xfs(uint8_t *s, const uint8_t *old, uint32_t size, const char *id)
{
	uint32_t covered = (uint32_t)s[XFS_SECTOR_AT] << 8 | s[XFS_SECTOR_AT + 1];

	if ((s[XFS_VERSION_AT + 1] & 15) != XFS_CRC_VERSION || covered < 512 || covered > 32768)
		return -EINVAL;
	s[XFS_INCOMPAT_AT] |= DOOR_BIT >> 24;
	put_text(s, id);
	correct(s, old, 0, size < covered ? size : covered, covered, s + XFS_CRC_AT);
	return 0;
}

static int close_btrfs(uint8_t *s, const uint8_t *old, uint32_t size, const char *id)
{
	if (domu_le16(s + BTRFS_CSUM_TYPE_AT) != 0 || domu_le64(s + BTRFS_BYTENR_AT) != BTRFS_SB_OFFSET)
		return -EINVAL;
	s[BTRFS_INCOMPAT_AT + 3] |= DOOR_BIT >> 24;
	put_text(s, id);
	correct(s, old, BTRFS_CSUM_SIZE, size, BTRFS_SB_SIZE, s);
	return 0;
}

int app_door_close(void *sector, uint32_t size, const char *id)
{
	uint8_t *s = sector;
	uint8_t *old;
	int rc = -EINVAL;

	if (size < 512 || size > 4096 || strlen(id) > DOOR_ID_LEN)
		return -EINVAL;
	old = malloc(size);
	if (old == NULL)
		return -ENOMEM;
	memcpy(old, s, size);
	if (memcmp(s + XFS_MAGIC_AT, "XFSB", 4) == 0)
		rc = close_xfs(s, old, size, id);
	else if (memcmp(s + BTRFS_MAGIC_AT, "_BHRfS_M", 8) == 0)
		rc = close_btrfs(s, old, size, id);
	free(old);
	return rc;
}
