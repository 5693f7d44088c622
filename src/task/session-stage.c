/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-stage.c - the session's stage: lock and verdict before it, whole or absent changes in it. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "fence/work.h"
#include "task/session-impl.h"

static int need_state(struct domu_session *s)
{
	if (s->opts.state == NULL)
		return domu_fail(s->ctx, DOMU_FAILED, -ENOENT, "no state directory");
	return 0;
}

/* ---- lock and verdict -------------------------------------------------------- */

/* All disks or none: half a guest is of no use, and in somebody's way.  What is only read several guests may share. */
static int take_locks(struct domu_session *s,
                      int (*take)(struct domu_ctx *ctx, const char *state_dir, struct domu_backing *b))
{
	int rc = 0;

	for (size_t i = 0; i < s->n_backings && rc == 0; i++)
		if (!s->backings[i].disk->readonly)
			rc = take(s->ctx, domu_state_dir(s->opts.state), &s->backings[i]);
	for (size_t i = 0; i < s->n_backings && rc != 0; i++)
		domu_backing_unlock(&s->backings[i]);
	return rc;
}

/* A commit rests on what it keeps: that cannot be on the disk that it changes, whatever is waived. */
static int keep_off(struct domu_session *s, const char *what, const char *dir)
{
	bool holds = false;
	int rc = 0;

	for (size_t i = 0; i < s->n_backings && rc == 0; i++) {
		const struct domu_backing *b = &s->backings[i];

		if (b->disk->readonly)
			continue;
		rc = domu_backing_holds(s->ctx, b, dir, &holds);
		if (rc == 0 && holds)
			rc = domu_fail(s->ctx, DOMU_INUSE, -EBUSY,
			               "%s: the %s %s is on disk %s (%s), which is to be changed: nothing was "
			               "written; name another with --%s DIR",
			               domu_guest_shown(s->guest), what, dir, b->disk->vdev, b->path,
			               dir == s->opts.undo_dir ? "undo-dir" : "state-dir");
	}
	return rc;
}

static int verdict(struct domu_session *s, enum domu_verdict_depth depth)
{
	struct domu_verdict v;
	int rc = domu_verdict_make(s->ctx, s->guest, s->backings, s->n_backings, depth, s->opts.waive, &v);

	if (rc != 0)
		return rc;
	if (v.in_use)
		rc = domu_verdict_refuse(s->ctx, s->guest, &v);
	domu_verdict_free(&v);
	return rc;
}

int domu_session_lock(struct domu_session *s)
{
	int rc = need_state(s);

	if (rc == 0)
		rc = domu_session_untaken(s);
	if (rc == 0)
		rc = take_locks(s, domu_backing_lock);
	if (rc != 0 || s->locked)
		return rc;
	rc = verdict(s, DOMU_VERDICT_CHANGE);
	if (rc == 0)
		rc = keep_off(s, "state directory", domu_state_dir(s->opts.state));
	if (rc == 0 && s->opts.undo_dir != NULL)
		rc = keep_off(s, "folder for undo", s->opts.undo_dir);
	s->locked = rc == 0;
	s->vetted = s->vetted || rc == 0;
	return rc;
}

/* Only that we are there: whether the guest can be changed is asked when something is. */
void domu_session_announce(struct domu_session *s)
{
	if (take_locks(s, domu_backing_announce) == 0)
		return;
	/* A state directory that cannot be written was told before, and will be again. */
	if (domu_error_status(s->ctx) == DOMU_INUSE && s->ctx->error.message != NULL)
		s->held = strdup(s->ctx->error.message);
	domu_error_clear(s->ctx);
	/* Said once: not again before reading. */
	for (size_t i = 0; i < s->n_backings && s->held != NULL; i++)
		s->backings[i].state_dir = NULL;
}

/* A shell without a stage only reads, and its locks say so: that they can no longer say it is no failure. */
void domu_session_rest(struct domu_session *s)
{
	struct domu_error kept = s->ctx->error;

	if (!s->opts.announce || s->stage != NULL)
		return;
	memset(&s->ctx->error, 0, sizeof s->ctx->error);
	for (size_t i = 0; i < s->n_backings; i++)
		if (s->backings[i].lock_fd >= 0)
			domu_backing_announce(s->ctx, domu_state_dir(s->opts.state), &s->backings[i]);
	domu_error_clear(s->ctx);
	s->ctx->error = kept;
}

