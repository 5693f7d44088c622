/* SPDX-License-Identifier: GPL-3.0-or-later */
/* app.c - the program around the commands: messages, questions, progress, guests, sessions, failures. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/escape.h"
#include "shell/app.h"
#include "shell/conffile.h"
#include "shell/owners.h"

#define STATE_DIR "/var/lib/domu-rescue"

/* ---- what the library says --------------------------------------------------- */

static void wipe_progress(struct domu_app *app)
{
	if (app->progress_shown > 0)
		fprintf(stderr, "\r%*s\r", (int)app->progress_shown, "");
	app->progress_shown = 0;
}

void domu_app_print(struct domu_app *app, const char *prefix, const char *text)
{
	char *safe = domu_escape(text, strlen(text), false);

	wipe_progress(app);
	fflush(app->out);
	fprintf(stderr, "domu-rescue: %s%s\n", prefix, safe != NULL ? safe : "out of memory");
	free(safe);
}

static void forget_told(struct domu_app *app)
{
	for (size_t i = 0; i < DOMU_TOLD; i++) {
		free(app->told[i]);
		app->told[i] = NULL;
	}
}

/* Was it said before?  What there is no room for is said again. */
static bool told(struct domu_app *app, const char *text)
{
	size_t i = 0;

	while (i < DOMU_TOLD && app->told[i] != NULL)
		if (strcmp(app->told[i++], text) == 0)
			return true;
	if (i < DOMU_TOLD)
		app->told[i] = strdup(text);
	return false;
}

