/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare-inode.c - two inodes of one name: content, link target, attributes. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/num.h"
#include "fs/compare.h"

#define PIECE        (256u * 1024)
#define MAX_XATTRS   4096 /* of one inode */
#define MAX_TARGET   4096
#define FOLDER_FLAGS (0x1000u | 0x80000u | 0x10000000u) /* index, extents, inline data: how entries are stored */

bool domu_spans_meet(const struct domu_span *spans, size_t n, uint64_t offset, uint64_t len)
{
	size_t low = 0, high = n;

	/* The first that ends behind offset. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (spans[mid].offset + spans[mid].len <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && spans[low].offset < offset + len;
}

/* ---- content ------------------------------------------------------------------------ */

/* How many bytes from offset on are the same without being read; 0: they have to be. */
static uint64_t same_place(const struct domu_compare *c, uint64_t old, uint64_t new, uint64_t offset, uint64_t len)
{
	uint64_t a, b, run_a, run_b;

	if (domu_fs_extent(c->old, old, offset, len, &a, &run_a) != 0 ||
	    domu_fs_extent(c->new, new, offset, len, &b, &run_b) != 0) {
		domu_error_clear(c->ctx);
		return 0;
	}
	if (run_b < run_a)
		run_a = run_b;
	if (a != b || (a != UINT64_MAX && (c->spans == NULL || domu_spans_meet(c->spans, c->n_spans, a, run_a))))
		return 0;
	return run_a;
}

static int read_whole(struct domu_fs *fs, uint64_t ino, char *buf, size_t len, uint64_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = domu_fs_read(fs, ino, buf + done, len - done, offset + done);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return domu_fail(fs->ctx, DOMU_FAILED, -EIO, "a file ends before its size says");
		done += (size_t)n;
	}
	return 0;
}

/* Of the same size.  0 different, 1 the same. */
static int same_content(const struct domu_compare *c, const struct domu_stat *a, const struct domu_stat *b)
{
	char *buf = malloc((size_t)2 * PIECE);
	uint64_t offset = 0;
	int rc = 1;

	if (buf == NULL)
		return domu_nomem(c->ctx);
	while (rc == 1 && offset < a->size) {
		uint64_t left = a->size - offset, run = same_place(c, a->ino, b->ino, offset, left);
		size_t n = left < PIECE ? (size_t)left : PIECE;

		if (domu_interrupted(c->ctx)) {
			rc = domu_fail(c->ctx, DOMU_DECLINED, -EINTR, "interrupted");
			break;
		}
		if (run > 0) {
			offset += run;
			continue;
		}
		rc = read_whole(c->old, a->ino, buf, n, offset);
		if (rc == 0)
			rc = read_whole(c->new, b->ino, buf + PIECE, n, offset);
		if (rc == 0)
			rc = memcmp(buf, buf + PIECE, n) == 0;
		offset += n;
	}
	free(buf);
	return rc;
}

static int same_target(const struct domu_compare *c, const struct domu_stat *a, const struct domu_stat *b)
{
	char old[MAX_TARGET], new[MAX_TARGET];
	int rc = domu_fs_readlink(c->old, a->ino, old, sizeof old);

	if (rc >= 0)
		rc = domu_fs_readlink(c->new, b->ino, new, sizeof new);
	return rc < 0 ? rc : strcmp(old, new) == 0;
}

/* ---- extended attributes -------------------------------------------------------------- */

struct xattrs {
	struct {
		char *name;
		void *value;
		size_t len;
	} v[MAX_XATTRS];
	size_t n;
};

static int take_xattr(void *user, const char *name, const void *value, size_t len)
{
	struct xattrs *x = user;

	if (x->n == MAX_XATTRS)
		return -E2BIG;
	x->v[x->n].name = strdup(name);
	x->v[x->n].value = malloc(len + 1);
	if (x->v[x->n].name == NULL || x->v[x->n].value == NULL) {
		free(x->v[x->n].name);
		free(x->v[x->n].value);
		return -ENOMEM;
	}
	memcpy(x->v[x->n].value, value, len);
	x->v[x->n++].len = len;
	return 0;
}

static void free_xattrs(struct xattrs *x)
{
	for (size_t i = 0; x != NULL && i < x->n; i++) {
		free(x->v[i].name);
		free(x->v[i].value);
	}
	free(x);
}

