/* SPDX-License-Identifier: GPL-3.0-or-later */
/* logs.h - what the parts of logs share: the last lines of a guest's journal and of its text logs. */
#ifndef DOMU_LOGS_H
#define DOMU_LOGS_H

#include "shell/command.h"

/* The newest entries of all files of the journal in /var/log/journal, at most lines. */
struct domu_journal;
int domu_journal_open(struct domu_run *r, struct domu_tree *t, uint64_t lines, struct domu_journal **j);
time_t domu_journal_newest(const struct domu_journal *j); /* 0: there is no entry */
int domu_journal_print(struct domu_journal *j);
void domu_journal_free(struct domu_journal *j);

int domu_logs_heading(struct domu_run *r, const char *what);

#endif
