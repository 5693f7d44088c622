/* SPDX-License-Identifier: GPL-3.0-or-later */
/* set.c - see set.h: open addressing. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "set.h"

static size_t place(const struct set *s, uint64_t key)
{
	size_t i = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) % s->cap;

	while (s->v[i] != 0 && s->v[i] != key)
		i = (i + 1) % s->cap;
	return i;
}

bool set_has(const struct set *s, uint64_t key)
{
	return s->n > 0 && s->v[place(s, key != 0 ? key : 1)] != 0;
}

bool set_add(struct set *s, uint64_t key)
{
	size_t i;

	if (key == 0)
		key = 1;
	if (s->n + 1 > s->cap / 2) {
		struct set bigger = { .cap = s->cap > 0 ? s->cap * 2 : 1024 };

		bigger.v = must(calloc(bigger.cap, sizeof *bigger.v));
		for (i = 0; i < s->cap; i++)
			if (s->v[i] != 0)
				bigger.v[place(&bigger, s->v[i])] = s->v[i];
		bigger.n = s->n;
		free(s->v);
		*s = bigger;
	}
	i = place(s, key);
	if (s->v[i] != 0)
		return false;
	s->v[i] = key;
	s->n++;
	return true;
}

void set_free(struct set *s)
{
	free(s->v);
	memset(s, 0, sizeof *s);
}
