/* SPDX-License-Identifier: GPL-3.0-or-later */
/* recover.c - a commit that was cut short: finished, or a stage again, or superseded. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/num.h"
#include "block/commit-private.h"
#include "guest/inuse.h"

struct recover {
	struct domu_state *st;
	struct domu_ctx *ctx;
	const char *id;
	const struct domu_commit_disk *disks;
	size_t n_disks;
	int (*recheck)(void *user);
	void *user;
	struct domu_seal seal;
	char *dir, *seal_path;
	int log_fd, undo_fd, lock_fd, hotplug_fd;
	bool undo_asked, again; /* again: the look under the hotplug lock */
	/* What the disks hold: */
	size_t closed; /* doors */
	bool all_old, all_new; /* doors and units; both where an image did not change */
	bool other; /* something is neither old nor new: the first is */
	unsigned other_disk;
	uint64_t other_offset;
};

static void found_other(struct recover *r, unsigned disk, uint64_t offset)
{
	r->all_old = r->all_new = false;
	if (r->other)
		return;
	r->other = true;
	r->other_disk = disk;
	r->other_offset = offset;
}

static int read_disk(struct recover *r, unsigned disk, void *buf, size_t len, uint64_t offset)
{
	return domu_disk_read(r->ctx, r->disks[disk].fd, r->seal.meta.info.disks[disk].vdev, r->seal.sizes[disk], buf,
	                      len, offset);
}

/* ---- what is there ---------------------------------------------------------------------- */

/* Also when the process, not the machine, went down: pages that a failed sync left clean are read anew. */
static int open_files(struct recover *r)
{
	char *path = domu_text("%s/log", r->dir);
	int rc = 0;

	if (path == NULL)
		return domu_nomem(r->ctx);
	r->log_fd = r->ctx->io->open(path, O_RDWR | O_NOFOLLOW, 0);
	if (r->log_fd < 0)
		rc = domu_fail(r->ctx, DOMU_UNRECOVERED, -errno, "%s: %s", path, strerror(errno));
	free(path);
	domu_disks_forget(&r->seal, r->disks);
	return rc;
}

/* A disk that moved is held by its door until it is open; every sector of it is compared like any other's. */
static int check_moved(struct recover *r, unsigned i)
{
	const struct domu_identity *id = &r->seal.meta.info.disks[i];
	uint64_t size;
	int rc = domu_fd_size(r->disks[i].fd, &size);

	if (rc < 0)
		return domu_fail(r->ctx, DOMU_UNRECOVERED, rc, "%s: %s", id->vdev, strerror(-rc));
	if (size != id->size && size != r->seal.sizes[i])
		return domu_fail(r->ctx, DOMU_UNRECOVERED, -ESTALE,
		                 "%s: is closed by commit %s but has %" PRIu64 " bytes, not the %" PRIu64
		                 " of %s: nothing was written",
		                 id->vdev, r->id, size, id->size, id->path);
	if (!domu_seal_door_on(&r->seal, i, r->disks[i].fd, true))
		return domu_fail(r->ctx, DOMU_UNRECOVERED, -ESTALE,
		                 "%s: has no superblock of commit %s any more: nothing was written", id->vdev, r->id);
	return 0;
}

static int check_disks(struct recover *r)
{
	const struct domu_commit_info *ci = &r->seal.meta.info;
	int rc = 0;

	if (r->n_disks != ci->n_disks)
		return domu_fail(r->ctx, DOMU_UNRECOVERED, -EINVAL, "commit %s has %zu disks, not %zu", r->id,
		                 ci->n_disks, r->n_disks);
	for (unsigned i = 0; i < r->n_disks && rc == 0; i++) {
		if (!domu_seal_uses(&r->seal, i))
			continue;
		if (r->disks[i].fd < 0)
			rc = domu_fail(
			    r->ctx, DOMU_UNRECOVERED, -ENODEV,
			    "commit %s also changed %s (%s), which is not among the disks here, or read-only: "
			    "nothing was written; domu-rescue recover %s, or name every disk with --disk",
			    r->id, ci->disks[i].path, ci->disks[i].vdev, domu_commit_guest(ci));
		else if (r->disks[i].moved)
			rc = check_moved(r, i);
		else
			rc = domu_identity_check(r->ctx, DOMU_UNRECOVERED, &ci->disks[i], r->seal.sizes[i],
			                         r->disks[i].fd);
	}
	return rc;
}

