/* SPDX-License-Identifier: GPL-3.0-or-later */
/* room.c - what a stage and its commit take, against what is free where they are kept. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/num.h"
#include "block/commit-private.h"
#include "block/log.h"

struct room {
	uint64_t stage, seal, undo; /* bytes */
};

/* Zeros take none, but who knows; the seal: an index entry, sector checksums where needed, doors and meta. */
static bool needs(uint64_t blocks, uint64_t staged, bool no_undo, struct room *r)
{
	memset(r, 0, sizeof *r);
	if (!domu_mul(blocks, 64, &r->seal) || !domu_add(r->seal, UINT64_C(1) << 20, &r->seal))
		return false;
	if (!no_undo && (!domu_mul(blocks, DOMU_UNIT, &r->undo) || !domu_add(r->undo, DOMU_UNIT, &r->undo)))
		return false;
	return domu_mul(blocks - staged, DOMU_LOG_REC + DOMU_UNIT, &r->stage);
}

static int free_in(struct domu_ctx *ctx, const char *dir, uint64_t *bytes)
{
	struct statvfs vfs;

	if (statvfs(dir, &vfs) < 0)
		return domu_fail(ctx, DOMU_FAILED, -errno, "%s: %s: nothing was written", dir, strerror(errno));
	if (!domu_mul(vfs.f_bavail, vfs.f_frsize, bytes))
		*bytes = UINT64_MAX;
	return 0;
}

static bool same_file_system(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev;
}

/* What is to be kept in dir: only what is named there is not 0. */
static int room_in(struct domu_ctx *ctx, const char *dir, const struct room *r)
{
	char have[DOMU_SIZE_TEXT], stage[DOMU_SIZE_TEXT], undo[DOMU_SIZE_TEXT], whole[DOMU_SIZE_TEXT];
	uint64_t needed, available = 0;
	int rc = free_in(ctx, dir, &available);

	if (rc != 0)
		return rc;
	if (domu_add(r->stage, r->seal, &needed) && domu_add(needed, r->undo, &needed) && needed <= available)
		return 0;
	domu_size_format(available, have);
	domu_size_format(r->stage, stage);
	domu_size_format(r->undo, undo);
	domu_size_format(r->stage + r->seal + r->undo, whole);
	if (r->stage == 0)
		return domu_fail(ctx, DOMU_FAILED, -ENOSPC, "%s takes %s, and %s has %s free: nothing was written; %s",
		                 r->undo > 0 ? "undo of this commit" : "the index of this commit", whole, dir, have,
		                 r->undo == 0 ? "make room there"
		                              : "--undo-dir DIR keeps it elsewhere, --no-undo goes without");
	if (r->undo == 0)
		return domu_fail(ctx, DOMU_FAILED, -ENOSPC,
		                 "there is no room for this change: it takes %s (%s for the stage, the rest for its "
		                 "index), and %s has %s free: nothing was written; --state-dir DIR keeps it elsewhere",
		                 whole, stage, dir, have);
	return domu_fail(ctx, DOMU_FAILED, -ENOSPC,
	                 "there is no room for this change: it takes %s (%s for the stage, %s for undo, the rest for "
	                 "its index), and %s has %s free: nothing was written; --undo-dir DIR keeps the undo "
	                 "elsewhere, --no-undo goes without, --state-dir DIR keeps all of it elsewhere",
	                 whole, stage, undo, dir, have);
}

/* A commit of so many blocks, of which so many are staged already. */
static int check(struct domu_state *st, const char *undo_dir, bool no_undo, uint64_t blocks, uint64_t staged)
{
	struct room here, there = { 0 };
	int rc;

	if (!needs(blocks, staged, no_undo, &here))
		return domu_fail(st->ctx, DOMU_FAILED, -EFBIG, "a commit of %" PRIu64 " blocks is too big", blocks);
	if (no_undo || undo_dir == NULL || same_file_system(st->dir, undo_dir))
		return room_in(st->ctx, st->dir, &here);
	there.undo = here.undo;
	here.undo = 0;
	rc = room_in(st->ctx, st->dir, &here);
	return rc == 0 ? room_in(st->ctx, undo_dir, &there) : rc;
}

int domu_room_check(struct domu_state *st, const char *undo_dir, bool no_undo, uint64_t blocks)
{
	return check(st, undo_dir, no_undo, blocks, blocks);
}

int domu_commit_room(struct domu_state *st, const char *undo_dir, uint64_t blocks)
{
	return check(st, undo_dir, false, blocks, blocks);
}

int domu_stage_room(struct domu_state *st, const char *undo_dir, bool no_undo, uint64_t bytes, uint64_t staged)
{
	/* Directories, bitmaps and inodes beside the content. */
	uint64_t blocks = bytes / DOMU_UNIT + bytes / DOMU_UNIT / 64 + 16;

	return check(st, undo_dir, no_undo, blocks + staged, staged);
}

bool domu_state_full(struct domu_state *st, uint64_t *available)
{
	struct domu_ctx quiet;
	bool full;

	domu_ctx_quiet(&quiet, st->ctx);
	/* Less than what is written at once. */
	full = free_in(&quiet, st->dir, available) == 0 && *available < UINT64_C(1) << 18;
	domu_error_clear(&quiet);
	return full;
}
