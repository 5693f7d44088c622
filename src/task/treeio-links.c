/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treeio-links.c - which files of a tree are one file. */
#include "config.h"

#include <stdlib.h>

#include "task/treeio-links.h"

#define MAX_LINKS (1u << 20)

static size_t slot(const struct domu_links *l, uint64_t a, uint64_t b)
{
	size_t i = (size_t)((b * UINT64_C(0x9e3779b97f4a7c15)) >> 16 ^ a) & (l->cap - 1);

	while (l->v[i].id != 0 && (l->v[i].a != a || l->v[i].b != b))
		i = (i + 1) & (l->cap - 1);
	return i;
}

static bool grow(struct domu_links *l)
{
	struct domu_links bigger = { .cap = l->cap != 0 ? 2 * l->cap : 256, .n = l->n };

	bigger.v = calloc(bigger.cap, sizeof *bigger.v);
	if (bigger.v == NULL)
		return false;
	for (size_t i = 0; i < l->cap; i++)
		if (l->v[i].id != 0)
			bigger.v[slot(&bigger, l->v[i].a, l->v[i].b)] = l->v[i];
	free(l->v);
	*l = bigger;
	return true;
}

uint64_t domu_links_id(struct domu_links *l, uint64_t a, uint64_t b, bool *again)
{
	size_t i;

	*again = false;
	if (l->n * 2 >= l->cap && (l->n >= MAX_LINKS || !grow(l)))
		return 0;
	i = slot(l, a, b);
	*again = l->v[i].id != 0;
	if (!*again)
		l->v[i] = (struct domu_link){ .a = a, .b = b, .id = ++l->n };
	return l->v[i].id;
}

void domu_links_free(struct domu_links *l)
{
	free(l->v);
	l->v = NULL;
	l->n = l->cap = 0;
}
