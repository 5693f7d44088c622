/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-super.c - superblocks and tables that a stage rests on: noted when it is begun, compared at its commit. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/num.h"
#include "task/session-impl.h"

void domu_session_forget_disks(struct domu_session *s)
{
	for (size_t i = 0; i < s->n_backings; i++)
		domu_backing_forget_all(&s->backings[i]);
}

/* take: past this host's cache, or through it. */
static int read_sum(struct domu_session *s, const struct domu_super *u,
                    int (*take)(int fd, void *buf, size_t len, uint64_t offset), uint32_t *sum)
{
	const struct domu_backing *b = &s->backings[u->disk];
	unsigned char buf[DOMU_UNIT];
	int rc = take(b->fd, buf, u->size, u->offset);

	if (rc < 0)
		return domu_fail(s->ctx, DOMU_FAILED, rc, "%s: cannot be read at byte %" PRIu64 ": %s", b->path,
		                 u->offset, strerror(-rc));
	*sum = domu_hash32(buf, u->size);
	return 0;
}

/* A worker reads through this host's cache.  Of where things lie nothing else would find that it saw an old page. */
static int check_cached(struct domu_session *s, const struct domu_super *u)
{
	const struct domu_backing *b = &s->backings[u->disk];
	uint32_t sum;
	int rc = read_sum(s, u, domu_pread_full, &sum);

	if (rc < 0 || sum == u->sum)
		return rc;
	rc = domu_fail(s->ctx, DOMU_INUSE, -ESTALE,
	               "%s: this host has an old copy of byte %" PRIu64
	               " of it in memory, and somebody keeps that there: nothing can be changed until he has ended: "
	               "fuser -v %s",
	               b->path, u->offset, b->path);
	domu_error_where(s->ctx, b->disk->vdev, NULL);
	return rc;
}

static int note(struct domu_session *s, struct domu_commit_info *ci, const char *name, unsigned disk, uint64_t offset,
                uint32_t size, bool layout)
{
	struct domu_super u = { .disk = disk, .offset = offset, .size = size, .layout = layout };
	int rc;

	if (ci->n_supers == DOMU_MAX_SUPERS || !domu_inside(offset, size, s->backings[disk].size))
		return 0;
	snprintf(u.name, sizeof u.name, "%s", name);
	rc = read_sum(s, &u, domu_pread_device, &u.sum);
	if (rc == 0)
		rc = check_cached(s, &u);
	if (rc == 0)
		ci->supers[ci->n_supers++] = u;
	return rc;
}

void domu_session_forget_supers(struct domu_session *s)
{
	free(s->rests.supers);
	s->rests.supers = NULL;
	s->rests.n_supers = 0;
}

int domu_session_keep_supers(struct domu_session *s)
{
	const struct domu_commit_info *ci = domu_stage_info(s->stage);

	domu_session_forget_supers(s);
	if (ci->n_supers == 0)
		return 0;
	s->rests.supers = malloc(ci->n_supers * sizeof *ci->supers);
	if (s->rests.supers == NULL)
		return domu_nomem(s->ctx);
	memcpy(s->rests.supers, ci->supers, ci->n_supers * sizeof *ci->supers);
	s->rests.n_supers = ci->n_supers;
	return 0;
}

/*
 * The label, and the head of the metadata area where every tool since 2003
 * puts it, which changes with all that a group is told: what lies where.
 */
static int note_pv(struct domu_session *s, struct domu_commit_info *ci, const struct domu_node *n)
{
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && at < 2 * DOMU_UNIT && domu_inside(at, DOMU_UNIT, n->size); at += DOMU_UNIT)
		rc = note(s, ci, n->name, n->disk, n->start + at, DOMU_UNIT, true);
	return rc;
}

int domu_session_note_supers(struct domu_session *s, const struct domu_nodes *nodes, struct domu_commit_info *ci)
{
	int rc = 0;

	ci->supers = calloc(DOMU_MAX_SUPERS, sizeof *ci->supers);
	if (ci->supers == NULL)
		rc = domu_nomem(s->ctx);
	for (size_t i = 0; rc == 0 && i < nodes->n; i++) {
		const struct domu_node *n = &nodes->v[i];
		unsigned disk = n->disk;
		uint64_t offset;
		uint32_t size;
		bool door = domu_session_door_sector(s, n, &disk, &offset, &size);

		if (s->backings[disk].disk->readonly)
			continue;
		if (door)
			rc = note(s, ci, n->name, disk, offset, size, false);
		else if (strcmp(n->probe.type, "LVM2_member") == 0)
			rc = note_pv(s, ci, n);
		else if (n->kind == DOMU_NODE_DISK)
			rc = note(s, ci, n->name, n->disk, 0, DOMU_UNIT, true);
	}
	return rc;
}

int domu_session_check_supers(struct domu_session *s)
{
	const char *guest = domu_guest_shown(s->guest);
	const struct domu_commit_info *ci = &s->rests;
	size_t n = domu_check_waived(s->opts.waive, "unchanged") ? 0 : ci->n_supers;
	uint32_t sum = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		const struct domu_super *u = &ci->supers[i];

		if (u->disk >= s->n_backings || s->backings[u->disk].fd < 0)
			continue;
		rc = read_sum(s, u, domu_pread_device, &sum);
		if (rc != 0)
			return rc;
		if (sum == u->sum)
			continue;
		rc =
		    domu_fail(s->ctx, DOMU_INUSE, -ESTALE,
		              "%s was in use since this was staged: the superblock or table of %s (byte %" PRIu64
		              " of %s) is not what it was (check unchanged): nothing was written. This stage cannot be "
		              "committed; look with domu-rescue diff %s, drop it with domu-rescue rollback %s",
		              guest, u->name, u->offset, s->backings[u->disk].path, guest, guest);
		domu_error_where(s->ctx, s->backings[u->disk].disk->vdev, NULL);
		return rc;
	}
	return 0;
}
