/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fs-mode.c - permission bits: chmod(1) is the measure. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/mode.h"

#define COUNT 400

static uint64_t seed = 3;

static unsigned rnd(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static void add(char *text, const char *from, unsigned count)
{
	size_t len = strlen(text);

	while (count-- > 0)
		text[len++] = from[rnd((unsigned)strlen(from))];
	text[len] = '\0';
}

static void make_mode(char *text)
{
	*text = '\0';
	if (rnd(5) == 0) {
		add(text, "01234567", 1 + rnd(4));
		return;
	}
	for (unsigned clauses = 1 + rnd(3); clauses > 0; clauses--) {
		add(text, "ugoa", rnd(3));
		for (unsigned ops = 1 + rnd(2); ops > 0; ops--) {
			add(text, "+-=", 1);
			if (rnd(4) == 0)
				add(text, "ugo", 1);
			else
				add(text, "rwxXst", rnd(4));
		}
		if (clauses > 1)
			strcat(text, ",");
	}
}

static struct {
	char text[64];
	uint32_t old;
	bool dir;
} cases[COUNT];

Test(mode, what_chmod_makes_of_it)
{
	char dir[] = "/tmp/domu-mode-XXXXXX", path[64], cmd[128];
	unsigned want;
	FILE *f;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/run", dir);
	f = fopen(path, "w");
	fprintf(f, "cd %s; umask 022; touch f; mkdir d\n", dir);
	for (int i = 0; i < COUNT; i++) {
		cases[i].dir = rnd(2) != 0;
		cases[i].old = rnd(010000);
		make_mode(cases[i].text);
		/* Five digits set a directory's bits exactly. */
		fprintf(f, "chmod 0%04o %c; chmod -- '%s' %c 2>/dev/null; stat -c %%a %c\n", cases[i].old,
		        cases[i].dir ? 'd' : 'f', cases[i].text, cases[i].dir ? 'd' : 'f', cases[i].dir ? 'd' : 'f');
	}
	fclose(f);
	snprintf(cmd, sizeof cmd, "sh %s", path);
	f = popen(cmd, "r");
	for (int i = 0; i < COUNT; i++) {
		uint32_t got = 0;

		cr_assert_eq(fscanf(f, "%o", &want), 1);
		cr_assert_eq(domu_mode_apply(cases[i].text, cases[i].old, cases[i].dir, &got), 0, "%s", cases[i].text);
		cr_assert_eq(got, want, "%s of %o%s: %o, chmod says %o", cases[i].text, cases[i].old,
		             cases[i].dir ? " (directory)" : "", got, want);
	}
	pclose(f);
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	cr_assert_eq(system(cmd), 0);
}

Test(mode, what_is_no_mode)
{
	static const char *const bad[] = { "", "8", "77777", "u", "rwx", "u+q", "u+x,", ",u+x", "u+x g+x", "07x" };
	uint32_t mode;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_eq(domu_mode_apply(bad[i], 0644, false, &mode), -EINVAL, "%s", bad[i]);
}
