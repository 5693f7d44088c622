/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xattr.c - reading extended attributes: in the inode, in a block, in inodes of their own; and inline data. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs-ext.h"

#define ENTRY_HEAD ((unsigned)sizeof(struct ext2_ext_attr_entry))

bool ext_xattr_prefix(int index, const char **prefix)
{
	switch (index) {
	case EXT_XATTR_USER:
		*prefix = "user.";
		return true;
	case EXT_XATTR_ACL_ACCESS:
		*prefix = EXT_ACL_ACCESS_NAME;
		return true;
	case EXT_XATTR_ACL_DEFAULT:
		*prefix = EXT_ACL_DEFAULT_NAME;
		return true;
	case EXT_XATTR_TRUSTED:
		*prefix = "trusted.";
		return true;
	case EXT_XATTR_SECURITY:
		*prefix = "security.";
		return true;
	case EXT_XATTR_SYSTEM:
		*prefix = "system.";
		return true;
	default:
		return false;
	}
}

static int bad_xattrs(struct ext_fs *x, const struct ext_inode *in)
{
	return ext_damaged(x, "the extended attributes of inode %" PRIu32 " are damaged", in->ino);
}

/* Entries begin at entries and end before end; value offsets count from base. */
static int walk_entries(struct ext_fs *x, const struct ext_inode *in, const uint8_t *base, const uint8_t *entries,
                        const uint8_t *end, bool in_block, ext_xattr_fn fn, void *user)
{
	const uint8_t *e = entries;

	while ((size_t)(end - e) >= 4 && domu_le32(e) != 0) {
		struct ext_xattr xa = { .in_block = in_block };
		uint64_t offset;
		int rc;

		if ((size_t)(end - e) < ENTRY_HEAD)
			return bad_xattrs(x, in);
		xa.name_len = e[0];
		xa.index = e[1];
		xa.name = (const char *)e + ENTRY_HEAD;
		offset = domu_le16(e + 2);
		xa.inum = domu_le32(e + 4);
		xa.value_len = domu_le32(e + 8);
		if (EXT2_EXT_ATTR_LEN(xa.name_len) > (size_t)(end - e))
			return bad_xattrs(x, in);
		if (xa.inum == 0) {
			if (!domu_inside(offset, xa.value_len, (uint64_t)(end - base)))
				return bad_xattrs(x, in);
			xa.value = base + offset;
		} else if (!ext2fs_has_feature_ea_inode(x->e2->super) || xa.value_len > EXT_MAX_XATTR) {
			return bad_xattrs(x, in);
		}
		rc = fn(user, &xa);
		if (rc != 0)
			return rc;
		e += EXT2_EXT_ATTR_LEN(xa.name_len);
	}
	return 0;
}

/* The part of the inode behind its fixed fields: 0 and *entries NULL where it holds no attributes. */
static int inode_part(struct ext_fs *x, const struct ext_inode *in, const uint8_t **entries, const uint8_t **end)
{
	size_t size = ext_inode_size(x), at;

	*entries = NULL;
	*end = NULL;
	if (size <= EXT2_GOOD_OLD_INODE_SIZE)
		return 0;
	at = EXT2_GOOD_OLD_INODE_SIZE + (size_t)in->large.i_extra_isize;
	if (in->large.i_extra_isize % 4 != 0 || at > size)
		return ext_damaged(x, "inode %" PRIu32 " has an impossible extra size", in->ino);
	if (in->large.i_extra_isize == 0 || size - at < 4 || domu_le32(in->raw + at) != EXT2_EXT_ATTR_MAGIC)
		return 0;
	*entries = in->raw + at + 4;
	*end = in->raw + size;
	return 0;
}

int ext_xattr_block(struct ext_fs *x, const struct ext_inode *in, uint8_t *buf, uint64_t *blk)
{
	const struct ext2_ext_attr_header *h = (const void *)buf;
	int rc;

	*blk = ext2fs_file_acl_block(x->e2, &in->i);
	if (*blk == 0)
		return 0;
	if (!ext_block_ok(x, *blk, 1))
		return bad_xattrs(x, in);
	rc = ext_read_blocks(x, *blk, 1, buf);
	if (rc != 0)
		return rc;
	if (domu_le32(&h->h_magic) != EXT2_EXT_ATTR_MAGIC || domu_le32(&h->h_blocks) != 1)
		return bad_xattrs(x, in);
	if (!ext2fs_ext_attr_block_csum_verify(x->e2, in->ino, *blk, (struct ext2_ext_attr_header *)buf))
		return ext_damaged(x, "the checksum of attribute block %" PRIu64 " is wrong", *blk);
	return 0;
}

