/* SPDX-License-Identifier: GPL-3.0-or-later */
/* resize.c - doing a resize plan: everything on the stage first, the backing store last, one commit. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/num.h"
#include "block/table.h"
#include "task/check.h"
#include "task/resize.h"
#include "task/session-impl.h"

/* ---- the table -------------------------------------------------------------------- */

int domu_op_table_grow(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	uint64_t disk = domu_msg_get_u64(req), partno = domu_msg_get_u64(req), size = domu_msg_get_u64(req);
	struct domu_block *b;
	int rc;

	(void)reply;
	if (req->err != 0 || partno == 0 || partno > UINT32_MAX)
		return domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "table-grow: malformed request");
	rc = domu_work_disk(w, disk, &b);
	return rc != 0 ? rc : domu_table_grow(w->ctx, b, (unsigned)partno, size);
}

static int grow_table(struct domu_session *s, const struct domu_node *n, uint64_t to)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = { 0 };
	int rc;

	domu_msg_put_str(&req, "table-grow");
	domu_msg_put_u64(&req, n->disk);
	domu_msg_put_u64(&req, n->partno);
	domu_msg_put_u64(&req, to);
	rc = domu_session_call(s, &req, &reply);
	domu_msg_free(&req);
	domu_msg_free(&reply);
	return rc;
}

/* ---- the filesystem --------------------------------------------------------------- */

/* The last line of what a program said is usually the cause. */
static const char *last_line(struct domu_log *log)
{
	char *p;

	if (log->text == NULL || log->len < 2)
		return "it said nothing";
	log->text[log->len - 1] = '\0';
	p = strrchr(log->text, '\n');
	return p != NULL ? p + 1 : log->text;
}

static int check_clean(struct domu_session *s, const struct domu_node *n, enum domu_check_mode mode)
{
	struct domu_log log = { 0 };
	int code = 0, rc = 0;

	for (unsigned pass = 0; pass < 2; pass++) {
		rc = domu_check_node(s, n, mode, DOMU_VIEW_SESSION, &log, NULL, NULL, &code);
		if (rc != 0 || code != 1)
			break;
	}
	if (rc == 0 && code != 0)
		rc = domu_fail(s->ctx, DOMU_FAILED, -EUCLEAN,
		               "%s has errors (%s): domu-rescue fsck -y %s first; nothing was written", n->name,
		               last_line(&log), domu_guest_shown(s->guest));
	domu_log_free(&log);
	return rc;
}

