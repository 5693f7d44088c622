/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.c - reading and writing the records of a log. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/num.h"
#include "block/log.h"

#define WINDOW      (64u << 10)
#define MAX_RECORDS (UINT64_C(1) << 27) /* distinct units in one log: 512 GiB of changes */

static const char magic[8] = "DOMULOG";

uint32_t domu_unit_crc(const void *unit)
{
	return domu_hash32(unit, DOMU_UNIT);
}

static void make_head(uint8_t h[DOMU_LOG_HEAD])
{
	memset(h, 0, DOMU_LOG_HEAD);
	memcpy(h, magic, sizeof magic);
	domu_put_le32(h + 8, DOMU_LOG_VERSION);
	domu_put_le32(h + 12, DOMU_UNIT);
	domu_put_le32(h + 28, domu_crc32c(~0u, h, 28));
}

int domu_log_init(struct domu_ctx *ctx, int log_fd)
{
	uint8_t h[DOMU_LOG_HEAD];
	int rc;

	make_head(h);
	rc = domu_pwrite_full(ctx != NULL ? ctx->io : &domu_io_system, log_fd, h, sizeof h, 0);
	if (rc < 0)
		return domu_fail(ctx, DOMU_FAILED, rc, "cannot write a change log: %s", strerror(-rc));
	return 0;
}

uint32_t domu_log_encode(const struct domu_log_rec *rec, uint32_t chain, void *header)
{
	uint8_t *h = header;

	domu_put_le32(h, DOMU_LOG_MAGIC);
	domu_put_le32(h + 4, rec->disk | (uint32_t)rec->flags << 16);
	domu_put_le64(h + 8, rec->unit);
	domu_put_le32(h + 16, rec->crc);
	domu_put_le32(h + 20, rec->old_crc);
	domu_put_le32(h + 24, 0);
	chain = domu_crc32c(chain, h, 28);
	domu_put_le32(h + 28, chain);
	return chain;
}

void domu_log_decode(const void *header, struct domu_log_rec *rec)
{
	const uint8_t *h = header;

	rec->disk = domu_le16(h + 4);
	rec->flags = domu_le16(h + 6);
	rec->unit = domu_le64(h + 8);
	rec->crc = domu_le32(h + 16);
	rec->old_crc = domu_le32(h + 20);
}

/* A part of the log in memory: one call for many headers. */
struct window {
	int fd;
	uint64_t size; /* of the log */
	uint64_t start;
	size_t len;
	uint8_t *buf;
};

/* *p: len bytes at offset, which the caller knows to be inside the log. */
static int window_at(struct window *w, uint64_t offset, size_t len, const uint8_t **p)
{
	int rc;

	if (offset < w->start || offset + len > w->start + w->len) {
		w->start = offset;
		w->len = w->size - offset < WINDOW ? (size_t)(w->size - offset) : WINDOW;
		rc = domu_pread_full(w->fd, w->buf, w->len, offset);
		if (rc < 0) {
			w->len = 0;
			return rc;
		}
	}
	*p = w->buf + (offset - w->start);
	return 0;
}

/* A power cut may leave a length without the bytes: zeros from here to the end are a torn tail. */
static int zeros_to_end(struct window *w, uint64_t offset)
{
	const uint8_t *p;

	while (offset < w->size) {
		size_t n = w->size - offset < 4096 ? (size_t)(w->size - offset) : 4096;
		int rc = window_at(w, offset, n, &p);

		if (rc < 0)
			return rc;
		for (size_t i = 0; i < n; i++)
			if (p[i] != 0)
				return 0;
		offset += n;
	}
	return 1;
}

static int damaged(struct domu_ctx *ctx, const char *name, uint64_t at)
{
	return domu_fail(ctx, DOMU_FAILED, -EBADMSG, "%s: the change log is damaged at byte %" PRIu64, name, at);
}

static int read_head(struct domu_ctx *ctx, const char *name, struct window *w, struct domu_log_pos *pos)
{
	uint8_t good[DOMU_LOG_HEAD];
	const uint8_t *p;
	int rc;

	if (w->size < DOMU_LOG_HEAD)
		return domu_fail(ctx, DOMU_FAILED, -EBADMSG, "%s: the change log has no header", name);
	rc = window_at(w, 0, DOMU_LOG_HEAD, &p);
	if (rc < 0)
		return domu_fail(ctx, DOMU_FAILED, rc, "%s: cannot read the change log: %s", name, strerror(-rc));
	make_head(good);
	if (memcmp(p, magic, sizeof magic) == 0 && domu_le32(p + 8) > DOMU_LOG_VERSION &&
	    domu_le32(p + 28) == domu_crc32c(~0u, p, 28))
		return domu_fail(ctx, DOMU_UNRECOVERED, -EPROTONOSUPPORT,
		                 "%s: the change log was made by a newer domu-rescue (format %" PRIu32 ", known is %u)",
		                 name, domu_le32(p + 8), DOMU_LOG_VERSION);
	if (memcmp(p, good, sizeof good) != 0)
		return damaged(ctx, name, 0);
	pos->end = DOMU_LOG_HEAD;
	pos->last = 0;
	pos->records = 0;
	pos->chain = domu_le32(p + 28);
	return 0;
}

