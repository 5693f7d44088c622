/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-resize.c - resize-root and resize: the plan, shown first, then done. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include "base/num.h"
#include "shell/cmd.h"
#include "task/resize.h"

static void describe(struct domu_run *r, const struct domu_step *st, size_t number)
{
	static const char *const words[] = {
		[DOMU_STEP_GROW_BACKING] = "grow the backing store of",
		[DOMU_STEP_WRITE_TABLE] = "write the partition table: grow",
		[DOMU_STEP_CHECK] = "check the filesystem on",
		[DOMU_STEP_GROW_FILESYSTEM] = "grow the filesystem on",
	};
	char from[DOMU_SIZE_TEXT], to[DOMU_SIZE_TEXT];

	domu_size_format(st->from, from);
	domu_size_format(st->to, to);
	if (st->op == DOMU_STEP_CHECK)
		domu_out_line(r->out, "%zu. %s %s", number, words[st->op], st->device);
	else
		domu_out_line(r->out, "%zu. %s %s from %s to %s", number, words[st->op], st->device, from, to);
}

static struct json_object *size_object(uint64_t bytes)
{
	return json_object_new_int64((int64_t)bytes);
}

static void members(struct domu_run *r, const char *device, const struct domu_resize_plan *p, bool done)
{
	domu_out_member(r->out, "guest", json_object_new_string(domu_guest_shown(domu_session_guest(r->session))));
	domu_out_member(r->out, "device", json_object_new_string(device));
	domu_out_member(r->out, "from", size_object(p->from));
	domu_out_member(r->out, "to", size_object(p->to));
	domu_out_member(r->out, "done", json_object_new_boolean(done));
}

static int rows(struct domu_run *r, const struct domu_resize_plan *p)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->n_steps; i++) {
		rc = domu_row_text(r->out, domu_step_name(p->steps[i].op));
		if (rc == 0)
			rc = domu_row_text(r->out, p->steps[i].device);
		if (rc == 0)
			rc = domu_row_number(r->out, p->steps[i].from);
		if (rc == 0)
			rc = domu_row_number(r->out, p->steps[i].to);
		if (rc == 0)
			rc = domu_row_end(r->out);
	}
	return rc;
}

static void on_step(void *user, const struct domu_step *st)
{
	struct domu_run *r = user;

	domu_say(r->ctx, DOMU_DEBUG, "%s: %s", st->device, domu_step_name(st->op));
}

static int resize(struct domu_run *r, const struct domu_nodes *nodes, size_t node, const char *size)
{
	char id[DOMU_ID_LEN + 1], to[DOMU_SIZE_TEXT];
	struct domu_resize_plan plan;
	bool plan_only = domu_args_flag(r->args, "plan");
	const char *device = nodes->v[node].name;
	int rc = domu_resize_plan(r->session, nodes, node, size, &plan);

	if (rc != 0)
		return rc;
	domu_size_format(plan.to, to);
	for (size_t i = 0; i < plan.n_steps; i++)
		describe(r, &plan.steps[i], i + 1);
	if (!plan_only)
		rc = domu_resize_run(r->session, nodes, &plan, r->globals->dry_run, on_step, r, id);
	if (rc != 0)
		return rc;
	if (plan.n_steps == 0)
		domu_out_line(r->out, "%s has %s already: nothing to do", device, to);
	else if (!plan_only && r->globals->dry_run)
		domu_out_line(r->out, "tried on a stage, all of it works; nothing was written");
	else if (!plan_only)
		domu_out_line(r->out, "%s has %s now (commit %s)", device, to, id);
	rc = rows(r, &plan);
	if (rc == 0)
		members(r, device, &plan, !plan_only && !r->globals->dry_run);
	return rc;
}

static int find_root(struct domu_run *r, const struct domu_nodes *nodes, size_t *node)
{
	for (size_t i = 0; i < nodes->n; i++) {
		if (nodes->v[i].root) {
			*node = i;
			return 0;
		}
	}
	/* What a commit left closed is told by the plan, with the way to open it. */
	for (size_t i = 0; i < nodes->n; i++) {
		if (nodes->v[i].probe.closed) {
			*node = i;
			return 0;
		}
	}
	return domu_fail(
	    r->ctx, DOMU_NOTFOUND, -ENOENT,
	    "%s: cannot tell which filesystem is the root: domu-rescue info %s shows them, resize takes one by name",
	    domu_guest_shown(domu_session_guest(r->session)), domu_guest_shown(domu_session_guest(r->session)));
}

