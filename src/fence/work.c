/* SPDX-License-Identifier: GPL-3.0-or-later */
/* work.c - the worker after the fork: its fence, its requests, and the guest's tree. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "fence/confine.h"
#include "fence/work.h"
#include "fs/compare.h"
#include "fs/proxy.h"

#define DEFAULT_MEMORY (UINT64_C(2) << 30)
#define MAX_FILES      256

struct worker {
	const struct domu_worker_opts *opts;
	struct domu_ctx ctx;
	struct domu_work_say say;
	struct domu_work work;
	struct domu_stack stacks[DOMU_MAX_DISKS];
	size_t n_stacks; /* open */
	char *use; /* with which the tree was opened */
	struct domu_tree *base; /* without the stage; NULL until it is asked for */
	struct domu_block *base_top[DOMU_MAX_DISKS]; /* of its disks; NULL: not opened */
	int base_log; /* the log of units that it was asked for with; -1: none */
};

int domu_work_send(struct domu_work *w, struct domu_msg *m)
{
	return domu_msg_send(w->sock, m);
}

/* ---- what only the front can do ------------------------------------------ */

static int upcall(struct worker *w, const char *name, const struct domu_node *node, unsigned flags, int *fd)
{
	struct domu_msg ask = DOMU_MSG_INIT(DOMU_MSG_UPCALL), answer = DOMU_MSG_INIT(0);
	char *volume = NULL;
	int rc, r;

	if (node->scattered && node->map->n_legs > DOMU_MAX_LEGS)
		return domu_fail(&w->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: lies in more than %u pieces: start the guest, which can do it", node->name,
		                 DOMU_MAX_LEGS);
	if (node->scattered && (volume = domu_lv_format(node->map)) == NULL)
		return domu_nomem(&w->ctx);
	domu_msg_put_str(&ask, name);
	domu_msg_put_u64(&ask, node->disk);
	domu_msg_put_u64(&ask, node->start);
	domu_msg_put_u64(&ask, node->size);
	domu_msg_put_str(&ask, volume);
	free(volume);
	domu_msg_put_str(&ask, node->probe.type);
	domu_msg_put_u64(&ask, flags);
	r = domu_msg_send(w->work.sock, &ask);
	if (r == 0)
		r = domu_msg_recv(w->work.sock, &answer);
	/* The front is trusted; when it is gone, so are we. */
	if (r != 0 || answer.type != DOMU_MSG_ANSWER || domu_work_get_end(&answer, &w->ctx, &rc) != 0)
		_exit(1);
	if (rc == 0 && fd != NULL) {
		*fd = domu_msg_take_fd(&answer);
		if (*fd < 0)
			rc = domu_fail(&w->ctx, DOMU_FAILED, -EBADMSG, "%s: no appliance came", node->name);
	}
	domu_msg_free(&ask);
	domu_msg_free(&answer);
	return rc;
}

static int replay(void *user, const struct domu_node *node)
{
	struct worker *w = user;
	int rc = upcall(w, "replay", node, 0, NULL);

	for (size_t i = 0; rc == 0 && i < w->n_stacks; i++)
		rc = domu_stack_refresh(&w->stacks[i]);
	return rc;
}

static int appliance(void *user, const struct domu_node *node, unsigned flags, struct domu_fs **fs)
{
	struct worker *w = user;
	int fd, rc;

	if (node->disk >= w->n_stacks)
		return domu_fail(&w->ctx, DOMU_FAILED, -EINVAL, "%s: on no disk", node->name);
	rc = upcall(w, "appliance", node, flags, &fd);
	if (rc != 0)
		return rc;
	return domu_proxy_open(&w->ctx, fd, w->stacks[node->disk].top, flags, fs);
}

/* ---- the tree ------------------------------------------------------------- */

static int close_tree(struct worker *w)
{
	int rc = w->work.tree != NULL ? domu_tree_close(w->work.tree) : 0;

	w->work.tree = NULL;
	free(w->use);
	w->use = NULL;
	return rc;
}

