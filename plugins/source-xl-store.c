/* SPDX-License-Identifier: GPL-3.0-or-later */
/* source-xl-store.c - xenstore's backend nodes: every virtual disk that some domain serves, and word of new ones. */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#include "guest/inuse.h"
#include "source-xl.h"

struct store_lib {
	__typeof__(&xs_open) open;
	__typeof__(&xs_close) close;
	__typeof__(&xs_directory) directory;
	__typeof__(&xs_read) read;
	__typeof__(&xs_watch) watch;
	__typeof__(&xs_unwatch) unwatch;
	__typeof__(&xs_fileno) fileno;
	__typeof__(&xs_check_watch) check_watch;
};

struct store {
	const struct store_lib *lib;
	struct xs_handle *xs;
	domu_backend_fn fn;
	void *user;
	int err; /* of a value that could not be read: it may be the one that matters */
};

#define AT(member)                                                \
	{                                                         \
		"xs_" #member, offsetof(struct store_lib, member) \
	}

static int store_lib_load(struct domu_ctx *ctx, const struct store_lib **out)
{
	static const struct xl_symbol symbols[] = { AT(open),  AT(close),   AT(directory), AT(read),
		                                    AT(watch), AT(unwatch), AT(fileno),    AT(check_watch) };
	static struct store_lib lib;
	static bool loaded;
	int rc = 0;

	*out = &lib;
	if (!loaded)
		rc = xl_load(ctx, XENSTORE_SONAME, "xenstore cannot be read", "", symbols,
		             sizeof symbols / sizeof *symbols, &lib);
	loaded = rc == 0;
	return rc;
}

/* The names below a node; none is 0.  The caller frees.  A node that went away meanwhile has none. */
static char **names_below(struct store *s, const char *path, unsigned *n, int *err)
{
	char **v = s->lib->directory(s->xs, XBT_NULL, path, n);

	*err = 0;
	if (v == NULL) {
		*n = 0;
		if (errno != ENOENT)
			*err = -errno;
	}
	return v;
}

static char *value(struct store *s, const char *dir, const char *name)
{
	char path[300], *v = NULL;
	unsigned len;

	if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
		s->err = -ENAMETOOLONG;
	else if ((v = s->lib->read(s->xs, XBT_NULL, path, &len)) == NULL && errno != ENOENT)
		s->err = -errno;
	return v;
}

/* "block" takes a path as it is; every other script knows what its target means. */
static const char *own_script(const char *script)
{
	return script != NULL && strcmp(script, "block") != 0 ? script : NULL;
}

static int one_node(struct store *s, const char *path, unsigned domain, unsigned frontend)
{
	char *params = value(s, path, "params"), *physical = value(s, path, "physical-device");
	char *state = value(s, path, "state"), *vdev = value(s, path, "dev");
	char *mode = value(s, path, "mode"), *script = value(s, path, "script");
	const char *base = script != NULL ? strrchr(script, '/') : NULL;
	struct domu_backend b = {
		.path = path,
		.params = params,
		.physical_device = physical,
		.domain = domain,
		.frontend = frontend,
		.state = state != NULL ? (int)strtol(state, NULL, 10) : 0,
		.vdev = vdev,
		.readonly = mode != NULL && strcmp(mode, "r") == 0,
		.script = own_script(base != NULL ? base + 1 : script),
	};
	int rc = s->err != 0 ? s->err : s->fn(s->user, &b);

	free(params);
	free(physical);
	free(state);
	free(vdev);
	free(mode);
	free(script);
	return rc;
}

/* backend/KIND/FRONTEND/DEVICE of one domain. */
static int one_kind(struct store *s, unsigned domain, const char *kind)
{
	char dir[256], sub[256];
	unsigned n_fronts, n_devs;
	char **fronts, **devs;
	int rc = 0;

	snprintf(dir, sizeof dir, "/local/domain/%u/backend/%s", domain, kind);
	fronts = names_below(s, dir, &n_fronts, &rc);
	for (unsigned i = 0; rc == 0 && i < n_fronts; i++) {
		snprintf(dir, sizeof dir, "/local/domain/%u/backend/%s/%.20s", domain, kind, fronts[i]);
		devs = names_below(s, dir, &n_devs, &rc);
		for (unsigned j = 0; rc == 0 && j < n_devs; j++) {
			rc = snprintf(sub, sizeof sub, "%s/%s", dir, devs[j]) < (int)sizeof sub
			         ? one_node(s, sub, domain, (unsigned)strtoul(fronts[i], NULL, 10))
			         : -ENAMETOOLONG;
		}
		free(devs);
	}
	free(fronts);
	return rc;
}

int xl_list_backends(struct domu_ctx *ctx, domu_backend_fn fn, void *user)
{
	static const char *const kinds[] = { "vbd", "vbd3", "qdisk", "tap", "virtio_disk", NULL };
	struct store s = { .fn = fn, .user = user };
	char **domains;
	unsigned n;
	int rc;

	if (!domu_xen_here())
		return 0;
	rc = store_lib_load(ctx, &s.lib);
	if (rc < 0)
		return rc;
	s.xs = s.lib->open(0);
	if (s.xs == NULL)
		return domu_fail(ctx, DOMU_FAILED, -errno, "xenstore does not answer: %s", strerror(errno));
	domains = names_below(&s, "/local/domain", &n, &rc);
	for (unsigned i = 0; rc == 0 && i < n; i++)
		for (const char *const *k = kinds; rc == 0 && *k != NULL; k++)
			rc = one_kind(&s, (unsigned)strtoul(domains[i], NULL, 10), *k);
	free(domains);
	s.lib->close(s.xs);
	if (rc < 0)
		domu_fail(ctx, DOMU_FAILED, rc, "xenstore's backends cannot be read: %s", strerror(-rc));
	return rc;
}

