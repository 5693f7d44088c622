/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-retain.c - the history shortened: what goes, what never goes, and what a cut leaves. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "commit-rig.h"

#define EXT4      "-t ext4 -b 1024 -N 16 -O ^has_journal"
#define UNLIMITED ((struct domu_retain){ .count = UINT64_MAX, .age = UINT64_MAX, .size = UINT64_MAX })

/* The library's clock: it goes as the test wants. */
static time_t ahead;

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out != NULL)
		*out = now.tv_sec + ahead;
	return now.tv_sec + ahead;
}

/* One more commit of n blocks behind the filesystem's metadata; its ID. */
static void commit(struct rig *r, unsigned n, const struct domu_commit_opts *opts, char id[DOMU_ID_LEN + 1])
{
	static uint8_t seed;
	struct domu_stage *s = rig_stage(r);
	uint8_t block[DOMU_UNIT];

	memset(block, ++seed, sizeof block);
	for (unsigned i = 0; i < n; i++)
		rig_put(r, s, 0, (64 + i) * DOMU_UNIT, block, sizeof block);
	snprintf(id, DOMU_ID_LEN + 1, "%s", domu_stage_info(s)->id);
	cr_assert(rig_commit(r, s, opts) == 0, "%s", r->ctx.error.message);
	ahead++;
}

static size_t kept(struct rig *r, bool undoable)
{
	struct domu_commit_info *v;
	size_t n, found = 0;

	cr_assert(domu_state_list(r->st, NULL, false, &v, &n) == 0, "%s", r->ctx.error.message);
	for (size_t i = 0; i < n; i++)
		found += !undoable || v[i].undoable;
	domu_state_list_free(v, n);
	return found;
}

static bool there(struct rig *r, const char *id)
{
	char path[256];

	snprintf(path, sizeof path, "%s/history/%s/seal", r->state, id);
	return access(path, F_OK) == 0;
}

static void retain(struct rig *r, struct domu_retain limits)
{
	cr_assert(domu_state_retain(r->st, &limits) == 0, "%s", r->ctx.error.message);
}

Test(retain, without_limits_nothing_goes)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1];

	rig_open(&r, 1, EXT4, "1M");
	for (unsigned i = 0; i < 5; i++)
		commit(&r, 1, NULL, id);
	ahead += 1000 * 86400;
	retain(&r, UNLIMITED);
	cr_assert_eq(kept(&r, true), 5);
	rig_close(&r);
}

Test(retain, of_too_many_commits_the_oldest_go)
{
	struct rig r;
	char id[4][DOMU_ID_LEN + 1];
	struct domu_retain limits = UNLIMITED;

	rig_open(&r, 1, EXT4, "1M");
	for (unsigned i = 0; i < 4; i++)
		commit(&r, 1, NULL, id[i]);
	limits.count = 2;
	retain(&r, limits);
	cr_assert(!there(&r, id[0]) && !there(&r, id[1]) && there(&r, id[2]) && there(&r, id[3]));
	cr_assert_eq(kept(&r, false), 2);
	cr_assert(rig_undo(&r, id[3]) == 0, "%s", r.ctx.error.message);
	rig_close(&r);
}

Test(retain, the_newest_that_can_be_undone_stays_however_old)
{
	struct rig r;
	char id[3][DOMU_ID_LEN + 1];
	struct domu_commit_opts none = { .no_undo = true };
	struct domu_retain limits = UNLIMITED;

	rig_open(&r, 1, EXT4, "1M");
	commit(&r, 1, NULL, id[0]);
	commit(&r, 1, NULL, id[1]);
	commit(&r, 1, &none, id[2]);
	limits.age = 3600;
	ahead += 3500;
	retain(&r, limits);
	cr_assert_eq(kept(&r, false), 3);
	ahead += 3600;
	retain(&r, limits);
	cr_assert(!there(&r, id[0]) && there(&r, id[1]) && !there(&r, id[2]));
	limits = (struct domu_retain){ .count = 1, .age = 0, .size = 0 };
	retain(&r, limits);
	cr_assert(there(&r, id[1]));
	rig_close(&r);
}

/* dm and loop devices change their numbers, and files their names. */
Test(retain, a_disk_is_not_told_by_its_path)
{
	struct rig r;
	char moved[128], id[4][DOMU_ID_LEN + 1];
	struct domu_retain limits = UNLIMITED;

	rig_open(&r, 1, EXT4, "1M");
	commit(&r, 1, NULL, id[0]);
	commit(&r, 1, NULL, id[1]);
	snprintf(moved, sizeof moved, "%s/moved", r.dir);
	cr_assert(rename(r.disk[0], moved) == 0);
	rig_copy(moved, r.disk[0]);
	rig_reopen(&r);
	commit(&r, 1, NULL, id[2]);
	commit(&r, 1, NULL, id[3]);
	limits.count = 1;
	retain(&r, limits);
	cr_assert(!there(&r, id[0]) && there(&r, id[1]), "of the disk that was moved");
	cr_assert(!there(&r, id[2]) && there(&r, id[3]), "of the one that has its name");
	rig_close(&r);
}

