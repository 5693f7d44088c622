/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check-xen.c - live domains, backends, saved states: whoever of Xen's could use a disk. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/num.h"
#include "base/plugins.h"
#include "guest/check.h"

#define XENBUS_CLOSED 6

/* ---- asked once for all disks ------------------------------------------------------ */

static void read_live(struct domu_view *v)
{
	struct domu_ctx quiet;

	if (v->live_read)
		return;
	v->live_read = true;
	domu_ctx_init(&quiet);
	if (domu_guest_live(&quiet, &v->live) < 0)
		v->live_error = strdup(quiet.error.message != NULL ? quiet.error.message : "libxl does not answer");
	domu_ctx_free(&quiet);
}

static int take_backend(void *user, const struct domu_backend *b)
{
	struct domu_view *v = user;
	struct domu_backend_copy *c = reallocarray(v->backends, v->n_backends + 1, sizeof *c);
	unsigned ma, mi;

	if (c == NULL)
		return -ENOMEM;
	v->backends = c;
	c = &v->backends[v->n_backends++];
	memset(c, 0, sizeof *c);
	c->path = strdup(b->path != NULL ? b->path : "");
	c->params = b->params != NULL ? strdup(b->params) : NULL;
	c->vdev = b->vdev != NULL ? strdup(b->vdev) : NULL;
	c->script = b->script != NULL ? strdup(b->script) : NULL;
	c->readonly = b->readonly;
	c->domain = b->domain;
	c->frontend = b->frontend;
	c->state = b->state;
	if (b->physical_device != NULL && sscanf(b->physical_device, "%x:%x", &ma, &mi) == 2)
		c->dev = makedev(ma, mi);
	return c->path != NULL && (b->params == NULL || c->params != NULL) && (b->script == NULL || c->script != NULL)
	           ? 0
	           : -ENOMEM;
}

static void read_backends(struct domu_view *v)
{
	struct domu_ctx quiet;
	int rc;

	if (v->backends_read)
		return;
	v->backends_read = true;
	domu_ctx_init(&quiet);
	rc = domu_plugins_load(&quiet, DOMU_PLUGIN_SOURCE);
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_SOURCE); rc == 0 && *p != NULL; p++) {
		const struct domu_source_ops *ops = (*p)->source;

		if (DOMU_SOURCE_HAS(ops, list_backends))
			rc = ops->list_backends(&quiet, take_backend, v);
	}
	if (rc < 0)
		v->backends_error =
		    strdup(quiet.error.message != NULL ? quiet.error.message : "xenstore does not answer");
	domu_ctx_free(&quiet);
}

void domu_view_free(struct domu_view *v)
{
	for (size_t i = 0; i < v->loops.n; i++)
		free(v->loops.v[i].file);
	free(v->loops.v);
	domu_guests_free(&v->live);
	for (size_t i = 0; i < v->n_backends; i++) {
		free(v->backends[i].path);
		free(v->backends[i].params);
		free(v->backends[i].vdev);
		free(v->backends[i].script);
	}
	free(v->backends);
	domu_toolstacks_free(&v->toolstacks);
	free(v->live_error);
	free(v->backends_error);
	memset(v, 0, sizeof *v);
}

/* Nobody can change what everybody only reads. */
static bool harmless(const struct domu_view *v, bool readonly)
{
	return readonly && (v->depth == DOMU_VERDICT_READ || v->depth == DOMU_VERDICT_STARTED ||
	                    v->depth == DOMU_VERDICT_STARTED_CHANGE);
}

/* true: nothing more to look at. */
static bool no_xen(struct domu_view *v, struct domu_answer *a)
{
	if (!v->xen)
		domu_answer(a, DOMU_CHECK_SKIPPED, "no Xen here");
	return !v->xen;
}

/* ---- the checks -------------------------------------------------------------------- */

void domu_check_xen(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                    struct domu_answer *a)
{
	bool asked = false;

	(void)b;
	(void)r;
	if (no_xen(v, a))
		return;
	read_live(v);
	read_backends(v);
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_SOURCE); *p != NULL; p++)
		asked |= (*p)->source->list_live != NULL;
	if (!asked)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "this domu-rescue was built without libxl and cannot ask Xen");
	else if (v->live_error != NULL || v->backends_error != NULL)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "%s", v->live_error != NULL ? v->live_error : v->backends_error);
}

