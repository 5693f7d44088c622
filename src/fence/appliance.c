/* SPDX-License-Identifier: GPL-3.0-or-later */
/* appliance.c - the front's side of the appliance: start, further filesystems, end. */
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
#include "fence/appliance.h"
#include "fence/kvm.h"
#include "fence/work.h"

#define TICK_US     200000 /* how late Ctrl-C may be seen when it came just before a wait */
#define START_LIMIT 300.0 /* seconds: under emulation, and with the appliance built for the first time */
#define KVM_LIMIT   60.0 /* with the processor's help; after that it is not trusted */
#define END_LIMIT   120.0

struct domu_appliance {
	struct domu_ctx *ctx;
	struct domu_export *export_;
	pid_t pid; /* leader of a session that holds qemu too; 0: ended */
	int ctl;
	double deadline;
};

static int waiting(void *user)
{
	struct domu_appliance *a = user;

	if (domu_interrupted(a->ctx))
		return -EINTR;
	return domu_now() > a->deadline ? -ETIMEDOUT : 0;
}

/* Ends it and whatever it started; the status as of waitpid(2), after some patience for one that is ending. */
static int stop(struct domu_appliance *a, unsigned patience)
{
	int status = 0;

	if (a->pid <= 0)
		return 0;
	if (patience > 0)
		status = domu_reap(a->pid, patience);
	kill(-a->pid, SIGKILL);
	if (patience == 0)
		status = domu_reap(a->pid, 0);
	a->pid = 0;
	return status;
}

/* One request and its END; a fd that comes with it to *fd.  A failure to talk at all ends the appliance. */
static int ask(struct domu_appliance *a, struct domu_msg *req, const char *what, double limit, int *fd)
{
	struct domu_msg m = DOMU_MSG_INIT(0);
	int rc, result = 0, status;

	if (a->pid == 0)
		return domu_fail(a->ctx, DOMU_FAILED, -ESRCH, "the appliance has ended");
	a->deadline = domu_now() + limit;
	rc = domu_msg_send_wait(a->ctl, req, waiting, a);
	while (rc == 0) {
		rc = domu_msg_recv_wait(a->ctl, &m, waiting, a);
		if (rc != 0 || m.type == DOMU_MSG_END)
			break;
		rc = m.type == DOMU_MSG_SAY || m.type == DOMU_MSG_PROGRESS ? domu_work_heard(a->ctx, &m) : -EBADMSG;
		if (rc == 0)
			rc = waiting(a);
	}
	if (rc == 0)
		rc = domu_work_get_end(&m, a->ctx, &result);
	if (rc == 0 && result == 0 && fd != NULL && (*fd = domu_msg_take_fd(&m)) < 0)
		rc = -EBADMSG;
	domu_msg_free(&m);
	if (rc == 0)
		return result;
	status = stop(a, rc == -EPIPE ? 2000 : 0);
	if (rc == -EINTR)
		return domu_fail(a->ctx, DOMU_DECLINED, rc, "interrupted");
	if (rc == -ETIMEDOUT)
		return domu_fail(a->ctx, DOMU_FAILED, rc, "the appliance could not %s within %.0f s", what, limit);
	if (WIFSIGNALED(status))
		return domu_fail(a->ctx, DOMU_FAILED, rc, "the appliance's process ended by signal %d (%s)",
		                 WTERMSIG(status), strsignal(WTERMSIG(status)));
	return domu_fail(a->ctx, DOMU_FAILED, rc, "the appliance ended before it could %s: %s", what, strerror(-rc));
}

int domu_appliance_open(struct domu_appliance *a, uint64_t offset, uint64_t size, const char *type, unsigned flags,
                        int *fd)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST);
	int rc;

	*fd = -1;
	domu_msg_put_str(&req, DOMU_APPLIANCE_OPEN);
	domu_msg_put_u64(&req, offset);
	domu_msg_put_u64(&req, size);
	domu_msg_put_str(&req, type);
	domu_msg_put_u64(&req, flags);
	rc = ask(a, &req, "open the filesystem", START_LIMIT, fd);
	domu_msg_free(&req);
	return rc;
}

