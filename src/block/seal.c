/* SPDX-License-Identifier: GPL-3.0-or-later */
/* seal.c - the seal: the index of a commit, in a file that no worker ever had. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/num.h"
#include "block/commit-private.h"

/*
 * Format 1, little-endian:
 *      0  header, 512 bytes: see head_put(); the last four are its checksum
 *    512  the mark, one sector, zeros until step 7; not part of any checksum
 *   1024  body: meta as JSON, filled up with NULs to a multiple of 8;
 *         u64 size of each disk; each door: u32 disk, size, root, 0, u64 offset,
 *         then its old, new and closed image; each unit, 32 bytes;
 *         with SEAL_SECTORS 8 checksums a unit.
 * It is whole when both checksums are right and the file ends with the body.
 */
#define SEAL_MAGIC   "DOMUSEAL"
#define MARK_MAGIC   "DOMUMARK"
#define BODY         1024u
#define UNIT_SIZE    32u
#define DOOR_SIZE    24u
#define SEAL_SECTORS 1u
#define CHUNK        65536u

struct head {
	uint32_t flags, json_len, json_crc, n_disks, n_doors, body_crc;
	uint64_t n_units, body_len;
};

static uint32_t checksum(const void *p, size_t len)
{
	return ~domu_crc32c(~0u, p, len);
}

static void head_put(uint8_t b[512], const struct head *h)
{
	memset(b, 0, 512);
	memcpy(b, SEAL_MAGIC, 8);
	domu_put_le32(b + 8, DOMU_SEAL_FORMAT);
	domu_put_le32(b + 12, h->flags);
	domu_put_le32(b + 16, h->json_len);
	domu_put_le32(b + 20, h->json_crc);
	domu_put_le32(b + 24, h->n_disks);
	domu_put_le32(b + 28, h->n_doors);
	domu_put_le64(b + 32, h->n_units);
	domu_put_le64(b + 40, h->body_len);
	domu_put_le32(b + 48, h->body_crc);
	domu_put_le32(b + 508, checksum(b, 508));
}

static int head_get(const uint8_t b[512], struct head *h)
{
	if (memcmp(b, SEAL_MAGIC, 8) != 0)
		return -ENODATA;
	if (domu_le32(b + 8) > DOMU_SEAL_FORMAT)
		return -EPROTO;
	if (domu_le32(b + 508) != checksum(b, 508) || domu_le32(b + 8) != DOMU_SEAL_FORMAT)
		return -ENODATA;
	h->flags = domu_le32(b + 12);
	h->json_len = domu_le32(b + 16);
	h->json_crc = domu_le32(b + 20);
	h->n_disks = domu_le32(b + 24);
	h->n_doors = domu_le32(b + 28);
	h->n_units = domu_le64(b + 32);
	h->body_len = domu_le64(b + 40);
	h->body_crc = domu_le32(b + 48);
	return 0;
}

void domu_seal_free(struct domu_seal *s)
{
	domu_meta_free(&s->meta);
	for (size_t i = 0; i < s->n_doors; i++)
		free(s->doors[i].old_image);
	free(s->doors);
	free(s->units);
	free(s->sector_crcs);
	memset(s, 0, sizeof *s);
}

/* ---- writing ---------------------------------------------------------------------- */

struct writer {
	struct domu_ctx *ctx;
	int fd;
	uint64_t offset;
	uint32_t crc;
	size_t fill;
	int err;
	uint8_t chunk[CHUNK];
};

static void drain(struct writer *w)
{
	if (w->err == 0 && w->fill > 0) {
		w->crc = domu_crc32c(w->crc, w->chunk, w->fill);
		w->err = domu_pwrite_full(w->ctx->io, w->fd, w->chunk, w->fill, w->offset);
	}
	w->offset += w->fill;
	w->fill = 0;
}

static void add(struct writer *w, const void *p, size_t len)
{
	const uint8_t *from = p;

	while (len > 0) {
		size_t n = len < CHUNK - w->fill ? len : CHUNK - w->fill;

		memcpy(w->chunk + w->fill, from, n);
		w->fill += n;
		from += n;
		len -= n;
		if (w->fill == CHUNK)
			drain(w);
	}
}

