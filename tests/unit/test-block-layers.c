/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-block-layers.c - raw, slice, overlay and log against a plain file that got the same operations. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "block/block.h"
#include "block/log.h"
#include "seed.h"

struct rig {
	struct domu_ctx ctx;
	int base, log;
	uint64_t size;
	uint8_t *model; /* what the disk should read as */
	uint8_t *disk; /* what the base holds */
	unsigned rng;
};

static void fill(struct rig *r, uint8_t *p, size_t len)
{
	int kind = rand_r(&r->rng) % 4;

	for (size_t i = 0; i < len; i++)
		p[i] = kind == 0 ? 0 : kind == 1 ? 0x55 : (uint8_t)rand_r(&r->rng);
}

static void setup_rig(struct rig *r, uint64_t size, unsigned s)
{
	memset(r, 0, sizeof *r);
	domu_ctx_init(&r->ctx);
	r->rng = s;
	r->size = size;
	r->model = malloc(size);
	r->disk = malloc(size);
	fill(r, r->disk, size);
	memset(r->disk + size / 2, 0, size / 4);
	memcpy(r->model, r->disk, size);
	r->base = memfd_create("base", 0);
	cr_assert_eq(pwrite(r->base, r->disk, size, 0), (ssize_t)size);
	r->log = domu_replay_log(&r->ctx, NULL);
	cr_assert_geq(r->log, 0);
}

static void drop_rig(struct rig *r)
{
	close(r->base);
	close(r->log);
	free(r->model);
	free(r->disk);
	domu_ctx_free(&r->ctx);
}

static void open_stack(struct rig *r, struct domu_stack *s, int stage, int replay)
{
	struct domu_stack_desc d = {
		.base_fd = r->base, .size = r->size, .stage_fd = stage, .replay_fd = replay, .sector_size = 512
	};

	cr_assert_eq(domu_stack_open(&r->ctx, &d, "xvda", s), 0, "%s", r->ctx.error.message);
}

static void expect_model(struct rig *r, struct domu_block *b)
{
	uint8_t *got = malloc(r->size);

	cr_assert_eq(domu_block_pread(b, got, r->size, 0), 0, "%s", r->ctx.error.message);
	for (uint64_t i = 0; i < r->size; i++)
		cr_assert_eq(got[i], r->model[i], "byte %zu", (size_t)i);
	free(got);
}

/* Reads a range by map: what splice would copy. */
static void expect_map(struct rig *r, struct domu_block *b, uint64_t offset, uint64_t len)
{
	while (len > 0) {
		uint8_t buf[DOMU_UNIT];
		uint64_t at = 0, run = 0;
		int fd = -1;
		int rc = domu_block_map(b, offset, len, &fd, &at, &run);

		cr_assert(rc == 0 || rc == -ENODATA);
		cr_assert(run > 0 && run <= len);
		for (uint64_t done = 0; done < run;) {
			size_t n = run - done < sizeof buf ? (size_t)(run - done) : sizeof buf;

			memset(buf, 0, sizeof buf);
			if (rc == 0)
				cr_assert_eq(pread(fd, buf, n, (off_t)(at + done)), (ssize_t)n);
			cr_assert_arr_eq(buf, r->model + offset + done, n);
			done += n;
		}
		offset += run;
		len -= run;
	}
}

static void random_write(struct rig *r, struct domu_block *b)
{
	uint64_t offset = (unsigned)rand_r(&r->rng) % r->size;
	size_t len = (unsigned)rand_r(&r->rng) % (rand_r(&r->rng) % 8 == 0 ? 300000 : 9000);

	if (len > r->size - offset)
		len = r->size - offset;
	if (rand_r(&r->rng) % 8 != 0)
		fill(r, r->model + offset, len); /* else what is there already */
	cr_assert_eq(domu_block_pwrite(b, r->model + offset, len, offset), 0, "%s", r->ctx.error.message);
}

static void random_read(struct rig *r, struct domu_block *b)
{
	uint64_t offset = (unsigned)rand_r(&r->rng) % r->size;
	size_t len = (unsigned)rand_r(&r->rng) % 20000;
	uint8_t *got = malloc(len + 1);

	if (len > r->size - offset)
		len = r->size - offset;
	cr_assert_eq(domu_block_pread(b, got, len, offset), 0);
	cr_assert_eq(memcmp(got, r->model + offset, len), 0, "%zu bytes at %zu", len, (size_t)offset);
	expect_map(r, b, offset, len);
	free(got);
}

