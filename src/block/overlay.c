/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* overlay.c - what was written is in an append-only log, the rest is read from below. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/num.h"
#include "block/log.h"
#include "block/unitmap.h"

#define RECORD      (DOMU_LOG_REC + DOMU_UNIT)
#define BATCH       32u /* records that one write to the log takes */
#define ZERO_RECORD (UINT64_C(1) << 63) /* in the map: the record has no data */

struct overlay {
	int log_fd;
	uint16_t disk;
	struct domu_log_pos pos;
	struct domu_unitmap map;
	/* Records that are not yet in the log; empty between calls. */
	uint8_t *batch;
	size_t batch_len;
	unsigned n_batch;
	struct {
		uint64_t unit, at;
	} entry[BATCH];
	uint32_t chain; /* of the last record in the batch */
};

static const struct domu_block_ops overlay_ops;

static bool all_zero(const void *p, size_t len)
{
	const char *c = p;

	return len == 0 || (c[0] == 0 && memcmp(c, c + 1, len - 1) == 0);
}

/* Bytes of a unit that are inside the device: fewer only in the last one. */
static size_t unit_len(const struct domu_block *b, uint64_t unit)
{
	uint64_t left = b->size - unit * DOMU_UNIT;

	return left < DOMU_UNIT ? (size_t)left : DOMU_UNIT;
}

/* ---- the log ------------------------------------------------------------ */

static int take_record(void *user, const struct domu_log_rec *rec, uint64_t at)
{
	struct domu_block *b = user;
	struct overlay *o = b->priv;

	if (rec->disk != o->disk || rec->flags == DOMU_LOG_WHOLE)
		return 0;
	if (rec->unit >= (b->size + DOMU_UNIT - 1) / DOMU_UNIT)
		return domu_fail(b->ctx, DOMU_FAILED, -EBADMSG,
		                 "%s: the change log holds block %" PRIu64 ", which is beyond the end of the disk",
		                 b->name, rec->unit);
	if (domu_unitmap_put(&o->map, rec->unit, at | (rec->flags & DOMU_LOG_ZERO ? ZERO_RECORD : 0)) < 0)
		return domu_nomem(b->ctx);
	return 0;
}

int domu_overlay_refresh(struct domu_block *b)
{
	struct overlay *o = b->priv;

	if (o->pos.end != 0 && !domu_log_same(o->log_fd, &o->pos)) {
		memset(&o->pos, 0, sizeof o->pos);
		domu_unitmap_free(&o->map);
	}
	return domu_log_walk(b->ctx, o->log_fd, b->name, &o->pos, take_record, b);
}

/* Before a write: the overlays of other disks append to the same log. */
static int catch_up(struct domu_block *b)
{
	struct overlay *o = b->priv;
	struct stat st;

	if (fstat(o->log_fd, &st) == 0 && (uint64_t)st.st_size == o->pos.seen)
		return 0;
	return domu_overlay_refresh(b);
}

/* A unit's record, data and all; the rest of a zero record is filled in. */
static int read_record(struct domu_block *b, uint64_t unit, uint64_t at, uint8_t record[RECORD])
{
	struct overlay *o = b->priv;
	struct domu_log_rec rec;
	size_t len = at & ZERO_RECORD ? DOMU_LOG_REC : RECORD;
	int rc;

	at &= ~ZERO_RECORD;
	rc = domu_pread_full(o->log_fd, record, len, at);
	if (rc < 0)
		return domu_fail(b->ctx, DOMU_FAILED, rc, "%s: cannot read the change log at byte %" PRIu64 ": %s",
		                 b->name, at, strerror(-rc));
	domu_log_decode(record, &rec);
	if (len < RECORD)
		memset(record + DOMU_LOG_REC, 0, DOMU_UNIT);
	if (rec.unit != unit || rec.disk != o->disk ||
	    (len == RECORD && rec.crc != domu_unit_crc(record + DOMU_LOG_REC)))
		return domu_fail(b->ctx, DOMU_FAILED, -EBADMSG,
		                 "%s: the change log is damaged at byte %" PRIu64 " (offset %" PRIu64 " of the disk)",
		                 b->name, at, unit * DOMU_UNIT);
	return 0;
}

static int flush_batch(struct domu_block *b)
{
	struct overlay *o = b->priv;
	int rc;

	if (o->n_batch == 0)
		return 0;
	rc = domu_pwrite_full(b->ctx != NULL ? b->ctx->io : &domu_io_system, o->log_fd, o->batch, o->batch_len,
	                      o->pos.end);
	if (rc < 0) {
		o->pos.seen = UINT64_MAX; /* whatever got there is looked at before the next write */
		rc = domu_fail(b->ctx, DOMU_FAILED, rc, "%s: cannot write the change log: %s", b->name, strerror(-rc));
		goto out;
	}
	for (unsigned i = 0; i < o->n_batch; i++) {
		if (domu_unitmap_put(&o->map, o->entry[i].unit, o->entry[i].at) < 0) {
			rc = domu_nomem(b->ctx);
			memset(&o->pos, 0, sizeof o->pos);
			goto out;
		}
	}
	o->pos.last = o->entry[o->n_batch - 1].at & ~ZERO_RECORD;
	o->pos.end += o->batch_len;
	if (o->pos.seen < o->pos.end)
		o->pos.seen = o->pos.end;
	o->pos.records += o->n_batch;
	o->pos.chain = o->chain;
out:
	o->n_batch = 0;
	o->batch_len = 0;
	return rc;
}

