/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-list.c - list: every guest, with what was last seen of its root. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/num.h"
#include "shell/cmd.h"
#include "shell/owners.h"

/* What all rows share. */
struct listing {
	struct domu_state *st; /* or NULL */
	bool pending; /* something is: nearly always nothing is, and a thousand guests need not be asked about */
};

/* What STATE/seen holds of a guest. */
struct seen {
	struct json_object *o;
	int64_t time;
};

static const char *seen_text(const struct seen *s, const char *key)
{
	struct json_object *v;

	if (s->o == NULL || !json_object_object_get_ex(s->o, key, &v) || !json_object_is_type(v, json_type_string))
		return NULL;
	return json_object_get_string(v);
}

static bool seen_number(const struct seen *s, const char *key, uint64_t *n)
{
	struct json_object *v;
	int64_t i;

	if (s->o == NULL || !json_object_object_get_ex(s->o, key, &v) || !json_object_is_type(v, json_type_int))
		return false;
	i = json_object_get_int64(v);
	*n = i > 0 ? (uint64_t)i : 0;
	return i >= 0;
}

static void read_seen(struct domu_state *st, const struct domu_guest *g, struct seen *s)
{
	char *text = NULL;

	memset(s, 0, sizeof *s);
	if (st == NULL || domu_seen_get(st, domu_guest_shown(g), &text, &s->time) != 0)
		return;
	s->o = json_tokener_parse(text);
	free(text);
	if (!json_object_is_type(s->o, json_type_object)) {
		json_object_put(s->o);
		s->o = NULL;
	}
}

/* The size of a backing store, without opening a file; 0: not known. */
static uint64_t disk_size(const char *path)
{
	struct stat st;
	uint64_t size = 0;
	int fd;

	if (path == NULL || stat(path, &st) != 0)
		return 0;
	if (S_ISREG(st.st_mode))
		return (uint64_t)st.st_size;
	if (!S_ISBLK(st.st_mode))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (ioctl(fd, BLKGETSIZE64, &size) != 0)
		size = 0;
	close(fd);
	return size;
}

static struct json_object *text_or_null(const char *text)
{
	return text != NULL ? json_object_new_string(text) : NULL;
}

static struct json_object *disks_json(const struct domu_guest *g)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list != NULL && i < g->n_disks; i++) {
		const struct domu_disk *d = &g->disks[i];
		struct json_object *o = json_object_new_object();
		uint64_t size = disk_size(d->path);

		json_object_object_add(o, "vdev", json_object_new_string(d->vdev));
		json_object_object_add(o, "path", text_or_null(d->path));
		json_object_object_add(o, "format", text_or_null(d->format));
		json_object_object_add(o, "size", size != 0 ? json_object_new_uint64(size) : NULL);
		json_object_object_add(o, "readonly", json_object_new_boolean(d->readonly));
		json_object_array_add(list, o);
	}
	return list;
}

static void disks_text(const struct domu_guest *g, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < g->n_disks && n < size; i++) {
		uint64_t bytes = disk_size(g->disks[i].path);
		char shown[DOMU_SIZE_TEXT] = "?";

		if (bytes != 0)
			domu_size_format(bytes, shown);
		n += (size_t)snprintf(out + n, size - n, "%s%s:%s", n > 0 ? " " : "", g->disks[i].vdev,
		                      g->disks[i].cdrom ? "cdrom" : shown);
	}
}

/* With --look the session has said it. */
static bool recover_due(struct domu_run *r, const struct listing *l, const struct domu_guest *g)
{
	bool quiet = domu_args_flag(r->args, "look");
	char id[DOMU_ID_LEN + 1];
	int64_t pid;

	if (!l->pending)
		return false;
	if (!quiet && domu_app_under_way(l->st, g, id, &pid))
		domu_say(r->ctx, DOMU_WARNING, "a commit on %s is under way (%s, process %" PRId64 ")",
		         domu_guest_shown(g), id, pid);
	if (!domu_app_due(l->st, g, id))
		return false;
	if (!quiet)
		domu_say(r->ctx, DOMU_WARNING, "a commit on %s was cut short (%s): domu-rescue recover %s",
		         domu_guest_shown(g), id, domu_guest_shown(g));
	return true;
}

static int row(struct domu_run *r, const struct listing *l, const struct domu_guest *g)
{
	struct domu_out *o = r->out;
	bool json = domu_out_json(o);
	char disks[256], age[DOMU_AGE_TEXT];
	struct seen s;
	uint64_t n;

	read_seen(l->st, g, &s);
	disks_text(g, disks, sizeof disks);
	domu_row_text(o, json ? g->name : domu_guest_shown(g));
	domu_row_text(o, g->source);
	domu_row_text(o, domu_state_name(g->state));
	domu_row_text(o, disks);
	domu_row_object(o, json ? disks_json(g) : NULL);
	domu_row_text(o, seen_text(&s, "root"));
	if (seen_number(&s, "size", &n))
		domu_row_number(o, n);
	else
		domu_row_null(o);
	if (seen_number(&s, "used", &n))
		domu_row_number(o, n);
	else
		domu_row_null(o);
	domu_age_format(time(NULL) - s.time, age);
	domu_row_text(o, s.o != NULL ? age : NULL);
	if (s.o != NULL)
		domu_row_time(o, (struct timespec){ .tv_sec = (time_t)s.time });
	else
		domu_row_null(o);
	domu_row_number(o, recover_due(r, l, g));
	domu_row_text(o, g->error);
	json_object_put(s.o);
	return domu_row_end(o);
}

