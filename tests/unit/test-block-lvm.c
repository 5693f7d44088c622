/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-block-lvm.c - LVM metadata that lies: with right checksums, since whoever writes a disk can make those. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/num.h"
#include "block/lvm.h"

#define DISK (16u << 20)
#define AREA 4096u
#define ROOM (1u << 20) /* of the metadata area */
#define ID   "abcdefghijklmnopqrstuvwxyz012345"

TestSuite(lvm, .timeout = 600);

/* A bit at a time, so that it is not the code under test. */
static uint32_t slow_crc(const uint8_t *p, size_t len)
{
	uint32_t c = 0xf597a6cf;

	for (; len > 0; len--) {
		c ^= *p++;
		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
	}
	return c;
}

/* A physical volume with that text, which begins at offset in its area and may go round. */
static void make_pv(uint8_t *d, const char *text, uint64_t offset)
{
	size_t len = strlen(text) + 1;
	uint8_t *label = d + 512, *head = d + AREA;

	memset(d, 0, AREA + 512);
	memcpy(label, "LABELONE", 8);
	domu_put_le64(label + 8, 1);
	domu_put_le32(label + 20, 32);
	memcpy(label + 24, "LVM2 001", 8);
	memcpy(label + 32, ID, 32);
	domu_put_le64(label + 64, DISK);
	domu_put_le64(label + 72, ROOM);
	domu_put_le64(label + 104, AREA);
	domu_put_le64(label + 112, ROOM - AREA);
	domu_put_le32(label + 16, slow_crc(label + 20, 492));
	memcpy(head + 4, " LVM2 x[5A%r0N*>", 16);
	domu_put_le32(head + 20, 1);
	domu_put_le64(head + 24, AREA);
	domu_put_le64(head + 32, ROOM - AREA);
	domu_put_le64(head + 40, offset);
	domu_put_le64(head + 48, len);
	domu_put_le32(head + 56, slow_crc((const uint8_t *)text, len));
	domu_put_le32(head, slow_crc(head + 4, 508));
	for (size_t i = 0; i < len; i++) {
		uint64_t at = offset + i;

		d[AREA + (at < ROOM - AREA ? at : at - (ROOM - AREA) + 512)] = (uint8_t)text[i];
	}
}

static uint32_t sector = 512; /* of the disk */

/* What is read of it. */
static struct domu_nodes read_pv(const char *text, uint64_t offset)
{
	struct domu_nodes nodes = { 0 };
	struct domu_block *b;
	struct domu_node *n = domu_nodes_add(&nodes);
	int fd = memfd_create("pv", 0);
	uint8_t *d;

