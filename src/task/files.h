/* SPDX-License-Identifier: GPL-3.0-or-later */
/* files.h - the list of files that a commit changed, kept beside it for undo --files: its format. */
#ifndef DOMU_FILES_H
#define DOMU_FILES_H

#include "fence/fence.h"
#include "fs/compare.h"
#include "task/treeio.h"

#define DOMU_FILES_MAX    (64u << 20) /* bytes of a list */
#define DOMU_FILES_COUNT  100000u
#define DOMU_FILES_XATTRS 256u /* of one file */

/* A filesystem that the commit changed. */
struct domu_files_fs {
	const char *node; /* xvda2 */
	const char *target; /* where the guest mounts it, or NULL */
	const char *uuid;
};

/*
 * A file that the commit changed.  A commit replaces few of the blocks that a
 * file had: most are only freed, and the guest uses them again soon.  So
 * what is small is in the list itself; for what is not, a checksum
 * tells whether the blocks still hold it.  The new version needs neither: whatever
 * changes a file also changes its times.
 */
struct domu_file {
	size_t fs; /* index */
	const char *path; /* in the filesystem */
	enum domu_difference_kind change; /* METADATA: the inode is the same and holds the same */
	struct domu_stat old, new; /* ino 0: there was none */
	/* Of the old version: */
	const char *target; /* of a link */
	const void *data; /* all of a small file's content, or NULL */
	bool has_content, has_xattrs; /* false: too big, or unreadable already then */
	uint64_t content, xattrs; /* checksums */
	struct domu_treeio_xattr *xattr;
	size_t n_xattr;
};

struct domu_files {
	struct domu_files_fs *fs;
	size_t n_fs;
	struct domu_file *v; /* a directory before what is in it */
	size_t n;
	uint8_t *raw; /* the list as it was read: what all the pointers point into */
};

void domu_files_free(struct domu_files *f);

/* ---- writing: fd is an empty file, of which DOMU_FILES_MAX bytes at most are written ---- */
struct domu_files_writer {
	struct domu_ctx *ctx;
	int fd;
	uint64_t at, sum;
	size_t n_fs, n;
	struct domu_msg m;
};
int domu_files_begin(struct domu_files_writer *w, struct domu_ctx *ctx, int fd);
int domu_files_put_fs(struct domu_files_writer *w, const struct domu_files_fs *fs);
int domu_files_put(struct domu_files_writer *w, const struct domu_file *f); /* of the last filesystem */
int domu_files_end(struct domu_files_writer *w, int rc); /* rc 0: the list is whole */

/* A list that is cut short or damaged is -EBADMSG. */
int domu_files_read(struct domu_ctx *ctx, int fd, struct domu_files *f);

/* A checksum of a regular file's content.  -EFBIG: more than max bytes. */
int domu_content_hash(struct domu_fs *fs, const struct domu_stat *st, uint64_t max, uint64_t *hash);
/* A checksum of all extended attributes of an inode, whatever their order. */
int domu_xattrs_hash(struct domu_fs *fs, uint64_t ino, uint64_t *hash);

/* ---- operations of the worker ---- */
int domu_op_files_record(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);
int domu_op_files_differ(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);
int domu_op_files_restore(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);

#endif
