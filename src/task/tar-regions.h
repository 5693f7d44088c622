/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-regions.h - which parts of a file are to be kept, and where they are on the disk. */
#ifndef DOMU_TAR_REGIONS_H
#define DOMU_TAR_REGIONS_H

#include "task/tar.h"

struct domu_tar_regions {
	struct domu_tar_region *v;
	size_t n, cap;
	bool holes; /* there is more to the file than these */
};

/* Of a regular file; r is filled anew.  A failure: its content cannot be found. */
int domu_tar_regions_find(struct domu_tar_regions *r, struct domu_fs *fs, uint64_t ino, const struct domu_stat *st);
void domu_tar_regions_free(struct domu_tar_regions *r);

#endif
