/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-undo.c - undo: the reversal of what was committed, whole or file by file. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <json-c/json.h>

#include "shell/cmd.h"

static const char *shown(const struct domu_run *r)
{
	return domu_guest_shown(domu_session_guest(r->session));
}

/* ---- file by file ---------------------------------------------------------------------- */

static int row(struct domu_run *r, const struct domu_undo_file *f)
{
	int rc = domu_row_text(r->out, f->refused == NULL ? "restored" : "refused");

	if (rc == 0)
		rc = domu_row_text(r->out, f->change);
	if (rc == 0)
		rc = domu_row_bytes(r->out, f->path, strlen(f->path));
	if (rc == 0)
		rc = domu_row_text(r->out, f->refused);
	return rc == 0 ? domu_row_end(r->out) : rc;
}

static void summary(struct domu_run *r, const struct domu_undo_files *f)
{
	const char *how = r->globals->dry_run ? "would be put back" : r->in_shell ? "put back (staged)" : "put back";
	const char *s = f->done == 1 ? "" : "s";

	if (f->refused == 0)
		domu_out_line(r->out, "%s: %" PRIu64 " file%s %s", shown(r), f->done, s, how);
	else
		domu_out_line(r->out, "%s: %" PRIu64 " file%s %s, %" PRIu64 " refused", shown(r), f->done, s, how,
		              f->refused);
}

static int report(struct domu_run *r, const struct domu_undo_files *f)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < f->n; i++)
		rc = row(r, &f->v[i]);
	if (rc == 0 && f->n < f->done + f->refused)
		domu_out_line(r->out, "and %" PRIu64 " more", f->done + f->refused - f->n);
	domu_out_member(r->out, "undoes", json_object_new_string(f->id));
	domu_out_member(r->out, "restored", json_object_new_int64((int64_t)f->done));
	domu_out_member(r->out, "refused", json_object_new_int64((int64_t)f->refused));
	if (rc != 0)
		return rc;
	if (f->done + f->refused == 0)
		domu_out_line(r->out, "%s: all files that %s changed are as they were before it", shown(r), f->id);
	else if (f->done > 0 && !r->globals->quiet)
		summary(r, f);
	return 0;
}

static int put_back(struct domu_run *r, const char *id, struct domu_undo_files *f)
{
	int rc = domu_session_undo_files(r->session, id, f);

	if (rc == 0)
		rc = report(r, f);
	if (rc == 0 && f->done == 0 && f->refused > 0)
		rc =
		    domu_fail(r->ctx, DOMU_FAILED, -ESTALE,
		              "%s: none of the %" PRIu64 " file%s that %s changed can be put back: nothing was written",
		              shown(r), f->refused, f->refused == 1 ? "" : "s", f->id);
	return rc;
}

/* A change like any other: staged in the shell, committed on the command line. */
static int undo_files(struct domu_run *r, const char *id)
{
	struct domu_undo_files f = { 0 };
	int rc = domu_run_change_begin(r->session);

	if (rc == 0)
		rc = domu_session_change_end(r->session, put_back(r, id, &f));
	if (!r->in_shell)
		rc = domu_run_finish(r, r->session, rc);
	if (rc == 0 && f.refused > 0)
		r->exit_status = DOMU_FAILED;
	domu_undo_files_free(&f);
	return rc;
}

/* ---- whole -------------------------------------------------------------------------------- */

static int run_undo(struct domu_run *r)
{
	const char *id = domu_args_get(r->args, r->no_guest ? 0 : 1);
	char done[DOMU_ID_LEN + 1] = "", undone[DOMU_ID_LEN + 1] = "";
	int rc;

	if (domu_args_flag(r->args, "files"))
		return undo_files(r, id);
	if (domu_session_dirty(r->session))
		return domu_fail(r->ctx, DOMU_USAGE, -EBUSY, "there are staged changes: commit or rollback first");
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
	{ "ID", ARG_COMMIT, COUNT_OPTIONAL },
	{ 0 },
};
static const struct domu_option undo_options[] = {
	{ "files", 0, NULL, "put the old versions of the changed files back, one by one, as a new change" },
	{ 0 },
};
static const struct domu_column undo_columns[] = {
	{ "result", "RESULT", CELL_TEXT },
	{ "change", "WAS", CELL_TEXT },
	{ "path", "PATH", CELL_BYTES },
	{ "reason", "WHY", CELL_TEXT },
	{ 0 },
};

const struct domu_command domu_cmd_undo = {
	.name = "undo",
	.topic = "history",
	.summary = "put back what a commit replaced",
	.description =
	    "Puts back exactly the bytes that the commit replaced (the newest one, or ID), as a "
	    "new commit that can itself be undone. Refused when any of those blocks has changed since (after the "
	    "guest has booted they nearly always have), or when the filesystem lies elsewhere now; what else has "
	    "changed in table or volume group is no matter. A backing store that was grown stays long.\n\n"
	    "With --files the old versions of the files that the commit changed are put back as a new change: what it "
	    "added is removed, what it removed or changed is as it was, with owner, mode, times and attributes. A file "
	    "that is not as the commit left it, or whose old blocks were used again since, is refused and said; "
	    "the others go on. Ends with 1 when any was refused.",
	.args = undo_args,
	.options = undo_options,
	.columns = undo_columns,
	.json_key = "files",
	.example = "domu-rescue undo web1",
	.needs = NEED_GUEST | NEED_STATE,
	.front = run_undo,
};
