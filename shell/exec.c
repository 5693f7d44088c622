/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exec.c - one command line, whole: parsed, its needs met, run, committed, its end reported. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "shell/app.h"
#include "shell/help.h"
#include "shell/owners.h"

struct exec {
	struct domu_app *app;
	const struct domu_command *c;
	unsigned needs; /* the command's, and what its words need besides */
	struct domu_run run; /* of the guest going on; the out's layout asks it */
	struct domu_out *out;
	bool in_shell, no_guest;
	int exit_status; /* the highest that a run gave, -1: none */
};

/* ---- running in a session ------------------------------------------------------- */

static int run_now(struct exec *e, struct domu_args *args, struct domu_session *s, const char *guest, const char *use)
{
	struct domu_run *r = &e->run;
	int rc;

	r->args = args;
	r->session = s;
	r->guest = guest;
	r->use = use;
	r->exit_status = -1;
	rc = e->c->front != NULL ? e->c->front(r) : domu_run_in_worker(r, s);
	if ((e->needs & ANY_FOUND) != 0 && e->exit_status >= 0 && r->exit_status >= 0)
		e->exit_status = r->exit_status < e->exit_status ? r->exit_status : e->exit_status;
	else if (r->exit_status > e->exit_status)
		e->exit_status = r->exit_status;
	return rc;
}

