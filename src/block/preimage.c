/* SPDX-License-Identifier: GPL-3.0-or-later */
/* preimage.c - step 2 of a commit: the stage compared with the disk, and what is on the disk now kept. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/num.h"
#include "block/commit-private.h"

struct work {
	struct domu_ctx *ctx;
	struct domu_seal *seal;
	const struct domu_commit_disk *disks;
	int log_fd, undo_fd; /* undo_fd -1: none is made */
	uint8_t *disk_window;
	uint8_t *undo_window; /* pre-images that are contiguous in the undo file */
	size_t undo_first, undo_n;
};

static int flush_undo(struct work *w)
{
	int rc = 0;

	if (w->undo_n > 0)
		rc = domu_pwrite_full(w->ctx->io, w->undo_fd, w->undo_window, w->undo_n * DOMU_UNIT,
		                      (1 + (uint64_t)w->undo_first) * DOMU_UNIT);
	w->undo_n = 0;
	return rc < 0 ? domu_fail(w->ctx, DOMU_FAILED, rc, "the undo file cannot be written: %s", strerror(-rc)) : 0;
}

/* The pre-image of unit i; zeros stay a hole. */
static int keep(struct work *w, size_t i, const uint8_t *old)
{
	int rc = 0;

	if (w->seal->sector_crcs != NULL)
		for (size_t k = 0; k < DOMU_SECTORS; k++)
			w->seal->sector_crcs[i * DOMU_SECTORS + k] = domu_hash32(old + k * DOMU_SECTOR, DOMU_SECTOR);
	if (w->undo_fd < 0 || (w->seal->units[i].flags & DOMU_UNIT_OLD_ZERO) != 0)
		return 0;
	if (w->undo_n > 0 && (w->undo_first + w->undo_n != i || w->undo_n == DOMU_WINDOW))
		rc = flush_undo(w);
	if (w->undo_n == 0)
		w->undo_first = i;
	memcpy(w->undo_window + w->undo_n++ * DOMU_UNIT, old, DOMU_UNIT);
	return rc;
}

static bool is_zero(const uint8_t *p)
{
	return p[0] == 0 && memcmp(p, p + 1, DOMU_UNIT - 1) == 0;
}

static int stale(struct work *w, const struct domu_log_entry *e)
{
	const struct domu_commit_info *ci = &w->seal->meta.info;

	return domu_fail(w->ctx, DOMU_FAILED, -ESTALE,
	                 "%s: block %" PRIu64 " (byte %" PRIu64 " of %s) has changed since it was staged: nothing was "
	                 "written; drop the stage: domu-rescue rollback %s",
	                 ci->disks[e->disk].vdev, e->unit, e->unit * DOMU_UNIT, ci->disks[e->disk].path,
	                 domu_commit_guest(ci));
}

/* One entry of the log with what the disk holds; what would change nothing is left out. */
static int take_unit(struct work *w, const struct domu_log_entry *e, const uint8_t *old)
{
	struct domu_seal *s = w->seal;
	struct domu_seal_unit *u = &s->units[s->n_units];
	size_t len = domu_unit_len(s->sizes[e->disk], e->unit);
	uint8_t image[DOMU_UNIT];
	int rc;

	/* The worker's word for what was there is not believed, but has to agree with what is there. */
	u->old_crc = domu_unit_crc(old);
	if (u->old_crc != e->old_crc)
		return stale(w, e);
	rc = domu_log_read(w->ctx, w->log_fd, e, image);
	if (rc < 0)
		return rc;
	memset(image + len, 0, DOMU_UNIT - len);
	if (memcmp(image, old, DOMU_UNIT) == 0)
		return 0;
	u->unit = e->unit;
	u->log_offset = e->log_offset;
	u->new_crc = domu_unit_crc(image);
	u->disk = e->disk;
	u->flags = (uint16_t)((is_zero(image) ? DOMU_UNIT_NEW_ZERO : 0) | (is_zero(old) ? DOMU_UNIT_OLD_ZERO : 0));
	u->reserved = 0;
	rc = keep(w, s->n_units, old);
	s->n_units++;
	s->meta.info.bytes += len;
	return rc;
}

static int check_entry(struct work *w, const struct domu_log_entry *e)
{
	const struct domu_commit_info *ci = &w->seal->meta.info;

	if (e->disk >= ci->n_disks)
		return domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "the stage's log names disk %u, and there are %zu",
		                 e->disk, ci->n_disks);
	if (w->disks[e->disk].fd < 0)
		return domu_fail(w->ctx, DOMU_FAILED, -EROFS, "%s: is read-only, and the stage has changes for it",
		                 ci->disks[e->disk].vdev);
	if (e->unit >= (w->seal->sizes[e->disk] + DOMU_UNIT - 1) / DOMU_UNIT)
		return domu_fail(w->ctx, DOMU_FAILED, -EBADMSG,
		                 "%s: the stage's log has block %" PRIu64 ", which is beyond the end of the disk",
		                 ci->disks[e->disk].vdev, e->unit);
	return 0;
}

