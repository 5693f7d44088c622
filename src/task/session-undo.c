/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-undo.c - a session reverses a commit. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/session-impl.h"

static bool among(const struct domu_commit_info *v, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].id, id) == 0)
			return true;
	return false;
}

/* A commit of two disks is found by either of them, once; one of a bare disk by that. */
int domu_session_history(struct domu_session *s, struct domu_commit_info **out, size_t *n_out)
{
	struct domu_commit_info *all = NULL;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n_backings; i++) {
		struct domu_commit_info *v, *more;
		size_t k = 0, n_v;

		rc = domu_state_list_of(s->opts.state, s->guest->name, s->backings[i].path, false, &v, &n_v);
		if (rc != 0)
			break;
		more = realloc(all, (n + n_v + 1) * sizeof *more);
		all = more != NULL ? more : all;
		if (more == NULL)
			rc = domu_nomem(s->ctx);
		for (; rc == 0 && k < n_v; k++) {
			if (among(all, n, v[k].id))
				continue;
			all[n++] = v[k];
			memset(&v[k], 0, sizeof v[k]);
		}
		domu_state_list_free(v, n_v);
	}
	if (rc != 0) {
		domu_state_list_free(all, n);
		return rc;
	}
	if (n > 1)
		qsort(all, n, sizeof *all, domu_commit_newest_first);
	*out = all;
	*n_out = n;
	return 0;
}

/* older: one that could be undone, or NULL. */
static int not_kept(struct domu_session *s, const struct domu_commit_info *ci, const struct domu_commit_info *older)
{
	return domu_fail(
	    s->ctx, DOMU_FAILED, -EINVAL,
	    "commit %s (%s) cannot be undone: what it replaced was not kept, or is not there now (--no-undo, "
	    "or the folder of --undo-dir)%s%s%s%s",
	    ci->id, ci->command, older != NULL ? "; to undo an older one: domu-rescue undo " : "",
	    older != NULL ? domu_guest_shown(s->guest) : "", older != NULL ? " " : "", older != NULL ? older->id : "");
}

static int not_undoable(struct domu_session *s, const struct domu_commit_info *ci)
{
	const char *guest = domu_guest_shown(s->guest), *why;

	switch (ci->state) {
	case DOMU_COMMIT_UNDONE:
		why = "it was undone already";
		break;
	case DOMU_COMMIT_SUPERSEDED:
		why = "it was never written: the guest ran before it was finished";
		break;
	case DOMU_COMMIT_STAGED:
		return domu_fail(s->ctx, DOMU_FAILED, -EINVAL,
		                 "%s is a stage, which is not written yet: domu-rescue rollback %s drops it", ci->id,
		                 guest);
	case DOMU_COMMIT_INTERRUPTED:
		return domu_fail(s->ctx, DOMU_UNRECOVERED, -EBUSY, "commit %s was cut short: domu-rescue recover %s",
		                 ci->id, guest);
	default:
		return not_kept(s, ci, NULL);
	}
	return domu_fail(s->ctx, DOMU_FAILED, -EINVAL, "commit %s cannot be undone: %s", ci->id, why);
}

/* Without an ID the newest is meant: an older one in its place would be a surprise, so that has to be named. */
static int newest_undoable(struct domu_session *s, const struct domu_commit_info *v, size_t n, size_t *found)
{
	const struct domu_commit_info *newest = NULL;

	for (size_t i = 0; i < n; i++) {
		if (v[i].state != DOMU_COMMIT_COMMITTED)
			continue;
		if (newest != NULL && v[i].undoable)
			return not_kept(s, newest, &v[i]);
		if (newest == NULL)
			newest = &v[i];
		*found = i;
		if (newest->undoable)
			return 0;
	}
	return newest != NULL ? not_kept(s, newest, NULL) : -ENOENT;
}

int domu_session_find_undoable(struct domu_session *s, const char *id, struct domu_commit_info *ci)
{
	struct domu_commit_info *v;
	size_t n, found = 0;
	int rc = domu_session_history(s, &v, &n);

	if (rc != 0)
		return rc;
	if (id == NULL)
		rc = newest_undoable(s, v, n, &found);
	else {
		while (found < n && strcmp(v[found].id, id) != 0)
			found++;
		rc = found == n ? -ENOENT : v[found].undoable ? 0 : not_undoable(s, &v[found]);
	}
	if (rc == 0) {
		*ci = v[found];
		memset(&v[found], 0, sizeof v[found]);
	}
	domu_state_list_free(v, n);
	if (rc == -ENOENT && id != NULL)
		domu_fail(s->ctx, DOMU_NOTFOUND, rc, "%s has no commit %s: domu-rescue history %s shows them",
		          domu_guest_shown(s->guest), id, domu_guest_shown(s->guest));
	else if (rc == -ENOENT)
		domu_fail(s->ctx, DOMU_NOTFOUND, rc, "%s has no commit to undo", domu_guest_shown(s->guest));
	return rc;
}

