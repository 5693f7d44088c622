/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-history.c - history, undo and recover: what was committed, its reversal, and what was cut short. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "shell/cmd.h"

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

static int row(struct domu_run *r, const struct domu_commit_info *ci)
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
	return rc == 0 ? domu_row_end(r->out) : rc;
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
		rc = row(r, &v[i]);
		shown_rows++;
	}
	if (rc == 0 && shown_rows == 0)
		domu_out_line(r->out, "nothing was committed on %s yet", shown(r));
	domu_state_list_free(v, n);
	return rc;
}

static const struct domu_arg guest_arg[] = { { "GUEST", ARG_GUEST, COUNT_ONE }, { 0 } };
static const struct domu_column history_columns[] = {
	{ "id", "ID", CELL_TEXT },
	{ "time", "TIME", CELL_TIME },
	{ "state", "STATE", CELL_TEXT },
	{ "undoable", "UNDO", CELL_BOOL },
	{ "blocks", NULL, CELL_NUMBER },
	{ "bytes", "SIZE", CELL_SIZE },
	{ "command", "COMMAND", CELL_BYTES },
	{ "waived", NULL, CELL_TEXT },
	{ 0 },
};

const struct domu_command domu_cmd_history = {
	.name = "history",
	.topic = "history",
	.summary = "what was committed to a guest's disks",
	.args = guest_arg,
	.columns = history_columns,
	.json_key = "commits",
	.example = "domu-rescue history web1",
	.needs = NEED_GUEST | NEED_LOOK,
	.front = run_history,
};

/* ---- undo ----------------------------------------------------------------------------- */

static int run_undo(struct domu_run *r)
{
	const char *id = domu_args_get(r->args, r->no_guest ? 0 : 1);
	char done[DOMU_ID_LEN + 1] = "", undone[DOMU_ID_LEN + 1] = "";
	int rc;

	if (domu_session_dirty(r->session))
		return domu_fail(r->ctx, DOMU_USAGE, -EBUSY, "there are staged changes: commit or rollback first");
	if (domu_args_flag(r->args, "files"))
		return domu_fail(r->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "undo of single files is not supported: undo without --files puts every block back");
	if (r->globals->dry_run)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "undo has no dry run: see domu-rescue history %s",
		                 shown(r));
	rc = domu_session_undo(r->session, id, done, undone);
	if (rc == 0 && !r->globals->quiet)
		domu_out_line(r->out, "%s: %s is undone (domu-rescue undo %s %s would do it again)", shown(r), undone,
		              shown(r), done);
	return rc;
}

static const struct domu_arg undo_args[] = {
	{ "GUEST", ARG_GUEST, COUNT_ONE },
	{ "ID", ARG_WORD, COUNT_OPTIONAL },
	{ 0 },
};
static const struct domu_option undo_options[] = {
	{ "files", 0, NULL, "only the changed files, as a new change" },
	{ 0 },
};

const struct domu_command domu_cmd_undo = {
	.name = "undo",
	.topic = "history",
	.summary = "put back what a commit replaced",
	.description =
	    "Puts back exactly the bytes that the commit replaced (the newest one that can be undone, or ID), as a "
	    "new commit that can itself be undone. Refused when any of those blocks has changed since; after the "
	    "guest has booted they nearly always have. A backing store that was grown stays long.",
	.args = undo_args,
	.options = undo_options,
	.example = "domu-rescue undo web1",
	.needs = NEED_GUEST | NEED_STATE,
	.front = run_undo,
};

/* ---- recover ---------------------------------------------------------------------------- */

static int recover_guest(struct domu_run *r, const char *operand, unsigned *total)
{
	struct domu_session *s = NULL;
	struct domu_guest *g = NULL;
	unsigned n = 0;
	int rc = domu_app_session(r->app, operand, NEED_GUEST | NEED_STATE, &g, &s);

	if (rc == 0)
		rc = domu_session_recover(s, &n);
	*total += n;
	domu_session_close(s);
	domu_guest_free(g);
	return rc;
}

/* Everything that is due: a guest whose disk is missing stays pending, with a warning, and the others go on. */
static int recover_all(struct domu_run *r, unsigned *total)
{
	struct domu_commit_info *v = NULL;
	struct domu_state *st;
	unsigned left = 0;
	size_t n = 0;
	int rc = domu_app_state(r->app, false, &st);

	if (rc == 0)
		rc = domu_state_list(st, NULL, true, &v, &n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool again = false;

		if (v[i].state != DOMU_COMMIT_INTERRUPTED || v[i].guest == NULL)
			continue;
		for (size_t k = 0; k < i && !again; k++)
			again = v[k].state == DOMU_COMMIT_INTERRUPTED && v[k].guest != NULL &&
			        strcmp(v[k].guest, v[i].guest) == 0;
		if (again || recover_guest(r, v[i].guest, total) == 0)
			continue;
		domu_say(r->ctx, DOMU_WARNING, "%s: commit %s stays pending: %s", v[i].guest, v[i].id,
		         r->ctx->error.message != NULL ? r->ctx->error.message : "it cannot be recovered");
		domu_error_clear(r->ctx);
		left++;
	}
	domu_state_list_free(v, n);
	if (rc == 0 && left > 0)
		rc = domu_fail(r->ctx, DOMU_UNRECOVERED, -EAGAIN, "%u commit%s cannot be recovered now", left,
		               left == 1 ? "" : "s");
	return rc;
}

static int run_recover(struct domu_run *r)
{
	size_t n = domu_args_count(r->args);
	unsigned total = 0;
	int rc = 0;

	if (n == 0 && r->in_shell)
		rc = domu_session_recover(r->app->session, &total);
	else if (n == 0 && r->globals->disks == NULL && r->globals->config == NULL)
		rc = recover_all(r, &total);
	else if (n == 0)
		rc = recover_guest(r, NULL, &total);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = recover_guest(r, domu_args_get(r->args, i), &total);
	if (rc == 0 && total == 0)
		domu_out_line(r->out, "nothing to recover");
	return rc;
}

static const struct domu_arg many_args[] = { { "GUEST", ARG_GUEST, COUNT_ANY }, { 0 } };

const struct domu_command domu_cmd_recover = {
	.name = "recover",
	.topic = "history",
	.summary = "finish commits that were cut short",
	.description =
	    "After a crash or a power cut in a commit the disk is as before, or closed: nothing can mount, boot or "
	    "repair it. recover writes the rest and opens it. It never writes to a disk that a guest has used "
	    "meanwhile. Without GUEST: every commit that is due.",
	.args = many_args,
	.example = "domu-rescue recover",
	.needs = NEED_MANY,
	.front = run_recover,
};