/* The record at pos->end: 1 and *rec, 0 at the end or a torn tail. */
static int next_record(struct domu_ctx *ctx, const char *name, struct window *w, const struct domu_log_pos *pos,
                       struct domu_log_rec *rec, uint32_t *chain, uint64_t *len)
{
	const uint8_t *p;
	int rc;

	if (w->size - pos->end < DOMU_LOG_REC)
		return 0;
	rc = window_at(w, pos->end, DOMU_LOG_REC, &p);
	if (rc < 0)
		goto unreadable;
	*chain = domu_crc32c(pos->chain, p, 28);
	if (domu_le32(p) != DOMU_LOG_MAGIC || domu_le32(p + 28) != *chain || domu_le32(p + 24) != 0) {
		rc = zeros_to_end(w, pos->end);
		if (rc < 0)
			goto unreadable;
		return rc == 1 ? 0 : damaged(ctx, name, pos->end);
	}
	domu_log_decode(p, rec);
	if (rec->flags > DOMU_LOG_WHOLE || rec->disk >= DOMU_MAX_DISKS || rec->unit > UINT64_MAX / DOMU_UNIT - 1)
		return damaged(ctx, name, pos->end);
	*len = DOMU_LOG_REC + (rec->flags != 0 ? 0 : DOMU_UNIT);
	return *len <= w->size - pos->end;
unreadable:
	return domu_fail(ctx, DOMU_FAILED, rc, "%s: cannot read the change log at byte %" PRIu64 ": %s", name, pos->end,
	                 strerror(-rc));
}

int domu_log_walk(struct domu_ctx *ctx, int log_fd, const char *name, struct domu_log_pos *pos, domu_log_fn fn,
                  void *user)
{
	struct window w = { .fd = log_fd };
	struct domu_log_rec rec;
	struct stat st;
	uint64_t len = 0;
	uint32_t chain = 0;
	int rc = 0;

	if (fstat(log_fd, &st) < 0)
		return domu_fail(ctx, DOMU_FAILED, -errno, "%s: cannot read the change log: %s", name, strerror(errno));
	w.size = (uint64_t)st.st_size;
	if (pos->end == w.size && pos->end != 0) {
		pos->seen = w.size;
		return 0;
	}
	if (w.size < pos->end)
		return damaged(ctx, name, w.size);
	w.buf = malloc(WINDOW);
	if (w.buf == NULL)
		return domu_nomem(ctx);
	if (pos->end == 0)
		rc = read_head(ctx, name, &w, pos);
	while (rc == 0 && (rc = next_record(ctx, name, &w, pos, &rec, &chain, &len)) == 1) {
		rc = fn(user, &rec, pos->end);
		if (rc != 0)
			break;
		pos->chain = chain;
		pos->last = pos->end;
		pos->end += len;
		pos->records++;
	}
	pos->seen = w.size;
	free(w.buf);
	return rc;
}

int domu_log_end_change(struct domu_ctx *ctx, int log_fd, struct domu_log_pos *pos)
{
	const struct domu_io *io = ctx != NULL ? ctx->io : &domu_io_system;
	const struct domu_log_rec rec = { .flags = DOMU_LOG_WHOLE };
	uint8_t h[DOMU_LOG_REC];
	uint32_t chain = domu_log_encode(&rec, pos->chain, h);
	int rc = 0;

	/* The tail may be longer than this record, and what is left of it would be damage. */
	if (pos->seen > pos->end && io->ftruncate(log_fd, (off_t)pos->end) < 0)
		rc = -errno;
	if (rc == 0)
		rc = domu_pwrite_full(io, log_fd, h, sizeof h, pos->end);
	if (rc < 0)
		return domu_fail(ctx, DOMU_FAILED, rc, "cannot write the change log: %s", strerror(-rc));
	pos->chain = chain;
	pos->last = pos->end;
	pos->end += sizeof h;
	pos->seen = pos->end;
	pos->records++;
	return 0;
}

