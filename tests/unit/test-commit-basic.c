/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-basic.c - commit, history, undo, refusals; disks are compared byte for byte. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commit-rig.h"

#define EXT4 "-t ext4 -b 1024"
#define EDIT "rm /etc/hostname\nwrite script /etc/hostname\nmkdir /var\nwrite script /var/log"

static char before[128], after[128];

static void paths(const struct rig *r)
{
	snprintf(before, sizeof before, "%s/before", r->dir);
	snprintf(after, sizeof after, "%s/after", r->dir);
}

/* One edit on disk 0, staged. */
static struct domu_stage *staged(struct rig *r)
{
	struct domu_stage *s;

	paths(r);
	rig_copy(r->disk[0], before);
	rig_edit(r, 0, after, EDIT);
	s = rig_stage(r);
	rig_write(r, s, 0, after);
	return s;
}

static void committed(struct rig *r, char id[DOMU_ID_LEN + 1])
{
	struct domu_stage *s = staged(r);

	snprintf(id, DOMU_ID_LEN + 1, "%s", domu_stage_info(s)->id);
	cr_assert(rig_commit(r, s, NULL) == 0, "%s", r->ctx.error.message);
}

static struct domu_commit_info *listed(struct rig *r, size_t want)
{
	struct domu_commit_info *v;
	size_t n;

	cr_assert(domu_state_list(r->st, NULL, false, &v, &n) == 0);
	cr_assert(n == want, "%zu commits instead of %zu", n, want);
	return v;
}

Test(commit, makes_the_disk_what_the_stage_showed)
{
	struct rig r;
	char view[128];
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "4M");
	s = staged(&r);
	snprintf(view, sizeof view, "%s/view", r.dir);
	rig_view(&r, s, 0, view);
	cr_assert(rig_same(view, after));
	cr_assert(rig_same(r.disk[0], before), "staging wrote to the disk");
	cr_assert(rig_commit(&r, s, NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	cr_assert(rig_run("e2fsck -fn %s >/dev/null 2>&1", r.disk[0]) == 0);
	rig_close(&r);
}

Test(commit, of_one_edit_makes_at_most_ten_syncs)
{
	struct rig r;
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "4M");
	rig_reopen(&r);
	rig_io_reset();
	s = staged(&r);
	cr_assert(rig_io.syncs == 0);
	cr_assert(rig_commit(&r, s, NULL) == 0);
	cr_assert(rig_io.syncs <= 10, "%u syncs", rig_io.syncs);
	rig_close(&r);
}

Test(commit, is_in_the_history_with_what_it_did)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1];
	struct domu_commit_info *v;

	rig_open(&r, 1, EXT4, "4M");
	committed(&r, id);
	v = listed(&r, 1);
	cr_assert_str_eq(v[0].id, id);
	cr_assert_eq(v[0].state, DOMU_COMMIT_COMMITTED);
	cr_assert(v[0].undoable && v[0].blocks > 3 && v[0].bytes == v[0].blocks * DOMU_UNIT);
	cr_assert_str_eq(v[0].command, "edit web1:/etc/hostname");
	cr_assert_str_eq(v[0].disks[0].path, r.disk[0]);
	domu_state_list_free(v, 1);
	rig_close(&r);
}

Test(commit, leaves_nothing_pending)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1];

	rig_open(&r, 1, EXT4, "4M");
	committed(&r, id);
	cr_assert(rig_run("test -z \"$(ls %s/pending)\" && test \"$(ls %s/history/%s | tr '\\n' ' ')\" = 'seal undo '",
	                  r.state, r.state, id) == 0);
	rig_close(&r);
}

Test(undo, gives_back_every_byte)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1];
	struct domu_commit_info *v;

	rig_open(&r, 1, EXT4, "4M");
	committed(&r, id);
	cr_assert(rig_undo(&r, id) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], before));
	v = listed(&r, 2);
	for (int i = 0; i < 2; i++)
		if (strcmp(v[i].id, id) == 0)
			cr_assert(v[i].state == DOMU_COMMIT_UNDONE && !v[i].undoable);
		else
			cr_assert(v[i].state == DOMU_COMMIT_COMMITTED && v[i].undoable && strcmp(v[i].undoes, id) == 0);
	domu_state_list_free(v, 2);
	rig_close(&r);
}

