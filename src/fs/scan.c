/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan.c - a whole filesystem in some 85 bytes an inode, names included. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/num.h"
#include "fs/scan-map.h"
#include "fs/scan.h"

#define NOWHERE  ((UINT64_C(1) << 48) - 1) /* as a first sector */
#define SEC_BITS 34 /* of a time; the rest is nanoseconds */

/* What many inodes have in common. */
struct owner {
	uint32_t mode, uid, gid, flags, projid;
	uint32_t next; /* of those with the same hash, or 0 */
};

struct inode {
	uint64_t size;
	uint64_t time[4]; /* a, m, c, b: seconds << 30 | nanoseconds */
	uint32_t sectors_lo, first_lo; /* first: in sectors; of a device, its number; of a directory, which one */
	uint16_t sectors_hi, first_hi;
	uint16_t nlink;
	uint16_t xattrs;
	uint32_t generation;
	uint32_t owner;
};

struct dir {
	uint32_t ino;
	uint32_t first, last; /* runs + 1; 0: none */
	enum { UNREAD, READ, ODD } state;
};

/* Names that came one after the other. */
struct run {
	uint32_t name, n; /* where in the arena, how many */
	uint32_t next;
};

/* A growing array; all together stay below a limit. */
struct vec {
	void *v;
	size_t n, cap;
};

#define HUGE_PAGE ((size_t)2 << 20)
#define NAME_ROOM 32 /* bytes of the arena that a name takes, or less */
#define OWNERS    1024 /* heads of the hash of owners */

struct domu_scan_tree {
	struct domu_fs *fs;
	uint32_t block_size;
	size_t bytes, limit;
	struct vec inodes, runs, owners, dirs;
	struct vec arena; /* a name: inode number, length, bytes, NUL */
	struct domu_scan_map map; /* of ino to its place in inodes */
	uint32_t owner_head[OWNERS];
	uint32_t last_owner;
	uint32_t now; /* the directory, + 1, whose names came last */
	uint32_t last_ino;
	bool batch;
	int rc; /* what a batch ended with */
	struct vec found; /* of a batch: where the names of the directories just read lead to */
};

/*
 * Room in advance, which is no memory before it is touched; then in large pages, which are cheaper to have and to
 * search.
 */
static void expect(struct domu_scan_tree *s, struct vec *v, size_t n, size_t size)
{
	v->v =
	    n * size >= 2 * HUGE_PAGE ? aligned_alloc(HUGE_PAGE, (n * size + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1)) : NULL;
	if (v->v == NULL)
		return;
	v->cap = n;
	s->bytes += n * size;
	madvise(v->v, n * size & ~(HUGE_PAGE - 1), MADV_HUGEPAGE);
}

static void *more(struct domu_scan_tree *s, struct vec *v, size_t n, size_t size)
{
	size_t cap = v->cap != 0 ? v->cap : 256;
	char *p;

	while (cap < v->n + n)
		cap += cap / 2;
	if (cap != v->cap) {
		if (s->bytes + (cap - v->cap) * size > 2 * s->limit || (p = realloc(v->v, cap * size)) == NULL)
			return NULL;
		s->bytes += (cap - v->cap) * size;
		v->v = p;
		v->cap = cap;
	}
	v->n += n;
	return (char *)v->v + (v->n - n) * size;
}

/* What is touched counts: room that an array has in advance is no memory yet. */
static size_t used(const struct domu_scan_tree *s)
{
	return s->inodes.n * sizeof(struct inode) + domu_scan_map_bytes(&s->map) + s->dirs.n * sizeof(struct dir) +
	       s->runs.n * sizeof(struct run) + s->owners.n * sizeof(struct owner) + s->arena.n +
	       s->found.n * sizeof(uint32_t);
}

#define MORE(s, what, n) more(s, &(s)->what##s, n, sizeof(struct what))

static inline bool place_of(const struct domu_scan_tree *s, uint64_t ino, size_t *at)
{
	return domu_scan_map_find(&s->map, ino, at);
}

static struct dir *find_dir(const struct domu_scan_tree *s, uint64_t ino)
{
	const struct inode *v = s->inodes.v;
	const struct owner *o = s->owners.v;
	struct dir *d = s->dirs.v;
	size_t at;

