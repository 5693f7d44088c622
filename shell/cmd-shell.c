/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-shell.c - shell: a session on one guest; a script is one transaction. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "shell/cmd.h"
#include "shell/shell.h"

#define MAX_SCRIPT (16u << 20)

/* ---- reading scripts -------------------------------------------------------------------- */

struct buffer {
	char *v;
	size_t n, cap;
};

static int put(struct domu_ctx *ctx, struct buffer *b, const char *bytes, size_t len)
{
	if (len > MAX_SCRIPT - b->n)
		return domu_fail(ctx, DOMU_FAILED, -EFBIG, "a script of more than 16 MiB");
	if (!DOMU_ARRAY_ROOM(b->v, b->cap, b->n + len + 1))
		return domu_nomem(ctx);
	memcpy(b->v + b->n, bytes, len);
	b->n += len;
	b->v[b->n] = '\0';
	return 0;
}

static int read_file(struct domu_ctx *ctx, const char *path, struct buffer *b)
{
	char piece[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	ssize_t n = 0;

	if (fd < 0)
		return domu_fail(ctx, errno == ENOENT ? DOMU_NOTFOUND : DOMU_FAILED, -errno, "script %s: %s", path,
		                 strerror(errno));
	rc = put(ctx, b, "", 0);
	while (rc == 0 && (n = read(fd, piece, sizeof piece)) > 0)
		rc = put(ctx, b, piece, (size_t)n);
	if (rc == 0 && n < 0)
		rc = domu_fail(ctx, DOMU_FAILED, -errno, "script %s: %s", path, strerror(errno));
	close(fd);
	if (rc == 0 && memchr(b->v, '\0', b->n) != NULL)
		rc = domu_fail(ctx, DOMU_FAILED, -EINVAL, "script %s is not text", path);
	return rc;
}

/* ---- running them ----------------------------------------------------------------------- */

static int run_text(struct domu_shell *sh, const char *text)
{
	struct domu_line line;
	int rc = domu_line_parse(sh->app->ctx, text, &line);

	if (rc == -EAGAIN)
		rc = domu_fail(sh->app->ctx, DOMU_USAGE, -EINVAL, "%s ends in an open quote", sh->script);
	if (rc != 0)
		return rc;
	domu_shell_line(sh, &line);
	domu_line_free(&line);
	return 0;
}

static bool over(const struct domu_shell *sh)
{
	return (sh->failed && !sh->keep_going) || sh->app->quit || *sh->app->signal != 0;
}

/*
 * From stdin each line runs when it is there, as with sh: byte by byte, so
 * that a command that reads stdin gets what follows it.
 */
static int run_stdin(struct domu_shell *sh)
{
	struct domu_ctx *ctx = sh->app->ctx;
	struct buffer b = { 0 };
	int rc = put(ctx, &b, "", 0);
	ssize_t n = 1;
	char c;

	while (rc == 0 && n > 0 && !over(sh)) {
		struct domu_line line;

		n = read(STDIN_FILENO, &c, 1);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n > 0)
			rc = put(ctx, &b, &c, 1);
		if (rc != 0 || (n > 0 && c != '\n'))
			continue;
		rc = domu_line_parse(ctx, b.v, &line);
		if (rc == -EAGAIN && n > 0) {
			rc = 0;
			continue;
		}
		if (rc == -EAGAIN)
			rc = domu_fail(ctx, DOMU_USAGE, -EINVAL, "the script ends in an open quote");
		if (rc == 0)
			domu_shell_line(sh, &line);
		if (rc == 0)
			domu_line_free(&line);
		b.n = 0;
		b.v[0] = '\0';
	}
	free(b.v);
	return rc;
}

/* ---- the transaction ---------------------------------------------------------------------- */

static int show_diff(struct domu_app *app)
{
	char *const argv[] = { (char *)"diff", NULL };

	return domu_app_exec(app, 1, argv, true);
}

static int finish(struct domu_shell *sh, int rc)
{
	struct domu_app *app = sh->app;
	struct domu_session *s = app->session;
	bool dirty = domu_session_staging(s) && domu_session_dirty(s), good;
	int r;

	if (*app->signal == SIGHUP) {
		/* The terminal is gone, the work is not: the next shell offers it. */
		*app->signal = 0;
		return rc;
	}
	if (*app->signal != 0 && rc == 0) {
		*app->signal = 0;
		rc = domu_fail(app->ctx, DOMU_DECLINED, -EINTR, "interrupted");
	}
	good = rc == 0 && (!sh->failed || sh->keep_going);
	if (sh->failed && sh->keep_going)
		sh->status = DOMU_FAILED;
	if (good && dirty && !app->globals.dry_run) {
		domu_error_clear(app->ctx);
		rc = domu_app_limits(app, NEED_WRITE);
		rc = rc == 0 ? domu_session_commit(s, NULL) : rc;
	}
	if (good && dirty && app->globals.dry_run && !app->globals.quiet)
		show_diff(app);
	if (!domu_session_staging(s))
		return rc;
	if (dirty && (!good || rc != 0))
		domu_say(app->ctx, DOMU_INFO, "nothing was written");
	r = domu_session_rollback(s);
	return rc != 0 ? rc : r;
}

