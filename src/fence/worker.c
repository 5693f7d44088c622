/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker.c - the front's side of the worker: start, calls, and what may come back. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/plugins.h"
#include "block/table.h"
#include "fence/confine.h"
#include "fence/work.h"
#include "fs/label.h"

#define TICK_US     200000 /* how late Ctrl-C may be seen when it came just before a wait */
#define MAX_SAYS    100000 /* messages in one request */
#define START_LIMIT 20.0 /* seconds until the fence is closed */
#define END_LIMIT   120.0 /* seconds to write back what is cached */

struct domu_worker {
	struct domu_ctx *ctx;
	pid_t pid; /* 0: ended */
	bool lean;
	int sock;
	double deadline; /* of the wait going on, 0: none */
	const struct domu_worker_handlers *h; /* of the call going on, or NULL */
	char op[64]; /* going on */
};

/* What ended it, for a message. */
static int died(struct domu_worker *w, int status)
{
	char how[96];

	if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(how, sizeof how, "itself, status %d", WEXITSTATUS(status));
	/* Not EPIPE: that is what others say whose pipe to it broke, and this is the cause. */
	return domu_fail(w->ctx, DOMU_FAILED, -ECONNABORTED,
	                 "the worker ended by %s during \"%s\"; the disk is unchanged", how, w->op);
}

/* Ends it; the status as of waitpid(2). */
static int stop(struct domu_worker *w, unsigned patience)
{
	int status = 0;

	if (w->pid > 0)
		status = domu_reap(w->pid, patience);
	w->pid = 0;
	if (w->sock >= 0)
		close(w->sock);
	w->sock = -1;
	return status;
}

static int waiting(void *user)
{
	struct domu_worker *w = user;

	if (w->h != NULL && w->h->tick != NULL)
		return w->h->tick(w->h->tick_user);
	if (domu_interrupted(w->ctx))
		return -EINTR;
	return w->deadline != 0 && domu_now() > w->deadline ? -ETIMEDOUT : 0;
}

/* After a failure on the socket, or nonsense on it: the worker is ended, the cause recorded. */
static int give_up(struct domu_worker *w, int rc)
{
	int status;

	if (rc == -EPIPE) {
		/* It is ending: its own status says more than ours. */
		status = stop(w, 2000);
		if (w->lean && WIFEXITED(status) && WEXITSTATUS(status) == DOMU_WORK_LEAN)
			return -ELIBACC;
		return died(w, status);
	}
	stop(w, 0);
	if (rc == -EINTR)
		return domu_fail(w->ctx, DOMU_DECLINED, -EINTR, "interrupted");
	if (rc == -ETIMEDOUT)
		return domu_fail(w->ctx, DOMU_FAILED, rc, "the worker did not answer to \"%s\" in time and was ended",
		                 w->op);
	return domu_fail(w->ctx, DOMU_FAILED, rc, "the worker answered nonsense to \"%s\" and was ended", w->op);
}

static int recv_msg(struct domu_worker *w, struct domu_msg *m)
{
	return domu_msg_recv_wait(w->sock, m, waiting, w);
}

/* ---- start ------------------------------------------------------------------ */

static int set_ticks(int sock)
{
	struct timeval tick = { .tv_usec = TICK_US };

	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick) < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick) < 0)
		return -errno;
	return 0;
}