/* Of each node whether the stage has the sector with its superblock. */
static int find_supers(struct domu_session *s, const struct domu_nodes *nodes, bool **out)
{
	struct domu_nodes sectors = { .v = calloc(nodes->n + 1, sizeof *sectors.v), .n = nodes->n };
	unsigned disk;
	uint64_t offset;
	uint32_t size;
	int rc;

	if (sectors.v == NULL)
		return domu_nomem(s->ctx);
	for (size_t i = 0; i < nodes->n; i++)
		if (domu_session_door_sector(s, &nodes->v[i], &disk, &offset, &size))
			sectors.v[i] = (struct domu_node){ .disk = disk, .start = offset, .size = size };
	rc = domu_session_touched(s, &sectors, out);
	free(sectors.v);
	return rc;
}

/*
 * Of a guest that crashed, the journal may have newer content of blocks that are still as the commit left them, and a
 * replay would put that over some of what the undo puts back.  Where the commit wrote the superblock, which was
 * compared, no kernel has mounted it since: the journal is the one that was there.
 */
static int check_journals(struct domu_session *s, const char *id, const struct domu_nodes *nodes)
{
	bool *touched = NULL, *supers = NULL;
	int rc = domu_session_touched(s, nodes, &touched);

	if (rc == 0)
		rc = find_supers(s, nodes, &supers);
	for (size_t i = 0; rc == 0 && i < nodes->n; i++)
		if (touched[i] && nodes->v[i].probe.needs_replay && !supers[i])
			rc =
			    domu_fail(s->ctx, DOMU_FAILED, -ESTALE,
			              "commit %s cannot be undone: the journal of %s has what the guest did since, and "
			              "would be replayed over it: nothing was written",
			              id, nodes->v[i].name);
	free(touched);
	free(supers);
	return rc;
}

/* What the undo rests on is what there is now: that it lies where it lay is looked at by who makes the stage. */
static int stage(struct domu_session *s, const struct domu_commit_info *old)
{
	struct domu_commit_disk mine[DOMU_MAX_DISKS], disks[DOMU_MAX_DISKS];
	struct domu_commit_info ci = { 0 };
	struct domu_nodes nodes = { 0 };
	int rc;

	for (size_t i = 0; i < s->n_backings; i++)
		mine[i].fd = -1;
	rc = domu_session_open_rw(s, mine);
	if (rc == 0)
		rc = domu_session_match_disks(s, old, mine, false, disks);
	if (rc == 0)
		rc = domu_session_describe(s, &ci);
	domu_session_forget_disks(s);
	if (rc == 0)
		rc = domu_session_look(s, false, &nodes);
	if (rc == 0)
		rc = domu_session_note_supers(s, &nodes, &ci);
	if (rc == 0)
		rc = domu_undo_stage(s->opts.state, old->id, disks, old->n_disks, &ci, &nodes, &s->stage);
	if (rc == 0)
		rc = domu_session_keep_supers(s);
	if (rc == 0)
		rc = check_journals(s, old->id, &nodes);
	domu_session_close_rw(s, mine);
	domu_commit_info_free(&ci);
	domu_nodes_free(&nodes);
	return rc;
}

int domu_session_undo(struct domu_session *s, const char *id, char done[DOMU_ID_LEN + 1], char undone[DOMU_ID_LEN + 1])
{
	struct domu_commit_info old = { 0 };
	struct domu_nodes nodes = { 0 };
	bool stale = false;
	int rc = domu_session_ask_no_undo(s);

	if (rc == 0)
		rc = domu_session_make_way(s);
	if (rc == 0)
		rc = domu_session_find_undoable(s, id, &old);
	if (rc == 0)
		rc = domu_stage_room(s->opts.state, s->opts.undo_dir, s->opts.no_undo, old.blocks * DOMU_UNIT, 0);
	if (rc == 0) {
		rc = stage(s, &old);
		stale = rc == -ESTALE;
	}
	if (rc == 0)
		rc = domu_session_look(s, true, &nodes);
	/* A repair is undone whole, and so is its undo. */
	if (rc == 0 && domu_history_has_files(s->opts.state, old.id))
		rc = domu_session_record_files(s, &nodes);
	if (rc == 0) {
		snprintf(done, DOMU_ID_LEN + 1, "%s", domu_stage_info(s->stage)->id);
		snprintf(undone, DOMU_ID_LEN + 1, "%s", old.id);
		rc = domu_session_write_stage(s, &nodes, old.id);
	}
	if (rc != 0 && s->stage != NULL)
		domu_session_rollback(s);
	if (stale)
		domu_session_explain_stale(s, old.id);
	domu_commit_info_free(&old);
	domu_nodes_free(&nodes);
	return rc;
}
