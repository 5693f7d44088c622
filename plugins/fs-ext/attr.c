/* SPDX-License-Identifier: GPL-3.0-or-later */
/* attr.c - changing mode, owner, times, flags and project of an inode. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs-ext.h"

/* Flags that a user may set; the others belong to the filesystem and stay. */
#define SETTABLE                                                                                            \
	(EXT2_SECRM_FL | EXT2_UNRM_FL | EXT2_COMPR_FL | EXT2_SYNC_FL | EXT2_IMMUTABLE_FL | EXT2_APPEND_FL | \
	 EXT2_NODUMP_FL | EXT2_NOATIME_FL | EXT2_NOCOMPR_FL | EXT3_JOURNAL_DATA_FL | EXT2_NOTAIL_FL |       \
	 EXT2_DIRSYNC_FL | EXT2_TOPDIR_FL | EXT4_PROJINHERIT_FL)

/* A file with an ACL has its permissions twice, and both must say the same. */
static int change_mode(struct ext_fs *x, struct ext_inode *in, uint32_t mode)
{
	uint8_t *acl;
	size_t len;
	int rc = ext_acl_read(x, in, &acl, &len);

	if (rc == 0 && acl != NULL) {
		ext_acl_chmod(acl, len, mode);
		rc = ext_xattr_put(x, in, EXT_ACL_ACCESS_NAME, acl, len);
		if (rc == 0)
			rc = ext_iread(x, in->ino, in);
	}
	free(acl);
	in->i.i_mode = (uint16_t)((in->i.i_mode & LINUX_S_IFMT) | (mode & 07777));
	return rc;
}

static int change_project(struct ext_fs *x, struct ext_inode *in, uint32_t projid)
{
	if (!ext2fs_has_feature_project(x->e2->super) || !ext_has(x, in, i_projid))
		return domu_fail(x->fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: no projects here: turn them on with tune2fs -O project", x->fs->block->name);
	in->large.i_projid = projid;
	return 0;
}

/* As the kernel: names that are there already are in the order of their unfolded hashes. */
static int change_casefold(struct ext_fs *x, struct ext_inode *in, uint32_t flags)
{
	int rc;

	if (((in->i.i_flags ^ flags) & EXT4_CASEFOLD_FL) == 0)
		return 0;
	if (!ext2fs_has_feature_casefold(x->e2->super))
		return domu_fail(x->fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: no case-insensitive directories here: turn them on with tune2fs -O casefold",
		                 x->fs->block->name);
	rc = LINUX_S_ISDIR(in->i.i_mode) ? ext_dir_empty(x, in) : -ENOTDIR;
	if (rc == -ENOTDIR || rc == -ENOTEMPTY)
		return domu_fail(x->fs->ctx, DOMU_FAILED, rc,
		                 "%s: inode %" PRIu32
		                 ": only an empty directory can become case-insensitive or cease to be",
		                 x->fs->block->name, in->ino);
	if (rc == 0)
		in->i.i_flags ^= EXT4_CASEFOLD_FL;
	return rc;
}

/* What is immutable or append-only can lose that, and nothing else. */
static int may_set(struct ext_fs *x, const struct ext_inode *in, unsigned mask)
{
	struct ext_inode plain;

	if (mask != DOMU_ATTR_FLAGS)
		return ext_may_modify(x, in, EXT_CHANGE);
	plain = *in;
	plain.i.i_flags &= ~(uint32_t)(EXT2_IMMUTABLE_FL | EXT2_APPEND_FL);
	return ext_may_modify(x, &plain, EXT_CHANGE);
}

int ext_setattr(struct domu_fs *fs, uint64_t ino, const struct domu_stat *st, unsigned mask)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode in;
	int rc = ext_begin_change(x);

	if (rc == 0)
		rc = ext_iget(x, ino, &in);
	if (rc == 0)
		rc = may_set(x, &in, mask);
	if (rc == 0 && (mask & DOMU_ATTR_MODE) != 0)
		rc = change_mode(x, &in, st->mode);
	if (rc == 0 && (mask & DOMU_ATTR_FLAGS) != 0)
		rc = change_casefold(x, &in, st->flags);
	if (rc == 0 && (mask & DOMU_ATTR_PROJID) != 0)
		rc = change_project(x, &in, st->projid);
	if (rc != 0)
		return rc;
	if ((mask & DOMU_ATTR_UID) != 0) {
		in.i.i_uid = (uint16_t)st->uid;
		in.i.osd2.linux2.l_i_uid_high = (uint16_t)(st->uid >> 16);
	}
	if ((mask & DOMU_ATTR_GID) != 0) {
		in.i.i_gid = (uint16_t)st->gid;
		in.i.osd2.linux2.l_i_gid_high = (uint16_t)(st->gid >> 16);
	}
	if ((mask & DOMU_ATTR_FLAGS) != 0)
		in.i.i_flags = (in.i.i_flags & ~(uint32_t)SETTABLE) | (st->flags & SETTABLE);
	if ((mask & DOMU_ATTR_ATIME) != 0)
		ext_set_time(x, &in, EXT_ATIME, st->atime);
	if ((mask & DOMU_ATTR_MTIME) != 0)
		ext_set_time(x, &in, EXT_MTIME, st->mtime);
	ext_set_time(x, &in, EXT_CTIME, ext_now());
	return ext_iput(x, &in);
}
