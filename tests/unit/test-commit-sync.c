/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-sync.c - a sync that fails: its pages count as clean from then on, and no later sync brings them back. */
#include "config.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commit-rig.h"

#define EXT4 "-t ext4 -b 1024 -N 16 -O ^has_journal"
#define EDIT "rm /etc/hostname\nwrite script /etc/hostname\nmkdir /var"
#define SIZE (2u << 20) /* no file here is longer */

/* ---- files in memory, and what of them is on the disk ---------------------------------- */

/*
 * As the kernel does it (fsync(2), errseq): pages that could not be written
 * are clean afterwards, still readable, and gone with the power.
 */
struct file {
	ino_t ino;
	size_t len; /* on the disk */
	bool resized, dirty[SIZE / DOMU_SECTOR];
	uint8_t kept[SIZE];
};

static struct model {
	struct file *files[16];
	unsigned n, syncs, fail_sync, calls, cut_at;
	bool locks, locked; /* after the failed sync nothing can be written any more: errors=remount-ro */
} model;

static bool is_cut(void)
{
	if (model.locked) {
		errno = EROFS;
		return true;
	}
	if (model.cut_at == 0 || ++model.calls < model.cut_at)
		return false;
	errno = EIO;
	return true;
}

/* fd may be for writing only. */
static void keep(struct file *f, int fd)
{
	char path[32];
	int again;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(again >= 0);
	for (size_t i = 0; i < SIZE / DOMU_SECTOR; i++)
		if (f->dirty[i])
			cr_assert(pread(again, f->kept + i * DOMU_SECTOR, DOMU_SECTOR, (off_t)(i * DOMU_SECTOR)) >= 0);
	close(again);
}

/* What is there when a file is first seen was never synced, unless it is a disk. */
static struct file *file_of(int fd, bool synced)
{
	struct file *f;
	struct stat st;

	cr_assert(fstat(fd, &st) == 0 && (size_t)st.st_size <= SIZE);
	if (!S_ISREG(st.st_mode))
		return NULL;
	for (unsigned i = 0; i < model.n; i++)
		if (model.files[i]->ino == st.st_ino)
			return model.files[i];
	cr_assert(model.n < sizeof model.files / sizeof *model.files);
	f = model.files[model.n++] = calloc(1, sizeof *f);
	f->ino = st.st_ino;
	for (size_t i = 0; !synced && i < ((size_t)st.st_size + DOMU_SECTOR - 1) / DOMU_SECTOR; i++)
		f->dirty[i] = f->resized = true;
	if (synced) {
		f->len = (size_t)st.st_size;
		cr_assert(domu_pread_full(fd, f->kept, f->len, 0) == 0);
	}
	return f;
}

static void touched(int fd, off_t offset, off_t len)
{
	struct file *f = file_of(fd, false);
	off_t end = offset + len > (off_t)SIZE ? (off_t)SIZE : offset + len;

	for (off_t at = offset / DOMU_SECTOR; f != NULL && at * DOMU_SECTOR < end; at++)
		f->dirty[at] = f->resized = true;
}

static int m_open(const char *path, int flags, mode_t mode)
{
	int fd;

	if ((flags & (O_CREAT | O_TRUNC)) != 0 && is_cut())
		return -1;
	fd = domu_io_system.open(path, flags, mode);
	if (fd >= 0 && (flags & O_TRUNC) != 0)
		touched(fd, 0, SIZE);
	return fd;
}

static ssize_t m_pwrite(int fd, const void *p, size_t len, off_t offset)
{
	if (is_cut())
		return -1;
	touched(fd, offset, (off_t)len);
	return pwrite(fd, p, len, offset);
}