int domu_worker_start(struct domu_ctx *ctx, const struct domu_worker_opts *opts, struct domu_worker **out)
{
	struct domu_worker *w = calloc(1, sizeof *w);
	struct domu_msg hello = DOMU_MSG_INIT(0);
	pid_t parent = getpid();
	int pair[2] = { -1, -1 }, rc, started;

	if (w == NULL)
		return domu_nomem(ctx);
	w->ctx = ctx;
	w->sock = -1;
	w->lean = opts->lean;
	snprintf(w->op, sizeof w->op, "start");
	if (opts->n_disks > DOMU_MAX_DISKS) {
		rc = domu_fail(ctx, DOMU_UNSUPPORTED, -E2BIG, "more than %u disks", DOMU_MAX_DISKS);
		goto out;
	}
	rc = opts->lean ? domu_plugins_load_first(ctx, DOMU_PLUGIN_FS) : domu_plugins_load(ctx, DOMU_PLUGIN_FS);
	if (rc == 0 && !opts->lean)
		rc = domu_table_libs(ctx);
	if (opts->tree.writable)
		domu_labels_prepare();
	if (rc != 0)
		goto out;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || (rc = set_ticks(pair[0])) != 0) {
		rc = domu_fail(ctx, DOMU_FAILED, rc != 0 ? rc : -errno, "cannot make a socket: %s", strerror(errno));
		goto out;
	}
	w->pid = fork();
	if (w->pid < 0) {
		rc = domu_fail(ctx, DOMU_FAILED, -errno, "cannot start a worker: %s", strerror(errno));
		w->pid = 0;
		goto out;
	}
	if (w->pid == 0)
		domu_work_main(opts, pair[1], parent);
	w->sock = pair[0];
	pair[0] = -1;
	close(pair[1]);
	pair[1] = -1;
	w->deadline = domu_now() + START_LIMIT;
	rc = recv_msg(w, &hello);
	w->deadline = 0;
	if (rc == 0 && (hello.type != DOMU_MSG_END || domu_work_get_end(&hello, ctx, &started) != 0))
		rc = -EBADMSG;
	rc = rc != 0 ? give_up(w, rc) : started;
out:
	domu_msg_free(&hello);
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
	if (rc != 0) {
		stop(w, 0);
		free(w);
		w = NULL;
	}
	*out = w;
	return rc;
}

/* ---- calls ------------------------------------------------------------------ */

/* What an upcall left in ctx goes to the worker, which decides whether its operation fails by it. */
static int answer(struct domu_worker *w, int result, int fd, const struct domu_error *before)
{
	struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_ANSWER);
	int rc;

	domu_work_put_end(&m, w->ctx, result);
	if (before->status == DOMU_OK)
		domu_error_clear(w->ctx);
	if (fd >= 0)
		domu_msg_put_fd(&m, fd);
	rc = domu_msg_send_wait(w->sock, &m, waiting, w);
	domu_msg_free(&m);
	return rc;
}

/* What the worker wants something of.  It is not believed: the handler looks at it. */
struct asked {
	const char *name, *type;
	struct domu_place place;
	struct domu_lv_map *map;
	uint64_t flags;
};

static int get_asked(struct domu_msg *m, struct asked *a)
{
	uint64_t disk;
	const char *volume;

	a->name = domu_msg_get_str(m);
	disk = domu_msg_get_u64(m);
	a->place.offset = domu_msg_get_u64(m);
	a->place.size = domu_msg_get_u64(m);
	volume = domu_msg_get_str(m);
	a->type = domu_msg_get_str(m);
	a->flags = domu_msg_get_u64(m);
	if (m->err != 0 || a->name == NULL || a->type == NULL || strlen(a->type) > 31 || disk >= DOMU_MAX_DISKS ||
	    a->flags > UINT32_MAX)
		return -EBADMSG;
	if (volume != NULL && domu_lv_parse(volume, &a->map) != 0)
		return -EBADMSG;
	a->place.disk = (unsigned)disk;
	a->place.map = a->map;
	return 0;
}