	cr_assert(fd >= 0 && ftruncate(fd, DISK) == 0);
	d = mmap(NULL, DISK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	make_pv(d, text, offset);
	cr_assert_eq(domu_raw_open(NULL, fd, "xvda", 0, sector, &b), 0);
	snprintf(n->name, sizeof n->name, "xvda");
	n->size = DISK;
	cr_assert_eq(domu_lvm_read(NULL, &b, 1, &nodes), 0);
	domu_block_close(b);
	munmap(d, DISK);
	close(fd);
	return nodes;
}

#define PV                                                                                                         \
	"vg { id = \"g\" seqno = 3 extent_size = 2048 physical_volumes { pv0 { id = \"abcdef-ghij-klmn-opqr-stuv-" \
	"wxyz-012345\" pe_start = 2048 } } logical_volumes { root { status = [\"READ\", \"WRITE\", \"VISIBLE\"] "
#define SEGMENT(start, count, legs, more)                                                           \
	"start_extent = " start " extent_count = " count " type = \"striped\" stripe_count = " legs \
	" stripes = [ " more " ] } "
#define ONE(segment) PV "segment_count = 1 segment1 { " segment "} } } # end"

#define TWO(a, b) PV "segment_count = 2 segment1 { " a "segment2 { " b "} } }"

Test(lvm, linear)
{
	struct domu_nodes n = read_pv(ONE(SEGMENT("0", "4", "1", "\"pv0\", 3")), 512);

	cr_assert_eq(n.n, 2);
	cr_assert_eq(n.n_problems, 0);
	cr_assert_str_eq(n.v[1].name, "vg/root");
	cr_assert_eq(n.v[1].start, 4u << 20);
	cr_assert_eq(n.v[1].size, 4u << 20);
	cr_assert_not(n.v[1].scattered);
	domu_nodes_free(&n);
}

Test(lvm, text_that_goes_round_its_area)
{
	struct domu_nodes n = read_pv(ONE(SEGMENT("0", "4", "1", "\"pv0\", 3")), ROOM - AREA - 40);

	cr_assert_eq(n.n, 2);
	domu_nodes_free(&n);
}

Test(lvm, two_pieces_that_touch_are_one)
{
	struct domu_nodes n =
	    read_pv(PV "segment_count = 2 segment1 { " SEGMENT("0", "2", "1", "\"pv0\", 3") "segment2 { " SEGMENT(
	                "2", "2", "1", "\"pv0\", 5") "} } }",
	            512);

	cr_assert_eq(n.n, 2);
	cr_assert_not(n.v[1].scattered);
	cr_assert_eq(n.v[1].size, 4u << 20);
	domu_nodes_free(&n);
}

/* Each is a problem and no volume. */
Test(lvm, lies)
{
	static const char *const texts[] = {
		ONE(SEGMENT("0", "40", "1", "\"pv0\", 3")), /* beyond the end */
		ONE(SEGMENT("0", "18446744073709551615", "1", "\"pv0\", 3")),
		ONE(SEGMENT("0", "1", "1", "\"pv0\", 18446744073709551615")),
		ONE(SEGMENT("0", "99999999999999999999999", "1", "\"pv0\", 3")),
		ONE(SEGMENT("0", "0", "1", "\"pv0\", 3")),
		ONE(SEGMENT("1", "2", "1", "\"pv0\", 3")), /* a gap */
		ONE(SEGMENT("0", "2", "1", "")),
		ONE(SEGMENT("0", "2", "1", "\"pv0\"")),
		ONE(SEGMENT("0", "2", "1", "3, \"pv0\"")),
		ONE(SEGMENT("0", "2", "1", "\"pv0\", 3, \"pv0\", 5")),
		ONE(SEGMENT("0", "2", "2", "\"pv0\", 3")),
		ONE(SEGMENT("0", "2", "1000000", "\"pv0\", 3")),
		ONE(SEGMENT("0", "2", "2", "\"pv0\", 3, \"pv0\", 5")), /* no stripe_size */
		ONE("stripe_size = 0 " SEGMENT("0", "2", "2", "\"pv0\", 3, \"pv0\", 5")),
		ONE("stripe_size = 3 " SEGMENT("0", "2", "2", "\"pv0\", 3, \"pv0\", 5")),
		ONE("stripe_size = 36028797018963968 " SEGMENT("0", "2", "2", "\"pv0\", 3, \"pv0\", 5")),
		ONE(SEGMENT("0", "2", "1", "\"pv9\", 3")),
		PV "segment_count = 2 segment1 { " SEGMENT("0", "2", "1", "\"pv0\", 3") "} } }",
		PV "segment_count = 99999999 } } }",
		/* Pieces in one place, or one into another; in the order of the disk or not. */
		ONE("stripe_size = 128 " SEGMENT("0", "2", "2", "\"pv0\", 3, \"pv0\", 3")),
		TWO(SEGMENT("0", "2", "1", "\"pv0\", 3"), SEGMENT("2", "2", "1", "\"pv0\", 4")),
		TWO(SEGMENT("0", "2", "1", "\"pv0\", 4"), SEGMENT("2", "2", "1", "\"pv0\", 3")),
		TWO(SEGMENT("0", "2", "1", "\"pv0\", 4"), SEGMENT("2", "2", "1", "\"pv0\", 4")),
		/* One goes beyond the end of the PV, in the middle; the second comes first. */
		TWO(SEGMENT("0", "2", "1", "\"pv0\", 14"), SEGMENT("2", "2", "1", "\"pv0\", 3")),
		TWO(SEGMENT("2", "2", "1", "\"pv0\", 3"), SEGMENT("0", "2", "1", "\"pv0\", 7")),
		TWO(SEGMENT("0", "2", "1", "\"pv0\", 3"), SEGMENT("3", "2", "1", "\"pv0\", 7")),
		TWO(SEGMENT("0", "2", "1", "\"pv0\", 3"), SEGMENT("1", "2", "1", "\"pv0\", 7")),
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct domu_nodes n = read_pv(texts[i], 512);

		cr_expect_eq(n.n, 1, "text %zu", i);
		cr_expect_eq(n.n_problems, 1, "text %zu", i);
		/* The text itself was read. */
		cr_expect_eq(n.n_refused, 1, "text %zu", i);
		domu_nodes_free(&n);
	}
}

Test(lvm, other_types_are_named)
{
	struct domu_nodes n = read_pv(PV "segment_count = 1 segment1 { type = \"thin\" } } } }", 512);

	cr_assert_eq(n.n, 1);
	cr_assert_eq(n.n_problems, 1);
	cr_assert_str_eq(n.problems[0], "vg/root cannot be opened: a volume of type thin");
	domu_nodes_free(&n);
}

static void expect_refused(const char *text, const char *why, bool damaged)
{
	struct domu_nodes n = read_pv(text, 512);

	cr_expect_eq(n.n, 1, "%s", why);
	cr_assert_eq(n.n_refused, 1, "%s", why);
	cr_expect_str_eq(n.refused[0].name, "vg/root");
	cr_expect(strstr(n.refused[0].why, why) != NULL, "%s", n.refused[0].why);
	cr_expect_eq(n.refused[0].kind == DOMU_REFUSED_DAMAGED, damaged, "%s", why);
	domu_nodes_free(&n);
}

Test(lvm, why_it_is_refused_is_kept)
{
	/* A name of its own among the volumes: pvmove's mirror is one. */
	expect_refused(ONE(SEGMENT("0", "2", "1", "\"root\", 0")), "pvmove", false);
	expect_refused("vg { id = \"g\" extent_size = 2048 physical_volumes { pv0 { id = \"" ID
	               "\" flags = [\"MISSING\"] "
	               "pe_start = 2048 } } logical_volumes { root { status = [\"VISIBLE\"] segment_count = 1 segment1 "
	               "{ " SEGMENT("0", "4", "1", "\"pv0\", 3") "} } }",
	               "missing", false);
	expect_refused(PV "segment_count = 1 segment1 { type = \"raid1\" } } } }", "type raid1", false);
	expect_refused(ONE(SEGMENT("1", "2", "1", "\"pv0\", 3")), "damaged", true);
	expect_refused(TWO(SEGMENT("0", "2", "1", "\"pv0\", 3"), SEGMENT("2", "2", "1", "\"pv0\", 4")), "in one place",
	               false);
}

/* Extents of 512 bytes on a disk with sectors of 4096. */
Test(lvm, pieces_are_whole_sectors)
{
	sector = 4096;
	expect_refused("vg { id = \"g\" extent_size = 1 physical_volumes { pv0 { id = \"" ID "\" pe_start = 2048 } } "
	               "logical_volumes { root { status = [\"VISIBLE\", \"WRITE\"] segment_count = 2 segment1 "
	               "{ " SEGMENT("0", "9", "1", "\"pv0\", 0") "segment2 { " SEGMENT("9", "8", "1",
	                                                                               "\"pv0\", 16") "} } }",
	               "midst of a sector", false);
}

Test(lvm, texts_that_are_none)
{
	static const char *const texts[] = {
		"vg {",
		"vg { a = ",
		"vg { a = [",
		"vg { a = [ 1",
		"vg { a = \"x",
		"vg { a = \"x\\",
		"}",
		"vg }",
		"a = 1 }",
		"= 1",
		"a { b { c { d { e { f { g { h { i { j { k { } } } } } } } } } } }",
		"a [ 1 ]",
		"a = { }",
		"a = [ [ 1 ] ]",
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct domu_nodes n = read_pv(texts[i], 512);

		cr_expect_eq(n.n, 1, "text %zu", i);
		cr_expect_eq(n.n_problems, 1, "text %zu", i);
		domu_nodes_free(&n);
	}
}

/* What a snapshot rests on can only be read, and not even that while one is merged into it. */
Test(lvm, origins)
{
#define SNAPSHOT(store)                                                                                             \
	ONE(SEGMENT("0", "4", "1",                                                                                  \
	            "\"pv0\", 3") "} s { segment_count = 1 segment1 { type = \"snapshot\" origin = \"root\" " store \
	                          " = \"cow\" } ")
	struct domu_nodes n = read_pv(SNAPSHOT("cow_store"), 512);

	cr_assert_eq(n.n, 2);
	cr_assert_eq(n.v[1].frozen, DOMU_FROZEN_SNAPSHOT);
	cr_assert_not(n.v[1].scattered);
	domu_nodes_free(&n);
	n = read_pv(SNAPSHOT("merging_store"), 512);
	cr_assert_eq(n.n, 1);
	cr_assert_str_eq(n.problems[0], "vg/root cannot be opened: a snapshot is being merged into it");
	domu_nodes_free(&n);
}

#define WITH_OTHER(segment)                                               \
	PV "segment_count = 1 segment1 { " SEGMENT(                       \
	    "0", "4", "1", "\"pv0\", 3") "} other { status = [\"READ\", " \
	                                 "\"WRITE\", \"VISIBLE\"] segment_count = 1 segment1 { " segment "} } }"

/* Both can be read, neither changed. */
Test(lvm, two_volumes_that_have_the_same_extents)
{
	static const char *const texts[] = {
		WITH_OTHER(SEGMENT("0", "4", "1", "\"pv0\", 3")), WITH_OTHER(SEGMENT("0", "1", "1", "\"pv0\", 5")),
		WITH_OTHER(SEGMENT("0", "2", "2", "\"pv0\", 1, \"pv0\", 6 ] stripe_size = 128 x = [ 1")),
		WITH_OTHER(SEGMENT("0", "4", "1", "\"pv0\", 7")), /* next to it */
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct domu_nodes n = read_pv(texts[i], 512);
		bool apart = i == 3;

		for (size_t k = 0; k < n.n_problems; k++)
			fprintf(stderr, "%zu: %s\n", i, n.problems[k]);
		cr_assert_eq(n.n, 3, "text %zu", i);
		for (size_t k = 1; k < 3; k++)
			cr_expect_eq(n.v[k].frozen, apart ? DOMU_NOT_FROZEN : DOMU_FROZEN_OVERLAP, "text %zu", i);
		cr_assert_eq(n.n_problems, !apart, "text %zu", i);
		if (i == 1) {
			cr_expect_str_eq(n.problems[0],
			                 "vg/root and vg/other overlap: bytes 6291456 to 7340031 of xvda "
			                 "are in both, so that neither can be changed");
			cr_expect_not_null(
			    strstr(n.v[1].overlap, "bytes 6291456 to 7340031 of xvda are in vg/other too, "));
		}
		domu_nodes_free(&n);
	}
}

/* As many segments and PVs as a text can have are read in a moment. */
Test(lvm, many_segments, .timeout = 600)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	cr_assert_not_null(f);
	fputs("vg { id = \"g\" extent_size = 1 physical_volumes { ", f);
	for (int i = 0; i < 1000; i++)
		fprintf(f, "pv%d { id = \"x\" } ", i);
	fputs("p { id = \"" ID "\" pe_start = 2048 } } logical_volumes { root { status = [\"VISIBLE\", \"WRITE\"] ", f);
	fputs("segment_count = 9000 ", f);
	for (int i = 0; i < 9000; i++)
		fprintf(f,
		        "segment%d { start_extent = %d extent_count = 1 type = \"striped\" stripe_count = 1 "
		        "stripes = [ \"p\", %d ] } ",
		        i + 1, i, i * 3);
	fputs("} } }", f);
	fclose(f);
	for (int i = 0; i < 20; i++) {
		struct domu_nodes n = read_pv(text, 512);

		cr_assert_eq(n.n, 2);
		cr_assert_eq(n.v[1].map->n_pieces, 9000);
		cr_assert_eq(n.v[1].frozen, DOMU_FROZEN_PIECES);
		domu_nodes_free(&n);
	}
	free(text);
}

