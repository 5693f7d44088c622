/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-block-extio.c - the io_manager against a plain copy in memory, and libext2fs itself on it. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/num.h"
#include "block/block.h"
#include "seed.h"

#define SIZE (UINT64_C(3) << 20)

struct rig {
	struct domu_ctx ctx;
	struct domu_stack s;
	int base, log;
	io_channel io;
	uint8_t *model;
	unsigned rng;
};

static void setup_rig(struct rig *r, unsigned seed)
{
	struct domu_stack_desc d = { .replay_fd = -1, .sector_size = 512 };
	char name[32];

	memset(r, 0, sizeof *r);
	domu_ctx_init(&r->ctx);
	r->rng = seed;
	r->model = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		r->model[i] = (uint8_t)(i >> 10);
	r->base = memfd_create("base", 0);
	cr_assert_eq(pwrite(r->base, r->model, SIZE, 0), (ssize_t)SIZE);
	r->log = domu_replay_log(&r->ctx, NULL);
	d.base_fd = r->base;
	d.stage_fd = r->log;
	cr_assert_eq(domu_stack_open(&r->ctx, &d, "xvda", &r->s), 0);
	cr_assert_eq(domu_ext_io_name(r->s.top, name), 0);
	cr_assert_eq(domu_ext_io()->open(name, IO_FLAG_RW, &r->io), 0);
}

static void drop_rig(struct rig *r)
{
	cr_assert_eq(io_channel_close(r->io), 0);
	domu_stack_close(&r->s);
	close(r->base);
	close(r->log);
	free(r->model);
	domu_ctx_free(&r->ctx);
}

static void random_op(struct rig *r, uint8_t *buf)
{
	uint64_t bs = (uint64_t)r->io->block_size, block, len;
	int count = 1 + rand_r(&r->rng) % (rand_r(&r->rng) % 3 == 0 ? 12 : 3);

	if (rand_r(&r->rng) % 6 == 0)
		count = -(1 + rand_r(&r->rng) % 5000);
	len = count < 0 ? (uint64_t)-count : (uint64_t)count * bs;
	block = (unsigned)rand_r(&r->rng) % 40 + (rand_r(&r->rng) % 4 == 0 ? SIZE / bs - 60 : 0);
	switch (rand_r(&r->rng) % 10) {
	case 0:
		cr_assert_eq(io_channel_set_blksize(r->io, 1024 << rand_r(&r->rng) % 3), 0);
		break;
	case 1:
		cr_assert_eq(io_channel_flush(r->io), 0);
		break;
	case 2:
		memset(r->model + 777, rand_r(&r->rng), 300);
		cr_assert_eq(io_channel_write_byte(r->io, 777, 300, r->model + 777), 0);
		break;
	case 3:
		memset(r->model + block * bs, 0, 4 * bs);
		cr_assert_eq(io_channel_zeroout(r->io, block, 4), 0);
		break;
	case 4:
	case 5:
	case 6:
		memset(r->model + block * bs, rand_r(&r->rng), len);
		cr_assert_eq(io_channel_write_blk64(r->io, block, count, r->model + block * bs), 0);
		break;
	default:
		cr_assert_eq(io_channel_read_blk64(r->io, block, count, buf), 0);
		cr_assert_eq(memcmp(buf, r->model + block * bs, len), 0);
	}
}

Test(extio, reads_are_what_was_written)
{
	uint8_t *buf = malloc(1 << 20), *end = malloc(SIZE);
	struct rig r;

	setup_rig(&r, test_seed());
	for (int i = 0; i < 20000; i++)
		random_op(&r, buf);
	cr_assert_eq(io_channel_flush(r.io), 0);
	cr_assert_eq(domu_block_pread(r.s.top, end, SIZE, 0), 0);
	cr_assert_eq(memcmp(end, r.model, SIZE), 0);
	drop_rig(&r);
	free(buf);
	free(end);
}

