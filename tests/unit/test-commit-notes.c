/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-notes.c - what programs said goes and stays with the change that it is about. */
#include "config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit-rig.h"

static char told[4096];

static int tell(void *user, const struct domu_note *n)
{
	size_t len = strlen(told);

	(void)user;
	snprintf(told + len, sizeof told - len, "[%s|%s|%s%s]", n->device, n->source, n->text, n->cut ? "|cut" : "");
	return 0;
}

static const char *notes(struct domu_stage *s)
{
	told[0] = '\0';
	cr_assert_eq(domu_stage_notes(s, tell, NULL), 0);
	return told;
}

static const char *history(struct rig *r, const char *id)
{
	told[0] = '\0';
	cr_assert_eq(domu_commit_notes(r->st, id, tell, NULL), 0);
	return told;
}

static void note(struct domu_stage *s, const char *text)
{
	const struct domu_note n = { .device = "xvda", .source = "test", .text = text };

	cr_assert_eq(domu_stage_note(s, &n), 0);
}

Test(notes, nothing_staged_is_nothing_to_speak_of)
{
	struct rig r;
	struct domu_stage *s;

	rig_open(&r, 1, "-t ext4", "4M");
	s = rig_stage(&r);
	note(s, "too early");
	cr_assert_str_eq(notes(s), "");
	cr_assert_eq(domu_stage_drop(s), 0);
	rig_close(&r);
}

Test(notes, go_with_the_change_that_is_cut_back)
{
	struct rig r;
	struct domu_stage *s;
	uint64_t mark;

	rig_open(&r, 1, "-t ext4", "4M");
	s = rig_stage(&r);
	rig_put(&r, s, 0, 2000000, "one", 3);
	note(s, "first\n");
	cr_assert_eq(domu_stage_mark(s, &mark), 0);
	rig_put(&r, s, 0, 3000000, "two", 3);
	note(s, "second\n");
	cr_assert_str_eq(notes(s), "[xvda|test|first\n][xvda|test|second\n]");
	cr_assert_eq(domu_stage_cut(s, mark), 0);
	cr_assert_str_eq(notes(s), "[xvda|test|first\n]");
	/* As long as before, and another change. */
	rig_put(&r, s, 0, 3100000, "three", 5);
	cr_assert_str_eq(notes(s), "[xvda|test|first\n]");
	note(s, "third\n");
	cr_assert_str_eq(notes(s), "[xvda|test|first\n][xvda|test|third\n]");
	cr_assert_eq(domu_stage_drop(s), 0);
	rig_close(&r);
}

Test(notes, outlive_the_session_and_the_commit)
{
	struct rig r;
	struct domu_stage *s;
	char id[DOMU_ID_LEN + 1];

	rig_open(&r, 1, "-t ext4", "4M");
	s = rig_stage(&r);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	rig_put(&r, s, 0, 2000000, "one", 3);
	note(s, "said \x1b[31m and \xff\n");
	domu_stage_close(s);
	cr_assert_eq(domu_stage_resume(r.st, id, &s), 0);
	cr_assert_str_eq(notes(s), "[xvda|test|said \x1b[31m and \xef\xbf\xbd\n]");
	cr_assert_str_eq(history(&r, id), "");
	cr_assert_eq(rig_commit(&r, s, NULL), 0);
	cr_assert_str_eq(history(&r, id), "[xvda|test|said \x1b[31m and \xef\xbf\xbd\n]");
	cr_assert_eq(rig_undo(&r, id), 0);
	cr_assert_str_eq(history(&r, id), "[xvda|test|said \x1b[31m and \xef\xbf\xbd\n]");
	rig_close(&r);
}

Test(notes, a_commit_keeps_none_of_a_change_that_was_cut_back)
{
	struct rig r;
	struct domu_stage *s;
	char id[DOMU_ID_LEN + 1];
	uint64_t mark;

	rig_open(&r, 1, "-t ext4", "4M");
	s = rig_stage(&r);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	rig_put(&r, s, 0, 2000000, "one", 3);
	cr_assert_eq(domu_stage_mark(s, &mark), 0);
	rig_put(&r, s, 0, 3000000, "two", 3);
	note(s, "never was\n");
	cr_assert_eq(domu_stage_cut(s, mark), 0);
	cr_assert_eq(rig_commit(&r, s, NULL), 0);
	cr_assert_str_eq(history(&r, id), "");
	rig_close(&r);
}

Test(notes, are_bounded_and_torn_ones_are_none)
{
	struct rig r;
	struct domu_stage *s;
	size_t len = 1 << 20;
	char *long_text = malloc(len + 1), *path = NULL;
	int fd;

	memset(long_text, 'x', len);
	for (size_t i = 79; i < len; i += 80)
		long_text[i] = '\n';
	long_text[len] = '\0';
	rig_open(&r, 1, "-t ext4", "4M");
	s = rig_stage(&r);
	rig_put(&r, s, 0, 2000000, "one", 3);
	note(s, "short\n");
	for (int i = 0; i < 20; i++)
		note(s, long_text);
	note(s, "late\n");
	notes(s);
	cr_assert(strstr(told, "[xvda|test|short\n]") == told);
	path = domu_text("%s/notes", s->dir);
	fd = open(path, O_RDWR);
	cr_assert_geq(fd, 0);
	cr_assert_leq(lseek(fd, 0, SEEK_END), 512 << 10);
	/* The first record is whole, the second torn. */
	cr_assert_eq(ftruncate(fd, 1000), 0);
	close(fd);
	cr_assert_str_eq(notes(s), "[xvda|test|short\n]");
	note(s, "after\n");
	cr_assert_str_eq(notes(s), "[xvda|test|short\n][xvda|test|after\n]");
	cr_assert_eq(domu_stage_drop(s), 0);
	cr_assert_neq(access(path, F_OK), 0);
	free(path);
	free(long_text);
	rig_close(&r);
}

Test(sums, are_what_differs_from_the_disk)
{
	static const char zeros[8192];
	struct domu_stage_sum sums[DOMU_MAX_DISKS];
	struct rig r;
	struct domu_stage *s;
	char *data = NULL;
	size_t len;

	rig_open(&r, 1, "-t ext4", "4M");
	s = rig_stage(&r);
	data = (char *)rig_read(r.disk[0], &len);
	/* Two blocks, one of which was not zeros before and is then; a third comes back to what it was. */
	rig_put(&r, s, 0, 2048000, "one", 3);
	rig_put(&r, s, 0, 0, zeros, 4096);
	rig_put(&r, s, 0, 4096, "other", 5);
	rig_put(&r, s, 0, 4096, data + 4096, 4096);
	cr_assert_eq(domu_stage_sums(s, sums), 0);
	cr_assert_eq(sums[0].blocks, 2);
	cr_assert_eq(sums[0].zeros, 1);
	cr_assert_eq(sums[0].same, 1);
	cr_assert_eq(sums[1].blocks, 0);
	free(data);
	cr_assert_eq(domu_stage_drop(s), 0);
	rig_close(&r);
}
