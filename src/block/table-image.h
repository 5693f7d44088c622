/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table-image.h - a memory file that looks like a disk to libfdisk and libblkid, holding only what they look at. */
#ifndef DOMU_TABLE_IMAGE_H
#define DOMU_TABLE_IMAGE_H

#include "block/table.h"

struct fdisk_context;

#define DOMU_IMAGE_REGIONS 320u

/* A sparse file as long as the disk.  What was not loaded reads as zeros. */
struct domu_image {
	struct domu_block *b;
	int fd; /* -1: none */
	uint64_t size; /* of the file, bytes */
	struct {
		uint64_t offset, len;
	} region[DOMU_IMAGE_REGIONS];
	unsigned n_regions;
	bool nonzero; /* something that was loaded is not zero */
};

int domu_image_open(struct domu_image *im, struct domu_block *b, uint64_t size);
void domu_image_close(struct domu_image *im); /* may be one that was only zeroed with fd -1 */
/* Copies a part of the disk, widened to whole pages; what is beyond the end is left out. */
int domu_image_load(struct domu_image *im, uint64_t offset, uint64_t len);
bool domu_image_loaded(const struct domu_image *im, uint64_t offset, uint64_t len);

/* A partition table found on a disk, and libfdisk's view of it. */
struct domu_table {
	char type[16]; /* "gpt", "dos" or "": none */
	uint32_t sector_size;
	bool mended; /* something absurd was kept from libfdisk: what it shows must not be written back */
	struct fdisk_context *cxt; /* NULL: no table, or none that can be read */
	struct domu_image image;
};

/*
 * Looks for a table.  A filesystem that fills the disk and only looks as if
 * it had one is none.  writable: for a change.  Problems go to nodes, which
 * may be NULL.  0 also when there is none; then, too, domu_table_close().
 */
int domu_table_open(struct domu_ctx *ctx, struct domu_block *b, const char *vdev, bool writable,
                    struct domu_nodes *nodes, struct domu_table *t);
void domu_table_close(struct domu_table *t);

#endif
