/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fsck-count.c - what a repair did to files, told from the stage: which it moved to lost+found, which are gone. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/ctx.h"
#include "fs/compare.h"
#include "task/fsck.h"
#include "task/session-impl.h"
#include "task/treeio-links.h"

#define MOST  100000u /* names of one filesystem that are compared */
#define FOUND "/lost+found/"

struct counting {
	struct domu_ctx *ctx;
	struct domu_links added; /* inodes with a new name */
	uint64_t *gone; /* those without an old one */
	size_t n_gone, cap;
	uint64_t n, moved;
};

static int take(void *user, const struct domu_difference *d)
{
	struct counting *c = user;
	bool again;

	if (c->n++ == MOST)
		return -E2BIG;
	if (d->change == DOMU_IS_ADDED) {
		domu_links_id(&c->added, 0, d->new_ino, &again);
		/* Of a directory, what is in it went with it. */
		c->moved += strncmp(d->path, FOUND, strlen(FOUND)) == 0 && strchr(d->path + strlen(FOUND), '/') == NULL;
	}
	if (d->change != DOMU_IS_REMOVED)
		return 0;
	if (!DOMU_ARRAY_ROOM(c->gone, c->cap, c->n_gone + 1))
		return domu_nomem(c->ctx);
	c->gone[c->n_gone++] = d->old_ino;
	return 0;
}

static uint64_t count_gone(struct counting *c)
{
	uint64_t n = 0;
	bool again;

	for (size_t i = 0; i < c->n_gone; i++) {
		domu_links_id(&c->added, 0, c->gone[i], &again);
		n += !again;
	}
	return n;
}

/* Request: str node.  Reply: u64 moved, gone, and whether there are more. */
int domu_op_fsck_count(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	const char *node = domu_msg_get_str(req);
	struct counting n = { .ctx = w->ctx };
	struct domu_compare c = { .ctx = w->ctx, .at = "/", .quiet = true, .found = take, .user = &n };
	struct domu_span *spans = NULL;
	struct domu_tree *old, *new;
	size_t i;
	int rc = req->err != 0 || node == NULL ? -EBADMSG : domu_work_tree(w, NULL, &new);

	if (rc == 0)
		rc = domu_work_base_tree(w, -1, &old);
	if (rc == 0)
		rc = domu_tree_find(new, node, &i);
	if (rc == 0)
		rc = domu_work_sides(w, i, &c, &spans);
	if (rc == 0)
		rc = domu_compare(&c);
	if (rc == 0 || rc == -E2BIG) {
		domu_msg_put_u64(reply, n.moved);
		domu_msg_put_u64(reply, count_gone(&n));
		domu_msg_put_u64(reply, rc != 0);
		domu_error_clear(w->ctx);
		rc = 0;
	}
	free(spans);
	free(n.gone);
	domu_links_free(&n.added);
	return rc;
}

int domu_fsck_count(struct domu_session *s, struct domu_fsck_result *r)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = { 0 };
	bool clean = s->ctx->error.status == DOMU_OK;
	int rc;

	domu_msg_put_str(&req, "fsck-count");
	domu_msg_put_str(&req, r->device);
	rc = domu_session_look_call(s, &req, &reply);
	if (rc == 0) {
		r->moved = domu_msg_get_u64(&reply);
		r->gone = domu_msg_get_u64(&reply);
		r->more = domu_msg_get_u64(&reply) != 0;
		r->counted = reply.err == 0;
	}
	domu_msg_free(&req);
	domu_msg_free(&reply);
	if (rc == -EINTR)
		return rc;
	/* The repair is as good without it. */
	if (rc != 0 && clean)
		domu_error_clear(s->ctx);
	return 0;
}
