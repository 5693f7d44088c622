/* SPDX-License-Identifier: GPL-3.0-or-later */
/* change-remove.c - a directory removed with all that is in it, by inodes: no path is too long for it. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/change.h"

#define MAX_DEPTH 16384
#define MAX_NAMES (256u << 20)

struct entry_name {
	struct entry_name *next;
	char name[];
};

/* A directory being emptied. */
struct level {
	struct level *up;
	uint64_t ino, parent;
	size_t above; /* bytes of the path of the directory that it is in */
	struct entry_name *names;
	char name[256];
};

struct removal {
	struct domu_run *r;
	struct domu_tree *t;
	struct domu_fs *fs;
	unsigned mount;
	struct level *top;
	size_t depth;
	char *path; /* of what is being removed, as shown */
	size_t len, cap;
};

struct reading {
	struct entry_name *names;
	size_t bytes;
};

static int keep_name(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode)
{
	struct reading *d = user;
	struct entry_name *n;

	(void)ino;
	(void)type_mode;
	d->bytes += sizeof *n + len + 1;
	if (d->bytes > MAX_NAMES)
		return -EFBIG;
	n = malloc(sizeof *n + len + 1);
	if (n == NULL)
		return -ENOMEM;
	memcpy(n->name, name, len + 1);
	n->next = d->names;
	d->names = n;
	return 0;
}

static void free_names(struct entry_name *n)
{
	while (n != NULL) {
		struct entry_name *next = n->next;

		free(n);
		n = next;
	}
}

static int fail(struct removal *m, int rc)
{
	return domu_change_fail(m->r, rc, "cannot remove '%s'", m->path);
}

/* The path goes on by name, or ends where it was. */
static int set_path(struct removal *m, size_t len, const char *name)
{
	size_t need = len + strlen(name) + 2;
	char *p;

	if (need > m->cap) {
		p = realloc(m->path, 2 * need);
		if (p == NULL)
			return domu_nomem(m->r->ctx);
		m->path = p;
		m->cap = 2 * need;
	}
	if (len > 0 && m->path[len - 1] != '/')
		m->path[len++] = '/';
	memcpy(m->path + len, name, strlen(name) + 1);
	m->len = len + strlen(name);
	return 0;
}

/* Into a directory: a hostile one may hold itself, or one above it. */
static int enter(struct removal *m, uint64_t parent, const char *name, uint64_t ino, size_t above)
{
	struct reading d = { 0 };
	struct level *l;
	int rc;

	if (m->depth >= MAX_DEPTH)
		return fail(m, -ELOOP);
	for (l = m->top; l != NULL; l = l->up)
		if (l->ino == ino || l->parent == ino)
			return domu_fail(m->r->ctx, DOMU_FAILED, -ELOOP,
			                 "%s: '%s' is a directory that holds itself: domu-rescue fsck -y %s",
			                 m->r->cmd->name, m->path, domu_guest_word(m->r->ctx));
	if (ino == domu_tree_top(m->t, m->mount, m->fs) || domu_tree_covered(m->t, m->mount, ino))
		return fail(m, -EBUSY);
	rc = domu_fs_readdir(m->fs, ino, keep_name, &d);
	l = rc == 0 ? calloc(1, sizeof *l) : NULL;
	if (l == NULL) {
		free_names(d.names);
		return fail(m, rc != 0 ? rc : -ENOMEM);
	}
	l->ino = ino;
	l->parent = parent;
	l->above = above;
	memcpy(l->name, name, strlen(name) + 1);
	l->names = d.names;
	l->up = m->top;
	m->top = l;
	m->depth++;
	return 0;
}

static int leave(struct removal *m)
{
	struct level *l = m->top;
	int rc = domu_fs_rmdir(m->fs, l->parent, l->name);

	if (rc != 0)
		return fail(m, rc);
	rc = domu_change_tell(m->r, "removed directory '%s'", m->path);
	m->len = l->above;
	m->path[m->len] = '\0';
	m->top = l->up;
	m->depth--;
	free(l);
	return rc;
}

static int next(struct removal *m)
{
	struct level *l = m->top;
	struct entry_name *n = l->names;
	struct domu_stat st;
	size_t above = m->len;
	uint64_t ino;
	int rc;

	if (domu_interrupted(m->r->ctx))
		return domu_fail(m->r->ctx, DOMU_DECLINED, -EINTR, "interrupted");
	if (n == NULL)
		return leave(m);
	l->names = n->next;
	rc = set_path(m, above, n->name);
	if (rc == 0)
		rc = domu_fs_lookup(m->fs, l->ino, n->name, &ino);
	if (rc == 0)
		rc = domu_fs_stat(m->fs, ino, &st);
	if (rc == 0 && S_ISDIR(st.mode)) {
		rc = enter(m, l->ino, n->name, ino, above);
	} else {
		if (rc == 0)
			rc = domu_fs_unlink(m->fs, l->ino, n->name);
		rc = rc != 0 ? fail(m, rc) : domu_change_tell(m->r, "removed '%s'", m->path);
		m->len = above;
		m->path[above] = '\0';
	}
	free(n);
	return rc;
}

int domu_change_remove(struct domu_run *r, const struct domu_path *p, const char *shown)
{
	struct removal m = { .r = r, .fs = p->fs, .mount = p->mount };
	int rc = domu_work_tree(r->work, r->use, &m.t);

	if (rc != 0)
		return rc;
	if (!S_ISDIR(p->st.mode)) {
		rc = domu_fs_unlink(p->fs, p->dir, p->name);
		return rc != 0 ? domu_change_fail(r, rc, "cannot remove '%s'", shown)
		               : domu_change_tell(r, "removed '%s'", shown);
	}
	rc = set_path(&m, 0, shown);
	if (rc == 0)
		rc = enter(&m, p->dir, p->name, p->ino, m.len);
	while (rc == 0 && m.top != NULL)
		rc = next(&m);
	while (m.top != NULL) {
		struct level *l = m.top;

		m.top = l->up;
		free_names(l->names);
		free(l);
	}
	free(m.path);
	return rc;
}
