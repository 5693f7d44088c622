/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nodes.c - a worker's list of what is on the guest's disks, checked before the front believes it. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "fence/nodes.h"
#include "fence/work.h"

#define MAX_PROBLEMS 256
#define MAX_SECTOR   4096

/* ---- in the worker ---------------------------------------------------------- */

static void put_probe(struct domu_msg *m, const struct domu_probe *p)
{
	domu_msg_put_str(m, p->type);
	domu_msg_put_str(m, p->uuid);
	domu_msg_put_str(m, p->label);
	domu_msg_put_u64(m, p->size);
	domu_msg_put_u64(m, p->used);
	domu_msg_put_u64(m, p->block_size);
	domu_msg_put_u64(m, p->needs_replay);
	domu_msg_put_u64(m, p->closed);
	domu_msg_put_str(m, p->closed_by);
	domu_msg_put_u64(m, p->has_door);
	domu_msg_put_u64(m, p->door);
	domu_msg_put_str(m, p->features);
}

/* Where the pieces are; NULL: there are too many. */
static void put_map(struct domu_msg *m, const struct domu_lv_map *map, size_t *legs)
{
	bool told = map != NULL && domu_lv_told(map, legs);
	char *text = told ? domu_lv_format(map) : NULL;

	if (told && text == NULL)
		m->err = m->err != 0 ? m->err : -ENOMEM;
	domu_msg_put_str(m, text);
	free(text);
}

/* *legs: of the volumes that were put so far. */
static void put_node(struct domu_msg *m, const struct domu_node *n, size_t *legs)
{
	domu_msg_put_str(m, n->name);
	domu_msg_put_u64(m, (uint64_t)(int64_t)n->parent);
	domu_msg_put_u64(m, n->kind);
	domu_msg_put_u64(m, n->disk);
	domu_msg_put_u64(m, n->start);
	domu_msg_put_u64(m, n->size);
	domu_msg_put_u64(m, n->scattered);
	domu_msg_put_u64(m, n->frozen);
	domu_msg_put_str(m, n->overlap);
	put_map(m, n->map, legs);
	domu_msg_put_str(m, n->lvuuid);
	domu_msg_put_u64(m, n->partno);
	domu_msg_put_u64(m, n->extended);
	domu_msg_put_str(m, n->partuuid);
	domu_msg_put_str(m, n->parttype);
	domu_msg_put_str(m, n->partlabel);
	domu_msg_put_u64(m, n->root);
	domu_msg_put_str(m, n->mountpoint);
	put_probe(m, &n->probe);
}

static void put_problems(struct domu_msg *m, const struct domu_nodes *nodes)
{
	size_t problems = nodes->n_problems < MAX_PROBLEMS ? nodes->n_problems : MAX_PROBLEMS;

	domu_msg_put_u64(m, problems);
	for (size_t i = 0; i < problems; i++)
		domu_msg_put_str(m, nodes->problems[i]);
}

void domu_nodes_encode(struct domu_msg *m, const struct domu_nodes *nodes)
{
	size_t legs = 0;

	domu_msg_put_u64(m, nodes->n);
	for (size_t i = 0; i < nodes->n; i++)
		put_node(m, &nodes->v[i], &legs);
	put_problems(m, nodes);
}

/* The same with what the tree knows of mounts. */
static void put_nodes(struct domu_msg *m, const struct domu_nodes *nodes, size_t root, const struct domu_mount *v,
                      size_t n)
{
	size_t legs = 0;

	domu_msg_put_u64(m, nodes->n);
	for (size_t i = 0; i < nodes->n; i++) {
		struct domu_node node = nodes->v[i];

		node.root |= i == root;
		for (size_t j = 0; j < n; j++)
			if (v[j].node == i && node.mountpoint[0] == '\0')
				snprintf(node.mountpoint, sizeof node.mountpoint, "%s", v[j].target);
		put_node(m, &node, &legs);
	}
	put_problems(m, nodes);
}

