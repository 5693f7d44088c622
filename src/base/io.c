/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.c - the system's own I/O functions, and whole transfers over them. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

#define DIRECT_ALIGN 4096 /* what O_DIRECT asks of memory on any device */

static int sys_open(const char *path, int flags, mode_t mode)
{
	return open(path, flags | O_CLOEXEC, mode);
}

const struct domu_io domu_io_system = {
	.open = sys_open,
	.close = close,
	.pwrite = pwrite,
	.fsync = fsync,
	.fdatasync = fdatasync,
	.ftruncate = ftruncate,
	.fallocate = fallocate,
	.rename = rename,
	.unlink = unlink,
	.mkdir = mkdir,
	.rmdir = rmdir,
};

int domu_pread_full(int fd, void *buf, size_t len, uint64_t offset)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)offset);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
		offset += (size_t)n;
	}
	return 0;
}

/* A door is a sector of the disk that it was closed on, which may be a part of one where that is now. */
static int pread_sectors(int fd, void *buf, size_t len, uint64_t offset)
{
	int sector = 0, rc;
	uint64_t from, to;
	void *aligned = NULL;

	if (ioctl(fd, BLKSSZGET, &sector) < 0 || sector <= 0)
		sector = DIRECT_ALIGN;
	from = offset / (unsigned)sector * (unsigned)sector;
	to = (offset + len + (unsigned)sector - 1) / (unsigned)sector * (unsigned)sector;
	rc = -posix_memalign(&aligned, DIRECT_ALIGN, (size_t)(to - from));
	if (rc == 0)
		rc = domu_pread_full(fd, aligned, (size_t)(to - from), from);
	if (rc == 0)
		memcpy(buf, (char *)aligned + (offset - from), len);
	free(aligned);
	return rc;
}

int domu_pread_device(int fd, void *buf, size_t len, uint64_t offset)
{
	struct stat st;
	char path[32];
	int direct, rc;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode) || len == 0)
		return domu_pread_full(fd, buf, len, offset);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	direct = open(path, O_RDONLY | O_DIRECT | O_NONBLOCK | O_CLOEXEC);
	if (direct < 0)
		return -errno;
	rc = pread_sectors(direct, buf, len, offset);
	close(direct);
	return rc;
}

int domu_pwrite_full(const struct domu_io *io, int fd, const void *buf, size_t len, uint64_t offset)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = io->pwrite(fd, p, len, (off_t)offset);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
		offset += (size_t)n;
	}
	return 0;
}

int domu_sync_dir(const struct domu_io *io, const char *path)
{
	int fd = io->open(path, O_RDONLY | O_DIRECTORY, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (io->fsync(fd) < 0)
		rc = -errno;
	io->close(fd);
	return rc;
}

int domu_write_full(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

void domu_write_behind(struct domu_behind *b, int fd)
{
	off_t at = lseek(fd, 0, SEEK_CUR);

	if (at < 0 || (uint64_t)at < b->begun + DOMU_BEHIND)
		return;
	/* The disk has the new part to do while the one before is waited for; a failure shows at the sync. */
	sync_file_range(fd, (off_t)b->begun, at - (off_t)b->begun, SYNC_FILE_RANGE_WRITE);
	if (b->begun > b->waited) {
		off_t from = (off_t)b->waited, len = (off_t)(b->begun - b->waited);

		sync_file_range(fd, from, len,
		                SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
		posix_fadvise(fd, from, len, POSIX_FADV_DONTNEED);
	}
	b->waited = b->begun;
	b->begun = (uint64_t)at;
}