/* "web1" of "web1--incoming"; false: the name does not end so. */
static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

#define INCOMING "--incoming" /* as libxl names them while a domain migrates */
#define AWAY     "--migratedaway"

/* "domain web1 (7, running)", and what it is where the name alone does not say it.  The caller frees. */
static char *domain_name(const struct domu_guest *g)
{
	const char *state = g->condition != NULL ? g->condition : domu_state_name(g->state);
	long long id = (long long)g->domid;
	int n = (int)strlen(g->name);
	char *text;
	int rc;

	if (g->stub_of != NULL)
		rc = asprintf(&text, "domain %s (%lld, %s), the device model of %s,", g->name, id, state, g->stub_of);
	else if (ends_in(g->name, INCOMING))
		rc = asprintf(&text, "domain %s (%lld, %s), which is %.*s on its way here from another host,", g->name,
		              id, state, n - (int)strlen(INCOMING), g->name);
	else if (ends_in(g->name, AWAY))
		rc = asprintf(&text, "domain %s (%lld, %s), which is what is left of %.*s that went to another host,",
		              g->name, id, state, n - (int)strlen(AWAY), g->name);
	else
		rc = asprintf(&text, "domain %s (%lld, %s)", g->name, id, state);
	return rc < 0 ? NULL : text;
}

static const struct domu_toolstack *keeper(struct domu_view *v, const char *name)
{
	const struct domu_kept *kept;

	if (!v->toolstacks_read) {
		struct domu_ctx quiet;

		domu_ctx_init(&quiet);
		v->toolstacks_read = domu_toolstacks_read(&quiet, v->root != NULL ? v->root : "", &v->toolstacks) == 0;
		domu_ctx_free(&quiet);
	}
	return domu_toolstack_of(&v->toolstacks, name, &kept);
}

/*
 * As the toolstack says it that keeps the guest: xl would go behind its back.  Destroying is for what cannot come
 * back by itself, and a domain on its way between hosts is let alone: unpaused, it would run on both.
 */
static void next_for_domain(struct domu_view *v, struct domu_answer *a, const struct domu_guest *g)
{
	const char *plain = g->stub_of != NULL ? g->stub_of : g->name;
	const struct domu_toolstack *t = keeper(v, plain);
	const char *stop = t != NULL ? t->stop : "xl shutdown", *kill = t != NULL ? t->kill : "xl destroy";
	const char *resume = t != NULL ? t->resume : "xl unpause";
	const char *gap = t != NULL && ends_in(stop, "=") ? "" : " ";
	char *name = domu_shell_quote(plain);

	if (name == NULL)
		return;
	if (ends_in(plain, INCOMING) || ends_in(plain, AWAY))
		domu_answer_next(a, "xl list (wait until the migration has ended)");
	else if (g->state == DOMU_STATE_SUSPENDED)
		domu_answer_next(a, "xl list (it is being saved or migrated: wait until that has ended)");
	else if (g->stub_of == NULL && g->state == DOMU_STATE_PAUSED)
		domu_answer_next(a, "%s%s%s && %s%s%s", resume, gap, name, stop, gap, name);
	else if (g->stub_of != NULL || (g->state == DOMU_STATE_RUNNING && g->condition == NULL))
		domu_answer_next(a, "%s%s%s", stop, gap, name);
	else
		domu_answer_next(a, "%s%s%s", kill, gap, name);
	free(name);
}

