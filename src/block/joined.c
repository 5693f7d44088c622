/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* joined.c - a logical volume in several pieces, as one block. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "block/block.h"

struct joined {
	struct domu_block *const *disks;
	const struct domu_lv_map *map;
};

/* The disk that has what is at offset, where, and how many bytes after it in one go, at most len. */
static struct domu_block *locate(const struct domu_block *b, uint64_t offset, uint64_t len, uint64_t *at, uint64_t *run)
{
	const struct joined *j = b->priv;
	unsigned disk;

	domu_lv_locate(j->map, offset, &disk, at, run);
	if (*run > len)
		*run = len;
	return j->disks[disk];
}

static int joined_pread(struct domu_block *b, void *buf, size_t len, uint64_t offset)
{
	char *to = buf;

	while (len > 0) {
		uint64_t at, run;
		struct domu_block *disk = locate(b, offset, len, &at, &run);
		int rc = domu_block_pread(disk, to, (size_t)run, at);

		if (rc != 0)
			return rc;
		to += run;
		offset += run;
		len -= (size_t)run;
	}
	return 0;
}

static int joined_pwrite(struct domu_block *b, const void *buf, size_t len, uint64_t offset)
{
	const char *from = buf;

	while (len > 0) {
		uint64_t at, run;
		struct domu_block *disk = locate(b, offset, len, &at, &run);
		int rc = domu_block_pwrite(disk, from, (size_t)run, at);

		if (rc != 0)
			return rc;
		from += run;
		offset += run;
		len -= (size_t)run;
	}
	return 0;
}

static int joined_flush(struct domu_block *b)
{
	const struct joined *j = b->priv;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < DOMU_MAX_DISKS; i++)
		if (domu_lv_uses(j->map, i) && !j->disks[i]->readonly)
			rc = domu_block_flush(j->disks[i]);
	return rc;
}

static int joined_map(struct domu_block *b, uint64_t offset, uint64_t len, int *fd, uint64_t *fd_offset, uint64_t *run)
{
	uint64_t at, here;
	struct domu_block *disk = locate(b, offset, len, &at, &here);

	return domu_block_map(disk, at, here, fd, fd_offset, run);
}

static int joined_close(struct domu_block *b)
{
	free(b->priv);
	return 0;
}

static const struct domu_block_ops joined_ops = {
	.self_size = sizeof joined_ops,
	.name = "joined",
	.pread = joined_pread,
	.pwrite = joined_pwrite,
	.flush = joined_flush,
	.close = joined_close,
	.map = joined_map,
};

int domu_lv_open(struct domu_ctx *ctx, struct domu_block *const *disks, const struct domu_lv_map *map, const char *name,
                 struct domu_block **b)
{
	struct joined *j = calloc(1, sizeof *j);
	unsigned used = 0, readonly = 0;

	*b = j != NULL ? domu_block_new(ctx, &joined_ops, name, j) : NULL;
	if (*b == NULL) {
		free(j);
		return domu_nomem(ctx);
	}
	*j = (struct joined){ .disks = disks, .map = map };
	(*b)->size = domu_lv_size(map);
	for (unsigned i = 0; i < DOMU_MAX_DISKS; i++) {
		if (!domu_lv_uses(map, i))
			continue;
		if (disks[i]->sector_size > (*b)->sector_size)
			(*b)->sector_size = disks[i]->sector_size;
		readonly += disks[i]->readonly;
		used++;
	}
	(*b)->readonly = readonly > 0;
	if (readonly > 0 && readonly < used)
		(*b)->why_readonly = "a volume that lies in part on a disk that is read-only can only be read";
	return 0;
}
