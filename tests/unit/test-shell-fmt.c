/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-shell-fmt.c - modes, sizes and times as coreutils write them: its own programs say how. */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "shell/fmt.h"

static char file[] = "/tmp/test-shell-fmt.XXXXXX";
static int fd;

static void init(void)
{
	setenv("LC_ALL", "C", 1);
	fd = mkstemp(file);
	cr_assert_geq(fd, 0);
}

static void fini(void)
{
	close(fd);
	unlink(file);
}

TestSuite(fmt, .init = init, .fini = fini);

/* The first line that a command prints about the file. */
static void asked(const char *before, const char *after, char *out, size_t size)
{
	char *command;
	FILE *f;

	cr_assert_gt(asprintf(&command, "%s %s %s", before, file, after), 0);
	f = popen(command, "r");
	cr_assert_not_null(fgets(out, (int)size, f));
	out[strcspn(out, "\n")] = '\0';
	pclose(f);
	free(command);
}

Test(fmt, modes_are_stat_s)
{
	static const mode_t modes[] = { 0, 0777, 0644, 04755, 04644, 02755, 02644, 01777, 01666, 07777, 07000, 0421 };

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		char ours[11], theirs[64];

		cr_assert_eq(fchmod(fd, modes[i]), 0);
		asked("stat -c %A", "", theirs, sizeof theirs);
		domu_mode_text(S_IFREG | modes[i], ours);
		cr_expect_str_eq(ours, theirs, "%o", modes[i]);
	}
}

Test(fmt, sizes_are_those_of_ls_h)
{
	static const uint64_t sizes[] = { 0,         1,          1023,       1024,      1025,    1126,     1127,
		                          10188,     10239,      10240,      10241,     102400,  1047552,  1047553,
		                          1048575,   1048576,    1048577,    1153433,   1153434, 10485760, 10485761,
		                          999999999, 1073741823, 1073741824, 5368709121 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char ours[DOMU_HUMAN_TEXT], theirs[64];

		cr_assert_eq(ftruncate(fd, (off_t)sizes[i]), 0);
		asked("ls -lh", "| awk '{ print $5 }'", theirs, sizeof theirs);
		domu_human(sizes[i], ours);
		cr_expect_str_eq(ours, theirs, "%" PRIu64 ": %s, ls has %s", sizes[i], ours, theirs);
	}
}

Test(fmt, times_are_those_of_ls_and_stat)
{
	time_t now = time(NULL);
	const time_t ages[] = { 0, 60, 86400, 100 * 86400, 180 * 86400, 185 * 86400, 400 * 86400, now - 86400, -86400 };
	static const char *const zones[] = { "UTC", "Europe/Berlin", "America/St_Johns" };

	for (size_t z = 0; z < 3; z++) {
		setenv("TZ", zones[z], 1);
		tzset();
		for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
			struct timespec t[2] = { { now - ages[i], 1234567 }, { now - ages[i], 1234567 } };
			char ours[DOMU_TIME_TEXT], theirs[128];

			cr_assert_eq(futimens(fd, t), 0);
			asked("stat -c %y", "", theirs, sizeof theirs);
			domu_time_full(t[0], ours);
			cr_expect_str_eq(ours, theirs);
			asked("ls -l", "", theirs, sizeof theirs);
			domu_time_ls(t[0], now, ours);
			cr_expect_not_null(strstr(theirs, ours), "%s, ls has %s", ours, theirs);
		}
	}
}

Test(fmt, times_that_no_calendar_has_are_numbers)
{
	char text[DOMU_TIME_TEXT];

	domu_time_full((struct timespec){ .tv_sec = INT64_MAX }, text);
	cr_expect_str_eq(text, "9223372036854775807");
	domu_time_ls((struct timespec){ .tv_sec = INT64_MIN }, 0, text);
	cr_expect_str_eq(text, "-9223372036854775808");
}
