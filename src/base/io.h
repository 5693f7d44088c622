/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.h - the one table of functions through which the front changes anything on a disk or in its state directory. */
#ifndef DOMU_IO_H
#define DOMU_IO_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Plain system calls: -1 and errno as they have it.  A test puts its own
 * table into the context to record what was written and in which order, or to
 * fail the n-th call.  Reading needs no table.
 */
struct domu_io {
	int (*open)(const char *path, int flags, mode_t mode);
	int (*close)(int fd);
	ssize_t (*pwrite)(int fd, const void *buf, size_t len, off_t offset);
	int (*fsync)(int fd);
	int (*fdatasync)(int fd);
	int (*ftruncate)(int fd, off_t size);
	int (*fallocate)(int fd, int mode, off_t offset, off_t len);
	int (*rename)(const char *from, const char *to);
	int (*unlink)(const char *path);
	int (*mkdir)(const char *path, mode_t mode);
	int (*rmdir)(const char *path);
};

extern const struct domu_io domu_io_system;

/* Whole transfers; 0 or a negative errno (-EIO: the file ended).  EINTR and short counts are dealt with. */
int domu_pread_full(int fd, void *buf, size_t len, uint64_t offset);
/*
 * Of a device, what it has itself, past the page cache of this host: whoever maps a page of it, or has spliced it into
 * a pipe, keeps that page there, however old.  A file is read as always.
 */
int domu_pread_device(int fd, void *buf, size_t len, uint64_t offset);
int domu_pwrite_full(const struct domu_io *io, int fd, const void *buf, size_t len, uint64_t offset);
/* Syncs a folder, so that names in it survive a power cut. */
int domu_sync_dir(const struct domu_io *io, const char *path);
/* write(2) of everything to a pipe or file of the user. */
int domu_write_full(int fd, const void *buf, size_t len);

/*
 * Long files that are synced at their end, or removed when they are not
 * wanted after all: both wait for what the kernel has still to write, and go
 * through all that it keeps of it in memory; no signal ends that.  Called now
 * and then, this keeps both to twice DOMU_BEHIND bytes.
 * What is no regular file has nothing behind.
 */
#define DOMU_BEHIND (UINT64_C(16) << 20)
struct domu_behind {
	uint64_t waited, begun; /* up to here it is written, and the kernel has been told to write */
};
void domu_write_behind(struct domu_behind *b, int fd);

#endif
