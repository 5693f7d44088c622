/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare.c - two states of one filesystem, walked side by side; what cannot have changed is passed over. */
#include "config.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "fs/compare.h"

#define MAX_DEPTH    512 /* of folders; names make a path longer than Linux takes before this */
#define MAX_WARNINGS 20
#define MAX_NAMES    512 /* bytes of xattr names in one difference */
/* What the entries of a folder bring about. */
#define BY_ENTRIES (DOMU_DIFFERS_TIMES | DOMU_DIFFERS_LINKS | DOMU_DIFFERS_SPACE)

const char *domu_difference_name(enum domu_difference_kind c)
{
	static const char *const names[] = { NULL, "added", "removed", "modified", "metadata" };

	return names[c];
}

char *domu_compare_join(const char *at, const char *name)
{
	char *out;
	size_t n = strlen(at);

	return asprintf(&out, "%s%s%s", at, n > 0 && at[n - 1] == '/' ? "" : "/", name) >= 0 ? out : NULL;
}

struct walk {
	const struct domu_compare *c;
	void *seen; /* folders met, tsearch(3): a damaged filesystem may have cycles */
	/* Inodes that may have changed, ascending; known: all others have not. */
	uint64_t *suspect;
	size_t n, cap;
	bool known;
	unsigned warnings;
};

struct side {
	uint64_t ino; /* 0: no such name */
	bool readable;
	struct domu_stat st;
};

/* ---- a folder's entries, sorted ---------------------------------------------------- */

struct name {
	char *name;
	uint64_t ino;
	bool folder; /* or it is not told: it may be one */
};

struct folder {
	const struct walk *only; /* names that cannot matter are left out */
	struct name *v;
	size_t n, cap;
};

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool suspected(const struct walk *w, uint64_t ino)
{
	return !w->known || (w->n > 0 && bsearch(&ino, w->suspect, w->n, sizeof *w->suspect, by_number) != NULL);
}

static int add_entry(void *user, const char *name, size_t len, uint64_t ino, uint32_t type)
{
	struct folder *f = user;
	bool folder = type == 0 || S_ISDIR(type);

	(void)len;
	if (f->only != NULL && !folder && !suspected(f->only, ino))
		return 0;
	if (!DOMU_ARRAY_ROOM(f->v, f->cap, f->n + 1))
		return -ENOMEM;
	f->v[f->n] = (struct name){ .name = strdup(name), .ino = ino, .folder = folder };
	return f->v[f->n++].name != NULL ? 0 : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->name, ((const struct name *)b)->name);
}

/* What can be read of it is there also after a failure. */
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

/* ---- helpers -------------------------------------------------------------------------- */

/* The failure that ctx holds is about this path only: the rest is compared. */
static void warn(struct walk *w, const char *path, const char *which, int err)
{
	enum domu_level level = w->c->quiet ? DOMU_DEBUG : DOMU_WARNING;
	struct domu_ctx *ctx = w->c->ctx;

	if (++w->warnings < MAX_WARNINGS)
		domu_say(ctx, level, "%s: %s cannot be read: %s", path, which,
		         ctx->error.message != NULL ? ctx->error.message : strerror(-err));
	else if (w->warnings == MAX_WARNINGS)
		domu_say(ctx, level, "%s and others: %s cannot be read", path, which);
	domu_error_clear(ctx);
}

/* Ends the comparison, as opposed to what is wrong with one file. */
static bool fatal(int rc)
{
	return rc == -ENOMEM || rc == -EINTR;
}

enum { OUTSIDE, ABOVE, WANTED };

/* Where is path as seen from what was asked for? */
static int wanted(const struct walk *w, const char *path)
{
	const struct domu_compare *c = w->c;
	size_t n = strcmp(path, "/") == 0 ? 0 : strlen(path);
	int where = c->n_paths == 0 ? WANTED : OUTSIDE;

	for (size_t i = 0; i < c->n_paths; i++) {
		const char *p = c->paths[i];
		size_t m = strcmp(p, "/") == 0 ? 0 : strlen(p);

		if (strncmp(path, p, m) == 0 && (path[m] == '/' || path[m] == '\0' || m == 0)) {
			if (n == m)
				c->met[i] = true;
			where = WANTED;
		} else if (where == OUTSIDE && n < m && strncmp(p, path, n) == 0 && p[n] == '/') {
			where = ABOVE;
		}
	}
	return where;
}

/* 1 when the folder is met for the first time. */
static int first_time(struct walk *w, bool is_new, uint64_t ino)
{
	uint64_t *key = malloc(sizeof *key);
	uint64_t **found;

	if (key == NULL)
		return domu_nomem(w->c->ctx);
	*key = ino << 1 | is_new;
	found = tsearch(key, &w->seen, by_number);
	if (found == NULL || *found != key) {
		free(key);
		return found == NULL ? domu_nomem(w->c->ctx) : 0;
	}
	return 1;
}

