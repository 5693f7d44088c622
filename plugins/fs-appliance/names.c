/* SPDX-License-Identifier: GPL-3.0-or-later */
/* names.c - handles of inodes: libguestfs knows paths alone, so for each inode a way to it is kept. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#define MAX_DEPTH 2048

static size_t slot(const struct names *t, uint64_t ino)
{
	return (size_t)((ino * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (t->cap - 1);
}

/* Where ino is, or where it would go. */
static struct name *probe(const struct names *t, uint64_t ino)
{
	size_t i = slot(t, ino);

	while (t->v[i].ino != 0 && t->v[i].ino != ino)
		i = (i + 1) & (t->cap - 1);
	return &t->v[i];
}

void names_free(struct names *t)
{
	for (size_t i = 0; i < t->cap; i++)
		free(t->v[i].name);
	free(t->v);
	memset(t, 0, sizeof *t);
}

static int grow(struct names *t)
{
	struct names bigger = { .cap = t->cap != 0 ? t->cap * 2 : 1024, .n = t->n };

	if (t->cap != 0 && t->n * 3 < t->cap * 2)
		return 0;
	bigger.v = calloc(bigger.cap, sizeof *bigger.v);
	if (bigger.v == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < t->cap; i++)
		if (t->v[i].ino != 0)
			*probe(&bigger, t->v[i].ino) = t->v[i];
	free(t->v);
	*t = bigger;
	return 0;
}

struct name *names_find(const struct names *t, uint64_t ino)
{
	struct name *n;

	if (t->cap == 0 || ino == 0)
		return NULL;
	n = probe(t, ino);
	return n->ino != 0 && n->name != NULL ? n : NULL;
}

/* An inode that lost its name keeps its slot, without a name, until it is met again. */
struct name *names_put(struct names *t, uint64_t ino, uint64_t dir, const char *name)
{
	struct name *n;

	if (grow(t) != 0)
		return NULL;
	n = probe(t, ino);
	if (n->name == NULL) {
		n->name = strdup(name);
		if (n->name == NULL)
			return NULL;
		if (n->ino == 0)
			t->n++;
		n->ino = ino;
		n->dir = dir;
	}
	return n;
}

void names_drop(struct names *t, uint64_t ino, uint64_t dir, const char *name)
{
	struct name *n = names_find(t, ino);

	if (n == NULL || n->dir != dir || strcmp(n->name, name) != 0)
		return;
	free(n->name);
	n->name = NULL;
}

int names_move(struct names *t, uint64_t ino, uint64_t dir, const char *name)
{
	struct name *n = names_find(t, ino);
	char *copy;

	if (n == NULL)
		return names_put(t, ino, dir, name) != NULL ? 0 : -ENOMEM;
	copy = strdup(name);
	if (copy == NULL)
		return -ENOMEM;
	free(n->name);
	n->name = copy;
	n->dir = dir;
	return 0;
}

int names_path(const struct names *t, uint64_t root, const char *base, uint64_t ino, const char *name, char *path,
               size_t size)
{
	const char *part[MAX_DEPTH];
	size_t n = 0, at;

	if (name != NULL)
		part[n++] = name;
	for (; ino != root; n++) {
		const struct name *e = names_find(t, ino);

		if (e == NULL)
			return -ENOENT;
		if (n == MAX_DEPTH)
			return -ENAMETOOLONG;
		part[n] = e->name;
		ino = e->dir;
	}
	at = (size_t)snprintf(path, size, "%s", base);
	while (n > 0 && at < size)
		at += (size_t)snprintf(path + at, size - at, "/%s", part[--n]);
	return at < size ? 0 : -ENAMETOOLONG;
}