Test(lvm, a_million_members)
{
	size_t len = 900000;
	char *text = malloc(len + 1);
	struct domu_nodes n;

	for (size_t i = 0; i < len; i++)
		text[i] = "a=1 "[i % 4];
	text[len] = '\0';
	n = read_pv(text, 512);
	cr_assert_eq(n.n_problems, 1);
	domu_nodes_free(&n);
	free(text);
}

/* What the front is not told of has no door, so nobody may write to it: of 20 volumes on 1000 legs each the last 4. */
Test(lvm, many_volumes_on_many_legs, .timeout = 600)
{
	struct domu_nodes n;
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	cr_assert_not_null(f);
	fputs("vg { id = \"g\" extent_size = 1 physical_volumes { p { id = \"" ID
	      "\" pe_start = 2048 } } logical_volumes { ",
	      f);
	for (int v = 0; v < 20; v++) {
		fprintf(f, "v%d { status = [\"VISIBLE\", \"WRITE\"] segment_count = 10 ", v);
		for (int i = 0; i < 10; i++) {
			fprintf(f,
			        "segment%d { start_extent = %d extent_count = 100 type = \"striped\" "
			        "stripe_size = 1 stripe_count = 100 stripes = [ ",
			        i + 1, i * 100);
			for (int k = 0; k < 100; k++)
				fprintf(f, "%s\"p\", %d", k > 0 ? ", " : "", v * 1000 + i * 100 + k);
			fputs("] } ", f);
		}
		fputs("} ", f);
	}
	fputs("} }", f);
	fclose(f);
	n = read_pv(text, 512);
	cr_assert_eq(n.n, 21);
	for (size_t i = 1; i < n.n; i++)
		cr_expect_eq(n.v[i].frozen, i <= 16 ? DOMU_NOT_FROZEN : DOMU_FROZEN_PIECES, "volume %zu", i);
	domu_nodes_free(&n);
	free(text);
}

