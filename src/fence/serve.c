/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve.c - the appliance's process: filesystems opened by a driver that lives here, each served on a socket. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"
#include "base/plugins.h"
#include "fence/appliance.h"
#include "fence/target.h"
#include "fence/work.h"
#include "fs/proxy.h"

#define MAX_SERVED 64

/* One filesystem: opened by the main thread, then its own thread's. */
struct served {
	struct domu_ctx ctx;
	struct domu_appliance_target target;
	char type[32];
	struct domu_block *block;
	struct domu_fs *fs;
	int sock;
	int rc; /* of its end */
	atomic_bool done;
	pthread_t thread;
};

struct appliance {
	const struct domu_appliance_args *args;
	const char *path;
	struct domu_ctx ctx;
	struct domu_work_say say;
	struct domu_appliance_shared shared;
	struct served *served[MAX_SERVED];
	size_t n;
};

/* ---- the block that is none ------------------------------------------------------ */

static int no_pread(struct domu_block *b, void *buf, size_t len, uint64_t offset)
{
	(void)buf;
	(void)len;
	(void)offset;
	return domu_fail(b->ctx, DOMU_FAILED, -EOPNOTSUPP, "%s is read by the appliance alone", b->name);
}

static const struct domu_block_ops target_ops = {
	.self_size = sizeof target_ops,
	.name = "appliance",
	.pread = no_pread,
};

const struct domu_appliance_target *domu_appliance_target(const struct domu_block *b)
{
	return b != NULL && b->ops == &target_ops ? b->priv : NULL;
}

/* ---- one filesystem ---------------------------------------------------------------- */

static const struct domu_fs_ops *driver(const char *type)
{
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_FS); *p != NULL; p++) {
		if ((*p)->place != DOMU_IN_APPLIANCE || (*p)->fs->open == NULL)
			continue;
		for (const char *const *t = (*p)->fs->types; t != NULL && *t != NULL; t++)
			if (strcmp(*t, type) == 0)
				return (*p)->fs;
	}
	return NULL;
}

static void *serve(void *arg)
{
	struct served *s = arg;

	domu_proxy_serve(s->sock, s->fs);
	domu_error_clear(&s->ctx);
	s->rc = domu_fs_close(s->fs);
	domu_block_close(s->block);
	atomic_store(&s->done, true);
	return NULL;
}

static void free_served(struct served *s)
{
	domu_ctx_free(&s->ctx);
	free(s);
}

/* Whoever asked has closed the socket, or will: only reading stops, what is being done is finished and unmounted. */
static int join(struct appliance *a, struct served *s)
{
	int rc;

	shutdown(s->sock, SHUT_RD);
	pthread_join(s->thread, NULL);
	close(s->sock);
	rc = s->rc;
	if (rc != 0)
		domu_error_set(&a->ctx, domu_error_status(&s->ctx), rc,
		               s->ctx.error.message != NULL ? s->ctx.error.message : strerror(-rc));
	free_served(s);
	return rc;
}

/* Those that are closed make room; one that could not be unmounted is told of now. */
static int join_done(struct appliance *a)
{
	size_t left = 0;
	int rc = 0, r;

	for (size_t i = 0; i < a->n; i++) {
		struct served *s = a->served[i];

		if (!atomic_load(&s->done)) {
			a->served[left++] = s;
			continue;
		}
		r = join(a, s);
		rc = rc != 0 ? rc : r;
	}
	a->n = left;
	return rc;
}

static int open_fs(struct appliance *a, struct served *s, unsigned flags)
{
	const struct domu_fs_ops *ops = driver(s->type);
	int rc;

	if (ops == NULL)
		return domu_fail(&a->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s is not supported by the appliance",
		                 s->type);
	s->block = domu_block_new(&s->ctx, &target_ops, s->type, &s->target);
	if (s->block == NULL)
		return domu_nomem(&a->ctx);
	s->block->size = s->target.size;
	s->ctx = a->ctx;
	rc = ops->open(&s->ctx, s->block, flags, &s->fs);
	a->ctx.error = s->ctx.error;
	/* Only failures from here on, which go with the proxy's answers: one thread alone writes to the front. */
	domu_ctx_init(&s->ctx);
	if (rc != 0)
		domu_block_close(s->block);
	return rc;
}

static int start_thread(struct appliance *a, struct served *s, struct domu_msg *reply)
{
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return domu_fail(&a->ctx, DOMU_FAILED, -errno, "cannot make a socket: %s", strerror(errno));
	s->sock = pair[1];
	rc = pthread_create(&s->thread, NULL, serve, s);
	if (rc != 0) {
		close(pair[0]);
		close(pair[1]);
		return domu_fail(&a->ctx, DOMU_FAILED, -rc, "cannot start a thread: %s", strerror(rc));
	}
	a->served[a->n++] = s;
	domu_msg_put_fd(reply, pair[0]);
	return 0;
}

