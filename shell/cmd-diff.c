/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-diff.c - diff: what a commit of the stage would change, in files, in the checkers' words, in blocks. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/escape.h"
#include "base/num.h"
#include "fs/compare.h"
#include "shell/cmd.h"
#include "shell/diff.h"
#include "shell/note.h"

#define CONTEXT     3 /* lines, as diff -u has it */
#define MAX_CONTEXT 1000000

/* ---- blocks ------------------------------------------------------------------------------ */

static void say_sum(struct domu_run *r, const char *device, const struct domu_stage_sum *sum)
{
	char size[DOMU_SIZE_TEXT], zeros[64] = "", same[80] = "";

	domu_size_format(sum->blocks * DOMU_UNIT, size);
	if (sum->zeros > 0)
		snprintf(zeros, sizeof zeros, ", %" PRIu64 " of them zeros", sum->zeros);
	if (sum->same > 0)
		snprintf(same, sizeof same, "; %" PRIu64 " more are as on the disk again", sum->same);
	domu_out_line(r->out, "%s%s%" PRIu64 " block%s to write (%s)%s%s", device, *device != '\0' ? ": " : "",
	              sum->blocks, sum->blocks == 1 ? "" : "s", size, zeros, same);
}

static struct json_object *sum_object(const char *device, const struct domu_stage_sum *sum)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "device", json_object_new_string(device));
	json_object_object_add(o, "blocks", json_object_new_int64((int64_t)sum->blocks));
	json_object_object_add(o, "bytes", json_object_new_int64((int64_t)(sum->blocks * DOMU_UNIT)));
	json_object_object_add(o, "zero_blocks", json_object_new_int64((int64_t)sum->zeros));
	json_object_object_add(o, "same_blocks", json_object_new_int64((int64_t)sum->same));
	return o;
}

/* By disk where several have changes, and all together. */
static int show_sums(struct domu_run *r)
{
	struct domu_stage_sum sums[DOMU_MAX_DISKS], all = { 0 };
	struct json_object *list = json_object_new_array();
	const struct domu_backing *b;
	size_t n, changed = 0;
	int rc = list != NULL ? domu_session_sums(r->session, sums) : domu_nomem(r->ctx);

	b = domu_session_backings(r->session, &n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (sums[i].blocks == 0 && sums[i].same == 0)
			continue;
		changed++;
		all.blocks += sums[i].blocks;
		all.zeros += sums[i].zeros;
		all.same += sums[i].same;
		json_object_array_add(list, sum_object(b[i].disk->vdev, &sums[i]));
	}
	for (size_t i = 0; rc == 0 && changed > 1 && i < n; i++)
		if (sums[i].blocks != 0 || sums[i].same != 0)
			say_sum(r, b[i].disk->vdev, &sums[i]);
	if (rc != 0) {
		json_object_put(list);
		return rc;
	}
	say_sum(r, changed > 1 ? "together" : "", &all);
	domu_out_member(r->out, "blocks", json_object_new_int64((int64_t)all.blocks));
	domu_out_member(r->out, "bytes", json_object_new_int64((int64_t)(all.blocks * DOMU_UNIT)));
	domu_out_member(r->out, "devices", list);
	return 0;
}

/* ---- all --------------------------------------------------------------------------------- */

static int nothing(struct domu_run *r)
{
	domu_out_member(r->out, "blocks", json_object_new_int64(0));
	domu_out_member(r->out, "bytes", json_object_new_int64(0));
	if (!domu_args_flag(r->args, "u") && domu_args_value(r->args, "U") == NULL)
		domu_out_line(r->out, "nothing is staged");
	return 0;
}

