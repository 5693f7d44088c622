/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fmt.c - modes, types, sizes, times and names as coreutils write them. */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/escape.h"
#include "shell/fmt.h"

static char type_letter(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return '-';
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFCHR:
		return 'c';
	case S_IFBLK:
		return 'b';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	default:
		return '?';
	}
}

void domu_mode_text(uint32_t mode, char out[11])
{
	static const char bits[] = "rwxrwxrwx";

	out[0] = type_letter(mode);
	for (int i = 0; i < 9; i++)
		out[1 + i] = (mode & (0400u >> i)) != 0 ? bits[i] : '-';
	if ((mode & S_ISUID) != 0)
		out[3] = (mode & S_IXUSR) != 0 ? 's' : 'S';
	if ((mode & S_ISGID) != 0)
		out[6] = (mode & S_IXGRP) != 0 ? 's' : 'S';
	if ((mode & S_ISVTX) != 0)
		out[9] = (mode & S_IXOTH) != 0 ? 't' : 'T';
	out[10] = '\0';
}

const char *domu_type_name(uint32_t mode)
{
	switch (type_letter(mode)) {
	case '-':
		return "file";
	case 'd':
		return "directory";
	case 'l':
		return "link";
	case 'c':
		return "character";
	case 'b':
		return "block";
	case 'p':
		return "fifo";
	case 's':
		return "socket";
	default:
		return "unknown";
	}
}

const char *domu_type_words(uint32_t mode, uint64_t size)
{
	switch (type_letter(mode)) {
	case '-':
		return size == 0 ? "regular empty file" : "regular file";
	case 'd':
		return "directory";
	case 'l':
		return "symbolic link";
	case 'c':
		return "character special file";
	case 'b':
		return "block special file";
	case 'p':
		return "fifo";
	case 's':
		return "socket";
	default:
		return "weird file";
	}
}

void domu_human(uint64_t bytes, char out[DOMU_HUMAN_TEXT])
{
	static const char units[] = "KMGTPE";
	uint64_t unit = 1024, tenths;
	int i = 0;

	if (bytes < 1024) {
		snprintf(out, DOMU_HUMAN_TEXT, "%" PRIu64, bytes);
		return;
	}
	while (i < 5 && bytes / unit >= 1024) {
		unit <<= 10;
		i++;
	}
	/* Rounded up, and 1023.5K is 1.0M. */
	tenths = bytes / unit * 10 + (bytes % unit * 10 + unit - 1) / unit;
	if (tenths < 100)
		snprintf(out, DOMU_HUMAN_TEXT, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10, units[i]);
	else if ((tenths + 9) / 10 >= 1024 && i < 5)
		snprintf(out, DOMU_HUMAN_TEXT, "1.0%c", units[i + 1]);
	else
		snprintf(out, DOMU_HUMAN_TEXT, "%" PRIu64 "%c", (tenths + 9) / 10, units[i]);
}

void domu_time_ls(struct timespec t, time_t now, char out[DOMU_TIME_TEXT])
{
	/* Half a year of the Gregorian calendar, as ls counts. */
	bool recent = t.tv_sec <= now && t.tv_sec > now - 31556952 / 2;
	struct tm tm;

	if (localtime_r(&t.tv_sec, &tm) == NULL ||
	    strftime(out, DOMU_TIME_TEXT, recent ? "%b %e %H:%M" : "%b %e  %Y", &tm) == 0)
		snprintf(out, DOMU_TIME_TEXT, "%lld", (long long)t.tv_sec);
}

void domu_time_full(struct timespec t, char out[DOMU_TIME_TEXT])
{
	char day[40], zone[16];
	struct tm tm;

	if (localtime_r(&t.tv_sec, &tm) == NULL || strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S", &tm) == 0 ||
	    strftime(zone, sizeof zone, "%z", &tm) == 0)
		snprintf(out, DOMU_TIME_TEXT, "%lld", (long long)t.tv_sec);
	else
		snprintf(out, DOMU_TIME_TEXT, "%s.%09ld %s", day, t.tv_nsec, zone);
}

char *domu_name_shown(const struct domu_out *o, const char *name, size_t len)
{
	char *copy;

	if (domu_out_tty(o))
		return domu_escape(name, len, false);
	copy = malloc(len + 1);
	if (copy != NULL) {
		memcpy(copy, name, len);
		copy[len] = '\0';
	}
	return copy;
}

size_t domu_columns_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}
