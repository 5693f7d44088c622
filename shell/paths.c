/* SPDX-License-Identifier: GPL-3.0-or-later */
/* paths.c - what the shell asks about paths of the guest: globs, completion, cd, use; both ends of each. */
#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "shell/ops.h"
#include "shell/shell.h"

#define MAX_NAMES 50000u
#define MAX_BYTES (3u << 20) /* of names in one answer */

/* ---- in the worker ------------------------------------------------------------------ */

struct found {
	struct domu_ctx *ctx;
	struct domu_tree *t;
	char **v;
	size_t n, cap, bytes;
};

static int add(struct found *f, const char *name, const char *suffix)
{
	size_t len = strlen(name) + strlen(suffix);

	if (f->n >= MAX_NAMES || f->bytes + len > MAX_BYTES)
		return domu_fail(f->ctx, DOMU_FAILED, -E2BIG, "too many names match");
	if (!DOMU_ARRAY_ROOM(f->v, f->cap, f->n + 1))
		return domu_nomem(f->ctx);
	if (asprintf(&f->v[f->n], "%s%s", name, suffix) < 0)
		return domu_nomem(f->ctx);
	f->n++;
	f->bytes += len + 8;
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void reply_found(struct found *f, struct domu_msg *reply)
{
	if (f->n > 1)
		qsort(f->v, f->n, sizeof *f->v, by_bytes);
	domu_msg_put_u64(reply, f->n);
	for (size_t i = 0; i < f->n; i++)
		domu_msg_put_str(reply, f->v[i]);
}

/* A directory's names that match a pattern; prefix is what stands before them. */
struct matching {
	struct found *f;
	const char *prefix, *pattern;
	size_t len; /* of the pattern, when it is a beginning */
	bool beginning;
	bool dirs_only; /* more of the path follows */
	bool mark; /* directories get a / */
	struct domu_fs *fs;
	const char *dir; /* canonical */
};

static bool leads_to_dir(struct matching *m, const char *name, uint32_t mode)
{
	struct domu_path *where;
	char path[4096];
	bool yes = false;

	if (!S_ISLNK(mode))
		return S_ISDIR(mode);
	where = malloc(sizeof *where);
	if (where != NULL && snprintf(path, sizeof path, "%s/%s", m->dir, name) < (int)sizeof path)
		yes = domu_path_walk(m->f->t, "/", path, 0, where) == 0 && S_ISDIR(where->st.mode);
	domu_error_clear(m->f->ctx);
	free(where);
	return yes;
}

static int match_name(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode)
{
	struct matching *m = user;
	char *path;
	int rc;

	(void)len;
	(void)ino;
	if (m->beginning ? strncmp(name, m->pattern, m->len) != 0 || (name[0] == '.' && m->len == 0)
	                 : fnmatch(m->pattern, name, FNM_PERIOD) != 0)
		return 0;
	if (m->dirs_only && !leads_to_dir(m, name, type_mode))
		return 0;
	if (asprintf(&path, "%s%s", m->prefix, name) < 0)
		return domu_nomem(m->f->ctx);
	rc = add(m->f, path, m->mark && leads_to_dir(m, name, type_mode) ? "/" : "");
	free(path);
	return rc;
}

/* A prefix that is no directory has no names: that is no failure. */
static int match_in(struct matching *m, const char *cwd)
{
	struct domu_path *where = malloc(sizeof *where);
	int rc;

	if (where == NULL)
		return domu_nomem(m->f->ctx);
	rc = domu_path_walk(m->f->t, cwd, *m->prefix != '\0' ? m->prefix : cwd, 0, where);
	if (rc != 0 || !S_ISDIR(where->st.mode)) {
		domu_error_clear(m->f->ctx);
		rc = 0;
	} else {
		m->dir = where->path;
		rc = domu_fs_readdir(where->fs, where->ino, match_name, m);
	}
	free(where);
	return rc;
}

/* What a component without magic says, its escapes taken out. */
static void unescape(char *text)
{
	char *q = text;

	for (; *text != '\0'; text++) {
		if (*text == '\\' && text[1] != '\0')
			text++;
		*q++ = *text;
	}
	*q = '\0';
}

/* One component of the pattern after the other: f holds the prefixes that match so far. */
static int glob_step(struct found *f, const char *cwd, char *component, bool last, struct found *next)
{
	int rc = 0;
	bool magic = strpbrk(component, "*?[") != NULL;

	if (!magic)
		unescape(component);
	for (size_t i = 0; rc == 0 && i < f->n; i++) {
		struct matching m = { .f = next, .prefix = f->v[i], .pattern = component, .dirs_only = !last };
		char *path;

		if (magic) {
			rc = match_in(&m, cwd);
			continue;
		}
		if (asprintf(&path, "%s%s", f->v[i], component) < 0)
			return domu_nomem(f->ctx);
		rc = add(next, path, "");
		free(path);
	}
	for (size_t i = 0; rc == 0 && !last && i < next->n; i++) {
		char *path;

		if (asprintf(&path, "%s/", next->v[i]) < 0)
			return domu_nomem(f->ctx);
		free(next->v[i]);
		next->v[i] = path;
	}
	return rc;
}

static void found_free(struct found *f)
{
	domu_paths_free(f->v, f->n);
	f->v = NULL;
	f->n = f->cap = f->bytes = 0;
}

/* Names whose last component has no magic need not exist: */
static void drop_absent(struct found *f, const char *cwd)
{
	struct domu_path *where = malloc(sizeof *where);
	size_t kept = 0;

	for (size_t i = 0; where != NULL && i < f->n; i++) {
		if (domu_path_walk(f->t, cwd, f->v[i], DOMU_WALK_NOFOLLOW, where) == 0)
			f->v[kept++] = f->v[i];
		else
			free(f->v[i]);
		domu_error_clear(f->ctx);
	}
	f->n = where != NULL ? kept : f->n;
	free(where);
}

static int glob(struct found *f, const char *cwd, char *pattern)
{
	bool last = false;
	int rc = add(f, pattern[0] == '/' ? "/" : "", "");

	pattern += strspn(pattern, "/");
	while (rc == 0 && !last) {
		struct found next = { .ctx = f->ctx, .t = f->t };
		char *end = strchr(pattern, '/');

		if (end != NULL) {
			*end++ = '\0';
			end += strspn(end, "/");
		}
		last = end == NULL || *end == '\0';
		rc = glob_step(f, cwd, pattern, last, &next);
		found_free(f);
		*f = next;
		pattern = end;
	}
	if (rc == 0)
		drop_absent(f, cwd);
	return rc;
}

static int start(struct domu_work *w, struct domu_msg *req, const char **cwd, const char **what, struct found *f)
{
	const char *use;

	*cwd = domu_msg_get_str(req);
	use = domu_msg_get_str(req);
	*what = domu_msg_get_str(req);
	*f = (struct found){ .ctx = w->ctx };
	if (req->err != 0 || *cwd == NULL || *what == NULL)
		return domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "a request that the worker cannot read");
	return domu_work_tree(w, use, &f->t);
}

