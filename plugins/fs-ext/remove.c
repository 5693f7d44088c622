/* SPDX-License-Identifier: GPL-3.0-or-later */
/* remove.c - taking names away, and giving back what an inode without a name held. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs-ext.h"

/* One reference less to an inode that holds the value of an attribute. */
static int drop_value(struct ext_fs *x, uint32_t ino)
{
	struct ext_inode in;
	uint64_t refs;
	int rc = ext_iread(x, ino, &in);

	if (rc != 0)
		return rc;
	if ((in.i.i_flags & EXT4_EA_INODE_FL) == 0)
		return ext_damaged(x, "inode %" PRIu32 " should hold an extended attribute, and does not", ino);
	refs = ext2fs_get_ea_inode_ref(&in.i);
	if (refs > 1) {
		ext2fs_set_ea_inode_ref(&in.i, refs - 1);
		return ext_iput(x, &in);
	}
	ext2fs_set_ea_inode_ref(&in.i, 0);
	if (ext2fs_inode_has_valid_blocks2(x->e2, &in.i))
		rc = ext_punch(x, &in, 0);
	if (rc != 0)
		return rc;
	in.i.i_links_count = 0;
	in.i.i_size = 0;
	in.i.i_size_high = 0;
	in.i.i_dtime = (uint32_t)ext_now().tv_sec;
	rc = ext_iput(x, &in);
	if (rc == 0)
		ext2fs_inode_alloc_stats2(x->e2, ino, -1, 0);
	return rc;
}

struct drop {
	struct ext_fs *x;
	bool block_too; /* the block goes as well: it is nobody else's */
};

static int drop_one(void *user, const struct ext_xattr *xa)
{
	struct drop *d = user;

	if (xa->inum == 0 || (xa->in_block && !d->block_too))
		return 0;
	return drop_value(d->x, xa->inum);
}

static int release_xattrs(struct ext_fs *x, struct ext_inode *in)
{
	struct drop d = { .x = x };
	uint64_t blk = 0;
	errcode_t rc;
	int err;

	if (ext2fs_file_acl_block(x->e2, &in->i) != 0) {
		err = ext_xattr_block(x, in, x->buf, &blk);
		if (err != 0)
			return err;
		d.block_too = ((struct ext2_ext_attr_header *)x->buf)->h_refcount <= 1;
	}
	err = ext_xattr_walk(x, in, drop_one, &d);
	if (err != 0 || blk == 0)
		return err;
	rc = ext2fs_free_ext_attr(x->e2, in->ino, &in->large);
	return ext_fail(x, rc, "cannot free the attributes of inode %" PRIu32, in->ino);
}

int ext_release(struct ext_fs *x, struct ext_inode *in)
{
	bool is_dir = LINUX_S_ISDIR(in->i.i_mode);
	int rc;

	if (x->names.dir == in->ino)
		ext_names_forget(x);
	rc = release_xattrs(x, in);

	if (rc == 0 && ext2fs_inode_has_valid_blocks2(x->e2, &in->i))
		rc = ext_punch(x, in, 0);
	if (rc != 0)
		return rc;
	in->i.i_links_count = 0;
	in->i.i_size = 0;
	in->i.i_size_high = 0;
	in->i.i_dtime = (uint32_t)ext_now().tv_sec;
	rc = ext_iput(x, in);
	if (rc == 0)
		ext2fs_inode_alloc_stats2(x->e2, in->ino, -1, is_dir);
	return rc;
}

int ext_drop_link(struct ext_fs *x, struct ext_inode *in)
{
	ext_set_time(x, in, EXT_CTIME, ext_now());
	if (LINUX_S_ISDIR(in->i.i_mode) || in->i.i_links_count <= 1)
		return ext_release(x, in);
	in->i.i_links_count--;
	return ext_iput(x, in);
}

/* What the name in the directory points to, both free to be changed; and the name as it is there. */
static int get_victim(struct ext_fs *x, uint64_t dir, const char *name, struct ext_inode *in,
                      char stored[EXT2_NAME_LEN + 1])
{
	struct ext_inode parent;
	uint32_t ino;
	int rc = ext_begin_change(x);

	if (rc == 0)
		rc = ext_dir_get(x, dir, &parent);
	if (rc == 0)
		rc = ext_may_modify(x, &parent, EXT_CHANGE);
	if (rc == 0)
		rc = ext_dir_find(x, &parent, name, &ino, stored);
	if (rc == 0)
		rc = ext_iget(x, ino, in);
	if (rc == 0)
		rc = ext_may_modify(x, in, EXT_CHANGE);
	return rc;
}

int ext_unlink(struct domu_fs *fs, uint64_t dir, const char *name)
{
	struct ext_fs *x = ext_of(fs);
	char stored[EXT2_NAME_LEN + 1];
	struct ext_inode in;
	int rc = get_victim(x, dir, name, &in, stored);

	if (rc == 0 && LINUX_S_ISDIR(in.i.i_mode))
		rc = domu_fail(fs->ctx, DOMU_FAILED, -EISDIR, "%s: '%s' is a directory", fs->block->name, name);
	if (rc == 0)
		rc = ext_entry_remove(x, (uint32_t)dir, stored, in.ino);
	if (rc == 0)
		rc = ext_drop_link(x, &in);
	return rc != 0 ? rc : ext_dir_changed(x, (uint32_t)dir, 0);
}

int ext_rmdir(struct domu_fs *fs, uint64_t dir, const char *name)
{
	struct ext_fs *x = ext_of(fs);
	char stored[EXT2_NAME_LEN + 1];
	struct ext_inode in;
	int rc = get_victim(x, dir, name, &in, stored);

	if (rc == 0 && !LINUX_S_ISDIR(in.i.i_mode))
		rc = domu_fail(fs->ctx, DOMU_FAILED, -ENOTDIR, "%s: '%s' is no directory", fs->block->name, name);
	if (rc == 0 && in.ino == EXT2_ROOT_INO)
		rc = ext_damaged(x, "'%s' in inode %" PRIu64 " points to the root directory", name, dir);
	if (rc == 0) {
		rc = ext_dir_empty(x, &in);
		if (rc == -ENOTEMPTY)
			domu_fail(fs->ctx, DOMU_FAILED, rc, "%s: directory '%s' is not empty", fs->block->name, name);
	}
	if (rc == 0)
		rc = ext_entry_remove(x, (uint32_t)dir, stored, in.ino);
	if (rc == 0)
		rc = ext_drop_link(x, &in);
	return rc != 0 ? rc : ext_dir_changed(x, (uint32_t)dir, -1);
}