bool domu_log_same(int log_fd, const struct domu_log_pos *pos)
{
	uint8_t field[4];
	struct stat st;

	if (fstat(log_fd, &st) < 0 || (uint64_t)st.st_size < pos->end)
		return false;
	return domu_pread_full(log_fd, field, sizeof field, pos->last + 28) == 0 && domu_le32(field) == pos->chain;
}

/* ---- the last image of every unit --------------------------------------- */

/* Entries in the order of the log; merged whenever they fill the room, so that rewriting costs none. */
struct collect {
	struct domu_ctx *ctx;
	struct domu_log_entry *v;
	size_t n, cap;
};

static int compare(const void *a, const void *b)
{
	const struct domu_log_entry *x = a, *y = b;

	if (x->disk != y->disk)
		return x->disk < y->disk ? -1 : 1;
	if (x->unit != y->unit)
		return x->unit < y->unit ? -1 : 1;
	return x->log_offset < y->log_offset ? -1 : x->log_offset > y->log_offset;
}

/* One entry a unit: the data of its last record, the old checksum of its first. */
static void merge(struct collect *c)
{
	size_t kept = 0;

	if (c->n == 0)
		return;
	qsort(c->v, c->n, sizeof *c->v, compare);
	for (size_t i = 0; i < c->n; i++) {
		if (kept > 0 && c->v[kept - 1].disk == c->v[i].disk && c->v[kept - 1].unit == c->v[i].unit) {
			c->v[i].old_crc = c->v[kept - 1].old_crc;
			kept--;
		}
		c->v[kept++] = c->v[i];
	}
	c->n = kept;
}

static int collect_one(void *user, const struct domu_log_rec *rec, uint64_t at)
{
	struct collect *c = user;

	if (rec->flags == DOMU_LOG_WHOLE)
		return 0;
	if (c->n == c->cap) {
		struct domu_log_entry *v;
		size_t cap = c->cap;

		merge(c);
		if (c->n > MAX_RECORDS)
			return domu_fail(c->ctx, DOMU_FAILED, -EFBIG,
			                 "the change log holds more than %" PRIu64 " blocks", (uint64_t)MAX_RECORDS);
		if (c->n >= cap / 2) {
			cap = cap > 0 ? cap * 2 : 256;
			v = realloc(c->v, cap * sizeof *v);
			if (v == NULL)
				return domu_nomem(c->ctx);
			c->v = v;
			c->cap = cap;
		}
	}
	/* Also of a zero record, where nothing is: the order of the log is kept in it until the end. */
	c->v[c->n++] = (struct domu_log_entry){ .unit = rec->unit,
		                                .log_offset = at + DOMU_LOG_REC,
		                                .old_crc = rec->old_crc,
		                                .crc = rec->crc,
		                                .disk = rec->disk,
		                                .zero = (rec->flags & DOMU_LOG_ZERO) != 0 };
	return 0;
}

int domu_log_scan(struct domu_ctx *ctx, int log_fd, struct domu_log_entry **entries, size_t *n, uint64_t *end)
{
	struct domu_log_pos pos = { 0 };
	struct collect c = { .ctx = ctx };
	int rc = domu_log_walk(ctx, log_fd, "stage", &pos, collect_one, &c);

	if (rc != 0) {
		free(c.v);
		return rc;
	}
	merge(&c);
	for (size_t i = 0; i < c.n; i++)
		if (c.v[i].zero)
			c.v[i].log_offset = 0;
	*entries = c.v;
	*n = c.n;
	if (end != NULL)
		*end = pos.end;
	return 0;
}

int domu_log_read(struct domu_ctx *ctx, int log_fd, const struct domu_log_entry *e, void *unit)
{
	uint8_t record[DOMU_LOG_REC + DOMU_UNIT];
	struct domu_log_rec rec;
	int rc;

	if (e->zero) {
		memset(unit, 0, DOMU_UNIT);
		return 0;
	}
	if (e->log_offset < DOMU_LOG_HEAD + DOMU_LOG_REC)
		return damaged(ctx, "stage", e->log_offset);
	rc = domu_pread_full(log_fd, record, sizeof record, e->log_offset - DOMU_LOG_REC);
	if (rc < 0)
		return domu_fail(ctx, DOMU_FAILED, rc, "cannot read the change log at byte %" PRIu64 ": %s",
		                 e->log_offset, strerror(-rc));
	memcpy(unit, record + DOMU_LOG_REC, DOMU_UNIT);
	domu_log_decode(record, &rec);
	if (domu_le32(record) != DOMU_LOG_MAGIC || rec.unit != e->unit || rec.disk != e->disk ||
	    rec.crc != domu_unit_crc(unit))
		return damaged(ctx, "stage", e->log_offset - DOMU_LOG_REC);
	return 0;
}
