/* SPDX-License-Identifier: GPL-3.0-or-later */
/* source-made-up.c - a source of live domains for tests: each file NAME in a folder is one, and says "ID VDEV PATH". */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "domu-plugin.h"

struct domu_source_watch {
	int fd;
};

static const char *folder(void)
{
	const char *dir = getenv("DOMU_TEST_DOMAINS");

	return dir != NULL ? dir : "/nonexistent";
}

static struct domu_guest *read_domain(const char *name)
{
	struct domu_guest *g = domu_guest_new();
	char path[512], vdev[32], disk[256];
	long long id;
	FILE *f;
	int n;

	snprintf(path, sizeof path, "%s/%s", folder(), name);
	f = fopen(path, "r");
	n = f != NULL ? fscanf(f, "%lld %31s %255s", &id, vdev, disk) : 0;
	if (f != NULL)
		fclose(f);
	if (g != NULL && n == 3) {
		struct domu_disk *d = domu_guest_add_disk(g);

		g->name = strdup(name);
		g->source = strdup("live");
		g->domid = id;
		g->state = DOMU_STATE_RUNNING;
		snprintf(d->vdev, sizeof d->vdev, "%s", vdev);
		d->path = strdup(disk);
		d->format = strdup("raw");
		return g;
	}
	domu_guest_free(g);
	return NULL;
}

static int made_list_live(struct domu_ctx *ctx, domu_guest_fn fn, void *user)
{
	DIR *dir = opendir(folder());
	struct dirent *e;
	int rc = 0;

	(void)ctx;
	while (rc == 0 && dir != NULL && (e = readdir(dir)) != NULL) {
		struct domu_guest *g = e->d_name[0] != '.' ? read_domain(e->d_name) : NULL;

		if (g != NULL)
			rc = fn(user, g);
	}
	if (dir != NULL)
		closedir(dir);
	return rc;
}

static int made_watch_open(struct domu_ctx *ctx, struct domu_source_watch **out)
{
	struct domu_source_watch *w = malloc(sizeof *w);

	*out = NULL;
	if (w == NULL)
		return domu_fail(ctx, DOMU_FAILED, -ENOMEM, "out of memory");
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (inotify_add_watch(w->fd, folder(), IN_MOVED_TO | IN_DELETE) < 0) {
		close(w->fd);
		free(w);
		return domu_fail(ctx, DOMU_FAILED, -errno, "%s: %s", folder(), strerror(errno));
	}
	*out = w;
	return 0;
}

static int made_watch_fd(struct domu_source_watch *w)
{
	return w->fd;
}

static int made_watch_look(struct domu_source_watch *w)
{
	char events[4096];
	int came = 0;

	while (read(w->fd, events, sizeof events) > 0)
		came = 1;
	return access(folder(), F_OK) == 0 ? came : -EPIPE;
}

static void made_watch_close(struct domu_source_watch *w)
{
	close(w->fd);
	free(w);
}

static const struct domu_source_ops ops = {
	.self_size = sizeof ops,
	.name = "made-up",
	.list_live = made_list_live,
	.watch_open = made_watch_open,
	.watch_fd = made_watch_fd,
	.watch_look = made_watch_look,
	.watch_close = made_watch_close,
};

static const struct domu_plugin plugin = {
	.self_size = sizeof plugin,
	.api = DOMU_PLUGIN_API,
	.kind = DOMU_PLUGIN_SOURCE,
	.place = DOMU_IN_FRONT,
	.name = "source-made-up",
	.summary = "domains that a test makes up",
	.priority = 10,
	{ .source = &ops },
};
DOMU_REGISTER_PLUGIN(plugin)
