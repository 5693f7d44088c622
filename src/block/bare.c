/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bare.c - which disks of a commit no door keeps anybody off. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "block/commit-private.h"

/* Parts of disks that belong to filesystems that the commit closes. */
struct closed {
	struct domu_lv_part *v;
	size_t n, cap;
};

static bool has_its_door(const struct domu_seal *s, const struct domu_lv_part *parts, size_t n)
{
	for (size_t k = 0; k < s->n_doors; k++) {
		const struct domu_seal_door *d = &s->doors[k];

		for (size_t i = 0; i < n; i++)
			if (parts[i].disk == d->disk && parts[i].at <= d->offset &&
			    d->offset + d->size <= parts[i].at + parts[i].len)
				return true;
	}
	return false;
}

static int add_home(const struct domu_seal *s, const struct domu_home *h, struct closed *c)
{
	struct domu_lv_map *m = NULL;
	struct domu_lv_part *parts = NULL;
	int rc = domu_lv_parse(h->map, &m);

	if (rc == 0) {
		parts = domu_lv_parts(m);
		rc = parts == NULL ? -ENOMEM : 0;
	}
	if (rc == 0 && has_its_door(s, parts, m->n_legs)) {
		if (DOMU_ARRAY_ROOM(c->v, c->cap, c->n + m->n_legs)) {
			memcpy(c->v + c->n, parts, m->n_legs * sizeof *parts);
			c->n += m->n_legs;
		} else {
			rc = -ENOMEM;
		}
	}
	free(parts);
	domu_lv_map_free(m);
	return rc;
}

/* What touches becomes one. */
static void join(struct closed *c)
{
	size_t n = 0;

	if (c->n > 1)
		qsort(c->v, c->n, sizeof *c->v, domu_lv_part_order);
	for (size_t i = 0; i < c->n; i++) {
		struct domu_lv_part *last = n > 0 ? &c->v[n - 1] : NULL, *p = &c->v[i];

		if (last != NULL && last->disk == p->disk && p->at <= last->at + last->len) {
			if (p->at + p->len > last->at + last->len)
				last->len = p->at + p->len - last->at;
		} else {
			c->v[n++] = *p;
		}
	}
	c->n = n;
}

int domu_seal_find_covered(struct domu_ctx *ctx, struct domu_seal *s)
{
	const struct domu_commit_info *ci = &s->meta.info;
	struct closed c = { 0 };
	int rc = 0;

	for (unsigned i = 0; i < DOMU_MAX_DISKS; i++)
		s->covered[i] = true;
	for (size_t i = 0; i < ci->n_homes && rc == 0; i++)
		rc = add_home(s, &ci->homes[i], &c);
	join(&c);
	/* Both are in the order of the disks. */
	for (size_t i = 0, k = 0; i < s->n_units; i++) {
		const struct domu_seal_unit *u = &s->units[i];
		uint64_t at = u->unit * DOMU_UNIT, end = at + domu_unit_len(s->sizes[u->disk], u->unit);

		while (k < c.n && (c.v[k].disk < u->disk || (c.v[k].disk == u->disk && c.v[k].at + c.v[k].len < end)))
			k++;
		if (k == c.n || c.v[k].disk != u->disk || c.v[k].at > at)
			s->covered[u->disk] = false;
	}
	free(c.v);
	if (rc < 0)
		memset(s->covered, 0, sizeof s->covered);
	return rc == -ENOMEM ? domu_nomem(ctx) : 0;
}

bool domu_seal_is_bare(const struct domu_seal *s, unsigned disk)
{
	return !s->covered[disk] && !domu_seal_has_door(s, disk);
}
