/* SPDX-License-Identifier: GPL-3.0-or-later */
/* files-record.c - in the worker, before a commit: which files the stage changes, and what they were. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ctx.h"
#include "fence/fence.h"
#include "task/files.h"

/* Of old content that is read for its checksum, in one commit: it takes as long as reading it. */
#define MAX_CONTENT (UINT64_C(1) << 30)
/* Of files that are kept whole, one and all together. */
#define SMALL      (256u << 10)
#define MAX_KEPT   (16u << 20)
#define MAX_XATTRS (64u << 10) /* bytes of one file's attributes */

struct record {
	struct domu_files_writer w;
	struct domu_fs *old;
	uint64_t left, room; /* of MAX_CONTENT, MAX_KEPT */
	char data[SMALL], target[4096];
	struct domu_treeio_xattr xattr[DOMU_FILES_XATTRS];
	size_t n_xattr, xattr_bytes;
};

/* ---- attributes --------------------------------------------------------------------------- */

static int keep_xattr(void *user, const char *name, const void *value, size_t len)
{
	struct record *r = user;
	struct domu_treeio_xattr *x = &r->xattr[r->n_xattr];
	size_t n = strlen(name) + 1;
	char *p;

	if (r->n_xattr == DOMU_FILES_XATTRS || (r->xattr_bytes += n + len) > MAX_XATTRS)
		return -E2BIG;
	p = malloc(n + len);
	if (p == NULL)
		return -ENOMEM;
	memcpy(p, name, n);
	if (len > 0)
		memcpy(p + n, value, len);
	*x = (struct domu_treeio_xattr){ .name = p, .value = p + n, .len = len };
	r->n_xattr++;
	return 0;
}

static void drop_xattrs(struct record *r)
{
	for (size_t i = 0; i < r->n_xattr; i++)
		free((char *)(uintptr_t)r->xattr[i].name);
	r->n_xattr = r->xattr_bytes = 0;
}

static int keep_xattrs(struct record *r, struct domu_file *f)
{
	int rc = domu_fs_listxattr(r->old, f->old.ino, keep_xattr, r);

	if (rc == 0)
		rc = domu_xattrs_hash(r->old, f->old.ino, &f->xattrs);
	if (rc != 0)
		drop_xattrs(r);
	f->has_xattrs = rc == 0;
	f->xattr = r->xattr;
	f->n_xattr = r->n_xattr;
	return rc;
}

/* ---- content ------------------------------------------------------------------------------- */

static int keep_target(struct record *r, struct domu_file *f)
{
	int n = domu_fs_readlink(r->old, f->old.ino, r->target, sizeof r->target);

	/* A link that cannot be read has no target that could be given back. */
	f->target = n > 0 ? r->target : "";
	f->has_content = n > 0;
	return n < 0 ? n : 0;
}

static int keep_data(struct record *r, struct domu_file *f)
{
	ssize_t n = domu_fs_read(r->old, f->old.ino, r->data, f->old.size, 0);

	if (n < 0)
		return (int)n;
	f->has_content = (uint64_t)n == f->old.size;
	f->data = f->has_content ? r->data : NULL;
	r->room -= f->old.size;
	return 0;
}

/* Only what the commit takes away needs to be known again. */
static int keep_content(struct record *r, struct domu_file *f)
{
	int rc;

	if (S_ISLNK(f->old.mode))
		return keep_target(r, f);
	f->has_content = true;
	if (!S_ISREG(f->old.mode) || f->change == DOMU_IS_METADATA)
		return 0;
	if (f->old.size <= SMALL && f->old.size <= r->room)
		return keep_data(r, f);
	rc = domu_content_hash(r->old, &f->old, r->left, &f->content);
	f->has_content = rc == 0;
	if (rc == 0)
		r->left -= f->old.size;
	return rc;
}

