/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ahead.h - jobs that are taken in their order, and done some steps before that by a second thread. */
#ifndef DOMU_AHEAD_H
#define DOMU_AHEAD_H

#include <stdbool.h>

#include "domu-plugin.h"

/*
 * For a walk that reads pieces of a disk and works on each: the job is to read
 * a piece, and whatever else touches nothing but its slot and what nobody
 * changes meanwhile.  Whoever is there does it: the thread some steps ahead,
 * or who takes it, where the thread has not come to it yet or there is none.
 * What is read should stay in the cache of the processor that reads it, and
 * only what was made of it be left in the slot.
 */
struct domu_ahead;

/* who: 0 the thread that takes the jobs, 1 the other: each may have a buffer of its own. */
typedef void (*domu_ahead_fn)(void *user, unsigned slot, unsigned who);

/* Parked, all signals blocked.  NULL: it cannot be made, or there is no second processor for it. */
struct domu_ahead *domu_ahead_start(void);
void domu_ahead_stop(struct domu_ahead *a); /* no run is going on; a may be NULL */

#define DOMU_AHEAD_SLOTS 8u

/* One run of jobs; all calls come from who began it. */
struct domu_ahead_run {
	struct domu_ahead *thread;
	domu_ahead_fn job;
	void *user;
	unsigned slots; /* as many jobs can be put that are not done with: one without a thread */
	unsigned put, claimed, taken; /* jobs, counted on */
	bool done[DOMU_AHEAD_SLOTS];
};

/* a NULL, or with another run: without a thread. */
DOMU_PUBLIC void domu_ahead_begin(struct domu_ahead_run *r, struct domu_ahead *a, domu_ahead_fn job, void *user);
/* The slot of the next job, to be filled before it is put; false: none is free. */
DOMU_PUBLIC bool domu_ahead_room(const struct domu_ahead_run *r, unsigned *slot);
DOMU_PUBLIC void domu_ahead_put(struct domu_ahead_run *r);
/* The slot of the oldest job, which is done now; false: there is none. */
DOMU_PUBLIC bool domu_ahead_take(struct domu_ahead_run *r, unsigned *slot);
DOMU_PUBLIC void domu_ahead_free(struct domu_ahead_run *r); /* that slot */
/* When it returns no job is being done; those not taken may never be. */
DOMU_PUBLIC void domu_ahead_end(struct domu_ahead_run *r);

#endif
