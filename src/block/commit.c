/* SPDX-License-Identifier: GPL-3.0-or-later */
/* commit.c - a stage goes to the disks, in seven steps, each synced before the next. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "block/commit-private.h"
#include "guest/inuse.h"

struct commit {
	struct domu_stage *stage;
	struct domu_ctx *ctx;
	const struct domu_commit_opts *opts;
	const struct domu_commit_disk *disks;
	size_t n_disks;
	const struct domu_door *doors;
	size_t n_doors;
	struct domu_seal seal;
	char *seal_path;
	int undo_fd, seal_fd, hotplug_fd;
	bool undo_made, seal_made, seal_written;
	bool log_unsynced; /* it could not be */
};

/* ---- before anything is made ------------------------------------------------------------ */

static int replace_text(char **to, const char *from)
{
	if (from == NULL)
		return 0;
	free(*to);
	*to = strdup(from);
	return *to != NULL ? 0 : -ENOMEM;
}

static int describe(struct commit *c)
{
	struct domu_meta *m = &c->seal.meta;
	char *dir = NULL;
	int rc = domu_meta_copy(m, &c->stage->meta);

	if (rc < 0 || replace_text(&m->info.command, c->opts->command) < 0 ||
	    replace_text(&m->info.undoes, c->opts->undoes) < 0 || replace_text(&m->info.waived, c->opts->waived) < 0)
		return domu_nomem(c->ctx);
	if (domu_homes_copy(&m->info, c->opts->homes, c->opts->n_homes) < 0)
		return domu_nomem(c->ctx);
	m->info.time = (int64_t)time(NULL);
	m->no_undo = c->opts->no_undo;
	if (m->no_undo || c->opts->undo_dir == NULL)
		return 0;
	dir = realpath(c->opts->undo_dir, NULL);
	if (dir == NULL)
		return domu_fail(c->ctx, DOMU_FAILED, -errno, "%s: %s", c->opts->undo_dir, strerror(errno));
	m->undo_path = domu_text("%s/domu-undo-%s", dir, m->info.id);
	free(dir);
	return m->undo_path != NULL ? 0 : domu_nomem(c->ctx);
}

static int check_disks(struct commit *c)
{
	struct domu_commit_info *ci = &c->seal.meta.info;
	int rc = 0;

	if (c->n_disks != ci->n_disks)
		return domu_fail(c->ctx, DOMU_FAILED, -EINVAL, "the stage has %zu disks, the guest %zu", ci->n_disks,
		                 c->n_disks);
	for (size_t i = 0; i < c->n_disks && rc == 0; i++) {
		c->seal.sizes[i] = c->disks[i].size;
		if (c->disks[i].size > INT64_MAX - DOMU_UNIT)
			rc = domu_fail(c->ctx, DOMU_FAILED, -EFBIG, "%s: is too big", ci->disks[i].vdev);
		else if (c->disks[i].fd >= 0)
			rc = domu_identity_check(c->ctx, DOMU_FAILED, &ci->disks[i], c->disks[i].size, c->disks[i].fd);
	}
	return rc;
}

/* ---- step 2 -------------------------------------------------------------------------------- */

static int sync_folders(struct commit *c)
{
	char *pending = domu_state_path(c->stage->st, "pending", NULL, NULL), *slash;
	char *undo = c->seal.meta.undo_path != NULL ? strdup(c->seal.meta.undo_path) : NULL;
	int rc = pending == NULL || (c->seal.meta.undo_path != NULL && undo == NULL) ? domu_nomem(c->ctx) : 0;

	if (rc == 0 && undo != NULL) {
		slash = strrchr(undo, '/');
		slash[slash == undo ? 1 : 0] = '\0';
		rc = domu_sync_dir_of(c->ctx, undo);
	}
	if (rc == 0)
		rc = domu_sync_dir_of(c->ctx, c->stage->dir);
	if (rc == 0)
		rc = domu_sync_dir_of(c->ctx, pending);
	free(pending);
	free(undo);
	return rc;
}

/* An undo file of an earlier try at this very commit is ours to replace. */
static int make_undo(struct commit *c)
{
	struct domu_ctx quiet;
	int fd = -1;

	if (c->seal.meta.no_undo)
		return 0;
	domu_ctx_quiet(&quiet, c->ctx);
	if (c->seal.meta.undo_path != NULL && (domu_undo_open(&quiet, &c->seal.meta, c->stage->dir, &fd) == 0 ||
	                                       domu_undo_is_torn(c->seal.meta.undo_path)))
		c->ctx->io->unlink(c->seal.meta.undo_path);
	if (fd >= 0)
		close(fd);
	domu_error_clear(&quiet);
	c->undo_made = true;
	return domu_undo_create(c->ctx, &c->seal.meta, c->stage->dir, &c->undo_fd);
}

