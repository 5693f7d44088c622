/* SPDX-License-Identifier: GPL-3.0-or-later */
/* resize.h - making a filesystem, its partition and its disk larger: a plan first, then the stage, then one commit. */
#ifndef DOMU_RESIZE_H
#define DOMU_RESIZE_H

#include "task/session.h"

enum domu_step_op {
	DOMU_STEP_GROW_BACKING,
	DOMU_STEP_WRITE_TABLE,
	DOMU_STEP_CHECK,
	DOMU_STEP_GROW_FILESYSTEM,
};
const char *domu_step_name(enum domu_step_op op); /* "grow-backing", as in JSON */

struct domu_step {
	enum domu_step_op op;
	char device[64];
	uint64_t from, to; /* bytes */
};

#define DOMU_MAX_STEPS 8

struct domu_resize_plan {
	size_t node; /* index in nodes: the filesystem */
	unsigned disk;
	uint64_t from, to; /* of the partition or, where there is none, the disk: bytes */
	uint64_t disk_size; /* afterwards */
	struct domu_step steps[DOMU_MAX_STEPS];
	size_t n_steps; /* 0: it has that size already */
};

/*
 * size: 20G, +5G, max (all its disk has).  Only growing, of a filesystem that
 * is alone on its disk or in its last partition; everything else is
 * DOMU_UNSUPPORTED and says why.
 */
int domu_resize_plan(struct domu_session *s, const struct domu_nodes *nodes, size_t node, const char *size,
                     struct domu_resize_plan *plan);

/* Where the plan says how far: what a front shows as it goes. */
typedef void (*domu_step_fn)(void *user, const struct domu_step *step);

/*
 * Does all of the plan on the stage, then grows the backing store (asks,
 * because that is not undone), then commits.  dry_run: only the stage, which
 * is dropped.  id receives the commit's.
 */
int domu_resize_run(struct domu_session *s, const struct domu_nodes *nodes, const struct domu_resize_plan *plan,
                    bool dry_run, domu_step_fn fn, void *user, char id[DOMU_ID_LEN + 1]);

/* The worker's end: u64 disk, u64 partition number, u64 new size in bytes. */
int domu_op_table_grow(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);

#endif
