/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treeio.h - trees of files on the move: each from and into a guest, a folder of this host, or a stream. */
#ifndef DOMU_TREEIO_H
#define DOMU_TREEIO_H

#include "fs/fs.h"

enum domu_treeio_flags {
	DOMU_TREEIO_RECURSIVE = 1 << 0, /* directories too; links and special files as such, not what links lead to */
	DOMU_TREEIO_PRESERVE = 1 << 1, /* mode, owner, times (cp -p) */
	DOMU_TREEIO_XATTRS = 1 << 2, /* extended attributes too (cp -a) */
	DOMU_TREEIO_NO_TARGET_DIR = 1 << 3, /* a destination that is a directory is not gone into (cp -T) */
	DOMU_TREEIO_NO_FOLLOW = 1 << 4, /* a link that is named is copied, not what it leads to (cp -d) */
	DOMU_TREEIO_LINKS = 1 << 5, /* files that are one stay one (cp -a) */
	DOMU_TREEIO_NO_CLOBBER = 1 << 6, /* files that are there are left alone (cp -n) */
	DOMU_TREEIO_REPLACE = 1 << 7, /* what is there makes room, but for a directory that is not empty (tar -x) */
	DOMU_TREEIO_UPDATE = 1 << 9, /* files that are there and not older are left alone (cp -u) */
	DOMU_TREEIO_ONE_FS = 1 << 10, /* what is mounted below is left out (cp -x) */
	DOMU_TREEIO_FOLLOW = 1 << 11, /* a link that is named is followed all the same (cp -H) */
	DOMU_TREEIO_FOLLOW_ALL = 1 << 12, /* and so is each in a tree (cp -L) */
	DOMU_TREEIO_READ_ONLY = 1 << 8, /* nothing in the source's guest changes meanwhile: the walk may be a scan */
};
#define DOMU_TREEIO_ARCHIVE \
	(DOMU_TREEIO_RECURSIVE | DOMU_TREEIO_PRESERVE | DOMU_TREEIO_XATTRS | DOMU_TREEIO_NO_FOLLOW | DOMU_TREEIO_LINKS)

/* Of a link that is named, is it what it leads to that goes? */
static inline bool domu_treeio_follows(unsigned flags)
{
	return (flags & DOMU_TREEIO_FOLLOW) != 0 || (flags & (DOMU_TREEIO_RECURSIVE | DOMU_TREEIO_NO_FOLLOW)) == 0;
}

struct domu_treeio_xattr {
	const char *name;
	const void *value;
	size_t len;
};

/* One file on the move.  A directory is entered by its entry, and left by leave(). */
struct domu_treeio_entry {
	const char *name; /* one name, never a path: 1 to 255 bytes, no '/', not "." or ".." */
	struct domu_stat st;
	const char *target; /* of a link */
	uint64_t link_id; /* 0: not one of several names; else the same for each of them */
	bool again; /* link_id was there before: no data follows */
	const struct domu_treeio_xattr *xattrs;
	size_t n_xattrs;
};

/*
 * Where a tree goes.  A source calls entry; after a regular file (that is not
 * again) data any number of times with growing offsets (what is between is a
 * hole) and then file_end; after a directory what is in it and then leave.
 * 0 or a negative errno with the cause recorded.
 */
struct domu_sink {
	int (*entry)(struct domu_sink *s, const struct domu_treeio_entry *e);
	int (*data)(struct domu_sink *s, const void *bytes, size_t len, uint64_t offset);
	int (*file_end)(struct domu_sink *s, uint64_t size);
	int (*leave)(struct domu_sink *s);
	/* Set by an entry that made nothing: cp -n, -u, a directory that was there.  Cleared by who asks. */
	bool left_alone;
	/* The first directory that was made of a tree, where the source could come upon it by a link; ino 0: none. */
	const struct domu_fs *made_fs;
	uint64_t made_ino;
	void *priv;
};

/* ---- guest: where is from domu_path_walk() ---- */
/*
 * Several trees may go into one sink, one after the other: links are then the
 * files met so far (treeio-links.h), else NULL.  as: what the copy is called; NULL: as it is.
 */
struct domu_links;
int domu_treeio_from_guest(struct domu_ctx *ctx, struct domu_tree *t, const struct domu_path *where, const char *as,
                           unsigned flags, struct domu_links *links, struct domu_sink *to);
/* Into a directory of a guest. */
struct domu_treeio_into {
	struct domu_tree *tree;
	struct domu_fs *fs;
	unsigned mount; /* as in domu_path */
	uint64_t dir;
	/*
	 * What the first entry is called there: NULL as it comes; "." a directory that is
	 * the directory itself.  Its content goes into what is there, as cp does:
	 * a file keeps its inode, a directory is merged into.
	 */
	const char *name;
	/* Of dir, absolute: new files are labelled as the guest's policy has it for their paths; NULL: they are not. */
	const char *path;
	size_t path_len; /* bytes of it, without a '/' at the end */
};
int domu_treeio_to_guest(struct domu_ctx *ctx, const struct domu_treeio_into *into, unsigned flags,
                         struct domu_sink *s);
/* Between trees: what the next is called, as in domu_treeio_into; name lives until it came. */
void domu_treeio_guest_next(struct domu_sink *s, const char *name);
/* Between files of the first level: the next goes into another directory; path as in domu_treeio_into. */
int domu_treeio_guest_move(struct domu_sink *s, struct domu_fs *fs, unsigned mount, uint64_t dir, const char *path);
/* What follows is content of that file, which gets the times of st. */
void domu_treeio_guest_reopen(struct domu_sink *s, struct domu_fs *fs, uint64_t ino, const struct domu_stat *st);
/* What the last entry became. */
uint64_t domu_treeio_guest_last(const struct domu_sink *s, struct domu_fs **fs);
void domu_treeio_guest_free(struct domu_sink *s);

/* ---- a folder of this host ---- */
int domu_treeio_from_host(struct domu_ctx *ctx, int dirfd, const char *name, unsigned flags, struct domu_links *links,
                          struct domu_sink *to);
/* Nothing is ever written outside dirfd: every name is opened by itself, links not followed. */
int domu_treeio_to_host(struct domu_ctx *ctx, int dirfd, const char *name, unsigned flags, struct domu_sink *s);
void domu_treeio_host_free(struct domu_sink *s);

/* ---- a stream over a pipe or file ---- */
int domu_treeio_to_stream(struct domu_ctx *ctx, int fd, struct domu_sink *s);
/* Ends the stream: rc 0 says it is whole, else the reader gets the failure of ctx. */
int domu_treeio_stream_end(struct domu_sink *s, int rc);
/*
 * Reads until the stream's end.  What it says is checked: a stream that is cut
 * short or wrong is -EBADMSG.  names (NULL-terminated): what its trees may be
 * called; NULL: it is one tree, called as it likes.
 */
int domu_treeio_from_stream(struct domu_ctx *ctx, int fd, const char *const *names, struct domu_sink *to);

/* ---- the host's two ends of cp, with a worker at the other end of fd ---- */
/* Reads a stream and writes it into dirfd: one tree as name, or with name NULL those of names. */
int domu_treeio_host_in(struct domu_ctx *ctx, int fd, int dirfd, const char *name, const char *const *names,
                        unsigned flags);

#endif