int domu_nodes_op(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	const char *use = domu_msg_get_str(req);
	uint64_t flags = domu_msg_get_u64(req);
	const struct domu_mount *v = NULL;
	size_t n = 0, root = SIZE_MAX;
	struct domu_tree *t;
	int rc;

	if (req->err != 0)
		return req->err;
	rc = domu_work_tree(w, use, &t);
	if (rc != 0)
		return rc;
	/* A guest without a root that can be told is no failure: its nodes are still shown, none as the root. */
	if ((flags & DOMU_NODES_MOUNTS) != 0 && domu_tree_root(t, &root) != 0)
		root = SIZE_MAX;
	if (root != SIZE_MAX && domu_tree_mounts(t, &v, &n) != 0)
		n = 0;
	domu_error_clear(w->ctx);
	put_nodes(reply, domu_tree_nodes(t), root, v, n);
	return 0;
}

/* ---- in the front ----------------------------------------------------------- */

static void get_text(struct domu_msg *m, char *out, size_t size)
{
	const char *s = domu_msg_get_str(m);

	if (s == NULL || strlen(s) >= size)
		m->err = m->err != 0 ? m->err : -EBADMSG;
	else
		memcpy(out, s, strlen(s) + 1);
}

static uint64_t get_upto(struct domu_msg *m, uint64_t max)
{
	uint64_t v = domu_msg_get_u64(m);

	if (v > max)
		m->err = m->err != 0 ? m->err : -EBADMSG;
	return v > max ? 0 : v;
}

static void get_probe(struct domu_msg *m, uint64_t size, struct domu_probe *p)
{
	get_text(m, p->type, sizeof p->type);
	get_text(m, p->uuid, sizeof p->uuid);
	get_text(m, p->label, sizeof p->label);
	p->size = domu_msg_get_u64(m);
	p->used = domu_msg_get_u64(m);
	p->block_size = (uint32_t)get_upto(m, UINT32_MAX);
	p->needs_replay = get_upto(m, 1) != 0;
	p->closed = get_upto(m, 1) != 0;
	get_text(m, p->closed_by, sizeof p->closed_by);
	p->has_door = get_upto(m, 1) != 0;
	p->door = domu_msg_get_u64(m);
	get_text(m, p->features, sizeof p->features);
	if (p->has_door && (p->door % 512 != 0 || !domu_inside(p->door, MAX_SECTOR, size)))
		m->err = m->err != 0 ? m->err : -EBADMSG;
}

static bool is_child(const struct domu_nodes *nodes, const struct domu_node *n)
{
	unsigned depth = 1;

	if ((n->kind == DOMU_NODE_DISK) != (n->parent < 0))
		return false;
	for (int p = n->parent; p >= 0; p = nodes->v[p].parent)
		if (++depth > DOMU_MAX_DEPTH)
			return false;
	return true;
}

/*
 * Parents come before their children, so there are no cycles; how deep a node
 * is follows by counting.  What is in pieces lies in them: inside the disks,
 * apart, as long as it says, and it begins where it says.
 */
static bool placed(const struct domu_nodes *nodes, const struct domu_node *n, const uint64_t *sizes, size_t n_disks)
{
	if (n->disk >= n_disks || !is_child(nodes, n) || (n->scattered && n->kind != DOMU_NODE_LV) ||
	    (n->map != NULL && !n->scattered))
		return false;
	/* One whose pieces are not told is not written either: it would have no door. */
	if (n->scattered && n->map == NULL && n->frozen == DOMU_NOT_FROZEN)
		return false;
	if (n->map == NULL)
		return domu_inside(n->start, n->scattered ? 0 : n->size, sizes[n->disk]);
	return domu_lv_check(n->map, sizes, n_disks) == 0 && domu_lv_size(n->map) == n->size &&
	       n->map->legs[0].disk == n->disk && n->map->legs[0].at == n->start;
}

