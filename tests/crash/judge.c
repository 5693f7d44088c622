/* SPDX-License-Identifier: GPL-3.0-or-later */
/* judge.c - a state that a power cut left: what it is, what recover makes of it, and what a guest may do before. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash.h"
#include "set.h"

struct tally tally;
unsigned violations;

static struct set undone, staged; /* what was tried already, by content */

bool violation(const struct visit *v, const char *fmt, ...)
{
	va_list ap;

	violations++;
	printf("# %s: %s: ", v->w->name, v->where);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	return false;
}

/* ---- the program --------------------------------------------------------------------- */

void rig_open(struct rig *r, const struct workload *w)
{
	char *state = world_path("state");

	memset(r, 0, sizeof *r);
	domu_ctx_init(&r->ctx);
	r->ctx.io = &world_io;
	domu_state_open(&r->ctx, state, false, &r->st);
	for (unsigned i = 0; i < w->n_disks; i++) {
		char *path = text("%s/w/disk%u", world.dir, i);

		r->fd[i] = open(path, O_RDWR | O_CLOEXEC);
		if (r->fd[i] < 0)
			bail("%s: %s", path, strerror(errno));
		r->disks[i] = (struct domu_commit_disk){ .fd = r->fd[i], .size = world.act.v[world.disk[i]].size };
		free(path);
	}
	free(state);
}

void rig_close(struct rig *r)
{
	domu_state_close(r->st);
	domu_ctx_free(&r->ctx);
	for (unsigned i = 0; i < world.n_disks; i++)
		close(r->fd[i]);
}

static const char *why(const struct rig *r)
{
	return r->ctx.error.message != NULL ? r->ctx.error.message : "no reason given";
}

static void describe(struct rig *r, const struct workload *w, struct domu_commit_info *info,
                     struct domu_identity ids[DISKS])
{
	*info = (struct domu_commit_info){ .guest = (char *)"web1",
		                           .command = (char *)w->name,
		                           .owner = (char *)"root@hvc0",
		                           .time = 1700000000,
		                           .disks = ids,
		                           .n_disks = w->n_disks };
	for (unsigned i = 0; i < w->n_disks; i++) {
		char *path = text("%s/w/disk%u", world.dir, i);

		if (domu_identity_make(&r->ctx, r->fd[i], path, i == 0 ? "xvda" : "xvdb", &ids[i]) < 0)
			bail("%s", why(r));
		free(path);
	}
}

static int commit(struct rig *r, const struct workload *w, struct domu_stage *s, const char *undoes)
{
	char *undo_dir = world_path("undo");
	/* All of both disks: see make_volume(). */
	static char pieces[] = "1024@0:0;1024@1:0";
	const struct domu_home home = { .name = "vg/root", .lv = "x", .map = pieces };
	struct domu_commit_opts opts = { .no_undo = w->no_undo,
		                         .homes = &home,
		                         .n_homes = w->volume,
		                         .undo_dir = w->undo_dir ? undo_dir : NULL,
		                         .undoes = undoes };
	int rc;

	for (unsigned i = 0; i < w->n_disks; i++)
		r->disks[i].size = w->new[i].size > r->disks[i].size ? w->new[i].size : r->disks[i].size;
	rc = domu_commit(s, r->disks, w->n_disks, w->door, w->n_doors, &opts);
	free(undo_dir);
	return rc;
}

static int fill(struct rig *r, struct domu_stage *s, unsigned disk, const struct image *to)
{
	const struct inode *is = &world.act.v[world.disk[disk]];
	struct domu_block *raw = NULL, *top = NULL;
	int rc = domu_raw_open(&r->ctx, r->fd[disk], "xvda", to->size, 0, &raw);

	if (rc == 0)
		rc = domu_overlay_open(&r->ctx, raw, domu_stage_log_fd(s), disk, false, &top);
	for (uint64_t at = 0; at < to->size && rc == 0; at += DOMU_UNIT) {
		size_t len = to->size - at < DOMU_UNIT ? (size_t)(to->size - at) : DOMU_UNIT;

		if (at + len > is->size || memcmp(is->data + at, to->data + at, len) != 0)
			rc = domu_block_pwrite(top, to->data + at, len, at);
	}
	domu_block_close(top);
	domu_block_close(raw);
	return rc;
}