static int open_one(struct appliance *a, struct domu_msg *req, struct domu_msg *reply)
{
	uint64_t offset = domu_msg_get_u64(req), size = domu_msg_get_u64(req);
	const char *type = domu_msg_get_str(req);
	unsigned flags = (unsigned)domu_msg_get_u64(req);
	struct served *s;
	int rc = join_done(a);

	if (rc != 0)
		return rc;
	if (req->err != 0 || type == NULL || !domu_inside(offset, size, a->args->disk_size))
		return domu_fail(&a->ctx, DOMU_FAILED, -EBADMSG, "the filesystem is not inside the disk");
	if (a->n == MAX_SERVED)
		return domu_fail(&a->ctx, DOMU_UNSUPPORTED, -EMFILE, "more than %d filesystems in the appliance",
		                 MAX_SERVED);
	s = calloc(1, sizeof *s);
	if (s == NULL)
		return domu_nomem(&a->ctx);
	snprintf(s->type, sizeof s->type, "%s", type);
	s->target = (struct domu_appliance_target){ .path = a->path,
		                                    .sector_size = a->args->sector_size,
		                                    .writable = a->args->writable,
		                                    .kvm = a->args->kvm,
		                                    .disk_size = a->args->disk_size,
		                                    .offset = offset,
		                                    .size = size,
		                                    .type = s->type,
		                                    .shared = &a->shared };
	rc = open_fs(a, s, flags);
	if (rc == 0 && (rc = start_thread(a, s, reply)) != 0) {
		domu_fs_close(s->fs);
		domu_block_close(s->block);
	}
	if (rc != 0)
		free_served(s);
	return rc;
}

/* ---- requests ------------------------------------------------------------------------ */

/* The first filesystem starts it; this is that start alone, so that its time limit can be one of its own. */
static int launch(struct appliance *a)
{
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_FS); *p != NULL; p++)
		if ((*p)->place == DOMU_IN_APPLIANCE && (*p)->fs->open != NULL) {
			struct domu_appliance_target target = { .path = a->path,
				                                .sector_size = a->args->sector_size,
				                                .writable = a->args->writable,
				                                .kvm = a->args->kvm,
				                                .disk_size = a->args->disk_size,
				                                .shared = &a->shared };
			struct domu_block b = { .ops = &target_ops, .ctx = &a->ctx, .priv = &target };
			struct domu_fs *none;

			return (*p)->fs->open(&a->ctx, &b, 0, &none);
		}
	return domu_fail(&a->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "the plugin fs-appliance is not installed");
}

/* A filesystem that could not be unmounted is the failure. */
static int end(struct appliance *a)
{
	int rc = 0, r;

	for (size_t i = 0; i < a->n; i++) {
		r = join(a, a->served[i]);
		rc = rc != 0 ? rc : r;
	}
	a->n = 0;
	if (a->shared.end != NULL) {
		r = a->shared.end(&a->ctx, a->shared.data);
		rc = rc != 0 ? rc : r;
	}
	return rc;
}

int domu_appliance_main(void *user, const char *path)
{
	const struct domu_appliance_args *args = user;
	struct appliance a = { .args = args, .path = path };
	struct domu_msg req = DOMU_MSG_INIT(0), reply = DOMU_MSG_INIT(0);
	bool last = false;

	prctl(PR_SET_NAME, "domu-appliance", 0, 0, 0);
	domu_work_ctx(&a.ctx, &a.say, args->ctl);
	while (!last && domu_msg_recv(args->ctl, &req) == 0) {
		const char *op = domu_msg_get_str(&req);
		struct domu_msg fds = DOMU_MSG_INIT(0);
		int rc;

		domu_error_clear(&a.ctx);
		last = op == NULL || strcmp(op, DOMU_APPLIANCE_END) == 0;
		if (last)
			rc = end(&a);
		else if (strcmp(op, DOMU_APPLIANCE_LAUNCH) == 0)
			rc = launch(&a);
		else
			rc = open_one(&a, &req, &fds);
		domu_msg_reset(&reply, DOMU_MSG_END);
		domu_work_put_end(&reply, &a.ctx, rc);
		if (fds.n_fds > 0)
			domu_msg_put_fd(&reply, fds.fds[0]);
		domu_msg_send(args->ctl, &reply);
		if (fds.n_fds > 0)
			close(fds.fds[0]);
	}
	if (!last)
		end(&a);
	return 0;
}
