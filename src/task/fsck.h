/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fsck.h - checking and repairing every filesystem of a guest on its stage. */
#ifndef DOMU_FSCK_H
#define DOMU_FSCK_H

#include "task/check.h"

enum domu_fsck_outcome {
	DOMU_FSCK_CLEAN,
	DOMU_FSCK_REPAIRED,
	DOMU_FSCK_DAMAGED, /* errors left */
	DOMU_FSCK_SKIPPED, /* nothing to check: not a filesystem, or no checker for it */
	DOMU_FSCK_IN_USE,
	DOMU_FSCK_ERROR,
};
const char *domu_fsck_outcome_name(enum domu_fsck_outcome o);

/* Bits of fsck(8). */
enum { FSCK_OK = 0, FSCK_NONDESTRUCT = 1, FSCK_UNCORRECTED = 4, FSCK_ERROR = 8, FSCK_USAGE = 16, FSCK_CANCELED = 32 };

struct domu_fsck_result {
	char device[64];
	char type[32];
	char uuid[40];
	enum domu_fsck_outcome outcome;
	int exit; /* of the checker's last run, as fsck(8) */
	double seconds;
	struct domu_log log;
	size_t said; /* bytes of log until a pass found nothing more to do */
	/* Of a repair, where it could be counted: what lost+found got, and what has no name left; more: at least. */
	bool counted, more;
	uint64_t moved, gone;
};

struct domu_fsck_opts {
	enum domu_check_mode mode;
	bool no_mark; /* a clean filesystem keeps its last-check time and mount count */
	bool partial; /* commit a repair that left errors, after consent */
	bool dry_run; /* everything but the commit */
	bool stage_only; /* in a shell: what was repaired stays on its stage */
	const char *use; /* this device only, or NULL */
	/* Progress of device: pass of e2fsck, done of total. */
	void (*progress)(void *user, const char *device, unsigned pass, uint64_t done, uint64_t total);
	void *user;
};

struct domu_fsck_report {
	struct domu_fsck_result *v;
	size_t n;
	int exit; /* bits, OR-ed */
	char commit[DOMU_ID_LEN + 1]; /* "" when nothing was written */
};

/*
 * -n: on a throw-away layer, nothing is changed.  -p, -y: on the stage, until
 * a pass finds nothing (three passes at most); then one commit for the guest.
 * 0 also when errors are left: the report says so.
 */
int domu_fsck_guest(struct domu_session *s, const struct domu_fsck_opts *opts, struct domu_fsck_report *out);
void domu_fsck_report_free(struct domu_fsck_report *r);
/* Of a repair that is on the stage: fills counted and what follows it.  Fails only when interrupted. */
int domu_fsck_count(struct domu_session *s, struct domu_fsck_result *r);
/* The worker's end. */
int domu_op_fsck_count(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);

#endif
