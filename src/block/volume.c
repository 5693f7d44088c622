/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* volume.c - where a logical volume in several pieces has its bytes, and the same as text between processes. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "block/block.h"

#define SECTOR 512u /* what the text counts in */

void domu_lv_map_free(struct domu_lv_map *m)
{
	if (m == NULL)
		return;
	free(m->pieces);
	free(m->legs);
	free(m);
}

uint64_t domu_lv_size(const struct domu_lv_map *m)
{
	const struct domu_lv_piece *last = &m->pieces[m->n_pieces - 1];

	return last->offset + last->len;
}

bool domu_lv_told(const struct domu_lv_map *m, size_t *legs)
{
	if (m->n_legs > DOMU_MAX_LEGS || m->n_legs > DOMU_MAX_LEGS_ALL - *legs)
		return false;
	*legs += m->n_legs;
	return true;
}

bool domu_lv_uses(const struct domu_lv_map *m, unsigned disk)
{
	for (size_t i = 0; i < m->n_legs; i++)
		if (m->legs[i].disk == disk)
			return true;
	return false;
}

void domu_lv_locate(const struct domu_lv_map *m, uint64_t offset, unsigned *disk, uint64_t *at, uint64_t *run)
{
	size_t lo = 0, hi = m->n_pieces;
	const struct domu_lv_piece *p;
	const struct domu_lv_leg *leg;
	uint64_t in;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->pieces[mid].offset <= offset)
			lo = mid;
		else
			hi = mid;
	}
	p = &m->pieces[lo];
	in = offset - p->offset;
	leg = &m->legs[p->first];
	*at = in;
	*run = p->len - in;
	if (p->legs > 1) {
		uint64_t chunk = in / p->stripe;

		leg += chunk % p->legs;
		*at = chunk / p->legs * p->stripe + in % p->stripe;
		*run = p->stripe - in % p->stripe;
	}
	*at += leg->at;
	*disk = leg->disk;
}

bool domu_lv_same(const struct domu_lv_map *a, const struct domu_lv_map *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->n_pieces != b->n_pieces || a->n_legs != b->n_legs)
		return false;
	for (size_t i = 0; i < a->n_pieces; i++)
		if (a->pieces[i].len != b->pieces[i].len || a->pieces[i].stripe != b->pieces[i].stripe ||
		    a->pieces[i].legs != b->pieces[i].legs)
			return false;
	for (size_t i = 0; i < a->n_legs; i++)
		if (a->legs[i].disk != b->legs[i].disk || a->legs[i].at != b->legs[i].at)
			return false;
	return true;
}

bool domu_lv_begins(const struct domu_lv_map *now, const struct domu_lv_map *then, const unsigned *disks)
{
	if (now->n_pieces < then->n_pieces)
		return false;
	for (size_t i = 0; i < then->n_pieces; i++) {
		const struct domu_lv_piece *p = &then->pieces[i], *q = &now->pieces[i];
		bool last = i + 1 == then->n_pieces;

		/* A piece that goes on has what it had where it was, striped or not. */
		if ((last ? q->len < p->len : q->len != p->len) || q->stripe != p->stripe || q->legs != p->legs)
			return false;
		for (unsigned k = 0; k < p->legs; k++) {
			const struct domu_lv_leg *a = &then->legs[p->first + k], *b = &now->legs[q->first + k];

			if (disks[a->disk] != b->disk || a->at != b->at)
				return false;
		}
	}
	return true;
}

/* ---- parts of disks ------------------------------------------------------------------ */

/* The part of its disk that leg k of a piece has. */
static struct domu_lv_part part_of(const struct domu_lv_map *m, const struct domu_lv_piece *p, unsigned k)
{
	const struct domu_lv_leg *leg = &m->legs[p->first + k];

	return (struct domu_lv_part){ .disk = leg->disk, .at = leg->at, .len = p->len / p->legs };
}

int domu_lv_part_order(const void *a, const void *b)
{
	const struct domu_lv_part *x = a, *y = b;

	if (x->disk != y->disk)
		return x->disk < y->disk ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

struct domu_lv_part *domu_lv_parts(const struct domu_lv_map *m)
{
	struct domu_lv_part *v = calloc(m->n_legs + 1, sizeof *v);
	size_t n = 0;

	for (size_t i = 0; v != NULL && i < m->n_pieces; i++)
		for (unsigned k = 0; k < m->pieces[i].legs; k++)
			v[n++] = part_of(m, &m->pieces[i], k);
	if (v != NULL)
		qsort(v, n, sizeof *v, domu_lv_part_order);
	return v;
}

int domu_lv_check(const struct domu_lv_map *m, const uint64_t *sizes, size_t n_disks)
{
	struct domu_lv_part *v = domu_lv_parts(m);
	int rc = v != NULL ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < m->n_legs; i++) {
		bool inside = v[i].disk < n_disks && domu_inside(v[i].at, v[i].len, sizes[v[i].disk]);
		bool apart = i == 0 || v[i - 1].disk != v[i].disk || v[i - 1].at + v[i - 1].len <= v[i].at;

		if (!inside || !apart)
			rc = inside ? -EEXIST : -ERANGE;
	}
	free(v);
	return rc;
}

