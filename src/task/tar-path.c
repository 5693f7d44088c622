/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-path.c - names of an archive below a directory of the guest: no "..", no link to elsewhere followed. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "task/tar-path.h"

#define MAX_DEPTH 4096

static int refuse(struct domu_tar_walk *w, const char *path, const char *why)
{
	return domu_fail(w->ctx, DOMU_FAILED, -EXDEV, "'%s' is refused: %s", path, why);
}

/* The next part of a path, without empty ones and "."; 0: the end, -1: no part of a name here. */
static int next_part(const char **path, char part[256])
{
	const char *p = *path;
	size_t len;

	for (;;) {
		while (*p == '/')
			p++;
		len = strcspn(p, "/");
		if (len != 1 || *p != '.')
			break;
		p++;
	}
	*path = p + len;
	if (len > 255)
		return -1;
	memcpy(part, p, len);
	part[len] = '\0';
	return len == 0 ? 0 : strcmp(part, "..") == 0 ? -1 : 1;
}

/* Behind the first n parts, "." counting as one, as tar(1) has it; NULL: nothing is left. */
static const char *stripped(const char *path, unsigned n)
{
	while (*path == '/')
		path++;
	for (; n > 0; n--) {
		path += strcspn(path, "/");
		while (*path == '/')
			path++;
	}
	return *path != '\0' ? path : NULL;
}

/* name in the directory at path; NULL: no memory. */
static char *join(const char *path, const char *name)
{
	char *whole;

	return asprintf(&whole, "%s/%s", strcmp(path, "/") == 0 ? "" : path, name) < 0 ? NULL : whole;
}

static int make_dir(struct domu_tar_walk *w, struct domu_tar_dir *d, const char *name, const char *path)
{
	struct domu_stat attr = { .mode = S_IFDIR | 0777 };
	uint64_t ino = 0;
	int rc;

	clock_gettime(CLOCK_REALTIME, &attr.mtime);
	attr.atime = attr.ctime = attr.btime = attr.mtime;
	rc = domu_fs_create_new(w->tree, d->fs, d->ino, path, name, &attr, DOMU_UMASK, NULL, &ino);
	d->ino = ino;
	return rc;
}

int domu_tar_walk_link(struct domu_tar_walk *w, const char *path, const struct domu_tar_dir *d, const char *name,
                       struct domu_tar_dir *to)
{
	struct domu_path *p = malloc(sizeof *p);
	char *whole = join(d->path, name);
	int rc = p != NULL && whole != NULL ? domu_path_walk(w->tree, "/", whole, 0, p) : domu_nomem(w->ctx);

	if (rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP || (rc == 0 && !S_ISDIR(p->st.mode))) {
		domu_error_clear(w->ctx);
		rc = 0;
	} else if (rc == 0 && !domu_path_below(p->path, w->base.path)) {
		rc = domu_fail(
		    w->ctx, DOMU_FAILED, -EXDEV,
		    "'%s' is refused: '%s' is a link in the guest, to %s, which is not below %s; unpack into a "
		    "directory above both, or let --no-keep-directory-symlink put a directory in its place",
		    path, name, p->path, w->base.path);
	} else if (rc == 0) {
		*to = (struct domu_tar_dir){ .fs = p->fs, .mount = p->mount, .ino = p->ino, .path = strdup(p->path) };
		rc = to->path != NULL ? 1 : domu_nomem(w->ctx);
	}
	free(whole);
	free(p);
	return rc;
}

/* Down into name of d, which becomes that; its path is made new. */
static int go_down(struct domu_tar_walk *w, const char *path, const char *name, bool make, struct domu_tar_dir *d)
{
	bool clean = w->ctx->error.status == DOMU_OK;
	struct domu_tar_dir link;
	char *whole = join(d->path, name);
	struct domu_stat st;
	uint64_t ino;
	int rc;

	if (whole == NULL)
		return domu_nomem(w->ctx);
	rc = domu_fs_lookup(d->fs, d->ino, name, &ino);
	if (rc == -ENOENT) {
		if (clean)
			domu_error_clear(w->ctx);
		if (make)
			rc = make_dir(w, d, name, w->labels ? whole : NULL);
		goto out;
	}
	if (rc == 0)
		rc = domu_fs_stat(d->fs, ino, &st);
	if (rc != 0)
		goto out;
	if (S_ISLNK(st.mode) && w->keep_links && (rc = domu_tar_walk_link(w, path, d, name, &link)) != 0) {
		if (rc > 0) {
			free(whole);
			*d = link;
			return 0;
		}
	} else if (S_ISLNK(st.mode)) {
		rc = refuse(w, path, "a part of it is a link in the guest, and links are not followed");
	} else if (!S_ISDIR(st.mode)) {
		rc = refuse(w, path, "a part of it is no directory in the guest");
	} else {
		d->ino = ino;
		rc = domu_tree_cross(w->tree, &d->mount, &d->ino, &d->fs);
	}
out:
	if (rc == 0)
		d->path = whole;
	else
		free(whole);
	return rc;
}

/* Levels from n on are forgotten. */
static void cut(struct domu_tar_walk *w, size_t n)
{
	while (w->n > n)
		free((char *)(uintptr_t)w->v[--w->n].dir.path);
}

static int push(struct domu_tar_walk *w, const char *name, const struct domu_tar_dir *d)
{
	if (!DOMU_ARRAY_ROOM(w->v, w->cap, w->n + 1)) {
		free((char *)(uintptr_t)d->path);
		return domu_nomem(w->ctx);
	}
	memcpy(w->v[w->n].name, name, strlen(name) + 1);
	w->v[w->n++].dir = *d;
	return 0;
}

int domu_tar_walk_to(struct domu_tar_walk *w, const char *path, bool make, struct domu_tar_dir *dir, char name[256])
{
	const char *p = w->strip > 0 ? stripped(path, w->strip) : path;
	char part[256];
	size_t at = 0;
	int more, rc;

	if (p == NULL)
		return -EALREADY;
	more = next_part(&p, name);
	*dir = w->base;
	/* name is the last part so far: whatever follows it makes it a directory on the way. */
	while (more > 0 && (more = next_part(&p, part)) > 0) {
		if (at >= MAX_DEPTH)
			return refuse(w, path, "it is too deep");
		if (at < w->n && strcmp(w->v[at].name, name) == 0) {
			*dir = w->v[at].dir;
		} else {
			cut(w, at);
			rc = go_down(w, path, name, make, dir);
			if (rc == 0)
				rc = push(w, name, dir);
			if (rc != 0)
				return rc;
		}
		at++;
		memcpy(name, part, sizeof part);
	}
	if (more < 0)
		return refuse(w, path, "it has '..' in it, or a name that is too long");
	/* What is below may be replaced now. */
	cut(w, at);
	return 0;
}

void domu_tar_walk_free(struct domu_tar_walk *w)
{
	cut(w, 0);
	free(w->v);
	w->v = NULL;
	w->n = w->cap = 0;
}
