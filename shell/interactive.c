/* SPDX-License-Identifier: GPL-3.0-or-later */
/* interactive.c - a person at the shell: prompt, history, keys, and the questions before and after. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/num.h"
#include "shell/lib-readline.h"
#include "shell/shell.h"

DOMU_LIB_DEFINE(readline, DOMU_READLINE_CALLS, READLINE_SONAME);

#define HISTORY_LINES 1000

/* readline(3) has one state a process and no pointer for its user. */
static struct {
	struct domu_app *app;
	char *line; /* what was typed; NULL with done: the end of input */
	bool done;
} rl;

/* ---- completion ------------------------------------------------------------------------- */

static size_t common(char *const *v, size_t n)
{
	size_t len = strlen(v[0]);

	for (size_t i = 1; i < n; i++) {
		size_t k = 0;

		while (k < len && v[i][k] == v[0][k])
			k++;
		len = k;
	}
	/* Not in the middle of a UTF-8 sequence. */
	while (len > 0 && ((unsigned char)v[0][len] & 0xc0) == 0x80)
		len--;
	return len;
}

static char **to_matches(struct domu_candidates *c)
{
	char **m = calloc(c->n + 2, sizeof *m);
	size_t skip = c->quote != 0 ? 1 : 0, len;

	if (m == NULL || c->n == 0) {
		free(m);
		return NULL;
	}
	len = common(c->v, c->n);
	m[0] = strndup(c->v[0] + skip, len > skip ? len - skip : 0);
	for (size_t i = 0; c->n > 1 && i < c->n; i++)
		m[i + 1] = strdup(c->v[i] + skip);
	return m;
}

static char **complete(const char *text, int start, int end)
{
	struct domu_candidates c = { 0 };
	char *line = strndup(rl_line_buffer, (size_t)end), **m = NULL;
	int rc;

	(void)text;
	/* Nothing of readline's own: it would look for files of the host. */
	rl_attempted_completion_over = 1;
	rl.app->mute = true;
	rc = line != NULL ? domu_complete(rl.app, line, &c) : -ENOMEM;
	rl.app->mute = false;
	if (rc == 0 && c.start + (c.quote != 0) == (size_t)start)
		m = to_matches(&c);
	if (m != NULL && m[1] == NULL && m[0][0] != '\0' && m[0][strlen(m[0]) - 1] == '/') {
		rl_completion_suppress_append = 1;
		rl_completion_suppress_quote = 1;
	}
	domu_candidates_free(&c);
	free(line);
	return m;
}

static int is_quoted(char *text, int at)
{
	int n = 0;

	while (at > n && text[at - n - 1] == '\\')
		n++;
	return n & 1;
}

/* A list of paths shows last components. */
static void show_matches(char **matches, int n, int longest)
{
	char **shown = calloc((size_t)n + 2, sizeof *shown);

	for (int i = 0; shown != NULL && i <= n; i++) {
		const char *name = matches[i];

		for (const char *p = matches[i]; *p != '\0'; p++)
			if (*p == '/' && p[1] != '\0')
				name = p + 1;
		shown[i] = (char *)name;
	}
	if (shown != NULL)
		rl_display_match_list(shown, n, longest);
	free(shown);
	rl_forced_update_display();
}

/* ---- reading a line ------------------------------------------------------------------------ */

static void take(char *line)
{
	rl.line = line;
	rl.done = true;
	rl_callback_handler_remove();
}

static char *prompt_text(struct domu_app *app)
{
	struct domu_session *s = app->session;
	const char *guest = domu_guest_shown(domu_session_guest(s));
	bool dirty = domu_session_staging(s) && domu_session_dirty(s);
	char *name = domu_escape(guest, strlen(guest), false), *cwd = domu_escape(app->cwd, strlen(app->cwd), false);
	char *use = app->use != NULL ? domu_escape(app->use, strlen(app->use), false) : NULL, *text;

	if (asprintf(&text, "%s%s%s:%s%s%s> ", name != NULL ? name : "?", use != NULL ? "@" : "",
	             use != NULL ? use : "", cwd != NULL ? cwd : "?", domu_session_taken(s) ? " (read-only)" : "",
	             dirty ? "*" : "") < 0)
		text = NULL;
	free(name);
	free(cwd);
	free(use);
	return text;
}

/* The guest may have been started: that is said above the line that is being typed, which stays. */
static void look_out(struct domu_app *app, bool first)
{
	char *text = domu_session_watch(app->session), *prompt;

	if (text == NULL)
		return;
	rl_clear_visible_line();
	fflush(rl_outstream);
	domu_app_print(app, "warning: ", text);
	free(text);
	prompt = first ? prompt_text(app) : NULL;
	if (prompt != NULL)
		rl_set_prompt(prompt);
	free(prompt);
	rl_on_new_line();
	rl_redisplay();
}

