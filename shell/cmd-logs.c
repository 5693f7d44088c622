/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-logs.c - logs: what a guest last said: its journal or syslog, its dmesg, and what the Dom0 saw on its console. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "shell/cmd.h"
#include "shell/fmt.h"
#include "shell/logs.h"
#include "task/tar.h"

#define TAIL_BYTES  (1u << 20) /* lines are looked for in the last of a console's log */
#define MAX_LINES   100000u
#define LATEST      (INT64_MAX / 1000000) /* more seconds are no time of a journal */
#define CONSOLE_DIR "/var/log/xen/console"

struct wanted {
	struct domu_logs_want of; /* of the journal */
	char *unit; /* with its suffix; the caller frees */
	bool journal_only;
};

static int take_lines(struct domu_run *r, struct wanted *w)
{
	const char *text = domu_args_value(r->args, "lines");
	char *end;

	/* As journalctl: all since then, unless it is said how many. */
	w->of.lines = domu_args_value(r->args, "since") != NULL ? MAX_LINES : 50;
	if (text == NULL)
		return 0;
	errno = 0;
	w->of.lines = strtoull(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || w->of.lines > MAX_LINES)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "logs: -n %s: a number of lines, at most %u", text,
		                 MAX_LINES);
	return 0;
}

/* --since and --until, in microseconds. */
static int take_time(struct domu_run *r, const char *option, uint64_t *t)
{
	const char *text = domu_args_value(r->args, option);
	struct timespec when;

	if (text == NULL)
		return 0;
	if (!domu_when(text, time(NULL), DOMU_WHEN_SYSTEMD, &when) || when.tv_sec > LATEST)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
		                 "logs: --%s '%s': a time is '2024-05-01 12:30', 12:30, -1h30min, '2 weeks ago', "
		                 "'yesterday 14:00'",
		                 option, text);
	*t = when.tv_sec > 0 ? (uint64_t)when.tv_sec * 1000000 + (uint64_t)when.tv_nsec / 1000 : 0;
	return 0;
}

static int take_options(struct domu_run *r, struct wanted *w)
{
	const char *unit = domu_args_value(r->args, "unit");
	bool times = domu_args_flag(r->args, "since") || domu_args_flag(r->args, "until");
	int rc;

	*w = (struct wanted){ .of.kernel = domu_args_flag(r->args, "dmesg"),
		              .of.until = UINT64_MAX,
		              .journal_only = times || unit != NULL };
	rc = take_lines(r, w);
	if (rc == 0)
		rc = take_time(r, "since", &w->of.since);
	if (rc == 0)
		rc = take_time(r, "until", &w->of.until);
	if (rc == 0 && w->of.since > w->of.until)
		rc = domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "logs: --since is later than --until");
	if (rc != 0)
		return rc;
	if (unit != NULL && asprintf(&w->unit, "%s%s", unit, strchr(unit, '.') == NULL ? ".service" : "") < 0) {
		w->unit = NULL;
		return domu_nomem(r->ctx);
	}
	w->of.unit = w->unit;
	return 0;
}

/* ---- in the worker: the guest's own --------------------------------------------------------- */

