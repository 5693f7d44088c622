/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-undo.c - undo: the reversal of what was committed. */
#include "config.h"

#include <errno.h>

#include "shell/cmd.h"

static const char *shown(const struct domu_run *r)
{
	return domu_guest_shown(domu_session_guest(r->session));
}

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
