/* SPDX-License-Identifier: GPL-3.0-or-later */
/* inuse.c - the verdict: every check on every disk, in the order of the design. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/check.h"

void domu_answer(struct domu_answer *a, enum domu_check_result result, const char *fmt, ...)
{
	va_list ap;

	/* A failure outweighs what could not be told. */
	a->taken = a->result == DOMU_CHECK_PASS || (a->result != DOMU_CHECK_FAIL && result == DOMU_CHECK_FAIL);
	if (!a->taken)
		return;
	free(a->detail);
	free(a->next);
	a->next = NULL;
	a->result = result;
	va_start(ap, fmt);
	if (vasprintf(&a->detail, fmt, ap) < 0)
		a->detail = NULL;
	va_end(ap);
}

void domu_answer_next(struct domu_answer *a, const char *fmt, ...)
{
	va_list ap;

	if (!a->taken || a->next != NULL)
		return;
	va_start(ap, fmt);
	if (vasprintf(&a->next, fmt, ap) < 0)
		a->next = NULL;
	va_end(ap);
}

void domu_answer_clear(struct domu_answer *a)
{
	free(a->detail);
	free(a->next);
	memset(a, 0, sizeof *a);
}

#define READ    DOMU_CHECK_AT_READ
#define CHANGE  DOMU_CHECK_AT_CHANGE
#define AGAIN   DOMU_CHECK_AGAIN
#define STARTED (DOMU_CHECK_AT_START | DOMU_CHECK_AT_START_CHANGE)

/* doc/safety.md shows this table; a test compares them. */
static const struct check {
	struct domu_check_info info;
	domu_check_fn fn;
} checks[] = {
	{ { "resolve", "the path still leads to what was opened", CHANGE, false }, domu_check_resolve },
	{ { "own-lock", "no other domu-rescue has it", READ | CHANGE, false }, domu_check_own_lock },
	{ { "xen", "libxl and xenstore answer", READ | CHANGE, false }, domu_check_xen },
	{ { "domains", "no domain in whatever state has it", READ | CHANGE | AGAIN | STARTED, false },
	  domu_check_domains },
	{ { "backends", "no backend of this Dom0 serves it", READ | CHANGE | AGAIN | STARTED, false },
	  domu_check_backends },
	{ { "driver-domains", "no backend of another domain could be it", CHANGE | DOMU_CHECK_AT_START_CHANGE, false },
	  domu_check_driver_domains },
	{ { "saved", "no saved state would resume on it", READ | CHANGE, false }, domu_check_saved },
	{ { "other-hosts", "no other host holds it", CHANGE, true }, domu_check_other_hosts },
	{ { "stacked", "nothing is made of it: dm, md, bcache, loops, snapshots, tapdisk", READ | CHANGE | AGAIN,
	    false },
	  domu_check_stacked },
	{ { "mounts", "not mounted in any namespace, not swap", READ | CHANGE | AGAIN, false }, domu_check_mounts },
	{ { "writers", "no process has it open for writing", CHANGE | AGAIN, false }, domu_check_writers },
	{ { "image-lock", "nobody has a lock on it: qemu's, fcntl, flock", CHANGE | AGAIN, false },
	  domu_check_image_lock },
	{ { "exclusive", "the kernel claims it for nobody", CHANGE | AGAIN, false }, domu_check_exclusive },
	{ { "hotplug-lock", "Xen's hotplug lock is ours in a commit", CHANGE | AGAIN, false }, domu_check_hotplug },
	{ { "unchanged", "its size is what it was; a commit compares every block too", CHANGE | AGAIN, false },
	  domu_check_unchanged },
};
#define N_CHECKS (sizeof checks / sizeof *checks)

const struct domu_check_info *domu_check_info(size_t i)
{
	return i < N_CHECKS ? &checks[i].info : NULL;
}

const char *domu_check_result_name(enum domu_check_result r)
{
	static const char *const names[] = {
		[DOMU_CHECK_PASS] = "pass",       [DOMU_CHECK_FAIL] = "fail",     [DOMU_CHECK_SKIPPED] = "skipped",
		[DOMU_CHECK_UNKNOWN] = "unknown", [DOMU_CHECK_WAIVED] = "waived",
	};

	return (size_t)r < sizeof names / sizeof *names ? names[r] : "unknown";
}

bool domu_check_waived(const char *const *waive, const char *name)
{
	for (; waive != NULL && *waive != NULL; waive++)
		if (strcmp(*waive, name) == 0)
			return true;
	return false;
}

static bool is_check(const char *name)
{
	for (size_t i = 0; i < N_CHECKS; i++)
		if (strcmp(checks[i].info.name, name) == 0)
			return true;
	return false;
}

static int check_waive(struct domu_ctx *ctx, const char *const *waive)
{
	for (; waive != NULL && *waive != NULL; waive++)
		if (!is_check(*waive))
			return domu_fail(ctx, DOMU_USAGE, -EINVAL,
			                 "--waive %s: there is no such check; domu-rescue status GUEST lists them",
			                 *waive);
	return 0;
}

