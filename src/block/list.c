/* SPDX-License-Identifier: GPL-3.0-or-later */
/* list.c - the stages and commits of a state directory, told from small reads. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "block/commit-private.h"
#include "block/log.h"

struct list {
	struct domu_state *st;
	struct domu_ctx quiet; /* what cannot be read is left out with a warning */
	const struct domu_identity *path; /* NULL: all */
	const char *guest; /* who has the disk there now */
	int fd; /* of what is there, opened when first needed; -1: not yet, or it cannot be */
	struct domu_commit_info *v;
	size_t n, cap;
};

/*
 * Another disk has the path of this one.  Devices get other numbers, so that
 * says nothing to another guest; the commit's own has to be told.  A guest
 * without a name is the file that it is called by.
 */
static bool own(const struct list *l, const struct domu_commit_info *ci)
{
	const char *guest = l->guest != NULL ? l->guest : l->path->inode != 0 ? l->path->path : NULL;

	return guest != NULL && ci->guest != NULL && strcmp(guest, ci->guest) == 0;
}

static bool wanted(const struct list *l, const struct domu_commit_info *ci)
{
	if (l->path == NULL)
		return true;
	for (size_t i = 0; i < ci->n_disks; i++) {
		enum domu_likeness like = domu_identity_like(&ci->disks[i], l->path);

		if (like == DOMU_SAME_DISK || like == DOMU_SAME_PATH || (like == DOMU_REPLACED && own(l, ci)))
			return true;
	}
	/* Of a newer version: it may be anybody's. */
	return ci->n_disks == 0;
}

/* Takes m over. */
static int add(struct list *l, struct domu_meta *m)
{
	if (!DOMU_ARRAY_ROOM(l->v, l->cap, l->n + 1)) {
		domu_meta_free(m);
		return domu_nomem(l->st->ctx);
	}
	l->v[l->n++] = m->info;
	memset(&m->info, 0, sizeof m->info);
	domu_meta_free(m);
	return 0;
}

static bool exists(const struct list *l, const char *folder, const char *id, const char *name, off_t *size)
{
	char *path = domu_state_path(l->st, folder, id, name);
	struct stat st;
	bool is = path != NULL && stat(path, &st) == 0;

	if (is && size != NULL)
		*size = st.st_size;
	free(path);
	return is;
}

static bool has_undo(const struct list *l, const char *folder, const struct domu_meta *m)
{
	if (m->no_undo)
		return false;
	return m->undo_path != NULL ? access(m->undo_path, F_OK) == 0 : exists(l, folder, m->info.id, "undo", NULL);
}

