/* SPDX-License-Identifier: GPL-3.0-or-later */
/* changes.h - two states of a filesystem compared: which names differ, and how. */
#ifndef DOMU_CHANGES_H
#define DOMU_CHANGES_H

#include "fs/fs.h"

enum domu_change { DOMU_CHANGE_ADDED = 1, DOMU_CHANGE_REMOVED, DOMU_CHANGE_MODIFIED, DOMU_CHANGE_METADATA };

const char *domu_change_name(enum domu_change c); /* "added" */

struct domu_changed {
	const char *path; /* from the filesystem's root: /etc/hostname */
	enum domu_change change;
	struct domu_stat old, new; /* ino 0: there is none */
};

/* 0 goes on. */
typedef int (*domu_changed_fn)(void *user, const struct domu_changed *c);

/*
 * Every name that differs, a directory before what is in it.  What cannot be
 * read on either side is left out, with a message for those who want all.
 */
int domu_changes(struct domu_ctx *ctx, struct domu_fs *old, struct domu_fs *new, domu_changed_fn fn, void *user);
/* One name's two states: what differs, or 0.  Times and sizes of directories follow from what is in them. */
enum domu_change domu_change_of(const struct domu_stat *old, const struct domu_stat *new);
/* A checksum of all extended attributes of an inode, whatever their order. */
int domu_xattrs_hash(struct domu_fs *fs, uint64_t ino, uint64_t *hash);

/* The flags that belong to users; the others are the filesystem's own. */
#define DOMU_USER_FLAGS                                                                                    \
	(FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_JOURNAL_DATA_FL | \
	 FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_PROJINHERIT_FL)

#endif
