/* SPDX-License-Identifier: GPL-3.0-or-later */
/* when.c - a time as people type it: as systemd.time(7) has it, for logs, or as find -newermt and date -d do. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shell/fmt.h"

#define SECOND   1000000.0 /* in microseconds */
#define DAY      (86400 * SECOND)
#define MOST     1e9 /* of any unit */
#define FAR_AWAY 4e17 /* microseconds: some 12,000 years */

struct when {
	const char *p;
	bool gnu;
	struct tm tm; /* of now, then what is said */
	long ns, zone; /* zone: seconds east */
	bool date, time, zoned, day, span, minus, plus, ago;
	bool just_time; /* was the last word */
	int ordinal; /* of a day of the week */
	bool weekday;
	int wday;
	double us; /* of spans */
	int days, months; /* as the calendar has them: only of date -d */
	/* What "ago" is said of there. */
	double last_us;
	int last_days, last_months;
};

static const struct unit {
	const char *name;
	double us;
	int days, months; /* of the calendar */
	bool gnu; /* date -d has it: its "1h" and "5m" are time zones */
} units[] = {
	{ "us", 1, 0, 0, false },
	{ "usec", 1, 0, 0, false },
	{ "ms", 1000, 0, 0, false },
	{ "msec", 1000, 0, 0, false },
	{ "s", SECOND, 0, 0, false },
	{ "sec", SECOND, 0, 0, true },
	{ "second", SECOND, 0, 0, true },
	{ "m", 60 * SECOND, 0, 0, false },
	{ "min", 60 * SECOND, 0, 0, true },
	{ "minute", 60 * SECOND, 0, 0, true },
	{ "h", 3600 * SECOND, 0, 0, false },
	{ "hr", 3600 * SECOND, 0, 0, false },
	{ "hour", 3600 * SECOND, 0, 0, true },
	{ "d", DAY, 1, 0, false },
	{ "day", DAY, 1, 0, true },
	{ "w", 7 * DAY, 7, 0, false },
	{ "week", 7 * DAY, 7, 0, true },
	{ "fortnight", 14 * DAY, 14, 0, true },
	{ "M", 2629800 * SECOND, 0, 1, false },
	{ "month", 2629800 * SECOND, 0, 1, true },
	{ "y", 31557600 * SECOND, 0, 12, false },
	{ "year", 31557600 * SECOND, 0, 12, true },
};

static const char *const weekdays[] = { "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday" };
static const char *const months[] = { "january", "february", "march",     "april",   "may",      "june",
	                              "july",    "august",   "september", "october", "november", "december" };

/* ---- words --------------------------------------------------------------------------- */

static size_t word_len(const char *p)
{
	size_t n = 0;

	while (isalpha((unsigned char)p[n]))
		n++;
	return n;
}

/* Whole, or its first three letters. */
static int find_name(const struct when *w, size_t len, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if ((len == 3 || len == strlen(names[i])) && strncasecmp(w->p, names[i], len) == 0)
			return i;
	return -1;
}

/* m is a minute, M a month; of longer ones the case does not matter, nor an s behind. */
static const struct unit *find_unit(const struct when *w, size_t len)
{
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t n = strlen(units[i].name);

		if (w->gnu && !units[i].gnu)
			continue;
		if (n == 1 ? len == 1 && *w->p == *units[i].name
		           : (len == n || (len == n + 1 && n > 2 && tolower((unsigned char)w->p[n]) == 's')) &&
		                 strncasecmp(w->p, units[i].name, n) == 0)
			return &units[i];
	}
	return NULL;
}

static bool add_span(struct when *w, double n, const struct unit *u)
{
	bool calendar = w->gnu && (u->days != 0 || u->months != 0);

	if (n > MOST || n < -MOST || (calendar && (n > 1e6 || n < -1e6)))
		return false;
	/* As date -d: it has fractions of seconds only. */
	if (w->gnu && u->us > SECOND && n != (int)n)
		return false;
	w->last_days = calendar ? (int)n * u->days : 0;
	w->last_months = calendar ? (int)n * u->months : 0;
	w->last_us = calendar ? 0 : n * u->us;
	w->days += w->last_days;
	w->months += w->last_months;
	w->us += w->last_us;
	w->span = true;
	return w->us < FAR_AWAY && w->us > -FAR_AWAY && abs(w->days) < 100000000 && abs(w->months) < 1000000;
}