static int append(struct domu_block *b, uint64_t unit, const uint8_t *data, uint32_t old_crc)
{
	struct overlay *o = b->priv;
	struct domu_log_rec rec = { .unit = unit, .disk = o->disk, .crc = domu_unit_crc(data), .old_crc = old_crc };
	uint64_t at;
	int rc;

	if (o->batch == NULL && (o->batch = malloc((size_t)BATCH * RECORD)) == NULL)
		return domu_nomem(b->ctx);
	if (o->n_batch == BATCH && (rc = flush_batch(b)) < 0)
		return rc;
	if (o->n_batch == 0)
		o->chain = o->pos.chain;
	at = o->pos.end + o->batch_len;
	/* A torn tail is shorter than a record with data: one of those covers it, so nothing need be cut off. */
	if (all_zero(data, DOMU_UNIT) && at >= o->pos.seen)
		rec.flags = DOMU_LOG_ZERO;
	o->chain = domu_log_encode(&rec, o->chain, o->batch + o->batch_len);
	o->batch_len += DOMU_LOG_REC;
	if (rec.flags == 0) {
		memcpy(o->batch + o->batch_len, data, DOMU_UNIT);
		o->batch_len += DOMU_UNIT;
	}
	o->entry[o->n_batch].unit = unit;
	o->entry[o->n_batch++].at = at | (rec.flags ? ZERO_RECORD : 0);
	return 0;
}

/* ---- the block ---------------------------------------------------------- */

/* How many bytes from offset on lie in units that are all in the log, or all not; at most len. */
static uint64_t same_run(const struct domu_block *b, uint64_t offset, uint64_t len, bool (*same)(uint64_t at))
{
	const struct overlay *o = b->priv;
	uint64_t run = DOMU_UNIT - offset % DOMU_UNIT;

	while (run < len && same(domu_unitmap_get(&o->map, (offset + run) / DOMU_UNIT)))
		run += DOMU_UNIT;
	return run < len ? run : len;
}

static bool untouched(uint64_t at)
{
	return at == 0;
}

static bool zeroed(uint64_t at)
{
	return (at & ZERO_RECORD) != 0;
}

static int overlay_pread(struct domu_block *b, void *buf, size_t len, uint64_t offset)
{
	struct overlay *o = b->priv;
	uint8_t record[RECORD];
	uint8_t *p = buf;

	if (o->map.n == 0)
		return domu_block_pread(b->below, buf, len, offset);
	while (len > 0) {
		uint64_t at = domu_unitmap_get(&o->map, offset / DOMU_UNIT);
		size_t inner = (size_t)(offset % DOMU_UNIT);
		size_t n = len < DOMU_UNIT - inner ? len : DOMU_UNIT - inner;
		int rc = 0;

		if (untouched(at)) {
			n = (size_t)same_run(b, offset, len, untouched);
			rc = domu_block_pread(b->below, p, n, offset);
		} else if (zeroed(at)) {
			memset(p, 0, n);
		} else {
			rc = read_record(b, offset / DOMU_UNIT, at, record);
			if (rc == 0)
				memcpy(p, record + DOMU_LOG_REC + inner, n);
		}
		if (rc < 0)
			return rc;
		p += n;
		offset += n;
		len -= n;
	}
	return 0;
}

/* n bytes of one unit. */
static int write_unit(struct domu_block *b, uint64_t unit, size_t inner, const uint8_t *p, size_t n)
{
	struct overlay *o = b->priv;
	uint64_t at = domu_unitmap_get(&o->map, unit);
	uint8_t record[RECORD], *data = record + DOMU_LOG_REC;
	struct domu_log_rec rec;
	uint32_t old_crc;
	int rc;

	if (at != 0) {
		rc = read_record(b, unit, at, record);
		domu_log_decode(record, &rec);
	} else {
		size_t inside = unit_len(b, unit);

		rc = domu_block_pread(b->below, data, inside, unit * DOMU_UNIT);
		memset(data + inside, 0, DOMU_UNIT - inside);
	}
	/* What is already there needs no record: checkers write a lot of that. */
	if (rc < 0 || memcmp(data + inner, p, n) == 0)
		return rc;
	old_crc = at != 0 ? rec.old_crc : domu_unit_crc(data);
	memcpy(data + inner, p, n);
	return append(b, unit, data, old_crc);
}

/*
 * Two processes may have their turn at once: a worker, and the appliance's
 * export, whose kernel writes back when it likes.  A lock of the process (it
 * goes with it), far behind the end, where nobody else has one.
 */
