/* SPDX-License-Identifier: GPL-3.0-or-later */
/* source-path.c - a guest of one disk from the path of a disk. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "domu-plugin.h"

static const char *const formats[] = { "raw", "qcow", "qcow2", "qed", "vhd", "vhdx", "vmdk", NULL };

static const char *format_known(const char *format)
{
	for (const char *const *f = formats; *f != NULL; f++)
		if (strcmp(*f, format) == 0)
			return *f;
	return NULL;
}

/* The name decides; the content never does, since the guest writes it. */
static const char *format_by_suffix(const char *path)
{
	static const char *const suffixes[] = { "qcow2", "vhd", "vhdx", "vmdk", NULL };
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash != NULL ? slash + 1 : path, '.');

	for (const char *const *s = suffixes; dot != NULL && *s != NULL; s++)
		if (strcmp(dot + 1, *s) == 0)
			return *s;
	return "raw";
}

static int path_open_file(struct domu_ctx *ctx, const char *path, const char *format, struct domu_guest **out)
{
	struct domu_guest *g;
	struct domu_disk *d;
	struct stat st;

	if (stat(path, &st) < 0)
		return domu_fail(ctx, errno == ENOENT || errno == ENOTDIR ? DOMU_NOTFOUND : DOMU_FAILED, -errno,
		                 "disk %s: %s%s", path, strerror(errno),
		                 errno == ENOENT && strchr(path, ':') != NULL ? " (a path in a guest is GUEST:/path)"
		                                                              : "");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return domu_fail(ctx, DOMU_FAILED, -EINVAL, "disk %s: neither a file nor a block device", path);
	if (format != NULL && format_known(format) == NULL)
		return domu_fail(ctx, DOMU_USAGE, -EINVAL,
		                 "--format %s: not a format; raw, qcow2, vhd, vhdx, vmdk, qcow and qed are", format);
	g = domu_guest_new();
	d = g != NULL ? domu_guest_add_disk(g) : NULL;
	if (d == NULL)
		goto nomem;
	snprintf(d->vdev, sizeof d->vdev, "xvda");
	d->path = strdup(path);
	d->format = strdup(format != NULL ? format : format_by_suffix(path));
	g->source = strdup(path);
	if (d->path == NULL || d->format == NULL || g->source == NULL)
		goto nomem;
	*out = g;
	return 0;
nomem:
	domu_guest_free(g);
	return domu_fail(ctx, DOMU_FAILED, -ENOMEM, "out of memory");
}

static const struct domu_source_ops ops = {
	.self_size = sizeof ops,
	.name = "path",
	.open_file = path_open_file,
};

static const struct domu_plugin plugin = {
	.self_size = sizeof plugin,
	.api = DOMU_PLUGIN_API,
	.kind = DOMU_PLUGIN_SOURCE,
	.place = DOMU_IN_FRONT,
	.name = "source-path",
	.summary = "guests of one disk, by its path",
	.priority = 90,
	{ .source = &ops },
};
DOMU_REGISTER_PLUGIN(plugin)
