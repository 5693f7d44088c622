/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve-write.c - what the kernel asks of a guest's tree to change it: each change goes to the stage. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>

#include "fence/serve-tree.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

static struct timespec now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t;
}

static void reply(struct serve *s, fuse_req_t req, int rc)
{
	if (rc != 0)
		serve_fail(s, req, rc);
	else
		fuse_reply_err(req, 0);
}

/* ---- what is removed while it is open -------------------------------------------------- */

static int place_of(struct serve *s, fuse_ino_t parent, const char *name, struct serve_place *dir,
                    struct serve_place *p)
{
	int rc = serve_find(s, parent, dir);

	*p = *dir;
	if (rc == 0)
		rc = domu_fs_lookup(dir->fs, dir->ino, name, &p->ino);
	if (rc == 0 && domu_tree_covered(s->tree, dir->mount, p->ino))
		rc = -EBUSY;
	return rc;
}

/* A name that the directory has not. */
static int free_name(struct serve *s, const struct serve_place *dir, char name[64])
{
	uint64_t ino;
	int rc;

	do {
		snprintf(name, 64, ".domu-rescue-open.%u", ++s->hidden);
		rc = domu_fs_lookup(dir->fs, dir->ino, name, &ino);
	} while (rc == 0);
	if (rc != -ENOENT)
		return rc;
	domu_error_clear(s->ctx);
	return 0;
}

/*
 * A driver frees a file with its last name.  One that is open gets another
 * name instead, and is removed when it is closed.  1: that was done.
 */
static int hide(struct serve *s, fuse_ino_t parent, const struct serve_place *dir, const char *name,
                const struct serve_place *p)
{
	struct serve_node *n = serve_node_get(s, serve_id(s, p), false);
	struct domu_stat st;
	char other[64];
	int rc;

	if (n == NULL || n->opens == 0 || n->hidden != NULL)
		return 0;
	rc = domu_fs_stat(p->fs, p->ino, &st);
	if (rc != 0 || st.nlink > 1 || S_ISDIR(st.mode))
		return rc;
	rc = free_name(s, dir, other);
	if (rc == 0)
		rc = domu_fs_rename(dir->fs, dir->ino, name, dir->ino, other);
	if (rc != 0)
		return rc;
	n->hidden = strdup(other);
	n->parent = parent;
	return n->hidden != NULL ? 1 : -ENOMEM;
}

static void remove_hidden(struct serve *s, struct serve_node *n)
{
	struct serve_place dir;

	if (serve_find(s, n->parent, &dir) != 0 || domu_fs_unlink(dir.fs, dir.ino, n->hidden) != 0)
		domu_say(s->ctx, DOMU_WARNING, "%s, which was removed while it was open, is left", n->hidden);
	domu_error_clear(s->ctx);
	free(n->hidden);
	n->hidden = NULL;
}

void serve_closed(struct serve *s, fuse_ino_t id)
{
	struct serve_node *n = serve_node_get(s, id, false);

	if (n == NULL || n->opens == 0)
		return;
	if (--n->opens == 0 && n->hidden != NULL)
		remove_hidden(s, n);
	serve_node_drop(s, n);
}

void serve_write_end(struct serve *s)
{
	for (size_t i = 0; i < s->n_buckets; i++)
		for (struct serve_node *n = s->nodes[i]; n != NULL; n = n->next)
			if (n->hidden != NULL)
				remove_hidden(s, n);
}

/* ---- new names --------------------------------------------------------------------------- */

/* Makes name in parent with the caller's uid and gid, and looks it up. */
static int make(fuse_req_t req, fuse_ino_t parent, const char *name, struct domu_stat *attr, const char *target,
                struct fuse_entry_param *e)
{
	struct serve *s = fuse_req_userdata(req);
	struct domu_stat above;
	struct serve_place dir;
	char path[4096];
	uint64_t ino;
	int rc = serve_find(s, parent, &dir);

	if (rc == 0)
		rc = domu_fs_stat(dir.fs, dir.ino, &above);
	if (rc != 0)
		return rc;
	attr->uid = fuse_req_ctx(req)->uid;
	attr->gid = fuse_req_ctx(req)->gid;
	attr->atime = attr->mtime = attr->ctime = attr->btime = now();
	if ((above.mode & S_ISGID) != 0) {
		attr->gid = above.gid;
		attr->mode |= S_ISDIR(attr->mode) ? S_ISGID : 0;
	}
	rc = serve_path(s, parent, name, path, sizeof path);
	if (rc == 0)
		rc = domu_fs_create_new(s->tree, dir.fs, dir.ino, path, name, attr, fuse_req_ctx(req)->umask & 0777,
		                        target, &ino);
	return rc == 0 ? serve_entry(s, parent, &dir, name, e) : rc;
}

