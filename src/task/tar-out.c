/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-out.c - a guest's tree as a pax archive: in the order of its names, the disk read ahead in its own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "task/tar-data.h"
#include "task/tar-regions.h"
#include "task/treeio-links.h"

/*
 * Members come in the order of the walk, each folder right before what is in
 * it: any other order has extractors set a folder's times before its last
 * file comes.  The disk is read in its own order all the same: entries are
 * gathered by the window, and while one is written the kernel reads what the
 * next will need, sorted by place.
 */
#define WINDOW_ENTRIES 4096u
#define WINDOW_BYTES   (UINT64_C(32) << 20)
#define AHEAD          (256u << 10) /* bytes asked for in one call: the kernel drops what is more than a request */
#define NEAR           (64u << 10) /* a gap that is read over */
#define MAX_LINK_PATHS (64u << 20) /* bytes of paths remembered for files of several names */

struct item {
	struct domu_fs *fs;
	struct domu_stat st;
	unsigned mount;
	uint32_t path; /* in the window's arena */
	bool xattrs; /* there are some */
	uint64_t at; /* of the whole content on the device; UINT64_MAX: in pieces, or not known */
};

struct span {
	struct domu_block *b;
	uint64_t offset, len;
};

struct window {
	struct item *v; /* WINDOW_ENTRIES */
	struct span *ahead; /* as many */
	size_t n, n_ahead;
	struct domu_tar_buf paths;
	uint64_t bytes;
};

/* The first of several names of a file, by its number in links. */
struct first_name {
	char *path; /* NULL: not in the archive */
	uint32_t left; /* names to come */
};

struct tar_out {
	struct domu_ctx *ctx;
	struct domu_tar_stream out;
	struct window w[2], *fill, *ready;
	size_t base_len; /* of the start's path as walked */
	struct domu_links links;
	struct first_name *first;
	size_t n_first, first_bytes;
	char *spent; /* a first name whose last use is the member being written */
	struct domu_tar_regions regions;
	struct domu_tar_buf head, values; /* values: attributes of the member being written */
	struct domu_treeio_xattr *xattrs;
	size_t n_xattrs, cap_xattrs;
	unsigned long failures, sockets;
	bool links_full;
};

/* ---- what cannot be kept -------------------------------------------------------------- */

/* A file that cannot be read is left out, said, and counted; it does not end a rescue. */
static void left_out(struct tar_out *t, const char *path, int err, const char *what)
{
	const char *why = t->ctx->error.message;

	domu_say(t->ctx, DOMU_WARNING, "cannot read '%s'%s: %s", path, what, why != NULL ? why : strerror(-err));
	domu_error_clear(t->ctx);
	t->failures++;
}

/* ---- attributes ------------------------------------------------------------------------ */

static int any(void *user, const char *name, const void *value, size_t len)
{
	(void)name;
	(void)value;
	(void)len;
	*(bool *)user = true;
	return 1;
}

/* Names and values go into one arena; where they are is put right when all are there. */
static int keep_xattr(void *user, const char *name, const void *value, size_t len)
{
	struct tar_out *t = user;

	if (!DOMU_ARRAY_ROOM(t->xattrs, t->cap_xattrs, t->n_xattrs + 1))
		return -ENOMEM;
	t->xattrs[t->n_xattrs++].len = len;
	domu_tar_put(&t->values, name, strlen(name) + 1);
	domu_tar_put(&t->values, value, len);
	return t->values.err;
}

static int read_xattrs(struct tar_out *t, const struct item *it)
{
	const char *p;
	int rc;

	t->n_xattrs = t->values.n = 0;
	if (!it->xattrs)
		return 0;
	rc = domu_fs_listxattr(it->fs, it->st.ino, keep_xattr, t);
	p = t->values.p;
	for (size_t i = 0; rc == 0 && i < t->n_xattrs; i++) {
		t->xattrs[i].name = p;
		p += strlen(p) + 1;
		t->xattrs[i].value = p;
		p += t->xattrs[i].len;
	}
	if (rc != 0)
		t->n_xattrs = 0;
	return rc;
}

/* ---- members ------------------------------------------------------------------------------ */

