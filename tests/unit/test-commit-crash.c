/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-crash.c - a commit that dies at its n-th call, for every n, and what recover makes of it. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit-rig.h"

#define EXT4 "-t ext4 -b 1024 -N 16 -O ^has_journal"
#define EDIT "rm /etc/hostname\nwrite script /etc/hostname\nmkdir /var\nwrite script /var/log"

struct scene {
	struct rig r;
	char before[RIG_DISKS][128], after[RIG_DISKS][128], now[128];
	bool doors, undoing;
	struct domu_commit_opts opts;
};

static void set_up(struct scene *c, unsigned disks, bool doors)
{
	memset(c, 0, sizeof *c);
	rig_open(&c->r, disks, EXT4, "1M");
	c->doors = doors;
	snprintf(c->now, sizeof c->now, "%s/now", c->r.dir);
	for (unsigned i = 0; i < disks; i++) {
		snprintf(c->before[i], sizeof c->before[i], "%s/before%u", c->r.dir, i);
		snprintf(c->after[i], sizeof c->after[i], "%s/after%u", c->r.dir, i);
		rig_copy(c->r.disk[i], c->before[i]);
		rig_edit(&c->r, i, c->after[i], EDIT);
	}
}

/* Everything as it was before the commit, but for what the state directory's tidying needs. */
static void rewind_all(struct scene *c)
{
	rig_io_reset();
	for (unsigned i = 0; i < c->r.n; i++)
		rig_copy(c->before[i], c->r.disk[i]);
	rig_run("rm -rf %s", c->r.state);
	rig_reopen(&c->r);
}

/* Stages the edits and commits them; dies at call fail_at.  The number of calls it took. */
static unsigned attempt(struct scene *c, unsigned fail_at, bool tear, bool once, int *rc)
{
	struct domu_stage *s = rig_stage(&c->r);

	for (unsigned i = 0; i < c->r.n; i++)
		rig_write(&c->r, s, i, c->after[i]);
	rig_io_reset();
	rig_io.fail_at = fail_at;
	rig_io.tear = tear;
	rig_io.once = once;
	*rc = c->doors ? rig_commit(&c->r, s, &c->opts) : rig_commit_doorless(&c->r, s, &c->opts);
	fail_at = rig_io.calls;
	rig_io_reset();
	domu_error_clear(&c->r.ctx);
	rig_reopen(&c->r);
	return fail_at;
}

static bool all(struct scene *c, char (*what)[128])
{
	for (unsigned i = 0; i < c->r.n; i++)
		if (!rig_same(c->r.disk[i], what[i]))
			return false;
	return true;
}

static bool any_closed(struct scene *c, bool *root)
{
	char id[DOMU_ID_LEN + 1];
	uint8_t sector[512];
	bool closed = false;

	for (unsigned i = 0; i < c->r.n; i++) {
		cr_assert(domu_pread_full(c->r.fd[i], sector, sizeof sector, 1024) == 0);
		if (!domu_door_is_closed(sector, sizeof sector, id))
			continue;
		closed = true;
		if (i == 0)
			*root = true;
	}
	return closed;
}

static unsigned interrupted(struct scene *c)
{
	struct domu_commit_info *v;
	unsigned found = 0;
	size_t n;

	cr_assert(domu_state_list(c->r.st, NULL, false, &v, &n) == 0);
	for (size_t i = 0; i < n; i++)
		found += v[i].state == DOMU_COMMIT_INTERRUPTED;
	domu_state_list_free(v, n);
	return found;
}

/* Old, new, or closed with recover making it new; a second recover has nothing to do. */
static void judge(struct scene *c, unsigned at, int rc, unsigned *olds, unsigned *news)
{
	enum domu_recover_result result = DOMU_RECOVER_NOTHING;
	bool root = false, closed = any_closed(c, &root);
	unsigned n;

	cr_assert(!closed || root, "call %u: another door closed than root's", at);
	if (c->doors)
		cr_assert(closed || all(c, c->before) || all(c, c->after), "call %u: half done and open", at);
	cr_assert(rig_recover(&c->r, &result, &n) == 0, "call %u: %s", at, c->r.ctx.error.message);
	cr_assert(!any_closed(c, &root), "call %u: still closed", at);
	if (all(c, c->after))
		++*news;
	else if (all(c, c->before))
		++*olds;
	else
		cr_assert_fail("call %u: neither old nor new after recover", at);
	cr_assert(rc != 0 || all(c, c->after), "call %u: reported as done, but old", at);
	cr_assert(!closed || all(c, c->after), "call %u: was closed, but is old", at);
	cr_assert(interrupted(c) == 0, "call %u: still due", at);
	rig_reopen(&c->r);
	rig_io_reset();
	cr_assert(rig_recover(&c->r, &result, &n) == 0 && n == 0 && rig_io.calls == 0);
}

