/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treewalk.c - everything below a path, depth first and sorted; a damaged tree cannot keep it going. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/tree.h"

#define MAX_DEPTH     4096
#define MAX_NAMES     (256u << 20) /* bytes of names on the way down, all levels together */
#define MAX_DIRS      (1u << 24)
#define MAX_PATH      (1u << 20)
#define FIRST_VISITED 256

/* The names of a directory, one after the other with their NULs, and where each begins, sorted. */
struct names {
	char *arena;
	size_t used, cap;
	uint32_t *at;
	size_t n, n_cap;
};

struct dir_level {
	struct domu_path where; /* the directory */
	size_t shown_len;
	struct names names;
	size_t next;
	struct dir_level *up;
};

struct visited {
	struct seen_dir {
		uint64_t ino; /* 0: free */
		uint64_t mount;
	} * v;
	size_t n, cap; /* cap is a power of two */
};

struct tree_walk {
	struct domu_tree *t;
	const struct domu_walk_opts *opts;
	domu_walk_fn fn;
	void *user;
	char *shown;
	size_t shown_len, shown_cap;
	struct dir_level *top;
	unsigned depth; /* of top */
	size_t name_bytes;
	struct visited visited;
};

/* ---- directories met before ------------------------------------------------ */

static size_t slot(const struct visited *s, uint64_t mount, uint64_t ino)
{
	size_t i = (size_t)((ino * UINT64_C(0x9e3779b97f4a7c15)) ^ mount) & (s->cap - 1);

	while (s->v[i].ino != 0 && (s->v[i].ino != ino || s->v[i].mount != mount))
		i = (i + 1) & (s->cap - 1);
	return i;
}

static int grow_visited(struct visited *s)
{
	struct visited bigger = { .cap = s->cap != 0 ? 2 * s->cap : FIRST_VISITED };

	bigger.v = calloc(bigger.cap, sizeof *bigger.v);
	if (bigger.v == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->cap; i++)
		if (s->v[i].ino != 0)
			bigger.v[slot(&bigger, s->v[i].mount, s->v[i].ino)] = s->v[i];
	bigger.n = s->n;
	free(s->v);
	*s = bigger;
	return 0;
}

/* 0: new.  -ELOOP: it was here before, so the tree is no tree. */
static int visit(struct visited *s, uint64_t mount, uint64_t ino)
{
	size_t i;

	if (s->n >= MAX_DIRS)
		return -ENOMEM;
	if (s->n * 2 >= s->cap) {
		int rc = grow_visited(s);

		if (rc != 0)
			return rc;
	}
	i = slot(s, mount, ino);
	if (s->v[i].ino != 0)
		return -ELOOP;
	s->v[i].ino = ino;
	s->v[i].mount = mount;
	s->n++;
	return 0;
}

/* ---- the names of a directory ------------------------------------------------ */

static int add_name(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode)
{
	struct names *d = user;

	(void)ino;
	(void)type_mode;
	if (d->used + len + 1 > MAX_NAMES)
		return -EFBIG;
	if (d->used + len + 1 > d->cap) {
		size_t cap = d->cap != 0 ? 2 * d->cap : 1024;
		char *p = realloc(d->arena, cap);

		if (p == NULL)
			return -ENOMEM;
		d->arena = p;
		d->cap = cap;
	}
	if (d->n == d->n_cap) {
		size_t cap = d->n_cap != 0 ? 2 * d->n_cap : 64;
		uint32_t *p = realloc(d->at, cap * sizeof *p);

		if (p == NULL)
			return -ENOMEM;
		d->at = p;
		d->n_cap = cap;
	}
	d->at[d->n++] = (uint32_t)d->used;
	memcpy(d->arena + d->used, name, len);
	d->arena[d->used + len] = '\0';
	d->used += len + 1;
	return 0;
}

static int by_bytes(const void *a, const void *b, void *arena)
{
	return strcmp((const char *)arena + *(const uint32_t *)a, (const char *)arena + *(const uint32_t *)b);
}

static void free_level(struct tree_walk *w, struct dir_level *l)
{
	w->name_bytes -= l->names.used;
	free(l->names.arena);
	free(l->names.at);
	free(l);
}

/* ---- entries ------------------------------------------------------------------- */

static int emit(struct tree_walk *w, const struct domu_path *where, unsigned depth, int err)
{
	struct domu_walk_entry e = { .path = w->shown, .where = where, .depth = depth, .err = err };

	return w->fn(w->user, &e);
}

/* An inode that cannot be read is an entry, not the end: what the driver recorded about it is dropped. */
static int emit_error(struct tree_walk *w, const struct domu_path *where, unsigned depth, int err, bool clean)
{
	int rc;

	if (clean)
		domu_error_clear(w->t->ctx);
	rc = emit(w, where, depth, err);
	return rc < 0 ? rc : 0;
}

static int show_name(struct tree_walk *w, size_t base, const char *name)
{
	size_t n = strlen(name), need = base + n + 2;

	if (need > MAX_PATH)
		return -ENAMETOOLONG;
	if (need > w->shown_cap) {
		char *p = realloc(w->shown, 2 * need);

		if (p == NULL)
			return -ENOMEM;
		w->shown = p;
		w->shown_cap = 2 * need;
	}
	w->shown_len = base;
	if (base == 0 || w->shown[base - 1] != '/')
		w->shown[w->shown_len++] = '/';
	memcpy(w->shown + w->shown_len, name, n + 1);
	w->shown_len += n;
	return 0;
}