static int put_header(struct tar_out *t, struct domu_tar_member *m)
{
	int rc;

	t->head.n = 0;
	rc = domu_tar_header(&t->head, m);
	if (rc == -E2BIG) {
		left_out(t, m->path, rc, "'s attributes");
		m->n_xattrs = 0;
		t->head.n = 0;
		rc = domu_tar_header(&t->head, m);
	}
	return rc != 0 ? domu_nomem(t->ctx) : domu_tar_stream_put(&t->out, t->head.p, t->head.n);
}

static int put_content(struct tar_out *t, const struct item *it, const char *path)
{
	uint64_t total = 0;
	int bad = 0, rc = 0;

	for (size_t i = 0; rc == 0 && i < t->regions.n; i++) {
		const struct domu_tar_region *r = &t->regions.v[i];
		int one;

		if (r->at == UINT64_MAX)
			rc = domu_tar_stream_file(&t->out, it->fs, it->st.ino, r->offset, r->len, &one);
		else
			rc = domu_tar_stream_blocks(&t->out, it->fs->block, r->at, r->len, &one);
		bad = bad != 0 ? bad : one;
		total += r->len;
	}
	if (rc == 0)
		rc = domu_tar_stream_zeros(&t->out, (512 - total % 512) % 512);
	if (rc == 0 && bad != 0)
		left_out(t, path, bad, " (zeros are in the archive for what is missing)");
	return rc;
}

static int find_content(struct tar_out *t, const struct item *it)
{
	struct domu_tar_regions *r = &t->regions;

	if (it->at == UINT64_MAX || r->cap == 0)
		return domu_tar_regions_find(r, it->fs, it->st.ino, &it->st);
	r->v[0] = (struct domu_tar_region){ .len = it->st.size, .at = it->at };
	r->n = 1;
	r->holes = false;
	return 0;
}

static int put_file(struct tar_out *t, const struct item *it, struct domu_tar_member *m, bool *put)
{
	int rc = find_content(t, it);

	if (rc != 0) {
		left_out(t, m->path, rc, "");
		*put = false;
		return 0;
	}
	m->sparse = t->regions.holes;
	m->regions = t->regions.v;
	m->n_regions = t->regions.n;
	rc = put_header(t, m);
	return rc == 0 ? put_content(t, it, m->path) : rc;
}

/* The file's number among those of several names, from 1; 0: it is not remembered. */
static int number_of(struct tar_out *t, const struct item *it, const char *path, uint64_t *id)
{
	bool again = false;

	free(t->spent);
	t->spent = NULL;
	*id = t->first_bytes < MAX_LINK_PATHS ? domu_links_id(&t->links, it->mount, it->st.ino, &again) : 0;
	if (*id == 0 && !t->links_full) {
		t->links_full = true;
		domu_say(t->ctx, DOMU_WARNING,
		         "too many files with several names: from '%s' on some names are files of their own", path);
	}
	if (*id == 0 || again)
		return 0;
	if ((t->n_first & (t->n_first - 1)) == 0) {
		struct first_name *v = realloc(t->first, (t->n_first != 0 ? 2 * t->n_first : 1) * sizeof *v);

		if (v == NULL)
			return domu_nomem(t->ctx);
		t->first = v;
	}
	t->first[t->n_first++] = (struct first_name){ .left = it->st.nlink - 1 };
	return 0;
}

/* The member that this is another name of.  With its last name a file is forgotten. */
static const char *first_name(struct tar_out *t, uint64_t id)
{
	struct first_name *f = id != 0 ? &t->first[id - 1] : NULL;

	if (f == NULL || f->path == NULL)
		return NULL;
	if (f->left > 1) {
		f->left--;
		return f->path;
	}
	t->spent = f->path;
	f->path = NULL;
	t->first_bytes -= strlen(t->spent) + 1;
	return t->spent;
}

static int remember(struct tar_out *t, uint64_t id, const char *path)
{
	if (id == 0)
		return 0;
	t->first[id - 1].path = strdup(path);
	t->first_bytes += strlen(path) + 1;
	return t->first[id - 1].path != NULL ? 0 : domu_nomem(t->ctx);
}

