/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cat.h - what cat does to bytes when it is asked for numbers and signs. */
#ifndef DOMU_CAT_H
#define DOMU_CAT_H

#include "shell/command.h"

struct domu_cat {
	bool number, number_filled, ends, tabs, signs, squeeze;
	bool any; /* of these; else bytes go as they are */
	bool line_start;
	bool cr; /* with -E: held back until it is known whether it ends the line */
	uint64_t lines, blank; /* so far: all, and empty ones in a row */
};

void domu_cat_options(struct domu_cat *c, const struct domu_args *a);
int domu_cat_write(struct domu_cat *c, struct domu_run *r, const char *bytes, size_t len);

/* What was held back. */
int domu_cat_end(struct domu_cat *c, struct domu_run *r);

#endif
