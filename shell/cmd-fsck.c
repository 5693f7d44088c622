/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-fsck.c - fsck: one guest after another, on the stage, in e2fsck's words. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/escape.h"
#include "shell/app.h"
#include "shell/cmd.h"
#include "task/fsck.h"

struct totals {
	unsigned guests, clean, repaired, damaged, skipped, in_use, failed;
	int exit;
};

/* ---- showing ---------------------------------------------------------------------- */

static struct json_object *filesystem_object(const struct domu_fsck_result *f)
{
	struct json_object *o = json_object_new_object();
	char *log = domu_to_utf8(f->log.text != NULL ? f->log.text : "", f->log.len);

	json_object_object_add(o, "device", json_object_new_string(f->device));
	json_object_object_add(o, "type", json_object_new_string(f->type));
	json_object_object_add(o, "uuid", f->uuid[0] != '\0' ? json_object_new_string(f->uuid) : NULL);
	json_object_object_add(o, "result", json_object_new_string(domu_fsck_outcome_name(f->outcome)));
	json_object_object_add(o, "exit", json_object_new_int(f->exit));
	json_object_object_add(o, "seconds", json_object_new_double(f->seconds));
	if (f->counted) {
		json_object_object_add(o, "lost_found", json_object_new_int64((int64_t)f->moved));
		json_object_object_add(o, "gone", json_object_new_int64((int64_t)f->gone));
	}
	json_object_object_add(o, "log", json_object_new_string(log != NULL ? log : ""));
	free(log);
	return o;
}

static int show_guest(struct domu_run *r, const char *guest, const struct domu_fsck_report *rep)
{
	struct json_object *list = json_object_new_array();
	int rc;

	if (list == NULL)
		return domu_nomem(r->ctx);
	for (size_t i = 0; i < rep->n; i++)
		json_object_array_add(list, filesystem_object(&rep->v[i]));
	rc = domu_row_bytes(r->out, guest, strlen(guest));
	if (rc == 0)
		rc = domu_row_number(r->out, (uint64_t)rep->exit);
	if (rc == 0)
		rc = domu_row_object(r->out, list);
	return rc == 0 ? domu_row_end(r->out) : rc;
}

static void show_log(struct domu_run *r, const struct domu_log *log)
{
	char *copy = log->text != NULL ? strdup(log->text) : NULL, *rest = copy, *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		char *safe = *line != '\0' ? domu_escape(line, strlen(line), true) : NULL;

		if (safe != NULL)
			domu_out_line(r->out, "    %s", safe);
		free(safe);
	}
	if (log->cut)
		domu_out_line(r->out, "    (more was printed)");
	free(copy);
}

/* What became of files, and how to look at it or to have it back. */
static void show_files(struct domu_run *r, const char *guest, const struct domu_fsck_result *f)
{
	const char *least = f->more ? "at least " : "", *one = f->moved == 1 ? " or folder is" : "s or folders are";
	char *undo = NULL;

	if (!f->counted || (f->moved == 0 && f->gone == 0))
		return;
	if (asprintf(&undo, "domu-rescue undo %s brings back what was there", guest) < 0)
		undo = NULL;
	domu_out_line(r->out, "%s: %s: %s%" PRIu64 " file%s in lost+found now, %s%" PRIu64 " name%s gone: %s", guest,
	              f->device, least, f->moved, one, least, f->gone, f->gone == 1 ? " is" : "s are",
	              r->in_shell           ? "diff shows them, rollback drops the repair"
	              : r->globals->dry_run ? "nothing was written"
	              : undo != NULL        ? undo
	                                    : "");
	free(undo);
}

static void show_lines(struct domu_run *r, const char *guest, const struct domu_fsck_report *rep, bool changed)
{
	const char *mode_n = changed ? "" : " (looked only)";
	bool flag_y = domu_args_flag(r->args, "y");

	for (size_t i = 0; i < rep->n; i++) {
		const struct domu_fsck_result *f = &rep->v[i];
		const char *word = domu_fsck_outcome_name(f->outcome);

		if (f->outcome == DOMU_FSCK_CLEAN && !changed)
			word = "nothing found";
		if (f->outcome == DOMU_FSCK_SKIPPED) {
			domu_out_line(r->out, "%s: %s: %s: skipped, no checker here", guest, f->device, f->type);
			continue;
		}
		if (!r->globals->quiet || f->outcome > DOMU_FSCK_REPAIRED)
			domu_out_line(r->out, "%s: %s: %s: %s in %.1f s%s", guest, f->device, f->type, word, f->seconds,
			              f->outcome == DOMU_FSCK_DAMAGED ? mode_n : "");
		if (f->outcome != DOMU_FSCK_CLEAN || r->globals->verbose)
			show_log(r, &f->log);
		show_files(r, guest, f);
		if (f->outcome == DOMU_FSCK_DAMAGED && changed)
			domu_out_line(r->out, "%s: %s: not repaired, nothing was written to it%s%s", guest, f->device,
			              flag_y ? "" : ": try domu-rescue fsck -y ", flag_y ? "" : guest);
	}
}