/*
 * Waits for a key or a signal: signals come only here, so none is missed.  False: a signal, or something else came.
 * first: what is typed is the first line of a command.
 */
static bool wait_key(struct domu_app *app, bool first)
{
	struct pollfd p[1 + DOMU_WATCH_MAX] = { { .fd = STDIN_FILENO, .events = POLLIN } };
	int fds[DOMU_WATCH_MAX], n = 0;
	size_t n_fds = domu_session_watch_fds(app->session, fds);
	sigset_t block, old;

	for (size_t i = 0; i < n_fds; i++)
		p[1 + i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGHUP);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &old);
	if (*app->signal == 0)
		n = ppoll(p, 1 + n_fds, NULL, &old);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (*app->signal != 0 || (n < 0 && errno == EINTR))
		return false;
	if (n < 0 || p[0].revents != 0)
		return true;
	look_out(app, first);
	return false;
}

enum answer { LINE, AGAIN, END };

static enum answer read_line(struct domu_app *app, const char *prompt, bool first, char **line)
{
	rl.done = false;
	rl.line = NULL;
	rl_callback_handler_install(prompt, take);
	while (!rl.done && *app->signal == 0)
		if (wait_key(app, first))
			rl_callback_read_char();
	if (!rl.done) {
		rl_callback_sigcleanup();
		rl_callback_handler_remove();
		fputs(*app->signal == SIGINT ? "^C\n" : "\n", rl_outstream);
		if (*app->signal != SIGINT)
			return END;
		*app->signal = 0;
		return AGAIN;
	}
	*line = rl.line;
	if (rl.line == NULL)
		fputc('\n', rl_outstream);
	return rl.line != NULL ? LINE : END;
}

/* Lines until quotes are closed.  END: the end of input, or a hangup. */
static enum answer read_command(struct domu_app *app, struct domu_line *parsed)
{
	char *text = NULL, *prompt = prompt_text(app), *line, *joined;
	enum answer a;
	int rc;

	for (;;) {
		a = read_line(app, text == NULL && prompt != NULL ? prompt : "> ", text == NULL, &line);
		if (a != LINE)
			break;
		if (asprintf(&joined, "%s%s%s", text != NULL ? text : "", text != NULL ? "\n" : "", line) < 0)
			joined = NULL;
		free(line);
		free(text);
		text = joined;
		rc = text != NULL ? domu_line_parse(app->ctx, text, parsed) : domu_nomem(app->ctx);
		if (rc == -EAGAIN)
			continue;
		if (text != NULL && text[strspn(text, " \t")] != '\0' && text[0] != ' ')
			add_history(text);
		if (rc != 0) {
			domu_app_failure(app, "shell");
			domu_error_clear(app->ctx);
			a = AGAIN;
		}
		break;
	}
	free(prompt);
	free(text);
	return a;
}

/* ---- history ----------------------------------------------------------------------------------- */

static char *history_path(void)
{
	const char *home = getenv("HOME");
	char *path;

	if (home == NULL || *home != '/' || asprintf(&path, "%s/.domu_rescue_history", home) < 0)
		return NULL;
	return path;
}

static void start_readline(struct domu_app *app, const char *history)
{
	rl.app = app;
	rl_readline_name = "domu-rescue";
	rl_catch_signals = 0;
	/* They come in their order. */
	rl_sort_completion_matches = 0;
	rl_outstream = isatty(STDOUT_FILENO) == 1 ? stdout : stderr;
	rl_attempted_completion_function = complete;
	rl_completer_quote_characters = "'\"";
	rl_completer_word_break_characters = (char *)" \t\n;|<>";
	rl_char_is_quoted_p = is_quoted;
	rl_completion_display_matches_hook = show_matches;
	rl_variable_bind("enable-bracketed-paste", "off");
	using_history();
	stifle_history(HISTORY_LINES);
	if (history != NULL)
		read_history(history);
}

static void save_history(const char *history)
{
	mode_t old = umask(077);

	if (history != NULL && write_history(history) == 0)
		chmod(history, 0600);
	umask(old);
	clear_history();
}

/* ---- questions ------------------------------------------------------------------------------------ */

static const char *why(const struct domu_app *app)
{
	return app->ctx->error.message != NULL ? app->ctx->error.message : "it cannot be looked at";
}

