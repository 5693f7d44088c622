/* SPDX-License-Identifier: GPL-3.0-or-later */
/* work.h - between the two halves of the worker: worker.c in the front, work.c after the fork. */
#ifndef DOMU_WORK_H
#define DOMU_WORK_H

#include "fence/fence.h"

#define DOMU_OP_END   "end" /* closes the tree, then the worker ends */
#define DOMU_OP_FLUSH "flush" /* what the filesystems hold of changes reaches the stage */
#define DOMU_OP_NODES "nodes" /* see nodes.h */

/* The status that a lean worker ends with when a disk is not for it. */
#define DOMU_WORK_LEAN 78

/* The child's whole life, from the fork on.  Does not return. */
_Noreturn void domu_work_main(const struct domu_worker_opts *opts, int sock, pid_t parent);
/* Fills m, an END: rc, status and message of ctx where rc is a failure. */
void domu_work_put_end(struct domu_msg *m, struct domu_ctx *ctx, int rc);
/* Reads what that puts; a failure goes into ctx and is returned in *rc.  -EBADMSG: nonsense. */
int domu_work_get_end(struct domu_msg *m, struct domu_ctx *ctx, int *rc);
/* Messages and progress of ctx go to sock; user must live as long as ctx. */
struct domu_work_say {
	int sock;
	double last; /* when progress was last sent */
	char what[64];
};
void domu_work_ctx(struct domu_ctx *ctx, struct domu_work_say *say, int sock);
/* In the front: a SAY or PROGRESS message of whoever is confined, to ctx's callbacks.  -EBADMSG: nonsense. */
int domu_work_heard(struct domu_ctx *ctx, struct domu_msg *m);

int domu_nodes_op(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);

/* What of a disk differs from it in the tree, and in the tree without the stage; NULL: there is no such layer. */
int domu_work_layers(struct domu_work *w, unsigned disk, struct domu_block **stage, struct domu_block **base);

#endif
