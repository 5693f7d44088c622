/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check.c - checking a filesystem with the appliance's own programs. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#define MAX_TEXT  "1000000" /* bytes of a checker's output that are looked at */
#define MAX_TIME  "7200" /* seconds */
#define NOT_FOUND 127 /* as a shell has it */

enum { CLEAN = 0, REPAIRED = 1, ERRORS_LEFT = 4, NOT_RUN = 8 };

struct check {
	struct domu_fs *fs;
	domu_line_fn line;
	void *user;
};

/* The program's exit status; its lines are passed on.  < 0: the appliance could not run it. */
static int run(struct check *c, const char *program)
{
	struct app_fs *a = app(c->fs);
	char command[256];
	char *out, *next, *line;
	int status = -1;

	/* The status first, so that cut output does not hide it. */
	snprintf(command, sizeof command,
	         "udevadm settle; timeout " MAX_TIME " %s %s >/tmp/check 2>&1; echo $?; head -c " MAX_TEXT
	         " /tmp/check; rm -f /tmp/check",
	         program, a->device);
	out = guest_shell(a->guest, command);
	if (out == NULL)
		return guest_fail(c->fs, "run", program);
	for (line = out; line != NULL && *line != '\0'; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (line == out)
			status = (int)strtol(line, NULL, 10);
		else if (c->line != NULL)
			c->line(c->user, line);
	}
	free(out);
	return status;
}

static int check_ext(struct check *c, enum domu_check_mode mode, int *result)
{
	static const char *const program[] = { "e2fsck -fn", "e2fsck -fp", "e2fsck -fy" };
	int status = run(c, program[mode]);

	if (status < 0)
		return status;
	*result = status & ~(1 | 2 | 4) ? NOT_RUN : status & 4 ? ERRORS_LEFT : status & 3 ? REPAIRED : CLEAN;
	return status == NOT_FOUND ? -ENOENT : 0;
}

/* Mounting has replayed the log; what is wrong after that has no safe repair, so that -p is -n. */
static int check_xfs(struct check *c, enum domu_check_mode mode, int *result)
{
	int status = run(c, "xfs_repair -n");

	if (status == NOT_FOUND)
		return -ENOENT;
	if (status < 0)
		return status;
	*result = status == 0 ? CLEAN : ERRORS_LEFT;
	if (mode != DOMU_CHECK_YES || status == 0)
		return 0;
	status = run(c, "xfs_repair");
	if (status == 0)
		status = run(c, "xfs_repair -n");
	if (status < 0)
		return status;
	*result = status == 0 ? REPAIRED : ERRORS_LEFT;
	return 0;
}

/* Its --repair is said by its authors to make things worse: it is left to people. */
static int check_btrfs(struct check *c, enum domu_check_mode mode, int *result)
{
	int status = run(c, "btrfs check --readonly");

	if (status == NOT_FOUND)
		return -ENOENT;
	if (status < 0)
		return status;
	*result = status == 0 ? CLEAN : ERRORS_LEFT;
	if (mode == DOMU_CHECK_YES && status != 0 && c->line != NULL)
		c->line(c->user, "btrfs is not repaired: restore it, or run btrfs check --repair knowing what it does");
	return 0;
}

int app_check(struct domu_fs *fs, enum domu_check_mode mode, domu_line_fn fn, void *user, int *result)
{
	struct check c = { .fs = fs, .line = fn, .user = user };
	const char *type = fs->probe.type, *package = "libguestfs0";
	int rc, r;

	*result = NOT_RUN;
	if (mode != DOMU_CHECK_NO && !fs->writable)
		return domu_fail(fs->ctx, DOMU_FAILED, -EROFS, "%s: opened read-only", fs->block->name);
	rc = app_flush(fs);
	if (rc == 0)
		rc = app_unmount(fs);
	if (rc != 0)
		return rc;
	if (strncmp(type, "ext", 3) == 0) {
		rc = check_ext(&c, mode, result);
	} else if (strcmp(type, "xfs") == 0) {
		package = "libguestfs-xfs";
		rc = check_xfs(&c, mode, result);
	} else if (strcmp(type, "btrfs") == 0) {
		rc = check_btrfs(&c, mode, result);
	} else {
		rc = domu_fail(fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: %s cannot be checked", fs->block->name,
		               type);
	}
	if (rc == -ENOENT)
		rc = domu_fail(fs->ctx, DOMU_UNSUPPORTED, rc, "the appliance has no checker of %s: install %s", type,
		               package);
	r = app_mount(fs);
	return rc != 0 ? rc : r;
}