static int look_at_doors(struct recover *r)
{
	const struct domu_commit_info *ci = &r->seal.meta.info;
	uint8_t now[DOMU_UNIT];
	char id[DOMU_ID_LEN + 1];

	for (size_t i = 0; i < r->seal.n_doors; i++) {
		const struct domu_seal_door *d = &r->seal.doors[i];
		bool is_old, is_new;
		int rc = read_disk(r, d->disk, now, d->size, d->offset);

		if (rc < 0)
			return rc;
		if (memcmp(now, d->closed, d->size) == 0) {
			r->closed++;
			r->all_old = r->all_new = false;
			continue;
		}
		if (domu_door_is_closed(now, d->size, id))
			return domu_fail(r->ctx, DOMU_UNRECOVERED, -EBUSY,
			                 "%s: is closed by commit %s, not by %s: nothing was written",
			                 ci->disks[d->disk].vdev, id[0] != '\0' ? id : "(unknown)", r->id);
		is_old = memcmp(now, d->old_image, d->size) == 0;
		is_new = memcmp(now, d->new_image, d->size) == 0;
		if (!is_old && !is_new)
			found_other(r, d->disk, d->offset);
		r->all_old = r->all_old && is_old;
		r->all_new = r->all_new && is_new;
	}
	return 0;
}

/* Is this sector of unit i what was there?  Only asked about units that are torn. */
static int sector_is_old(struct recover *r, size_t i, size_t k, const uint8_t *sector, uint8_t *old, bool *have)
{
	int rc = 0;

	if (r->seal.sector_crcs != NULL)
		return domu_hash32(sector, DOMU_SECTOR) == r->seal.sector_crcs[i * DOMU_SECTORS + k];
	if (!r->undo_asked) {
		r->undo_asked = true;
		rc = domu_undo_open(r->ctx, &r->seal.meta, r->dir, &r->undo_fd);
	} else if (r->undo_fd < 0) {
		rc = -ENOENT;
	}
	if (rc == 0 && !*have)
		rc = domu_image_old(r->ctx, &r->seal, i, r->undo_fd, old);
	*have = rc == 0;
	return rc < 0 ? rc : memcmp(sector, old + k * DOMU_SECTOR, DOMU_SECTOR) == 0;
}

static bool is_door(const struct domu_seal_door *doors, size_t n, uint64_t offset)
{
	for (size_t i = 0; i < n; i++)
		if (offset >= doors[i].offset && offset < doors[i].offset + doors[i].size)
			return true;
	return false;
}

/* The sectors of a unit one by one, without those of doors. */
static int look_at_sectors(struct recover *r, size_t i, const uint8_t *now, const uint8_t *image, bool *is_old,
                           bool *is_new)
{
	const struct domu_seal_unit *u = &r->seal.units[i];
	uint64_t start = u->unit * DOMU_UNIT;
	size_t first, n = domu_seal_doors_in(&r->seal, u, &first);
	uint8_t old[DOMU_UNIT];
	bool have = false;

	*is_old = *is_new = true;
	for (size_t k = 0; k < DOMU_SECTORS; k++) {
		const uint8_t *sector = now + k * DOMU_SECTOR;
		bool same = memcmp(sector, image + k * DOMU_SECTOR, DOMU_SECTOR) == 0;
		int before;

		if (is_door(r->seal.doors + first, n, start + k * DOMU_SECTOR))
			continue;
		before = sector_is_old(r, i, k, sector, old, &have);
		if (before < 0)
			return before;
		if (!before && !same)
			found_other(r, u->disk, start + k * DOMU_SECTOR);
		*is_old = *is_old && before;
		*is_new = *is_new && same;
	}
	return 0;
}

/* The unit as it is, with its doors as they were: its checksum tells most units without a look at the undo file. */
static bool is_untouched(struct recover *r, const struct domu_seal_unit *u, const uint8_t *now)
{
	size_t first, n = domu_seal_doors_in(&r->seal, u, &first);
	uint8_t copy[DOMU_UNIT];

	memcpy(copy, now, DOMU_UNIT);
	for (size_t k = first; k < first + n; k++)
		memcpy(copy + r->seal.doors[k].offset % DOMU_UNIT, r->seal.doors[k].old_image, r->seal.doors[k].size);
	return domu_unit_crc(copy) == u->old_crc;
}

static bool is_whole(struct recover *r, const struct domu_seal_unit *u, const uint8_t *now, const uint8_t *image)
{
	size_t first, n = domu_seal_doors_in(&r->seal, u, &first);

	for (size_t k = 0; k < DOMU_SECTORS; k++)
		if (!is_door(r->seal.doors + first, n, u->unit * DOMU_UNIT + k * DOMU_SECTOR) &&
		    memcmp(now + k * DOMU_SECTOR, image + k * DOMU_SECTOR, DOMU_SECTOR) != 0)
			return false;
	return true;
}

