/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guest.c - which guests exist, and which one a name means: configs and live domains brought together. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "base/plugins.h"
#include "guest/guest.h"
#include "guest/toolstack.h"

/* No list of guests is that long: a folder of somebody's making is. */
#define MAX_GUESTS 65536
#define MAX_DISKS  1024

struct domu_guest *domu_guest_new(void)
{
	struct domu_guest *g = calloc(1, sizeof *g);

	if (g != NULL) {
		g->state = DOMU_STATE_STOPPED;
		g->domid = -1;
	}
	return g;
}

void domu_guest_free(struct domu_guest *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->n_disks; i++) {
		free(g->disks[i].path);
		free(g->disks[i].format);
		free(g->disks[i].script);
		free(g->disks[i].backend);
	}
	free(g->disks);
	free(g->name);
	free(g->source);
	free(g->error);
	free(g->root_hint);
	free(g->stub_of);
	free(g->restarts);
	free(g);
}

struct domu_disk *domu_guest_add_disk(struct domu_guest *g)
{
	struct domu_disk *v;

	if (g->n_disks >= MAX_DISKS) {
		errno = E2BIG;
		return NULL;
	}
	v = reallocarray(g->disks, g->n_disks + 1, sizeof *v);
	if (v == NULL)
		return NULL;
	g->disks = v;
	memset(&v[g->n_disks], 0, sizeof *v);
	return &v[g->n_disks++];
}

void domu_guests_free(struct domu_guests *gs)
{
	for (size_t i = 0; i < gs->n; i++)
		domu_guest_free(gs->v[i]);
	free(gs->v);
	memset(gs, 0, sizeof *gs);
}

static int guests_add(struct domu_guests *gs, struct domu_guest *g)
{
	struct domu_guest **v = NULL;

	if (gs->n < MAX_GUESTS)
		v = reallocarray(gs->v, gs->n + 1, sizeof *v);
	if (v == NULL) {
		domu_guest_free(g);
		return -ENOMEM;
	}
	gs->v = v;
	gs->v[gs->n++] = g;
	return 0;
}

/* ---- a guest from one file ---------------------------------------------- */

static int no_config_source(struct domu_ctx *ctx)
{
	return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
	                 "xl configs cannot be read: this domu-rescue was built without libxl (libxlutil); name the "
	                 "guest's disks with --disk");
}

/* A source that lists folders knows configs, one that does not knows bare disks.  -ENODATA: none of them takes it. */
static int ask_sources(struct domu_ctx *ctx, const char *path, const char *format, bool config, struct domu_guest **g)
{
	bool asked = false;

	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_SOURCE); *p != NULL; p++) {
		const struct domu_source_ops *ops = (*p)->source;
		int rc;

		if (ops->open_file == NULL || (ops->list_dir != NULL) != config)
			continue;
		asked = true;
		rc = ops->open_file(ctx, path, format, g);
		if (rc != -ENODATA)
			return rc;
	}
	return config && !asked ? no_config_source(ctx) : -ENODATA;
}

static int open_file(struct domu_ctx *ctx, const char *path, const char *format, bool config, struct domu_guest **g)
{
	int rc = config ? domu_plugins_load(ctx, DOMU_PLUGIN_SOURCE) : domu_plugins_load_first(ctx, DOMU_PLUGIN_SOURCE);

	if (rc == 0)
		rc = ask_sources(ctx, path, format, config, g);
	if (rc != -ENODATA)
		return rc;
	rc = domu_plugins_load(ctx, DOMU_PLUGIN_SOURCE);
	if (rc == 0)
		rc = ask_sources(ctx, path, format, config, g);
	if (rc == -ENODATA)
		rc = domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: no plugin reads such a file", path);
	return rc;
}

