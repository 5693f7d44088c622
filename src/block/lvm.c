/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lvm.c - which logical volumes a guest has, and where they lie, by what its physical volumes say. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/num.h"
#include "block/lvm.h"

#define SECTOR     512u
#define MAX_PVS    64u
#define MAX_PIECES 65536u /* of one volume */
#define MAX_LEGS   128u /* of one piece, as lvm has it */
#define MAX_NAMED  1024u /* PVs in the text of a group: each leg is looked for among them */
#define DAMAGED    "its metadata is damaged"
#define MAX_TEXTS  (UINT64_C(24) << 20) /* bytes of all texts together */

/* A volume that something else rests on. */
struct origin {
	const char *name;
	bool merging;
};

struct reader {
	struct domu_ctx *ctx;
	struct domu_block *const *disks;
	size_t n_disks;
	struct domu_nodes *nodes;
	struct lvm_pv *pvs;
	size_t n;
	size_t legs; /* of the volumes that are told of, of all groups */
	/* The group being read. */
	const struct lvm_text *t;
	const char *vg; /* its name */
	size_t in, physical, volumes; /* its sections in the text; volumes 0: it has none */
	uint64_t extent; /* bytes */
	struct origin *origins;
	size_t n_origins, cap_origins;
};

/* ---- where a segment lies --------------------------------------------------------- */

/* "abcdef-ghij-..." of the text is the header's without the dashes. */
static bool same_id(const char *text, const char *id)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text == '-')
			continue;
		if (n == LVM_ID || *text != id[n])
			return false;
		n++;
	}
	return n == LVM_ID;
}

static const struct lvm_pv *find_pv(const struct reader *r, size_t section)
{
	const char *id = lvm_text_string(r->t, section, "id");

	for (size_t i = 0; id != NULL && i < r->n; i++)
		if (same_id(id, r->pvs[i].id))
			return &r->pvs[i];
	return NULL;
}

/* Extents of PV "pv0" as bytes on its disk.  Why not, or NULL. */
static const char *find_leg(const struct reader *r, const char *name, uint64_t extent, uint64_t len,
                            struct domu_lv_leg *leg, size_t *node)
{
	size_t section = lvm_text_find(r->t, r->physical, name, LVM_SECTION);
	const struct lvm_pv *pv = section != 0 ? find_pv(r, section) : NULL;
	uint64_t start, offset;

	/* A volume that is being moved lies on another volume meanwhile. */
	if (section == 0 && lvm_text_find(r->t, r->volumes, name, LVM_SECTION) != 0)
		return "it lies on another volume, as with a pvmove that has not ended";
	if (section == 0 || !lvm_text_number(r->t, section, "pe_start", &start))
		return DAMAGED;
	if (pv == NULL || lvm_text_lists(r->t, section, "flags", "MISSING"))
		return "a physical volume is missing (name every disk that has one)";
	if (pv->twice)
		return "two physical volumes have the same UUID";
	if (!domu_mul(start, SECTOR, &start) || !domu_mul(extent, r->extent, &offset) ||
	    !domu_add(start, offset, &offset) || !domu_inside(offset, len, pv->size))
		return "it goes beyond the end of a physical volume";
	leg->disk = pv->disk;
	leg->at = pv->start + offset;
	*node = pv->node;
	return NULL;
}

/* ---- one volume ---------------------------------------------------------------------- */

struct volume {
	struct domu_lv_map map;
	size_t cap_pieces, cap_legs; /* of map */
	size_t pv_node; /* of its first byte */
	uint64_t size;
	enum domu_frozen frozen;
};

/* Room for one more piece with that many legs. */
static int make_room(struct volume *v, unsigned legs)
{
	struct domu_lv_map *m = &v->map;

	return DOMU_ARRAY_ROOM(m->pieces, v->cap_pieces, m->n_pieces + 1) &&
	               DOMU_ARRAY_ROOM(m->legs, v->cap_legs, m->n_legs + legs)
	           ? 0
	           : -ENOMEM;
}

