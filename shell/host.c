/* SPDX-License-Identifier: GPL-3.0-or-later */
/* host.c - commands and files of the host beside those of the guest: !CMD, | CMD, > FILE. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell/shell.h"

/* A child of ours with the signals as a program expects them; a Ctrl-C that comes before that waits until then. */
static pid_t spawn(const char *command, int in)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pid = fork();
	if (pid != 0) {
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		return pid;
	}
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (in >= 0 && dup2(in, STDIN_FILENO) < 0)
		_exit(126);
	if (in >= 0)
		close(in);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int domu_host_run(struct domu_app *app, const char *command)
{
	pid_t pid;
	int status;

	fflush(app->out);
	pid = spawn(command, -1);
	if (pid < 0) {
		domu_fail(app->ctx, DOMU_FAILED, -errno, "cannot start a shell: %s", strerror(errno));
		return domu_app_failure(app, "!");
	}
	status = wait_for(pid);
	if (*app->signal == SIGINT)
		*app->signal = 0;
	return status;
}

/* fd takes the place of at; *old keeps what was there. */
static int replace(struct domu_app *app, int fd, int at, int *old)
{
	*old = fcntl(at, F_DUPFD_CLOEXEC, 10);
	if (*old < 0 || dup2(fd, at) < 0) {
		int err = errno;

		close(fd);
		return domu_fail(app->ctx, DOMU_FAILED, -err, "cannot redirect: %s", strerror(err));
	}
	close(fd);
	return 0;
}

static int open_file(struct domu_app *app, const char *path, int flags, int at, int *old)
{
	int fd = open(path, flags | O_CLOEXEC, 0666);

	if (fd < 0)
		return domu_fail(app->ctx, errno == ENOENT ? DOMU_NOTFOUND : DOMU_FAILED, -errno, "%s: %s", path,
		                 strerror(errno));
	return replace(app, fd, at, old);
}

static int open_pipe(struct domu_app *app, const char *command, struct domu_redirect *r)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return domu_fail(app->ctx, DOMU_FAILED, -errno, "cannot make a pipe: %s", strerror(errno));
	r->pid = spawn(command, fd[0]);
	close(fd[0]);
	if (r->pid < 0) {
		int err = errno;

		r->pid = 0;
		close(fd[1]);
		return domu_fail(app->ctx, DOMU_FAILED, -err, "cannot start a shell: %s", strerror(err));
	}
	return replace(app, fd[1], STDOUT_FILENO, &r->out);
}

int domu_redirect_begin(struct domu_app *app, const struct domu_line_command *c, struct domu_redirect *r)
{
	int rc = 0;

	*r = (struct domu_redirect){ .in = -1, .out = -1 };
	fflush(app->out);
	if (c->in != NULL)
		rc = open_file(app, c->in, O_RDONLY, STDIN_FILENO, &r->in);
	if (rc == 0 && c->out != NULL)
		rc = open_file(app, c->out, O_WRONLY | O_CREAT | (c->append ? O_APPEND : O_TRUNC), STDOUT_FILENO,
		               &r->out);
	if (rc == 0 && c->pipe != NULL && c->out != NULL)
		rc = domu_fail(app->ctx, DOMU_USAGE, -EINVAL, "the output goes to a pipe or to a file, not to both");
	else if (rc == 0 && c->pipe != NULL)
		rc = open_pipe(app, c->pipe, r);
	if (rc != 0)
		domu_redirect_end(app, r);
	return rc;
}

static void put_back(int *old, int at)
{
	if (*old < 0)
		return;
	dup2(*old, at);
	close(*old);
	*old = -1;
}

int domu_redirect_end(struct domu_app *app, struct domu_redirect *r)
{
	int status = 0;

	if (fflush(app->out) != 0) {
		/* What the reader did not want must not come out on the terminal. */
		__fpurge(app->out);
		clearerr(app->out);
	}
	put_back(&r->out, STDOUT_FILENO);
	put_back(&r->in, STDIN_FILENO);
	if (r->pid > 0)
		status = wait_for((pid_t)r->pid);
	r->pid = 0;
	return status;
}