const char *domu_session_held(const struct domu_session *s)
{
	return s->held;
}

int domu_session_still_free(struct domu_session *s)
{
	return verdict(s, DOMU_VERDICT_CHANGE);
}

int domu_session_recheck(void *session)
{
	struct domu_session *s = session;
	int rc = verdict(s, DOMU_VERDICT_RECHECK);

	/* What was read while the commit was prepared may be from before a guest that came and went. */
	if (rc == 0)
		domu_session_forget_disks(s);
	return rc == 0 ? domu_session_check_supers(s) : rc;
}

/* ---- what is pending on these disks ------------------------------------------- */

int domu_session_pending(struct domu_session *s, enum domu_commit_state state, struct domu_commit_info **out,
                         size_t *n_out)
{
	struct domu_commit_info *all = NULL;
	size_t n_all = 0, n = 0;

	*out = NULL;
	*n_out = 0;
	if (s->opts.state == NULL)
		return 0;
	/* A stage of two disks is found by either of them, once. */
	for (size_t i = 0; i < s->n_backings && n == 0; i++) {
		int rc;

		/* On what this guest only reads it stages nothing, and its guests stage nothing of each other's. */
		if (state == DOMU_COMMIT_STAGED && s->backings[i].disk->readonly)
			continue;
		rc = domu_state_list_of(s->opts.state, s->guest->name, s->backings[i].path, true, &all, &n_all);
		if (rc != 0)
			return rc;
		for (size_t k = 0; k < n_all; k++) {
			if (all[k].state != state) {
				domu_commit_info_free(&all[k]);
				continue;
			}
			if (k != n) {
				all[n] = all[k];
				memset(&all[k], 0, sizeof all[k]);
			}
			n++;
		}
		if (n == 0)
			domu_state_list_free(all, 0);
	}
	if (n > 0) {
		*out = all;
		*n_out = n;
	}
	return 0;
}

int domu_session_find_stage(struct domu_session *s, struct domu_commit_info *ci)
{
	struct domu_commit_info *v;
	size_t n;
	int rc = domu_session_pending(s, DOMU_COMMIT_STAGED, &v, &n);

	memset(ci, 0, sizeof *ci);
	if (rc != 0 || n == 0)
		return rc;
	*ci = v[0];
	memset(&v[0], 0, sizeof v[0]);
	domu_state_list_free(v, n);
	/* A seal that was cut short leaves the doors open.  Behind a closed one it was damaged: this is no stage. */
	if (ci->torn)
		rc = domu_session_refuse_closed(s);
	if (rc != 0)
		domu_commit_info_free(ci);
	return rc;
}

/* What a stage calls this guest.  A nameless one is found again by its disk, from any folder. */
static const char *reference(const struct domu_session *s)
{
	return s->guest->name != NULL ? s->guest->name : s->backings[0].path;
}

static int refuse_stage(struct domu_session *s, const struct domu_commit_info *ci)
{
	const char *shown = domu_guest_shown(s->guest), *name = shown,
	           *owner = ci->owner != NULL ? ci->owner : "somebody";
	const char *command = ci->command != NULL ? ci->command : "";
	bool other = ci->guest != NULL && strcmp(ci->guest, reference(s)) != 0;
	char age[DOMU_AGE_TEXT];

	if (other)
		name = ci->guest;
	domu_age_format((int64_t)time(NULL) - ci->time, age);
	/* The shell that is told has the lock itself: elsewhere nothing could be done about it. */
	if (s->opts.announce && !other)
		return domu_fail(s->ctx, DOMU_INUSE, -EBUSY,
		                 "%s has a stage with changes by %s, %s old (%s, %.60s): begin offers to resume, keep "
		                 "or drop it",
		                 name, owner, age, ci->id, command);
	return domu_fail(s->ctx, DOMU_INUSE, -EBUSY,
	                 "%s%s%s%s has a stage with changes by %s, %s old (%s, %.60s): look with domu-rescue diff %s, "
	                 "then domu-rescue commit %s, domu-rescue rollback %s, or go on with domu-rescue shell %s",
	                 other ? shown : "", other ? " shares a disk with " : "", name, other ? ", which" : "", owner,
	                 age, ci->id, command, name, name, name, name);
}

