/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treeio-host-out.c - a tree of this host as entries and data for a sink. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/array.h"
#include "base/ctx.h"
#include "task/treeio-links.h"
#include "task/treeio.h"

#define PIECE      (1u << 20)
#define MAX_XATTRS 1024
#define MAX_DEPTH  4096

struct source {
	struct domu_ctx *ctx;
	unsigned flags;
	struct domu_sink *to;
	struct domu_links *links;
	dev_t dev; /* of the tree's top */
	char *buf; /* PIECE */
	unsigned depth;
	struct open_dir {
		dev_t dev;
		ino_t ino;
	} * dirs; /* depth of them */
	size_t cap_dirs;
};

static int fail(struct source *s, int err, const char *name)
{
	return domu_fail(s->ctx, err == ENOENT ? DOMU_NOTFOUND : DOMU_FAILED, -err, "cannot read '%s': %s", name,
	                 strerror(err));
}

/* ---- extended attributes ----------------------------------------------------------------- */

struct xattrs {
	char names[65536];
	struct domu_treeio_xattr v[MAX_XATTRS];
	size_t n;
};

static int read_xattr(struct xattrs *x, int fd, const char *name)
{
	struct domu_treeio_xattr *a = &x->v[x->n];
	char *value = malloc(65536), *shrunk;
	ssize_t len = value != NULL ? fgetxattr(fd, name, value, 65536) : -1;

	if (value == NULL)
		return -ENOMEM;
	if (len < 0) {
		free(value);
		return errno == ENODATA ? 0 : -errno;
	}
	a->name = name;
	shrunk = malloc(len > 0 ? (size_t)len : 1);
	if (shrunk == NULL) {
		free(value);
		return -ENOMEM;
	}
	memcpy(shrunk, value, (size_t)len);
	free(value);
	a->value = shrunk;
	a->len = (size_t)len;
	x->n++;
	return 0;
}

/* Of cp -p, only the access control list, which is part of the mode. */
static int read_xattrs(struct source *s, int fd, struct xattrs *x)
{
	ssize_t len = flistxattr(fd, x->names, sizeof x->names - 1);
	int rc = 0;

	x->n = 0;
	if (len < 0)
		return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -errno;
	x->names[len] = '\0';
	for (const char *p = x->names; rc == 0 && p < x->names + len && x->n < MAX_XATTRS; p += strlen(p) + 1)
		if ((s->flags & DOMU_TREEIO_XATTRS) != 0 || strcmp(p, "system.posix_acl_access") == 0)
			rc = read_xattr(x, fd, p);
	return rc;
}

static void free_xattrs(struct xattrs *x)
{
	for (size_t i = 0; x != NULL && i < x->n; i++)
		free((void *)(uintptr_t)x->v[i].value);
	free(x);
}

/* ---- data ----------------------------------------------------------------------------------- */

/* The next run of data at or after offset: to *end; false: only a hole is left. */
static bool next_data(int fd, uint64_t size, uint64_t *offset, uint64_t *end)
{
	off_t from = lseek(fd, (off_t)*offset, SEEK_DATA), to;

	if (from < 0 && errno == ENXIO)
		return false;
	if (from < 0) { /* no such thing on this filesystem */
		*end = size;
		return true;
	}
	to = lseek(fd, from, SEEK_HOLE);
	*offset = (uint64_t)from;
	*end = to < 0 ? size : (uint64_t)to;
	return *offset < size;
}