/* Looks now.  A guest that cannot be looked at is one warning, and the list goes on. */
static void look(struct domu_run *r, const struct domu_guest *g)
{
	struct domu_session *s = NULL;
	int rc;

	if (g->error != NULL)
		return;
	rc = domu_app_open(r->app, g, NULL, NEED_LOOK, &s);
	if (rc == 0)
		rc = domu_session_seen(s);
	if (s != NULL)
		domu_session_close(s);
	if (rc != 0) {
		domu_say(r->ctx, DOMU_WARNING, "%s: %s", domu_guest_shown(g),
		         r->ctx->error.message != NULL ? r->ctx->error.message : "cannot be looked at");
		domu_error_clear(r->ctx);
	}
}

static bool wanted(const struct domu_run *r, const struct domu_guest *g, bool *found)
{
	size_t n = domu_args_count(r->args);
	bool yes = n == 0;

	for (size_t i = 0; i < n; i++) {
		if (g->name == NULL || strcmp(domu_args_get(r->args, i), g->name) != 0)
			continue;
		found[i] = yes = true;
	}
	return yes;
}

static int show(struct domu_run *r, const struct listing *l, const struct domu_guest *g)
{
	if (domu_args_flag(r->args, "look"))
		look(r, g);
	if (g->error != NULL)
		domu_say(r->ctx, DOMU_WARNING, "%s: %s", g->source, g->error);
	return row(r, l, g);
}

/* Operands that are no name in the list: paths, or nothing at all. */
static int others(struct domu_run *r, const struct listing *l, const struct domu_where *where, const bool *found)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < domu_args_count(r->args); i++) {
		struct domu_guest *g = NULL;

		if (found[i])
			continue;
		rc = domu_guest_find(r->ctx, where, domu_args_get(r->args, i), &g);
		if (rc == 0)
			rc = show(r, l, g);
		domu_guest_free(g);
	}
	return rc;
}

/* What cannot be read is asked about guest by guest, as if there were something. */
static bool any_pending(struct domu_state *st)
{
	struct domu_commit_info *v = NULL;
	size_t n = 0;

	if (st == NULL)
		return false;
	if (domu_state_list(st, NULL, true, &v, &n) != 0)
		return true;
	domu_state_list_free(v, n);
	return n > 0;
}

static int run(struct domu_run *r)
{
	bool look_now = domu_args_flag(r->args, "look");
	bool *found = calloc(domu_args_count(r->args) + 1, sizeof *found);
	struct domu_guests all = { 0 };
	struct listing l = { 0 };
	struct domu_where where;
	int rc = found != NULL ? domu_app_where(r->app, r->globals, &where) : domu_nomem(r->ctx);

	if (rc == 0)
		rc = domu_app_state(r->app, look_now, &l.st);
	if (rc == 0)
		l.pending = any_pending(l.st);
	if (rc == 0)
		rc = domu_guest_list(r->ctx, &where, &all);
	for (size_t i = 0; rc == 0 && i < all.n; i++) {
		if (domu_interrupted(r->ctx))
			rc = domu_fail(r->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		else if (wanted(r, all.v[i], found))
			rc = show(r, &l, all.v[i]);
	}
	if (rc == 0)
		rc = others(r, &l, &where, found);
	if (rc == 0 && domu_args_count(r->args) == 0) {
		domu_list_shared(r->ctx, &all);
		rc = domu_list_toolstacks(r, &where);
	}
	if (rc == 0 && all.n == 0 && domu_args_count(r->args) == 0)
		domu_say(r->ctx, DOMU_INFO, "no guests in %s%s",
		         where.config_dirs[0] != NULL ? where.config_dirs[0] : "(no folder)",
		         where.config_dirs[0] != NULL && where.config_dirs[1] != NULL ? " and the others" : "");
	domu_guests_free(&all);
	free(found);
	return rc;
}

static const struct domu_arg args[] = {
	{ "GUEST", ARG_GUEST, COUNT_ANY },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option options[] = {
	{ "look", 'l', NULL, "look at the disks now, also of running guests (nothing is replayed)" },
	{ NULL, 0, NULL, NULL },
};

static const struct domu_column columns[] = {
	{ "name", "GUEST", CELL_TEXT }, { "source", NULL, CELL_BYTES },     { "state", "STATE", CELL_TEXT },
	{ "", "DISKS", CELL_BYTES },    { "disks", NULL, CELL_OBJECT },     { "root", "ROOT", CELL_BYTES },
	{ "size", "SIZE", CELL_SIZE },  { "used", "USED", CELL_SIZE },      { "", "SEEN", CELL_TEXT },
	{ "seen_at", NULL, CELL_TIME }, { "recover_due", NULL, CELL_BOOL }, { "error", NULL, CELL_TEXT },
	{ NULL, NULL, CELL_TEXT },
};

const struct domu_command domu_cmd_list = {
	.name = "list",
	.topic = "looking",
	.summary = "every guest: state, disks, and what was last seen of its root",
	.description = "Root, size and use are those of the last look, whose age is shown; -l looks now.\n\n"
	               "A config that cannot be used is a warning and a row without disks.  Guests of other toolstacks "
	               "(libvirt, Qubes, XAPI) are named with the command that opens them.",
	.args = args,
	.options = options,
	.columns = columns,
	.json_key = "guests",
	.example = "domu-rescue list -l",
	.needs = NEED_MANY | NEED_LOOK,
	.front = run,
};
