/* SPDX-License-Identifier: GPL-3.0-or-later */
/* owners.c - who else a guest's disks belong to: other guests' configs that name them, and what starts any of these. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "guest/check.h"
#include "guest/owners.h"
#include "guest/toolstack.h"

#define AUTO_DIR "/etc/xen/auto"

void domu_owners_free(struct domu_owners *o)
{
	for (size_t i = 0; i < o->n_shares; i++) {
		free(o->shares[i].guest);
		free(o->shares[i].source);
	}
	for (size_t i = 0; i < o->n_starters; i++) {
		free(o->starters[i].guest);
		free(o->starters[i].through);
	}
	free(o->shares);
	free(o->starters);
	memset(o, 0, sizeof *o);
}

static int add_share(struct domu_owners *o, const struct domu_backing *b, const struct domu_guest *g,
                     const struct domu_disk *d)
{
	struct domu_share *v = reallocarray(o->shares, o->n_shares + 1, sizeof *v);

	if (v == NULL)
		return -ENOMEM;
	o->shares = v;
	v = &v[o->n_shares++];
	memset(v, 0, sizeof *v);
	memcpy(v->disk, b->disk->vdev, sizeof v->disk);
	memcpy(v->vdev, d->vdev, sizeof v->vdev);
	v->readonly = d->readonly;
	v->guest = strdup(domu_guest_shown(g));
	v->source = strdup(g->source != NULL ? g->source : "");
	return v->guest != NULL && v->source != NULL ? 0 : -ENOMEM;
}

static int add_starter(struct domu_owners *o, const char *by, const char *guest, const char *through, bool sure)
{
	struct domu_starter *v = reallocarray(o->starters, o->n_starters + 1, sizeof *v);

	if (v == NULL)
		return -ENOMEM;
	o->starters = v;
	v = &v[o->n_starters++];
	*v = (struct domu_starter){ .by = by, .guest = strdup(guest), .through = strdup(through), .sure = sure };
	return v->guest != NULL && v->through != NULL ? 0 : -ENOMEM;
}

/* The disks of another guest that are among ours; *any: there is one. */
static int compare(struct domu_owners *o, const struct domu_guest *g, const struct domu_backing *backings, size_t n,
                   bool *any)
{
	int rc = 0;

	*any = false;
	for (size_t i = 0; i < g->n_disks && rc == 0; i++) {
		const struct domu_disk *d = &g->disks[i];

		/* What a script or another domain makes of it is nothing of this host. */
		if (d->cdrom || d->path == NULL || d->script != NULL || d->backend != NULL)
			continue;
		for (size_t k = 0; k < n && rc == 0; k++) {
			if (backings[k].fd < 0 || domu_same_disk(&backings[k], d->path) != DOMU_SAME_YES)
				continue;
			*any = true;
			rc = add_share(o, &backings[k], g, d);
		}
	}
	return rc;
}

/* ---- xendomains ---------------------------------------------------------------------- */

/* XENDOMAINS_AUTO of its settings, which are a piece of shell. */
static void auto_dir(const char *root, char out[PATH_MAX])
{
	static const char *const settings[] = { "/etc/default/xendomains", "/etc/sysconfig/xendomains", NULL };
	char path[PATH_MAX], line[512], dir[400];

	snprintf(out, PATH_MAX, "%s" AUTO_DIR, root);
	for (const char *const *s = settings; *s != NULL; s++) {
		FILE *f;

		snprintf(path, sizeof path, "%s%s", root, *s);
		f = fopen(path, "re");
		while (f != NULL && fgets(line, sizeof line, f) != NULL)
			if (sscanf(line, " XENDOMAINS_AUTO = %399[^\n]", dir) == 1 ||
			    sscanf(line, " XENDOMAINS_AUTO=%399[^\n]", dir) == 1) {
				char *from = dir + strspn(dir, "\"'");

				from[strcspn(from, "\"' ;#")] = '\0';
				if (from[0] == '/')
					snprintf(out, PATH_MAX, "%s%s", root, from);
			}
		if (f != NULL)
			fclose(f);
	}
}

