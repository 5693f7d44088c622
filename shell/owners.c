/* SPDX-License-Identifier: GPL-3.0-or-later */
/* owners.c - to whom a guest's disks belong beside it, shown: other guests, other toolstacks, what starts them. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "guest/toolstack.h"
#include "shell/owners.h"

static const char *root_of(const struct domu_where *where)
{
	return where->root != NULL ? where->root : "";
}

/* ---- one guest -------------------------------------------------------------------- */

int domu_app_owners(struct domu_app *app, struct domu_session *s, struct domu_owners *o)
{
	const struct domu_backing *backings;
	struct domu_where where;
	size_t n;
	int rc = domu_app_where(app, &app->globals, &where);

	memset(o, 0, sizeof *o);
	if (rc != 0)
		return rc;
	backings = domu_session_backings(s, &n);
	return domu_owners_find(app->ctx, &where, root_of(&where), domu_session_guest(s), backings, n, o);
}

void domu_owners_warn(struct domu_ctx *ctx, const struct domu_guest *g, const struct domu_owners *o)
{
	if (g->name == NULL && o->n_shares < 2)
		return;
	for (size_t i = 0; i < o->n_shares; i++) {
		const struct domu_share *s = &o->shares[i];

		domu_say(ctx, DOMU_WARNING, "disk %s of %s is also %s of %s%s (%s)", s->disk, domu_guest_shown(g),
		         s->vdev, s->guest, s->readonly ? ", which only reads it" : "", s->source);
	}
}

int domu_app_warn_owners(struct domu_app *app, struct domu_session *s)
{
	struct domu_owners o;
	int rc;

	if (app->owners_told)
		return 0;
	rc = domu_app_owners(app, s, &o);
	app->owners_told = rc == 0;
	if (rc == 0)
		domu_owners_warn(app->ctx, domu_session_guest(s), &o);
	domu_owners_free(&o);
	return rc;
}

static void put_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text != NULL ? json_object_new_string(text) : NULL);
}

static struct json_object *shares_json(const struct domu_owners *o)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list != NULL && i < o->n_shares; i++) {
		struct json_object *s = json_object_new_object();

		put_text(s, "disk", o->shares[i].disk);
		put_text(s, "guest", o->shares[i].guest);
		put_text(s, "vdev", o->shares[i].vdev);
		put_text(s, "source", o->shares[i].source);
		json_object_object_add(s, "readonly", json_object_new_boolean(o->shares[i].readonly));
		json_object_array_add(list, s);
	}
	return list;
}

static struct json_object *starters_json(const struct domu_owners *o)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list != NULL && i < o->n_starters; i++) {
		struct json_object *s = json_object_new_object();

		put_text(s, "by", o->starters[i].by);
		put_text(s, "guest", o->starters[i].guest);
		put_text(s, "through", o->starters[i].through);
		json_object_object_add(s, "sure", json_object_new_boolean(o->starters[i].sure));
		json_object_array_add(list, s);
	}
	return list;
}

int domu_owners_show(struct domu_out *out, const struct domu_guest *g, const struct domu_owners *o)
{
	const char *restarts = g->domid >= 0 ? g->restarts : NULL;
	int rc;

	for (size_t i = 0; i < o->n_shares; i++)
		domu_out_line(out, "disk %s is also %s of %s%s (%s)", o->shares[i].disk, o->shares[i].vdev,
		              o->shares[i].guest, o->shares[i].readonly ? ", read only" : "", o->shares[i].source);
	for (size_t i = 0; i < o->n_starters; i++) {
		const struct domu_starter *s = &o->starters[i];

		if (s->sure)
			domu_out_line(out, "%s is started at boot by %s (%s)", s->guest, s->by, s->through);
		else
			domu_out_line(out, "%s may start it by itself: %s shows it", s->by, s->through);
	}
	if (restarts != NULL)
		domu_out_line(out, "%s starts again by itself as long as it runs: %s = restart", domu_guest_shown(g),
		              restarts);
	rc = domu_out_member(out, "shared", shares_json(o));
	if (rc == 0)
		rc = domu_out_member(out, "starters", starters_json(o));
	if (rc == 0)
		rc = domu_out_member(out, "restarts", restarts != NULL ? json_object_new_string(restarts) : NULL);
	return rc;
}

/* ---- every guest ------------------------------------------------------------------- */

