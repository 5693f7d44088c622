/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stack.c - the layers of one disk, made from descriptors. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/block.h"

int domu_stack_open(struct domu_ctx *ctx, const struct domu_stack_desc *desc, const char *name, struct domu_stack *s)
{
	int rc;

	memset(s, 0, sizeof *s);
	rc = domu_raw_open(ctx, desc->base_fd, name, desc->size, desc->sector_size, &s->raw);
	s->top = s->raw;
	if (rc == 0 && desc->stage_fd >= 0) {
		rc = domu_overlay_open(ctx, s->top, desc->stage_fd, desc->disk, desc->stage_readonly, &s->stage);
		s->top = s->stage;
	}
	if (rc == 0 && desc->replay_fd >= 0) {
		rc = domu_overlay_open(ctx, s->top, desc->replay_fd, desc->disk, desc->replay_readonly, &s->replay);
		s->top = s->replay;
	}
	if (rc < 0)
		domu_stack_close(s);
	return rc;
}

int domu_stack_refresh(struct domu_stack *s)
{
	int rc = s->stage != NULL ? domu_overlay_refresh(s->stage) : 0;

	if (rc == 0 && s->replay != NULL)
		rc = domu_overlay_refresh(s->replay);
	return rc;
}

int domu_stack_close(struct domu_stack *s)
{
	struct domu_block *layer[] = { s->replay, s->stage, s->raw };
	int rc = 0;

	for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
		int r = domu_block_close(layer[i]);

		if (rc == 0)
			rc = r;
	}
	memset(s, 0, sizeof *s);
	return rc;
}

int domu_replay_log(struct domu_ctx *ctx, const char *dir)
{
	int fd = dir != NULL ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
	int rc;

	/* Only reading: the folder may be absent, unwritable or of a filesystem that has no unnamed files. */
	if (fd < 0)
		fd = memfd_create("domu-replay", MFD_CLOEXEC);
	if (fd < 0)
		return domu_fail(ctx, DOMU_FAILED, -errno, "cannot make a file for a journal replay in %s: %s",
		                 dir != NULL ? dir : "memory", strerror(errno));
	rc = domu_log_init(ctx, fd);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}
