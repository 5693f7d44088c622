/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-history.c - history: what was committed. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include "base/num.h"
#include "shell/cmd.h"
#include "shell/note.h"

static const char *state_name(enum domu_commit_state s)
{
	static const char *const names[] = { "staged", "interrupted", "committed", "undone", "superseded" };

	return names[s];
}

static const char *shown(const struct domu_run *r)
{
	return domu_guest_shown(domu_session_guest(r->session));
}

/* ---- history ------------------------------------------------------------------------ */

/* list: of notes; taken over. */
static int row(struct domu_run *r, const struct domu_commit_info *ci, struct json_object *list)
{
	int rc = domu_row_text(r->out, ci->id);

	if (rc == 0)
		rc = domu_row_time(r->out, (struct timespec){ .tv_sec = ci->time });
	if (rc == 0)
		rc = domu_row_text(r->out, state_name(ci->state));
	if (rc == 0)
		rc = domu_row_number(r->out, ci->undoable);
	if (rc == 0)
		rc = domu_row_number(r->out, ci->blocks);
	if (rc == 0)
		rc = domu_row_number(r->out, ci->bytes);
	if (rc == 0)
		rc = ci->command != NULL ? domu_row_bytes(r->out, ci->command, strlen(ci->command))
		                         : domu_row_null(r->out);
	if (rc == 0)
		rc = ci->waived != NULL ? domu_row_text(r->out, ci->waived) : domu_row_null(r->out);
	if (rc == 0)
		rc = domu_row_object(r->out, list);
	return rc == 0 ? domu_row_end(r->out) : rc;
}

/* The commit, and with -l what the programs said that made it. */
static int row_and_notes(struct domu_run *r, struct domu_state *st, const struct domu_commit_info *ci)
{
	struct domu_notes cell = { .r = r, .list = json_object_new_array() };
	struct domu_notes lines = { .r = r, .text = domu_args_flag(r->args, "l") };
	int rc = domu_commit_notes(st, ci->id, domu_notes_show, &cell), r2;

	r2 = row(r, ci, cell.list);
	rc = rc != 0 ? rc : r2;
	return rc == 0 && lines.text ? domu_commit_notes(st, ci->id, domu_notes_show, &lines) : rc;
}

static int run_history(struct domu_run *r)
{
	struct domu_commit_info *v = NULL;
	const struct domu_backing *b;
	struct domu_state *st;
	size_t n = 0, n_disks, shown_rows = 0;
	int rc = domu_app_state(r->app, false, &st);

	b = domu_session_backings(r->session, &n_disks);
	if (rc == 0)
		rc = domu_state_list(st, b[0].path, false, &v, &n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (v[i].state == DOMU_COMMIT_STAGED)
			continue;
		rc = row_and_notes(r, st, &v[i]);
		shown_rows++;
	}
	if (rc == 0 && shown_rows == 0)
		domu_out_line(r->out, "nothing was committed on %s yet", shown(r));
	domu_state_list_free(v, n);
	return rc;
}

static const struct domu_arg guest_arg[] = { { "GUEST", ARG_GUEST, COUNT_ONE }, { 0 } };
static const struct domu_option options[] = {
	{ NULL, 'l', NULL, "also what the checkers said that made the changes" },
	{ 0 },
};
static const struct domu_column history_columns[] = {
	{ "id", "ID", CELL_TEXT },
	{ "time", "TIME", CELL_TIME },
	{ "state", "STATE", CELL_TEXT },
	{ "undoable", "UNDO", CELL_BOOL },
	{ "blocks", NULL, CELL_NUMBER },
	{ "bytes", "SIZE", CELL_SIZE },
	{ "command", "COMMAND", CELL_BYTES },
	{ "waived", NULL, CELL_TEXT },
	{ "notes", NULL, CELL_OBJECT },
	{ 0 },
};

const struct domu_command domu_cmd_history = {
	.name = "history",
	.topic = "history",
	.summary = "what was committed to a guest's disks",
	.args = guest_arg,
	.options = options,
	.columns = history_columns,
	.json_key = "commits",
	.example = "domu-rescue history web1",
	.needs = NEED_GUEST | NEED_LOOK,
	.front = run_history,
};