static int upcall(struct domu_worker *w, struct domu_msg *m, const struct domu_worker_handlers *h)
{
	const struct domu_error before = w->ctx->error;
	struct asked a = { 0 };
	int fd = -1, rc = get_asked(m, &a);

	if (rc != 0)
		return rc;
	if (strcmp(a.name, "replay") == 0 && h != NULL && h->replay != NULL)
		rc = h->replay(h->user, &a.place, a.type);
	else if (strcmp(a.name, "replay-base") == 0 && h != NULL && h->replay_base != NULL)
		rc = h->replay_base(h->user, &a.place, a.type);
	else if (strcmp(a.name, "appliance") == 0 && h != NULL && h->appliance != NULL)
		rc = h->appliance(h->user, &a.place, a.type, (unsigned)a.flags, &fd);
	else
		rc = domu_fail(w->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s needs %s, which this command does not use",
		               a.type, strncmp(a.name, "replay", 6) == 0 ? "a journal replay" : "the appliance");
	domu_lv_map_free(a.map);
	if (rc == -EINTR && domu_interrupted(w->ctx))
		return -EINTR;
	rc = answer(w, rc, fd, &before);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* A handler that wants no more: its result is the call's, and the worker, in the middle of its work, is ended. */
static int refused(struct domu_worker *w, int rc, int *result)
{
	stop(w, 0);
	*result = rc;
	return 1;
}

/* One message that is not the END.  0: go on; 1: over, *result set; or a negative errno for give_up(). */
static int dispatch(struct domu_worker *w, struct domu_msg *m, const struct domu_worker_handlers *h, int *result)
{
	size_t len;
	const void *bytes;
	int rc = 0;

	switch (m->type) {
	case DOMU_MSG_SAY:
	case DOMU_MSG_PROGRESS:
		return domu_work_heard(w->ctx, m);
	case DOMU_MSG_ROWS:
		if (h != NULL && h->rows != NULL)
			rc = h->rows(h->user, m);
		return rc == -EBADMSG ? rc : rc != 0 ? refused(w, rc, result) : 0;
	case DOMU_MSG_DATA:
		bytes = domu_msg_get_bytes(m, &len);
		if (m->err != 0)
			return -EBADMSG;
		if (h != NULL && h->data != NULL)
			rc = h->data(h->user, bytes, len);
		return rc != 0 ? refused(w, rc, result) : 0;
	case DOMU_MSG_UPCALL:
		return upcall(w, m, h);
	default:
		return -EBADMSG;
	}
}

/* Until the END; m holds it then, at the operation's own part. */
static int converse(struct domu_worker *w, struct domu_msg *req, const struct domu_worker_handlers *h,
                    struct domu_msg *m)
{
	unsigned says = 0;
	int result = 0, rc;

	rc = domu_msg_send_wait(w->sock, req, waiting, w);
	while (rc == 0) {
		rc = recv_msg(w, m);
		if (rc != 0)
			break;
		if (m->type == DOMU_MSG_END) {
			rc = domu_work_get_end(m, w->ctx, &result);
			if (rc == 0)
				return result;
			break;
		}
		if (m->type == DOMU_MSG_SAY && ++says > MAX_SAYS)
			rc = -EBADMSG;
		else
			rc = dispatch(w, m, h, &result);
		/* Who never stops talking is never waited for. */
		if (rc == 0)
			rc = waiting(w);
	}
	return rc == 1 ? result : give_up(w, rc);
}

int domu_worker_call(struct domu_worker *w, struct domu_msg *req, const struct domu_worker_handlers *h,
                     struct domu_msg *reply)
{
	struct domu_msg m = DOMU_MSG_INIT(0);
	const char *op;
	int rc;

	req->pos = 0;
	op = domu_msg_get_str(req);
	snprintf(w->op, sizeof w->op, "%s", op != NULL ? op : "");
	if (req->err != 0)
		return domu_fail(w->ctx, DOMU_FAILED, req->err, "cannot ask the worker for \"%s\": %s", w->op,
		                 strerror(-req->err));
	if (w->pid == 0)
		return domu_fail(w->ctx, DOMU_FAILED, -ESRCH, "the worker has ended");
	w->h = h;
	rc = converse(w, req, h, &m);
	w->h = NULL;
	if (reply != NULL) {
		domu_msg_free(reply);
		*reply = m;
	} else {
		domu_msg_free(&m);
	}
	return rc;
}

bool domu_worker_alive(const struct domu_worker *w)
{
	return w != NULL && w->pid != 0;
}

int domu_worker_end(struct domu_worker *w, bool flush)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST);
	int rc = 0;

	if (w == NULL)
		return 0;
	if (flush && w->pid != 0) {
		domu_msg_put_str(&req, DOMU_OP_END);
		w->deadline = domu_now() + END_LIMIT;
		rc = domu_worker_call(w, &req, NULL, NULL);
	}
	domu_msg_free(&req);
	stop(w, flush ? 1000 : 0);
	free(w);
	return rc;
}
