/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-race.c - two at once in one state directory, and what a cut leaves of a big seal. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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

static struct {
	char lock[256];
	int fd;
	bool mine;
} maker;

/* While somebody tidies up, the one who made the folder goes on. */
static int go_on_making(const char *path)
{
	if (maker.fd < 0) {
		maker.fd = open(maker.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		maker.mine = maker.fd >= 0 && flock(maker.fd, LOCK_EX | LOCK_NB) == 0;
	}
	return unlink(path);
}

Test(stage, that_is_being_made_is_not_tidied_away_under_its_lock)
{
	struct rig r;
	struct domu_io io = rig_io_table;
	struct domu_state *st;
	char dir[160];

	rig_open(&r, 1, EXT4, "1M");
	snprintf(dir, sizeof dir, "%s/pending/20260102T030405-1a2b3c", r.state);
	snprintf(maker.lock, sizeof maker.lock, "%s/lock", dir);
	maker.fd = -1;
	cr_assert(mkdir(dir, 0700) == 0);
	io.unlink = go_on_making;
	r.ctx.io = &io;
	cr_assert(domu_state_open(&r.ctx, r.state, false, &st) == 0);
	cr_assert(maker.fd >= 0, "nothing was tidied");
	cr_assert(!maker.mine || access(maker.lock, F_OK) == 0, "its lock is gone");
	close(maker.fd);
	domu_state_close(st);
	rig_close(&r);
}

static const char *overtaken; /* the state directory */

static int overtake(const char *path)
{
	const char *name = strrchr(path, '/'), *dir = overtaken;
	int rc = unlink(path);

	if (dir != NULL && strcmp(name, "/lock") == 0) {
		struct domu_ctx ctx;
		struct domu_state *st;

		overtaken = NULL;
		domu_ctx_init(&ctx);
		cr_assert(domu_state_open(&ctx, dir, false, &st) == 0);
		domu_state_close(st);
		domu_ctx_free(&ctx);
	}
	return rc;
}

Test(commit, that_somebody_else_moves_to_the_history_is_done)
{
	struct rig r;
	struct domu_io io = rig_io_table;
	char after[128];

	rig_open(&r, 1, EXT4, "1M");
	io.unlink = overtake;
	r.ctx.io = &io;
	overtaken = r.state;
	r.said[0] = '\0';
	cr_assert(rig_commit(&r, staged(&r, after), NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(overtaken == NULL && r.said[0] == '\0', "%s", r.said);
	rig_close(&r);
}

/* Whatever its size: of 128 MiB of changes it is more than 1 MiB, and its beginning may be there without its end. */
Test(damaged, big_seal_is_none)
{
	struct rig r;
	char after[128], id[DOMU_ID_LEN + 1], seal[256], *command = malloc(DOMU_META_MAX - 1024);
	struct domu_commit_opts opts = { .command = command };
	struct domu_stage *s;
	struct domu_commit_info *v;
	struct stat st;
	size_t n;
	int fd;

	memset(command, 'x', DOMU_META_MAX - 1025);
	command[DOMU_META_MAX - 1025] = '\0';
	rig_open(&r, 1, EXT4, "1M");
	s = staged(&r, after);
	snprintf(id, sizeof id, "%s", domu_stage_info(s)->id);
	snprintf(seal, sizeof seal, "%s/pending/%s/seal", r.state, id);
	rig_io_reset();
	rig_io.disk_fd = r.fd[0];
	rig_io.fail_write = 1;
	cr_assert(rig_commit(&r, s, &opts) == -EIO);
	rig_io_reset();
	rig_reopen(&r);
	cr_assert(stat(seal, &st) == 0 && st.st_size > 1 << 20);
	fd = open(seal, O_WRONLY | O_CLOEXEC);
	cr_assert(fd >= 0 && pwrite(fd, (const uint8_t[32]){ 0 }, 32, st.st_size - 32) == 32);
	close(fd);
	cr_assert(domu_state_list(r.st, NULL, true, &v, &n) == 0 && n == 1);
	cr_assert(v[0].state == DOMU_COMMIT_STAGED && v[0].torn);
	domu_state_list_free(v, n);
	cr_assert(domu_stage_resume(r.st, id, &s) == 0 && rig_commit(&r, s, NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	free(command);
	rig_close(&r);
}
