/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* block.c - the calls every layer is reached through: range and read-only are checked here, once. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "block/block.h"

struct domu_block *domu_block_new(struct domu_ctx *ctx, const struct domu_block_ops *ops, const char *name, void *priv)
{
	struct domu_block *b = calloc(1, sizeof *b);

	if (b == NULL)
		return NULL;
	b->ops = ops;
	b->ctx = ctx;
	b->priv = priv;
	b->sector_size = 512;
	snprintf(b->name, sizeof b->name, "%s", name);
	return b;
}

static int outside(struct domu_block *b, const char *verb, uint64_t len, uint64_t offset)
{
	return domu_fail(b->ctx, DOMU_FAILED, -ERANGE,
	                 "%s: cannot %s %" PRIu64 " bytes at offset %" PRIu64 ": the device has %" PRIu64, b->name,
	                 verb, len, offset, b->size);
}

int domu_block_pread(struct domu_block *b, void *buf, size_t len, uint64_t offset)
{
	if (!domu_inside(offset, len, b->size))
		return outside(b, "read", len, offset);
	return len == 0 ? 0 : b->ops->pread(b, buf, len, offset);
}

int domu_block_pwrite(struct domu_block *b, const void *buf, size_t len, uint64_t offset)
{
	if (b->readonly || b->ops->pwrite == NULL)
		return domu_fail(b->ctx, DOMU_FAILED, -EROFS, "%s: opened read-only", b->name);
	if (!domu_inside(offset, len, b->size))
		return outside(b, "write", len, offset);
	return len == 0 ? 0 : b->ops->pwrite(b, buf, len, offset);
}

int domu_block_flush(struct domu_block *b)
{
	return b->ops->flush != NULL ? b->ops->flush(b) : 0;
}

int domu_block_close(struct domu_block *b)
{
	int rc;

	if (b == NULL)
		return 0;
	rc = b->ops->close != NULL ? b->ops->close(b) : 0;
	free(b);
	return rc;
}

int domu_block_map(struct domu_block *b, uint64_t offset, uint64_t len, int *fd, uint64_t *fd_offset, uint64_t *run)
{
	if (b->ops->map == NULL)
		return -EOPNOTSUPP;
	if (len == 0 || !domu_inside(offset, len, b->size))
		return -ERANGE;
	return b->ops->map(b, offset, len, fd, fd_offset, run);
}
