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
	if (!S_ISREG(f->old.mode) || f->change == DOMU_CHANGE_METADATA)
		return 0;
	if (f->old.size <= SMALL && f->old.size <= r->room)
		return keep_data(r, f);
	rc = domu_content_hash(r->old, &f->old, r->left, &f->content);
	f->has_content = rc == 0;
	if (rc == 0)
		r->left -= f->old.size;
	return rc;
}

static int put_changed(void *user, const struct domu_changed *c)
{
	struct record *r = user;
	struct domu_file f = { .path = c->path, .change = c->change, .old = c->old, .new = c->new };
	int rc = 0, x = 0;

	if (c->old.ino != 0) {
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

static int open_side(struct domu_tree *t, const char *node, struct domu_fs **fs, const char **uuid)
{
	size_t i;
	int rc = domu_tree_find(t, node, &i);

	if (rc == 0)
		rc = domu_tree_fs(t, i, fs);
	if (rc == 0)
		*uuid = domu_tree_nodes(t)->v[i].probe.uuid;
	return rc;
}

static int record_node(struct record *r, struct domu_tree *old, struct domu_tree *new, const char *node,
                       const char *target)
{
	struct domu_files_fs head = { .node = node, .target = target };
	const char *ignored;
	struct domu_fs *fs;
	int rc = open_side(new, node, &fs, &head.uuid);

	if (rc == 0)
		rc = open_side(old, node, &r->old, &ignored);
	if (rc == 0)
		rc = domu_files_put_fs(&r->w, &head);
	return rc == 0 ? domu_changes(r->w.ctx, r->old, fs, put_changed, r) : rc;
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
			rc = record_node(r, old, new, node, target);
	}
	if (r != NULL)
		rc = domu_files_end(&r->w, rc);
	free(r);
	if (files_fd >= 0)
		close(files_fd);
	return rc;
}