/* The link through which xendomains starts the guest of this config. */
static int xendomains(struct domu_owners *o, const char *root, const char *guest, const char *source)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct stat mine, st;
	struct dirent *e;
	int rc = 0;
	DIR *d;

	if (source == NULL || stat(source, &mine) < 0 || !S_ISREG(mine.st_mode))
		return 0;
	auto_dir(root, dir);
	d = opendir(dir);
	while (d != NULL && rc == 0 && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0) < 0 || st.st_dev != mine.st_dev ||
		    st.st_ino != mine.st_ino)
			continue;
		if (snprintf(path, sizeof path, "%s/%s", dir, e->d_name) < (int)sizeof path)
			rc = add_starter(o, "xendomains", guest, path + strlen(root), true);
		break;
	}
	if (d != NULL)
		closedir(d);
	return rc;
}

/* ---- all ------------------------------------------------------------------------------ */

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return a != NULL && b != NULL && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static int ask_configs(struct domu_ctx *ctx, const struct domu_where *where, const char *root,
                       const struct domu_guest *g, const struct domu_backing *backings, size_t n, struct domu_owners *o)
{
	struct domu_guests all = { 0 };
	struct domu_ctx quiet;
	int rc;

	domu_ctx_init(&quiet);
	rc = domu_guest_configs(&quiet, where, &all);
	/* Without libxl there are no configs; the guest itself came from elsewhere then. */
	rc = rc == -ENOMEM ? rc : 0;
	for (size_t i = 0; i < all.n && rc == 0; i++) {
		bool any;

		if (all.v[i]->error != NULL || same_file(all.v[i]->source, g->source))
			continue;
		rc = compare(o, all.v[i], backings, n, &any);
		if (rc == 0 && any)
			rc = xendomains(o, root, all.v[i]->name, all.v[i]->source);
	}
	domu_guests_free(&all);
	domu_ctx_free(&quiet);
	(void)ctx;
	return rc;
}

static int ask_toolstacks(struct domu_ctx *ctx, const char *root, const struct domu_guest *g,
                          const struct domu_backing *backings, size_t n, struct domu_owners *o)
{
	struct domu_toolstacks ts;
	int rc = domu_toolstacks_read(ctx, root, &ts);

	for (size_t i = 0; rc == 0 && i < ts.n; i++) {
		const struct domu_toolstack *t = &ts.v[i];

		for (size_t k = 0; rc == 0 && k < t->n; k++) {
			bool any;

			rc = compare(o, t->v[k].guest, backings, n, &any);
			if (rc == 0 && any && t->v[k].autostart != NULL)
				rc = add_starter(o, t->name, t->v[k].guest->name, t->v[k].autostart, true);
		}
		if (rc == 0 && strcmp(t->name, "XAPI") == 0)
			rc = add_starter(o, t->name, domu_guest_shown(g),
			                 "xe vm-list params=name-label,ha-restart-priority,other-config", false);
	}
	if (rc == 0)
		domu_toolstacks_free(&ts);
	return rc;
}

int domu_owners_find(struct domu_ctx *ctx, const struct domu_where *where, const char *root, const struct domu_guest *g,
                     const struct domu_backing *backings, size_t n, struct domu_owners *out)
{
	int rc;

	memset(out, 0, sizeof *out);
	rc = xendomains(out, root, domu_guest_shown(g), g->source);
	if (rc == 0)
		rc = ask_configs(ctx, where, root, g, backings, n, out);
	if (rc == 0)
		rc = ask_toolstacks(ctx, root, g, backings, n, out);
	if (rc < 0) {
		domu_owners_free(out);
		return domu_nomem(ctx);
	}
	return 0;
}