/* What comes from a file has a size before it is read. */
static int input_room(struct exec *e, struct domu_session *s)
{
	struct stat st;
	off_t at;

	if ((e->needs & TAKES_BYTES) == 0 || fstat(STDIN_FILENO, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	at = lseek(STDIN_FILENO, 0, SEEK_CUR);
	return at >= 0 && at < st.st_size ? domu_session_room(s, (uint64_t)(st.st_size - at)) : 0;
}

/* A changing command: its changes are whole or absent in the stage. */
static int run_staged(struct exec *e, struct domu_args *args, struct domu_session *s, const char *guest,
                      const char *use)
{
	int rc;

	if ((e->needs & NEED_WRITE) == 0)
		return run_now(e, args, s, guest, use);
	rc = domu_app_warn_owners(e->app, s);
	if (rc == 0)
		rc = domu_run_change_begin(s);
	if (rc != 0)
		return rc;
	rc = input_room(e, s);
	return domu_session_change_end(s, rc == 0 ? run_now(e, args, s, guest, use) : rc);
}

int domu_run_change_begin(struct domu_session *s)
{
	int rc = domu_session_staging(s) ? 0 : domu_session_begin(s);

	return rc == 0 ? domu_session_change_begin(s) : rc;
}

int domu_run_finish(struct domu_run *run, struct domu_session *s, int rc)
{
	char id[DOMU_ID_LEN + 1] = "";
	int r;

	if (!domu_session_staging(s))
		return rc;
	if (rc == 0 && domu_interrupted(run->app->ctx))
		rc = domu_fail(run->app->ctx, DOMU_DECLINED, -EINTR, "interrupted; nothing was written");
	if (rc == 0 && domu_session_dirty(s) && !run->app->globals.dry_run) {
		rc = domu_session_commit(s, id);
		if (rc == 0) {
			domu_say(run->app->ctx, DOMU_DEBUG, "committed as %s", id);
			domu_out_member(run->out, "commit", json_object_new_string(id));
			return 0;
		}
	}
	if (rc == 0 && run->app->globals.dry_run) {
		domu_out_member(run->out, "dry_run", json_object_new_boolean(1));
		domu_say(run->app->ctx, DOMU_INFO, "dry run: %s",
		         domu_session_dirty(s) ? "it can be done; nothing was written" : "there is nothing to change");
	}
	r = domu_session_staging(s) ? domu_session_rollback(s) : 0;
	return rc != 0 ? rc : r;
}

static int resume_stage(struct exec *e, struct domu_session *s, const char *guest)
{
	struct domu_commit_info ci = { 0 };
	int rc = domu_session_find_stage(s, &ci);

	/* diff of nothing is nothing. */
	if (rc == 0 && ci.id[0] == '\0' && (e->needs & STAGE_OPTIONAL) != 0)
		goto out;
	if (rc == 0 && ci.id[0] == '\0')
		rc = domu_fail(e->app->ctx, DOMU_NOTFOUND, -ENOENT,
		               "%s has no stage: no changes are waiting to be committed", guest);
	if (rc == 0)
		rc = domu_session_resume(s, &ci);
out:
	domu_commit_info_free(&ci);
	return rc;
}

static int run_on_guest(struct exec *e, struct domu_args *args, const char *operand)
{
	struct domu_session *s = NULL;
	struct domu_guest *g = NULL;
	struct domu_target t = { 0 };
	int rc, r;

	if (operand != NULL) {
		rc = domu_target_parse(e->app->ctx, operand, true, &t);
		if (rc != 0)
			return rc;
	}
	rc = domu_app_session(e->app, operand, (e->needs & ~(unsigned)WALKS) | domu_args_walks(e->c, args), &g, &s);
	if (rc != 0)
		goto out;
	if ((e->needs & (NEED_STATE | NEED_STAGE)) != 0 && (e->needs & NO_DISKS) == 0)
		rc = domu_app_warn_owners(e->app, s);
	if (rc == 0 && (e->needs & NEED_STAGE) != 0)
		rc = resume_stage(e, s, domu_guest_shown(g));
	if (rc == 0)
		rc = run_staged(e, args, s, domu_guest_shown(g), t.at);
	if ((e->needs & NEED_WRITE) != 0)
		rc = domu_run_finish(&e->run, s, rc);
	if (e->run.after != NULL)
		e->run.after(&e->run, rc);
	e->run.after = NULL;
	r = domu_session_close(s);
	rc = rc != 0 ? rc : r;
out:
	e->run.session = NULL;
	e->run.guest = NULL;
	domu_guest_free(g);
	domu_target_free(&t);
	return rc;
}

/* ---- which guest ------------------------------------------------------------------ */

static bool names_guest(const struct domu_arg *arg, const char *word)
{
	if (arg == NULL)
		return false;
	if (arg->type == ARG_GUEST || arg->type == ARG_GUEST_DIR)
		return true;
	return arg->type == ARG_GUEST_PATH && strstr(word, ":/") != NULL;
}

static int same_guest(struct domu_ctx *ctx, const char *a, const char *b, bool *same)
{
	struct domu_target x = { 0 }, y = { 0 };
	int rc = domu_target_parse(ctx, a, true, &x);

	if (rc == 0)
		rc = domu_target_parse(ctx, b, true, &y);
	if (rc == 0)
		*same = strcmp(x.guest, y.guest) == 0 && strcmp(x.at ? x.at : "", y.at ? y.at : "") == 0;
	domu_target_free(&x);
	domu_target_free(&y);
	return rc;
}

/* The first operand that names a guest, from first on: *at, n when there is none. */
static const char *find_guest(const struct domu_args *args, size_t first, size_t *at)
{
	size_t n = domu_args_count(args);

	for (*at = first; *at < n; ++*at)
		if (names_guest(domu_args_arg(args, *at), domu_args_get(args, *at)))
			return domu_args_get(args, *at);
	for (*at = first; *at < n; ++*at) {
		const struct domu_arg *arg = domu_args_arg(args, *at);

		if (arg != NULL && arg->type == ARG_GUEST_PATH)
			return domu_args_get(args, *at);
	}
	return NULL;
}

/* The operands from first on that are of one guest: *end is the first of another. */
static int one_group(struct exec *e, const struct domu_args *args, const char *guest, size_t from, size_t *end)
{
	size_t n = domu_args_count(args);

	for (*end = from; *end < n; ++*end) {
		const char *word = domu_args_get(args, *end);
		bool same = true;
		int rc = 0;

		if (names_guest(domu_args_arg(args, *end), word))
			rc = same_guest(e->app->ctx, guest, word, &same);
		if (rc != 0)
			return rc;
		if (!same)
			break;
	}
	return 0;
}

static int run_group(struct exec *e, const struct domu_args *all, size_t first, size_t n, const char *guest)
{
	struct domu_args *args = NULL;
	int argc, rc;
	char **words = domu_args_words(all, first, n, &argc);

	if (words == NULL)
		return domu_nomem(e->app->ctx);
	rc = domu_args_parse(e->app->ctx, e->c, argc, words, e->no_guest, &args);
	if (rc == 0)
		rc = run_on_guest(e, args, guest);
	e->run.args = all;
	domu_words_free(words);
	domu_args_free(args);
	return rc;
}

static bool names(const char *message, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = message; (p = strstr(p, name)) != NULL; p++)
		if ((p == message || p[-1] == ' ' || p[-1] == '\'') && (p[n] == ' ' || p[n] == ':' || p[n] == '\''))
			return true;
	return false;
}

/* Of several guests, a failure says whose it is. */
static void say_whose(struct domu_ctx *ctx, const char *word)
{
	const char *path = strstr(word, ":/");
	int n = path != NULL ? (int)(path - word) : (int)strlen(word);
	char *name = NULL, *whole = NULL;

	if (ctx->error.message == NULL || asprintf(&name, "%.*s", n, word) < 0)
		return;
	if (!names(ctx->error.message, name) && asprintf(&whole, "%s: %s", name, ctx->error.message) >= 0) {
		free(ctx->error.message);
		ctx->error.message = whole;
	}
	free(name);
}

/* One that is in use, or cannot be read, does not keep the others from being read: the first failure is the result. */
static int run_groups(struct exec *e, const struct domu_args *args)
{
	struct domu_ctx *ctx = e->app->ctx;
	struct domu_error first = { 0 };
	size_t n = domu_args_count(args), end;
	int result = 0;

	for (size_t at = 0; at < n; at = end) {
		size_t named;
		const char *guest = find_guest(args, at, &named);
		int rc = one_group(e, args, guest, named, &end);

		if (rc != 0)
			end = n;
		else
			rc = run_group(e, args, at, end - at, guest);
		if (rc == 0)
			continue;
		if (rc == -EINTR || rc == -ESHUTDOWN || domu_error_status(ctx) == DOMU_USAGE)
			end = n;
		else
			say_whose(ctx, guest);
		if (result != 0) {
			domu_say(ctx, DOMU_WARNING, "%s", ctx->error.message != NULL ? ctx->error.message : "failed");
			domu_error_clear(ctx);
			continue;
		}
		result = rc;
		first = ctx->error;
		memset(&ctx->error, 0, sizeof ctx->error);
	}
	if (result != 0) {
		domu_error_clear(ctx);
		ctx->error = first;
	}
	return result;
}

/* Operands of several guests: one after the other, each in its own session. */
static int run_guests(struct exec *e, struct domu_args *args)
{
	size_t n = domu_args_count(args), at, end;
	const char *guest = find_guest(args, 0, &at);
	int rc;

	if (guest == NULL)
		return run_on_guest(e, args, NULL);
	rc = one_group(e, args, guest, at, &end);
	if (rc != 0)
		return rc;
	if (end == n)
		return run_on_guest(e, args, guest);
	if ((e->needs & NEED_WRITE) != 0 || (e->c->front != NULL && (e->needs & ANY_FOUND) == 0))
		return domu_fail(e->app->ctx, DOMU_USAGE, -EINVAL, "%s works on one guest at a time, not on %s and %s",
		                 e->c->name, guest, domu_args_get(args, end));
	e->run.many = true;
	return run_groups(e, args);
}

/* --config or --disk say which guest; does the first operand name it all the same (web1, :/path)? */
static int named_anyway(struct exec *e, const struct domu_args *args, bool *named)
{
	const struct domu_arg *arg = domu_args_arg(args, 0);
	const char *word = domu_args_get(args, 0);
	struct domu_guest *g = NULL;
	struct domu_target t = { 0 };
	struct domu_where where;
	int rc = 0;

	*named = false;
	for (size_t i = 0; i < domu_args_count(args); i++)
		*named = *named || strstr(domu_args_get(args, i), ":/") != NULL;
	if (*named || word == NULL || arg == NULL || (arg->type != ARG_GUEST && arg->type != ARG_GUEST_DIR))
		return 0;
	rc = domu_target_parse(e->app->ctx, word, true, &t);
	if (rc == 0)
		rc = domu_app_where(e->app, &e->app->globals, &where);
	if (rc == 0)
		rc = domu_guest_find(e->app->ctx, &where, NULL, &g);
	if (rc == 0)
		*named = *t.guest == '\0' || (g->name != NULL && strcmp(g->name, t.guest) == 0);
	domu_guest_free(g);
	domu_target_free(&t);
	return rc;
}

static int parse(struct exec *e, int argc, char *const *argv, struct domu_args **args)
{
	const struct domu_globals *g = &e->app->globals;
	struct domu_ctx *ctx = e->app->ctx;
	bool given = g->config != NULL || (g->disks != NULL && g->disks[0] != NULL), named = false;
	int rc = domu_args_parse(ctx, e->c, argc, argv, e->no_guest, args);

	if (e->no_guest || !given || (e->needs & NEED_GUEST) == 0)
		return rc;
	if (rc == 0) {
		rc = named_anyway(e, *args, &named);
		if (rc != 0 || named)
			return rc;
	}
	domu_args_free(*args);
	*args = NULL;
	domu_error_clear(ctx);
	e->no_guest = true;
	return domu_args_parse(ctx, e->c, argc, argv, true, args);
}

/* The shell's guest may have been started meanwhile.  What changes something is refused where that begins. */
static int still_readable(struct exec *e)
{
	const unsigned needs = e->needs;
	int rc;

	if ((needs & (NEED_GUEST | NEED_MANY)) == 0 || (needs & (NEED_WRITE | NEED_STAGE | SHELL_ONLY)) != 0)
		return 0;
	rc = domu_session_readable(e->app->session, false);
	if ((needs & NEED_LOOK) == 0)
		return rc;
	domu_error_clear(e->app->ctx);
	return 0;
}

static int dispatch(struct exec *e, struct domu_args *args)
{
	struct domu_app *app = e->app;
	bool session = (e->needs & NEED_GUEST) != 0 && (e->needs & NEED_MANY) == 0;
	int rc;

	if (domu_args_yes(args))
		app->globals.yes = true;
	/* The shell opened its session for reading. */
	rc = e->in_shell && session ? domu_app_limits(app, e->needs) : 0;
	if (rc == 0 && e->in_shell)
		rc = still_readable(e);
	if (rc != 0)
		return rc;
	if (e->in_shell && session)
		return run_staged(e, args, app->session, domu_guest_shown(domu_session_guest(app->session)), app->use);
	if (!session)
		return run_now(e, args, e->in_shell ? app->session : NULL, NULL, e->in_shell ? app->use : NULL);
	return e->no_guest ? run_on_guest(e, args, NULL) : run_guests(e, args);
}

/* ---- the end ------------------------------------------------------------------------ */

static int fsck_status(enum domu_status status)
{
	switch (status) {
	case DOMU_OK:
		return 0;
	case DOMU_USAGE:
		return 16;
	case DOMU_DECLINED:
		return 32;
	default:
		return 8;
	}
}

static int end_status(struct exec *e, int rc)
{
	struct domu_ctx *ctx = e->app->ctx;
	int status;

	if (rc == 0)
		return e->exit_status > 0 ? e->exit_status : 0;
	status = (int)domu_error_status(ctx);
	/* The reader of a pipe went away: it has what it wanted. */
	if (!e->app->globals.json && (ctx->error.err != -ESHUTDOWN || status != DOMU_FAILED))
		domu_app_print(e->app, "", ctx->error.message != NULL ? ctx->error.message : "failed");
	if ((e->needs & FSCK_STATUS) != 0)
		return (e->exit_status > 0 ? e->exit_status : 0) | fsck_status((enum domu_status)status);
	return e->exit_status > 0 && (e->needs & ANY_FOUND) == 0 ? e->exit_status : status;
}

static int run_command(struct exec *e, int argc, char *const *argv)
{
	struct domu_app *app = e->app;
	const struct domu_out_opts opts = {
		.command = e->c->name,
		.columns = e->c->columns,
		.json_key = e->c->json_key,
		.layout = e->c->layout,
		.user = &e->run,
		.file = app->out,
		.json = app->globals.json,
		.tty = isatty(fileno(app->out)) == 1,
		.width = domu_app_width(fileno(app->out)),
	};
	struct domu_out *before = app->rows;
	struct domu_args *args = NULL;
	int rc = domu_out_open(app->ctx, &opts, &e->out), r;

	e->run = (struct domu_run){ .ctx = app->ctx,
		                    .cmd = e->c,
		                    .globals = &app->globals,
		                    .in_shell = e->in_shell,
		                    .out = e->out,
		                    .cwd = e->in_shell && app->cwd != NULL ? app->cwd : "/",
		                    .in_fd = -1,
		                    .out_fd = -1,
		                    .app = app,
		                    .exit_status = -1 };
	app->rows = e->out;
	if (rc == 0)
		rc = parse(e, argc, argv, &args);
	if (rc == 0 && e->c->more_needs != NULL)
		rc = e->c->more_needs(app->ctx, args, &e->needs);
	e->run.args = args;
	e->run.no_guest = e->no_guest;
	if (rc == 0)
		rc = dispatch(e, args);
	if (rc == 0 && (e->needs & OWN_OUTPUT) != 0)
		domu_out_silent(e->out);
	r = domu_out_close(e->out, rc != 0 ? &app->ctx->error : NULL);
	rc = rc != 0 ? rc : r;
	domu_args_free(args);
	app->rows = before;
	return end_status(e, rc);
}

static int exec_with(struct domu_app *app, const struct domu_command *c, int argc, char **argv, bool in_shell)
{
	struct exec e = {
		.app = app, .c = c, .needs = c->needs, .in_shell = in_shell, .no_guest = in_shell, .exit_status = -1
	};

	if (domu_globals_take(app->ctx, &app->globals, c, &argc, argv) != 0)
		return domu_app_failure(app, c->name);
	if (app->globals.help) {
		domu_help_command(app->out, c, in_shell);
		return DOMU_OK;
	}
	if (app->globals.version) {
		fprintf(app->out, "%s\n", PACKAGE_STRING);
		return DOMU_OK;
	}
	if ((c->needs & (in_shell ? CLI_ONLY : SHELL_ONLY)) != 0) {
		domu_fail(app->ctx, DOMU_USAGE, -EINVAL, "%s is a command %s the shell only", c->name,
		          in_shell ? "outside" : "of");
		return domu_app_failure(app, c->name);
	}
	return run_command(&e, argc, argv);
}

int domu_app_exec(struct domu_app *app, int argc, char *const *argv, bool in_shell)
{
	const struct domu_command *c = domu_command_find(argv[0]);
	struct domu_globals kept = app->globals;
	char **words;
	int status;

	domu_error_clear(app->ctx);
	if (c == NULL) {
		bool turned = !in_shell && argc > 1 && domu_command_find(argv[1]) != NULL;

		domu_fail(app->ctx, DOMU_USAGE, -EINVAL, "there is no command %s%s%s%s%s; see %s", argv[0],
		          turned ? " (the command comes first: domu-rescue " : "", turned ? argv[1] : "",
		          turned ? " GUEST" : "", turned ? ")" : "", in_shell ? "help" : "domu-rescue help");
		return domu_app_failure(app, argv[0]);
	}
	words = calloc((size_t)argc + 1, sizeof *words);
	if (words == NULL || domu_globals_copy(app->ctx, &kept, &app->globals) != 0) {
		free(words);
		app->globals = kept;
		return DOMU_FAILED;
	}
	memcpy(words, argv, (size_t)argc * sizeof *words);
	status = exec_with(app, c, argc, words, in_shell);
	domu_globals_free(&app->globals);
	app->globals = kept;
	free(words);
	return status;
}

int domu_app_run(struct domu_app *app, int argc, char *const *argv)
{
	return domu_app_exec(app, argc, argv, app->session != NULL);
}