static void reply_new(fuse_req_t req, fuse_ino_t parent, const char *name, struct domu_stat *attr, const char *target)
{
	struct serve *s = fuse_req_userdata(req);
	struct fuse_entry_param e;
	int rc = make(req, parent, name, attr, target, &e);

	if (rc != 0)
		serve_fail(s, req, rc);
	else if (fuse_reply_entry(req, &e) != 0)
		serve_forget(s, e.ino, 1);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct domu_stat attr = { .mode = mode, .rdev_major = major(rdev), .rdev_minor = minor(rdev) };

	reply_new(req, parent, name, &attr, NULL);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct domu_stat attr = { .mode = S_IFDIR | (mode & 07777) };

	reply_new(req, parent, name, &attr, NULL);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct domu_stat attr = { .mode = S_IFLNK | 0777 };

	reply_new(req, parent, name, &attr, target);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct serve *s = fuse_req_userdata(req);
	struct domu_stat attr = { .mode = S_IFREG | (mode & 07777) };
	struct fuse_entry_param e;
	struct serve_node *n;
	int rc = make(req, parent, name, &attr, NULL, &e);

	n = rc == 0 ? serve_node_get(s, e.ino, true) : NULL;
	if (rc != 0 || n == NULL) {
		serve_fail(s, req, rc != 0 ? rc : -ENOMEM);
		return;
	}
	n->opens++;
	fi->keep_cache = !s->binds;
	if (fuse_reply_create(req, &e, fi) != 0) {
		serve_closed(s, e.ino);
		serve_forget(s, e.ino, 1);
	}
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct serve *s = fuse_req_userdata(req);
	struct fuse_entry_param e = { 0 };
	struct serve_place p, dir;
	int rc = serve_find(s, ino, &p);

	if (rc == 0)
		rc = serve_find(s, parent, &dir);
	if (rc == 0 && p.mount != dir.mount)
		rc = -EXDEV;
	if (rc == 0)
		rc = domu_fs_link(dir.fs, dir.ino, name, p.ino);
	if (rc == 0)
		rc = serve_entry(s, parent, &dir, name, &e);
	if (rc != 0)
		serve_fail(s, req, rc);
	else if (fuse_reply_entry(req, &e) != 0)
		serve_forget(s, e.ino, 1);
}

/* ---- names taken away, and moved --------------------------------------------------------------- */

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place dir, p;
	int rc = place_of(s, parent, name, &dir, &p);

	if (rc == 0)
		rc = hide(s, parent, &dir, name, &p);
	if (rc == 0)
		rc = domu_fs_unlink(dir.fs, dir.ino, name);
	reply(s, req, rc == 1 ? 0 : rc);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place dir, p;
	int rc = place_of(s, parent, name, &dir, &p);

	reply(s, req, rc == 0 ? domu_fs_rmdir(dir.fs, dir.ino, name) : rc);
}

/* What has the new name already, if anything. */
static int make_way(struct serve *s, fuse_ino_t parent, const char *name, unsigned flags)
{
	struct serve_place dir, old;
	int rc = place_of(s, parent, name, &dir, &old);

	if (rc == -ENOENT) {
		domu_error_clear(s->ctx);
		return 0;
	}
	if (rc == 0 && (flags & RENAME_NOREPLACE) != 0)
		return -EEXIST;
	if (rc == 0)
		rc = hide(s, parent, &dir, name, &old);
	return rc == 1 ? 0 : rc;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname,
                      unsigned flags)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place dir, to, p;
	struct serve_node *n;
	int rc = (flags & ~(unsigned)RENAME_NOREPLACE) != 0 ? -EINVAL : place_of(s, parent, name, &dir, &p);

	if (rc == 0)
		rc = serve_find(s, newparent, &to);
	if (rc == 0 && dir.mount != to.mount)
		rc = -EXDEV;
	if (rc == 0)
		rc = make_way(s, newparent, newname, flags);
	if (rc == 0)
		rc = domu_fs_rename(dir.fs, dir.ino, name, to.ino, newname);
	n = rc == 0 ? serve_node_get(s, serve_id(s, &p), false) : NULL;
	if (n != NULL && n->hidden == NULL)
		serve_moved(s, n, newparent);
	reply(s, req, rc);
}

