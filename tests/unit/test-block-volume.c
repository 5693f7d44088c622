/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-block-volume.c - volumes of several pieces: as text, where bytes are, and what is written to them. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/block.h"

TestSuite(volume, .timeout = 600);

/* Two pieces, then four stripes of two sectors on three disks, then one more: 8 + 4 + 16 + 4 sectors. */
#define MIXED "8@0:10;4@1:0;16/2@0:30,2:8,1:20,2:40;4@2:0"

static struct domu_lv_map *parsed(const char *text)
{
	struct domu_lv_map *m;

	cr_assert_eq(domu_lv_parse(text, &m), 0, "%s", text);
	return m;
}

Test(volume, comes_back_as_it_was)
{
	static const char *const texts[] = { "1@0:0", "18014398509481983@15:0", MIXED };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct domu_lv_map *m = parsed(texts[i]);
		char *text = domu_lv_format(m);

		cr_assert_str_eq(text, texts[i]);
		free(text);
		domu_lv_map_free(m);
	}
}

Test(volume, that_is_none)
{
	static const char *const texts[] = {
		"",
		"8",
		"8@",
		"8@0",
		"8@0:",
		"@0:0",
		"0@0:0",
		"8@16:0",
		"8@-1:0",
		"8@0:-1",
		" 8@0:0",
		"8@0:0 ",
		"8@0:0;",
		";8@0:0",
		"8@0:0,",
		"8@0:0,1:0", /* stripes of no size */
		"8/2@0:0", /* and one that has no other beside it */
		"8/0@0:0,1:0",
		"8/3@0:0,1:0",
		"6/2@0:0,1:0",
		"8/@0:0,1:0",
		"18014398509481984@0:0",
		"99999999999999999999999@0:0",
		"8@0:99999999999999999999999",
		"18014398509481983@0:0;18014398509481983@1:0",
		"8x@0:0",
		"0x8@0:0",
		"8@0:0:0",
		/* 2^52 sectors times 4 legs are no bytes. */
		"9007199254740992/4503599627370496@0:0,1:0,2:0,3:0",
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct domu_lv_map *m;

		cr_expect_eq(domu_lv_parse(texts[i], &m), -EINVAL, "%s", texts[i]);
		cr_expect_null(m);
	}
}

/* Of pieces, of legs of one piece. */
Test(volume, of_too_many_pieces)
{
	static const char *const parts[] = { "8@0:0;", "2048/2@0:0" };

	for (int kind = 0; kind < 2; kind++)
		for (unsigned n = DOMU_MAX_LEGS; n <= DOMU_MAX_LEGS + 1; n++) {
			struct domu_lv_map *m;
			char *text;
			size_t len;
			FILE *f = open_memstream(&text, &len);

			cr_assert_not_null(f);
			for (unsigned i = 0; i < n; i++)
				fputs(kind == 0 ? parts[0] : i == 0 ? parts[1] : ",0:0", f);
			fclose(f);
			if (kind == 0)
				text[len - 1] = '\0';
			cr_expect_eq(domu_lv_parse(text, &m) == 0, n == DOMU_MAX_LEGS, "%d %u", kind, n);
			domu_lv_map_free(m);
			free(text);
		}
}

Test(volume, lies_in_its_disks_and_not_on_itself)
{
	const struct {
		const char *text;
		int rc;
	} cases[] = {
		{ "8@0:0;8@0:8", 0 },
		{ "8@0:8;8@0:0", 0 },
		{ "8@0:8;8@1:8", 0 },
		{ "8@0:8;8@0:9", -EEXIST },
		{ "8@0:9;8@0:2", -EEXIST },
		{ "8@0:8;8@0:8", -EEXIST },
		{ "8/2@0:8,0:8", -EEXIST },
		{ "8/2@0:8,0:12", 0 },
		{ "8/2@0:8,0:11", -EEXIST },
		{ "8@0:93", -ERANGE },
		{ "8@0:92", 0 },
		{ "8@2:0", -ERANGE },
		{ "8@0:0;8@0:93", -ERANGE },
		{ "8/2@0:8,0:97", -ERANGE },
		{ "8@1:18014398509481983", -ERANGE },
	};
	const uint64_t sizes[] = { 100 * 512, 100 * 512 };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct domu_lv_map *m = parsed(cases[i].text);

		cr_expect_eq(domu_lv_check(m, sizes, 2), cases[i].rc, "%s", cases[i].text);
		domu_lv_map_free(m);
	}
}

/* ---- bytes ------------------------------------------------------------------------- */

#define SECTORS 64u /* of each disk */
#define DISKS   3u