int rig_stage(struct rig *r, const struct workload *w, const struct image *to)
{
	struct domu_identity ids[DISKS];
	struct domu_commit_info info;
	struct domu_stage *s;
	int rc;

	describe(r, w, &info, ids);
	rc = domu_stage_create(r->st, &info, &s);
	for (unsigned i = 0; i < w->n_disks; i++)
		domu_identity_free(&ids[i]);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < w->n_disks && rc == 0; i++)
		rc = fill(r, s, i, &to[i]);
	if (rc == 0)
		return commit(r, w, s, NULL);
	domu_stage_drop(s);
	return rc;
}

int rig_undo(struct rig *r, const struct workload *w, const char *id)
{
	struct domu_identity ids[DISKS];
	struct domu_commit_info info;
	struct domu_stage *s;
	int rc;

	describe(r, w, &info, ids);
	rc = domu_undo_stage(r->st, id, r->disks, w->n_disks, &info, NULL, &s);
	for (unsigned i = 0; i < w->n_disks; i++)
		domu_identity_free(&ids[i]);
	return rc < 0 ? rc : commit(r, w, s, id);
}

bool rig_newest(struct rig *r, char id[DOMU_ID_LEN + 1])
{
	struct domu_commit_info *v;
	bool found = false;
	size_t n;

	if (domu_state_list(r->st, NULL, false, &v, &n) < 0)
		bail("%s", why(r));
	for (size_t i = 0; i < n && !found; i++) {
		found = v[i].undoable;
		if (found)
			memcpy(id, v[i].id, DOMU_ID_LEN + 1);
	}
	domu_state_list_free(v, n);
	return found;
}

/* All that is due; *n how many, *result of the last. */
static int recover(struct rig *r, const struct workload *w, unsigned *n, enum domu_recover_result *result)
{
	struct domu_commit_info *v = NULL;
	size_t count = 0;
	int rc = r->st != NULL ? domu_state_list(r->st, NULL, true, &v, &count) : -EIO;

	*n = 0;
	for (size_t i = count; i-- > 0 && rc == 0;) {
		if (v[i].state != DOMU_COMMIT_INTERRUPTED)
			continue;
		++*n;
		rc = domu_recover(r->st, v[i].id, r->disks, w->n_disks, NULL, NULL, result);
	}
	domu_state_list_free(v, count);
	return rc;
}

int rig_retry(struct rig *r, const struct workload *w)
{
	enum domu_recover_result result;
	struct domu_commit_info *v = NULL;
	struct domu_stage *s;
	unsigned n;
	size_t count = 0;
	int rc = recover(r, w, &n, &result), tried = 0;

	if (rc == 0)
		rc = domu_state_list(r->st, NULL, true, &v, &count);
	for (size_t i = 0; i < count && rc == 0 && tried == 0; i++) {
		rc = domu_stage_resume(r->st, v[i].id, &s);
		if (rc == 0) {
			rc = domu_stage_settle(s);
			if (rc == 0)
				rc = commit(r, w, s, v[i].undoes);
			else
				domu_stage_close(s);
		}
		tried = 1;
	}
	domu_state_list_free(v, count);
	return rc < 0 ? rc : tried;
}

/* ---- what a disk holds ------------------------------------------------------------------- */

static enum content content(const struct workload *w, const struct model *m)
{
	bool is_old = true, is_new = true;

	for (unsigned i = 0; i < w->n_disks; i++) {
		is_old = is_old && is_image(&m->v[world.disk[i]], &w->old[i]);
		is_new =
		    is_new && is_image(&m->v[world.disk[i]], &w->new[i]) && m->v[world.disk[i]].size >= w->new[i].size;
	}
	return is_new ? CONTENT_NEW : (is_old ? CONTENT_OLD : CONTENT_MIXED);
}

static bool root_is_closed(const struct workload *w, const struct model *m)
{
	char id[DOMU_ID_LEN + 1];

	return w->doors && domu_door_is_closed(m->v[world.disk[0]].data + w->root + 1024, SECTOR, id);
}