/* What follows the piece before on the same disk is one with it. */
static bool goes_on(const struct domu_lv_map *m, const struct domu_lv_leg *leg)
{
	const struct domu_lv_piece *p = m->n_pieces > 0 ? &m->pieces[m->n_pieces - 1] : NULL;

	return p != NULL && p->legs == 1 && m->legs[p->first].disk == leg->disk &&
	       m->legs[p->first].at + p->len == leg->at;
}

static const char *read_legs(const struct reader *r, size_t stripes, uint64_t each, unsigned legs, struct volume *v)
{
	size_t i = r->t->v[stripes].first;

	for (unsigned k = 0; k < legs; k++) {
		size_t number = i != 0 ? r->t->v[i].next : 0, node;
		const char *why;

		if (number == 0 || r->t->v[i].kind != LVM_STRING || r->t->v[number].kind != LVM_NUMBER)
			return DAMAGED;
		why =
		    find_leg(r, r->t->v[i].text, r->t->v[number].number, each, &v->map.legs[v->map.n_legs + k], &node);
		if (why != NULL)
			return why;
		if (v->size == 0 && k == 0)
			v->pv_node = node;
		i = r->t->v[number].next;
	}
	return i != 0 ? DAMAGED : NULL;
}

/* segmentN { start_extent extent_count type stripe_count stripe_size stripes }.  Why not, or NULL. */
static const char *read_segment(const struct reader *r, size_t seg, struct volume *v, int *rc)
{
	const char *type = lvm_text_string(r->t, seg, "type"), *why;
	size_t stripes = lvm_text_find(r->t, seg, "stripes", LVM_LIST);
	uint64_t start, count, legs, stripe = 0, len;
	struct domu_lv_map *m = &v->map;

	if (type != NULL && strcmp(type, "striped") != 0)
		return type;
	if (type == NULL || stripes == 0 || !lvm_text_number(r->t, seg, "start_extent", &start) ||
	    !lvm_text_number(r->t, seg, "extent_count", &count) || !lvm_text_number(r->t, seg, "stripe_count", &legs) ||
	    !domu_mul(start, r->extent, &start) || start != v->size || count == 0 ||
	    !domu_mul(count, r->extent, &len) || legs == 0 || legs > MAX_LEGS || m->n_pieces >= MAX_PIECES)
		return DAMAGED;
	if (legs > 1 && (!lvm_text_number(r->t, seg, "stripe_size", &stripe) || !domu_mul(stripe, SECTOR, &stripe) ||
	                 stripe == 0 || len % legs != 0 || len / legs % stripe != 0))
		return DAMAGED;
	*rc = make_room(v, (unsigned)legs);
	if (*rc != 0)
		return NULL;
	why = read_legs(r, stripes, len / legs, (unsigned)legs, v);
	if (why != NULL)
		return why;
	if (!domu_add(v->size, len, &v->size) || v->size > INT64_MAX)
		return DAMAGED;
	if (legs == 1 && goes_on(m, &m->legs[m->n_legs])) {
		m->pieces[m->n_pieces - 1].len += len;
		return NULL;
	}
	m->pieces[m->n_pieces++] = (struct domu_lv_piece){
		.offset = start, .len = len, .stripe = stripe, .legs = (unsigned)legs, .first = (unsigned)m->n_legs
	};
	m->n_legs += legs;
	return NULL;
}

/* lvm writes them in their order, and reads them so. */
static const char *read_segments(const struct reader *r, size_t lv, struct volume *v, int *rc)
{
	size_t seg = r->t->v[lv].first;
	uint64_t n;
	char name[32];

	if (!lvm_text_number(r->t, lv, "segment_count", &n) || n == 0 || n > MAX_PIECES)
		return DAMAGED;
	for (uint64_t i = 1; i <= n && *rc == 0; i++, seg = r->t->v[seg].next) {
		const char *why;

		snprintf(name, sizeof name, "segment%" PRIu64, i);
		while (seg != 0 && (r->t->v[seg].kind != LVM_SECTION || strcmp(r->t->v[seg].name, name) != 0))
			seg = r->t->v[seg].next;
		why = seg != 0 ? read_segment(r, seg, v, rc) : DAMAGED;
		if (why != NULL)
			return why;
	}
	return NULL;
}

