/* SPDX-License-Identifier: GPL-3.0-or-later */
/* main.c - the program: signals, global options, and which of command, shell, help it is. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "shell/app.h"
#include "shell/help.h"
#include "shell/shell.h"

static volatile sig_atomic_t came;

static void note(int sig)
{
	came = sig;
}

/* Nothing is ended by a signal: whoever waits sees the flag.  A reader that goes away is a failed write. */
static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGHUP, SIGTERM };
	struct sigaction sa = { .sa_handler = note }, old;

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		/* nohup and background jobs of a shell: what is ignored stays so. */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
	}
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

static char *join(int argc, char *const *argv)
{
	size_t len = 1;
	char *line;

	for (int i = 0; i < argc; i++)
		len += strlen(argv[i]) + 1;
	line = calloc(1, len);
	for (int i = 0, at = 0; line != NULL && i < argc; i++)
		at += snprintf(line + at, len - (size_t)at, "%s%s", i > 0 ? " " : "", argv[i]);
	return line;
}

/* What only builds and completion ask for.  -1: none of it. */
static int hidden(int argc, char *const *argv)
{
	if (argc != 2)
		return -1;
	if (strcmp(argv[1], "--dump-manual") == 0)
		domu_dump_manual(stdout);
	else if (strcmp(argv[1], "--dump-completion") == 0)
		domu_dump_completion(stdout);
	else
		return -1;
	return fflush(stdout) == 0 ? 0 : 1;
}

static int without_command(struct domu_app *app)
{
	if (app->globals.help) {
		domu_help_program(stdout);
		return DOMU_OK;
	}
	if (app->globals.disks != NULL || app->globals.config != NULL) {
		char *const argv[] = { (char *)"shell", NULL };

		return domu_app_run(app, 1, argv);
	}
	domu_fail(app->ctx, DOMU_USAGE, -EINVAL, "a command or a guest is missing; see domu-rescue help");
	return domu_app_failure(app, "");
}

/* -c, and what begins with --: "sed -i ..." is no guest called sed. */
static bool is_option_of(const struct domu_command *c, const char *word)
{
	const struct domu_option *o = c != NULL ? c->options : NULL;

	if (o == NULL || word[0] != '-')
		return false;
	for (; o->name != NULL || o->letter != 0; o++)
		if (o->letter != 0 && o->letter == word[1])
			return true;
	return word[1] == '-';
}

static int run(struct domu_app *app, int argc, char **argv)
{
	if (domu_globals_take(app->ctx, &app->globals, NULL, &argc, argv) != 0)
		return domu_app_failure(app, "");
	if (app->globals.version) {
		puts(PACKAGE_STRING);
		return DOMU_OK;
	}
	if (argc == 0)
		return without_command(app);
	/* "domu-rescue GUEST" is "domu-rescue shell GUEST", unless the guest is called like a command. */
	if (domu_command_find(argv[0]) == NULL &&
	    (argc == 1 || (argc == 2 && argv[1][0] == '-') || is_option_of(domu_command_find("shell"), argv[1]))) {
		char **words = calloc((size_t)argc + 2, sizeof *words);
		int status;

		if (words == NULL)
			return DOMU_FAILED;
		words[0] = (char *)"shell";
		memcpy(words + 1, argv, ((size_t)argc + 1) * sizeof *words);
		status = domu_app_run(app, argc + 1, words);
		free(words);
		return status;
	}
	return domu_app_run(app, argc, argv);
}

/*
 * Whoever started this may have closed one of the three: a disk would get its number, and what is meant for a terminal
 * would go there.  Opened for the other direction, so that using one still fails.
 */
static void keep_standard_fds(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			_exit(DOMU_FAILED);
}

int main(int argc, char **argv)
{
	struct domu_ctx ctx;
	struct domu_app app;
	int status;

	keep_standard_fds();
	status = hidden(argc, argv);
	if (status >= 0)
		return status;
	catch_signals();
	domu_app_init(&app, &ctx, &came);
	app.command_line = join(argc - 1, argv + 1);
	if (argc == 3 && strcmp(argv[1], "--complete") == 0)
		status = domu_complete_word(&app, argv[2]);
	else if (argc == 4 && strcmp(argv[1], "--complete-ids") == 0)
		status = domu_complete_ids(&app, argv[2], argv[3]);
	else
		status = run(&app, argc - 1, argv + 1);
	domu_app_free(&app);
	if (fflush(stdout) != 0 && status == 0)
		status = DOMU_FAILED;
	return status;
}