static int close_all(struct worker *w)
{
	int rc = close_tree(w);

	domu_work_base_close(&w->work);
	while (w->n_stacks > 0) {
		int r = domu_stack_close(&w->stacks[--w->n_stacks]);

		rc = rc != 0 ? rc : r;
	}
	return rc;
}

static int open_stacks(struct worker *w)
{
	while (w->n_stacks < w->opts->n_disks) {
		const struct domu_worker_disk *d = &w->opts->disks[w->n_stacks];
		int rc = domu_stack_open(&w->ctx, &d->stack, d->vdev, &w->stacks[w->n_stacks]);

		if (rc != 0)
			return rc;
		w->n_stacks++;
	}
	return 0;
}

/* Before anything is done: see domu_worker_opts.lean. */
static void not_lean(struct worker *w)
{
	if (w->opts->lean)
		_exit(DOMU_WORK_LEAN);
}

static int open_for_tree(struct worker *w)
{
	int rc = open_stacks(w);

	for (size_t i = 0; rc == 0 && i < w->n_stacks; i++)
		if (!domu_tree_is_plain(w->stacks[i].top, !w->opts->tree.unreplayed))
			not_lean(w);
	return rc;
}

static bool same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

int domu_work_tree(struct domu_work *work, const char *use, struct domu_tree **t)
{
	struct worker *w = work->private_;
	struct domu_tree_opts opts = w->opts->tree;
	const struct domu_tree_hooks hooks = { .replay = replay, .appliance = appliance, .user = w };
	struct domu_block *tops[DOMU_MAX_DISKS];
	int rc;

	opts.use = use != NULL ? use : w->opts->tree.use;
	if (work->tree != NULL && !same(w->use, opts.use)) {
		rc = close_tree(w);
		if (rc != 0)
			return rc;
	}
	if (work->tree == NULL) {
		rc = open_for_tree(w);
		if (rc != 0)
			return rc;
		w->use = opts.use != NULL ? strdup(opts.use) : NULL;
		if (opts.use != NULL && w->use == NULL)
			return domu_nomem(&w->ctx);
		opts.use = w->use;
		for (size_t i = 0; i < w->n_stacks; i++)
			tops[i] = w->stacks[i].top;
		rc = domu_tree_open(&w->ctx, tops, w->n_stacks, &opts, &hooks, &work->tree);
		if (rc != 0) {
			work->tree = NULL;
			return rc;
		}
	}
	*t = work->tree;
	return 0;
}

int domu_work_disk(struct domu_work *work, uint64_t disk, struct domu_block **top)
{
	struct worker *w = work->private_;
	int rc = open_stacks(w);

	if (rc != 0)
		return rc;
	if (disk >= w->n_stacks)
		return domu_fail(&w->ctx, DOMU_FAILED, -EINVAL, "the guest has no disk number %" PRIu64, disk);
	not_lean(w);
	/* Whoever asks writes below the filesystems: none may be open. */
	rc = close_tree(w);
	*top = w->stacks[disk].top;
	return rc;
}

/* ---- the tree without the stage --------------------------------------------- */

static int replay_base(void *user, const struct domu_node *node)
{
	return upcall(user, "replay-base", node, 0, NULL);
}

static int refresh_base(void *user, unsigned disk)
{
	struct worker *w = user;

	return domu_overlay_refresh(w->base_top[disk]);
}

/* Raw disks, each under the layer that holds what was there before, or takes what a journal replay would write. */
static int open_base(struct worker *w, struct domu_block *tops[DOMU_MAX_DISKS])
{
	for (size_t i = 0; i < w->n_stacks; i++) {
		const struct domu_worker_disk *d = &w->opts->disks[i];
		int fd = w->base_log >= 0 ? w->base_log : d->base_fd, rc;

		tops[i] = w->stacks[i].raw;
		if (fd < 0)
			continue;
		rc = domu_overlay_open(&w->ctx, tops[i], fd, d->stack.disk, true, &w->base_top[i]);
		if (rc != 0)
			return rc;
		tops[i] = w->base_top[i];
	}
	return 0;
}