/* ---- one guest ---------------------------------------------------------------------- */

static void on_progress(void *user, const char *device, unsigned pass, uint64_t done, uint64_t total)
{
	struct domu_run *r = user;
	char what[128];

	snprintf(what, sizeof what, "%s %s pass %u", r->guest != NULL ? r->guest : "", device, pass);
	domu_progress(r->ctx, what, done, total);
}

static void count(struct totals *t, const struct domu_fsck_report *rep)
{
	enum domu_fsck_outcome worst = DOMU_FSCK_CLEAN;

	for (size_t i = 0; i < rep->n; i++)
		if (rep->v[i].outcome != DOMU_FSCK_SKIPPED && rep->v[i].outcome > worst)
			worst = rep->v[i].outcome;
	t->guests++;
	t->clean += worst == DOMU_FSCK_CLEAN;
	t->repaired += worst == DOMU_FSCK_REPAIRED;
	t->damaged += worst == DOMU_FSCK_DAMAGED;
	t->failed += worst == DOMU_FSCK_ERROR;
	t->exit |= rep->exit;
}

/* A guest that could not be looked at: the cause is in ctx, and is shown here. */
static int failed_guest(struct domu_run *r, const char *guest, bool named, struct totals *t)
{
	enum domu_status status = domu_error_status(r->ctx);
	struct domu_fsck_report rep = { .exit = FSCK_ERROR };
	struct domu_fsck_result one = { .outcome = DOMU_FSCK_ERROR, .exit = FSCK_ERROR };
	int rc;

	if (status == DOMU_DECLINED)
		return -EINTR;
	if (status == DOMU_INUSE) {
		one.outcome = DOMU_FSCK_IN_USE;
		t->in_use++;
		if (!named)
			rep.exit = one.exit = 0;
	} else {
		t->failed++;
	}
	t->guests++;
	t->exit |= rep.exit;
	if (!named && status == DOMU_INUSE)
		domu_out_line(r->out, "%s: skipped, in use", guest);
	else
		domu_app_print(r->app, "",
		               r->ctx->error.message != NULL ? r->ctx->error.message : "a guest cannot be checked");
	domu_log_line(&one.log, r->ctx->error.message != NULL ? r->ctx->error.message : "");
	domu_error_clear(r->ctx);
	rep.v = &one;
	rep.n = 1;
	rc = show_guest(r, guest, &rep);
	domu_log_free(&one.log);
	return rc;
}

static int check_guest(struct domu_run *r, const char *operand, bool named, struct totals *t)
{
	struct domu_fsck_opts o = {
		.mode = domu_args_flag(r->args, "n")   ? DOMU_CHECK_NO
		        : domu_args_flag(r->args, "y") ? DOMU_CHECK_YES
		                                       : DOMU_CHECK_PREEN,
		.no_mark = domu_args_flag(r->args, "no-mark"),
		.partial = domu_args_flag(r->args, "partial"),
		.dry_run = r->globals->dry_run,
		.progress = on_progress,
		.user = r,
	};
	struct domu_fsck_report rep = { 0 };
	struct domu_guest *g = NULL;
	bool own = !r->in_shell || operand != NULL;
	struct domu_session *s = own ? NULL : r->app->session;
	const char *name;
	char *shown;
	int rc = 0;

	o.stage_only = !own;
	if (own)
		rc = domu_app_session(r->app, operand, NEED_GUEST | (o.mode != DOMU_CHECK_NO ? NEED_STATE : 0), &g, &s);
	name = s != NULL ? domu_guest_shown(domu_session_guest(s)) : operand != NULL ? operand : "guest";
	shown = domu_escape(name, strlen(name), false);
	r->guest = shown;
	if (rc == 0)
		rc = domu_fsck_guest(s, &o, &rep);
	if (rc != 0) {
		rc = failed_guest(r, shown, named, t);
	} else {
		count(t, &rep);
		show_lines(r, shown, &rep, o.mode != DOMU_CHECK_NO);
		rc = show_guest(r, shown, &rep);
	}
	domu_fsck_report_free(&rep);
	if (own)
		domu_session_close(s);
	domu_guest_free(g);
	r->guest = NULL;
	free(shown);
	return rc;
}