static void every_call(unsigned disks, bool doors, bool tear, bool once, const char *undo_dir, bool no_undo)
{
	struct scene c;
	unsigned calls, olds = 0, news = 0;
	char dir[128];
	int rc;

	set_up(&c, disks, doors);
	c.opts.no_undo = no_undo;
	if (undo_dir != NULL) {
		snprintf(dir, sizeof dir, "%s/%s", c.r.dir, undo_dir);
		cr_assert(rig_run("mkdir -p %s", dir) == 0);
		c.opts.undo_dir = dir;
	}
	calls = attempt(&c, 0, false, false, &rc);
	cr_assert(rc == 0 && all(&c, c.after));
	for (unsigned at = 1; at <= calls; at++) {
		rewind_all(&c);
		attempt(&c, at, tear, once, &rc);
		judge(&c, at, rc, &olds, &news);
		if (undo_dir != NULL)
			rig_run("rm -f %s/*", dir);
	}
	cr_assert(olds > 5 && news > 5, "%u old, %u new of %u", olds, news, calls);
	rig_close(&c.r);
}

Test(crash, at_any_call_of_one_disk_ends_old_or_new)
{
	every_call(1, true, false, false, NULL, false);
}

Test(crash, at_any_torn_write_of_one_disk_ends_old_or_new)
{
	every_call(1, true, true, false, NULL, false);
}

Test(crash, at_any_call_of_two_disks_ends_old_or_new)
{
	every_call(2, true, true, false, NULL, false);
}

Test(crash, at_any_call_without_doors_ends_old_or_new)
{
	every_call(2, false, true, false, NULL, false);
}

Test(crash, at_any_call_without_undo_ends_old_or_new)
{
	every_call(1, true, true, false, NULL, true);
}

Test(crash, at_any_call_with_an_undo_dir_ends_old_or_new)
{
	every_call(1, true, true, false, "elsewhere", false);
}

Test(fault, of_any_single_call_ends_old_or_new)
{
	every_call(1, true, false, true, NULL, false);
}

Test(fault, of_any_single_torn_call_of_two_disks_ends_old_or_new)
{
	every_call(2, true, true, true, NULL, false);
}

/* Cut at call at; then its recover at call again.  false: that call was never reached, or nothing was closed. */
static bool cut_twice(struct scene *c, unsigned at, unsigned again)
{
	enum domu_recover_result result;
	unsigned calls, n;
	bool root = false;
	int rc;

	rewind_all(c);
	attempt(c, at, true, false, &rc);
	if (!any_closed(c, &root))
		return false;
	rig_io_reset();
	rig_io.fail_at = again;
	rig_io.tear = true;
	rig_recover(&c->r, &result, &n);
	calls = rig_io.calls;
	rig_io_reset();
	domu_error_clear(&c->r.ctx);
	rig_reopen(&c->r);
	cr_assert(all(c, c->after) || any_closed(c, &root), "%u, %u: half done and open", at, again);
	cr_assert(rig_recover(&c->r, &result, &n) == 0, "%u, %u: %s", at, again, c->r.ctx.error.message);
	cr_assert(all(c, c->after), "%u, %u: not new", at, again);
	cr_assert(interrupted(c) == 0, "%u, %u: still due", at, again);
	return calls >= again;
}

Test(crash, of_recover_at_any_call_ends_new)
{
	struct scene c;
	unsigned calls, cut = 0;
	int rc;

	set_up(&c, 2, true);
	calls = attempt(&c, 0, false, false, &rc);
	for (unsigned at = 1; at <= calls; at += 3)
		for (unsigned again = 1; cut_twice(&c, at, again); again++)
			cut++;
	cr_assert(cut > 50, "%u", cut);
	rig_close(&c.r);
}

