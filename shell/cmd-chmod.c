/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-chmod.c - chmod and chown. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/change.h"
#include "shell/cmd.h"
#include "shell/fmt.h"
#include "shell/ids.h"
#include "shell/mode.h"

#define CAPABILITY "security.capability"

/* ---- chmod ------------------------------------------------------------------------ */

struct chmod_job {
	const char *text; /* NULL: mode is what --reference has */
	uint32_t mode;
	struct domu_path path;
};

static int chmod_path(struct domu_run *r, const struct domu_path *p, const char *shown, void *user)
{
	const struct chmod_job *job = user;
	struct domu_stat st = p->st;
	uint32_t mode = job->mode;
	char before[11], after[11];
	int rc = 0;

	/* A link met on the way down has no permissions of its own. */
	if (S_ISLNK(st.mode))
		return 0;
	if (job->text != NULL)
		rc = domu_mode_apply(job->text, st.mode, S_ISDIR(st.mode), &mode);
	if (rc == 0 && mode == (st.mode & 07777))
		return 0;
	if (rc == 0) {
		st.mode = (st.mode & S_IFMT) | mode;
		rc = domu_fs_setattr(p->fs, p->ino, &st, DOMU_ATTR_MODE);
	}
	if (rc != 0)
		return domu_change_fail(r, rc, "changing permissions of '%s'", shown);
	domu_mode_text(p->st.mode, before);
	domu_mode_text(st.mode, after);
	return domu_change_tell(r, "mode of '%s' changed from %04o (%s) to %04o (%s)", shown, p->st.mode & 07777,
	                        before + 1, mode, after + 1);
}

static int chmod_one(struct domu_run *r, size_t operand, void *user)
{
	struct chmod_job *job = user;
	int rc = domu_change_walk(r, operand, 0, &job->path);

	if (rc != 0)
		return rc;
	return domu_change_tree(r, &job->path, domu_change_shown(r, operand), domu_args_flag(r->args, "recursive"),
	                        chmod_path, job);
}

static int each(struct domu_run *r, int (*fn)(struct domu_run *, size_t, void *), void *path)
{
	return path != NULL ? domu_run_each(r, 1, fn, path) : domu_nomem(r->ctx);
}

static int run_chmod(struct domu_run *r)
{
	struct chmod_job *job = calloc(1, sizeof *job);
	struct domu_stat st;
	int rc = job != NULL ? 0 : domu_nomem(r->ctx);

	if (rc == 0 && domu_args_flag(r->args, "reference")) {
		rc = domu_change_reference(r, "reference", &st);
		job->mode = rc == 0 ? st.mode & 07777 : 0;
	} else if (rc == 0) {
		job->text = domu_args_get(r->args, 0);
		if (domu_mode_apply(job->text, 0, false, &job->mode) != 0)
			rc = domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "chmod: '%s' is not a mode: 644, u+x, go=rX",
			               job->text);
	}
	if (rc == 0)
		rc = each(r, chmod_one, job);
	free(job);
	return rc;
}

/* ---- chown ------------------------------------------------------------------------ */

struct chown_job {
	struct domu_owner owner;
	struct domu_path path;
};

