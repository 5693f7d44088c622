/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-move.c - mv and ln. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/change.h"
#include "shell/cmd.h"
#include "shell/copy.h"

/* A source and where its new name goes. */
struct job {
	struct domu_path from, to;
	struct domu_path target; /* the last operand */
	const char *target_text;
	bool inside; /* target is a directory to go into */
	size_t n; /* sources */
};

static int same_file(struct domu_run *r, const char *a, const char *b)
{
	return domu_fail(r->ctx, DOMU_FAILED, -EINVAL, "%s: '%s' and '%s' are the same file", r->cmd->name, a, b);
}

/* The last operand.  no_follow: a link to a directory is not gone into. */
static int find_target(struct domu_run *r, struct job *j, bool no_target_dir, bool no_follow)
{
	size_t last = domu_args_count(r->args) - 1;
	unsigned flags = DOMU_WALK_PARENT | (no_target_dir || no_follow ? DOMU_WALK_NOFOLLOW : 0);
	int rc = domu_change_walk(r, last, flags, &j->target);

	if (rc != 0)
		return rc;
	j->target_text = domu_change_shown(r, last);
	j->n = last;
	j->inside = j->target.ino != 0 && S_ISDIR(j->target.st.mode) && !no_target_dir;
	/* A link that is no directory is itself what is replaced, never what it leads to. */
	if (!j->inside && (flags & DOMU_WALK_NOFOLLOW) == 0)
		rc = domu_change_walk(r, last, flags | DOMU_WALK_NOFOLLOW, &j->target);
	if (rc == 0 && j->n > 1 && !j->inside)
		rc = domu_fail(r->ctx, DOMU_USAGE, -ENOTDIR, "%s: target '%s' is not a directory", r->cmd->name,
		               j->target_text);
	return rc;
}

/* j->to: base in the target, or the target itself. */
static int find_new_name(struct domu_run *r, struct job *j, const char *base)
{
	char path[4096];
	struct domu_tree *t;
	int rc = domu_work_tree(r->work, r->use, &t);

	if (rc != 0)
		return rc;
	if (!j->inside) {
		/* An earlier source may have been given this name meanwhile. */
		return domu_path_walk(t, r->cwd, j->target_text, DOMU_WALK_PARENT | DOMU_WALK_NOFOLLOW, &j->to);
	}
	if (snprintf(path, sizeof path, "%s/%s", j->target.path, base) >= (int)sizeof path)
		return domu_change_fail(r, -ENAMETOOLONG, "'%s'", base);
	return domu_path_walk(t, "/", path, DOMU_WALK_PARENT | DOMU_WALK_NOFOLLOW, &j->to);
}

/* ---- mv --------------------------------------------------------------------------------- */

static int check_move(struct domu_run *r, const struct job *j)
{
	const struct domu_path *from = &j->from, *to = &j->to;
	size_t n = strlen(from->path);

	if (strcmp(from->name, "/") == 0)
		return domu_change_fail(r, -EBUSY, "cannot move '%s'", from->path);
	if (S_ISDIR(from->st.mode) && strncmp(to->path, from->path, n) == 0 && to->path[n] == '/')
		return domu_fail(r->ctx, DOMU_FAILED, -EINVAL, "mv: cannot move '%s' to a subdirectory of itself, '%s'",
		                 from->path, to->path);
	if (to->ino == 0)
		return to->slash && !j->inside && !S_ISDIR(from->st.mode)
		           ? domu_change_fail(r, -ENOTDIR, "cannot move '%s' to '%s'", from->path, to->path)
		           : 0;
	if (to->ino == from->ino && to->fs == from->fs)
		return same_file(r, from->path, to->path);
	if (strcmp(to->name, "/") == 0)
		return domu_change_fail(r, -EBUSY, "cannot overwrite '%s'", to->path);
	if (S_ISDIR(to->st.mode) && !S_ISDIR(from->st.mode))
		return domu_fail(r->ctx, DOMU_FAILED, -EISDIR, "mv: cannot overwrite directory '%s' with non-directory",
		                 to->path);
	if (!S_ISDIR(to->st.mode) && S_ISDIR(from->st.mode))
		return domu_fail(r->ctx, DOMU_FAILED, -ENOTDIR,
		                 "mv: cannot overwrite non-directory '%s' with directory '%s'", to->path, from->path);
	return 0;
}

/* To another filesystem or subvolume: a copy with everything kept, then the old one goes. */
static int move_across(struct domu_run *r, struct job *j)
{
	int rc = 0;

	if (j->to.ino != 0)
		rc = S_ISDIR(j->to.st.mode) ? domu_fs_rmdir(j->to.fs, j->to.dir, j->to.name)
		                            : domu_fs_unlink(j->to.fs, j->to.dir, j->to.name);
	if (rc != 0)
		return domu_change_fail(r, rc, "cannot overwrite '%s'", j->to.path);
	rc = domu_copy_across(r, &j->from, &j->to);
	return rc != 0 ? rc : domu_change_remove(r, &j->from, j->from.path);
}