/* Every entry of the scan is the model's unit, its old checksum the disk's; every other unit is unchanged. */
static void expect_scan(struct rig *r)
{
	struct domu_log_entry *e;
	uint8_t *was = calloc(1, r->size + DOMU_UNIT), *is = calloc(1, r->size + DOMU_UNIT);
	uint64_t end;
	size_t n;

	memcpy(was, r->disk, r->size);
	memcpy(is, r->disk, r->size);
	cr_assert_eq(domu_log_scan(&r->ctx, r->log, &e, &n, &end), 0, "%s", r->ctx.error.message);
	for (size_t i = 0; i < n; i++) {
		cr_assert(i == 0 || e[i].unit > e[i - 1].unit);
		cr_assert_eq(e[i].old_crc, domu_unit_crc(was + e[i].unit * DOMU_UNIT));
		cr_assert_eq(domu_log_read(&r->ctx, r->log, &e[i], is + e[i].unit * DOMU_UNIT), 0);
	}
	cr_assert_arr_eq(is, r->model, r->size);
	free(e);
	free(was);
	free(is);
}

Test(layers, stage_reads_what_was_written)
{
	static const uint64_t sizes[] = { 1 << 20, (1 << 20) + 512, (3 << 20) - 1024, 700 };
	unsigned s = test_seed();

	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		struct domu_stack st;
		struct rig r;

		setup_rig(&r, sizes[k], s + (unsigned)k);
		open_stack(&r, &st, r.log, -1);
		for (int i = 0; i < 400; i++) {
			random_write(&r, st.top);
			random_read(&r, st.top);
			if (i % 100 == 99) {
				domu_stack_close(&st);
				open_stack(&r, &st, r.log, -1);
			}
		}
		expect_model(&r, st.top);
		expect_scan(&r);
		domu_stack_close(&st);
		drop_rig(&r);
	}
}

Test(layers, replay_above_stage_leaves_the_stage_and_can_be_promoted)
{
	struct domu_stack st, under;
	struct rig r;
	uint8_t *staged;
	int replay;

	setup_rig(&r, 1 << 20, test_seed());
	replay = domu_replay_log(&r.ctx, "/tmp");
	cr_assert_geq(replay, 0);
	open_stack(&r, &st, r.log, -1);
	for (int i = 0; i < 30; i++)
		random_write(&r, st.top);
	domu_stack_close(&st);
	staged = malloc(r.size);
	memcpy(staged, r.model, r.size);

	open_stack(&r, &st, r.log, replay);
	for (int i = 0; i < 30; i++)
		random_write(&r, st.top);
	expect_model(&r, st.top);
	open_stack(&r, &under, r.log, -1);
	{
		uint8_t *got = malloc(r.size);

		cr_assert_eq(domu_block_pread(under.top, got, r.size, 0), 0);
		cr_assert_arr_eq(got, staged, r.size);
		free(got);
	}
	cr_assert_eq(domu_overlay_promote(st.replay, under.stage), 0);
	expect_model(&r, under.top);
	expect_scan(&r);
	domu_stack_close(&under);
	domu_stack_close(&st);
	free(staged);
	close(replay);
	drop_rig(&r);
}

Test(layers, refresh_sees_appends_of_others_and_cuts)
{
	struct domu_stack a, b;
	struct rig r;
	uint8_t *marked;

	setup_rig(&r, 1 << 20, test_seed());
	open_stack(&r, &a, r.log, -1);
	open_stack(&r, &b, r.log, -1);
	for (int i = 0; i < 50; i++) {
		off_t mark;

		/* A write without a refresh must not lose what the other appended. */
		random_write(&r, i % 2 ? a.top : b.top);
		random_write(&r, i % 2 ? b.top : a.top);
		cr_assert_eq(domu_stack_refresh(&a), 0);
		expect_model(&r, a.top);

		mark = lseek(r.log, 0, SEEK_END);
		marked = malloc(r.size);
		memcpy(marked, r.model, r.size);
		random_write(&r, a.top);
		random_write(&r, a.top);
		cr_assert_eq(domu_stack_refresh(&b), 0);
		cr_assert_eq(ftruncate(r.log, mark), 0);
		memcpy(r.model, marked, r.size);
		free(marked);
		cr_assert_eq(domu_stack_refresh(&a), 0);
		expect_model(&r, a.top);
		/* b refreshes when the log is longer again, or just as long. */
		random_write(&r, a.top);
		random_write(&r, a.top);
		cr_assert_eq(domu_stack_refresh(&b), 0);
		expect_model(&r, b.top);
	}
	expect_scan(&r);
	domu_stack_close(&a);
	domu_stack_close(&b);
	drop_rig(&r);
}