static int open_config(struct domu_ctx *ctx, const char *path, const char *format, struct domu_guest **g)
{
	struct stat st;
	int rc;

	if (stat(path, &st) < 0)
		return domu_fail(ctx, errno == ENOENT || errno == ENOTDIR ? DOMU_NOTFOUND : DOMU_FAILED, -errno,
		                 "config %s: %s", path, strerror(errno));
	rc = open_file(ctx, path, format, true, g);
	if (rc < 0)
		return rc;
	if ((*g)->error != NULL) {
		rc = domu_fail(ctx, DOMU_FAILED, -EINVAL, "config %s", (*g)->error);
		domu_guest_free(*g);
		*g = NULL;
	}
	return rc;
}

/* xvda ... xvdz, xvdaa ... as the kernel counts them. */
static void vdev_name(size_t i, char out[32])
{
	char letters[8];
	size_t n = sizeof letters - 1;

	letters[n] = '\0';
	for (i++; i > 0; i = (i - 1) / 26)
		letters[--n] = (char)('a' + (i - 1) % 26);
	snprintf(out, 32, "xvd%s", letters + n);
}

/* --disk PATH ...: one guest; a disk's own source says what it is. */
static int open_disks(struct domu_ctx *ctx, const char *const *paths, const char *format, struct domu_guest **out)
{
	struct domu_guest *g = NULL, *one = NULL;
	int rc = 0;

	for (size_t i = 0; paths[i] != NULL; i++) {
		struct domu_disk *d;

		rc = open_file(ctx, paths[i], format, false, &one);
		if (rc < 0)
			goto out;
		vdev_name(i, one->disks[0].vdev);
		if (g == NULL) {
			g = one;
			one = NULL;
			continue;
		}
		d = domu_guest_add_disk(g);
		if (d == NULL) {
			rc = domu_nomem(ctx);
			goto out;
		}
		*d = one->disks[0];
		memset(&one->disks[0], 0, sizeof one->disks[0]);
		domu_guest_free(one);
		one = NULL;
	}
	*out = g;
	g = NULL;
out:
	domu_guest_free(one);
	domu_guest_free(g);
	return rc;
}

/* ---- every guest -------------------------------------------------------- */

struct gather {
	struct domu_guests *guests;
	struct file_id {
		dev_t dev;
		ino_t ino;
		size_t guest; /* its index */
	} * ids; /* of the configs taken */
	size_t n_ids;
};

/* Of two paths to one config the one that is no symbolic link is shown. */
static void prefer_file(struct domu_guest *have, struct domu_guest *other)
{
	char *source = have->source;
	struct stat st;

	if (lstat(have->source, &st) == 0 && S_ISLNK(st.st_mode) && lstat(other->source, &st) == 0 &&
	    !S_ISLNK(st.st_mode)) {
		have->source = other->source;
		other->source = source;
	}
}

/* Links to one file are one guest: /etc/xen/auto is full of them. */
static int take_config(void *user, struct domu_guest *g)
{
	struct gather *ga = user;
	struct file_id *ids;
	struct stat st;

	if (g->source != NULL && stat(g->source, &st) == 0) {
		for (size_t i = 0; i < ga->n_ids; i++) {
			if (ga->ids[i].dev == st.st_dev && ga->ids[i].ino == st.st_ino) {
				prefer_file(ga->guests->v[ga->ids[i].guest], g);
				domu_guest_free(g);
				return 0;
			}
		}
		ids = reallocarray(ga->ids, ga->n_ids + 1, sizeof *ids);
		if (ids == NULL) {
			domu_guest_free(g);
			return -ENOMEM;
		}
		ids[ga->n_ids++] = (struct file_id){ st.st_dev, st.st_ino, ga->guests->n };
		ga->ids = ids;
	}
	return guests_add(ga->guests, g);
}

/* A live domain and its config are one guest.  What runs is what counts, except for where the config is. */
static int take_live(void *user, struct domu_guest *live)
{
	struct gather *ga = user;
	/* A device model is part of another guest. */
	bool found = live->stub_of != NULL;

	for (size_t i = 0; i < ga->guests->n; i++) {
		struct domu_guest *g = ga->guests->v[i];

		if (live->name == NULL || g->name == NULL || strcmp(g->name, live->name) != 0)
			continue;
		g->state = live->state;
		g->domid = live->domid;
		found = true;
	}
	if (!found)
		return guests_add(ga->guests, live);
	domu_guest_free(live);
	return 0;
}