static int move_one(struct domu_run *r, size_t operand, void *user)
{
	const char *shown = domu_change_shown(r, operand);
	struct job *j = user;
	char base[256];
	int rc;

	if (operand >= j->n)
		return 0;
	rc = domu_change_walk(r, operand, DOMU_WALK_NOFOLLOW, &j->from);
	if (rc == 0 && domu_change_is_dots(shown))
		rc = domu_change_fail(r, -EBUSY, "cannot move '%s'", shown);
	if (rc == 0)
		rc = domu_change_base(r, shown, base);
	if (rc == 0)
		rc = find_new_name(r, j, base);
	if (rc == 0 && j->to.ino != 0 && domu_args_flag(r->args, "no-clobber"))
		return 0;
	if (rc == 0)
		rc = check_move(r, j);
	if (rc != 0)
		return rc;
	if (j->from.fs != j->to.fs)
		return move_across(r, j);
	rc = domu_fs_rename(j->from.fs, j->from.dir, j->from.name, j->to.dir, j->to.name);
	/* Another subvolume is to a kernel another filesystem. */
	if (rc == -EXDEV) {
		domu_error_clear(r->ctx);
		return move_across(r, j);
	}
	return rc != 0 ? domu_change_fail(r, rc, "cannot move '%s' to '%s'", j->from.path, j->to.path)
	               : domu_change_tell(r, "renamed '%s' -> '%s'", j->from.path, j->to.path);
}

static int run_mv(struct domu_run *r)
{
	struct job *j = calloc(1, sizeof *j);
	int rc =
	    j != NULL ? find_target(r, j, domu_args_flag(r->args, "no-target-directory"), false) : domu_nomem(r->ctx);

	if (rc == 0)
		rc = domu_run_each(r, 0, move_one, j);
	free(j);
	return rc;
}

/* ---- ln --------------------------------------------------------------------------------- */

/* Makes room for the new name: -f, and only for what is not a directory. */
static int clear_name(struct domu_run *r, const struct job *j)
{
	const struct domu_path *to = &j->to;
	int rc;

	if (to->ino == 0)
		return 0;
	if (!domu_args_flag(r->args, "force"))
		return domu_change_fail(r, -EEXIST, "failed to create link '%s'", to->path);
	if (S_ISDIR(to->st.mode))
		return domu_fail(r->ctx, DOMU_FAILED, -EISDIR, "ln: '%s': cannot overwrite directory", to->path);
	rc = domu_fs_unlink(to->fs, to->dir, to->name);
	return rc != 0 ? domu_change_fail(r, rc, "cannot remove '%s'", to->path) : 0;
}

static int make_symlink(struct domu_run *r, struct job *j, const char *target)
{
	struct domu_stat parent, attr;
	uint64_t ino;
	int rc = clear_name(r, j);

	if (rc == 0)
		rc = domu_change_parent(r, &j->to, &parent);
	if (rc != 0)
		return rc;
	domu_change_attr(&parent, S_IFLNK | 0777, &attr);
	rc = j->to.slash && !j->inside ? -ENOENT : domu_change_create(r, &j->to, &attr, target, &ino);
	return rc != 0 ? domu_change_fail(r, rc, "failed to create symbolic link '%s'", j->to.path)
	               : domu_change_tell(r, "'%s' -> '%s'", j->to.path, target);
}

static int make_hard_link(struct domu_run *r, struct job *j, size_t operand)
{
	int rc = domu_change_walk(r, operand, DOMU_WALK_NOFOLLOW, &j->from);

	if (rc != 0)
		return rc;
	if (S_ISDIR(j->from.st.mode))
		return domu_fail(r->ctx, DOMU_FAILED, -EPERM, "ln: '%s': hard link not allowed for directory",
		                 j->from.path);
	if (j->from.fs != j->to.fs)
		return domu_fail(
		    r->ctx, DOMU_FAILED, -EXDEV,
		    "ln: '%s' and '%s' are on different filesystems: only a symbolic link (-s) can lead there",
		    j->from.path, j->to.path);
	if (j->from.ino == j->to.ino)
		return same_file(r, j->from.path, j->to.path);
	rc = clear_name(r, j);
	if (rc == 0) {
		rc = j->to.slash && !j->inside ? -ENOENT : domu_fs_link(j->to.fs, j->to.dir, j->to.name, j->from.ino);
		if (rc != 0)
			domu_change_fail(r, rc, "failed to create hard link '%s'", j->to.path);
		else
			rc = domu_change_tell(r, "'%s' => '%s'", j->to.path, j->from.path);
	}
	return rc;
}

/* A symbolic link's text is what was typed; "web1:" before it, as on other operands, is not part of it. */
static const char *link_text(const struct domu_run *r, size_t operand)
{
	const char *text = domu_args_get(r->args, operand);
	size_t n = r->guest != NULL ? strlen(r->guest) : 0;

	return n > 0 && strncmp(text, r->guest, n) == 0 && text[n] == ':' && text[n + 1] == '/' ? text + n + 1 : text;
}