/* ---- as text ---------------------------------------------------------------------------- */

char *domu_lv_format(const struct domu_lv_map *m)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return NULL;
	for (size_t i = 0; i < m->n_pieces; i++) {
		const struct domu_lv_piece *p = &m->pieces[i];

		fprintf(f, "%s%" PRIu64, i > 0 ? ";" : "", p->len / SECTOR);
		if (p->legs > 1)
			fprintf(f, "/%" PRIu64, p->stripe / SECTOR);
		for (unsigned k = 0; k < p->legs; k++)
			fprintf(f, "%c%u:%" PRIu64, k > 0 ? ',' : '@', m->legs[p->first + k].disk,
			        m->legs[p->first + k].at / SECTOR);
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Digits alone, up to a value that still is one in bytes. */
static bool number(const char **p, uint64_t *v)
{
	const char *from = *p;

	for (*v = 0; **p >= '0' && **p <= '9'; (*p)++)
		if (!domu_mul(*v, 10, v) || !domu_add(*v, (uint64_t)(**p - '0'), v))
			return false;
	return *p > from && *v <= INT64_MAX / SECTOR;
}

static bool taken(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool parse_leg(const char **p, struct domu_lv_leg *leg)
{
	uint64_t disk, at;

	if (!number(p, &disk) || disk >= DOMU_MAX_DISKS || !taken(p, ':') || !number(p, &at))
		return false;
	*leg = (struct domu_lv_leg){ .disk = (unsigned)disk, .at = at * SECTOR };
	return true;
}

/* LEN[/STRIPE]@DISK:AT[,DISK:AT...] */
static bool parse_piece(const char **p, struct domu_lv_map *m)
{
	struct domu_lv_piece *piece = &m->pieces[m->n_pieces];
	uint64_t len, stripe = 0;

	if (m->n_legs == DOMU_MAX_LEGS || !number(p, &len) || len == 0 || (taken(p, '/') && !number(p, &stripe)) ||
	    !taken(p, '@'))
		return false;
	*piece = (struct domu_lv_piece){ .len = len * SECTOR, .stripe = stripe * SECTOR, .first = (unsigned)m->n_legs };
	do {
		if (m->n_legs == DOMU_MAX_LEGS || !parse_leg(p, &m->legs[m->n_legs]))
			return false;
		m->n_legs++;
		piece->legs++;
	} while (taken(p, ','));
	if ((piece->legs > 1) != (stripe > 0) || (stripe > 0 && (len % stripe != 0 || len / stripe % piece->legs != 0)))
		return false;
	if (m->n_pieces > 0)
		piece->offset = piece[-1].offset + piece[-1].len;
	m->n_pieces++;
	return domu_lv_size(m) <= INT64_MAX;
}

int domu_lv_parse(const char *text, struct domu_lv_map **out)
{
	struct domu_lv_map *m = calloc(1, sizeof *m);
	bool good;

	*out = NULL;
	if (m == NULL)
		return -ENOMEM;
	m->pieces = calloc(DOMU_MAX_LEGS, sizeof *m->pieces);
	m->legs = calloc(DOMU_MAX_LEGS, sizeof *m->legs);
	if (m->pieces == NULL || m->legs == NULL) {
		domu_lv_map_free(m);
		return -ENOMEM;
	}
	do
		good = parse_piece(&text, m);
	while (good && taken(&text, ';'));
	if (!good || *text != '\0') {
		domu_lv_map_free(m);
		return -EINVAL;
	}
	*out = m;
	return 0;
}

/* ---- a place ------------------------------------------------------------------------------ */

bool domu_place_find(const struct domu_place *p, uint64_t offset, uint64_t len, unsigned *disk, uint64_t *at)
{
	uint64_t run;

	if (!domu_inside(offset, len, p->size))
		return false;
	*disk = p->disk;
	*at = p->offset + offset;
	if (p->map == NULL)
		return true;
	domu_lv_locate(p->map, offset, disk, at, &run);
	return len <= run;
}

const struct domu_lv_map *domu_place_map(const struct domu_place *p, struct domu_lv_one *one)
{
	if (p->map != NULL)
		return p->map;
	one->piece = (struct domu_lv_piece){ .len = p->size / SECTOR * SECTOR, .legs = 1 };
	one->leg = (struct domu_lv_leg){ .disk = p->disk, .at = p->offset };
	one->map = (struct domu_lv_map){ .pieces = &one->piece, .legs = &one->leg, .n_pieces = 1, .n_legs = 1 };
	return &one->map;
}