#define SAVE_DIR "/var/lib/xen/save"

static void mark_saved(struct domu_guests *gs)
{
	struct stat st;

	if (stat(SAVE_DIR, &st) < 0)
		return;
	for (size_t i = 0; i < gs->n; i++) {
		struct domu_guest *g = gs->v[i];
		char path[sizeof SAVE_DIR + 300];

		if (g->domid >= 0 || g->name == NULL || strchr(g->name, '/') != NULL || strlen(g->name) > 255)
			continue;
		snprintf(path, sizeof path, "%s/%s", SAVE_DIR, g->name);
		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
			g->state = DOMU_STATE_SAVED;
	}
}

static int by_name(const void *a, const void *b)
{
	const struct domu_guest *x = *(struct domu_guest *const *)a, *y = *(struct domu_guest *const *)b;
	int c = strcmp(domu_guest_shown(x), domu_guest_shown(y));

	return c != 0 ? c : strcmp(x->source != NULL ? x->source : "", y->source != NULL ? y->source : "");
}

static bool has_config_source(void)
{
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_SOURCE); *p != NULL; p++)
		if ((*p)->source->list_dir != NULL)
			return true;
	return false;
}

static int looks_like_config(const struct dirent *e)
{
	return e->d_type != DT_DIR && domu_config_name_counts(e->d_name);
}

/* Is there any file that a config source would have to look at? */
static bool any_config(const char *const *dirs)
{
	bool any = false;

	for (; dirs != NULL && *dirs != NULL && !any; dirs++) {
		struct dirent **list;
		int n = scandir(*dirs, &list, looks_like_config, NULL);

		any = n > 0;
		while (n > 0)
			free(list[--n]);
		if (n == 0)
			free(list);
	}
	return any;
}

static int gather_configs(struct domu_ctx *ctx, const struct domu_where *where, struct gather *ga)
{
	if (!has_config_source())
		return any_config(where->config_dirs) ? no_config_source(ctx) : 0;
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_SOURCE); *p != NULL; p++) {
		const struct domu_source_ops *ops = (*p)->source;

		for (const char *const *dir = where->config_dirs; ops->list_dir != NULL && dir != NULL && *dir != NULL;
		     dir++) {
			int rc = ops->list_dir(ctx, *dir, take_config, ga);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* A hypervisor that does not answer: what runs is not known, so no guest is "stopped". */
static void gather_live(struct domu_ctx *ctx, struct gather *ga)
{
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_SOURCE); *p != NULL; p++) {
		const struct domu_source_ops *ops = (*p)->source;
		struct domu_ctx quiet;

		if (ops->list_live == NULL)
			continue;
		domu_ctx_init(&quiet);
		quiet.cb = ctx->cb;
		if (ops->list_live(&quiet, take_live, ga) < 0) {
			domu_say(ctx, DOMU_WARNING, "%s: which guests run is not known",
			         quiet.error.message != NULL ? quiet.error.message : "libxl does not answer");
			for (size_t i = 0; i < ga->guests->n; i++)
				if (ga->guests->v[i]->domid < 0)
					ga->guests->v[i]->state = DOMU_STATE_UNKNOWN;
		}
		domu_ctx_free(&quiet);
	}
}

int domu_guest_configs(struct domu_ctx *ctx, const struct domu_where *where, struct domu_guests *out)
{
	struct gather ga = { .guests = out };
	int rc;

	memset(out, 0, sizeof *out);
	rc = domu_plugins_load(ctx, DOMU_PLUGIN_SOURCE);
	if (rc == 0)
		rc = gather_configs(ctx, where, &ga);
	free(ga.ids);
	if (rc < 0) {
		domu_guests_free(out);
		return rc == -ENOMEM ? domu_nomem(ctx) : rc;
	}
	return 0;
}

