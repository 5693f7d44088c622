/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-state.c - the state directory: stages and who has them, lists, newer versions, damaged files, seen. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/num.h"
#include "commit-rig.h"

#define EXT4 "-t ext4 -b 1024 -N 16 -O ^has_journal"
#define EDIT "rm /etc/hostname\nwrite script /etc/hostname"

static struct domu_stage *staged(struct rig *r, char after[128])
{
	struct domu_stage *s;

	snprintf(after, 128, "%s/after", r->dir);
	rig_edit(r, 0, after, EDIT);
	s = rig_stage(r);
	rig_write(r, s, 0, after);
	return s;
}

static size_t count(struct rig *r, const char *path, bool pending)
{
	struct domu_commit_info *v;
	size_t n;

	cr_assert(domu_state_list(r->st, path, pending, &v, &n) == 0, "%s", r->ctx.error.message);
	domu_state_list_free(v, n);
	return n;
}

Test(hash, is_xxh64_as_btrfs_has_it)
{
	struct rig r;
	uint8_t sb[4096];
	char path[128];
	int fd;

	rig_open(&r, 0, "", "0");
	snprintf(path, sizeof path, "%s/btrfs", r.dir);
	if (rig_run("truncate -s 128M %s && mkfs.btrfs -q --csum xxhash %s >/dev/null 2>&1", path, path) != 0) {
		rig_close(&r);
		cr_skip_test("no mkfs.btrfs here");
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(fd >= 0 && domu_pread_full(fd, sb, sizeof sb, 65536) == 0);
	close(fd);
	cr_assert_eq(domu_hash64(sb + 32, sizeof sb - 32), domu_le64(sb));
	rig_close(&r);
}

Test(hash, tells_two_superblocks_with_right_checksums_apart)
{
	struct rig r;
	uint8_t a[DOMU_UNIT], b[DOMU_UNIT];

	rig_open(&r, 1, "-t ext4 -O metadata_csum", "4M");
	cr_assert(domu_pread_full(r.fd[0], a, sizeof a, 0) == 0);
	cr_assert(rig_run("tune2fs -C 9 %s >/dev/null", r.disk[0]) == 0);
	cr_assert(domu_pread_full(r.fd[0], b, sizeof b, 0) == 0);
	cr_assert(memcmp(a, b, sizeof a) != 0);
	cr_assert_neq(domu_unit_crc(a), domu_unit_crc(b));
	rig_close(&r);
}

Test(stage, outlives_the_one_who_made_it)
{
	struct rig r;
	char after[128], id[DOMU_ID_LEN + 1];
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "1M");
	s = staged(&r, after);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	domu_stage_close(s);
	rig_reopen(&r);
	cr_assert(domu_stage_resume(r.st, id, &s) == 0, "%s", r.ctx.error.message);
	cr_assert_str_eq(domu_stage_info(s)->owner, "root@pts/0");
	cr_assert(rig_commit(&r, s, NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	rig_close(&r);
}

Test(stage, ends_with_its_last_whole_change_however_long_the_tail_is)
{
	static const size_t lens[] = { 1, 31, 33, 4000, 5 * DOMU_UNIT };
	struct domu_block *raw, *top;
	struct rig r;
	char after[128], view[160], id[DOMU_ID_LEN + 1], log[256];
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "1M");
	s = staged(&r, after);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	snprintf(log, sizeof log, "%s/pending/%s/log", r.state, id);
	snprintf(view, sizeof view, "%s/view", r.dir);
	/* A change that nobody said was whole. */
	cr_assert(domu_raw_open(&r.ctx, r.fd[0], "xvda", r.disks[0].size, 0, &raw) == 0);
	cr_assert(domu_overlay_open(&r.ctx, raw, domu_stage_log_fd(s), 0, false, &top) == 0);
	cr_assert(domu_block_pwrite(top, "half", 4, 900 << 10) == 0);
	cr_assert(domu_block_close(top) == 0 && domu_block_close(raw) == 0);
	domu_stage_close(s);
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		cr_assert(domu_stage_resume(r.st, id, &s) == 0, "%s", r.ctx.error.message);
		rig_view(&r, s, 0, view);
		cr_assert(rig_run("cmp -s %s %s", view, after) == 0, "%zu", i);
		domu_stage_close(s);
		cr_assert(rig_run("head -c %zu /dev/urandom >> %s", lens[i], log) == 0);
	}
	cr_assert(domu_stage_resume(r.st, id, &s) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_commit(&r, s, NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	rig_close(&r);
}

Test(stage, that_another_process_has_open_is_refused_with_its_owner)
{
	struct rig r;
	char after[128];
	struct domu_stage *s, *other = NULL;
	pid_t pid;
	int status;

	rig_open(&r, 1, EXT4, "1M");
	s = staged(&r, after);
	pid = fork();
	if (pid == 0) {
		int rc = domu_stage_resume(r.st, domu_stage_info(s)->id, &other);

		_exit(rc == -EBUSY && domu_error_status(&r.ctx) == DOMU_INUSE && other == NULL &&
		              strstr(r.ctx.error.message, "root@pts/0") != NULL
		          ? 0
		          : 1);
	}
	cr_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	domu_stage_close(s);
	rig_close(&r);
}

Test(stage, that_is_dropped_leaves_nothing)
{
	struct rig r;
	char after[128];

	rig_open(&r, 1, EXT4, "1M");
	cr_assert(domu_stage_drop(staged(&r, after)) == 0);
	cr_assert(rig_run("test -z \"$(ls %s/pending)\"", r.state) == 0);
	rig_close(&r);
}

Test(stage, is_cut_back_to_a_mark)
{
	struct rig r;
	char after[128], view[128], first[128];
	struct domu_stage *s;
	uint64_t mark, blocks, then;

	rig_open(&r, 1, EXT4, "1M");
	s = staged(&r, after);
	snprintf(view, sizeof view, "%s/view", r.dir);
	snprintf(first, sizeof first, "%s/first", r.dir);
	rig_view(&r, s, 0, first);
	cr_assert(domu_stage_blocks(s, &blocks) == 0 && domu_stage_mark(s, &mark) == 0);
	rig_put(&r, s, 0, 900 << 10, "hello", 5);
	rig_put(&r, s, 0, 1024, "hello", 5);
	cr_assert(domu_stage_cut(s, mark) == 0);
	cr_assert(domu_stage_blocks(s, &then) == 0 && then == blocks);
	rig_view(&r, s, 0, view);
	cr_assert(rig_same(first, view));
	cr_assert(domu_stage_cut(s, mark + 1) == -EINVAL);
	domu_stage_close(s);
	rig_close(&r);
}

Test(stage, that_a_cut_left_without_description_is_tidied_away)
{
	struct rig r;
	char after[128], id[DOMU_ID_LEN + 1];
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "1M");
	s = staged(&r, after);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	domu_stage_close(s);
	cr_assert(rig_run("rm %s/pending/%s/meta", r.state, id) == 0);
	cr_assert(count(&r, NULL, false) == 0);
	rig_reopen(&r);
	cr_assert(rig_run("test -z \"$(ls %s/pending)\"", r.state) == 0);
	rig_close(&r);
}

Test(list, finds_a_disk_by_link_and_after_it_was_moved)
{
	struct rig r;
	char after[128], path[128];

	rig_open(&r, 2, EXT4, "1M");
	cr_assert(rig_commit(&r, staged(&r, after), NULL) == 0);
	cr_assert(count(&r, r.disk[0], false) == 1);
	cr_assert(count(&r, r.disk[1], false) == 1, "the commit names both disks");
	snprintf(path, sizeof path, "%s/link", r.dir);
	cr_assert(symlink(r.disk[0], path) == 0);
	cr_assert(count(&r, path, false) == 1);
	cr_assert(rig_run("mv %s %s/moved", r.disk[0], r.dir) == 0);
	snprintf(path, sizeof path, "%s/moved", r.dir);
	cr_assert(count(&r, path, false) == 1);
	snprintf(path, sizeof path, "%s/script", r.dir);
	cr_assert(count(&r, path, false) == 0);
	cr_assert(count(&r, NULL, true) == 0);
	rig_close(&r);
}

Test(list, of_a_directory_that_is_not_there_is_empty_when_read_only)
{
	struct rig r;
	struct domu_state *st;
	struct domu_commit_info *v;
	size_t n;

	rig_open(&r, 0, "", "0");
	cr_assert(domu_state_open(&r.ctx, "/dev/shm/domu-is-not-there", true, &st) == 0);
	cr_assert(domu_state_list(st, NULL, false, &v, &n) == 0 && n == 0);
	domu_state_close(st);
	cr_assert(access("/dev/shm/domu-is-not-there", F_OK) < 0);
	rig_close(&r);
}

Test(list, of_a_thousand_commits_is_quick)
{
	struct rig r;
	char after[128];
	struct timespec a, b;
	struct domu_commit_info *v;
	size_t n;
	double ms;

	rig_open(&r, 1, EXT4, "1M");
	cr_assert(rig_commit(&r, staged(&r, after), NULL) == 0);
	cr_assert(domu_state_list(r.st, NULL, false, &v, &n) == 0 && n == 1);
	/* The ID in a seal is under its checksum: names alone tell them apart here, so each is made anew. */
	for (unsigned i = 0; i < 1000; i++) {
		struct domu_seal s;
		char *from = domu_state_path(r.st, "history", v[0].id, "seal"), dir[160], to[200];
		int fd;

		cr_assert(domu_seal_load(&r.ctx, from, &s) == 0);
		snprintf(s.meta.info.id, sizeof s.meta.info.id, "20250101T000000-%06x", i);
		for (size_t k = 0; k < s.n_doors; k++)
			rig_door_close(s.doors[k].closed, s.doors[k].size, s.meta.info.id);
		snprintf(dir, sizeof dir, "%s/history/%s", r.state, s.meta.info.id);
		snprintf(to, sizeof to, "%s/seal", dir);
		cr_assert(mkdir(dir, 0700) == 0);
		fd = open(to, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		cr_assert(domu_seal_write(&r.ctx, fd, &s) == 0);
		close(fd);
		cr_assert(domu_seal_mark(&r.ctx, to, DOMU_MARK_APPLIED) == 0);
		free(from);
		domu_seal_free(&s);
	}
	domu_state_list_free(v, n);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	cr_assert(domu_state_list(r.st, r.disk[0], false, &v, &n) == 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	cr_assert(n == 1001, "%zu", n);
	domu_state_list_free(v, n);
	ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
	cr_assert(ms < 3000, "%.0f ms", ms); /* of the processor: 17, and 240 with sanitizers */
	rig_close(&r);
}

/* ---- what is on the disk was not written by us, or not as it is now -------------------------- */

/* A commit that was cut after its doors were closed. */
static void cut_short(struct rig *r, char id[DOMU_ID_LEN + 1], char after[128])
{
	struct domu_stage *s = staged(r, after);
	char keep[160];
	unsigned calls;

	snprintf(keep, sizeof keep, "%s/keep", r->dir);
	rig_copy(r->disk[0], keep);
	snprintf(id, DOMU_ID_LEN + 1, "%s", domu_stage_info(s)->id);
	rig_io_reset();
	cr_assert(rig_commit(r, s, NULL) == 0);
	calls = rig_io.calls;
	for (unsigned back = 1; back < calls; back++) {
		char closed_id[DOMU_ID_LEN + 1];
		uint8_t sector[512];

		rig_run("rm -rf %s", r->state);
		rig_copy(keep, r->disk[0]);
		rig_io_reset();
		rig_reopen(r);
		s = staged(r, after);
		snprintf(id, DOMU_ID_LEN + 1, "%s", domu_stage_info(s)->id);
		rig_io_reset();
		rig_io.fail_at = calls - back;
		rig_commit(r, s, NULL);
		rig_io_reset();
		rig_reopen(r);
		cr_assert(domu_pread_full(r->fd[0], sector, 512, 1024) == 0);
		if (domu_door_is_closed(sector, 512, closed_id) && !rig_same(r->disk[0], keep))
			return;
	}
	cr_assert_fail("never closed");
}

static void poke(const char *path, uint64_t offset, const void *p, size_t len)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	cr_assert(fd >= 0 && pwrite(fd, p, len, (off_t)offset) == (ssize_t)len);
	close(fd);
}

Test(newer, seal_is_refused_and_stays_due)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1], after[128], path[256], now[128];
	enum domu_recover_result result;
	struct domu_commit_info *v;
	struct domu_stage *s;
	size_t n;

	rig_open(&r, 1, EXT4, "1M");
	cut_short(&r, id, after);
	snprintf(path, sizeof path, "%s/pending/%s/seal", r.state, id);
	snprintf(now, sizeof now, "%s/now", r.dir);
	rig_copy(r.disk[0], now);
	poke(path, 8, "\2", 1);
	cr_assert(domu_recover(r.st, id, r.disks, 1, NULL, NULL, &result) < 0);
	cr_assert_eq(domu_error_status(&r.ctx), DOMU_UNRECOVERED);
	cr_assert(strstr(r.ctx.error.message, "newer") != NULL);
	domu_error_clear(&r.ctx);
	cr_assert(domu_stage_resume(r.st, id, &s) < 0);
	cr_assert_eq(domu_error_status(&r.ctx), DOMU_UNRECOVERED);
	domu_error_clear(&r.ctx);
	cr_assert(domu_state_list(r.st, r.disk[0], true, &v, &n) == 0 && n == 1);
	cr_assert_eq(v[0].state, DOMU_COMMIT_INTERRUPTED);
	cr_assert_str_eq(v[0].id, id);
	domu_state_list_free(v, n);
	cr_assert(rig_same(r.disk[0], now));
	rig_close(&r);
}