/* What can be put back: the rest of a folder follows from what is in it, a file's space from how it is written. */
static bool matters(const struct domu_difference *d)
{
	unsigned rest = DOMU_DIFFERS_SPACE;

	/* What cannot be read is not known well enough. */
	if ((d->old == NULL) != (d->old_ino == 0) || (d->new == NULL) != (d->new_ino == 0))
		return false;
	if (d->old == NULL || d->new == NULL)
		return true;
	if (S_ISDIR(d->old->mode) && S_ISDIR(d->new->mode))
		rest |= DOMU_DIFFERS_TIMES | DOMU_DIFFERS_LINKS | DOMU_DIFFERS_INODE;
	return (d->what & ~rest) != 0;
}

static int put_changed(void *user, const struct domu_difference *d)
{
	struct record *r = user;
	struct domu_file f = { .path = d->path, .change = d->change };
	int rc = 0, x = 0;

	if (!matters(d))
		return 0;
	if (d->old != NULL)
		f.old = *d->old;
	if (d->new != NULL)
		f.new = *d->new;
	/* The name has to be given to what it was of, which may have others. */
	if (d->change == DOMU_IS_METADATA && (d->what & DOMU_DIFFERS_INODE) != 0 && !S_ISDIR(f.old.mode))
		f.change = DOMU_IS_MODIFIED;
	if (f.old.ino != 0) {
		rc = keep_content(r, &f);
		x = keep_xattrs(r, &f);
	}
	rc = rc == -ENOMEM || rc == -EINTR ? rc : x;
	/* What cannot be read now was lost before: it is listed, and will be refused. */
	if (rc != -ENOMEM && rc != -EINTR) {
		domu_error_clear(r->w.ctx);
		rc = domu_files_put(&r->w, &f);
	}
	drop_xattrs(r);
	return rc;
}

/* ---- a filesystem ---------------------------------------------------------------------------- */

static int record_node(struct domu_work *w, struct record *r, const char *node, const char *target)
{
	struct domu_compare c = { .ctx = w->ctx, .at = "/", .quiet = true, .found = put_changed, .user = r };
	struct domu_files_fs head = { .node = node, .target = target };
	struct domu_span *spans = NULL;
	size_t i;
	int rc = domu_tree_find(w->tree, node, &i);

	if (rc == 0)
		rc = domu_work_sides(w, i, &c, &spans);
	if (rc == 0) {
		r->old = c.old;
		head.uuid = domu_tree_nodes(w->tree)->v[i].probe.uuid;
		rc = domu_files_put_fs(&r->w, &head);
	}
	if (rc == 0)
		rc = domu_compare(&c);
	free(spans);
	return rc;
}

/* Request: u64 n, n times str node, str target; the list's file. */
int domu_op_files_record(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct record *r = calloc(1, sizeof *r);
	struct domu_tree *old, *new;
	uint64_t n = domu_msg_get_u64(req);
	int files_fd = domu_msg_take_fd(req), rc = r != NULL ? 0 : domu_nomem(w->ctx);

	(void)reply;
	if (rc == 0 && (req->err != 0 || files_fd < 0))
		rc = domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "files-record: malformed request");
	if (rc == 0)
		rc = domu_work_tree(w, NULL, &new);
	if (rc == 0)
		rc = domu_work_base_tree(w, -1, &old);
	if (rc == 0)
		rc = domu_files_begin(&r->w, w->ctx, files_fd);
	for (uint64_t i = 0; rc == 0 && i < n; i++) {
		const char *node = domu_msg_get_str(req), *target = domu_msg_get_str(req);

		r->left = MAX_CONTENT;
		r->room = MAX_KEPT;
		if (req->err != 0 || node == NULL)
			rc = domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "files-record: malformed request");
		else
			rc = record_node(w, r, node, target);
	}
	if (r != NULL)
		rc = domu_files_end(&r->w, rc);
	free(r);
	if (files_fd >= 0)
		close(files_fd);
	return rc;
}
