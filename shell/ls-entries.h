/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ls-entries.h - what ls gathers of a directory in the worker, and its order. */
#ifndef DOMU_LS_ENTRIES_H
#define DOMU_LS_ENTRIES_H

#include "fs/visited.h"
#include "shell/cmd.h"
#include "shell/ls.h"

struct domu_ls_entry {
	char *name, *path;
	struct domu_stat st;
	struct domu_fs *fs;
	size_t node;
	uint64_t dir; /* that it is in */
	unsigned mount;
	bool unreadable, dangling;
	bool leads_to_dir; /* with --group-directories-first */
	bool no_xattrs; /* known to have none */
};

struct domu_ls_entries {
	struct domu_ls_entry *v;
	size_t n, cap;
};

struct domu_ls {
	struct domu_run *r;
	struct domu_tree *tree;
	struct domu_names *names;
	bool all, almost_all, long_format, recursive, headings, human, labels, totals, dirs_first;
	bool follow; /* -L */
	char time; /* 'c', 'u', or 0: the time of modification */
	struct domu_scans *scans;
	char sort;
	bool reverse;
	bool first; /* nothing was printed yet */
	int failed; /* some directory cannot be read */
	/* -R: directories shown before, so that a tree that is none comes to an end. */
	struct domu_visited seen;
};

/* name as it is shown, where as it was found; err != 0: it cannot be read. */
int domu_ls_entries_add(struct domu_ls *ls, struct domu_ls_entries *e, const char *name, const struct domu_path *where,
                        int err);
void domu_ls_entries_free(struct domu_ls_entries *e);
void domu_ls_sort(struct domu_ls *ls, struct domu_ls_entries *e);
/* The time that is sorted by and shown. */
const struct timespec *domu_ls_time(const struct domu_ls *ls, const struct domu_stat *st);

#endif
