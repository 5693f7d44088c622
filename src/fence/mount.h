/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mount.h - a guest's whole tree as a FUSE mount: made by the front, answered by the worker. */
#ifndef DOMU_MOUNT_H
#define DOMU_MOUNT_H

#include "fence/fence.h"

/* ---- the front's side: mount.c --------------------------------------------- */

struct domu_mountpoint;
struct domu_mountpoint_opts {
	const char *dir;
	const char *source; /* what mount(8) shows: the guest's name */
	bool writable;
	bool others; /* not root alone: whoever the guest's own modes let in */
	bool raw_links; /* links as the guest has them, so that none may be followed */
};

/* Loads what the worker needs for it: before a worker is started. */
int domu_mountpoint_load(struct domu_ctx *ctx);
/* Can dir be mounted on?  Nothing is changed.  path: the directory, resolved; the caller frees. */
int domu_mountpoint_check(struct domu_ctx *ctx, const char *dir, char **path);
int domu_mountpoint_make(struct domu_ctx *ctx, const struct domu_mountpoint_opts *opts, struct domu_mountpoint **m);
/* Fills a request that makes the worker answer the mount until it is over; DOMU_OP_EXPORT_OPEN comes before. */
void domu_mountpoint_request(const struct domu_mountpoint *m, struct domu_msg *req);
/* Unmounts, and the worker ends its request.  -EBUSY: somebody uses it. */
int domu_mountpoint_leave(struct domu_mountpoint *m);
/* Unmounts whoever uses it: for them it fails from now on. */
void domu_mountpoint_cut(struct domu_mountpoint *m);
/* Who uses it, for a message: "bash (process 123)"; "" when nobody is found. */
void domu_mountpoint_holder(const struct domu_mountpoint *m, char *text, size_t size);
/* Cuts it where it is still there. */
void domu_mountpoint_free(struct domu_mountpoint *m);

/* ---- the worker's side: serve-tree*.c ---------------------------------------- */

/* str use or NULL: opens every filesystem of the guest's tree. */
#define DOMU_OP_EXPORT_OPEN "export-open"
int domu_op_export_open(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);
/* Answers the kernel until the mount is gone, or the front closes the other descriptor. */
#define DOMU_OP_EXPORT "export"
int domu_op_export(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);

#endif