Test(layers, cut_and_rewritten_to_the_same_length_is_seen)
{
	struct domu_stack a, b;
	struct rig r;
	uint8_t one[DOMU_UNIT], two[DOMU_UNIT], got[DOMU_UNIT];

	setup_rig(&r, 1 << 20, 1);
	memset(one, 1, sizeof one);
	memset(two, 2, sizeof two);
	open_stack(&r, &a, r.log, -1);
	open_stack(&r, &b, r.log, -1);
	cr_assert_eq(domu_block_pwrite(a.top, one, sizeof one, 0), 0);
	cr_assert_eq(domu_stack_refresh(&b), 0);
	cr_assert_eq(ftruncate(r.log, DOMU_LOG_HEAD), 0);
	cr_assert_eq(domu_stack_refresh(&a), 0);
	cr_assert_eq(domu_block_pwrite(a.top, two, sizeof two, 8192), 0);
	cr_assert_eq(domu_stack_refresh(&b), 0);
	cr_assert_eq(domu_block_pread(b.top, got, sizeof got, 8192), 0);
	cr_assert_arr_eq(got, two, sizeof two);
	cr_assert_eq(domu_block_pread(b.top, got, sizeof got, 0), 0);
	cr_assert_arr_eq(got, r.disk, sizeof got);
	domu_stack_close(&a);
	domu_stack_close(&b);
	drop_rig(&r);
}

Test(layers, disks_share_a_log)
{
	struct rig r;
	struct domu_block *raw, *d[3];
	uint8_t buf[DOMU_UNIT], got[DOMU_UNIT];
	struct domu_log_entry *e;
	size_t n;

	setup_rig(&r, 1 << 20, 7);
	cr_assert_eq(domu_raw_open(&r.ctx, r.base, "xvda", 0, 512, &raw), 0);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(domu_overlay_open(&r.ctx, raw, r.log, i, false, &d[i]), 0);
	for (unsigned k = 0; k < 20; k++) {
		for (unsigned i = 0; i < 3; i++) {
			memset(buf, (int)(1 + k + 100 * i), sizeof buf);
			cr_assert_eq(domu_block_pwrite(d[i], buf, sizeof buf, k * DOMU_UNIT), 0);
		}
	}
	for (unsigned k = 0; k < 20; k++) {
		for (unsigned i = 0; i < 3; i++) {
			memset(buf, (int)(1 + k + 100 * i), sizeof buf);
			cr_assert_eq(domu_block_pread(d[i], got, sizeof got, k * DOMU_UNIT), 0);
			cr_assert_arr_eq(buf, got, sizeof got);
		}
	}
	cr_assert_eq(domu_log_scan(&r.ctx, r.log, &e, &n, NULL), 0);
	cr_assert_eq(n, 60);
	cr_assert(e[0].disk == 0 && e[59].disk == 2 && e[59].unit == 19);
	free(e);
	for (unsigned i = 0; i < 3; i++)
		domu_block_close(d[i]);
	domu_block_close(raw);
	drop_rig(&r);
}

Test(layers, unchanged_writes_and_zeros_cost_nothing_and_little)
{
	struct domu_stack st;
	struct domu_overlay_stats stats;
	struct rig r;
	off_t before;

	setup_rig(&r, 1 << 20, 9);
	memset(r.disk, 3, DOMU_UNIT);
	cr_assert_eq(pwrite(r.base, r.disk, DOMU_UNIT, 0), DOMU_UNIT);
	open_stack(&r, &st, r.log, -1);
	cr_assert_eq(domu_block_pwrite(st.top, r.disk, r.size, 0), 0);
	domu_overlay_stats(st.top, &stats);
	cr_assert_eq(stats.blocks, 0);
	before = lseek(r.log, 0, SEEK_END);
	memset(r.model, 0, DOMU_UNIT);
	cr_assert_eq(domu_block_pwrite(st.top, r.model, DOMU_UNIT, 0), 0);
	cr_assert_eq(lseek(r.log, 0, SEEK_END) - before, DOMU_LOG_REC);
	domu_overlay_stats(st.top, &stats);
	cr_assert_eq(stats.blocks, 1);
	cr_assert_eq(stats.records, 1);
	domu_stack_close(&st);
	drop_rig(&r);
}

