/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-files.c - a session keeps the list of files that a commit changes, and puts their old versions back. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "task/restore.h"
#include "task/session-impl.h"

#define NAMED 10 /* files that a refusal names */

/* ---- before a commit ----------------------------------------------------------------------- */

/* The filesystems that the stage changes.  False: one of them cannot be compared. */
static bool put_nodes(const struct domu_nodes *nodes, const bool *touched, struct domu_msg *m)
{
	uint64_t n = 0;

	for (int pass = 0; pass < 2; pass++) {
		if (pass == 1)
			domu_msg_put_u64(m, n);
		for (size_t i = 0; i < nodes->n; i++) {
			const struct domu_node *node = &nodes->v[i];
			const struct domu_fs_ops *fs = domu_fs_driver(node->probe.type);

			if (!touched[i] || fs == NULL)
				continue;
			/* The appliance would have to be started once more, for the disk as it was. */
			if (fs->tools == NULL)
				return false;
			n++;
			if (pass == 0)
				continue;
			domu_msg_put_str(m, node->name);
			domu_msg_put_str(m, node->mountpoint[0] != '\0' ? node->mountpoint : NULL);
		}
	}
	return n > 0;
}

int domu_session_record_files(struct domu_session *s, const struct domu_nodes *nodes)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = { 0 };
	bool *touched = NULL, wanted = !s->programs && !s->opts.no_undo && !s->opts.engine_guestfs;
	int fd = -1, rc = 0;

	domu_msg_put_str(&req, "files-record");
	if (wanted)
		rc = domu_session_touched(s, nodes, &touched);
	if (rc == 0 && wanted)
		wanted = put_nodes(nodes, touched, &req);
	if (rc == 0 && wanted)
		rc = domu_stage_files_create(s->stage, &fd);
	if (rc == 0 && wanted) {
		domu_msg_put_fd(&req, fd);
		rc = domu_session_look_call(s, &req, &reply);
	}
	if (fd >= 0)
		s->ctx->io->close(fd);
	free(touched);
	domu_msg_free(&req);
	domu_msg_free(&reply);
	if (rc == 0 && wanted)
		return 0;
	domu_stage_files_drop(s->stage);
	if (rc == 0 || rc == -EINTR)
		return rc;
	domu_say(s->ctx, DOMU_WARNING, "undo of this commit will be whole only, not file by file: %s",
	         s->ctx->error.message != NULL ? s->ctx->error.message : strerror(-rc));
	domu_error_clear(s->ctx);
	return 0;
}

/* ---- results of a worker: checked -------------------------------------------------------------- */

void domu_undo_files_free(struct domu_undo_files *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].path);
		free(f->v[i].refused);
	}
	free(f->v);
	f->v = NULL;
	f->n = 0;
}

static int get_results(struct domu_session *s, struct domu_msg *m, struct domu_undo_files *out)
{
	uint64_t shown;

	out->done = domu_msg_get_u64(m);
	out->refused = domu_msg_get_u64(m);
	shown = domu_msg_get_u64(m);
	out->v = m->err == 0 && shown <= DOMU_RESTORE_SHOWN ? calloc(shown + 1, sizeof *out->v) : NULL;
	while (out->v != NULL && out->n < shown) {
		const char *path = domu_msg_get_str(m);
		uint64_t change = domu_msg_get_u64(m);
		const char *refused = domu_msg_get_str(m);
		struct domu_undo_file *f = &out->v[out->n];

		if (m->err != 0 || path == NULL || change < DOMU_IS_ADDED || change > DOMU_IS_METADATA)
			break;
		out->n++;
		f->change = domu_difference_name((enum domu_difference_kind)change);
		f->path = strdup(path);
		f->refused = refused != NULL ? strdup(refused) : NULL;
		if (f->path == NULL || (refused != NULL && f->refused == NULL))
			return domu_nomem(s->ctx);
	}
	if (out->v == NULL || out->n != shown)
		return domu_fail(s->ctx, DOMU_FAILED, -EBADMSG, "the worker ended with nonsense");
	return 0;
}

static int call(struct domu_session *s, const char *op, int files_fd, int log_fd, struct domu_undo_files *out)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = { 0 };
	int rc;

	domu_msg_put_str(&req, op);
	domu_msg_put_fd(&req, files_fd);
	if (log_fd >= 0)
		domu_msg_put_fd(&req, log_fd);
	rc = domu_session_call(s, &req, &reply);
	if (rc == 0)
		rc = get_results(s, &reply, out);
	domu_msg_free(&req);
	domu_msg_free(&reply);
	return rc;
}

/* ---- undo refused ------------------------------------------------------------------------------- */