int domu_op_glob(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	const char *cwd, *pattern;
	struct found f;
	char *copy;
	int rc = start(w, req, &cwd, &pattern, &f);

	if (rc != 0)
		return rc;
	copy = strdup(pattern);
	rc = copy != NULL ? glob(&f, cwd, copy) : domu_nomem(w->ctx);
	if (rc == 0)
		reply_found(&f, reply);
	free(copy);
	found_free(&f);
	return rc;
}

int domu_paths_expand(struct domu_work *w, const char *use, const char *cwd, const char *pattern, char ***names,
                      size_t *n)
{
	struct domu_path *where = malloc(sizeof *where);
	struct found f = { .ctx = w->ctx };
	char *copy = strdup(pattern);
	int rc = where != NULL && copy != NULL ? domu_work_tree(w, use, &f.t) : domu_nomem(w->ctx);

	if (rc == 0 && domu_path_walk(f.t, cwd, pattern, DOMU_WALK_NOFOLLOW, where) != 0) {
		domu_error_clear(w->ctx);
		rc = glob(&f, cwd, copy);
	}
	if (rc == 0 && f.n > 1)
		qsort(f.v, f.n, sizeof *f.v, by_bytes);
	if (rc != 0)
		found_free(&f);
	*names = f.v;
	*n = f.n;
	free(copy);
	free(where);
	return rc;
}

int domu_op_complete(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	const char *cwd, *word, *slash;
	struct found f;
	char *prefix;
	int rc = start(w, req, &cwd, &word, &f);

	if (rc != 0)
		return rc;
	slash = strrchr(word, '/');
	prefix = strndup(word, slash != NULL ? (size_t)(slash - word) + 1 : 0);
	if (prefix == NULL) {
		rc = domu_nomem(w->ctx);
	} else {
		struct matching m = { .f = &f,
			              .prefix = prefix,
			              .pattern = word + strlen(prefix),
			              .len = strlen(word) - strlen(prefix),
			              .beginning = true,
			              .mark = true };

		rc = match_in(&m, cwd);
	}
	if (rc == 0)
		reply_found(&f, reply);
	free(prefix);
	found_free(&f);
	return rc;
}