static int run_script(struct domu_shell *sh, const struct domu_run *r, const char *file)
{
	const char *text = domu_args_value(r->args, "c");
	struct buffer b = { 0 };
	int rc = 0;

	if (text != NULL) {
		sh->script = "the script";
		rc = run_text(sh, text);
	} else if (file != NULL) {
		sh->script = file;
		rc = read_file(r->ctx, file, &b);
		if (rc == 0)
			rc = run_text(sh, b.v);
	} else {
		sh->script = "standard input";
		rc = run_stdin(sh);
	}
	free(b.v);
	return finish(sh, rc);
}

static int with_session(struct domu_run *r, const char *file)
{
	struct domu_app *app = r->app;
	struct domu_shell sh = { .app = app, .keep_going = domu_args_flag(r->args, "k") };
	int rc;

	app->quit = false;
	free(app->cwd);
	app->cwd = strdup("/");
	if (app->cwd == NULL)
		return domu_nomem(r->ctx);
	rc = app->interactive ? domu_shell_interactive(&sh) : run_script(&sh, r, file);
	r->exit_status = sh.status;
	return rc;
}

static int run(struct domu_run *r)
{
	const char *operand = r->no_guest ? NULL : domu_args_get(r->args, 0);
	const char *file = domu_args_get(r->args, r->no_guest ? 0 : 1);
	struct domu_app *app = r->app;
	struct domu_target t = { 0 };
	struct domu_guest *g = NULL;
	struct domu_state *st;
	int rc = 0, end;

	if (file != NULL && domu_args_value(r->args, "c") != NULL)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "shell: a script file or -c, not both");
	if (operand != NULL)
		rc = domu_target_parse(r->ctx, operand, true, &t);
	/* Without a state directory a guest can still be read. */
	if (rc == 0 && domu_app_state(app, true, &st) != 0) {
		domu_say(r->ctx, DOMU_WARNING, "nothing can be changed: %s",
		         r->ctx->error.message != NULL ? r->ctx->error.message : "no state directory");
		domu_error_clear(r->ctx);
	}
	app->interactive = domu_args_value(r->args, "c") == NULL && file == NULL && isatty(STDIN_FILENO) == 1;
	if (rc == 0)
		rc = domu_app_session(app, operand, NEED_WATCH, &g, &app->session);
	if (rc == 0) {
		app->use = t.at != NULL ? strdup(t.at) : NULL;
		rc = with_session(r, file);
		end = domu_session_close(app->session);
		rc = rc != 0 ? rc : end;
	}
	app->session = NULL;
	app->interactive = false;
	free(app->use);
	app->use = NULL;
	domu_guest_free(g);
	domu_target_free(&t);
	return rc;
}

static const struct domu_arg args[] = {
	{ "GUEST", ARG_GUEST, COUNT_ONE },
	{ "SCRIPTFILE", ARG_HOST_PATH, COUNT_OPTIONAL },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option options[] = {
	{ "command", 'c', "COMMANDS", "run these commands, separated by ;" },
	{ "keep-going", 'k', NULL, "go on after a failure; what succeeded is committed, status 1" },
	{ NULL, 0, NULL, NULL },
};

const struct domu_command domu_cmd_shell = {
	.name = "shell",
	.topic = "shell",
	.summary = "commands on one guest, typed or from a script",
	.description =
	    "On a terminal an interactive shell, as domu-rescue GUEST is.  Changes are staged until commit; leaving "
	    "asks "
	    "whether to commit, diff, keep or drop them.  A stage that was kept, or was left behind by a lost "
	    "connection, is offered by the next shell, unless the guest ran meanwhile: then it can only be looked at "
	    "and dropped.  One shell at a time changes a guest; a second one says who has it, and reads.\n\n"
	    "When the guest is started while the shell is open, that is said at once.  From then on the shell only "
	    "reads, which the prompt says, and while the guest runs it does not read either (--live does, in a shell "
	    "of "
	    "its own).  What is staged is kept.  When the guest is stopped, commit writes it if the guest has changed "
	    "neither what it rests on nor a superblock, rollback drops it, and begin makes changes possible again.\n\n"
	    "A script (-c, a file, or standard input) is one transaction: when all commands succeeded it is committed, "
	    "when one failed nothing is written, unless the script itself said commit before.\n\n"
	    "Paths are the guest's, relative to its cd; * ? [] match names in it. ' \" \\ quote, ; separates commands, "
	    "# "
	    "begins a comment. !HOSTCMD runs a command of the host, CMD | HOSTCMD gives it the output of one, "
	    "CMD > HOSTFILE, CMD >> HOSTFILE and CMD < HOSTFILE use its files.",
	.args = args,
	.options = options,
	.example = "domu-rescue shell web1 -c 'cat /etc/hostname; ls /etc'",
	.needs = NEED_GUEST | NEED_MANY | CLI_ONLY | OWN_OUTPUT,
	.front = run,
};
