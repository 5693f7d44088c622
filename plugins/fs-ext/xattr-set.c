/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xattr-set.c - changing extended attributes, and what an ACL does to the mode. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs-ext.h"

/* ---- a block that several inodes share --------------------------------------- */

static int add_reference(void *user, const struct ext_xattr *xa)
{
	struct ext_fs *x = user;
	struct ext_inode in;
	int rc;

	if (xa->inum == 0 || !xa->in_block)
		return 0;
	rc = ext_iread(x, xa->inum, &in);
	if (rc != 0)
		return rc;
	ext2fs_set_ea_inode_ref(&in.i, ext2fs_get_ea_inode_ref(&in.i) + 1);
	return ext_iput(x, &in);
}

/* libext2fs copies a shared block before it writes, but does not count its values' inodes once more. */
static int before_copy(struct ext_fs *x, const struct ext_inode *in)
{
	uint64_t blk = 0;
	int rc;

	if (ext2fs_file_acl_block(x->e2, &in->i) == 0 || !ext2fs_has_feature_ea_inode(x->e2->super))
		return 0;
	rc = ext_xattr_block(x, in, x->buf, &blk);
	if (rc != 0 || ((struct ext2_ext_attr_header *)x->buf)->h_refcount <= 1)
		return rc;
	return ext_xattr_walk(x, in, add_reference, x);
}

/* It also leaves a block that has become empty. */
static int after_write(struct ext_fs *x, uint32_t ino)
{
	struct ext_inode in;
	uint64_t blk = 0;
	errcode_t rc;
	int err = ext_iread(x, ino, &in);

	if (err != 0 || ext2fs_file_acl_block(x->e2, &in.i) == 0)
		return err;
	err = ext_xattr_block(x, &in, x->buf, &blk);
	if (err != 0 || domu_le32(x->buf + sizeof(struct ext2_ext_attr_header)) != 0)
		return err;
	rc = ext2fs_free_ext_attr(x->e2, ino, &in.large);
	if (rc != 0)
		return ext_fail(x, rc, "cannot free the attribute block of inode %" PRIu32, ino);
	return ext_iput(x, &in);
}

/* ---- putting ------------------------------------------------------------------- */

struct outside {
	uint64_t cluster;
	uint64_t clusters;
};

/* The blocks of values in inodes of their own count in the inode that has the attribute, too. */
static int count_outside(void *user, const struct ext_xattr *xa)
{
	struct outside *o = user;

	if (xa->inum != 0)
		o->clusters += (xa->value_len + o->cluster - 1) / o->cluster;
	return 0;
}

static int adjust_blocks(struct ext_fs *x, uint32_t ino, const struct outside *before)
{
	struct outside after = { .cluster = before->cluster };
	struct ext_inode in;
	int rc = ext_iread(x, ino, &in);

	if (rc == 0)
		rc = ext_xattr_walk(x, &in, count_outside, &after);
	if (rc != 0 || after.clusters == before->clusters)
		return rc;
	if (after.clusters > before->clusters)
		ext2fs_iblk_add_blocks(x->e2, &in.i, after.clusters - before->clusters);
	else
		ext2fs_iblk_sub_blocks(x->e2, &in.i, before->clusters - after.clusters);
	return ext_iput(x, &in);
}

int ext_xattr_put(struct ext_fs *x, const struct ext_inode *in, const char *name, const void *disk, size_t len)
{
	unsigned raw = XATTR_HANDLE_FLAG_RAW;
	struct outside before = { .cluster = (uint64_t)EXT2_CLUSTER_SIZE(x->e2->super) };
	struct ext2_xattr_handle *h;
	errcode_t rc;
	int err = ext_xattr_walk(x, in, count_outside, &before);

	if (err == 0)
		err = before_copy(x, in);
	if (err != 0)
		return err;
	if (!ext2fs_has_feature_xattr(x->e2->super)) {
		ext2fs_set_feature_xattr(x->e2->super);
		ext2fs_mark_super_dirty(x->e2);
	}
	rc = ext2fs_xattrs_open(x->e2, in->ino, &h);
	if (rc == 0) {
		/* ACLs are in the form on disk: the library's own conversion reads beyond what it was given. */
		ext2fs_xattrs_flags(h, &raw, NULL);
		rc = ext2fs_xattrs_read(h);
		if (rc == 0 && disk != NULL)
			rc = ext2fs_xattr_set(h, name, disk, len);
		else if (rc == 0)
			rc = ext2fs_xattr_remove(h, name);
		ext2fs_xattrs_close(&h);
	}
	if (rc != 0)
		return ext_fail(x, rc, "cannot set %s of inode %" PRIu32, name, in->ino);
	err = after_write(x, in->ino);
	return err != 0 ? err : adjust_blocks(x, in->ino, &before);
}

struct find {
	const char *name;
	bool found;
	struct ext_fs *x; /* with in: a copy of the value is wanted */
	const struct ext_inode *in;
	uint8_t *copy;
	size_t len;
};