static int list_all(struct domu_ctx *ctx, const struct domu_where *where, struct domu_guests *out)
{
	struct gather ga = { .guests = out };
	int rc = domu_guest_configs(ctx, where, out);

	if (rc < 0)
		return rc;
	mark_saved(out);
	gather_live(ctx, &ga);
	if (out->n > 1)
		qsort(out->v, out->n, sizeof *out->v, by_name);
	return 0;
}

static int take_any(void *user, struct domu_guest *g)
{
	return guests_add(user, g);
}

int domu_guest_live(struct domu_ctx *ctx, struct domu_guests *out)
{
	int rc = domu_plugins_load(ctx, DOMU_PLUGIN_SOURCE);

	memset(out, 0, sizeof *out);
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_SOURCE); rc == 0 && *p != NULL; p++)
		if ((*p)->source->list_live != NULL)
			rc = (*p)->source->list_live(ctx, take_any, out);
	if (rc < 0)
		domu_guests_free(out);
	return rc;
}

int domu_guest_list(struct domu_ctx *ctx, const struct domu_where *where, struct domu_guests *out)
{
	struct domu_guest *g;
	int rc;

	memset(out, 0, sizeof *out);
	rc = domu_plugins_load(ctx, DOMU_PLUGIN_SOURCE);
	if (rc < 0)
		return rc;
	if (where->config == NULL && (where->disks == NULL || where->disks[0] == NULL))
		return list_all(ctx, where, out);
	rc = domu_guest_find(ctx, where, NULL, &g);
	if (rc < 0)
		return rc;
	rc = guests_add(out, g);
	return rc < 0 ? domu_nomem(ctx) : 0;
}

/* ---- one guest by name -------------------------------------------------- */

/* A guest that another toolstack keeps, or may keep; 0: none does. */
static int kept_elsewhere(struct domu_ctx *ctx, const struct domu_where *where, const char *name)
{
	const struct domu_toolstack *t;
	const struct domu_kept *kept;
	struct domu_toolstacks ts;
	char *next;
	int rc = domu_toolstacks_read(ctx, where->root != NULL ? where->root : "", &ts);

	if (rc < 0)
		return domu_nomem(ctx);
	t = domu_toolstack_of(&ts, name, &kept);
	next = t != NULL ? domu_toolstack_next(t, kept, name) : NULL;
	if (t != NULL && kept != NULL)
		rc = domu_fail(ctx, DOMU_NOTFOUND, -ENOENT, "%s is a guest of %s (%s); next: %s", name, t->name,
		               kept->guest->source, next != NULL ? next : "domu-rescue --disk PATH shell");
	else if (t != NULL)
		rc = domu_fail(ctx, DOMU_NOTFOUND, -ENOENT,
		               "no guest is named %s in xl's configs; %s keeps guests here (%s): %s", name, t->name,
		               t->place, next != NULL ? next : "domu-rescue --disk PATH shell");
	free(next);
	domu_toolstacks_free(&ts);
	return rc;
}

static int not_found(struct domu_ctx *ctx, const struct domu_where *where, const char *name)
{
	char dirs[512] = "";
	size_t n = 0;
	struct stat st;
	int rc = kept_elsewhere(ctx, where, name);

	if (rc < 0)
		return rc;
	for (const char *const *d = where->config_dirs; d != NULL && *d != NULL && n < sizeof dirs; d++)
		n += (size_t)snprintf(dirs + n, sizeof dirs - n, "%s%s", n > 0 ? ", " : "", *d);
	if (stat(name, &st) == 0 && !S_ISDIR(st.st_mode))
		return domu_fail(ctx, DOMU_NOTFOUND, -ENOENT,
		                 "no guest is named %s; the file of that name is ./%s (a path has a slash)", name,
		                 name);
	return domu_fail(ctx, DOMU_NOTFOUND, -ENOENT,
	                 "no guest is named %s (looked in %s and among live domains); domu-rescue list shows them%s",
	                 name, dirs[0] != '\0' ? dirs : "no config folder",
	                 strchr(name, ':') != NULL ? ", and a path in one is GUEST:/path" : "");
}