/* ---- after recover -------------------------------------------------------------------------- */

/* True: the folders hold what belongs there when nothing is under way. */
static bool is_tidy(const struct model *m, const char **left)
{
	int state = model_find(m, ROOT, "state"), pending = state < 0 ? -1 : model_find(m, state, "pending");
	int history = state < 0 ? -1 : model_find(m, state, "history");

	*left = pending >= 0 && m->v[pending].n_entries > 0 ? m->v[pending].entries[0].name : NULL;
	for (size_t i = 0; *left == NULL && history >= 0 && i < m->v[history].n_entries; i++) {
		const struct inode *d = &m->v[m->v[history].entries[i].inode];

		for (size_t k = 0; k < d->n_entries; k++)
			if (strcmp(d->entries[k].name, "seal") != 0 && strcmp(d->entries[k].name, "undo") != 0 &&
			    strcmp(d->entries[k].name, "undone") != 0)
				*left = d->entries[k].name;
	}
	return *left == NULL;
}

/*
 * A stage that is there again can be committed or dropped, and then nothing of
 * it is left.  What was not synced may be gone from it: then all of it is.
 */
static bool try_stage(const struct visit *v, bool whole)
{
	struct domu_commit_info *list;
	struct domu_stage *s;
	const char *left;
	bool drop = tally.staged++ % 2 == 0, good = true;
	enum content c;
	struct rig r;
	size_t n, found = 0;
	int rc = 0;

	rig_open(&r, v->w);
	if (domu_state_list(r.st, NULL, true, &list, &n) < 0)
		return violation(v, "the list fails: %s", why(&r));
	for (size_t i = 0; i < n && good; i++) {
		found++;
		if (domu_stage_resume(r.st, list[i].id, &s) < 0)
			good = violation(v, "the stage cannot be resumed: %s", why(&r));
		else if (drop)
			good = domu_stage_drop(s) == 0 || violation(v, "the stage cannot be dropped: %s", why(&r));
		else if (domu_stage_settle(s) < 0)
			good = violation(v, "the stage cannot be settled: %s", why(&r));
		else
			rc = commit(&r, v->w, s, list[i].undoes);
		/* What is left of one that was never synced may be damaged: then it can only be dropped. */
		if (good && rc == -EBADMSG && !whole && (drop = true) && domu_stage_resume(r.st, list[i].id, &s) == 0)
			good = domu_stage_drop(s) == 0 || violation(v, "the stage cannot be dropped: %s", why(&r));
		else if (good && rc < 0)
			good = violation(v, "the stage cannot be committed: %s", why(&r));
	}
	domu_state_list_free(list, n);
	rig_close(&r);
	c = content(v->w, &world.act);
	if (good && whole && found == 0)
		good = violation(v, "the stage is gone");
	if (good && !is_tidy(&world.act, &left))
		good = violation(v, "%s is left behind by a stage that was %s", left, drop ? "dropped" : "committed");
	if (good && (drop || found == 0 ? c != CONTENT_OLD : c != CONTENT_NEW && (whole || c != CONTENT_OLD)))
		good = violation(v, "the disk is not what the stage was %s to", drop ? "dropped" : "committed");
	return good;
}

/* The other way, to the byte; and not after a guest has run. */
static bool try_undo(const struct visit *v)
{
	char id[DOMU_ID_LEN + 1];
	bool good = true;
	struct rig r;

	rig_open(&r, v->w);
	if (!rig_newest(&r, id))
		good = violation(v, "what was committed cannot be undone: it is not in the history");
	if (good && v->w->doors) {
		struct image before = guest_see(v->w, &world.act);
		const struct image *ran = guest_run(v->w, &before);
		struct model kept;

		guest_forget(v->w, &before);
		if (ran != NULL) {
			model_copy(&kept, &world.act);
			guest_write(v->w, &r, ran);
			world.writes = 0;
			if (rig_undo(&r, v->w, id) == 0)
				good = violation(v, "undo went over what a guest wrote");
			else if (world.writes > 0)
				good = violation(v, "an undo that was refused has written");
			rig_close(&r);
			world_become(&kept);
			model_free(&kept);
			rig_open(&r, v->w);
		}
	}
	if (good && rig_undo(&r, v->w, id) < 0)
		good = violation(v, "what was committed cannot be undone: %s", why(&r));
	if (good && content(v->w, &world.act) != CONTENT_OLD)
		good = violation(v, "undo does not give back what was there");
	rig_close(&r);
	tally.undone++;
	return good;
}

