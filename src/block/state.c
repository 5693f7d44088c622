/* SPDX-License-Identifier: GPL-3.0-or-later */
/* state.c - the state directory: its folders, small files, and the list of stages and commits. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/commit-private.h"

char *domu_text(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return text;
}

/* 20260102T030405-1a2b3c: what we make, and nothing that could leave the folder. */
bool domu_id_valid(const char *id)
{
	static const char shape[] = "ddddddddTdddddd-xxxxxx";

	if (strlen(id) != sizeof shape - 1)
		return false;
	for (size_t i = 0; shape[i] != '\0'; i++) {
		unsigned char c = (unsigned char)id[i];

		if (shape[i] == 'd' ? !isdigit(c)
		                    : (shape[i] == 'x' ? !isxdigit(c) || isupper(c) : c != (unsigned char)shape[i]))
			return false;
	}
	return true;
}

char *domu_state_path(const struct domu_state *st, const char *folder, const char *id, const char *name)
{
	if (id == NULL)
		return domu_text("%s/%s", st->dir, folder);
	if (name == NULL)
		return domu_text("%s/%s/%s", st->dir, folder, id);
	return domu_text("%s/%s/%s/%s", st->dir, folder, id, name);
}

void domu_ctx_quiet(struct domu_ctx *quiet, const struct domu_ctx *ctx)
{
	domu_ctx_init(quiet);
	quiet->io = ctx->io;
}

bool domu_cannot_tell(int err)
{
	return err == -EIO || err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -EACCES || err == -ESTALE;
}

int domu_file_read(const char *path, size_t max, char **data, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	char *p = NULL;
	int rc;

	*data = NULL;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		rc = -errno;
		goto out;
	}
	rc = !S_ISREG(st.st_mode) ? -EINVAL : (st.st_size > (off_t)max ? -EFBIG : 0);
	if (rc < 0)
		goto out;
	p = malloc((size_t)st.st_size + 1);
	if (p == NULL) {
		rc = -ENOMEM;
		goto out;
	}
	rc = domu_pread_full(fd, p, (size_t)st.st_size, 0);
	if (rc < 0)
		goto out;
	p[st.st_size] = '\0';
	*data = p;
	*len = (size_t)st.st_size;
	p = NULL;
out:
	free(p);
	close(fd);
	return rc;
}

int domu_fdatasync(struct domu_ctx *ctx, int fd, const char *what)
{
	if (ctx->io->fdatasync(fd) < 0)
		return domu_fail(ctx, DOMU_FAILED, -errno, "%s: cannot be synced: %s", what, strerror(errno));
	return 0;
}

int domu_sync_dir_of(struct domu_ctx *ctx, const char *dir)
{
	int rc = domu_sync_dir(ctx->io, dir);

	return rc < 0 ? domu_fail(ctx, DOMU_FAILED, rc, "%s: cannot be synced: %s", dir, strerror(-rc)) : 0;
}