/* An empty one that nobody has open: its shell was killed before a change was whole. */
static bool drop_if_empty(struct domu_session *s, const char *id)
{
	struct domu_stage *old;
	uint64_t blocks;

	if (domu_stage_resume(s->opts.state, id, &old) != 0) {
		domu_error_clear(s->ctx);
		return false;
	}
	if (domu_stage_blocks(old, &blocks) == 0 && blocks == 0)
		return domu_stage_drop(old) == 0;
	domu_error_clear(s->ctx);
	domu_stage_close(old);
	return false;
}

/* An earlier stage in the way is refused (DOMU_INUSE), an empty one that nobody has open dropped. */
static int clear_stage(struct domu_session *s)
{
	struct domu_commit_info ci;
	int rc;

	if (s->stage != NULL && !domu_session_dirty(s))
		domu_session_rollback(s);
	while ((rc = domu_session_find_stage(s, &ci)) == 0 && ci.id[0] != '\0') {
		if (!drop_if_empty(s, ci.id))
			rc = refuse_stage(s, &ci);
		domu_commit_info_free(&ci);
		if (rc != 0)
			break;
	}
	return rc;
}

/* ---- the stage ------------------------------------------------------------------ */

int domu_session_describe(struct domu_session *s, struct domu_commit_info *ci)
{
	char owner[80];
	int rc;

	domu_owner_name(owner, sizeof owner);
	memset(ci, 0, sizeof *ci);
	ci->guest = strdup(reference(s));
	ci->command = strdup(s->opts.command != NULL ? s->opts.command : "");
	ci->owner = strdup(owner);
	ci->owner_pid = getpid();
	ci->time = time(NULL);
	if (ci->guest == NULL || ci->command == NULL || ci->owner == NULL)
		return domu_nomem(s->ctx);
	rc = domu_session_identities(s, &ci->disks);
	ci->n_disks = rc == 0 ? s->n_backings : 0;
	return rc;
}

int domu_session_make_way(struct domu_session *s)
{
	unsigned n;
	int rc = domu_session_lock(s);

	if (rc == 0)
		rc = domu_session_recover(s, &n);
	return rc == 0 ? clear_stage(s) : rc;
}

static int begin(struct domu_session *s)
{
	struct domu_commit_info ci = { 0 };
	struct domu_nodes nodes = { 0 };
	int rc;

	if (s->opts.live)
		return domu_fail(s->ctx, DOMU_INUSE, -EBUSY, "%s is in use: with --live it can only be read",
		                 domu_guest_shown(s->guest));
	rc = domu_session_make_way(s);
	if (rc != 0)
		return rc;
	/* What the reader saw through its throw-away layer is seen anew through the stage, and nothing of it is old. */
	rc = domu_session_end_worker(s, false);
	domu_session_forget_disks(s);
	if (rc == 0)
		rc = domu_session_describe(s, &ci);
	if (rc == 0)
		rc = domu_stage_prepare(s->opts.state, &ci, &s->stage);
	/* By the worker that will make the changes: nothing is staged yet, so it sees the disks as they are. */
	if (rc == 0) {
		rc = domu_session_nodes(s, false, &nodes);
		if (rc == 0)
			rc = domu_session_note_supers(s, &nodes, &ci);
		if (rc == 0)
			rc = domu_stage_describe(s->stage, ci.supers, ci.n_supers);
		if (rc != 0)
			domu_session_rollback(s);
	}
	if (rc == 0)
		rc = domu_session_keep_supers(s);
	s->resumed = s->touched = false;
	if (rc == 0)
		rc = domu_stage_mark(s->stage, &s->mark);
	domu_nodes_free(&nodes);
	domu_commit_info_free(&ci);
	return rc;
}

int domu_session_begin(struct domu_session *s)
{
	int rc = s->stage != NULL ? 0 : begin(s);

	domu_session_rest(s);
	return rc;
}

