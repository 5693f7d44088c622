/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* domu-shim.c - preloaded into e2fsprogs' programs: unix_io_manager on a block stack (src/block/shim.h). */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ext2fs/ext2_err.h>
#include <ext2fs/ext2_types.h>

#include "base/ctx.h"
#include "block/ext_io.h"
#include "block/shim.h"

/* One filesystem for the life of the program, which may close and open it again: e2fsck does after a replay. */
static struct domu_ctx ctx;
static struct domu_shim shim;
static struct domu_stack stack;
static struct domu_block *fs;

static int prepare(void)
{
	const char *text = getenv(DOMU_SHIM_ENV);
	int rc;

	if (fs != NULL)
		return 0;
	domu_ctx_init(&ctx);
	if (text == NULL || domu_shim_parse(text, &shim) < 0)
		return domu_fail(&ctx, DOMU_FAILED, -EINVAL, "%s does not say what to open", DOMU_SHIM_ENV);
	rc = domu_stack_open(&ctx, &shim.stack, shim.name, &stack);
	if (rc == 0)
		rc = domu_slice_open(&ctx, stack.top, shim.name, shim.offset, shim.size, &fs);
	if (rc < 0) {
		domu_stack_close(&stack);
		return rc;
	}
	if (!shim.writable)
		fs->readonly = true;
	return 0;
}

static struct struct_io_manager manager;

static errcode_t shim_open(const char *name, int flags, io_channel *channel)
{
	int rc = prepare();
	errcode_t err;

	if (rc < 0) {
		/* The program knows no more than the number. */
		fprintf(stderr, "domu-shim: %s\n", ctx.error.message != NULL ? ctx.error.message : strerror(-rc));
		return -rc;
	}
	if (name == NULL || strcmp(name, shim.name) != 0)
		return EACCES;
	err = domu_ext_io_channel(fs, name, flags, channel);
	if (err == 0) {
		manager = *domu_ext_io();
		manager.open = shim_open;
		(*channel)->manager = &manager;
	}
	return err;
}

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "domu-shim",
	.open = shim_open,
};

/* The programs copy this pointer before anything runs, and call open through it; the rest is there after that. */
extern DOMU_PUBLIC io_manager unix_io_manager;
io_manager unix_io_manager = &manager;
