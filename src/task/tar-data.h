/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-data.h - the bytes of an archive on their way out: small ones through a buffer, large ones past it. */
#ifndef DOMU_TAR_DATA_H
#define DOMU_TAR_DATA_H

#include "base/io.h"
#include "task/tar.h"

struct domu_tar_stream {
	struct domu_ctx *ctx;
	int fd;
	char *buf;
	size_t n; /* bytes in buf that are not written yet */
	bool pipe; /* fd takes splice(2) */
	bool by_hand; /* the kernel cannot pass bytes on from here to there: read and write */
	struct domu_behind behind;
	uint64_t written; /* in all, with those in buf */
	uint64_t shown; /* of them when progress was told last */
};

int domu_tar_stream_open(struct domu_ctx *ctx, int fd, struct domu_tar_stream *s);
int domu_tar_stream_put(struct domu_tar_stream *s, const void *bytes, size_t len);
int domu_tar_stream_zeros(struct domu_tar_stream *s, uint64_t len);
/* The end of the archive; everything is written when it returns 0. */
int domu_tar_stream_end(struct domu_tar_stream *s);
void domu_tar_stream_free(struct domu_tar_stream *s);

/*
 * len bytes from at of a filesystem's block device.  What cannot be read is
 * zeros, so that the archive stays in step, and *bad is why, with what was
 * recorded left in ctx; only a failure to write is returned.
 */
int domu_tar_stream_blocks(struct domu_tar_stream *s, struct domu_block *b, uint64_t at, uint64_t len, int *bad);
/* The same of a file's content, through its filesystem. */
int domu_tar_stream_file(struct domu_tar_stream *s, struct domu_fs *fs, uint64_t ino, uint64_t offset, uint64_t len,
                         int *bad);

#endif