static void add_doors(struct writer *w, const struct domu_seal *s)
{
	for (size_t i = 0; i < s->n_doors; i++) {
		const struct domu_seal_door *d = &s->doors[i];
		uint8_t b[DOOR_SIZE] = { 0 };

		domu_put_le32(b, d->disk);
		domu_put_le32(b + 4, d->size);
		domu_put_le32(b + 8, d->root ? 1 : 0);
		domu_put_le64(b + 16, d->offset);
		add(w, b, sizeof b);
		add(w, d->old_image, d->size);
		add(w, d->new_image, d->size);
		add(w, d->closed, d->size);
	}
}

static void add_units(struct writer *w, const struct domu_seal *s)
{
	for (size_t i = 0; i < s->n_units; i++) {
		const struct domu_seal_unit *u = &s->units[i];
		uint8_t b[UNIT_SIZE] = { 0 };

		domu_put_le64(b, u->unit);
		domu_put_le64(b + 8, u->log_offset);
		domu_put_le32(b + 16, u->old_crc);
		domu_put_le32(b + 20, u->new_crc);
		domu_put_le32(b + 24, (uint32_t)u->disk | (uint32_t)u->flags << 16);
		add(w, b, sizeof b);
	}
	for (size_t i = 0; s->sector_crcs != NULL && i < s->n_units * DOMU_SECTORS; i++) {
		uint8_t b[4];

		domu_put_le32(b, s->sector_crcs[i]);
		add(w, b, sizeof b);
	}
}

int domu_seal_write(struct domu_ctx *ctx, int fd, const struct domu_seal *s)
{
	static const uint8_t zeros[512];
	struct writer *w = calloc(1, sizeof *w);
	struct head h = { 0 };
	uint8_t block[512];
	char *json = NULL;
	size_t len = 0;
	int rc = w == NULL ? -ENOMEM : domu_meta_format(&s->meta, &json, &len);

	if (rc < 0)
		goto out;
	*w = (struct writer){ .ctx = ctx, .fd = fd, .offset = BODY, .crc = ~0u };
	h.flags = s->sector_crcs != NULL ? SEAL_SECTORS : 0;
	h.json_len = (uint32_t)len;
	h.json_crc = checksum(json, len);
	h.n_disks = (uint32_t)s->meta.info.n_disks;
	h.n_doors = (uint32_t)s->n_doors;
	h.n_units = s->n_units;
	add(w, json, len);
	add(w, zeros, (8 - len % 8) % 8);
	for (size_t i = 0; i < s->meta.info.n_disks; i++) {
		uint8_t b[8];

		domu_put_le64(b, s->sizes[i]);
		add(w, b, sizeof b);
	}
	add_doors(w, s);
	add_units(w, s);
	drain(w);
	rc = w->err;
	if (rc < 0)
		goto out;
	h.body_len = w->offset - BODY;
	h.body_crc = ~w->crc;
	rc = domu_pwrite_full(ctx->io, fd, zeros, sizeof zeros, 512);
	head_put(block, &h);
	if (rc == 0)
		rc = domu_pwrite_full(ctx->io, fd, block, sizeof block, 0);
	if (rc == 0 && ctx->io->fdatasync(fd) < 0)
		rc = -errno;
out:
	free(json);
	free(w);
	return rc < 0 ? domu_fail(ctx, DOMU_FAILED, rc, "the seal of commit %s cannot be written: %s", s->meta.info.id,
	                          strerror(-rc))
	              : 0;
}

/* ---- reading ----------------------------------------------------------------------- */

struct reader {
	const uint8_t *p;
	uint64_t left;
};

static const uint8_t *take(struct reader *r, uint64_t len)
{
	const uint8_t *p = r->p;

	if (len > r->left)
		return NULL;
	r->p += len;
	r->left -= len;
	return p;
}

static int get_meta(const struct head *h, struct reader *r, struct domu_meta *m)
{
	const uint8_t *p = take(r, ((uint64_t)h->json_len + 7) / 8 * 8);
	int rc;

	if (p == NULL || h->json_len > DOMU_META_MAX || checksum(p, h->json_len) != h->json_crc)
		return -ENODATA;
	rc = domu_meta_parse((const char *)p, h->json_len, m);
	if (rc == 0 && m->info.n_disks != h->n_disks) {
		domu_meta_free(m);
		rc = -EBADMSG;
	}
	return rc;
}

