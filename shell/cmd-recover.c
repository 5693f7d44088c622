/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-recover.c - recover: what was cut short is finished. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shell/cmd.h"
#include "shell/conffile.h"

/* Whatever is in the way of a commit that is due, the end is that it cannot be recovered now. */
static int stays(struct domu_run *r, const char *guest, const char *id)
{
	enum domu_status status = domu_error_status(r->ctx);
	int rc = r->ctx->error.err;
	char *why;

	if (status == DOMU_UNRECOVERED || status == DOMU_USAGE || status == DOMU_DECLINED)
		return rc;
	why = r->ctx->error.message != NULL ? strdup(r->ctx->error.message) : NULL;
	domu_error_clear(r->ctx);
	rc = domu_fail(r->ctx, DOMU_UNRECOVERED, rc, "%s: commit %s stays pending: %s", guest, id,
	               why != NULL ? why : "it cannot be recovered");
	free(why);
	return rc;
}

static int recover_session(struct domu_run *r, struct domu_session *s, bool named, unsigned *total)
{
	const struct domu_guest *g = domu_session_guest(s);
	char id[DOMU_ID_LEN + 1];
	struct domu_state *st;
	unsigned n = 0;
	int rc = named ? domu_session_recover_named(s, &n) : domu_session_recover(s, &n);

	*total += n;
	if (rc != 0 && domu_app_state(r->app, false, &st) == 0 && domu_app_due(st, g, id))
		rc = stays(r, domu_guest_shown(g), id);
	return rc;
}

static int recover_found(struct domu_run *r, const struct domu_guest *g, const char *at, bool named, unsigned *total)
{
	struct domu_session *s = NULL;
	char id[DOMU_ID_LEN + 1];
	struct domu_state *st;
	int rc = domu_app_open(r->app, g, at, NEED_GUEST | NEED_STATE, &s);

	if (rc == 0)
		rc = recover_session(r, s, named, total);
	else if (domu_app_state(r->app, false, &st) == 0 && domu_app_due(st, g, id))
		rc = stays(r, domu_guest_shown(g), id);
	domu_session_close(s);
	return rc;
}

/* "--disk A --disk B": all that a commit was made on, as they were called. */
static char *name_disks(const struct domu_commit_info *ci)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	for (size_t i = 0; f != NULL && i < ci->n_disks; i++)
		fprintf(f, "--disk %s ", ci->disks[i].path);
	if (f != NULL)
		fclose(f);
	return text;
}

static int left(struct domu_run *r, struct domu_state *st, const struct domu_commit_info *ci)
{
	char *disks = name_disks(ci);
	int rc = domu_fail(r->ctx, DOMU_UNRECOVERED, -ENODEV,
	                   "%s: commit %s stays pending: what it was made on is no disk of %s now; domu-rescue "
	                   "%srecover names it; if it will never be back, delete %s/pending/%s",
	                   ci->guest, ci->id, ci->guest, disks != NULL ? disks : "", domu_state_dir(st), ci->id);

	free(disks);
	return rc;
}

/* One that is still due though its guest was looked at: its disk is not among those that the guest has now. */
static int check_left(struct domu_run *r, const char *guest)
{
	struct domu_commit_info *v;
	struct domu_state *st;
	size_t n;
	int rc = domu_app_state(r->app, false, &st);

	if (rc == 0)
		rc = domu_state_list(st, NULL, true, &v, &n);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n && rc == 0; i++)
		if (v[i].state == DOMU_COMMIT_INTERRUPTED && !v[i].under_way && v[i].guest != NULL &&
		    strcmp(v[i].guest, guest) == 0)
			rc = left(r, st, &v[i]);
	domu_state_list_free(v, n);
	return rc;
}

static int recover_guest(struct domu_run *r, const char *operand, bool named, unsigned *total)
{
	struct domu_target t = { 0 };
	struct domu_guest *g = NULL;
	struct domu_where where;
	int rc = operand != NULL ? domu_target_parse(r->ctx, operand, true, &t) : 0;

	if (rc == 0)
		rc = domu_app_where(r->app, r->globals, &where);
	if (rc == 0)
		rc = domu_guest_find(r->ctx, &where, t.guest, &g);
	if (rc == 0) {
		rc = recover_found(r, g, t.at, named, total);
		if (rc == 0)
			rc = check_left(r, domu_guest_shown(g));
	} else if (domu_error_status(r->ctx) == DOMU_NOTFOUND && t.guest != NULL) {
		/* Its config may be gone, and not what is due. */
		domu_error_clear(r->ctx);
		rc = check_left(r, t.guest);
		if (rc == 0)
			rc = domu_guest_find(r->ctx, &where, t.guest, &g);
	}
	domu_guest_free(g);
	domu_target_free(&t);
	return rc;
}