/* As the kernel: a program that changes hands loses what it could do as its old owner. */
static int drop_powers(const struct domu_path *p, struct domu_stat *st, unsigned *mask)
{
	int rc;

	if (!S_ISREG(st->mode))
		return 0;
	if ((st->mode & S_ISUID) != 0 || (st->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) {
		st->mode &= ~(uint32_t)S_ISUID;
		if ((st->mode & S_IXGRP) != 0)
			st->mode &= ~(uint32_t)S_ISGID;
		*mask |= DOMU_ATTR_MODE;
	}
	rc = domu_fs_getxattr(p->fs, p->ino, CAPABILITY, SIZE_MAX, NULL, NULL);
	if (rc == 0)
		rc = domu_fs_removexattr(p->fs, p->ino, CAPABILITY);
	return rc != -ENODATA ? rc : 0;
}

static int chown_path(struct domu_run *r, const struct domu_path *p, const char *shown, void *user)
{
	const struct domu_owner *o = user;
	struct domu_stat st = p->st;
	unsigned mask = 0;
	int rc;

	if (o->has_uid) {
		st.uid = o->uid;
		mask |= DOMU_ATTR_UID;
	}
	if (o->has_gid) {
		st.gid = o->gid;
		mask |= DOMU_ATTR_GID;
	}
	rc = drop_powers(p, &st, &mask);
	if (rc == 0)
		rc = domu_fs_setattr(p->fs, p->ino, &st, mask);
	if (rc != 0)
		return domu_change_fail(r, rc, "changing ownership of '%s'", shown);
	return domu_change_tell(r, "ownership of '%s' changed from %u:%u to %u:%u", shown, p->st.uid, p->st.gid, st.uid,
	                        st.gid);
}

static int chown_one(struct domu_run *r, size_t operand, void *user)
{
	bool recursive = domu_args_flag(r->args, "recursive");
	/* As coreutils: with -R links themselves change hands, never what they lead to. */
	unsigned flags = recursive || domu_args_flag(r->args, "no-dereference") ? DOMU_WALK_NOFOLLOW : 0;
	struct chown_job *job = user;
	int rc = domu_change_walk(r, operand, flags, &job->path);

	if (rc != 0)
		return rc;
	return domu_change_tree(r, &job->path, domu_change_shown(r, operand), recursive, chown_path, &job->owner);
}

static int run_chown(struct domu_run *r)
{
	struct chown_job *job = calloc(1, sizeof *job);
	struct domu_stat st;
	int rc = job != NULL ? 0 : domu_nomem(r->ctx);

	if (rc == 0 && domu_args_flag(r->args, "reference")) {
		rc = domu_change_reference(r, "reference", &st);
		if (rc == 0)
			job->owner = (struct domu_owner){ true, true, st.uid, st.gid };
	} else if (rc == 0) {
		rc = domu_owner_parse(r, domu_args_get(r->args, 0), &job->owner);
	}
	if (rc == 0)
		rc = each(r, chown_one, job);
	free(job);
	return rc;
}

/* ---- rows ------------------------------------------------------------------------- */

static const struct domu_arg chmod_args[] = {
	{ "MODE", ARG_MODE, COUNT_ONE },
	{ "GUEST:FILE", ARG_GUEST_PATH, COUNT_SOME },
	{ 0 },
};

static const struct domu_option chmod_options[] = {
	{ "recursive", 'R', NULL, "directories with all that is in them; links are left alone" },
	{ "reference", 0, "GUEST:FILE", "the permissions that this file has; no MODE is given" },
	{ "verbose", 'v', NULL, "a line for each that is changed" },
	{ 0 },
};

const struct domu_command domu_cmd_chmod = {
	.name = "chmod",
	.topic = "changing",
	.summary = "change permissions",
	.description = "MODE is octal (644, 4755) or symbolic (u+x, go-w, a=rX).",
	.args = chmod_args,
	.options = chmod_options,
	.example = "domu-rescue chmod 600 web1:/etc/ssh/ssh_host_rsa_key",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run_chmod,
};

static const struct domu_arg chown_args[] = {
	{ "OWNER", ARG_WORD, COUNT_ONE },
	{ "GUEST:FILE", ARG_GUEST_PATH, COUNT_SOME },
	{ 0 },
};

static const struct domu_option chown_options[] = {
	{ "recursive", 'R', NULL, "directories with all that is in them; links themselves, not what they lead to" },
	{ "no-dereference", 'h', NULL, "a link itself, not what it leads to" },
	{ "reference", 0, "GUEST:FILE", "the owner and group that this file has; no OWNER is given" },
	{ "verbose", 'v', NULL, "a line for each that is changed" },
	{ 0 },
};

const struct domu_command domu_cmd_chown = {
	.name = "chown",
	.topic = "changing",
	.summary = "change owner and group",
	.description =
	    "OWNER is USER, USER:GROUP, USER: (with its login group) or :GROUP. Names are those of the guest's own "
	    "/etc/passwd and /etc/group; numbers are taken as they are.",
	.args = chown_args,
	.options = chown_options,
	.example = "domu-rescue chown -R www-data: web1:/var/www",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run_chown,
};
