/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treewalk.c - everything below a path, depth first and sorted; a damaged tree cannot keep it going. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "fs/scan.h"
#include "fs/tree.h"
#include "fs/visited.h"

#define MAX_DEPTH 4096
#define MAX_NAMES (256u << 20) /* bytes of names on the way down, all levels together */
#define MAX_PATH  (1u << 20)
#define FEW       16 /* names that are sorted by insertion */

/* A name of a directory.  With a scan it lies there, else at an offset of the level's arena. */
struct child {
	uint64_t key; /* its first bytes: most comparisons need no more */
	union {
		const char *name;
		size_t at;
	};
	uint64_t ino;
	uint32_t len;
	uint32_t scanned; /* where in the scan its inode is, or DOMU_SCAN_NOT */
};

struct dir_level {
	/* The directory; its path is what the walk's begins with. */
	struct domu_fs *fs;
	const struct domu_scan_tree *scan; /* NULL: by name */
	struct domu_scan_tree *own, *part; /* read for it, where its filesystem begins; for those in it.  NULL: none */
	uint64_t ino;
	unsigned mount;
	size_t node, shown_len, path_len, path_at; /* path_at: where its name begins */
	struct domu_stat st;
	/* What is in it. */
	struct child *v;
	size_t n, cap, next;
	char *arena;
	size_t used, room;
	struct dir_level *up;
};

struct tree_walk {
	struct domu_tree *t;
	const struct domu_walk_opts *opts;
	struct domu_scans *scans; /* NULL: the tree may change */
	domu_walk_fn fn;
	void *user;
	const struct domu_path *start;
	struct domu_path *where; /* of the entry; its path begins with that of the directory */
	size_t where_len; /* of its path */
	char *shown;
	size_t shown_len, shown_cap;
	struct dir_level *top;
	struct child *spare; /* for sorting */
	size_t n_spare;
	unsigned depth; /* of top */
	size_t name_bytes;
	struct domu_visited visited;
};

/* ---- the names of a directory ------------------------------------------------ */

static uint64_t key_of(const char *name, size_t len)
{
	uint64_t key = 0;

	memcpy(&key, name, len < sizeof key ? len : sizeof key);
	return be64toh(key);
}

static int add_child(struct dir_level *l, const char *name, size_t len, uint64_t ino)
{
	if (!DOMU_ARRAY_ROOM(l->v, l->cap, l->n + 1))
		return -ENOMEM;
	l->v[l->n++] = (struct child){
		.key = key_of(name, len), .name = name, .ino = ino, .len = (uint32_t)len, .scanned = DOMU_SCAN_NOT
	};
	return 0;
}

static int add_scanned(void *user, const char *name, size_t len, uint64_t ino)
{
	struct dir_level *l = user;
	int rc = add_child(l, name, len, ino);

	if (rc == 0)
		l->v[l->n - 1].scanned = domu_scan_tree_expect(l->scan, ino);
	return rc;
}

static int add_name(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode)
{
	struct dir_level *l = user;
	int rc;

	(void)type_mode;
	if (l->used + len + 1 > MAX_NAMES)
		return -EFBIG;
	if (!DOMU_ARRAY_ROOM(l->arena, l->room, l->used + len + 1))
		return -ENOMEM;
	rc = add_child(l, name, len, ino);
	if (rc != 0)
		return rc;
	l->v[l->n - 1].at = l->used;
	memcpy(l->arena + l->used, name, len + 1);
	l->used += len + 1;
	return 0;
}

static inline bool before(const struct child *x, const struct child *y)
{
	if (x->key != y->key)
		return x->key < y->key;
	return (x->key & 0xff) != 0 && strcmp(x->name + sizeof x->key, y->name + sizeof y->key) < 0;
}

static void sort_few(struct child *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct child c = v[i];
		size_t j = i;

		for (; j > 0 && before(&c, &v[j - 1]); j--)
			v[j] = v[j - 1];
		v[j] = c;
	}
}

/* The sorted halves of from, which meet at mid, become to. */
static void merge(struct child *to, const struct child *from, size_t mid, size_t n)
{
	size_t i = 0, j = mid;

	if (mid >= n || !before(&from[mid], &from[mid - 1])) {
		memcpy(to, from, n * sizeof *to);
		return;
	}
	while (i < mid && j < n)
		*to++ = before(&from[j], &from[i]) ? from[j++] : from[i++];
	memcpy(to, i < mid ? &from[i] : &from[j], (i < mid ? mid - i : n - j) * sizeof *to);
}

