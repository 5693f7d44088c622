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

/* Somebody else's work is not dropped without asking. */
static int discard(struct domu_run *r, const struct domu_commit_info *ci)
{
	const char *name = ci->guest != NULL ? ci->guest : shown(r),
	           *owner = ci->owner != NULL ? ci->owner : "somebody";

	if (domu_ask(r->ctx, "drop what %s staged on %s?", owner, name) != 1)
		return domu_fail(r->ctx, DOMU_DECLINED, -ECANCELED, "the stage of %s is kept (--yes drops it)", name);
	return domu_session_discard(r->session, ci);
}

/* On the command line nothing is looked at: also a damaged stage, or one whose guest runs, can be dropped. */
static int run_rollback(struct domu_run *r)
{
	struct domu_commit_info ci = { 0 };
	bool any = domu_session_staging(r->session);
	int rc = 0;

	if (!r->in_shell) {
		rc = domu_session_find_stage(r->session, &ci);
		any = ci.id[0] != '\0';
	}
	if (rc == 0 && !any)
		domu_out_line(r->out, "%s: nothing is staged", shown(r));
	if (rc != 0 || !any || r->globals->dry_run)
		goto out;
	rc = r->in_shell ? domu_session_rollback(r->session) : discard(r, &ci);
	if (rc == 0 && !r->globals->quiet)
		domu_out_line(r->out, "%s: dropped, nothing was written", shown(r));
out:
	domu_commit_info_free(&ci);
	return rc;
}

const struct domu_command domu_cmd_rollback = {
	.name = "rollback",
	.topic = "history",
	.summary = "drop what is staged",
	.args = guest_arg,
	.example = "domu-rescue rollback web1",
	.needs = NEED_GUEST | NEED_LOOK | NO_DISKS | NEED_STATE,
	.front = run_rollback,
};