void domu_check_domains(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a)
{
	(void)r;
	if (no_xen(v, a))
		return;
	read_live(v);
	if (v->live_error != NULL)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "%s", v->live_error);
	for (size_t i = 0; i < v->live.n; i++) {
		const struct domu_guest *g = v->live.v[i];

		for (size_t j = 0; j < g->n_disks; j++) {
			const struct domu_disk *d = &g->disks[j];
			enum domu_same same;
			char *name;

			/* What is no path the check of backends knows; a path of a driver domain is none of ours. */
			if (d->path == NULL || d->path[0] != '/' || d->backend != NULL || harmless(v, d->readonly))
				continue;
			same = domu_same_disk(b, d->path);
			if (same == DOMU_SAME_NO)
				continue;
			name = domain_name(g);
			if (same == DOMU_SAME_UNKNOWN) {
				domu_answer(a, DOMU_CHECK_UNKNOWN, "whether %s of %s is this disk cannot be told",
				            d->path, name != NULL ? name : g->name);
			} else {
				domu_answer(a, DOMU_CHECK_FAIL, "%s has it as %s%s", name != NULL ? name : g->name,
				            d->vdev, d->readonly ? ", to read only" : "");
				next_for_domain(v, a, g);
			}
			free(name);
		}
	}
}

/* "raw:/images/a.img", "tap:aio:/images/a.img", "/dev/vg/a": what follows the formats is a path. */
static const char *path_of_params(const char *params)
{
	const char *colon = params != NULL && params[0] != '/' ? strstr(params, ":/") : NULL;

	return colon != NULL ? colon + 1 : params;
}

static const char *last_part(const char *path)
{
	const char *end = path + strlen(path);

	while (end > path && end[-1] != '/' && end[-1] != ':')
		end--;
	return end;
}

/*
 * The device that the backend has open decides where it is known.  What only the script that makes the device
 * understands, or what is a path from where a domain was started, cannot be compared.
 */
static enum domu_same same_as(const struct domu_backing *b, const struct domu_relatives *r,
                              const struct domu_backend_copy *c)
{
	const char *path = path_of_params(c->params);
	char in_dev[PATH_MAX];

	/* A loop that the block script made over the file is among the relatives. */
	if (c->dev != 0 && (domu_same_device(b, c->dev) || domu_related_find(r, c->dev) != NULL))
		return DOMU_SAME_YES;
	if (path == NULL || path[0] == '\0')
		return DOMU_SAME_NO;
	if (path[0] == '/' && (c->script == NULL || domu_same_disk(b, path) == DOMU_SAME_YES))
		return domu_same_disk(b, path);
	if (c->dev != 0)
		return DOMU_SAME_NO;
	if (c->script != NULL)
		return DOMU_SAME_UNKNOWN;
	if (snprintf(in_dev, sizeof in_dev, "/dev/%s", path) < (int)sizeof in_dev &&
	    domu_same_disk(b, in_dev) == DOMU_SAME_YES)
		return DOMU_SAME_YES;
	return strcmp(last_part(path), last_part(b->path)) == 0 ? DOMU_SAME_UNKNOWN : DOMU_SAME_NO;
}

/* "qdisk" of "/local/domain/0/backend/qdisk/7/51712", as backendtype= calls it. */
static const char *backend_type(const struct domu_backend_copy *c)
{
	static const char *const kinds[][2] = {
		{ "/backend/vbd/", "phy" },
		{ "/backend/qdisk/", "qdisk" },
		{ "/backend/tap/", "tap" },
		{ "/backend/vbd3/", "tap" },
		{ "/backend/virtio_disk/", "standalone" },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strstr(c->path, kinds[i][0]) != NULL)
			return kinds[i][1];
	return "unknown";
}

static const struct domu_guest *live_domain(const struct domu_view *v, unsigned id)
{
	for (size_t i = 0; i < v->live.n; i++)
		if (v->live.v[i]->domid == (int64_t)id)
			return v->live.v[i];
	return NULL;
}

/* "domain web1 (7)", "domain 7" where nobody knows its name, "this Dom0".  The caller frees. */
static char *short_name(const struct domu_view *v, unsigned id)
{
	const struct domu_guest *g = live_domain(v, id);
	char *text;
	int rc;

	if (id == 0)
		return strdup("this Dom0");
	rc = g != NULL ? asprintf(&text, "domain %s (%u)", g->name, id) : asprintf(&text, "domain %u", id);
	return rc < 0 ? NULL : text;
}