/* ---- snapshots ------------------------------------------------------------------------- */

/* A snapshot keeps what its origin has lost since; what is written past LVM would be missing in it. */
static int note_origin(struct reader *r, size_t lv)
{
	size_t seg = lvm_text_find(r->t, lv, "segment1", LVM_SECTION);
	const char *type = seg != 0 ? lvm_text_string(r->t, seg, "type") : NULL, *name;

	name = type != NULL && strcmp(type, "snapshot") == 0 ? lvm_text_string(r->t, seg, "origin") : NULL;
	if (name == NULL)
		return 0;
	if (!DOMU_ARRAY_ROOM(r->origins, r->cap_origins, r->n_origins + 1))
		return -ENOMEM;
	r->origins[r->n_origins++] =
	    (struct origin){ .name = name, .merging = lvm_text_string(r->t, seg, "merging_store") != NULL };
	return 0;
}

static bool has_snapshot(const struct reader *r, const char *name, bool *merging)
{
	bool found = false;

	*merging = false;
	for (size_t i = 0; i < r->n_origins; i++)
		if (strcmp(r->origins[i].name, name) == 0) {
			found = true;
			*merging = *merging || r->origins[i].merging;
		}
	return found;
}

/* ---- nodes --------------------------------------------------------------------------------- */

/* One contiguous part of a disk is a node as a partition is; the rest needs its map. */
static int add_volume(struct reader *r, const char *name, size_t lv, struct volume *v)
{
	const char *id = lvm_text_string(r->t, lv, "id");
	struct domu_nodes *nodes = r->nodes;
	struct domu_lv_map *m = NULL;
	struct domu_node *n = domu_nodes_add(nodes);

	if (n == NULL)
		return nodes->n < DOMU_MAX_NODES ? -ENOMEM : 0;
	snprintf(n->name, sizeof n->name, "%s", name);
	n->kind = DOMU_NODE_LV;
	if (id != NULL && strlen(id) < sizeof n->lvuuid)
		snprintf(n->lvuuid, sizeof n->lvuuid, "%s", id);
	n->parent = (int)v->pv_node;
	n->disk = v->map.legs[0].disk;
	n->start = v->map.legs[0].at;
	n->size = v->size;
	n->scattered = v->map.n_pieces != 1 || v->map.pieces[0].legs != 1;
	n->frozen = v->frozen;
	if (!n->scattered)
		return 0;
	/* The front has to know where it lies, for its door and to check what was changed. */
	if (!domu_lv_told(&v->map, &r->legs) && n->frozen == DOMU_NOT_FROZEN)
		n->frozen = DOMU_FROZEN_PIECES;
	m = malloc(sizeof *m);
	if (m == NULL) {
		nodes->n--;
		return -ENOMEM;
	}
	*m = v->map;
	v->map = (struct domu_lv_map){ 0 };
	n->map = m;
	return 0;
}

static bool name_known(const struct reader *r, const char *name)
{
	for (size_t i = 0; i < r->nodes->n; i++)
		if (strcmp(r->nodes->v[i].name, name) == 0)
			return true;
	return false;
}

