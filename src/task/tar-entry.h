/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-entry.h - what libarchive found, as an entry for a sink. */
#ifndef DOMU_TAR_ENTRY_H
#define DOMU_TAR_ENTRY_H

#include "task/tar.h"

struct archive_entry;

struct domu_tar_entry {
	struct domu_treeio_entry e; /* without a name */
	bool has_flags; /* st.flags are to be set */
	struct domu_treeio_xattr *xattrs;
	size_t cap;
	bool attribute_dropped, owner_unknown; /* said once an archive */
};

/* t is filled anew; what it points to lives until the next call, or as long as ae. */
int domu_tar_entry_read(struct domu_ctx *ctx, const struct domu_tar_in *in, struct archive_entry *ae, const char *path,
                        struct domu_tar_entry *t);
void domu_tar_entry_free(struct domu_tar_entry *t);

#endif