/* Where name in the directory of l leads: across what is mounted there. */
static int locate(struct tree_walk *w, const struct dir_level *l, const char *name, struct domu_path *out)
{
	size_t len = strcmp(l->where.path, "/") == 0 ? 0 : strlen(l->where.path);
	int rc;

	memset(out, 0, offsetof(struct domu_path, path));
	out->fs = l->where.fs;
	out->node = l->where.node;
	out->mount = l->where.mount;
	out->dir = l->where.ino;
	memcpy(out->name, name, strlen(name) + 1);
	if (len + 1 + strlen(name) >= sizeof out->path)
		return -ENAMETOOLONG;
	memcpy(out->path, l->where.path, len);
	out->path[len] = '/';
	memcpy(out->path + len + 1, name, strlen(name) + 1);
	rc = domu_fs_lookup(out->fs, out->dir, name, &out->ino);
	if (rc == 0)
		rc = domu_tree_cross(w->t, &out->mount, &out->ino, &out->fs);
	if (rc == 0 && out->mount != l->where.mount) {
		out->node = w->t->mounts[out->mount].node;
		out->dir = out->ino;
		memcpy(out->name, "/", 2);
	}
	return rc != 0 ? rc : domu_fs_stat(out->fs, out->ino, &out->st);
}

/* ---- down and up ------------------------------------------------------------------ */

/* Goes into a directory: its names are read whole, so that fn may change it. */
static int enter(struct tree_walk *w, const struct domu_path *where, unsigned depth)
{
	bool clean = w->t->ctx->error.status == DOMU_OK;
	struct dir_level *l;
	int rc = depth > MAX_DEPTH ? -ELOOP : visit(&w->visited, where->mount, where->ino);

	if (rc != 0)
		return emit_error(w, where, depth, rc, clean);
	l = calloc(1, sizeof *l);
	if (l == NULL)
		return domu_nomem(w->t->ctx);
	l->where = *where;
	l->shown_len = w->shown_len;
	rc = domu_fs_readdir(where->fs, where->ino, add_name, &l->names);
	w->name_bytes += l->names.used;
	if (rc == 0 && w->name_bytes > MAX_NAMES)
		rc = -EFBIG;
	if (rc != 0) {
		free_level(w, l);
		return emit_error(w, where, depth, rc, clean);
	}
	if (l->names.n > 1)
		qsort_r(l->names.at, l->names.n, sizeof *l->names.at, by_bytes, l->names.arena);
	l->up = w->top;
	w->top = l;
	w->depth = depth;
	return 0;
}

static bool goes_down(const struct tree_walk *w, const struct domu_path *p, unsigned depth)
{
	if (!S_ISDIR(p->st.mode) || depth >= w->opts->max_depth)
		return false;
	return !w->opts->one_fs || w->top == NULL || p->mount == w->top->where.mount;
}

/* One inode: shown before what is in it, or after. */
static int meet(struct tree_walk *w, const struct domu_path *p, unsigned depth)
{
	bool down = goes_down(w, p, depth);
	int answer = 0;

	if (!down || !w->opts->post_order)
		answer = emit(w, p, depth, 0);
	if (answer < 0)
		return answer;
	return down && answer != DOMU_WALK_PRUNE ? enter(w, p, depth) : 0;
}

static int leave(struct tree_walk *w)
{
	struct dir_level *l = w->top;
	int rc = 0;

	w->shown_len = l->shown_len;
	w->shown[w->shown_len] = '\0';
	if (w->opts->post_order)
		rc = emit(w, &l->where, w->depth, 0);
	w->top = l->up;
	w->depth--;
	free_level(w, l);
	return rc < 0 ? rc : 0;
}

static int next(struct tree_walk *w, struct domu_path *p)
{
	struct dir_level *l = w->top;
	bool clean = w->t->ctx->error.status == DOMU_OK;
	const char *name;
	int rc;

	if (domu_interrupted(w->t->ctx))
		return domu_fail(w->t->ctx, DOMU_DECLINED, -EINTR, "interrupted");
	if (l->next == l->names.n)
		return leave(w);
	name = l->names.arena + l->names.at[l->next++];
	rc = show_name(w, l->shown_len, name);
	if (rc != 0)
		return domu_fail(w->t->ctx, DOMU_FAILED, rc, "the paths in the guest are too long");
	rc = locate(w, l, name, p);
	/* Removed by fn since the directory was read. */
	if (rc == -ENOENT && p->ino == 0) {
		if (clean)
			domu_error_clear(w->t->ctx);
		return 0;
	}
	return rc != 0 ? emit_error(w, p, w->depth + 1, rc, clean) : meet(w, p, w->depth + 1);
}

int domu_walk_tree(struct domu_tree *t, const struct domu_path *start, const char *shown,
                   const struct domu_walk_opts *opts, domu_walk_fn fn, void *user)
{
	struct tree_walk w = { .t = t, .opts = opts, .fn = fn, .user = user };
	struct domu_path *p = malloc(sizeof *p);
	int rc;

	w.shown = strdup(shown);
	if (p == NULL || w.shown == NULL) {
		rc = domu_nomem(t->ctx);
		goto out;
	}
	w.shown_len = strlen(shown);
	w.shown_cap = w.shown_len + 1;
	rc = meet(&w, start, 0);
	while (rc == 0 && w.top != NULL)
		rc = next(&w, p);
out:
	while (w.top != NULL) {
		struct dir_level *l = w.top;

		w.top = l->up;
		free_level(&w, l);
	}
	free(w.visited.v);
	free(w.shown);
	free(p);
	return rc;
}
