/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session.c - a guest opened: disks, verdict, worker, and programs on what the session sees. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"
#include "base/plugins.h"
#include "fence/nodes.h"
#include "task/session-impl.h"

const struct domu_guest *domu_session_guest(struct domu_session *s)
{
	return s->guest;
}

struct domu_ctx *domu_session_ctx(struct domu_session *s)
{
	return s->ctx;
}

const struct domu_backing *domu_session_backings(struct domu_session *s, size_t *n)
{
	*n = s->n_backings;
	return s->backings;
}

void domu_session_drop_replay(struct domu_session *s)
{
	if (s->replay_fd >= 0)
		close(s->replay_fd);
	s->replay_fd = -1;
}

/* ---- opening -------------------------------------------------------------- */

/* Of a disk that is not there its path is all that is known of it. */
static int open_disk(struct domu_session *s, const struct domu_disk *d, struct domu_backing *b)
{
	int rc = domu_backing_open(s->ctx, d, b);

	if (rc == 0 || !s->opts.missing_ok || domu_error_status(s->ctx) != DOMU_NOTFOUND)
		return rc;
	domu_say(s->ctx, DOMU_WARNING, "%s", s->ctx->error.message != NULL ? s->ctx->error.message : d->path);
	domu_error_clear(s->ctx);
	b->disk = d;
	b->path = strdup(d->path);
	return b->path != NULL ? 0 : domu_nomem(s->ctx);
}

static int open_disks(struct domu_session *s)
{
	const struct domu_guest *g = s->guest;

	s->backings = calloc(g->n_disks + 1, sizeof *s->backings);
	s->view = calloc(g->n_disks + 1, sizeof *s->view);
	if (s->backings == NULL || s->view == NULL)
		return domu_nomem(s->ctx);
	for (size_t i = 0; i < g->n_disks; i++) {
		int rc;

		if (g->disks[i].cdrom || g->disks[i].path == NULL)
			continue;
		if (s->n_backings == DOMU_MAX_DISKS)
			return domu_fail(s->ctx, DOMU_UNSUPPORTED, -E2BIG, "%s: more than %u disks",
			                 domu_guest_shown(g), DOMU_MAX_DISKS);
		rc = open_disk(s, &g->disks[i], &s->backings[s->n_backings]);
		if (rc != 0)
			return rc;
		/* Who takes the lock is told by that who has it. */
		if (s->opts.state != NULL && (!s->opts.changes || g->disks[i].readonly))
			s->backings[s->n_backings].state_dir = domu_state_dir(s->opts.state);
		domu_backing_forget(&s->backings[s->n_backings]);
		s->n_backings++;
	}
	if (s->n_backings == 0)
		return domu_fail(s->ctx, DOMU_NOTFOUND, -ENOENT, "%s has no disk", domu_guest_shown(g));
	return 0;
}

/* A device that somebody commits to is claimed by that: where our own lock tells who it is, that is the reason. */
static int ask_owner(struct domu_session *s, struct domu_verdict *v)
{
	if (s->opts.state == NULL || !s->opts.changes)
		return 0;
	for (size_t i = 0; i < s->n_backings; i++)
		s->backings[i].state_dir = domu_state_dir(s->opts.state);
	domu_verdict_free(v);
	return domu_verdict_make(s->ctx, s->guest, s->backings, s->n_backings, DOMU_VERDICT_READ, s->opts.waive, v);
}

/* The verdict before reading; a guest in use is read only when asked to. */
static int read_verdict(struct domu_session *s)
{
	struct domu_verdict v;
	int rc;

	rc = domu_verdict_make(s->ctx, s->guest, s->backings, s->n_backings, DOMU_VERDICT_READ, s->opts.waive, &v);
	if (rc == 0 && v.in_use && !s->opts.live)
		rc = ask_owner(s, &v);
	if (rc != 0)
		return rc;
	if (v.in_use && s->opts.live)
		domu_say(s->ctx, DOMU_WARNING,
		         "%s is in use: what is read may be inconsistent, and its journal is not replayed",
		         domu_guest_shown(s->guest));
	else if (v.in_use)
		rc = domu_verdict_refuse(s->ctx, s->guest, &v);
	else
		s->opts.live = false;
	domu_verdict_free(&v);
	return rc;
}

