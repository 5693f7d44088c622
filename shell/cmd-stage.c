/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-stage.c - commit and rollback: what is staged is done or dropped. */
#include "config.h"

#include <errno.h>

#include "shell/cmd.h"

static const char *shown(const struct domu_run *r)
{
	return domu_guest_shown(domu_session_guest(r->session));
}

/* On the command line the stage that a shell left was resumed; in the shell there may be none. */
static bool nothing_staged(struct domu_run *r)
{
	if (domu_session_staging(r->session))
		return false;
	domu_out_line(r->out, "%s: nothing is staged", shown(r));
	return true;
}

static const struct domu_arg guest_arg[] = { { "GUEST", ARG_GUEST, COUNT_ONE }, { 0 } };

/* ---- commit ---------------------------------------------------------------------------- */

static int run_commit(struct domu_run *r)
{
	char id[DOMU_ID_LEN + 1] = "";
	int rc;

	if (nothing_staged(r))
		return 0;
	if (r->globals->dry_run) {
		domu_out_line(r->out, "%s: nothing was written", shown(r));
		return 0;
	}
	rc = domu_session_commit(r->session, id);
	if (rc != 0)
		return rc;
	if (id[0] == '\0')
		domu_out_line(r->out, "%s: nothing was changed", shown(r));
	else
		domu_out_line(r->out, "%s: committed as %s", shown(r), id);
	return 0;
}

const struct domu_command domu_cmd_commit = {
	.name = "commit",
	.topic = "history",
	.summary = "write what is staged to the guest's disks",
	.description =
	    "Checks the filesystems on the stage, makes all in-use checks again, keeps what is replaced so that it "
	    "can be undone, and writes. After a power cut at any moment the disk is as before, or closed until "
	    "recover has finished it.",
	.args = guest_arg,
	.example = "domu-rescue commit web1",
	.needs = NEED_GUEST | NEED_STAGE | STAGE_OPTIONAL,
	.front = run_commit,
};

/* ---- rollback ---------------------------------------------------------------------------- */

static int run_rollback(struct domu_run *r)
{
	int rc;

	if (nothing_staged(r) || r->globals->dry_run)
		return 0;
	/* Somebody else's work is not dropped without asking; one's own shell knows what it does. */
	if (!r->in_shell && domu_ask(r->ctx, "drop what is staged on %s?", shown(r)) != 1)
		return domu_fail(r->ctx, DOMU_DECLINED, -ECANCELED, "the stage of %s is kept (--yes drops it)",
		                 shown(r));
	rc = domu_session_rollback(r->session);
	if (rc == 0 && !r->globals->quiet)
		domu_out_line(r->out, "%s: dropped, the disk is as it was", shown(r));
	return rc;
}

const struct domu_command domu_cmd_rollback = {
	.name = "rollback",
	.topic = "history",
	.summary = "drop what is staged",
	.args = guest_arg,
	.example = "domu-rescue rollback web1",
	.needs = NEED_GUEST | NEED_STAGE | STAGE_OPTIONAL,
	.front = run_rollback,
};