static int find_by_name(struct domu_ctx *ctx, const struct domu_where *where, const char *name, struct domu_guest **g)
{
	struct domu_guests all = { 0 };
	struct domu_guest **found = NULL, **second = NULL;
	int rc = list_all(ctx, where, &all);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < all.n; i++) {
		if (all.v[i]->name == NULL || strcmp(all.v[i]->name, name) != 0)
			continue;
		if (found == NULL)
			found = &all.v[i];
		else if (second == NULL)
			second = &all.v[i];
	}
	if (found == NULL) {
		rc = has_config_source() ? not_found(ctx, where, name) : no_config_source(ctx);
	} else if (second != NULL) {
		rc = domu_fail(ctx, DOMU_USAGE, -EEXIST,
		               "two guests are named %s: %s and %s; choose one with --config FILE", name,
		               (*found)->source, (*second)->source);
	} else if ((*found)->error != NULL) {
		rc = domu_fail(ctx, DOMU_FAILED, -EINVAL, "config %s", (*found)->error);
	} else {
		*g = *found;
		*found = NULL;
	}
	domu_guests_free(&all);
	return rc;
}

/* What runs and what is saved, for a guest that was named by its config file. */
static void look_if_live(struct domu_ctx *ctx, struct domu_guest *g)
{
	struct domu_guest *v[1] = { g };
	struct domu_guests one = { .v = malloc(sizeof v), .n = 1 };
	struct gather ga = { .guests = &one };

	if (one.v == NULL)
		return;
	memcpy(one.v, v, sizeof v);
	mark_saved(&one);
	gather_live(ctx, &ga);
	for (size_t i = 1; i < one.n; i++)
		domu_guest_free(one.v[i]);
	free(one.v);
}

/* The suffix decides, or the option: never the content, which for a disk is the guest's own. */
static int find_by_path(struct domu_ctx *ctx, const char *path, const char *format, bool config, struct domu_guest **g)
{
	int rc;

	if (!config)
		return open_file(ctx, path, format, false, g);
	rc = open_config(ctx, path, format, g);
	if (rc == 0)
		look_if_live(ctx, *g);
	return rc;
}

int domu_guest_find(struct domu_ctx *ctx, const struct domu_where *where, const char *name, struct domu_guest **g)
{
	bool has_disks = where->disks != NULL && where->disks[0] != NULL;
	bool named = name != NULL && name[0] != '\0';
	int rc;

	*g = NULL;
	if (where->config != NULL && has_disks)
		return domu_fail(ctx, DOMU_USAGE, -EINVAL,
		                 "--config and --disk name different guests: give one of them");
	if (has_disks && named)
		return domu_fail(ctx, DOMU_USAGE, -EINVAL,
		                 "--disk already names the guest: leave %s out (a file in it is :/path)", name);
	if (has_disks)
		return open_disks(ctx, where->disks, where->format, g);
	if (where->config != NULL) {
		rc = find_by_path(ctx, where->config, where->format, true, g);
		if (rc == 0 && named && strcmp((*g)->name, name) != 0) {
			rc = domu_fail(ctx, DOMU_USAGE, -EINVAL, "--config %s is the guest %s, not %s", where->config,
			               (*g)->name, name);
			domu_guest_free(*g);
			*g = NULL;
		}
		return rc;
	}
	if (!named)
		return domu_fail(ctx, DOMU_USAGE, -EINVAL,
		                 "no guest is named: give its name, a path, --config or --disk");
	if (strchr(name, '/') != NULL || name[0] == '.')
		return find_by_path(ctx, name, where->format, domu_config_suffix(name), g);
	return find_by_name(ctx, where, name, g);
}