static int m_sync(int fd)
{
	struct file *f = file_of(fd, false);
	bool fails = ++model.syncs == model.fail_sync;
	struct stat st;

	if (is_cut())
		return -1;
	cr_assert(fstat(fd, &st) == 0);
	if (f != NULL && !fails)
		keep(f, fd);
	if (f != NULL && !fails && f->resized)
		f->len = (size_t)st.st_size;
	if (f != NULL) {
		memset(f->dirty, 0, sizeof f->dirty);
		f->resized = false;
	}
	model.locked = fails && model.locks;
	errno = EIO;
	return fails ? -1 : 0;
}

static int m_ftruncate(int fd, off_t size)
{
	if (is_cut())
		return -1;
	touched(fd, size, SIZE);
	return ftruncate(fd, size);
}

static int m_fallocate(int fd, int mode, off_t offset, off_t len)
{
	if (is_cut())
		return -1;
	touched(fd, offset, len);
	return fallocate(fd, mode, offset, len);
}

/* Names are kept as soon as they are made: they are not what this is about. */
static int m_rename(const char *from, const char *to)
{
	return is_cut() ? -1 : rename(from, to);
}

static int m_unlink(const char *path)
{
	return is_cut() ? -1 : unlink(path);
}

static int m_mkdir(const char *path, mode_t mode)
{
	return is_cut() ? -1 : mkdir(path, mode);
}

static int m_rmdir(const char *path)
{
	return is_cut() ? -1 : rmdir(path);
}

static const struct domu_io model_io = {
	.open = m_open,
	.close = close,
	.pwrite = m_pwrite,
	.fsync = m_sync,
	.fdatasync = m_sync,
	.ftruncate = m_ftruncate,
	.fallocate = m_fallocate,
	.rename = m_rename,
	.unlink = m_unlink,
	.mkdir = m_mkdir,
	.rmdir = m_rmdir,
};

/* Of what was written and not synced yet every second sector has arrived. */
static void put_back(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	cr_assert(fd >= 0 && fstat(fd, &st) == 0);
	for (unsigned i = 0; i < model.n; i++) {
		struct file *f = model.files[i];

		if (f->ino != st.st_ino)
			continue;
		for (size_t k = model.calls % 2; k < SIZE / DOMU_SECTOR; k += 2)
			f->dirty[k] = false;
		keep(f, fd);
		if (f->resized && f->len < (size_t)st.st_size)
			f->len = (size_t)st.st_size;
		cr_assert(ftruncate(fd, 0) == 0 && domu_pwrite_full(&domu_io_system, fd, f->kept, f->len, 0) == 0);
	}
	close(fd);
}

static void put_back_folder(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	cr_assert_not_null(d);
	while ((e = readdir(d)) != NULL) {
		char path[512];

		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (e->d_type == DT_REG)
			put_back(path);
		else if (e->d_name[0] != '.')
			put_back_folder(path);
	}
	closedir(d);
}

/* ---- a commit, and whoever comes after it ------------------------------------------------ */

struct scene {
	struct rig r;
	char before[128], after[128];
	bool doors;
};

static void start(struct scene *c)
{
	rig_reopen(&c->r);
	c->r.ctx.io = &model_io;
}

static void rewind_all(struct scene *c)
{
	for (unsigned i = 0; i < model.n; i++)
		free(model.files[i]);
	memset(&model, 0, sizeof model);
	rig_copy(c->before, c->r.disk[0]);
	rig_run("rm -rf %s", c->r.state);
	start(c);
	file_of(c->r.fd[0], true);
}

static void power_cut(struct scene *c)
{
	model.cut_at = model.fail_sync = 0;
	put_back(c->r.disk[0]);
	put_back_folder(c->r.state);
	start(c);
}

static int commit(struct scene *c, struct domu_stage *s)
{
	return c->doors ? rig_commit(&c->r, s, NULL) : rig_commit_doorless(&c->r, s, NULL);
}

