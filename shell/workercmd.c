/* SPDX-License-Identifier: GPL-3.0-or-later */
/* workercmd.c - a command in the worker: its words parsed by the same table, run, its rows sent. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shell/command.h"
#include "shell/ops.h"
#include "shell/shell.h"
#include "shell/workercmd.h"

enum { FLAG_MANY = 1, FLAG_NO_GUEST = 2, FLAG_SHELL = 4, FLAG_JSON = 8, FLAG_IN = 16, FLAG_OUT = 32 };

#define MAX_WORDS 100000

void domu_command_encode(struct domu_msg *m, const struct domu_command_request *q, int in_fd, int out_fd)
{
	domu_msg_put_str(m, "command");
	domu_msg_put_u64(m, (q->many ? FLAG_MANY : 0) | (q->no_guest ? FLAG_NO_GUEST : 0) |
	                        (q->in_shell ? FLAG_SHELL : 0) | (q->json ? FLAG_JSON : 0) |
	                        (in_fd >= 0 ? FLAG_IN : 0) | (out_fd >= 0 ? FLAG_OUT : 0));
	domu_msg_put_str(m, q->cwd);
	domu_msg_put_str(m, q->use);
	domu_msg_put_str(m, q->guest);
	domu_msg_put_u64(m, q->argc);
	for (size_t i = 0; i < q->argc; i++)
		domu_msg_put_str(m, q->argv[i]);
	if (in_fd >= 0)
		domu_msg_put_fd(m, in_fd);
	if (out_fd >= 0)
		domu_msg_put_fd(m, out_fd);
}

static char **get_words(struct domu_msg *m, size_t n)
{
	char **words;

	if (n == 0 || n > MAX_WORDS || m->err != 0)
		return NULL;
	words = calloc(n + 1, sizeof *words);
	for (size_t i = 0; words != NULL && i < n; i++)
		words[i] = (char *)domu_msg_get_str(m);
	return words;
}

static bool is_path(const struct domu_arg *arg)
{
	return arg != NULL && (arg->type == ARG_GUEST_PATH || arg->type == ARG_GUEST_DIR || arg->type == ARG_ANY_PATH);
}

/* 'web1:/etc/\*.conf': what the guest has of that.  The shell has done it for its own lines. */
static int expand_operand(struct domu_run *r, struct domu_args *args, size_t *i)
{
	const char *word = domu_args_get(args, *i),
	           *path = is_path(domu_args_arg(args, *i)) ? domu_run_path(r, *i) : NULL;
	char **names = NULL;
	size_t n = 0;
	int rc;

	if (path == NULL || strpbrk(path, "*?[") == NULL)
		return 0;
	rc = domu_paths_expand(r->work, r->use, r->cwd, path, &names, &n);
	for (size_t k = 0; rc == 0 && k < n; k++) {
		char *whole;

		if (asprintf(&whole, "%.*s%s", (int)(path - word), word, names[k]) < 0) {
			rc = domu_nomem(r->ctx);
		} else {
			free(names[k]);
			names[k] = whole;
		}
	}
	if (rc == 0 && n > 0) {
		rc = domu_args_replace(r->ctx, args, *i, names, n);
		*i += n - 1;
	}
	domu_paths_free(names, n);
	return rc;
}

static int run_command(struct domu_run *r, int argc, char **words)
{
	struct domu_args *args = NULL;
	struct domu_out *out = NULL;
	int rc, r2;

	/* What the command before may have changed. */
	if (r->work->tree != NULL)
		domu_tree_forget_labels(r->work->tree);
	rc = domu_args_parse(r->ctx, r->cmd, argc, words, r->no_guest, &args);
	if (rc != 0)
		return rc;
	rc = domu_out_open_send(r->work, r->cmd->columns, r->globals->json, &out);
	if (rc == 0) {
		r->args = args;
		r->out = out;
		for (size_t i = 0; rc == 0 && !r->in_shell && i < domu_args_count(args); i++)
			rc = expand_operand(r, args, &i);
		if (rc == 0)
			rc = r->cmd->worker(r);
		r2 = domu_out_close(out, NULL);
		rc = rc != 0 ? rc : r2;
	}
	domu_args_free(args);
	return rc;
}

int domu_op_command(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct domu_globals globals = { 0 };
	struct domu_run r = {
		.ctx = w->ctx, .work = w, .globals = &globals, .in_fd = -1, .out_fd = -1, .exit_status = -1
	};
	uint64_t flags = domu_msg_get_u64(req), n;
	char **words;
	int rc;

	r.cwd = domu_msg_get_str(req);
	r.use = domu_msg_get_str(req);
	r.guest = domu_msg_get_str(req);
	n = domu_msg_get_u64(req);
	words = get_words(req, n);
	if (words == NULL || req->err != 0) {
		free(words);
		return domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "a command that the worker cannot read");
	}
	r.many = (flags & FLAG_MANY) != 0;
	r.no_guest = (flags & FLAG_NO_GUEST) != 0;
	r.in_shell = (flags & FLAG_SHELL) != 0;
	globals.json = (flags & FLAG_JSON) != 0;
	if ((flags & FLAG_IN) != 0)
		r.in_fd = domu_msg_take_fd(req);
	if ((flags & FLAG_OUT) != 0)
		r.out_fd = domu_msg_take_fd(req);
	r.cmd = words[0] != NULL ? domu_command_find(words[0]) : NULL;
	if (r.cmd == NULL || r.cmd->worker == NULL)
		rc = domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "the worker has no such command");
	else
		rc = run_command(&r, (int)n, words);
	if (r.in_fd >= 0)
		close(r.in_fd);
	if (r.out_fd >= 0)
		close(r.out_fd);
	free(words);
	domu_msg_put_u64(reply, (uint64_t)(int64_t)r.exit_status);
	return rc;
}
