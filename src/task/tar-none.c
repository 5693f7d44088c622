/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-none.c - what is missing in a build without libarchive. */
#include "config.h"

#include "task/tar.h"

int domu_tar_in(struct domu_ctx *ctx, const struct domu_tar_in *in, int fd)
{
	(void)in;
	(void)fd;
	return domu_tar_lib(ctx);
}

int domu_tar_pack_start(struct domu_ctx *ctx, enum domu_tar_packing kind, int out_fd, struct domu_tar_pack **p, int *fd)
{
	(void)kind;
	(void)out_fd;
	*p = NULL;
	*fd = -1;
	return domu_tar_lib(ctx);
}

int domu_tar_pack_end(struct domu_ctx *ctx, struct domu_tar_pack *p, int rc)
{
	(void)p;
	return rc != 0 ? rc : domu_tar_lib(ctx);
}

int domu_unpack(struct domu_ctx *ctx, const struct domu_unpack *u)
{
	(void)u;
	return domu_tar_lib(ctx);
}