Test(extio, beyond_the_end_is_zeros_and_an_error_and_no_failure_of_ours)
{
	uint8_t buf[8192], zeros[8192] = { 0 };
	static const unsigned long long blocks[] = { SIZE / 1024, SIZE / 1024 + 7, 1ull << 40, ~0ull, ~0ull / 1024 };
	struct rig r;

	setup_rig(&r, 1);
	for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
		for (int count = 1; count <= 8; count += 7) {
			memset(buf, 1, sizeof buf);
			cr_assert_eq(io_channel_read_blk64(r.io, blocks[i], count, buf), EXT2_ET_SHORT_READ);
			cr_assert_eq(memcmp(buf, zeros, (size_t)count * 1024), 0);
			if (count == 8)
				cr_assert_eq(io_channel_write_blk64(r.io, blocks[i], count, buf), EXT2_ET_SHORT_WRITE);
		}
		cr_assert_neq(io_channel_zeroout(r.io, blocks[i], 1ull << 62), 0);
	}
	/* Half inside. */
	cr_assert_eq(io_channel_read_blk64(r.io, SIZE / 1024 - 4, 8, buf), EXT2_ET_SHORT_READ);
	cr_assert_eq(memcmp(buf, r.model + SIZE - 4096, 4096), 0);
	cr_assert_eq(r.ctx.error.status, DOMU_OK);
	drop_rig(&r);
}

Test(extio, a_cached_write_beyond_the_end_fails_at_the_flush)
{
	uint8_t buf[1024] = { 1 };
	struct rig r;

	setup_rig(&r, 1);
	cr_assert_eq(io_channel_write_blk64(r.io, SIZE / 1024, 1, buf), 0);
	cr_assert_eq(io_channel_flush(r.io), EXT2_ET_SHORT_WRITE);
	cr_assert_eq(io_channel_flush(r.io), 0);
	drop_rig(&r);
}

Test(extio, names_find_their_block_and_old_ones_nothing)
{
	struct domu_block *b[20];
	struct domu_ctx ctx;
	char name[20][32];
	io_channel io[20], again;
	int fd = memfd_create("base", 0);

	domu_ctx_init(&ctx);
	cr_assert_eq(ftruncate(fd, 1 << 20), 0);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(domu_raw_open(&ctx, fd, "xvda", 0, 512, &b[i]), 0);
		cr_assert_eq(domu_ext_io_name(b[i], name[i]), 0);
		cr_assert_eq(domu_ext_io()->open(name[i], IO_FLAG_RW, &io[i]), EROFS);
		cr_assert_eq(domu_ext_io()->open(name[i], 0, &io[i]), 0);
	}
	cr_assert_eq(domu_ext_io()->open(name[19], 0, &again), 0);
	cr_assert_eq(io_channel_close(again), 0);
	cr_assert_neq(domu_ext_io()->open(name[0], 0, &again), 0);
	cr_assert_neq(domu_ext_io()->open("/etc/passwd", 0, &again), 0);
	cr_assert_neq(domu_ext_io()->open("domu-block-0", 0, &again), 0);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(io_channel_close(io[i]), 0);
		domu_block_close(b[i]);
	}
	close(fd);
}

Test(extio, libext2fs_makes_and_opens_a_filesystem_on_it)
{
	struct ext2_super_block param = { 0 };
	char name[32];
	ext2_filsys fs;
	struct rig r;

	setup_rig(&r, 1);
	ext2fs_blocks_count_set(&param, SIZE / 1024);
	domu_ext_io_name(r.s.top, name);
	cr_assert_eq(ext2fs_initialize(name, EXT2_FLAG_64BITS, &param, domu_ext_io(), &fs), 0);
	cr_assert_eq(ext2fs_allocate_tables(fs), 0);
	for (dgrp_t g = 0; g < fs->group_desc_count; g++)
		cr_assert_eq(ext2fs_zero_blocks2(fs, ext2fs_inode_table_loc(fs, g), (int)fs->inode_blocks_per_group,
		                                 NULL, NULL),
		             0);
	cr_assert_eq(ext2fs_mkdir(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, NULL), 0);
	cr_assert_eq(ext2fs_mkdir(fs, EXT2_ROOT_INO, 0, "hello"), 0);
	cr_assert_eq(ext2fs_close_free(&fs), 0);
	cr_assert_eq(ext2fs_open2(name, NULL, EXT2_FLAG_64BITS, 0, 0, domu_ext_io(), &fs), 0);
	{
		ext2_ino_t ino;

		cr_assert_eq(ext2fs_namei(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, "/hello", &ino), 0);
	}
	cr_assert_eq(ext2fs_close_free(&fs), 0);
	drop_rig(&r);
}
