/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-change.c - mkdir, rmdir, rm. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/change.h"
#include "shell/cmd.h"
#include "shell/mode.h"

/* ---- mkdir ------------------------------------------------------------------------ */

static int make_dir(struct domu_run *r, const struct domu_path *p, uint32_t mode, bool exact, const char *shown)
{
	struct domu_stat parent, attr;
	uint64_t ino;
	int rc = domu_change_parent(r, p, &parent);

	if (rc != 0)
		return rc;
	domu_change_attr(&parent, S_IFDIR | mode, &attr);
	rc = domu_change_create(r, p, &attr, NULL, &ino);
	if (rc == 0 && exact && (attr.mode & 07777) != mode) {
		attr.mode = S_IFDIR | mode;
		rc = domu_fs_setattr(p->fs, ino, &attr, DOMU_ATTR_MODE);
	}
	return rc != 0 ? domu_change_fail(r, rc, "cannot create directory '%s'", shown)
	               : domu_change_tell(r, "mkdir: created directory '%s'", shown);
}

/* mkdir -p: every part that is not there, one after the other. */
static int make_parents(struct domu_run *r, const char *path, struct domu_path *p)
{
	struct domu_tree *t;
	char *part = strdup(path);
	int rc = part != NULL ? domu_work_tree(r->work, r->use, &t) : domu_nomem(r->ctx);

	for (size_t i = 1; rc == 0 && i < strlen(path); i++) {
		if (path[i] != '/' || path[i - 1] == '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		rc = domu_path_walk(t, r->cwd, part, DOMU_WALK_PARENT, p);
		if (rc == 0 && p->ino == 0)
			rc = make_dir(r, p, 0777, false, part);
		else if (rc == 0 && !S_ISDIR(p->st.mode))
			rc = domu_change_fail(r, -ENOTDIR, "cannot create directory '%s'", part);
	}
	free(part);
	return rc;
}

static int mkdir_one(struct domu_run *r, size_t operand, void *user)
{
	bool parents = domu_args_flag(r->args, "parents");
	const char *mode_text = domu_args_value(r->args, "mode");
	const char *shown = domu_change_shown(r, operand);
	struct domu_path *p = user;
	uint32_t mode = 0777;
	int rc = 0;

	if (mode_text != NULL && domu_mode_apply(mode_text, mode_text[0] == '=' ? 0 : 0777, true, &mode) != 0)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "mkdir: '%s' is not a mode: 755, u=rwx,go=rx", mode_text);
	if (parents && domu_run_path(r, operand) != NULL)
		rc = make_parents(r, shown, p);
	/* As mkdir(2): a link is something that exists, wherever it leads; -p asks what it leads to. */
	if (rc == 0)
		rc = domu_change_walk(r, operand, DOMU_WALK_PARENT | (parents ? 0 : DOMU_WALK_NOFOLLOW), p);
	if (rc != 0)
		return rc;
	if (p->ino != 0)
		return parents && S_ISDIR(p->st.mode)
		           ? 0
		           : domu_change_fail(r, -EEXIST, "cannot create directory '%s'", shown);
	return make_dir(r, p, mode, mode_text != NULL, shown);
}

/* ---- rmdir ------------------------------------------------------------------------ */

static int remove_dir(struct domu_run *r, const struct domu_path *p, const char *shown)
{
	struct domu_tree *t;
	int rc = 0;

	if (domu_change_is_dots(shown))
		rc = -EINVAL;
	else if (rc == 0 && !S_ISDIR(p->st.mode))
		rc = -ENOTDIR;
	else if (rc == 0 && strcmp(p->name, "/") == 0)
		rc = -EBUSY;
	if (rc == 0)
		rc = domu_work_tree(r->work, r->use, &t);
	if (rc == 0 && domu_tree_covered(t, p->mount, p->ino))
		rc = -EBUSY;
	if (rc == 0)
		rc = domu_fs_rmdir(p->fs, p->dir, p->name);
	if (rc == -ENOTEMPTY && domu_args_flag(r->args, "ignore-fail-on-non-empty")) {
		domu_error_clear(r->ctx);
		return 0;
	}
	return rc != 0 ? domu_change_fail(r, rc, "failed to remove '%s'", shown)
	               : domu_change_tell(r, "rmdir: removing directory, '%s'", shown);
}

static int rmdir_one(struct domu_run *r, size_t operand, void *user)
{
	char *shown = strdup(domu_change_shown(r, operand)), *slash;
	struct domu_path *p = user;
	int rc = shown != NULL ? domu_change_walk(r, operand, DOMU_WALK_NOFOLLOW, p) : domu_nomem(r->ctx);

	if (rc == 0)
		rc = remove_dir(r, p, shown);
	/* -p: a/b/c, then a/b, then a. */
	while (rc == 0 && domu_args_flag(r->args, "parents") && (slash = strrchr(shown, '/')) != NULL) {
		while (slash > shown && slash[-1] == '/')
			slash--;
		*slash = '\0';
		if (*shown == '\0')
			break;
		rc = domu_change_look(r, shown, DOMU_WALK_NOFOLLOW, p);
		if (rc == 0 && p->ino != 0)
			rc = remove_dir(r, p, shown);
	}
	free(shown);
	return rc;
}