static int look(struct walk *w, const char *path, struct domu_fs *fs, struct side *s)
{
	int rc = s->ino != 0 ? domu_fs_stat(fs, s->ino, &s->st) : 0;

	s->readable = s->ino != 0 && rc == 0;
	s->st.ino = s->ino;
	if (rc != 0 && !fatal(rc)) {
		memset(&s->st, 0, sizeof s->st);
		warn(w, path, fs == w->c->old ? "what is on the disk" : "what is staged", rc);
		rc = 0;
	}
	return rc;
}

static int emit(struct walk *w, const char *path, const struct side *a, const struct side *b, unsigned what,
                const char *xattrs)
{
	const unsigned other =
	    DOMU_DIFFERS_TYPE | DOMU_DIFFERS_CONTENT | DOMU_DIFFERS_TARGET | DOMU_DIFFERS_DEVICE | DOMU_DIFFERS_UNKNOWN;
	struct domu_difference d = {
		.path = path,
		.what = what,
		.old = a->readable ? &a->st : NULL,
		.new = b->readable ? &b->st : NULL,
		.old_ino = a->ino,
		.new_ino = b->ino,
		.xattrs = xattrs,
	};

	if (wanted(w, path) != WANTED)
		return 0;
	d.change = a->ino == 0           ? DOMU_IS_ADDED
	           : b->ino == 0         ? DOMU_IS_REMOVED
	           : (what & other) != 0 ? DOMU_IS_MODIFIED
	                                 : DOMU_IS_METADATA;
	return w->c->found(w->c->user, &d);
}

/* The number of an inode that was removed may be that of a new one by now. */
static bool same_inode(const struct walk *w, uint64_t ino)
{
	struct domu_stat a, b;
	bool same = true;

	if (!suspected(w, ino))
		return true;
	if (domu_fs_stat(w->c->old, ino, &a) == 0 && domu_fs_stat(w->c->new, ino, &b) == 0)
		same = a.generation == b.generation && ((a.mode ^ b.mode) & S_IFMT) == 0;
	domu_error_clear(w->c->ctx);
	return same;
}

static bool same_entries(const struct walk *w, const struct folder *a, const struct folder *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same =
		    a->v[i].ino == b->v[i].ino && strcmp(a->v[i].name, b->v[i].name) == 0 && same_inode(w, a->v[i].ino);
	return same;
}

/* ---- comparing ------------------------------------------------------------------------ */

/* Tells one name apart from what is in it. */
static int compare_names(struct walk *w, const char *path, const struct side *a, const struct side *b, bool same)
{
	char names[MAX_NAMES] = "";
	unsigned what = 0;
	int rc;

	if (a->ino == 0 || b->ino == 0)
		return emit(w, path, a, b, 0, "");
	if (!a->readable && !b->readable)
		return 0;
	if (!a->readable || !b->readable)
		return emit(w, path, a, b, DOMU_DIFFERS_UNKNOWN, "");
	rc = domu_compare_inodes(w->c, &a->st, &b->st, &what, names, sizeof names);
	if (rc != 0 && !fatal(rc)) {
		warn(w, path, "it", rc);
		what |= DOMU_DIFFERS_UNKNOWN;
		rc = 0;
	}
	if (rc == 0 && S_ISDIR(b->st.mode) && (what & DOMU_DIFFERS_TYPE) == 0 && !same)
		what &= ~(unsigned)BY_ENTRIES;
	return rc == 0 && what != 0 ? emit(w, path, a, b, what, names) : rc;
}

static int compare_one(struct walk *w, const char *path, uint64_t old, uint64_t new, bool folder, unsigned depth);

static int compare_entries(struct walk *w, const char *path, const struct folder *a, const struct folder *b,
                           unsigned depth)
{
	size_t i = 0, k = 0;
	int rc = 0;

	while (rc == 0 && (i < a->n || k < b->n)) {
		int order = i == a->n ? 1 : k == b->n ? -1 : strcmp(a->v[i].name, b->v[k].name);
		const struct name *x = order <= 0 ? &a->v[i] : NULL, *y = order >= 0 ? &b->v[k] : NULL;
		char *sub = domu_compare_join(path, order <= 0 ? a->v[i].name : b->v[k].name);

		if (sub == NULL)
			return domu_nomem(w->c->ctx);
		if (wanted(w, sub) != OUTSIDE)
			rc = compare_one(w, sub, x != NULL ? x->ino : 0, y != NULL ? y->ino : 0,
			                 (x != NULL && x->folder) || (y != NULL && y->folder), depth);
		free(sub);
		i += order <= 0;
		k += order >= 0;
	}
	return rc;
}