struct rig {
	struct domu_ctx ctx;
	struct domu_stack_desc desc[DISKS];
	struct domu_volume volume;
	struct domu_stack_desc top;
	struct domu_lv_map *map;
	int log;
};

/* Each sector of each disk begins with what it is. */
static void setup(struct rig *r, const char *text)
{
	memset(r, 0, sizeof *r);
	domu_ctx_init(&r->ctx);
	r->log = memfd_create("log", 0);
	cr_assert_eq(domu_log_init(&r->ctx, r->log), 0);
	r->map = parsed(text);
	r->volume.map = r->map;
	for (unsigned i = 0; i < DOMU_MAX_DISKS; i++)
		r->volume.disks[i].base_fd = -1;
	for (unsigned i = 0; i < DISKS; i++) {
		char sector[512] = { 0 };
		int fd = memfd_create("disk", 0);

		for (unsigned k = 0; k < SECTORS; k++) {
			snprintf(sector, sizeof sector, "disk %u sector %u", i, k);
			cr_assert_eq(pwrite(fd, sector, sizeof sector, k * 512), sizeof sector);
		}
		r->volume.disks[i] = (struct domu_stack_desc){
			.base_fd = fd, .sector_size = 512, .disk = i, .stage_fd = r->log, .replay_fd = -1
		};
	}
	r->top = r->volume.disks[0];
	r->top.volume = &r->volume;
}

static void drop(struct rig *r)
{
	for (unsigned i = 0; i < DISKS; i++)
		close(r->volume.disks[i].base_fd);
	close(r->log);
	domu_lv_map_free(r->map);
	domu_ctx_free(&r->ctx);
}

/* Where the kernel's dm-linear and dm-stripe have each sector of MIXED: written out by hand. */
static const struct {
	unsigned disk, sector;
} mixed[] = {
	{ 0, 10 }, { 0, 11 }, { 0, 12 }, { 0, 13 }, { 0, 14 }, { 0, 15 }, { 0, 16 }, { 0, 17 }, /* linear */
	{ 1, 0 },  { 1, 1 },  { 1, 2 },  { 1, 3 }, /* linear */
	{ 0, 30 }, { 0, 31 }, { 2, 8 },  { 2, 9 },  { 1, 20 }, { 1, 21 }, { 2, 40 }, { 2, 41 }, /* a row of stripes */
	{ 0, 32 }, { 0, 33 }, { 2, 10 }, { 2, 11 }, { 1, 22 }, { 1, 23 }, { 2, 42 }, { 2, 43 }, /* and the next */
	{ 2, 0 },  { 2, 1 },  { 2, 2 },  { 2, 3 }, /* linear */
};
#define LEN (sizeof mixed / sizeof *mixed)

Test(volume, is_read_where_its_pieces_are)
{
	struct domu_stack s;
	char want[512] = { 0 }, got[LEN][512];
	struct rig r;

	setup(&r, MIXED);
	cr_assert_eq(domu_stack_open(&r.ctx, &r.top, "vg/lv", &s), 0, "%s", r.ctx.error.message);
	cr_assert_eq(s.top->size, LEN * 512);
	cr_assert_eq(domu_block_pread(s.top, got, sizeof got, 0), 0);
	for (size_t i = 0; i < LEN; i++) {
		const struct domu_place p = { .size = LEN * 512, .map = r.map };
		uint64_t at;
		unsigned disk;

		snprintf(want, sizeof want, "disk %u sector %u", mixed[i].disk, mixed[i].sector);
		cr_expect_str_eq(got[i], want, "sector %zu: %s", i, got[i]);
		cr_assert(domu_place_find(&p, i * 512, 512, &disk, &at));
		cr_expect(disk == mixed[i].disk && at == mixed[i].sector * 512u, "sector %zu", i);
	}
	domu_stack_close(&s);
	drop(&r);
}

