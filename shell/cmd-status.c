/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-status.c - status: may this guest's disks be changed, and who says no. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "fence/nodes.h"
#include "shell/cmd.h"
#include "shell/owners.h"

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

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What a check says of several disks alike is one row for people: disk has all their names then. */
static int row(struct domu_out *o, const struct domu_verdict_line *l, const char *disk)
{
	domu_row_text(o, l->check);
	domu_row_text(o, disk);
	domu_row_text(o, domu_check_result_name(l->result));
	domu_row_text(o, l->detail);
	return domu_row_end(o);
}

static int merged_row(struct domu_out *o, const struct domu_verdict *v, size_t first, bool *done)
{
	const struct domu_verdict_line *l = &v->v[first];
	char disks[256];
	size_t n = (size_t)snprintf(disks, sizeof disks, "%s", l->disk);

	for (size_t i = first + 1; i < v->n; i++) {
		const struct domu_verdict_line *m = &v->v[i];

		if (strcmp(l->check, m->check) != 0 || l->result != m->result || !same_text(l->detail, m->detail))
			continue;
		done[i] = true;
		if (n < sizeof disks)
			n += (size_t)snprintf(disks + n, sizeof disks - n, " %s", m->disk);
	}
	return row(o, l, disks);
}

static int show_checks(struct domu_run *r, const struct domu_verdict *v)
{
	bool *done = calloc(v->n + 1, sizeof *done);
	int rc = done != NULL ? 0 : domu_nomem(r->ctx);

	if (domu_out_json(r->out)) {
		for (size_t i = 0; rc == 0 && i < v->n; i++)
			rc = row(r->out, &v->v[i], v->v[i].disk);
	} else {
		/* In the order of the checks, which is that of the first disk. */
		for (size_t c = 0; domu_check_info(c) != NULL; c++)
			for (size_t i = 0; rc == 0 && i < v->n; i++)
				if (!done[i] && strcmp(v->v[i].check, domu_check_info(c)->name) == 0)
					rc = merged_row(r->out, v, i, done);
	}
	free(done);
	return rc;
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

/* The commands that free the disks, each once: what is made of a disk last, since it is mounted or open itself. */
static void show_next(struct domu_run *r, const struct domu_verdict *v)
{
	for (int stacked = 0; stacked < 2; stacked++)
		for (size_t i = 0; i < v->n; i++) {
			const struct domu_verdict_line *l = &v->v[i];
			size_t k = 0;

			if (!l->blocks || l->next == NULL || (strcmp(l->check, "stacked") == 0) != stacked)
				continue;
			while (k < i && !(v->v[k].blocks && same_text(v->v[k].next, l->next)))
				k++;
			if (k == i)
				domu_out_line(r->out, "to free %s: %s", l->disk, l->next);
		}
}

/* A guest that was saved to a file of its own has an unreplayed journal, and no check can see the file. */
static void hint_at_saves(struct domu_run *r)
{
	struct domu_nodes nodes;

	if (domu_session_nodes(r->session, true, &nodes) != 0) {
		domu_error_clear(r->ctx);
		return;
	}
	for (size_t i = 0; i < nodes.n; i++)
		if (nodes.v[i].root && nodes.v[i].probe.needs_replay)
			domu_out_line(r->out,
			              "the root %s was not unmounted: if the guest was saved to a file elsewhere (xl "
			              "save), restore that instead of changing the disk",
			              nodes.v[i].name);
	domu_nodes_free(&nodes);
}

static int show(struct domu_run *r, const struct domu_verdict *v, const struct domu_owners *owners)
{
	const struct domu_guest *g = domu_session_guest(r->session);
	const char *started_by = NULL;
	int rc;

	for (size_t i = 0; i < owners->n_starters && started_by == NULL; i++)
		started_by = owners->starters[i].sure ? owners->starters[i].through : NULL;
	domu_out_line(r->out, "%s: %s, %s", domu_guest_shown(g), domu_state_name(g->state),
	              domu_verdict_untold(v) ? "in use or not: only root can tell"
	              : v->in_use            ? "in use"
	                                     : "free");
	domu_out_member(r->out, "guest", text_or_null(g->name));
	domu_out_member(r->out, "state", json_object_new_string(domu_state_name(g->state)));
	domu_out_member(r->out, "verdict", json_object_new_string(v->in_use ? "in-use" : "free"));
	domu_out_member(r->out, "started_by", text_or_null(started_by));
	rc = show_checks(r, v);
	if (rc == 0)
		rc = domu_out_member(r->out, "reasons", reasons(v));
	if (rc == 0) {
		show_next(r, v);
		rc = domu_owners_show(r->out, g, owners);
	}
	if (rc == 0 && !v->in_use && !domu_out_json(r->out))
		hint_at_saves(r);
	return rc;
}

static int run(struct domu_run *r)
{
	const struct domu_guest *g = domu_session_guest(r->session);
	const struct domu_backing *backings;
	struct domu_owners owners = { 0 };
	struct domu_verdict v = { 0 };
	size_t n;
	int rc;

	backings = domu_session_backings(r->session, &n);
	rc = domu_verdict_make(r->ctx, g, backings, n, DOMU_VERDICT_CHANGE, r->globals->waive, &v);
	if (rc == 0)
		rc = domu_app_owners(r->app, r->session, &owners);
	if (rc == 0)
		rc = show(r, &v, &owners);
	if (rc == 0 && domu_args_flag(r->args, "fence"))
		rc = show_fence(r);
	domu_owners_free(&owners);
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
	{ "check", "CHECK", CELL_WORD },    { "disk", "DISK", CELL_WORD }, { "result", "RESULT", CELL_WORD },
	{ "detail", "DETAIL", CELL_BYTES }, { NULL, NULL, CELL_TEXT },
};

const struct domu_command domu_cmd_status = {
	.name = "status",
	.topic = "looking",
	.summary = "may the disks be changed: every check, and who holds them",
	.description =
	    "A disk is free when no check fails; what cannot be told counts as in use.  Below the table: what frees "
	    "the disk, which other guests have it, and what starts any of them by itself.\n\n--waive CHECK "
	    "leaves out one by name and is kept in the history.",
	.args = args,
	.options = options,
	.columns = columns,
	.json_key = "checks",
	.example = "domu-rescue status web1",
	.needs = NEED_GUEST | NEED_LOOK,
	.front = run,
};
