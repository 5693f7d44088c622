/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nodes.h - a worker's list of what is on the guest's disks, checked before the front believes it. */
#ifndef DOMU_NODES_H
#define DOMU_NODES_H

#include "fence/fence.h"

enum domu_nodes_flags {
	/* Also root and mountpoint, where they can be told: reads fstab, and so may need a replay or the appliance. */
	DOMU_NODES_MOUNTS = 1 << 0,
};

struct domu_nodes_request {
	const char *use; /* as domu_work_tree(), or NULL */
	unsigned flags; /* enum domu_nodes_flags */
	const uint64_t *sizes; /* of the disks in bytes, by index */
	size_t n_disks;
};

/*
 * Asks w.  Every node lies inside its disk, follows its parent, is at most
 * DOMU_MAX_DEPTH deep, and there are at most DOMU_MAX_NODES; doors lie inside
 * their node.  Names and texts are still the guest's bytes.  out is freed
 * with domu_nodes_free(), and empty when it fails.
 */
int domu_nodes_request(struct domu_ctx *ctx, struct domu_worker *w, const struct domu_nodes_request *r,
                       const struct domu_worker_handlers *h, struct domu_nodes *out);
/* The checking half, for tests: m is at the reply's first value. */
int domu_nodes_decode(struct domu_msg *m, const uint64_t *sizes, size_t n_disks, struct domu_nodes *out);
void domu_nodes_encode(struct domu_msg *m, const struct domu_nodes *nodes);

#endif
