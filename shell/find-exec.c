/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find-exec.c - find's -exec: commands of this program, run in the worker on what was found. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "shell/find.h"

#define MOST       100000u /* paths of one run by + */
#define MOST_BYTES (8u << 20)

static bool has_path(const struct domu_command *c)
{
	bool guest = false, host = false;

	for (const struct domu_arg *a = c->args; a != NULL && a->name != NULL; a++) {
		guest = guest || a->type == ARG_GUEST_PATH || a->type == ARG_GUEST_DIR || a->type == ARG_ANY_PATH;
		host = host || a->type == ARG_HOST_PATH;
	}
	return guest && !host;
}

/* What runs whole in the worker, and prints no rows of its own kind. */
bool domu_find_can_run(const struct domu_command *c)
{
	return c->worker != NULL && c->layout == NULL && has_path(c) && (c->needs & TAKES_BYTES) == 0 &&
	       (c->needs & (NEED_WRITE | NEED_STATE | GIVES_BYTES)) != 0;
}

bool domu_find_changes(const struct domu_command *c)
{
	return (c->needs & (NEED_WRITE | NEED_STATE)) != 0;
}

static int no_command(struct domu_ctx *ctx, const char *word)
{
	char list[256] = "";
	size_t len = 0;

	for (size_t i = 0; domu_commands[i] != NULL; i++)
		if (domu_find_can_run(domu_commands[i]) && len + strlen(domu_commands[i]->name) + 2 < sizeof list)
			len += (size_t)snprintf(list + len, sizeof list - len, " %s", domu_commands[i]->name);
	return domu_fail(ctx, DOMU_USAGE, -EINVAL,
	                 "find: -exec runs%s, on the guest's files, and not %s; for programs of this host: domu-rescue "
	                 "export GUEST DIR, then find DIR -exec",
	                 list, word);
}

static void free_list(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

static char *replace(const char *word, const char *path)
{
	size_t n = 0, len = strlen(path);
	const char *p, *at;
	char *whole, *to;

	for (p = word; (p = strstr(p, "{}")) != NULL; p += 2)
		n++;
	whole = to = malloc(strlen(word) + n * len + 1);
	for (p = word; whole != NULL && (at = strstr(p, "{}")) != NULL; p = at + 2) {
		to = mempcpy(to, p, (size_t)(at - p));
		to = mempcpy(to, path, len);
	}
	if (whole != NULL)
		memcpy(to, p, strlen(p) + 1);
	return whole;
}

/* A word as the administrator wrote it may name the guest before its path; what takes the place of {} does not. */
static const char *without_guest(const struct domu_run *r, const char *word)
{
	const char *split = strstr(word, ":/"), *path = strstr(word, "{}");

	return r == NULL || split == NULL || (path != NULL && path < split) ? word
	                                                                    : domu_own_path(word, r->guest, r->use);
}

/* The words of x with paths, parsed by the command's row.  r: NULL where they are only looked at. */
static int make_args(struct domu_ctx *ctx, const struct domu_run *r, const struct domu_find_node *x, char *const *paths,
                     size_t n, struct domu_args **args)
{
	size_t total = x->n_words + (x->plus ? n : 0);
	char **v = calloc(total + 1, sizeof *v);
	int rc = v != NULL ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < total; i++) {
		const char *word = i < x->n_words ? without_guest(r, x->words[i]) : NULL;

		v[i] = word == NULL ? strdup(paths[i - x->n_words]) : x->plus ? strdup(word) : replace(word, paths[0]);
		rc = v[i] != NULL ? 0 : -ENOMEM;
	}
	rc = rc == 0 ? domu_args_parse(ctx, x->cmd, (int)total, v, true, args) : domu_nomem(ctx);
	if (v != NULL)
		free_list(v, total);
	return rc;
}