static int get_door(struct reader *r, const struct domu_seal *s, struct domu_seal_door *d)
{
	const struct domu_seal_door *before = d > s->doors ? d - 1 : NULL;
	const uint8_t *p = take(r, DOOR_SIZE), *images;
	char id[DOMU_ID_LEN + 1];

	if (p == NULL)
		return -EBADMSG;
	d->disk = domu_le32(p);
	d->size = domu_le32(p + 4);
	d->root = domu_le32(p + 8) != 0;
	d->offset = domu_le64(p + 16);
	if (d->disk >= s->meta.info.n_disks || d->size < DOMU_SECTOR || d->size > DOMU_UNIT ||
	    (d->size & (d->size - 1)) != 0 || d->offset % d->size != 0 ||
	    !domu_inside(d->offset, d->size, s->sizes[d->disk]))
		return -EBADMSG;
	if (before != NULL &&
	    (before->disk > d->disk || (before->disk == d->disk && before->offset + before->size > d->offset)))
		return -EBADMSG;
	images = take(r, 3 * (uint64_t)d->size);
	d->old_image = images != NULL ? malloc(3 * (size_t)d->size) : NULL;
	if (d->old_image == NULL)
		return images == NULL ? -EBADMSG : -ENOMEM;
	memcpy(d->old_image, images, 3 * (size_t)d->size);
	d->new_image = d->old_image + d->size;
	d->closed = d->new_image + d->size;
	if (!domu_door_is_closed(d->closed, d->size, id) || strcmp(id, s->meta.info.id) != 0 ||
	    domu_door_is_closed(d->old_image, d->size, id) || domu_door_is_closed(d->new_image, d->size, id))
		return -EBADMSG;
	return 0;
}

static int get_unit(const uint8_t *p, const struct domu_seal *s, struct domu_seal_unit *u)
{
	const struct domu_seal_unit *before = u > s->units ? u - 1 : NULL;
	uint32_t both = domu_le32(p + 24);

	u->unit = domu_le64(p);
	u->log_offset = domu_le64(p + 8);
	u->old_crc = domu_le32(p + 16);
	u->new_crc = domu_le32(p + 20);
	u->disk = (uint16_t)(both & 0xffff);
	u->flags = (uint16_t)(both >> 16);
	if (u->disk >= s->meta.info.n_disks || u->unit >= (s->sizes[u->disk] + DOMU_UNIT - 1) / DOMU_UNIT ||
	    (u->flags & ~(DOMU_UNIT_NEW_ZERO | DOMU_UNIT_OLD_ZERO)) != 0 || u->log_offset > INT64_MAX - DOMU_UNIT)
		return -EBADMSG;
	if (before != NULL && (before->disk > u->disk || (before->disk == u->disk && before->unit >= u->unit)))
		return -EBADMSG;
	return 0;
}

static int get_units(const struct head *h, struct reader *r, struct domu_seal *s)
{
	bool sectors = (h->flags & SEAL_SECTORS) != 0;
	uint64_t each = UNIT_SIZE + (sectors ? 4 * DOMU_SECTORS : 0), bytes;
	const uint8_t *p;
	int rc = 0;

	if (h->n_units == 0 || !domu_mul(h->n_units, each, &bytes) || bytes != r->left)
		return -EBADMSG;
	s->units = calloc(h->n_units, sizeof *s->units);
	if (s->units == NULL)
		return -ENOMEM;
	s->n_units = h->n_units;
	p = take(r, h->n_units * UNIT_SIZE);
	for (size_t i = 0; i < s->n_units && rc == 0; i++)
		rc = get_unit(p + i * UNIT_SIZE, s, &s->units[i]);
	if (rc < 0 || !sectors)
		return rc;
	s->sector_crcs = calloc(s->n_units, DOMU_SECTORS * sizeof *s->sector_crcs);
	if (s->sector_crcs == NULL)
		return -ENOMEM;
	p = take(r, r->left);
	for (size_t i = 0; i < s->n_units * DOMU_SECTORS; i++)
		s->sector_crcs[i] = domu_le32(p + 4 * i);
	return 0;
}

