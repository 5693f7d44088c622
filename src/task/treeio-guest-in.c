/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treeio-guest-in.c - entries and data into a guest's filesystem, as cp writes them. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/ctx.h"
#include "fs/label.h"
#include "task/treeio.h"

/* A directory being filled. */
struct level {
	struct level *up;
	struct domu_fs *fs;
	unsigned mount;
	uint64_t ino;
	struct domu_stat st; /* as it came, for its times when it is left */
	bool restore;
	size_t path_len;
};

struct known_link {
	struct domu_fs *fs;
	uint64_t ino;
};

struct guest_sink {
	struct domu_ctx *ctx;
	struct domu_tree *t;
	unsigned flags;
	const char *name; /* of the first entry; NULL afterwards */
	char *first_name;
	char shown[256]; /* what is being written, for messages */
	struct level *top;
	struct domu_fs *fs; /* of the file being written */
	uint64_t ino;
	struct domu_stat st; /* it as it came */
	uint64_t end; /* of what was written */
	char *path; /* of what is being written, for its label; NULL: none is wanted */
	size_t path_cap;
	struct known_link *links; /* by link_id - 1 */
	size_t n_links, cap_links;
};

static int fail(struct guest_sink *g, int rc, const char *what)
{
	char *about;

	if (g->ctx->error.status == DOMU_OK)
		domu_fail(g->ctx, DOMU_FAILED, rc, "%s", strerror(-rc));
	if (asprintf(&about, "cannot %s '%s'", what, g->path != NULL ? g->path : g->shown) >= 0) {
		domu_error_about(g->ctx, about);
		free(about);
	}
	return rc;
}

/* ---- attributes ------------------------------------------------------------------------ */

static int make_attr(struct guest_sink *g, const struct domu_treeio_entry *e, struct domu_stat *attr)
{
	struct domu_stat parent;
	int rc;

	*attr = e->st;
	if ((g->flags & DOMU_TREEIO_PRESERVE) != 0) {
		clock_gettime(CLOCK_REALTIME, &attr->ctime);
		attr->btime = attr->ctime;
		return 0;
	}
	rc = domu_fs_stat(g->top->fs, g->top->ino, &parent);
	if (rc != 0)
		return rc;
	attr->uid = attr->gid = 0;
	if (!S_ISLNK(attr->mode))
		attr->mode &= S_IFMT | (S_ISDIR(attr->mode) ? 01777 : 0777);
	if ((parent.mode & S_ISGID) != 0) {
		attr->gid = parent.gid;
		if (S_ISDIR(attr->mode))
			attr->mode |= S_ISGID;
	}
	clock_gettime(CLOCK_REALTIME, &attr->mtime);
	attr->atime = attr->ctime = attr->btime = attr->mtime;
	attr->flags = attr->projid = 0;
	return 0;
}

static int set_xattrs(struct domu_fs *fs, uint64_t ino, const struct domu_treeio_entry *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < e->n_xattrs; i++)
		rc = domu_fs_setxattr(fs, ino, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].len);
	return rc;
}

static bool brings(const struct domu_treeio_entry *e, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < e->n_xattrs; i++)
		found = found || strcmp(e->xattrs[i].name, name) == 0;
	return found;
}

/* A new inode, with what comes along; what does not is as the guest would make it. */
static int create(struct guest_sink *g, const char *name, const struct domu_treeio_entry *e, uint64_t *ino)
{
	struct domu_fs *fs = g->top->fs;
	const char *path = g->path != NULL && !brings(e, DOMU_LABEL_XATTR) ? g->path : NULL;
	struct domu_stat attr;
	int rc = make_attr(g, e, &attr);

	if (rc == 0 && (g->flags & DOMU_TREEIO_PRESERVE) == 0) {
		rc = domu_fs_create_new(g->t, fs, g->top->ino, path, name, &attr, DOMU_UMASK, e->target, ino);
	} else if (rc == 0) {
		rc = domu_fs_create(fs, g->top->ino, name, &attr, e->target, ino);
		if (rc == 0 && path != NULL)
			rc = domu_fs_label_new(g->t, fs, *ino, path, attr.mode);
	}
	return rc == 0 ? set_xattrs(fs, *ino, e) : rc;
}

/* An access control list is part of the mode: where none comes along, none stays. */
static int drop_acl(struct guest_sink *g, struct domu_fs *fs, uint64_t ino, const struct domu_treeio_entry *e,
                    const char *name)
{
	int rc;

	if (brings(e, name))
		return 0;
	rc = domu_fs_removexattr(fs, ino, name);
	if (rc == -ENODATA || rc == -EOPNOTSUPP) {
		domu_error_clear(g->ctx);
		rc = 0;
	}
	return rc;
}

