/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ext_io.h - what the adapter to libext2fs and the shim share. */
#ifndef DOMU_EXT_IO_H
#define DOMU_EXT_IO_H

#include <ext2fs/ext2_io.h>

#include "block/block.h"

/* A channel on b, which stays the caller's and must outlive it.  IO_FLAG_RW on a read-only b: EROFS. */
long domu_ext_io_channel(struct domu_block *b, const char *name, int flags, io_channel *channel);

#endif
