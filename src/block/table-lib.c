/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table-lib.c - the libraries that know partition tables and every format there is, loaded when first needed. */
#include "config.h"

#include <string.h>

#include "block/lib-blkid.h"
#include "block/lib-fdisk.h"
#include "block/table.h"

DOMU_LIB_DEFINE(fdisk, DOMU_FDISK_CALLS, FDISK_SONAME);
DOMU_LIB_DEFINE(blkid, DOMU_BLKID_CALLS, BLKID_SONAME);

int domu_table_libs(struct domu_ctx *ctx)
{
	int rc = domu_lib_load(ctx, &domu_lib_fdisk);

	return rc == 0 ? domu_lib_load(ctx, &domu_lib_blkid) : rc;
}

bool domu_table_maybe(struct domu_block *b)
{
	uint8_t head[512];

	return b->size >= sizeof head &&
	       (domu_block_pread(b, head, sizeof head, 0) != 0 || memcmp(head + 510, "\x55\xaa", 2) == 0);
}