/* A guest without a name is its disks, wherever they are now. */
static int recover_disks(struct domu_run *r, const struct domu_commit_info *ci, unsigned *total)
{
	const char *paths[DOMU_MAX_DISKS + 1] = { NULL };
	char *found[DOMU_MAX_DISKS] = { NULL };
	struct domu_guest *g = NULL;
	struct domu_where where;
	int rc = domu_app_where(r->app, r->globals, &where);

	where.disks = paths;
	where.format = "raw";
	for (size_t i = 0; i < ci->n_disks && i < DOMU_MAX_DISKS; i++) {
		found[i] = domu_identity_find(&ci->disks[i]);
		paths[i] = found[i] != NULL ? found[i] : ci->disks[i].path;
	}
	if (rc == 0)
		rc = domu_guest_find(r->ctx, &where, NULL, &g);
	if (rc == 0)
		rc = recover_found(r, g, NULL, false, total);
	if (rc == 0)
		rc = check_left(r, ci->guest);
	if (rc != 0)
		rc = stays(r, ci->guest, ci->id);
	domu_guest_free(g);
	for (size_t i = 0; i < DOMU_MAX_DISKS; i++)
		free(found[i]);
	return rc;
}

static int recover_one(struct domu_run *r, const struct domu_commit_info *ci, unsigned *total)
{
	enum domu_recover_result result;
	struct domu_state *st;
	int rc;

	if (ci->guest == NULL) { /* the failure says why nobody knows whose it is */
		rc = domu_app_state(r->app, true, &st);
		return rc != 0 ? rc : domu_recover(st, ci->id, NULL, 0, NULL, NULL, &result);
	}
	if (ci->guest[0] == '/' && ci->n_disks > 0)
		return recover_disks(r, ci, total);
	return recover_guest(r, ci->guest, false, total);
}

static bool seen_before(const struct domu_commit_info *v, size_t i)
{
	for (size_t k = 0; k < i && v[i].guest != NULL; k++)
		if (v[k].state == DOMU_COMMIT_INTERRUPTED && !v[k].under_way && v[k].guest != NULL &&
		    strcmp(v[k].guest, v[i].guest) == 0)
			return true;
	return false;
}

/* ---- at boot: disks that come late ---------------------------------------- */

#define WAIT_MAX 3600 /* seconds */

/* Volumes and network disks may appear after what starts guests does: is all there that this one is about? */
static bool disks_there(struct domu_run *r, const struct domu_commit_info *ci)
{
	struct domu_guest *g = NULL;
	struct domu_where where;
	struct domu_ctx quiet;
	bool all = true;

	for (size_t i = 0; i < ci->n_disks && all; i++) {
		char *now = domu_identity_find(&ci->disks[i]);

		all = now != NULL;
		free(now);
	}
	if (!all || ci->guest == NULL || ci->guest[0] == '/' || domu_app_where(r->app, r->globals, &where) != 0)
		return all;
	/* Under the names, too, that its config has for them: udev makes links a moment later. */
	domu_ctx_init(&quiet);
	if (domu_guest_find(&quiet, &where, ci->guest, &g) == 0)
		for (size_t i = 0; i < g->n_disks; i++)
			all &= g->disks[i].path == NULL || g->disks[i].cdrom || g->disks[i].script != NULL ||
			       g->disks[i].backend != NULL || access(g->disks[i].path, F_OK) == 0;
	domu_guest_free(g);
	domu_ctx_free(&quiet);
	return all;
}

static int wait_seconds(struct domu_run *r, time_t *seconds)
{
	const char *text = domu_args_value(r->args, "wait");
	char *end = NULL;
	unsigned long n = text != NULL && *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;

	if (text != NULL && (end == NULL || *end != '\0' || n > WAIT_MAX))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "--wait %s: a number of seconds, %d at most", text,
		                 WAIT_MAX);
	if (text != NULL && (domu_args_count(r->args) > 0 || r->in_shell))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "--wait is for recover without GUEST, as at boot");
	*seconds = (time_t)n;
	return 0;
}