int domu_logs_heading(struct domu_run *r, const char *what)
{
	char line[300];
	int n = snprintf(line, sizeof line, "==> %s <==\n", what);

	return domu_run_write(r, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

static const char *const system_logs[] = { "/var/log/syslog", "/var/log/messages", "/var/log/syslog.1",
	                                   "/var/log/messages.1", NULL };
static const char *const kernel_logs[] = { "/var/log/dmesg", "/var/log/kern.log", NULL };

/* "23:00" is of today, also in the morning. */
static void tell_empty(struct domu_run *r, const struct wanted *w)
{
	char when[DOMU_TIME_TEXT];

	domu_time_full((struct timespec){ .tv_sec = (time_t)(w->of.since / 1000000) }, when);
	if (w->of.since / 1000000 > (uint64_t)time(NULL))
		domu_say(r->ctx, DOMU_INFO, "the journal has nothing of that: %.19s is yet to come", when);
	else
		domu_say(r->ctx, DOMU_INFO, "the journal has nothing of that");
}

/* A guest that has both writes the same to both, unless one was turned off since: the newer one counts. */
static int print_system(struct domu_run *r, struct domu_tree *t, const struct wanted *w, bool *any)
{
	struct domu_path *where = malloc(sizeof *where);
	struct domu_journal *j = NULL;
	time_t text = 0;
	bool empty = false;
	int rc = where != NULL ? domu_journal_open(r, t, &w->of, &j) : domu_nomem(r->ctx);

	for (size_t i = 0; rc == 0 && i < 2; i++) {
		rc = domu_logs_find(r, t, system_logs[i], where);
		if (rc == 0 && where->ino != 0 && where->st.mtime.tv_sec > text)
			text = where->st.mtime.tv_sec;
	}
	if (rc == 0 && (w->journal_only || w->of.kernel)) {
		*any = domu_journal_is_there(j);
		if (*any)
			rc = domu_journal_print(j, &empty);
		if (rc == 0 && empty)
			tell_empty(r, w);
	} else if (rc == 0 && domu_journal_newest(j) != 0 && domu_journal_newest(j) + 60 >= text) {
		*any = true;
		rc = domu_journal_print(j, &empty);
	} else if (rc == 0) {
		rc = domu_logs_print_first(r, t, system_logs, w->of.lines, any);
	}
	domu_journal_free(j);
	free(where);
	return rc;
}

static int worker(struct domu_run *r)
{
	struct domu_tree *t;
	struct wanted w;
	bool any = false;
	int rc = take_options(r, &w);

	if (rc == 0)
		rc = domu_work_tree(r->work, r->use, &t);
	if (rc == 0)
		rc = print_system(r, t, &w, &any);
	if (rc == 0 && w.journal_only && !any)
		rc = domu_fail(r->ctx, DOMU_NOTFOUND, -ENOENT,
		               "%s has no journal, and only that knows units and times: domu-rescue logs %s", r->guest,
		               r->guest);
	if (rc == 0 && !w.journal_only && !(w.of.kernel && any))
		rc = domu_logs_print_first(r, t, kernel_logs, w.of.lines, &any);
	free(w.unit);
	if (rc == 0 && !any)
		r->exit_status = DOMU_NOTFOUND;
	return rc;
}

/* ---- in the front: the Dom0's ------------------------------------------------------------------ */

static int print_console(struct domu_run *r, const char *path, int fd, uint64_t size, uint64_t lines)
{
	uint64_t offset = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
	char *buf = malloc(TAIL_BYTES), *heading = NULL;
	uint64_t found;
	ssize_t n;
	size_t from;
	int rc = buf != NULL && asprintf(&heading, "==> %s (on this host) <==\n", path) >= 0 ? 0 : domu_nomem(r->ctx);

	n = rc == 0 ? pread(fd, buf, TAIL_BYTES, (off_t)offset) : 0;
	if (n < 0)
		rc = domu_fail(r->ctx, DOMU_FAILED, -errno, "%s: %s", path, strerror(errno));
	if (rc == 0)
		rc = domu_out_data(r->out, heading, strlen(heading));
	if (rc == 0) {
		from = domu_logs_last_lines(buf, (size_t)n, lines, &found);
		rc = domu_out_data(r->out, buf + from, (size_t)n - from);
	}
	if (rc == 0 && n > 0 && buf[n - 1] != '\n')
		rc = domu_out_data(r->out, "\n", 1);
	free(heading);
	free(buf);
	return rc;
}

/* What xenconsoled keeps, where it does. */
static int console(struct domu_run *r, uint64_t lines, bool *any)
{
	const struct domu_guest *g = domu_session_guest(r->session);
	const char *dir = getenv("DOMU_RESCUE_CONSOLE_DIR");
	struct stat st;
	char *path;
	int fd, rc = 0;

	if (g->name == NULL || strchr(g->name, '/') != NULL)
		return 0;
	if (asprintf(&path, "%s/guest-%s.log", dir != NULL ? dir : CONSOLE_DIR, g->name) < 0)
		return domu_nomem(r->ctx);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		*any = true;
		rc = print_console(r, path, fd, (uint64_t)st.st_size, lines);
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

/* For the worker, which cannot load it any more; without it what is compressed is said to be so. */
static int load_expander(struct domu_run *r)
{
	if (domu_tar_lib_is_loaded())
		return 0;
	if (domu_tar_lib(r->ctx) == 0)
		return domu_session_renew(r->session);
	domu_error_clear(r->ctx);
	return 0;
}

static int run(struct domu_run *r)
{
	struct domu_error first;
	struct wanted w;
	bool any = false;
	int rc = take_options(r, &w), r2;

	free(w.unit);
	if (rc != 0)
		return rc;
	rc = load_expander(r);
	if (rc == 0)
		rc = domu_run_in_worker(r, r->session);
	any = rc == 0 && r->exit_status != DOMU_NOTFOUND;
	if (r->exit_status == DOMU_NOTFOUND)
		r->exit_status = -1;
	/* A guest whose disk cannot be read may still have said why. */
	first = domu_error_take(r->ctx);
	r2 = rc != -EINTR && rc != -ESHUTDOWN && !w.journal_only && !w.of.kernel ? console(r, w.of.lines, &any) : 0;
	if (rc != 0) {
		domu_error_put_back(r->ctx, first);
		return rc;
	}
	if (r2 == 0 && !any)
		return domu_fail(
		    r->ctx, DOMU_NOTFOUND, -ENOENT,
		    "%s has no logs: no journal, syslog, messages or dmesg in /var/log, and no console log", r->guest);
	return r2;
}

static const struct domu_arg args[] = { { "GUEST", ARG_GUEST, COUNT_ONE }, { 0 } };

static const struct domu_option options[] = {
	{ "lines", 'n', "NUM", "so many lines of each, not 50" },
	{ "unit", 'u', "UNIT", "of the journal what this unit said, and systemd of it" },
	{ "since", 'S', "TIME",
	  "of the journal all since then, at most the last 100000: '2024-05-01 12:30', 12:30, -1h30min, '2 weeks ago', "
	  "'yesterday 14:00'" },
	{ "until", 'U', "TIME", "of the journal nothing later than that" },
	{ "dmesg", 'k', NULL, "only what the kernel said since it was booted last" },
	{ 0 },
};

const struct domu_command domu_cmd_logs = {
	.name = "logs",
	.topic = "looking",
	.summary = "what the guest last said",
	.description =
	    "The last lines of its journal, or of /var/log/syslog or messages where that is newer; of its dmesg or "
	    "kern.log, and where these have fewer lines, of what they were rotated to, compressed or not; and of what "
	    "xenconsoled kept of its console on this host (/var/log/xen/console, or "
	    "DOMU_RESCUE_CONSOLE_DIR). Times of the journal are in the time zone of this host.",
	.args = args,
	.options = options,
	.example = "domu-rescue logs -n 20 web1",
	.needs = NEED_GUEST | GIVES_BYTES,
	.worker = worker,
	.front = run,
};