static bool is_written(const struct domu_seal *s, const struct domu_super *u)
{
	for (size_t i = 0; i < s->n_units; i++)
		if (s->units[i].disk == u->disk && s->units[i].unit >= u->offset / DOMU_UNIT &&
		    s->units[i].unit <= (u->offset + u->size - 1) / DOMU_UNIT)
			return true;
	return false;
}

/*
 * All were compared.  A commit rests on its blocks from here on; its undo, where it has no homes to go by, also on what
 * says that they are of the same volume or partition still.
 */
static void keep_layouts(struct domu_seal *s)
{
	struct domu_commit_info *ci = &s->meta.info;
	size_t n = 0;

	for (size_t i = 0; i < ci->n_supers; i++)
		if (ci->supers[i].layout && !is_written(s, &ci->supers[i]))
			ci->supers[n++] = ci->supers[i];
	ci->n_supers = n;
}

/* *empty: the stage would change nothing. */
static int keep_preimages(struct commit *c, bool *empty)
{
	struct domu_log_entry *entries = NULL;
	uint64_t end;
	size_t n = 0;
	int rc = domu_log_scan(c->ctx, c->stage->log_fd, &entries, &n, &end);

	*empty = false;
	if (rc == 0)
		rc = domu_room_check(c->stage->st, c->opts->undo_dir, c->seal.meta.no_undo, n);
	if (rc == 0)
		rc = make_undo(c);
	if (rc == 0)
		rc = domu_preimages_take(c->ctx, &c->seal, c->disks, c->stage->log_fd, entries, n, c->undo_fd);
	free(entries);
	if (rc == 0)
		keep_layouts(&c->seal);
	*empty = rc == 0 && c->seal.n_units == 0;
	return rc;
}

/* ---- doors ---------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
	const struct domu_door *x = a, *y = b;

	if (x->disk != y->disk)
		return x->disk < y->disk ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int bad_door(struct commit *c, const struct domu_door *d, const char *why)
{
	return domu_fail(c->ctx, DOMU_FAILED, -EINVAL, "%s: the door at byte %" PRIu64 " %s",
	                 d->disk < c->n_disks ? c->seal.meta.info.disks[d->disk].vdev : "?", d->offset, why);
}

/* The unit that the door lies in: its new image has the open door; a unit that is not staged keeps the old one. */
static int new_image(struct commit *c, struct domu_seal_door *d)
{
	struct domu_seal *s = &c->seal;
	uint8_t image[DOMU_UNIT];
	size_t lo = 0, hi = s->n_units;
	int rc;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct domu_seal_unit *u = &s->units[mid];

		if (u->disk < d->disk || (u->disk == d->disk && u->unit < d->offset / DOMU_UNIT))
			lo = mid + 1;
		else
			hi = mid;
	}
	memcpy(d->new_image, d->old_image, d->size);
	if (lo == s->n_units || s->units[lo].disk != d->disk || s->units[lo].unit != d->offset / DOMU_UNIT)
		return 0;
	rc = domu_image_new(c->ctx, s, lo, c->stage->log_fd, image);
	if (rc == 0)
		memcpy(d->new_image, image + d->offset % DOMU_UNIT, d->size);
	return rc;
}

static int make_door(struct commit *c, const struct domu_door *from, struct domu_seal_door *d)
{
	const struct domu_commit_info *ci = &c->seal.meta.info;
	char id[DOMU_ID_LEN + 1];
	int rc;

	if (from->disk >= c->n_disks || c->disks[from->disk].fd < 0 || from->fs == NULL ||
	    from->fs->door_close == NULL || from->size < DOMU_SECTOR || from->size > DOMU_UNIT ||
	    (from->size & (from->size - 1)) != 0 || from->offset % from->size != 0 ||
	    !domu_inside(from->offset, from->size, c->seal.sizes[from->disk]))
		return bad_door(c, from, "cannot be one");
	d->disk = from->disk;
	d->offset = from->offset;
	d->size = from->size;
	d->root = from->root;
	d->old_image = malloc(3 * (size_t)d->size);
	if (d->old_image == NULL)
		return domu_nomem(c->ctx);
	d->new_image = d->old_image + d->size;
	d->closed = d->new_image + d->size;
	rc = domu_disk_read(c->ctx, c->disks[d->disk].fd, ci->disks[d->disk].vdev, c->seal.sizes[d->disk], d->old_image,
	                    d->size, d->offset);
	if (rc == 0)
		rc = new_image(c, d);
	if (rc < 0)
		return rc;
	if (domu_door_is_closed(d->old_image, d->size, id))
		return domu_fail(c->ctx, DOMU_UNRECOVERED, -EBUSY,
		                 "%s: is closed by commit %s, which was cut short: domu-rescue recover %s",
		                 ci->disks[d->disk].vdev, id[0] != '\0' ? id : "(unknown)", domu_commit_guest(ci));
	if (domu_door_is_closed(d->new_image, d->size, id))
		return bad_door(c, from, "is closed in the stage");
	memcpy(d->closed, d->old_image, d->size);
	if (from->fs->door_close(d->closed, d->size, ci->id) < 0)
		return bad_door(c, from, "is not one of its file system");
	if (!domu_door_is_closed(d->closed, d->size, id) || strcmp(id, ci->id) != 0)
		return bad_door(c, from, "would not be known as closed");
	return 0;
}