/* Every new image is read: nothing is written unless all of them can be. */
static int look_at_unit(struct recover *r, size_t i, struct domu_disk_units *there)
{
	const struct domu_seal_unit *u = &r->seal.units[i];
	const uint8_t *now;
	uint8_t image[DOMU_UNIT];
	bool is_old, is_new;
	int rc = domu_disk_unit(r->ctx, &r->seal, r->disks, there, i, &now);

	if (rc == 0)
		rc = domu_image_new(r->ctx, &r->seal, i, r->log_fd, image);
	if (rc < 0)
		return rc;
	is_old = is_untouched(r, u, now);
	is_new = is_whole(r, u, now, image);
	if (!is_old && !is_new)
		rc = look_at_sectors(r, i, now, image, &is_old, &is_new);
	r->all_old = r->all_old && is_old;
	r->all_new = r->all_new && is_new;
	return rc;
}

/* Again: only disks that no door tells of. */
static int look_at_units(struct recover *r)
{
	struct domu_disk_units there = { 0 };
	bool skip = false;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->seal.n_units; i++) {
		const struct domu_seal_unit *u = &r->seal.units[i];

		if (i == 0 || u->disk != u[-1].disk)
			skip = r->again && !domu_seal_is_bare(&r->seal, u->disk);
		if (skip)
			continue;
		if (i % DOMU_WINDOW == 0)
			domu_progress(r->ctx, "comparing", i, r->seal.n_units);
		rc = domu_interrupted(r->ctx)
		         ? domu_fail(r->ctx, DOMU_DECLINED, -EINTR, "interrupted: nothing was written")
		         : look_at_unit(r, i, &there);
	}
	free(there.buf);
	if (rc == 0)
		domu_progress(r->ctx, "comparing", r->seal.n_units, r->seal.n_units);
	return rc;
}

/* ---- what is done about it ----------------------------------------------------------------- */

static int finish(struct recover *r, enum domu_mark mark)
{
	int rc = domu_seal_mark(r->ctx, r->seal_path, mark);

	r->seal.mark = mark;
	return rc == 0 ? domu_state_finish(r->st, r->id, &r->seal) : rc;
}

/* The seal and what it rests on may be in memory only: before anything rests on them they have to be on the disk. */
static int sync_state(struct recover *r)
{
	char *pending = domu_state_path(r->st, "pending", NULL, NULL);
	int fd = r->ctx->io->open(r->seal_path, O_RDWR | O_NOFOLLOW, 0);
	int rc = pending == NULL ? domu_nomem(r->ctx) : 0;

	if (rc == 0 && fd < 0)
		rc = domu_fail(r->ctx, DOMU_UNRECOVERED, -errno, "%s: %s", r->seal_path, strerror(errno));
	if (rc == 0)
		rc = domu_fdatasync(r->ctx, r->log_fd, "the stage's log");
	/* The log's sync was good, or there would be no seal; the seal's own may have failed. */
	if (rc == 0) {
		rc = domu_write_again(r->ctx->io, fd);
		if (rc < 0)
			domu_fail(r->ctx, DOMU_FAILED, rc, "%s: cannot be written: %s", r->seal_path, strerror(-rc));
	}
	if (rc == 0)
		rc = domu_fdatasync(r->ctx, fd, r->seal_path);
	if (rc == 0)
		rc = domu_sync_dir_of(r->ctx, r->dir);
	if (rc == 0)
		rc = domu_sync_dir_of(r->ctx, pending);
	if (fd >= 0)
		r->ctx->io->close(fd);
	free(pending);
	return rc;
}

static void release_hotplug(struct recover *r)
{
	if (r->hotplug_fd >= 0)
		close(r->hotplug_fd);
	r->hotplug_fd = -1;
}

/* The first look took its time: a guest may have been started, or may even have been stopped again, since. */
static int last_look(struct recover *r)
{
	size_t closed = r->closed;
	bool all_new = r->all_new;
	int rc = domu_commit_hotplug(r->ctx, &r->seal.meta.info, &r->hotplug_fd);

	if (rc == 0 && r->recheck != NULL)
		rc = r->recheck(r->user);
	if (rc < 0)
		return rc;
	r->closed = 0;
	r->again = true;
	domu_disks_forget(&r->seal, r->disks);
	rc = look_at_doors(r);
	if (rc == 0)
		rc = look_at_units(r);
	if (rc == 0 && (r->other || r->closed != closed || (all_new && !r->all_new))) {
		unsigned disk = r->other ? r->other_disk : r->seal.n_doors > 0 ? r->seal.doors[0].disk : 0;

		rc = domu_fail(r->ctx, DOMU_UNRECOVERED, -ESTALE,
		               "%s: has changed while commit %s was looked at: nothing was written",
		               r->seal.meta.info.disks[disk].vdev, r->id);
	}
	return rc;
}

