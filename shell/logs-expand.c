/* SPDX-License-Identifier: GPL-3.0-or-later */
/* logs-expand.c - what a log has compressed: a field of a journal, a file that was rotated. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "shell/logs.h"
#include "task/tar.h"

#define PIECE         65536u
#define MAX_EXPANDED  (UINT64_C(1) << 30) /* that a rotated file may be of */
#define MAX_LZ4_BLOCK (8u << 20) /* of the form that wraps a bare block */

/* ---- a field ------------------------------------------------------------------------------- */

struct field {
	const uint8_t *parts[2];
	size_t lens[2];
	unsigned at;
	char *out;
	size_t n, max;
};

static ssize_t next_part(void *user, const void **bytes)
{
	struct field *f = user;

	while (f->at < 2 && f->lens[f->at] == 0)
		f->at++;
	if (f->at == 2)
		return 0;
	*bytes = f->parts[f->at];
	return (ssize_t)f->lens[f->at++];
}

static int take_some(void *user, const void *bytes, size_t len)
{
	struct field *f = user;
	size_t n = len < f->max - f->n ? len : f->max - f->n;

	memcpy(f->out + f->n, bytes, n);
	f->n += n;
	return f->n == f->max;
}

int domu_logs_expand(struct domu_ctx *ctx, enum domu_journal_packing kind, const uint8_t *bytes, size_t len, char *out,
                     size_t max, size_t *n)
{
	/* A bare block behind its size becomes a file of lz4's old form: magic, and each block behind its length. */
	uint8_t head[8] = { 0x02, 0x21, 0x4c, 0x18 };
	struct field f = { .parts = { NULL, bytes }, .lens = { 0, len }, .out = out, .max = max };
	const struct domu_unpack u = { .more = next_part, .take = take_some, .user = &f };
	int rc;

	if (!domu_tar_lib_is_loaded())
		return -EOPNOTSUPP;
	if (kind == DOMU_JOURNAL_LZ4) {
		if (len < 8 || domu_le64(bytes) > MAX_LZ4_BLOCK)
			return -EFBIG;
		f.parts[0] = head;
		f.lens[0] = sizeof head;
		f.parts[1] += 8;
		f.lens[1] -= 8;
		domu_put_le32(head + 4, (uint32_t)f.lens[1]);
	}
	rc = domu_unpack(ctx, &u);
	*n = f.n;
	return rc > 0 ? 0 : rc;
}

/* ---- the end of a file --------------------------------------------------------------------- */

struct file {
	struct domu_ctx *ctx;
	const struct domu_path *where;
	uint8_t *piece;
	uint64_t offset, out;
	char *buf; /* 2 * max: the end is moved to its beginning when it is full */
	size_t n, max;
};

static ssize_t next_piece(void *user, const void **bytes)
{
	struct file *f = user;
	ssize_t n = domu_fs_read(f->where->fs, f->where->ino, f->piece, PIECE, f->offset);

	f->offset += n > 0 ? (uint64_t)n : 0;
	*bytes = f->piece;
	return n;
}

static int keep_end(void *user, const void *bytes, size_t len)
{
	struct file *f = user;
	const char *p = bytes;

	f->out += len;
	if (f->out > MAX_EXPANDED)
		return -EFBIG;
	while (len > 0) {
		size_t room = 2 * f->max - f->n, n = len < room ? len : room;

		memcpy(f->buf + f->n, p, n);
		f->n += n;
		p += n;
		len -= n;
		if (f->n == 2 * f->max) {
			memmove(f->buf, f->buf + f->max, f->max);
			f->n = f->max;
		}
	}
	return 0;
}

int domu_logs_expand_end(struct domu_ctx *ctx, const struct domu_path *where, size_t max, char **text, size_t *len)
{
	struct file f = { .ctx = ctx, .where = where, .max = max, .piece = malloc(PIECE), .buf = malloc(2 * max) };
	const struct domu_unpack u = { .more = next_piece, .take = keep_end, .user = &f };
	int rc = f.piece != NULL && f.buf != NULL ? domu_tar_lib_is_loaded() ? domu_unpack(ctx, &u) : -EOPNOTSUPP
	                                          : domu_nomem(ctx);

	/* What of a damaged file came out is its beginning: not the end that was asked for, but all there is. */
	if (f.n > max) {
		memmove(f.buf, f.buf + f.n - max, max);
		f.n = max;
	}
	*text = f.buf;
	*len = f.n;
	free(f.piece);
	return rc;
}
