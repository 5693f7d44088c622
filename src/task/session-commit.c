/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-commit.c - a session commits its stage: writable disks, doors, and the questions before it. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/num.h"
#include "task/session-impl.h"

/* ---- writable descriptors ------------------------------------------------------- */

int domu_session_open_rw(struct domu_session *s, struct domu_commit_disk *disks)
{
	for (size_t i = 0; i < s->n_backings; i++) {
		const struct domu_backing *b = &s->backings[i];

		disks[i] = (struct domu_commit_disk){ .fd = -1, .size = s->view[i] != 0 ? s->view[i] : b->size };
	}
	for (size_t i = 0; i < s->n_backings; i++) {
		if (s->backings[i].disk->readonly)
			continue;
		disks[i].fd = domu_backing_open_rw(s->ctx, &s->backings[i]);
		if (disks[i].fd < 0)
			return disks[i].fd;
	}
	return 0;
}

void domu_session_close_rw(struct domu_session *s, struct domu_commit_disk *disks)
{
	for (size_t i = 0; i < s->n_backings; i++)
		if (disks[i].fd >= 0)
			close(disks[i].fd);
}

/* ---- doors ------------------------------------------------------------------------ */

/* Is a unit of [start, start+size) of the disk among the entries? */
static bool overlaps(unsigned disk, uint64_t start, uint64_t size, const struct domu_log_entry *e, size_t n_entries)
{
	uint64_t first = start / DOMU_UNIT, last = (start + size - 1) / DOMU_UNIT;
	size_t lo = 0, hi = n_entries;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (e[mid].disk < disk || (e[mid].disk == disk && e[mid].unit < first))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n_entries && e[lo].disk == disk && e[lo].unit <= last;
}

static bool is_touched(const struct domu_node *n, const struct domu_log_entry *e, size_t n_entries)
{
	const struct domu_lv_map *m = n->map;

	if (n->size == 0 || n->extended)
		return false;
	/* One whose pieces are not told is never written. */
	if (m == NULL)
		return !n->scattered && overlaps(n->disk, n->start, n->size, e, n_entries);
	for (size_t i = 0; i < m->n_pieces; i++)
		for (unsigned k = 0; k < m->pieces[i].legs; k++) {
			const struct domu_lv_leg *leg = &m->legs[m->pieces[i].first + k];

			if (overlaps(leg->disk, leg->at, m->pieces[i].len / m->pieces[i].legs, e, n_entries))
				return true;
		}
	return false;
}

/* A door is there only when the disk itself, not the stage, has this filesystem now. */
static int door_on_disk(struct domu_session *s, const struct domu_door *d)
{
	const struct domu_backing *b = &s->backings[d->disk];
	off_t end = lseek(b->fd, 0, SEEK_END);
	unsigned char sector[DOMU_UNIT];
	int rc = end < 0 ? -errno : 0;

	/* Where the stage makes the disk longer there is none yet. */
	if (d->size > sizeof sector || (rc == 0 && !domu_inside(d->offset, d->size, (uint64_t)end)))
		return 0;
	if (rc == 0)
		rc = domu_pread_full(b->fd, sector, d->size, d->offset);
	if (rc < 0)
		return domu_fail(s->ctx, DOMU_FAILED, -EIO,
		                 "%s: cannot be read at byte %" PRIu64 ": %s: nothing was written", b->path, d->offset,
		                 strerror(-rc));
	return d->fs->door_close(sector, d->size, "") == 0;
}

int domu_session_touched(struct domu_session *s, const struct domu_nodes *nodes, bool **out)
{
	struct domu_log_entry *entries = NULL;
	size_t n_entries = 0;
	uint64_t end;
	bool *v;
	int rc;

	rc = domu_log_scan(s->ctx, domu_stage_log_fd(s->stage), &entries, &n_entries, &end);
	if (rc != 0)
		return rc;
	v = calloc(nodes->n + 1, sizeof *v);
	for (size_t i = 0; v != NULL && i < nodes->n; i++)
		v[i] = is_touched(&nodes->v[i], entries, n_entries);
	free(entries);
	*out = v;
	return v != NULL ? 0 : domu_nomem(s->ctx);
}