/* Where the last whole record ends. */
static off_t log_end(struct rig *r)
{
	struct domu_log_entry *e;
	uint64_t end;
	size_t n;

	cr_assert_eq(domu_log_scan(&r->ctx, r->log, &e, &n, &end), 0, "%s", r->ctx.error.message);
	free(e);
	return (off_t)end;
}

Test(layers, torn_tails_are_ignored_and_written_over)
{
	struct rig r;
	unsigned s = test_seed();

	setup_rig(&r, 1 << 20, s);
	for (int i = 0; i < 200; i++) {
		struct domu_stack st;
		off_t whole;
		uint8_t *marked = malloc(r.size);
		unsigned cut;

		open_stack(&r, &st, r.log, -1);
		random_write(&r, st.top);
		whole = log_end(&r);
		memcpy(marked, r.model, r.size);
		/* One more record, of which only a part gets there. */
		memset(r.model, i + 1, DOMU_UNIT);
		cr_assert_eq(domu_block_pwrite(st.top, r.model, DOMU_UNIT, 0), 0);
		cut = (unsigned)rand_r(&r.rng) % (DOMU_LOG_REC + DOMU_UNIT);
		if (log_end(&r) > whole)
			cr_assert_eq(ftruncate(r.log, whole + cut), 0);
		if (i % 3 == 0) {
			cr_assert_eq(ftruncate(r.log, whole), 0);
			cr_assert_eq(ftruncate(r.log, whole + cut * 7), 0);
		}
		memcpy(r.model, marked, r.size);
		free(marked);
		domu_stack_close(&st);
		open_stack(&r, &st, r.log, -1);
		expect_model(&r, st.top);
		/* Zeros first: their record alone would not cover the tail. */
		memset(r.model + 8192, 0, 2 * DOMU_UNIT);
		cr_assert_eq(domu_block_pwrite(st.top, r.model + 8192, 2 * DOMU_UNIT, 8192), 0);
		domu_stack_close(&st);
		open_stack(&r, &st, r.log, -1);
		expect_model(&r, st.top);
		expect_scan(&r);
		domu_stack_close(&st);
	}
	drop_rig(&r);
}

Test(layers, a_flipped_byte_is_found_or_in_a_tail)
{
	struct domu_stack_desc d = { .stage_fd = -1, .replay_fd = -1, .sector_size = 512 };
	struct domu_stack st;
	struct rig r;
	uint8_t *log, *got, *is;
	size_t len;

	setup_rig(&r, 64 << 10, test_seed());
	open_stack(&r, &st, r.log, -1);
	for (int i = 0; i < 8; i++)
		random_write(&r, st.top);
	domu_stack_close(&st);
	len = (size_t)lseek(r.log, 0, SEEK_END);
	log = malloc(len);
	got = malloc(r.size);
	is = calloc(1, r.size + DOMU_UNIT);
	cr_assert_eq(pread(r.log, log, len, 0), (ssize_t)len);
	d.base_fd = r.base;
	d.size = r.size;
	d.stage_fd = r.log;
	for (size_t i = 0; i < len; i += i < 200 ? 1 : 1 + (unsigned)rand_r(&r.rng) % 40) {
		uint8_t bad = log[i] ^ (uint8_t)(1 + (unsigned)rand_r(&r.rng) % 255);
		struct domu_log_entry *e = NULL;
		size_t n = 0;
		int rc;

		cr_assert_eq(pwrite(r.log, &bad, 1, (off_t)i), 1);
		domu_error_clear(&r.ctx);
		rc = domu_stack_open(&r.ctx, &d, "xvda", &st);
		if (rc == 0) {
			/* Data that nothing reads any more may be wrong; what is read may not. */
			rc = domu_block_pread(st.top, got, r.size, 0);
			cr_assert(rc == -EBADMSG || memcmp(got, r.model, r.size) == 0, "byte %zu", i);
			domu_stack_close(&st);
		}
		cr_assert(rc == 0 || rc == -EBADMSG || rc == -EPROTONOSUPPORT);
		rc = domu_log_scan(&r.ctx, r.log, &e, &n, NULL);
		for (size_t k = 0; rc == 0 && k < n; k++)
			rc = domu_log_read(&r.ctx, r.log, &e[k], is);
		cr_assert(rc == 0 || rc == -EBADMSG || rc == -EPROTONOSUPPORT);
		free(e);
		cr_assert_eq(pwrite(r.log, &log[i], 1, (off_t)i), 1);
	}
	/* Garbage of every length in front of which nothing is right. */
	for (size_t k = 0; k < 200; k++) {
		struct domu_log_entry *e = NULL;
		size_t n, cut = (unsigned)rand_r(&r.rng) % len;

		for (size_t i = cut; i < len; i++)
			log[i] = (uint8_t)rand_r(&r.rng);
		cr_assert_eq(pwrite(r.log, log, len, 0), (ssize_t)len);
		if (domu_log_scan(&r.ctx, r.log, &e, &n, NULL) == 0)
			free(e);
	}
	free(log);
	free(got);
	free(is);
	drop_rig(&r);
}

