/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raw.c - the bottom of a stack: a file or block device, read-only. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "block/block.h"

struct raw {
	int fd;
	uint64_t backing; /* bytes; what is beyond reads as zeros */
};

static int raw_pread(struct domu_block *b, void *buf, size_t len, uint64_t offset)
{
	struct raw *r = b->priv;
	char *p = buf;

	if (offset >= r->backing) {
		memset(p, 0, len);
		return 0;
	}
	if (len > r->backing - offset) {
		size_t inside = (size_t)(r->backing - offset);

		memset(p + inside, 0, len - inside);
		len = inside;
	}
	while (len > 0) {
		ssize_t n = pread(r->fd, p, len, (off_t)offset);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return domu_fail(b->ctx, DOMU_FAILED, -errno,
			                 "%s: cannot read %zu bytes at offset %" PRIu64 ": %s", b->name, len, offset,
			                 strerror(errno));
		}
		if (n == 0)
			return domu_fail(b->ctx, DOMU_FAILED, -EIO,
			                 "%s: the backing store ends at byte %" PRIu64 ": it had %" PRIu64
			                 " bytes when it was opened",
			                 b->name, offset, r->backing);
		p += n;
		len -= (size_t)n;
		offset += (size_t)n;
	}
	return 0;
}

static int raw_map(struct domu_block *b, uint64_t offset, uint64_t len, int *fd, uint64_t *fd_offset, uint64_t *run)
{
	struct raw *r = b->priv;

	if (offset >= r->backing) {
		*run = len;
		return -ENODATA;
	}
	*fd = r->fd;
	*fd_offset = offset;
	*run = len < r->backing - offset ? len : r->backing - offset;
	return 0;
}

static int raw_close(struct domu_block *b)
{
	free(b->priv);
	return 0;
}

static const struct domu_block_ops raw_ops = {
	.self_size = sizeof raw_ops,
	.name = "raw",
	.pread = raw_pread,
	.map = raw_map,
	.close = raw_close,
};

static int backing_size(struct domu_ctx *ctx, int fd, const char *name, uint64_t *size, bool *device)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st) < 0)
		return domu_fail(ctx, DOMU_FAILED, -errno, "%s: cannot look at the backing store: %s", name,
		                 strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return domu_fail(ctx, DOMU_FAILED, -ENOTBLK,
		                 "%s: the backing store is neither a file nor a block device", name);
	*device = S_ISBLK(st.st_mode);
	/* As good as BLKGETSIZE64, and it needs no ioctl, which a worker may not have. */
	end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return domu_fail(ctx, DOMU_FAILED, -errno, "%s: cannot find the size of the backing store: %s", name,
		                 strerror(errno));
	*size = (uint64_t)end;
	return 0;
}

int domu_raw_open(struct domu_ctx *ctx, int fd, const char *name, uint64_t size, uint32_t sector_size,
                  struct domu_block **b)
{
	struct raw *r;
	uint64_t backing = 0;
	bool device = false;
	int sector = 512;
	int rc = backing_size(ctx, fd, name, &backing, &device);

	if (rc < 0)
		return rc;
	if (sector_size == 0 && device && ioctl(fd, BLKSSZGET, &sector) < 0)
		return domu_fail(ctx, DOMU_FAILED, -errno, "%s: cannot find the sector size: %s", name,
		                 strerror(errno));
	if (sector_size == 0)
		sector_size = (uint32_t)sector;
	if (sector_size != 512 && sector_size != 4096)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: sectors of %" PRIu32 " bytes are not supported", name, sector_size);
	if (size == 0)
		size = backing;
	if (size > INT64_MAX)
		return domu_fail(ctx, DOMU_FAILED, -EFBIG, "%s: %" PRIu64 " bytes is no size of a disk", name, size);
	r = malloc(sizeof *r);
	*b = r != NULL ? domu_block_new(ctx, &raw_ops, name, r) : NULL;
	if (*b == NULL) {
		free(r);
		return domu_nomem(ctx);
	}
	r->fd = fd;
	r->backing = backing < size ? backing : size;
	(*b)->size = size;
	(*b)->sector_size = sector_size;
	(*b)->readonly = true;
	return 0;
}