static int put_once(struct tar_out *t, const struct item *it, struct domu_tar_member *m, bool *put)
{
	char target[4096];
	int rc = read_xattrs(t, it);

	if (rc != 0)
		left_out(t, m->path, rc, "'s attributes");
	m->xattrs = t->xattrs;
	m->n_xattrs = t->n_xattrs;
	*put = true;
	if (S_ISREG(it->st.mode))
		return put_file(t, it, m, put);
	if (S_ISLNK(it->st.mode)) {
		rc = domu_fs_readlink(it->fs, it->st.ino, target, sizeof target);
		if (rc <= 0) {
			left_out(t, m->path, rc < 0 ? rc : -EINVAL, "");
			*put = false;
			return 0;
		}
		m->link = target;
	}
	return put_header(t, m);
}

static int put_item(struct tar_out *t, const struct item *it, const char *path)
{
	struct domu_tar_member m = { .path = path, .st = &it->st };
	uint64_t id = 0;
	bool put;
	int rc = 0;

	if (S_ISSOCK(it->st.mode)) {
		if (t->sockets++ == 0)
			domu_say(t->ctx, DOMU_INFO, "'%s' is a socket: archives have none, they are left out", path);
		return 0;
	}
	if (it->st.nlink > 1 && !S_ISDIR(it->st.mode))
		rc = number_of(t, it, path, &id);
	if (rc != 0)
		return rc;
	m.link = first_name(t, id);
	m.hard = m.link != NULL;
	if (m.hard)
		return put_header(t, &m);
	rc = put_once(t, it, &m, &put);
	return rc == 0 && put ? remember(t, id, path) : rc;
}

/* ---- windows -------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->b != y->b)
		return x->b < y->b ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void ask_for(const struct span *s)
{
	uint64_t at = s->offset, end = s->offset + s->len;

	while (at < end) {
		uint64_t fd_offset, run;
		int fd, rc = domu_block_map(s->b, at, end - at, &fd, &fd_offset, &run);

		if (rc == 0)
			for (uint64_t i = 0; i < run; i += AHEAD)
				posix_fadvise(fd, (off_t)(fd_offset + i), run - i < AHEAD ? (off_t)(run - i) : AHEAD,
				              POSIX_FADV_WILLNEED);
		else if (rc != -ENODATA)
			return;
		at += run;
	}
}

static void read_ahead(struct window *w)
{
	struct span s = { 0 };

	qsort(w->ahead, w->n_ahead, sizeof *w->ahead, by_place);
	for (size_t i = 0; i < w->n_ahead; i++) {
		const struct span *next = &w->ahead[i];

		if (s.b == next->b && next->offset <= s.offset + s.len + NEAR) {
			if (next->offset + next->len > s.offset + s.len)
				s.len = next->offset + next->len - s.offset;
			continue;
		}
		if (s.b != NULL)
			ask_for(&s);
		s = *next;
	}
	if (s.b != NULL)
		ask_for(&s);
}

static int put_window(struct tar_out *t, struct window *w)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < w->n; i++)
		rc = put_item(t, &w->v[i], w->paths.p + w->v[i].path);
	w->n = w->n_ahead = w->paths.n = 0;
	w->bytes = 0;
	return rc;
}

/* The window that was filled is read ahead while the one before it is written. */
static int turn(struct tar_out *t)
{
	struct window *full = t->fill;
	int rc;

	read_ahead(full);
	rc = put_window(t, t->ready);
	t->fill = t->ready;
	t->ready = full;
	return rc;
}

/* ---- the walk ----------------------------------------------------------------------------------- */

/* The whole of a file's content where it is in one piece; nothing is known of others before their turn. */
static void find_place(struct tar_out *t, struct item *it)
{
	struct window *w = t->fill;
	uint64_t at, run;

	it->at = UINT64_MAX;
	if (!S_ISREG(it->st.mode) || it->st.size == 0)
		return;
	if (domu_fs_extent(it->fs, it->st.ino, 0, it->st.size, &at, &run) != 0) {
		domu_error_clear(t->ctx);
		return;
	}
	if (at == UINT64_MAX)
		return;
	if (run == it->st.size)
		it->at = at;
	w->ahead[w->n_ahead++] = (struct span){ .b = it->fs->block, .offset = at, .len = run };
	w->bytes += run;
}

