/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treeio-guest-out.c - a tree of a guest as entries and data for a sink. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ctx.h"
#include "task/treeio-links.h"
#include "task/treeio.h"

#define PIECE      (1u << 20)
#define HOLE       4096u
#define MAX_XATTRS 1024

struct source {
	struct domu_ctx *ctx;
	unsigned flags;
	struct domu_sink *to;
	struct domu_links *links;
	const char *as; /* of the first entry; NULL afterwards */
	unsigned open_dirs; /* entered in the sink */
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
	if ((s->flags & DOMU_TREEIO_LINKS) != 0 && p->st.nlink > 1 && !S_ISDIR(p->st.mode))
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

static int send_one(void *user, const struct domu_walk_entry *e)
{
	struct source *s = user;
	int rc;

	/* The directory stays open for what of it can be read. */
	if (e->inside)
		return left_out(s, e->path, e->err, true);
	rc = leave_to(s, e->depth);
	if (rc != 0)
		return rc;
	if (e->err != 0 || !domu_type_known(e->where->st.mode))
		return left_out(s, e->path, e->err != 0 ? e->err : -EINVAL, true);
	rc = send_entry(s, e->where, e->path);
	if (rc > 0)
		return DOMU_WALK_PRUNE; /* left out */
	if (rc == 0 && S_ISDIR(e->where->st.mode))
		s->open_dirs++;
	return rc;
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
	const struct domu_walk_opts opts = { .max_depth = (flags & DOMU_TREEIO_RECURSIVE) != 0 ? ~0u : 0,
		                             .one_fs = (flags & DOMU_TREEIO_ONE_FS) != 0,
		                             .read_only = (flags & DOMU_TREEIO_READ_ONLY) != 0 };
	struct source s = { .ctx = ctx, .flags = flags, .to = to, .as = as, .links = links };
	struct domu_links own = { 0 };
	int rc = check_start(&s, where);

	if (rc != 0)
		return rc;
	if (links == NULL)
		s.links = &own;
	s.buf = malloc(PIECE);
	rc = s.buf != NULL ? domu_walk_tree(t, where, where->path, &opts, send_one, &s) : domu_nomem(ctx);
	if (rc == 0)
		rc = leave_to(&s, 0);
	if (rc == 0 && s.failures > 0)
		rc = domu_fail(ctx, DOMU_FAILED, -EIO, "%lu file%s could not be read and %s left out", s.failures,
		               s.failures == 1 ? "" : "s", s.failures == 1 ? "was" : "were");
	domu_links_free(&own);
	free(s.buf);
	return rc;
}
