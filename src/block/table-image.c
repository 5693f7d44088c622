/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table-image.c - parts of a disk copied through the block stack into a sparse memory file. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/io.h"
#include "base/num.h"
#include "block/table-image.h"

#define PAGE  4096u
#define CHUNK (64u << 10)

int domu_image_open(struct domu_image *im, struct domu_block *b, uint64_t size)
{
	memset(im, 0, sizeof *im);
	im->b = b;
	im->size = size;
	im->fd = memfd_create("domu-table", MFD_CLOEXEC);
	if (im->fd < 0 || ftruncate(im->fd, (off_t)size) < 0) {
		int rc = -errno;

		domu_image_close(im);
		return domu_fail(b->ctx, DOMU_FAILED, rc, "%s: cannot make a file in memory: %s", b->name,
		                 strerror(-rc));
	}
	return 0;
}

void domu_image_close(struct domu_image *im)
{
	if (im->fd >= 0)
		close(im->fd);
	im->fd = -1;
}

bool domu_image_loaded(const struct domu_image *im, uint64_t offset, uint64_t len)
{
	for (unsigned i = 0; i < im->n_regions; i++)
		if (offset >= im->region[i].offset && offset - im->region[i].offset < im->region[i].len &&
		    len <= im->region[i].len - (offset - im->region[i].offset))
			return true;
	return false;
}

/* Pages of zeros stay holes. */
static int copy_pages(struct domu_image *im, const char *buf, size_t len, uint64_t offset)
{
	static const char zeros[PAGE];
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < len; at += PAGE) {
		size_t n = len - at < PAGE ? len - at : PAGE;

		if (memcmp(buf + at, zeros, n) == 0)
			continue;
		im->nonzero = true;
		rc = domu_pwrite_full(&domu_io_system, im->fd, buf + at, n, offset + at);
	}
	return rc < 0 ? domu_fail(im->b->ctx, DOMU_FAILED, rc, "%s: cannot write a file in memory: %s", im->b->name,
	                          strerror(-rc))
	              : 0;
}

int domu_image_load(struct domu_image *im, uint64_t offset, uint64_t len)
{
	uint64_t end = im->b->size < im->size ? im->b->size : im->size;
	char buf[CHUNK];

	if (offset >= end || len == 0)
		return 0;
	if (len < end - offset)
		end = (offset + len + PAGE - 1) / PAGE * PAGE < end ? (offset + len + PAGE - 1) / PAGE * PAGE : end;
	offset -= offset % PAGE;
	if (domu_image_loaded(im, offset, end - offset))
		return 0;
	if (im->n_regions == DOMU_IMAGE_REGIONS)
		return -E2BIG;
	im->region[im->n_regions].offset = offset;
	im->region[im->n_regions++].len = end - offset;
	while (offset < end) {
		size_t n = end - offset < CHUNK ? (size_t)(end - offset) : CHUNK;
		int rc = domu_block_pread(im->b, buf, n, offset);

		if (rc == 0)
			rc = copy_pages(im, buf, n, offset);
		if (rc < 0)
			return rc;
		offset += n;
	}
	return 0;
}