	return place_of(s, ino, &at) && S_ISDIR(o[v[at].owner].mode) ? &d[v[at].first_lo] : NULL;
}

/* ---- inodes -------------------------------------------------------------------------- */

static bool pack_time(struct timespec t, uint64_t *out)
{
	const int64_t most = INT64_C(1) << (SEC_BITS - 1);

	if (t.tv_sec < -most / 4 || t.tv_sec >= most / 4 * 7 || t.tv_nsec < 0 || t.tv_nsec > 999999999)
		return false;
	*out = (uint64_t)(t.tv_sec + most / 4) << 30 | (uint64_t)t.tv_nsec;
	return true;
}

static struct timespec unpack_time(uint64_t v)
{
	const int64_t most = INT64_C(1) << (SEC_BITS - 1);

	return (struct timespec){ .tv_sec = (time_t)(v >> 30) - most / 4, .tv_nsec = (long)(v & ((1u << 30) - 1)) };
}

static bool same_owner(const struct owner *o, const struct domu_stat *st)
{
	return o->mode == st->mode && o->uid == st->uid && o->gid == st->gid && o->flags == st->flags &&
	       o->projid == st->projid;
}

/* Its number, or UINT32_MAX: no memory. */
static uint32_t find_owner(struct domu_scan_tree *s, const struct domu_stat *st)
{
	uint32_t h = st->mode * 31u ^ st->uid * 2654435761u ^ st->gid * 40503u ^ st->flags * 97u ^ st->projid * 7919u;
	uint32_t *head = &s->owner_head[(h ^ h >> 16) % OWNERS];
	struct owner *v = s->owners.v, *o;

	if (s->last_owner > 0 && same_owner(&v[s->last_owner - 1], st))
		return s->last_owner - 1;
	for (uint32_t i = *head; i != 0; i = v[i - 1].next) {
		if (same_owner(&v[i - 1], st)) {
			s->last_owner = i;
			return i - 1;
		}
	}
	o = MORE(s, owner, 1);
	if (o == NULL)
		return UINT32_MAX;
	*o = (struct owner){ st->mode, st->uid, st->gid, st->flags, st->projid, *head };
	*head = s->last_owner = (uint32_t)s->owners.n;
	return *head - 1;
}

/* What does not fit is not kept: whoever wants it asks for it by itself. */
static bool pack(const struct domu_scan_inode *in, struct inode *out)
{
	const struct domu_stat *st = &in->st;
	uint64_t first = in->first == UINT64_MAX ? NOWHERE : in->first / 512;

	if (S_ISCHR(st->mode) || S_ISBLK(st->mode))
		first = (uint64_t)st->rdev_major << 24 | st->rdev_minor;
	out->size = st->size;
	out->sectors_lo = (uint32_t)st->sectors;
	out->first_lo = (uint32_t)first;
	out->sectors_hi = (uint16_t)(st->sectors >> 32);
	out->first_hi = (uint16_t)(first >> 32);
	out->nlink = (uint16_t)st->nlink;
	out->xattrs = in->xattrs;
	out->generation = st->generation;
	return st->nlink <= UINT16_MAX && st->sectors >> 48 == 0 && first <= NOWHERE && st->rdev_minor >> 24 == 0 &&
	       st->rdev_major >> 24 == 0 && pack_time(st->atime, &out->time[0]) &&
	       pack_time(st->mtime, &out->time[1]) && pack_time(st->ctime, &out->time[2]) &&
	       pack_time(st->btime, &out->time[3]);
}

