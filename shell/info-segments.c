/* SPDX-License-Identifier: GPL-3.0-or-later */
/* info-segments.c - info: where a logical volume lies, a line a piece. */
#include "config.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "shell/cmd.h"
#include "shell/info.h"

#define LINES 16u /* of one volume */
#define LEGS  3u /* on one line */

/* The physical volume that a leg lies in; SIZE_MAX: it is not known. */
static size_t find_pv(const struct domu_nodes *nodes, const struct domu_lv_leg *leg)
{
	for (size_t i = 0; i < nodes->n; i++) {
		const struct domu_node *n = &nodes->v[i];

		if (n->disk == leg->disk && strcmp(n->probe.type, "LVM2_member") == 0 && n->start <= leg->at &&
		    leg->at - n->start < n->size)
			return i;
	}
	return SIZE_MAX;
}

/* NULL: n is no volume, or more pieces than are told of. */
static const struct domu_lv_map *map_of(const struct domu_node *n, struct domu_lv_one *one)
{
	const struct domu_place place = domu_node_place(n);

	return n->kind == DOMU_NODE_LV && (n->map != NULL || !n->scattered) ? domu_place_map(&place, one) : NULL;
}

static struct json_object *leg_object(const struct domu_nodes *nodes, const struct domu_lv_leg *leg)
{
	struct json_object *o = json_object_new_object();
	size_t pv = find_pv(nodes, leg);

	json_object_object_add(o, "pv", pv != SIZE_MAX ? json_object_new_string(nodes->v[pv].name) : NULL);
	json_object_object_add(o, "start", json_object_new_uint64(leg->at));
	return o;
}

struct json_object *domu_info_segments(const struct domu_nodes *nodes, const struct domu_node *n)
{
	struct domu_lv_one one;
	const struct domu_lv_map *m = map_of(n, &one);
	struct json_object *list = m != NULL ? json_object_new_array() : NULL;

	for (size_t i = 0; list != NULL && i < m->n_pieces; i++) {
		const struct domu_lv_piece *p = &m->pieces[i];
		struct json_object *o = json_object_new_object(), *legs = json_object_new_array();

		json_object_object_add(o, "type", json_object_new_string(p->legs > 1 ? "striped" : "linear"));
		json_object_object_add(o, "offset", json_object_new_uint64(p->offset));
		json_object_object_add(o, "size", json_object_new_uint64(p->len));
		json_object_object_add(o, "stripe_size", p->legs > 1 ? json_object_new_uint64(p->stripe) : NULL);
		for (unsigned k = 0; k < p->legs; k++)
			json_object_array_add(legs, leg_object(nodes, &m->legs[p->first + k]));
		json_object_object_add(o, "legs", legs);
		json_object_array_add(list, o);
	}
	return list;
}

size_t domu_info_lines(const struct domu_node *n)
{
	struct domu_lv_one one;
	const struct domu_lv_map *m = map_of(n, &one);

	if (m == NULL || (m->n_pieces == 1 && m->pieces[0].legs == 1))
		return 0;
	return m->n_pieces > LINES ? LINES : m->n_pieces;
}

/* "xvda2 +13M": how far into the physical volume. */
static size_t leg_text(const struct domu_nodes *nodes, const struct domu_lv_leg *leg, char *out, size_t size)
{
	size_t pv = find_pv(nodes, leg);
	char at[DOMU_SIZE_TEXT];

	domu_size_format(leg->at - (pv != SIZE_MAX ? nodes->v[pv].start : 0), at);
	return (size_t)snprintf(out, size, "%s +%s", pv != SIZE_MAX ? nodes->v[pv].name : "?", at);
}

void domu_info_line(const struct domu_nodes *nodes, const struct domu_node *n, size_t i, struct domu_info_line *l)
{
	struct domu_lv_one one;
	const struct domu_lv_map *m = map_of(n, &one);
	const struct domu_lv_piece *p = &m->pieces[i];
	char stripe[DOMU_SIZE_TEXT];
	size_t at = 0;

	memset(l, 0, sizeof *l);
	if (i + 1 == LINES && m->n_pieces > LINES) {
		snprintf(l->where, sizeof l->where, "%zu more", m->n_pieces - i);
		snprintf(l->type, sizeof l->type, "see --json");
		l->size = n->size - p->offset;
		return;
	}
	for (unsigned k = 0; k < p->legs && k < LEGS; k++) {
		at += (size_t)snprintf(l->where + at, sizeof l->where - at, "%s", k > 0 ? ", " : "");
		at += leg_text(nodes, &m->legs[p->first + k], l->where + at, sizeof l->where - at);
	}
	if (p->legs > LEGS)
		snprintf(l->where + at, sizeof l->where - at, ", %u more", p->legs - LEGS);
	domu_size_format(p->stripe, stripe);
	snprintf(l->type, sizeof l->type, p->legs > 1 ? "striped %s" : "linear", stripe);
	l->size = p->len;
}