/* Whatever comes out lies inside the disk. */
Test(lvm, mutants)
{
	static const char good[] = PV "segment_count = 2 segment1 { stripe_size = 128 " SEGMENT(
	    "0", "4", "2", "\"pv0\", 3, \"pv0\", 6") "segment2 { " SEGMENT("4", "2", "1", "\"pv0\", 9") "} } }";
	unsigned seed = 1;

	for (int i = 0; i < 3000; i++) {
		char text[sizeof good];
		struct domu_nodes n;

		memcpy(text, good, sizeof good);
		for (unsigned k = 0; k <= (unsigned)i % 3; k++)
			text[(size_t)rand_r(&seed) % (sizeof good - 1)] =
			    "0123456789\"[]{}=# ax"[(size_t)rand_r(&seed) % 20];
		n = read_pv(text, 512);
		for (size_t v = 1; v < n.n; v++) {
			const struct domu_lv_map *m = n.v[v].map;

			const uint64_t size = DISK;

			if (m == NULL)
				cr_assert(domu_inside(n.v[v].start, n.v[v].size, DISK), "mutant %d", i);
			else
				cr_assert(domu_lv_check(m, &size, 1) == 0 && domu_lv_size(m) == n.v[v].size,
				          "mutant %d", i);
		}
		domu_nodes_free(&n);
	}
}
