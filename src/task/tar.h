/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar.h - a guest's trees as archives: out in our own pax, in by libarchive, compressed in a process of its own. */
#ifndef DOMU_TAR_H
#define DOMU_TAR_H

#include "base/ctx.h"
#include "task/treeio.h"

/* ---- headers (tar-pax.c) ------------------------------------------------- */

/* Bytes that grow; a failure is kept until it is asked for. */
struct domu_tar_buf {
	char *p;
	size_t n, cap;
	int err; /* -ENOMEM */
};

void domu_tar_put(struct domu_tar_buf *b, const void *bytes, size_t len);
void domu_tar_pad(struct domu_tar_buf *b); /* zeros up to the next 512 */
void domu_tar_buf_free(struct domu_tar_buf *b);

/* A part of a file that is not a hole. */
struct domu_tar_region {
	uint64_t offset, len; /* in the file */
	uint64_t at; /* on the filesystem's block device; UINT64_MAX: to be read through the filesystem */
};

struct domu_tar_member {
	const char *path; /* as it stands in the archive */
	const char *link; /* of a symbolic link, or the member that this is another name of; or NULL */
	bool hard; /* link is another name: no content follows */
	const struct domu_stat *st;
	const struct domu_treeio_xattr *xattrs;
	size_t n_xattrs;
	bool sparse; /* only regions follow, behind their map */
	const struct domu_tar_region *regions;
	size_t n_regions;
};

/*
 * Everything that stands before a member's data: its pax records, its ustar
 * header, the map of a sparse one.  -E2BIG: more attributes than any reader takes.
 */
int domu_tar_header(struct domu_tar_buf *b, const struct domu_tar_member *m);

/* ---- ACLs (tar-acl.c) ----------------------------------------------------- */

/* The value of system.posix_acl_* as "user::rw-,user:1000:r--,...": NULL: it is no ACL, or no memory.  The caller frees. */
char *domu_tar_acl_text(const void *value, size_t len);

/* ---- out (tar-out.c) ------------------------------------------------------- */

/* The tree at where as an archive, names relative to it, to a pipe or file. */
int domu_tar_out(struct domu_ctx *ctx, struct domu_tree *t, const struct domu_path *where, int fd);

#endif
