/* SPDX-License-Identifier: GPL-3.0-or-later */
/* confine.h - what a process of ours gives up after the fork, before it looks at a guest's bytes. */
#ifndef DOMU_CONFINE_H
#define DOMU_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DOMU_CONFINE_FDS 64

struct domu_ahead;

struct domu_confine {
	const int *keep; /* descriptors that stay; 0, 1 and 2 become /dev/null unless they are named; -1 is skipped */
	size_t n_keep;
	bool keep_all; /* descriptors stay as they are */
	pid_t parent; /* its death is ours, at once; 0: no */
	bool empty_root; /* root only: / is a deleted, empty folder */
	bool no_fork; /* no new processes or threads */
	/* Not NULL: but for this one, made last; NULL where it cannot be (base/ahead.h). */
	struct domu_ahead **ahead;
	bool no_umask;
	uint64_t memory; /* bytes of address space above what it has; 0: no limit (always with sanitizers) */
	unsigned files; /* highest number of descriptors; 0: as it is */
	unsigned uid; /* root only: becomes this uid and gid; 0: stays (no capabilities then either) */
	gid_t group; /* a supplementary group; 0: none */
};

/*
 * In a forked child.  Steps in the order of the file's comments; 0 or a
 * negative errno with *what naming the step, after which the child must end.
 */
int domu_confine(const struct domu_confine *c, const char **what);
/* Parts of it, for whoever forks: all signals default, Ctrl-C and a broken pipe ignored; a session of its own. */
void domu_confine_signals(void);
/* Closes every descriptor but those in keep (at most DOMU_CONFINE_FDS). */
int domu_confine_fds(const int *keep, size_t n_keep);

/* A new, private, empty folder in /run or /tmp, mode 0700, owned by uid. */
int domu_temp_dir(char path[64], unsigned uid);
/* Sleeps; a signal ends it early. */
void domu_nap(unsigned milliseconds);
/* Seconds that only go forward. */
double domu_now(void);
/* Waits for pid at most so long, then kills it.  The status as of waitpid(2). */
int domu_reap(pid_t pid, unsigned milliseconds);

#endif