/* By merging, with the comparison in line: qsort() took a tenth of a walk. */
static int sort_names(struct tree_walk *w, struct dir_level *l)
{
	struct child *from = l->v, *to;

	for (size_t i = 0; i < l->n; i += FEW)
		sort_few(l->v + i, l->n - i < FEW ? l->n - i : FEW);
	if (l->n <= FEW)
		return 0;
	if (w->n_spare < l->n) {
		free(w->spare);
		w->n_spare = l->cap;
		w->spare = reallocarray(NULL, w->n_spare, sizeof *w->spare);
		if (w->spare == NULL) {
			w->n_spare = 0;
			return -ENOMEM;
		}
	}
	to = w->spare;
	for (size_t half = FEW; half < l->n; half *= 2) {
		struct child *done = from;

		for (size_t i = 0; i < l->n; i += 2 * half)
			merge(to + i, from + i, half, l->n - i < 2 * half ? l->n - i : 2 * half);
		from = to;
		to = done;
	}
	if (from != l->v)
		memcpy(l->v, from, l->n * sizeof *from);
	return 0;
}

/* Directories beside the one entered that are read with it, and bytes of them. */
#define AHEAD      1024u
#define AHEAD_SIZE (1u << 20)

/* The directory of l, and those that will be entered after it in the directory above. */
static size_t come_next(const struct tree_walk *w, const struct dir_level *l, uint64_t dirs[AHEAD])
{
	const struct dir_level *up = w->top;
	struct domu_scan_more more;
	struct domu_stat st;
	uint64_t sum = l->st.size;
	size_t n = 0;

	dirs[n++] = l->ino;
	if (up == NULL || up->scan == NULL || up->mount != l->mount)
		return n;
	for (size_t i = up->next; i < up->n && n < AHEAD && sum < AHEAD_SIZE; i++) {
		if (domu_scan_tree_stat(up->scan, up->v[i].ino, &st, &more) && S_ISDIR(st.mode)) {
			dirs[n++] = up->v[i].ino;
			sum += st.size;
		}
	}
	return n;
}

static int try_part(struct dir_level *l, const struct domu_scan_tree *part)
{
	l->scan = part;
	return part != NULL ? domu_scan_tree_names(part, l->ino, add_scanned, l) : -ENODATA;
}

/*
 * The names of l's directory from a part that is read already, or is now.  Each belongs to a level of its own mount:
 * another filesystem has other inodes of the same numbers.
 */
static int names_of_part(struct tree_walk *w, struct dir_level *l, unsigned left)
{
	bool begins = w->top == NULL || w->top->mount != l->mount;
	struct domu_scan_tree **own = begins ? &l->own : &w->top->part;
	uint64_t dirs[AHEAD];
	int rc = -ENODATA;

	for (const struct dir_level *up = w->top; rc == -ENODATA && up != NULL && up->mount == l->mount; up = up->up) {
		rc = try_part(l, up->part);
		if (rc == -ENODATA)
			rc = try_part(l, up->own);
	}
	if (rc != -ENODATA)
		return rc;
	domu_scans_part_free(w->scans, *own);
	*own = domu_scans_part(w->scans, l->mount, l->fs, dirs, come_next(w, l, dirs), left);
	return try_part(l, *own);
}

/* All names at once: fn may change the directory. */
static int read_names(struct tree_walk *w, struct dir_level *l)
{
	unsigned left = w->opts->max_depth - w->depth;
	int rc, r;

	l->scan = domu_scans_get(w->scans, l->mount, l->fs, l->ino, left);
	rc = l->scan != NULL ? domu_scan_tree_names(l->scan, l->ino, add_scanned, l) : names_of_part(w, l, left);
	if (rc == -ENODATA) {
		l->n = 0;
		rc = domu_fs_readdir(l->fs, l->ino, add_name, l);
		domu_scans_count(w->scans, l->mount, l->n);
		w->name_bytes += l->used;
		if (rc == 0 && w->name_bytes > MAX_NAMES)
			rc = -EFBIG;
	}
	/* Also what was read before it failed. */
	if (l->arena != NULL)
		for (size_t i = 0; i < l->n; i++)
			l->v[i].name = l->arena + l->v[i].at;
	r = sort_names(w, l);
	return rc != 0 ? rc : r;
}

static void free_level(struct tree_walk *w, struct dir_level *l)
{
	w->name_bytes -= l->used;
	domu_scans_part_free(w->scans, l->part);
	domu_scans_part_free(w->scans, l->own);
	free(l->arena);
	free(l->v);
	free(l);
}

/* ---- entries ------------------------------------------------------------------- */

static const struct domu_scan_more not_scanned = { .xattrs = true, .first = UINT64_MAX };

