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

/* A door of 512 to 2048 bytes begins with the superblock, one of 4096 with the filesystem. */
bool domu_door_is_closed(const void *sector, size_t len, char id[DOMU_ID_LEN + 1])
{
	const uint8_t *p = sector;

	id[0] = '\0';
	if (len >= DOMU_SECTOR && ext_closed(p, id))
		return true;
	return len >= EXT_SUPERBLOCK + DOMU_SECTOR && ext_closed(p + EXT_SUPERBLOCK, id);
}