static char *name_files(const struct domu_undo_files *f)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < f->n && i < NAMED && f->v[i].refused != NULL; i++)
		fprintf(out, "%s%s", i > 0 ? ", " : "", f->v[i].path);
	if (f->refused > NAMED)
		fprintf(out, " and %" PRIu64 " more", f->refused - NAMED);
	if (fclose(out) != 0) {
		free(text);
		text = NULL;
	}
	return text;
}

/* The blocks' message with what became of the files, and the way on where there is one. */
static void fail_stale(struct domu_session *s, const struct domu_error *why, const char *id,
                       const struct domu_undo_files *f)
{
	char *names = f->refused > 0 ? name_files(f) : NULL, *way = NULL;
	const char *plural = f->done + f->refused == 1 ? "" : "s";

	if (f->done > 0 && asprintf(&way, "; domu-rescue undo %s %s --files puts %s back", domu_guest_shown(s->guest),
	                            id, f->refused > 0 ? "the others" : "them") < 0)
		way = NULL;
	domu_fail(s->ctx, why->status, why->err,
	          "%s; of the %" PRIu64 " file%s that it changed %" PRIu64 " differ%s now%s%s%s", why->message,
	          f->done + f->refused, plural, f->refused, f->refused == 1 ? "s" : "", names != NULL ? ": " : "",
	          names != NULL ? names : "", way != NULL ? way : "");
	free(names);
	free(way);
}

void domu_session_explain_stale(struct domu_session *s, const char *id)
{
	struct domu_error why = s->ctx->error;
	struct domu_undo_files f = { 0 };
	int fd, rc;

	if (why.message == NULL || domu_history_files_open(s->opts.state, id, &fd) != 0)
		return;
	memset(&s->ctx->error, 0, sizeof s->ctx->error);
	rc = call(s, "files-differ", fd, -1, &f);
	close(fd);
	domu_error_clear(s->ctx);
	if (rc == 0 && f.done + f.refused > 0) {
		fail_stale(s, &why, id, &f);
		free(why.message);
	} else {
		s->ctx->error = why;
	}
	domu_undo_files_free(&f);
}

/* ---- undo --files ---------------------------------------------------------------------------------- */

/* The log of what the commit replaced, over this guest's disks. */
static int view(struct domu_session *s, const struct domu_commit_info *ci, int *log_fd)
{
	struct domu_commit_disk mine[DOMU_MAX_DISKS], disks[DOMU_MAX_DISKS];
	struct domu_commit_info now = { 0 };
	struct domu_nodes nodes = { 0 };
	int rc;

	for (size_t i = 0; i < s->n_backings; i++)
		mine[i] = (struct domu_commit_disk){ .fd = s->backings[i].fd, .size = s->backings[i].size };
	rc = domu_session_match_disks(s, ci, mine, false, disks);
	if (rc == 0)
		rc = domu_session_describe(s, &now);
	/* The pre-images are laid over the disks by a copy of them. */
	if (rc == 0)
		rc = domu_stage_room(s->opts.state, NULL, true, ci->blocks * DOMU_UNIT, 0);
	*log_fd = rc == 0 ? domu_session_replay_log(s) : -1;
	if (rc == 0 && *log_fd < 0)
		rc = *log_fd;
	if (rc == 0)
		rc = domu_session_nodes(s, false, &nodes);
	if (rc == 0)
		rc = domu_undo_view(s->opts.state, ci->id, disks, ci->n_disks, &now, &nodes, *log_fd);
	domu_nodes_free(&nodes);
	domu_commit_info_free(&now);
	return rc;
}

int domu_session_undo_files(struct domu_session *s, const char *id, struct domu_undo_files *out)
{
	struct domu_commit_info ci = { 0 };
	int files_fd = -1, log_fd = -1, rc;

	memset(out, 0, sizeof *out);
	rc = domu_session_find_undoable(s, id, &ci);
	if (rc == 0 && domu_history_files_open(s->opts.state, ci.id, &files_fd) != 0)
		rc = domu_fail(
		    s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		    "commit %s (%s) cannot be undone file by file: it was no change of single files (a repair, a "
		    "resize), or of too many; domu-rescue undo %s %s puts all of its blocks back, if they are "
		    "as it left them",
		    ci.id, ci.command != NULL ? ci.command : "", domu_guest_shown(s->guest), ci.id);
	if (rc == 0)
		rc = view(s, &ci, &log_fd);
	if (rc == 0) {
		snprintf(out->id, sizeof out->id, "%s", ci.id);
		rc = call(s, "files-restore", files_fd, log_fd, out);
	}
	if (files_fd >= 0)
		close(files_fd);
	if (log_fd >= 0)
		close(log_fd);
	domu_commit_info_free(&ci);
	return rc;
}