/* ---- all ------------------------------------------------------------------------------ */

static int check_all(struct domu_run *r, struct totals *t)
{
	struct domu_guests list = { 0 };
	struct domu_where where;
	int rc = domu_app_where(r->app, r->globals, &where);

	if (rc == 0)
		rc = domu_guest_list(r->ctx, &where, &list);
	for (size_t i = 0; rc == 0 && i < list.n; i++) {
		const struct domu_guest *g = list.v[i];

		if (g->error != NULL) {
			domu_fail(r->ctx, DOMU_FAILED, -EINVAL, "%s: %s", g->source, g->error);
			rc = failed_guest(r, g->name != NULL ? g->name : g->source, true, t);
		} else {
			rc = check_guest(r, g->name, false, t);
		}
		if (rc == 0 && domu_interrupted(r->ctx))
			rc = -EINTR;
	}
	domu_guests_free(&list);
	return rc;
}

static void summary(struct domu_run *r, const struct totals *t)
{
	if (t->guests > 1)
		domu_out_line(r->out, "%u guests: %u clean, %u repaired, %u with errors left, %u in use, %u failed",
		              t->guests, t->clean, t->repaired, t->damaged, t->in_use, t->failed);
}

static int run_fsck(struct domu_run *r)
{
	struct totals t = { 0 };
	size_t n = domu_args_count(r->args);
	bool all = domu_args_flag(r->args, "all");
	int rc = 0;

	r->exit_status = FSCK_USAGE;
	if ((n == 0) != all && !r->in_shell && r->globals->disks == NULL && r->globals->config == NULL)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "fsck: name guests, or --all");
	if (domu_args_flag(r->args, "n") + domu_args_flag(r->args, "p") + domu_args_flag(r->args, "y") > 1)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "fsck: only one of -n, -p and -y");
	if (all)
		rc = check_all(r, &t);
	else if (n == 0)
		rc = check_guest(r, NULL, true, &t);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = check_guest(r, domu_args_get(r->args, i), true, &t);
	if (rc == -EINTR || domu_interrupted(r->ctx)) {
		t.exit |= FSCK_CANCELED;
		rc = domu_fail(r->ctx, DOMU_DECLINED, -EINTR, "interrupted");
	} else if (rc != 0) {
		t.exit |= FSCK_ERROR;
	}
	summary(r, &t);
	domu_out_member(r->out, "exit", json_object_new_int(t.exit));
	/* A script goes on after a repair. */
	r->exit_status = r->in_shell ? t.exit & ~FSCK_NONDESTRUCT : t.exit;
	return rc;
}

static const struct domu_arg args[] = { { "GUEST", ARG_GUEST, COUNT_ANY }, { 0 } };
static const struct domu_option options[] = {
	{ NULL, 'n', NULL, "change nothing: only look" },
	{ NULL, 'p', NULL, "repair what is safe (this is the default)" },
	{ NULL, 'y', NULL, "repair everything" },
	{ "all", 'a', NULL, "every guest that is stopped" },
	{ "no-mark", 0, NULL, "leave the last-check time and mount count of a clean filesystem" },
	{ "partial", 0, NULL, "offer to write a repair that left errors" },
	{ 0 },
};
static const struct domu_column columns[] = {
	{ "guest", NULL, CELL_BYTES },
	{ "exit", NULL, CELL_NUMBER },
	{ "filesystems", NULL, CELL_OBJECT },
	{ 0 },
};

const struct domu_command domu_cmd_fsck = {
	.name = "fsck",
	.topic = "repair",
	.summary = "check and repair the filesystems of guests",
	.description =
	    "Always a full check, made on a stage of the guest's disks: the journal is replayed, the filesystem "
	    "checked and repaired until a pass finds nothing, and only then written to the disks, in one commit that "
	    "can be undone. A repair that does not end clean is not written.\n\n"
	    "With -p and -y a clean filesystem gets its last-check time and mount count set, so that the guest does "
	    "not check it again when it boots.\n\n"
	    "The exit status is that of fsck(8): 0 clean, 1 repaired, 4 errors left, 8 operational error (a named "
	    "guest "
	    "is in use or unknown), 16 usage, 32 interrupted, added up. With --all, guests in use are skipped and set "
	    "no bit.",
	.args = args,
	.options = options,
	.columns = columns,
	.json_key = "guests",
	.example = "domu-rescue fsck -n web1",
	.needs = NEED_MANY | FSCK_STATUS,
	.front = run_fsck,
	.layout = &domu_layout_told,
};