static int start_process(struct domu_appliance *a, const struct domu_export_opts *disk, bool kvm, gid_t group)
{
	struct domu_appliance_args args = {
		.disk_size = disk->size, .sector_size = disk->stack.sector_size, .writable = disk->writable, .kvm = kvm
	};
	struct timeval tick = { .tv_usec = TICK_US };
	struct domu_confine confine = { .keep = &args.ctl, .n_keep = 1, .uid = DOMU_WORKER_UID };
	struct domu_export_opts opts = *disk;
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return domu_fail(a->ctx, DOMU_FAILED, -errno, "cannot make a socket: %s", strerror(errno));
	a->ctl = pair[0];
	args.ctl = pair[1];
	if (setsockopt(a->ctl, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick) < 0 ||
	    setsockopt(a->ctl, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick) < 0) {
		rc = domu_fail(a->ctx, DOMU_FAILED, -errno, "cannot make a socket: %s", strerror(errno));
		goto out;
	}
	opts.uid = DOMU_WORKER_UID;
	confine.group = kvm ? group : 0;
	opts.confine = &confine;
	rc = domu_export_start(a->ctx, &opts, domu_appliance_main, &args, &a->pid, &a->export_);
out:
	close(pair[1]);
	return rc;
}

static int launch(struct domu_appliance *a, bool kvm)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST);
	int rc;

	domu_msg_put_str(&req, DOMU_APPLIANCE_LAUNCH);
	rc = ask(a, &req, "start", kvm ? KVM_LIMIT : START_LIMIT, NULL);
	domu_msg_free(&req);
	return rc;
}

static void discard(struct domu_appliance *a)
{
	stop(a, 0);
	if (a->export_ != NULL)
		domu_export_end(NULL, a->export_);
	if (a->ctl >= 0)
		close(a->ctl);
	a->export_ = NULL;
	a->ctl = -1;
}

int domu_appliance_start(struct domu_ctx *ctx, const struct domu_export_opts *disk, uint64_t offset, uint64_t size,
                         const char *type, unsigned flags, int *fd, struct domu_appliance **out)
{
	struct domu_appliance *a = calloc(1, sizeof *a);
	gid_t group;
	bool kvm;
	int rc;

	*out = NULL;
	*fd = -1;
	if (a == NULL)
		return domu_nomem(ctx);
	a->ctx = ctx;
	a->ctl = -1;
	rc = domu_plugins_load(ctx, DOMU_PLUGIN_FS);
	kvm = rc == 0 && domu_kvm_works(&group);
	if (rc == 0)
		rc = start_process(a, disk, kvm, group);
	if (rc == 0)
		rc = launch(a, kvm);
	if (rc != 0 && kvm && !domu_interrupted(ctx) && domu_error_status(ctx) == DOMU_FAILED) {
		/* A KVM that runs two instructions may still not run a kernel. */
		domu_error_clear(ctx);
		discard(a);
		rc = start_process(a, disk, false, 0);
		if (rc == 0)
			rc = launch(a, false);
	}
	if (rc == 0)
		rc = domu_appliance_open(a, offset, size, type, flags, fd);
	if (rc != 0) {
		discard(a);
		free(a);
		return rc;
	}
	*out = a;
	return 0;
}

int domu_appliance_end(struct domu_ctx *ctx, struct domu_appliance *a)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST);
	int rc = 0, r;

	if (a == NULL)
		return 0;
	a->ctx = ctx;
	if (a->pid > 0) {
		domu_msg_put_str(&req, DOMU_APPLIANCE_END);
		rc = ask(a, &req, "write back what it holds", END_LIMIT, NULL);
	}
	domu_msg_free(&req);
	if (a->pid > 0) {
		domu_reap(a->pid, 5000);
		kill(-a->pid, SIGKILL); /* whatever it has left behind */
	}
	r = domu_export_end(ctx, a->export_);
	close(a->ctl);
	free(a);
	return rc != 0 ? rc : r;
}