static int take_inode(void *user, const struct domu_scan_inode *in)
{
	struct domu_scan_tree *s = user;
	uint32_t ino = (uint32_t)in->st.ino;
	uint64_t *bits;
	struct inode *p;
	struct dir *d;

	if (domu_interrupted(s->fs->ctx))
		return -EINTR;
	if (in->st.ino > UINT32_MAX || ino <= s->last_ino)
		return -E2BIG;
	s->last_ino = ino;
	bits = domu_scan_map_next(&s->map, ino, s->inodes.n, s->limit);
	p = bits != NULL ? MORE(s, inode, 1) : NULL;
	if (p == NULL || used(s) > s->limit)
		return -E2BIG;
	if (!pack(in, p)) {
		s->inodes.n--;
		return 0;
	}
	p->owner = find_owner(s, &in->st);
	if (p->owner == UINT32_MAX)
		return -E2BIG;
	if (S_ISDIR(in->st.mode)) {
		d = MORE(s, dir, 1);
		if (d == NULL)
			return -E2BIG;
		p->first_lo = (uint32_t)s->dirs.n - 1;
		*d = (struct dir){ .ino = ino, .state = s->batch ? UNREAD : READ };
	}
	if (s->block_size == 0)
		s->block_size = in->st.block_size;
	*bits |= UINT64_C(1) << (ino % 64);
	return 0;
}

uint32_t domu_scan_tree_expect(const struct domu_scan_tree *s, uint64_t ino)
{
	const struct inode *v = s->inodes.v;
	size_t at;

	if (!place_of(s, ino, &at))
		return DOMU_SCAN_NOT;
	/* It may lie in two lines of the cache. */
	__builtin_prefetch(&v[at]);
	__builtin_prefetch((const char *)&v[at + 1] - 1);
	return (uint32_t)at;
}

void domu_scan_tree_stat_at(const struct domu_scan_tree *s, uint32_t at, uint64_t ino, struct domu_stat *st,
                            struct domu_scan_more *more)
{
	const struct inode *in = (const struct inode *)s->inodes.v + at;
	const struct owner *o = (const struct owner *)s->owners.v + in->owner;
	uint64_t first;

	first = (uint64_t)in->first_hi << 32 | in->first_lo;
	*st = (struct domu_stat){ .ino = ino,
		                  .mode = o->mode,
		                  .nlink = in->nlink,
		                  .uid = o->uid,
		                  .gid = o->gid,
		                  .size = in->size,
		                  .sectors = (uint64_t)in->sectors_hi << 32 | in->sectors_lo,
		                  .block_size = s->block_size,
		                  .flags = o->flags,
		                  .projid = o->projid,
		                  .generation = in->generation,
		                  .atime = unpack_time(in->time[0]),
		                  .mtime = unpack_time(in->time[1]),
		                  .ctime = unpack_time(in->time[2]),
		                  .btime = unpack_time(in->time[3]) };
	more->xattrs = in->xattrs;
	more->first = first == NOWHERE ? UINT64_MAX : first * 512;
	if (S_ISCHR(o->mode) || S_ISBLK(o->mode)) {
		st->rdev_major = (uint32_t)(first >> 24);
		st->rdev_minor = (uint32_t)(first & 0xffffff);
		more->first = UINT64_MAX;
	} else if (S_ISDIR(o->mode)) {
		more->first = UINT64_MAX;
	}
}

bool domu_scan_tree_stat(const struct domu_scan_tree *s, uint64_t ino, struct domu_stat *st,
                         struct domu_scan_more *more)
{
	size_t at;

	if (!place_of(s, ino, &at))
		return false;
	domu_scan_tree_stat_at(s, (uint32_t)at, ino, st, more);
	return true;
}

/* ---- names --------------------------------------------------------------------------- */

/* The run that takes the next name of dir; NULL: no memory, or no such directory. */
static struct run *run_of(struct domu_scan_tree *s, uint64_t ino)
{
	struct dir *v = s->dirs.v, *d;
	struct run *r;

	if (s->now != 0 && v[s->now - 1].ino == ino)
		return (struct run *)s->runs.v + v[s->now - 1].last - 1;
	d = find_dir(s, ino);
	r = d != NULL ? MORE(s, run, 1) : NULL;
	if (r == NULL)
		return NULL;
	*r = (struct run){ .name = (uint32_t)s->arena.n };
	if (d->last != 0)
		((struct run *)s->runs.v)[d->last - 1].next = (uint32_t)s->runs.n;
	else
		d->first = (uint32_t)s->runs.n;
	d->last = (uint32_t)s->runs.n;
	s->now = (uint32_t)(d - v) + 1;
	return r;
}

