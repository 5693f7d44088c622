/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-mknod.c - mknod: devices and fifos. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/change.h"
#include "shell/cmd.h"
#include "shell/mode.h"

/* Decimal, 0x and 0, as mknod(1) takes them. */
static int device_number(struct domu_run *r, size_t operand, uint32_t most, uint32_t *n)
{
	const char *text = domu_args_get(r->args, operand);
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 0);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || v > most)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "mknod: %s is no number of a device (at most %u)", text,
		                 most);
	*n = (uint32_t)v;
	return 0;
}

static int take_type(struct domu_run *r, struct domu_stat *attr)
{
	const char *type = domu_args_get(r->args, 1);
	bool fifo = strcmp(type, "p") == 0;
	size_t n = domu_args_count(r->args);
	int rc;

	if (strlen(type) != 1 || strchr("bcup", type[0]) == NULL)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "mknod: the type is b, c, u or p, not %s", type);
	if (n != (fifo ? 2 : 4))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
		                 fifo ? "mknod: a fifo has no numbers"
		                      : "mknod: a device has two numbers: MAJOR MINOR");
	attr->mode |= fifo ? S_IFIFO : type[0] == 'b' ? S_IFBLK : S_IFCHR;
	if (fifo)
		return 0;
	rc = device_number(r, 2, 4095, &attr->rdev_major);
	return rc != 0 ? rc : device_number(r, 3, (1u << 20) - 1, &attr->rdev_minor);
}

static int make(struct domu_run *r, const struct domu_path *p, uint32_t mode, bool exact, const struct domu_stat *what)
{
	const char *shown = domu_change_shown(r, 0);
	struct domu_stat parent, attr;
	uint64_t ino;
	int rc = p->ino != 0 ? -EEXIST : p->slash ? -ENOENT : domu_change_parent(r, p, &parent);

	if (rc == 0) {
		domu_change_attr(&parent, what->mode | mode, &attr);
		attr.rdev_major = what->rdev_major;
		attr.rdev_minor = what->rdev_minor;
		rc = domu_change_create(r, p, &attr, NULL, &ino);
	}
	if (rc == 0 && exact && (attr.mode & 07777) != mode) {
		attr.mode = what->mode | mode;
		rc = domu_fs_setattr(p->fs, ino, &attr, DOMU_ATTR_MODE);
	}
	return rc != 0 ? domu_change_fail(r, rc, "'%s'", shown) : 0;
}

static int run(struct domu_run *r)
{
	const char *text = domu_args_value(r->args, "mode");
	struct domu_path *p = malloc(sizeof *p);
	struct domu_stat what = { 0 };
	uint32_t mode = 0666;
	int rc = p != NULL ? take_type(r, &what) : domu_nomem(r->ctx);

	if (rc == 0 && text != NULL && (domu_mode_apply(text, 0666, false, &mode) != 0 || mode > 0777))
		rc = domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "mknod: '%s' is not a mode: 600, u=rw,go=r", text);
	if (rc == 0)
		rc = domu_change_walk(r, 0, DOMU_WALK_PARENT | DOMU_WALK_NOFOLLOW, p);
	if (rc == 0)
		rc = make(r, p, mode, text != NULL, &what);
	free(p);
	return rc;
}

static const struct domu_arg args[] = {
	{ "GUEST:NAME", ARG_GUEST_PATH, COUNT_ONE },
	{ "TYPE", ARG_WORD, COUNT_ONE },
	{ "MAJOR", ARG_WORD, COUNT_OPTIONAL },
	{ "MINOR", ARG_WORD, COUNT_OPTIONAL },
	{ 0 },
};

static const struct domu_option options[] = {
	{ "mode", 'm', "MODE", "permissions, as chmod takes them (else 644)" },
	{ 0 },
};

const struct domu_command domu_cmd_mknod = {
	.name = "mknod",
	.topic = "changing",
	.summary = "make devices and fifos",
	.description = "TYPE is b (block device), c or u (character device), with MAJOR and MINOR, or p (fifo).",
	.args = args,
	.options = options,
	.example = "domu-rescue mknod -m 600 web1:/dev/console c 5 1",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run,
};