static void get_map(struct domu_msg *m, struct domu_lv_map **map)
{
	const char *text = domu_msg_get_str(m);
	int rc = m->err == 0 && text != NULL ? domu_lv_parse(text, map) : 0;

	if (rc != 0)
		m->err = rc == -ENOMEM ? rc : -EBADMSG;
}

static void get_node(struct domu_msg *m, struct domu_nodes *nodes, const uint64_t *sizes, size_t n_disks)
{
	struct domu_node *n = domu_nodes_add(nodes);
	int64_t parent;

	if (n == NULL) {
		m->err = -ENOMEM;
		return;
	}
	get_text(m, n->name, sizeof n->name);
	parent = (int64_t)domu_msg_get_u64(m);
	n->kind = (enum domu_node_kind)get_upto(m, DOMU_NODE_LV);
	n->disk = (unsigned)get_upto(m, DOMU_MAX_DISKS - 1);
	n->start = domu_msg_get_u64(m);
	n->size = domu_msg_get_u64(m);
	n->scattered = get_upto(m, 1) != 0;
	n->frozen = (enum domu_frozen)get_upto(m, DOMU_FROZEN_OVERLAP);
	get_text(m, n->overlap, sizeof n->overlap);
	get_map(m, &n->map);
	get_text(m, n->lvuuid, sizeof n->lvuuid);
	n->partno = (unsigned)get_upto(m, UINT32_MAX);
	n->extended = get_upto(m, 1) != 0;
	get_text(m, n->partuuid, sizeof n->partuuid);
	get_text(m, n->parttype, sizeof n->parttype);
	get_text(m, n->partlabel, sizeof n->partlabel);
	n->root = get_upto(m, 1) != 0;
	get_text(m, n->mountpoint, sizeof n->mountpoint);
	get_probe(m, n->size, &n->probe);
	if (m->err != 0)
		return;
	if (parent < -1 || parent >= (int64_t)nodes->n - 1) {
		m->err = -EBADMSG;
		return;
	}
	n->parent = (int)parent;
	if (!placed(nodes, n, sizes, n_disks))
		m->err = -EBADMSG;
}

int domu_nodes_decode(struct domu_msg *m, const uint64_t *sizes, size_t n_disks, struct domu_nodes *out)
{
	uint64_t n;
	int rc;

	memset(out, 0, sizeof *out);
	n = get_upto(m, DOMU_MAX_NODES);
	for (uint64_t i = 0; i < n && m->err == 0; i++)
		get_node(m, out, sizes, n_disks);
	n = get_upto(m, MAX_PROBLEMS);
	for (uint64_t i = 0; i < n && m->err == 0; i++) {
		const char *text = domu_msg_get_str(m);

		if (m->err == 0 && (rc = domu_nodes_problem(out, "%s", text != NULL ? text : "")) != 0)
			m->err = rc;
	}
	rc = m->err;
	if (rc != 0)
		domu_nodes_free(out);
	return rc;
}

int domu_nodes_request(struct domu_ctx *ctx, struct domu_worker *w, const struct domu_nodes_request *r,
                       const struct domu_worker_handlers *h, struct domu_nodes *out)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = DOMU_MSG_INIT(0);
	int rc;

	memset(out, 0, sizeof *out);
	domu_msg_put_str(&req, DOMU_OP_NODES);
	domu_msg_put_str(&req, r->use);
	domu_msg_put_u64(&req, r->flags);
	rc = domu_worker_call(w, &req, h, &reply);
	if (rc == 0) {
		rc = domu_nodes_decode(&reply, r->sizes, r->n_disks, out);
		if (rc != 0)
			domu_fail(ctx, DOMU_FAILED, rc, "the worker's list of partitions makes no sense: %s",
			          strerror(-rc));
	}
	domu_msg_free(&req);
	domu_msg_free(&reply);
	return rc;
}