static int grow_filesystem(struct domu_session *s, const struct domu_node *n, uint64_t to)
{
	const struct domu_fs_ops *fs = domu_fs_driver(n->probe.type);
	const char *argv[16];
	struct domu_log log = { 0 };
	struct domu_program p = {
		.argv = argv, .shim = fs->tools->shim, .writable = true, .line = domu_log_line, .user = &log
	};
	char size[32];
	size_t i;
	int rc, status;

	snprintf(size, sizeof size, "%" PRIu64 "K", to / 1024);
	for (i = 0; i < 15 && fs->tools->grow[i] != NULL; i++)
		argv[i] = strcmp(fs->tools->grow[i], "#") == 0 ? size : fs->tools->grow[i];
	argv[i] = NULL;
	rc = domu_session_program(s, n, to, &p, &status);
	if (rc == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		rc = domu_fail(s->ctx, DOMU_FAILED, -EIO, "%s: %s failed: %s; nothing was written", n->name, argv[0],
		               last_line(&log));
	domu_log_free(&log);
	return rc;
}

/* ---- the plan ------------------------------------------------------------------------ */

static int do_step(struct domu_session *s, const struct domu_node *n, const struct domu_step *st)
{
	switch (st->op) {
	case DOMU_STEP_GROW_BACKING:
		return domu_session_grow_view(s, n->disk, st->to);
	case DOMU_STEP_WRITE_TABLE:
		return grow_table(s, n, st->to);
	case DOMU_STEP_CHECK:
		return check_clean(s, n, DOMU_CHECK_PREEN);
	case DOMU_STEP_GROW_FILESYSTEM:
		return grow_filesystem(s, n, st->to);
	}
	return -EINVAL;
}

/* Harmless by itself: the guest sees a longer disk.  Kept, and said, when the commit is refused afterwards. */
static int grow_backing(struct domu_session *s, const struct domu_resize_plan *p)
{
	struct domu_backing *b = &s->backings[p->disk];
	char from[DOMU_SIZE_TEXT], to[DOMU_SIZE_TEXT];
	int fd, rc = 0;

	if (p->disk_size <= b->size)
		return 0;
	domu_size_format(b->size, from);
	domu_size_format(p->disk_size, to);
	if (domu_ask(s->ctx, "grow %s from %s to %s? (undo does not make it shorter again)", b->path, from, to) != 1)
		return domu_fail(s->ctx, DOMU_DECLINED, -ECANCELED,
		                 "growing %s was declined (--yes agrees to it): nothing was written", b->path);
	fd = domu_backing_open_rw(s->ctx, b);
	if (fd < 0)
		return fd;
	if (s->ctx->io->ftruncate(fd, (off_t)p->disk_size) < 0 || s->ctx->io->fsync(fd) < 0)
		rc = domu_fail(s->ctx, DOMU_FAILED, -errno, "%s cannot be grown to %" PRIu64 " bytes: %s", b->path,
		               p->disk_size, strerror(errno));
	close(fd);
	if (rc == 0)
		b->size = p->disk_size;
	return rc;
}

/* The plan's steps stay with what they changed. */
static void keep_steps(struct domu_session *s, const struct domu_node *n, const struct domu_resize_plan *p)
{
	struct domu_log log = { 0 };
	struct domu_note note = { .device = n->name, .source = "resize" };

	for (size_t i = 0; i < p->n_steps; i++) {
		const struct domu_step *st = &p->steps[i];
		char from[DOMU_SIZE_TEXT], to[DOMU_SIZE_TEXT], line[192];

		domu_size_format(st->from, from);
		domu_size_format(st->to, to);
		if (st->from == st->to)
			snprintf(line, sizeof line, "%s %s", domu_step_name(st->op), st->device);
		else
			snprintf(line, sizeof line, "%s %s: %s to %s", domu_step_name(st->op), st->device, from, to);
		domu_log_line(&log, line);
	}
	note.text = log.text;
	domu_session_note(s, &note);
	domu_log_free(&log);
}

static int rehearse(struct domu_session *s, const struct domu_node *n, const struct domu_resize_plan *p,
                    domu_step_fn fn, void *user)
{
	struct domu_node grown = *n;
	int rc = domu_session_change_begin(s);

	if (rc != 0)
		return rc;
	s->programs = true;
	for (size_t i = 0; rc == 0 && i < p->n_steps; i++) {
		if (fn != NULL)
			fn(user, &p->steps[i]);
		rc = do_step(s, n, &p->steps[i]);
	}
	/* Judged by a check of its own, at the new size. */
	grown.size = p->to;
	if (rc == 0)
		rc = check_clean(s, &grown, DOMU_CHECK_NO);
	if (rc == 0)
		keep_steps(s, n, p);
	return domu_session_change_end(s, rc);
}

int domu_resize_run(struct domu_session *s, const struct domu_nodes *nodes, const struct domu_resize_plan *p,
                    bool dry_run, domu_step_fn fn, void *user, char id[DOMU_ID_LEN + 1])
{
	const struct domu_node *n = &nodes->v[p->node];
	uint64_t before = s->backings[p->disk].size;
	int rc;

	id[0] = '\0';
	if (p->n_steps == 0)
		return 0;
	rc = domu_session_begin(s);
	if (rc == 0)
		rc = rehearse(s, n, p, fn, user);
	/* Everything else that the commit needs comes before what cannot be taken back. */
	if (rc == 0 && !dry_run)
		rc = domu_session_commit_room(s);
	if (rc == 0 && !dry_run)
		rc = grow_backing(s, p);
	if (rc != 0 || dry_run) {
		domu_session_rollback(s);
		return rc;
	}
	domu_session_verified(s);
	rc = domu_session_commit(s, id);
	if (rc != 0)
		domu_session_rollback(s);
	if (rc != 0 && s->backings[p->disk].size != before)
		domu_say(s->ctx, DOMU_WARNING, "%s stays at its new size; nothing else was changed",
		         s->backings[p->disk].path);
	return rc;
}