/* To the Dom0 itself, which is not among the guests: the disk can be detached when nobody there uses it. */
static void attached(struct domu_view *v, const struct domu_backend_copy *c, struct domu_answer *a)
{
	const char *vdev = c->vdev != NULL ? c->vdev : "VDEV";
	struct domu_answer user = { .result = DOMU_CHECK_PASS };

	/* An earlier answer is the one that is kept. */
	if (a->result != DOMU_CHECK_FAIL && c->vdev != NULL)
		domu_attached_user(v, c->vdev, &user);
	domu_answer(a, DOMU_CHECK_FAIL, "it is attached to this Dom0 as %s (backendtype %s, %s)%s%s%s%s", vdev,
	            backend_type(c), c->path, user.detail != NULL ? "; /dev/" : "", user.detail != NULL ? vdev : "",
	            user.detail != NULL ? ": " : "", user.detail != NULL ? user.detail : "");
	domu_answer_next(a, "%s%sxl block-detach 0 %s", user.next != NULL ? user.next : "",
	                 user.next != NULL ? " && " : "", vdev);
	domu_answer_clear(&user);
}

static void served(struct domu_view *v, const struct domu_backend_copy *c, enum domu_same same, struct domu_answer *a)
{
	const char *vdev = c->vdev != NULL ? c->vdev : "a disk", *type = backend_type(c);
	const struct domu_guest *g = live_domain(v, c->frontend);
	char *name = short_name(v, c->frontend);
	const char *to = name != NULL ? name : "a domain";

	if (same == DOMU_SAME_UNKNOWN && c->script != NULL)
		domu_answer(
		    a, DOMU_CHECK_UNKNOWN,
		    "what the script %s makes of %s for %s as %s, and so whether it is this disk, cannot be told "
		    "(%s)",
		    c->script, c->params, to, vdev, c->path);
	else if (same == DOMU_SAME_UNKNOWN)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "whether %s, which %s has as %s, is this disk cannot be told (%s)",
		            c->params, to, vdev, c->path);
	else if (c->frontend == 0)
		attached(v, c, a);
	else
		domu_answer(a, DOMU_CHECK_FAIL, "it is served to %s as %s (backendtype %s, %s)", to, vdev, type,
		            c->path);
	if (c->frontend == 0)
		domu_answer_next(a, "xl block-detach 0 %s", c->vdev != NULL ? c->vdev : "VDEV");
	else if (g != NULL)
		next_for_domain(v, a, g);
	else
		domu_answer_next(a, "xl block-list %u", c->frontend);
	free(name);
}

/*
 * A disk that was attached to the Dom0 (xl block-attach 0) is a device of its own here: what is behind it, its backend
 * says.  NULL: it is no such device.
 */
static const struct domu_backend_copy *behind(const struct domu_view *v, const struct domu_backing *b)
{
	const char *name = last_part(b->path);

	for (size_t i = 0; b->is_device && i < v->n_backends; i++) {
		const struct domu_backend_copy *c = &v->backends[i];
		size_t n = c->vdev != NULL ? strlen(c->vdev) : 0;

		/* xvdz, or its partition xvdz1 */
		if (c->frontend == 0 && n > 0 && c->state != XENBUS_CLOSED && strncmp(name, c->vdev, n) == 0 &&
		    strspn(name + n, "0123456789") == strlen(name + n))
			return c;
	}
	return NULL;
}

bool domu_same_target(const char *x, const char *y)
{
	struct stat a, c;

	if (x[0] != '/' || y[0] != '/' || stat(x, &a) < 0 || stat(y, &c) < 0 ||
	    S_ISBLK(a.st_mode) != S_ISBLK(c.st_mode))
		return false;
	return S_ISBLK(a.st_mode) ? a.st_rdev == c.st_rdev : a.st_dev == c.st_dev && a.st_ino == c.st_ino;
}

/* By device, and also by name: of one file each may have a loop of its own, or qemu none. */
static bool same_backing(const struct domu_backend_copy *x, const struct domu_backend_copy *y)
{
	const char *p = path_of_params(x->params), *q = path_of_params(y->params);

	if (x->domain != y->domain)
		return false;
	if (x->dev != 0 && x->dev == y->dev)
		return true;
	if (p == NULL || q == NULL)
		return false;
	/* What only a script understands may be made into another device each time. */
	if (strcmp(p, q) == 0)
		return x->dev == 0 || y->dev == 0 || p[0] == '/';
	return x->domain == 0 && domu_same_target(p, q);
}

