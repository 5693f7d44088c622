/* SPDX-License-Identifier: GPL-3.0-or-later */
/* source-xl-live.c - live domains and their disks, as libxl knows them. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/inuse.h"
#include "source-xl.h"

struct live_lib {
	__typeof__(&libxl_ctx_alloc) ctx_alloc;
	__typeof__(&libxl_ctx_free) ctx_free;
	__typeof__(&libxl_list_domain) list_domain;
	__typeof__(&libxl_dominfo_list_free) dominfo_list_free;
	__typeof__(&libxl_domid_to_name) domid_to_name;
	__typeof__(&libxl_device_disk_list) disk_list;
	__typeof__(&libxl_device_disk_list_free) disk_list_free;
	__typeof__(&libxl_is_stubdom) is_stubdom;
};

/* libxl's log: the last thing it complained of, instead of stderr. */
struct live_log {
	xentoollog_logger vtable; /* first: libxl hands this back */
	char text[256];
};

static void log_message(xentoollog_logger *logger, xentoollog_level level, int errnoval, const char *context,
                        const char *format, va_list ap) __attribute__((format(printf, 5, 0)));
static void log_message(xentoollog_logger *logger, xentoollog_level level, int errnoval, const char *context,
                        const char *format, va_list ap)
{
	struct live_log *log = (struct live_log *)logger;

	(void)errnoval;
	(void)context;
	if (level >= XTL_ERROR && log->text[0] == '\0')
		vsnprintf(log->text, sizeof log->text, format, ap);
}

static void log_destroy(xentoollog_logger *logger)
{
	(void)logger;
}

int xl_load(struct domu_ctx *ctx, const char *soname, const char *cannot, const char *hint, const struct xl_symbol *v,
            size_t n, void *lib)
{
	/* Now: no thread of it shall be binding a symbol, under the loader's lock, when a worker is forked. */
	void *h = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	if (h == NULL)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: %s%s", cannot, dlerror(), hint);
	for (size_t i = 0; i < n; i++) {
		void *f = dlsym(h, v[i].name);

		if (f == NULL) {
			dlclose(h);
			return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: %s has no %s", cannot, soname,
			                 v[i].name);
		}
		memcpy((char *)lib + v[i].at, &f, sizeof f);
	}
	return 0;
}

#define AT(member, symbol)                                 \
	{                                                  \
#symbol, offsetof(struct live_lib, member) \
	}

static int live_lib_load(struct domu_ctx *ctx, const struct live_lib **out)
{
	static const struct xl_symbol symbols[] = {
		AT(ctx_alloc, libxl_ctx_alloc),
		AT(ctx_free, libxl_ctx_free),
		AT(list_domain, libxl_list_domain),
		AT(dominfo_list_free, libxl_dominfo_list_free),
		AT(domid_to_name, libxl_domid_to_name),
		AT(disk_list, libxl_device_disk_list),
		AT(disk_list_free, libxl_device_disk_list_free),
		AT(is_stubdom, libxl_is_stubdom),
	};
	static struct live_lib lib;
	static bool loaded;
	int rc = 0;

	*out = &lib;
	if (!loaded)
		rc = xl_load(ctx, XENLIGHT_SONAME, "live domains cannot be seen", " (Debian has it in libxenmisc)",
		             symbols, sizeof symbols / sizeof *symbols, &lib);
	loaded = rc == 0;
	return rc;
}

static void set_state(struct domu_guest *g, const libxl_dominfo *info)
{
	g->state = info->paused ? DOMU_STATE_PAUSED : DOMU_STATE_RUNNING;
	if (info->dying) {
		g->state = DOMU_STATE_RUNNING;
		g->condition = "dying";
	} else if (info->shutdown && info->shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND) {
		g->state = DOMU_STATE_SUSPENDED;
	} else if (info->shutdown && (info->shutdown_reason == LIBXL_SHUTDOWN_REASON_CRASH ||
	                              info->shutdown_reason == LIBXL_SHUTDOWN_REASON_WATCHDOG)) {
		g->state = DOMU_STATE_CRASHED;
	} else if (info->shutdown) {
		/* Its domain and backends are still there. */
		g->state = DOMU_STATE_RUNNING;
		g->condition = "shut down";
	}
}

