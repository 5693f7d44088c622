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

static int open_disk(struct domu_ctx *ctx, const struct domu_stack_desc *desc, const char *name, struct domu_stack *s)
{
	int rc = domu_raw_open(ctx, desc->base_fd, name, desc->size, desc->sector_size, &s->raw);

	s->top = s->raw;
	if (rc == 0 && desc->stage_fd >= 0) {
		rc = domu_overlay_open(ctx, s->top, desc->stage_fd, desc->disk, desc->stage_readonly, &s->stage);
		s->top = s->stage;
	}
	if (rc == 0 && desc->replay_fd >= 0) {
		rc = domu_overlay_open(ctx, s->top, desc->replay_fd, desc->disk, desc->replay_readonly, &s->replay);
		s->top = s->replay;
	}
	return rc;
}

/* Who described it may have been told of other disks: it is looked at again. */
static int open_volume(struct domu_ctx *ctx, const struct domu_volume *v, const char *name, struct domu_stack *s)
{
	uint64_t sizes[DOMU_MAX_DISKS] = { 0 };
	int rc = 0;

	s->parts = calloc(DOMU_MAX_DISKS, sizeof *s->parts);
	s->tops = calloc(DOMU_MAX_DISKS, sizeof *s->tops);
	if (s->parts == NULL || s->tops == NULL)
		return domu_nomem(ctx);
	for (size_t i = 0; rc == 0 && i < DOMU_MAX_DISKS; i++) {
		if (v->disks[i].base_fd < 0)
			continue;
		rc = open_disk(ctx, &v->disks[i], name, &s->parts[i]);
		s->tops[i] = s->parts[i].top;
		sizes[i] = rc == 0 ? s->tops[i]->size : 0;
	}
	if (rc == 0 && domu_lv_check(v->map, sizes, DOMU_MAX_DISKS) != 0)
		rc = domu_fail(ctx, DOMU_FAILED, -ERANGE, "%s: a piece of it is on no disk, or two are in one place",
		               name);
	return rc == 0 ? domu_lv_open(ctx, s->tops, v->map, name, &s->top) : rc;
}

int domu_stack_open(struct domu_ctx *ctx, const struct domu_stack_desc *desc, const char *name, struct domu_stack *s)
{
	int rc;

	memset(s, 0, sizeof *s);
	rc = desc->volume != NULL ? open_volume(ctx, desc->volume, name, s) : open_disk(ctx, desc, name, s);
	if (rc < 0)
		domu_stack_close(s);
	return rc;
}

static size_t disk_fds(const struct domu_stack_desc *desc, int *fds)
{
	fds[0] = desc->base_fd;
	fds[1] = desc->stage_fd;
	fds[2] = desc->replay_fd;
	return 3;
}

size_t domu_stack_fds(const struct domu_stack_desc *desc, int fds[DOMU_STACK_FDS])
{
	size_t n = 0;

	if (desc->volume == NULL)
		return disk_fds(desc, fds);
	for (size_t i = 0; i < DOMU_MAX_DISKS; i++)
		if (desc->volume->disks[i].base_fd >= 0)
			n += disk_fds(&desc->volume->disks[i], fds + n);
	return n;
}

static int refresh_disk(struct domu_stack *s)
{
	int rc = s->stage != NULL ? domu_overlay_refresh(s->stage) : 0;

	if (rc == 0 && s->replay != NULL)
		rc = domu_overlay_refresh(s->replay);
	return rc;
}

int domu_stack_refresh(struct domu_stack *s)
{
	int rc = refresh_disk(s);

	for (size_t i = 0; rc == 0 && s->parts != NULL && i < DOMU_MAX_DISKS; i++)
		rc = refresh_disk(&s->parts[i]);
	return rc;
}

static int close_disk(struct domu_stack *s)
{
	struct domu_block *layer[] = { s->replay, s->stage, s->raw };
	int rc = 0;

	for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
		int r = domu_block_close(layer[i]);

		if (rc == 0)
			rc = r;
	}
	return rc;
}

int domu_stack_close(struct domu_stack *s)
{
	int rc = 0, r;

	if (s->parts != NULL)
		rc = domu_block_close(s->top);
	for (size_t i = 0; s->parts != NULL && i < DOMU_MAX_DISKS; i++) {
		r = close_disk(&s->parts[i]);
		rc = rc != 0 ? rc : r;
	}
	r = close_disk(s);
	rc = rc != 0 ? rc : r;
	free(s->parts);
	free(s->tops);
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
