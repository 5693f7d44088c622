/* SPDX-License-Identifier: GPL-3.0-or-later */
/* commit-rig.c - see commit-rig.h. */
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

#include "base/num.h"
#include "commit-rig.h"

/* ---- files and programs --------------------------------------------------------------- */

int rig_run(const char *fmt, ...)
{
	char *cmd = NULL;
	va_list ap;
	pid_t pid;
	int status;

	va_start(ap, fmt);
	cr_assert(vasprintf(&cmd, fmt, ap) > 0);
	va_end(ap);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
		_exit(127);
	}
	cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
	free(cmd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

uint8_t *rig_read(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *p;

	cr_assert(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));
	p = malloc((size_t)st.st_size + 1);
	cr_assert(p != NULL && domu_pread_full(fd, p, (size_t)st.st_size, 0) == 0);
	close(fd);
	*len = (size_t)st.st_size;
	return p;
}

/* Holes stay, the inode of an existing target too. */
void rig_copy(const char *from, const char *to)
{
	static const uint8_t zeros[DOMU_UNIT];
	size_t len;
	uint8_t *p = rig_read(from, &len);
	int fd = open(to, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	cr_assert(fd >= 0 && ftruncate(fd, 0) == 0 && ftruncate(fd, (off_t)len) == 0);
	for (size_t i = 0; i < len; i += DOMU_UNIT) {
		size_t n = len - i < DOMU_UNIT ? len - i : DOMU_UNIT;

		if (memcmp(p + i, zeros, n) != 0)
			cr_assert(domu_pwrite_full(&domu_io_system, fd, p + i, n, i) == 0);
	}
	close(fd);
	free(p);
}

bool rig_same(const char *a, const char *b)
{
	size_t n, m;
	uint8_t *p = rig_read(a, &n), *q = rig_read(b, &m);
	bool same = n == m && memcmp(p, q, n) == 0;

	free(p);
	free(q);
	return same;
}

void rig_edit(struct rig *r, unsigned disk, const char *target, const char *commands)
{
	char script[128];
	FILE *f;

	snprintf(script, sizeof script, "%s/script", r->dir);
	f = fopen(script, "we");
	cr_assert(f != NULL);
	fprintf(f, "%s\n", commands);
	fclose(f);
	rig_copy(r->disk[disk], target);
	cr_assert(rig_run("cd %s && debugfs -w -f script %s >/dev/null 2>&1", r->dir, target) == 0);
	cr_assert(!rig_same(r->disk[disk], target), "the edit changed nothing");
}

/* ---- the rig ------------------------------------------------------------------------------ */

static void keep_message(void *user, enum domu_level level, const char *text)
{
	struct rig *r = user;

	(void)level;
	snprintf(r->said, sizeof r->said, "%s", text);
}

static void start(struct rig *r)
{
	domu_ctx_init(&r->ctx);
	r->ctx.io = &rig_io_table;
	r->ctx.cb.message = keep_message;
	r->ctx.cb.user = r;
	cr_assert(domu_state_open(&r->ctx, r->state, false, &r->st) == 0, "%s",
	          r->ctx.error.message != NULL ? r->ctx.error.message : "?");
	for (unsigned i = 0; i < r->n; i++) {
		struct stat st;

		r->fd[i] = open(r->disk[i], O_RDWR | O_CLOEXEC);
		cr_assert(r->fd[i] >= 0 && fstat(r->fd[i], &st) == 0);
		r->disks[i] = (struct domu_commit_disk){ .fd = r->fd[i], .size = (uint64_t)st.st_size };
	}
}

static void stop(struct rig *r)
{
	domu_state_close(r->st);
	domu_ctx_free(&r->ctx);
	for (unsigned i = 0; i < r->n; i++)
		close(r->fd[i]);
}

void rig_reopen(struct rig *r)
{
	stop(r);
	start(r);
}

void rig_open(struct rig *r, unsigned n, const char *mke2fs_args, const char *size)
{
	memset(r, 0, sizeof *r);
	rig_io_reset();
	snprintf(r->dir, sizeof r->dir, "%s/domu-commit-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	cr_assert(mkdtemp(r->dir) != NULL);
	snprintf(r->state, sizeof r->state, "%s/state", r->dir);
	r->n = n;
	for (unsigned i = 0; i < n; i++) {
		snprintf(r->disk[i], sizeof r->disk[i], "%s/disk%u", r->dir, i);
		cr_assert(rig_run("truncate -s %s %s && mkdir -p %s/root/etc && echo web%u >%s/root/etc/hostname && "
		                  "mke2fs -q -F %s -d %s/root %s",
		                  size, r->disk[i], r->dir, i, r->dir, mke2fs_args, r->dir, r->disk[i]) == 0);
	}
	start(r);
}

void rig_close(struct rig *r)
{
	stop(r);
	rig_run("rm -rf %s", r->dir);
}

/* ---- staging -------------------------------------------------------------------------------- */

struct domu_stage *rig_stage(struct rig *r)
{
	struct domu_identity ids[RIG_DISKS];
	struct domu_commit_info info = { .guest = (char *)"web1",
		                         .command = (char *)"edit web1:/etc/hostname",
		                         .owner = (char *)"root@pts/0",
		                         .disks = ids,
		                         .n_disks = r->n };
	struct domu_stage *s = NULL;

	for (unsigned i = 0; i < r->n; i++)
		cr_assert(domu_identity_make(&r->ctx, r->fd[i], r->disk[i], i == 0 ? "xvda" : "xvdb", &ids[i]) == 0);
	cr_assert(domu_stage_create(r->st, &info, &s) == 0, "%s", r->ctx.error.message);
	for (unsigned i = 0; i < r->n; i++)
		domu_identity_free(&ids[i]);
	return s;
}

static void open_top(struct rig *r, struct domu_stage *s, unsigned disk, struct domu_block **raw,
                     struct domu_block **top)
{
	cr_assert(domu_raw_open(&r->ctx, r->fd[disk], "xvda", r->disks[disk].size, 0, raw) == 0);
	cr_assert(domu_overlay_open(&r->ctx, *raw, domu_stage_log_fd(s), disk, false, top) == 0);
}

void rig_put(struct rig *r, struct domu_stage *s, unsigned disk, uint64_t offset, const void *p, size_t len)
{
	struct domu_block *raw, *top;

	open_top(r, s, disk, &raw, &top);
	cr_assert(domu_block_pwrite(top, p, len, offset) == 0);
	cr_assert(domu_block_close(top) == 0 && domu_block_close(raw) == 0);
	cr_assert(domu_stage_whole(s) == 0);
}

void rig_write(struct rig *r, struct domu_stage *s, unsigned disk, const char *target)
{
	struct domu_block *raw, *top;
	size_t n, m;
	uint8_t *is = rig_read(r->disk[disk], &n), *to = rig_read(target, &m);

	open_top(r, s, disk, &raw, &top);
	cr_assert(m == r->disks[disk].size && n <= m);
	for (size_t i = 0; i < m; i += DOMU_UNIT) {
		size_t len = m - i < DOMU_UNIT ? m - i : DOMU_UNIT;

		if (i + len > n || memcmp(is + i, to + i, len) != 0)
			cr_assert(domu_block_pwrite(top, to + i, len, i) == 0);
	}
	cr_assert(domu_block_close(top) == 0 && domu_block_close(raw) == 0);
	cr_assert(domu_stage_whole(s) == 0);
	free(is);
	free(to);
}

void rig_view(struct rig *r, struct domu_stage *s, unsigned disk, const char *to)
{
	struct domu_block *raw, *top;
	uint8_t *p = malloc(r->disks[disk].size);
	FILE *f = fopen(to, "we");

	open_top(r, s, disk, &raw, &top);
	cr_assert(domu_block_pread(top, p, r->disks[disk].size, 0) == 0);
	cr_assert(fwrite(p, 1, r->disks[disk].size, f) == r->disks[disk].size);
	fclose(f);
	free(p);
	cr_assert(domu_block_close(top) == 0 && domu_block_close(raw) == 0);
}

/* ---- commit ----------------------------------------------------------------------------------- */

/* As the ext driver does it: incompat bit 30 on, metadata_csum off so that no checksum is looked at, and the text. */
int rig_door_close(void *sector, uint32_t size, const char *id)
{
	uint8_t *sb = sector;

	if (size >= 2048)
		sb += 1024;
	if (sb[56] != 0x53 || sb[57] != 0xef)
		return -EINVAL;
	domu_put_le32(sb + 96, domu_le32(sb + 96) | 0x40000000u);
	domu_put_le32(sb + 100, domu_le32(sb + 100) & ~0x400u);
	memset(sb + 136, 0, 64);
	snprintf((char *)sb + 136, 64, DOMU_DOOR_TEXT "%s", id);
	return 0;
}

struct domu_door rig_door(unsigned disk)
{
	static const struct domu_fs_ops ops = { .self_size = sizeof ops, .name = "fake", .door_close = rig_door_close };

	return (struct domu_door){ .disk = disk, .offset = 1024, .size = 512, .root = disk == 0, .fs = &ops };
}

int rig_commit(struct rig *r, struct domu_stage *s, const struct domu_commit_opts *opts)
{
	struct domu_door doors[RIG_DISKS];

	for (unsigned i = 0; i < r->n; i++)
		doors[i] = rig_door(i);
	return domu_commit(s, r->disks, r->n, doors, r->n, opts);
}

int rig_commit_doorless(struct rig *r, struct domu_stage *s, const struct domu_commit_opts *opts)
{
	return domu_commit(s, r->disks, r->n, NULL, 0, opts);
}

int rig_undo(struct rig *r, const char *id)
{
	struct domu_identity ids[RIG_DISKS];
	struct domu_commit_info info = {
		.guest = (char *)"web1", .command = (char *)"undo", .disks = ids, .n_disks = r->n
	};
	struct domu_commit_opts opts = { .undoes = id };
	struct domu_stage *s;
	int rc;

	for (unsigned i = 0; i < r->n; i++)
		cr_assert(domu_identity_make(&r->ctx, r->fd[i], r->disk[i], i == 0 ? "xvda" : "xvdb", &ids[i]) == 0);
	rc = domu_undo_stage(r->st, id, r->disks, r->n, &info, NULL, &s);
	for (unsigned i = 0; i < r->n; i++)
		domu_identity_free(&ids[i]);
	return rc < 0 ? rc : rig_commit(r, s, &opts);
}

int rig_recover(struct rig *r, enum domu_recover_result *result, unsigned *n)
{
	struct domu_commit_info *v;
	size_t count;
	int rc = domu_state_list(r->st, NULL, true, &v, &count);

	cr_assert(rc == 0, "%s", r->ctx.error.message);
	*n = 0;
	for (size_t i = 0; i < count && rc == 0; i++) {
		if (v[i].state != DOMU_COMMIT_INTERRUPTED)
			continue;
		++*n;
		rc = domu_recover(r->st, v[i].id, r->disks, r->n, NULL, NULL, result);
	}
	domu_state_list_free(v, count);
	return rc;
}

/* ---- I/O that breaks ----------------------------------------------------------------------------- */

struct rig_io rig_io;

void rig_io_reset(void)
{
	memset(&rig_io, 0, sizeof rig_io);
	rig_io.err = EIO;
}

/* true: this call does not happen. */
static bool dead(void)
{
	if (++rig_io.calls == rig_io.signal_at)
		raise(rig_io.signal);
	if (rig_io.fail_at == 0 || rig_io.calls < rig_io.fail_at || (rig_io.once && rig_io.calls > rig_io.fail_at))
		return false;
	errno = rig_io.err;
	return true;
}

static int t_open(const char *path, int flags, mode_t mode)
{
	if ((flags & (O_CREAT | O_TRUNC)) != 0 && dead())
		return -1;
	return domu_io_system.open(path, flags, mode);
}

static ssize_t t_pwrite(int fd, const void *p, size_t len, off_t offset)
{
	bool gone;

	if (rig_io.fail_write > 0 && fd == rig_io.disk_fd && --rig_io.fail_write == 0)
		rig_io.fail_at = rig_io.calls + 1;
	gone = dead();

	if (gone && rig_io.tear && rig_io.calls == rig_io.fail_at && len > DOMU_SECTOR) {
		size_t half = len / 2 / DOMU_SECTOR * DOMU_SECTOR;

		cr_assert(pwrite(fd, p, half, offset) == (ssize_t)half);
	}
	if (gone) {
		errno = rig_io.err;
		return -1;
	}
	return pwrite(fd, p, len, offset);
}

static int t_fsync(int fd)
{
	rig_io.syncs++;
	return dead() ? -1 : fsync(fd);
}

static int t_fdatasync(int fd)
{
	rig_io.syncs++;
	return dead() ? -1 : fdatasync(fd);
}

static int t_ftruncate(int fd, off_t size)
{
	return dead() ? -1 : ftruncate(fd, size);
}

static int t_fallocate(int fd, int mode, off_t offset, off_t len)
{
	return dead() ? -1 : fallocate(fd, mode, offset, len);
}

static int t_rename(const char *from, const char *to)
{
	return dead() ? -1 : rename(from, to);
}

static int t_unlink(const char *path)
{
	const char *name = strrchr(path, '/');

	if (rig_io.keep_seal && name != NULL && strcmp(name, "/seal") == 0) {
		errno = EIO;
		return -1;
	}
	return dead() ? -1 : unlink(path);
}

static int t_mkdir(const char *path, mode_t mode)
{
	return dead() ? -1 : mkdir(path, mode);
}

static int t_rmdir(const char *path)
{
	return dead() ? -1 : rmdir(path);
}

const struct domu_io rig_io_table = {
	.open = t_open,
	.close = close,
	.pwrite = t_pwrite,
	.fsync = t_fsync,
	.fdatasync = t_fdatasync,
	.ftruncate = t_ftruncate,
	.fallocate = t_fallocate,
	.rename = t_rename,
	.unlink = t_unlink,
	.mkdir = t_mkdir,
	.rmdir = t_rmdir,
};