int domu_work_base_tree(struct domu_work *work, int log_fd, struct domu_tree **t)
{
	struct worker *w = work->private_;
	const struct domu_tree_hooks hooks = { .replay = replay_base, .refresh = refresh_base, .user = w };
	struct domu_tree_opts opts = w->opts->tree;
	struct domu_block *tops[DOMU_MAX_DISKS] = { NULL };
	int rc = 0;

	if (log_fd >= 0 || w->base_log >= 0)
		domu_work_base_close(work);
	w->base_log = log_fd;
	if (w->base == NULL)
		rc = open_for_tree(w);
	if (rc == 0 && w->base == NULL) {
		opts.writable = false;
		opts.unreplayed = log_fd >= 0 || w->n_stacks == 0 || w->opts->disks[0].base_fd < 0;
		rc = open_base(w, tops);
		if (rc == 0)
			rc = domu_tree_open(&w->ctx, tops, w->n_stacks, &opts, &hooks, &w->base);
	}
	if (rc != 0)
		domu_work_base_close(work);
	*t = w->base;
	return rc;
}

void domu_work_base_close(struct domu_work *work)
{
	struct worker *w = work->private_;

	/* Nothing was written there: nothing can be lost. */
	domu_tree_close(w->base);
	w->base = NULL;
	for (size_t i = 0; i < DOMU_MAX_DISKS; i++) {
		domu_block_close(w->base_top[i]);
		w->base_top[i] = NULL;
	}
	if (w->base_log >= 0)
		close(w->base_log);
	w->base_log = -1;
}

int domu_work_layers(struct domu_work *work, unsigned disk, struct domu_block **stage, struct domu_block **base)
{
	struct worker *w = work->private_;

	if (disk >= w->n_stacks)
		return domu_fail(&w->ctx, DOMU_FAILED, -EINVAL, "the guest has no disk number %u", disk);
	*stage = w->stacks[disk].stage;
	*base = w->base_top[disk];
	/* An appliance's export writes there, too. */
	return domu_stack_refresh(&w->stacks[disk]);
}

int domu_work_sides(struct domu_work *work, size_t node, struct domu_compare *c, struct domu_span **spans)
{
	struct worker *w = work->private_;
	const struct domu_node *n = &domu_tree_nodes(work->tree)->v[node], *before;
	const struct domu_place place = domu_node_place(n);
	size_t old;
	int rc = domu_tree_find(w->base, n->name, &old);

	*spans = NULL;
	if (rc == 0)
		rc = domu_tree_fs(w->base, old, &c->old);
	if (rc == 0)
		rc = domu_tree_fs(work->tree, node, &c->new);
	/* Only now: a journal may have been replayed when they were opened. */
	if (rc == 0)
		rc = domu_work_spans(work, &place, spans, &c->n_spans);
	if (rc != 0)
		return rc;
	before = &domu_tree_nodes(w->base)->v[old];
	/* On one that was moved every block may differ. */
	if (before->disk == n->disk && before->start == n->start && domu_lv_same(before->map, n->map))
		c->spans = *spans;
	return 0;
}

static int flush_op(struct domu_work *work, struct domu_msg *req, struct domu_msg *reply)
{
	(void)req;
	(void)reply;
	return work->tree != NULL ? domu_tree_flush(work->tree) : 0;
}

/* ---- requests ------------------------------------------------------------- */

static domu_op_fn find_op(const struct worker *w, const char *name)
{
	if (strcmp(name, DOMU_OP_NODES) == 0)
		return domu_nodes_op;
	if (strcmp(name, DOMU_OP_FLUSH) == 0)
		return flush_op;
	for (const struct domu_op *op = w->opts->ops; op != NULL && op->name != NULL; op++)
		if (strcmp(op->name, name) == 0)
			return op->run;
	return NULL;
}

static void append(struct domu_msg *m, const struct domu_msg *body)
{
	uint8_t *p;

	if (m->err == 0)
		m->err = body->err;
	if (m->err != 0 || body->len == 0)
		return;
	if (body->len > DOMU_MSG_MAX - m->len) {
		m->err = -EMSGSIZE;
		return;
	}
	p = realloc(m->data, m->len + body->len);
	if (p == NULL) {
		m->err = -ENOMEM;
		return;
	}
	memcpy(p + m->len, body->data, body->len);
	m->data = p;
	m->len = m->cap = m->len + body->len;
}