/* One disk of one guest. */
struct named {
	const struct domu_guest *guest;
	const struct domu_disk *disk;
};

static int by_path(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return strcmp(x->disk->path, y->disk->path);
}

/* v[0] to v[n - 1] have one path. */
static void warn_shared(struct domu_ctx *ctx, const struct named *v, size_t n)
{
	size_t writers = 0;
	char more[40] = "";

	for (size_t i = 0; i < n; i++)
		writers += !v[i].disk->readonly;
	if (n < 2 || writers == 0)
		return;
	if (n > 2)
		snprintf(more, sizeof more, ", and of %zu more", n - 2);
	domu_say(ctx, DOMU_WARNING, "%s is %s of %s and %s of %s%s: never start both", v[0].disk->path, v[0].disk->vdev,
	         domu_guest_shown(v[0].guest), v[1].disk->vdev, domu_guest_shown(v[1].guest), more);
}

void domu_list_shared(struct domu_ctx *ctx, const struct domu_guests *all)
{
	size_t n = 0, from = 0;
	struct named *v;

	for (size_t i = 0; i < all->n; i++)
		n += all->v[i]->n_disks;
	v = calloc(n + 1, sizeof *v);
	if (v == NULL)
		return;
	n = 0;
	for (size_t i = 0; i < all->n; i++)
		for (size_t k = 0; k < all->v[i]->n_disks; k++) {
			const struct domu_disk *d = &all->v[i]->disks[k];

			if (d->path != NULL && !d->cdrom && d->script == NULL && d->backend == NULL)
				v[n++] = (struct named){ all->v[i], d };
		}
	qsort(v, n, sizeof *v, by_path);
	for (size_t i = 1; i <= n; i++) {
		if (i < n && by_path(&v[i], &v[from]) == 0)
			continue;
		warn_shared(ctx, v + from, i - from);
		from = i;
	}
	free(v);
}

static struct json_object *kept_json(const struct domu_toolstack *t)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list != NULL && i < t->n; i++) {
		struct json_object *o = json_object_new_object();
		char *next = domu_toolstack_next(t, &t->v[i], NULL);

		put_text(o, "name", t->v[i].guest->name);
		put_text(o, "source", t->v[i].guest->source);
		put_text(o, "next", next);
		json_object_array_add(list, o);
		free(next);
	}
	return list;
}

/* "web1, web2 and 3 more" */
static void names_of(const struct domu_toolstack *t, char *out, size_t size)
{
	size_t n = 0, i = 0;

	out[0] = '\0';
	for (; i < t->n && i < 4 && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", i > 0 ? ", " : "", t->v[i].guest->name);
	if (i < t->n && n < size)
		snprintf(out + n, size - n, " and %zu more", t->n - i);
}

static int tell(struct domu_run *r, const struct domu_toolstack *t, struct json_object *list)
{
	struct json_object *o = json_object_new_object();
	char *next = domu_toolstack_next(t, t->n > 0 ? &t->v[0] : NULL, NULL), names[256];

	if (next == NULL)
		return domu_nomem(r->ctx);
	names_of(t, names, sizeof names);
	if (t->n > 0)
		domu_say(r->ctx, DOMU_INFO, "%s keeps %s here (%s); to open %s: %s", t->name, names, t->place,
		         t->v[0].guest->name, next);
	else
		domu_say(r->ctx, DOMU_INFO, "%s keeps guests here (%s): %s", t->name, t->place, next);
	put_text(o, "name", t->name);
	put_text(o, "place", t->place);
	json_object_object_add(o, "guests", kept_json(t));
	put_text(o, "next", next);
	json_object_array_add(list, o);
	free(next);
	return 0;
}

int domu_list_toolstacks(struct domu_run *r, const struct domu_where *where)
{
	struct json_object *list = json_object_new_array();
	struct domu_toolstacks ts;
	int rc = list != NULL ? domu_toolstacks_read(r->ctx, root_of(where), &ts) : -1;

	if (rc < 0) {
		json_object_put(list);
		return domu_nomem(r->ctx);
	}
	for (size_t i = 0; i < ts.n && rc == 0; i++)
		rc = tell(r, &ts.v[i], list);
	domu_toolstacks_free(&ts);
	if (rc == 0)
		return domu_out_member(r->out, "toolstacks", list);
	json_object_put(list);
	return rc;
}