/* "./" and what comes after the start; a directory's ends with '/'. */
static void put_path(struct tar_out *t, struct item *it, const struct domu_walk_entry *e)
{
	struct domu_tar_buf *b = &t->fill->paths;
	const char *rest = e->path + t->base_len;

	while (*rest == '/')
		rest++;
	it->path = (uint32_t)b->n;
	domu_tar_put(b, "./", 2);
	if (e->depth == 0 && !S_ISDIR(it->st.mode))
		rest = e->where->name;
	domu_tar_put(b, rest, strlen(rest));
	if (S_ISDIR(it->st.mode) && *rest != '\0')
		domu_tar_put(b, "/", 1);
	domu_tar_put(b, "", 1);
}

static int take(void *user, const struct domu_walk_entry *e)
{
	struct tar_out *t = user;
	struct window *w = t->fill;
	struct item *it = &w->v[w->n];
	int rc;

	if (e->err != 0) {
		left_out(t, e->path, e->err, "");
		return DOMU_WALK_GO;
	}
	*it = (struct item){ .fs = e->where->fs, .st = e->where->st, .mount = e->where->mount };
	it->st.ino = e->where->ino;
	if (!domu_type_known(it->st.mode)) {
		left_out(t, e->path, -EUCLEAN, "");
		return DOMU_WALK_GO;
	}
	put_path(t, it, e);
	/* What there is of them is told when it is read again: a failure, too. */
	if (!e->no_xattrs && domu_fs_listxattr(it->fs, it->st.ino, any, &it->xattrs) < 0) {
		it->xattrs = true;
		domu_error_clear(t->ctx);
	}
	find_place(t, it);
	if (w->paths.err != 0)
		return domu_nomem(t->ctx);
	w->n++;
	if (w->n < WINDOW_ENTRIES && w->bytes < WINDOW_BYTES)
		return DOMU_WALK_GO;
	rc = turn(t);
	return rc != 0 ? rc : DOMU_WALK_GO;
}

static int prepare(struct tar_out *t, int fd)
{
	for (size_t i = 0; i < 2; i++) {
		t->w[i].v = malloc(WINDOW_ENTRIES * sizeof *t->w[i].v);
		t->w[i].ahead = malloc(WINDOW_ENTRIES * sizeof *t->w[i].ahead);
		if (t->w[i].v == NULL || t->w[i].ahead == NULL)
			return domu_nomem(t->ctx);
	}
	t->fill = &t->w[0];
	t->ready = &t->w[1];
	return domu_tar_stream_open(t->ctx, fd, &t->out);
}

static void release(struct tar_out *t)
{
	for (size_t i = 0; i < 2; i++) {
		free(t->w[i].v);
		free(t->w[i].ahead);
		domu_tar_buf_free(&t->w[i].paths);
	}
	for (size_t i = 0; i < t->n_first; i++)
		free(t->first[i].path);
	free(t->first);
	free(t->spent);
	free(t->xattrs);
	domu_links_free(&t->links);
	domu_tar_regions_free(&t->regions);
	domu_tar_buf_free(&t->head);
	domu_tar_buf_free(&t->values);
	domu_tar_stream_free(&t->out);
}

int domu_tar_out(struct domu_ctx *ctx, struct domu_tree *tree, const struct domu_path *where, int fd,
                 unsigned long *failures)
{
	const struct domu_walk_opts opts = { .max_depth = ~0u, .read_only = true };
	struct tar_out t = { .ctx = ctx, .base_len = strlen(where->path) };
	int rc = prepare(&t, fd);

	if (rc == 0)
		rc = domu_walk_tree(tree, where, where->path, &opts, take, &t);
	if (rc == 0)
		rc = turn(&t);
	if (rc == 0)
		rc = turn(&t);
	if (rc == 0)
		rc = domu_tar_stream_end(&t.out);
	*failures = t.failures;
	release(&t);
	return rc;
}
