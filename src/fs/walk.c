/* SPDX-License-Identifier: GPL-3.0-or-later */
/* walk.c - a path of the guest, resolved as its own kernel would: across its mounts, never out of it. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "fs/tree.h"

#define MAX_LINKS  40 /* as Linux */
#define PATH_BYTES 4095
#define NAME_BYTES 255

/* A directory on the way from the root to where the walk is. */
struct level {
	uint64_t ino;
	unsigned mount;
	uint16_t len; /* of the path up to here */
	bool mount_root;
};

struct walk {
	struct domu_tree *t;
	size_t root_node;
	bool mounts; /* else one filesystem alone */
	unsigned flags;
	struct level *levels;
	size_t depth, cap; /* levels[depth] is where the walk is */
	char path[PATH_BYTES + 1];
	char *pending; /* what a link added, with the rest after it; the walk's own */
	unsigned links;
};

static int mount_fs(struct walk *w, unsigned m, struct domu_fs **fs)
{
	return w->mounts ? domu_mount_enter(w->t, m, fs) : domu_tree_fs(w->t, w->root_node, fs);
}

static size_t mount_node(const struct walk *w, unsigned m)
{
	return w->mounts ? w->t->mounts[m].node : w->root_node;
}

static int fail_at(struct walk *w, enum domu_status status, int err, const char *name, const char *what)
{
	const struct level *at = &w->levels[w->depth];

	char path[512];

	domu_error_clear(w->t->ctx);
	domu_fail(w->t->ctx, status, err, "%.*s%s%s: %s", (int)at->len, w->path,
	          name[0] != '\0' || at->len == 0 ? "/" : "", name, what);
	if (snprintf(path, sizeof path, "%.*s%s%s", (int)at->len, w->path, name[0] != '\0' || at->len == 0 ? "/" : "",
	             name) < (int)sizeof path)
		domu_error_where(w->t->ctx, NULL, path);
	return err;
}

static int push(struct walk *w, uint64_t ino, unsigned mount, const char *name, bool mount_root)
{
	struct level *at = &w->levels[w->depth];
	size_t n = strlen(name);

	if (at->len + 1 + n > PATH_BYTES)
		return fail_at(w, DOMU_FAILED, -ENAMETOOLONG, "", "the path is longer than 4095 bytes");
	if (!DOMU_ARRAY_ROOM(w->levels, w->cap, w->depth + 2))
		return domu_nomem(w->t->ctx);
	at = &w->levels[w->depth];
	w->path[at->len] = '/';
	memcpy(w->path + at->len + 1, name, n + 1);
	at[1] =
	    (struct level){ .ino = ino, .mount = mount, .len = (uint16_t)(at->len + 1 + n), .mount_root = mount_root };
	w->depth++;
	return 0;
}

static uint64_t root_ino(const struct walk *w, const struct domu_fs *fs)
{
	uint64_t start = w->t->state[w->root_node].start;

	if (w->mounts)
		return domu_tree_top(w->t, 0, fs);
	return start != 0 ? start : fs->root;
}

/* Where the walk stands after a link to /...: at the root, which may itself be covered. */
static int go_to_root(struct walk *w)
{
	struct domu_fs *fs;
	int rc = mount_fs(w, 0, &fs);

	if (rc != 0)
		return rc;
	w->depth = 0;
	w->levels[0] = (struct level){ .ino = root_ino(w, fs), .mount = 0, .mount_root = true };
	return 0;
}