static void warn_recover(struct domu_session *s)
{
	struct domu_commit_info *v;
	size_t n;

	if (domu_session_pending(s, DOMU_COMMIT_INTERRUPTED, &v, &n) != 0)
		return;
	if (n > 0 && v[0].under_way)
		domu_say(s->ctx, DOMU_WARNING, "a commit on %s is under way (%s, process %" PRId64 ")",
		         domu_guest_shown(s->guest), v[0].id, v[0].holder_pid);
	else if (n > 0)
		domu_say(s->ctx, DOMU_WARNING, "a commit on %s was cut short (%s): domu-rescue recover %s",
		         domu_guest_shown(s->guest), v[0].id, domu_guest_shown(s->guest));
	domu_state_list_free(v, n);
}

int domu_session_open(struct domu_ctx *ctx, const struct domu_guest *g, const struct domu_session_opts *opts,
                      struct domu_session **out)
{
	struct domu_session *s = calloc(1, sizeof *s);
	int rc;

	*out = NULL;
	if (s == NULL)
		return domu_nomem(ctx);
	s->ctx = ctx;
	s->guest = g;
	s->opts = *opts;
	s->replay_fd = s->base_fd = -1;
	if (g->error != NULL) {
		rc = domu_fail(ctx, DOMU_FAILED, -EINVAL, "%s: %s", g->source, g->error);
		goto out;
	}
	if (opts->use != NULL) {
		s->use = strdup(opts->use);
		if (s->use == NULL) {
			rc = domu_nomem(ctx);
			goto out;
		}
	}
	/* A worker that needs the others loads them here, too. */
	rc = domu_plugins_load_first(ctx, DOMU_PLUGIN_FS);
	if (rc == 0)
		rc = open_disks(s);
	if (rc != 0)
		goto out;
	/* Before anybody is asked for, so that whoever comes after is told. */
	if (opts->watch && !opts->live)
		domu_watch_open(ctx, &s->watch);
	if (opts->announce && opts->state != NULL && !opts->live)
		domu_session_announce(s);
	if (!opts->in_use_ok)
		rc = read_verdict(s);
	if (rc != 0)
		goto out;
	warn_recover(s);
out:
	if (rc != 0)
		domu_session_close(s);
	else
		*out = s;
	return rc;
}

int domu_session_close(struct domu_session *s)
{
	int rc, r;

	if (s == NULL)
		return 0;
	rc = domu_session_keep(s);
	r = domu_session_end_worker(s, false);
	rc = rc != 0 ? rc : r;
	domu_watch_close(s->watch);
	for (size_t i = 0; i < s->n_backings; i++)
		domu_backing_close(&s->backings[i]);
	domu_session_drop_replay(s);
	free(s->backings);
	free(s->view);
	free(s->use);
	free(s->appliance_error);
	free(s->held);
	free(s->taken);
	free(s->taken_next);
	domu_session_forget_supers(s);
	free(s);
	return rc;
}

void domu_session_use(struct domu_session *s, const char *dev)
{
	free(s->use);
	s->use = dev != NULL ? strdup(dev) : NULL;
}

/* ---- the worker ------------------------------------------------------------ */

uint64_t domu_session_size(const struct domu_session *s, size_t disk)
{
	return s->view[disk] != 0 ? s->view[disk] : s->backings[disk].size;
}

/* On the disk of the state directory where there is one that can be written: a journal may be large. */
int domu_session_replay_log(struct domu_session *s)
{
	int fd = s->opts.state != NULL ? domu_replay_log(NULL, domu_state_dir(s->opts.state)) : -ENOENT;

	return fd >= 0 ? fd : domu_replay_log(s->ctx, NULL);
}

