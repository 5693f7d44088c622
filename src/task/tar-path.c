/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-path.c - names of an archive below a directory of the guest: no "..", no link followed. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

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

static int make_dir(struct domu_tar_walk *w, struct domu_tar_dir *d, const char *name)
{
	struct domu_stat attr = { .mode = S_IFDIR | 0777 };
	uint64_t ino;
	int rc;

	clock_gettime(CLOCK_REALTIME, &attr.mtime);
	attr.atime = attr.ctime = attr.btime = attr.mtime;
	rc = domu_fs_create_new(w->tree, d->fs, d->ino, NULL, name, &attr, DOMU_UMASK, NULL, &ino);
	d->ino = ino;
	return rc;
}

/* Down into name of d, which becomes that. */
static int go_down(struct domu_tar_walk *w, const char *path, const char *name, bool make, struct domu_tar_dir *d)
{
	bool clean = w->ctx->error.status == DOMU_OK;
	struct domu_stat st;
	uint64_t ino;
	int rc = domu_fs_lookup(d->fs, d->ino, name, &ino);

	if (rc == -ENOENT) {
		if (clean)
			domu_error_clear(w->ctx);
		return make ? make_dir(w, d, name) : rc;
	}
	if (rc == 0)
		rc = domu_fs_stat(d->fs, ino, &st);
	if (rc != 0)
		return rc;
	if (S_ISLNK(st.mode))
		return refuse(w, path, "a part of it is a link in the guest, and links are not followed");
	if (!S_ISDIR(st.mode))
		return refuse(w, path, "a part of it is no directory in the guest");
	d->ino = ino;
	return domu_tree_cross(w->tree, &d->mount, &d->ino, &d->fs);
}

static int push(struct domu_tar_walk *w, const char *name, const struct domu_tar_dir *d)
{
	if (w->n == w->cap) {
		size_t cap = w->cap != 0 ? 2 * w->cap : 16;
		struct tar_level *v = realloc(w->v, cap * sizeof *v);

		if (v == NULL)
			return domu_nomem(w->ctx);
		w->v = v;
		w->cap = cap;
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
			w->n = at < w->n ? at : w->n;
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
	w->n = at < w->n ? at : w->n;
	return 0;
}

void domu_tar_walk_free(struct domu_tar_walk *w)
{
	free(w->v);
	w->v = NULL;
	w->n = w->cap = 0;
}