static int take_all(struct work *w, const struct domu_log_entry *e, size_t n)
{
	int rc = 0;

	for (size_t i = 0, run; i < n && rc == 0; i += run) {
		unsigned disk = e[i].disk;

		for (run = 0; run < DOMU_WINDOW && i + run < n && rc == 0; run++) {
			if (e[i + run].disk != disk || e[i + run].unit != e[i].unit + run)
				break;
			rc = check_entry(w, &e[i + run]);
		}
		if (rc == 0 && domu_interrupted(w->ctx))
			rc = domu_fail(w->ctx, DOMU_DECLINED, -EINTR, "interrupted: nothing was written");
		if (rc == 0)
			rc = domu_disk_read(w->ctx, w->disks[disk].fd, w->seal->meta.info.disks[disk].vdev,
			                    w->seal->sizes[disk], w->disk_window, run * DOMU_UNIT,
			                    e[i].unit * DOMU_UNIT);
		for (size_t k = 0; k < run && rc == 0; k++)
			rc = take_unit(w, &e[i + k], w->disk_window + k * DOMU_UNIT);
		domu_progress(w->ctx, "keeping", i, n);
	}
	if (rc == 0)
		domu_progress(w->ctx, "keeping", n, n);
	return rc;
}

int domu_preimages_take(struct domu_ctx *ctx, struct domu_seal *seal, const struct domu_commit_disk *disks, int log_fd,
                        const struct domu_log_entry *entries, size_t n, int undo_fd)
{
	struct work w = { .ctx = ctx, .seal = seal, .disks = disks, .log_fd = log_fd, .undo_fd = undo_fd };
	int rc = -ENOMEM;

	seal->n_units = 0;
	seal->meta.info.bytes = 0;
	seal->units = calloc(n > 0 ? n : 1, sizeof *seal->units);
	/* Where the undo file may be out of reach when it matters, the seal tells an old sector by its checksum. */
	if (seal->meta.no_undo || seal->meta.undo_path != NULL)
		seal->sector_crcs = calloc(n > 0 ? n : 1, DOMU_SECTORS * sizeof *seal->sector_crcs);
	w.disk_window = malloc(DOMU_WINDOW * DOMU_UNIT);
	w.undo_window = malloc(DOMU_WINDOW * DOMU_UNIT);
	if (seal->units == NULL || w.disk_window == NULL || w.undo_window == NULL ||
	    ((seal->meta.no_undo || seal->meta.undo_path != NULL) && seal->sector_crcs == NULL)) {
		rc = domu_nomem(ctx);
		goto out;
	}
	rc = take_all(&w, entries, n);
	if (rc == 0)
		rc = flush_undo(&w);
	if (rc == 0 && undo_fd >= 0 &&
	    ctx->io->ftruncate(undo_fd, (off_t)((1 + (uint64_t)seal->n_units) * DOMU_UNIT)) < 0)
		rc = domu_fail(ctx, DOMU_FAILED, -errno, "the undo file cannot be written: %s", strerror(errno));
	seal->meta.info.blocks = seal->n_units;
out:
	free(w.disk_window);
	free(w.undo_window);
	return rc;
}

/* ---- room in sparse files -------------------------------------------------------------- */

static bool fills_hole(const struct domu_seal_unit *u)
{
	return (u->flags & (DOMU_UNIT_NEW_ZERO | DOMU_UNIT_OLD_ZERO)) == DOMU_UNIT_OLD_ZERO;
}

/*
 * Holes that will be filled are allocated while nothing is closed yet: the
 * file system that an image lies on may be full.  No byte of the disk changes.
 */
int domu_preimages_reserve(struct domu_ctx *ctx, const struct domu_seal *s, const struct domu_commit_disk *disks)
{
	for (size_t i = 0, run; i < s->n_units; i += run) {
		const struct domu_seal_unit *u = &s->units[i];
		const struct domu_identity *id = &s->meta.info.disks[u->disk];

		for (run = 1; i + run < s->n_units; run++)
			if (u[run].disk != u->disk || u[run].unit != u->unit + run ||
			    fills_hole(&u[run]) != fills_hole(u))
				break;
		if (id->inode == 0 || !fills_hole(u))
			continue;
		if (ctx->io->fallocate(disks[u->disk].fd, FALLOC_FL_KEEP_SIZE, (off_t)(u->unit * DOMU_UNIT),
		                       (off_t)(run * DOMU_UNIT)) < 0 &&
		    (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
			return domu_fail(ctx, DOMU_FAILED, -errno,
			                 "%s: no room for %zu blocks more in %s: %s: nothing was written", id->vdev,
			                 run, id->path, strerror(errno));
	}
	return 0;
}
