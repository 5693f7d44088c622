/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fsext-util.c - images to try the ext driver on: made by mke2fs, judged by e2fsck and the kernel. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "block/block.h"
#include "fsext-util.h"
#include "own-mounts.h"

/* A file that is written directly: what a stage would hold. */
static int file_pread(struct domu_block *b, void *buf, size_t len, uint64_t offset)
{
	return domu_pread_full(*(int *)b->priv, buf, len, offset);
}

static int file_pwrite(struct domu_block *b, const void *buf, size_t len, uint64_t offset)
{
	return domu_pwrite_full(&domu_io_system, *(int *)b->priv, buf, len, offset);
}

static const struct domu_block_ops file_ops = {
	.self_size = sizeof file_ops,
	.name = "file",
	.pread = file_pread,
	.pwrite = file_pwrite,
};

int run(struct image *im, const char *fmt, ...)
{
	char cmd[8192], whole[8400];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof whole, "cd %s && { %s\n} >out 2>&1", im->dir, cmd);
	status = system(whole);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *output(struct image *im)
{
	static char text[4096];
	char path[128];
	FILE *f;
	size_t n = 0;

	snprintf(path, sizeof path, "%s/out", im->dir);
	f = fopen(path, "r");
	if (f != NULL) {
		n = fread(text, 1, sizeof text - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return text;
}

void image_make(struct image *im, const char *size, const char *mke2fs)
{
	memset(im, 0, sizeof *im);
	im->fd = -1;
	own_mounts();
	snprintf(im->dir, sizeof im->dir, "/tmp/domu-fsext-XXXXXX");
	cr_assert_not_null(mkdtemp(im->dir));
	snprintf(im->path, sizeof im->path, "%s/img", im->dir);
	snprintf(im->mnt, sizeof im->mnt, "%s/mnt", im->dir);
	cr_assert_eq(mkdir(im->mnt, 0700), 0);
	domu_ctx_init(&im->ctx);
	cr_assert_eq(run(im, "mke2fs -q -F %s img %s", mke2fs, size), 0, "mke2fs %s: %s", mke2fs, output(im));
}

void image_free(struct image *im)
{
	char cmd[128];

	if (im->fs != NULL)
		image_close(im);
	domu_ctx_free(&im->ctx);
	snprintf(cmd, sizeof cmd, "rm -rf --one-file-system %s", im->dir);
	cr_assert_eq(system(cmd), 0);
}

int image_open(struct image *im, unsigned flags)
{
	struct stat st;
	int rc;

	im->fd = open(im->path, (flags & DOMU_FS_WRITE) ? O_RDWR : O_RDONLY);
	cr_assert_geq(im->fd, 0);
	cr_assert_eq(fstat(im->fd, &st), 0);
	im->block = domu_block_new(&im->ctx, &file_ops, "xvda1", &im->fd);
	cr_assert_not_null(im->block);
	im->block->size = (uint64_t)st.st_size;
	im->block->readonly = (flags & DOMU_FS_WRITE) == 0;
	rc = ext_open(&im->ctx, im->block, flags, &im->fs);
	if (rc != 0) {
		domu_block_close(im->block);
		close(im->fd);
	}
	return rc;
}

void image_must_open(struct image *im, unsigned flags)
{
	int rc = image_open(im, flags);

	cr_assert_eq(rc, 0, "open: %d %s", rc, im->ctx.error.message);
}

void image_close(struct image *im)
{
	int rc = ext_close(im->fs);

	im->fs = NULL;
	domu_block_close(im->block);
	close(im->fd);
	cr_assert_eq(rc, 0, "close: %d %s", rc, im->ctx.error.message);
}

void image_clean(struct image *im)
{
	int rc = run(im, "e2fsck -fn img");

	cr_assert_eq(rc, 0, "e2fsck -fn: status %d\n%s", rc, output(im));
}

bool image_mount(struct image *im, const char *options)
{
	int rc = run(im, "mount -o loop%s%s img mnt", options[0] != '\0' ? "," : "", options);

	return rc == 0;
}

void image_umount(struct image *im)
{
	cr_assert_eq(run(im, "umount mnt"), 0, "umount: %s", output(im));
}

uint64_t walk(struct image *im, const char *path)
{
	uint64_t ino = im->fs->root;
	char copy[1024], *save = NULL;

	snprintf(copy, sizeof copy, "%s", path);
	for (char *name = strtok_r(copy, "/", &save); name != NULL; name = strtok_r(NULL, "/", &save))
		if (im->fs->ops->lookup(im->fs, ino, name, &ino) != 0)
			return 0;
	return ino;
}
