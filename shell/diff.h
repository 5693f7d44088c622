/* SPDX-License-Identifier: GPL-3.0-or-later */
/* diff.h - what the files of diff share: its row, and the texts that the worker hands over. */
#ifndef DOMU_DIFF_H
#define DOMU_DIFF_H

#include "shell/command.h"

/* The cells of a row; what has no key is for -u. */
enum diff_cell {
	DIFF_CHANGE,
	DIFF_PATH,
	DIFF_TYPE,
	DIFF_SIZE,
	DIFF_WHAT,
	DIFF_DEVICE,
	DIFF_OLD_INO,
	DIFF_NEW_INO,
	DIFF_OLD_MODE,
	DIFF_NEW_MODE,
	DIFF_BITS, /* enum domu_differs */
	DIFF_CELLS
};
extern const struct domu_column domu_diff_columns[];

/* In the worker: a row for every difference. */
int domu_diff_work(struct domu_run *r);

/*
 * The worker's "diff-texts": str use, str device, u64 old inode, u64 new, u64
 * most bytes, two files.  Each file gets the content of its side, which
 * is that of a file or the target of a link; then, a side, u64 size, u64 is it binary.
 * More than most: only the size.
 */
int domu_op_diff_texts(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);

#define DOMU_DIFF_TEXT (UINT64_C(4) << 20) /* bytes of one side of a file that are compared */
/* A file in memory for one, which the worker cannot make longer; or a negative errno. */
int domu_diff_text_file(void);

/* Runs the worker's half and shows its rows as unified diffs with that many lines of context. */
int domu_diff_unified(struct domu_run *r, unsigned context);

#endif
