/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-upcall.c - what a worker asks the session for: journals replayed, the appliance; and what both are shown. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "task/session-impl.h"

/* ---- what is shown ------------------------------------------------------------- */

static int no_place(struct domu_session *s)
{
	return domu_fail(s->ctx, DOMU_FAILED, -EINVAL, "the worker asked for what is on no disk of %s",
	                 domu_guest_shown(s->guest));
}

/* A place comes from a worker, which is not believed: parts of disks that there are, each for itself. */
static int check_place(struct domu_session *s, const struct domu_place *p)
{
	uint64_t sizes[DOMU_MAX_DISKS];
	int rc;

	if (p->disk >= s->n_backings)
		return no_place(s);
	if (p->map == NULL)
		return domu_inside(p->offset, p->size, domu_session_size(s, p->disk)) ? 0 : no_place(s);
	for (size_t i = 0; i < s->n_backings; i++)
		sizes[i] = domu_session_size(s, i);
	rc = domu_lv_check(p->map, sizes, s->n_backings);
	if (rc == -ENOMEM)
		return domu_nomem(s->ctx);
	return rc == 0 && domu_lv_size(p->map) == p->size ? 0 : no_place(s);
}

/* Of a volume of which a disk is read-only, what is written there would be lost, and the rest committed. */
static int check_writable(struct domu_session *s, const struct domu_lv_map *m)
{
	size_t writable = 0, readonly = s->n_backings;

	for (size_t i = 0; i < s->n_backings; i++) {
		if (!domu_lv_uses(m, (unsigned)i))
			continue;
		if (s->backings[i].disk->readonly)
			readonly = i;
		else
			writable++;
	}
	if (s->stage == NULL || s->looking || writable == 0 || readonly == s->n_backings)
		return 0;
	return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EROFS,
	                 "a volume of %s lies in part on %s, which its config has read-only: it cannot be changed",
	                 domu_guest_shown(s->guest), s->backings[readonly].disk->vdev);
}

static int show_volume(struct domu_session *s, const struct domu_place *p, struct domu_shown *out)
{
	struct domu_volume *v = &out->volume;
	uint32_t sector = 0;
	int rc = check_writable(s, p->map);

	v->map = p->map;
	for (unsigned i = 0; i < DOMU_MAX_DISKS; i++)
		v->disks[i].base_fd = -1;
	for (unsigned i = 0; rc == 0 && i < s->n_backings; i++) {
		if (!domu_lv_uses(p->map, i))
			continue;
		rc = domu_session_stack(s, i, &v->disks[i]);
		if (v->disks[i].sector_size > sector)
			sector = v->disks[i].sector_size;
	}
	out->stack = v->disks[p->map->legs[0].disk];
	out->stack.sector_size = sector;
	out->stack.volume = v;
	out->size = p->size;
	return rc;
}

int domu_session_show(struct domu_session *s, const struct domu_place *p, struct domu_shown *out)
{
	int rc = check_place(s, p);

	memset(out, 0, sizeof *out);
	if (rc != 0)
		return rc;
	if (p->map != NULL)
		return show_volume(s, p, out);
	out->offset = p->offset;
	out->size = p->size;
	return domu_session_stack(s, p->disk, &out->stack);
}

static void use_base(struct domu_stack_desc *d, int log_fd)
{
	d->stage_fd = -1;
	d->replay_fd = log_fd;
}

int domu_session_show_base(struct domu_session *s, const struct domu_place *p, int log_fd, struct domu_shown *out)
{
	int rc = domu_session_show(s, p, out);

	use_base(&out->stack, log_fd);
	for (size_t i = 0; i < DOMU_MAX_DISKS; i++)
		use_base(&out->volume.disks[i], log_fd);
	return rc;
}

/* ---- journals ------------------------------------------------------------------ */

/* Of a type whose journal can be replayed, or nothing. */
static int check_replay(struct domu_session *s, const char *type)
{
	const struct domu_fs_ops *ops = domu_fs_driver(type);

	if (ops == NULL || ops->tools == NULL || ops->tools->replay == NULL)
		return -EOPNOTSUPP;
	return domu_session_unreplayed(s) ? -EBUSY : 0;
}

/* Upcall: the worker met a journal.  Nobody else writes the layer: the worker waits for the answer. */
static int upcall_replay(void *user, const struct domu_place *p, const char *type)
{
	struct domu_session *s = ((struct domu_relay *)user)->s;
	struct domu_shown shown;
	const char *disk;
	int rc = s->looking ? -EBUSY : check_replay(s, type);

	if (rc == 0)
		rc = domu_session_show(s, p, &shown);
	if (rc != 0)
		return rc;
	disk = s->backings[p->disk].disk->vdev;
	rc = domu_session_replay_journal(s, &shown, type, disk);
	if (rc == 0 && s->stage != NULL)
		rc = domu_session_settle(s, &shown, type, disk);
	if (rc == 0)
		domu_say(
		    s->ctx, DOMU_INFO, "the journal on %s was replayed%s", disk,
		    s->stage != NULL
		        ? ": it was not unmounted; of a guest saved to a file elsewhere (xl save) restore that instead"
		        : " in a layer that is dropped at the end");
	return rc;
}

