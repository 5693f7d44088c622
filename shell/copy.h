/* SPDX-License-Identifier: GPL-3.0-or-later */
/* copy.h - cp's halves in the worker. */
#ifndef DOMU_COPY_H
#define DOMU_COPY_H

#include "shell/command.h"

/* cp inside one guest: the worker's half of the row. */
int domu_cp_worker(struct domu_run *r);
/* The options of cp as enum domu_treeio_flags. */
unsigned domu_cp_flags(const struct domu_args *args);

/*
 * Operations of the worker, for cp with the host or another guest:
 * tree-out: str cwd, use, NULL, lists of paths, of the names that they go by, and nothing; u64 flags, fd to write the
 * stream to.
 * tree-in: str cwd, use, DST as it is shown; lists of one path (DST), of the names of the sources, and of the sources
 * as they are shown, which with -v are told as they come, else none; u64 flags, fd to read the stream from.  A DST
 * that is a directory is gone into, as cp does.
 */
int domu_op_tree_out(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);
int domu_op_tree_in(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);

/* Copies from to the name in a directory, with everything kept: what mv does across filesystems. */
int domu_copy_across(struct domu_run *r, const struct domu_path *from, const struct domu_path *to);

#endif