static int lock_log(struct domu_block *b, short type)
{
	const struct overlay *o = b->priv;
	struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_start = INT64_MAX - 1, .l_len = 1 };

	while (fcntl(o->log_fd, F_SETLKW, &range) < 0)
		if (errno != EINTR)
			return domu_fail(b->ctx, DOMU_FAILED, -errno, "%s: cannot lock the change log: %s", b->name,
			                 strerror(errno));
	return 0;
}

static int write_locked(struct domu_block *b, const void *buf, size_t len, uint64_t offset)
{
	struct overlay *o = b->priv;
	const uint8_t *p = buf;
	int rc = catch_up(b);

	while (rc == 0 && len > 0) {
		size_t inner = (size_t)(offset % DOMU_UNIT);
		size_t n = len < DOMU_UNIT - inner ? len : DOMU_UNIT - inner;

		rc = write_unit(b, offset / DOMU_UNIT, inner, p, n);
		p += n;
		offset += n;
		len -= n;
	}
	if (rc == 0)
		return flush_batch(b);
	o->n_batch = 0;
	o->batch_len = 0;
	return rc;
}

static int overlay_pwrite(struct domu_block *b, const void *buf, size_t len, uint64_t offset)
{
	int rc = lock_log(b, F_WRLCK), r;

	if (rc != 0)
		return rc;
	rc = write_locked(b, buf, len, offset);
	r = lock_log(b, F_UNLCK);
	return rc != 0 ? rc : r;
}

static int overlay_map(struct domu_block *b, uint64_t offset, uint64_t len, int *fd, uint64_t *fd_offset, uint64_t *run)
{
	struct overlay *o = b->priv;
	uint64_t at = domu_unitmap_get(&o->map, offset / DOMU_UNIT);
	uint64_t inner = offset % DOMU_UNIT;

	if (untouched(at))
		return domu_block_map(b->below, offset, same_run(b, offset, len, untouched), fd, fd_offset, run);
	if (zeroed(at)) {
		*run = same_run(b, offset, len, zeroed);
		return -ENODATA;
	}
	*fd = o->log_fd;
	*fd_offset = at + DOMU_LOG_REC + inner;
	*run = len < DOMU_UNIT - inner ? len : DOMU_UNIT - inner;
	return 0;
}

/* Each write is in the log when it returns, and the log is synced by the commit: nothing is held back here. */
static int overlay_flush(struct domu_block *b)
{
	(void)b;
	return 0;
}

static int overlay_close(struct domu_block *b)
{
	struct overlay *o = b->priv;

	domu_unitmap_free(&o->map);
	free(o->batch);
	free(o);
	return 0;
}

static const struct domu_block_ops overlay_ops = {
	.self_size = sizeof overlay_ops,
	.name = "overlay",
	.pread = overlay_pread,
	.pwrite = overlay_pwrite,
	.flush = overlay_flush,
	.close = overlay_close,
	.map = overlay_map,
};

int domu_overlay_open(struct domu_ctx *ctx, struct domu_block *below, int log_fd, unsigned disk, bool readonly,
                      struct domu_block **b)
{
	struct overlay *o;
	int rc;

	*b = NULL;
	if (disk >= DOMU_MAX_DISKS)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: a guest of more than %u disks is not supported", below->name, DOMU_MAX_DISKS);
	o = calloc(1, sizeof *o);
	*b = o != NULL ? domu_block_new(ctx, &overlay_ops, below->name, o) : NULL;
	if (*b == NULL) {
		free(o);
		return domu_nomem(ctx);
	}
	o->log_fd = log_fd;
	o->disk = (uint16_t)disk;
	(*b)->below = below;
	(*b)->size = below->size;
	(*b)->sector_size = below->sector_size;
	(*b)->readonly = readonly;
	rc = domu_overlay_refresh(*b);
	if (rc < 0) {
		domu_block_close(*b);
		*b = NULL;
	}
	return rc;
}

void domu_overlay_stats(struct domu_block *b, struct domu_overlay_stats *st)
{
	const struct overlay *o = b->priv;

	st->blocks = o->map.n;
	st->records = o->pos.records;
}

int domu_overlay_units(struct domu_block *b, uint64_t **units, size_t *n)
{
	const struct overlay *o = b->priv;

	*n = o->map.n;
	*units = domu_unitmap_units(&o->map);
	return *units != NULL || *n == 0 ? 0 : domu_nomem(b->ctx);
}

int domu_overlay_promote(struct domu_block *from, struct domu_block *to)
{
	const struct overlay *o = from->priv;
	uint8_t data[DOMU_UNIT];
	uint64_t *units = domu_unitmap_units(&o->map);
	int rc = 0;

	if (units == NULL)
		return o->map.n == 0 ? 0 : domu_nomem(to->ctx);
	for (size_t i = 0; rc == 0 && i < o->map.n; i++) {
		size_t len = unit_len(from, units[i]);

		rc = domu_block_pread(from, data, len, units[i] * DOMU_UNIT);
		if (rc == 0)
			rc = domu_block_pwrite(to, data, len, units[i] * DOMU_UNIT);
	}
	free(units);
	return rc;
}