/* Puts the target of a link in front of what is left of the path. */
static int follow(struct walk *w, struct domu_fs *fs, uint64_t ino, const char *name, const char **rest)
{
	char target[PATH_BYTES + 1];
	char *joined;
	size_t n, m = strlen(*rest);
	int rc;

	if (++w->links > MAX_LINKS)
		return fail_at(w, DOMU_FAILED, -ELOOP, name, "too many links, one after the other");
	rc = domu_fs_readlink(fs, ino, target, sizeof target);
	if (rc < 0)
		return domu_fail(w->t->ctx, DOMU_FAILED, rc, "%.*s/%s: the link cannot be read",
		                 (int)w->levels[w->depth].len, w->path, name);
	if (rc == 0)
		return fail_at(w, DOMU_NOTFOUND, -ENOENT, name, "a link to nothing");
	n = (size_t)rc;
	/* Each link adds at most 4095 bytes, and there are at most 40. */
	joined = malloc(n + m + 2);
	if (joined == NULL)
		return domu_nomem(w->t->ctx);
	memcpy(joined, target, n);
	memcpy(joined + n, *rest, m + 1);
	free(w->pending);
	w->pending = joined;
	*rest = joined;
	return target[0] == '/' ? go_to_root(w) : 0;
}

static void fill_root(struct walk *w, struct domu_path *out)
{
	const struct level *at = &w->levels[w->depth];

	out->dir = out->ino;
	snprintf(out->name, sizeof out->name, "/");
	if (!at->mount_root) {
		out->dir = at[-1].ino;
		snprintf(out->name, sizeof out->name, "%.*s", (int)(at->len - at[-1].len - 1),
		         w->path + at[-1].len + 1);
	}
}

/* The answer is the directory where the walk stands, or name in it when that is not NULL. */
static int arrive(struct walk *w, const char *name, uint64_t ino, const struct domu_stat *st, struct domu_path *out)
{
	const struct level *at = &w->levels[w->depth];
	size_t len = at->len;
	int rc;

	out->mount = at->mount;
	out->node = mount_node(w, at->mount);
	rc = mount_fs(w, at->mount, &out->fs);
	if (rc != 0)
		return rc;
	memcpy(out->path, w->path, len);
	if (name == NULL) {
		out->ino = at->ino;
		fill_root(w, out);
		if (len == 0)
			out->path[len++] = '/';
		out->path[len] = '\0';
		return domu_fs_stat(out->fs, out->ino, &out->st);
	}
	if (len + 1 + strlen(name) > PATH_BYTES)
		return fail_at(w, DOMU_FAILED, -ENAMETOOLONG, "", "the path is longer than 4095 bytes");
	out->ino = ino;
	out->dir = at->ino;
	if (st != NULL)
		out->st = *st;
	snprintf(out->name, sizeof out->name, "%s", name);
	snprintf(out->path + len, sizeof out->path - len, "/%s", name);
	return 0;
}

/* One name.  *done: the walk has arrived. */
static int step(struct walk *w, const char *name, const char **rest, bool last, bool slash, struct domu_path *out,
                bool *done)
{
	struct level *at = &w->levels[w->depth];
	unsigned mount = at->mount;
	struct domu_stat st;
	struct domu_fs *fs;
	uint64_t ino;
	int rc = mount_fs(w, mount, &fs);

	if (rc == 0)
		rc = domu_fs_lookup(fs, at->ino, name, &ino);
	if (rc == -ENOENT && last && (w->flags & DOMU_WALK_PARENT)) {
		domu_error_clear(w->t->ctx);
		*done = true;
		return arrive(w, name, 0, NULL, out);
	}
	if (rc == -ENOENT)
		return fail_at(w, DOMU_NOTFOUND, rc, name, "no such file or directory");
	if (rc == 0)
		rc = w->mounts ? domu_tree_cross(w->t, &mount, &ino, &fs) : 0;
	if (rc == 0 && mount != at->mount)
		return push(w, ino, mount, name, true);
	if (rc == 0)
		rc = domu_fs_stat(fs, ino, &st);
	if (rc != 0)
		return domu_fail(w->t->ctx, DOMU_FAILED, rc, "%.*s/%s: %s", (int)at->len, w->path, name, strerror(-rc));
	if (S_ISLNK(st.mode) && (!last || slash || !(w->flags & DOMU_WALK_NOFOLLOW)))
		return follow(w, fs, ino, name, rest);
	if (S_ISDIR(st.mode))
		return push(w, ino, mount, name, false);
	if (!last || slash)
		return fail_at(w, DOMU_NOTFOUND, -ENOTDIR, name, "not a directory");
	*done = true;
	return arrive(w, name, ino, &st, out);
}

