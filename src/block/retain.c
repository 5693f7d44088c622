/* SPDX-License-Identifier: GPL-3.0-or-later */
/* retain.c - how much history is kept: what is too old, too many or too big goes, the oldest first. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "block/commit-private.h"

/*
 * Removal: an undo file elsewhere goes first: cut here, the commit is one
 * that cannot be undone.  Then the folder gets a name that no list reads,
 * so that the commit goes whole; what is in it is deleted, now or by whoever
 * opens the state directory next.
 */
#define GONE "gone-"

/* ---- removing ---------------------------------------------------------------------------------- */

/* Only what says itself that it is this commit's. */
static int remove_undo_elsewhere(struct domu_state *st, const char *id)
{
	char *seal = domu_state_path(st, "history", id, "seal");
	enum domu_mark mark;
	struct domu_meta m = { 0 };
	int fd = -1, rc = 0;

	if (seal == NULL)
		return -ENOMEM;
	if (domu_seal_peek(st->ctx, seal, &m, &mark) == 0 && m.undo_path != NULL && strcmp(m.info.id, id) == 0 &&
	    domu_undo_open(st->ctx, &m, "", &fd) == 0) {
		close(fd);
		if (st->ctx->io->unlink(m.undo_path) < 0 && errno != ENOENT)
			rc = domu_fail(st->ctx, DOMU_FAILED, -errno, "%s: %s", m.undo_path, strerror(errno));
	}
	if (rc == 0)
		domu_error_clear(st->ctx); /* a folder that is not mounted now keeps its file */
	domu_meta_free(&m);
	free(seal);
	return rc;
}

static int delete_folder(struct domu_state *st, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int rc = d == NULL ? -errno : 0;

	while (rc == 0 && (e = readdir(d)) != NULL) {
		char *path;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		path = domu_text("%s/%s", dir, e->d_name);
		if (path == NULL || (st->ctx->io->unlink(path) < 0 && errno != ENOENT))
			rc = path == NULL ? -ENOMEM : -errno;
		free(path);
	}
	if (d != NULL)
		closedir(d);
	if (rc == 0 && st->ctx->io->rmdir(dir) < 0)
		rc = -errno;
	return rc == 0 || rc == -ENOENT
	           ? 0
	           : domu_fail(st->ctx, DOMU_FAILED, rc, "%s: cannot be removed: %s", dir, strerror(-rc));
}

static int remove_commit(struct domu_state *st, const char *id)
{
	char *from = domu_state_path(st, "history", id, NULL), *to = domu_text("%s/history/" GONE "%s", st->dir, id);
	int rc = from == NULL || to == NULL ? domu_nomem(st->ctx) : remove_undo_elsewhere(st, id);

	if (rc == 0 && st->ctx->io->rename(from, to) < 0)
		rc = errno == ENOENT ? -ENOENT
		                     : domu_fail(st->ctx, DOMU_FAILED, -errno, "%s: %s", from, strerror(errno));
	if (rc == 0)
		rc = delete_folder(st, to);
	free(from);
	free(to);
	return rc == -ENOENT ? 0 : rc; /* somebody else was faster */
}

void domu_history_tidy(struct domu_state *st)
{
	char *path = domu_state_path(st, "history", NULL, NULL);
	DIR *d = path != NULL ? opendir(path) : NULL;
	struct domu_ctx quiet;
	struct domu_state silent = *st;
	struct dirent *e;

	domu_ctx_quiet(&quiet, st->ctx);
	silent.ctx = &quiet;
	while (d != NULL && (e = readdir(d)) != NULL) {
		char *dir = strncmp(e->d_name, GONE, strlen(GONE)) == 0 ? domu_text("%s/%s", path, e->d_name) : NULL;

		if (dir != NULL)
			delete_folder(&silent, dir);
		domu_error_clear(&quiet);
		free(dir);
	}
	if (d != NULL)
		closedir(d);
	free(path);
}

/* ---- which ----------------------------------------------------------------------------------------- */

struct judge {
	struct domu_state *st;
	const struct domu_retain *limits;
	const struct domu_commit_info *v; /* newest first */
	size_t n;
	int64_t now;
	uint64_t size, used; /* limit in bytes, and what the kept ones take */
	bool full;
};

/* Not by its path: another disk may have that by now. */
static bool share_disk(const struct domu_commit_info *a, const struct domu_commit_info *b, size_t disk)
{
	for (size_t k = 0; k < b->n_disks; k++)
		if (domu_identity_same(&a->disks[disk], &b->disks[k]))
			return true;
	return false;
}