/* What was there already takes over owner and mode, when that is wanted. */
static int set_existing(struct guest_sink *g, struct domu_fs *fs, uint64_t ino, const struct domu_treeio_entry *e)
{
	bool cp = (g->flags & DOMU_TREEIO_PRESERVE) != 0 && (g->flags & DOMU_TREEIO_REPLACE) == 0;
	int rc = 0;

	if (cp)
		rc = drop_acl(g, fs, ino, e, "system.posix_acl_access");
	if (rc == 0 && cp && S_ISDIR(e->st.mode))
		rc = drop_acl(g, fs, ino, e, "system.posix_acl_default");
	if (rc == 0 && (g->flags & DOMU_TREEIO_PRESERVE) != 0)
		rc = domu_fs_setattr(fs, ino, &e->st, DOMU_ATTR_MODE | DOMU_ATTR_UID | DOMU_ATTR_GID);
	return rc == 0 ? set_xattrs(fs, ino, e) : rc;
}

/* ---- links ------------------------------------------------------------------------------ */

static int remember_link(struct guest_sink *g, uint64_t id, struct domu_fs *fs, uint64_t ino)
{
	if (id == 0)
		return 0;
	if (id - 1 >= g->cap_links) {
		size_t cap = g->cap_links != 0 ? 2 * g->cap_links : 256;
		struct known_link *v;

		if (id - 1 >= cap)
			return -EBADMSG; /* ids come one after the other */
		v = realloc(g->links, cap * sizeof *v);
		if (v == NULL)
			return -ENOMEM;
		g->links = v;
		g->cap_links = cap;
	}
	g->links[id - 1] = (struct known_link){ .fs = fs, .ino = ino };
	if (id > g->n_links)
		g->n_links = id;
	return 0;
}

static int make_link(struct guest_sink *g, const char *name, uint64_t old, const struct domu_treeio_entry *e)
{
	const struct known_link *l = e->link_id <= g->n_links ? &g->links[e->link_id - 1] : NULL;
	int rc = l == NULL ? -EBADMSG : l->fs != g->top->fs ? -EXDEV : 0;

	if (rc == 0 && old == l->ino)
		return 0;
	if (rc == 0 && old != 0)
		rc = domu_fs_unlink(g->top->fs, g->top->ino, name);
	if (rc == 0)
		rc = domu_fs_link(g->top->fs, g->top->ino, name, l->ino);
	return rc != 0 ? fail(g, rc, "link") : 0;
}

/* ---- entries ----------------------------------------------------------------------------- */

static int push(struct guest_sink *g, struct domu_fs *fs, unsigned mount, uint64_t ino, const struct domu_stat *st,
                bool restore)
{
	struct level *l = calloc(1, sizeof *l);

	if (l == NULL)
		return domu_nomem(g->ctx);
	*l = (struct level){ .up = g->top, .fs = fs, .mount = mount, .ino = ino, .st = *st, .restore = restore };
	l->path_len = g->path != NULL ? strlen(g->path) : 0;
	g->top = l;
	return 0;
}

static int enter_dir(struct guest_sink *g, const char *name, uint64_t old, const struct domu_stat *old_st,
                     const struct domu_treeio_entry *e)
{
	bool preserve = (g->flags & DOMU_TREEIO_PRESERVE) != 0;
	struct domu_fs *fs = g->top->fs;
	unsigned mount = g->top->mount;
	int rc;

	if (old != 0 && !S_ISDIR(old_st->mode) && (g->flags & DOMU_TREEIO_REPLACE) != 0) {
		rc = domu_fs_unlink(fs, g->top->ino, name);
		if (rc != 0)
			return fail(g, rc, "replace");
		old = 0;
	}
	if (old != 0 && !S_ISDIR(old_st->mode))
		return domu_fail(g->ctx, DOMU_FAILED, -ENOTDIR, "cannot overwrite non-directory '%s' with directory",
		                 g->shown);
	if (old != 0) {
		rc = domu_tree_cross(g->t, &mount, &old, &fs);
		if (rc == 0)
			rc = set_existing(g, fs, old, e);
	} else {
		rc = create(g, name, e, &old);
	}
	if (rc != 0)
		return fail(g, rc, "create directory");
	g->fs = fs;
	g->ino = old;
	return push(g, fs, mount, old, &e->st, preserve);
}

