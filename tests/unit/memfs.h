/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memfs.h - a filesystem in memory, for tests of what stands above drivers. */
#ifndef DOMU_TEST_MEMFS_H
#define DOMU_TEST_MEMFS_H

#include "fs/fs.h"

/* A new one with an empty root; the fs is closed as any other. */
struct domu_fs *memfs_new(struct domu_ctx *ctx);
/* A second handle of the same files: what a tree closes while the test keeps the first. */
struct domu_fs *memfs_share(struct domu_fs *fs, struct domu_ctx *ctx);
/* Make what a path of real names says; parents must exist.  They return the inode. */
uint64_t memfs_dir(struct domu_fs *fs, const char *path);
uint64_t memfs_file(struct domu_fs *fs, const char *path, const char *content);
uint64_t memfs_link(struct domu_fs *fs, const char *path, const char *target);
/* A damaged entry: any name, any inode. */
void memfs_raw_entry(struct domu_fs *fs, const char *dir, const char *name, uint64_t ino);
/* Directory ino is subvolume id (at most 7), 0: the default one; 5 is the root. */
void memfs_subvolume(struct domu_fs *fs, unsigned id, uint64_t ino);
/* Every call of an inode from now on fails with err. */
void memfs_break(struct domu_fs *fs, uint64_t ino, int err);

/*
 * A real disk of 1 MiB with an ext filesystem of that label, so that probing finds it: what a tree then opens is in
 * memory.  *fd is the caller's.
 */
struct domu_block *memfs_disk(struct domu_ctx *ctx, const char *vdev, const char *label, int *fd);
/* The hook "appliance" of a tree; user: an array of filesystems in memory, one a disk. */
int memfs_open(void *user, const struct domu_node *node, unsigned flags, struct domu_fs **fs);
/* The callback "message" of a context, for warnings: a line each; user: MEMFS_SAID bytes. */
#define MEMFS_SAID 4096
void memfs_say(void *user, enum domu_level level, const char *text);

#endif