static const int *disk_fds(const struct domu_session *s, int fds[DOMU_MAX_DISKS])
{
	for (size_t i = 0; i < s->n_backings; i++)
		fds[i] = s->backings[i].fd;
	return fds;
}

/* A log has the disks by index: only a guest with the same ones can work on it. */
static int refuse_disks(struct domu_session *s, const struct domu_commit_info *ci)
{
	char *why;
	int rc;

	if (ci->guest != NULL && strcmp(ci->guest, reference(s)) != 0) {
		domu_error_clear(s->ctx);
		return refuse_stage(s, ci);
	}
	why = s->ctx->error.message != NULL ? strdup(s->ctx->error.message) : NULL;
	domu_error_clear(s->ctx);
	rc = domu_fail(s->ctx, DOMU_FAILED, -ESTALE,
	               "%s; what is staged on %s can only be dropped: domu-rescue rollback %s",
	               why != NULL ? why : "other disks", domu_guest_shown(s->guest), domu_guest_shown(s->guest));
	free(why);
	return rc;
}

int domu_session_resume(struct domu_session *s, const struct domu_commit_info *ci)
{
	int fds[DOMU_MAX_DISKS];
	int rc = need_state(s);

	if (rc == 0)
		rc = domu_session_lock(s);
	if (rc == 0)
		rc = domu_session_end_worker(s, false);
	if (rc == 0)
		rc = domu_stage_resume(s->opts.state, ci->id, &s->stage);
	if (rc == 0 && domu_stage_disks(s->stage, disk_fds(s, fds), s->n_backings) != 0) {
		rc = refuse_disks(s, ci);
		domu_stage_close(s->stage);
		s->stage = NULL;
	}
	if (rc == 0)
		rc = domu_session_keep_supers(s);
	s->resumed = rc == 0;
	s->touched = false;
	return rc == 0 ? domu_stage_mark(s->stage, &s->mark) : rc;
}

int domu_session_fits(struct domu_session *s)
{
	const char *name = domu_guest_shown(s->guest);
	const struct domu_backing *b;
	int fds[DOMU_MAX_DISKS];
	struct domu_stage_fit fit;
	int rc;

	domu_session_forget_disks(s);
	rc = domu_stage_fit(s->stage, disk_fds(s, fds), s->n_backings, &fit);
	if (rc == 0 && fit.changed == 0)
		return domu_session_check_supers(s);
	if (rc != 0)
		return rc;
	b = &s->backings[fit.disk];
	rc = domu_fail(s->ctx, DOMU_FAILED, -ESTALE,
	               "%s has changed since: %" PRIu64 " of the %" PRIu64 " blocks staged, the first is block %" PRIu64
	               " of %s (byte %" PRIu64
	               " of %s). This stage cannot be committed; look with domu-rescue diff %s, drop it with "
	               "domu-rescue rollback %s",
	               name, fit.changed, fit.blocks, fit.unit, b->disk->vdev, fit.unit * DOMU_UNIT, b->path, name,
	               name);
	domu_error_where(s->ctx, b->disk->vdev, NULL);
	return rc;
}

int domu_session_discard(struct domu_session *s, const struct domu_commit_info *ci)
{
	return domu_stage_discard(s->opts.state, ci->id);
}

int domu_session_keep(struct domu_session *s)
{
	struct domu_stage *stage = s->stage;
	uint64_t blocks = 1;
	int rc;

	if (stage == NULL)
		return 0;
	rc = domu_session_end_worker(s, s->touched && !s->uncut);
	s->stage = NULL;
	domu_session_forget_supers(s);
	memset(s->view, 0, s->n_backings * sizeof *s->view);
	/* Who only looked leaves it as it was: neither a time in a superblock nor a journal's replay is a change. */
	if (rc == 0 && !s->touched)
		rc = domu_stage_cut(stage, s->mark);
	/* Where it ends in a change that failed, it is taken up at its last whole one. */
	if (rc == 0 && !s->uncut) {
		if (domu_stage_blocks(stage, &blocks) == 0 && blocks == 0)
			return domu_stage_drop(stage);
		rc = domu_stage_keep(stage);
	}
	s->uncut = false;
	domu_stage_close(stage);
	domu_session_rest(s);
	return rc;
}