/* The same for the disk as it is without the stage, which the stage is compared with. */
static int upcall_replay_base(void *user, const struct domu_place *p, const char *type)
{
	struct domu_session *s = ((struct domu_relay *)user)->s;
	struct domu_shown shown;
	int rc = s->base_fd >= 0 ? check_replay(s, type) : -EOPNOTSUPP;

	if (rc == 0)
		rc = domu_session_show_base(s, p, s->base_fd, &shown);
	return rc == 0 ? domu_session_replay_journal(s, &shown, type, s->backings[p->disk].disk->vdev) : rc;
}

/* ---- the appliance --------------------------------------------------------------- */

bool domu_session_in_appliance(const struct domu_session *s)
{
	for (size_t i = 0; i < DOMU_MAX_DISKS; i++)
		if (s->appliance[i].a != NULL)
			return true;
	return false;
}

int domu_session_end_appliances(struct domu_session *s)
{
	int rc = 0;

	for (size_t i = 0; i < DOMU_MAX_DISKS; i++) {
		int r = domu_appliance_end(s->ctx, s->appliance[i].a);

		rc = rc != 0 ? rc : r;
		free(s->appliance[i].volume);
		memset(&s->appliance[i], 0, sizeof s->appliance[i]);
	}
	return rc;
}

/* The one that has the disk, or the volume; or a free place.  NULL: there is none. */
static struct domu_session_appliance *find_appliance(struct domu_session *s, unsigned disk, const char *volume)
{
	struct domu_session_appliance *unused = NULL;

	for (size_t i = 0; i < DOMU_MAX_DISKS; i++) {
		struct domu_session_appliance *a = &s->appliance[i];

		if (a->a == NULL)
			unused = unused != NULL ? unused : a;
		else if (volume == NULL ? a->volume == NULL && a->disk == disk
		                        : a->volume != NULL && strcmp(a->volume, volume) == 0)
			return a;
	}
	return unused;
}

/* It takes long to start: once it failed, the next filesystem of this session does not try again. */
static void remember_failure(struct domu_session *s)
{
	s->no_appliance = true;
	s->appliance_status = domu_error_status(s->ctx);
	s->appliance_error = s->ctx->error.message != NULL ? strdup(s->ctx->error.message) : NULL;
}

/* Of a disk all of it is shown, so that one appliance does for its filesystems; of a volume the volume. */
static int start_appliance(struct domu_session *s, const struct domu_shown *shown, const char *type, unsigned flags,
                           int *fd, struct domu_appliance **a)
{
	struct domu_export_opts e = { .writable = true, .uid = DOMU_WORKER_UID, .stack = shown->stack };
	int rc;

	e.size = shown->stack.volume != NULL ? shown->size : shown->stack.size;
	domu_say(s->ctx, DOMU_INFO, "starting the appliance for %s", type);
	rc = domu_appliance_start(s->ctx, &e, shown->offset, shown->size, type, flags, fd, a);
	if (rc != 0)
		remember_failure(s);
	return rc;
}

static int upcall_appliance(void *user, const struct domu_place *p, const char *type, unsigned flags, int *fd)
{
	struct domu_session *s = ((struct domu_relay *)user)->s;
	struct domu_session_appliance *a;
	struct domu_shown shown;
	char *volume = NULL;
	int rc;

	if (s->opts.no_appliance)
		return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s needs the appliance: leave --engine ext2fs out", type);
	rc = domu_session_show(s, p, &shown);
	if (rc != 0)
		return rc;
	if (s->no_appliance)
		return domu_fail(s->ctx, s->appliance_status, -EIO, "%s",
		                 s->appliance_error != NULL ? s->appliance_error
		                                            : "the appliance could not be started");
	if (p->map != NULL && (volume = domu_lv_format(p->map)) == NULL)
		return domu_nomem(s->ctx);
	a = find_appliance(s, p->disk, volume);
	if (a == NULL)
		rc = domu_fail(s->ctx, DOMU_UNSUPPORTED, -EMFILE,
		               "%s needs one appliance more than the %u that run: name one filesystem with "
		               "GUEST@DEV",
		               type, DOMU_MAX_DISKS);
	else if (a->a != NULL)
		rc = domu_appliance_open(a->a, shown.offset, shown.size, type, flags, fd);
	else
		rc = start_appliance(s, &shown, type, flags, fd, &a->a);
	if (rc == 0 && a->volume == NULL) {
		a->disk = p->disk;
		a->volume = volume;
		volume = NULL;
	}
	free(volume);
	return rc;
}

/* ---- all of them -------------------------------------------------------------------- */

static int relay_rows(void *user, struct domu_msg *m)
{
	struct domu_relay *r = user;

	return r->h != NULL && r->h->rows != NULL ? r->h->rows(r->h->user, m) : 0;
}

static int relay_data(void *user, const void *bytes, size_t len)
{
	struct domu_relay *r = user;

	return r->h != NULL && r->h->data != NULL ? r->h->data(r->h->user, bytes, len) : 0;
}

const struct domu_worker_handlers domu_session_handlers = {
	.rows = relay_rows,
	.data = relay_data,
	.replay = upcall_replay,
	.replay_base = upcall_replay_base,
	.appliance = upcall_appliance,
};