static int take_odd(void *user, uint64_t dir)
{
	struct dir *d = find_dir(user, dir);

	if (d != NULL)
		d->state = ODD;
	return d != NULL ? 0 : -EINVAL;
}

static int take_name(void *user, uint64_t dir, const char *name, size_t len, uint64_t ino)
{
	struct domu_scan_tree *s = user;
	uint32_t *found;
	struct run *r;
	char *p;

	if (domu_interrupted(s->fs->ctx))
		return -EINTR;
	/* The way by name says what is wrong with such a name. */
	if (!domu_name_sound(name, len))
		return take_odd(s, dir);
	if (ino > UINT32_MAX)
		return -E2BIG;
	r = run_of(s, dir);
	p = r != NULL ? more(s, &s->arena, 4 + 1 + len + 1, 1) : NULL;
	if (p == NULL || used(s) > s->limit)
		return -E2BIG;
	if (s->batch) {
		found = more(s, &s->found, 1, sizeof *found);
		if (found == NULL)
			return -E2BIG;
		*found = (uint32_t)ino;
	}
	r->n++;
	memcpy(p, &(uint32_t){ (uint32_t)ino }, 4);
	p[4] = (char)len;
	memcpy(p + 5, name, len);
	p[5 + len] = '\0';
	return 0;
}

int domu_scan_tree_names(const struct domu_scan_tree *s, uint64_t dir, domu_scan_name_fn fn, void *user)
{
	const struct dir *d = find_dir(s, dir);
	int rc = 0;

	if (d == NULL || d->state != READ)
		return -ENODATA;
	for (uint32_t i = d->first; i != 0;) {
		const struct run *r = (const struct run *)s->runs.v + i - 1;
		const char *p = (const char *)s->arena.v + r->name;

		for (uint32_t k = 0; rc == 0 && k < r->n; k++) {
			size_t len = (unsigned char)p[4];
			uint32_t ino;

			memcpy(&ino, p, sizeof ino);
			rc = fn(user, p + 5, len, ino);
			p += 5 + len + 1;
		}
		i = r->next;
	}
	return rc;
}

/* ---- all of it ------------------------------------------------------------------------- */

static struct domu_scan_tree *new_tree(struct domu_fs *fs, size_t limit)
{
	struct domu_scan_tree *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->fs = fs;
	s->limit = limit;
	domu_scan_map_init(&s->map);
	return s;
}

