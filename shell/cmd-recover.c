/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-recover.c - recover: what was cut short is finished. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "shell/cmd.h"

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
