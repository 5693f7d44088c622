/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treeio-guest-out.c - a tree of a guest as entries and data for a sink. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/ctx.h"
#include "task/treeio-links.h"
#include "task/treeio.h"

#define PIECE        (1u << 20)
#define MAX_FOLLOW   40 /* links to directories, each below the one before */
#define MAX_TOLD     100u /* circles; the others are only counted */
#define MAX_FOLLOWED 100000u /* in all: a few that lead to each other are worth any number of directories */
#define HOLE         4096u
#define MAX_XATTRS   1024

struct open_dir {
	unsigned mount;
	uint64_t ino;
};

struct source {
	struct domu_ctx *ctx;
	struct domu_tree *tree;
	unsigned flags;
	struct domu_sink *to;
	struct domu_links *links;
	const char *as; /* of the first entry; NULL afterwards */
	struct open_dir *dirs; /* entered in the sink */
	unsigned open_dirs;
	size_t cap_dirs;
	unsigned base, follows; /* of the walk going on: the directories around it, the links that led to it */
	unsigned followed, circles; /* links to directories; those that lead to where they are */
	struct domu_scans *scans; /* of all walks; NULL: each has its own */
	char *buf; /* PIECE */
	unsigned long failures; /* files that could not be read */
};

/* ---- extended attributes -------------------------------------------------------------- */

struct xattrs {
	struct domu_treeio_xattr v[MAX_XATTRS];
	size_t n;
	bool acl_only;
};

static int keep_xattr(void *user, const char *name, const void *value, size_t len)
{
	struct xattrs *x = user;
	struct domu_treeio_xattr *a = &x->v[x->n];

	if (x->acl_only && strcmp(name, "system.posix_acl_access") != 0)
		return 0;
	if (x->n == MAX_XATTRS)
		return -E2BIG;
	a->name = strdup(name);
	a->value = malloc(len != 0 ? len : 1);
	a->len = len;
	x->n++;
	if (a->name == NULL || a->value == NULL)
		return -ENOMEM;
	memcpy((void *)(uintptr_t)a->value, value, len);
	return 0;
}

static void free_xattrs(struct xattrs *x)
{
	for (size_t i = 0; x != NULL && i < x->n; i++) {
		free((void *)(uintptr_t)x->v[i].name);
		free((void *)(uintptr_t)x->v[i].value);
	}
	free(x);
}

/* ---- data ------------------------------------------------------------------------------- */

