/* SPDX-License-Identifier: GPL-3.0-or-later */
/* restore.h - between the two halves of undo --files: restore.c plans, restore-do.c does. */
#ifndef DOMU_RESTORE_H
#define DOMU_RESTORE_H

#include "fence/fence.h"
#include "task/files.h"

/* The flags that belong to users; the others are the filesystem's own. */
#define DOMU_USER_FLAGS                                                                                    \
	(FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_JOURNAL_DATA_FL | \
	 FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_PROJINHERIT_FL)

#define DOMU_RESTORE_SHOWN 10000u /* results that are told one by one */

enum item_state {
	ITEM_PLANNED, /* afterwards: done */
	ITEM_NOTHING, /* it is as it was */
	ITEM_REFUSED,
};

struct item {
	const struct domu_file *f;
	enum item_state state;
	char why[96];
	bool in_missing; /* the directory that it was in is not there, and has to come first */
	uint64_t link_to; /* its old name is given to this inode; 0: it is made anew */
	uint64_t made; /* the inode that has its old name again */
};

struct restore {
	struct domu_ctx *ctx;
	struct domu_files files;
	struct domu_tree *tree; /* the guest now, writable */
	struct domu_work *work;
	struct domu_tree *old; /* as the commit found it, as far as its blocks are still there; NULL: not needed */
	struct domu_fs **fs, **old_fs; /* by the index of files.fs */
	struct item *items;
	size_t n;
	struct item **by_path, **by_old, **by_new; /* the items, sorted by name, and by the inodes they had and have */
};

/* A path in one filesystem. */
struct place {
	uint64_t dir, ino; /* ino 0: there is none; dir 0: nor the directory */
	char name[256];
	struct domu_stat st;
};

/* 0 also when only the last name is missing; -ENOENT: something before it is. */
int domu_restore_look(struct domu_fs *fs, const char *path, struct place *p);
/* Carries out what is planned.  A failure leaves it half done: the caller cuts the stage back. */
int domu_restore_do(struct restore *r);
const char *domu_restore_differs(const struct domu_file *f, const struct domu_stat *now);
/* The first item of by_old (or by_new) with that inode; the others follow.  *n: how many. */
struct item **domu_restore_inode(const struct restore *r, bool old, size_t fs, uint64_t ino, size_t *n);

#endif
