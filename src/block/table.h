/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table.h - what is on a disk: partitions by libfdisk, content by libblkid. */
#ifndef DOMU_TABLE_H
#define DOMU_TABLE_H

#include "block/block.h"

enum domu_node_kind { DOMU_NODE_DISK, DOMU_NODE_PARTITION, DOMU_NODE_LV };

#define DOMU_MAX_NODES 4096
#define DOMU_MAX_DEPTH 4

/* Why an LV, or with the last anything, can only be read. */
enum domu_frozen {
	DOMU_NOT_FROZEN,
	DOMU_FROZEN_SNAPSHOT,
	DOMU_FROZEN_GROUP,
	DOMU_FROZEN_PIECES,
	DOMU_FROZEN_OVERLAP,
};

struct domu_node {
	char name[64]; /* xvda, xvda1, vg/lv */
	int parent; /* index, -1: none */
	enum domu_node_kind kind;
	unsigned disk; /* index of the disk it lies on */
	uint64_t start; /* bytes from the start of the disk */
	uint64_t size; /* bytes */
	/*
	 * An LV that is not one part of one disk: disk and start are those of its
	 * first byte.
	 */
	bool scattered;
	enum domu_frozen frozen;
	char overlap[288]; /* with DOMU_FROZEN_OVERLAP: which bytes are in what else */
	struct domu_lv_map *map; /* with scattered; the nodes' own.  NULL: it has more pieces than are told of */
	char lvuuid[40]; /* of an LV, as lvm writes it, or "" */
	unsigned partno; /* 0: not a partition */
	bool extended; /* an MBR extended partition: holds others, no content */
	char partuuid[40];
	char parttype[40]; /* GPT type GUID or 0x83 */
	char partlabel[112]; /* GPT name, UTF-8, or "" */
	struct domu_probe probe;
	bool root; /* the guest's root filesystem, where that can be told */
	char mountpoint[256]; /* where the guest's fstab mounts it, or "" */
};

/* A volume or partition that there is and that cannot be opened. */
enum domu_refusal {
	DOMU_REFUSED_TYPE, /* it is not known how, and the guest may know */
	DOMU_REFUSED_DAMAGED,
	DOMU_REFUSED_BEYOND, /* it is not all on the disk */
};

struct domu_refused {
	char name[64];
	char *why; /* a sentence; it is among the problems too */
	enum domu_refusal kind;
};

struct domu_nodes {
	struct domu_node *v;
	size_t n;
	struct domu_refused *refused; /* only where they were read, not where they were sent */
	size_t n_refused;
	char **problems; /* what is wrong with tables: one line each, for a warning */
	size_t n_problems;
};

void domu_nodes_free(struct domu_nodes *nodes);
/* NULL: it can be changed; else why not, and what could: "a volume that ...".  As long as the node lives. */
const char *domu_node_frozen(const struct domu_node *n);
struct domu_place domu_node_place(const struct domu_node *n); /* as long as the nodes live */
/* It may hold a filesystem: nothing else is made of it. */
bool domu_node_is_leaf(const struct domu_nodes *nodes, size_t i);
struct domu_node *domu_nodes_add(struct domu_nodes *nodes); /* zeroed, parent -1; NULL: no memory or too many */
int domu_nodes_refuse(struct domu_nodes *nodes, const char *name, const char *why, enum domu_refusal kind);
int domu_nodes_problem(struct domu_nodes *nodes, const char *fmt, ...) DOMU_PRINTF(2, 3);

/*
 * Adds the disk b (vdev, disk index) and its partitions.  A table that
 * overlaps itself, loops, or runs past the end gives problems, and only
 * partitions that lie inside the disk.  Reads through b (the stage's view),
 * never a file of its own.  Does not probe filesystems.
 */
int domu_table_read(struct domu_ctx *ctx, struct domu_block *b, const char *vdev, unsigned disk,
                    struct domu_nodes *nodes);

/*
 * What has bytes of something else is frozen, and named with it among the
 * problems: partitions of one disk, from node first on; then volumes, with
 * each other, with partitions and with other physical volumes than theirs.
 */
int domu_overlap_partitions(struct domu_ctx *ctx, struct domu_nodes *nodes, size_t first);
int domu_overlap_volumes(struct domu_ctx *ctx, struct domu_nodes *nodes, const size_t *pvs, size_t n_pvs);

/*
 * Makes partition partno size bytes long (never shorter), with the extended
 * partition that holds it where it is logical, and puts a GPT's backup at the
 * disk's end.  Written to b.  Nothing else in the table changes.
 */
int domu_table_grow(struct domu_ctx *ctx, struct domu_block *b, unsigned partno, uint64_t size);

/* Content by libblkid, for what no driver claims: type, uuid, label.  "empty" where nothing is, else "unknown". */
int domu_blkid_probe(struct domu_block *b, struct domu_probe *probe);

/*
 * The libraries that the functions above need, which load them themselves.
 * A process whose fence is closed cannot: it gets -ELIBACC, with nothing
 * recorded.  So they are loaded before, unless domu_table_maybe() is false
 * of every disk and a driver claims each.
 */
int domu_table_libs(struct domu_ctx *ctx);
bool domu_table_maybe(struct domu_block *b); /* it ends its first sector as a disk with a table does */

/* The table type of a disk: "gpt", "dos", or "" */
int domu_table_type(struct domu_block *b, char type[16]);

#endif