/* How many newer commits its disks have: the least.  *newest: one of them has no newer one that can be undone. */
static uint64_t rank(const struct judge *j, size_t i, bool *newest)
{
	uint64_t least = UINT64_MAX;

	*newest = false;
	for (size_t disk = 0; disk < j->v[i].n_disks; disk++) {
		uint64_t n = 0, undoable = 0;

		for (size_t k = 0; k < i; k++) {
			if (!share_disk(&j->v[i], &j->v[k], disk))
				continue;
			n++;
			undoable += j->v[k].undoable;
		}
		if (n < least)
			least = n;
		if (undoable == 0 && j->v[i].undoable)
			*newest = true;
	}
	return least;
}

/* What its folder takes; an undo file elsewhere is not the state directory's to count. */
static uint64_t folder_size(const struct judge *j, const char *id)
{
	char *dir = domu_state_path(j->st, "history", id, NULL);
	DIR *d = dir != NULL ? opendir(dir) : NULL;
	uint64_t size = 0;
	struct dirent *e;
	struct stat sb;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (fstatat(dirfd(d), e->d_name, &sb, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(sb.st_mode))
			size += (uint64_t)sb.st_blocks * 512;
	if (d != NULL)
		closedir(d);
	free(dir);
	return size;
}

static bool goes(struct judge *j, size_t i)
{
	const struct domu_commit_info *ci = &j->v[i];
	uint64_t size = folder_size(j, ci->id);
	bool newest, fits = size <= j->size && j->used <= j->size - size;
	uint64_t newer = rank(j, i, &newest);

	if (!newest &&
	    (newer >= j->limits->count || (j->now > ci->time && (uint64_t)(j->now - ci->time) > j->limits->age)))
		return true;
	/* From the first that does not fit on all go: what is left has no gap. */
	j->used = fits ? j->used + size : j->size;
	j->full = j->full || !fits;
	return !newest && j->full;
}

static uint64_t size_limit(const struct judge *j)
{
	struct statvfs vfs;
	uint64_t share;

	if (j->limits->percent == 0 || statvfs(j->st->dir, &vfs) < 0 ||
	    !domu_mul(vfs.f_blocks / 100 * j->limits->percent, vfs.f_frsize, &share))
		return j->limits->size;
	return share < j->limits->size ? share : j->limits->size;
}

/* Told from names and sizes: most commits are followed by nothing, and need not read the whole history for it. */
static bool beyond(const struct judge *j)
{
	char *path = domu_state_path(j->st, "history", NULL, NULL);
	DIR *d = path != NULL ? opendir(path) : NULL;
	uint64_t n = 0, size = 0;
	bool old = false;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		struct tm tm = { 0 };

		if (!domu_id_valid(e->d_name))
			continue;
		n++;
		size += folder_size(j, e->d_name);
		/* A stage gets its ID before it is committed: at least as old. */
		if (strptime(e->d_name, "%Y%m%dT%H%M%S", &tm) != NULL)
			old = old || (j->now > timegm(&tm) && (uint64_t)(j->now - timegm(&tm)) > j->limits->age);
	}
	if (d != NULL)
		closedir(d);
	free(path);
	return n > j->limits->count || size > j->size || old;
}

int domu_state_retain(struct domu_state *st, const struct domu_retain *limits)
{
	struct judge j = { .st = st, .limits = limits, .now = (int64_t)time(NULL) };
	struct domu_commit_info *v = NULL;
	bool *gone = NULL;
	int rc;

	j.size = size_limit(&j);
	if (!beyond(&j))
		return 0;
	rc = domu_state_list(st, NULL, false, &v, &j.n);
	if (rc != 0)
		return rc;
	j.v = v;
	gone = calloc(j.n + 1, sizeof *gone);
	if (gone == NULL)
		rc = domu_nomem(st->ctx);
	for (size_t i = 0; rc == 0 && i < j.n; i++)
		gone[i] = v[i].state != DOMU_COMMIT_STAGED && v[i].state != DOMU_COMMIT_INTERRUPTED && goes(&j, i);
	/* The oldest first: cut here, what is left is as if some had been kept. */
	for (size_t i = j.n; rc == 0 && i-- > 0;)
		if (gone[i])
			rc = remove_commit(st, v[i].id);
	free(gone);
	domu_state_list_free(v, j.n);
	return rc;
}
