/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fence-help.h - what the fence's tests share: a folder with a disk, a stage's log, and the shell. */
#ifndef FENCE_HELP_H
#define FENCE_HELP_H

#include "fence/fence.h"

#define PART_OFFSET (1u << 20) /* bytes: the filesystem is a partition */

struct bench {
	char dir[32], image[64];
	int base, log;
	struct domu_ctx ctx;
	char text[1 << 16]; /* what a program printed, a line each */
	char said[1 << 16]; /* messages */
};

extern struct bench bench;

/* In /bin/sh -e, with sbin in PATH.  The exit status; 128: a signal. */
int sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A folder, DIR/disk (opened read-only) that has the filesystem DIR/fs made by mkfs, which runs there; an empty log. */
void bench_open(uint64_t fs_size, const char *mkfs);
/*
 * Of root: /dev/shm and /run of this test's own, where fences are made, so that nobody else's folders are there.
 * bench_left: what was left in them; called when nothing should be.
 */
void bench_private(void);
bool bench_left(void);
/* A pidfd of the only child of a process: numbers come again. */
int bench_child(pid_t pid);
void bench_close(void);
struct domu_stack_desc bench_stack(void);
/* The filesystem as the stage has it, to DIR/name. */
void bench_write_out(const char *name, uint64_t fs_size);
void bench_line(void *user, const char *text);

#endif
