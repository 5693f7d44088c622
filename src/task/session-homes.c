/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-homes.c - where the filesystems lie that a commit changes: what its undo has to find again. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "task/session-impl.h"

static int make(struct domu_session *s, const struct domu_node *n, struct domu_home *h)
{
	const struct domu_place place = domu_node_place(n);
	struct domu_lv_one one;

	snprintf(h->name, sizeof h->name, "%s", n->name);
	snprintf(h->lv, sizeof h->lv, "%s", n->lvuuid);
	h->map = domu_lv_format(domu_place_map(&place, &one));
	return h->map != NULL ? 0 : domu_nomem(s->ctx);
}

int domu_session_homes(struct domu_session *s, const struct domu_nodes *nodes, struct domu_home **out, size_t *n_out)
{
	struct domu_home *v = calloc(DOMU_MAX_HOMES, sizeof *v);
	bool *touched = NULL, all = true;
	size_t n = 0;
	int rc = v == NULL ? domu_nomem(s->ctx) : domu_session_touched(s, nodes, &touched);

	for (size_t i = 0; rc == 0 && i < nodes->n; i++) {
		if (!touched[i] || !domu_node_is_leaf(nodes, i))
			continue;
		all = n < DOMU_MAX_HOMES;
		if (all)
			rc = make(s, &nodes->v[i], &v[n++]);
	}
	free(touched);
	/* Some would be taken for all. */
	if (rc != 0 || !all) {
		domu_homes_free(v, n);
		v = NULL;
		n = 0;
	}
	*out = v;
	*n_out = n;
	return rc;
}
