/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-rests.c - the superblocks that a stage rests on: kept with it, and checked when they are read. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "commit-rig.h"

#define EXT4 "-t ext4 -b 1024 -N 16 -O ^has_journal"

static void stage_with_supers(struct rig *r, char id[DOMU_ID_LEN + 1])
{
	struct domu_super supers[] = {
		{ .disk = 0, .offset = 1024, .size = 512, .sum = 4711, .name = "xvda1" },
		{ .disk = 0, .offset = 0, .size = DOMU_UNIT, .sum = UINT32_MAX, .layout = true, .name = "xvda" },
	};
	struct domu_identity disk;
	struct domu_commit_info info = { .disks = &disk, .n_disks = 1, .supers = supers, .n_supers = 2 };
	struct domu_stage *s;

	cr_assert(domu_identity_make(&r->ctx, r->fd[0], r->disk[0], "xvda", &disk) == 0);
	cr_assert(domu_stage_create(r->st, &info, &s) == 0, "%s", r->ctx.error.message);
	snprintf(id, DOMU_ID_LEN + 1, "%s", domu_stage_info(s)->id);
	domu_stage_close(s);
	domu_identity_free(&disk);
}

Test(rests, superblocks_are_kept_with_a_stage)
{
	const struct domu_commit_info *ci;
	char id[DOMU_ID_LEN + 1];
	struct domu_stage *s;
	struct rig r;

	rig_open(&r, 1, EXT4, "1M");
	stage_with_supers(&r, id);
	cr_assert(domu_stage_resume(r.st, id, &s) == 0, "%s", r.ctx.error.message);
	ci = domu_stage_info(s);
	cr_assert_eq(ci->n_supers, 2);
	cr_assert_str_eq(ci->supers[0].name, "xvda1");
	cr_assert_eq(ci->supers[0].offset, 1024);
	cr_assert_eq(ci->supers[0].size, 512);
	cr_assert_eq(ci->supers[0].sum, 4711);
	cr_assert_eq(ci->supers[1].size, DOMU_UNIT);
	cr_assert(!ci->supers[0].layout && ci->supers[1].layout);
	cr_assert_eq(ci->supers[1].sum, UINT32_MAX);
	cr_assert(domu_stage_drop(s) == 0);
	rig_close(&r);
}

#define HOME(what) "s/}$/,\"homes\":[{" what "}]}/"

Test(rests, superblocks_that_make_no_sense_are_a_damaged_description)
{
	static const char *const edits[] = {
		"s/\"size\":512/\"size\":4097/",
		"s/\"size\":512/\"size\":0/",
		"s/\"disk\":0/\"disk\":1/",
		"s/\"sum\":4711/\"sum\":4294967296/",
		"s/\"supers\":\\[.*]/\"supers\":[]/",
		"s/\"supers\":\\[.*]/\"supers\":7/",
		"s/}$/,\"homes\":7}/",
		"s/}$/,\"homes\":[]}/",
		HOME("\"name\":\"ab\""),
		HOME("\"map\":\"8@0:0\""),
		HOME("\"name\":\"ab\",\"map\":\"8@1:0\""), /* no such disk */
		HOME("\"name\":\"ab\",\"map\":\"8@0\""),
		HOME("\"name\":\"ab\",\"lv\":1,\"map\":\"8@0:0\""),
	};

	for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
		char id[DOMU_ID_LEN + 1];
		struct domu_stage *s;
		struct rig r;

		rig_open(&r, 1, EXT4, "1M");
		stage_with_supers(&r, id);
		cr_assert(rig_run("sed -i '%s' %s/pending/%s/meta", edits[i], r.state, id) == 0);
		cr_assert(domu_stage_resume(r.st, id, &s) == -EBADMSG, "%s", edits[i]);
		rig_close(&r);
	}
}

Test(rests, homes_are_read)
{
	char id[DOMU_ID_LEN + 1];
	struct domu_stage *s;
	struct rig r;

	rig_open(&r, 1, EXT4, "1M");
	stage_with_supers(&r, id);
	cr_assert(rig_run("sed -i '" HOME("\"name\":\"ab\",\"lv\":\"x\",\"map\":\"8@0:0\"") "' %s/pending/%s/meta",
	                  r.state, id) == 0);
	cr_assert(domu_stage_resume(r.st, id, &s) == 0, "%s", r.ctx.error.message);
	cr_assert_eq(domu_stage_info(s)->n_homes, 1);
	cr_assert_str_eq(domu_stage_info(s)->homes[0].lv, "x");
	domu_stage_close(s);
	rig_close(&r);
}

Test(rests, a_stage_of_an_older_version_has_none)
{
	char id[DOMU_ID_LEN + 1];
	struct domu_stage *s;
	struct rig r;

	rig_open(&r, 1, EXT4, "1M");
	stage_with_supers(&r, id);
	cr_assert(rig_run("sed -i 's/,\"supers\":\\[.*]//' %s/pending/%s/meta", r.state, id) == 0);
	cr_assert(rig_run("! grep -q supers %s/pending/%s/meta", r.state, id) == 0);
	cr_assert(domu_stage_resume(r.st, id, &s) == 0, "%s", r.ctx.error.message);
	cr_assert_eq(domu_stage_info(s)->n_supers, 0);
	domu_stage_close(s);
	rig_close(&r);
}
