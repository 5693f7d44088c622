/* SPDX-License-Identifier: GPL-3.0-or-later */
/* changes.c - see changes.h. */
#include "config.h"

#include <errno.h>
#include <linux/fs.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ctx.h"
#include "base/hash.h"
#include "task/changes.h"

#define MAX_DEPTH 512 /* of folders; names make a path longer than Linux takes before this */

const char *domu_change_name(enum domu_change c)
{
	static const char *const names[] = { "unchanged", "added", "removed", "modified", "metadata" };

	return names[c];
}

/* ---- a folder's entries, sorted ---------------------------------------------------- */

struct name {
	char *name;
	uint64_t ino;
	uint32_t type; /* S_IFMT, 0: not known */
};

struct folder {
	struct name *v;
	size_t n, cap;
};

static int add_entry(void *user, const char *name, size_t len, uint64_t ino, uint32_t type)
{
	struct folder *f = user;

	(void)len;
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 32;
		struct name *v = realloc(f->v, cap * sizeof *v);

		if (v == NULL)
			return -ENOMEM;
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n].name = strdup(name);
	f->v[f->n].ino = ino;
	f->v[f->n].type = type & S_IFMT;
	return f->v[f->n++].name != NULL ? 0 : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->name, ((const struct name *)b)->name);
}

static int read_folder(struct domu_fs *fs, uint64_t ino, struct folder *f)
{
	int rc = ino != 0 ? domu_fs_readdir(fs, ino, add_entry, f) : 0;

	if (f->n > 0)
		qsort(f->v, f->n, sizeof *f->v, by_name);
	return rc;
}

static void free_folder(struct folder *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].name);
	free(f->v);
}

/* ---- one name ------------------------------------------------------------------------ */

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

enum domu_change domu_change_of(const struct domu_stat *a, const struct domu_stat *b)
{
	bool folder = S_ISDIR(a->mode) && S_ISDIR(b->mode);

	if (a->ino == 0 || b->ino == 0)
		return a->ino == b->ino ? 0 : a->ino == 0 ? DOMU_CHANGE_ADDED : DOMU_CHANGE_REMOVED;
	if ((a->mode & S_IFMT) != (b->mode & S_IFMT))
		return DOMU_CHANGE_MODIFIED;
	if (!folder && (a->ino != b->ino || a->generation != b->generation || a->size != b->size ||
	                !same_time(a->mtime, b->mtime)))
		return DOMU_CHANGE_MODIFIED;
	if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid || a->projid != b->projid ||
	    ((a->flags ^ b->flags) & DOMU_USER_FLAGS) != 0 ||
	    (!folder && (a->nlink != b->nlink || !same_time(a->ctime, b->ctime))))
		return DOMU_CHANGE_METADATA;
	return 0;
}

/* ---- extended attributes ------------------------------------------------------------- */

static int add_xattr(void *user, const char *name, const void *value, size_t len)
{
	size_t n = strlen(name) + 1, whole = (n + 8 + len + 31) / 32 * 32;
	uint64_t *sum = user, length = len;
	char *p = calloc(1, whole);

	if (p == NULL)
		return -ENOMEM;
	memcpy(p, name, n);
	memcpy(p + n, &length, 8);
	if (len > 0)
		memcpy(p + n + 8, value, len);
	*sum += domu_hash64(p, whole);
	free(p);
	return 0;
}

int domu_xattrs_hash(struct domu_fs *fs, uint64_t ino, uint64_t *hash)
{
	*hash = 0;
	return domu_fs_listxattr(fs, ino, add_xattr, hash);
}

/* ---- comparing ------------------------------------------------------------------------ */

struct compare {
	struct domu_ctx *ctx;
	struct domu_fs *old, *new;
	domu_changed_fn fn;
	void *user;
	void *seen; /* inodes of folders met, tsearch(3): a damaged filesystem may have cycles */
};

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* 1 when the folder is met for the first time. */
static int first_time(struct compare *c, bool is_new, uint64_t ino)
{
	uint64_t *key = malloc(sizeof *key);
	uint64_t **found;

	if (key == NULL)
		return -ENOMEM;
	*key = ino << 1 | is_new;
	found = tsearch(key, &c->seen, by_number);
	if (found == NULL || *found != key) {
		free(key);
		return found == NULL ? -ENOMEM : 0;
	}
	return 1;
}

static void left_out(struct compare *c, const char *path, int err)
{
	domu_say(c->ctx, DOMU_DEBUG, "%s: cannot be compared: %s", path, strerror(-err));
	domu_error_clear(c->ctx);
}

static int compare_folders(struct compare *c, const char *path, uint64_t old, uint64_t new, unsigned depth);

/* A folder's status changes with its entries: whether its attributes have changed is asked only then. */
static int folder_xattrs(struct compare *c, struct domu_changed *d)
{
	uint64_t a, b;
	int rc;

	if (d->change != 0 || !S_ISDIR(d->old.mode) || !S_ISDIR(d->new.mode) || same_time(d->old.ctime, d->new.ctime))
		return 0;
	rc = domu_xattrs_hash(c->old, d->old.ino, &a);
	if (rc == 0)
		rc = domu_xattrs_hash(c->new, d->new.ino, &b);
	if (rc == 0 && a != b)
		d->change = DOMU_CHANGE_METADATA;
	return rc;
}

