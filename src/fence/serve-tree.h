/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve-tree.h - what the files that answer the kernel for a guest's tree share; nobody else looks inside. */
#ifndef DOMU_SERVE_TREE_H
#define DOMU_SERVE_TREE_H

#include "fence/fence.h"
#include "fence/lib-fuse.h"

#define DOMU_TREE_IO (1u << 20) /* bytes in one request of the kernel */

/*
 * Most inodes need no memory here: the number that the kernel is given is
 * made of mount and inode.  Only of directories and links it is kept in which
 * directory they are, and of files that are open what becomes of them.
 */
struct serve_node {
	struct serve_node *next;
	fuse_ino_t id, parent;
	uint64_t lookups; /* that the kernel has not forgotten */
	uint32_t opens;
	bool several; /* it was met in more than one directory */
	char *hidden; /* was removed while open: its name in parent until the last close */
};

struct serve {
	struct domu_ctx *ctx;
	struct domu_tree *tree;
	const struct domu_mount *mounts;
	size_t n_mounts;
	struct fuse_session *session;
	struct fuse_buf request;
	char *buf; /* DOMU_TREE_IO */
	int fuse_fd, stop_fd;
	bool writable, raw_links;
	bool binds; /* one inode may have two numbers here */
	const char *dir; /* where it is mounted in this machine */
	struct serve_node **nodes;
	size_t n_nodes, n_buckets;
	size_t listed; /* bytes of directories that are open */
	unsigned said; /* messages about what is damaged */
	unsigned hidden; /* names given */
};

/* An inode as drivers know it. */
struct serve_place {
	struct domu_fs *fs;
	unsigned mount;
	uint64_t ino;
};

/* ---- serve-node.c ---- */
int serve_find(struct serve *s, fuse_ino_t id, struct serve_place *p);
fuse_ino_t serve_id(const struct serve *s, const struct serve_place *p);
/* 0 is what it may be, too: there is no memory for it. */
struct serve_node *serve_node_get(struct serve *s, fuse_ino_t id, bool make);
void serve_node_drop(struct serve *s, struct serve_node *n); /* when nothing refers to it any more */
void serve_nodes_free(struct serve *s);
/* How many directories lie above what is in directory id; -1: that is not known. */
int serve_depth(struct serve *s, fuse_ino_t id);
/* The absolute path in the guest of name in directory id. */
int serve_path(struct serve *s, fuse_ino_t id, const char *name, char *out, size_t size);
/* A link's target as it has to look on this machine so that it stays inside: see the comment there. */
int serve_link(struct serve *s, fuse_ino_t id, const char *target, char *out, size_t size);

/* ---- serve-tree.c ---- */
/* Answers a request that failed; what is damaged is also said. */
void serve_fail(struct serve *s, fuse_req_t req, int rc);
/* Ends getattr and setattr: rc, or what the inode at p is now. */
void serve_reply_attr(struct serve *s, fuse_req_t req, const struct serve_place *p, int rc);
/* What name in a directory is, counted as looked up once; e->ino 0: it cannot be looked at. */
int serve_entry(struct serve *s, fuse_ino_t parent, const struct serve_place *dir, const char *name,
                struct fuse_entry_param *e);
/* It was met in, or moved to, that directory. */
void serve_moved(struct serve *s, struct serve_node *n, fuse_ino_t parent);
void serve_forget(struct serve *s, fuse_ino_t id, uint64_t n);
double serve_ttl(const struct serve *s);

/* ---- serve-read.c and serve-write.c fill their part ---- */
void serve_read_ops(struct fuse_lowlevel_ops *ops);
void serve_write_ops(struct fuse_lowlevel_ops *ops);
void serve_closed(struct serve *s, fuse_ino_t id); /* a file was closed for the last time by somebody */
void serve_write_end(struct serve *s); /* removes what was removed while it was open */

#endif
