/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-export.c - export: the guest's tree as a mount of this machine, until Ctrl-C. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fence/mount.h"
#include "shell/app.h"
#include "shell/cmd.h"

struct export
{
	struct domu_run *r;
	struct domu_session *s;
	struct domu_mountpoint *m;
	const char *guest; /* as shown */
	const char *dir; /* as typed */
	bool rw;
	bool asked; /* Ctrl-C came, and somebody is in the way */
	bool left; /* a hangup or a kill: nobody is there who could be asked */
};

/* A few times a second while the worker answers the kernel. */
static int tick(void *user)
{
	struct export *e = user;
	volatile sig_atomic_t *came = e->r->app->signal;
	bool again = e->asked && *came != 0;
	char who[96];

	if (*came == 0 && !e->asked)
		return 0;
	/* Who hangs up or ends us does not come back to ask again. */
	e->left = e->left || (*came != 0 && *came != SIGINT);
	if (again || e->left) {
		domu_mountpoint_cut(e->m);
	} else if (domu_mountpoint_leave(e->m) == -EBUSY) {
		if (!e->asked) {
			domu_mountpoint_holder(e->m, who, sizeof who);
			domu_say(e->r->ctx, DOMU_WARNING,
			         "%s is in use%s%s: it ends when that does, or with Ctrl-C again", e->dir,
			         who[0] != '\0' ? " by " : "", who);
		}
		e->asked = true;
	}
	*came = 0;
	return 0;
}

static int call_open(struct export *e)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST);
	int rc;

	domu_msg_put_str(&req, DOMU_OP_EXPORT_OPEN);
	domu_msg_put_str(&req, NULL);
	rc = domu_session_call(e->s, &req, NULL);
	domu_msg_free(&req);
	return rc;
}

static int call_serve(struct export *e)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST);
	struct domu_worker_handlers *h = &e->r->app->handlers;
	int rc;

	domu_mountpoint_request(e->m, &req);
	h->tick = tick;
	h->tick_user = e;
	rc = domu_session_call(e->s, &req, NULL);
	h->tick = NULL;
	domu_msg_free(&req);
	return rc;
}

/* From the mount to its end. */
static int serve(struct export *e)
{
	const struct domu_mountpoint_opts o = {
		.dir = e->dir,
		.source = e->guest,
		.writable = e->rw,
		.others = domu_args_flag(e->r->args, "allow-other"),
		.raw_links = domu_args_flag(e->r->args, "raw-links"),
	};
	int rc = call_open(e);

	if (rc == 0)
		rc = domu_mountpoint_make(e->r->ctx, &o, &e->m);
	if (rc == 0) {
		domu_say(e->r->ctx, DOMU_INFO, "%s is mounted %s on %s; Ctrl-C ends", e->guest,
		         e->rw ? "for changes, which are staged," : "read-only", e->dir);
		rc = call_serve(e);
	}
	domu_mountpoint_free(e->m);
	e->m = NULL;
	return rc;
}

/* ---- what is staged at the end --------------------------------------------------- */

static int nobody_to_ask(struct export *e)
{
	return domu_fail(e->r->ctx, DOMU_DECLINED, -ECANCELED,
	                 "%s: what was changed is staged and kept, nothing was written: domu-rescue diff %s shows it, "
	                 "commit %s writes it, rollback %s drops it",
	                 e->guest, e->guest, e->guest, e->guest);
}

/* As a shell asks when it is left. */
static int ask(struct export *e)
{
	static const char *const words[] = { "commit", "diff", "keep", "drop", NULL };
	static const char *const commands[] = { "commit", "diff", NULL, "rollback" };
	struct domu_app *app = e->r->app;
	int answer = 1;

	app->session = e->s;
	while (answer == 1 || (domu_session_staging(e->s) && domu_session_dirty(e->s))) {
		char *argv[] = { NULL, NULL };

		answer = domu_app_choose(app, "There are staged changes: commit, diff, keep or drop them?", words, 4);
		if (answer == 4 || answer == 2)
			break;
		argv[0] = (char *)commands[answer];
		domu_app_exec(app, 1, argv, true);
	}
	app->session = NULL;
	if (answer == 4)
		return nobody_to_ask(e);
	if (answer == 2)
		domu_say(app->ctx, DOMU_INFO, "%s: what is staged is kept: domu-rescue commit %s writes it", e->guest,
		         e->guest);
	return 0;
}