static int walk_on(struct walk *w, const char *rest, struct domu_path *out, bool *done)
{
	char name[NAME_BYTES + 1];
	int rc = 0;

	while (rc == 0 && !*done) {
		bool last, slash;
		size_t n;

		rest += strspn(rest, "/");
		n = strcspn(rest, "/");
		if (n == 0)
			break;
		if (n > NAME_BYTES) {
			snprintf(name, sizeof name, "%.32s...", rest);
			return fail_at(w, DOMU_FAILED, -ENAMETOOLONG, name, "file name too long");
		}
		memcpy(name, rest, n);
		name[n] = '\0';
		rest += n;
		slash = *rest == '/';
		last = rest[strspn(rest, "/")] == '\0';
		if (strcmp(name, "..") == 0)
			w->depth -= w->depth > 0;
		else if (strcmp(name, ".") != 0)
			rc = step(w, name, &rest, last, slash, out, done);
		out->slash = slash;
	}
	return rc;
}

static int walk_paths(struct walk *w, const char *cwd, const char *path, unsigned flags, struct domu_path *out)
{
	bool done = false;
	int rc = go_to_root(w);

	if (rc != 0)
		return rc;
	if (path[0] == '\0')
		return domu_fail(w->t->ctx, DOMU_NOTFOUND, -ENOENT, "'': no such file or directory");
	if (strnlen(path, PATH_BYTES + 1) > PATH_BYTES)
		return domu_fail(w->t->ctx, DOMU_FAILED, -ENAMETOOLONG, "%.32s...: the path is longer than 4095 bytes",
		                 path);
	if (path[0] != '/' && cwd != NULL) {
		w->flags = 0;
		rc = walk_on(w, cwd, out, &done);
		if (rc == 0 && done)
			rc = domu_fail(w->t->ctx, DOMU_NOTFOUND, -ENOTDIR, "%s: not a directory", cwd);
		if (rc != 0)
			return rc;
	}
	w->flags = flags;
	out->slash = false;
	rc = walk_on(w, path, out, &done);
	return rc != 0 || done ? rc : arrive(w, NULL, 0, NULL, out);
}

int domu_walk_in(struct domu_tree *t, size_t root_node, bool mounts, const char *cwd, const char *path, unsigned flags,
                 struct domu_path *out)
{
	struct walk *w = calloc(1, sizeof *w);
	int rc;

	memset(out, 0, offsetof(struct domu_path, path));
	out->path[0] = '\0';
	if (w == NULL)
		return domu_nomem(t->ctx);
	w->t = t;
	w->root_node = root_node;
	w->mounts = mounts;
	w->cap = 32;
	w->levels = calloc(w->cap, sizeof *w->levels);
	rc = w->levels != NULL ? walk_paths(w, cwd, path, flags, out) : domu_nomem(t->ctx);
	free(w->levels);
	free(w->pending);
	free(w);
	return rc;
}

int domu_path_walk(struct domu_tree *t, const char *cwd, const char *path, unsigned flags, struct domu_path *out)
{
	const struct domu_mount *m;
	size_t n;
	int rc = domu_tree_mounts(t, &m, &n);

	return rc != 0 ? rc : domu_walk_in(t, 0, true, cwd, path, flags, out);
}

bool domu_path_below(const char *path, const char *above)
{
	size_t n = strcmp(above, "/") == 0 ? 0 : strlen(above);

	return strncmp(path, above, n) == 0 && (path[n] == '/' || path[n] == '\0');
}