/* The disk may have been moved to another file system, or be a copy: the door that it has closed tells. */
static bool closed_here(struct list *l, const char *id)
{
	char *path = domu_state_path(l->st, "pending", id, "seal");
	struct domu_seal s = { 0 };
	bool closed = false;

	if (l->fd < 0)
		l->fd = open(l->path->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (path != NULL && l->fd >= 0 && domu_seal_load_doors(&l->quiet, path, &s) == 0)
		for (unsigned i = 0; i < s.meta.info.n_disks && !closed; i++)
			closed = domu_seal_door_on(&s, i, l->fd, false);
	domu_seal_free(&s);
	free(path);
	return closed;
}

static int add_sealed(struct list *l, const char *folder, struct domu_meta *m, enum domu_mark mark)
{
	struct domu_commit_info *ci = &m->info;

	if (mark == DOMU_MARK_SUPERSEDED)
		ci->state = DOMU_COMMIT_SUPERSEDED;
	else if (mark == DOMU_MARK_NONE)
		ci->state = DOMU_COMMIT_INTERRUPTED;
	else if (exists(l, folder, ci->id, "undone", NULL))
		ci->state = DOMU_COMMIT_UNDONE;
	else
		ci->state = DOMU_COMMIT_COMMITTED;
	if (!wanted(l, ci) && (ci->state != DOMU_COMMIT_INTERRUPTED || !closed_here(l, ci->id))) {
		domu_meta_free(m);
		return 0;
	}
	ci->undoable = ci->state == DOMU_COMMIT_COMMITTED && has_undo(l, folder, m);
	return add(l, m);
}

/* What the stage said of itself; 0 and -EPROTO leave something in m. */
static int read_meta(const struct list *l, const char *id, struct domu_meta *m)
{
	char *path = domu_state_path(l->st, "pending", id, "meta"), *json = NULL;
	size_t len = 0;
	int rc = path == NULL ? -ENOMEM : domu_file_read(path, DOMU_META_MAX, &json, &len);

	memset(m, 0, sizeof *m);
	if (rc == 0)
		rc = domu_meta_parse(json, len, m);
	free(json);
	free(path);
	return rc;
}

static int add_staged(struct list *l, const char *id, bool torn)
{
	struct domu_meta m;
	off_t log = 0;
	int rc = read_meta(l, id, &m);

	if ((rc == 0 || rc == -EPROTO) && strcmp(m.info.id, id) == 0 && !wanted(l, &m.info)) {
		domu_meta_free(&m);
		return 0;
	}
	if ((rc == 0 || rc == -EPROTO) && strcmp(m.info.id, id) == 0) {
		m.info.state = DOMU_COMMIT_STAGED;
		m.info.torn = torn;
		/* About: what was written twice counts twice, zeros do not. */
		if (exists(l, "pending", id, "log", &log) && log > (off_t)DOMU_LOG_HEAD)
			m.info.blocks = ((uint64_t)log - DOMU_LOG_HEAD) / (DOMU_LOG_REC + DOMU_UNIT);
		m.info.bytes = m.info.blocks * DOMU_UNIT;
		return add(l, &m);
	}
	domu_meta_free(&m);
	if (domu_cannot_tell(rc))
		return domu_fail(l->st->ctx, DOMU_FAILED, rc, "%s/pending/%s/meta: %s", l->st->dir, id, strerror(-rc));
	if (rc != -ENOENT)
		domu_say(l->st->ctx, DOMU_WARNING, "%s/pending/%s: its description cannot be read", l->st->dir, id);
	return 0;
}

/* Of a newer version, or damaged: a commit may be due, of whom the stage's description says, or anybody's. */
static int add_unknown(struct list *l, const char *id, struct domu_meta *m)
{
	int rc = 0;

	if (strcmp(m->info.id, id) != 0 || m->info.n_disks == 0) {
		domu_meta_free(m);
		rc = read_meta(l, id, m);
	}
	if ((rc < 0 && rc != -EPROTO) || strcmp(m->info.id, id) != 0) {
		domu_meta_free(m);
		memcpy(m->info.id, id, strlen(id) + 1);
	}
	return add_sealed(l, "pending", m, DOMU_MARK_NONE);
}

static int list_pending(struct list *l, const char *id)
{
	char *path = domu_state_path(l->st, "pending", id, "seal");
	enum domu_mark mark = DOMU_MARK_NONE;
	struct domu_seal whole = { 0 };
	struct domu_meta m = { 0 };
	int64_t pid = 0;
	/* Before the mark is read: whoever lets go of the lock has set it. */
	bool held = exists(l, "pending", id, "seal", NULL) && domu_lock_held(l->st, id, &pid);
	int rc = path == NULL ? -ENOMEM : domu_seal_peek(&l->quiet, path, &m, &mark);

	if (rc == 0 && strcmp(m.info.id, id) != 0)
		rc = -EBADMSG;
	m.info.under_way = held;
	m.info.holder_pid = pid;
	/* Read as a whole, to tell a torn one: that is no seal, and nothing would ever recover it. */
	if (rc == 0 && mark == DOMU_MARK_NONE) {
		rc = domu_seal_load(&l->quiet, path, &whole);
		domu_seal_free(&whole);
	}
	free(path);
	if (rc == 0)
		return add_sealed(l, "pending", &m, mark);
	if (rc == -ENOENT || rc == -ENODATA) {
		domu_meta_free(&m);
		return add_staged(l, id, rc == -ENODATA);
	}
	if (rc == -ENOTDIR) {
		domu_say(l->st->ctx, DOMU_WARNING, "%s/pending/%s: not a folder: it is left out", l->st->dir, id);
		return 0;
	}
	/* Taken for no stage, or for one, it would be passed over or refused for ever. */
	if (domu_cannot_tell(rc)) {
		domu_meta_free(&m);
		return domu_fail(l->st->ctx, DOMU_FAILED, rc, "%s/pending/%s/seal: %s", l->st->dir, id, strerror(-rc));
	}
	return add_unknown(l, id, &m);
}

static int list_history(struct list *l, const char *id)
{
	char *path = domu_state_path(l->st, "history", id, "seal");
	enum domu_mark mark = DOMU_MARK_NONE;
	struct domu_meta m = { 0 };
	int rc = path == NULL ? -ENOMEM : domu_seal_peek(&l->quiet, path, &m, &mark);

	free(path);
	if (rc == 0 && strcmp(m.info.id, id) == 0 && mark != DOMU_MARK_NONE)
		return add_sealed(l, "history", &m, mark);
	domu_meta_free(&m);
	domu_say(l->st->ctx, DOMU_WARNING, "%s/history/%s: cannot be read: it is left out", l->st->dir, id);
	return 0;
}

static int list_folder(struct list *l, const char *folder, int (*one)(struct list *l, const char *id))
{
	char *path = domu_state_path(l->st, folder, NULL, NULL);
	DIR *d = path != NULL ? opendir(path) : NULL;
	struct dirent *e;
	int rc = path == NULL ? domu_nomem(l->st->ctx) : 0;

	if (d == NULL && rc == 0 && errno != ENOENT)
		rc = domu_state_failed(l->st->ctx, -errno, path);
	while (rc == 0 && d != NULL && (e = readdir(d)) != NULL) {
		if (domu_id_valid(e->d_name))
			rc = one(l, e->d_name);
		domu_error_clear(&l->quiet);
	}
	if (d != NULL)
		closedir(d);
	free(path);
	return rc;
}

int domu_commit_newest_first(const void *a, const void *b)
{
	const struct domu_commit_info *x = a, *y = b;

	if (x->time != y->time)
		return x->time > y->time ? -1 : 1;
	return strcmp(y->id, x->id);
}

int domu_state_list(struct domu_state *st, const char *path, bool pending_only, struct domu_commit_info **v, size_t *n)
{
	return domu_state_list_of(st, NULL, path, pending_only, v, n);
}

int domu_state_list_of(struct domu_state *st, const char *guest, const char *path, bool pending_only,
                       struct domu_commit_info **v, size_t *n)
{
	struct list l = { .st = st, .guest = guest, .fd = -1 };
	struct domu_identity id = { 0 };
	int rc = 0;

	*v = NULL;
	*n = 0;
	domu_ctx_quiet(&l.quiet, st->ctx);
	if (path != NULL) {
		/* A disk that is gone is known by its path alone. */
		domu_identity_of_path(path, &id);
		if (id.path == NULL)
			id.path = strdup(path);
		if (id.path == NULL)
			return domu_nomem(st->ctx);
		l.path = &id;
	}
	rc = list_folder(&l, "pending", list_pending);
	if (rc == 0 && !pending_only)
		rc = list_folder(&l, "history", list_history);
	domu_identity_free(&id);
	if (l.fd >= 0)
		close(l.fd);
	if (rc < 0) {
		domu_state_list_free(l.v, l.n);
		return rc;
	}
	if (l.n > 1)
		qsort(l.v, l.n, sizeof *l.v, domu_commit_newest_first);
	*v = l.v;
	*n = l.n;
	return 0;
}

void domu_state_list_free(struct domu_commit_info *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		domu_commit_info_free(&v[i]);
	free(v);
}
