/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-history.c - history: what was committed. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
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
		rc = ci->owner != NULL ? domu_row_bytes(r->out, ci->owner, strlen(ci->owner)) : domu_row_null(r->out);
	if (rc == 0)
		rc = ci->command != NULL ? domu_row_bytes(r->out, ci->command, strlen(ci->command))
		                         : domu_row_null(r->out);
	if (rc == 0)
		rc = domu_row_text(r->out, ci->waived);
	if (rc == 0)
		rc = domu_row_text(r->out, ci->undoes);
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

/* What a row has no column for, and somebody at night should know. */
static void remarks(struct domu_run *r, const struct domu_commit_info *ci)
{
	if (ci->waived != NULL)
		domu_out_line(r->out, "%s was made without these checks (--waive): %s", ci->id, ci->waived);
	if (ci->undoes != NULL)
		domu_out_line(r->out, "%s undoes %s", ci->id, ci->undoes);
	if (ci->state == DOMU_COMMIT_INTERRUPTED && ci->under_way)
		domu_out_line(r->out, "%s is under way: process %" PRId64, ci->id, ci->holder_pid);
	else if (ci->state == DOMU_COMMIT_INTERRUPTED)
		domu_out_line(r->out, "%s was cut short: domu-rescue recover %s", ci->id, shown(r));
	if (ci->state == DOMU_COMMIT_SUPERSEDED)
		domu_out_line(r->out, "%s was cut short, and the guest ran before it was finished: it was not written",
		              ci->id);
}

static int show(struct domu_run *r, const struct domu_commit_info *v, size_t n)
{
	struct domu_state *st;
	size_t rows = 0;
	int rc = domu_app_state(r->app, false, &st);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (v[i].state == DOMU_COMMIT_STAGED)
			continue;
		rc = row_and_notes(r, st, &v[i]);
		rows++;
	}
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (v[i].state != DOMU_COMMIT_STAGED)
			remarks(r, &v[i]);
	if (rc == 0 && rows == 0)
		domu_out_line(r->out, "nothing was committed on %s yet", shown(r));
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (v[i].state == DOMU_COMMIT_STAGED)
			domu_out_line(r->out, "%s is staged by %s and not written yet: domu-rescue diff %s", v[i].id,
			              v[i].owner != NULL ? v[i].owner : "somebody", shown(r));
	return rc;
}

static int run_history(struct domu_run *r)
{
	struct domu_commit_info *v;
	size_t n;
	int rc = domu_session_history(r->session, &v, &n);

	if (rc != 0)
		return rc;
	rc = show(r, v, n);
	domu_state_list_free(v, n);
	return rc;
}

static const struct domu_arg guest_arg[] = { { "GUEST", ARG_GUEST, COUNT_ONE }, { 0 } };
static const struct domu_option options[] = {
	{ NULL, 'l', NULL, "also what the checkers said that made the changes" },
	{ 0 },
};
static const struct domu_column history_columns[] = {
	{ "id", "ID", CELL_WORD },         { "time", "TIME", CELL_TIME },       { "state", "STATE", CELL_WORD },
	{ "undoable", "UNDO", CELL_BOOL }, { "blocks", NULL, CELL_NUMBER },     { "bytes", "SIZE", CELL_SIZE },
	{ "owner", "WHO", CELL_WORD },     { "command", "COMMAND", CELL_WORD }, { "waived", NULL, CELL_TEXT },
	{ "undoes", NULL, CELL_TEXT },     { "notes", NULL, CELL_OBJECT },      { 0 },
};

const struct domu_command domu_cmd_history = {
	.name = "history",
	.topic = "history",
	.summary = "what was committed to a guest's disks",
	.description =
	    "Newest first: when, by whom, and by which command. UNDO says whether undo can put back what the commit "
	    "replaced, if the guest has not changed it since. How much is kept is set in /etc/domu-rescue.conf: "
	    "history-count, history-age and history-size. The newest commit of a disk that can be undone always stays.",
	.args = guest_arg,
	.options = options,
	.columns = history_columns,
	.json_key = "commits",
	.example = "domu-rescue history web1",
	.needs = NEED_GUEST | NEED_LOOK | NO_DISKS,
	.front = run_history,
};
