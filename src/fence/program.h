/* SPDX-License-Identifier: GPL-3.0-or-later */
/* program.h - parts of running a host program: finding it, how it reaches the stage, and its output. */
#ifndef DOMU_PROGRAM_H
#define DOMU_PROGRAM_H

#include "fence/fence.h"

/* ---- find.c: is it there, can it take the shim ------------------------------- */

/* The absolute path of a program in the system's own folders; -ENOENT: DOMU_UNSUPPORTED with its package. */
int domu_program_find(struct domu_ctx *ctx, const char *name, char *path, size_t size);
/* Linked dynamically against the shared libext2fs, as the shim needs it. */
bool domu_program_takes_shim(const char *path);
/* The filesystem of p waits for other hosts (MMP): e2fsprogs then opens the device by itself. */
bool domu_program_has_mmp(const struct domu_program *p);

/* ---- output.c ------------------------------------------------------------------ */

struct domu_output {
	const struct domu_program *p;
	const char *device; /* replaced by p->name in lines */
	char line[4096];
	size_t len;
	uint64_t total; /* bytes, of everything */
	char report[256]; /* a line of e2fsck -C */
	size_t report_len;
};

void domu_output_take(struct domu_output *o, const char *bytes, size_t len);
void domu_output_end(struct domu_output *o); /* the last line had no newline */
void domu_output_report(struct domu_output *o, const char *bytes, size_t len);

#endif