/* The commit of a new stage, whose sync number fail fails; how many there were. */
static unsigned first_try(struct scene *c, unsigned fail, int *rc)
{
	struct domu_stage *s = rig_stage(&c->r);

	rig_write(&c->r, s, 0, c->after);
	model.syncs = 0;
	model.fail_sync = fail;
	*rc = commit(c, s);
	model.fail_sync = 0;
	model.locked = false;
	start(c);
	return model.syncs;
}

static int go_on(struct scene *c, const char *id)
{
	struct domu_stage *s;
	int rc = domu_stage_resume(c->r.st, id, &s);

	return rc == 0 ? commit(c, s) : rc;
}

/* What is typed next, the cause being mended: recover, and commit of the stage that is left. */
static int second_try(struct scene *c, unsigned cut_at)
{
	enum domu_recover_result result = DOMU_RECOVER_STAGED;
	struct domu_commit_info *v;
	size_t n;
	int rc = 0;

	model.calls = 0;
	model.cut_at = cut_at;
	cr_assert(domu_state_list(c->r.st, NULL, true, &v, &n) == 0);
	if (n > 0 && v[0].state == DOMU_COMMIT_INTERRUPTED)
		rc = domu_recover(c->r.st, v[0].id, c->r.disks, 1, NULL, NULL, &result);
	if (n > 0 && rc == 0 && result == DOMU_RECOVER_STAGED)
		rc = go_on(c, v[0].id);
	domu_state_list_free(v, n);
	return rc;
}

static void judge(struct scene *c, unsigned fail, unsigned cut, bool done)
{
	enum domu_recover_result result;
	unsigned n;

	power_cut(c);
	cr_assert(rig_recover(&c->r, &result, &n) == 0, "sync %u, cut at %u: %s", fail, cut,
	          c->r.ctx.error.message != NULL ? c->r.ctx.error.message : "?");
	cr_assert(rig_same(c->r.disk[0], c->after) || (!done && rig_same(c->r.disk[0], c->before)),
	          "sync %u, cut at %u: %s", fail, cut, done ? "was reported as done" : "neither old nor new");
}

static void every_sync_fails(bool doors, bool locks)
{
	struct scene c = { .doors = doors };
	unsigned syncs;
	int rc;

	rig_open(&c.r, 1, EXT4, "1M");
	snprintf(c.before, sizeof c.before, "%s/before", c.r.dir);
	snprintf(c.after, sizeof c.after, "%s/after", c.r.dir);
	rig_copy(c.r.disk[0], c.before);
	rig_edit(&c.r, 0, c.after, EDIT);
	rewind_all(&c);
	syncs = first_try(&c, 0, &rc);
	cr_assert(rc == 0 && syncs > 6);
	judge(&c, 0, 0, true);
	for (unsigned fail = 1; fail <= syncs; fail++) {
		/* The second try is not cut, or at every third call, begun at another one each time. */
		for (unsigned cut = 0;; cut += cut == 0 ? 1 + fail % 3 : 3) {
			bool was_cut;

			rewind_all(&c);
			model.locks = locks;
			first_try(&c, fail, &rc);
			/* After the last one all is done but the tidying up. */
			if (cut == 0)
				cr_expect(rc < 0 || fail == syncs, "sync %u failed, and the commit did not", fail);
			rc = second_try(&c, cut);
			was_cut = cut > 0 && model.calls >= cut;
			cr_assert(cut > 0 || rc == 0, "sync %u: the next try fails: %s", fail, c.r.ctx.error.message);
			judge(&c, fail, cut, rc == 0);
			if (cut > 0 && !was_cut)
				break;
		}
	}
	rig_close(&c.r);
}

Test(sync, that_fails_is_made_good_behind_a_door)
{
	every_sync_fails(true, false);
}

Test(sync, that_fails_is_made_good_without_a_door)
{
	every_sync_fails(false, false);
}

Test(sync, that_makes_all_read_only_is_made_good_behind_a_door)
{
	every_sync_fails(true, true);
}

Test(sync, that_makes_all_read_only_is_made_good_without_a_door)
{
	every_sync_fails(false, true);
}
