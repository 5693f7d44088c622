/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fsext-util.h - images to try the ext driver on: made by mke2fs, judged by e2fsck and the kernel. */
#ifndef FSEXT_UTIL_H
#define FSEXT_UTIL_H

#include "base/ctx.h"
#include "plugins/fs-ext/fs-ext.h"

struct image {
	char dir[64]; /* a folder of its own */
	char path[96]; /* dir/img */
	char mnt[96]; /* dir/mnt */
	struct domu_ctx ctx;
	struct domu_block *block;
	struct domu_fs *fs;
	int fd;
};

/* Runs a command in a shell of the test; its status, -1 when it was killed.  The output goes to dir/out. */
int run(struct image *im, const char *fmt, ...) DOMU_PRINTF(2, 3);
/* The first bytes of what the last run printed. */
const char *output(struct image *im);

/* An image of size (as mke2fs has it), made with the options given; cr_asserts that it works. */
void image_make(struct image *im, const char *size, const char *mke2fs);
void image_free(struct image *im);
/* Opens it with the driver. */
int image_open(struct image *im, unsigned flags);
void image_must_open(struct image *im, unsigned flags);
/* Closes it; the driver must not fail. */
void image_close(struct image *im);
/* e2fsck -fn finds nothing. */
void image_clean(struct image *im);
/* A loop mount by the kernel; false: this kernel cannot. */
bool image_mount(struct image *im, const char *options);
void image_umount(struct image *im);

/* Paths through the driver, without following links: 0 where there is nothing. */
uint64_t walk(struct image *im, const char *path);

#endif