/* A folder that is the same on both sides: read once, and only what may have changed below it counts. */
static int same_folder(struct walk *w, const char *path, uint64_t ino, unsigned depth)
{
	struct folder f = { .only = w };
	int rc = read_folder(w->c->new, ino, &f);

	if (rc != 0 && !fatal(rc)) {
		warn(w, path, "a part of it", rc);
		rc = 0;
	}
	if (rc == 0)
		rc = compare_entries(w, path, &f, &f, depth);
	free_folder(&f);
	return rc;
}

static int two_folders(struct walk *w, const char *path, const struct side *a, const struct side *b, unsigned depth)
{
	uint64_t old = S_ISDIR(a->st.mode) ? a->ino : 0, new = S_ISDIR(b->st.mode) ? b->ino : 0;
	struct folder x = { 0 }, y = { 0 };
	int rc = read_folder(w->c->old, old, &x);

	if (rc != 0 && !fatal(rc)) {
		warn(w, path, "a part of what is on the disk", rc);
		rc = 0;
	}
	if (rc == 0)
		rc = read_folder(w->c->new, new, &y);
	if (rc != 0 && !fatal(rc)) {
		warn(w, path, "a part of what is staged", rc);
		rc = 0;
	}
	if (rc == 0)
		rc = compare_names(w, path, a, b, same_entries(w, &x, &y));
	if (rc == 0)
		rc = compare_entries(w, path, &x, &y, depth);
	free_folder(&x);
	free_folder(&y);
	return rc;
}

/* Met before on either side, a folder's content is told already. */
static int enter(struct walk *w, const char *path, uint64_t old, uint64_t new, unsigned depth)
{
	int first = 0, rc;

	if (depth > MAX_DEPTH) {
		warn(w, path, "what is below", -ELOOP);
		return 0;
	}
	if (old != 0)
		first = first_time(w, false, old);
	if (first >= 0 && new != 0) {
		rc = first_time(w, true, new);
		first = rc < 0 ? rc : first | rc;
	}
	return first;
}

/* One name; either inode may be 0. */
static int compare_one(struct walk *w, const char *path, uint64_t old, uint64_t new, bool folder, unsigned depth)
{
	bool same = old == new && !suspected(w, new);
	struct side a = { .ino = old }, b = { .ino = new };
	int rc;

	if (domu_interrupted(w->c->ctx))
		return domu_fail(w->c->ctx, DOMU_DECLINED, -EINTR, "interrupted");
	if (same && !folder)
		return 0;
	rc = look(w, path, w->c->new, &b);
	if (rc == 0 && same) {
		if (!S_ISDIR(b.st.mode))
			return 0;
		rc = enter(w, path, old, new, depth);
		return rc > 0 ? same_folder(w, path, new, depth + 1) : rc;
	}
	if (rc == 0)
		rc = look(w, path, w->c->old, &a);
	if (rc != 0)
		return rc;
	if (!S_ISDIR(a.st.mode) && !S_ISDIR(b.st.mode))
		return compare_names(w, path, &a, &b, true);
	rc = enter(w, path, S_ISDIR(a.st.mode) ? old : 0, S_ISDIR(b.st.mode) ? new : 0, depth);
	if (rc <= 0)
		return rc < 0 ? rc : compare_names(w, path, &a, &b, false);
	return two_folders(w, path, &a, &b, depth + 1);
}

/* ---- all ------------------------------------------------------------------------------ */

static int add_suspect(void *user, uint64_t ino)
{
	struct walk *w = user;

	if (!DOMU_ARRAY_ROOM(w->suspect, w->cap, w->n + 1))
		return -ENOMEM;
	w->suspect[w->n++] = ino;
	return 0;
}

int domu_compare(const struct domu_compare *c)
{
	struct walk w = { .c = c };
	int rc = 0;

	if (wanted(&w, c->at) == OUTSIDE)
		return 0;
	if (c->spans != NULL) {
		rc = domu_fs_suspects(c->old, c->new, c->spans, c->n_spans, add_suspect, &w);
		w.known = rc == 0;
		/* Whatever kept the driver from telling: then every name is looked at. */
		if (!fatal(rc)) {
			domu_error_clear(c->ctx);
			rc = 0;
		}
		if (w.n > 0)
			qsort(w.suspect, w.n, sizeof *w.suspect, by_number);
	}
	if (rc == 0)
		rc = compare_one(&w, c->at, c->old->root, c->new->root, true, 0);
	tdestroy(w.seen, free);
	free(w.suspect);
	return rc;
}