/* One name: either inode may be 0. */
static int compare_inodes(struct compare *c, const char *path, uint64_t old, uint64_t new, unsigned depth)
{
	struct domu_changed d = { .path = path };
	int rc = 0;

	if (old != 0)
		rc = domu_fs_stat(c->old, old, &d.old);
	if (rc == 0 && new != 0)
		rc = domu_fs_stat(c->new, new, &d.new);
	if (rc == 0) {
		d.change = domu_change_of(&d.old, &d.new);
		rc = folder_xattrs(c, &d);
	}
	if (rc != 0) {
		left_out(c, path, rc);
		return 0;
	}
	if (d.change != 0)
		rc = c->fn(c->user, &d);
	if (rc == 0 && (S_ISDIR(d.old.mode) || S_ISDIR(d.new.mode)))
		rc = compare_folders(c, path, S_ISDIR(d.old.mode) ? old : 0, S_ISDIR(d.new.mode) ? new : 0, depth + 1);
	return rc;
}

/*
 * A name of the same inode on both sides, which is the same there: most of a
 * filesystem.  No file needs to be looked at, and of a directory only what is
 * in it: its own entries are the same too, or its times would not be.
 */
static bool is_same(struct compare *c, const struct name *a, const struct name *b)
{
	return a->ino == b->ino && a->type == b->type && a->type != 0 && domu_fs_same(c->new, c->old, a->ino);
}

static int compare_same(struct compare *c, const char *path, uint64_t ino, unsigned depth);

static int compare_pair(struct compare *c, const char *path, const struct name *a, const struct name *b, unsigned depth)
{
	bool same = a != NULL && b != NULL && is_same(c, a, b);
	char *sub;
	int rc;

	if (same && a->type != S_IFDIR)
		return 0;
	if (asprintf(&sub, "%s%s%s", path, strcmp(path, "/") == 0 ? "" : "/", a != NULL ? a->name : b->name) < 0)
		return domu_nomem(c->ctx);
	if (same)
		rc = compare_same(c, sub, a->ino, depth + 1);
	else
		rc = compare_inodes(c, sub, a != NULL ? a->ino : 0, b != NULL ? b->ino : 0, depth);
	free(sub);
	return rc;
}

static int compare_entries(struct compare *c, const char *path, const struct folder *a, const struct folder *b,
                           unsigned depth)
{
	size_t i = 0, k = 0;
	int rc = 0;

	while (rc == 0 && (i < a->n || k < b->n)) {
		int order = i == a->n ? 1 : k == b->n ? -1 : strcmp(a->v[i].name, b->v[k].name);

		rc = compare_pair(c, path, order <= 0 ? &a->v[i] : NULL, order >= 0 ? &b->v[k] : NULL, depth);
		i += order <= 0;
		k += order >= 0;
	}
	return rc;
}

/* 1: the folder is to be compared, 0: it was before, or is too deep. */
static int enter(struct compare *c, const char *path, uint64_t old, uint64_t new, unsigned depth)
{
	int first = 0, r;

	if (domu_interrupted(c->ctx))
		return domu_fail(c->ctx, DOMU_DECLINED, -EINTR, "interrupted");
	if (depth > MAX_DEPTH) {
		left_out(c, path, -ELOOP);
		return 0;
	}
	if (old != 0)
		first = first_time(c, false, old);
	if (first >= 0 && new != 0) {
		r = first_time(c, true, new);
		first = r < 0 ? r : first | r;
	}
	return first < 0 ? domu_nomem(c->ctx) : first;
}

static int compare_folders(struct compare *c, const char *path, uint64_t old, uint64_t new, unsigned depth)
{
	struct folder a = { 0 }, b = { 0 };
	int rc = enter(c, path, old, new, depth);

	if (rc <= 0)
		return rc;
	rc = read_folder(c->old, old, &a);
	if (rc == 0)
		rc = read_folder(c->new, new, &b);
	if (rc == 0) {
		rc = compare_entries(c, path, &a, &b, depth);
	} else {
		left_out(c, path, rc);
		rc = 0;
	}
	free_folder(&a);
	free_folder(&b);
	return rc;
}

static int compare_same(struct compare *c, const char *path, uint64_t ino, unsigned depth)
{
	struct folder f = { 0 };
	int rc = enter(c, path, ino, ino, depth);

	if (rc <= 0)
		return rc;
	rc = read_folder(c->new, ino, &f);
	if (rc == 0) {
		rc = compare_entries(c, path, &f, &f, depth);
	} else {
		left_out(c, path, rc);
		rc = 0;
	}
	free_folder(&f);
	return rc;
}

int domu_changes(struct domu_ctx *ctx, struct domu_fs *old, struct domu_fs *new, domu_changed_fn fn, void *user)
{
	struct compare c = { .ctx = ctx, .old = old, .new = new, .fn = fn, .user = user };
	int rc = compare_inodes(&c, "/", old->root, new->root, 0);

	tdestroy(c.seen, free);
	return rc;
}