/* replay: with the layer for a journal's replay, which is made when it is first needed. */
static int make_stack(struct domu_session *s, size_t disk, bool replay, struct domu_stack_desc *desc)
{
	const struct domu_backing *b = &s->backings[disk];

	*desc = (struct domu_stack_desc){
		.base_fd = b->fd,
		.size = domu_session_size(s, disk),
		.sector_size = b->sector_size,
		.disk = (unsigned)disk,
		.stage_fd = -1,
		.replay_fd = -1,
	};
	if (s->stage != NULL && !b->disk->readonly) {
		desc->stage_fd = domu_stage_log_fd(s->stage);
		if (!s->looking)
			return 0;
		desc->stage_readonly = true;
	}
	if (s->replay_fd < 0 && replay)
		s->replay_fd = domu_session_replay_log(s);
	if (s->replay_fd < 0 && replay)
		return s->replay_fd;
	desc->replay_fd = s->replay_fd;
	return 0;
}

int domu_session_stack(struct domu_session *s, size_t disk, struct domu_stack_desc *desc)
{
	return make_stack(s, disk, true, desc);
}

int domu_session_end_worker(struct domu_session *s, bool flush)
{
	int rc = 0, r;

	if (s->worker != NULL)
		rc = domu_worker_end(s->worker, flush);
	s->worker = NULL;
	/* A commit may follow: the next worker sees the disks anew. */
	if (s->base_fd >= 0)
		close(s->base_fd);
	s->base_fd = -1;
	r = domu_session_end_appliances(s);
	return rc != 0 ? rc : r;
}

int domu_session_look(struct domu_session *s, bool mounts, struct domu_nodes *nodes)
{
	int rc = domu_session_end_worker(s, s->stage != NULL), r;
	char *use = s->use;

	memset(nodes, 0, sizeof *nodes);
	if (rc != 0)
		return rc;
	/* Which is the guest's root, and what it mounts where, does not depend on what is looked at now. */
	s->use = NULL;
	/* What the last look put into the layer above the stage would hide what the stage holds now. */
	domu_session_drop_replay(s);
	s->looking = true;
	rc = domu_session_nodes(s, mounts, nodes);
	r = domu_session_end_worker(s, false);
	s->use = use;
	s->looking = false;
	domu_session_drop_replay(s);
	return rc != 0 ? rc : r;
}

int domu_session_look_call(struct domu_session *s, struct domu_msg *req, struct domu_msg *reply)
{
	int rc = domu_session_end_worker(s, s->stage != NULL), r;

	if (rc != 0)
		return rc;
	domu_session_drop_replay(s);
	s->looking = true;
	rc = domu_session_call(s, req, reply);
	r = domu_session_end_worker(s, false);
	s->looking = false;
	domu_session_drop_replay(s);
	return rc != 0 ? rc : r;
}

bool domu_session_unreplayed(const struct domu_session *s)
{
	return s->opts.live || s->opts.in_use_ok || (s->taken != NULL && s->in_use);
}

static int start_worker(struct domu_session *s)
{
	struct domu_worker_disk *disks = calloc(s->n_backings, sizeof *disks);
	struct domu_worker_opts o = { .disks = disks, .n_disks = s->n_backings, .ops = s->opts.ops };
	int rc = 0;

	if (disks == NULL)
		return domu_nomem(s->ctx);
	if (s->stage != NULL) {
		s->base_fd = domu_session_replay_log(s);
		rc = s->base_fd < 0 ? s->base_fd : 0;
	}
	for (size_t i = 0; i < s->n_backings && rc == 0; i++) {
		snprintf(disks[i].vdev, sizeof disks[i].vdev, "%s", s->backings[i].disk->vdev);
		/* A lean worker ends where there is a journal to replay: a file for it would cost a tenth of a cat. */
		rc = make_stack(s, i, s->not_lean, &disks[i].stack);
		/* Journals are replayed by programs; what a worker wrote here would be lost. */
		disks[i].stack.replay_readonly = true;
		disks[i].base_fd = s->base_fd;
	}
	o.tree.root_hint = s->guest->root_hint;
	o.tree.use = s->use;
	o.tree.guest = domu_guest_shown(s->guest);
	o.tree.writable = s->stage != NULL && !s->looking;
	o.tree.engine_guestfs = s->opts.engine_guestfs;
	o.tree.unreplayed = domu_session_unreplayed(s) || s->looking;
	o.lean = !s->not_lean;
	o.walks = s->opts.walks;
	if (rc == 0)
		rc = domu_worker_start(s->ctx, &o, &s->worker);
	free(disks);
	return rc;
}