int domu_file_write(struct domu_ctx *ctx, const char *path, const void *data, size_t len, bool sync)
{
	int fd = ctx->io->open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	int rc = fd < 0 ? -errno : 0;

	if (rc == 0)
		rc = domu_pwrite_full(ctx->io, fd, data, len, 0);
	if (rc == 0 && sync && ctx->io->fdatasync(fd) < 0)
		rc = -errno;
	if (fd >= 0 && ctx->io->close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc < 0 ? domu_fail(ctx, DOMU_FAILED, rc, "%s: cannot be written: %s", path, strerror(-rc)) : 0;
}

int domu_file_replace(struct domu_ctx *ctx, const char *temp, const char *path, const void *data, size_t len, bool sync)
{
	int rc = domu_file_write(ctx, temp, data, len, sync);

	if (rc == 0 && ctx->io->rename(temp, path) < 0)
		rc = domu_fail(ctx, DOMU_FAILED, -errno, "%s: %s", path, strerror(errno));
	return rc;
}

/* ---- opening --------------------------------------------------------------- */

static int make_dir(struct domu_ctx *ctx, const char *path, mode_t mode, bool *made)
{
	struct stat st;

	if (ctx->io->mkdir(path, mode) == 0)
		*made = true;
	else if (errno != EEXIST)
		return domu_state_failed(ctx, -errno, path);
	else if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return domu_fail(ctx, DOMU_FAILED, -ENOTDIR, "%s: not a directory", path);
	return 0;
}

/* The folders above the state directory belong to the system: made where they are missing, never changed. */
static int make_parents(struct domu_ctx *ctx, char *path)
{
	bool made = false;
	int rc = 0;

	for (char *p = strchr(path + 1, '/'); p != NULL && rc == 0; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (access(path, F_OK) < 0)
			rc = make_dir(ctx, path, 0755, &made);
		*p = '/';
	}
	return rc;
}

static int make_tree(struct domu_state *st)
{
	static const char *const folders[] = { "pending", "history", "seen" };
	bool made_top = false, made = false;
	int rc = make_parents(st->ctx, st->dir);

	if (rc == 0)
		rc = make_dir(st->ctx, st->dir, 0700, &made_top);
	for (size_t i = 0; i < sizeof folders / sizeof *folders && rc == 0; i++) {
		char *path = domu_state_path(st, folders[i], NULL, NULL);

		rc = path == NULL ? domu_nomem(st->ctx) : make_dir(st->ctx, path, 0700, &made);
		free(path);
	}
	if (rc == 0 && made)
		rc = domu_sync_dir_of(st->ctx, st->dir);
	if (rc == 0 && made_top) {
		char *slash = strrchr(st->dir, '/');

		*slash = '\0';
		rc = domu_sync_dir_of(st->ctx, slash == st->dir ? "/" : st->dir);
		*slash = '/';
	}
	return rc;
}

/* What is in the state directory decides what is written to disks: nobody else may put anything there. */
static int check_owner(struct domu_state *st)
{
	struct stat sb;

	if (lstat(st->dir, &sb) < 0)
		return st->readonly && errno == ENOENT
		           ? 0
		           : domu_fail(st->ctx, DOMU_FAILED, -errno, "%s: %s", st->dir, strerror(errno));
	if (S_ISLNK(sb.st_mode) && stat(st->dir, &sb) < 0)
		return domu_fail(st->ctx, DOMU_FAILED, -errno, "%s: %s", st->dir, strerror(errno));
	if (!S_ISDIR(sb.st_mode))
		return domu_fail(st->ctx, DOMU_FAILED, -ENOTDIR, "%s: not a directory", st->dir);
	if ((sb.st_mode & 022) != 0 || (sb.st_uid != 0 && sb.st_uid != geteuid()))
		return domu_fail(st->ctx, DOMU_FAILED, -EPERM,
		                 "%s: others may write to the state directory: chown root and chmod 700 it", st->dir);
	return 0;
}

static bool is_missing(const struct domu_state *st, const char *id, const char *name)
{
	char *path = domu_state_path(st, "pending", id, name);
	bool missing = path != NULL && access(path, F_OK) < 0 && errno == ENOENT;

	free(path);
	return missing;
}

/* What a power cut leaves of a description that was not synced: too short, or zeros where text was. */
static bool is_torn(const struct domu_state *st, const char *id)
{
	char *path = domu_state_path(st, "pending", id, "meta"), *json = NULL;
	size_t len = 0;
	bool torn = path != NULL && domu_file_read(path, DOMU_META_MAX, &json, &len) == 0 &&
	            (len == 0 || memchr(json, '\0', len) != NULL || json[len - 1] != '\n');

	free(json);
	free(path);
	return torn;
}

/* A stage that is kept is synced as a whole: what lacks a part never was one, or lost it in a power cut. */
static bool is_stub(const struct domu_state *st, const char *id)
{
	return is_missing(st, id, "meta") || is_missing(st, id, "log") || is_missing(st, id, "lock") || is_torn(st, id);
}

/* Whole, of a newer version, or not to be told: anything but none and a torn one. */
static bool may_have_seal(struct domu_ctx *quiet, const char *seal)
{
	struct domu_seal s;
	int rc = domu_seal_load(quiet, seal, &s);

	domu_seal_free(&s);
	domu_error_clear(quiet);
	return rc != -ENOENT && rc != -ENODATA;
}

/* A commit that was marked, but not moved; a folder that never became a stage. */
static void tidy_one(struct domu_state *st, const char *id)
{
	char *seal = domu_state_path(st, "pending", id, "seal");
	struct domu_ctx quiet;
	struct domu_state silent = *st;
	enum domu_mark mark = DOMU_MARK_NONE;
	struct domu_meta m = { 0 };
	int rc, lock_fd = -1;

	domu_ctx_quiet(&quiet, st->ctx);
	silent.ctx = &quiet;
	if (seal == NULL)
		goto out;
	rc = domu_seal_peek(&quiet, seal, &m, &mark);
	if (rc == 0 && mark != DOMU_MARK_NONE) {
		struct domu_seal s = { .meta = m, .mark = mark };

		/* The mark may be in memory only: it is synced before what it makes superfluous is deleted. */
		rc = domu_lock_open(&silent, id, &lock_fd);
		if ((rc == 0 || rc == -ENOENT) && domu_seal_mark(&quiet, seal, mark) == 0)
			domu_state_finish(&silent, id, &s);
	} else if (is_stub(st, id) && !may_have_seal(&quiet, seal)) {
		/* Its lock is made where there is none: somebody may be about to make a stage there. */
		if (domu_lock_make(&silent, id, &lock_fd) == 0 && is_stub(st, id) && !may_have_seal(&quiet, seal))
			domu_pending_remove(&silent, id);
	}
	if (lock_fd >= 0)
		quiet.io->close(lock_fd);
out:
	domu_meta_free(&m);
	domu_error_clear(&quiet);
	free(seal);
}

static void tidy(struct domu_state *st)
{
	char *path = domu_state_path(st, "pending", NULL, NULL);
	DIR *d = path != NULL ? opendir(path) : NULL;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (domu_id_valid(e->d_name))
			tidy_one(st, e->d_name);
	if (d != NULL)
		closedir(d);
	free(path);
	domu_history_tidy(st);
}

int domu_state_open(struct domu_ctx *ctx, const char *dir, bool readonly, struct domu_state **out)
{
	struct domu_state *st = calloc(1, sizeof *st);
	int rc = 0;

	*out = NULL;
	if (st == NULL)
		return domu_nomem(ctx);
	st->ctx = ctx;
	st->readonly = readonly;
	if (dir[0] == '/') {
		st->dir = strdup(dir);
	} else {
		char *cwd = getcwd(NULL, 0);

		st->dir = cwd != NULL ? domu_text("%s/%s", cwd, dir) : NULL;
		free(cwd);
	}
	if (st->dir == NULL) {
		rc = domu_nomem(ctx);
		goto out;
	}
	for (size_t n = strlen(st->dir); n > 1 && st->dir[n - 1] == '/'; n--)
		st->dir[n - 1] = '\0';
	if (!readonly)
		rc = make_tree(st);
	if (rc == 0)
		rc = check_owner(st);
	if (rc == 0 && !readonly)
		tidy(st);
out:
	if (rc < 0)
		domu_state_close(st);
	else
		*out = st;
	return rc;
}

void domu_state_close(struct domu_state *st)
{
	if (st == NULL)
		return;
	free(st->dir);
	free(st);
}

const char *domu_state_dir(const struct domu_state *st)
{
	return st->dir;
}

/* ---- pending to history ----------------------------------------------------- */

static int unlink_if(struct domu_state *st, const char *id, const char *name)
{
	char *path = domu_state_path(st, "pending", id, name);
	int rc = path == NULL ? -ENOMEM : 0;

	if (rc == 0 && st->ctx->io->unlink(path) < 0 && errno != ENOENT)
		rc = -errno;
	free(path);
	return rc;
}

/*
 * The commit that is undone gets the file "undone", with the ID of the one
 * that did it, before that one leaves pending: cut in between, the move is
 * made again by whoever opens the state directory next, and this with it.
 * Being there is what counts: a cut may leave it empty.
 */
static int mark_undone(struct domu_state *st, const char *id, const char *undoes)
{
	char *dir = NULL, *path = NULL, *text = domu_text("%s\n", id);
	int rc = 0;

	if (!domu_id_valid(undoes))
		goto out;
	dir = domu_state_path(st, "history", undoes, NULL);
	if (dir != NULL && access(dir, F_OK) < 0) {
		/* A cut may have left it where it was; or the history was shortened meanwhile. */
		free(dir);
		dir = domu_state_path(st, "pending", undoes, NULL);
	}
	path = dir != NULL ? domu_text("%s/undone", dir) : NULL;
	if (path == NULL || text == NULL) {
		rc = domu_nomem(st->ctx);
		goto out;
	}
	if (access(dir, F_OK) < 0)
		goto out;
	rc = domu_file_write(st->ctx, path, text, strlen(text), true);
	if (rc == 0)
		rc = domu_sync_dir_of(st->ctx, dir);
out:
	free(dir);
	free(path);
	free(text);
	return rc;
}

/* Whoever opened the state directory meanwhile has moved it: what failed for that was done. */
static bool was_moved(const char *from, const char *to)
{
	return access(from, F_OK) < 0 && errno == ENOENT && access(to, F_OK) == 0;
}

int domu_state_finish(struct domu_state *st, const char *id, const struct domu_seal *seal)
{
	static const char *const done[] = { "meta", "log", "meta.new", "log.new", "notes.new", "seal.new", "lock" };
	char *from = domu_state_path(st, "pending", id, NULL), *to = domu_state_path(st, "history", id, NULL);
	int rc = 0;

	if (from == NULL || to == NULL) {
		rc = domu_nomem(st->ctx);
		goto out;
	}
	if (seal->mark == DOMU_MARK_APPLIED && seal->meta.info.undoes != NULL)
		rc = mark_undone(st, id, seal->meta.info.undoes);
	/* What was superseded keeps its log: the only copy of what the user did. */
	for (size_t i = seal->mark == DOMU_MARK_APPLIED ? 0 : 2; i < sizeof done / sizeof *done && rc == 0; i++)
		rc = unlink_if(st, id, done[i]);
	/* What is deleted is gone before the move: in the history nobody would look for it again. */
	if (rc == 0)
		rc = domu_sync_dir_of(st->ctx, from);
	/*
	 * Not synced: a cut leaves the marked commit in pending, which counts
	 * as done everywhere and is moved at the next opportunity.
	 */
	if (rc == 0 && st->ctx->io->rename(from, to) < 0)
		rc = domu_fail(st->ctx, DOMU_FAILED, -errno, "%s: cannot be moved to the history: %s", from,
		               strerror(errno));
	if (rc < 0 && was_moved(from, to)) {
		domu_error_clear(st->ctx);
		rc = 0;
	}
out:
	free(from);
	free(to);
	return rc;
}
