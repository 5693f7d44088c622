/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treeio-host-in.c - entries and data into a folder of this host; nothing is written outside it, whatever they say. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/io.h"
#include "task/treeio.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* A folder being filled. */
struct level {
	struct level *up;
	int fd;
	struct domu_stat st;
	bool made, own; /* made by us; fd is ours to close */
	char name[256];
};

struct host_sink {
	struct domu_ctx *ctx;
	unsigned flags;
	const char *name; /* of the first entry; NULL afterwards */
	char *first_name;
	struct level *base, *top;
	int fd; /* the file being written, -1: none */
	struct domu_stat st;
	char shown[256];
	char **links; /* by link_id - 1: the path below base, as names parted by '/' */
	size_t n_links, cap_links;
	bool xattr_warned;
};

static int fail(struct host_sink *h, int err, const char *what)
{
	return domu_fail(h->ctx, DOMU_FAILED, -err, "cannot %s '%s': %s", what, h->shown, strerror(err));
}

/* ---- attributes ------------------------------------------------------------------------ */

static void set_xattrs(struct host_sink *h, int fd, const struct domu_treeio_entry *e)
{
	for (size_t i = 0; i < e->n_xattrs; i++) {
		if (fsetxattr(fd, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].len, 0) == 0 || h->xattr_warned)
			continue;
		h->xattr_warned = true;
		domu_say(h->ctx, DOMU_WARNING, "cannot keep the attribute %s of '%s' here: %s", e->xattrs[i].name,
		         h->shown, strerror(errno));
	}
}

/* Owner first: changing it clears set-ID bits. */
static int set_attr(struct host_sink *h, int fd, const struct domu_stat *st)
{
	if ((h->flags & DOMU_TREEIO_PRESERVE) == 0)
		return 0;
	if (fchown(fd, st->uid, st->gid) < 0 && geteuid() == 0)
		return fail(h, errno, "set the owner of");
	return fchmod(fd, st->mode & 07777) < 0 ? fail(h, errno, "set the mode of") : 0;
}

static int set_times(struct host_sink *h, int fd, const struct domu_stat *st)
{
	const struct timespec ts[2] = { st->atime, st->mtime };

	if ((h->flags & DOMU_TREEIO_PRESERVE) == 0)
		return 0;
	return futimens(fd, ts) < 0 ? fail(h, errno, "set the times of") : 0;
}