static int make_doors(struct commit *c)
{
	struct domu_seal *s = &c->seal;
	struct domu_door *sorted;
	int rc = 0;

	if (c->n_doors > DOMU_MAX_DOORS)
		return domu_fail(c->ctx, DOMU_UNSUPPORTED, -E2BIG, "a commit closes at most %u file systems",
		                 DOMU_MAX_DOORS);
	sorted = calloc(c->n_doors + 1, sizeof *sorted);
	s->doors = calloc(c->n_doors + 1, sizeof *s->doors);
	if (sorted == NULL || s->doors == NULL) {
		free(sorted);
		return domu_nomem(c->ctx);
	}
	if (c->n_doors > 0)
		memcpy(sorted, c->doors, c->n_doors * sizeof *sorted);
	qsort(sorted, c->n_doors, sizeof *sorted, by_place);
	for (size_t i = 0; i < c->n_doors && rc == 0; i++) {
		if (i > 0 && sorted[i - 1].disk == sorted[i].disk &&
		    sorted[i - 1].offset + sorted[i - 1].size > sorted[i].offset)
			rc = bad_door(c, &sorted[i], "overlaps another");
		s->n_doors = i + 1;
		if (rc == 0)
			rc = make_door(c, &sorted[i], &s->doors[i]);
	}
	free(sorted);
	return rc;
}

/* ---- the last look ---------------------------------------------------------------------------- */

static int changed(struct commit *c, unsigned disk, uint64_t offset)
{
	const struct domu_identity *id = &c->seal.meta.info.disks[disk];

	return domu_fail(c->ctx, DOMU_FAILED, -ESTALE,
	                 "%s: block %" PRIu64 " (byte %" PRIu64
	                 " of %s) has changed while the commit was prepared: nothing was written",
	                 id->vdev, offset / DOMU_UNIT, offset, id->path);
}

/*
 * Whoever used a file system in between has changed its superblock; of a disk without a door every block is looked
 * at.
 */
static int look_again(struct commit *c)
{
	struct domu_seal *s = &c->seal;
	uint8_t now[DOMU_UNIT];
	bool skip = false;
	int rc = 0;

	domu_disks_forget(s, c->disks);
	for (size_t i = 0; i < s->n_doors && rc == 0; i++) {
		const struct domu_seal_door *d = &s->doors[i];

		rc = domu_disk_read(c->ctx, c->disks[d->disk].fd, s->meta.info.disks[d->disk].vdev, s->sizes[d->disk],
		                    now, d->size, d->offset);
		if (rc == 0 && memcmp(now, d->old_image, d->size) != 0)
			rc = changed(c, d->disk, d->offset);
	}
	for (size_t i = 0; i < s->n_units && rc == 0; i++) {
		const struct domu_seal_unit *u = &s->units[i];

		if (i == 0 || u->disk != u[-1].disk)
			skip = !domu_seal_is_bare(s, u->disk);
		if (skip)
			continue;
		rc = domu_disk_read(c->ctx, c->disks[u->disk].fd, s->meta.info.disks[u->disk].vdev, s->sizes[u->disk],
		                    now, DOMU_UNIT, u->unit * DOMU_UNIT);
		if (rc == 0 && domu_unit_crc(now) != u->old_crc)
			rc = changed(c, u->disk, u->unit * DOMU_UNIT);
	}
	return rc;
}

