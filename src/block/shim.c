/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shim.c - the shim's environment variable, written and read. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "block/shim.h"

char *domu_shim_format(const struct domu_shim *s)
{
	const struct domu_stack_desc *d = &s->stack;
	char *text;

	if (asprintf(&text,
	             DOMU_SHIM_ENV "=v1 base=%d stage=%d replay=%d disk=%u offset=%" PRIu64 " size=%" PRIu64
	                           " disksize=%" PRIu64 " sector=%" PRIu32 " stagero=%d rw=%d name=%s",
	             d->base_fd, d->stage_fd, d->replay_fd, d->disk, s->offset, s->size, d->size, d->sector_size,
	             d->stage_readonly, s->writable, s->name) < 0)
		return NULL;
	return text;
}

int domu_shim_parse(const char *text, struct domu_shim *s)
{
	struct domu_stack_desc *d = &s->stack;
	unsigned stagero, rw;
	int at = -1;

	memset(s, 0, sizeof *s);
	if (sscanf(text,
	           "v1 base=%d stage=%d replay=%d disk=%u offset=%" SCNu64 " size=%" SCNu64 " disksize=%" SCNu64
	           " sector=%" SCNu32 " stagero=%u rw=%u name=%n",
	           &d->base_fd, &d->stage_fd, &d->replay_fd, &d->disk, &s->offset, &s->size, &d->size, &d->sector_size,
	           &stagero, &rw, &at) != 10 ||
	    at < 0 || strlen(text + at) >= sizeof s->name || text[at] == '\0')
		return -EINVAL;
	if (d->base_fd < 0 || stagero > 1 || rw > 1)
		return -EINVAL;
	d->stage_readonly = stagero != 0;
	s->writable = rw != 0;
	snprintf(s->name, sizeof s->name, "%s", text + at);
	return 0;
}