/* A file that is there keeps its inode; anything else makes room. */
static int open_file(struct guest_sink *g, const char *name, uint64_t old, const struct domu_stat *old_st,
                     const struct domu_treeio_entry *e)
{
	bool keep = old != 0 && S_ISREG(old_st->mode) && S_ISREG(e->st.mode) && (g->flags & DOMU_TREEIO_REPLACE) == 0;
	uint64_t ino = old;
	int rc = 0;

	if (keep) {
		rc = domu_fs_truncate(g->top->fs, ino, 0);
		if (rc == 0)
			rc = set_existing(g, g->top->fs, ino, e);
	} else {
		if (old != 0)
			rc = domu_fs_unlink(g->top->fs, g->top->ino, name);
		if (rc == 0)
			rc = create(g, name, e, &ino);
	}
	if (rc == 0)
		rc = remember_link(g, e->link_id, g->top->fs, ino);
	if (rc != 0)
		return fail(g, rc, "create");
	g->fs = g->top->fs;
	g->ino = ino;
	g->st = e->st;
	g->end = 0;
	return 0;
}

/* Room for a path of need bytes, which begins as it was or, where path is not NULL, with that. */
static int take_path(struct guest_sink *g, const char *path, size_t need)
{
	char *p;

	if (need > g->path_cap) {
		p = realloc(g->path, need * 2);
		if (p == NULL)
			return domu_nomem(g->ctx);
		g->path = p;
		g->path_cap = need * 2;
	}
	if (path != NULL) {
		memcpy(g->path, path, need - 1);
		g->path[need - 1] = '\0';
	}
	return 0;
}

/* The path of name in the directory that is being filled. */
static int set_path(struct guest_sink *g, const char *name)
{
	size_t len = g->top->path_len;
	int rc = g->path != NULL ? take_path(g, NULL, len + strlen(name) + 2) : 0;

	if (rc == 0 && g->path != NULL)
		snprintf(g->path + len, g->path_cap - len, "/%s", name);
	return rc;
}

/* cp -n, and -u where it is not older. */
static bool left_alone(const struct guest_sink *g, const struct domu_stat *old, const struct domu_stat *st)
{
	const struct timespec *a = &old->mtime, *b = &st->mtime;

	if ((g->flags & DOMU_TREEIO_UPDATE) != 0 &&
	    (a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec >= b->tv_nsec))
		return true;
	return (g->flags & DOMU_TREEIO_NO_CLOBBER) != 0;
}

static int enter_itself(struct guest_sink *g, const struct domu_treeio_entry *e)
{
	int rc;

	if (!S_ISDIR(e->st.mode))
		return domu_fail(g->ctx, DOMU_FAILED, -EISDIR, "cannot overwrite directory with non-directory '%s'",
		                 g->shown);
	rc = set_existing(g, g->top->fs, g->top->ino, e);
	if (rc != 0)
		return fail(g, rc, "set the attributes of");
	return push(g, g->top->fs, g->top->mount, g->top->ino, &e->st, (g->flags & DOMU_TREEIO_PRESERVE) != 0);
}

static int g_entry(struct domu_sink *s, const struct domu_treeio_entry *e)
{
	struct guest_sink *g = s->priv;
	const char *name = g->name != NULL ? g->name : e->name;
	bool itself = g->name != NULL && strcmp(g->name, ".") == 0;
	struct domu_stat st = { 0 };
	uint64_t old = 0;
	int rc;

	g->name = NULL;
	snprintf(g->shown, sizeof g->shown, "%s", itself ? e->name : name);
	if (itself) {
		s->left_alone = true;
		return enter_itself(g, e);
	}
	rc = set_path(g, name);
	if (rc != 0)
		return rc;
	rc = domu_fs_lookup(g->top->fs, g->top->ino, name, &old);
	if (rc == -ENOENT) {
		domu_error_clear(g->ctx);
		rc = 0;
		old = 0;
	}
	if (rc == 0 && old != 0)
		rc = domu_fs_stat(g->top->fs, old, &st);
	if (rc != 0)
		return fail(g, rc, "create");
	if (S_ISDIR(e->st.mode)) {
		s->left_alone = old != 0 && S_ISDIR(st.mode);
		rc = enter_dir(g, name, old, &st, e);
		if (rc == 0 && !s->left_alone && s->made_ino == 0) {
			s->made_fs = g->fs;
			s->made_ino = g->ino;
		}
		return rc;
	}
	if (old != 0 && S_ISDIR(st.mode) && (g->flags & DOMU_TREEIO_REPLACE) != 0) {
		rc =
		    domu_tree_covered(g->t, g->top->mount, old) ? -EBUSY : domu_fs_rmdir(g->top->fs, g->top->ino, name);
		if (rc != 0)
			return fail(g, rc, "replace the directory");
		old = 0;
	}
	if (old != 0 && S_ISDIR(st.mode))
		return domu_fail(g->ctx, DOMU_FAILED, -EISDIR, "cannot overwrite directory '%s' with non-directory",
		                 g->shown);
	/* Its data is taken and dropped; a link to it later leads to what is there. */
	if (old != 0 && left_alone(g, &st, &e->st)) {
		g->fs = NULL;
		s->left_alone = true;
		rc = e->again ? 0 : remember_link(g, e->link_id, g->top->fs, old);
		return rc != 0 ? fail(g, rc, "create") : 0;
	}
	return e->again ? make_link(g, name, old, e) : open_file(g, name, old, &st, e);
}