/* Has x the attribute i of y, with the same value? */
static bool has_xattr(const struct xattrs *x, const struct xattrs *y, size_t i, bool *same)
{
	for (size_t k = 0; k < x->n; k++) {
		if (strcmp(x->v[k].name, y->v[i].name) != 0)
			continue;
		*same = x->v[k].len == y->v[i].len && memcmp(x->v[k].value, y->v[i].value, x->v[k].len) == 0;
		return true;
	}
	return false;
}

static void add_name(char *names, size_t size, const char *name)
{
	size_t len = strlen(names);

	if (len + strlen(name) + 3 < size)
		snprintf(names + len, size - len, "%s%s", len > 0 ? ", " : "", name);
}

/* 0 different, 1 the same. */
static int same_xattrs(const struct domu_compare *c, const struct domu_stat *a, const struct domu_stat *b, char *names,
                       size_t size)
{
	struct xattrs *old = calloc(1, sizeof *old), *new = calloc(1, sizeof *new);
	bool same;
	int rc = old == NULL || new == NULL ? domu_nomem(c->ctx) : 0;

	names[0] = '\0';
	if (rc == 0)
		rc = domu_fs_listxattr(c->old, a->ino, take_xattr, old);
	if (rc == 0)
		rc = domu_fs_listxattr(c->new, b->ino, take_xattr, new);
	if (rc != 0)
		goto out;
	rc = 1;
	for (size_t i = 0; i < new->n; i++)
		if (!has_xattr(old, new, i, &same) || !same) {
			add_name(names, size, new->v[i].name);
			rc = 0;
		}
	for (size_t i = 0; i < old->n; i++)
		if (!has_xattr(new, old, i, &same)) {
			add_name(names, size, old->v[i].name);
			rc = 0;
		}
out:
	free_xattrs(old);
	free_xattrs(new);
	return rc;
}

/* ---- all ------------------------------------------------------------------------------ */

unsigned domu_compare_stats(const struct domu_stat *a, const struct domu_stat *b)
{
	uint32_t ignored = S_ISDIR(a->mode) ? FOLDER_FLAGS : 0;
	unsigned what = 0;

	what |= a->mode != b->mode ? DOMU_DIFFERS_MODE : 0;
	what |= a->uid != b->uid || a->gid != b->gid ? DOMU_DIFFERS_OWNER : 0;
	what |= a->nlink != b->nlink ? DOMU_DIFFERS_LINKS : 0;
	what |= ((a->flags ^ b->flags) & ~ignored) != 0 || a->projid != b->projid ? DOMU_DIFFERS_FLAGS : 0;
	what |= !domu_same_time(a->mtime, b->mtime) || !domu_same_time(a->ctime, b->ctime) ? DOMU_DIFFERS_TIMES : 0;
	what |= a->ino != b->ino || a->generation != b->generation ? DOMU_DIFFERS_INODE : 0;
	/* A repair may store the entries of every folder anew: nobody else can tell. */
	what |= a->sectors != b->sectors && !S_ISDIR(a->mode) ? DOMU_DIFFERS_SPACE : 0;
	return what;
}

/* What makes the object another one. */
static int substance(const struct domu_compare *c, const struct domu_stat *a, const struct domu_stat *b, unsigned *what)
{
	int same = 1;

	switch (a->mode & S_IFMT) {
	case S_IFREG:
		same = a->size == b->size ? same_content(c, a, b) : 0;
		*what |= same == 0 ? DOMU_DIFFERS_CONTENT : 0;
		break;
	case S_IFLNK:
		same = same_target(c, a, b);
		*what |= same == 0 ? DOMU_DIFFERS_TARGET : 0;
		break;
	case S_IFCHR:
	case S_IFBLK:
		if (a->rdev_major != b->rdev_major || a->rdev_minor != b->rdev_minor)
			*what |= DOMU_DIFFERS_DEVICE;
		break;
	default:
		break;
	}
	return same < 0 ? same : 0;
}

int domu_compare_inodes(const struct domu_compare *c, const struct domu_stat *a, const struct domu_stat *b,
                        unsigned *what, char *names, size_t size)
{
	int same, rc;

	names[0] = '\0';
	*what = 0;
	if ((a->mode & S_IFMT) != (b->mode & S_IFMT)) {
		*what = DOMU_DIFFERS_TYPE;
		return 0;
	}
	*what = domu_compare_stats(a, b);
	rc = substance(c, a, b, what);
	same = same_xattrs(c, a, b, names, size);
	if (same == 0)
		*what |= DOMU_DIFFERS_XATTRS;
	return rc != 0 ? rc : same < 0 ? same : 0;
}
