/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tree.h - what the files of the fs room know of a tree; nobody else looks inside. */
#ifndef DOMU_TREE_H
#define DOMU_TREE_H

#include "fs/fs.h"

/* What was done with a node so far: probing and opening happen at first need. */
struct tree_node {
	struct domu_block *block; /* the disk itself or a slice of it */
	bool block_owned;
	bool asked_drivers, asked_blkid;
	const struct domu_fs_ops *driver; /* NULL: none claims it */
	struct domu_fs *fs;
	uint64_t start; /* the directory that is its root, unless all of it is to be seen; 0: not looked for */
	bool told; /* start is what the config says, by rootflags= */
};

/* Where a mount hangs in the tree: known once the mount above it was entered. */
struct tree_mount {
	unsigned above; /* the mount with the longest target that begins this one's */
	bool entered; /* what is mounted below it was placed */
	bool placed;
	unsigned at_mount; /* with placed: the directory it covers */
	uint64_t at_ino;
	uint64_t root_ino; /* the directory that it shows; 0: not looked up, or the filesystem's root */
};

struct domu_tree {
	struct domu_ctx *ctx;
	struct domu_block **disks; /* the caller's */
	size_t n_disks;
	struct domu_tree_opts opts; /* its strings are the tree's own */
	struct domu_tree_hooks hooks;
	struct domu_nodes nodes;
	struct tree_node *state; /* one a node */
	bool root_known;
	size_t root;
	bool mounts_known;
	struct domu_mount *mounts; /* [0] is the root */
	struct tree_mount *places; /* one a mount */
	bool root_moved; /* fstab says that / is another subvolume: it is read there */
	size_t n_mounts;
	bool labels_known;
	struct domu_labels *labels; /* NULL: the guest does not use SELinux */
};

/* The drivers alone are asked: no library that looks for every format there is. */
const struct domu_fs_ops *domu_probe_drivers(struct domu_block *b, struct domu_probe *probe);
bool domu_driver_is_here(const struct domu_fs_ops *ops); /* it is called in this process, not in the appliance's */

/* Probes a node: cheaply (drivers), or whatever it is. */
int domu_tree_probe(struct domu_tree *t, size_t node, bool whole);
bool domu_tree_has_partitions(const struct domu_tree *t, size_t node);
/* After probing: a filesystem, as opposed to swap, a volume, a table, nothing. */
bool domu_tree_is_fs(const struct domu_tree *t, size_t node);
const char *domu_tree_guest(const struct domu_tree *t);

/* Fails where that volume (NULL: any) is there and cannot be opened, saying why; 0: it is not. */
int domu_tree_refused(struct domu_tree *t, const char *dev);
/* Like domu_tree_find(), without a failure recorded: -ENOENT, -ENOTUNIQ. */
int domu_tree_find_quietly(struct domu_tree *t, const char *dev, size_t *node);

/* Does the directory that is the node's root at the moment (start) hold what the contract calls a root? */
bool domu_tree_looks_like_root(struct domu_tree *t, size_t node);
/* Opens a node and finds the directory that is its root: of btrfs the default subvolume, or one that holds a root. */
int domu_tree_start(struct domu_tree *t, size_t node);
/* What mounting fs with subvol=path, or subvolid=id, shows; neither: what it shows by default.  Nothing is recorded. */
int domu_subvol_find(struct domu_fs *fs, const char *path, uint64_t id, uint64_t *ino);
/* subvol= and subvolid= of mount options, which are cut at the path's end; path NULL, id 0: not given. */
void domu_subvol_options(char *options, char **path, uint64_t *id);
/* The config's rootflags= name a subvolume that is no root of this guest's. */
void domu_subvol_warn(struct domu_tree *t);

/* A walk over given mounts: those of the tree, or only one filesystem while the root is looked for. */
int domu_walk_in(struct domu_tree *t, size_t root_node, bool mounts, const char *cwd, const char *path, unsigned flags,
                 struct domu_path *out);
/* The mount that covers directory ino of mount m, or 0: none. */
unsigned domu_mount_over(struct domu_tree *t, unsigned m, uint64_t ino);
/* Opens mount m's filesystem and places what is mounted below it. */
int domu_mount_enter(struct domu_tree *t, unsigned m, struct domu_fs **fs);

#endif