/* What a kernel would not have either: pieces on top of each other, or in the midst of a sector.  Why, or NULL. */
static const char *look_over(const struct reader *r, const struct domu_lv_map *m, int *rc)
{
	uint64_t sizes[DOMU_MAX_DISKS] = { 0 };
	uint32_t sector = SECTOR;
	bool even = true;

	for (unsigned i = 0; i < DOMU_MAX_DISKS && i < r->n_disks; i++) {
		sizes[i] = r->disks[i]->size;
		if (r->disks[i]->sector_size > sector && domu_lv_uses(m, i))
			sector = r->disks[i]->sector_size;
	}
	for (size_t i = 0; i < m->n_pieces; i++)
		even = even && m->pieces[i].len % sector == 0 && m->pieces[i].stripe % sector == 0;
	for (size_t i = 0; i < m->n_legs; i++)
		even = even && m->legs[i].at % sector == 0;
	if (!even)
		return "a piece of it begins or ends in the midst of a sector";
	*rc = domu_lv_check(m, sizes, DOMU_MAX_DISKS);
	if (*rc == -ENOMEM)
		return NULL;
	return *rc == 0 ? NULL : "two pieces of it are in one place";
}

/* why is a sentence, or the word that the group has for its type. */
static int refuse_volume(struct reader *r, const char *name, const char *why)
{
	bool type = strchr(why, ' ') == NULL;
	char *full = NULL, *text = NULL;
	int rc = -ENOMEM;

	if (asprintf(&full, "%s/%s", r->vg, name) < 0)
		full = NULL;
	if (asprintf(&text, "%s%s", type ? "a volume of type " : "", why) < 0)
		text = NULL;
	if (full != NULL && text != NULL)
		rc = domu_nodes_refuse(r->nodes, full, text,
		                       strcmp(why, DAMAGED) == 0 ? DOMU_REFUSED_DAMAGED : DOMU_REFUSED_TYPE);
	free(full);
	free(text);
	return rc;
}

static int read_volume(struct reader *r, size_t lv)
{
	struct volume v = { 0 };
	char name[sizeof r->nodes->v->name];
	const char *why = NULL;
	bool merging;
	int rc = 0;

	/* Parts of other volumes (a pool's data, a mirror's legs) are not shown by lvm either. */
	if (r->t->v[lv].kind != LVM_SECTION || !lvm_text_lists(r->t, lv, "status", "VISIBLE"))
		return 0;
	if (snprintf(name, sizeof name, "%s/%s", r->vg, r->t->v[lv].name) >= (int)sizeof name)
		why = "its name is too long";
	else if (name_known(r, name))
		why = "its name is there twice";
	else
		why = read_segments(r, lv, &v, &rc);
	if (why == NULL && rc == 0)
		why = look_over(r, &v.map, &rc);
	if (has_snapshot(r, r->t->v[lv].name, &merging))
		v.frozen = DOMU_FROZEN_SNAPSHOT;
	else if (!lvm_text_lists(r->t, lv, "status", "WRITE"))
		v.frozen = DOMU_FROZEN_GROUP;
	if (why == NULL && merging)
		why = "a snapshot is being merged into it";
	if (why != NULL)
		rc = refuse_volume(r, r->t->v[lv].name, why);
	else if (rc == 0)
		rc = add_volume(r, name, lv, &v);
	free(v.map.pieces);
	free(v.map.legs);
	return rc;
}

/* ---- groups ------------------------------------------------------------------------------ */

/* The group is the one section at the top; its name and id.  0: there is none. */
static size_t group_of(const struct lvm_text *t, const char **id)
{
	*id = NULL;
	if (t->n == 0)
		return 0;
	for (size_t i = t->v[0].first; i != 0; i = t->v[i].next)
		if (t->v[i].kind == LVM_SECTION && (*id = lvm_text_string(t, i, "id")) != NULL)
			return i;
	return 0;
}

/* Another PV tells of the same group, and later; of two that are alike the first counts. */
static bool superseded(const struct reader *r, size_t i)
{
	const struct lvm_pv *mine = &r->pvs[i];

	for (size_t k = 0; k < r->n; k++) {
		const struct lvm_pv *other = &r->pvs[k];

		if (other->group != 0 && strcmp(mine->vg_id, other->vg_id) == 0 &&
		    (other->seqno > mine->seqno || (k < i && other->seqno == mine->seqno)))
			return true;
	}
	return false;
}

