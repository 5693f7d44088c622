/* SPDX-License-Identifier: GPL-3.0-or-later */
/* change.c - what the commands that change a guest's files share. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "shell/change.h"

const char *domu_change_shown(const struct domu_run *r, size_t operand)
{
	const char *path = domu_run_path(r, operand);

	return path != NULL ? path : domu_args_get(r->args, operand);
}

int domu_change_walk(struct domu_run *r, size_t operand, unsigned flags, struct domu_path *p)
{
	if (domu_run_path(r, operand) == NULL)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "%s: %s names no file: give GUEST:/PATH", r->cmd->name,
		                 domu_args_get(r->args, operand));
	return domu_run_walk(r, operand, flags, p);
}

int domu_change_fail(struct domu_run *r, int rc, const char *fmt, ...)
{
	enum domu_status status = rc == -ENOENT ? DOMU_NOTFOUND : DOMU_FAILED;
	const char *said = r->ctx->error.message;
	size_t len = strlen(r->cmd->name);
	char *text = NULL, *whole = NULL;
	va_list ap;

	/* What was recorded by a command's own code names the file already. */
	if (said != NULL && strncmp(said, r->cmd->name, len) == 0 && said[len] == ':')
		return rc;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (asprintf(&whole, "%s: %s", r->cmd->name, text != NULL ? text : "failed") < 0)
		whole = NULL;
	if (r->ctx->error.status == DOMU_OK)
		domu_fail(r->ctx, status, rc, "%s", strerror(-rc));
	domu_error_about(r->ctx, whole != NULL ? whole : r->cmd->name);
	free(whole);
	free(text);
	return rc;
}

int domu_change_tell(struct domu_run *r, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int rc, n;

	if (!domu_args_flag(r->args, "v"))
		return 0;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return domu_nomem(r->ctx);
	rc = domu_out_line(r->out, "%s", text);
	free(text);
	return rc;
}

int domu_change_reference(struct domu_run *r, const char *option, struct domu_stat *st)
{
	const char *text = domu_args_value(r->args, option), *split = strstr(text, ":/");
	struct domu_path *p = malloc(sizeof *p);
	struct domu_tree *t;
	int rc = p != NULL ? domu_work_tree(r->work, r->use, &t) : domu_nomem(r->ctx);

	if (rc == 0)
		rc = domu_path_walk(t, r->cwd, split != NULL ? split + 1 : text, 0, p);
	if (rc == 0)
		*st = p->st;
	free(p);
	return rc;
}

int domu_change_look(struct domu_run *r, const char *path, unsigned flags, struct domu_path *p)
{
	struct domu_tree *t;
	int rc = domu_work_tree(r->work, r->use, &t);

	if (rc != 0)
		return rc;
	rc = domu_path_walk(t, r->cwd, path, flags, p);
	if (rc == -ENOENT && r->ctx->error.status == DOMU_NOTFOUND) {
		domu_error_clear(r->ctx);
		p->ino = 0;
		p->fs = NULL;
		rc = 0;
	}
	return rc;
}

int domu_change_base(struct domu_run *r, const char *path, char name[256])
{
	size_t end = strlen(path), start;

	while (end > 0 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		;
	if (end - start > 255)
		return domu_change_fail(r, -ENAMETOOLONG, "'%s'", path);
	memcpy(name, path + start, end - start);
	name[end - start] = '\0';
	return 0;
}

bool domu_change_is_dots(const char *path)
{
	size_t end = strlen(path), start;

	while (end > 0 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		;
	return (end - start == 1 && path[start] == '.') ||
	       (end - start == 2 && path[start] == '.' && path[start + 1] == '.');
}

struct timespec domu_change_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

void domu_change_attr(const struct domu_stat *parent, uint32_t mode, struct domu_stat *attr)
{
	memset(attr, 0, sizeof *attr);
	attr->mode = mode;
	attr->atime = attr->mtime = attr->ctime = attr->btime = domu_change_now();
	if ((parent->mode & S_ISGID) != 0) {
		attr->gid = parent->gid;
		if (S_ISDIR(mode))
			attr->mode |= S_ISGID;
	}
}

int domu_change_create(struct domu_run *r, const struct domu_path *p, struct domu_stat *attr, const char *target,
                       uint64_t *ino)
{
	struct domu_tree *t;
	int rc = domu_work_tree(r->work, r->use, &t);

	return rc != 0 ? rc : domu_fs_create_new(t, p->fs, p->dir, p->path, p->name, attr, DOMU_UMASK, target, ino);
}

int domu_change_parent(struct domu_run *r, const struct domu_path *p, struct domu_stat *st)
{
	int rc = domu_fs_stat(p->fs, p->dir, st);

	return rc != 0 ? domu_change_fail(r, rc, "cannot read the directory of '%s'", p->path) : 0;
}

struct tree_change {
	struct domu_run *r;
	domu_change_fn fn;
	void *user;
};

static int change_entry(void *user, const struct domu_walk_entry *e)
{
	struct tree_change *c = user;
	int rc;

	if (e->err != 0)
		return domu_change_fail(c->r, e->err, "cannot read '%s'", e->path);
	rc = c->fn(c->r, e->where, e->path, c->user);
	return rc < 0 ? rc : DOMU_WALK_GO;
}

int domu_change_tree(struct domu_run *r, const struct domu_path *p, const char *shown, bool recursive,
                     domu_change_fn fn, void *user)
{
	const struct domu_walk_opts opts = { .max_depth = ~0u };
	struct tree_change c = { .r = r, .fn = fn, .user = user };
	struct domu_tree *t;
	int rc;

	if (!recursive || !S_ISDIR(p->st.mode))
		return fn(r, p, shown, user);
	rc = domu_work_tree(r->work, r->use, &t);
	return rc != 0 ? rc : domu_walk_tree(t, p, shown, &opts, change_entry, &c);
}
