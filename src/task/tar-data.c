/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-data.c - the bytes of an archive on their way out: small ones through a buffer, large ones past it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "task/tar-data.h"

#define BUFFER     (1u << 20)
#define PIPE_SIZE  (1u << 20)
#define LARGE      65536u /* from here on the kernel passes the pages on, and nothing is copied */
#define SHOW_EVERY (UINT64_C(16) << 20)
#define RECORD     10240u /* archives end with whole ones, as tar(1) writes them */

int domu_tar_stream_open(struct domu_ctx *ctx, int fd, struct domu_tar_stream *s)
{
	struct stat st;

	*s = (struct domu_tar_stream){ .ctx = ctx, .fd = fd };
	s->buf = malloc(BUFFER);
	if (s->buf == NULL)
		return domu_nomem(ctx);
	s->pipe = fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
	/* Where it may not grow it is slower, that is all. */
	if (s->pipe && fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE) < 0)
		errno = 0;
	return 0;
}

void domu_tar_stream_free(struct domu_tar_stream *s)
{
	free(s->buf);
	s->buf = NULL;
}

static int write_failed(struct domu_tar_stream *s, int rc)
{
	/* A reader that has gone away has what it wanted. */
	rc = rc == -EPIPE ? -ESHUTDOWN : rc;
	return domu_fail(s->ctx, DOMU_FAILED, rc, "cannot write the archive: %s", strerror(-rc));
}

static int flush(struct domu_tar_stream *s)
{
	int rc = domu_write_full(s->fd, s->buf, s->n);

	s->n = 0;
	if (rc != 0)
		return write_failed(s, rc);
	if (!s->pipe)
		domu_write_behind(&s->behind, s->fd);
	if (s->written - s->shown >= SHOW_EVERY) {
		domu_progress(s->ctx, "tar-out, MiB", s->written >> 20, 0);
		s->shown = s->written;
	}
	return 0;
}

/* Room for at least one byte; *p is where. */
static int room(struct domu_tar_stream *s, char **p, size_t *len)
{
	int rc = s->n == BUFFER ? flush(s) : 0;

	*p = s->buf + s->n;
	if (*len > BUFFER - s->n)
		*len = BUFFER - s->n;
	return rc;
}

static void took(struct domu_tar_stream *s, size_t len)
{
	s->n += len;
	s->written += len;
}

int domu_tar_stream_put(struct domu_tar_stream *s, const void *bytes, size_t len)
{
	const char *from = bytes;
	int rc = 0;

	while (rc == 0 && len > 0) {
		size_t n = len;
		char *p;

		rc = room(s, &p, &n);
		if (rc != 0)
			break;
		memcpy(p, from, n);
		took(s, n);
		from += n;
		len -= n;
	}
	return rc;
}

int domu_tar_stream_zeros(struct domu_tar_stream *s, uint64_t len)
{
	int rc = 0;

	while (rc == 0 && len > 0) {
		size_t n = len < BUFFER ? (size_t)len : BUFFER;
		char *p;

		rc = room(s, &p, &n);
		if (rc != 0)
			break;
		memset(p, 0, n);
		took(s, n);
		len -= n;
	}
	return rc;
}

int domu_tar_stream_end(struct domu_tar_stream *s)
{
	int rc = domu_tar_stream_zeros(s, 1024);

	if (rc == 0)
		rc = domu_tar_stream_zeros(s, (RECORD - s->written % RECORD) % RECORD);
	return rc == 0 ? flush(s) : rc;
}

/* ---- from the disk ------------------------------------------------------------------- */

/* Pages of a file straight into the pipe (or the other file); *done may be less than len. */
static int pass_on(struct domu_tar_stream *s, int fd, uint64_t offset, size_t len, size_t *done)
{
	off_t at = (off_t)offset;
	ssize_t n;
	int rc = flush(s);

	*done = 0;
	if (rc != 0)
		return rc;
	/* No signal is looked at before all of it is written. */
	if (!s->pipe && len > DOMU_BEHIND)
		len = DOMU_BEHIND;
	do {
		n = s->pipe ? splice(fd, &at, s->fd, NULL, len, SPLICE_F_MORE) : sendfile(s->fd, fd, &at, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		*done = (size_t)n;
		s->written += (size_t)n;
		return 0;
	}
	if (n < 0 && (errno == EPIPE || errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
		return write_failed(s, -errno);
	/* Which of the two it cannot do it with, or cannot read, is found out by hand. */
	s->by_hand = true;
	return 0;
}

/* One piece: *done bytes, or *bad. */
static int some_blocks(struct domu_tar_stream *s, struct domu_block *b, uint64_t at, uint64_t len, size_t *done,
                       int *bad)
{
	uint64_t fd_offset, run;
	size_t n;
	char *p;
	int fd, rc;

	*done = 0;
	if (len >= LARGE && !s->by_hand && domu_block_map(b, at, len, &fd, &fd_offset, &run) == 0 && run >= LARGE) {
		rc = pass_on(s, fd, fd_offset, run < (1u << 30) ? (size_t)run : 1u << 30, done);
		if (rc != 0 || *done > 0)
			return rc;
	}
	n = len < BUFFER ? (size_t)len : BUFFER;
	rc = room(s, &p, &n);
	if (rc != 0)
		return rc;
	*bad = domu_block_pread(b, p, n, at);
	if (*bad == 0) {
		took(s, n);
		*done = n;
	}
	return 0;
}

int domu_tar_stream_blocks(struct domu_tar_stream *s, struct domu_block *b, uint64_t at, uint64_t len, int *bad)
{
	*bad = 0;
	while (len > 0) {
		size_t n;
		int rc = some_blocks(s, b, at, len, &n, bad);

		if (rc != 0)
			return rc;
		if (*bad != 0)
			return domu_tar_stream_zeros(s, len);
		at += n;
		len -= n;
	}
	return 0;
}

int domu_tar_stream_file(struct domu_tar_stream *s, struct domu_fs *fs, uint64_t ino, uint64_t offset, uint64_t len,
                         int *bad)
{
	*bad = 0;
	while (len > 0) {
		size_t n = len < BUFFER ? (size_t)len : BUFFER;
		ssize_t got;
		char *p;
		int rc = room(s, &p, &n);

		if (rc != 0)
			return rc;
		got = domu_fs_read(fs, ino, p, n, offset);
		if (got <= 0) {
			*bad = got < 0 ? (int)got : -EIO;
			return domu_tar_stream_zeros(s, len);
		}
		took(s, (size_t)got);
		offset += (size_t)got;
		len -= (size_t)got;
	}
	return 0;
}
