/* SPDX-License-Identifier: GPL-3.0-or-later */
/* change.c - changing a filesystem in the appliance. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "guest.h"

#define MAX_WRITE (2u << 20) /* bytes: libguestfs takes less than 4 MiB in a message */
#define TIME_OMIT (-2) /* nanoseconds, as guestfs_utimens has it */

static int begin(struct domu_fs *fs, uint64_t ino, const char *name, char path[GUEST_PATH])
{
	int rc = app_writable(fs);

	return rc != 0 ? rc : app_path(fs, ino, name, path);
}

/* As begin(), for what would follow a link at the end of the path. */
static int begin_typed(struct domu_fs *fs, uint64_t ino, uint32_t type, char path[GUEST_PATH])
{
	struct domu_stat st;
	int rc = app_stat(fs, ino, &st);

	if (rc == 0 && (st.mode & S_IFMT) != type)
		rc = S_ISDIR(st.mode) ? -EISDIR : -EINVAL;
	return rc != 0 ? rc : begin(fs, ino, NULL, path);
}

static int make(struct domu_fs *fs, const char *path, const struct domu_stat *attr, const char *target)
{
	struct guest *g = app(fs)->guest;
	int r;

	if (S_ISDIR(attr->mode))
		r = g->lib.mkdir_mode(g->g, path, (int)(attr->mode & 0700));
	else if (S_ISLNK(attr->mode))
		r = g->lib.ln_s(g->g, target != NULL ? target : "", path);
	else
		r = g->lib.mknod(g->g, (int)(attr->mode & (S_IFMT | 0700)), (int)attr->rdev_major,
		                 (int)attr->rdev_minor, path);
	return r == 0 ? 0 : guest_fail(fs, "make", app_shown(fs, path));
}

/* Owner before mode: changing the owner takes set-id bits away.  Times last. */
static int set_all(struct domu_fs *fs, const char *path, const struct domu_stat *st, unsigned mask, uint32_t type)
{
	struct guest *g = app(fs)->guest;
	bool atime = (mask & DOMU_ATTR_ATIME) != 0, mtime = (mask & DOMU_ATTR_MTIME) != 0;

	if ((mask & (DOMU_ATTR_UID | DOMU_ATTR_GID)) != 0 &&
	    g->lib.lchown(g->g, mask & DOMU_ATTR_UID ? (int)st->uid : -1, mask & DOMU_ATTR_GID ? (int)st->gid : -1,
	                  path) != 0)
		return guest_fail(fs, "change the owner of", app_shown(fs, path));
	if ((mask & DOMU_ATTR_MODE) != 0 && type != S_IFLNK && g->lib.chmod(g->g, (int)(st->mode & 07777), path) != 0)
		return guest_fail(fs, "change the mode of", app_shown(fs, path));
	if ((atime || mtime) && g->lib.utimens(g->g, path, st->atime.tv_sec, atime ? st->atime.tv_nsec : TIME_OMIT,
	                                       st->mtime.tv_sec, mtime ? st->mtime.tv_nsec : TIME_OMIT) != 0)
		return guest_fail(fs, "set the times of", app_shown(fs, path));
	return 0;
}

int app_create(struct domu_fs *fs, uint64_t dir, const char *name, const struct domu_stat *attr, const char *target,
               uint64_t *ino)
{
	const unsigned all = DOMU_ATTR_UID | DOMU_ATTR_GID | DOMU_ATTR_MODE | DOMU_ATTR_ATIME | DOMU_ATTR_MTIME;
	struct guest *g = app(fs)->guest;
	struct domu_stat st;
	char path[GUEST_PATH];
	int rc = begin(fs, dir, name, path);

	if (rc == 0)
		rc = make(fs, path, attr, target);
	if (rc != 0)
		return rc;
	rc = set_all(fs, path, attr, all, attr->mode & S_IFMT);
	if (rc == 0)
		rc = app_look(fs, dir, name, &st);
	if (rc != 0) {
		/* Half made is not made. */
		if (S_ISDIR(attr->mode))
			g->lib.rmdir(g->g, path);
		else
			g->lib.rm(g->g, path);
		return rc;
	}
	*ino = st.ino;
	return 0;
}

int app_write(struct domu_fs *fs, uint64_t ino, const void *buf, size_t len, uint64_t offset)
{
	struct guest *g = app(fs)->guest;
	const char *p = buf;
	char path[GUEST_PATH];
	int rc = begin_typed(fs, ino, S_IFREG, path);

	if (rc == 0 && (offset > INT64_MAX || len > INT64_MAX - offset))
		rc = -EFBIG;
	while (rc == 0 && len > 0) {
		size_t n = len < MAX_WRITE ? len : MAX_WRITE;
		int done = g->lib.pwrite(g->g, path, p, n, (int64_t)offset);

		if (done <= 0)
			return guest_fail(fs, "write", app_shown(fs, path));
		p += done;
		len -= (size_t)done;
		offset += (size_t)done;
	}
	return rc;
}