int domu_commit_hotplug(struct domu_ctx *ctx, const struct domu_commit_info *ci, int *fd)
{
	char what[200];

	snprintf(what, sizeof what, "commit %s of %s", ci->id, domu_commit_guest(ci));
	return domu_hotplug_lock(ctx, what, fd);
}

/* Xen's hotplug lock: no guest gets a disk attached while it is held. */
static int last_look(struct commit *c)
{
	struct domu_apply a = { c->ctx, &c->seal, c->disks, c->stage->log_fd, DOMU_ALL_DISKS };
	int rc = domu_commit_hotplug(c->ctx, &c->seal.meta.info, &c->hotplug_fd);

	if (rc == 0 && c->opts->recheck != NULL)
		rc = c->opts->recheck(c->opts->user);
	if (rc == 0)
		rc = look_again(c);
	/* The commit point is next: from there on Ctrl-C waits. */
	if (rc == 0 && domu_interrupted(c->ctx))
		rc = domu_fail(c->ctx, DOMU_DECLINED, -EINTR, "interrupted: nothing was written");
	/* Longer files: the first thing that anybody could see, and harmless where a cut leaves it alone. */
	return rc == 0 ? domu_apply_lengths(&a) : rc;
}

static void release_hotplug(struct commit *c)
{
	if (c->hotplug_fd >= 0)
		close(c->hotplug_fd);
	c->hotplug_fd = -1;
}

/* ---- the steps ----------------------------------------------------------------------------------- */

/* A seal whose write failed may be whole all the same: empty or deleted, and synced so, nobody takes it for one. */
static bool drop_seal(struct commit *c)
{
	const struct domu_io *io = c->ctx->io;
	bool empty = c->seal_written && io->ftruncate(c->seal_fd, 0) == 0 && io->fdatasync(c->seal_fd) == 0;
	bool gone = io->unlink(c->seal_path) == 0 && domu_sync_dir(io, c->stage->dir) == 0;

	return empty || gone || !c->seal_written;
}

/* Refused before the commit point: the stage is a stage as before. */
static int back_out(struct commit *c, int rc)
{
	char *undo = c->undo_made ? domu_undo_path(&c->seal.meta, c->stage->dir) : NULL;

	/* The empty seal is left: by it the next try knows that the log has to be written anew. */
	if (c->seal_made && !c->log_unsynced && !drop_seal(c))
		rc = domu_cut_short(c->ctx, &c->seal.meta.info, rc);
	else if (undo != NULL && c->undo_fd >= 0)
		c->ctx->io->unlink(undo);
	free(undo);
	return rc;
}

/* After a sync that failed it is a new file.  What is committed is whole: cut short, it is resumed as it is. */
static int settle_log(struct commit *c)
{
	int rc = access(c->seal_path, F_OK) == 0 ? domu_stage_rewrite_log(c->stage) : 0;

	return rc == 0 ? domu_stage_whole(c->stage) : rc;
}