static void message(void *user, enum domu_level level, const char *text)
{
	struct domu_app *app = user;

	if ((level == DOMU_DEBUG && !app->globals.verbose) || (level == DOMU_INFO && app->globals.quiet))
		return;
	if (app->mute || (level == DOMU_WARNING_ONCE && told(app, text)))
		return;
	domu_app_print(app, level >= DOMU_WARNING ? "warning: " : "", text);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void progress_text(char *line, size_t size, const char *what, uint64_t done, uint64_t total)
{
	char *safe = domu_escape(what, strlen(what), false);

	if (total > 0)
		snprintf(line, size, "%.60s: %3u%%", safe != NULL ? safe : "",
		         (unsigned)(done / (total / 100.0 + 1e-9)));
	else
		snprintf(line, size, "%.50s: %" PRIu64, safe != NULL ? safe : "", done);
	free(safe);
}

static void progress(void *user, const char *what, uint64_t done, uint64_t total)
{
	struct domu_app *app = user;
	bool over = total > 0 && done >= total, lines = app->globals.progress_lines;
	double t = now();
	char line[80];

	if (app->globals.no_progress || app->globals.quiet || (!lines && !app->err_tty))
		return;
	if (!over && t - app->progress_at < (lines ? 1.0 : 0.1))
		return;
	app->progress_at = t;
	if (done > total && total > 0)
		done = total;
	progress_text(line, sizeof line, what, done, total);
	if (lines) {
		fprintf(stderr, "%s\n", line);
		return;
	}
	wipe_progress(app);
	if (over)
		return;
	fputs(line, stderr);
	fflush(stderr);
	app->progress_shown = strlen(line);
}

/* A line from the terminal, byte by byte: what follows it is not ours.  False: end of input or a signal. */
static bool read_line(struct domu_app *app, char *line, size_t size)
{
	size_t n = 0;
	char c;

	for (;;) {
		ssize_t r = read(STDIN_FILENO, &c, 1);

		if (r < 0 && errno == EINTR && *app->signal == 0)
			continue;
		if (r <= 0)
			break;
		if (c == '\n') {
			line[n] = '\0';
			return true;
		}
		if (n + 1 < size)
			line[n++] = c;
	}
	fputc('\n', stderr);
	return false;
}

static void put_question(struct domu_app *app, const char *question, const char *how)
{
	char *safe = domu_escape(question, strlen(question), false);

	wipe_progress(app);
	fflush(app->out);
	fprintf(stderr, "%s %s%s", safe != NULL ? safe : "", how, *how != '\0' ? " " : "");
	fflush(stderr);
	free(safe);
}

static int ask(void *user, const char *question)
{
	struct domu_app *app = user;
	char line[64];

	if (app->globals.yes)
		return 1;
	if (!app->tty)
		return 0;
	put_question(app, question, "[y/N]");
	return read_line(app, line, sizeof line) && (line[0] == 'y' || line[0] == 'Y');
}

static int find_answer(const char *const *words, const char *line)
{
	size_t len = strlen(line);
	int found = -1;

	for (int i = 0; len > 0 && words[i] != NULL; i++) {
		if (strcasecmp(words[i], line) == 0)
			return i;
		if (strncasecmp(words[i], line, len) == 0)
			found = found < 0 ? i : -2;
		if (found == -2)
			break;
	}
	return found < 0 ? -1 : found;
}

int domu_app_choose(struct domu_app *app, const char *question, const char *const *words, int otherwise)
{
	char line[64];

	while (app->tty) {
		int answer;

		put_question(app, question, "");
		if (!read_line(app, line, sizeof line))
			return otherwise;
		answer = find_answer(words, line);
		if (answer >= 0)
			return answer;
	}
	return otherwise;
}

unsigned domu_app_width(int fd)
{
	struct winsize ws;

	return ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 ? ws.ws_col : 0;
}

/* ---- start and end ------------------------------------------------------------ */

void domu_app_init(struct domu_app *app, struct domu_ctx *ctx, volatile sig_atomic_t *signal_flag)
{
	memset(app, 0, sizeof *app);
	domu_ctx_init(ctx);
	ctx->cb = (struct domu_callbacks){ .message = message, .ask = ask, .progress = progress, .user = app };
	ctx->interrupted = signal_flag;
	app->ctx = ctx;
	app->signal = signal_flag;
	app->out = stdout;
	app->err_tty = isatty(STDERR_FILENO) == 1;
	app->tty = app->err_tty && isatty(STDIN_FILENO) == 1;
}

void domu_app_free(struct domu_app *app)
{
	wipe_progress(app);
	domu_state_close(app->state);
	domu_state_close(app->state_readonly);
	domu_globals_free(&app->globals);
	forget_told(app);
	free(app->where_dirs);
	free(app->where_env);
	free(app->command_line);
	free(app->cwd);
	free(app->before);
	free(app->use);
	domu_ctx_free(app->ctx);
}

/* ---- where guests and stages are ------------------------------------------------ */

static int env_dirs(struct domu_app *app, const char *env)
{
	size_t n = 1;

	app->where_env = strdup(env);
	for (const char *p = env; *p != '\0'; p++)
		n += *p == ':';
	app->where_dirs = calloc(n + 1, sizeof *app->where_dirs);
	if (app->where_env == NULL || app->where_dirs == NULL)
		return domu_nomem(app->ctx);
	n = 0;
	for (char *p = app->where_env, *end; p != NULL; p = end) {
		end = strchr(p, ':');
		if (end != NULL)
			*end++ = '\0';
		if (*p != '\0')
			app->where_dirs[n++] = p;
	}
	return 0;
}

int domu_app_where(struct domu_app *app, const struct domu_globals *g, struct domu_where *where)
{
	static const char *const standard[] = { "/etc/xen", "/etc/xen/auto", "/etc/xen/vm", NULL };
	const char *env = getenv("DOMU_RESCUE_CONFIG_DIR");
	int rc = 0;

	*where =
	    (struct domu_where){ .config_dirs = standard, .config = g->config, .disks = g->disks, .format = g->format };
	if (g->config_dirs != NULL) {
		where->config_dirs = g->config_dirs;
	} else if (env != NULL && *env != '\0') {
		if (app->where_dirs == NULL)
			rc = env_dirs(app, env);
		where->config_dirs = (const char *const *)app->where_dirs;
	}
	app->where = *where;
	return rc;
}

static const char *state_dir(const struct domu_app *app)
{
	const char *env = getenv("DOMU_RESCUE_STATE_DIR");

	if (app->globals.state_dir != NULL)
		return app->globals.state_dir;
	return env != NULL && *env != '\0' ? env : STATE_DIR;
}

int domu_app_state(struct domu_app *app, bool write, struct domu_state **st)
{
	/* A session may have the one for reading as long as it lives. */
	struct domu_state **mine = write || app->state != NULL ? &app->state : &app->state_readonly;
	int rc = 0;

	if (*mine == NULL)
		rc = domu_state_open(app->ctx, state_dir(app), !write, mine);
	*st = *mine;
	return rc;
}

/* ---- sessions -------------------------------------------------------------------- */

static int take_rows(void *user, struct domu_msg *m)
{
	struct domu_app *app = user;

	wipe_progress(app);
	return app->rows != NULL ? domu_out_receive(app->rows, m) : -EBADMSG;
}

static int take_data(void *user, const void *bytes, size_t len)
{
	struct domu_app *app = user;

	wipe_progress(app);
	return app->rows != NULL ? domu_out_data(app->rows, bytes, len) : -EBADMSG;
}

int domu_app_limits(struct domu_app *app, unsigned needs)
{
	/* What drops a stage (NEED_LOOK: whatever the disk is) commits nothing. */
	if ((needs & (NEED_WRITE | NEED_STAGE | NEED_STATE)) == 0 || (needs & NEED_LOOK) != 0 || app->retain.count != 0)
		return 0;
	return domu_conffile_load(app->ctx, &app->retain);
}

int domu_app_open(struct domu_app *app, const struct domu_guest *g, const char *use, unsigned needs,
                  struct domu_session **s)
{
	const struct domu_globals *o = &app->globals;
	struct domu_session_opts opts = {
		.ops = domu_worker_ops,
		.live = o->live,
		.engine_guestfs = o->engine != NULL && strcmp(o->engine, "guestfs") == 0,
		.no_appliance = o->engine != NULL && strcmp(o->engine, "ext2fs") == 0,
		.waive = o->waive,
		.no_undo = o->no_undo,
		.dry_run = o->dry_run,
		.undo_dir = o->undo_dir,
		.use = use,
		.command = app->command_line,
		.in_use_ok = (needs & NEED_LOOK) != 0,
		.missing_ok = (needs & NO_DISKS) != 0,
		.changes = (needs & (NEED_WRITE | NEED_STAGE | NEED_STATE)) != 0,
		.watch = (needs & NEED_WATCH) != 0,
		.walks = (needs & (WALKS | NEED_WATCH)) != 0,
		.announce = app->interactive && app->session == NULL,
		.handlers = &app->handlers,
	};
	bool write = (needs & (NEED_WRITE | NEED_STAGE | NEED_STATE)) != 0;
	int rc = domu_app_limits(app, needs);

	app->handlers = (struct domu_worker_handlers){ .rows = take_rows, .data = take_data, .user = app };
	opts.retain = &app->retain;
	forget_told(app);
	if (rc == 0)
		rc = domu_app_state(app, write, &opts.state);
	if (rc == 0)
		rc = domu_session_open(app->ctx, g, &opts, s);
	app->owners_told = false;
	if (rc == 0 && (opts.announce || (needs & NEED_WRITE) != 0) && domu_app_warn_owners(app, *s) != 0) {
		domu_session_close(*s);
		*s = NULL;
		rc = -ENOMEM;
	}
	return rc;
}

int domu_app_session(struct domu_app *app, const char *operand, unsigned needs, struct domu_guest **g,
                     struct domu_session **s)
{
	struct domu_target t = { 0 };
	struct domu_where where;
	int rc = 0;

	*g = NULL;
	*s = NULL;
	if (operand != NULL)
		rc = domu_target_parse(app->ctx, operand, true, &t);
	if (rc == 0)
		rc = domu_app_where(app, &app->globals, &where);
	if (rc == 0)
		rc = domu_guest_find(app->ctx, &where, t.guest, g);
	if (rc == 0)
		rc = domu_app_open(app, *g, t.at, needs, s);
	domu_target_free(&t);
	if (rc != 0) {
		domu_guest_free(*g);
		*g = NULL;
		*s = NULL;
	}
	return rc;
}

static bool find_sealed(struct domu_state *st, const struct domu_guest *g, bool under_way, char id[DOMU_ID_LEN + 1],
                        int64_t *pid)
{
	id[0] = '\0';
	for (size_t i = 0; id[0] == '\0' && i < g->n_disks; i++) {
		struct domu_commit_info *v = NULL;
		size_t n = 0;

		if (g->disks[i].path == NULL || domu_state_list_of(st, g->name, g->disks[i].path, true, &v, &n) != 0)
			continue;
		for (size_t k = 0; k < n && id[0] == '\0'; k++)
			if (v[k].state == DOMU_COMMIT_INTERRUPTED && v[k].under_way == under_way) {
				snprintf(id, DOMU_ID_LEN + 1, "%s", v[k].id);
				*pid = v[k].holder_pid;
			}
		domu_state_list_free(v, n);
	}
	return id[0] != '\0';
}

bool domu_app_due(struct domu_state *st, const struct domu_guest *g, char id[DOMU_ID_LEN + 1])
{
	int64_t pid;

	return find_sealed(st, g, false, id, &pid);
}

bool domu_app_under_way(struct domu_state *st, const struct domu_guest *g, char id[DOMU_ID_LEN + 1], int64_t *pid)
{
	return find_sealed(st, g, true, id, pid);
}

/* ---- failures --------------------------------------------------------------------- */

int domu_app_failure(struct domu_app *app, const char *command)
{
	struct domu_error *e = &app->ctx->error;
	int status = (int)domu_error_status(app->ctx);
	struct domu_out *o;

	if (app->globals.json) {
		const struct domu_out_opts opts = { .command = command, .file = app->out, .json = true };

		if (domu_out_open(app->ctx, &opts, &o) == 0)
			domu_out_close(o, e);
	} else if (e->err != -ESHUTDOWN || status != DOMU_FAILED) {
		domu_app_print(app, "", e->message != NULL ? e->message : "failed");
	}
	return status;
}
