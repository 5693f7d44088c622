/* SPDX-License-Identifier: GPL-3.0-or-later */
/* run.c - what a command being run uses: its operands' paths, bulk output, and the way into the worker. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "shell/command.h"
#include "shell/workercmd.h"

#define WIDE (1 << 20) /* bytes of a pipe that much goes through: fewer turns between two processes */

const char *domu_own_path(const char *word, const char *guest, const char *use)
{
	const char *split = strstr(word, ":/");
	size_t len = guest != NULL ? strlen(guest) : 0, at = use != NULL ? strlen(use) : 0;

	if (split == word)
		return split + 1;
	if (split == NULL || guest == NULL || strncmp(word, guest, len) != 0)
		return word;
	if (at > 0 && word[len] == '@' && strncmp(word + len + 1, use, at) == 0)
		len += 1 + at;
	return word + len == split ? split + 1 : word;
}

const char *domu_run_path(const struct domu_run *r, size_t operand)
{
	const char *word = domu_args_get(r->args, operand), *split;

	if (word == NULL || r->found)
		return word;
	split = strstr(word, ":/");
	if (!r->no_guest)
		return split != NULL ? split + 1 : NULL;
	return domu_own_path(word, r->guest, r->use);
}

int domu_run_walk(struct domu_run *r, size_t operand, unsigned flags, struct domu_path *out)
{
	const char *path = domu_run_path(r, operand);
	struct domu_tree *t;
	int rc = domu_work_tree(r->work, r->use, &t);

	if (rc != 0)
		return rc;
	return domu_path_walk(t, r->cwd, path != NULL ? path : r->cwd, flags, out);
}

#define PIECE (256u * 1024)

void domu_run_widen(struct domu_run *r)
{
	/* Where it is no pipe, or may not grow, nothing is lost. */
	if (r->out_fd >= 0)
		fcntl(r->out_fd, F_SETPIPE_SZ, WIDE);
}

int domu_run_write(struct domu_run *r, const void *bytes, size_t len)
{
	const char *p = bytes;
	int rc = 0;

	if (r->out_fd >= 0) {
		rc = domu_write_full(r->out_fd, bytes, len);
		rc = rc == -EPIPE ? -ESHUTDOWN : rc;
		return rc == 0 ? 0 : domu_fail(r->ctx, DOMU_FAILED, rc, "cannot write the output: %s", strerror(-rc));
	}
	while (rc == 0 && len > 0) {
		struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_DATA);
		size_t n = len < PIECE ? len : PIECE;

		domu_msg_put_bytes(&m, p, n);
		rc = domu_work_send(r->work, &m);
		domu_msg_free(&m);
		p += n;
		len -= n;
	}
	return rc;
}

bool domu_run_is_over(int rc)
{
	return rc == -EINTR || rc == -EPIPE || rc == -ESHUTDOWN || rc == -ENOMEM;
}

/* A driver names an inode; what the operand called it is said too. */
static void name_operand(struct domu_run *r, size_t operand, int rc)
{
	const char *path = domu_run_path(r, operand), *slash = path != NULL ? strrchr(path, '/') : NULL;

	if (path == NULL || domu_run_is_over(rc) || domu_error_status(r->ctx) == DOMU_USAGE ||
	    r->ctx->error.message == NULL)
		return;
	if (strstr(r->ctx->error.message, slash != NULL ? slash + 1 : path) == NULL)
		domu_error_about(r->ctx, path);
}

int domu_run_each(struct domu_run *r, size_t first, int (*fn)(struct domu_run *r, size_t operand, void *user),
                  void *user)
{
	struct domu_error kept = { 0 };
	size_t n = domu_args_count(r->args);
	int rc = 0;

	if (n <= first)
		return fn(r, SIZE_MAX, user);
	for (size_t i = first; i < n; i++) {
		int one = fn(r, i, user);

		if (one == 0)
			continue;
		name_operand(r, i, one);
		if (rc != 0) {
			domu_say(r->ctx, DOMU_WARNING, "%s",
			         r->ctx->error.message != NULL ? r->ctx->error.message : "failed");
			domu_error_clear(r->ctx);
		} else {
			rc = one;
			kept = domu_error_take(r->ctx);
		}
		if (domu_run_is_over(one))
			break;
	}
	if (rc != 0)
		domu_error_put_back(r->ctx, kept);
	return rc;
}

void domu_run_unreadable(struct domu_run *r, const char *shown, int err, int *failed)
{
	domu_say(r->ctx, DOMU_WARNING, "%s: %s", shown,
	         r->ctx->error.message != NULL ? r->ctx->error.message : strerror(-err));
	domu_error_clear(r->ctx);
	*failed = err;
}

int domu_run_walked(struct domu_run *r, int rc, int failed)
{
	if (rc != 0 || failed == 0)
		return rc;
	return domu_fail(r->ctx, DOMU_FAILED, failed, "some of the tree cannot be read: domu-rescue fsck -n %s",
	                 r->guest != NULL ? r->guest : "GUEST");
}

/* ---- into the worker --------------------------------------------------------- */

/* A pipe or a file may be handed over; a terminal may not: what goes there is escaped by the front. */
static bool may_hand_over(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* Input may also come from /dev/null and the like; only a terminal, where somebody would have to type, is not it. */
static bool may_read_from(int fd)
{
	struct stat st;

	return may_hand_over(fd) || (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && !isatty(fd));
}

int domu_run_in_worker(struct domu_run *r, struct domu_session *s)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = DOMU_MSG_INIT(0);
	struct domu_command_request q = {
		.cwd = r->cwd,
		.use = r->use,
		.guest = r->guest,
		.many = r->many,
		.no_guest = r->no_guest,
		.in_shell = r->in_shell,
		.json = r->globals->json,
	};
	int rc, argc, in_fd = r->in_fd, out_fd = r->out_fd;
	char **words = domu_args_words(r->args, 0, domu_args_count(r->args), &argc);

	if (words == NULL)
		return domu_nomem(r->ctx);
	fflush(r->app->out);
	if (out_fd < 0 && (r->cmd->needs & GIVES_BYTES) != 0 && !r->globals->json && may_hand_over(fileno(r->app->out)))
		out_fd = fileno(r->app->out);
	if (in_fd < 0 && (r->cmd->needs & TAKES_BYTES) != 0 && may_read_from(STDIN_FILENO))
		in_fd = STDIN_FILENO;
	q.argc = (size_t)argc;
	q.argv = words;
	domu_command_encode(&req, &q, in_fd, out_fd);
	rc = domu_session_call(s, &req, &reply);
	if (rc == 0) {
		int status = (int)(int64_t)domu_msg_get_u64(&reply);

		if (reply.err != 0 || status < -1 || status > 255)
			rc =
			    domu_fail(r->ctx, DOMU_FAILED, -EBADMSG, "the worker ended %s with nonsense", r->cmd->name);
		else
			r->exit_status = status;
	}
	domu_words_free(words);
	domu_msg_free(&req);
	domu_msg_free(&reply);
	return rc;
}
