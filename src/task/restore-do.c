/* SPDX-License-Identifier: GPL-3.0-or-later */
/* restore-do.c - the files that were planned are put back: made, given their old content, attributes and names. */
#include "config.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ctx.h"
#include "task/restore.h"
#include "task/treeio.h"

static int fail(struct restore *r, const struct item *i, int rc)
{
	if (r->ctx->error.status != DOMU_OK)
		return rc;
	return domu_fail(r->ctx, DOMU_FAILED, rc, "%s cannot be put back: %s; nothing was written", i->f->path,
	                 strerror(-rc));
}

/* ---- attributes --------------------------------------------------------------------------- */

struct xattr_job {
	struct domu_fs *fs;
	uint64_t ino;
	char **names;
	size_t n;
};

static int keep_name(void *user, const char *name, const void *value, size_t len)
{
	struct xattr_job *j = user;
	char **v = realloc(j->names, (j->n + 1) * sizeof *v);

	(void)value;
	(void)len;
	if (v == NULL)
		return -ENOMEM;
	j->names = v;
	v[j->n] = strdup(name);
	return v[j->n++] != NULL ? 0 : -ENOMEM;
}

/* The attributes that the old version had, and no others. */
static int put_xattrs(struct restore *r, const struct item *i, uint64_t ino)
{
	struct xattr_job j = { .fs = r->fs[i->f->fs], .ino = ino };
	uint64_t now;
	int rc = domu_xattrs_hash(j.fs, ino, &now);

	if (rc != 0 || now == i->f->xattrs)
		return rc;
	rc = domu_fs_listxattr(j.fs, ino, keep_name, &j);
	for (size_t k = 0; k < j.n; k++) {
		if (rc == 0)
			rc = domu_fs_removexattr(j.fs, ino, j.names[k]);
		free(j.names[k]);
	}
	free(j.names);
	for (size_t k = 0; rc == 0 && k < i->f->n_xattr; k++)
		rc = domu_fs_setxattr(j.fs, ino, i->f->xattr[k].name, i->f->xattr[k].value, i->f->xattr[k].len);
	return rc;
}

static bool is_fixed(const struct domu_stat *st)
{
	return (st->flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) != 0;
}

/* What the commit made immutable has to lose that first. */
static int loosen(struct domu_fs *fs, uint64_t ino)
{
	struct domu_stat st;
	int rc = domu_fs_stat(fs, ino, &st);

	if (rc != 0 || !is_fixed(&st))
		return rc;
	st.flags &= ~(uint32_t)(FS_IMMUTABLE_FL | FS_APPEND_FL);
	return domu_fs_setattr(fs, ino, &st, DOMU_ATTR_FLAGS);
}

/* Owner, mode, times, project, and at last the flags. */
static int put_attrs(struct domu_fs *fs, uint64_t ino, const struct domu_stat *old)
{
	unsigned mask = DOMU_ATTR_UID | DOMU_ATTR_GID | DOMU_ATTR_ATIME | DOMU_ATTR_MTIME;
	struct domu_stat st;
	int rc = domu_fs_stat(fs, ino, &st);

	if (rc == 0 && !S_ISLNK(old->mode))
		mask |= DOMU_ATTR_MODE;
	if (rc == 0 && st.projid != old->projid)
		mask |= DOMU_ATTR_PROJID;
	if (rc == 0)
		rc = domu_fs_setattr(fs, ino, old, mask);
	if (rc == 0 && ((st.flags ^ old->flags) & DOMU_USER_FLAGS) != 0)
		rc = domu_fs_setattr(fs, ino, old, DOMU_ATTR_FLAGS);
	return rc;
}

/* ---- content ------------------------------------------------------------------------------- */

#define PIECE (1u << 20)
#define HOLE  4096u

