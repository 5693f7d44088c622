/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-doors.c - doors of other shapes, several on one disk, and signals while they are closed. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commit-rig.h"

#define EXT4 "-t ext4 -b 1024 -N 16 -O ^has_journal"
#define EDIT "rm /etc/hostname\nwrite script /etc/hostname\nmkdir /var"

static char before[128], after[128];

static struct domu_stage *staged(struct rig *r)
{
	struct domu_stage *s;

	snprintf(before, sizeof before, "%s/before", r->dir);
	snprintf(after, sizeof after, "%s/after", r->dir);
	if (access(after, F_OK) < 0) {
		rig_copy(r->disk[0], before);
		rig_edit(r, 0, after, EDIT);
	}
	s = rig_stage(r);
	rig_write(r, s, 0, after);
	return s;
}

static void rewind_disk(struct rig *r)
{
	rig_io_reset();
	rig_copy(before, r->disk[0]);
	rig_run("rm -rf %s", r->state);
	rig_reopen(r);
}

static bool closed_at(struct rig *r, uint64_t offset, uint32_t size)
{
	char id[DOMU_ID_LEN + 1];
	uint8_t sector[DOMU_UNIT];

	cr_assert(domu_pread_full(r->fd[0], sector, size, offset) == 0);
	return domu_door_is_closed(sector, size, id);
}