Test(newer, stage_is_refused)
{
	struct rig r;
	char after[128], id[DOMU_ID_LEN + 1];
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "1M");
	s = staged(&r, after);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	domu_stage_close(s);
	cr_assert(rig_run("sed -i 's/\"format\":1/\"format\":2/' %s/pending/%s/meta", r.state, id) == 0);
	cr_assert(domu_stage_resume(r.st, id, &s) == -EPROTO);
	cr_assert_eq(domu_error_status(&r.ctx), DOMU_UNRECOVERED);
	rig_close(&r);
}

Test(newer, undo_file_is_refused)
{
	struct rig r;
	char after[128], id[DOMU_ID_LEN + 1], path[256];
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "1M");
	s = staged(&r, after);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	cr_assert(rig_commit(&r, s, NULL) == 0);
	snprintf(path, sizeof path, "%s/history/%s/undo", r.state, id);
	poke(path, 8, "\2", 1);
	cr_assert(rig_undo(&r, id) == -EPROTO);
	cr_assert_eq(domu_error_status(&r.ctx), DOMU_UNRECOVERED);
	cr_assert(rig_same(r.disk[0], after));
	rig_close(&r);
}

Test(damaged, undo_file_writes_nothing)
{
	struct rig r;
	char after[128], id[DOMU_ID_LEN + 1], path[256];
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "1M");
	s = staged(&r, after);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	cr_assert(rig_commit(&r, s, NULL) == 0);
	snprintf(path, sizeof path, "%s/history/%s/undo", r.state, id);
	poke(path, DOMU_UNIT + 1500, "rot", 3);
	cr_assert(rig_undo(&r, id) == -EBADMSG);
	cr_assert(rig_same(r.disk[0], after));
	cr_assert(count(&r, NULL, true) == 0);
	rig_close(&r);
}