static int send_run(struct source *s, int fd, const char *name, uint64_t offset, uint64_t end)
{
	int rc = 0;

	while (rc == 0 && offset < end) {
		size_t want = end - offset < PIECE ? (size_t)(end - offset) : PIECE;
		ssize_t n = pread(fd, s->buf, want, (off_t)offset);

		if (domu_interrupted(s->ctx))
			return domu_fail(s->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(s, errno, name);
		if (n == 0)
			break; /* it became shorter */
		rc = s->to->data(s->to, s->buf, (size_t)n, offset);
		offset += (uint64_t)n;
	}
	return rc;
}

static int send_data(struct source *s, int fd, const char *name, uint64_t size)
{
	uint64_t offset = 0, end;
	int rc = 0;

	while (rc == 0 && offset < size && next_data(fd, size, &offset, &end)) {
		if (end > size)
			end = size;
		rc = send_run(s, fd, name, offset, end);
		offset = end;
	}
	return rc == 0 ? s->to->file_end(s->to, size) : rc;
}

/* A file that ends with no file (/proc, a device that is read): until its end. */
static int send_endless(struct source *s, int fd, const char *name)
{
	uint64_t offset = 0;
	int rc = 0;

	while (rc == 0) {
		ssize_t n = read(fd, s->buf, PIECE);

		if (n < 0 && errno == EINTR && !domu_interrupted(s->ctx))
			continue;
		if (n < 0)
			return fail(s, errno, name);
		if (n == 0)
			break;
		rc = s->to->data(s->to, s->buf, (size_t)n, offset);
		offset += (uint64_t)n;
	}
	return rc == 0 ? s->to->file_end(s->to, offset) : rc;
}

/* ---- entries ---------------------------------------------------------------------------------- */

static void to_stat(const struct stat *st, struct domu_stat *out)
{
	memset(out, 0, sizeof *out);
	out->mode = st->st_mode;
	out->uid = st->st_uid;
	out->gid = st->st_gid;
	out->rdev_major = major(st->st_rdev);
	out->rdev_minor = minor(st->st_rdev);
	out->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	out->atime = st->st_atim;
	out->mtime = st->st_mtim;
}

static int send_one(struct source *s, int dirfd, const char *name, const char *as, bool follow);

static int other_names(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static int send_dir(struct source *s, int fd, const struct stat *st, const char *name)
{
	bool follow = (s->flags & DOMU_TREEIO_FOLLOW_ALL) != 0;
	struct dirent **list;
	int n, rc = 0;

	for (unsigned i = 0; i < s->depth; i++)
		if (s->dirs[i].dev == st->st_dev && s->dirs[i].ino == st->st_ino)
			return domu_fail(s->ctx, DOMU_FAILED, -ELOOP, "cannot copy '%s': its links go in circles",
			                 name);
	if (s->depth == MAX_DEPTH)
		return fail(s, ELOOP, name);
	if (!DOMU_ARRAY_ROOM(s->dirs, s->cap_dirs, s->depth + 1))
		return domu_nomem(s->ctx);
	s->dirs[s->depth++] = (struct open_dir){ .dev = st->st_dev, .ino = st->st_ino };
	n = scandirat(fd, ".", &list, other_names, alphasort);
	if (n < 0)
		return fail(s, errno, name);
	for (int i = 0; i < n; i++) {
		if (rc == 0 && domu_interrupted(s->ctx))
			rc = domu_fail(s->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		if (rc == 0)
			rc = send_one(s, fd, list[i]->d_name, list[i]->d_name, follow);
		free(list[i]);
	}
	free(list);
	s->depth--;
	return rc == 0 ? s->to->leave(s->to) : rc;
}

static int send_opened(struct source *s, int fd, const struct stat *st, struct domu_treeio_entry *e, const char *name)
{
	struct xattrs *x = NULL;
	int rc = 0;

	if ((s->flags & (DOMU_TREEIO_XATTRS | DOMU_TREEIO_PRESERVE)) != 0) {
		x = calloc(1, sizeof *x);
		if (x == NULL)
			return domu_nomem(s->ctx);
		rc = read_xattrs(s, fd, x);
		if (rc != 0)
			rc = fail(s, -rc, name);
		e->xattrs = x->v;
		e->n_xattrs = x->n;
	}
	if (rc == 0)
		rc = s->to->entry(s->to, e);
	free_xattrs(x);
	if (rc != 0 || e->again)
		return rc;
	if (S_ISDIR(st->st_mode))
		return send_dir(s, fd, st, name);
	return S_ISREG(st->st_mode) && st->st_size > 0 ? send_data(s, fd, name, (uint64_t)st->st_size)
	                                               : send_endless(s, fd, name);
}

/* What may be opened at all: not a fifo or device where that would wait or do something. */
static int open_one(struct source *s, int dirfd, const char *name, bool follow, struct stat *st, int *fd)
{
	bool read_special = (s->flags & DOMU_TREEIO_RECURSIVE) == 0;

	*fd = -1;
	if (fstatat(dirfd, name, st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return fail(s, errno, name);
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) && (S_ISLNK(st->st_mode) || !read_special))
		return 0;
	*fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | (follow ? 0 : O_NOFOLLOW));
	if (*fd < 0 || fstat(*fd, st) < 0)
		return fail(s, errno, name);
	return 0;
}

static int send_one(struct source *s, int dirfd, const char *name, const char *as, bool follow)
{
	struct domu_treeio_entry e = { .name = as };
	char target[4096];
	struct stat st;
	ssize_t n;
	int fd, rc = open_one(s, dirfd, name, follow, &st, &fd);

	if (rc != 0)
		goto out;
	if (s->depth == 0)
		s->dev = st.st_dev;
	if ((s->flags & DOMU_TREEIO_ONE_FS) != 0 && st.st_dev != s->dev)
		goto out;
	if (S_ISDIR(st.st_mode) && (s->flags & DOMU_TREEIO_RECURSIVE) == 0) {
		rc = domu_fail(s->ctx, DOMU_FAILED, -EISDIR, "-r not given: omitting directory '%s'", name);
		goto out;
	}
	to_stat(&st, &e.st);
	/* Without -r a special file is read, and what it gives becomes a file. */
	if (fd >= 0 && !S_ISDIR(st.st_mode))
		e.st.mode = (e.st.mode & 07777) | S_IFREG;
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(dirfd, name, target, sizeof target - 1);
		if (n <= 0) {
			rc = fail(s, n < 0 ? errno : EINVAL, name);
			goto out;
		}
		target[n] = '\0';
		e.target = target;
	}
	if ((s->flags & DOMU_TREEIO_LINKS) != 0 && !S_ISDIR(st.st_mode) &&
	    (st.st_nlink > 1 || (s->flags & DOMU_TREEIO_FOLLOW_ALL) != 0))
		e.link_id = domu_links_id(s->links, st.st_dev, st.st_ino, &e.again);
	rc = fd >= 0 ? send_opened(s, fd, &st, &e, name) : s->to->entry(s->to, &e);
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

int domu_treeio_from_host(struct domu_ctx *ctx, int dirfd, const char *name, unsigned flags, struct domu_links *links,
                          struct domu_sink *to)
{
	struct source s = { .ctx = ctx, .flags = flags, .to = to, .links = links };
	struct domu_links own = { 0 };
	bool follow = domu_treeio_follows(flags);
	const char *as = strrchr(name, '/');
	int rc;

	as = as != NULL ? as + 1 : name;
	if (!domu_fs_name_ok(as))
		as = "root"; /* "." and "/": the receiver has its own name for it */
	if (links == NULL)
		s.links = &own;
	s.buf = malloc(PIECE);
	rc = s.buf != NULL ? send_one(&s, dirfd, name, as, follow) : domu_nomem(ctx);
	domu_links_free(&own);
	free(s.dirs);
	free(s.buf);
	return rc;
}
