/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fs-appliance.h - what the driver's files share that needs no libguestfs: probing and doors. */
#ifndef FS_APPLIANCE_H
#define FS_APPLIANCE_H

#include "domu-plugin.h"

/*
 * Where numbers are in a superblock; xfs is big-endian (but for its checksum),
 * btrfs little-endian.  Linux: fs/xfs/libxfs/xfs_format.h, struct xfs_dsb;
 * include/uapi/linux/btrfs_tree.h, struct btrfs_super_block.
 */
#define XFS_MAGIC_AT      0
#define XFS_BLOCK_SIZE_AT 4
#define XFS_BLOCKS_AT     8
#define XFS_UUID_AT       32
#define XFS_VERSION_AT    100
#define XFS_SECTOR_AT     102
#define XFS_LABEL_AT      108 /* 12 bytes */
#define XFS_BLOCK_LOG_AT  120
#define XFS_SECTOR_LOG_AT 121
#define XFS_FREE_AT       144 /* blocks */
#define XFS_RO_COMPAT_AT  212
#define XFS_INCOMPAT_AT   216
#define XFS_CRC_AT        224
#define XFS_CRC_VERSION   5

#define BTRFS_SB_OFFSET      65536 /* bytes from the start of the device */
#define BTRFS_SB_SIZE        4096
#define BTRFS_CSUM_SIZE      32 /* the checksum is of all that follows it */
#define BTRFS_UUID_AT        0x20
#define BTRFS_BYTENR_AT      0x30
#define BTRFS_MAGIC_AT       0x40
#define BTRFS_TOTAL_AT       0x70 /* bytes */
#define BTRFS_USED_AT        0x78
#define BTRFS_DEVICES_AT     0x88
#define BTRFS_SECTOR_AT      0x90
#define BTRFS_INCOMPAT_AT    0xbc
#define BTRFS_CSUM_TYPE_AT   0xc4 /* 0: crc32c */
#define BTRFS_LABEL_AT       0x12b /* 256 bytes */
#define BTRFS_DEVICE_SIZE_AT 0xd1 /* of the device item at 0xc9 */

/* A closed door: an incompatible feature that nobody knows, and who closed it where both formats have room. */
#define DOOR_BIT     UINT32_C(0x40000000)
#define DOOR_TEXT_AT 448
#define DOOR_TEXT    "domu-rescue commit "
#define DOOR_ID_LEN  23

extern const struct domu_fs_ops app_ops;

int app_probe(struct domu_block *b, struct domu_probe *out);
int app_door_close(void *sector, uint32_t sector_size, const char *id);

#endif