/* What an undo reversed is told apart from what can still be undone. */
static bool says_undone(const struct visit *v)
{
	struct domu_commit_info *list;
	bool good = true;
	struct rig r;
	size_t n;

	rig_open(&r, v->w);
	if (domu_state_list(r.st, NULL, false, &list, &n) < 0)
		return violation(v, "the list fails: %s", why(&r));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; list[i].undoes != NULL && k < n; k++)
			if (strcmp(list[k].id, list[i].undoes) == 0 && list[k].state != DOMU_COMMIT_UNDONE)
				good = false;
	domu_state_list_free(list, n);
	rig_close(&r);
	return good || violation(v, "what was undone is not said to be");
}

static bool second_recover(const struct visit *v)
{
	enum domu_recover_result result;
	struct rig r;
	unsigned n;
	bool good = true;

	rig_open(&r, v->w);
	world.calls = 0;
	if (recover(&r, v->w, &n, &result) < 0)
		good = violation(v, "a second recover fails: %s", why(&r));
	else if (n > 0 || world.calls > 0)
		good = violation(v, "a second recover does something");
	rig_close(&r);
	return good;
}

/* A stage whose disk a guest has used since is not committed. */
static bool stale_stage(const struct visit *v)
{
	bool good = true;
	struct rig r;
	int rc;

	rig_open(&r, v->w);
	world.writes = 0;
	rc = rig_retry(&r, v->w);
	if (world.writes > 0)
		good = violation(v, "a stage was committed over what a guest wrote");
	else if (rc < 0 && rc != -ESTALE && rc != -EBADMSG)
		good = violation(v, "a stage that a guest made stale is refused for another reason: %s", why(&r));
	rig_close(&r);
	return good;
}

/* ---- the judgement ----------------------------------------------------------------------------- */

/* Between cut and recover a guest ran on the open disk: nothing of what it wrote is lost. */
static bool with_guest(const struct visit *v)
{
	struct image before = guest_see(v->w, v->state);
	const struct image *ran = guest_run(v->w, &before);
	enum domu_recover_result result = DOMU_RECOVER_NOTHING;
	struct rig r;
	unsigned n;
	bool good = true;
	int rc;

	guest_forget(v->w, &before);
	if (ran == NULL)
		return true;
	rig_open(&r, v->w);
	guest_write(v->w, &r, ran);
	world.writes = 0;
	rc = recover(&r, v->w, &n, &result);
	if (rc < 0)
		good = violation(v, "after a guest ran recover fails: %s", why(&r));
	else if (world.writes > 0 || !guest_wrote(v->w, ran))
		good = violation(v, "recover has written over a guest that ran");
	else if (n > 0 && result != DOMU_RECOVER_SUPERSEDED)
		good = violation(v, "after a guest ran recover does not say superseded (%d)", (int)result);
	rig_close(&r);
	tally.guests++;
	tally.superseded += n > 0;
	good = good && second_recover(v) && stale_stage(v);
	world_become(v->state);
	return good;
}

/* A copy of the closed disk under its name is not the disk. */
static bool with_clone(const struct visit *v)
{
	enum domu_recover_result result;
	struct rig r;
	unsigned n;
	bool good = true;

	if (run("cd %s/w && mv disk0 ../disk0.kept && cp ../disk0.kept disk0", world.dir) != 0)
		bail("no copy can be made");
	rig_open(&r, v->w);
	world.writes = 0;
	if (recover(&r, v->w, &n, &result) == 0 && n > 0)
		good = violation(v, "recover took a copy for the disk");
	else if (world.writes > 0)
		good = violation(v, "recover has written to a copy of the disk");
	else if (n > 0 && domu_error_status(&r.ctx) != DOMU_UNRECOVERED)
		good = violation(v, "a copy of the disk is refused with status %d", (int)domu_error_status(&r.ctx));
	rig_close(&r);
	if (run("cd %s/w && mv ../disk0.kept disk0", world.dir) != 0)
		bail("the disk cannot be put back");
	tally.clones++;
	world_become(v->state);
	return good;
}

