/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-regions.c - which parts of a file are to be kept, and where they are on the disk. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "task/tar-regions.h"

#define MAX_REGIONS (1u << 18) /* more pieces than that: small holes are kept as zeros */
#define PIECE       65536u
#define HOLE        4096u

static int add(struct domu_tar_regions *r, uint64_t offset, uint64_t len, uint64_t at)
{
	struct domu_tar_region *last = r->v != NULL && r->n > 0 ? &r->v[r->n - 1] : NULL;

	if (last != NULL && last->offset + last->len == offset &&
	    (at == UINT64_MAX ? last->at == UINT64_MAX : last->at != UINT64_MAX && last->at + last->len == at)) {
		last->len += len;
		return 0;
	}
	if (r->v == NULL || r->n == r->cap) {
		size_t cap = r->cap != 0 ? 2 * r->cap : 64;
		struct domu_tar_region *v = realloc(r->v, cap * sizeof *v);

		if (v == NULL)
			return -ENOMEM;
		r->v = v;
		r->cap = cap;
	}
	r->v[r->n++] = (struct domu_tar_region){ .offset = offset, .len = len, .at = at };
	return 0;
}

/* By the driver's map.  A file whose blocks would be more than its filesystem has is not believed. */
static int by_map(struct domu_tar_regions *r, struct domu_fs *fs, uint64_t ino, uint64_t size)
{
	uint64_t run, at, data = 0;
	int rc = 0;

	for (uint64_t offset = 0; rc == 0 && offset < size; offset += run) {
		rc = domu_fs_extent(fs, ino, offset, size - offset, &at, &run);
		if (rc != 0)
			break;
		if (at == UINT64_MAX && (r->n < MAX_REGIONS || run > size >> 16)) {
			r->holes = true;
			continue;
		}
		data += at != UINT64_MAX ? run : 0;
		if (data > fs->block->size)
			return domu_fail(fs->ctx, DOMU_FAILED, -EUCLEAN,
			                 "%s: inode %" PRIu64 " claims more blocks than there are: domu-rescue "
			                 "fsck -n %s",
			                 fs->block->name, ino, domu_guest_word(fs->ctx));
		/* Then what is between two large holes is one piece, read through the filesystem. */
		rc = add(r, offset, run, r->n < MAX_REGIONS ? at : UINT64_MAX);
	}
	return rc;
}

static bool zeros(const char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* By its content: what is all zeros in a file that has fewer blocks than its size needs is taken for a hole. */
static int by_content(struct domu_tar_regions *r, struct domu_fs *fs, uint64_t ino, uint64_t size)
{
	char *buf = malloc(PIECE);
	int rc = buf != NULL ? 0 : -ENOMEM;

	for (uint64_t offset = 0; rc == 0 && offset < size;) {
		ssize_t got = domu_fs_read(fs, ino, buf, PIECE, offset);

		if (got <= 0) {
			rc = got < 0 ? (int)got : -EIO;
			break;
		}
		for (size_t i = 0, n; rc == 0 && i < (size_t)got; i += n) {
			n = (size_t)got - i < HOLE ? (size_t)got - i : HOLE;
			if (r->n < MAX_REGIONS && zeros(buf + i, n))
				r->holes = true;
			else
				rc = add(r, offset + i, n, UINT64_MAX);
		}
		offset += (size_t)got;
	}
	free(buf);
	return rc;
}

int domu_tar_regions_find(struct domu_tar_regions *r, struct domu_fs *fs, uint64_t ino, const struct domu_stat *st)
{
	char byte;
	int rc;

	r->n = 0;
	r->holes = false;
	rc = by_map(r, fs, ino, st->size);
	if (rc != -EOPNOTSUPP)
		return rc;
	r->n = 0;
	r->holes = false;
	if (st->sectors == 0 && st->size > PIECE) {
		r->holes = true; /* a size that is only claimed */
		return 0;
	}
	if (st->sectors < st->size / 512)
		return by_content(r, fs, ino, st->size);
	/* Before anything is promised in a header. */
	if (st->size > 0 && domu_fs_read(fs, ino, &byte, 1, 0) < 0)
		return -EIO;
	return st->size > 0 ? add(r, 0, st->size, UINT64_MAX) : 0;
}

void domu_tar_regions_free(struct domu_tar_regions *r)
{
	free(r->v);
	*r = (struct domu_tar_regions){ 0 };
}