/* A guest that ran between cut and recover: its superblock says so, and other blocks. */
Test(recover, never_writes_over_a_guest_that_ran_meanwhile)
{
	struct scene c;
	enum domu_recover_result result;
	unsigned calls, n, ran = 0;
	bool root = false;
	int rc;

	set_up(&c, 1, true);
	calls = attempt(&c, 0, false, false, &rc);
	for (unsigned at = 1; at <= calls; at++) {
		rewind_all(&c);
		attempt(&c, at, true, false, &rc);
		if (any_closed(&c, &root) || interrupted(&c) == 0)
			continue;
		cr_assert(rig_run("tune2fs -C 7 -L ran %s >/dev/null", c.r.disk[0]) == 0);
		rig_copy(c.r.disk[0], c.now);
		cr_assert(rig_recover(&c.r, &result, &n) == 0 && n == 1, "%s", c.r.ctx.error.message);
		cr_assert_eq(result, DOMU_RECOVER_SUPERSEDED, "call %u: %d", at, result);
		cr_assert(rig_same(c.r.disk[0], c.now), "call %u", at);
		cr_assert(rig_recover(&c.r, &result, &n) == 0 && n == 0);
		ran++;
	}
	cr_assert(ran > 3, "%u", ran);
	rig_close(&c.r);
}

static void closed_commit(struct scene *c)
{
	unsigned calls;
	bool root = false;
	int rc;

	calls = attempt(c, 0, false, false, &rc);
	for (unsigned at = calls; at > 1; at--) {
		rewind_all(c);
		attempt(c, at, true, false, &rc);
		if (any_closed(c, &root))
			return;
	}
	cr_assert_fail("nothing leaves it closed");
}

Test(recover, of_a_closed_disk_with_a_foreign_block_stops_and_names_it)
{
	struct scene c;
	enum domu_recover_result result;
	struct domu_seal seal;
	struct domu_commit_info *v;
	unsigned n;
	size_t count;
	char *path;
	uint64_t offset;

	set_up(&c, 1, true);
	closed_commit(&c);
	cr_assert(domu_state_list(c.r.st, NULL, true, &v, &count) == 0 && count == 1);
	path = domu_state_path(c.r.st, "pending", v[0].id, "seal");
	cr_assert(domu_seal_load(&c.r.ctx, path, &seal) == 0);
	offset = seal.units[seal.n_units - 1].unit * DOMU_UNIT;
	domu_seal_free(&seal);
	free(path);
	domu_state_list_free(v, count);
	cr_assert(pwrite(c.r.fd[0], "foreign", 7, (off_t)offset + 600) == 7);
	rig_copy(c.r.disk[0], c.now);
	cr_assert(rig_recover(&c.r, &result, &n) == -ESTALE);
	cr_assert_eq(domu_error_status(&c.r.ctx), DOMU_UNRECOVERED);
	cr_assert(strstr(c.r.ctx.error.message, "neither") != NULL, "%s", c.r.ctx.error.message);
	cr_assert(rig_same(c.r.disk[0], c.now));
	rig_close(&c.r);
}

Test(recover, of_another_disk_under_the_same_name_writes_nothing)
{
	struct scene c;
	enum domu_recover_result result;
	unsigned n;

	set_up(&c, 1, true);
	closed_commit(&c);
	/* A copy in its place: the same bytes, but not the same file. */
	rig_copy(c.r.disk[0], c.now);
	cr_assert(rig_run("cp %s %s/copy && mv %s/copy %s", c.now, c.r.dir, c.r.dir, c.r.disk[0]) == 0);
	rig_reopen(&c.r);
	cr_assert(rig_recover(&c.r, &result, &n) == -ESTALE);
	cr_assert_eq(domu_error_status(&c.r.ctx), DOMU_UNRECOVERED);
	cr_assert(rig_same(c.r.disk[0], c.now));
	rig_close(&c.r);
}

Test(recover, of_a_moved_disk_works)
{
	struct scene c;
	enum domu_recover_result result;
	unsigned n;

	set_up(&c, 1, true);
	closed_commit(&c);
	cr_assert(rig_run("mv %s %s/moved", c.r.disk[0], c.r.dir) == 0);
	snprintf(c.r.disk[0], sizeof c.r.disk[0], "%s/moved", c.r.dir);
	rig_reopen(&c.r);
	cr_assert(rig_recover(&c.r, &result, &n) == 0, "%s", c.r.ctx.error.message);
	cr_assert_eq(result, DOMU_RECOVER_APPLIED);
	cr_assert(all(&c, c.after));
	rig_close(&c.r);
}

