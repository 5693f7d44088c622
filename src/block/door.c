/* SPDX-License-Identifier: GPL-3.0-or-later */
/* door.c - what a closed door looks like. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "block/commit-private.h"

/* Of ext2, 3, 4, see e2fsprogs' ext2_fs.h: offsets in the superblock, which is 1024 bytes into the filesystem. */
#define EXT_MAGIC       56
#define EXT_INCOMPAT    96
#define EXT_LAST_MOUNT  136
#define EXT_CLOSED      0x40000000u
#define EXT_SUPERBLOCK  1024u
#define LAST_MOUNT_SIZE 64

static bool ext_closed(const uint8_t *sb, char id[DOMU_ID_LEN + 1])
{
	char text[LAST_MOUNT_SIZE + 1];
	const size_t prefix = sizeof DOMU_DOOR_TEXT - 1;

	if (sb[EXT_MAGIC] != 0x53 || sb[EXT_MAGIC + 1] != 0xef || (domu_le32(sb + EXT_INCOMPAT) & EXT_CLOSED) == 0)
		return false;
	memcpy(text, sb + EXT_LAST_MOUNT, LAST_MOUNT_SIZE);
	text[LAST_MOUNT_SIZE] = '\0';
	if (strncmp(text, DOMU_DOOR_TEXT, prefix) == 0 && domu_id_valid(text + prefix))
		snprintf(id, DOMU_ID_LEN + 1, "%.*s", DOMU_ID_LEN, text + prefix);
	return true;
}

/* Of xfs and btrfs, see plugins/fs-appliance: the text is where both have room. */
#define XFS_INCOMPAT   216 /* big-endian */
#define BTRFS_MAGIC    0x40
#define BTRFS_INCOMPAT 0xbc
#define OTHER_TEXT     448

static bool other_closed(const uint8_t *sb, char id[DOMU_ID_LEN + 1])
{
	const char *text = (const char *)sb + OTHER_TEXT;
	const size_t prefix = sizeof DOMU_DOOR_TEXT - 1;
	char found[DOMU_ID_LEN + 1];

	if (memcmp(sb, "XFSB", 4) == 0) {
		if ((sb[XFS_INCOMPAT] & EXT_CLOSED >> 24) == 0)
			return false;
	} else if (memcmp(sb + BTRFS_MAGIC, "_BHRfS_M", 8) != 0 || (domu_le32(sb + BTRFS_INCOMPAT) & EXT_CLOSED) == 0) {
		return false;
	}
	snprintf(found, sizeof found, "%.*s", DOMU_ID_LEN, text + prefix);
	if (memcmp(text, DOMU_DOOR_TEXT, prefix) == 0 && domu_id_valid(found))
		memcpy(id, found, sizeof found);
	return true;
}

/* A door of 512 to 2048 bytes begins with the superblock, one of 4096 with the filesystem (ext) or the superblock. */
bool domu_door_is_closed(const void *sector, size_t len, char id[DOMU_ID_LEN + 1])
{
	const uint8_t *p = sector;

	id[0] = '\0';
	if (len >= DOMU_SECTOR && (ext_closed(p, id) || other_closed(p, id)))
		return true;
	return len >= EXT_SUPERBLOCK + DOMU_SECTOR && ext_closed(p + EXT_SUPERBLOCK, id);
}
