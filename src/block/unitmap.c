/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unitmap.c - open addressing with linear probing; grows by half at four fifths full. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "block/unitmap.h"

/* The log may come from a worker that picks its units to collide: begin with bytes it cannot know. */
static uint64_t hash(uint64_t unit)
{
	const void *random = (const void *)(uintptr_t)getauxval(AT_RANDOM);
	uint64_t seed = 0;

	if (random != NULL)
		memcpy(&seed, random, sizeof seed);
	unit ^= seed;
	unit *= UINT64_C(0xff51afd7ed558ccd);
	unit ^= unit >> 33;
	unit *= UINT64_C(0xc4ceb9fe1a85ec53);
	return unit ^ unit >> 33;
}

static size_t place(const struct domu_unitmap *m, uint64_t unit)
{
	size_t i = (size_t)((unsigned __int128)hash(unit) * m->cap >> 64);

	while (m->slot[i].at != 0 && m->slot[i].unit != unit)
		if (++i == m->cap)
			i = 0;
	return i;
}

void domu_unitmap_free(struct domu_unitmap *m)
{
	free(m->slot);
	memset(m, 0, sizeof *m);
}

uint64_t domu_unitmap_get(const struct domu_unitmap *m, uint64_t unit)
{
	return m->n > 0 ? m->slot[place(m, unit)].at : 0;
}

static int grow(struct domu_unitmap *m)
{
	struct domu_unitmap bigger = { .n = m->n, .cap = m->cap > 0 ? m->cap + m->cap / 2 : 64 };

	bigger.slot = calloc(bigger.cap, sizeof *bigger.slot);
	if (bigger.slot == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slot[i].at != 0)
			bigger.slot[place(&bigger, m->slot[i].unit)] = m->slot[i];
	free(m->slot);
	*m = bigger;
	return 0;
}

int domu_unitmap_put(struct domu_unitmap *m, uint64_t unit, uint64_t at)
{
	size_t i;

	if (m->n + 1 > m->cap / 5 * 4 && grow(m) < 0)
		return -ENOMEM;
	i = place(m, unit);
	if (m->slot[i].at == 0)
		m->n++;
	m->slot[i].unit = unit;
	m->slot[i].at = at;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

uint64_t *domu_unitmap_units(const struct domu_unitmap *m)
{
	uint64_t *v = m->n > 0 ? malloc(m->n * sizeof *v) : NULL;
	size_t n = 0;

	if (v == NULL)
		return NULL;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slot[i].at != 0)
			v[n++] = m->slot[i].unit;
	qsort(v, n, sizeof *v, compare);
	return v;
}
