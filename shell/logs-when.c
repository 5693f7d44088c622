/* SPDX-License-Identifier: GPL-3.0-or-later */
/* logs-when.c - the words of logs --since, as journalctl takes them, in the time zone of this host. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shell/fmt.h"
#include "shell/logs.h"

#define LATEST (INT64_MAX / 1000000) /* more seconds are no time of a journal */

/* "-2h", "30min ago": so many of a unit before now. */
static bool ago(const char *text, time_t now, time_t *t)
{
	static const struct {
		const char *name;
		unsigned seconds;
	} units[] = { { "s", 1 },     { "sec", 1 },     { "second", 1 }, { "m", 60 },
		      { "min", 60 },  { "minute", 60 }, { "h", 3600 },   { "hour", 3600 },
		      { "d", 86400 }, { "day", 86400 }, { "w", 604800 }, { "week", 604800 } };
	bool minus = *text == '-';
	char *unit;
	unsigned long n = strtoul(text + minus, &unit, 10);
	size_t len;

	if (unit == text + minus || text[minus] < '0' || text[minus] > '9' || n > 1000000000)
		return false;
	unit += strspn(unit, " ");
	len = strcspn(unit, " ");
	if (strcmp(unit + len, minus ? "" : " ago") != 0)
		return false;
	/* hours, days */
	if (len > 2 && unit[len - 1] == 's')
		len--;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strlen(units[i].name) != len || strncmp(unit, units[i].name, len) != 0)
			continue;
		*t = now - (time_t)n * units[i].seconds;
		return true;
	}
	return false;
}

static bool date(const char *text, time_t now, time_t *t)
{
	static const char *const formats[] = { "%Y-%m-%d",          "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S",
		                               "%Y-%m-%dT%H:%M:%S", "%H:%M",          "%H:%M:%S" };

	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		struct tm tm = { .tm_isdst = -1 }, today;

		if (formats[i][1] == 'H' && localtime_r(&now, &today) != NULL) {
			tm.tm_year = today.tm_year;
			tm.tm_mon = today.tm_mon;
			tm.tm_mday = today.tm_mday;
		}
		if (domu_time_read(text, formats[i], &tm, t))
			return true;
	}
	return false;
}

/* Midnight, days before today. */
static bool midnight(time_t now, int days, time_t *t)
{
	struct tm tm;

	if (localtime_r(&now, &tm) == NULL)
		return false;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_mday -= days;
	tm.tm_isdst = -1;
	*t = mktime(&tm);
	return true;
}

bool domu_logs_when(const char *text, time_t now, uint64_t *microseconds)
{
	time_t t = now;
	bool known = strcmp(text, "now") == 0 || (strcmp(text, "today") == 0 && midnight(now, 0, &t)) ||
	             (strcmp(text, "yesterday") == 0 && midnight(now, 1, &t)) || ago(text, now, &t) ||
	             date(text, now, &t);
	char *end;

	if (!known && text[0] == '@') {
		t = (time_t)strtoll(text + 1, &end, 10);
		known = end != text + 1 && *end == '\0';
	}
	*microseconds = t > 0 ? (uint64_t)t * 1000000 : 0;
	return known && t <= LATEST;
}