/* For what cannot be opened: links and special files. */
static int set_attr_at(struct host_sink *h, const char *name, const struct domu_stat *st)
{
	const struct timespec ts[2] = { st->atime, st->mtime };

	if ((h->flags & DOMU_TREEIO_PRESERVE) == 0)
		return 0;
	if (fchownat(h->top->fd, name, st->uid, st->gid, AT_SYMLINK_NOFOLLOW) < 0 && geteuid() == 0)
		return fail(h, errno, "set the owner of");
	/* It was made by us just now, and is no link. */
	if (!S_ISLNK(st->mode) && fchmodat(h->top->fd, name, st->mode & 07777, 0) < 0)
		return fail(h, errno, "set the mode of");
	if (utimensat(h->top->fd, name, ts, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(h, errno, "set the times of");
	return 0;
}

/* ---- links ------------------------------------------------------------------------------ */

static char *path_of(const struct host_sink *h, const char *name)
{
	size_t len = strlen(name) + 1;
	char *path;

	for (const struct level *l = h->top; l != h->base; l = l->up)
		len += strlen(l->name) + 1;
	path = malloc(len);
	if (path == NULL)
		return NULL;
	path[--len] = '\0';
	for (const struct level *l = h->top; name != NULL; l = l->up) {
		len -= strlen(name);
		memcpy(path + len, name, strlen(name));
		name = l != h->base ? l->name : NULL;
		if (name != NULL)
			path[--len] = '/';
	}
	return path;
}

static int remember_link(struct host_sink *h, uint64_t id, const char *name)
{
	if (id == 0)
		return 0;
	if (id > h->cap_links) {
		size_t cap = h->cap_links != 0 ? 2 * h->cap_links : 256;
		char **v = id <= cap ? realloc(h->links, cap * sizeof *v) : NULL;

		if (v == NULL)
			return domu_nomem(h->ctx);
		memset(v + h->cap_links, 0, (cap - h->cap_links) * sizeof *v);
		h->links = v;
		h->cap_links = cap;
	}
	free(h->links[id - 1]);
	h->links[id - 1] = path_of(h, name);
	return h->links[id - 1] != NULL ? 0 : domu_nomem(h->ctx);
}

/* Opens the folder that a path below base lies in, name by name, through no link; *name is the last one. */
static int open_below(const struct host_sink *h, char *path, char **name)
{
	int fd = dup(h->base->fd), next;
	char *slash;

	while (fd >= 0 && (slash = strchr(path, '/')) != NULL) {
		*slash = '\0';
		next = openat(fd, path, DIR_FLAGS);
		*slash = '/';
		close(fd);
		fd = next;
		path = slash + 1;
	}
	*name = path;
	return fd;
}

static int make_link(struct host_sink *h, const char *name, uint64_t id)
{
	char *path = id <= h->cap_links ? h->links[id - 1] : NULL, *last;
	int fd = path != NULL ? open_below(h, path, &last) : -1, rc = 0;

	if (fd < 0)
		return fail(h, path != NULL ? errno : EBADMSG, "link");
	if (linkat(fd, last, h->top->fd, name, 0) < 0) {
		rc = errno;
		if (rc == EEXIST)
			rc = unlinkat(h->top->fd, name, 0) < 0 || linkat(fd, last, h->top->fd, name, 0) < 0 ? errno : 0;
	}
	close(fd);
	return rc != 0 ? fail(h, rc, "link") : 0;
}

/* ---- entries ----------------------------------------------------------------------------- */

static int push(struct host_sink *h, int fd, const char *name, const struct domu_stat *st, bool made, bool own)
{
	struct level *l = calloc(1, sizeof *l);

	if (l == NULL) {
		if (own)
			close(fd);
		return domu_nomem(h->ctx);
	}
	l->up = h->top;
	l->fd = fd;
	l->st = *st;
	l->made = made;
	l->own = own;
	snprintf(l->name, sizeof l->name, "%s", name);
	h->top = l;
	return 0;
}

static int enter_dir(struct host_sink *h, const char *name, const struct domu_treeio_entry *e)
{
	bool made = mkdirat(h->top->fd, name, (e->st.mode & 01777) | 0700) == 0;
	int fd;

	if (!made && errno != EEXIST)
		return fail(h, errno, "create directory");
	fd = openat(h->top->fd, name, DIR_FLAGS);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return domu_fail(h->ctx, DOMU_FAILED, -ENOTDIR, "cannot overwrite non-directory '%s' with directory",
		                 h->shown);
	if (fd < 0)
		return fail(h, errno, "open directory");
	set_xattrs(h, fd, e);
	return push(h, fd, name, &e->st, made, true);
}

/* What is in the way of a new name is removed, unless it is a directory. */
static int make_room(struct host_sink *h, const char *name)
{
	if (unlinkat(h->top->fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR)
		return domu_fail(h->ctx, DOMU_FAILED, -EISDIR, "cannot overwrite directory '%s' with non-directory",
		                 h->shown);
	return fail(h, errno, "remove");
}

static int open_file(struct host_sink *h, const char *name, const struct domu_treeio_entry *e)
{
	mode_t mode = (h->flags & DOMU_TREEIO_PRESERVE) != 0 ? 0600 : e->st.mode & 0777;
	struct stat st;
	int rc;

	h->fd = openat(h->top->fd, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (h->fd >= 0 && (fstat(h->fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(h->fd);
		h->fd = -1;
	}
	if (h->fd >= 0 && ftruncate(h->fd, 0) < 0)
		return fail(h, errno, "write");
	if (h->fd < 0) {
		rc = make_room(h, name);
		if (rc != 0)
			return rc;
		h->fd = openat(h->top->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	}
	if (h->fd < 0)
		return fail(h, errno, "create");
	h->st = e->st;
	/* A list of a file that was there would make a mask of what the mode says of the group. */
	if ((h->flags & DOMU_TREEIO_PRESERVE) != 0)
		fremovexattr(h->fd, "system.posix_acl_access");
	rc = set_attr(h, h->fd, &e->st);
	if (rc == 0)
		set_xattrs(h, h->fd, e);
	return rc;
}

static int make_other(struct host_sink *h, const char *name, const struct domu_treeio_entry *e)
{
	mode_t mode = (h->flags & DOMU_TREEIO_PRESERVE) != 0 ? 0600 : e->st.mode & 0777;
	dev_t dev = makedev(e->st.rdev_major, e->st.rdev_minor);
	int rc = make_room(h, name);

	if (rc != 0)
		return rc;
	if (S_ISLNK(e->st.mode)) {
		if (symlinkat(e->target, h->top->fd, name) < 0)
			return fail(h, errno, "create link");
	} else if (mknodat(h->top->fd, name, (e->st.mode & S_IFMT) | mode, dev) < 0) {
		return fail(h, errno, "create special file");
	}
	return set_attr_at(h, name, &e->st);
}

/* cp -n, and -u where it is not older. */
static bool left_alone(const struct host_sink *h, const struct stat *old, const struct domu_stat *st)
{
	const struct timespec *a = &old->st_mtim, *b = &st->mtime;

	if ((h->flags & DOMU_TREEIO_UPDATE) != 0 &&
	    (a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec >= b->tv_nsec))
		return true;
	return (h->flags & DOMU_TREEIO_NO_CLOBBER) != 0;
}

static int h_entry(struct domu_sink *s, const struct domu_treeio_entry *e)
{
	struct host_sink *h = s->priv;
	const char *name = h->name != NULL ? h->name : e->name;
	bool itself = h->name != NULL && strcmp(h->name, ".") == 0;
	struct stat st;
	int rc;

	h->name = NULL;
	snprintf(h->shown, sizeof h->shown, "%s", itself ? e->name : name);
	if (itself && !S_ISDIR(e->st.mode))
		return domu_fail(h->ctx, DOMU_FAILED, -EISDIR, "cannot overwrite directory with non-directory '%s'",
		                 h->shown);
	if (itself) {
		s->left_alone = true;
		set_xattrs(h, h->top->fd, e);
		return push(h, h->top->fd, ".", &e->st, false, false);
	}
	if (S_ISDIR(e->st.mode)) {
		rc = enter_dir(h, name, e);
		s->left_alone = rc == 0 && !h->top->made;
		return rc;
	}
	/* Its data is taken and dropped. */
	if (fstatat(h->top->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && left_alone(h, &st, &e->st)) {
		s->left_alone = true;
		return e->again ? 0 : remember_link(h, e->link_id, name);
	}
	if (e->again)
		return make_link(h, name, e->link_id);
	rc = S_ISREG(e->st.mode) ? open_file(h, name, e) : make_other(h, name, e);
	return rc == 0 ? remember_link(h, e->link_id, name) : rc;
}

static int h_data(struct domu_sink *s, const void *bytes, size_t len, uint64_t offset)
{
	struct host_sink *h = s->priv;
	int rc;

	if (h->fd < 0)
		return 0;
	rc = offset <= INT64_MAX - len ? domu_pwrite_full(&domu_io_system, h->fd, bytes, len, offset) : -EFBIG;

	return rc != 0 ? fail(h, -rc, "write") : 0;
}

static int h_file_end(struct domu_sink *s, uint64_t size)
{
	struct host_sink *h = s->priv;
	int rc = 0;

	if (h->fd < 0)
		return 0;
	if (ftruncate(h->fd, (off_t)size) < 0)
		rc = fail(h, errno, "write");
	if (rc == 0)
		rc = set_times(h, h->fd, &h->st);
	if (close(h->fd) < 0 && rc == 0)
		rc = fail(h, errno, "write");
	h->fd = -1;
	return rc;
}

static int h_leave(struct domu_sink *s)
{
	struct host_sink *h = s->priv;
	struct level *l = h->top;
	struct stat st;
	int rc = 0;

	snprintf(h->shown, sizeof h->shown, "%s", l->name);
	if (l->own || strcmp(l->name, ".") == 0) {
		rc = set_attr(h, l->fd, &l->st);
		/* While it was filled it had to be writable. */
		if (rc == 0 && l->made && (l->st.mode & 0700) != 0700 && (h->flags & DOMU_TREEIO_PRESERVE) == 0 &&
		    (fstat(l->fd, &st) < 0 || fchmod(l->fd, st.st_mode & l->st.mode & 01777) < 0))
			rc = fail(h, errno, "set the mode of");
		if (rc == 0)
			rc = set_times(h, l->fd, &l->st);
	}
	if (l->own)
		close(l->fd);
	h->top = l->up;
	free(l);
	return rc;
}

int domu_treeio_to_host(struct domu_ctx *ctx, int dirfd, const char *name, unsigned flags, struct domu_sink *s)
{
	struct host_sink *h = calloc(1, sizeof *h);
	struct domu_stat st = { 0 };

	memset(s, 0, sizeof *s);
	if (h == NULL)
		return domu_nomem(ctx);
	h->ctx = ctx;
	h->flags = flags;
	h->fd = -1;
	h->first_name = name != NULL ? strdup(name) : NULL;
	h->name = h->first_name;
	*s =
	    (struct domu_sink){ .entry = h_entry, .data = h_data, .file_end = h_file_end, .leave = h_leave, .priv = h };
	if ((name != NULL && h->first_name == NULL) || push(h, dirfd, "", &st, false, false) != 0) {
		domu_treeio_host_free(s);
		return domu_nomem(ctx);
	}
	h->base = h->top;
	return 0;
}

void domu_treeio_host_free(struct domu_sink *s)
{
	struct host_sink *h = s->priv;

	if (h == NULL)
		return;
	while (h->top != NULL) {
		struct level *l = h->top;

		h->top = l->up;
		if (l->own)
			close(l->fd);
		free(l);
	}
	for (size_t i = 0; i < h->cap_links; i++)
		free(h->links[i]);
	if (h->fd >= 0)
		close(h->fd);
	free(h->links);
	free(h->first_name);
	free(h);
	s->priv = NULL;
}

int domu_treeio_host_in(struct domu_ctx *ctx, int fd, int dirfd, const char *name, const char *const *names,
                        unsigned flags)
{
	struct domu_sink s;
	int rc;

	if (name != NULL && strcmp(name, ".") != 0 && !domu_fs_name_ok(name))
		return domu_fail(ctx, DOMU_USAGE, -EINVAL, "'%s' is not a file's name", name);
	rc = domu_treeio_to_host(ctx, dirfd, name, flags, &s);
	if (rc == 0)
		rc = domu_treeio_from_stream(ctx, fd, name == NULL ? names : NULL, &s);
	domu_treeio_host_free(&s);
	return rc;
}
