/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rename.c - moving a name, over another one or not. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "fs-ext.h"

struct move {
	struct ext_inode from, to; /* the directories */
	struct ext_inode in; /* what moves */
	struct ext_inode old; /* what is replaced; ino 0: nothing */
	bool is_dir;
	char name[EXT2_NAME_LEN + 1], newname[EXT2_NAME_LEN + 1]; /* as they are in the directories */
};

/* Following ".." from dir must come to the root without meeting ino: a directory cannot go into itself. */
static int check_not_inside(struct ext_fs *x, const struct ext_inode *start, uint32_t ino)
{
	struct ext_inode dir = *start;
	uint32_t up;

	for (uint32_t steps = 0; steps <= x->e2->super->s_inodes_count; steps++) {
		int rc;

		if (dir.ino == ino)
			return domu_fail(x->fs->ctx, DOMU_FAILED, -EINVAL,
			                 "%s: a directory cannot be moved into itself", x->fs->block->name);
		if (dir.ino == EXT2_ROOT_INO)
			return 0;
		rc = ext_dir_find(x, &dir, "..", &up, NULL);
		if (rc == 0)
			rc = ext_dir_get(x, up, &dir);
		if (rc != 0)
			return rc;
	}
	return ext_damaged(x, "directory inode %" PRIu32 " does not lead to the root", start->ino);
}

static int check_target(struct ext_fs *x, struct move *m, const char *newname)
{
	struct domu_ctx *ctx = x->fs->ctx;
	const char *dev = x->fs->block->name;
	bool old_dir = LINUX_S_ISDIR(m->old.i.i_mode);
	int rc = ext_may_modify(x, &m->old, EXT_CHANGE);

	if (rc != 0)
		return rc;
	if (m->is_dir && !old_dir)
		return domu_fail(ctx, DOMU_FAILED, -ENOTDIR, "%s: '%s' is no directory", dev, newname);
	if (!m->is_dir && old_dir)
		return domu_fail(ctx, DOMU_FAILED, -EISDIR, "%s: '%s' is a directory", dev, newname);
	if (!old_dir)
		return 0;
	if (m->old.ino == EXT2_ROOT_INO)
		return ext_damaged(x, "'%s' points to the root directory", newname);
	rc = ext_dir_empty(x, &m->old);
	if (rc == -ENOTEMPTY)
		domu_fail(ctx, DOMU_FAILED, rc, "%s: directory '%s' is not empty", dev, newname);
	return rc;
}

static int check_move(struct ext_fs *x, struct move *m, const char *newname)
{
	struct domu_ctx *ctx = x->fs->ctx;
	int rc = 0;

	if (m->is_dir)
		rc = check_not_inside(x, &m->to, m->in.ino);
	if (rc == 0 && m->old.ino != 0)
		rc = check_target(x, m, newname);
	if (rc != 0)
		return rc;
	if (m->is_dir && m->old.ino == 0 && m->from.ino != m->to.ino && !ext_dir_may_grow(x, &m->to))
		return domu_fail(ctx, DOMU_FAILED, -EMLINK, "%s: too many directories in inode %" PRIu32,
		                 x->fs->block->name, m->to.ino);
	if (ext2fs_has_feature_project(x->e2->super) && (m->to.i.i_flags & EXT4_PROJINHERIT_FL) != 0 &&
	    ext_has(x, &m->to, i_projid) && ext_has(x, &m->in, i_projid) &&
	    m->to.large.i_projid != m->in.large.i_projid)
		return domu_fail(ctx, DOMU_FAILED, -EXDEV, "%s: inode %" PRIu32 " belongs to another project",
		                 x->fs->block->name, m->in.ino);
	return 0;
}

static int prepare(struct ext_fs *x, struct move *m, uint64_t dir, const char *name, uint64_t newdir,
                   const char *newname)
{
	uint32_t ino, old = 0;
	int rc = ext_begin_change(x);

	if (rc == 0)
		rc = ext_dir_get(x, dir, &m->from);
	if (rc == 0)
		rc = ext_may_modify(x, &m->from, EXT_CHANGE);
	if (rc == 0)
		rc = ext_dir_get(x, newdir, &m->to);
	if (rc == 0)
		rc = ext_dir_find(x, &m->from, name, &ino, m->name);
	if (rc == 0)
		rc = ext_iget(x, ino, &m->in);
	if (rc == 0)
		rc = ext_may_modify(x, &m->in, EXT_CHANGE);
	if (rc == 0)
		rc = ext_dir_find(x, &m->to, newname, &old, m->newname);
	if (rc != 0 && !(rc == -ENOENT && old == 0 && m->in.ino != 0))
		return rc;
	rc = ext_may_modify(x, &m->to, old != 0 ? EXT_CHANGE : EXT_ADD);
	if (rc == 0 && old == 0)
		rc = ext_check_encoding(x, &m->to, newname);
	if (rc == 0 && old != 0)
		rc = ext_iget(x, old, &m->old);
	m->is_dir = LINUX_S_ISDIR(m->in.i.i_mode);
	return rc;
}

int ext_rename(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t newdir, const char *newname)
{
	struct ext_fs *x = ext_of(fs);
	struct move m;
	bool replaces, other;
	int rc;

	m.in.ino = 0;
	m.old.ino = 0;
	rc = prepare(x, &m, dir, name, newdir, newname);
	/* Two names of one file: POSIX wants both left. */
	if (rc != 0 || m.old.ino == m.in.ino)
		return rc;
	rc = check_move(x, &m, newname);
	if (rc != 0)
		return rc;
	replaces = m.old.ino != 0;
	other = m.is_dir && m.from.ino != m.to.ino;
	if (replaces)
		rc = ext_entry_set(x, m.to.ino, m.newname, m.in.ino, m.in.i.i_mode);
	else
		rc = ext_entry_add(x, m.to.ino, newname, m.in.ino, m.in.i.i_mode);
	if (rc == 0)
		rc = ext_entry_remove(x, m.from.ino, m.name, m.in.ino);
	if (rc == 0 && other)
		rc = ext_entry_set(x, m.in.ino, "..", m.to.ino, LINUX_S_IFDIR);
	if (rc == 0)
		rc = ext_iread(x, m.in.ino, &m.in);
	if (rc != 0)
		return rc;
	ext_set_time(x, &m.in, EXT_CTIME, ext_now());
	rc = ext_iput(x, &m.in);
	if (rc == 0 && replaces)
		rc = ext_drop_link(x, &m.old);
	/* Subdirectories: one left the old directory; the new one got it, unless it replaced another. */
	if (rc == 0)
		rc = ext_dir_changed(x, m.from.ino, other || (m.is_dir && replaces) ? -1 : 0);
	if (rc == 0 && m.from.ino != m.to.ino)
		rc = ext_dir_changed(x, m.to.ino, other && !replaces ? +1 : 0);
	return rc;
}
