/* SPDX-License-Identifier: GPL-3.0-or-later */
/* match.c - which of a guest's disks are those of an earlier commit, wherever they are now. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "block/commit-private.h"

struct match {
	struct domu_ctx *ctx;
	const struct domu_commit_info *ci;
	const struct domu_match *m;
	struct domu_seal seal; /* of a commit that is due: its doors */
	bool closed; /* one of those that are known is */
	bool known[DOMU_MAX_DISKS]; /* of the commit's disks: which of the guest's it is */
	bool taken[DOMU_MAX_DISKS]; /* of the guest's disks */
};

/* How one is known, the surest first. */
enum by { BY_IDENTITY, BY_CLOSED_DOOR, BY_DOOR, BY_PATH, N_BY };

static bool is(const struct match *x, unsigned disk, size_t k, enum by by)
{
	enum domu_likeness like = domu_identity_like(&x->ci->disks[disk], &x->m->now[k]);
	int fd = x->m->disks[k].fd;

	switch (by) {
	case BY_IDENTITY:
		return like == DOMU_SAME_DISK;
	case BY_CLOSED_DOOR:
		return fd >= 0 && domu_seal_door_on(&x->seal, disk, fd, false);
	case BY_DOOR: /* beside one that is closed: not closed yet, or open already */
		return fd >= 0 && x->m->named && x->closed && domu_seal_door_on(&x->seal, disk, fd, true);
	default: /* something else has its name: who looks at the identity says what */
		return like != DOMU_OTHER_DISK;
	}
}

static int find(const struct match *x, unsigned disk, enum by by)
{
	for (size_t k = 0; k < x->m->n; k++)
		if (!x->taken[k] && is(x, disk, k, by))
			return (int)k;
	return -1;
}

static int refuse_copy(struct match *x, const struct domu_identity *copy, const char *original)
{
	const char *guest = x->ci->guest != NULL ? x->ci->guest : original;

	if (x->ci->state != DOMU_COMMIT_INTERRUPTED)
		return domu_fail(x->ctx, DOMU_FAILED, -EEXIST,
		                 "%s: %s is a copy of %s, which commit %s was made on: nothing was written", copy->vdev,
		                 copy->path, original, x->ci->id);
	return domu_fail(x->ctx, DOMU_UNRECOVERED, -EEXIST,
	                 "%s: %s is a copy of %s, which commit %s was made on: nothing was written; domu-rescue "
	                 "recover %s finishes that one, then it can be copied again",
	                 copy->vdev, copy->path, original, x->ci->id, guest);
}

/* A snapshot of the file system that the image is on has the same inode and birth as the original. */
static int check_original(struct match *x, const struct domu_identity *id, const struct domu_identity *now)
{
	struct domu_identity there;
	int rc = 0;

	if (id->inode == 0 || strcmp(id->path, now->path) == 0)
		return 0;
	if (domu_identity_of_path(id->path, &there) == 0 && domu_identity_like(id, &there) == DOMU_SAME_DISK &&
	    (there.dev != now->dev || there.inode != now->inode))
		rc = refuse_copy(x, now, id->path);
	domu_identity_free(&there);
	return rc;
}

/*
 * It has the door that only this commit closes: the disk, moved or restored
 * to another file system, or a copy of it.  Which, only the original tells:
 * as long as that is there this is a copy.  And where it is not to be seen,
 * its file system may be away for a moment, so a person has to name the disk.
 */
static int check_moved(struct match *x, const struct domu_identity *id, const struct domu_identity *now,
                       struct domu_commit_disk *disk)
{
	char *original = domu_identity_find(id);
	int rc = 0;

	/* A device's number went to a copy: who looks at the identity says so, and where the original is. */
	disk->moved = original == NULL || strcmp(now->path, id->path) != 0;
	if (disk->moved && original != NULL)
		rc = refuse_copy(x, now, original);
	else if (disk->moved && !x->m->named && strcmp(now->path, id->path) == 0)
		rc = domu_fail(
		    x->ctx, DOMU_UNRECOVERED, -EXDEV,
		    "%s: %s is another file than the one that commit %s was made on, and closed by it: if this "
		    "is the same disk, restored, domu-rescue recover %s",
		    now->vdev, now->path, x->ci->id, x->m->guest);
	else if (disk->moved && !x->m->named)
		rc = domu_fail(x->ctx, DOMU_UNRECOVERED, -EXDEV,
		               "%s: %s is closed by commit %s, which was made on %s, and that is gone: if this is the "
		               "same disk, moved or restored, domu-rescue recover %s",
		               now->vdev, now->path, x->ci->id, id->path, x->m->guest);
	else if (disk->moved)
		domu_say(x->ctx, DOMU_WARNING,
		         "%s: %s has the superblock of commit %s: it is taken for %s, which is gone", now->vdev,
		         now->path, x->ci->id, id->path);
	free(original);
	return rc;
}

static int match_by(struct match *x, enum by by, unsigned i, struct domu_commit_disk *out)
{
	const struct domu_identity *id = &x->ci->disks[i];
	int k = x->known[i] ? -1 : find(x, i, by);

	if (k < 0)
		return 0;
	*out = x->m->disks[k];
	x->known[i] = x->taken[k] = true;
	x->closed = x->closed || (out->fd >= 0 && domu_seal_door_on(&x->seal, i, out->fd, false));
	if (by == BY_IDENTITY)
		return check_original(x, id, &x->m->now[k]);
	return by == BY_PATH ? 0 : check_moved(x, id, &x->m->now[k], out);
}

int domu_commit_match(struct domu_state *st, const struct domu_commit_info *ci, const struct domu_match *m,
                      struct domu_commit_disk *out)
{
	struct match x = { .ctx = st->ctx, .ci = ci, .m = m };
	char *path = NULL;
	struct domu_ctx quiet;
	int rc = 0;

	if (ci->n_disks > DOMU_MAX_DISKS || m->n > DOMU_MAX_DISKS)
		return domu_fail(st->ctx, DOMU_UNRECOVERED, -EINVAL, "commit %s names too many disks", ci->id);
	if (ci->state == DOMU_COMMIT_INTERRUPTED) {
		path = domu_state_path(st, "pending", ci->id, "seal");
		if (path == NULL)
			return domu_nomem(st->ctx);
		/* One that cannot be read is told of by who needs it. */
		domu_ctx_quiet(&quiet, st->ctx);
		domu_seal_load_doors(&quiet, path, &x.seal);
		domu_error_clear(&quiet);
		free(path);
	}
	for (size_t i = 0; i < ci->n_disks; i++)
		out[i] = (struct domu_commit_disk){ .fd = -1 };
	for (enum by by = 0; by < N_BY; by++)
		for (unsigned i = 0; i < ci->n_disks && rc == 0; i++)
			rc = match_by(&x, by, i, &out[i]);
	domu_seal_free(&x.seal);
	return rc;
}
