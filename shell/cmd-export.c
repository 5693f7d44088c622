/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-export.c - export: the guest's tree as a mount of this machine, until Ctrl-C. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fence/mount.h"
#include "shell/cmd.h"

struct export {
	struct domu_run *r;
	struct domu_mountpoint *m;
	const char *dir; /* as typed */
	bool asked; /* Ctrl-C came, and somebody is in the way */
};

static const char *shown(const struct domu_run *r)
{
	return domu_guest_shown(domu_session_guest(r->session));
}

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
	if (again || (*came != 0 && *came != SIGINT)) {
		domu_mountpoint_cut(e->m);
	} else if (domu_mountpoint_leave(e->m) == -EBUSY) {
		if (!e->asked) {
			domu_mountpoint_holder(e->m, who, sizeof who);
			domu_say(e->r->ctx, DOMU_WARNING, "%s is in use%s%s: it ends when that does, or with Ctrl-C again",
			         e->dir, who[0] != '\0' ? " by " : "", who);
		}
		e->asked = true;
	}
	*came = 0;
	return 0;
}

static int call_open(struct domu_run *r)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST);
	int rc;

	domu_msg_put_str(&req, DOMU_OP_EXPORT_OPEN);
	domu_msg_put_str(&req, r->use);
	rc = domu_session_call(r->session, &req, NULL);
	domu_msg_free(&req);
	return rc;
}

static int serve(struct export *e)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST);
	struct domu_worker_handlers *h = &e->r->app->handlers;
	int rc;

	domu_mountpoint_request(e->m, &req);
	h->tick = tick;
	h->tick_user = e;
	rc = domu_session_call(e->r->session, &req, NULL);
	h->tick = NULL;
	domu_msg_free(&req);
	return rc;
}

static int run(struct domu_run *r)
{
	struct domu_mountpoint_opts o = {
		.source = shown(r),
		.others = domu_args_flag(r->args, "allow-other"),
		.raw_links = domu_args_flag(r->args, "raw-links"),
	};
	struct export e = { .r = r };
	char *dir = NULL;
	int rc;

	o.dir = e.dir = domu_args_get(r->args, domu_args_count(r->args) - 1);
	rc = domu_mountpoint_check(r->ctx, o.dir, &dir);
	if (rc == 0)
		rc = domu_mountpoint_load(r->ctx);
	if (rc == 0)
		rc = call_open(r);
	if (rc == 0)
		rc = domu_mountpoint_make(r->ctx, &o, &e.m);
	if (rc == 0) {
		domu_say(r->ctx, DOMU_INFO, "%s is mounted %s on %s; Ctrl-C ends", shown(r),
		         o.writable ? "for changes" : "read-only", e.dir);
		rc = serve(&e);
	}
	domu_mountpoint_free(e.m);
	free(dir);
	return rc;
}

static const struct domu_arg args[] = {
	{ "GUEST", ARG_GUEST, COUNT_ONE },
	{ "DIR", ARG_HOST_PATH, COUNT_ONE },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option options[] = {
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
	    "The guest's root with what its fstab mounts below it, for this machine's own programs. No program, device "
	    "or suid file on it works. It ends with Ctrl-C or umount.\n\n"
	    "Links are shown so that they stay inside DIR: /etc/x is shown as ../etc/x, with as many ../ as it takes. "
	    "What copies links (tar, cp -a, rsync) should be given --raw-links.",
	.args = args,
	.options = options,
	.example = "domu-rescue export web1 /mnt",
	.needs = NEED_GUEST | CLI_ONLY,
	.front = run,
};
