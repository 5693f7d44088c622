/* SPDX-License-Identifier: GPL-3.0-or-later */
/* say.c - messages, progress and results from a confined process to the front. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fence/confine.h"
#include "fence/work.h"

#define MAX_TEXT      (64u << 10)
#define PROGRESS_STEP 0.05 /* seconds between two reports of the same thing */

static void send_say(void *user, enum domu_level level, const char *text)
{
	struct domu_work_say *s = user;
	struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_SAY);

	domu_msg_put_u64(&m, level);
	domu_msg_put_str(&m, strlen(text) < MAX_TEXT ? text : "(a message that is too long)");
	domu_msg_send(s->sock, &m);
	domu_msg_free(&m);
}

static void send_progress(void *user, const char *what, uint64_t done, uint64_t total)
{
	struct domu_work_say *s = user;
	struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_PROGRESS);
	double now = domu_now();

	if (done != total && now - s->last < PROGRESS_STEP && strncmp(what, s->what, sizeof s->what - 1) == 0)
		return;
	s->last = now;
	snprintf(s->what, sizeof s->what, "%s", what);
	domu_msg_put_str(&m, s->what);
	domu_msg_put_u64(&m, done);
	domu_msg_put_u64(&m, total);
	domu_msg_send(s->sock, &m);
	domu_msg_free(&m);
}

void domu_work_ctx(struct domu_ctx *ctx, struct domu_work_say *say, int sock)
{
	domu_ctx_init(ctx);
	*say = (struct domu_work_say){ .sock = sock };
	ctx->cb.message = send_say;
	ctx->cb.progress = send_progress;
	ctx->cb.user = say;
}

int domu_work_heard(struct domu_ctx *ctx, struct domu_msg *m)
{
	if (m->type == DOMU_MSG_SAY) {
		uint64_t level = domu_msg_get_u64(m);
		const char *text = domu_msg_get_str(m);

		if (m->err != 0 || text == NULL || level > DOMU_WARNING_ONCE || strlen(text) > MAX_TEXT)
			return -EBADMSG;
		domu_say(ctx, (enum domu_level)level, "%s", text);
	} else {
		const char *what = domu_msg_get_str(m);
		uint64_t done = domu_msg_get_u64(m), total = domu_msg_get_u64(m);

		if (m->err != 0 || what == NULL || strlen(what) > MAX_TEXT)
			return -EBADMSG;
		domu_progress(ctx, what, done, total);
	}
	return 0;
}

void domu_work_put_end(struct domu_msg *m, struct domu_ctx *ctx, int rc)
{
	const char *message = rc != 0 ? ctx->error.message : NULL;

	if (rc > 0)
		rc = 0;
	/* The cause is what was recorded: libext2fs calls a stage that is full a bitmap that cannot be written. */
	if (message != NULL && ctx->error.err == -ENOSPC)
		rc = -ENOSPC;
	domu_msg_put_u64(m, (uint64_t)(int64_t)rc);
	domu_msg_put_u64(m, rc != 0 ? domu_error_status(ctx) : DOMU_OK);
	domu_msg_put_str(m, message != NULL && strlen(message) > MAX_TEXT ? NULL : message);
	domu_msg_put_str(m, rc != 0 ? ctx->error.disk : NULL);
	domu_msg_put_str(m, rc != 0 ? ctx->error.path : NULL);
}

int domu_work_get_end(struct domu_msg *m, struct domu_ctx *ctx, int *rc)
{
	int64_t err = (int64_t)domu_msg_get_u64(m);
	uint64_t status = domu_msg_get_u64(m);
	const char *message = domu_msg_get_str(m), *disk = domu_msg_get_str(m), *path = domu_msg_get_str(m);
	bool first = ctx != NULL && ctx->error.status == DOMU_OK;

	*rc = -EBADMSG;
	if (m->err != 0 || err > 0 || err < -4095 || (message != NULL && strlen(message) > MAX_TEXT))
		return -EBADMSG;
	if (err != 0 && (status < DOMU_FAILED || status > DOMU_UNRECOVERED))
		return -EBADMSG;
	*rc = (int)err;
	if (err != 0)
		domu_error_set(ctx, (enum domu_status)status, (int)err,
		               message != NULL ? message : strerror((int)-err));
	if (err != 0 && first)
		domu_error_where(ctx, disk, path);
	return 0;
}