/* systemd says it of everything before, date -d of the last unit. */
static bool take_ago(struct when *w)
{
	bool first = !w->ago && w->span && !w->minus && !w->plus;

	if (w->gnu) {
		w->us -= 2 * w->last_us;
		w->days -= 2 * w->last_days;
		w->months -= 2 * w->last_months;
		return w->span;
	}
	w->ago = true;
	return first;
}

/* today, yesterday: of date -d so many days from now; in systemd they are midnights. */
static bool take_day(struct when *w, int days)
{
	bool first = !w->day && !w->date;

	if (w->gnu) {
		w->days += days;
		w->span = true;
		return true;
	}
	w->tm.tm_mday += days;
	w->day = true;
	return first;
}

/* last week, next monday: of date -d. */
static bool take_ordinal(struct when *w, int n)
{
	const struct unit *u;
	size_t len;

	w->p += strspn(w->p, " ");
	len = word_len(w->p);
	u = find_unit(w, len);
	if (u == NULL) {
		w->ordinal = n;
		return find_name(w, len, weekdays, 7) >= 0;
	}
	w->p += len;
	return add_span(w, n, u);
}

static bool take(struct when *w, const char *word)
{
	size_t len = word_len(w->p);

	if (strlen(word) != len || strncasecmp(w->p, word, len) != 0)
		return false;
	w->p += len;
	return true;
}

static bool take_word(struct when *w)
{
	bool first;
	size_t len;

	if (take(w, "ago"))
		return take_ago(w);
	if (take(w, "now"))
		return w->span = true;
	if (take(w, "today"))
		return take_day(w, 0);
	if (take(w, "yesterday"))
		return take_day(w, -1);
	if (take(w, "tomorrow"))
		return take_day(w, 1);
	if (w->gnu && take(w, "last"))
		return take_ordinal(w, -1);
	if (w->gnu && take(w, "this"))
		return take_ordinal(w, 0);
	if (w->gnu && take(w, "next"))
		return take_ordinal(w, 1);
	if (take(w, "utc") || take(w, "gmt") || take(w, "z")) {
		w->zoned = true;
		return w->time || w->date;
	}
	len = word_len(w->p);
	first = !w->weekday;
	w->wday = find_name(w, len, weekdays, 7);
	w->weekday = true;
	w->p += len;
	return first && w->wday >= 0;
}

/* ---- dates, times, numbers ---------------------------------------------------------------- */