static int g_data(struct domu_sink *s, const void *bytes, size_t len, uint64_t offset)
{
	struct guest_sink *g = s->priv;
	int rc = g->fs != NULL ? domu_fs_write(g->fs, g->ino, bytes, len, offset) : 0;

	g->end = offset + len;
	return rc != 0 ? fail(g, rc, "write") : 0;
}

static int g_file_end(struct domu_sink *s, uint64_t size)
{
	struct guest_sink *g = s->priv;
	int rc;

	if (g->fs == NULL)
		return 0;
	rc = size != g->end ? domu_fs_truncate(g->fs, g->ino, size) : 0;

	if (rc == 0 && (g->flags & DOMU_TREEIO_PRESERVE) != 0)
		rc = domu_fs_setattr(g->fs, g->ino, &g->st, DOMU_ATTR_ATIME | DOMU_ATTR_MTIME);
	return rc != 0 ? fail(g, rc, "write") : 0;
}

static int g_leave(struct domu_sink *s)
{
	struct guest_sink *g = s->priv;
	struct level *l = g->top;
	int rc = 0;

	if (g->path != NULL)
		g->path[l->path_len] = '\0';
	if (l->restore)
		rc = domu_fs_setattr(l->fs, l->ino, &l->st, DOMU_ATTR_ATIME | DOMU_ATTR_MTIME);
	g->top = l->up;
	free(l);
	return rc != 0 ? fail(g, rc, "set the times of") : 0;
}

int domu_treeio_to_guest(struct domu_ctx *ctx, const struct domu_treeio_into *into, unsigned flags, struct domu_sink *s)
{
	struct guest_sink *g = calloc(1, sizeof *g);
	struct domu_stat st = { 0 };
	int rc;

	memset(s, 0, sizeof *s);
	if (g == NULL)
		return domu_nomem(ctx);
	g->ctx = ctx;
	g->t = into->tree;
	g->flags = flags;
	g->first_name = into->name != NULL ? strdup(into->name) : NULL;
	g->name = g->first_name;
	*s =
	    (struct domu_sink){ .entry = g_entry, .data = g_data, .file_end = g_file_end, .leave = g_leave, .priv = g };
	if (into->path != NULL)
		g->path = strndup(into->path, into->path_len);
	rc = 0;
	if ((into->name != NULL && g->first_name == NULL) || (into->path != NULL && g->path == NULL))
		rc = domu_nomem(ctx);
	if (rc == 0)
		rc = push(g, into->fs, into->mount, into->dir, &st, false);
	if (rc != 0)
		domu_treeio_guest_free(s);
	return rc;
}

void domu_treeio_guest_next(struct domu_sink *s, const char *name)
{
	struct guest_sink *g = s->priv;

	g->name = name;
	s->made_ino = 0;
}

int domu_treeio_guest_move(struct domu_sink *s, struct domu_fs *fs, unsigned mount, uint64_t dir, const char *path)
{
	struct guest_sink *g = s->priv;

	g->top->fs = fs;
	g->top->mount = mount;
	g->top->ino = dir;
	if (path == NULL)
		return 0;
	g->top->path_len = strcmp(path, "/") == 0 ? 0 : strlen(path);
	return take_path(g, path, g->top->path_len + 1);
}

void domu_treeio_guest_reopen(struct domu_sink *s, struct domu_fs *fs, uint64_t ino, const struct domu_stat *st)
{
	struct guest_sink *g = s->priv;

	g->fs = fs;
	g->ino = ino;
	g->st = *st;
	g->end = 0;
}

uint64_t domu_treeio_guest_last(const struct domu_sink *s, struct domu_fs **fs)
{
	const struct guest_sink *g = s->priv;

	*fs = g->fs;
	return g->ino;
}

void domu_treeio_guest_free(struct domu_sink *s)
{
	struct guest_sink *g = s->priv;

	while (g != NULL && g->top != NULL) {
		struct level *l = g->top;

		g->top = l->up;
		free(l);
	}
	if (g != NULL) {
		free(g->first_name);
		free(g->path);
		free(g->links);
	}
	free(g);
	s->priv = NULL;
}