/* Whose it is, of when, how much, and whether it is of use.  True: it can be committed. */
static bool say_stage(struct domu_app *app, const struct domu_commit_info *ci, uint64_t blocks)
{
	bool fits = domu_session_fits(app->session) == 0;
	char age[DOMU_AGE_TEXT];

	domu_age_format(time(NULL) - ci->time, age);
	domu_say(app->ctx, DOMU_WARNING, "a stage of %s, begun %s ago, holds changes (%llu block%s)%s%s",
	         ci->owner != NULL ? ci->owner : "somebody", age, (unsigned long long)blocks, blocks == 1 ? "" : "s",
	         fits ? ". The disk is as it was: they can be committed" : "; ", fits ? "" : why(app));
	domu_error_clear(app->ctx);
	return fits;
}

/* The stage is open; what is not resumed is left or dropped. */
static int ask_about(struct domu_app *app, const struct domu_commit_info *ci, uint64_t blocks)
{
	static const char *const words[] = { "resume", "keep", "drop", NULL };
	static const char *const looks[] = { "diff", "keep", "drop", NULL };
	char *diff[] = { (char *)"diff", NULL };
	bool fits = say_stage(app, ci, blocks);
	int answer;

	for (;;) {
		answer = domu_app_choose(app, fits ? "Resume, keep or drop it?" : "Diff, keep or drop it?",
		                         fits ? words : looks, 1);
		if (answer != 0 || fits)
			break;
		domu_app_exec(app, 1, diff, true);
	}
	if (answer == 2)
		return domu_session_rollback(app->session);
	return answer == 1 ? domu_session_keep(app->session) : 0;
}

int domu_shell_offer(struct domu_app *app)
{
	struct domu_session *s = app->session;
	struct domu_commit_info ci = { 0 };
	uint64_t blocks;
	int rc = domu_session_find_stage(s, &ci);

	if (rc == 0 && ci.id[0] != '\0')
		rc = domu_session_resume(s, &ci);
	if (rc == 0 && domu_session_staging(s)) {
		rc = domu_session_staged(s, &blocks);
		if (rc != 0 || blocks > 0)
			rc = ask_about(app, &ci, blocks);
		else
			rc = domu_session_rollback(s);
	}
	domu_commit_info_free(&ci);
	return rc;
}

/* Who has the guest is said before anything is typed; what an earlier session left is asked about. */
static void greet(struct domu_app *app)
{
	const char *held = domu_session_held(app->session);

	if (held != NULL) {
		domu_say(app->ctx, DOMU_WARNING, "this shell only reads, without what is staged there: %s", held);
		return;
	}
	/* A guest that is read while it runs has no use for a stage. */
	if (!app->globals.live && domu_shell_offer(app) != 0) {
		domu_app_failure(app, "shell");
		domu_error_clear(app->ctx);
	}
}

/* True: the shell may end. */
static bool leave(struct domu_shell *sh)
{
	static const char *const words[] = { "commit", "diff", "keep", "drop", NULL };
	static const char *const commands[] = { "commit", "diff", NULL, "rollback" };
	struct domu_app *app = sh->app;

	while (domu_session_staging(app->session) && domu_session_dirty(app->session)) {
		int answer =
		    *app->signal != 0
		        ? 2
		        : domu_app_choose(app, "There are staged changes: commit, diff, keep or drop them?", words, 2);
		char *argv[] = { (char *)commands[answer], NULL };

		if (answer == 2) {
			domu_say(app->ctx, DOMU_INFO,
			         "%s: what is staged is kept, and offered when domu-rescue opens it again",
			         domu_guest_shown(domu_session_guest(app->session)));
			return true;
		}
		if (domu_app_exec(app, 1, argv, true) != 0 && answer != 1)
			return false;
	}
	return true;
}

int domu_shell_interactive(struct domu_shell *sh)
{
	struct domu_app *app = sh->app;
	char *history = history_path();
	bool end = false;
	int rc = domu_lib_load(app->ctx, &domu_lib_readline);

	if (rc != 0) {
		free(history);
		return rc;
	}
	greet(app);
	start_readline(app, history);
	while (!end) {
		struct domu_line line;
		enum answer a = read_command(app, &line);

		if (a == LINE) {
			domu_shell_line(sh, &line);
			domu_line_free(&line);
		}
		end = a == END || app->quit || *app->signal != 0;
		if (end)
			end = leave(sh) || a == END;
		app->quit = false;
	}
	save_history(history);
	free(history);
	/* What a signal ended is kept, and that is done in order. */
	*app->signal = 0;
	sh->status = 0;
	return 0;
}