static int wait_for_disks(struct domu_run *r, time_t seconds, const struct domu_commit_info *v, size_t n)
{
	struct timespec pause = { .tv_nsec = 200 * 1000 * 1000 }, start, now;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	now = start;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool said = false;

		while (rc == 0 && now.tv_sec - start.tv_sec < seconds && v[i].state == DOMU_COMMIT_INTERRUPTED &&
		       !v[i].under_way && !disks_there(r, &v[i])) {
			if (!said)
				domu_say(r->ctx, DOMU_INFO, "%s: waiting for its disks",
				         v[i].guest != NULL ? v[i].guest : v[i].id);
			said = true;
			nanosleep(&pause, NULL);
			clock_gettime(CLOCK_MONOTONIC, &now);
			if (domu_interrupted(r->ctx))
				rc = domu_fail(r->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		}
	}
	return rc;
}

/* Everything that is due: a guest whose disk is missing stays pending, with a warning, and the others go on. */
static int recover_all(struct domu_run *r, time_t seconds, unsigned *total)
{
	struct domu_commit_info *v = NULL;
	struct domu_state *st;
	unsigned left = 0;
	size_t n = 0;
	int rc = domu_app_state(r->app, false, &st);

	if (rc == 0)
		rc = domu_state_list(st, NULL, true, &v, &n);
	if (rc == 0)
		rc = wait_for_disks(r, seconds, v, n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (v[i].state == DOMU_COMMIT_INTERRUPTED && v[i].under_way) {
			domu_say(r->ctx, DOMU_WARNING, "commit %s on %s is under way (process %" PRId64 ")", v[i].id,
			         v[i].guest != NULL ? v[i].guest : "another guest", v[i].holder_pid);
			continue;
		}
		if (v[i].state != DOMU_COMMIT_INTERRUPTED || seen_before(v, i) || recover_one(r, &v[i], total) == 0)
			continue;
		domu_say(r->ctx, DOMU_WARNING, "%s",
		         r->ctx->error.message != NULL ? r->ctx->error.message : "a commit cannot be recovered");
		domu_error_clear(r->ctx);
		left++;
	}
	domu_state_list_free(v, n);
	if (rc == 0 && left > 0)
		rc = domu_fail(r->ctx, DOMU_UNRECOVERED, -EAGAIN, "%u commit%s cannot be recovered now", left,
		               left == 1 ? "" : "s");
	return rc;
}

/* A mistake in the file that says how much history is kept leaves no disk closed: all of it is kept then. */
static void load_limits(struct domu_run *r)
{
	if (r->app->retain.count != 0 || domu_conffile_load(r->ctx, &r->app->retain) == 0)
		return;
	domu_say(r->ctx, DOMU_WARNING, "%s",
	         r->ctx->error.message != NULL ? r->ctx->error.message : "the limits of the history cannot be read");
	domu_error_clear(r->ctx);
	r->app->retain =
	    (struct domu_retain){ .count = UINT64_MAX, .age = UINT64_MAX, .size = UINT64_MAX, .percent = 0 };
}

static int run_recover(struct domu_run *r)
{
	size_t n = domu_args_count(r->args);
	unsigned total = 0;
	time_t seconds = 0;
	int rc = wait_seconds(r, &seconds);

	if (rc != 0)
		return rc;
	load_limits(r);
	if (n == 0 && r->in_shell)
		rc = recover_session(r, r->app->session, true, &total);
	else if (n == 0 && r->globals->disks == NULL && r->globals->config == NULL)
		rc = recover_all(r, seconds, &total);
	else if (n == 0)
		rc = recover_guest(r, NULL, true, &total);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = recover_guest(r, domu_args_get(r->args, i), true, &total);
	if (rc == 0 && total == 0)
		domu_out_line(r->out, "nothing to recover");
	return rc;
}

static const struct domu_option options[] = {
	{ "wait", 0, "SECONDS", "without GUEST: wait that long for disks that are not there yet, as at boot" },
	{ NULL, 0, NULL, NULL },
};

static const struct domu_arg many_args[] = { { "GUEST", ARG_GUEST, COUNT_ANY }, { 0 } };

const struct domu_command domu_cmd_recover = {
	.name = "recover",
	.topic = "history",
	.summary = "finish commits that were cut short",
	.description =
	    "After a crash or a power cut in a commit the disk is as before, or closed: nothing can mount, boot or "
	    "repair it. recover writes the rest and opens it. It never writes to a disk that a guest has used "
	    "meanwhile. Without GUEST: every commit that is due. What cannot be finished now stays due (status 7).\n\n"
	    "A disk is known by what it is, not by its path: it may have been moved, and devices may have got other "
	    "numbers. One that was moved to another filesystem, or restored, is accepted only where GUEST (or --disk) "
	    "names it.",
	.args = many_args,
	.options = options,
	.example = "domu-rescue recover",
	.needs = NEED_MANY,
	.front = run_recover,
};