const char *domu_behind(struct domu_view *v, const struct domu_backing *b)
{
	const struct domu_backend_copy *mine;

	if (!v->xen || !b->is_device)
		return NULL;
	read_backends(v);
	mine = behind(v, b);
	return mine != NULL && mine->domain == 0 ? path_of_params(mine->params) : NULL;
}

/* Every backend there is; mine: the one that serves b to us, or NULL.  False: there is no Xen to ask. */
static bool ask_backends(struct domu_view *v, const struct domu_backing *b, struct domu_answer *a,
                         const struct domu_backend_copy **mine)
{
	if (no_xen(v, a))
		return false;
	read_live(v);
	read_backends(v);
	if (v->backends_error != NULL)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "%s", v->backends_error);
	*mine = behind(v, b);
	return true;
}

void domu_check_backends(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                         struct domu_answer *a)
{
	const struct domu_backend_copy *mine;

	if (!ask_backends(v, b, a, &mine))
		return;
	for (size_t i = 0; i < v->n_backends; i++) {
		const struct domu_backend_copy *c = &v->backends[i];
		enum domu_same same;

		if (c->state == XENBUS_CLOSED || harmless(v, c->readonly))
			continue;
		if (mine != NULL && c != mine && same_backing(c, mine))
			served(v, c, DOMU_SAME_YES, a);
		if (c->domain != 0)
			continue;
		same = same_as(b, r, c);
		if (same != DOMU_SAME_NO)
			served(v, c, same, a);
	}
}

/* Its paths and device numbers are those of that domain: nothing here can be compared with them. */
static void served_elsewhere(struct domu_view *v, const struct domu_backend_copy *c, struct domu_answer *a)
{
	char *from = short_name(v, c->domain), *to = short_name(v, c->frontend);
	const struct domu_guest *g = live_domain(v, c->frontend);

	domu_answer(a, DOMU_CHECK_UNKNOWN,
	            "the driver %s serves %s to %s as %s; whether that is this disk cannot be seen here",
	            from != NULL ? from : "domain", c->params != NULL ? c->params : "a disk",
	            to != NULL ? to : "a domain", c->vdev != NULL ? c->vdev : "a disk");
	if (g != NULL)
		next_for_domain(v, a, g);
	else
		domu_answer_next(a, "xl list");
	free(from);
	free(to);
}

void domu_check_driver_domains(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                               struct domu_answer *a)
{
	const struct domu_backend_copy *mine;

	(void)r;
	/* What it serves to us as this very disk (mine) is no riddle. */
	if (!ask_backends(v, b, a, &mine))
		return;
	for (size_t i = 0; i < v->n_backends; i++)
		if (v->backends[i].domain != 0 && v->backends[i].state != XENBUS_CLOSED && &v->backends[i] != mine)
			served_elsewhere(v, &v->backends[i], a);
}

void domu_check_hotplug(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a)
{
	struct stat named, mine;
	char path[PATH_MAX];
	struct dirent *e;
	bool held = false;
	DIR *d;

	(void)b;
	(void)r;
	/* Before a commit there is nothing to hold yet. */
	if (no_xen(v, a) || v->depth != DOMU_VERDICT_RECHECK)
		return;
	snprintf(path, sizeof path, "%s/var/run/xen-hotplug/block", v->root != NULL ? v->root : "");
	d = opendir("/proc/self/fd");
	if (stat(path, &named) == 0)
		while (d != NULL && !held && (e = readdir(d)) != NULL)
			held = fstatat(dirfd(d), e->d_name, &mine, 0) == 0 && mine.st_dev == named.st_dev &&
			       mine.st_ino == named.st_ino;
	if (d != NULL)
		closedir(d);
	if (!held)
		domu_answer(a, DOMU_CHECK_FAIL, "Xen's hotplug lock is not held");
}
