/* SPDX-License-Identifier: GPL-3.0-or-later */
/* watch.c - to be told when a domain may have been started, by whichever source can tell. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/plugins.h"
#include "guest/watch.h"

struct domu_watch {
	struct domu_ctx *ctx;
	struct {
		const struct domu_source_ops *ops;
		struct domu_source_watch *w;
	} v[DOMU_WATCH_MAX];
	size_t n;
};

static void blind(struct domu_ctx *ctx, const char *why)
{
	domu_say(ctx, DOMU_WARNING, "%s: that a guest is started will only be noticed by the next commit", why);
}

static void open_one(struct domu_watch *w, const struct domu_source_ops *ops)
{
	struct domu_source_watch *s = NULL;
	struct domu_ctx quiet;

	domu_ctx_init(&quiet);
	if (ops->watch_open(&quiet, &s) != 0)
		blind(w->ctx, quiet.error.message != NULL ? quiet.error.message : ops->name);
	domu_ctx_free(&quiet);
	if (s == NULL)
		return;
	w->v[w->n].ops = ops;
	w->v[w->n++].w = s;
}

void domu_watch_open(struct domu_ctx *ctx, struct domu_watch **out)
{
	struct domu_watch *w = calloc(1, sizeof *w);
	struct domu_ctx quiet;

	*out = NULL;
	if (w == NULL)
		return;
	w->ctx = ctx;
	domu_ctx_init(&quiet);
	if (domu_plugins_load(&quiet, DOMU_PLUGIN_SOURCE) == 0)
		for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_SOURCE); *p != NULL; p++)
			if (w->n < DOMU_WATCH_MAX && DOMU_SOURCE_HAS((*p)->source, watch_close))
				open_one(w, (*p)->source);
	domu_ctx_free(&quiet);
	if (w->n > 0)
		*out = w;
	else
		free(w);
}

void domu_watch_close(struct domu_watch *w)
{
	if (w == NULL)
		return;
	while (w->n-- > 0)
		w->v[w->n].ops->watch_close(w->v[w->n].w);
	free(w);
}

size_t domu_watch_fds(const struct domu_watch *w, int fds[DOMU_WATCH_MAX])
{
	size_t n = 0;

	for (; w != NULL && n < w->n; n++)
		fds[n] = w->v[n].ops->watch_fd(w->v[n].w);
	return n;
}

bool domu_watch_look(struct domu_watch *w)
{
	bool came = false;

	for (size_t i = 0; w != NULL && i < w->n;) {
		int rc = w->v[i].ops->watch_look(w->v[i].w);

		came = came || rc != 0;
		if (rc >= 0) {
			i++;
			continue;
		}
		w->v[i].ops->watch_close(w->v[i].w);
		blind(w->ctx, "what is told of domains has ended");
		w->n--;
		memmove(&w->v[i], &w->v[i + 1], (w->n - i) * sizeof w->v[i]);
	}
	return came;
}
