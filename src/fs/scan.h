/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan.h - a whole filesystem in memory, small: what its driver read in the order of the disk. */
#ifndef DOMU_SCAN_H
#define DOMU_SCAN_H

#include "fs/fs.h"

#define DOMU_SCAN_BYTES (40u << 20) /* a larger one is read in parts */
#define DOMU_SCAN_LEAST 80 /* an inode takes at least that: tells before whether there is room */

struct domu_scan_tree;

/* -E2BIG: too large, -EOPNOTSUPP: the driver has no scan, or what went wrong.  Records nothing. */
int domu_scan_tree_open(struct domu_fs *fs, struct domu_scan_tree **s);
/*
 * A part of what is too large: the directories dirs, what is in them, and so on for at most depth levels and until
 * some limit bytes are full.  NULL: no memory.  Records nothing.
 */
struct domu_scan_tree *domu_scan_tree_batch(struct domu_fs *fs, const uint64_t *dirs, size_t n, unsigned depth,
                                            size_t limit);
/* Of a batch: it ended for another reason than that it is full: some block cannot be read. */
bool domu_scan_tree_failed(const struct domu_scan_tree *s);
size_t domu_scan_tree_bytes(const struct domu_scan_tree *s); /* 0 of NULL */
void domu_scan_tree_free(struct domu_scan_tree *s);

/* What a scan says of an inode beside its stat, as struct domu_scan_inode has it. */
struct domu_scan_more {
	bool xattrs;
	uint64_t first;
};

/* False: ask domu_fs_stat(); nothing was written. */
bool domu_scan_tree_stat(const struct domu_scan_tree *s, uint64_t ino, struct domu_stat *st,
                         struct domu_scan_more *more);

/*
 * The same in two steps, for what will be asked about soon, since inodes lie far from each other: where it is, or
 * DOMU_SCAN_NOT.
 */
#define DOMU_SCAN_NOT UINT32_MAX
uint32_t domu_scan_tree_expect(const struct domu_scan_tree *s, uint64_t ino);
void domu_scan_tree_stat_at(const struct domu_scan_tree *s, uint32_t at, uint64_t ino, struct domu_stat *st,
                            struct domu_scan_more *more);

/* The names of a directory, in no order; name lives as long as s.  -ENODATA: ask domu_fs_readdir(). */
typedef int (*domu_scan_name_fn)(void *user, const char *name, size_t len, uint64_t ino);
int domu_scan_tree_names(const struct domu_scan_tree *s, uint64_t dir, domu_scan_name_fn fn, void *user);

/* ---- which filesystems are scanned ---- */

/* Filesystems of more than most inodes are read in parts, which share that many bytes: for a test, small ones. */
void domu_scans_limit(struct domu_scans *s, uint64_t most, size_t parts);
/* The scan of mount's filesystem, made now where a walk of dir, depth levels down, seems worth it; NULL: none. */
const struct domu_scan_tree *domu_scans_get(struct domu_scans *s, unsigned mount, struct domu_fs *fs, uint64_t dir,
                                            unsigned depth);
/* A part of what is too large for that, from the directories dirs on, for domu_scans_part_free(); NULL: by name. */
struct domu_scan_tree *domu_scans_part(struct domu_scans *s, unsigned mount, struct domu_fs *fs, const uint64_t *dirs,
                                       size_t n, unsigned depth);
void domu_scans_part_free(struct domu_scans *s, struct domu_scan_tree *t);
void domu_scans_count(struct domu_scans *s, unsigned mount, size_t names); /* that were read by name */

#endif