static int settle(struct export *e, int rc)
{
	struct domu_run *r = e->r;

	if (rc == 0 && domu_session_dirty(e->s) && !r->globals->yes && !r->globals->dry_run)
		return e->left || !r->app->tty ? nobody_to_ask(e) : ask(e);
	if (rc == 0 && !domu_session_dirty(e->s))
		domu_say(r->ctx, DOMU_INFO, "%s: nothing was changed", e->guest);
	return domu_run_finish(r, e->s, rc);
}

static int run_rw(struct export *e)
{
	int rc = domu_run_change_begin(e->s);

	if (rc == 0)
		rc = domu_session_change_end(e->s, serve(e));
	return settle(e, rc);
}

static int run(struct domu_run *r)
{
	struct export e = { .r = r, .rw = domu_args_flag(r->args, "rw") };
	size_t n = domu_args_count(r->args);
	struct domu_guest *g = NULL;
	char *dir = NULL;
	int rc, rc2;

	e.dir = domu_args_get(r->args, n - 1);
	rc = domu_mountpoint_check(r->ctx, e.dir, &dir);
	if (rc == 0)
		rc = domu_mountpoint_load(r->ctx);
	if (rc == 0)
		rc = domu_app_session(r->app, n > 1 ? domu_args_get(r->args, 0) : NULL,
		                      NEED_GUEST | (e.rw ? NEED_WRITE : 0), &g, &e.s);
	if (rc == 0) {
		e.guest = domu_guest_shown(g);
		rc = e.rw ? run_rw(&e) : serve(&e);
	}
	rc2 = domu_session_close(e.s);
	domu_guest_free(g);
	free(dir);
	return rc != 0 ? rc : rc2;
}

static const struct domu_arg args[] = {
	{ "GUEST", ARG_GUEST, COUNT_ONE },
	{ "DIR", ARG_HOST_PATH, COUNT_ONE },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option options[] = {
	{ "rw", 0, NULL, "for changes: they are staged, and committed, kept or dropped at the end" },
	{ "raw-links", 0, NULL, "links as the guest has them, for copying and comparing: none can be followed" },
	{ "allow-other", 0, NULL, "not for root alone: whoever the modes and owners in the guest let in" },
	{ NULL, 0, NULL, NULL },
};

const struct domu_command domu_cmd_export = {
	.name = "export",
	.alias = "mount",
	.topic = "reading",
	.summary = "mount the guest's tree on a directory of this machine, until Ctrl-C",
	.description =
	    "The guest's root with what its fstab mounts below it, for this machine's own programs, on DIR, which has "
	    "to be "
	    "empty. No program, device "
	    "or suid file on it works. It ends with Ctrl-C or umount. In the shell there is no such command: what is "
	    "staged there is not seen here before it is committed.\n\n"
	    "With --rw what is changed is staged as in a shell, and at the end it is asked whether to commit it (with "
	    "--yes it is committed). Where nobody can answer it is kept, nothing is written, and the status is 5.\n\n"
	    "Links are shown so that they stay inside DIR: /etc/x is shown as ../etc/x, with as many ../ as it takes. "
	    "What copies links (tar, cp -a, rsync) should be given --raw-links.",
	.args = args,
	.options = options,
	.example = "domu-rescue export web1 /mnt",
	.needs = NEED_GUEST | NEED_MANY | CLI_ONLY | OWN_OUTPUT,
	.front = run,
};
