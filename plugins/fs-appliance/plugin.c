/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plugin.c - filesystems that only a kernel understands, in libguestfs' appliance: xfs, btrfs and others. */
#include "config.h"

#include <stddef.h>

#include "fs-appliance.h"
#ifdef HAVE_LIBGUESTFS
#include "guest.h"
#endif

/* ext2 to ext4 have a driver that is asked first; they come here with --engine guestfs. */
static const char *const types[] = { "xfs",     "btrfs",    "ext4",    "ext3",     "ext2", "f2fs",
	                             "jfs",     "reiserfs", "vfat",    "exfat",    "ntfs", "udf",
	                             "iso9660", "minix",    "hfsplus", "squashfs", NULL };

const struct domu_fs_ops app_ops = {
	.self_size = sizeof app_ops,
	.name = "appliance",
	.types = types,
	.probe = app_probe,
	.door_close = app_door_close,
#ifdef HAVE_LIBGUESTFS
	.open = app_open,
	.close = app_close,
	.flush = app_flush,
	.lookup = app_lookup,
	.subvolume = app_subvolume,
	.stat = app_stat,
	.readdir = app_readdir,
	.readlink = app_readlink,
	.read = app_read,
	.listxattr = app_listxattr,
	.statfs = app_statfs,
	.create = app_create,
	.write = app_write,
	.truncate = app_truncate,
	.link = app_link,
	.unlink = app_unlink,
	.rmdir = app_rmdir,
	.rename = app_rename,
	.setattr = app_setattr,
	.setxattr = app_setxattr,
	.removexattr = app_removexattr,
	.check = app_check,
#endif
};

static const struct domu_plugin plugin = {
	.self_size = sizeof plugin,
	.api = DOMU_PLUGIN_API,
	.kind = DOMU_PLUGIN_FS,
	.place = DOMU_IN_APPLIANCE,
	.name = "fs-appliance",
	.summary = "xfs, btrfs and others through the libguestfs appliance",
	.priority = 90,
	.fs = &app_ops,
};

DOMU_REGISTER_PLUGIN(plugin)