int ext_xattr_walk(struct ext_fs *x, const struct ext_inode *in, ext_xattr_fn fn, void *user)
{
	const uint8_t *entries, *end;
	uint8_t *block = NULL;
	uint64_t blk = 0;
	int rc = inode_part(x, in, &entries, &end);

	if (rc == 0 && entries != NULL)
		rc = walk_entries(x, in, entries, entries, end, false, fn, user);
	if (rc != 0 || ext2fs_file_acl_block(x->e2, &in->i) == 0)
		return rc;
	block = malloc(x->e2->blocksize);
	if (block == NULL)
		return ext_nomem(x);
	rc = ext_xattr_block(x, in, block, &blk);
	if (rc == 0)
		rc = walk_entries(x, in, block, block + sizeof(struct ext2_ext_attr_header), block + x->e2->blocksize,
		                  true, fn, user);
	free(block);
	return rc;
}

static int find_data(void *user, const struct ext_xattr *xa)
{
	struct ext_xattr *out = user;

	if (xa->index != EXT_XATTR_SYSTEM || xa->name_len != 4 || memcmp(xa->name, "data", 4) != 0)
		return 0;
	*out = *xa;
	return 1;
}

/* Inline data never leaves the inode, whatever an attribute block says. */
int ext_inline_more(struct ext_fs *x, const struct ext_inode *in, const uint8_t **data, size_t *len)
{
	const uint8_t *entries, *end;
	struct ext_xattr xa = { 0 };
	int rc = inode_part(x, in, &entries, &end);

	*data = in->raw;
	*len = 0;
	if (rc != 0 || entries == NULL)
		return rc;
	rc = walk_entries(x, in, entries, entries, end, false, find_data, &xa);
	if (rc <= 0)
		return rc;
	if (xa.value == NULL)
		return bad_xattrs(x, in);
	*data = xa.value;
	*len = xa.value_len;
	return 0;
}

struct list {
	struct ext_fs *x;
	const struct ext_inode *in;
	domu_xattr_fn fn;
	void *user;
};

/* A value that has an inode of its own. */
static int read_own(struct ext_fs *x, const struct ext_inode *in, const struct ext_xattr *xa, uint8_t **value)
{
	struct ext_inode holder;
	ssize_t n;
	int rc = ext_iread(x, xa->inum, &holder);

	if (rc != 0)
		return rc;
	if ((holder.i.i_flags & EXT4_EA_INODE_FL) == 0 || (holder.i.i_flags & EXT4_INLINE_DATA_FL) != 0 ||
	    !LINUX_S_ISREG(holder.i.i_mode) || holder.i.i_links_count == 0 || ext_isize(x, &holder) != xa->value_len)
		return bad_xattrs(x, in);
	*value = malloc(xa->value_len + 1u);
	if (*value == NULL)
		return ext_nomem(x);
	n = ext_read_inode(x, &holder, *value, xa->value_len, 0);
	if (n >= 0 && (size_t)n == xa->value_len)
		return 0;
	free(*value);
	*value = NULL;
	return n < 0 ? (int)n : bad_xattrs(x, in);
}

int ext_xattr_value(struct ext_fs *x, const struct ext_inode *in, const struct ext_xattr *xa, uint8_t **value)
{
	if (xa->inum != 0)
		return read_own(x, in, xa, value);
	*value = malloc(xa->value_len + 1u);
	if (*value == NULL)
		return ext_nomem(x);
	memcpy(*value, xa->value, xa->value_len);
	return 0;
}

static int list_one(void *user, const struct ext_xattr *xa)
{
	struct list *l = user;
	bool is_acl = xa->index == EXT_XATTR_ACL_ACCESS || xa->index == EXT_XATTR_ACL_DEFAULT;
	const uint8_t *value = xa->value;
	size_t len = xa->value_len;
	uint8_t *own = NULL, *acl = NULL;
	const char *prefix;
	char name[300];
	int rc = 0;

	if (!ext_xattr_prefix(xa->index, &prefix) || find_data(&(struct ext_xattr){ 0 }, xa) != 0)
		return 0;
	if (memchr(xa->name, '\0', xa->name_len) != NULL || (is_acl && xa->name_len != 0))
		return bad_xattrs(l->x, l->in);
	snprintf(name, sizeof name, "%s%.*s", prefix, (int)xa->name_len, xa->name);
	if (xa->inum != 0) {
		rc = read_own(l->x, l->in, xa, &own);
		value = own;
	}
	if (rc == 0 && is_acl) {
		rc = ext_acl_from_disk(value, xa->value_len, &acl, &len);
		value = acl;
		if (rc == -EINVAL)
			rc = ext_damaged(l->x, "the ACL of inode %" PRIu32 " is damaged", l->in->ino);
	}
	if (rc == 0)
		rc = l->fn(l->user, name, value, len);
	free(acl);
	free(own);
	return rc;
}

int ext_listxattr(struct domu_fs *fs, uint64_t ino, domu_xattr_fn fn, void *user)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode in;
	struct list l = { .x = x, .in = &in, .fn = fn, .user = user };
	int rc = ext_iget(x, ino, &in);

	return rc != 0 ? rc : ext_xattr_walk(x, &in, list_one, &l);
}