/* A disk that moved is from here on known by what it is now: by undo, and by whoever recovers after a cut. */
static int rebind(struct recover *r)
{
	char link[32], *path = domu_text("%s.new", r->seal_path);
	bool moved = false;
	int fd = -1, rc = path == NULL ? domu_nomem(r->ctx) : 0;

	for (size_t i = 0; i < r->n_disks && rc == 0; i++) {
		struct domu_identity *id = &r->seal.meta.info.disks[i], now;

		if (!r->disks[i].moved)
			continue;
		snprintf(link, sizeof link, "/proc/self/fd/%d", r->disks[i].fd);
		rc = domu_identity_make(r->ctx, r->disks[i].fd, link, id->vdev, &now);
		if (rc < 0)
			break;
		domu_identity_free(id);
		*id = now;
		moved = true;
	}
	if (rc < 0 || !moved)
		goto out;
	fd = r->ctx->io->open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	if (fd < 0)
		rc = domu_fail(r->ctx, DOMU_UNRECOVERED, -errno, "%s: %s", path, strerror(errno));
	if (rc == 0)
		rc = domu_seal_write(r->ctx, fd, &r->seal);
	if (rc == 0 && r->ctx->io->rename(path, r->seal_path) < 0)
		rc = domu_fail(r->ctx, DOMU_UNRECOVERED, -errno, "%s: %s", r->seal_path, strerror(errno));
	if (rc == 0)
		rc = domu_sync_dir_of(r->ctx, r->dir);
out:
	if (fd >= 0)
		r->ctx->io->close(fd);
	free(path);
	return rc;
}

/*
 * Steps 4 to 7 again, also where all is new: a sync that failed may have left
 * it in memory only, and no later sync brings it to the disk.  The doors are
 * closed for that, too: a guest that is started meanwhile would be overwritten.
 * A cut leaves what a cut of the commit leaves at that step.
 */
static int apply(struct recover *r)
{
	struct domu_apply a = { r->ctx, &r->seal, r->disks, r->log_fd, DOMU_ALL_DISKS };
	struct domu_signals signals = { 0 };
	int rc = sync_state(r);

	if (rc == 0)
		rc = last_look(r);
	if (rc == 0)
		rc = rebind(r);
	if (rc < 0)
		return rc;
	domu_signals_hold(&signals);
	rc = domu_apply_lengths(&a);
	if (rc == 0)
		rc = domu_apply_close_doors(&a);
	a.which = DOMU_BARE_DISKS;
	if (rc == 0)
		rc = domu_apply_units(&a);
	release_hotplug(r);
	a.which = DOMU_CLOSED_DISKS;
	if (rc == 0 && r->seal.n_doors > 0)
		rc = domu_apply_units(&a);
	if (rc == 0)
		rc = domu_apply_open_doors(&a);
	if (rc == 0)
		rc = finish(r, DOMU_MARK_APPLIED);
	domu_signals_release(&signals);
	return rc;
}

/* Its description is written anew from the seal, which was synced; without a seal it is a stage. */
static int unseal(struct recover *r)
{
	char *undo = domu_undo_path(&r->seal.meta, r->dir);
	struct domu_meta m;
	int rc = undo == NULL || domu_meta_copy(&m, &r->seal.meta) < 0 ? domu_nomem(r->ctx) : 0;

	if (rc < 0)
		goto out;
	m.no_undo = false;
	free(m.undo_path);
	m.undo_path = NULL;
	rc = domu_stage_write_meta(r->ctx, r->dir, &m, true);
	domu_meta_free(&m);
	if (rc == 0 && r->ctx->io->unlink(r->seal_path) < 0)
		rc = domu_fail(r->ctx, DOMU_FAILED, -errno, "%s: %s", r->seal_path, strerror(errno));
	if (rc == 0)
		rc = domu_sync_dir_of(r->ctx, r->dir);
	if (rc == 0 && !r->seal.meta.no_undo)
		r->ctx->io->unlink(undo);
out:
	free(undo);
	return rc;
}