/* Random bytes changed, a random cut: recover may fail, but what it writes is old or new, and only whole. */
static void mutate(const char *file, unsigned rounds, unsigned seed)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1], after[128], path[256], good[128], disk[128], state[128];
	enum domu_recover_result result;
	unsigned wrote = 0;

	rig_open(&r, 1, EXT4, "1M");
	cut_short(&r, id, after);
	snprintf(path, sizeof path, "%s/pending/%s/%s", r.state, id, file);
	snprintf(good, sizeof good, "%s/good", r.dir);
	snprintf(disk, sizeof disk, "%s/closed", r.dir);
	snprintf(state, sizeof state, "%s/kept", r.dir);
	rig_copy(path, good);
	rig_copy(r.disk[0], disk);
	cr_assert(rig_run("cp -a %s %s", r.state, state) == 0);
	srandom(seed);
	for (unsigned i = 0; i < rounds; i++) {
		size_t len;
		uint8_t *p = rig_read(good, &len);
		int fd, rc;

		for (unsigned k = 0; k < 1 + (unsigned)random() % 6; k++)
			p[(size_t)random() % (random() % 2 ? len : len < 1200 ? len : 1200)] = (uint8_t)random();
		if (random() % 8 == 0)
			len = (size_t)random() % len;
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		cr_assert(fd >= 0 && write(fd, p, len) == (ssize_t)len);
		close(fd);
		free(p);
		rc = domu_recover(r.st, id, r.disks, 1, NULL, NULL, &result);
		domu_error_clear(&r.ctx);
		count(&r, NULL, false);
		domu_error_clear(&r.ctx);
		if (rig_same(r.disk[0], disk))
			continue;
		cr_assert(rc == 0 && rig_same(r.disk[0], after), "seed %u, round %u", seed, i);
		wrote++;
		rig_copy(disk, r.disk[0]);
		cr_assert(rig_run("rm -rf %s && cp -a %s %s", r.state, state, r.state) == 0);
		rig_reopen(&r);
	}
	rig_close(&r);
}

