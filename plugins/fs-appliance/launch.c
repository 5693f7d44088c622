/* SPDX-License-Identifier: GPL-3.0-or-later */
/* launch.c - the appliance's start: what it needs of the host, and how qemu is run. */
#include "config.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

#define MEMORY_MB 512
#define CACHE     "/var/tmp"

static void on_event(guestfs_h *g, void *opaque, uint64_t event, int handle, int flags, const char *buf, size_t len,
                     const uint64_t *array, size_t n)
{
	struct guest *guest = opaque;

	(void)g;
	(void)handle;
	(void)flags;
	(void)buf;
	(void)len;
	if (event == GUESTFS_EVENT_PROGRESS && n >= 4 && guest->starting != NULL)
		domu_say(guest->starting, DOMU_DEBUG, "the appliance starts: %u of %u", (unsigned)array[2],
		         (unsigned)array[3]);
}

/* The appliance is made of the host's own kernel, which this uid has to be able to read. */
static int check_kernel(struct domu_ctx *ctx)
{
	static const char *const patterns[] = { "/boot/vmlinuz-*", "/boot/vmlinux-*", "/lib/modules/*/vmlinuz" };
	size_t there = 0;
	char shown[256] = "";

	if (getenv("SUPERMIN_KERNEL") != NULL)
		return 0;
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
		glob_t found;

		if (glob(patterns[i], 0, NULL, &found) != 0)
			continue;
		for (size_t k = 0; k < found.gl_pathc; k++) {
			there++;
			if (access(found.gl_pathv[k], R_OK) == 0) {
				globfree(&found);
				return 0;
			}
			snprintf(shown, sizeof shown, "%s", found.gl_pathv[k]);
		}
		globfree(&found);
	}
	if (there == 0)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -ENOENT,
		                 "the appliance needs a kernel in /boot: install one (linux-image-amd64)");
	return domu_fail(ctx, DOMU_UNSUPPORTED, -EACCES, "the appliance needs a kernel that it can read: chmod 0644 %s",
	                 shown);
}

static void tell_first_time(struct domu_ctx *ctx)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, CACHE "/.guestfs-%u/appliance.d", (unsigned)geteuid());
	if (stat(path, &st) < 0)
		domu_say(ctx, DOMU_INFO, "building the appliance in " CACHE ", once: it takes a little longer");
}

static void set_environment(const char *path)
{
	const char *slash = strrchr(path, '/');
	char tmp[256];

	clearenv();
	snprintf(tmp, sizeof tmp, "%.*s/" DOMU_EXPORT_TMP, slash != NULL ? (int)(slash - path) : 0, path);
	setenv("LIBGUESTFS_TMPDIR", tmp, 1);
	setenv("XDG_RUNTIME_DIR", tmp, 1);
	setenv("LIBGUESTFS_CACHEDIR", CACHE, 1);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("LC_ALL", "C", 1);
	setenv("HOME", "/", 1);
	setenv("TMPDIR", CACHE, 1); /* of supermin, which needs room */
}

static int start_qemu(struct domu_ctx *ctx, struct guest *g, const struct domu_appliance_target *t)
{
	char tcg[] = "force_tcg";
	char *const settings[] = { tcg, NULL };
	char *const none[] = { NULL };
	const char *why;

	g->lib.set_error_handler(g->g, NULL, NULL);
	g->lib.set_event_callback(g->g, on_event, GUESTFS_EVENT_PROGRESS, 0, g);
	if (g->lib.set_backend(g->g, "direct") == 0 &&
	    g->lib.set_backend_settings(g->g, t->kvm ? none : settings) == 0 &&
	    g->lib.set_memsize(g->g, MEMORY_MB) == 0 &&
	    g->lib.add_drive_opts(g->g, t->path, GUESTFS_ADD_DRIVE_OPTS_FORMAT, "raw", GUESTFS_ADD_DRIVE_OPTS_CACHEMODE,
	                          "writeback", GUESTFS_ADD_DRIVE_OPTS_LABEL, GUEST_LABEL,
	                          GUESTFS_ADD_DRIVE_OPTS_READONLY, t->writable ? 0 : 1,
	                          GUESTFS_ADD_DRIVE_OPTS_BLOCKSIZE, t->sector_size == 4096 ? 4096 : 512, -1) == 0 &&
	    g->lib.launch(g->g) == 0 && g->lib.umask(g->g, 0) >= 0)
		return 0;
	why = g->lib.last_error(g->g);
	return domu_fail(ctx, DOMU_FAILED, -EIO,
	                 "the appliance does not start: %.400s (libguestfs-test-tool says more)",
	                 why != NULL ? why : "no reason given");
}

static int end_guest(struct domu_ctx *ctx, void *data)
{
	struct guest *g = data;
	int rc = 0;

	if (g->lib.shutdown(g->g) != 0)
		rc = domu_fail(ctx, DOMU_FAILED, -EIO, "the appliance did not end cleanly: %.200s",
		               g->lib.last_error(g->g));
	g->lib.close(g->g);
	pthread_mutex_destroy(&g->lock);
	free(g);
	return rc;
}

int guest_get(struct domu_ctx *ctx, const struct domu_appliance_target *t, struct guest **out)
{
	struct guest *g = t->shared->data;
	int rc;

	*out = g;
	if (g != NULL)
		return 0;
	g = calloc(1, sizeof *g);
	if (g == NULL)
		return domu_fail(ctx, DOMU_FAILED, -ENOMEM, "out of memory");
	g->starting = ctx;
	set_environment(t->path);
	rc = guest_load(ctx, &g->lib);
	if (rc == 0)
		rc = check_kernel(ctx);
	if (rc == 0) {
		tell_first_time(ctx);
		g->g = g->lib.create();
		if (g->g == NULL)
			rc = domu_fail(ctx, DOMU_FAILED, -ENOMEM, "out of memory");
	}
	if (rc == 0)
		rc = start_qemu(ctx, g, t);
	g->starting = NULL;
	if (rc != 0) {
		if (g->g != NULL)
			g->lib.close(g->g);
		free(g);
		return rc;
	}
	pthread_mutex_init(&g->lock, NULL);
	t->shared->data = g;
	t->shared->end = end_guest;
	*out = g;
	return 0;
}