/* ---- the watch -------------------------------------------------------------------- */

/*
 * libxenstore reads a connection with a watch by a thread of its own, which
 * has every signal blocked and touches nothing but its handle; a child that
 * was forked has neither the thread nor any use for the handle.  So that a
 * thread that is not asked for days holds little, only what changes when a
 * domain comes or goes is watched: a domain is introduced before its disks
 * are served, and a disk that is attached later is a new backend, in this
 * Dom0 or in any other domain.  Only who is told to serve disks may write to
 * its backends; all of /local/domain every guest could keep busy.
 */
#define INTRODUCED     "@introduceDomain"
#define TOKEN          "domu-rescue"
#define EVENTS_AT_ONCE 1000 /* what is beyond is left for the next look */
#define DOMAINS_MAX    1024 /* of what others serve, only the commit knows */

struct domu_source_watch {
	const struct store_lib *lib;
	struct xs_handle *xs;
	unsigned *domains; /* whose backends are watched */
	size_t n;
};

static bool is_among(const unsigned *v, size_t n, unsigned id)
{
	while (n > 0)
		if (v[--n] == id)
			return true;
	return false;
}

static bool watch_backends(struct domu_source_watch *w, unsigned domain, bool on)
{
	char path[48];

	snprintf(path, sizeof path, "/local/domain/%u/backend", domain);
	return on ? w->lib->watch(w->xs, path, TOKEN) : w->lib->unwatch(w->xs, path, TOKEN);
}

/* The domains that there are, at most DOMAINS_MAX; the caller frees. */
static int domains_now(struct domu_source_watch *w, unsigned **out, size_t *n)
{
	struct store s = { .lib = w->lib, .xs = w->xs };
	unsigned n_names;
	int rc;
	char **names = names_below(&s, "/local/domain", &n_names, &rc);

	*n = 0;
	*out = calloc(DOMAINS_MAX, sizeof **out);
	if (*out == NULL)
		rc = -ENOMEM;
	for (unsigned i = 0; rc == 0 && i < n_names && *n < DOMAINS_MAX; i++)
		(*out)[(*n)++] = (unsigned)strtoul(names[i], NULL, 10);
	free(names);
	return rc;
}

/* The backends of all domains that there are now are watched, and of no other. */
static int follow_domains(struct domu_source_watch *w)
{
	unsigned *now;
	size_t n;
	int rc = domains_now(w, &now, &n);

	for (size_t i = 0; rc == 0 && i < w->n; i++)
		if (!is_among(now, n, w->domains[i]))
			watch_backends(w, w->domains[i], false);
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (!is_among(w->domains, w->n, now[i]) && !watch_backends(w, now[i], true))
			rc = -errno;
	if (rc < 0) {
		free(now);
		return rc;
	}
	free(w->domains);
	w->domains = now;
	w->n = n;
	return 0;
}

void xl_watch_close(struct domu_source_watch *w)
{
	w->lib->close(w->xs);
	free(w->domains);
	free(w);
}

int xl_watch_open(struct domu_ctx *ctx, struct domu_source_watch **out)
{
	struct domu_source_watch *w;
	const struct store_lib *lib;
	int rc;

	*out = NULL;
	if (!domu_xen_here())
		return 0;
	rc = store_lib_load(ctx, &lib);
	if (rc < 0)
		return rc;
	w = calloc(1, sizeof *w);
	if (w == NULL)
		return domu_fail(ctx, DOMU_FAILED, -ENOMEM, "out of memory");
	w->lib = lib;
	w->xs = lib->open(0);
	if (w->xs == NULL) {
		rc = domu_fail(ctx, DOMU_FAILED, -errno, "xenstore does not answer: %s", strerror(errno));
		free(w);
		return rc;
	}
	/* In this order none falls in between. */
	rc = lib->watch(w->xs, INTRODUCED, TOKEN) ? follow_domains(w) : -errno;
	if (rc < 0)
		domu_fail(ctx, DOMU_FAILED, rc, "xenstore cannot be watched: %s", strerror(-rc));
	if (rc == 0 && lib->fileno(w->xs) < 0)
		rc = domu_fail(ctx, DOMU_FAILED, -EMFILE, "xenstore cannot be watched: no descriptor");
	if (rc < 0)
		xl_watch_close(w);
	else
		*out = w;
	return rc;
}

int xl_watch_fd(struct domu_source_watch *w)
{
	return w->lib->fileno(w->xs);
}

int xl_watch_look(struct domu_source_watch *w)
{
	bool introduced = false;
	char **event = NULL;
	unsigned n = 0;

	while (n < EVENTS_AT_ONCE && (event = w->lib->check_watch(w->xs)) != NULL) {
		introduced |= strcmp(event[XS_WATCH_PATH], INTRODUCED) == 0;
		free(event);
		n++;
	}
	/* The thread has ended when xenstored has. */
	if (n == 0 && errno != EAGAIN)
		return -EPIPE;
	/* What is watched from now on says so once by itself: nothing that came before is missed. */
	if (introduced && follow_domains(w) < 0)
		return -EPIPE;
	return n > 0;
}