static int prepare(struct commit *c, bool *empty)
{
	int rc;

	/*
	 * 1. The caller holds the disks' locks and the verdict; we, that of the
	 * stage.  The descriptors have to be the disks that were staged on.
	 * A cut leaves the disk old, and a stage.
	 */
	rc = describe(c);
	if (rc == 0)
		rc = check_disks(c);
	/*
	 * 2. Every block is compared with what the stage saw, and kept.  Log,
	 * undo file and the names of both, and of the seal that is still empty,
	 * are synced.  A cut leaves the disk old, and a stage with a useless
	 * undo file.
	 */
	if (rc == 0)
		rc = settle_log(c);
	if (rc == 0)
		rc = keep_preimages(c, empty);
	if (rc < 0 || *empty)
		return rc;
	rc = make_doors(c);
	if (rc == 0)
		rc = domu_seal_find_covered(c->ctx, &c->seal);
	if (rc == 0)
		rc = domu_preimages_reserve(c->ctx, &c->seal, c->disks);
	if (rc == 0) {
		c->seal_fd = c->ctx->io->open(c->seal_path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
		c->seal_made = c->seal_fd >= 0;
		if (!c->seal_made)
			rc = domu_fail(c->ctx, DOMU_FAILED, -errno, "%s: %s", c->seal_path, strerror(errno));
	}
	if (rc == 0)
		rc = domu_notes_settle(c->stage);
	if (rc == 0)
		rc = domu_fdatasync(c->ctx, c->stage->log_fd, "the stage's log");
	c->log_unsynced = c->seal_made && rc < 0;
	if (rc == 0 && c->undo_fd >= 0)
		rc = domu_fdatasync(c->ctx, c->undo_fd, "the undo file");
	if (rc == 0)
		rc = sync_folders(c);
	/* Without a door the seal is the commit point: the last look comes before it, and the lock stays to the end. */
	if (rc == 0 && c->seal.n_doors == 0)
		rc = last_look(c);
	/*
	 * 3. The seal: index, checksums, identity, doors.  A cut leaves the disk
	 * old, and a stage (the seal torn, or whole with the doors open); without
	 * doors a whole seal is applied by recover.
	 */
	c->seal_written = rc == 0;
	if (rc == 0)
		rc = domu_seal_write(c->ctx, c->seal_fd, &c->seal);
	if (rc == 0 && c->seal.n_doors > 0)
		rc = last_look(c);
	return rc;
}

static int carry_out(struct commit *c)
{
	struct domu_apply a = { c->ctx, &c->seal, c->disks, c->stage->log_fd, DOMU_ALL_DISKS };
	int rc;

	/*
	 * 4. The doors closed, root's first: the commit point.  A cut leaves
	 * doors open and the disk old, a stage again; or at least root's door
	 * closed, and recover goes on from here.
	 */
	rc = domu_apply_close_doors(&a);
	/*
	 * 5. Everything but the door sectors, in the order of the disk.  Disks
	 * without a door first: only the hotplug lock keeps guests off them.  A
	 * cut leaves some sectors old and some new behind closed doors: recover
	 * writes them all.
	 */
	a.which = DOMU_BARE_DISKS;
	if (rc == 0)
		rc = domu_apply_units(&a);
	release_hotplug(c);
	a.which = DOMU_CLOSED_DISKS;
	if (rc == 0 && c->seal.n_doors > 0)
		rc = domu_apply_units(&a);
	/*
	 * 6. The doors opened with their new sectors, root's last.  A cut leaves
	 * the disk new but for closed doors, root's among them, or new: recover
	 * opens them, or marks it.
	 */
	if (rc == 0)
		rc = domu_apply_open_doors(&a);
	/* 7. Marked applied.  A cut leaves the disk new: recover marks it, unless the guest has run by then. */
	if (rc == 0)
		rc = domu_seal_mark(c->ctx, c->seal_path, DOMU_MARK_APPLIED);
	return rc < 0 ? domu_cut_short(c->ctx, &c->seal.meta.info, rc) : 0;
}

/* The disk is new and marked so: what is left can be done later by anybody. */
static void move_to_history(struct commit *c)
{
	struct domu_ctx quiet;
	struct domu_state silent = *c->stage->st;

	domu_ctx_quiet(&quiet, c->ctx);
	silent.ctx = &quiet;
	c->seal.mark = DOMU_MARK_APPLIED;
	if (domu_state_finish(&silent, c->seal.meta.info.id, &c->seal) < 0)
		domu_say(c->ctx, DOMU_WARNING, "commit %s is done, but not in the history yet: %s",
		         c->seal.meta.info.id, quiet.error.message != NULL ? quiet.error.message : "");
	domu_error_clear(&quiet);
}

static int run(struct commit *c)
{
	struct domu_signals signals = { 0 };
	bool empty = false;
	int rc = prepare(c, &empty);

	if (rc < 0 || empty) {
		rc = back_out(c, rc);
		return rc < 0 ? rc : domu_pending_remove(c->stage->st, c->seal.meta.info.id);
	}
	domu_signals_hold(&signals);
	rc = carry_out(c);
	if (rc == 0)
		move_to_history(c);
	domu_signals_release(&signals);
	return rc;
}

int domu_commit(struct domu_stage *s, const struct domu_commit_disk *disks, size_t n_disks,
                const struct domu_door *doors, size_t n_doors, const struct domu_commit_opts *opts)
{
	static const struct domu_commit_opts none;
	struct commit c = {
		.stage = s,
		.ctx = s->st->ctx,
		.opts = opts != NULL ? opts : &none,
		.disks = disks,
		.n_disks = n_disks,
		.doors = doors,
		.n_doors = n_doors,
		.undo_fd = -1,
		.seal_fd = -1,
		.hotplug_fd = -1,
	};
	int rc;

	c.seal_path = domu_text("%s/seal", s->dir);
	rc = c.seal_path == NULL ? domu_nomem(c.ctx) : run(&c);
	release_hotplug(&c);
	if (c.undo_fd >= 0)
		c.ctx->io->close(c.undo_fd);
	if (c.seal_fd >= 0)
		c.ctx->io->close(c.seal_fd);
	domu_seal_free(&c.seal);
	free(c.seal_path);
	domu_stage_close(s);
	return rc;
}