/* What has to be closed: what changes, and the root, without which no guest boots as long as anything is half done. */
static bool wants_door(const struct domu_session *s, const struct domu_node *n, bool touched)
{
	return touched || (n->root && !s->backings[n->disk].disk->readonly);
}

/* Known for a node of which it is told where it lies, in one part of a disk. */
bool domu_session_door_sector(const struct domu_session *s, const struct domu_node *n, unsigned *disk, uint64_t *offset,
                              uint32_t *size)
{
	const struct domu_place place = domu_node_place(n);

	if (!n->probe.has_door || (n->scattered && n->map == NULL))
		return false;
	/* The largest sector is the volume's, as it is the kernel's. */
	*size = s->backings[n->disk].sector_size;
	for (size_t i = 0; n->map != NULL && i < n->map->n_legs; i++)
		if (s->backings[n->map->legs[i].disk].sector_size > *size)
			*size = s->backings[n->map->legs[i].disk].sector_size;
	return domu_place_find(&place, n->probe.door, *size, disk, offset);
}

/* The doors of those filesystems; nodes come from the worker and were checked. */
int domu_session_find_doors(struct domu_session *s, const struct domu_nodes *nodes, struct domu_door **out,
                            size_t *n_out)
{
	struct domu_door *doors = calloc(nodes->n + 1, sizeof *doors);
	bool *touched = NULL;
	size_t n = 0;
	int rc;

	if (doors == NULL)
		return domu_nomem(s->ctx);
	rc = domu_session_touched(s, nodes, &touched);
	for (size_t i = 0; rc == 0 && i < nodes->n; i++) {
		const struct domu_node *node = &nodes->v[i];
		const struct domu_fs_ops *fs = domu_fs_driver(node->probe.type);
		struct domu_door d = { .fs = fs, .root = node->root };

		if (!wants_door(s, node, touched[i]) || fs == NULL || fs->door_close == NULL ||
		    !domu_session_door_sector(s, node, &d.disk, &d.offset, &d.size))
			continue;
		rc = door_on_disk(s, &d);
		if (rc > 0) {
			doors[n++] = d;
			rc = 0;
		}
	}
	free(touched);
	if (rc != 0) {
		free(doors);
		return rc;
	}
	*out = doors;
	*n_out = n;
	return 0;
}

/* ---- commit ------------------------------------------------------------------------- */

static char *join_waived(struct domu_session *s)
{
	char *out = NULL;
	size_t len = 0;
	FILE *f;

	if (s->opts.waive == NULL || s->opts.waive[0] == NULL)
		return NULL;
	f = open_memstream(&out, &len);
	if (f == NULL)
		return NULL;
	for (size_t i = 0; s->opts.waive[i] != NULL; i++)
		fprintf(f, "%s%s", i > 0 ? "," : "", s->opts.waive[i]);
	fclose(f);
	return out;
}

int domu_session_ask_no_undo(struct domu_session *s)
{
	if (!s->opts.no_undo ||
	    domu_ask(s->ctx, "commit without keeping what is replaced, so that it cannot be undone?") == 1)
		return 0;
	return domu_fail(s->ctx, DOMU_DECLINED, -ECANCELED,
	                 "nothing was written: a commit without undo needs a yes (--yes)");
}

int domu_session_commit_room(struct domu_session *s)
{
	uint64_t blocks = 0;
	int rc = domu_stage_blocks(s->stage, &blocks);

	return rc == 0 && !s->opts.no_undo ? domu_commit_room(s->opts.state, s->opts.undo_dir, blocks) : rc;
}

/* The commit is done: whatever goes wrong here is worth a warning and no more. */
static void shorten_history(struct domu_session *s)
{
	const struct domu_retain *limits = s->opts.retain;

	/* Limits that nobody has read are none. */
	if (limits == NULL || limits->count == 0 || domu_state_retain(s->opts.state, limits) == 0)
		return;
	domu_say(s->ctx, DOMU_WARNING, "the history could not be shortened: %s",
	         s->ctx->error.message != NULL ? s->ctx->error.message : "");
	domu_error_clear(s->ctx);
}