static int ready_worker(struct domu_session *s)
{
	return s->worker != NULL ? 0 : start_worker(s);
}

/* A dead worker is a message and a new worker. */
static void check_worker(struct domu_session *s)
{
	if (!domu_worker_alive(s->worker))
		domu_session_end_worker(s, false);
}

/* Most guests need no libraries for tables; where one does, the call that met it is made again. */
static bool was_too_lean(struct domu_session *s, int rc)
{
	if (rc != -ELIBACC || s->not_lean)
		return false;
	s->not_lean = true;
	return true;
}

int domu_session_renew(struct domu_session *s)
{
	return domu_session_end_worker(s, s->stage != NULL);
}

int domu_session_call(struct domu_session *s, struct domu_msg *req, struct domu_msg *reply)
{
	struct domu_relay relay = { .s = s, .h = s->opts.handlers };
	struct domu_worker_handlers h = domu_session_handlers;
	int rc;

	h.user = &relay;
	if (s->opts.handlers != NULL) {
		h.tick = s->opts.handlers->tick;
		h.tick_user = s->opts.handlers->tick_user;
	}
	do {
		rc = ready_worker(s);
		if (rc != 0)
			return rc;
		rc = domu_worker_call(s->worker, req, &h, reply);
		check_worker(s);
	} while (was_too_lean(s, rc));
	return rc;
}

int domu_session_nodes(struct domu_session *s, bool mounts, struct domu_nodes *nodes)
{
	struct domu_relay relay = { .s = s };
	struct domu_worker_handlers h = domu_session_handlers;
	uint64_t sizes[DOMU_MAX_DISKS];
	const struct domu_nodes_request r = {
		.flags = mounts ? DOMU_NODES_MOUNTS : 0,
		.sizes = sizes,
		.n_disks = s->n_backings,
	};
	int rc;

	memset(nodes, 0, sizeof *nodes);
	for (size_t i = 0; i < s->n_backings; i++)
		sizes[i] = domu_session_size(s, i);
	h.user = &relay;
	do {
		rc = ready_worker(s);
		if (rc != 0)
			return rc;
		rc = domu_nodes_request(s->ctx, s->worker, &r, &h, nodes);
		check_worker(s);
	} while (was_too_lean(s, rc));
	return rc;
}

int domu_session_check_door(struct domu_session *s, const struct domu_node *node, bool change)
{
	const char *why = domu_node_frozen(node);

	if (why != NULL && (change || (node->scattered && node->map == NULL)))
		return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: %s", node->name, why);
	if (!node->probe.closed)
		return 0;
	return domu_fail(s->ctx, DOMU_UNRECOVERED, -EBUSY,
	                 "%s: a commit (%s) was cut short; run domu-rescue recover %s", node->name,
	                 node->probe.closed_by[0] != '\0' ? node->probe.closed_by : "unknown",
	                 domu_guest_shown(s->guest));
}

int domu_session_program(struct domu_session *s, const struct domu_node *node, uint64_t size, struct domu_program *p,
                         int *wstatus)
{
	int rc = domu_session_end_worker(s, s->stage != NULL);
	const struct domu_place place = domu_node_place(node);
	struct domu_shown shown;

	if (rc == 0)
		rc = domu_session_check_door(s, node, true);
	if (rc == 0)
		rc = domu_session_show(s, &place, &shown);
	if (rc != 0)
		return rc;
	p->name = node->name;
	p->stack = shown.stack;
	p->offset = shown.offset;
	p->size = size;
	return domu_program_run(s->ctx, p, wstatus);
}

int domu_session_grow_view(struct domu_session *s, unsigned disk, uint64_t size)
{
	int rc = domu_session_end_worker(s, s->stage != NULL);

	if (rc == 0 && size >= s->backings[disk].size)
		s->view[disk] = size;
	return rc;
}
