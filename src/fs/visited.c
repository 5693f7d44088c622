/* SPDX-License-Identifier: GPL-3.0-or-later */
/* visited.c - a set of directories that takes a bit for each inode where they lie close together. */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "fs/visited.h"

#define BITS       512u
#define MAX_PIECES (1u << 22)

struct domu_visited_piece {
	uint64_t key; /* ino / BITS */
	uint64_t mount; /* + 1; 0: free */
	uint64_t bits[BITS / 64];
};

static size_t slot(const struct domu_visited *s, uint64_t mount, uint64_t key)
{
	size_t i = (size_t)(((key ^ mount << 40) * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (s->cap - 1);

	while (s->v[i].mount != 0 && (s->v[i].key != key || s->v[i].mount != mount))
		i = (i + 1) & (s->cap - 1);
	return i;
}

static int grow(struct domu_visited *s)
{
	struct domu_visited bigger = { .cap = s->cap != 0 ? 2 * s->cap : 64 };

	if (s->n >= MAX_PIECES)
		return -ENOMEM;
	bigger.v = calloc(bigger.cap, sizeof *bigger.v);
	if (bigger.v == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->cap; i++)
		if (s->v[i].mount != 0)
			bigger.v[slot(&bigger, s->v[i].mount, s->v[i].key)] = s->v[i];
	bigger.n = s->n;
	free(s->v);
	*s = bigger;
	return 0;
}

int domu_visit(struct domu_visited *s, uint64_t mount, uint64_t ino)
{
	struct domu_visited_piece *p;
	uint64_t bit = UINT64_C(1) << (ino % 64);
	int rc = s->n * 4 >= s->cap * 3 ? grow(s) : 0;

	if (rc != 0)
		return rc;
	p = &s->v[slot(s, mount + 1, ino / BITS)];
	if (p->mount == 0) {
		p->mount = mount + 1;
		p->key = ino / BITS;
		s->n++;
	}
	if ((p->bits[ino % BITS / 64] & bit) != 0)
		return -ELOOP;
	p->bits[ino % BITS / 64] |= bit;
	return 0;
}

void domu_visited_free(struct domu_visited *s)
{
	free(s->v);
	*s = (struct domu_visited){ 0 };
}