static void send_end(struct worker *w, int rc, struct domu_msg *body)
{
	struct domu_msg end = DOMU_MSG_INIT(DOMU_MSG_END);

	domu_work_put_end(&end, &w->ctx, rc);
	append(&end, body);
	for (unsigned i = 0; i < body->n_fds; i++)
		domu_msg_put_fd(&end, body->fds[i]);
	if (end.err != 0) {
		domu_fail(&w->ctx, DOMU_FAILED, end.err, "an answer that is too long: %s", strerror(-end.err));
		domu_msg_reset(&end, DOMU_MSG_END);
		domu_work_put_end(&end, &w->ctx, -EMSGSIZE);
	}
	if (domu_msg_send(w->work.sock, &end) != 0)
		_exit(1);
	for (unsigned i = 0; i < body->n_fds; i++)
		close(body->fds[i]);
	domu_msg_free(&end);
}

/* One request.  False: it was the last. */
static bool serve(struct worker *w)
{
	struct domu_msg req = DOMU_MSG_INIT(0), body = DOMU_MSG_INIT(0);
	const char *name;
	domu_op_fn run;
	bool last;
	int rc;

	if (domu_msg_recv(w->work.sock, &req) != 0 || req.type != DOMU_MSG_REQUEST)
		_exit(1);
	domu_error_clear(&w->ctx);
	name = domu_msg_get_str(&req);
	last = name != NULL && strcmp(name, DOMU_OP_END) == 0;
	run = name != NULL && !last ? find_op(w, name) : NULL;
	if (last)
		rc = close_all(w);
	else if (run == NULL)
		rc = domu_fail(&w->ctx, DOMU_FAILED, -ENOSYS, "the worker has no operation \"%s\"",
		               name != NULL ? name : "");
	else
		rc = run(&w->work, &req, &body);
	send_end(w, rc, &body);
	domu_msg_free(&req);
	domu_msg_free(&body);
	return !last;
}

static int confine(struct worker *w, int sock, pid_t parent, const char **what)
{
	int keep[1 + 3 * DOMU_MAX_DISKS + 1];
	struct domu_confine c = { .keep = keep,
		                  .parent = parent,
		                  .empty_root = true,
		                  .no_fork = true,
		                  .ahead = w->opts->walks ? &w->ctx.ahead : NULL,
		                  .files = MAX_FILES,
		                  .uid = DOMU_WORKER_UID };

	keep[c.n_keep++] = sock;
	for (size_t i = 0; i < w->opts->n_disks; i++) {
		keep[c.n_keep++] = w->opts->disks[i].stack.base_fd;
		keep[c.n_keep++] = w->opts->disks[i].stack.stage_fd;
		keep[c.n_keep++] = w->opts->disks[i].stack.replay_fd;
	}
	/* One log for all disks. */
	keep[c.n_keep++] = w->opts->n_disks > 0 ? w->opts->disks[0].base_fd : -1;
	c.memory = w->opts->memory_limit != 0 ? w->opts->memory_limit : DEFAULT_MEMORY;
	return domu_confine(&c, what);
}

_Noreturn void domu_work_main(const struct domu_worker_opts *opts, int sock, pid_t parent)
{
	struct domu_msg none = DOMU_MSG_INIT(0);
	struct worker w = { .opts = opts, .base_log = -1 };
	const char *what = "";
	int rc;

	domu_confine_signals();
	/* The zone is a file: read before there are none, so that times can be written here. */
	tzset();
	prctl(PR_SET_NAME, "domu-worker", 0, 0, 0);
	domu_work_ctx(&w.ctx, &w.say, sock);
	w.ctx.guest = opts->tree.guest;
	w.work = (struct domu_work){ .ctx = &w.ctx, .sock = sock, .private_ = &w };
	rc = confine(&w, sock, parent, &what);
	if (rc != 0)
		domu_fail(&w.ctx, DOMU_FAILED, rc, "the worker cannot %s: %s", what, strerror(-rc));
	send_end(&w, rc, &none);
	if (rc == 0)
		while (serve(&w))
			;
	_exit(rc != 0);
}
