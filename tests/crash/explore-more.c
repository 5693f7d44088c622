/* SPDX-License-Identifier: GPL-3.0-or-later */
/* explore-more.c - cuts that come after something else: a killed process, or a call that failed. */
#include "config.h"

#include <stdio.h>

#include "crash.h"

/* As the record has it, with inodes for all that it names. */
void explore_from(const struct workload *w, const struct model *begun, const struct ops *did, size_t at,
                  const char *how)
{
	struct model start;

	model_copy(&start, begun);
	while (start.n < world.act.n)
		model_new(&start, world.act.v[start.n].is_dir);
	explore(w, &start, did, at, how);
	model_free(&start);
}

/* ---- killed ---------------------------------------------------------------------------- */

/* Around what orders things, and here and there. */
static bool worth_killing(const struct ops *record, size_t at, size_t from, size_t every)
{
	return at >= from && (record->v[at].type == OP_SYNC || (at > 0 && record->v[at - 1].type == OP_SYNC) ||
	                      (at - from) % every == 0);
}

/* A process that is killed leaves everything, none of it synced; then recover runs, and then the power goes. */
void explore_killed(const struct workload *w, const struct model *start, const struct ops *record, size_t from)
{
	size_t every = limit > 0 ? (record->n - from) / 24 + 1 : 1;
	struct model all;

	model_copy(&all, start);
	for (size_t at = 0; at < record->n && violations == 0; at++) {
		struct ops both = { 0 }, did = { 0 };
		struct visit v = { .w = w, .state = &all, .where = "killed" };
		struct ops begun = { record->v, at, 0 };

		if (worth_killing(record, at, from, every) && judge(&v, &did) && did.n > 0) {
			ops_copy(&both, &begun);
			ops_copy(&both, &did);
			explore_from(w, start, &both, at, "killed, recovered, cut");
			tally.killed++;
		}
		ops_free(&both);
		ops_free(&did);
		model_apply(&all, &record->v[at], NULL);
	}
	model_free(&all);
}

/* ---- what fails without a cut --------------------------------------------------------- */

static size_t failed_sync(const struct ops *did)
{
	for (size_t i = did->n; i-- > 0;)
		if (did->v[i].type == OP_SYNC_FAILED)
			return i;
	return SIZE_MAX;
}

/* The same stage is committed once more, in the same uptime: then the power goes. */
static void try_again(const struct workload *w, const struct model *begun, const struct model *state,
                      const struct ops *did)
{
	struct op done = { .type = OP_DONE };
	struct ops again = { 0 };
	struct rig r;

	ops_copy(&again, did);
	world_become(state);
	rig_open(&r, w);
	world.record = &again;
	if (rig_retry(&r, w) == 1)
		ops_add(&again, &done);
	world.record = NULL;
	rig_close(&r);
	if (again.n > 0 && again.v[again.n - 1].type == OP_DONE)
		explore_from(w, begun, &again, did->n, "a sync failed, tried again, cut");
	ops_free(&again);
}

/* Written, and then the first sync after it failed. */
static bool was_lost(const struct ops *did, size_t i)
{
	for (size_t k = i + 1; did->v[i].type == OP_WRITE && k < did->n; k++) {
		if (did->v[k].inode != did->v[i].inode)
			continue;
		if (did->v[k].type == OP_SYNC || did->v[k].type == OP_SYNC_FAILED)
			return did->v[k].type == OP_SYNC_FAILED;
	}
	return false;
}

/* The kernel may drop what it takes for written: then what is read is what the disk has. */
static void pages_dropped(const struct visit *v, const struct model *begun, const struct ops *did)
{
	struct model state;
	struct visit dropped = *v;

	model_copy(&state, begun);
	while (state.n < world.act.n)
		model_new(&state, world.act.v[state.n].is_dir);
	for (size_t i = 0; i < did->n; i++)
		if (!was_lost(did, i))
			model_apply(&state, &did->v[i], NULL);
	dropped.state = &state;
	dropped.where = "a sync failed, and what was written is not in memory any more";
	judge(&dropped, NULL);
	model_free(&state);
}

/* One call fails; then recover runs; after a sync that failed the power goes too.  False: there is no such call. */
static bool failing(const struct workload *w, const struct model *begun, unsigned at, int how)
{
	static const char *const names[] = { "fails", "has no room", "is short", "and all that follow fail" };
	struct ops did = { 0 };
	struct model state;
	struct visit v = { .w = w, .state = &state };
	struct rig r;
	char where[80];
	size_t sync;
	bool reached;
	int rc;

	world_become(begun);
	rig_open(&r, w);
	world.record = &did;
	world.calls = 0;
	world.fail_at = at;
	world.fail_how = (typeof(world.fail_how))how;
	rc = workload_do(w, &r);
	reached = world.calls >= at;
	world.fail_at = 0;
	world.record = NULL;
	v.failed = rc < 0;
	v.done = rc == 0;
	v.due = rc < 0 && domu_error_status(&r.ctx) == DOMU_UNRECOVERED;
	rig_close(&r);
	snprintf(where, sizeof where, "call %u %s", at, names[how]);
	v.where = where;
	model_copy(&state, &world.act);
	sync = how == FAIL_ONCE ? failed_sync(&did) : SIZE_MAX;
	if (reached && sync != SIZE_MAX) {
		try_again(w, begun, &state, &did);
		pages_dropped(&v, begun, &did);
	}
	if (reached && violations == 0 && judge(&v, &did) && sync != SIZE_MAX)
		explore_from(w, begun, &did, sync + 1, "a sync failed, recovered, cut");
	tally.failures += reached;
	model_free(&state);
	ops_free(&did);
	return reached;
}

void explore_failing(const struct workload *w, const struct model *start, const struct ops *record, size_t from)
{
	unsigned every = limit > 0 ? (unsigned)((record->n - from) / 80 + 1) : 1;
	struct model begun;

	model_copy(&begun, start);
	for (size_t i = 0; i < from; i++)
		model_apply(&begun, &record->v[i], NULL);
	for (int how = FAIL_ONCE; how <= FAIL_ON; how++)
		for (unsigned at = 1; violations == 0 && failing(w, &begun, at, how); at += every)
			;
	model_free(&begun);
}