/* ---- content and attributes ------------------------------------------------------------------------ */

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len, off_t offset,
                     struct fuse_file_info *fi)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place p;
	int rc = serve_find(s, ino, &p);

	(void)fi;
	if (rc == 0)
		rc = domu_fs_write(p.fs, p.ino, buf, len, (uint64_t)offset);
	if (rc != 0)
		serve_fail(s, req, rc);
	else
		fuse_reply_write(req, len);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place p;
	int rc = serve_find(s, ino, &p);

	(void)datasync;
	(void)fi;
	reply(s, req, rc == 0 ? domu_fs_flush(p.fs) : rc);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                         struct fuse_file_info *fi)
{
	(void)ino;
	(void)mode;
	(void)offset;
	(void)length;
	(void)fi;
	fuse_reply_err(req, EOPNOTSUPP);
}

static unsigned wanted(const struct stat *attr, int to_set, struct domu_stat *st)
{
	static const struct {
		int fuse;
		unsigned ours;
	} bits[] = {
		{ FUSE_SET_ATTR_MODE, DOMU_ATTR_MODE },   { FUSE_SET_ATTR_UID, DOMU_ATTR_UID },
		{ FUSE_SET_ATTR_GID, DOMU_ATTR_GID },     { FUSE_SET_ATTR_ATIME, DOMU_ATTR_ATIME },
		{ FUSE_SET_ATTR_MTIME, DOMU_ATTR_MTIME },
	};
	unsigned mask = 0;

	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
		if ((to_set & bits[i].fuse) != 0)
			mask |= bits[i].ours;
	if ((mask & DOMU_ATTR_MODE) != 0)
		st->mode = (st->mode & S_IFMT) | (attr->st_mode & 07777);
	st->uid = attr->st_uid;
	st->gid = attr->st_gid;
	st->atime = (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0 ? now() : attr->st_atim;
	st->mtime = (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0 ? now() : attr->st_mtim;
	return mask;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place p;
	struct domu_stat st;
	int rc = serve_find(s, ino, &p);

	(void)fi;
	if (rc == 0 && (to_set & FUSE_SET_ATTR_SIZE) != 0)
		rc = attr->st_size < 0 ? -EINVAL : domu_fs_truncate(p.fs, p.ino, (uint64_t)attr->st_size);
	if (rc == 0)
		rc = domu_fs_stat(p.fs, p.ino, &st);
	if (rc == 0) {
		unsigned mask = wanted(attr, to_set, &st);

		if (mask != 0)
			rc = domu_fs_setattr(p.fs, p.ino, &st, mask);
	}
	serve_reply_attr(s, req, &p, rc);
}

/* ---- extended attributes ---------------------------------------------------------------------------- */

static int known(const struct serve_place *p, const char *name)
{
	return domu_fs_getxattr(p->fs, p->ino, name, SIZE_MAX, NULL, NULL);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place p;
	int rc = serve_find(s, ino, &p);

	if (rc == 0 && flags != 0) {
		rc = known(&p, name);
		if (rc == 0 && (flags & XATTR_CREATE) != 0)
			rc = -EEXIST;
		else if (rc == -ENODATA && (flags & XATTR_REPLACE) == 0)
			rc = 0;
	}
	reply(s, req, rc == 0 ? domu_fs_setxattr(p.fs, p.ino, name, value, size) : rc);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place p;
	int rc = serve_find(s, ino, &p);

	if (rc == 0)
		rc = known(&p, name);
	reply(s, req, rc == 0 ? domu_fs_removexattr(p.fs, p.ino, name) : rc);
}

void serve_write_ops(struct fuse_lowlevel_ops *ops)
{
	ops->mknod = op_mknod;
	ops->mkdir = op_mkdir;
	ops->symlink = op_symlink;
	ops->create = op_create;
	ops->link = op_link;
	ops->unlink = op_unlink;
	ops->rmdir = op_rmdir;
	ops->rename = op_rename;
	ops->write = op_write;
	ops->fsync = op_fsync;
	ops->fsyncdir = op_fsync;
	ops->fallocate = op_fallocate;
	ops->setattr = op_setattr;
	ops->setxattr = op_setxattr;
	ops->removexattr = op_removexattr;
}
