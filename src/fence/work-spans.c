/* SPDX-License-Identifier: GPL-3.0-or-later */
/* work-spans.c - which parts of a filesystem's place may differ between the tree with the stage and without. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "fence/work.h"

struct spans {
	struct domu_span *v;
	size_t n, room;
};

/* The units of one disk. */
struct units {
	uint64_t *v;
	size_t n;
};

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int by_offset(const void *a, const void *b)
{
	return by_number(&((const struct domu_span *)a)->offset, &((const struct domu_span *)b)->offset);
}

/* The units of both layers, ascending; some twice. */
static int both_units(struct domu_work *work, unsigned disk, struct units *u)
{
	struct domu_block *stage, *base;
	uint64_t *a = NULL, *b = NULL, *all;
	size_t n_a = 0, n_b = 0;
	int rc = domu_work_layers(work, disk, &stage, &base);

	if (rc == 0 && stage != NULL)
		rc = domu_overlay_units(stage, &a, &n_a);
	if (rc == 0 && base != NULL)
		rc = domu_overlay_units(base, &b, &n_b);
	all = rc == 0 ? realloc(a, (n_a + n_b + 1) * sizeof *a) : NULL;
	if (all == NULL) {
		free(a);
		free(b);
		return rc != 0 ? rc : -ENOMEM;
	}
	if (n_b > 0)
		memcpy(all + n_a, b, n_b * sizeof *b);
	free(b);
	u->v = all;
	u->n = n_a + n_b;
	qsort(all, u->n, sizeof *all, by_number);
	return 0;
}

static int add(struct spans *s, uint64_t offset, uint64_t len)
{
	if (s->n > 0) {
		struct domu_span *last = &s->v[s->n - 1];

		if (offset >= last->offset && offset <= last->offset + last->len) {
			if (offset + len > last->offset + last->len)
				last->len = offset + len - last->offset;
			return 0;
		}
	}
	if (!DOMU_ARRAY_ROOM(s->v, s->room, s->n + 1))
		return -ENOMEM;
	s->v[s->n++] = (struct domu_span){ .offset = offset, .len = len };
	return 0;
}

/* Leg k of a piece, of which [from, to) on the disk may differ: stripe by stripe where it has some. */
static int add_leg(struct spans *s, const struct domu_lv_piece *p, unsigned k, uint64_t from, uint64_t to)
{
	int rc = 0;

	while (rc == 0 && from < to) {
		uint64_t stripe = p->legs > 1 ? p->stripe : p->len, end = (from / stripe + 1) * stripe;
		uint64_t run = (end < to ? end : to) - from;

		rc = add(s, p->offset + (from / stripe * p->legs + k) * stripe + from % stripe, run);
		from += run;
	}
	return rc;
}

/* What of a part of the disk is in its units. */
static int add_part(struct spans *s, const struct units *u, const struct domu_lv_piece *p, unsigned k, uint64_t at)
{
	uint64_t len = p->len / p->legs;
	size_t lo = 0, hi = u->n;
	int rc = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if ((u->v[mid] + 1) * DOMU_UNIT <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; rc == 0 && lo < u->n && u->v[lo] * DOMU_UNIT < at + len; lo++) {
		uint64_t from = u->v[lo] * DOMU_UNIT, to = from + DOMU_UNIT;

		from = from > at ? from - at : 0;
		to = to - at < len ? to - at : len;
		rc = add_leg(s, p, k, from, to);
	}
	return rc;
}

static void merge(struct spans *s)
{
	size_t k = 0;

	if (s->n > 1)
		qsort(s->v, s->n, sizeof *s->v, by_offset);
	for (size_t i = 0; i < s->n; i++) {
		uint64_t end = s->v[i].offset + s->v[i].len;

		if (k == 0 || s->v[i].offset > s->v[k - 1].offset + s->v[k - 1].len)
			s->v[k++] = s->v[i];
		else if (end > s->v[k - 1].offset + s->v[k - 1].len)
			s->v[k - 1].len = end - s->v[k - 1].offset;
	}
	s->n = k;
}

static int add_volume(struct spans *s, const struct units u[DOMU_MAX_DISKS], const struct domu_lv_map *m)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < m->n_pieces; i++)
		for (unsigned k = 0; rc == 0 && k < m->pieces[i].legs; k++) {
			const struct domu_lv_leg *leg = &m->legs[m->pieces[i].first + k];

			rc = add_part(s, &u[leg->disk], &m->pieces[i], k, leg->at);
		}
	return rc;
}

int domu_work_spans(struct domu_work *work, const struct domu_place *p, struct domu_span **out, size_t *n_out)
{
	const struct domu_lv_piece whole = { .len = p->size, .legs = 1 };
	struct units u[DOMU_MAX_DISKS] = { { 0 } };
	struct spans s = { 0 };
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < DOMU_MAX_DISKS; i++)
		if (p->map != NULL ? domu_lv_uses(p->map, i) : i == p->disk)
			rc = both_units(work, i, &u[i]);
	if (rc == 0)
		rc = p->map != NULL ? add_volume(&s, u, p->map) : add_part(&s, &u[p->disk], &whole, 0, p->offset);
	for (unsigned i = 0; i < DOMU_MAX_DISKS; i++)
		free(u[i].v);
	merge(&s);
	/* The caller has something to free also where nothing differs. */
	if (rc == 0 && s.v == NULL && (s.v = calloc(1, sizeof *s.v)) == NULL)
		rc = -ENOMEM;
	if (rc != 0) {
		free(s.v);
		s = (struct spans){ 0 };
	}
	*out = s.v;
	*n_out = s.n;
	return rc == -ENOMEM ? domu_nomem(work->ctx) : rc;
}
