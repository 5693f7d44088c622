/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ops.h - what the worker can be asked to do by the shell's side of the program. */
#ifndef DOMU_OPS_H
#define DOMU_OPS_H

#include "fence/fence.h"

int domu_op_command(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply); /* run a worker command */
/* paths.c: each reads str cwd, str use (or NULL), str what. */
int domu_op_glob(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply); /* u64 n, n names */
int domu_op_complete(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply); /* the same */
int domu_op_cd(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply); /* str canonical path */
int domu_op_use(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply); /* nothing */

/*
 * In the worker: what a pattern matches, sorted; none where something has
 * that very name, or nothing matches.  The caller frees with domu_paths_free().
 */
int domu_paths_expand(struct domu_work *w, const char *use, const char *cwd, const char *pattern, char ***names,
                      size_t *n);

#endif