static bool all_zero(const char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Of a file with holes, only what is not zero is passed on. */
static int pass_data(struct source *s, size_t len, uint64_t offset, bool sparse)
{
	size_t from = 0;

	if (!sparse)
		return s->to->data(s->to, s->buf, len, offset);
	while (from < len) {
		size_t end = from, n;
		int rc;

		while (end < len) {
			n = len - end < HOLE ? len - end : HOLE;
			if (all_zero(s->buf + end, n))
				break;
			end += n;
		}
		rc = end > from ? s->to->data(s->to, s->buf + from, end - from, offset + from) : 0;
		if (rc != 0)
			return rc;
		from = end < len ? end + HOLE : len;
	}
	return 0;
}

/* A file that cannot be read is left out, said, and counted; it does not end a rescue. */
static int left_out(struct source *s, const char *shown, int err, bool clean)
{
	const char *why = s->ctx->error.message;

	domu_say(s->ctx, DOMU_WARNING, "cannot read '%s': %s", shown, clean && why != NULL ? why : strerror(-err));
	if (clean)
		domu_error_clear(s->ctx);
	s->failures++;
	return 0;
}

/* Over a hole, however long it is: a damaged size may claim more than anyone could read.  0: there is none here. */
static uint64_t hole_at(struct source *s, const struct domu_path *p, uint64_t offset)
{
	bool clean = s->ctx->error.status == DOMU_OK;
	uint64_t at = 0, run = 0;
	int rc = domu_fs_extent(p->fs, p->ino, offset, p->st.size - offset, &at, &run);

	/* What cannot be told is found by reading. */
	if (rc != 0 && clean)
		domu_error_clear(s->ctx);
	return rc == 0 && at == UINT64_MAX ? run : 0;
}

static int send_data(struct source *s, const struct domu_path *p, const char *shown)
{
	bool sparse = p->st.sectors < p->st.size / 512, clean = s->ctx->error.status == DOMU_OK;
	/* Nothing is allocated: a size that is only claimed is not read. */
	uint64_t offset = p->st.sectors == 0 && p->st.size > 65536 ? p->st.size : 0;
	int rc;

	while (offset < p->st.size) {
		uint64_t hole = sparse ? hole_at(s, p, offset) : 0;
		ssize_t n;

		if (domu_interrupted(s->ctx))
			return domu_fail(s->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		if (hole > 0) {
			offset += hole;
			continue;
		}
		n = domu_fs_read(p->fs, p->ino, s->buf, PIECE, offset);
		if (n < 0) {
			left_out(s, shown, (int)n, clean);
			break;
		}
		if (n == 0)
			break;
		rc = pass_data(s, (size_t)n, offset, sparse);
		if (rc != 0)
			return rc;
		offset += (uint64_t)n;
	}
	return s->to->file_end(s->to, offset < p->st.size && offset == 0 ? 0 : p->st.size);
}

/* ---- entries ------------------------------------------------------------------------------ */

/* The root of a mount has no name of its own: the last of its path. */
static const char *own_name(const struct domu_path *p)
{
	const char *slash = strrchr(p->path, '/');

	if (strcmp(p->name, "/") != 0)
		return p->name;
	return slash != NULL && slash[1] != '\0' ? slash + 1 : "root";
}

static int send_entry(struct source *s, const struct domu_path *p, const char *shown)
{
	struct domu_treeio_entry e = { .name = s->as != NULL ? s->as : own_name(p), .st = p->st };
	bool clean = s->ctx->error.status == DOMU_OK;
	char target[4096];
	struct xattrs *x = NULL;
	int rc = 0;

	s->as = NULL;
	if (S_ISLNK(p->st.mode)) {
		rc = domu_fs_readlink(p->fs, p->ino, target, sizeof target);
		rc = rc == 0 ? -EINVAL : rc < 0 ? rc : 0;
		e.target = target;
	}
	if (rc == 0 && (s->flags & (DOMU_TREEIO_XATTRS | DOMU_TREEIO_PRESERVE)) != 0) {
		x = calloc(1, sizeof *x);
		if (x == NULL)
			return domu_nomem(s->ctx);
		x->acl_only = (s->flags & DOMU_TREEIO_XATTRS) == 0;
		rc = domu_fs_listxattr(p->fs, p->ino, keep_xattr, x);
		e.xattrs = x->v;
		e.n_xattrs = x->n;
	}
	if (rc != 0) {
		free_xattrs(x);
		return left_out(s, shown, rc, clean) + 1;
	}
	if ((s->flags & DOMU_TREEIO_LINKS) != 0 && !S_ISDIR(p->st.mode) &&
	    (p->st.nlink > 1 || (s->flags & DOMU_TREEIO_FOLLOW_ALL) != 0))
		e.link_id = domu_links_id(s->links, p->mount, p->ino, &e.again);
	rc = s->to->entry(s->to, &e);
	free_xattrs(x);
	if (rc == 0 && S_ISREG(p->st.mode) && !e.again)
		rc = send_data(s, p, shown);
	return rc;
}

static int leave_to(struct source *s, unsigned depth)
{
	int rc = 0;

	while (rc == 0 && s->open_dirs > depth) {
		rc = s->to->leave(s->to);
		s->open_dirs--;
	}
	return rc;
}

static int walk_from(struct source *s, const struct domu_path *where, const char *shown, bool stay);

/* A directory that is open is found again below a link only where links go in circles. */
static bool is_open(const struct source *s, const struct domu_path *p)
{
	for (unsigned i = 0; i < s->open_dirs; i++)
		if (s->dirs[i].mount == p->mount && s->dirs[i].ino == p->ino)
			return true;
	return false;
}

/* Of a link of the tree, what it leads to, by the link's name. */
static int follow(struct source *s, const struct domu_walk_entry *e)
{
	struct domu_path *to = malloc(sizeof *to);
	unsigned base = s->base;
	char name[256];
	int rc = to != NULL ? domu_path_walk(s->tree, NULL, e->where->path, 0, to) : domu_nomem(s->ctx);

	if (to != NULL && rc != 0) {
		rc = left_out(s, e->path, rc, true);
	} else if (rc == 0 && S_ISDIR(to->st.mode) && s->followed++ == MAX_FOLLOWED) {
		rc = domu_fail(
		    s->ctx, DOMU_FAILED, -ELOOP,
		    "'%s': more than %u links to directories are met in one copy: cp -r copies links as links", e->path,
		    MAX_FOLLOWED);
	} else if (rc == 0 && S_ISDIR(to->st.mode) && (s->follows == MAX_FOLLOW || is_open(s, to))) {
		if (s->circles++ < MAX_TOLD) {
			domu_fail(s->ctx, DOMU_FAILED, -ELOOP, "its links go in circles");
			rc = left_out(s, e->path, -ELOOP, true);
		} else {
			s->failures++;
		}
	} else if (rc == 0) {
		memcpy(name, e->where->name, sizeof name);
		s->as = name;
		s->base = s->open_dirs;
		s->follows++;
		rc = walk_from(s, to, e->path, (s->flags & DOMU_TREEIO_ONE_FS) != 0 && to->mount != e->where->mount);
		s->as = NULL;
		s->base = base;
		s->follows--;
	}
	free(to);
	return rc;
}

/* By a link, the copy itself can be come upon while it is made. */
static bool is_copy(const struct source *s, const struct domu_path *p)
{
	return s->to->made_ino != 0 && s->to->made_fs == p->fs && s->to->made_ino == p->ino;
}

static int send_one(void *user, const struct domu_walk_entry *e)
{
	struct source *s = user;
	int rc;

	/* The directory stays open for what of it can be read. */
	if (e->inside)
		return left_out(s, e->path, e->err, true);
	rc = leave_to(s, s->base + e->depth);
	if (rc != 0)
		return rc;
	if (e->err != 0 || !domu_type_known(e->where->st.mode))
		return left_out(s, e->path, e->err != 0 ? e->err : -EINVAL, true);
	if (S_ISLNK(e->where->st.mode) && (s->flags & DOMU_TREEIO_FOLLOW_ALL) != 0)
		return follow(s, e);
	if (is_copy(s, e->where)) {
		domu_fail(s->ctx, DOMU_FAILED, -ELOOP, "it is the copy that is being made");
		return left_out(s, e->path, -ELOOP, true) + DOMU_WALK_PRUNE;
	}
	/* Come upon by its own name, below a link that leads above it. */
	if (s->follows > 0 && S_ISDIR(e->where->st.mode) && is_open(s, e->where)) {
		domu_fail(s->ctx, DOMU_FAILED, -ELOOP, "its links go in circles");
		return left_out(s, e->path, -ELOOP, true) + DOMU_WALK_PRUNE;
	}
	rc = send_entry(s, e->where, e->path);
	if (rc > 0)
		return DOMU_WALK_PRUNE; /* left out */
	if (rc == 0 && S_ISDIR(e->where->st.mode)) {
		if (!DOMU_ARRAY_ROOM(s->dirs, s->cap_dirs, s->open_dirs + 1))
			return domu_nomem(s->ctx);
		s->dirs[s->open_dirs++] = (struct open_dir){ .mount = e->where->mount, .ino = e->where->ino };
	}
	return rc;
}

/* stay: of a directory no more than itself. */
static int walk_from(struct source *s, const struct domu_path *where, const char *shown, bool stay)
{
	const struct domu_walk_opts opts = { .max_depth = (s->flags & DOMU_TREEIO_RECURSIVE) != 0 && !stay ? ~0u : 0,
		                             .one_fs = (s->flags & DOMU_TREEIO_ONE_FS) != 0,
		                             .read_only = (s->flags & DOMU_TREEIO_READ_ONLY) != 0,
		                             .scans = s->scans };

	return domu_walk_tree(s->tree, where, shown, &opts, send_one, s);
}

static int check_start(struct source *s, const struct domu_path *where)
{
	if ((s->flags & DOMU_TREEIO_RECURSIVE) != 0)
		return 0;
	if (S_ISDIR(where->st.mode))
		return domu_fail(s->ctx, DOMU_FAILED, -EISDIR, "-r not given: omitting directory '%s'", where->path);
	if (!S_ISREG(where->st.mode) && !S_ISLNK(where->st.mode))
		return domu_fail(s->ctx, DOMU_FAILED, -EINVAL, "-r not given: omitting special file '%s'", where->path);
	return 0;
}

int domu_treeio_from_guest(struct domu_ctx *ctx, struct domu_tree *t, const struct domu_path *where, const char *as,
                           unsigned flags, struct domu_links *links, struct domu_sink *to)
{
	struct source s = { .ctx = ctx, .tree = t, .flags = flags, .to = to, .as = as, .links = links };
	struct domu_links own = { 0 };
	int rc = check_start(&s, where);

	if (rc != 0)
		return rc;
	if (links == NULL)
		s.links = &own;
	s.buf = malloc(PIECE);
	rc = s.buf != NULL ? 0 : domu_nomem(ctx);
	if (rc == 0 && (flags & DOMU_TREEIO_FOLLOW_ALL) != 0 && (flags & DOMU_TREEIO_READ_ONLY) != 0)
		rc = domu_scans_new(t, &s.scans);
	if (rc == 0)
		rc = walk_from(&s, where, where->path, false);
	if (rc == 0)
		rc = leave_to(&s, 0);
	if (rc == 0 && s.failures > 0)
		rc = domu_fail(ctx, DOMU_FAILED, -EIO, "%lu file%s could not be read and %s left out", s.failures,
		               s.failures == 1 ? "" : "s", s.failures == 1 ? "was" : "were");
	domu_scans_free(s.scans);
	domu_links_free(&own);
	free(s.dirs);
	free(s.buf);
	return rc;
}