int app_truncate(struct domu_fs *fs, uint64_t ino, uint64_t size)
{
	struct guest *g = app(fs)->guest;
	char path[GUEST_PATH];
	int rc = size > INT64_MAX ? -EFBIG : begin_typed(fs, ino, S_IFREG, path);

	if (rc == 0 && g->lib.truncate_size(g->g, path, (int64_t)size) != 0)
		rc = guest_fail(fs, "set the size of", app_shown(fs, path));
	return rc;
}

int app_link(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t ino)
{
	struct guest *g = app(fs)->guest;
	char path[GUEST_PATH], from[GUEST_PATH];
	int rc = begin(fs, dir, name, path);

	if (rc == 0)
		rc = app_path(fs, ino, NULL, from);
	if (rc == 0 && g->lib.ln(g->g, from, path) != 0)
		rc = guest_fail(fs, "make the link", app_shown(fs, path));
	return rc;
}

static int remove_name(struct domu_fs *fs, uint64_t dir, const char *name, bool is_dir)
{
	struct guest *g = app(fs)->guest;
	struct domu_stat st;
	char path[GUEST_PATH];
	int rc = app_look(fs, dir, name, &st);

	if (rc == 0 && is_dir != S_ISDIR(st.mode))
		rc = is_dir ? -ENOTDIR : -EISDIR;
	if (rc == 0)
		rc = begin(fs, dir, name, path);
	if (rc != 0)
		return rc;
	if ((is_dir ? g->lib.rmdir(g->g, path) : g->lib.rm(g->g, path)) != 0) {
		rc = guest_errno(fs);
		return rc == -ENOTEMPTY ? rc : guest_fail(fs, "remove", app_shown(fs, path));
	}
	names_drop(&app(fs)->names, st.ino, dir, name);
	return 0;
}

int app_unlink(struct domu_fs *fs, uint64_t dir, const char *name)
{
	return remove_name(fs, dir, name, false);
}

int app_rmdir(struct domu_fs *fs, uint64_t dir, const char *name)
{
	return remove_name(fs, dir, name, true);
}

int app_rename(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t newdir, const char *newname)
{
	struct app_fs *a = app(fs);
	struct domu_stat st, old;
	char path[GUEST_PATH], to[GUEST_PATH];
	bool replaces;
	int rc = app_look(fs, dir, name, &st);

	if (rc != 0)
		return rc;
	rc = app_look(fs, newdir, newname, &old);
	if (rc != 0 && rc != -ENOENT)
		return rc;
	replaces = rc == 0;
	if (replaces && old.ino == st.ino)
		return 0; /* two names of one inode: rename(2) leaves both */
	rc = begin(fs, dir, name, path);
	if (rc == 0)
		rc = app_path(fs, newdir, newname, to);
	if (rc != 0)
		return rc;
	if (a->guest->lib.rename(a->guest->g, path, to) != 0)
		return guest_fail(fs, "rename", app_shown(fs, path));
	if (replaces)
		names_drop(&a->names, old.ino, newdir, newname);
	return names_move(&a->names, st.ino, newdir, newname);
}

int app_setattr(struct domu_fs *fs, uint64_t ino, const struct domu_stat *st, unsigned mask)
{
	struct domu_stat now;
	char path[GUEST_PATH];
	int rc;

	if (mask & (DOMU_ATTR_FLAGS | DOMU_ATTR_PROJID))
		return domu_fail(fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: flags and project IDs cannot be set through the appliance", fs->block->name);
	rc = app_stat(fs, ino, &now);
	if (rc == 0)
		rc = begin(fs, ino, NULL, path);
	return rc != 0 ? rc : set_all(fs, path, st, mask, now.mode & S_IFMT);
}

int app_setxattr(struct domu_fs *fs, uint64_t ino, const char *name, const void *value, size_t len)
{
	struct guest *g = app(fs)->guest;
	char path[GUEST_PATH];
	int rc = len > 65536 ? -E2BIG : begin(fs, ino, NULL, path);

	if (rc == 0 && g->lib.lsetxattr(g->g, name, value, (int)len, path) != 0)
		rc = guest_fail(fs, "set an attribute of", app_shown(fs, path));
	return rc;
}

int app_removexattr(struct domu_fs *fs, uint64_t ino, const char *name)
{
	struct guest *g = app(fs)->guest;
	char path[GUEST_PATH];
	int rc = begin(fs, ino, NULL, path);

	if (rc == 0 && g->lib.lremovexattr(g->g, name, path) != 0)
		rc = guest_fail(fs, "remove an attribute of", app_shown(fs, path));
	return rc;
}
