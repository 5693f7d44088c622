/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cp-tell.h - a line for each file that cp makes, as its -v has it. */
#ifndef DOMU_CP_TELL_H
#define DOMU_CP_TELL_H

#include "shell/command.h"
#include "task/treeio.h"

/* Sources as they are shown, and what each is called in the destination. */
struct domu_cp_shown {
	const char *const *from, *const *names; /* n of each */
	size_t n;
	const char *to; /* the destination, as it is shown */
	bool inside; /* names are made in it */
	bool moved; /* mv to another filesystem has other words */
};

struct domu_cp_tell;

/* A sink that passes everything to inner, and tells o; next: of which trees.  What shown points to outlives it. */
int domu_cp_tell_new(struct domu_ctx *ctx, struct domu_out *o, struct domu_sink *inner, struct domu_cp_tell **t);
void domu_cp_tell_next(struct domu_cp_tell *t, const struct domu_cp_shown *shown);
struct domu_sink *domu_cp_tell_sink(struct domu_cp_tell *t);
void domu_cp_tell_free(struct domu_cp_tell *t);

#endif