static int write_stage(struct domu_session *s, const struct domu_commit_disk *disks, const struct domu_door *doors,
                       size_t n_doors, const struct domu_commit_opts *o)
{
	struct domu_stage *stage = s->stage;
	char id[DOMU_ID_LEN + 1];
	int rc;

	snprintf(id, sizeof id, "%s", domu_stage_info(stage)->id);
	s->stage = NULL;
	rc = domu_commit(stage, disks, s->n_backings, doors, n_doors, o);
	if (rc != 0 && domu_error_status(s->ctx) != DOMU_UNRECOVERED)
		domu_stage_resume(s->opts.state, id, &s->stage);
	/* Where a disk fails, the stage may be less than what was checked. */
	s->verified = s->verified && rc == 0;
	if (s->stage == NULL) {
		memset(s->view, 0, s->n_backings * sizeof *s->view);
		s->programs = false;
		domu_session_forget_supers(s);
	}
	return rc;
}

int domu_session_write_stage(struct domu_session *s, const struct domu_nodes *nodes, const char *undoes)
{
	struct domu_commit_disk disks[DOMU_MAX_DISKS];
	struct domu_commit_opts o = {
		.command = s->opts.command,
		.undoes = undoes,
		.no_undo = s->opts.no_undo,
		.undo_dir = s->opts.undo_dir,
		.recheck = domu_session_recheck,
		.user = s,
	};
	char *waived = join_waived(s);
	struct domu_door *doors = NULL;
	struct domu_home *homes = NULL;
	size_t n_doors = 0;
	int rc;

	for (size_t i = 0; i < s->n_backings; i++)
		disks[i].fd = -1;
	rc = domu_session_find_doors(s, nodes, &doors, &n_doors);
	if (rc == 0)
		rc = domu_session_homes(s, nodes, &homes, &o.n_homes);
	if (rc == 0)
		rc = domu_session_commit_room(s);
	if (rc == 0)
		rc = domu_session_open_rw(s, disks);
	o.waived = waived;
	o.homes = homes;
	if (rc == 0)
		rc = write_stage(s, disks, doors, n_doors, &o);
	domu_session_close_rw(s, disks);
	domu_homes_free(homes, o.n_homes);
	free(doors);
	free(waived);
	if (rc == 0)
		shorten_history(s);
	return rc;
}

/* A disk that is to be longer than its backing is compared when the commit has made it so. */
static bool grown(const struct domu_session *s)
{
	for (size_t i = 0; i < s->n_backings; i++)
		if (s->view[i] != 0)
			return true;
	return false;
}

int domu_session_commit(struct domu_session *s, char id[DOMU_ID_LEN + 1])
{
	struct domu_nodes nodes = { 0 };
	int rc, r;

	if (id != NULL)
		id[0] = '\0';
	if (s->stage == NULL)
		return 0;
	rc = domu_session_whole(s);
	if (rc == 0)
		rc = domu_session_flush(s);
	if (rc == 0 && !domu_session_dirty(s))
		return domu_session_rollback(s);
	if (rc == 0)
		rc = domu_session_ask_no_undo(s);
	if (rc == 0)
		rc = domu_session_retake(s);
	if (rc == 0)
		rc = domu_session_lock(s);
	if (rc == 0)
		rc = domu_session_still_free(s);
	domu_session_forget_disks(s);
	/* A guest that ran meanwhile is told as such, and not as what a checker makes of the mixture. */
	if (rc == 0 && (s->resumed || s->opts.announce) && !grown(s))
		rc = domu_session_fits(s);
	if (rc == 0)
		rc = domu_session_check_supers(s);
	/* An appliance takes long to start: while it lives, it is asked rather than another. */
	if (rc == 0)
		rc = domu_session_in_appliance(s) ? domu_session_nodes(s, true, &nodes)
		                                  : domu_session_look(s, true, &nodes);
	if (rc == 0 && !s->verified)
		rc = domu_session_verify(s, &nodes);
	if (rc == 0)
		rc = domu_session_record_files(s, &nodes);
	/* Nobody writes the log from here on. */
	r = domu_session_end_worker(s, rc == 0);
	if (rc == 0)
		rc = r;
	if (rc == 0) {
		if (id != NULL)
			snprintf(id, DOMU_ID_LEN + 1, "%s", domu_stage_info(s->stage)->id);
		rc = domu_session_write_stage(s, &nodes, NULL);
	}
	domu_session_rest(s);
	domu_nodes_free(&nodes);
	return rc;
}