static int emit(struct tree_walk *w, const struct domu_path *where, unsigned depth, const struct domu_scan_more *in)
{
	struct domu_walk_entry e = { .path = w->shown,
		                     .path_len = w->shown_len,
		                     .where = where,
		                     .depth = depth,
		                     .no_xattrs = !in->xattrs,
		                     .first = in->first };

	return w->fn(w->user, &e);
}

/* What cannot be read is an entry, not the end: what the driver recorded about it is dropped. */
static int emit_error(struct tree_walk *w, const struct domu_path *where, unsigned depth, int err, bool inside,
                      bool clean)
{
	struct domu_walk_entry e = { .path = w->shown,
		                     .path_len = w->shown_len,
		                     .where = where,
		                     .depth = depth,
		                     .err = err,
		                     .inside = inside,
		                     .first = UINT64_MAX };
	int rc = w->fn(w->user, &e);

	if (clean && rc >= 0)
		domu_error_clear(w->t->ctx);
	return rc < 0 ? rc : 0;
}

static int show_name(struct tree_walk *w, size_t base, const char *name, size_t n)
{
	size_t need = base + n + 2;

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

/* Across what is mounted there. */
static int cross(struct tree_walk *w, const struct dir_level *l, struct domu_path *out)
{
	int rc = domu_tree_cross(w->t, &out->mount, &out->ino, &out->fs);

	if (rc == 0 && out->mount != l->mount) {
		out->node = w->t->mounts[out->mount].node;
		out->dir = out->ino;
		memcpy(out->name, "/", 2);
	}
	return rc;
}

/* Where an entry of the directory of l leads. */
static int locate(struct tree_walk *w, const struct dir_level *l, const struct child *c, struct domu_scan_more *in)
{
	struct domu_path *out = w->where;
	size_t len = c->len;
	int rc = 0;

	out->fs = l->fs;
	out->node = l->node;
	out->mount = l->mount;
	out->dir = l->ino;
	out->ino = 0;
	out->slash = false;
	out->st.mode = 0;
	*in = not_scanned;
	memcpy(out->name, c->name, len + 1);
	w->where_len = l->path_len + 1 + len;
	if (w->where_len >= sizeof out->path) {
		w->where_len = l->path_len;
		memset(&out->st, 0, sizeof out->st);
		return -ENAMETOOLONG;
	}
	out->path[l->path_len] = '/';
	memcpy(out->path + l->path_len + 1, c->name, len + 1);
	/* Where the tree may change, what the name meant when it was read says nothing. */
	if (w->scans != NULL)
		out->ino = c->ino;
	else
		rc = domu_fs_lookup(out->fs, out->dir, c->name, &out->ino);
	if (rc == 0)
		rc = cross(w, l, out);
	if (rc == 0 && c->scanned != DOMU_SCAN_NOT && out->mount == l->mount && out->ino == c->ino) {
		domu_scan_tree_stat_at(l->scan, c->scanned, out->ino, &out->st, in);
		return 0;
	}
	if (rc != 0)
		memset(&out->st, 0, sizeof out->st);
	return rc != 0 ? rc : domu_fs_stat(out->fs, out->ino, &out->st);
}

/* ---- down and up ------------------------------------------------------------------ */

/* Goes into the directory that where is. */
static int enter(struct tree_walk *w, const struct domu_path *where, unsigned depth)
{
	bool clean = w->t->ctx->error.status == DOMU_OK;
	struct dir_level *l = calloc(1, sizeof *l);
	int rc;

	if (l == NULL)
		return domu_nomem(w->t->ctx);
	l->fs = where->fs;
	l->node = where->node;
	l->mount = where->mount;
	l->ino = where->ino;
	l->st = where->st;
	l->shown_len = w->shown_len;
	l->path_len = w->where_len;
	l->path_at = w->top != NULL ? w->top->path_len + 1 : 0;
	l->up = w->top;
	w->depth = depth;
	rc = depth > MAX_DEPTH ? -ELOOP : domu_visit(&w->visited, l->mount, l->ino);
	/* What strerror says of it is about links, of which there is none. */
	if (rc == -ELOOP && clean && depth > MAX_DEPTH)
		domu_fail(w->t->ctx, DOMU_FAILED, rc, "directory inode %" PRIu64 " is nested too deep", l->ino);
	else if (rc == -ELOOP && clean)
		domu_fail(w->t->ctx, DOMU_FAILED, rc,
		          "directory inode %" PRIu64 " is in the tree twice: domu-rescue fsck -n %s", l->ino,
		          domu_guest_word(w->t->ctx));
	if (rc == 0)
		rc = read_names(w, l);
	if (rc != 0)
		rc = emit_error(w, where, depth, rc, true, clean);
	w->top = l;
	return rc;
}

static bool goes_down(const struct tree_walk *w, const struct domu_path *p, unsigned depth)
{
	if (!S_ISDIR(p->st.mode) || depth >= w->opts->max_depth)
		return false;
	return !w->opts->one_fs || w->top == NULL ||
	       (p->mount == w->top->mount && domu_same_device(p->ino, w->top->ino));
}

/* One inode: shown before what is in it, or after. */
static int meet(struct tree_walk *w, const struct domu_path *p, unsigned depth, const struct domu_scan_more *in)
{
	bool down = goes_down(w, p, depth);
	int answer = 0;

	if (!down || !w->opts->post_order)
		answer = emit(w, p, depth, in);
	if (answer < 0)
		return answer;
	return down && answer != DOMU_WALK_PRUNE ? enter(w, p, depth) : 0;
}

/* The directory of l as an entry again. */
static const struct domu_path *where_of(struct tree_walk *w, const struct dir_level *l)
{
	struct domu_path *p = w->where;
	bool root = l->up != NULL && l->up->mount != l->mount;

	if (l->up == NULL)
		return w->start;
	p->fs = l->fs;
	p->node = l->node;
	p->mount = l->mount;
	p->ino = l->ino;
	p->st = l->st;
	p->dir = root ? l->ino : l->up->ino;
	p->slash = false;
	p->path[l->path_len] = '\0';
	if (root)
		memcpy(p->name, "/", 2);
	else
		memcpy(p->name, p->path + l->path_at, l->path_len - l->path_at + 1);
	return p;
}

static int leave(struct tree_walk *w)
{
	struct dir_level *l = w->top;
	int rc = 0;

	w->shown_len = l->shown_len;
	w->shown[w->shown_len] = '\0';
	w->where_len = l->path_len;
	if (w->opts->post_order)
		rc = emit(w, where_of(w, l), w->depth, &not_scanned);
	w->top = l->up;
	w->depth--;
	free_level(w, l);
	return rc < 0 ? rc : 0;
}

static int next(struct tree_walk *w)
{
	struct dir_level *l = w->top;
	bool clean = w->t->ctx->error.status == DOMU_OK;
	struct domu_scan_more in;
	const struct child *c;
	int rc;

	if (domu_interrupted(w->t->ctx))
		return domu_fail(w->t->ctx, DOMU_DECLINED, -EINTR, "interrupted");
	if (l->next == l->n)
		return leave(w);
	c = &l->v[l->next++];
	rc = show_name(w, l->shown_len, c->name, c->len);
	if (rc != 0)
		return domu_fail(w->t->ctx, DOMU_FAILED, rc, "the paths in the guest are too long");
	rc = locate(w, l, c, &in);
	/* Removed by fn since the directory was read. */
	if (rc == -ENOENT && w->where->ino == 0) {
		if (clean)
			domu_error_clear(w->t->ctx);
		return 0;
	}
	if (rc != 0)
		return emit_error(w, w->where, w->depth + 1, rc, false, clean);
	return meet(w, w->where, w->depth + 1, &in);
}

static int walk(struct tree_walk *w, const struct domu_path *start, const char *shown)
{
	int rc;

	w->start = start;
	w->where = malloc(sizeof *w->where);
	w->shown = strdup(shown);
	if (w->where == NULL || w->shown == NULL)
		return domu_nomem(w->t->ctx);
	w->shown_len = strlen(shown);
	w->shown_cap = w->shown_len + 1;
	*w->where = *start;
	/* Of the root, nothing stands before the '/' of what is in it. */
	w->where_len = strcmp(start->path, "/") == 0 ? 0 : strlen(start->path);
	rc = meet(w, start, 0, &not_scanned);
	while (rc == 0 && w->top != NULL)
		rc = next(w);
	return rc;
}

int domu_walk_tree(struct domu_tree *t, const struct domu_path *start, const char *shown,
                   const struct domu_walk_opts *opts, domu_walk_fn fn, void *user)
{
	struct tree_walk w = { .t = t, .opts = opts, .fn = fn, .user = user };
	int rc = 0;

	if (opts->read_only)
		w.scans = opts->scans;
	if (opts->read_only && w.scans == NULL)
		rc = domu_scans_new(t, &w.scans);
	if (rc == 0)
		rc = walk(&w, start, shown);
	while (w.top != NULL) {
		struct dir_level *l = w.top;

		w.top = l->up;
		free_level(&w, l);
	}
	if (w.scans != opts->scans)
		domu_scans_free(w.scans);
	domu_visited_free(&w.visited);
	free(w.spare);
	free(w.shown);
	free(w.where);
	return rc;
}