int domu_op_cd(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct domu_path *where = malloc(sizeof *where);
	const char *cwd, *path;
	struct found f;
	int rc = where != NULL ? start(w, req, &cwd, &path, &f) : domu_nomem(w->ctx);

	if (rc == 0)
		rc = domu_path_walk(f.t, cwd, path, 0, where);
	if (rc == 0 && !S_ISDIR(where->st.mode))
		rc = domu_fail(w->ctx, DOMU_FAILED, -ENOTDIR, "%s is not a directory", where->path);
	if (rc == 0)
		domu_msg_put_str(reply, where->path);
	free(where);
	return rc;
}

int domu_op_use(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	const char *cwd, *path;
	struct found f;
	struct domu_fs *fs;
	size_t node;
	int rc = start(w, req, &cwd, &path, &f);

	(void)reply;
	if (rc == 0)
		rc = domu_tree_root(f.t, &node);
	return rc != 0 ? rc : domu_tree_fs(f.t, node, &fs);
}

/* ---- in the front ------------------------------------------------------------------------- */

static int ask(struct domu_app *app, struct domu_session *s, const char *op, const char *use, const char *what,
               struct domu_msg *reply)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST);
	int rc;

	domu_msg_put_str(&req, op);
	domu_msg_put_str(&req, app->cwd != NULL ? app->cwd : "/");
	domu_msg_put_str(&req, use);
	domu_msg_put_str(&req, what);
	rc = domu_session_readable(s, false);
	if (rc == 0)
		rc = domu_session_call(s, &req, reply);
	domu_msg_free(&req);
	return rc;
}

static int get_names(struct domu_app *app, struct domu_msg *reply, char ***names, size_t *n)
{
	uint64_t count = domu_msg_get_u64(reply);
	char **v;

	*names = NULL;
	*n = 0;
	if (reply->err != 0 || count > MAX_NAMES)
		return domu_fail(app->ctx, DOMU_FAILED, -EBADMSG, "the worker's list of names makes no sense");
	v = calloc((size_t)count + 1, sizeof *v);
	for (size_t i = 0; v != NULL && i < count; i++) {
		const char *name = domu_msg_get_str(reply);

		v[i] = name != NULL && reply->err == 0 ? strdup(name) : NULL;
		if (v[i] == NULL) {
			domu_paths_free(v, i);
			return domu_fail(app->ctx, DOMU_FAILED, -EBADMSG, "the worker's list of names makes no sense");
		}
	}
	if (v == NULL)
		return domu_nomem(app->ctx);
	*names = v;
	*n = (size_t)count;
	return 0;
}

static int ask_names(struct domu_app *app, struct domu_session *s, const char *op, const char *what, char ***names,
                     size_t *n)
{
	struct domu_msg reply = DOMU_MSG_INIT(0);
	int rc = ask(app, s, op, app->use, what, &reply);

	if (rc == 0)
		rc = get_names(app, &reply, names, n);
	domu_msg_free(&reply);
	return rc;
}

int domu_paths_glob(struct domu_app *app, const char *pattern, char ***names, size_t *n)
{
	return ask_names(app, app->session, "glob", pattern, names, n);
}

int domu_paths_glob_in(struct domu_app *app, struct domu_session *s, const char *use, const char *pattern,
                       char ***names, size_t *n)
{
	struct domu_msg reply = DOMU_MSG_INIT(0);
	int rc = ask(app, s, "glob", use, pattern, &reply);

	if (rc == 0)
		rc = get_names(app, &reply, names, n);
	domu_msg_free(&reply);
	return rc;
}

int domu_paths_complete(struct domu_app *app, struct domu_session *s, const char *prefix, char ***names, size_t *n)
{
	return ask_names(app, s, "complete", prefix, names, n);
}

int domu_paths_cd(struct domu_app *app, const char *path, char **canonical)
{
	struct domu_msg reply = DOMU_MSG_INIT(0);
	int rc = ask(app, app->session, "cd", app->use, path, &reply);

	if (rc == 0) {
		const char *p = domu_msg_get_str(&reply);

		if (reply.err != 0 || p == NULL || p[0] != '/' || strlen(p) > 4095)
			rc = domu_fail(app->ctx, DOMU_FAILED, -EBADMSG, "the worker's path makes no sense");
		else if ((*canonical = strdup(p)) == NULL)
			rc = domu_nomem(app->ctx);
	}
	domu_msg_free(&reply);
	return rc;
}

int domu_paths_use(struct domu_app *app, const char *dev)
{
	struct domu_msg reply = DOMU_MSG_INIT(0);
	int rc = ask(app, app->session, "use", dev, "", &reply);

	domu_msg_free(&reply);
	return rc;
}

void domu_paths_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}
