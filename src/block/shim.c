/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shim.c - the shim's environment variable, written and read. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/shim.h"

/* Where nothing is written the log may be open for reading only. */
static void put_disk(FILE *f, const struct domu_stack_desc *d, bool writable)
{
	bool stagero = d->stage_readonly || (!writable && d->replay_fd < 0);

	fprintf(f, " disk=%u base=%d stage=%d replay=%d disksize=%" PRIu64 " sector=%" PRIu32 " stagero=%d", d->disk,
	        d->base_fd, d->stage_fd, d->replay_fd, d->size, d->sector_size, stagero);
}

char *domu_shim_format(const struct domu_shim *s)
{
	const struct domu_volume *v = s->stack.volume;
	char *volume = v != NULL ? domu_lv_format(v->map) : strdup("-"), *text = NULL;
	size_t len = 0;
	FILE *f = volume != NULL ? open_memstream(&text, &len) : NULL;

	if (f == NULL)
		goto out;
	fprintf(f, DOMU_SHIM_ENV "=v2 offset=%" PRIu64 " size=%" PRIu64 " rw=%d volume=%s", s->offset, s->size,
	        s->writable, volume);
	if (v == NULL)
		put_disk(f, &s->stack, s->writable);
	for (size_t i = 0; v != NULL && i < DOMU_MAX_DISKS; i++)
		if (v->disks[i].base_fd >= 0)
			put_disk(f, &v->disks[i], s->writable);
	fprintf(f, " name=%s", s->name);
	if (fclose(f) != 0) {
		free(text);
		text = NULL;
	}
out:
	free(volume);
	return text;
}

static bool get_disk(const char **text, struct domu_stack_desc *d)
{
	unsigned stagero;
	int at = -1;

	memset(d, 0, sizeof *d);
	if (sscanf(*text, " disk=%u base=%d stage=%d replay=%d disksize=%" SCNu64 " sector=%" SCNu32 " stagero=%u%n",
	           &d->disk, &d->base_fd, &d->stage_fd, &d->replay_fd, &d->size, &d->sector_size, &stagero, &at) != 7 ||
	    at < 0 || d->base_fd < 0 || stagero > 1)
		return false;
	d->stage_readonly = stagero != 0;
	*text += at;
	return true;
}

/* A volume's map is text[0..len). */
static int get_volume(const char **text, const char *map, size_t len, struct domu_stack_desc *top)
{
	struct domu_volume *v = calloc(1, sizeof *v);
	char *copy = strndup(map, len);
	struct domu_lv_map *m = NULL;
	struct domu_stack_desc d;
	int rc = v == NULL || copy == NULL ? -ENOMEM : domu_lv_parse(copy, &m);

	for (size_t i = 0; v != NULL && i < DOMU_MAX_DISKS; i++)
		v->disks[i].base_fd = -1;
	memset(top, 0, sizeof *top);
	while (rc == 0 && strncmp(*text, " disk=", 6) == 0) {
		if (!get_disk(text, &d) || d.disk >= DOMU_MAX_DISKS) {
			rc = -EINVAL;
			break;
		}
		v->disks[d.disk] = d;
		top->base_fd = d.base_fd;
		if (d.sector_size > top->sector_size)
			top->sector_size = d.sector_size;
	}
	free(copy);
	if (rc != 0) {
		domu_lv_map_free(m);
		free(v);
		return rc;
	}
	v->map = m;
	top->volume = v;
	return 0;
}

int domu_shim_parse(const char *text, struct domu_shim *s)
{
	static const char name[] = " name=";
	const char *map;
	unsigned rw;
	int at = -1, rc = 0;
	size_t len;

	memset(s, 0, sizeof *s);
	if (sscanf(text, "v2 offset=%" SCNu64 " size=%" SCNu64 " rw=%u volume=%n", &s->offset, &s->size, &rw, &at) !=
	        3 ||
	    at < 0 || rw > 1)
		return -EINVAL;
	map = text + at;
	len = strcspn(map, " ");
	text = map + len;
	if (strncmp(map, "- ", 2) == 0)
		rc = get_disk(&text, &s->stack) ? 0 : -EINVAL;
	else
		rc = get_volume(&text, map, len, &s->stack);
	if (rc != 0)
		return rc;
	if (strncmp(text, name, strlen(name)) != 0)
		return -EINVAL;
	text += strlen(name);
	if (*text == '\0' || strlen(text) >= sizeof s->name)
		return -EINVAL;
	s->writable = rw != 0;
	snprintf(s->name, sizeof s->name, "%s", text);
	return 0;
}