Test(door, of_four_kilobytes_closes_and_opens)
{
	struct rig r;
	struct domu_door door = rig_door(0);
	enum domu_recover_result result;
	unsigned calls, n, closed = 0;

	rig_open(&r, 1, "-t ext4 -b 4096 -N 16 -O ^has_journal", "2M");
	door.offset = 0;
	door.size = 4096;
	rig_io_reset();
	cr_assert(domu_commit(staged(&r), r.disks, 1, &door, 1, NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	calls = rig_io.calls;
	for (unsigned at = 1; at <= calls; at++) {
		struct domu_stage *s;

		rewind_disk(&r);
		s = staged(&r);
		rig_io_reset();
		rig_io.fail_at = at;
		domu_commit(s, r.disks, 1, &door, 1, NULL);
		rig_io_reset();
		rig_reopen(&r);
		closed += closed_at(&r, 0, 4096);
		cr_assert(rig_recover(&r, &result, &n) == 0, "%s", r.ctx.error.message);
		cr_assert(rig_same(r.disk[0], before) || rig_same(r.disk[0], after), "call %u", at);
	}
	cr_assert(closed > 2);
	rig_close(&r);
}

/* The disk holds two filesystems; the second is the root. */
static void two_on_one_disk(struct rig *r, struct domu_door doors[2])
{
	rig_open(r, 1, EXT4, "1M");
	cr_assert(rig_run("cat %s %s >%s/both && mv %s/both %s", r->disk[0], r->disk[0], r->dir, r->dir, r->disk[0]) ==
	          0);
	rig_reopen(r);
	snprintf(before, sizeof before, "%s/before", r->dir);
	snprintf(after, sizeof after, "%s/after", r->dir);
	rig_copy(r->disk[0], before);
	cr_assert(rig_run("cd %s && printf '" EDIT
	                  "\n' >script && cp before a && debugfs -w -f script a >/dev/null 2>&1 && "
	                  "head -c 1M a >after && head -c 1M a >>after",
	                  r->dir) == 0);
	doors[0] = rig_door(0);
	doors[0].root = false;
	doors[1] = rig_door(0);
	doors[1].offset += 1 << 20;
}

Test(door, of_the_root_is_closed_first_and_opened_last)
{
	struct rig r;
	struct domu_door doors[2];
	enum domu_recover_result result;
	unsigned calls, n, both = 0, root = 0;

	two_on_one_disk(&r, doors);
	rig_io_reset();
	cr_assert(domu_commit(staged(&r), r.disks, 1, doors, 2, NULL) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	calls = rig_io.calls;
	for (unsigned at = 1; at <= calls; at++) {
		struct domu_stage *s;
		bool data_closed, root_closed;

		rewind_disk(&r);
		s = staged(&r);
		rig_io_reset();
		rig_io.fail_at = at;
		domu_commit(s, r.disks, 1, doors, 2, NULL);
		rig_io_reset();
		rig_reopen(&r);
		data_closed = closed_at(&r, doors[0].offset, 512);
		root_closed = closed_at(&r, doors[1].offset, 512);
		cr_assert(!data_closed || root_closed, "call %u", at);
		both += data_closed;
		root += root_closed;
		cr_assert(rig_recover(&r, &result, &n) == 0, "%s", r.ctx.error.message);
		cr_assert(root_closed ? rig_same(r.disk[0], after)
		                      : rig_same(r.disk[0], before) || rig_same(r.disk[0], after),
		          "call %u", at);
	}
	cr_assert(both > 2 && root >= both + 2, "%u, %u", both, root);
	rig_close(&r);
}

Test(door, that_cannot_be_one_is_refused_and_nothing_is_written)
{
	struct rig r;

	rig_open(&r, 1, EXT4, "1M");
	for (unsigned i = 0; i < 7; i++) {
		struct domu_door doors[2] = { rig_door(0), rig_door(0) };
		size_t n = 1;

		switch (i) {
		case 0:
			doors[0].offset = 1000;
			break;
		case 1:
			doors[0].offset = UINT64_MAX - 511;
			break;
		case 2:
			doors[0].disk = 9;
			break;
		case 3:
			doors[0].size = 300;
			break;
		case 4:
			doors[0].offset = 2048; /* no superblock there */
			break;
		case 5:
			n = 2; /* the same twice */
			break;
		case 6:
			doors[0].fs = NULL;
			break;
		}
		cr_assert(domu_commit(staged(&r), r.disks, 1, doors, n, NULL) == -EINVAL, "case %u", i);
		domu_error_clear(&r.ctx);
		cr_assert(rig_same(r.disk[0], before), "case %u", i);
		rewind_disk(&r);
	}
	rig_close(&r);
}

/* The child commits and gets a signal at its n-th call. */
static int commit_with_signal(struct rig *r, unsigned at, int sig)
{
	struct domu_stage *s = staged(r);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(sig, SIG_DFL);
		rig_io_reset();
		rig_io.signal_at = at;
		rig_io.signal = sig;
		_exit(rig_commit(r, s, NULL) == 0 ? 0 : 1);
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	domu_stage_close(s);
	rig_reopen(r);
	return status;
}

static void every_signal(int sig, bool waits)
{
	struct rig r;
	enum domu_recover_result result;
	unsigned n, closed = 0, done = 0;
	int status;

	rig_open(&r, 1, EXT4, "1M");
	for (unsigned at = 1;; at++) {
		status = commit_with_signal(&r, at, sig);
		closed += closed_at(&r, 1024, 512);
		cr_assert(!waits || !closed, "call %u: a signal left the disk closed", at);
		cr_assert(closed_at(&r, 1024, 512) || rig_same(r.disk[0], before) || rig_same(r.disk[0], after),
		          "call %u", at);
		done += WIFSIGNALED(status) && rig_same(r.disk[0], after);
		cr_assert(rig_recover(&r, &result, &n) == 0);
		cr_assert(rig_same(r.disk[0], before) || rig_same(r.disk[0], after), "call %u", at);
		if (!WIFSIGNALED(status))
			break;
		rewind_disk(&r);
	}
	cr_assert(WEXITSTATUS(status) == 0 && rig_same(r.disk[0], after));
	cr_assert(done > 3);
	cr_assert(waits || closed > 3);
	rig_close(&r);
}

Test(signal, to_end_waits_while_the_disk_is_closed)
{
	every_signal(SIGTERM, true);
}

Test(signal, of_a_hangup_waits_while_the_disk_is_closed)
{
	every_signal(SIGHUP, true);
}

Test(signal, from_the_keyboard_waits_while_the_disk_is_closed)
{
	every_signal(SIGINT, true);
}

Test(signal, to_kill_leaves_what_recover_finishes)
{
	every_signal(SIGKILL, false);
}

/* ---- the last look ------------------------------------------------------------------- */

struct meddler {
	struct rig *r;
	unsigned disk, calls;
	uint64_t offset;
	int answer;
};

/* A guest that was started and stopped again just before the last look. */
static int meddle(void *user)
{
	struct meddler *m = user;

	m->calls++;
	cr_assert(m->answer != 0 || pwrite(m->r->fd[m->disk], "guest", 5, (off_t)m->offset) == 5);
	return m->answer;
}

Test(look, sees_a_disk_without_a_door_beside_one_with_a_door)
{
	struct rig r;
	struct meddler m = { .r = &r, .disk = 1, .offset = (1 << 20) + 4 };
	struct domu_commit_opts opts = { .recheck = meddle, .user = &m };
	struct domu_door door = rig_door(0);
	struct domu_stage *s;

	rig_open(&r, 2, EXT4, "4M");
	s = staged(&r);
	rig_put(&r, s, 1, 1 << 20, "swap", 4);
	cr_assert(domu_commit(s, r.disks, 2, &door, 1, &opts) == -ESTALE);
	cr_assert(m.calls == 1 && rig_same(r.disk[0], before));
	cr_assert(strstr(r.ctx.error.message, "xvdb") != NULL, "%s", r.ctx.error.message);
	rig_close(&r);
}

/* The order in which disks were written. */
static struct order {
	int fd[2];
	char text[64];
} order;

static ssize_t note_order(int fd, const void *p, size_t len, off_t offset)
{
	size_t n = strlen(order.text);

	for (unsigned i = 0; i < 2 && n < sizeof order.text - 1; i++)
		if (fd == order.fd[i])
			order.text[n] = (char)('0' + i);
	return pwrite(fd, p, len, offset);
}

/* Only the hotplug lock keeps guests off it, and libxl waits 40 seconds for that. */
Test(look, holds_while_a_disk_without_a_door_is_written_and_no_longer)
{
	struct rig r;
	struct domu_io io = rig_io_table;
	struct domu_door door = rig_door(0);
	struct domu_stage *s;

	rig_open(&r, 2, EXT4, "4M");
	s = staged(&r);
	rig_put(&r, s, 1, 1 << 20, "swap", 4);
	io.pwrite = note_order;
	order = (struct order){ .fd = { r.fd[0], r.fd[1] } };
	r.ctx.io = &io;
	cr_assert(domu_commit(s, r.disks, 2, &door, 1, NULL) == 0, "%s", r.ctx.error.message);
	/* The door, the disk without one, then the other. */
	cr_assert(strncmp(order.text, "010", 3) == 0 && strrchr(order.text, '1') == order.text + 1, "%s", order.text);
	rig_close(&r);
}

/* What is written there is closed by the door on the other disk, or it is not. */
Test(look, holds_while_a_disk_is_written_that_no_door_covers)
{
	static const struct {
		const char *map;
		bool bare;
	} tries[] = {
		{ "8192@0:0;8192@1:0", false }, { "8192@0:0;2056@1:0", false },
		{ "8192@0:0;2055@1:0", true }, /* all but a sector of it */
		{ "8192@0:0;8@1:2049", true },  { "1024@1:0;8192@0:0;1032@1:1024", false },
		{ "8192@1:0", true }, /* without a door */
		{ "8190@0:2;8192@1:0", false }, { "8189@0:3;8192@1:0", true },
		{ "8192@0:0", true },
	};

	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
		struct domu_home home = { .name = "vg/root", .map = strdup(tries[i].map) };
		struct domu_commit_opts opts = { .homes = &home, .n_homes = 1 };
		struct domu_io io = rig_io_table;
		struct domu_door door = rig_door(0);
		struct domu_stage *s;
		struct rig r;

		rig_open(&r, 2, EXT4, "4M");
		s = staged(&r);
		rig_put(&r, s, 1, 1 << 20, "data", 4);
		io.pwrite = note_order;
		order = (struct order){ .fd = { r.fd[0], r.fd[1] } };
		r.ctx.io = &io;
		cr_assert(domu_commit(s, r.disks, 2, &door, 1, &opts) == 0, "%s", r.ctx.error.message);
		cr_expect_eq(order.text[1], tries[i].bare ? '1' : '0', "%s: %s", tries[i].map, order.text);
		cr_expect_eq(order.text[strlen(order.text) - 1], '0', "%s: %s", tries[i].map, order.text);
		rig_close(&r);
		free(home.map);
	}
}

Test(look, that_refuses_leaves_a_file_as_long_as_it_was)
{
	struct rig r;
	struct meddler m = { .r = &r, .answer = -EBUSY };
	struct domu_commit_opts opts = { .recheck = meddle, .user = &m };
	struct domu_stage *s;
	struct stat st;

	for (unsigned doors = 0; doors < 2; doors++) {
		rig_open(&r, 1, EXT4, "1M");
		s = staged(&r);
		r.disks[0].size = 3 << 20;
		rig_put(&r, s, 0, 2 << 20, "grown", 5);
		m.calls = 0;
		cr_assert((doors > 0 ? rig_commit(&r, s, &opts) : rig_commit_doorless(&r, s, &opts)) == -EBUSY);
		cr_assert(m.calls == 1 && stat(r.disk[0], &st) == 0);
		cr_assert_eq(st.st_size, 1 << 20);
		rig_close(&r);
	}
}

/* Cut in the middle of its units, without doors when told. */
static void cut_in_units(struct rig *r, bool doors, char id[DOMU_ID_LEN + 1])
{
	struct domu_stage *s = staged(r);

	snprintf(id, DOMU_ID_LEN + 1, "%s", domu_stage_info(s)->id);
	rig_io_reset();
	rig_io.disk_fd = r->fd[0];
	rig_io.fail_write = doors ? 2 : 1;
	rig_io.tear = true;
	cr_assert((doors ? rig_commit(r, s, NULL) : rig_commit_doorless(r, s, NULL)) < 0);
	rig_io_reset();
	rig_reopen(r);
}

static void recover_with_meddler(bool doors, uint64_t offset)
{
	struct rig r;
	struct meddler m = { .r = &r, .answer = -EBUSY };
	enum domu_recover_result result;
	char id[DOMU_ID_LEN + 1], now[128];

	rig_open(&r, 1, EXT4, "4M");
	cut_in_units(&r, doors, id);
	snprintf(now, sizeof now, "%s/now", r.dir);
	rig_copy(r.disk[0], now);
	cr_assert(domu_recover(r.st, id, r.disks, 1, meddle, &m, &result) == -EBUSY && m.calls == 1);
	cr_assert(rig_same(r.disk[0], now));
	m.answer = 0;
	m.offset = offset;
	cr_assert(pwrite(open(now, O_WRONLY | O_CLOEXEC), "guest", 5, (off_t)offset) == 5);
	cr_assert(domu_recover(r.st, id, r.disks, 1, meddle, &m, &result) == -ESTALE && m.calls == 2);
	cr_assert_eq(domu_error_status(&r.ctx), DOMU_UNRECOVERED);
	cr_assert(rig_same(r.disk[0], now));
	rig_close(&r);
}

Test(look, of_recover_sees_a_guest_that_used_the_closed_door)
{
	recover_with_meddler(true, 1024 + 56);
}

Test(look, of_recover_sees_a_guest_on_a_disk_without_a_door)
{
	recover_with_meddler(false, 1024 + 120);
}

Test(recover, that_is_interrupted_before_it_writes_ends)
{
	struct rig r;
	enum domu_recover_result result;
	char id[DOMU_ID_LEN + 1], now[128];
	volatile sig_atomic_t interrupted = SIGINT;

	rig_open(&r, 1, EXT4, "4M");
	cut_in_units(&r, true, id);
	snprintf(now, sizeof now, "%s/now", r.dir);
	rig_copy(r.disk[0], now);
	r.ctx.interrupted = &interrupted;
	cr_assert(domu_recover(r.st, id, r.disks, 1, NULL, NULL, &result) == -EINTR);
	cr_assert(domu_error_status(&r.ctx) == DOMU_DECLINED && rig_same(r.disk[0], now));
	interrupted = 0;
	cr_assert(domu_recover(r.st, id, r.disks, 1, NULL, NULL, &result) == 0, "%s", r.ctx.error.message);
	cr_assert(rig_same(r.disk[0], after));
	rig_close(&r);
}

/* ---- a recover of what is all new ------------------------------------------------------ */

static struct {
	int fd;
	unsigned open, closed; /* writes behind a door that is open, or closed */
} behind;

/* The mark of a seal, which is not on a disk, cannot be written. */
static ssize_t no_mark(int fd, const void *p, size_t len, off_t offset)
{
	if (fd != behind.fd && len >= 8 && memcmp(p, "DOMUMARK", 8) == 0) {
		errno = EIO;
		return -1;
	}
	return pwrite(fd, p, len, offset);
}

static ssize_t note_behind(int fd, const void *p, size_t len, off_t offset)
{
	uint8_t door[DOMU_SECTOR];
	char id[DOMU_ID_LEN + 1];

	if (fd == behind.fd && offset != 1024) {
		cr_assert(pread(fd, door, sizeof door, 1024) == (ssize_t)sizeof door);
		*(domu_door_is_closed(door, sizeof door, id) ? &behind.closed : &behind.open) += 1;
	}
	return pwrite(fd, p, len, offset);
}

/* Nothing would keep off a guest that is started while it is written. */
Test(recover, of_what_is_all_new_writes_behind_closed_doors)
{
	struct rig r;
	struct domu_io io = rig_io_table;
	enum domu_recover_result result;
	unsigned n;

	rig_open(&r, 1, EXT4, "1M");
	io.pwrite = no_mark;
	r.ctx.io = &io;
	behind.fd = r.fd[0];
	cr_assert(rig_commit(&r, staged(&r), NULL) == -EIO && domu_error_status(&r.ctx) == DOMU_UNRECOVERED);
	cr_assert(rig_same(r.disk[0], after));
	rig_reopen(&r);
	io.pwrite = note_behind;
	r.ctx.io = &io;
	behind.fd = r.fd[0];
	cr_assert(rig_recover(&r, &result, &n) == 0 && n == 1, "%s", r.ctx.error.message);
	cr_assert_eq(result, DOMU_RECOVER_NOTHING);
	cr_assert(behind.open == 0 && behind.closed > 0, "%u writes behind open doors", behind.open);
	cr_assert(rig_same(r.disk[0], after));
	rig_close(&r);
}