static int find_xattr(void *user, const struct ext_xattr *xa)
{
	struct find *f = user;
	const char *prefix;
	size_t n;

	if (!ext_xattr_prefix(xa->index, &prefix))
		return 0;
	n = strlen(prefix);
	if (strncmp(f->name, prefix, n) != 0 || strlen(f->name + n) != xa->name_len ||
	    memcmp(f->name + n, xa->name, xa->name_len) != 0)
		return 0;
	f->found = true;
	f->len = xa->value_len;
	if (f->in != NULL) {
		int rc = ext_xattr_value(f->x, f->in, xa, &f->copy);

		if (rc != 0)
			return rc;
	}
	return 1;
}

int ext_acl_read(struct ext_fs *x, const struct ext_inode *in, uint8_t **disk, size_t *len)
{
	struct find f = { .name = EXT_ACL_ACCESS_NAME, .x = x, .in = in };
	int rc = ext_xattr_walk(x, in, find_xattr, &f);

	*disk = f.copy;
	*len = f.len;
	return rc < 0 ? rc : 0;
}

/* ---- what the driver offers ------------------------------------------------------ */

static int get_inode(struct ext_fs *x, uint64_t ino, const char *name, struct ext_inode *in)
{
	bool user = strncmp(name, "user.", 5) == 0;
	bool known = user || strncmp(name, "trusted.", 8) == 0 || strncmp(name, "security.", 9) == 0 ||
	             strcmp(name, EXT_ACL_ACCESS_NAME) == 0 || strcmp(name, EXT_ACL_DEFAULT_NAME) == 0;
	int rc = ext_begin_change(x);

	if (rc == 0)
		rc = ext_iget(x, ino, in);
	if (rc == 0)
		rc = ext_may_modify(x, in, EXT_CHANGE);
	if (rc != 0)
		return rc;
	if (!known)
		return domu_fail(
		    x->fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		    "%s: no attribute '%s' here: names begin with user., trusted. or security., or are ACLs",
		    x->fs->block->name, name);
	if (user && !LINUX_S_ISREG(in->i.i_mode) && !LINUX_S_ISDIR(in->i.i_mode))
		return domu_fail(x->fs->ctx, DOMU_FAILED, -EPERM,
		                 "%s: only files and directories can have attributes of users", x->fs->block->name);
	return 0;
}

static int set_ctime(struct ext_fs *x, uint32_t ino, const uint32_t *mode)
{
	struct ext_inode in;
	int rc = ext_iread(x, ino, &in);

	if (rc != 0)
		return rc;
	if (mode != NULL)
		in.i.i_mode = (uint16_t)((in.i.i_mode & ~0777u) | *mode);
	ext_set_time(x, &in, EXT_CTIME, ext_now());
	return ext_iput(x, &in);
}

static int set_acl(struct ext_fs *x, const struct ext_inode *in, const char *name, const void *value, size_t len)
{
	bool access = strcmp(name, EXT_ACL_ACCESS_NAME) == 0, plain = false;
	uint8_t *disk = NULL;
	size_t disk_len = 0;
	uint32_t mode = 0;
	int rc;

	if (LINUX_S_ISLNK(in->i.i_mode) || (!access && !LINUX_S_ISDIR(in->i.i_mode)))
		return domu_fail(x->fs->ctx, DOMU_FAILED, -EPERM, "%s: inode %" PRIu32 " cannot have %s",
		                 x->fs->block->name, in->ino, name);
	rc = ext_acl_to_disk(value, len, &disk, &disk_len);
	if (rc == 0)
		rc = ext_acl_mode(disk, disk_len, &mode, &plain);
	if (rc == -ENOMEM)
		ext_nomem(x);
	else if (rc != 0)
		domu_fail(x->fs->ctx, DOMU_FAILED, rc, "%s: the value of %s is no ACL", x->fs->block->name, name);
	/* As the kernel: the mode follows, and an ACL that says no more than a mode is none. */
	if (rc == 0)
		rc = ext_xattr_put(x, in, name, access && plain ? NULL : disk, disk_len);
	free(disk);
	return rc != 0 ? rc : set_ctime(x, in->ino, access ? &mode : NULL);
}

int ext_setxattr(struct domu_fs *fs, uint64_t ino, const char *name, const void *value, size_t len)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode in;
	int rc = get_inode(x, ino, name, &in);

	if (rc != 0)
		return rc;
	if (strncmp(name, "system.", 7) == 0)
		return set_acl(x, &in, name, value, len);
	if (len > EXT_MAX_XATTR)
		return domu_fail(fs->ctx, DOMU_FAILED, -E2BIG, "%s: %s cannot have %zu bytes", fs->block->name, name,
		                 len);
	rc = ext_xattr_put(x, &in, name, value != NULL ? value : "", len);
	return rc != 0 ? rc : set_ctime(x, in.ino, NULL);
}

int ext_removexattr(struct domu_fs *fs, uint64_t ino, const char *name)
{
	struct ext_fs *x = ext_of(fs);
	struct find f = { .name = name };
	struct ext_inode in;
	int rc = get_inode(x, ino, name, &in);

	if (rc == 0)
		rc = ext_xattr_walk(x, &in, find_xattr, &f);
	if (rc < 0)
		return rc;
	if (!f.found)
		return -ENODATA;
	rc = ext_xattr_put(x, &in, name, NULL, 0);
	return rc != 0 ? rc : set_ctime(x, in.ino, NULL);
}