static int run_diff(struct domu_run *r)
{
	const char *lines = domu_args_value(r->args, "U");
	bool unified = lines != NULL || domu_args_flag(r->args, "u");
	struct domu_notes notes = { .r = r, .text = !unified };
	uint64_t context = CONTEXT;
	int rc;

	if (lines != NULL && (domu_size_parse(lines, &context) != 0 || context > MAX_CONTEXT))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "diff: -U takes a number of lines, not %s", lines);
	if (!domu_session_staging(r->session))
		return nothing(r);
	rc = domu_session_readable(r->session, true);
	if (rc != 0)
		return rc;
	if ((!r->in_shell || domu_session_taken(r->session)) && domu_session_fits(r->session) != 0) {
		if (domu_interrupted(r->ctx))
			return -EINTR;
		domu_say(r->ctx, DOMU_WARNING, "%s",
		         r->ctx->error.message != NULL ? r->ctx->error.message : "the stage does not fit the disk");
		domu_error_clear(r->ctx);
	}
	if (unified)
		rc = domu_diff_unified(r, (unsigned)context);
	else
		rc = domu_run_in_worker(r, r->session);
	if (rc != 0)
		return rc;
	/* A patch is for programs: nothing stands around it. */
	notes.list = json_object_new_array();
	rc = domu_session_notes(r->session, domu_notes_show, &notes);
	domu_out_member(r->out, "notes", notes.list);
	if (rc == 0 && (!unified || domu_out_json(r->out)))
		rc = show_sums(r);
	return rc;
}

/* A line a file, also where a name has a newline in it: what follows that could be taken for another file's line. */
static int show_cell(struct domu_out *out, const struct domu_cell *cell)
{
	char *text = domu_escape(cell->text, cell->len, false);
	int rc = text != NULL ? domu_out_print(out, "%s", text) : -ENOMEM;

	free(text);
	return rc;
}

static int show_row(struct domu_out *out, const struct domu_cell *cells, size_t n, void *user)
{
	static const char marks[] = {
		[DOMU_IS_ADDED] = '+', [DOMU_IS_REMOVED] = '-', [DOMU_IS_MODIFIED] = 'M', [DOMU_IS_METADATA] = 'm'
	};
	int rc = 0;

	(void)user;
	(void)n;
	for (enum domu_difference_kind k = DOMU_IS_ADDED; k <= DOMU_IS_METADATA; k++)
		if (strcmp(cells[DIFF_CHANGE].text, domu_difference_name(k)) == 0)
			rc = domu_out_print(out, "%c ", marks[k]);
	if (rc == 0)
		rc = show_cell(out, &cells[DIFF_PATH]);
	if (rc == 0 && cells[DIFF_WHAT].len > 0) {
		rc = domu_out_print(out, "  (");
		if (rc == 0)
			rc = show_cell(out, &cells[DIFF_WHAT]);
		if (rc == 0)
			rc = domu_out_print(out, ")");
	}
	return rc == 0 ? domu_out_print(out, "\n") : rc;
}

static const struct domu_layout layout = { .row = show_row };

static const struct domu_arg args[] = { { "GUEST", ARG_GUEST, COUNT_ONE },
	                                { "PATH", ARG_GUEST_PATH, COUNT_ANY },
	                                { 0 } };
static const struct domu_option options[] = {
	{ "unified", 'u', NULL, "as a patch, which patch -p1 and git apply take" },
	{ NULL, 'U', "NUM", "the same with NUM lines of context, not 3" },
	{ 0 },
};

const struct domu_command domu_cmd_diff = {
	.name = "diff",
	.topic = "history",
	.summary = "what would change if the stage were committed",
	.description =
	    "A line a file: + added, - removed, M modified, m only its metadata, and what of it. Times and sizes of "
	    "folders that follow from what is in them are not told. Then what the checkers said that changed the "
	    "stage, "
	    "and how many blocks a commit would write. A filesystem that /etc/fstab does not mount is shown as "
	    "@DEV:/path.\n\n"
	    "With PATH only that file, or what is below that folder; GUEST:/path does the same.\n\n"
	    "With -u the texts of files as a patch. What a patch cannot hold (owners, attributes, folders, devices) "
	    "stands in lines that begin with #; of binary files and of those above 4 MiB it says that they differ.",
	.args = args,
	.options = options,
	.columns = domu_diff_columns,
	.json_key = "files",
	.example = "domu-rescue diff web1",
	.needs = NEED_GUEST | NEED_STAGE | STAGE_OPTIONAL,
	.worker = domu_diff_work,
	.front = run_diff,
	.layout = &layout,
};
