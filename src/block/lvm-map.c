/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lvm-map.c - a logical volume in several pieces, as one block. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/lvm.h"

struct joined {
	struct domu_block *const *disks;
	const struct domu_lv_map *map;
};

void domu_lv_map_free(struct domu_lv_map *m)
{
	if (m == NULL)
		return;
	free(m->pieces);
	free(m->legs);
	free(m);
}

/* Which disk has the byte at offset, where, and how many after it in one go. */
static struct domu_block *locate(const struct domu_block *b, uint64_t offset, uint64_t len, uint64_t *at, uint64_t *run)
{
	const struct joined *j = b->priv;
	const struct domu_lv_map *m = j->map;
	size_t lo = 0, hi = m->n_pieces;
	const struct domu_lv_piece *p;
	const struct domu_lv_leg *leg;
	uint64_t in;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->pieces[mid].offset <= offset)
			lo = mid;
		else
			hi = mid;
	}
	p = &m->pieces[lo];
	in = offset - p->offset;
	leg = &m->legs[p->first];
	*at = in;
	*run = p->len - in;
	if (p->legs > 1) {
		uint64_t chunk = in / p->stripe;

		leg += chunk % p->legs;
		*at = chunk / p->legs * p->stripe + in % p->stripe;
		*run = p->stripe - in % p->stripe;
	}
	*at += leg->at;
	if (*run > len)
		*run = len;
	return j->disks[leg->disk];
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
	.close = joined_close,
	.map = joined_map,
};

int domu_lv_open(struct domu_ctx *ctx, struct domu_block *const *disks, const struct domu_lv_map *map, const char *name,
                 uint64_t size, struct domu_block **b)
{
	struct joined *j = calloc(1, sizeof *j);

	*b = j != NULL ? domu_block_new(ctx, &joined_ops, name, j) : NULL;
	if (*b == NULL) {
		free(j);
		return domu_nomem(ctx);
	}
	*j = (struct joined){ .disks = disks, .map = map };
	(*b)->size = size;
	(*b)->sector_size = disks[map->legs[0].disk]->sector_size;
	(*b)->readonly = true;
	return 0;
}