/* What xenstore has as "aio:/images/a.img": the path alone.  A script's target stays what it is. */
static const char *live_path(const libxl_device_disk *d)
{
	const char *p = d->pdev_path, *colon = p != NULL && p[0] != '/' && d->script == NULL ? strstr(p, ":/") : NULL;

	return colon != NULL ? colon + 1 : p;
}

/* A stub domain has the disks of the guest whose device model it is. */
static int set_stub(const struct live_lib *lib, libxl_ctx *xl, struct domu_guest *g)
{
	uint32_t target;

	if (!lib->is_stubdom(xl, (uint32_t)g->domid, &target))
		return 0;
	g->stub_of = lib->domid_to_name(xl, target);
	if (g->stub_of == NULL && asprintf(&g->stub_of, "domain-%u", target) < 0)
		g->stub_of = NULL;
	return g->stub_of != NULL ? 0 : -ENOMEM;
}

static int live_guest(const struct live_lib *lib, libxl_ctx *xl, const libxl_dominfo *info, struct domu_guest **out)
{
	struct domu_guest *g = domu_guest_new();
	libxl_device_disk *disks = NULL;
	int n = 0, rc = -ENOMEM;

	if (g == NULL)
		return -ENOMEM;
	g->domid = info->domid;
	set_state(g, info);
	g->source = strdup("live");
	/* A domain that is going away, or being built, may have no name: it still may hold disks. */
	g->name = lib->domid_to_name(xl, info->domid);
	if (g->name == NULL && asprintf(&g->name, "domain-%u", info->domid) < 0)
		g->name = NULL;
	if (g->source == NULL || g->name == NULL || set_stub(lib, xl, g) < 0)
		goto out;
	disks = lib->disk_list(xl, info->domid, &n);
	for (int i = 0; disks != NULL && i < n; i++) {
		struct domu_disk *d = domu_guest_add_disk(g);

		if (d == NULL || xl_disk_convert(&disks[i], live_path(&disks[i]), NULL, d) < 0)
			goto out;
	}
	*out = g;
	g = NULL;
	rc = 0;
out:
	if (disks != NULL)
		lib->disk_list_free(disks, n);
	domu_guest_free(g);
	return rc;
}

int xl_list_live(struct domu_ctx *ctx, domu_guest_fn fn, void *user)
{
	struct live_log log = { .vtable = { .vmessage = log_message, .destroy = log_destroy } };
	const struct live_lib *lib;
	libxl_dominfo *infos = NULL;
	libxl_ctx *xl = NULL;
	int n = 0, rc;

	if (!domu_xen_here())
		return 0;
	rc = live_lib_load(ctx, &lib);
	if (rc < 0)
		return rc;
	if (lib->ctx_alloc(&xl, LIBXL_VERSION, 0, &log.vtable) != 0)
		return domu_fail(ctx, DOMU_FAILED, -EIO, "libxl does not answer: %s",
		                 log.text[0] != '\0' ? log.text : "no reason given");
	infos = lib->list_domain(xl, &n);
	if (infos == NULL) {
		rc = domu_fail(ctx, DOMU_FAILED, -EIO, "libxl lists no domains: %s",
		               log.text[0] != '\0' ? log.text : "no reason given");
		goto out;
	}
	for (int i = 0; i < n && rc == 0; i++) {
		struct domu_guest *g;

		if (infos[i].domid == 0)
			continue;
		rc = live_guest(lib, xl, &infos[i], &g);
		rc = rc < 0 ? domu_fail(ctx, DOMU_FAILED, rc, "out of memory") : fn(user, g);
	}
	lib->dominfo_list_free(infos, n);
out:
	lib->ctx_free(xl);
	return rc;
}