static int not_recoverable(struct recover *r)
{
	const struct domu_identity *id = &r->seal.meta.info.disks[r->other_disk];

	return domu_fail(r->ctx, DOMU_UNRECOVERED, -ESTALE,
	                 "%s: block %" PRIu64 " (byte %" PRIu64
	                 " of %s) is neither what it was before commit %s nor after: nothing was written",
	                 id->vdev, r->other_offset / DOMU_UNIT, r->other_offset, id->path, r->id);
}

static int decide(struct recover *r, enum domu_recover_result *result)
{
	bool doors = r->seal.n_doors > 0;

	if (r->all_new) {
		*result = DOMU_RECOVER_NOTHING;
		return apply(r);
	}
	if (r->closed > 0 && r->other)
		return not_recoverable(r);
	if (r->closed > 0 || (!doors && !r->other)) {
		*result = DOMU_RECOVER_APPLIED;
		return apply(r);
	}
	if (doors && r->all_old) {
		*result = DOMU_RECOVER_STAGED;
		return unseal(r);
	}
	*result = DOMU_RECOVER_SUPERSEDED;
	return finish(r, DOMU_MARK_SUPERSEDED);
}

static int examine(struct recover *r, enum domu_recover_result *result)
{
	int rc = check_disks(r);

	if (rc == 0)
		rc = domu_seal_find_covered(r->ctx, &r->seal);
	r->all_old = r->all_new = true;
	if (rc == 0)
		rc = open_files(r);
	if (rc == 0)
		rc = look_at_doors(r);
	if (rc == 0)
		rc = look_at_units(r);
	return rc == 0 ? decide(r, result) : rc;
}

static int run(struct recover *r, enum domu_recover_result *result)
{
	int rc = domu_lock_open(r->st, r->id, &r->lock_fd);

	if (rc == -ENOENT && access(r->dir, F_OK) < 0)
		return domu_fail(r->ctx, DOMU_NOTFOUND, rc, "there is no commit %s to recover", r->id);
	/* Without a lock file it is one that was marked and is on its way to the history. */
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = domu_seal_load(r->ctx, r->seal_path, &r->seal);
	if (rc == -ENOENT || rc == -ENODATA) {
		*result = DOMU_RECOVER_STAGED;
		return 0;
	}
	if (rc == 0 && strcmp(r->seal.meta.info.id, r->id) != 0)
		rc = domu_fail(r->ctx, DOMU_UNRECOVERED, -EBADMSG, "%s: is of commit %s", r->seal_path,
		               r->seal.meta.info.id);
	if (rc < 0)
		return rc;
	if (r->seal.mark != DOMU_MARK_NONE) {
		*result = r->seal.mark == DOMU_MARK_APPLIED ? DOMU_RECOVER_NOTHING : DOMU_RECOVER_SUPERSEDED;
		/* Marked again: who was killed may not have synced it. */
		return finish(r, r->seal.mark);
	}
	return examine(r, result);
}

int domu_recover(struct domu_state *st, const char *id, const struct domu_commit_disk *disks, size_t n_disks,
                 int (*recheck)(void *user), void *user, enum domu_recover_result *result)
{
	struct recover r = {
		.st = st,
		.ctx = st->ctx,
		.id = id,
		.disks = disks,
		.n_disks = n_disks,
		.recheck = recheck,
		.user = user,
		.log_fd = -1,
		.undo_fd = -1,
		.lock_fd = -1,
		.hotplug_fd = -1,
	};
	int rc;

	*result = DOMU_RECOVER_NOTHING;
	if (!domu_id_valid(id))
		return domu_fail(st->ctx, DOMU_USAGE, -EINVAL, "no commit has this name");
	r.dir = domu_state_path(st, "pending", id, NULL);
	r.seal_path = domu_state_path(st, "pending", id, "seal");
	rc = r.dir == NULL || r.seal_path == NULL ? domu_nomem(st->ctx) : run(&r, result);
	if (rc < 0 && domu_error_status(st->ctx) == DOMU_FAILED && r.seal.meta.info.n_disks > 0)
		rc = domu_cut_short(st->ctx, &r.seal.meta.info, rc);
	release_hotplug(&r);
	if (r.undo_fd >= 0)
		close(r.undo_fd);
	if (r.log_fd >= 0)
		st->ctx->io->close(r.log_fd);
	if (r.lock_fd >= 0)
		st->ctx->io->close(r.lock_fd);
	domu_seal_free(&r.seal);
	free(r.dir);
	free(r.seal_path);
	return rc;
}