static int one_check(struct domu_view *view, const struct check *c, const struct domu_backing *b,
                     const struct domu_relatives *r, const char *const *waive, struct domu_verdict *out)
{
	struct domu_answer a = { .result = DOMU_CHECK_PASS };
	struct domu_verdict_line *line = &out->v[out->n];

	c->fn(view, b, r, &a);
	line->check = c->info.name;
	line->disk = strdup(b->disk->vdev);
	line->result = a.result;
	line->detail = a.detail;
	line->next = a.next;
	if (line->disk == NULL) {
		free(a.detail);
		free(a.next);
		return -ENOMEM;
	}
	out->n++;
	if (a.result == DOMU_CHECK_UNKNOWN && c->info.unknown_passes) {
		domu_say(view->ctx, DOMU_WARNING, "disk %s of %s: %s", b->disk->vdev, domu_guest_shown(view->guest),
		         a.detail != NULL ? a.detail : "other hosts cannot be seen");
	} else if (a.result == DOMU_CHECK_FAIL && c->fn == domu_check_own_lock && view->depth == DOMU_VERDICT_READ) {
		/* Its changes are on a stage: until the commit the disk stays as it is. */
		domu_say(view->ctx, DOMU_WARNING, "disk %s of %s: %s; what is read is the disk without that",
		         b->disk->vdev, domu_guest_shown(view->guest), a.detail != NULL ? a.detail : "");
	} else if (a.result == DOMU_CHECK_FAIL || a.result == DOMU_CHECK_UNKNOWN) {
		line->blocks = !domu_check_waived(waive, c->info.name);
		if (!line->blocks)
			line->result = DOMU_CHECK_WAIVED;
		out->in_use |= line->blocks;
	}
	return 0;
}

int domu_verdict_make(struct domu_ctx *ctx, const struct domu_guest *g, const struct domu_backing *backings, size_t n,
                      enum domu_verdict_depth depth, const char *const *waive, struct domu_verdict *out)
{
	static const char *const save_dirs[] = { "/var/lib/xen/save", "/var/lib/libvirt/libxl/save", NULL };
	struct domu_view view = { .ctx = ctx, .guest = g, .depth = depth, .save_dirs = save_dirs, .root = "" };
	struct domu_relatives relatives;
	int rc = check_waive(ctx, waive);

	memset(out, 0, sizeof *out);
	if (rc < 0)
		return rc;
	view.xen = domu_xen_here();
	out->v = calloc(n * N_CHECKS + 1, sizeof *out->v);
	if (out->v == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct domu_backing *b = &backings[i];

		if (b->fd < 0 || (b->disk->cdrom && b->disk->readonly))
			continue;
		rc = domu_relatives(&view, b, &relatives);
		for (size_t c = 0; rc == 0 && c < N_CHECKS; c++)
			if ((checks[c].info.when & (1u << depth)) != 0)
				rc = one_check(&view, &checks[c], b, &relatives, waive, out);
		domu_relatives_free(&relatives);
	}
	domu_view_free(&view);
	if (rc < 0) {
		domu_verdict_free(out);
		return domu_nomem(ctx);
	}
	return 0;
}

void domu_verdict_free(struct domu_verdict *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->v[i].disk);
		free(v->v[i].detail);
		free(v->v[i].next);
	}
	free(v->v);
	memset(v, 0, sizeof *v);
}

/*
 * The first reason, a failure before what cannot be told; a mount says more than the loop that it is made through,
 * and another domu-rescue more than that the kernel holds the device for it.
 */
const struct domu_verdict_line *domu_verdict_reason(const struct domu_verdict *v)
{
	const struct domu_verdict_line *first = NULL, *own = NULL;

	for (size_t i = 0; i < v->n; i++) {
		const struct domu_verdict_line *l = &v->v[i];

		if (l->result == DOMU_CHECK_FAIL && strcmp(l->check, "own-lock") == 0)
			own = l;
		if (!l->blocks)
			continue;
		if (own != NULL && strcmp(l->check, "mounts") == 0 && strcmp(own->disk, l->disk) == 0)
			return own;
		if (first == NULL || (first->result != DOMU_CHECK_FAIL && l->result == DOMU_CHECK_FAIL))
			first = l;
		else if (strcmp(first->check, "stacked") == 0 && strcmp(l->check, "mounts") == 0 &&
		         l->result == DOMU_CHECK_FAIL && strcmp(first->disk, l->disk) == 0)
			return l;
	}
	return first;
}

bool domu_verdict_untold(const struct domu_verdict *v)
{
	const struct domu_verdict_line *l = domu_verdict_reason(v);

	return geteuid() != 0 && l != NULL && l->result == DOMU_CHECK_UNKNOWN;
}

int domu_verdict_refuse(struct domu_ctx *ctx, const struct domu_guest *g, const struct domu_verdict *v)
{
	const struct domu_verdict_line *l = domu_verdict_reason(v);
	const char *detail;

	if (l == NULL)
		return domu_fail(ctx, DOMU_INUSE, -EBUSY, "%s is in use", domu_guest_shown(g));
	detail = l->detail != NULL ? l->detail : "in use";
	if (domu_verdict_untold(v)) {
		domu_fail(ctx, DOMU_FAILED, -EPERM, "whether %s is in use only root can tell: disk %s: %s (check %s)",
		          domu_guest_shown(g), l->disk, detail, l->check);
		domu_error_where(ctx, l->disk, NULL);
		return -EPERM;
	}
	if (l->next != NULL)
		domu_fail(ctx, DOMU_INUSE, -EBUSY, "%s is in use: disk %s: %s (check %s); next: %s",
		          domu_guest_shown(g), l->disk, detail, l->check, l->next);
	else
		domu_fail(ctx, DOMU_INUSE, -EBUSY,
		          "%s is in use: disk %s: %s (check %s); domu-rescue status %s shows more", domu_guest_shown(g),
		          l->disk, detail, l->check, domu_guest_shown(g));
	domu_error_where(ctx, l->disk, NULL);
	return -EBUSY;
}