Test(layers, a_log_for_a_bigger_disk_is_refused)
{
	struct domu_stack_desc d = { .stage_fd = -1, .replay_fd = -1, .sector_size = 512 };
	struct domu_stack st;
	struct rig r;

	setup_rig(&r, 1 << 20, 1);
	open_stack(&r, &st, r.log, -1);
	memset(r.model, 9, DOMU_UNIT);
	cr_assert_eq(domu_block_pwrite(st.top, r.model, DOMU_UNIT, r.size - DOMU_UNIT), 0);
	domu_stack_close(&st);
	d.base_fd = r.base;
	d.size = r.size / 2;
	d.stage_fd = r.log;
	cr_assert_eq(domu_stack_open(&r.ctx, &d, "xvda", &st), -EBADMSG);
	cr_assert_not_null(strstr(r.ctx.error.message, "xvda"));
	drop_rig(&r);
}

Test(layers, raw_is_zeros_beyond_its_backing_and_says_when_it_shrank)
{
	struct domu_block *raw;
	struct rig r;
	uint8_t got[8192], zero[4096] = { 0 };
	uint64_t at, run;
	int fd;

	setup_rig(&r, 10240, 5);
	cr_assert_eq(domu_raw_open(&r.ctx, r.base, "xvdb", 1 << 20, 512, &raw), 0);
	cr_assert_eq(domu_block_pread(raw, got, sizeof got, 8192), 0);
	cr_assert_arr_eq(got, r.disk + 8192, 2048);
	cr_assert_arr_eq(got + 2048, zero, sizeof zero);
	cr_assert_eq(domu_block_map(raw, 20480, 100, &fd, &at, &run), -ENODATA);
	cr_assert_eq(run, 100);
	cr_assert_eq(domu_block_map(raw, 10000, 4096, &fd, &at, &run), 0);
	cr_assert_eq(run, 240);
	cr_assert_eq(domu_block_pwrite(raw, got, 1, 0), -EROFS);
	domu_error_clear(&r.ctx);
	cr_assert_eq(domu_block_pread(raw, got, 1, 1 << 20), -ERANGE);
	domu_error_clear(&r.ctx);
	cr_assert_eq(ftruncate(r.base, 4096), 0);
	cr_assert_eq(domu_block_pread(raw, got, 8192, 0), -EIO);
	cr_assert_not_null(strstr(r.ctx.error.message, "xvdb"));
	cr_assert_not_null(strstr(r.ctx.error.message, "4096"));
	domu_block_close(raw);
	drop_rig(&r);
}

Test(layers, a_slice_stays_inside)
{
	struct domu_stack st;
	struct domu_block *slice;
	struct rig r;
	uint8_t got[100];

	setup_rig(&r, 1 << 20, 5);
	open_stack(&r, &st, r.log, -1);
	cr_assert_eq(domu_slice_open(&r.ctx, st.top, "xvda1", 1 << 19, (1 << 19) + 1, &slice), -ERANGE);
	cr_assert_eq(domu_slice_open(&r.ctx, st.top, "xvda1", UINT64_MAX, 2, &slice), -ERANGE);
	cr_assert_eq(domu_slice_open(&r.ctx, st.top, "xvda1", 5000, 10000, &slice), 0);
	cr_assert_eq(domu_block_pread(slice, got, sizeof got, 9900), 0);
	cr_assert_arr_eq(got, r.disk + 14900, sizeof got);
	memset(r.model + 14900, 8, sizeof got);
	cr_assert_eq(domu_block_pwrite(slice, r.model + 14900, sizeof got, 9900), 0);
	cr_assert_eq(domu_block_pwrite(slice, got, sizeof got, 9901), -ERANGE);
	expect_model(&r, st.top);
	domu_block_close(slice);
	domu_stack_close(&st);
	drop_rig(&r);
}