int domu_scan_tree_open(struct domu_fs *fs, struct domu_scan_tree **out)
{
	const struct domu_scan to = { .self_size = sizeof to, .inode = take_inode, .name = take_name, .odd = take_odd };
	bool clean = fs->ctx->error.status == DOMU_OK;
	struct domu_scan_tree *s;
	struct domu_statfs sf;
	size_t n;
	int rc;

	*out = NULL;
	if (!domu_fs_can_scan(fs))
		return -EOPNOTSUPP;
	s = new_tree(fs, DOMU_SCAN_BYTES);
	if (s == NULL)
		return -ENOMEM;
	rc = domu_fs_statfs(fs, &sf);
	if (rc == 0 && sf.files > sf.files_free && sf.files - sf.files_free > DOMU_SCAN_BYTES / DOMU_SCAN_LEAST)
		rc = -E2BIG;
	if (rc == 0) {
		domu_scan_map_direct(&s->map, sf.files, s->limit / 8);
		n = sf.files > sf.files_free ? (size_t)(sf.files - sf.files_free) : 0;
		expect(s, &s->inodes, n + 1, sizeof(struct inode));
		expect(s, &s->arena, (n + 1) * NAME_ROOM, 1);
		rc = domu_fs_scan(fs, &to, s);
	}
	/* Also of a directory that it calls odd: who asks for that by name is told then. */
	if (clean)
		domu_error_clear(fs->ctx);
	if (rc != 0) {
		domu_scan_tree_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void domu_scan_tree_free(struct domu_scan_tree *s)
{
	if (s == NULL)
		return;
	free(s->inodes.v);
	free(s->runs.v);
	free(s->owners.v);
	free(s->arena.v);
	free(s->dirs.v);
	free(s->found.v);
	free(s->map.v);
	free(s);
}

size_t domu_scan_tree_bytes(const struct domu_scan_tree *s)
{
	return s != NULL ? used(s) : 0;
}

/* ---- a part of it ---------------------------------------------------------------------- */

#define SLICE  256u /* directories that are read together */
#define GROWTH 8 /* what a directory leads to may take that many times its size: short names, large inodes */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Before its names; what is not sound stays unread. */
static int take_dir(void *user, const struct domu_scan_inode *in)
{
	struct dir *d = find_dir(user, in->st.ino);

	if (d != NULL && S_ISDIR(in->st.mode))
		d->state = READ;
	return 0;
}

/* The inodes that were found, once each, without what is known. */
static int read_found(struct domu_scan_tree *s)
{
	const struct domu_scan to = { .self_size = sizeof to, .inode = take_inode };
	uint32_t *v = s->found.v;
	size_t n = 0, at;

	if (s->found.n > 1)
		qsort(v, s->found.n, sizeof *v, by_number);
	for (size_t i = 0; i < s->found.n; i++)
		if ((n == 0 || v[n - 1] != v[i]) && !place_of(s, v[i], &at))
			v[n++] = v[i];
	s->found.n = n;
	s->last_ino = 0;
	domu_scan_map_restart(&s->map);
	return domu_fs_scan_some(s->fs, v, n, &to, s);
}

/* The directories [from, to): their names, then all inodes that these lead to. */
static int read_slice(struct domu_scan_tree *s, size_t from, size_t to)
{
	const struct domu_scan names = {
		.self_size = sizeof names, .inode = take_dir, .name = take_name, .odd = take_odd
	};
	struct dir *v = s->dirs.v;
	uint32_t list[SLICE];
	int rc;

	for (size_t i = from; i < to; i++)
		list[i - from] = v[i].ino;
	qsort(list, to - from, sizeof *list, by_number);
	s->now = 0;
	s->found.n = 0;
	rc = domu_fs_scan_some(s->fs, list, to - from, &names, s);
	/* Of which some names are missing is not known. */
	for (size_t i = from; rc != 0 && i < to; i++)
		v[i].state = ODD;
	return rc != 0 ? rc : read_found(s);
}

/* Where the slice that begins at from ends: what is left of the limit should take it. */
static size_t slice_end(const struct domu_scan_tree *s, size_t from, size_t end)
{
	size_t most = used(s) < s->limit ? (s->limit - used(s)) / GROWTH : 0;
	const struct inode *v = s->inodes.v;
	const struct dir *d = s->dirs.v;
	uint64_t sum = 0;
	size_t i = from, at;

	for (; i < end && i - from < SLICE; i++) {
		sum += place_of(s, d[i].ino, &at) ? v[at].size : 0;
		if (sum > most && i > from)
			break;
	}
	return i;
}

struct domu_scan_tree *domu_scan_tree_batch(struct domu_fs *fs, const uint64_t *dirs, size_t n, unsigned depth,
                                            size_t limit)
{
	bool clean = fs->ctx->error.status == DOMU_OK;
	struct domu_scan_tree *s = new_tree(fs, limit);
	uint32_t *v = s != NULL ? more(s, &s->found, n, sizeof *v) : NULL;
	int rc;

	if (v == NULL) {
		domu_scan_tree_free(s);
		return NULL;
	}
	s->batch = true;
	for (size_t i = 0; i < n; i++)
		v[i] = dirs[i] <= UINT32_MAX ? (uint32_t)dirs[i] : 0;
	rc = read_found(s);
	for (size_t next = 0; rc == 0 && depth > 0 && next < s->dirs.n; depth--) {
		size_t level = s->dirs.n;

		while (rc == 0 && next < level) {
			size_t end = slice_end(s, next, level);

			/* What is left of the limit would not take another one like it. */
			rc = used(s) <= limit / 4 * 3 ? read_slice(s, next, end) : -E2BIG;
			next = end;
		}
	}
	s->rc = rc;
	if (clean)
		domu_error_clear(fs->ctx);
	return s;
}

bool domu_scan_tree_failed(const struct domu_scan_tree *s)
{
	return s->rc != 0 && s->rc != -E2BIG;
}