Test(recover, of_a_missing_disk_leaves_it_due)
{
	struct scene c;
	enum domu_recover_result result;
	unsigned n;
	int fd;

	set_up(&c, 1, true);
	closed_commit(&c);
	fd = c.r.disks[0].fd;
	c.r.disks[0].fd = -1;
	cr_assert(rig_recover(&c.r, &result, &n) == -ENODEV);
	cr_assert_eq(domu_error_status(&c.r.ctx), DOMU_UNRECOVERED);
	domu_error_clear(&c.r.ctx);
	c.r.disks[0].fd = fd;
	cr_assert(interrupted(&c) == 1);
	rig_close(&c.r);
}

/* Cut once more while it is undone: the bytes come back all the same. */
Test(crash, of_an_undo_at_any_call_ends_old_or_new)
{
	struct scene c;
	struct domu_commit_info *v;
	char id[DOMU_ID_LEN + 1];
	enum domu_recover_result result;
	unsigned n, calls = 0, undone = 0;
	size_t count;
	int rc;

	set_up(&c, 1, true);
	for (unsigned at = 0; at <= calls; at++) {
		rewind_all(&c);
		attempt(&c, 0, false, false, &rc);
		cr_assert(domu_state_list(c.r.st, NULL, false, &v, &count) == 0 && count == 1);
		snprintf(id, sizeof id, "%s", v[0].id);
		domu_state_list_free(v, count);
		rig_io_reset();
		rig_io.fail_at = at;
		rc = rig_undo(&c.r, id);
		if (at == 0) {
			cr_assert(rc == 0, "%s", c.r.ctx.error.message);
			calls = rig_io.calls;
		}
		rig_io_reset();
		domu_error_clear(&c.r.ctx);
		rig_reopen(&c.r);
		cr_assert(rig_recover(&c.r, &result, &n) == 0, "call %u: %s", at, c.r.ctx.error.message);
		cr_assert(all(&c, c.before) || all(&c, c.after), "call %u", at);
		rig_reopen(&c.r);
		cr_assert(domu_state_list(c.r.st, NULL, false, &v, &count) == 0);
		for (size_t i = 0; i < count; i++)
			if (strcmp(v[i].id, id) == 0) {
				cr_assert_eq(v[i].state == DOMU_COMMIT_UNDONE, all(&c, c.before), "call %u", at);
				undone += v[i].state == DOMU_COMMIT_UNDONE;
			}
		domu_state_list_free(v, count);
	}
	cr_assert(undone > 5);
	rig_close(&c.r);
}

/* Without doors a whole seal is applied: a refused commit leaves none, or says that it is due. */
static void seal_after_refusal(bool once)
{
	struct scene c;
	unsigned calls, refused = 0, due = 0;
	int rc;

	set_up(&c, 1, false);
	calls = attempt(&c, 0, false, false, &rc);
	for (unsigned at = 1; at <= calls; at++) {
		struct domu_stage *s;
		bool told;

		rewind_all(&c);
		s = rig_stage(&c.r);
		rig_write(&c.r, s, 0, c.after[0]);
		rig_io_reset();
		rig_io.fail_at = at;
		rig_io.once = once;
		rig_io.keep_seal = true;
		rc = rig_commit_doorless(&c.r, s, NULL);
		told = domu_error_status(&c.r.ctx) == DOMU_UNRECOVERED;
		rig_io_reset();
		rig_reopen(&c.r);
		if (rc == 0 || !all(&c, c.before))
			continue;
		refused++;
		due += interrupted(&c);
		cr_assert(told || interrupted(&c) == 0, "call %u: refused, and recover would apply it", at);
	}
	cr_assert(refused > 5 && (once || due > 0), "%u refused, %u due", refused, due);
	rig_close(&c.r);
}

Test(seal, that_cannot_be_deleted_is_emptied)
{
	seal_after_refusal(true);
}

Test(seal, that_can_neither_be_deleted_nor_emptied_is_told)
{
	seal_after_refusal(false);
}
