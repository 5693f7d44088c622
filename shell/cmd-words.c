/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-words.c - the shell's own words: use, cd, pwd, lcd, begin, quit. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shell/cmd.h"
#include "shell/shell.h"

static int set(struct domu_run *r, char **slot, const char *text)
{
	char *copy = text != NULL ? strdup(text) : NULL;

	if (text != NULL && copy == NULL)
		return domu_nomem(r->ctx);
	free(*slot);
	*slot = copy;
	return 0;
}

static int run_use(struct domu_run *r)
{
	const char *dev = domu_args_get(r->args, 0);
	int rc = dev != NULL ? domu_paths_use(r->app, dev) : 0;

	if (rc == 0)
		rc = set(r, &r->app->use, dev);
	if (rc == 0)
		rc = set(r, &r->app->cwd, "/");
	if (rc == 0)
		rc = set(r, &r->app->before, NULL);
	if (rc == 0)
		domu_session_use(r->session, dev);
	return rc;
}

static int run_cd(struct domu_run *r)
{
	const char *path = domu_run_path(r, 0);
	bool back = path != NULL && strcmp(path, "-") == 0;
	char *canonical = NULL;
	int rc;

	if (back && r->app->before == NULL)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "cd -: there was no directory before this one");
	rc = domu_paths_cd(r->app, back ? r->app->before : path != NULL ? path : "/", &canonical);
	if (rc == 0)
		rc = set(r, &r->app->before, r->app->cwd);
	if (rc == 0)
		rc = set(r, &r->app->cwd, canonical);
	/* As other shells have it: who went back sees where to. */
	if (rc == 0 && back)
		rc = domu_out_line(r->out, "%s", r->app->cwd);
	free(canonical);
	return rc;
}

static int run_pwd(struct domu_run *r)
{
	return domu_out_line(r->out, "%s", r->app->cwd);
}

static int run_lcd(struct domu_run *r)
{
	const char *path = domu_args_get(r->args, 0), *home = getenv("HOME");

	if (path == NULL)
		path = home != NULL ? home : "/";
	if (chdir(path) < 0)
		return domu_fail(r->ctx, errno == ENOENT ? DOMU_NOTFOUND : DOMU_FAILED, -errno, "%s: %s", path,
		                 strerror(errno));
	return 0;
}

static int run_begin(struct domu_run *r)
{
	int rc = domu_session_retake(r->session);

	/* What an earlier session left meanwhile is not refused here, but offered as at the start. */
	if (rc == 0 && !domu_session_staging(r->session) && r->app->interactive)
		rc = domu_shell_offer(r->app);
	return rc != 0 || domu_session_staging(r->session) ? rc : domu_session_begin(r->session);
}

static int run_quit(struct domu_run *r)
{
	r->app->quit = true;
	return 0;
}

static const struct domu_arg dev_arg[] = { { "DEV", ARG_DEV, COUNT_OPTIONAL }, { NULL, ARG_NONE, COUNT_ONE } };
static const struct domu_arg dir_arg[] = { { "DIR", ARG_GUEST_PATH, COUNT_OPTIONAL }, { NULL, ARG_NONE, COUNT_ONE } };
static const struct domu_arg host_arg[] = { { "HOSTDIR", ARG_HOST_PATH, COUNT_OPTIONAL },
	                                    { NULL, ARG_NONE, COUNT_ONE } };

const struct domu_command domu_cmd_use = {
	.name = "use",
	.topic = "shell",
	.summary = "work on one filesystem, whatever fstab says; without DEV by fstab again",
	.args = dev_arg,
	.example = "use xvda2",
	.needs = NEED_GUEST | SHELL_ONLY,
	.front = run_use,
};

const struct domu_command domu_cmd_cd = {
	.name = "cd",
	.topic = "shell",
	.summary = "change the current directory in the guest; cd - goes back",
	.args = dir_arg,
	.example = "cd /etc",
	.needs = NEED_GUEST | SHELL_ONLY,
	.front = run_cd,
};

const struct domu_command domu_cmd_pwd = {
	.name = "pwd",
	.topic = "shell",
	.summary = "print the current directory in the guest",
	.needs = NEED_GUEST | SHELL_ONLY,
	.front = run_pwd,
};

const struct domu_command domu_cmd_lcd = {
	.name = "lcd",
	.topic = "shell",
	.summary = "change the current directory of the host",
	.args = host_arg,
	.example = "lcd /tmp",
	.needs = NEED_GUEST | SHELL_ONLY,
	.front = run_lcd,
};

const struct domu_command domu_cmd_begin = {
	.name = "begin",
	.topic = "shell",
	.summary = "take the lock and start a stage now",
	.description =
	    "The first change does it too.  Where the guest was started meanwhile, so that the shell only reads, begin "
	    "is what makes changes possible again, once it is stopped and what is staged still fits its disks.",
	.needs = NEED_GUEST | SHELL_ONLY,
	.front = run_begin,
};

const struct domu_command domu_cmd_quit = {
	.name = "quit",
	.alias = "exit",
	.topic = "shell",
	.summary = "leave; asks about staged changes",
	.needs = NEED_GUEST | SHELL_ONLY,
	.front = run_quit,
};
