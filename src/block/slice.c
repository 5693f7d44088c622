/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* slice.c - a part of a block device: a partition, a linear logical volume. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/num.h"
#include "block/block.h"

struct slice {
	uint64_t offset;
};

static uint64_t shift(const struct domu_block *b, uint64_t offset)
{
	const struct slice *s = b->priv;

	return s->offset + offset;
}

static int slice_pread(struct domu_block *b, void *buf, size_t len, uint64_t offset)
{
	return domu_block_pread(b->below, buf, len, shift(b, offset));
}

static int slice_pwrite(struct domu_block *b, const void *buf, size_t len, uint64_t offset)
{
	return domu_block_pwrite(b->below, buf, len, shift(b, offset));
}

static int slice_flush(struct domu_block *b)
{
	return domu_block_flush(b->below);
}

static int slice_map(struct domu_block *b, uint64_t offset, uint64_t len, int *fd, uint64_t *fd_offset, uint64_t *run)
{
	return domu_block_map(b->below, shift(b, offset), len, fd, fd_offset, run);
}

static int slice_close(struct domu_block *b)
{
	free(b->priv);
	return 0;
}

static const struct domu_block_ops slice_ops = {
	.self_size = sizeof slice_ops,
	.name = "slice",
	.pread = slice_pread,
	.pwrite = slice_pwrite,
	.flush = slice_flush,
	.close = slice_close,
	.map = slice_map,
};

int domu_slice_open(struct domu_ctx *ctx, struct domu_block *below, const char *name, uint64_t offset, uint64_t size,
                    struct domu_block **b)
{
	struct slice *s;

	if (!domu_inside(offset, size, below->size))
		return domu_fail(ctx, DOMU_FAILED, -ERANGE,
		                 "%s: bytes %" PRIu64 " to %" PRIu64 " are not inside %s, which has %" PRIu64, name,
		                 offset, offset + size, below->name, below->size);
	s = malloc(sizeof *s);
	*b = s != NULL ? domu_block_new(ctx, &slice_ops, name, s) : NULL;
	if (*b == NULL) {
		free(s);
		return domu_nomem(ctx);
	}
	s->offset = offset;
	(*b)->below = below;
	(*b)->size = size;
	(*b)->sector_size = below->sector_size;
	(*b)->readonly = below->readonly;
	return 0;
}