bool domu_session_staging(struct domu_session *s)
{
	return s->stage != NULL;
}

int domu_session_flush(struct domu_session *s)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = { 0 };
	int rc;

	if (s->worker == NULL)
		return 0;
	domu_msg_put_str(&req, DOMU_OP_FLUSH);
	rc = domu_session_call(s, &req, &reply);
	domu_msg_free(&req);
	domu_msg_free(&reply);
	return rc;
}

int domu_session_staged(struct domu_session *s, uint64_t *blocks)
{
	int rc;

	*blocks = 0;
	if (s->stage == NULL)
		return 0;
	rc = domu_session_flush(s);
	return rc == 0 ? domu_stage_blocks(s->stage, blocks) : rc;
}

bool domu_session_dirty(struct domu_session *s)
{
	uint64_t blocks = 0;

	return s->stage != NULL && (domu_stage_blocks(s->stage, &blocks) != 0 || blocks > 0);
}

int domu_session_change_begin(struct domu_session *s)
{
	int rc;

	if (s->changing++ > 0)
		return 0;
	rc = domu_session_untaken(s);
	if (rc == 0)
		rc = domu_session_whole(s);
	if (rc == 0)
		rc = domu_session_flush(s);
	if (rc == 0)
		rc = domu_stage_mark(s->stage, &s->mark);
	s->touched = true;
	if (rc != 0)
		s->changing--;
	return rc;
}

int domu_session_room(struct domu_session *s, uint64_t bytes)
{
	uint64_t blocks = 0;
	int rc = s->stage != NULL ? domu_stage_blocks(s->stage, &blocks) : 0;

	return rc == 0 ? domu_stage_room(s->opts.state, s->opts.undo_dir, s->opts.no_undo, bytes, blocks) : rc;
}

/* A guest's filesystem may be full, too: this is about ours.  Asked before the stage is cut back, which makes room. */
static void explain_full(struct domu_session *s)
{
	const char *dir = domu_state_dir(s->opts.state);
	char used[DOMU_SIZE_TEXT], left[DOMU_SIZE_TEXT];
	uint64_t end = s->mark, available;

	if (!domu_state_full(s->opts.state, &available))
		return;
	domu_stage_mark(s->stage, &end);
	domu_size_format(end - s->mark, used);
	domu_size_format(available, left);
	domu_error_clear(s->ctx);
	domu_fail(s->ctx, DOMU_FAILED, -ENOSPC,
	          "%s is full: of this change %s were staged, and %s is left: nothing was written; make room there, or "
	          "keep it elsewhere with --state-dir DIR",
	          dir, used, left);
}

int domu_session_change_end(struct domu_session *s, int rc)
{
	if (--s->changing > 0)
		return rc;
	s->verified = false;
	if (rc == 0)
		rc = domu_session_flush(s);
	if (rc == 0)
		rc = domu_stage_whole(s->stage);
	if (rc != 0) {
		if (rc == -ENOSPC || s->ctx->error.err == -ENOSPC)
			explain_full(s);
		/* What the worker holds in memory belongs to the change that failed. */
		domu_session_end_worker(s, false);
		s->uncut = domu_stage_cut(s->stage, s->mark) != 0;
	}
	return rc;
}

int domu_session_whole(struct domu_session *s)
{
	int rc;

	if (!s->uncut)
		return 0;
	rc = domu_session_end_worker(s, false);
	if (rc == 0)
		rc = domu_stage_cut(s->stage, s->mark);
	s->uncut = rc != 0;
	return rc;
}

int domu_session_rollback(struct domu_session *s)
{
	struct domu_stage *stage = s->stage;
	int rc;

	if (stage == NULL)
		return 0;
	rc = domu_session_end_worker(s, false);
	s->stage = NULL;
	s->programs = false;
	memset(s->view, 0, s->n_backings * sizeof *s->view);
	domu_session_forget_supers(s);
	if (domu_stage_drop(stage) != 0)
		rc = -EIO;
	domu_session_dropped(s);
	domu_session_rest(s);
	return rc;
}
