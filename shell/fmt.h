/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fmt.h - modes, types, sizes, times and names as coreutils write them. */
#ifndef DOMU_FMT_H
#define DOMU_FMT_H

#include "shell/rows.h"

void domu_mode_text(uint32_t mode, char out[11]); /* -rwxr-xr-x */
const char *domu_type_name(uint32_t mode); /* "file", "directory", "link" ...: as JSON has it */
const char *domu_type_words(uint32_t mode, uint64_t size); /* "regular empty file": as stat has it */
#define DOMU_HUMAN_TEXT 24
/* As ls -h: units of 1024, rounded up, one decimal below 10. */
void domu_human(uint64_t bytes, char out[DOMU_HUMAN_TEXT]);
#define DOMU_TIME_TEXT 80
void domu_time_ls(struct timespec t, time_t now, char out[DOMU_TIME_TEXT]); /* "Jan  2 03:04", "Jan  2  2020" */
/*
 * A time as people type it, in the time zone of this host (when.c): as systemd.time(7) has it ("-1h30min", "2 weeks
 * ago", "yesterday", and "1h" and "yesterday 14:00" too), or as date -d and find -newermt ("last monday", "1 May").
 */
enum domu_when_words { DOMU_WHEN_SYSTEMD, DOMU_WHEN_DATE };
bool domu_when(const char *text, time_t now, enum domu_when_words words, struct timespec *t);
void domu_time_full(struct timespec t, char out[DOMU_TIME_TEXT]); /* 2020-01-02 03:04:05.000000000 +0000 */
/* A name as a line shows it: on a terminal with \ooo for what could steer it.  The caller frees. */
char *domu_name_shown(const struct domu_out *o, const char *name, size_t len);
size_t domu_columns_of(const char *text); /* of a terminal */

#endif
