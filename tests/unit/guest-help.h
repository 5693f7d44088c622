/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guest-help.h - what the tests of guests share: a folder, files in it, a context, other people's programs. */
#ifndef GUEST_HELP_H
#define GUEST_HELP_H

#include <criterion/criterion.h>

#include "guest/inuse.h"

struct bench {
	struct domu_ctx ctx;
	char dir[64]; /* its own, removed at the end */
	const char *dirs[3]; /* config_dirs: dir, and one that is not there */
	struct domu_where where;
	unsigned warnings;
	char warning[512]; /* the last */
};

void bench_open(struct bench *b);
void bench_close(struct bench *b);
/* DIR/NAME; good until the tenth call after it. */
const char *bench_path(struct bench *b, const char *name);
/* Writes DIR/NAME and gives its path. */
const char *bench_file(struct bench *b, const char *name, const char *text);
const char *bench_image(struct bench *b, const char *name, uint64_t size);
/* Runs a program (NULL-terminated arguments), its first line of output in out when not NULL; the exit status. */
int run_line(char *out, size_t size, const char *program, ...) __attribute__((sentinel));
#define run(...) run_line(NULL, 0, __VA_ARGS__, NULL)
/* Starts one and waits until it has printed a line. */
int run_start(const char *program, ...) __attribute__((sentinel));
void run_stop(int pid);

#endif