/* ---- rm --------------------------------------------------------------------------- */

static int rm_one(struct domu_run *r, size_t operand, void *user)
{
	bool force = domu_args_flag(r->args, "force");
	bool recursive = domu_args_flag(r->args, "recursive") || domu_args_flag(r->args, "R");
	const char *shown = domu_change_shown(r, operand);
	struct domu_path *p = user;
	int rc = domu_change_walk(r, operand, DOMU_WALK_NOFOLLOW, p);

	if (rc != 0 && force && (rc == -ENOENT || rc == -ENOTDIR)) {
		domu_error_clear(r->ctx);
		return 0;
	}
	if (rc != 0)
		return rc;
	if (domu_change_is_dots(shown))
		return domu_fail(r->ctx, DOMU_FAILED, -EINVAL, "rm: refusing to remove '.' or '..' directory: '%s'",
		                 shown);
	if (strcmp(p->path, "/") == 0)
		return domu_fail(r->ctx, DOMU_FAILED, -EBUSY, "rm: refusing to remove the root directory '/'");
	if (strcmp(p->name, "/") == 0)
		return domu_change_fail(r, -EBUSY, "cannot remove '%s'", shown);
	if (S_ISDIR(p->st.mode) && domu_args_flag(r->args, "dir") && !recursive) {
		rc = domu_fs_rmdir(p->fs, p->dir, p->name);
		return rc != 0 ? domu_change_fail(r, rc, "cannot remove '%s'", shown)
		               : domu_change_tell(r, "removed directory '%s'", shown);
	}
	if (S_ISDIR(p->st.mode) && !recursive)
		return domu_change_fail(r, -EISDIR, "cannot remove '%s'", shown);
	return domu_change_remove(r, p, shown);
}

/* ---- rows ------------------------------------------------------------------------- */

static int each(struct domu_run *r, size_t first, int (*fn)(struct domu_run *, size_t, void *))
{
	struct domu_path *p = malloc(sizeof *p);
	int rc = p != NULL ? domu_run_each(r, first, fn, p) : domu_nomem(r->ctx);

	free(p);
	return rc;
}

static int run_mkdir(struct domu_run *r)
{
	return each(r, 0, mkdir_one);
}

static int run_rmdir(struct domu_run *r)
{
	return each(r, 0, rmdir_one);
}

static int run_rm(struct domu_run *r)
{
	return each(r, 0, rm_one);
}

static const struct domu_arg dirs[] = { { "GUEST:DIR", ARG_GUEST_PATH, COUNT_SOME }, { 0 } };
static const struct domu_arg files[] = { { "GUEST:FILE", ARG_GUEST_PATH, COUNT_SOME }, { 0 } };

static const struct domu_option mkdir_options[] = {
	{ "parents", 'p', NULL, "make what is missing on the way; a directory that exists is no error" },
	{ "mode", 'm', "MODE", "permissions, as chmod takes them (else 755)" },
	{ "verbose", 'v', NULL, "a line for each that is made" },
	{ 0 },
};

const struct domu_command domu_cmd_mkdir = {
	.name = "mkdir",
	.topic = "changing",
	.summary = "make directories",
	.description = "They belong to root, or to the group of a directory above that passes its group on.",
	.args = dirs,
	.options = mkdir_options,
	.example = "domu-rescue mkdir -p web1:/srv/data/new",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run_mkdir,
};

static const struct domu_option rmdir_options[] = {
	{ "parents", 'p', NULL, "then the directories above that the path names, too" },
	{ "ignore-fail-on-non-empty", 0, NULL, "a directory that is not empty is no error" },
	{ "verbose", 'v', NULL, "a line for each that is removed" },
	{ 0 },
};

const struct domu_command domu_cmd_rmdir = {
	.name = "rmdir",
	.topic = "changing",
	.summary = "remove empty directories",
	.args = dirs,
	.options = rmdir_options,
	.example = "domu-rescue rmdir web1:/srv/old",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run_rmdir,
};

static const struct domu_option rm_options[] = {
	{ "recursive", 'r', NULL, "directories too, with all that is in them" },
	{ NULL, 'R', NULL, "the same" },
	{ "force", 'f', NULL, "what does not exist is no error" },
	{ "dir", 'd', NULL, "empty directories too" },
	{ "verbose", 'v', NULL, "a line for each file and directory that is removed" },
	{ 0 },
};

const struct domu_command domu_cmd_rm = {
	.name = "rm",
	.topic = "changing",
	.summary = "remove files and directories",
	.description =
	    "Links are removed, never what they lead to. What another filesystem is mounted on is not removed.",
	.args = files,
	.options = rm_options,
	.example = "domu-rescue rm -f web1:/etc/udev/rules.d/70-persistent-net.rules",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run_rm,
};
