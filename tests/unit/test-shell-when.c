/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-shell-when.c - times as people type them: date(1), whose words find -newermt takes, and systemd are asked. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "shell/fmt.h"

/* What a program prints on stdout, and whether it ends with 0. */
static bool ask(char *const *argv, char *out, size_t size)
{
	int fds[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		cr_assert_not_null(freopen("/dev/null", "w", stderr));
		execvp(argv[0], argv);
		_exit(127);
	}
	close(fds[1]);
	while (len < size - 1 && (n = read(fds[0], out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(fds[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_neq(WEXITSTATUS(status), 127, "%s is not there", argv[0]);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* theirs is seconds with a fraction; it was told at some moment since now. */
static void compare(const char *words, enum domu_when_words kind, time_t now, bool known, const char *theirs)
{
	struct timespec t;
	bool ours = domu_when(words, now, kind, &t);
	double want;

	cr_expect_eq(ours, known, "'%s' is %sa time for them", words, known ? "" : "no ");
	if (!ours || !known)
		return;
	want = strtod(theirs, NULL);
	cr_expect((double)t.tv_sec + (double)t.tv_nsec / 1e9 > want - (double)(time(NULL) - now) - 1.1 &&
	              (double)t.tv_sec + (double)t.tv_nsec / 1e9 < want + 0.001,
	          "'%s': %lld.%09ld, but %s", words, (long long)t.tv_sec, t.tv_nsec, theirs);
}

static const char *const zones[] = { "UTC", "CET-1CEST,M3.5.0,M10.5.0/3", "ABC+9:30" };

Test(when, words_of_date)
{
	static const char *const words[] = {
		"2024-05-01",
		"2024-05-01 12:30",
		"2024-05-01 12:30:01",
		"2024-05-01T12:30:01",
		"2024-05-01 12:30:01.25",
		"2024-05-01T12:30:01Z",
		"2024-05-01 12:30 UTC",
		"2024-05-01 12:30:01 +02:00",
		"2024-05-01 12:30:01-0530",
		"12:30",
		"2:30pm",
		"12:01 am",
		"@17",
		"@-17",
		"@17.5",
		"@1.000000001",
		"now",
		"today",
		"yesterday",
		"tomorrow",
		"yesterday 14:00",
		"14:00 yesterday",
		"2 days ago",
		"2 days ago 10:00",
		"2 weeks ago",
		"-2 weeks",
		"-90min",
		"-90 minutes",
		"90 minutes ago",
		"1 month ago",
		"-1 month",
		"3 months ago",
		"1 year ago",
		"last year",
		"last month",
		"next week",
		"last week",
		"1 hour",
		"-1 hour",
		"1 day 2 hours ago",
		"-1 day 2 hours",
		"-1 day -2 hours",
		"2024-05-01 2 days ago",
		"2024-05-01 -1 month",
		"2024-03-31 1 month ago",
		"1 fortnight ago",
		"monday",
		"last monday",
		"next friday",
		"sunday",
		"sat 10:00",
		"Wed 2024-05-01",
		"1 May 2024",
		"May 1 2024",
		"May 1, 2024",
		"1 may",
		"Jan 1",
		"1 Jan 2024 12:30",
		"December 24",
		"2024-02-30",
		"2024-13-01",
		"25:00",
		"2024-05-01 12:60",
		"soon",
		"12:30 12:30",
		"2024-05-01 2024-05-02",
		"ago",
		"30 sec ago",
		"1 secs ago",
		"2 DAYS AGO",
		"5 parsecs ago",
		"2024-05-01 12:30 foo",
		"69-01-01",
		"24-05-01",
		"2024-5-1",
		/* What the calendar and the clock have of their own. */
		"2024-03-31 02:30",
		"2024-10-27 02:30",
		"2024-10-26 12:00 1 day",
		"2024-10-26 12:00 24 hours",
		"2024-03-30 12:00 1 day",
		"2024-01-31 1 month",
		"2024-02-29 1 year",
		"2023-02-29",
		"2050-01-01",
		"2106-02-07 06:28:16 UTC",
		"9999-12-31",
		"1900-01-01",
		"12:30:60",
		"1.5 days ago",
		"1.5 hours ago",
		"1.5 seconds ago",
		"monday tuesday",
	};

	for (size_t z = 0; z < sizeof zones / sizeof *zones; z++) {
		setenv("TZ", zones[z], 1);
		tzset();
		for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
			char *argv[] = { (char *)"date", (char *)"-d", (char *)words[i], (char *)"+%s.%N", NULL };
			time_t now = time(NULL);
			char out[256];
			bool known = ask(argv, out, sizeof out);

			compare(words[i], DOMU_WHEN_DATE, now, known, out);
		}
	}
}

Test(when, words_of_systemd)
{
	static const char *const words[] = {
		"2024-05-01",
		"2024-05-01 12:30",
		"2024-05-01 12:30:01",
		"2024-05-01 12:30:01.25",
		"24-05-01",
		"2024-05-01 12:30:01 UTC",
		"12:30",
		"12:30:01",
		"Wed 2024-05-01 12:30",
		"Wednesday 2024-05-01",
		"Mon 2024-05-01",
		"@17",
		"@17.5",
		"now",
		"today",
		"yesterday",
		"tomorrow",
		"-1h30min",
		"1h30min ago",
		"+1h30min",
		"2 weeks ago",
		"-90min",
		"1 month ago",
		"-1M",
		"-1m",
		"-1month",
		"1 year ago",
		"-1y2w",
		"-1d2h",
		"1d 2h ago",
		"-1hr",
		"1.5h ago",
		"-2 hours",
		"2hours ago",
		"5 sec ago",
		"-5s",
		"-5sec",
		"300ms20s 5day ago",
		"-1 month 3 days",
		"ago",
		"soon",
		"-",
		"- 5min",
		"-5min ago",
		"+5min ago",
		"25:00",
		"2024-13-01",
		"-5 parsecs",
		"1h ago 2h",
		"-1h -2h",
	};
	static const char key[] = "UNIX seconds: @";

	if (access("/usr/bin/systemd-analyze", X_OK) != 0)
		cr_skip("systemd-analyze is not installed");
	for (size_t z = 0; z < sizeof zones / sizeof *zones; z++) {
		setenv("TZ", zones[z], 1);
		tzset();
		for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
			char *argv[] = { (char *)"/usr/bin/systemd-analyze", (char *)"timestamp", (char *)"--",
				         (char *)words[i], NULL };
			time_t now = time(NULL);
			char out[1024], *at;
			bool known = ask(argv, out, sizeof out);

			at = strstr(out, key);
			compare(words[i], DOMU_WHEN_SYSTEMD, now, known && at != NULL,
			        at != NULL ? at + strlen(key) : "");
		}
	}
}

/* What people type and systemd refuses: a span is before now, a day has a time. */
Test(when, more_than_systemd_has)
{
	static const struct {
		const char *words, *same;
	} pairs[] = { { "1h30min", "-1h30min" },
		      { "1 month", "1 month ago" },
		      { "2024-05-01T12:30:01", "2024-05-01 12:30:01" },
		      { "2024-05-01T12:30:01Z", "2024-05-01 12:30:01 UTC" },
		      { "90 MINUTES AGO", "-90min" } };
	struct timespec a, b;
	time_t now = time(NULL);

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		cr_expect(domu_when(pairs[i].words, now, DOMU_WHEN_SYSTEMD, &a), "%s", pairs[i].words);
		cr_expect(domu_when(pairs[i].same, now, DOMU_WHEN_SYSTEMD, &b), "%s", pairs[i].same);
		cr_expect(a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec, "%s", pairs[i].words);
	}
	cr_expect(domu_when("yesterday", now, DOMU_WHEN_SYSTEMD, &a));
	cr_expect(domu_when("yesterday 14:00", now, DOMU_WHEN_SYSTEMD, &b));
	cr_expect_eq(b.tv_sec - a.tv_sec, 14 * 3600);
}

/* What date(1) takes for a time zone, and people do not: it is no time rather than another than was meant. */
Test(when, what_means_two_times_is_none)
{
	static const char *const words[] = { "1h",  "5m",   "2d",           "1w",
		                             "-1h", "10 s", "12:30 -1 day", "2024-05-01 12:30 +2 days" };
	struct timespec t;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		cr_expect_not(domu_when(words[i], time(NULL), DOMU_WHEN_DATE, &t), "%s", words[i]);
	cr_expect(domu_when("12:30 yesterday -2 hours", time(NULL), DOMU_WHEN_DATE, &t));
}

/* Numbers that no arithmetic survives. */
Test(when, absurd_numbers_are_no_time)
{
	static const char *const words[] = {
		"-999999999999999999999d", "@99999999999999999999", "-1e300y",      "0x10 days ago", "-1000000000y",
		"99999999999 years",       "-999999999 months",     "inf days ago", "nan days ago",  ""
	};
	struct timespec t;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		for (int kind = 0; kind < 2; kind++)
			cr_expect_not(domu_when(words[i], time(NULL), (enum domu_when_words)kind, &t), "%s", words[i]);
}
