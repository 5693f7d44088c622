/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table-grow.c - a partition made longer: libfdisk changes the copy, what it changed goes to the stage. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/io.h"
#include "base/num.h"
#include "block/lib-fdisk.h"
#include "block/table-image.h"

#define PAGE   4096u
#define SECTOR 512u

static int refused(struct domu_ctx *ctx, struct domu_block *b, unsigned partno, const char *why)
{
	return domu_fail(ctx, DOMU_FAILED, -EINVAL, "%s: partition %u cannot be made longer: %s", b->name, partno, why);
}

/* One page of the copy against the stage. */
static int write_page(struct domu_block *b, const struct domu_image *im, uint64_t offset)
{
	static const uint8_t zeros[SECTOR];
	size_t len = b->size - offset < PAGE ? (size_t)(b->size - offset) : PAGE;
	bool loaded = domu_image_loaded(im, offset, len);
	uint8_t is[PAGE], was[PAGE];
	int rc = domu_pread_full(im->fd, is, len, offset);

	if (rc == 0)
		rc = domu_block_pread(b, was, len, offset);
	for (size_t at = 0; rc == 0 && at < len; at += SECTOR) {
		size_t n = len - at < SECTOR ? len - at : SECTOR;

		/* Where nothing was loaded, zeros in the copy mean nothing. */
		if (memcmp(is + at, was + at, n) == 0 || (!loaded && memcmp(is + at, zeros, n) == 0))
			continue;
		rc = domu_block_pwrite(b, is + at, n, offset + at);
	}
	return rc;
}

static int write_back(struct domu_block *b, const struct domu_image *im)
{
	off_t data = 0, hole;
	int rc = 0;

	/* All of the copy that is not a hole: some hundred KiB. */
	while (rc == 0 && (data = lseek(im->fd, data, SEEK_DATA)) >= 0) {
		hole = lseek(im->fd, data, SEEK_HOLE);
		for (data -= data % PAGE; rc == 0 && data < hole && (uint64_t)data < b->size; data += PAGE)
			rc = write_page(b, im, (uint64_t)data);
		if ((uint64_t)data >= b->size)
			break;
	}
	return rc;
}

/* Sets one partition's length in sectors; nothing is rounded. */
static int set_length(struct fdisk_context *cxt, size_t index, uint64_t sectors)
{
	struct fdisk_partition *pa = fdisk_new_partition();
	int rc;

	if (pa == NULL)
		return -ENOMEM;
	rc = fdisk_partition_set_size(pa, sectors);
	if (rc == 0)
		rc = fdisk_partition_size_explicit(pa, 1);
	if (rc == 0)
		rc = fdisk_set_partition(cxt, index, pa);
	fdisk_unref_partition(pa);
	return rc;
}

/* The extended partition reaches at least to end (sectors). */
static int grow_extended(struct fdisk_context *cxt, uint64_t end)
{
	struct fdisk_partition *pa = NULL;
	int rc = 0;

	for (size_t i = 0; i < 4; i++) {
		if (fdisk_get_partition(cxt, i, &pa) != 0)
			continue;
		if (fdisk_partition_is_container(pa) && fdisk_partition_has_end(pa) &&
		    fdisk_partition_get_end(pa) + 1 < end)
			rc = set_length(cxt, i, end - fdisk_partition_get_start(pa));
		fdisk_unref_partition(pa);
		pa = NULL;
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int grow(struct domu_ctx *ctx, struct domu_block *b, struct domu_table *t, unsigned partno, uint64_t size)
{
	struct fdisk_partition *pa = NULL;
	uint64_t sectors = size / t->sector_size, start;
	int rc;

	rc = fdisk_get_partition(t->cxt, partno - 1, &pa);
	if (rc < 0 || !fdisk_partition_is_used(pa) || !fdisk_partition_has_start(pa)) {
		rc = refused(ctx, b, partno, "there is no such partition");
		goto out;
	}
	start = fdisk_partition_get_start(pa);
	if (size % t->sector_size != 0 || sectors < fdisk_partition_get_size(pa) ||
	    !domu_inside(start, sectors, b->size / t->sector_size)) {
		rc = refused(ctx, b, partno,
		             "the new length is no whole number of sectors between the old one and the disk's end");
		goto out;
	}
	rc = strcmp(t->type, "dos") == 0 && partno > 4 ? grow_extended(t->cxt, start + sectors) : 0;
	if (rc == 0)
		rc = set_length(t->cxt, partno - 1, sectors);
	if (rc == 0)
		rc = fdisk_write_disklabel(t->cxt);
	if (rc < 0) {
		rc = refused(ctx, b, partno, strerror(-rc));
		goto out;
	}
	rc = write_back(b, &t->image);
out:
	fdisk_unref_partition(pa);
	return rc;
}

/* What was written says what was meant: the same partitions, one of them longer. */
static int verify(struct domu_ctx *ctx, struct domu_block *b, const struct domu_nodes *was, unsigned partno,
                  uint64_t size)
{
	struct domu_nodes is = { 0 };
	int rc = domu_table_read(ctx, b, b->name, 0, &is);
	bool same = rc == 0 && is.n == was->n && is.n_problems <= was->n_problems;

	for (size_t i = 0; same && i < is.n; i++) {
		const struct domu_node *x = &was->v[i], *y = &is.v[i];

		same = x->start == y->start && x->partno == y->partno && strcmp(x->partuuid, y->partuuid) == 0 &&
		       strcmp(x->parttype, y->parttype) == 0 &&
		       (x->partno == partno && partno != 0 ? y->size == size
		        : x->extended                      ? y->size >= x->size
		                                           : y->size == x->size);
	}
	if (rc == 0 && !same)
		rc = refused(ctx, b, partno, "the new table would not be what was asked for");
	domu_nodes_free(&is);
	return rc;
}

int domu_table_grow(struct domu_ctx *ctx, struct domu_block *b, unsigned partno, uint64_t size)
{
	struct domu_nodes was = { 0 };
	struct domu_table t;
	int rc;

	if (partno == 0)
		return refused(ctx, b, partno, "there is no such partition");
	rc = domu_table_read(ctx, b, b->name, 0, &was);
	if (rc < 0)
		goto out;
	rc = domu_table_open(ctx, b, b->name, true, NULL, &t);
	if (rc < 0)
		goto out;
	if (t.cxt == NULL)
		rc = refused(ctx, b, partno, "the disk has no partition table that can be used");
	else if (t.mended || was.n_problems > 0)
		rc = domu_fail(ctx, DOMU_FAILED, -EUCLEAN, "%s: the partition table is damaged and is not written: %s",
		               b->name, was.n_problems > 0 ? was.problems[0] : "it has to be mended first");
	else
		rc = grow(ctx, b, &t, partno, size);
	domu_table_close(&t);
	if (rc == 0)
		rc = verify(ctx, b, &was, partno, size);
out:
	domu_nodes_free(&was);
	return rc;
}
