/* SPDX-License-Identifier: GPL-3.0-or-later */
/* acl.c - POSIX ACLs between their form on disk and that of getxattr(2). */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "fs-ext.h"

#define DISK_VERSION  1u
#define XATTR_VERSION 2u
#define XATTR_ENTRY   8u
#define DISK_SHORT    4u
#define DISK_LONG     8u

static void put_le16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof v);
}

/* Only named users and groups have an ID on disk.  0: no tag of an ACL. */
static unsigned disk_entry_len(unsigned tag)
{
	switch (tag) {
	case EXT_ACL_USER:
	case EXT_ACL_GROUP:
		return DISK_LONG;
	case EXT_ACL_USER_OBJ:
	case EXT_ACL_GROUP_OBJ:
	case EXT_ACL_MASK:
	case EXT_ACL_OTHER:
		return DISK_SHORT;
	default:
		return 0;
	}
}

int ext_acl_from_disk(const uint8_t *disk, size_t len, uint8_t **out, size_t *out_len)
{
	size_t used = 4;
	uint8_t *acl;

	if (len < 4 || domu_le32(disk) != DISK_VERSION)
		return -EINVAL;
	/* Entries only ever double. */
	acl = malloc(4 + len * 2);
	if (acl == NULL)
		return -ENOMEM;
	domu_put_le32(acl, XATTR_VERSION);
	for (size_t at = 4; at < len;) {
		unsigned n = len - at >= DISK_SHORT ? disk_entry_len(domu_le16(disk + at)) : 0;

		if (n == 0 || n > len - at) {
			free(acl);
			return -EINVAL;
		}
		memcpy(acl + used, disk + at, DISK_SHORT);
		domu_put_le32(acl + used + 4, n == DISK_LONG ? domu_le32(disk + at + 4) : UINT32_MAX);
		at += n;
		used += XATTR_ENTRY;
	}
	*out = acl;
	*out_len = used;
	return 0;
}

int ext_acl_to_disk(const uint8_t *acl, size_t len, uint8_t **out, size_t *out_len)
{
	size_t used = 4;
	uint8_t *disk;

	if (len < 4 || (len - 4) % XATTR_ENTRY != 0 || domu_le32(acl) != XATTR_VERSION)
		return -EINVAL;
	disk = malloc(len);
	if (disk == NULL)
		return -ENOMEM;
	domu_put_le32(disk, DISK_VERSION);
	for (size_t at = 4; at < len; at += XATTR_ENTRY) {
		unsigned n = disk_entry_len(domu_le16(acl + at));

		if (n == 0 || domu_le16(acl + at + 2) > 7) {
			free(disk);
			return -EINVAL;
		}
		put_le16(disk + used, domu_le16(acl + at));
		put_le16(disk + used + 2, domu_le16(acl + at + 2));
		if (n == DISK_LONG)
			memcpy(disk + used + 4, acl + at + 4, 4);
		used += n;
	}
	*out = disk;
	*out_len = used;
	return 0;
}

void ext_acl_chmod(uint8_t *disk, size_t len, uint32_t mode)
{
	uint8_t *group = NULL, *mask = NULL;
	unsigned n;

	for (size_t at = 4; at + DISK_SHORT <= len; at += n) {
		unsigned tag = domu_le16(disk + at);

		n = disk_entry_len(tag);
		if (n == 0)
			return;
		if (tag == EXT_ACL_USER_OBJ)
			put_le16(disk + at + 2, (mode >> 6) & 7);
		else if (tag == EXT_ACL_OTHER)
			put_le16(disk + at + 2, mode & 7);
		else if (tag == EXT_ACL_GROUP_OBJ)
			group = disk + at + 2;
		else if (tag == EXT_ACL_MASK)
			mask = disk + at + 2;
	}
	if (mask == NULL)
		mask = group;
	if (mask != NULL)
		put_le16(mask, (mode >> 3) & 7);
}

int ext_acl_mode(const uint8_t *disk, size_t len, uint32_t *mode, bool *plain)
{
	unsigned seen = 0, n;
	uint32_t group = 0, mask = 0;

	*mode = 0;
	for (size_t at = 4; at < len; at += n) {
		unsigned tag = domu_le16(disk + at), perm = domu_le16(disk + at + 2) & 7;

		n = disk_entry_len(tag);
		if (tag != EXT_ACL_USER && tag != EXT_ACL_GROUP && (seen & tag) != 0)
			return -EINVAL;
		seen |= tag;
		if (tag == EXT_ACL_USER_OBJ)
			*mode |= perm << 6;
		else if (tag == EXT_ACL_GROUP_OBJ)
			group = perm << 3;
		else if (tag == EXT_ACL_MASK)
			mask = perm << 3;
		else if (tag == EXT_ACL_OTHER)
			*mode |= perm;
	}
	*mode |= (seen & EXT_ACL_MASK) != 0 ? mask : group;
	*plain = (seen & (EXT_ACL_USER | EXT_ACL_GROUP | EXT_ACL_MASK)) == 0;
	if ((seen & EXT_ACL_USER_OBJ) == 0 || (seen & EXT_ACL_GROUP_OBJ) == 0 || (seen & EXT_ACL_OTHER) == 0)
		return -EINVAL;
	/* Named entries are limited by a mask, which must then be there. */
	return (seen & (EXT_ACL_USER | EXT_ACL_GROUP)) != 0 && (seen & EXT_ACL_MASK) == 0 ? -EINVAL : 0;
}