static int days_of(int year, int month)
{
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 ? 28 + leap : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static bool set_date(struct when *w, int year, int month, int day, int digits)
{
	bool first = !w->date && !w->day;

	if (digits <= 2)
		year += year < 69 ? 2000 : 1900;
	w->tm.tm_year = year - 1900;
	w->tm.tm_mon = month - 1;
	w->tm.tm_mday = day;
	w->date = true;
	return first && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= days_of(year, month);
}

/* 2024-05-01, and a T before the time.  -1: it is none. */
static int take_date(struct when *w)
{
	int year, month, day, digits = (int)strspn(w->p, "0123456789"), n = 0;

	if (digits < 2 || digits > 4 || w->p[digits] != '-' ||
	    sscanf(w->p, "%4d-%2d-%2d%n", &year, &month, &day, &n) != 3 || n == 0 || isdigit((unsigned char)w->p[n]))
		return -1;
	w->p += n;
	if ((*w->p == 'T' || *w->p == 't') && isdigit((unsigned char)w->p[1]))
		w->p++;
	return set_date(w, year, month, day, digits);
}

/* .5 behind seconds: nanoseconds. */
static long fraction(const char **p)
{
	long ns = 0, unit = 100000000;

	if ((**p != '.' && **p != ',') || !isdigit((unsigned char)(*p)[1]))
		return 0;
	for (++*p; isdigit((unsigned char)**p); ++*p, unit /= 10)
		ns += (**p - '0') * unit;
	return ns;
}

/* 2pm: the hour of 2. */
static bool half_day(struct when *w, int *hour)
{
	const char *p = w->p + strspn(w->p, " ");
	bool pm = strncasecmp(p, "pm", 2) == 0;

	if (!w->gnu || (!pm && strncasecmp(p, "am", 2) != 0) || isalpha((unsigned char)p[2]))
		return true;
	if (*hour < 1 || *hour > 12)
		return false;
	*hour = *hour % 12 + (pm ? 12 : 0);
	w->p = p + 2;
	return true;
}

/* 12:30, 12:30:01.5, and of date -d 2:30pm.  -1: it is none. */
static int take_time(struct when *w)
{
	int hour, minute, second = 0, n = 0, more = 0;
	bool first = !w->time;

	if (strspn(w->p, "0123456789") > 2 || sscanf(w->p, "%2d:%2d%n", &hour, &minute, &n) != 2 || n == 0)
		return -1;
	if (sscanf(w->p + n, ":%2d%n", &second, &more) != 1)
		second = more = 0;
	w->p += n + more;
	w->ns = more != 0 ? fraction(&w->p) : 0;
	if (!half_day(w, &hour))
		return false;
	w->tm.tm_hour = hour;
	w->tm.tm_min = minute;
	w->tm.tm_sec = second;
	w->time = w->just_time = true;
	return first && hour < 24 && minute < 60 && second <= (w->gnu ? 59 : 60);
}

/* +02:00, -0530 behind a time.  -1: it is none. */
static int take_zone(struct when *w)
{
	int hour, minute, n = 0;

	if (!w->time || w->zoned || (sscanf(w->p + 1, "%2d:%2d%n", &hour, &minute, &n) != 2 || n < 4) ||
	    isalpha((unsigned char)w->p[1 + n]))
		n = 0;
	if (n == 0 && w->time && !w->zoned && strspn(w->p + 1, "0123456789") == 4 && !isalpha((unsigned char)w->p[5]) &&
	    w->p[5] != ' ' && sscanf(w->p + 1, "%2d%2d", &hour, &minute) == 2)
		n = 4;
	if (n == 0)
		return -1;
	w->zone = (*w->p == '-' ? -1 : 1) * (hour * 3600L + minute * 60);
	w->p += 1 + n;
	w->zoned = true;
	return hour < 24 && minute < 60;
}

/* "1 May 2024", "May 1, 2024": w stands at the month's name. */
static bool take_month(struct when *w, int day)
{
	size_t len = word_len(w->p);
	int month = find_name(w, len, months, 12), year = w->tm.tm_year + 1900, n = 0, digits;

	if (month < 0)
		return false;
	w->p += len;
	w->p += strspn(w->p, " ");
	if (day == 0 && sscanf(w->p, "%2d%n", &day, &n) == 1)
		w->p += n;
	w->p += strspn(w->p, " ,");
	digits = (int)strspn(w->p, "0123456789");
	if (digits == 4 && w->p[4] != ':' && sscanf(w->p, "%4d", &year) == 1)
		w->p += 4;
	return set_date(w, year, month + 1, day, 4);
}

/* 90min, 1.5h, 2 weeks; sign: -1, 1, or 0 where there is none. */
static bool take_number(struct when *w, int sign)
{
	const struct unit *u;
	char *end;
	double n = isdigit((unsigned char)*w->p) && strncasecmp(w->p, "0x", 2) != 0 ? strtod(w->p, &end) : -1;
	size_t len;

	if (n < 0 || n > MOST || w->ago)
		return false;
	w->p = end;
	w->p += strspn(w->p, " ");
	len = word_len(w->p);
	if (w->gnu && sign == 0 && len >= 3 && n == (int)n && find_name(w, len, months, 12) >= 0)
		return take_month(w, (int)n);
	u = find_unit(w, len);
	if (u == NULL)
		return false;
	w->p += len;
	return add_span(w, w->gnu && sign < 0 ? -n : n, u);
}

static bool take_token(struct when *w)
{
	int rc = -1, sign = *w->p == '-' ? -1 : *w->p == '+';
	bool just_time = w->just_time;

	w->just_time = false;
	if (isalpha((unsigned char)*w->p))
		return w->gnu && find_name(w, word_len(w->p), months, 12) >= 0 ? take_month(w, 0) : take_word(w);
	if (sign != 0)
		rc = take_zone(w);
	if (rc >= 0)
		return rc;
	if (sign == 0)
		rc = take_date(w);
	if (rc < 0 && sign == 0)
		rc = take_time(w);
	if (rc >= 0)
		return rc;
	/* "12:30 +2 days": +2 is a time zone for date, and two days for who wrote it. */
	if (sign != 0 && w->gnu && just_time)
		return false;
	if (sign != 0) {
		/* systemd has one sign, before everything. */
		if (!w->gnu && (w->span || w->minus || w->plus))
			return false;
		w->minus = w->minus || sign < 0;
		w->plus = w->plus || sign > 0;
		w->p++;
		w->p += strspn(w->p, " ");
	}
	return take_number(w, sign);
}

/* ---- the sum ------------------------------------------------------------------------------- */

/* A day of the week alone is the next such day; one beside a date only has to be right for systemd. */
static bool set_weekday(struct when *w, time_t now)
{
	struct tm tm = w->tm;

	if (!w->weekday)
		return true;
	tm.tm_hour = 12;
	if (w->date)
		return w->gnu || (timegm(&tm) != (time_t)-1 && tm.tm_wday == w->wday);
	if (!w->gnu || localtime_r(&now, &tm) == NULL)
		return false;
	w->tm.tm_mday += (w->wday - tm.tm_wday + 7) % 7 + 7 * (w->ordinal - (w->ordinal > 0 && w->wday != tm.tm_wday));
	return true;
}

static bool sum(struct when *w, time_t now, struct timespec *t)
{
	bool midnight = w->date || w->day || w->weekday, fixed = midnight || w->time;
	/* For systemd a span has a sign or "ago"; without either what is meant here is before now. */
	int64_t us = (int64_t)(w->gnu || w->plus ? w->us : -w->us), part;
	time_t base;
	int minute;

	if (!set_weekday(w, now) || (!w->gnu && w->span && fixed))
		return false;
	if (midnight && !w->time)
		w->tm.tm_hour = w->tm.tm_min = w->tm.tm_sec = 0;
	if (fixed)
		w->tm.tm_isdst = -1;
	minute = w->tm.tm_hour * 60 + w->tm.tm_min;
	base = w->zoned ? timegm(&w->tm) - w->zone : mktime(&w->tm);
	/* In the hour that is left out in spring: date says that there is none. */
	if (w->gnu && fixed && w->tm.tm_hour * 60 + w->tm.tm_min != minute)
		return false;
	/* By the calendar, from now in summer or winter time as it is now: so does date. */
	if (fixed)
		w->tm.tm_isdst = -1;
	w->tm.tm_mday += w->days;
	w->tm.tm_mon += w->months;
	if (w->days != 0 || w->months != 0)
		base = w->zoned ? timegm(&w->tm) - w->zone : mktime(&w->tm);
	if (!fixed && w->days == 0 && w->months == 0)
		base = now;
	part = us % 1000000 < 0 ? us % 1000000 + 1000000 : us % 1000000;
	t->tv_sec = base + (us - part) / 1000000;
	t->tv_nsec = w->ns + part * 1000;
	if (t->tv_nsec >= 1000000000) {
		t->tv_sec++;
		t->tv_nsec -= 1000000000;
	}
	return true;
}

bool domu_when(const char *text, time_t now, enum domu_when_words words, struct timespec *t)
{
	struct when w = { .p = text, .gnu = words == DOMU_WHEN_DATE };
	char *end;

	*t = (struct timespec){ 0 };
	if (*text == '@') {
		w.p++;
		errno = 0;
		t->tv_sec = (time_t)strtoll(w.p, &end, 10);
		if (errno != 0 || end == w.p || isspace((unsigned char)*w.p))
			return false;
		w.p = end;
		t->tv_nsec = fraction(&w.p);
		if (text[1] == '-' && t->tv_nsec > 0) {
			t->tv_sec--;
			t->tv_nsec = 1000000000 - t->tv_nsec;
		}
		return *w.p == '\0';
	}
	if (localtime_r(&now, &w.tm) == NULL || text[strspn(text, " ")] == '\0')
		return false;
	for (w.p += strspn(w.p, " "); *w.p != '\0'; w.p += strspn(w.p, " ,"))
		if (!take_token(&w))
			return false;
	return sum(&w, now, t);
}