/* A disk of which a part is old and a part is new, with no door closed on it: its number, or -1. */
static int half_and_open(const struct workload *w, const struct model *m)
{
	char id[DOMU_ID_LEN + 1];

	for (unsigned i = 0; i < w->n_disks; i++) {
		const struct inode *disk = &m->v[world.disk[i]];
		bool closed = is_image(disk, &w->old[i]) || is_image(disk, &w->new[i]);

		for (size_t k = 0; k < w->n_doors; k++)
			if (w->door[k].disk == i || w->volume)
				closed = closed ||
				         domu_door_is_closed(m->v[world.disk[w->door[k].disk]].data + w->door[k].offset,
				                             SECTOR, id);
		if (!closed)
			return (int)i;
	}
	return -1;
}

/* v as it is in the world now, before recover. */
static bool look(const struct visit *v, bool *closed, enum content *c)
{
	*c = content(v->w, v->state);
	*closed = root_is_closed(v->w, v->state);
	if (v->w->doors && *c == CONTENT_MIXED && !*closed)
		return violation(v, "the disk is half done and open");
	if (v->w->doors && half_and_open(v->w, v->state) >= 0)
		return violation(v, "disk %d is half done and open", half_and_open(v->w, v->state));
	if (v->done && (*closed || *c != CONTENT_NEW))
		return violation(v, "it was reported as done, and is %s", *closed ? "closed" : "not there");
	if (v->failed && !v->due && (*closed || *c == CONTENT_MIXED))
		return violation(v, "it failed, and did not say that a recover is due");
	tally.old += *c == CONTENT_OLD;
	tally.new += *c == CONTENT_NEW;
	tally.closed += *closed;
	return true;
}

static bool after(const struct visit *v, bool closed, bool was_staged)
{
	enum content c = content(v->w, &world.act);
	bool closed_now = root_is_closed(v->w, &world.act);
	uint64_t key;
	const char *left;

	if (closed_now)
		return violation(v, "the disk is closed after recover");
	if (c == CONTENT_MIXED)
		return violation(v, "the disk is neither old nor new after recover");
	if ((closed || v->done) && c != CONTENT_NEW)
		return violation(v, "the disk is old after recover, and was %s",
		                 closed ? "closed" : "reported as done");
	if (c == CONTENT_NEW && !is_tidy(&world.act, &left))
		return violation(v, "%s is left behind after recover", left);
	if (!second_recover(v) || (c == CONTENT_NEW && v->w->rounds > 0 && !says_undone(v)))
		return false;
	key = model_hash(&world.act);
	if (c == CONTENT_NEW)
		return v->w->no_undo || !set_add(&undone, key) || try_undo(v);
	return !set_add(&staged, key) || try_stage(v, was_staged);
}

bool judge(const struct visit *v, struct ops *record)
{
	enum domu_recover_result result = DOMU_RECOVER_NOTHING;
	struct ops *outer = world.record;
	enum content c;
	struct rig r;
	bool closed, good;
	unsigned n = 0;
	int rc;

	tally.states++;
	world.record = NULL;
	if (!look(v, &closed, &c))
		return false;
	world_become(v->state);
	good = !v->w->doors || closed || c == CONTENT_MIXED || with_guest(v);
	if (good && closed && v->deep)
		good = with_clone(v);
	if (!good)
		return false;
	world.record = record;
	rig_open(&r, v->w);
	rc = recover(&r, v->w, &n, &result);
	world.record = NULL;
	if (rc < 0)
		good = violation(v, "recover fails: %s", why(&r));
	rig_close(&r);
	good = good && after(v, closed, n > 0 && result == DOMU_RECOVER_STAGED);
	world.record = outer;
	return good;
}