Test(undo, can_be_undone)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1], undo[DOMU_ID_LEN + 1];
	struct domu_commit_info *v;

	rig_open(&r, 1, EXT4, "4M");
	committed(&r, id);
	cr_assert(rig_undo(&r, id) == 0);
	v = listed(&r, 2);
	snprintf(undo, sizeof undo, "%s", strcmp(v[0].id, id) == 0 ? v[1].id : v[0].id);
	domu_state_list_free(v, 2);
	cr_assert(rig_undo(&r, undo) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	rig_close(&r);
}

/* Back and forth through a chain of commits, each time to exactly the bytes that were there then. */
Test(undo, of_a_chain_goes_back_and_forth)
{
	struct rig r;
	char state[4][128], ids[4][DOMU_ID_LEN + 1], target[128];
	static const char *const edits[] = { "mkdir a", "write script b\nmkdir c", "rm b\nrm /etc/hostname" };

	rig_open(&r, 1, EXT4, "1M");
	snprintf(target, sizeof target, "%s/after", r.dir);
	for (unsigned i = 0; i < 4; i++) {
		struct domu_stage *s;

		snprintf(state[i], sizeof state[i], "%s/state%u", r.dir, i);
		rig_copy(r.disk[0], state[i]);
		if (i == 3)
			break;
		rig_edit(&r, 0, target, edits[i]);
		s = rig_stage(&r);
		rig_write(&r, s, 0, target);
		snprintf(ids[i], sizeof ids[i], "%s", domu_stage_info(s)->id);
		cr_assert(rig_commit(&r, s, NULL) == 0, "%s", r.ctx.error.message);
	}
	for (unsigned round = 0; round < 2; round++) {
		for (int i = 2; i >= 0; i--) {
			struct domu_commit_info *v;
			size_t n;

			/* Out of its turn it is refused. */
			if (i > 0) {
				cr_assert(rig_undo(&r, ids[i - 1]) < 0);
				domu_error_clear(&r.ctx);
			}
			cr_assert(rig_undo(&r, ids[i]) == 0, "%s", r.ctx.error.message);
			cr_assert(rig_same(r.disk[0], state[i]), "round %u, undo %d", round, i);
			cr_assert(domu_state_list(r.st, r.disk[0], false, &v, &n) == 0);
			cr_assert(v[0].undoes != NULL && strcmp(v[0].undoes, ids[i]) == 0 && v[0].undoable);
			snprintf(ids[i], sizeof ids[i], "%s", v[0].id);
			domu_state_list_free(v, n);
		}
		for (unsigned i = 0; i < 3; i++) {
			struct domu_commit_info *v;
			size_t n;

			cr_assert(rig_undo(&r, ids[i]) == 0, "%s", r.ctx.error.message);
			cr_assert(rig_same(r.disk[0], state[i + 1]), "round %u, redo %u", round, i);
			cr_assert(domu_state_list(r.st, r.disk[0], false, &v, &n) == 0);
			snprintf(ids[i], sizeof ids[i], "%s", v[0].id);
			domu_state_list_free(v, n);
		}
	}
	rig_close(&r);
}

Test(undo, is_made_once)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1];

	rig_open(&r, 1, EXT4, "4M");
	committed(&r, id);
	cr_assert(rig_undo(&r, id) == 0);
	cr_assert(rig_undo(&r, id) == -EALREADY);
	cr_assert(rig_same(r.disk[0], before));
	rig_close(&r);
}

Test(undo, is_refused_when_a_block_has_changed_since)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1], now[128];

	rig_open(&r, 1, EXT4, "4M");
	committed(&r, id);
	cr_assert(rig_run("tune2fs -C 5 %s >/dev/null", r.disk[0]) == 0);
	snprintf(now, sizeof now, "%s/now", r.dir);
	rig_copy(r.disk[0], now);
	int rc = rig_undo(&r, id);
	cr_assert_eq(rc, -ESTALE, "%d %s", rc, r.ctx.error.message);
	cr_assert(strstr(r.ctx.error.message, "1 of its") != NULL, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], now));
	rig_close(&r);
}

