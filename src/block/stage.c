/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stage.c - a stage: its folder, its log and who has it open. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "block/commit-private.h"

#define LOCK_NAPS 150 /* of 2 ms: who lists commits has the lock for a moment, also where the machine is busy */
#define LOG_NAPS  500 /* of 10 ms: more than the kernel needs to end a process */

/* ---- the lock ----------------------------------------------------------------- */

static int busy(struct domu_state *st, const char *id, const char *lock)
{
	char *pid = NULL, *meta = domu_state_path(st, "pending", id, "meta"), *json = NULL;
	struct domu_meta m = { 0 };
	size_t len = 0;
	int rc;

	if (domu_file_read(lock, 64, &pid, &len) < 0)
		pid = NULL;
	if (meta == NULL || domu_file_read(meta, DOMU_META_MAX, &json, &len) < 0 || domu_meta_parse(json, len, &m) < 0)
		memset(&m, 0, sizeof m);
	if (pid != NULL)
		pid[strcspn(pid, "\n")] = '\0';
	rc = domu_fail(st->ctx, DOMU_INUSE, -EBUSY, "stage %s is open elsewhere: by %s, process %s", id,
	               m.info.owner != NULL ? m.info.owner : "somebody", pid != NULL && *pid != '\0' ? pid : "unknown");
	domu_meta_free(&m);
	free(json);
	free(meta);
	free(pid);
	return rc;
}

static bool flock_now(int fd)
{
	const struct timespec nap = { .tv_nsec = 2000000 };
	int tries = 0;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EINTR && (errno != EWOULDBLOCK || ++tries > LOCK_NAPS))
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

static int take_lock(struct domu_state *st, const char *id, int flags, int *lock_fd)
{
	char *path = domu_state_path(st, "pending", id, "lock");
	char pid[24];
	struct stat a, b;
	int fd = -1, rc = 0;

	*lock_fd = -1;
	if (path == NULL)
		return domu_nomem(st->ctx);
	fd = st->ctx->io->open(path, O_RDWR | O_NOFOLLOW | flags, 0600);
	if (fd < 0) {
		rc = -errno;
		if (rc != -ENOENT)
			domu_state_failed(st->ctx, rc, path);
		goto out;
	}
	if (!flock_now(fd)) {
		rc = busy(st, id, path);
		goto out;
	}
	/* Somebody may have finished with the folder between open and flock. */
	if (fstat(fd, &a) < 0 || stat(path, &b) < 0 || a.st_ino != b.st_ino || a.st_dev != b.st_dev) {
		rc = -ENOENT;
		goto out;
	}
	snprintf(pid, sizeof pid, "%-10ld\n", (long)getpid());
	rc = domu_pwrite_full(st->ctx->io, fd, pid, strlen(pid), 0);
	if (rc < 0) {
		domu_state_failed(st->ctx, rc, path);
		goto out;
	}
	*lock_fd = fd;
	fd = -1;
out:
	if (fd >= 0)
		st->ctx->io->close(fd);
	free(path);
	return rc;
}

int domu_lock_open(struct domu_state *st, const char *id, int *lock_fd)
{
	return take_lock(st, id, 0, lock_fd);
}

int domu_lock_make(struct domu_state *st, const char *id, int *lock_fd)
{
	return take_lock(st, id, O_CREAT, lock_fd);
}

