/* SPDX-License-Identifier: GPL-3.0-or-later */
/* logs.h - what the parts of logs share: the last lines of a guest's journal and of its text logs. */
#ifndef DOMU_LOGS_H
#define DOMU_LOGS_H

#include "shell/command.h"

/* What of a journal is wanted: at most lines of the newest entries that are all of this. */
struct domu_logs_want {
	uint64_t lines;
	uint64_t since, until; /* microseconds since 1970; 0: from the beginning; UINT64_MAX: to the end */
	const char *unit; /* ssh.service; NULL: all */
	bool kernel; /* what the kernel said since it was booted last */
};

/* All files of the journal in /var/log/journal; want outlives it. */
struct domu_journal;
int domu_journal_open(struct domu_run *r, struct domu_tree *t, const struct domu_logs_want *want,
                      struct domu_journal **j);
bool domu_journal_is_there(const struct domu_journal *j); /* a file of it that can be read, whatever is in it */
time_t domu_journal_newest(const struct domu_journal *j); /* 0: there is no entry */
int domu_journal_print(struct domu_journal *j, bool *empty); /* *empty: nothing of it is wanted */
void domu_journal_free(struct domu_journal *j);

int domu_logs_heading(struct domu_run *r, const char *what);

/* Where the last lines of a text begin; *found: how many there are, at most lines. */
size_t domu_logs_last_lines(const char *text, size_t len, uint64_t lines, uint64_t *found);
/* A regular file that is there and not empty; where->ino 0: none. */
int domu_logs_find(struct domu_run *r, struct domu_tree *t, const char *path, struct domu_path *where);
/* The first of these that is there, with those it was rotated to where it has fewer lines. */
int domu_logs_print_first(struct domu_run *r, struct domu_tree *t, const char *const *paths, uint64_t lines, bool *any);

/* ---- what is compressed: -EOPNOTSUPP, nothing recorded, where libarchive is not loaded ---- */

enum domu_journal_packing { DOMU_JOURNAL_XZ = 1, DOMU_JOURNAL_LZ4 = 2, DOMU_JOURNAL_ZSTD = 4 }; /* as in an object */

/* A field of a journal: at most max bytes of it. */
int domu_logs_expand(struct domu_ctx *ctx, enum domu_journal_packing kind, const uint8_t *bytes, size_t len, char *out,
                     size_t max, size_t *n);
/* The last max bytes of a file, which the caller frees; with a failure what came out before it. */
int domu_logs_expand_end(struct domu_ctx *ctx, const struct domu_path *where, size_t max, char **text, size_t *len);

#endif