int domu_find_exec_check(struct domu_ctx *ctx, struct domu_find_node *x)
{
	char *const any[] = { (char *)"/x", NULL };
	struct domu_args *args = NULL;
	int rc;

	x->cmd = domu_command_find(x->words[0]);
	if (x->cmd == NULL || !domu_find_can_run(x->cmd))
		return no_command(ctx, x->words[0]);
	for (size_t i = 1; i < x->n_words; i++) {
		if (strncmp(x->words[i], "host:", 5) == 0)
			return domu_fail(ctx, DOMU_USAGE, -EINVAL,
			                 "find: -exec %s works inside the guest; out of it: domu-rescue export GUEST "
			                 "DIR, then find DIR -exec",
			                 x->cmd->name);
		if (x->plus && strstr(x->words[i], "{}") != NULL)
			return domu_fail(ctx, DOMU_USAGE, -EINVAL, "find: with + there is one {}, before it");
	}
	rc = make_args(ctx, NULL, x, any, 1, &args);
	domu_args_free(args);
	return rc;
}

int domu_find_exec(struct domu_run *r, const struct domu_find_node *x, char *const *paths, size_t n, bool *ok)
{
	struct domu_run sub = *r;
	struct domu_args *args = NULL;
	struct domu_out *own = NULL;
	/* Where there are several guests, find has put the name of this one before each path. */
	const bool found = !r->many;
	int rc = make_args(r->ctx, found ? r : NULL, x, paths, n, &args), r2;

	*ok = false;
	sub.cmd = x->cmd;
	sub.args = args;
	sub.no_guest = true;
	sub.found = found;
	sub.in_fd = -1;
	sub.exit_status = -1;
	/* Its lines come after what was found before; in JSON they are none of find's. */
	if (rc == 0)
		rc = domu_out_flush(r->out);
	if (rc == 0 && domu_out_json(r->out)) {
		rc = domu_out_open_send(r->work, NULL, false, &own);
		sub.out = own;
	}
	if (rc == 0)
		rc = x->cmd->worker(&sub);
	r2 = domu_out_close(own, NULL);
	rc = rc != 0 ? rc : r2;
	domu_args_free(args);
	*ok = rc == 0 && sub.exit_status <= 0;
	/* What changes something does so as a whole or not at all, and find with it. */
	if (rc == 0 || domu_find_changes(x->cmd) || rc == -EINTR || rc == -ESHUTDOWN || rc == -ENOMEM)
		return rc;
	domu_say(r->ctx, DOMU_WARNING, "%s", r->ctx->error.message != NULL ? r->ctx->error.message : strerror(-rc));
	domu_error_clear(r->ctx);
	return 0;
}

/* ---- {} + --------------------------------------------------------------------------------- */

static int run_batch(struct domu_run *r, struct domu_find_batch *b, bool *failed)
{
	bool ok;
	int rc = b->n > 0 ? domu_find_exec(r, b->x, b->paths, b->n, &ok) : 0;

	if (b->n > 0 && !ok)
		*failed = true;
	free_list(b->paths, b->n);
	*b = (struct domu_find_batch){ .x = b->x };
	return rc;
}

int domu_find_batches_run(struct domu_run *r, struct domu_find_batches *all)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < all->n; i++)
		rc = run_batch(r, &all->v[i], &all->failed);
	return rc;
}

int domu_find_batches_add(struct domu_run *r, struct domu_find_batches *all, const struct domu_find_node *x,
                          const char *path)
{
	struct domu_find_batch *b;
	size_t i = 0;

	while (i < all->n && all->v[i].x != x)
		i++;
	if (i == all->n) {
		if (!DOMU_ARRAY_ROOM(all->v, all->cap, all->n + 1))
			return domu_nomem(r->ctx);
		all->v[all->n++] = (struct domu_find_batch){ .x = x };
	}
	b = &all->v[i];
	if (!DOMU_ARRAY_ROOM(b->paths, b->cap, b->n + 1) || (b->paths[b->n] = strdup(path)) == NULL)
		return domu_nomem(r->ctx);
	b->bytes += strlen(b->paths[b->n++]);
	return b->n < MOST && b->bytes < MOST_BYTES ? 0 : run_batch(r, b, &all->failed);
}

void domu_find_batches_free(struct domu_find_batches *all)
{
	for (size_t i = 0; i < all->n; i++)
		free_list(all->v[i].paths, all->v[i].n);
	free(all->v);
	*all = (struct domu_find_batches){ 0 };
}