bool domu_lock_held(const struct domu_state *st, const char *id, int64_t *pid)
{
	char *path = domu_state_path(st, "pending", id, "lock"), text[24] = "", *end;
	int fd = path != NULL ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
	bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;

	*pid = 0;
	if (held && pread(fd, text, sizeof text - 1, 0) > 0) {
		*pid = strtoll(text, &end, 10);
		if (end == text || *pid < 0)
			*pid = 0;
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return held;
}

int domu_pending_remove(struct domu_state *st, const char *id)
{
	/* The seal first: what has none is no commit, whatever else is left by a cut. */
	static const char *const names[] = { "seal", "seal.new", "undo",  "files",     "log", "log.new",
		                             "meta", "meta.new", "notes", "notes.new", "lock" };
	char *dir = domu_state_path(st, "pending", id, NULL);
	int rc = dir == NULL ? domu_nomem(st->ctx) : 0;

	for (size_t i = 0; i < sizeof names / sizeof *names && rc == 0; i++) {
		char *path = domu_state_path(st, "pending", id, names[i]);

		if (path == NULL)
			rc = domu_nomem(st->ctx);
		else if (st->ctx->io->unlink(path) < 0 && errno != ENOENT)
			rc = domu_fail(st->ctx, DOMU_FAILED, -errno, "%s: %s", path, strerror(errno));
		free(path);
	}
	if (rc == 0 && st->ctx->io->rmdir(dir) < 0)
		rc = domu_fail(st->ctx, DOMU_FAILED, -errno, "%s: %s", dir, strerror(errno));
	free(dir);
	return rc;
}

/* ---- making one ----------------------------------------------------------------- */

int domu_stage_write_meta(struct domu_ctx *ctx, const char *dir, const struct domu_meta *m, bool sync)
{
	char *json = NULL, *temp = domu_text("%s/meta.new", dir), *path = domu_text("%s/meta", dir);
	size_t len = 0;
	int rc = temp == NULL || path == NULL ? -ENOMEM : domu_meta_format(m, &json, &len);

	if (rc < 0) {
		rc = domu_fail(ctx, DOMU_FAILED, rc, "%s: cannot be described: %s", dir, strerror(-rc));
		goto out;
	}
	rc = domu_file_replace(ctx, temp, path, json, len, sync);
out:
	free(json);
	free(temp);
	free(path);
	return rc;
}

/* IDs sort by time: the last six digits are the microsecond and four random bits. */
static void new_id(char id[DOMU_ID_LEN + 1])
{
	struct timespec now;
	struct tm tm;
	uint32_t r = 0;

	if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r)
		r = (uint32_t)getpid();
	clock_gettime(CLOCK_REALTIME, &now);
	r = (uint32_t)(now.tv_nsec / 1000) << 4 | (r & 15);
	gmtime_r(&now.tv_sec, &tm);
	snprintf(id, DOMU_ID_LEN + 1, "%04u%02u%02uT%02u%02u%02u-%06x", (unsigned)(tm.tm_year + 1900) % 10000,
	         (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
	         (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, r & 0xffffff);
}

/* A folder of our own, locked. */
static int make_folder(struct domu_stage *s)
{
	struct domu_state *st = s->st;
	struct domu_commit_info *ci = &s->meta.info;
	int rc = -EEXIST;

	for (int tries = 0; tries < 16; tries++) {
		new_id(ci->id);
		free(s->dir);
		s->dir = domu_state_path(st, "pending", ci->id, NULL);
		if (s->dir == NULL)
			return domu_nomem(st->ctx);
		if (st->ctx->io->mkdir(s->dir, 0700) < 0) {
			if (errno == EEXIST)
				continue;
			return domu_state_failed(st->ctx, -errno, s->dir);
		}
		rc = domu_lock_make(st, ci->id, &s->lock_fd);
		if (rc != -ENOENT && rc != -EBUSY)
			return rc;
		domu_error_clear(st->ctx);
	}
	return domu_fail(st->ctx, DOMU_FAILED, rc, "%s: no new stage can be made there", domu_state_dir(st));
}

/*
 * The log is locked by its descriptor, which worker and programs share: one that outlives its killed front by a
 * moment is waited for.
 */
static int wait_for_writers(struct domu_stage *s, const char *path)
{
	const struct timespec nap = { .tv_nsec = 10000000 };
	int tries = 0;

	while (flock(s->log_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EINTR && (errno != EWOULDBLOCK || ++tries > LOG_NAPS))
			return domu_fail(s->st->ctx, DOMU_INUSE, -EBUSY,
			                 "stage %s: a process of an earlier domu-rescue still has %s open: fuser -v %s",
			                 s->meta.info.id, path, path);
		nanosleep(&nap, NULL);
	}
	return 0;
}

static int open_log(struct domu_stage *s, int flags)
{
	char *path = domu_text("%s/log", s->dir);
	int rc = 0;

	if (path == NULL)
		return domu_nomem(s->st->ctx);
	s->log_fd = s->st->ctx->io->open(path, O_RDWR | O_NOFOLLOW | flags, 0600);
	if (s->log_fd < 0)
		rc = domu_fail(s->st->ctx, DOMU_FAILED, -errno, "%s: %s", path, strerror(errno));
	else
		rc = wait_for_writers(s, path);
	free(path);
	return rc;
}

static struct domu_stage *stage_new(struct domu_state *st)
{
	struct domu_stage *s = calloc(1, sizeof *s);

	if (s == NULL) {
		domu_nomem(st->ctx);
		return NULL;
	}
	s->st = st;
	s->lock_fd = s->log_fd = -1;
	return s;
}

static void take_back(struct domu_stage *s)
{
	struct domu_ctx quiet;
	struct domu_state silent = *s->st;

	domu_ctx_quiet(&quiet, s->st->ctx);
	silent.ctx = &quiet;
	domu_pending_remove(&silent, s->meta.info.id);
	domu_error_clear(&quiet);
}

int domu_stage_prepare(struct domu_state *st, const struct domu_commit_info *info, struct domu_stage **out)
{
	struct domu_stage *s;
	int rc;

	*out = NULL;
	if (st->readonly)
		return domu_fail(st->ctx, DOMU_FAILED, -EROFS, "%s: opened read-only", st->dir);
	if (info->n_disks == 0 || info->n_disks > DOMU_MAX_DISKS)
		return domu_fail(st->ctx, DOMU_UNSUPPORTED, -EINVAL, "a stage has 1 to %u disks, not %zu",
		                 DOMU_MAX_DISKS, info->n_disks);
	s = stage_new(st);
	if (s == NULL)
		return -ENOMEM;
	rc = domu_info_copy(&s->meta.info, info);
	if (rc < 0) {
		rc = domu_nomem(st->ctx);
		goto out;
	}
	s->meta.info.state = DOMU_COMMIT_STAGED;
	s->meta.info.blocks = s->meta.info.bytes = 0;
	if (s->meta.info.time <= 0)
		s->meta.info.time = (int64_t)time(NULL);
	if (s->meta.info.owner_pid <= 0)
		s->meta.info.owner_pid = getpid();
	rc = make_folder(s);
	if (rc == 0)
		rc = open_log(s, O_CREAT | O_EXCL);
	if (rc == 0)
		rc = domu_log_init(st->ctx, s->log_fd);
	if (rc < 0 && s->lock_fd >= 0)
		take_back(s);
out:
	if (rc < 0)
		domu_stage_close(s);
	else
		*out = s;
	return rc;
}

int domu_stage_describe(struct domu_stage *s, const struct domu_super *supers, size_t n)
{
	struct domu_commit_info *ci = &s->meta.info;
	struct domu_super *copy = NULL;

	if (n > 0) {
		copy = malloc(n * sizeof *copy);
		if (copy == NULL)
			return domu_nomem(s->st->ctx);
		memcpy(copy, supers, n * sizeof *copy);
	}
	free(ci->supers);
	ci->supers = copy;
	ci->n_supers = n;
	return domu_stage_write_meta(s->st->ctx, s->dir, &s->meta, false);
}

int domu_stage_create(struct domu_state *st, const struct domu_commit_info *info, struct domu_stage **out)
{
	int rc = domu_stage_prepare(st, info, out);

	if (rc == 0)
		rc = domu_stage_describe(*out, info->supers, info->n_supers);
	if (rc < 0 && *out != NULL) {
		take_back(*out);
		domu_stage_close(*out);
		*out = NULL;
	}
	return rc;
}

/* ---- opening one that is there ----------------------------------------------------- */

static int load_meta(struct domu_stage *s, const char *id)
{
	struct domu_ctx *ctx = s->st->ctx;
	char *path = domu_text("%s/meta", s->dir), *json = NULL;
	size_t len = 0;
	int rc = path == NULL ? -ENOMEM : domu_file_read(path, DOMU_META_MAX, &json, &len);

	if (rc == 0)
		rc = domu_meta_parse(json, len, &s->meta);
	if (rc == 0 && strcmp(s->meta.info.id, id) != 0)
		rc = -EBADMSG;
	if (rc == -EPROTO)
		domu_fail(ctx, DOMU_UNRECOVERED, rc,
		          "stage %s was made by a newer version of domu-rescue: use that one", id);
	else if (rc == -EBADMSG)
		domu_fail(ctx, DOMU_FAILED, rc, "stage %s: its description is damaged: it can only be dropped", id);
	else if (rc < 0)
		domu_fail(ctx, rc == -ENOENT ? DOMU_NOTFOUND : DOMU_FAILED, rc, "stage %s: %s", id, strerror(-rc));
	free(json);
	free(path);
	return rc;
}

/* A stage with a valid seal is a commit that was cut short. */
static int refuse_sealed(struct domu_state *st, const char *id)
{
	struct domu_ctx *ctx = st->ctx;
	struct domu_seal seal = { 0 };
	char *path = domu_state_path(st, "pending", id, "seal");
	int rc;

	if (path == NULL)
		return domu_nomem(ctx);
	rc = domu_seal_load(ctx, path, &seal);
	free(path);
	if (rc == 0) {
		rc = domu_fail(ctx, DOMU_UNRECOVERED, -EBUSY, "commit %s was cut short: domu-rescue recover %s", id,
		               domu_commit_guest(&seal.meta.info));
		domu_seal_free(&seal);
	} else if (rc == -ENOENT || rc == -ENODATA) {
		rc = 0;
	}
	return rc;
}

int domu_stage_resume(struct domu_state *st, const char *id, struct domu_stage **out)
{
	struct domu_stage *s;
	int rc;

	*out = NULL;
	if (!domu_id_valid(id))
		return domu_fail(st->ctx, DOMU_USAGE, -EINVAL, "no stage has this name");
	s = stage_new(st);
	if (s == NULL)
		return -ENOMEM;
	s->dir = domu_state_path(st, "pending", id, NULL);
	rc = s->dir == NULL ? domu_nomem(st->ctx) : domu_lock_open(st, id, &s->lock_fd);
	if (rc == -ENOENT)
		domu_fail(st->ctx, DOMU_NOTFOUND, rc, "there is no stage %s", id);
	if (rc == 0)
		rc = refuse_sealed(st, id);
	if (rc == 0)
		rc = load_meta(s, id);
	if (rc == 0)
		rc = open_log(s, 0);
	if (rc == 0)
		rc = domu_stage_settle(s);
	if (rc < 0)
		domu_stage_close(s);
	else
		*out = s;
	return rc;
}

static int copy_bytes(struct domu_ctx *ctx, int from, int to)
{
	uint8_t *buf = malloc(DOMU_WINDOW * DOMU_UNIT);
	struct stat sb;
	int rc = buf == NULL ? -ENOMEM : (fstat(from, &sb) < 0 ? -errno : 0);

	for (off_t at = 0; rc == 0 && at < sb.st_size;) {
		size_t n = DOMU_WINDOW * DOMU_UNIT;

		if ((off_t)n > sb.st_size - at)
			n = (size_t)(sb.st_size - at);
		rc = domu_pread_full(from, buf, n, (uint64_t)at);
		if (rc == 0)
			rc = domu_pwrite_full(ctx->io, to, buf, n, (uint64_t)at);
		at += (off_t)n;
	}
	free(buf);
	return rc;
}

int domu_stage_rewrite_log(struct domu_stage *s)
{
	struct domu_ctx *ctx = s->st->ctx;
	char *temp = domu_text("%s/log.new", s->dir), *path = domu_text("%s/log", s->dir);
	int fd = -1, rc = temp == NULL || path == NULL ? -ENOMEM : 0;

	if (rc == 0)
		fd = ctx->io->open(temp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	if (rc == 0 && (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0))
		rc = -errno;
	if (rc == 0)
		rc = copy_bytes(ctx, s->log_fd, fd);
	if (rc == 0 && ctx->io->fdatasync(fd) < 0)
		rc = -errno;
	if (rc == 0 && ctx->io->rename(temp, path) < 0)
		rc = -errno;
	if (rc < 0) {
		domu_fail(ctx, DOMU_FAILED, rc,
		          "%s: the stage's log, which could not be synced before, cannot be copied: %s",
		          path != NULL ? path : s->dir, strerror(-rc));
		if (fd >= 0) {
			ctx->io->close(fd);
			ctx->io->unlink(temp);
		}
	} else {
		ctx->io->close(s->log_fd);
		s->log_fd = fd;
	}
	free(temp);
	free(path);
	return rc;
}

int domu_stage_discard(struct domu_state *st, const char *id)
{
	int lock_fd, rc;

	if (!domu_id_valid(id))
		return domu_fail(st->ctx, DOMU_USAGE, -EINVAL, "no stage has this name");
	rc = domu_lock_open(st, id, &lock_fd);
	if (rc == -ENOENT)
		return domu_fail(st->ctx, DOMU_NOTFOUND, rc, "there is no stage %s", id);
	if (rc == 0)
		rc = refuse_sealed(st, id);
	if (rc == 0)
		rc = domu_pending_remove(st, id);
	if (lock_fd >= 0)
		st->ctx->io->close(lock_fd);
	return rc;
}

int domu_stage_log_fd(struct domu_stage *s)
{
	return s->log_fd;
}

const struct domu_commit_info *domu_stage_info(struct domu_stage *s)
{
	return &s->meta.info;
}

int domu_stage_blocks(struct domu_stage *s, uint64_t *blocks)
{
	struct domu_log_entry *e = NULL;
	uint64_t end;
	size_t n = 0;
	int rc = domu_log_scan(s->st->ctx, s->log_fd, &e, &n, &end);

	free(e);
	*blocks = n;
	return rc;
}

int domu_stage_mark(struct domu_stage *s, uint64_t *mark)
{
	struct stat sb;

	if (fstat(s->log_fd, &sb) < 0)
		return domu_fail(s->st->ctx, DOMU_FAILED, -errno, "%s/log: %s", s->dir, strerror(errno));
	*mark = (uint64_t)sb.st_size;
	return 0;
}

int domu_stage_cut(struct domu_stage *s, uint64_t mark)
{
	uint64_t now;
	int rc = domu_stage_mark(s, &now);

	if (rc == 0 && mark > now)
		rc = domu_fail(s->st->ctx, DOMU_FAILED, -EINVAL, "%s/log: shorter than it was before the command",
		               s->dir);
	if (rc == 0 && mark < now && s->st->ctx->io->ftruncate(s->log_fd, (off_t)mark) < 0)
		rc = domu_fail(s->st->ctx, DOMU_FAILED, -errno, "%s/log: cannot be cut back: %s", s->dir,
		               strerror(errno));
	return rc;
}

int domu_stage_files_create(struct domu_stage *s, int *fd)
{
	char *path = domu_text("%s/files", s->dir);
	int rc = 0;

	*fd = -1;
	if (path == NULL)
		return domu_nomem(s->st->ctx);
	*fd = s->st->ctx->io->open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		rc = domu_fail(s->st->ctx, DOMU_FAILED, -errno, "%s: %s", path, strerror(errno));
	free(path);
	return rc;
}

int domu_stage_files_drop(struct domu_stage *s)
{
	char *path = domu_text("%s/files", s->dir);
	int rc = path == NULL ? -ENOMEM : 0;

	if (rc == 0 && s->st->ctx->io->unlink(path) < 0 && errno != ENOENT)
		rc = -errno;
	free(path);
	return rc;
}

int domu_stage_drop(struct domu_stage *s)
{
	int rc = domu_pending_remove(s->st, s->meta.info.id);

	domu_stage_close(s);
	return rc;
}

void domu_stage_close(struct domu_stage *s)
{
	if (s == NULL)
		return;
	if (s->log_fd >= 0)
		s->st->ctx->io->close(s->log_fd);
	if (s->lock_fd >= 0)
		s->st->ctx->io->close(s->lock_fd);
	domu_meta_free(&s->meta);
	free(s->dir);
	free(s);
}