Test(retain, what_takes_too_much_room_goes)
{
	struct rig r;
	char id[3][DOMU_ID_LEN + 1];
	struct domu_retain limits = UNLIMITED;

	rig_open(&r, 1, EXT4, "2M");
	commit(&r, 200, NULL, id[0]); /* of zeros, which take no room */
	commit(&r, 200, NULL, id[1]);
	commit(&r, 100, NULL, id[2]);
	limits.size = 1500 * 1024;
	retain(&r, limits);
	cr_assert_eq(kept(&r, true), 3);
	/* The newest takes 400 KiB, the one before 800, which is too much; what is older goes with it. */
	limits.size = 1000 * 1024;
	retain(&r, limits);
	cr_assert(!there(&r, id[0]) && !there(&r, id[1]) && there(&r, id[2]));
	rig_close(&r);
}

Test(retain, a_stage_and_what_is_due_never_go)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1];
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "1M");
	commit(&r, 1, NULL, id);
	s = rig_stage(&r);
	rig_put(&r, s, 0, 65 * DOMU_UNIT, "staged", 6);
	domu_stage_close(s);
	ahead += 1000 * 86400;
	retain(&r, (struct domu_retain){ .count = 1 });
	cr_assert_eq(kept(&r, false), 2);
	rig_close(&r);
}

Test(retain, an_undo_file_elsewhere_goes_with_its_commit_and_nothing_else)
{
	struct rig r;
	char id[2][DOMU_ID_LEN + 1], dir[128];
	struct domu_commit_opts opts = { .undo_dir = dir };

	rig_open(&r, 1, EXT4, "1M");
	snprintf(dir, sizeof dir, "%s/elsewhere", r.dir);
	cr_assert(mkdir(dir, 0700) == 0);
	commit(&r, 1, &opts, id[0]);
	commit(&r, 1, &opts, id[1]);
	cr_assert(rig_run("test $(ls %s | wc -l) = 2", dir) == 0);
	retain(&r, (struct domu_retain){ .count = 1, .age = UINT64_MAX, .size = UINT64_MAX });
	cr_assert(rig_run("test \"$(ls %s)\" = domu-undo-%s", dir, id[1]) == 0);
	/* A name that now is somebody else's file. */
	commit(&r, 1, NULL, id[0]);
	cr_assert(rig_run("echo mine >%s/domu-undo-%s", dir, id[1]) == 0);
	retain(&r, (struct domu_retain){ .count = 1, .age = UINT64_MAX, .size = UINT64_MAX });
	cr_assert(!there(&r, id[1]));
	cr_assert(rig_run("test \"$(cat %s/domu-undo-%s)\" = mine", dir, id[1]) == 0);
	rig_close(&r);
}

/* Cut at any call: whoever comes next sees each commit whole, or not undoable, or not at all, and no rest of one. */
Test(retain, a_cut_leaves_nothing_that_confuses)
{
	struct domu_retain limits = { .count = 1, .age = UINT64_MAX, .size = UINT64_MAX };
	struct rig r;
	char id[3][DOMU_ID_LEN + 1], dir[128];
	struct domu_commit_opts opts = { .undo_dir = dir };
	unsigned cuts = 0;
	int rc = -1;

	while (rc != 0) {
		rig_open(&r, 1, EXT4, "1M");
		snprintf(dir, sizeof dir, "%s/elsewhere", r.dir);
		cr_assert(mkdir(dir, 0700) == 0);
		commit(&r, 1, NULL, id[0]);
		commit(&r, 1, &opts, id[1]);
		commit(&r, 1, NULL, id[2]);
		rig_io_reset();
		rig_io.fail_at = ++cuts;
		rc = domu_state_retain(r.st, &limits);
		rig_io_reset();
		r.said[0] = '\0';
		rig_reopen(&r);
		cr_assert(there(&r, id[2]) && kept(&r, true) >= 1);
		cr_assert_str_empty(r.said, "cut at %u: %s", cuts, r.said);
		cr_assert(rig_run("test $(ls %s/history | wc -l) = %zu", r.state, kept(&r, false)) == 0, "cut at %u",
		          cuts);
		cr_assert(rig_undo(&r, id[2]) == 0, "cut at %u: %s", cuts, r.ctx.error.message);
		retain(&r, limits);
		cr_assert_leq(kept(&r, false), 2);
		rig_close(&r);
	}
	cr_assert_geq(cuts, 8);
}
