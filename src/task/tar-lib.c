/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-lib.c - libarchive, loaded when first needed. */
#include "config.h"

#include <errno.h>

#include "task/tar.h"

#ifdef HAVE_LIBARCHIVE
#include "base/lib-archive.h"

DOMU_LIB_DEFINE(archive, DOMU_ARCHIVE_CALLS, ARCHIVE_SONAME);

int domu_tar_lib(struct domu_ctx *ctx)
{
	return domu_lib_load(ctx, &domu_lib_archive);
}

bool domu_tar_lib_is_loaded(void)
{
	return domu_lib_archive.loaded;
}
#else
int domu_tar_lib(struct domu_ctx *ctx)
{
	return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
	                 "domu-rescue was built without libarchive: it neither reads archives nor compresses");
}

bool domu_tar_lib_is_loaded(void)
{
	return false;
}
#endif
