/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan.h - a whole filesystem in memory, small: what its driver read in the order of the disk. */
#ifndef DOMU_SCAN_H
#define DOMU_SCAN_H

#include "fs/fs.h"

#define DOMU_SCAN_BYTES (40u << 20) /* a larger one is walked by name */

struct domu_scan_tree;

/* -E2BIG: too large, -EOPNOTSUPP: the driver has no scan, or what went wrong.  Records nothing. */
int domu_scan_tree_open(struct domu_fs *fs, struct domu_scan_tree **s);
void domu_scan_tree_free(struct domu_scan_tree *s);

/* What a scan says of an inode beside its stat, as struct domu_scan_inode has it. */
struct domu_scan_more {
	bool xattrs;
	uint64_t first;
};

/* False: ask domu_fs_stat(); nothing was written. */
bool domu_scan_tree_stat(const struct domu_scan_tree *s, uint64_t ino, struct domu_stat *st,
                         struct domu_scan_more *more);

/* What it will be asked about soon: inodes lie far from each other. */
void domu_scan_tree_expect(const struct domu_scan_tree *s, uint64_t ino);

/* The names of a directory, in no order; name lives as long as s.  -ENODATA: ask domu_fs_readdir(). */
typedef int (*domu_scan_name_fn)(void *user, const char *name, size_t len, uint64_t ino);
int domu_scan_tree_names(const struct domu_scan_tree *s, uint64_t dir, domu_scan_name_fn fn, void *user);

/* ---- which filesystems are scanned ---- */

/* The scan of mount's filesystem, made now where a walk of dir, depth levels down, seems worth it; NULL: by name. */
const struct domu_scan_tree *domu_scans_get(struct domu_scans *s, unsigned mount, struct domu_fs *fs, uint64_t dir,
                                            unsigned depth);
void domu_scans_count(struct domu_scans *s, unsigned mount, size_t names); /* that were read by name */

#endif
