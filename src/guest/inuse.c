/* SPDX-License-Identifier: GPL-3.0-or-later */
/* inuse.c - the verdict: every check on every disk, in the order of the design. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static void check_resolve(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                          struct domu_answer *a)
{
	struct stat st;

	(void)v;
	(void)r;
	if (b->disk->path == NULL || stat(b->disk->path, &st) < 0)
		domu_answer(a, DOMU_CHECK_FAIL, "%s is gone: %s", b->path, strerror(errno));
	else if (b->is_device ? !S_ISBLK(st.st_mode) || st.st_rdev != b->dev
	                      : st.st_dev != b->dev || st.st_ino != b->inode)
		domu_answer(a, DOMU_CHECK_FAIL, "%s is not the disk any more that was opened", b->disk->path);
}

static void check_own_lock(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                           struct domu_answer *a)
{
	char owner[512];
	bool idle;
	int rc = domu_lock_owner(b, owner, sizeof owner, &idle);

	(void)r;
	/* A shell in which nothing was changed yet is of no interest to a reader. */
	if (rc > 0 && idle && v->depth == DOMU_VERDICT_READ)
		return;
	if (rc > 0)
		domu_answer(a, DOMU_CHECK_FAIL, "another domu-rescue %s (%s)",
		            idle ? "has it open for changes" : "is changing it", owner);
	else if (rc < 0)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "its lock cannot be looked at: %s", strerror(-rc));
}

static void check_unchanged(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                            struct domu_answer *a)
{
	struct stat st;

	(void)v;
	(void)r;
	if (!b->is_device && (fstat(b->fd, &st) < 0 || (uint64_t)st.st_size != b->size))
		domu_answer(a, DOMU_CHECK_FAIL, "its size has changed since it was opened (%llu bytes)",
		            (unsigned long long)b->size);
}

enum when {
	WHEN_READ = 1 << DOMU_VERDICT_READ,
	WHEN_CHANGE = 1 << DOMU_VERDICT_CHANGE,
	WHEN_RECHECK = 1 << DOMU_VERDICT_RECHECK,
	WHEN_STARTED = 1 << DOMU_VERDICT_STARTED,
	WHEN_ALWAYS = WHEN_READ | WHEN_CHANGE | WHEN_RECHECK,
};

/* doc/design.md, "Is it really stopped?": the number there is the row here. */
static const struct check {
	const char *name;
	unsigned when;
	bool unknown_passes;
	domu_check_fn fn;
} checks[] = {
	{ "resolve", WHEN_CHANGE, false, check_resolve },
	{ "own-lock", WHEN_READ | WHEN_CHANGE, false, check_own_lock },
	{ "xen", WHEN_READ | WHEN_CHANGE, false, domu_check_xen },
	{ "domains", WHEN_ALWAYS | WHEN_STARTED, false, domu_check_domains },
	{ "backends", WHEN_ALWAYS | WHEN_STARTED, false, domu_check_backends },
	{ "driver-domains", WHEN_CHANGE, false, domu_check_driver_domains },
	{ "saved", WHEN_READ | WHEN_CHANGE, false, domu_check_saved },
	{ "other-hosts", WHEN_CHANGE, true, domu_check_other_hosts },
	{ "stacked", WHEN_ALWAYS, false, domu_check_stacked },
	{ "mounts", WHEN_ALWAYS, false, domu_check_mounts },
	{ "writers", WHEN_CHANGE | WHEN_RECHECK, false, domu_check_writers },
	{ "image-lock", WHEN_CHANGE | WHEN_RECHECK, false, domu_check_image_lock },
	{ "exclusive", WHEN_CHANGE | WHEN_RECHECK, false, domu_check_exclusive },
	{ "hotplug-lock", WHEN_CHANGE | WHEN_RECHECK, false, domu_check_hotplug },
	{ "unchanged", WHEN_CHANGE | WHEN_RECHECK, false, check_unchanged },
};
#define N_CHECKS (sizeof checks / sizeof *checks)

const char *const *domu_check_names(void)
{
	static const char *const names[] = {
		"resolve",   "own-lock",     "xen",       "domains", "backends", "driver-domains",
		"saved",     "other-hosts",  "stacked",   "mounts",  "writers",  "image-lock",
		"exclusive", "hotplug-lock", "unchanged", NULL,
	};

	_Static_assert(sizeof names / sizeof *names == N_CHECKS + 1, "one name a check");
	return names;
}

const char *domu_check_result_name(enum domu_check_result r)
{
	static const char *const names[] = {
		[DOMU_CHECK_PASS] = "pass",       [DOMU_CHECK_FAIL] = "fail",     [DOMU_CHECK_SKIPPED] = "skipped",
		[DOMU_CHECK_UNKNOWN] = "unknown", [DOMU_CHECK_WAIVED] = "waived",
	};

	return (size_t)r < sizeof names / sizeof *names ? names[r] : "unknown";
}

static bool listed(const char *const *list, const char *name)
{
	for (; list != NULL && *list != NULL; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static int check_waive(struct domu_ctx *ctx, const char *const *waive)
{
	for (; waive != NULL && *waive != NULL; waive++)
		if (!listed(domu_check_names(), *waive))
			return domu_fail(ctx, DOMU_USAGE, -EINVAL,
			                 "--waive %s: there is no such check; domu-rescue status lists them", *waive);
	return 0;
}

static int one_check(struct domu_view *view, const struct check *c, const struct domu_backing *b,
                     const struct domu_relatives *r, const char *const *waive, struct domu_verdict *out)
{
	struct domu_answer a = { .result = DOMU_CHECK_PASS };
	struct domu_verdict_line *line = &out->v[out->n];

	c->fn(view, b, r, &a);
	line->check = c->name;
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
	if (a.result == DOMU_CHECK_UNKNOWN && c->unknown_passes) {
		domu_say(view->ctx, DOMU_WARNING, "disk %s of %s: %s", b->disk->vdev, domu_guest_shown(view->guest),
		         a.detail != NULL ? a.detail : "other hosts cannot be seen");
	} else if (a.result == DOMU_CHECK_FAIL && c->fn == check_own_lock && view->depth == DOMU_VERDICT_READ) {
		/* Its changes are on a stage: until the commit the disk stays as it is. */
		domu_say(view->ctx, DOMU_WARNING, "disk %s of %s: %s; what is read is the disk without that",
		         b->disk->vdev, domu_guest_shown(view->guest), a.detail != NULL ? a.detail : "");
	} else if (a.result == DOMU_CHECK_FAIL || a.result == DOMU_CHECK_UNKNOWN) {
		line->blocks = !listed(waive, c->name);
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
	struct domu_view view = { .ctx = ctx, .guest = g, .depth = depth, .save_dirs = save_dirs };
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
			if ((checks[c].when & (1u << depth)) != 0)
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
 * The first reason; a mount says more than the loop that it is made through,
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
		if (first == NULL)
			first = l;
		else if (strcmp(first->check, "stacked") == 0 && strcmp(l->check, "mounts") == 0 &&
		         l->result == DOMU_CHECK_FAIL && strcmp(first->disk, l->disk) == 0)
			return l;
	}
	return first;
}

int domu_verdict_refuse(struct domu_ctx *ctx, const struct domu_guest *g, const struct domu_verdict *v)
{
	const struct domu_verdict_line *l = domu_verdict_reason(v);
	const char *detail;

	if (l == NULL)
		return domu_fail(ctx, DOMU_INUSE, -EBUSY, "%s is in use", domu_guest_shown(g));
	detail = l->detail != NULL ? l->detail : "in use";
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