Test(hostile, seal_never_crashes_nor_writes_anything_else)
{
	mutate("seal", 600, 1);
}

Test(hostile, log_never_crashes_nor_writes_anything_else)
{
	mutate("log", 300, 2);
}

Test(hostile, undo_file_never_crashes_nor_writes_anything_else)
{
	mutate("undo", 150, 3);
}

/* With its checksums put right, so that what is behind them is met. */
Test(hostile, seal_with_right_checksums_is_checked_all_the_same)
{
	struct rig r;
	char id[DOMU_ID_LEN + 1], after[128], path[256], disk[128];
	enum domu_recover_result result;
	struct domu_seal s;

	rig_open(&r, 1, EXT4, "1M");
	cut_short(&r, id, after);
	snprintf(path, sizeof path, "%s/pending/%s/seal", r.state, id);
	snprintf(disk, sizeof disk, "%s/closed", r.dir);
	rig_copy(r.disk[0], disk);
	for (unsigned i = 0; i < 8; i++) {
		int fd;

		if (i == 0)
			cr_assert(rig_run("cp %s %s/seal.good", path, r.dir) == 0);
		else
			cr_assert(rig_run("cp %s/seal.good %s", r.dir, path) == 0);
		cr_assert(domu_seal_load(&r.ctx, path, &s) == 0);
		switch (i) {
		case 0:
			s.units[0].unit = UINT64_MAX / DOMU_UNIT;
			break;
		case 1:
			s.units[0].disk = 3;
			break;
		case 2:
			s.units[1] = s.units[0];
			break;
		case 3:
			s.units[0].log_offset = UINT64_MAX - 5;
			break;
		case 4:
			s.doors[0].offset = UINT64_C(1) << 60;
			break;
		case 5:
			s.doors[0].disk = 16;
			break;
		case 6:
			s.sizes[0] = UINT64_MAX;
			break;
		case 7:
			memcpy(s.doors[0].new_image, s.doors[0].closed, s.doors[0].size);
			break;
		}
		fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
		cr_assert(domu_seal_write(&r.ctx, fd, &s) == 0);
		close(fd);
		domu_seal_free(&s);
		cr_assert(domu_recover(r.st, id, r.disks, 1, NULL, NULL, &result) < 0, "case %u", i);
		cr_assert_eq(domu_error_status(&r.ctx), DOMU_UNRECOVERED, "case %u", i);
		domu_error_clear(&r.ctx);
		cr_assert(rig_same(r.disk[0], disk), "case %u", i);
	}
	rig_close(&r);
}

