/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plugin.c - the ext2/ext3/ext4 driver as a plugin, and how its failures are told. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs-ext.h"

static int errno_of(errcode_t rc)
{
	if (rc > 0 && rc < 256)
		return (int)-rc;
	switch (rc) {
	case EXT2_ET_NO_MEMORY:
		return -ENOMEM;
	case EXT2_ET_BLOCK_ALLOC_FAIL:
	case EXT2_ET_INODE_ALLOC_FAIL:
	case EXT2_ET_DIR_NO_SPACE:
	case EXT2_ET_EA_NO_SPACE:
		return -ENOSPC;
	case EXT2_ET_FILE_TOO_BIG:
		return -EFBIG;
	case EXT2_ET_NO_DIRECTORY:
		return -ENOTDIR;
	case EXT2_ET_RO_FILSYS:
		return -EROFS;
	case EXT2_ET_SHORT_READ:
	case EXT2_ET_SHORT_WRITE:
		return -EIO;
	case EXT2_ET_UNSUPP_FEATURE:
	case EXT2_ET_RO_UNSUPP_FEATURE:
		return -EOPNOTSUPP;
	default:
		return -EUCLEAN;
	}
}

static const char *advice(errcode_t rc)
{
	switch (rc) {
	case EXT2_ET_BLOCK_ALLOC_FAIL:
		return "the filesystem is full";
	case EXT2_ET_INODE_ALLOC_FAIL:
		return "the filesystem has no free inodes";
	case EXT2_ET_DIR_NO_SPACE:
		return "the directory's index is full";
	case EXT2_ET_EA_NO_SPACE:
		return "no room for the extended attribute";
	default:
		return NULL;
	}
}

int ext_fail(struct ext_fs *x, errcode_t rc, const char *fmt, ...)
{
	const char *why = advice(rc);
	char what[256];
	int err;
	va_list ap;

	if (rc == 0)
		return 0;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	err = errno_of(rc);
	if (why == NULL)
		why = error_message(rc);
	return domu_fail(x->fs->ctx, err == -EOPNOTSUPP ? DOMU_UNSUPPORTED : DOMU_FAILED, err, "%s: %s: %s%s%s",
	                 x->fs->block->name, what, why, err == -EUCLEAN ? ": domu-rescue fsck -n " : "",
	                 err == -EUCLEAN ? domu_guest_word(x->fs->ctx) : "");
}

int ext_damaged(struct ext_fs *x, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return domu_fail(x->fs->ctx, DOMU_FAILED, -EUCLEAN, "%s: %s: domu-rescue fsck -n %s", x->fs->block->name, what,
	                 domu_guest_word(x->fs->ctx));
}

int ext_nomem(struct ext_fs *x)
{
	return domu_fail(x->fs->ctx, DOMU_FAILED, -ENOMEM, "out of memory");
}

bool ext_block_ok(const struct ext_fs *x, uint64_t blk, uint64_t count)
{
	return blk > x->e2->super->s_first_data_block && domu_inside(blk, count, ext2fs_blocks_count(x->e2->super));
}

int ext_read_blocks(struct ext_fs *x, uint64_t blk, uint32_t count, void *buf)
{
	errcode_t rc = io_channel_read_blk64(x->e2->io, blk, (int)count, buf);

	return rc == 0 ? 0 : ext_fail(x, rc, "cannot read block %llu", (unsigned long long)blk);
}

int ext_write_blocks(struct ext_fs *x, uint64_t blk, uint32_t count, const void *buf)
{
	errcode_t rc = io_channel_write_blk64(x->e2->io, blk, (int)count, buf);

	return rc == 0 ? 0 : ext_fail(x, rc, "cannot write block %llu", (unsigned long long)blk);
}

static const char *const types[] = { "ext2", "ext3", "ext4", NULL };
static const char *const check_no[] = { "e2fsck", "-f", "-n", "@", NULL };
static const char *const check_preen[] = { "e2fsck", "-f", "-p", "@", NULL };
static const char *const check_yes[] = { "e2fsck", "-f", "-y", "@", NULL };
static const char *const replay[] = { "e2fsck", "-p", "-E", "journal_only", "@", NULL };
static const char *const resize[] = { "resize2fs", "@", "#", NULL };

static const struct domu_fs_tools tools = {
	.check = { [DOMU_CHECK_NO] = check_no, [DOMU_CHECK_PREEN] = check_preen, [DOMU_CHECK_YES] = check_yes },
	.replay = replay,
	.grow = resize,
	.shrink = resize,
	.shim = true,
};

static const struct domu_fs_ops ops = {
	.self_size = sizeof ops,
	.name = "fs-ext",
	.types = types,
	.tools = &tools,
	.probe = ext_probe,
	.open = ext_open,
	.close = ext_close,
	.flush = ext_flush,
	.lookup = ext_lookup,
	.stat = ext_stat,
	.readdir = ext_readdir,
	.readlink = ext_readlink,
	.read = ext_read,
	.listxattr = ext_listxattr,
	.statfs = ext_statfs,
	.create = ext_create,
	.write = ext_write,
	.truncate = ext_truncate,
	.link = ext_link,
	.unlink = ext_unlink,
	.rmdir = ext_rmdir,
	.rename = ext_rename,
	.setattr = ext_setattr,
	.setxattr = ext_setxattr,
	.removexattr = ext_removexattr,
	.door_close = ext_door_close,
	.extent = ext_extent,
	.suspects = ext_suspects,
	.scan = ext_scan,
	.scan_some = ext_scan_some,
};

const struct domu_fs_ops *ext_ops(void)
{
	return &ops;
}

static const struct domu_plugin plugin = {
	.self_size = sizeof plugin,
	.api = DOMU_PLUGIN_API,
	.kind = DOMU_PLUGIN_FS,
	.place = DOMU_IN_WORKER,
	.name = "fs-ext",
	.summary = "ext2, ext3 and ext4 through libext2fs",
	.priority = 10,
	.fs = &ops,
};

DOMU_REGISTER_PLUGIN(plugin)
