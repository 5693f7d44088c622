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

/*
 * The value of system.posix_acl_* as "user::rw-,user:1000:r--,...", which the caller frees.
 * NULL: it is no ACL, or no memory.
 */
char *domu_tar_acl_text(const void *value, size_t len);

/* ---- out (tar-out.c) ------------------------------------------------------- */

/*
 * The tree at where as an archive, names relative to it, to a pipe or file.
 * *failures: files that could not be read, or not whole; each was said.
 */
int domu_tar_out(struct domu_ctx *ctx, struct domu_tree *tree, const struct domu_path *where, int fd,
                 unsigned long *failures);

/* ---- libarchive (tar-lib.c) -------------------------------------------------- */

/* Loads it: before the fence of whoever will use it.  DOMU_UNSUPPORTED where it is not there, or not built with. */
int domu_tar_lib(struct domu_ctx *ctx);
bool domu_tar_lib_is_loaded(void);

/* ---- in (tar-in.c) ----------------------------------------------------------- */

struct domu_tar_in {
	struct domu_tree *tree;
	const struct domu_path *dir; /* an existing directory */
	unsigned strip; /* leading parts of names that are left out */
	bool replace_links; /* of the guest, where the archive has a directory; else they are kept, and gone through */
	bool map_names; /* owners by name, where the archive has one and the guest knows it */
	uint64_t size; /* bytes of the file, for progress; 0: not known */
	/* Numbers of the guest's names. */
	bool (*user)(void *names, const char *name, uint32_t *id);
	bool (*group)(void *names, const char *name, uint32_t *id);
	void *names;
};

/*
 * Unpacks an archive (tar of any kind, cpio; compressed or not) from fd.  No
 * name leaves the directory and no link below it is followed.  What is
 * refused is said; the rest is unpacked, and then it is a failure.
 */
int domu_tar_in(struct domu_ctx *ctx, const struct domu_tar_in *in, int fd);

/* ---- compressed (tar-pack.c) --------------------------------------------------- */

enum domu_tar_packing { DOMU_TAR_PLAIN, DOMU_TAR_GZIP, DOMU_TAR_XZ, DOMU_TAR_ZSTD };

struct domu_tar_pack;
/* A process that compresses what is written to *fd (the caller's, which must close it) into out_fd. */
int domu_tar_pack_start(struct domu_ctx *ctx, enum domu_tar_packing kind, int out_fd, struct domu_tar_pack **p,
                        int *fd);
/*
 * rc 0: waits until all is written; the caller has closed its end.  Else the
 * process is ended, so that nothing looks like a whole archive.  A failure of
 * its own is the cause, unless rc says more than that a pipe broke.
 */
int domu_tar_pack_end(struct domu_ctx *ctx, struct domu_tar_pack *p, int rc);

/* ---- a compressed file, or a piece of memory (unpack.c) ----------------------------- */

struct domu_unpack {
	/* More of what is compressed: bytes, 0 at its end, or a negative errno with the cause recorded. */
	ssize_t (*more)(void *user, const void **bytes);
	/* What comes out; an answer that is not 0 ends it, and is given back. */
	int (*take)(void *user, const void *bytes, size_t len);
	void *user;
};
/* By libarchive, which domu_tar_lib() loaded: gzip, bzip2, xz, zstd, lz4.  -EBADMSG: it is damaged. */
int domu_unpack(struct domu_ctx *ctx, const struct domu_unpack *u);

#endif