Test(hostile, description_never_crashes)
{
	struct rig r;
	char after[128], id[DOMU_ID_LEN + 1], path[256], good[128];
	struct domu_stage *s;

	rig_open(&r, 1, EXT4, "1M");
	s = staged(&r, after);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	domu_stage_close(s);
	snprintf(path, sizeof path, "%s/pending/%s/meta", r.state, id);
	snprintf(good, sizeof good, "%s/good", r.dir);
	rig_copy(path, good);
	srandom(4);
	for (unsigned i = 0; i < 2000; i++) {
		size_t len;
		uint8_t *p = rig_read(good, &len);
		int fd;

		for (unsigned k = 0; k < 1 + (unsigned)random() % 4; k++)
			p[(size_t)random() % len] = (uint8_t)random();
		fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
		cr_assert(fd >= 0 && write(fd, p, len) == (ssize_t)len);
		close(fd);
		free(p);
		count(&r, NULL, false);
		if (domu_stage_resume(r.st, id, &s) == 0)
			domu_stage_close(s);
		domu_error_clear(&r.ctx);
	}
	rig_close(&r);
}

Test(state, that_others_may_write_to_is_refused)
{
	struct rig r;
	struct domu_state *st;

	rig_open(&r, 0, "", "0");
	cr_assert(chmod(r.state, 0777) == 0);
	cr_assert(domu_state_open(&r.ctx, r.state, false, &st) == -EPERM);
	cr_assert(chmod(r.state, 0700) == 0);
	rig_close(&r);
}

Test(seen, is_what_was_put_there)
{
	struct rig r;
	char *json, name[400];
	int64_t when = 0;

	rig_open(&r, 0, "", "0");
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	cr_assert(domu_seen_get(r.st, "web1", &json, &when) == -ENOENT && json == NULL);
	cr_assert(domu_seen_put(r.st, "web1", "{\"used\":1}") == 0);
	cr_assert(domu_seen_put(r.st, "web1", "{\"used\":2}") == 0);
	cr_assert(domu_seen_put(r.st, "../../etc/passwd", "{}") == 0);
	cr_assert(domu_seen_put(r.st, name, "{\"long\":1}") == 0);
	name[390] = 'y';
	cr_assert(domu_seen_get(r.st, name, &json, &when) == -ENOENT);
	cr_assert(domu_seen_get(r.st, "web1", &json, &when) == 0);
	cr_assert_str_eq(json, "{\"used\":2}");
	cr_assert(when >= time(NULL) - 60 && when <= time(NULL) + 1);
	free(json);
	cr_assert(rig_run("test $(ls %s/seen | wc -l) = 3", r.state) == 0);
	rig_close(&r);
}
