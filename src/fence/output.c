/* SPDX-License-Identifier: GPL-3.0-or-later */
/* output.c - a program's output, line by line. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fence/program.h"

/* The device's path means nothing to a user: the filesystem's name stands in its place. */
static void give(struct domu_output *o)
{
	const char *device = o->device, *name = o->p->name, *at;
	char text[sizeof o->line * 2];
	size_t n = 0, width = device != NULL ? strlen(device) : 0;

	o->line[o->len] = '\0';
	o->len = 0;
	if (o->p->line == NULL)
		return;
	if (name == NULL || width == 0 || strstr(o->line, device) == NULL) {
		o->p->line(o->p->user, o->line);
		return;
	}
	for (const char *s = o->line; *s != '\0' && n < sizeof text - 1;) {
		at = strstr(s, device);
		if (at == s) {
			n += (size_t)snprintf(text + n, sizeof text - n, "%s", name);
			s += width;
		} else {
			size_t run = at != NULL ? (size_t)(at - s) : strlen(s);

			n += (size_t)snprintf(text + n, sizeof text - n, "%.*s", (int)run, s);
			s += run;
		}
		if (n > sizeof text - 1)
			n = sizeof text - 1;
	}
	text[n] = '\0';
	o->p->line(o->p->user, text);
}

void domu_output_take(struct domu_output *o, const char *bytes, size_t len)
{
	o->total += len;
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n') {
			give(o);
			continue;
		}
		if (o->len == sizeof o->line - 1)
			give(o);
		/* A line is a string: what would end it early is shown as something that stands out. */
		o->line[o->len++] = bytes[i] != '\0' ? bytes[i] : '\177';
	}
}

void domu_output_end(struct domu_output *o)
{
	if (o->len > 0)
		give(o);
}

void domu_output_report(struct domu_output *o, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned pass;
		uint64_t done, total;

		if (bytes[i] != '\n') {
			if (o->report_len < sizeof o->report - 1)
				o->report[o->report_len++] = bytes[i];
			continue;
		}
		o->report[o->report_len] = '\0';
		o->report_len = 0;
		if (sscanf(o->report, "%u %" SCNu64 " %" SCNu64, &pass, &done, &total) == 3)
			o->p->progress(o->p->user, pass, done, total);
	}
}
