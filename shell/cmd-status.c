/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-status.c - status: may this guest's disks be changed, and who says no. */
#include "config.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <json-c/json.h>

#include "shell/cmd.h"

static struct json_object *text_or_null(const char *text)
{
	return text != NULL ? json_object_new_string(text) : NULL;
}

static struct json_object *reasons(const struct domu_verdict *v)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list != NULL && i < v->n; i++) {
		struct json_object *o;

		if (!v->v[i].blocks)
			continue;
		o = json_object_new_object();
		json_object_object_add(o, "disk", text_or_null(v->v[i].disk));
		json_object_object_add(o, "check", json_object_new_string(v->v[i].check));
		json_object_object_add(o, "detail", text_or_null(v->v[i].detail));
		json_object_array_add(list, o);
	}
	return list;
}

static int row(struct domu_out *o, const struct domu_verdict_line *l)
{
	domu_row_text(o, l->check);
	domu_row_text(o, l->disk);
	domu_row_text(o, domu_check_result_name(l->result));
	domu_row_text(o, l->detail);
	return domu_row_end(o);
}

/* The link in an "auto" folder through which xendomains starts the guest at boot.  The caller frees. */
static char *find_autostart(const char *source)
{
	struct stat mine, st;
	DIR *d = opendir("/etc/xen/auto");
	char *found = NULL;
	struct dirent *e;

	if (d == NULL)
		return NULL;
	if (source != NULL && stat(source, &mine) == 0)
		while (found == NULL && (e = readdir(d)) != NULL)
			if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && st.st_dev == mine.st_dev &&
			    st.st_ino == mine.st_ino && asprintf(&found, "/etc/xen/auto/%s", e->d_name) < 0)
				found = NULL;
	closedir(d);
	return found;
}

struct lines {
	struct domu_run *r;
	struct json_object *list;
};

static void fence_line(void *user, const char *line)
{
	struct lines *l = user;

	domu_out_line(l->r->out, "  %s", line);
	json_object_array_add(l->list, json_object_new_string(line));
}

static int show_fence(struct domu_run *r)
{
	struct lines l = { .r = r, .list = json_object_new_array() };
	int rc;

	if (l.list == NULL)
		return domu_nomem(r->ctx);
	domu_out_line(r->out, "what confines the worker:");
	rc = domu_fence_describe(fence_line, &l);
	if (rc != 0) {
		json_object_put(l.list);
		return rc;
	}
	return domu_out_member(r->out, "fence", l.list);
}

static void show_next(struct domu_run *r, const struct domu_verdict *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->v[i].blocks && v->v[i].next != NULL)
			domu_out_line(r->out, "%s: %s", v->v[i].check, v->v[i].next);
}

static int run(struct domu_run *r)
{
	const struct domu_guest *g = domu_session_guest(r->session);
	char *autostart = find_autostart(g->source);
	const struct domu_backing *backings;
	struct domu_verdict v = { 0 };
	size_t n;
	int rc;

	backings = domu_session_backings(r->session, &n);
	rc = domu_verdict_make(r->ctx, g, backings, n, DOMU_VERDICT_CHANGE, r->globals->waive, &v);
	if (rc != 0)
		goto out;
	domu_out_line(r->out, "%s: %s, %s", domu_guest_shown(g), domu_state_name(g->state),
	              v.in_use ? "in use" : "free");
	domu_out_member(r->out, "guest", text_or_null(g->name));
	domu_out_member(r->out, "state", json_object_new_string(domu_state_name(g->state)));
	domu_out_member(r->out, "verdict", json_object_new_string(v.in_use ? "in-use" : "free"));
	domu_out_member(r->out, "started_by", text_or_null(autostart));
	for (size_t i = 0; rc == 0 && i < v.n; i++)
		rc = row(r->out, &v.v[i]);
	if (rc == 0)
		rc = domu_out_member(r->out, "reasons", reasons(&v));
	if (autostart != NULL)
		domu_out_line(r->out, "started at boot by xendomains, through %s", autostart);
	show_next(r, &v);
	if (rc == 0 && domu_args_flag(r->args, "fence"))
		rc = show_fence(r);
out:
	free(autostart);
	domu_verdict_free(&v);
	return rc;
}

static const struct domu_arg args[] = {
	{ "GUEST", ARG_GUEST, COUNT_ONE },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option options[] = {
	{ "fence", 0, NULL, "also what confines the worker on this kernel" },
	{ NULL, 0, NULL, NULL },
};

static const struct domu_column columns[] = {
	{ "check", "CHECK", CELL_TEXT },    { "disk", "DISK", CELL_TEXT }, { "result", "RESULT", CELL_TEXT },
	{ "detail", "DETAIL", CELL_BYTES }, { NULL, NULL, CELL_TEXT },
};

const struct domu_command domu_cmd_status = {
	.name = "status",
	.topic = "looking",
	.summary = "may the disks be changed: every check, and who holds them",
	.args = args,
	.options = options,
	.columns = columns,
	.json_key = "checks",
	.example = "domu-rescue status web1",
	.needs = NEED_GUEST | NEED_LOOK,
	.front = run,
};
