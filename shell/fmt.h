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
/* All of text by a format of strptime(3), local time; what the format lacks is as in tm. */
bool domu_time_read(const char *text, const char *format, struct tm *tm, time_t *t);
void domu_time_full(struct timespec t, char out[DOMU_TIME_TEXT]); /* 2020-01-02 03:04:05.000000000 +0000 */
/* A name as a line shows it: on a terminal with \ooo for what could steer it.  The caller frees. */
char *domu_name_shown(const struct domu_out *o, const char *name, size_t len);
size_t domu_columns_of(const char *text); /* of a terminal */

#endif