static int find_device(struct domu_run *r, const struct domu_nodes *nodes, const char *dev, size_t *node)
{
	for (size_t i = 0; i < nodes->n; i++) {
		if (strcmp(nodes->v[i].name, dev) == 0 || domu_vdev_compare(nodes->v[i].name, dev) == 0) {
			*node = i;
			return 0;
		}
	}
	return domu_fail(r->ctx, DOMU_NOTFOUND, -ENOENT, "%s has no device %s: domu-rescue info %s shows what it has",
	                 domu_guest_shown(domu_session_guest(r->session)), dev,
	                 domu_guest_shown(domu_session_guest(r->session)));
}

static int run(struct domu_run *r, const char *dev, const char *size)
{
	struct domu_nodes nodes;
	size_t node = 0;
	int rc;

	if (domu_session_dirty(r->session))
		return domu_fail(r->ctx, DOMU_USAGE, -EBUSY, "there are staged changes: commit or rollback first");
	rc = domu_session_nodes(r->session, dev == NULL, &nodes);
	if (rc != 0)
		return rc;
	rc = dev != NULL ? find_device(r, &nodes, dev, &node) : find_root(r, &nodes, &node);
	if (rc == 0)
		rc = resize(r, &nodes, node, size);
	domu_nodes_free(&nodes);
	return rc;
}

/* Operands after the guest: in the shell there is no guest. */
static const char *operand(const struct domu_run *r, size_t i)
{
	return domu_args_get(r->args, i + !r->no_guest);
}

static int run_resize_root(struct domu_run *r)
{
	return run(r, NULL, operand(r, 0));
}

static int run_resize(struct domu_run *r)
{
	return run(r, operand(r, 0), operand(r, 1));
}

static const struct domu_option options[] = {
	{ "plan", 0, NULL, "show the steps and stop" },
	{ 0 },
};
static const struct domu_column columns[] = {
	{ "op", NULL, CELL_TEXT },
	{ "device", NULL, CELL_BYTES },
	{ "from", NULL, CELL_SIZE },
	{ "to", NULL, CELL_SIZE },
	{ 0 },
};
static const struct domu_arg root_args[] = {
	{ "GUEST", ARG_GUEST, COUNT_ONE },
	{ "SIZE", ARG_SIZE, COUNT_ONE },
	{ 0 },
};
static const struct domu_arg dev_args[] = {
	{ "GUEST", ARG_GUEST, COUNT_ONE },
	{ "DEV", ARG_DEV, COUNT_ONE },
	{ "SIZE", ARG_SIZE, COUNT_ONE },
	{ 0 },
};

const struct domu_command domu_cmd_resize_root = {
	.name = "resize-root",
	.topic = "repair",
	.summary = "make the root filesystem of a guest larger",
	.description =
	    "SIZE is 20G, +5G, or max for all that its disk has. The root may be alone on its disk or in the last "
	    "partition, primary or logical. All steps are tried on a stage first; then the backing file is made "
	    "longer, "
	    "which is asked about (or --yes) because undo does not make it shorter again; then table and filesystem "
	    "are "
	    "committed together. The start of the root and partition numbers never change.",
	.args = root_args,
	.options = options,
	.columns = columns,
	.json_key = "steps",
	.example = "domu-rescue resize-root old1 +64M --plan",
	.needs = NEED_GUEST | NEED_STATE,
	.front = run_resize_root,
	.layout = &domu_layout_told,
};

const struct domu_command domu_cmd_resize = {
	.name = "resize",
	.topic = "repair",
	.summary = "make a filesystem of a guest larger",
	.description = "Like resize-root, for any filesystem that is alone on its disk or in the last partition.",
	.args = dev_args,
	.options = options,
	.columns = columns,
	.json_key = "steps",
	.example = "domu-rescue resize old1 xvda2 +64M --plan",
	.needs = NEED_GUEST | NEED_STATE,
	.front = run_resize,
	.layout = &domu_layout_told,
};