/* ln -r: from the directory of link to target, both without links; the caller frees. */
static int relative_text(struct domu_run *r, const char *target, const char *link, char **text)
{
	struct domu_path *p = malloc(sizeof *p);
	struct domu_tree *t;
	size_t same = 0, len = 0;
	int rc = p != NULL ? domu_work_tree(r->work, r->use, &t) : domu_nomem(r->ctx);

	if (rc == 0)
		rc = domu_path_walk(t, r->cwd, target, DOMU_WALK_PARENT, p);
	*text = rc == 0 ? calloc(1, strlen(p->path) + 3 * strlen(link) + 2) : NULL;
	if (rc == 0 && *text == NULL)
		rc = domu_nomem(r->ctx);
	if (rc != 0)
		goto out;
	for (size_t i = 0; p->path[i] == link[i] && link[i] != '\0'; i++)
		same = link[i] == '/' ? i : same;
	for (const char *up = strchr(link + same + 1, '/'); up != NULL; up = strchr(up + 1, '/')) {
		memcpy(*text + len, "../", 3);
		len += 3;
	}
	memcpy(*text + len, p->path + same + 1, strlen(p->path + same + 1) + 1);
	if (**text == '\0')
		memcpy(*text, ".", 2);
out:
	free(p);
	return rc;
}

static int link_one(struct domu_run *r, size_t operand, void *user)
{
	bool symbolic = domu_args_flag(r->args, "symbolic");
	const char *text = symbolic ? link_text(r, operand) : domu_change_shown(r, operand);
	struct job *j = user;
	char base[256], *relative = NULL;
	int rc;

	if (operand >= j->n)
		return 0;
	rc = domu_change_base(r, text, base);
	if (rc == 0)
		rc = find_new_name(r, j, base);
	if (rc != 0)
		return rc;
	if (!symbolic)
		return make_hard_link(r, j, operand);
	if (!domu_args_flag(r->args, "relative"))
		return make_symlink(r, j, text);
	rc = relative_text(r, text, j->to.path, &relative);
	if (rc == 0)
		rc = make_symlink(r, j, relative);
	free(relative);
	return rc;
}

static int run_ln(struct domu_run *r)
{
	struct job *j = calloc(1, sizeof *j);
	int rc;

	if (j == NULL)
		return domu_nomem(r->ctx);
	rc = find_target(r, j, domu_args_flag(r->args, "no-target-directory"),
	                 domu_args_flag(r->args, "no-dereference"));
	if (rc == 0)
		rc = domu_run_each(r, 0, link_one, j);
	free(j);
	return rc;
}

/* ---- rows --------------------------------------------------------------------------------- */

static const struct domu_arg mv_args[] = {
	{ "GUEST:SRC", ARG_GUEST_PATH, COUNT_SOME },
	{ "GUEST:DST", ARG_GUEST_PATH, COUNT_ONE },
	{ 0 },
};

static const struct domu_option mv_options[] = {
	{ "force", 'f', NULL, "replace what is there (always so)" },
	{ "no-clobber", 'n', NULL, "leave what is there, and the source" },
	{ "target-directory", 't', "GUEST:DIR", "into this directory: all operands are sources" },
	{ "verbose", 'v', NULL, "a line for each that is renamed" },
	{ "no-target-directory", 'T', NULL, "DST is the new name, also where it is a directory" },
	{ 0 },
};

const struct domu_command domu_cmd_mv = {
	.name = "mv",
	.topic = "changing",
	.summary = "rename and move files",
	.description = "Across filesystems of the guest it copies with everything kept, then removes.",
	.args = mv_args,
	.options = mv_options,
	.example = "domu-rescue mv web1:/etc/fstab web1:/etc/fstab.old",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run_mv,
};

static const struct domu_arg ln_args[] = {
	{ "TARGET", ARG_GUEST_PATH, COUNT_SOME },
	{ "GUEST:LINK", ARG_GUEST_PATH, COUNT_ONE },
	{ 0 },
};

static const struct domu_option ln_options[] = {
	{ "symbolic", 's', NULL, "a symbolic link; TARGET is its text, whether it exists or not" },
	{ "force", 'f', NULL, "replace what is there" },
	{ "no-dereference", 'n', NULL, "a LINK that leads to a directory is not gone into" },
	{ "target-directory", 't', "GUEST:DIR", "into this directory: all operands are sources" },
	{ "relative", 'r', NULL, "with -s: the text leads from the link's directory to TARGET" },
	{ "verbose", 'v', NULL, "a line for each that is made" },
	{ "no-target-directory", 'T', NULL, "LINK is the new name, also where it is a directory" },
	{ 0 },
};

const struct domu_command domu_cmd_ln = {
	.name = "ln",
	.topic = "changing",
	.summary = "make links",
	.args = ln_args,
	.options = ln_options,
	.example = "domu-rescue ln -sf /usr/share/zoneinfo/UTC web1:/etc/localtime",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run_ln,
};