/* Random writes, seen through another stack on the same log, and against a plain copy in memory. */
Test(volume, is_written_where_it_is_read)
{
	static uint8_t copy[LEN * 512], got[LEN * 512], before[SECTORS * 512], after[SECTORS * 512];
	struct domu_stack s, other;
	unsigned seed = 7;
	struct rig r;

	setup(&r, MIXED);
	cr_assert_eq(domu_stack_open(&r.ctx, &r.top, "vg/lv", &s), 0);
	cr_assert_eq(domu_stack_open(&r.ctx, &r.top, "vg/lv", &other), 0);
	cr_assert_eq(domu_block_pread(s.top, copy, sizeof copy, 0), 0);
	cr_assert_eq(pread(r.volume.disks[2].base_fd, before, sizeof before, 0), sizeof before);
	for (int i = 0; i < 300; i++) {
		uint64_t at = (uint64_t)rand_r(&seed) % sizeof copy;
		size_t len = (size_t)rand_r(&seed) % (sizeof copy - at) % (i % 3 == 0 ? 5000 : 700) + 1;

		for (size_t k = 0; k < len; k++)
			copy[at + k] = (uint8_t)rand_r(&seed);
		cr_assert_eq(domu_block_pwrite(s.top, copy + at, len, at), 0);
	}
	cr_assert_eq(domu_block_flush(s.top), 0);
	cr_assert_eq(domu_block_pread(s.top, got, sizeof got, 0), 0);
	cr_assert_eq(memcmp(got, copy, sizeof got), 0);
	cr_assert_eq(domu_stack_refresh(&other), 0);
	cr_assert_eq(domu_block_pread(other.top, got, sizeof got, 0), 0);
	cr_assert_eq(memcmp(got, copy, sizeof got), 0);
	/* The disk itself is as it was, and beside the pieces the stage is, too. */
	cr_assert_eq(pread(r.volume.disks[2].base_fd, after, sizeof after, 0), sizeof after);
	cr_assert_eq(memcmp(before, after, sizeof before), 0);
	cr_assert_eq(domu_block_pread(s.tops[2], after, sizeof after, 0), 0);
	cr_assert_eq(memcmp(before + 4 * 512, after + 4 * 512, 4 * 512), 0);
	cr_assert_eq(memcmp(before + 12 * 512, after + 12 * 512, 28 * 512), 0);
	cr_assert_eq(memcmp(before + 44 * 512, after + 44 * 512, 20 * 512), 0);
	domu_stack_close(&other);
	domu_stack_close(&s);
	drop(&r);
}

/* Who is given a description opens nothing beyond the disks, nor disks that were not handed over. */
Test(volume, that_does_not_fit_is_not_opened)
{
	static const char *const texts[] = { "8@0:60", "8@3:0", "8@0:0;8@0:7" };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct domu_stack s;
		struct rig r;

		setup(&r, texts[i]);
		cr_expect_eq(domu_stack_open(&r.ctx, &r.top, "vg/lv", &s), -ERANGE, "%s", texts[i]);
		drop(&r);
	}
}

/* A door's sector that is in two places is none. */
Test(volume, a_sector_across_pieces_is_nowhere)
{
	struct domu_lv_map *m = parsed(MIXED);
	const struct domu_place p = { .size = LEN * 512, .map = m };
	uint64_t at;
	unsigned disk;

	cr_assert(domu_place_find(&p, 0, 4096, &disk, &at));
	cr_assert_not(domu_place_find(&p, 512, 4096, &disk, &at));
	cr_assert(domu_place_find(&p, 12 * 512, 1024, &disk, &at));
	cr_assert_not(domu_place_find(&p, 12 * 512, 1025, &disk, &at));
	cr_assert_not(domu_place_find(&p, LEN * 512, 512, &disk, &at));
	cr_assert_not(domu_place_find(&p, UINT64_MAX - 511, 512, &disk, &at));
	domu_lv_map_free(m);
}

Test(volume, begins_as_it_was_when_it_was_extended)
{
	static const struct {
		const char *now;
		bool begins;
	} tries[] = {
		{ MIXED, true },
		{ MIXED ";9@1:100", true },
		{ "8@0:10;4@1:0;16/2@0:30,2:8,1:20,2:40;6@2:0", true },
		{ "8@0:10;4@1:0;16/2@0:30,2:8,1:20,2:40;3@2:0", false }, /* shorter */
		{ "8@0:10;4@1:0;16/2@0:30,2:8,1:20,2:40", false },
		{ "8@0:10;5@1:0;16/2@0:30,2:8,1:20,2:40;4@2:0", false },
		{ "8@0:10;4@1:0;16/2@0:30,2:8,1:20,2:41;4@2:0", false },
		{ "8@0:10;4@1:0;16/2@0:30,1:8,2:20,2:40;4@2:0", false },
		{ "8@0:10;4@1:0;16/1@0:30,2:8,1:20,2:40;4@2:0", false },
	};
	static const unsigned same[] = { 0, 1, 2 }, other[] = { 1, 0, 2 };
	struct domu_lv_map *then = parsed(MIXED), *swapped = parsed("8@1:10;4@0:0;16/2@1:30,2:8,0:20,2:40;4@2:0");

	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
		struct domu_lv_map *now = parsed(tries[i].now);

		cr_expect_eq(domu_lv_begins(now, then, same), tries[i].begins, "%s", tries[i].now);
		domu_lv_map_free(now);
	}
	cr_expect(domu_lv_begins(swapped, then, other));
	cr_expect_not(domu_lv_begins(swapped, then, same));
	domu_lv_map_free(swapped);
	domu_lv_map_free(then);
}
