/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare.h - two states of one filesystem compared: what was added, removed, modified, and what only its metadata. */
#ifndef DOMU_COMPARE_H
#define DOMU_COMPARE_H

#include "fs/fs.h"

enum domu_difference_kind { DOMU_IS_ADDED = 1, DOMU_IS_REMOVED, DOMU_IS_MODIFIED, DOMU_IS_METADATA };
const char *domu_difference_name(enum domu_difference_kind c); /* added, removed, modified, metadata */

/* What of an inode is not the same.  The first four make it modified, the others are metadata. */
enum domu_differs {
	DOMU_DIFFERS_TYPE = 1 << 0,
	DOMU_DIFFERS_CONTENT = 1 << 1,
	DOMU_DIFFERS_TARGET = 1 << 2, /* of a symbolic link */
	DOMU_DIFFERS_DEVICE = 1 << 3, /* its number */
	DOMU_DIFFERS_MODE = 1 << 4,
	DOMU_DIFFERS_OWNER = 1 << 5,
	DOMU_DIFFERS_LINKS = 1 << 6,
	DOMU_DIFFERS_FLAGS = 1 << 7, /* also the project */
	DOMU_DIFFERS_XATTRS = 1 << 8, /* ACLs and labels among them */
	DOMU_DIFFERS_TIMES = 1 << 9,
	DOMU_DIFFERS_INODE = 1 << 10, /* another inode with the same content */
	DOMU_DIFFERS_SPACE = 1 << 11, /* blocks allocated, but for folders */
	DOMU_DIFFERS_UNKNOWN = 1 << 12, /* one of the two cannot be read */
};

struct domu_difference {
	const char *path;
	enum domu_difference_kind change;
	unsigned what; /* enum domu_differs; 0: added or removed */
	const struct domu_stat *old, *new; /* NULL: not there, or not readable */
	uint64_t old_ino, new_ino; /* 0: not there */
	const char *xattrs; /* the names that differ, with commas, cut where they are many */
};

struct domu_compare {
	struct domu_ctx *ctx;
	struct domu_fs *old, *new;
	const char *at; /* the path of both roots: "/", "/boot" */
	/* What of the block may differ, ascending and apart; NULL: all of it. */
	const struct domu_span *spans;
	size_t n_spans;
	const char *const *paths; /* only these and what is below; without a '/' at the end.  n_paths 0: everything */
	bool *met; /* one a path: it is on either side */
	size_t n_paths;
	bool quiet; /* what cannot be read is told to those who want all, not warned of */
	int (*found)(void *user, const struct domu_difference *d); /* not 0 ends it, and is returned */
	void *user;
};

/*
 * Calls found for every name that differs, a folder before what is in it.
 * A folder's times and size follow from its entries and are told only where
 * those are the same.  What cannot be read is a warning, bounded in number.
 */
int domu_compare(const struct domu_compare *c);
/* A name below at (/boot, @xvda3:/), as paths are told here.  Allocated; NULL: no memory. */
char *domu_compare_join(const char *at, const char *name);
static inline bool domu_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}
/* What differs between what stat tells of two inodes of one type: none of the first four. */
unsigned domu_compare_stats(const struct domu_stat *a, const struct domu_stat *b);

/* ---- inside ---- */

/* Bytes [offset, offset+len) of the block may differ. */
bool domu_spans_meet(const struct domu_span *spans, size_t n, uint64_t offset, uint64_t len);
/* What differs between two inodes (type, content, attributes), entries of folders aside; names: of xattrs. */
int domu_compare_inodes(const struct domu_compare *c, const struct domu_stat *a, const struct domu_stat *b,
                        unsigned *what, char *names, size_t size);

#endif