Test(commit, is_refused_when_the_disk_has_changed_since)
{
	struct rig r;
	char now[128];
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "4M");
	s = staged(&r);
	cr_assert(rig_run("tune2fs -C 5 %s >/dev/null", r.disk[0]) == 0);
	snprintf(now, sizeof now, "%s/now", r.dir);
	rig_copy(r.disk[0], now);
	int rc = rig_commit(&r, s, NULL);
	cr_assert_eq(rc, -ESTALE, "%d %s", rc, r.ctx.error.message);
	cr_assert(strstr(r.ctx.error.message, "xvda: block 0 ") != NULL, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], now));
	domu_state_list_free(listed(&r, 1), 1);
	rig_close(&r);
}

static int refuse(void *user)
{
	return *(int *)user;
}

Test(commit, is_refused_by_the_recheck_and_stays_a_stage)
{
	struct rig r;
	int answer = -EBUSY;
	struct domu_commit_opts opts = { .recheck = refuse, .user = &answer };
	struct domu_stage *s;
	char id[DOMU_ID_LEN + 1];
	struct domu_commit_info *v;

	rig_open(&r, 1, EXT4, "4M");
	s = staged(&r);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	cr_assert(rig_commit(&r, s, &opts) == -EBUSY);
	cr_assert(rig_same(r.disk[0], before));
	v = listed(&r, 1);
	cr_assert(v[0].state == DOMU_COMMIT_STAGED);
	domu_state_list_free(v, 1);
	cr_assert(domu_stage_resume(r.st, id, &s) == 0);
	answer = 0;
	cr_assert(rig_commit(&r, s, &opts) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	rig_close(&r);
}

Test(commit, of_a_disk_that_another_commit_has_closed_is_refused)
{
	struct rig r;
	struct domu_stage *s;
	uint8_t sector[512];

	rig_open(&r, 1, EXT4, "4M");
	cr_assert(domu_pread_full(r.fd[0], sector, 512, 1024) == 0);
	cr_assert(rig_door_close(sector, 512, "20200101T000000-abcdef") == 0);
	cr_assert(pwrite(r.fd[0], sector, 512, 1024) == 512);
	s = rig_stage(&r);
	rig_put(&r, s, 0, 1 << 20, "hello", 5);
	cr_assert(rig_commit(&r, s, NULL) < 0);
	cr_assert_eq(domu_error_status(&r.ctx), DOMU_UNRECOVERED);
	cr_assert(strstr(r.ctx.error.message, "20200101T000000-abcdef") != NULL);
	rig_close(&r);
}

Test(commit, without_a_door_is_applied)
{
	struct rig r;

	rig_open(&r, 1, EXT4, "4M");
	cr_assert(rig_commit_doorless(&r, staged(&r), NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	rig_close(&r);
}

Test(commit, opens_a_door_whose_sector_is_not_staged)
{
	struct rig r;
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "4M");
	paths(&r);
	rig_copy(r.disk[0], after);
	s = rig_stage(&r);
	rig_put(&r, s, 0, 3 << 20, "hello", 5);
	rig_view(&r, s, 0, after);
	cr_assert(rig_commit(&r, s, NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	rig_close(&r);
}

Test(commit, of_two_disks_is_one)
{
	struct rig r;
	struct domu_stage *s;
	char other[128], id[DOMU_ID_LEN + 1], before1[128];

	rig_open(&r, 2, EXT4, "4M");
	snprintf(other, sizeof other, "%s/other", r.dir);
	snprintf(before1, sizeof before1, "%s/before1", r.dir);
	rig_copy(r.disk[1], before1);
	s = staged(&r);
	rig_edit(&r, 1, other, EDIT);
	rig_write(&r, s, 1, other);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	cr_assert(rig_commit(&r, s, NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after) && rig_same(r.disk[1], other));
	cr_assert(rig_undo(&r, id) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], before) && rig_same(r.disk[1], before1));
	rig_close(&r);
}

Test(commit, of_a_stage_that_changes_nothing_leaves_nothing)
{
	struct rig r;
	struct domu_stage *s;
	uint8_t same[DOMU_UNIT];

	rig_open(&r, 1, EXT4, "4M");
	s = rig_stage(&r);
	cr_assert(domu_pread_full(r.fd[0], same, sizeof same, 0) == 0);
	rig_put(&r, s, 0, 0, "boot", 4);
	rig_put(&r, s, 0, 0, same, sizeof same);
	cr_assert(rig_commit(&r, s, NULL) == 0, "%s", r.ctx.error.message);
	domu_state_list_free(listed(&r, 0), 0);
	rig_close(&r);
}

Test(commit, keeps_holes)
{
	struct rig r;
	struct domu_stage *s;
	static const uint8_t zeros[1 << 20];
	static uint8_t data[1 << 20];
	struct stat full, holes;

	rig_open(&r, 1, EXT4, "8M");
	memset(data, 'x', sizeof data);
	cr_assert(pwrite(r.fd[0], data, sizeof data, 4 << 20) == (ssize_t)sizeof data);
	cr_assert(fstat(r.fd[0], &full) == 0);
	s = rig_stage(&r);
	rig_put(&r, s, 0, 4 << 20, zeros, sizeof zeros);
	cr_assert(rig_commit(&r, s, NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(fstat(r.fd[0], &holes) == 0);
	cr_assert(holes.st_size == full.st_size);
	cr_assert(full.st_blocks - holes.st_blocks >= (1 << 20) / 512);
	rig_close(&r);
}

Test(commit, of_a_disk_that_is_to_grow_makes_it_grow)
{
	struct rig r;
	struct domu_stage *s;
	struct stat st;
	char tail[8] = "";

	rig_open(&r, 1, EXT4, "4M");
	r.disks[0].size = (5 << 20) + 100;
	s = rig_stage(&r);
	rig_put(&r, s, 0, (5 << 20) + 95, "hello", 5);
	cr_assert(rig_commit(&r, s, NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(fstat(r.fd[0], &st) == 0 && st.st_size == (5 << 20) + 100);
	cr_assert(pread(r.fd[0], tail, 5, (5 << 20) + 95) == 5);
	cr_assert_str_eq(tail, "hello");
	rig_close(&r);
}

Test(commit, without_undo_cannot_be_undone)
{
	struct rig r;
	struct domu_stage *s;
	struct domu_commit_opts opts = { .no_undo = true };
	struct domu_commit_info *v;

	rig_open(&r, 1, EXT4, "4M");
	s = staged(&r);
	cr_assert(rig_commit(&r, s, &opts) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	v = listed(&r, 1);
	cr_assert(v[0].state == DOMU_COMMIT_COMMITTED && !v[0].undoable);
	cr_assert(rig_undo(&r, v[0].id) == -ENOENT);
	domu_state_list_free(v, 1);
	rig_close(&r);
}

Test(commit, with_an_undo_dir_keeps_its_undo_there)
{
	struct rig r;
	struct domu_stage *s;
	char dir[128], id[DOMU_ID_LEN + 1];
	struct domu_commit_opts opts = { .undo_dir = dir };

	rig_open(&r, 1, EXT4, "4M");
	snprintf(dir, sizeof dir, "%s/elsewhere", r.dir);
	cr_assert(mkdir(dir, 0700) == 0);
	s = staged(&r);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	cr_assert(rig_commit(&r, s, &opts) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_run("test -f %s/domu-undo-%s && test ! -e %s/history/%s/undo", dir, id, r.state, id) == 0);
	cr_assert(rig_undo(&r, id) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], before));
	rig_close(&r);
}

Test(room, that_is_not_there_is_refused_with_the_figures)
{
	struct rig r;

	rig_open(&r, 1, EXT4, "4M");
	cr_assert(domu_commit_room(r.st, NULL, 1000) == 0);
	cr_assert(domu_commit_room(r.st, NULL, UINT64_C(1) << 40) == -ENOSPC);
	cr_assert(strstr(r.ctx.error.message, "4P") != NULL && strstr(r.ctx.error.message, "--undo-dir") != NULL, "%s",
	          r.ctx.error.message);
	domu_error_clear(&r.ctx);
	cr_assert(domu_commit_room(r.st, NULL, UINT64_MAX / 4) == -EFBIG);
	rig_close(&r);
}
