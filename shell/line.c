/* SPDX-License-Identifier: GPL-3.0-or-later */
/* line.c - a line of the shell run: its globs, where its output goes, and what its end means. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "shell/app.h"
#include "shell/shell.h"

struct words {
	char **v;
	size_t n, cap;
};

static int put(struct words *w, const char *text)
{
	if (!DOMU_ARRAY_ROOM(w->v, w->cap, w->n + 2))
		return -ENOMEM;
	w->v[w->n] = strdup(text);
	if (w->v[w->n] == NULL)
		return -ENOMEM;
	w->v[++w->n] = NULL;
	return 0;
}

/* ---- globs ---------------------------------------------------------------------------- */

static bool is_path(const struct domu_arg *arg, const char *text)
{
	if (arg == NULL)
		return false;
	return arg->type == ARG_GUEST_PATH || arg->type == ARG_GUEST_DIR ||
	       (arg->type == ARG_ANY_PATH && strncmp(text, "host:", 5) != 0);
}

/* Which words are paths of the guest: by the command's row, as its parser sees them. */
static void mark_paths(struct domu_app *app, const struct domu_command *cmd, const struct domu_line_command *c,
                       char **plain, bool *path)
{
	struct domu_args *args = NULL;
	size_t k = 0;

	if ((cmd->needs & RAW_ARGS) != 0) {
		for (size_t i = 1; i < c->n && strchr("-(!", plain[i][0]) == NULL; i++)
			path[i] = true;
		return;
	}
	if (domu_args_parse(app->ctx, cmd, (int)c->n, plain, true, &args) != 0) {
		domu_error_clear(app->ctx);
		return;
	}
	for (size_t i = 1; i < c->n && k < domu_args_count(args); i++) {
		if (strcmp(plain[i], domu_args_get(args, k)) != 0)
			continue;
		path[i] = is_path(domu_args_arg(args, k), plain[i]);
		k++;
	}
	domu_args_free(args);
}

bool domu_name_misleads(const struct domu_app *app, const char *name)
{
	const char *guest = domu_guest_shown(domu_session_guest(app->session));

	return strchr("-(!,)", name[0]) != NULL || strncmp(name, "host:", 5) == 0 ||
	       (name[0] != '/' && name[0] != '.' && strstr(name, ":/") != NULL) ||
	       domu_own_path(name, guest, app->use) != name;
}

/* A name that matches is a path, whatever the guest has called it. */
static int put_match(struct domu_app *app, struct words *out, const char *name)
{
	char *path = strdup(name);
	int rc;

	/* Twice: the guest itself may have been named as ./disk.img. */
	for (int i = 0; i < 2 && path != NULL && domu_name_misleads(app, path); i++) {
		char *longer;

		if (asprintf(&longer, "%s%s", path[0] == '/' ? "/." : "./", path) < 0)
			longer = NULL;
		free(path);
		path = longer;
	}
	rc = path != NULL ? put(out, path) : -ENOMEM;
	free(path);
	return rc;
}

static int expand(struct domu_app *app, const struct domu_word *word, struct words *out)
{
	char **names;
	size_t n;
	int rc = domu_paths_glob(app, word->pattern, &names, &n);

	if (rc != 0)
		return rc;
	/* What matches nothing stays as it is: the command says that it is not there. */
	if (n == 0)
		rc = put(out, word->text);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = put_match(app, out, names[i]);
	domu_paths_free(names, n);
	return rc;
}

static int make_words(struct domu_app *app, const struct domu_line_command *c, struct words *out)
{
	const struct domu_command *cmd = domu_command_find(c->words[0].text);
	char **plain = calloc(c->n + 1, sizeof *plain);
	bool *path = calloc(c->n, sizeof *path);
	int rc = plain != NULL && path != NULL ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < c->n; i++)
		plain[i] = c->words[i].text;
	if (rc == 0 && cmd != NULL)
		mark_paths(app, cmd, c, plain, path);
	for (size_t i = 0; rc == 0 && i < c->n; i++) {
		if (path[i] && c->words[i].pattern != NULL)
			rc = expand(app, &c->words[i], out);
		else
			rc = put(out, plain[i]);
	}
	free(plain);
	free(path);
	return rc == -ENOMEM ? domu_nomem(app->ctx) : rc;
}

/* ---- commands --------------------------------------------------------------------------- */

static int host_command(struct domu_shell *sh, const struct domu_line_command *c)
{
	char text[64];
	int status = domu_host_run(sh->app, c->host);

	if (status == 0)
		return 0;
	snprintf(text, sizeof text, "the host's command ended with status %d", status);
	domu_app_print(sh->app, "", text);
	return DOMU_FAILED;
}

/* What came while nobody looked: before anything is made of it. */
static void look_out(struct domu_app *app)
{
	char *text = domu_session_watch(app->session);

	if (text != NULL)
		domu_app_print(app, "warning: ", text);
	free(text);
}

static int guest_command(struct domu_shell *sh, const struct domu_line_command *c)
{
	struct domu_app *app = sh->app;
	struct domu_redirect redirect;
	struct words words = { 0 };
	int status, piped;

	domu_error_clear(app->ctx);
	look_out(app);
	if (make_words(app, c, &words) != 0 || domu_redirect_begin(app, c, &redirect) != 0) {
		status = domu_app_failure(app, c->words[0].text);
	} else {
		status = domu_app_exec(app, (int)words.n, words.v, true);
		/* A reader that had enough is no failure; its own status is what counts. */
		if (c->pipe != NULL && app->ctx->error.err == -ESHUTDOWN)
			status = 0;
		piped = domu_redirect_end(app, &redirect);
		if (status == 0 && piped != 0)
			status = DOMU_FAILED;
	}
	domu_paths_free(words.v, words.n);
	return status;
}

static bool came(struct domu_shell *sh)
{
	struct domu_app *app = sh->app;

	if (*app->signal == SIGINT && app->interactive) {
		*app->signal = 0;
		return true;
	}
	return *app->signal != 0;
}

int domu_shell_line(struct domu_shell *sh, const struct domu_line *line)
{
	int status = 0;

	for (size_t i = 0; i < line->n && !sh->app->quit; i++) {
		const struct domu_line_command *c = &line->v[i];

		status = c->host != NULL ? host_command(sh, c) : guest_command(sh, c);
		if (status != 0) {
			sh->failed = true;
			sh->status = status;
			if (sh->script != NULL && c->line > 0 && !sh->app->globals.quiet)
				domu_say(sh->app->ctx, DOMU_DEBUG, "line %u of %s failed", c->line, sh->script);
		}
		if (came(sh) || (status != 0 && !sh->keep_going && !sh->app->interactive))
			break;
	}
	return status;
}
