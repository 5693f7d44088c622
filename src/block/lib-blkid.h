/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib-blkid.h - libblkid: what is on a device, loaded when first needed; see base/lib.h. */
#ifndef DOMU_LIB_BLKID_H
#define DOMU_LIB_BLKID_H

#include <blkid/blkid.h>

#include "base/lib.h"

/* clang-format off */
#define DOMU_BLKID_CALLS(X) \
	X(blkid_do_safeprobe) \
	X(blkid_free_probe) \
	X(blkid_new_probe) \
	X(blkid_probe_enable_partitions) \
	X(blkid_probe_enable_superblocks) \
	X(blkid_probe_lookup_value) \
	X(blkid_probe_set_device) \
	X(blkid_probe_set_sectorsize) \
	X(blkid_probe_set_superblocks_flags)

DOMU_LIB_DECLARE(blkid, DOMU_BLKID_CALLS);

#define blkid_do_safeprobe (*domu_blkid.blkid_do_safeprobe)
#define blkid_free_probe (*domu_blkid.blkid_free_probe)
#define blkid_new_probe (*domu_blkid.blkid_new_probe)
#define blkid_probe_enable_partitions (*domu_blkid.blkid_probe_enable_partitions)
#define blkid_probe_enable_superblocks (*domu_blkid.blkid_probe_enable_superblocks)
#define blkid_probe_lookup_value (*domu_blkid.blkid_probe_lookup_value)
#define blkid_probe_set_device (*domu_blkid.blkid_probe_set_device)
#define blkid_probe_set_sectorsize (*domu_blkid.blkid_probe_set_sectorsize)
#define blkid_probe_set_superblocks_flags (*domu_blkid.blkid_probe_set_superblocks_flags)
/* clang-format on */

#endif
