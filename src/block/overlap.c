/* SPDX-License-Identifier: GPL-3.0-or-later */
/* overlap.c - partitions and volumes that have the same bytes: what is written to one would be lost in the other. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/ctx.h"
#include "block/table.h"

struct part {
	size_t node;
	unsigned disk;
	uint64_t at, end; /* bytes */
};

struct parts {
	struct part *v;
	size_t n, cap;
};

static int add(struct parts *p, size_t node, unsigned disk, uint64_t at, uint64_t len)
{
	if (!DOMU_ARRAY_ROOM(p->v, p->cap, p->n + 1))
		return -ENOMEM;
	p->v[p->n++] = (struct part){ node, disk, at, at + len };
	return 0;
}

static int add_node(struct parts *p, const struct domu_nodes *nodes, size_t i)
{
	const struct domu_node *n = &nodes->v[i];
	struct domu_lv_part *v;
	int rc = 0;

	/* What is in an extended partition is looked at, and what is on a disk. */
	if (n->extended || n->kind == DOMU_NODE_DISK)
		return 0;
	if (!n->scattered)
		return add(p, i, n->disk, n->start, n->size);
	v = n->map != NULL ? domu_lv_parts(n->map) : NULL;
	if (v == NULL)
		return n->map != NULL ? -ENOMEM : 0;
	for (size_t k = 0; rc == 0 && k < n->map->n_legs; k++)
		rc = add(p, i, v[k].disk, v[k].at, v[k].len);
	free(v);
	return rc;
}

static int by_place(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->disk != y->disk)
		return x->disk < y->disk ? -1 : 1;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

static const char *disk_name(const struct domu_nodes *nodes, unsigned disk)
{
	for (size_t i = 0; i < nodes->n; i++)
		if (nodes->v[i].kind == DOMU_NODE_DISK && nodes->v[i].disk == disk)
			return nodes->v[i].name;
	return "the disk";
}

/* One is named with each: the first that was found. */
static int freeze(struct domu_nodes *nodes, const struct part *a, const struct part *b)
{
	uint64_t end = a->end < b->end ? a->end : b->end;
	const char *disk = disk_name(nodes, b->disk);
	const struct part *const both[] = { a, b };
	bool known = true;

	for (int i = 0; i < 2; i++) {
		struct domu_node *n = &nodes->v[both[i]->node];

		if (n->frozen == DOMU_FROZEN_OVERLAP)
			continue;
		known = false;
		n->frozen = DOMU_FROZEN_OVERLAP;
		snprintf(n->overlap, sizeof n->overlap,
		         "bytes %" PRIu64 " to %" PRIu64
		         " of %.31s are in %.63s too, and a change of one would damage the "
		         "other: it can only be read; copy out what matters, then mend the %s",
		         b->at, end - 1, disk, nodes->v[both[1 - i]->node].name,
		         n->kind == DOMU_NODE_LV && nodes->v[both[1 - i]->node].kind == DOMU_NODE_LV ? "volume group"
		                                                                                     : "table");
	}
	return known ? 0
	             : domu_nodes_problem(nodes,
	                                  "%s and %s overlap: bytes %" PRIu64 " to %" PRIu64
	                                  " of %s are in both, so that neither can be changed",
	                                  nodes->v[a->node].name, nodes->v[b->node].name, b->at, end - 1, disk);
}

/* In their order: each that begins before the end of what reaches furthest is in it. */
static int sweep(struct domu_nodes *nodes, struct parts *p)
{
	size_t furthest = 0;
	int rc = 0;

	if (p->n > 1)
		qsort(p->v, p->n, sizeof *p->v, by_place);
	for (size_t i = 1; rc == 0 && i < p->n; i++) {
		const struct part *a = &p->v[furthest], *b = &p->v[i];

		if (a->disk == b->disk && b->at < a->end && a->node != b->node)
			rc = freeze(nodes, a, b);
		if (a->disk != b->disk || b->end > a->end)
			furthest = i;
	}
	return rc;
}

int domu_overlap_partitions(struct domu_ctx *ctx, struct domu_nodes *nodes, size_t first)
{
	struct parts p = { 0 };
	int rc = 0;

	for (size_t i = first; rc == 0 && i < nodes->n; i++)
		rc = add_node(&p, nodes, i);
	if (rc == 0)
		rc = sweep(nodes, &p);
	free(p.v);
	return rc == -ENOMEM ? domu_nomem(ctx) : rc;
}

/* A part of a volume lies in one physical volume; another that reaches into it has its head or its volumes there. */
static int look_at_pvs(struct domu_nodes *nodes, const struct part *p, const size_t *pvs, size_t n_pvs)
{
	int own = nodes->v[p->node].parent, rc = 0;

	for (size_t k = 0; rc == 0 && k < n_pvs; k++) {
		const struct domu_node *pv = &nodes->v[pvs[k]];
		const struct part other = { pvs[k], pv->disk, pv->start, pv->start + pv->size };
		bool inside = pv->disk == p->disk && other.at <= p->at && other.end >= p->end;

		/* Of a volume on several its own may be any that it is wholly in, but only where no two overlap. */
		if (pv->disk != p->disk || other.at >= p->end || p->at >= other.end || (int)pvs[k] == own ||
		    (inside && pv->frozen != DOMU_FROZEN_OVERLAP))
			continue;
		rc = other.at <= p->at ? freeze(nodes, &other, p) : freeze(nodes, p, &other);
	}
	return rc;
}

int domu_overlap_volumes(struct domu_ctx *ctx, struct domu_nodes *nodes, const size_t *pvs, size_t n_pvs)
{
	struct parts p = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < nodes->n; i++) {
		bool is_pv = false;

		for (size_t k = 0; k < n_pvs; k++)
			is_pv = is_pv || pvs[k] == i;
		if (!is_pv)
			rc = add_node(&p, nodes, i);
	}
	for (size_t i = 0; rc == 0 && i < p.n; i++)
		if (nodes->v[p.v[i].node].kind == DOMU_NODE_LV)
			rc = look_at_pvs(nodes, &p.v[i], pvs, n_pvs);
	if (rc == 0)
		rc = sweep(nodes, &p);
	free(p.v);
	return rc == -ENOMEM ? domu_nomem(ctx) : rc;
}
