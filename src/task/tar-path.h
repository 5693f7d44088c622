/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-path.h - names of an archive below a directory of the guest: no "..", no link to elsewhere followed. */
#ifndef DOMU_TAR_PATH_H
#define DOMU_TAR_PATH_H

#include "task/treeio.h"

struct domu_tar_dir {
	struct domu_fs *fs;
	unsigned mount;
	uint64_t ino;
	const char *path; /* in the guest, links resolved; the walk's */
};

/* Where the names before it led: the next one mostly begins as they did. */
struct domu_tar_walk {
	struct domu_ctx *ctx;
	struct domu_tree *tree;
	unsigned strip;
	bool labels; /* the guest has labels: directories that are made get theirs */
	bool keep_links; /* of the guest, to directories below the base: they are gone through */
	struct domu_tar_dir base;
	struct tar_level {
		char name[256];
		struct domu_tar_dir dir; /* its path is the level's own */
	} * v;
	size_t n, cap;
};

/*
 * The directory that path is in (made where it is missing, with make) and its
 * name there: "" the base itself.  -EXDEV, recorded: refused.  -ENOENT without
 * make, not recorded.  -EALREADY: nothing of the name is left after strip.
 */
int domu_tar_walk_to(struct domu_tar_walk *w, const char *path, bool make, struct domu_tar_dir *dir, char name[256]);
/*
 * What the link at name of d leads to: 1 and *to (whose path the caller frees):
 * a directory at or below the base.  0: nothing, or no directory.  -EXDEV,
 * recorded: a directory elsewhere.
 */
int domu_tar_walk_link(struct domu_tar_walk *w, const char *path, const struct domu_tar_dir *d, const char *name,
                       struct domu_tar_dir *to);
void domu_tar_walk_free(struct domu_tar_walk *w);

#endif
