/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-task-regions.c - which parts of a file an archive keeps: all of its data, in pieces whose number is bounded. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "base/ctx.h"
#include "task/tar-regions.h"

#define PIECES UINT64_C(3000000)
#define PIECE  UINT64_C(4096)

/* Every other piece of the file is a hole, and no piece is next to another on the disk. */
static int extent(struct domu_fs *fs, uint64_t ino, uint64_t offset, uint64_t len, uint64_t *at, uint64_t *run)
{
	uint64_t piece = offset / PIECE, left = PIECE - offset % PIECE;

	(void)fs;
	(void)ino;
	*run = left < len ? left : len;
	*at = piece % 2 == 0 ? (PIECES - piece) * PIECE + offset % PIECE : UINT64_MAX;
	return 0;
}

Test(regions, are_bounded, .timeout = 600)
{
	const struct domu_fs_ops ops = { .self_size = sizeof ops, .name = "comb", .extent = extent };
	struct domu_block block = { .size = (PIECES + 1) * PIECE };
	struct domu_ctx ctx = { .io = NULL };
	struct domu_fs fs = { .ops = &ops, .ctx = &ctx, .block = &block };
	const struct domu_stat st = { .size = PIECES * PIECE };
	struct domu_tar_regions r = { 0 };
	uint64_t data = 0, end = 0;

	cr_assert_eq(domu_tar_regions_find(&r, &fs, 12, &st), 0);
	cr_expect_lt(r.n, 300000);
	for (size_t i = 0; i < r.n; i++) {
		cr_assert_geq(r.v[i].offset, end);
		end = r.v[i].offset + r.v[i].len;
		data += r.v[i].len;
		cr_assert(r.v[i].at == UINT64_MAX || r.v[i].offset % (2 * PIECE) == 0);
	}
	cr_expect_geq(data, st.size / 2);
	domu_tar_regions_free(&r);
}