static bool all_zero(const char *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* What is not zero of a file with holes, everything of another. */
static int send_piece(struct domu_sink *to, const struct domu_stat *st, const char *p, size_t len, uint64_t offset)
{
	bool sparse = st->sectors < st->size / 512;
	int rc = 0;

	for (size_t at = 0, n; rc == 0 && at < len; at += n) {
		n = !sparse ? len : len - at < HOLE ? len - at : HOLE;
		if (!sparse || !all_zero(p + at, n))
			rc = to->data(to, p + at, n, offset + at);
	}
	return rc;
}

static int send_blocks(struct restore *r, const struct item *i, struct domu_sink *to)
{
	const struct domu_stat *st = &i->f->old;
	char *buf = malloc(PIECE);
	int rc = buf != NULL ? 0 : domu_nomem(r->ctx);

	for (uint64_t at = 0, n = 0; rc == 0 && at < st->size; at += n) {
		ssize_t got = domu_fs_read(r->old_fs[i->f->fs], st->ino, buf, PIECE, at);

		rc = got < 0 ? (int)got : got == 0 ? -EIO : 0;
		n = rc == 0 ? (uint64_t)got : 0;
		if (rc == 0)
			rc = send_piece(to, st, buf, (size_t)n, at);
	}
	free(buf);
	return rc;
}

/* The old version of a file, link or device under its name, as cp -a writes: a regular file that is there is kept. */
static int copy_old(struct restore *r, const struct item *i, const struct place *p)
{
	const unsigned flags = DOMU_TREEIO_RECURSIVE | DOMU_TREEIO_PRESERVE | DOMU_TREEIO_NO_FOLLOW;
	struct domu_treeio_into into = { .tree = r->tree, .fs = r->fs[i->f->fs], .dir = p->dir };
	struct domu_treeio_entry e = { .name = p->name, .st = i->f->old, .target = i->f->target };
	struct domu_sink sink;
	int rc = domu_treeio_to_guest(r->ctx, &into, flags, &sink);

	if (rc != 0)
		return rc;
	e.st.flags = e.st.projid = 0;
	rc = sink.entry(&sink, &e);
	if (rc == 0 && S_ISREG(e.st.mode)) {
		if (i->f->data == NULL)
			rc = send_blocks(r, i, &sink);
		else if (e.st.size > 0)
			rc = send_piece(&sink, &i->f->old, i->f->data, e.st.size, 0);
		if (rc == 0)
			rc = sink.file_end(&sink, e.st.size);
	}
	domu_treeio_guest_free(&sink);
	return rc;
}

static int finish(struct restore *r, const struct item *i, const struct place *p)
{
	struct domu_fs *fs = r->fs[i->f->fs];
	uint64_t ino;
	int rc = domu_fs_lookup(fs, p->dir, p->name, &ino);

	if (rc == 0)
		rc = put_xattrs(r, i, ino);
	return rc == 0 ? put_attrs(fs, ino, &i->f->old) : rc;
}

/* ---- one change reversed ---------------------------------------------------------------------- */

static int make_again(struct restore *r, struct item *i)
{
	struct domu_fs *fs = r->fs[i->f->fs];
	struct domu_stat attr = i->f->old;
	struct item **names;
	struct place p;
	uint64_t ino;
	size_t n;
	int rc = domu_restore_look(fs, i->f->path, &p);

	if (rc != 0)
		return rc;
	if (S_ISDIR(attr.mode)) {
		attr.flags = 0;
		rc = domu_fs_create(fs, p.dir, p.name, &attr, NULL, &ino);
		return rc == 0 ? put_xattrs(r, i, ino) : rc; /* the rest when what is in it is there */
	}
	/* Files that were one become one again: the first is made, or lives on, the others are its names. */
	names = domu_restore_inode(r, true, i->f->fs, attr.ino, &n);
	for (size_t k = 0; k < n && i->link_to == 0; k++)
		i->link_to = names[k]->made;
	if (i->link_to != 0) {
		rc = loosen(fs, i->link_to);
		if (rc == 0)
			rc = domu_fs_link(fs, p.dir, p.name, i->link_to);
	} else {
		rc = copy_old(r, i, &p);
	}
	if (rc == 0)
		rc = finish(r, i, &p);
	if (rc == 0)
		rc = domu_fs_lookup(fs, p.dir, p.name, &i->made);
	return rc;
}

static int put_metadata(struct restore *r, struct item *i)
{
	struct domu_fs *fs = r->fs[i->f->fs];
	struct place p;
	int rc = domu_restore_look(fs, i->f->path, &p);

	if (rc == 0)
		rc = loosen(fs, p.ino);
	if (rc == 0)
		rc = put_xattrs(r, i, p.ino);
	return rc == 0 ? put_attrs(fs, p.ino, &i->f->old) : rc;
}

static int put_content(struct restore *r, struct item *i)
{
	struct domu_fs *fs = r->fs[i->f->fs];
	struct place p;
	int rc = domu_restore_look(fs, i->f->path, &p);

	/* What is no regular file has its content from the day that it is made. */
	if (rc == 0 && !S_ISREG(i->f->old.mode) && i->f->old.ino == i->f->new.ino &&
	    i->f->old.generation == i->f->new.generation && (i->f->old.mode & S_IFMT) == (i->f->new.mode &S_IFMT))
		return put_metadata(r, i);
	if (rc == 0)
		rc = loosen(fs, p.ino);
	/* Another inode took the name: it may have others, which keep what it holds. */
	if (rc == 0 && (i->f->old.ino != i->f->new.ino || (i->f->old.mode & S_IFMT) != (i->f->new.mode &S_IFMT)))
		rc = domu_fs_unlink(fs, p.dir, p.name);
	if (rc == 0)
		rc = copy_old(r, i, &p);
	return rc == 0 ? finish(r, i, &p) : rc;
}

static int take_away(struct restore *r, struct item *i)
{
	struct domu_fs *fs = r->fs[i->f->fs];
	struct place p;
	int rc = domu_restore_look(fs, i->f->path, &p);

	if (rc != 0 || p.ino == 0)
		return rc;
	if (S_ISDIR(p.st.mode)) {
		rc = domu_fs_rmdir(fs, p.dir, p.name);
		if (rc == -ENOTEMPTY) {
			domu_error_clear(r->ctx);
			i->state = ITEM_REFUSED;
			snprintf(i->why, sizeof i->why, "there are files in it that the commit did not make");
			rc = 0;
		}
		return rc;
	}
	rc = loosen(fs, p.ino);
	return rc == 0 ? domu_fs_unlink(fs, p.dir, p.name) : rc;
}

/* ---- all of them -------------------------------------------------------------------------------- */

static int forward(struct restore *r, enum domu_difference_kind change, int (*fn)(struct restore *r, struct item *i))
{
	int rc = 0;

	for (struct item *i = r->items; rc == 0 && i < r->items + r->n; i++) {
		if (i->state != ITEM_PLANNED || i->f->change != change)
			continue;
		rc = fn(r, i);
		if (rc != 0)
			fail(r, i, rc);
	}
	return rc;
}

static int backward(struct restore *r, enum domu_difference_kind change, bool folders,
                    int (*fn)(struct restore *r, struct item *i))
{
	int rc = 0;

	for (struct item *i = r->items + r->n; rc == 0 && i-- > r->items;) {
		if (i->state != ITEM_PLANNED || i->f->change != change || (folders && !S_ISDIR(i->f->old.mode)))
			continue;
		rc = fn(r, i);
		if (rc != 0)
			fail(r, i, rc);
	}
	return rc;
}

/*
 * What was removed first: an inode that lives on gets its old name back before
 * the name that it has now goes.  New names last, directories after what is in them.
 */
int domu_restore_do(struct restore *r)
{
	int rc = forward(r, DOMU_IS_REMOVED, make_again);

	if (rc == 0)
		rc = forward(r, DOMU_IS_MODIFIED, put_content);
	if (rc == 0)
		rc = forward(r, DOMU_IS_METADATA, put_metadata);
	if (rc == 0)
		rc = backward(r, DOMU_IS_ADDED, false, take_away);
	/* Their times, which what was put into them has changed. */
	if (rc == 0)
		rc = backward(r, DOMU_IS_REMOVED, true, put_metadata);
	return rc == 0 ? backward(r, DOMU_IS_METADATA, true, put_metadata) : rc;
}
