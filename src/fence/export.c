/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export.c - the front's side of a FUSE file that shows the top of a stack to one process of another uid. */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence/server.h"
#include "fence/work.h"

#define START_LIMIT 20 /* seconds */
#define END_LIMIT   60

struct domu_export {
	pid_t server;
	int ctl, ns;
	char path[64];
};

static int set_limit(int sock, int seconds)
{
	struct timeval t = { .tv_sec = seconds };

	return setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) < 0 ? -errno : 0;
}

/* The server's END.  Without one its own end says why. */
static int await(struct domu_ctx *ctx, struct domu_export *e, struct domu_msg *m, const char *when)
{
	int rc = domu_msg_recv(e->ctl, m), result, status;

	if (rc == 0 && m->type == DOMU_MSG_END && domu_work_get_end(m, ctx, &result) == 0)
		return result;
	status = domu_reap(e->server, rc == -EPIPE ? 1000 : 0);
	e->server = 0;
	if (rc == -EPIPE && WIFSIGNALED(status))
		return domu_fail(ctx, DOMU_FAILED, -EPIPE, "the export's server ended by signal %d (%s) %s",
		                 WTERMSIG(status), strsignal(WTERMSIG(status)), when);
	return domu_fail(ctx, DOMU_FAILED, rc != 0 ? rc : -EBADMSG, "the export's server did not answer %s", when);
}

static int start_server(struct domu_ctx *ctx, const struct domu_export_opts *opts, struct domu_export *e)
{
	struct domu_msg m = DOMU_MSG_INIT(0);
	pid_t parent = getpid();
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return domu_fail(ctx, DOMU_FAILED, -errno, "cannot make a socket: %s", strerror(errno));
	e->ctl = pair[0];
	e->server = fork();
	if (e->server == 0)
		domu_server_main(opts, pair[1], parent);
	close(pair[1]);
	if (e->server < 0) {
		e->server = 0;
		return domu_fail(ctx, DOMU_FAILED, -errno, "cannot start the export's server: %s", strerror(errno));
	}
	rc = set_limit(e->ctl, START_LIMIT);
	if (rc == 0)
		rc = await(ctx, e, &m, "at its start");
	if (rc == 0) {
		const char *path = domu_msg_get_str(&m);

		e->ns = domu_msg_take_fd(&m);
		if (m.err != 0 || path == NULL || strlen(path) >= sizeof e->path || e->ns < 0)
			rc = domu_fail(ctx, DOMU_FAILED, -EBADMSG, "the export's server answered nonsense");
		else
			memcpy(e->path, path, strlen(path) + 1);
	}
	domu_msg_free(&m);
	return rc;
}

_Noreturn static void run_child(const struct domu_export_opts *opts, const struct domu_export *e, pid_t parent,
                                int (*child)(void *user, const char *path), void *user)
{
	struct domu_confine plain = { .keep_all = true, .uid = opts->uid };
	struct domu_confine c = opts->confine != NULL ? *opts->confine : plain;
	const char *what = "";

	c.parent = parent;
	domu_confine_signals();
	if (setns(e->ns, CLONE_NEWNS) < 0)
		_exit(127);
	close(e->ns);
	close(e->ctl);
	if (domu_confine(&c, &what) != 0)
		_exit(127);
	_exit(child(user, e->path) & 0xff);
}

int domu_export_start(struct domu_ctx *ctx, const struct domu_export_opts *opts,
                      int (*child)(void *user, const char *path), void *user, pid_t *pid, struct domu_export **out)
{
	struct domu_export *e = calloc(1, sizeof *e);
	pid_t parent = getpid();
	int rc;

	*out = NULL;
	if (e == NULL)
		return domu_nomem(ctx);
	e->ctl = e->ns = -1;
	if (geteuid() != 0) {
		rc = domu_fail(ctx, DOMU_UNSUPPORTED, -ENOSYS, "showing the disk to a program needs root");
		goto out;
	}
	rc = start_server(ctx, opts, e);
	if (rc != 0)
		goto out;
	*pid = fork();
	if (*pid < 0) {
		rc = domu_fail(ctx, DOMU_FAILED, -errno, "cannot start a process: %s", strerror(errno));
		goto out;
	}
	if (*pid == 0)
		run_child(opts, e, parent, child, user);
out:
	if (rc != 0) {
		if (e->server > 0)
			domu_reap(e->server, 0);
		if (e->ctl >= 0)
			close(e->ctl);
	}
	if (e->ns >= 0)
		close(e->ns);
	e->ns = -1;
	if (rc != 0)
		free(e);
	else
		*out = e;
	return rc;
}

const char *domu_export_path(const struct domu_export *e)
{
	return e->path;
}

int domu_export_end(struct domu_ctx *ctx, struct domu_export *e)
{
	struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_REQUEST);
	int rc;

	if (e == NULL)
		return 0;
	set_limit(e->ctl, END_LIMIT);
	rc = domu_msg_send(e->ctl, &m);
	/* A server that is already gone is told of by await(). */
	rc = rc == 0 || rc == -EPIPE ? await(ctx, e, &m, "while the disk was exported") : rc;
	if (e->server > 0)
		domu_reap(e->server, 1000);
	close(e->ctl);
	domu_msg_free(&m);
	free(e);
	return rc;
}