/* Few enough for a guest. */
static bool too_many(const struct reader *r)
{
	unsigned n = 0;

	for (size_t i = r->t->v[r->physical].first; i != 0 && n <= MAX_NAMED; i = r->t->v[i].next)
		n++;
	return n > MAX_NAMED;
}

static int read_group(struct reader *r, size_t i)
{
	int rc = 0;

	r->t = &r->pvs[i].vg;
	r->in = r->pvs[i].group;
	if (r->in == 0 || superseded(r, i))
		return 0;
	r->vg = r->t->v[r->in].name;
	r->physical = lvm_text_find(r->t, r->in, "physical_volumes", LVM_SECTION);
	if (r->physical == 0 || !lvm_text_number(r->t, r->in, "extent_size", &r->extent) || r->extent == 0 ||
	    !domu_mul(r->extent, SECTOR, &r->extent) || too_many(r))
		return domu_nodes_problem(r->nodes, "the volume group %s: " DAMAGED, r->vg);
	/* A group without volumes has no such section. */
	r->volumes = lvm_text_find(r->t, r->in, "logical_volumes", LVM_SECTION);
	r->n_origins = 0;
	for (size_t lv = r->volumes != 0 ? r->t->v[r->volumes].first : 0; lv != 0 && rc == 0; lv = r->t->v[lv].next)
		rc = note_origin(r, lv);
	for (size_t lv = r->volumes != 0 ? r->t->v[r->volumes].first : 0; lv != 0 && rc == 0; lv = r->t->v[lv].next)
		rc = read_volume(r, lv);
	return rc;
}

static bool has_children(const struct domu_nodes *nodes, size_t node)
{
	for (size_t i = node + 1; i < nodes->n; i++)
		if (nodes->v[i].parent == (int)node)
			return true;
	return false;
}

/* Every disk without a table, every partition. */
static int find_pvs(struct reader *r)
{
	size_t n = r->nodes->n;
	uint64_t room = MAX_TEXTS;

	for (size_t i = 0; i < n && r->n < MAX_PVS; i++) {
		const struct domu_node *node = &r->nodes->v[i];
		struct lvm_pv *pv = &r->pvs[r->n];
		int rc;

		if (node->extended || node->disk >= r->n_disks || has_children(r->nodes, i))
			continue;
		*pv = (struct lvm_pv){ .node = i, .disk = node->disk, .start = node->start, .size = node->size };
		rc = lvm_label_read(r->ctx, r->disks[node->disk], r->nodes, pv, &room);
		if (rc < 0)
			return rc;
		pv->group = group_of(&pv->vg, &pv->vg_id);
		if (pv->group != 0)
			lvm_text_number(&pv->vg, pv->group, "seqno", &pv->seqno);
		for (size_t k = 0; rc == 1 && k < r->n; k++)
			if (strcmp(r->pvs[k].id, pv->id) == 0)
				r->pvs[k].twice = pv->twice = true;
		r->n += rc == 1;
	}
	return 0;
}

int domu_lvm_read(struct domu_ctx *ctx, struct domu_block *const *disks, size_t n_disks, struct domu_nodes *nodes)
{
	struct reader r = { .ctx = ctx, .disks = disks, .n_disks = n_disks, .nodes = nodes };
	size_t pvs[MAX_PVS];
	int rc;

	r.pvs = calloc(MAX_PVS, sizeof *r.pvs);
	if (r.pvs == NULL)
		return domu_nomem(ctx);
	rc = find_pvs(&r);
	for (size_t i = 0; i < r.n && rc == 0; i++)
		rc = read_group(&r, i);
	for (size_t i = 0; i < r.n; i++)
		pvs[i] = r.pvs[i].node;
	if (rc == 0 && r.n > 0)
		rc = domu_overlap_volumes(ctx, nodes, pvs, r.n);
	else if (rc == -ENOMEM)
		rc = domu_nomem(ctx);
	for (size_t i = 0; i < MAX_PVS; i++)
		lvm_text_free(&r.pvs[i].vg);
	free(r.origins);
	free(r.pvs);
	return rc;
}