/* All but the units. */
static int get_front(const struct head *h, struct reader *r, struct domu_seal *s)
{
	int rc;

	if ((h->flags & ~SEAL_SECTORS) != 0 || h->n_doors > DOMU_MAX_DOORS)
		return -EBADMSG;
	rc = get_meta(h, r, &s->meta);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < s->meta.info.n_disks; i++) {
		const uint8_t *p = take(r, 8);

		if (p == NULL || domu_le64(p) > INT64_MAX - DOMU_UNIT)
			return -EBADMSG;
		s->sizes[i] = domu_le64(p);
	}
	s->doors = calloc(h->n_doors > 0 ? h->n_doors : 1, sizeof *s->doors);
	if (s->doors == NULL)
		return -ENOMEM;
	for (s->n_doors = 0; s->n_doors < h->n_doors && rc == 0; s->n_doors++)
		rc = get_door(r, s, &s->doors[s->n_doors]);
	return rc;
}

static int parse(const uint8_t *data, size_t len, struct domu_seal *s)
{
	struct reader r = { data + BODY, 0 };
	struct head h = { 0 };
	int rc;

	if (len < 512)
		return -ENODATA;
	rc = head_get(data, &h);
	if (rc < 0)
		return rc;
	if (len < BODY || h.body_len != len - BODY || checksum(data + BODY, len - BODY) != h.body_crc)
		return -ENODATA;
	r.left = h.body_len;
	rc = get_front(&h, &r, s);
	return rc == 0 ? get_units(&h, &r, s) : rc;
}

static enum domu_mark mark_get(const uint8_t b[512])
{
	uint32_t mark = domu_le32(b + 8);

	if (memcmp(b, MARK_MAGIC, 8) != 0 || domu_le32(b + 508) != checksum(b, 508) || mark > DOMU_MARK_SUPERSEDED)
		return DOMU_MARK_NONE;
	return (enum domu_mark)mark;
}

static int explain(struct domu_ctx *ctx, const char *path, int rc)
{
	if (rc == -EPROTO)
		domu_fail(ctx, DOMU_UNRECOVERED, rc,
		          "%s: written by a newer version of domu-rescue: recover with that one", path);
	else if (rc < 0 && rc != -ENOENT && rc != -ENODATA)
		domu_fail(ctx, domu_cannot_tell(rc) ? DOMU_FAILED : DOMU_UNRECOVERED, rc, "%s: %s", path,
		          rc == -EBADMSG ? "the seal of this commit makes no sense" : strerror(-rc));
	return rc;
}

int domu_seal_load(struct domu_ctx *ctx, const char *path, struct domu_seal *s)
{
	char *data = NULL;
	size_t len = 0;
	int rc = domu_file_read(path, SIZE_MAX / 2, &data, &len);

	memset(s, 0, sizeof *s);
	if (rc == 0)
		rc = parse((const uint8_t *)data, len, s);
	if (rc == 0)
		s->mark = mark_get((const uint8_t *)data + 512);
	else
		domu_seal_free(s);
	free(data);
	return explain(ctx, path, rc);
}

int domu_seal_load_doors(struct domu_ctx *ctx, const char *path, struct domu_seal *s)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = fd < 0 ? -errno : 0;
	uint64_t most = BODY + DOMU_META_MAX + 8 + 8 * DOMU_MAX_DISKS, len = 0;
	uint8_t b[512], *data = NULL;
	struct head h = { 0 };
	struct reader r;

	memset(s, 0, sizeof *s);
	if (rc == 0)
		rc = domu_pread_full(fd, b, sizeof b, 0);
	if (rc == 0)
		rc = head_get(b, &h);
	if (rc == 0 && h.n_doors > DOMU_MAX_DOORS)
		rc = -EBADMSG;
	if (rc == 0) {
		most += h.n_doors * (DOOR_SIZE + 3 * (uint64_t)DOMU_UNIT);
		len = h.body_len < most ? h.body_len : most;
		data = malloc(len + 1);
		rc = data == NULL ? -ENOMEM : 0;
	}
	if (rc == 0) {
		ssize_t n = pread(fd, data, len, BODY);

		rc = n < 0 ? -errno : 0;
		r = (struct reader){ data, n > 0 ? (uint64_t)n : 0 };
	}
	if (rc == 0)
		rc = get_front(&h, &r, s);
	if (rc < 0)
		domu_seal_free(s);
	free(data);
	if (fd >= 0)
		close(fd);
	return explain(ctx, path, rc);
}

int domu_seal_peek(struct domu_ctx *ctx, const char *path, struct domu_meta *m, enum domu_mark *mark)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = fd < 0 ? -errno : 0;
	uint8_t *b = rc == 0 ? malloc(BODY + DOMU_META_MAX + 8) : NULL;
	struct head h = { 0 };
	ssize_t n = 0;

	memset(m, 0, sizeof *m);
	if (rc == 0 && b == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		n = pread(fd, b, 8192, 0);
		rc = n < 0 ? -errno : (n < (ssize_t)BODY ? -ENODATA : head_get(b, &h));
	}
	if (rc == 0 && h.json_len > DOMU_META_MAX)
		rc = -ENODATA;
	if (rc == 0 && BODY + h.json_len + 8 > (size_t)n) {
		n = pread(fd, b, BODY + h.json_len + 8, 0);
		rc = n < 0 ? -errno : (n < (ssize_t)BODY ? -ENODATA : 0);
	}
	if (rc == 0) {
		struct reader r = { b + BODY, (uint64_t)n - BODY };

		rc = get_meta(&h, &r, m);
		*mark = mark_get(b + 512);
	}
	free(b);
	if (fd >= 0)
		close(fd);
	return explain(ctx, path, rc);
}

int domu_seal_mark(struct domu_ctx *ctx, const char *path, enum domu_mark mark)
{
	int fd = ctx->io->open(path, O_WRONLY | O_NOFOLLOW, 0), rc = fd < 0 ? -errno : 0;
	uint8_t b[512] = { 0 };

	memcpy(b, MARK_MAGIC, 8);
	domu_put_le32(b + 8, (uint32_t)mark);
	domu_put_le32(b + 508, checksum(b, 508));
	if (rc == 0)
		rc = domu_pwrite_full(ctx->io, fd, b, sizeof b, 512);
	if (rc == 0 && ctx->io->fdatasync(fd) < 0)
		rc = -errno;
	if (fd >= 0)
		ctx->io->close(fd);
	return rc < 0 ? domu_fail(ctx, DOMU_FAILED, rc, "%s: cannot be marked: %s", path, strerror(-rc)) : 0;
}

size_t domu_seal_doors_in(const struct domu_seal *s, const struct domu_seal_unit *u, size_t *first)
{
	size_t lo = 0, hi = s->n_doors, n = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct domu_seal_door *d = &s->doors[mid];

		if (d->disk < u->disk || (d->disk == u->disk && d->offset / DOMU_UNIT < u->unit))
			lo = mid + 1;
		else
			hi = mid;
	}
	*first = lo;
	while (lo + n < s->n_doors && s->doors[lo + n].disk == u->disk &&
	       s->doors[lo + n].offset / DOMU_UNIT == u->unit)
		n++;
	return n;
}

bool domu_seal_uses(const struct domu_seal *s, unsigned disk)
{
	for (size_t i = 0; i < s->n_units; i++)
		if (s->units[i].disk == disk)
			return true;
	return domu_seal_has_door(s, disk);
}

bool domu_seal_door_on(const struct domu_seal *s, unsigned disk, int fd, bool any)
{
	uint8_t now[DOMU_UNIT];

	for (size_t i = 0; i < s->n_doors; i++) {
		const struct domu_seal_door *d = &s->doors[i];

		if (d->disk != disk || domu_pread_device(fd, now, d->size, d->offset) < 0)
			continue;
		if (memcmp(now, d->closed, d->size) == 0 ||
		    (any && (memcmp(now, d->old_image, d->size) == 0 || memcmp(now, d->new_image, d->size) == 0)))
			return true;
	}
	return false;
}

bool domu_seal_has_door(const struct domu_seal *s, unsigned disk)
{
	for (size_t i = 0; i < s->n_doors && s->doors[i].disk <= disk; i++)
		if (s->doors[i].disk == disk)
			return true;
	return false;
}
