/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-block-table.c - tables that sfdisk and sgdisk made, damaged ones, and filesystems that look like them. */
#include "config.h"

#include <libfdisk/libfdisk.h>

#include "block-disk.h"
#include "seed.h"

TestSuite(table, .init = start, .fini = stop, .timeout = 600);

Test(table, gpt)
{
	struct domu_nodes n;

	cr_assert_eq(sh("truncate -s 100M disk; printf 'label: gpt\\nlabel-id: 11111111-2222-3333-4444-555555555555\\n"
	                "start=2048,size=20480,name=\"b\\303\\266ot\",uuid=AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE\\n"
	                "start=40960,size=2048,type=swap\\n' | sfdisk disk"),
	             0);
	read_disk(&n, "xvda", 512);
	print_problems(&n);
	cr_assert_eq(n.n, 3);
	cr_assert_eq(n.n_problems, 0);
	expect(&n, 0, "xvda", 0, 100 * MIB);
	cr_assert_eq(n.v[0].kind, DOMU_NODE_DISK);
	cr_assert_str_eq(n.v[0].probe.type, "gpt");
	expect(&n, 1, "xvda1", MIB, 10 * MIB);
	expect(&n, 2, "xvda2", 20 * MIB, MIB);
	cr_assert_str_eq(n.v[1].partuuid, "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");
	cr_assert_str_eq(n.v[1].parttype, "0fc63daf-8483-4772-8e79-3d69d8477de4");
	cr_assert_str_eq(n.v[1].partlabel, "b\303\266ot");
	cr_assert_eq(n.v[1].parent, 0);
	cr_assert_eq(n.v[2].partno, 2);
	domu_nodes_free(&n);
}

Test(table, mbr_with_logical_partitions)
{
	struct domu_nodes n;

	cr_assert_eq(
	    sh("truncate -s 200M disk; printf 'label: dos\\nlabel-id: 0x12345678\\n"
	       "start=2048,size=20480,type=83,bootable\\nstart=40960,size=200000,type=5\\n"
	       "start=43008,size=20480,type=83\\nstart=65536,size=20480,type=82\\nstart=102400,size=4096,type=8e\\n'"
	       " | sfdisk disk"),
	    0);
	read_disk(&n, "sda", 512);
	print_problems(&n);
	cr_assert_eq(n.n, 6);
	cr_assert_eq(n.n_problems, 0);
	cr_assert_str_eq(n.v[0].probe.type, "dos");
	expect(&n, 1, "sda1", MIB, 10 * MIB);
	expect(&n, 2, "sda2", 20 * MIB, 200000 * 512);
	cr_assert(n.v[2].extended && !n.v[1].extended && !n.v[3].extended);
	expect(&n, 3, "sda5", 21 * MIB, 10 * MIB);
	expect(&n, 4, "sda6", 32 * MIB, 10 * MIB);
	expect(&n, 5, "sda7", 50 * MIB, 2 * MIB);
	cr_assert_str_eq(n.v[1].partuuid, "12345678-01");
	cr_assert_str_eq(n.v[5].partuuid, "12345678-07");
	cr_assert_str_eq(n.v[4].parttype, "0x82");
	cr_assert_eq(n.v[5].partno, 7);
	domu_nodes_free(&n);
}

/* sfdisk of util-linux 2.38 cannot make these: the library that it is made of can. */
static void make_4k(const char *label)
{
	struct fdisk_context *cxt = fdisk_new_context();
	struct fdisk_partition *pa = fdisk_new_partition();
	size_t no;

	cr_assert_eq(sh("truncate -s 100M disk"), 0);
	fdisk_disable_dialogs(cxt, 1);
	fdisk_save_user_sector_size(cxt, 4096, 4096);
	cr_assert_eq(fdisk_assign_device(cxt, disk, 0), 0);
	cr_assert_eq(fdisk_create_disklabel(cxt, label), 0);
	fdisk_partition_set_partno(pa, 0);
	fdisk_partition_set_start(pa, 256);
	fdisk_partition_set_size(pa, 2560);
	cr_assert_eq(fdisk_add_partition(cxt, pa, &no), 0);
	cr_assert_eq(fdisk_write_disklabel(cxt), 0);
	fdisk_unref_partition(pa);
	fdisk_deassign_device(cxt, 1);
	fdisk_unref_context(cxt);
}

Test(table, sectors_of_4096_bytes)
{
	static const char *const labels[] = { "gpt", "dos" };

	for (size_t i = 0; i < 2; i++) {
		struct domu_nodes n;

		make_4k(labels[i]);
		read_disk(&n, "xvda", 4096);
		print_problems(&n);
		cr_assert_eq(n.n_problems, 0);
		cr_assert_str_eq(n.v[0].probe.type, labels[i]);
		expect(&n, 1, "xvda1", MIB, 10 * MIB);
		domu_nodes_free(&n);
	}
	/* A file of a disk that had such sectors. */
	{
		struct domu_nodes n;

		make_4k("gpt");
		read_disk(&n, "xvda", 512);
		expect(&n, 1, "xvda1", MIB, 10 * MIB);
		domu_nodes_free(&n);
	}
}

Test(table, no_table)
{
	static const char *const makers[] = { "truncate -s 10M disk", "truncate -s 0 disk", "truncate -s 100 disk",
		                              "truncate -s 20M disk; mke2fs -q -F disk",
		                              "head -c 3000000 /dev/urandom > disk" };

	for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
		struct domu_nodes n;

		if (absent(makers[i]))
			continue;
		cr_assert_eq(sh("rm -f disk"), 0);
		cr_assert_eq(sh(makers[i]), 0);
		read_disk(&n, "xvda", 512);
		cr_assert_eq(n.n, 1);
		cr_assert_eq(n.n_problems, 0);
		cr_assert_str_eq(n.v[0].probe.type, "");
		domu_nodes_free(&n);
	}
}

Test(table, a_disk_named_like_a_partition_has_partitions_with_p)
{
	struct domu_nodes n;

	cr_assert_eq(sh("truncate -s 20M disk; printf 'label: dos\\nstart=2048,size=2048\\n' | sfdisk disk"), 0);
	read_disk(&n, "xvda1", 512);
	expect(&n, 1, "xvda1p1", MIB, MIB);
	domu_nodes_free(&n);
}

/* ext with a boot loader's sector, FAT, NTFS's look: all end their first sector with 55 AA. */
Test(table, a_filesystem_that_fills_the_disk_is_no_table)
{
	static const char *const makers[] = {
		"truncate -s 20M disk; mke2fs -q -F disk; printf '\\125\\252' | dd of=disk bs=1 seek=510 conv=notrunc",
		"truncate -s 20M disk; mke2fs -q -F disk; head -c 446 /dev/urandom | dd of=disk conv=notrunc;"
		"printf 'Press any key to boot the other disk nowPress any key to boot it' | dd of=disk bs=1 seek=446 "
		"conv=notrunc;"
		"printf '\\125\\252' | dd of=disk bs=1 seek=510 conv=notrunc",
		"truncate -s 400M disk; mkfs.xfs -q -f disk; "
		"printf '\\125\\252' | dd of=disk bs=1 seek=510 conv=notrunc",
	};

	for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
		struct domu_nodes n;

		if (absent(makers[i]))
			continue;
		cr_assert_eq(sh("rm -f disk"), 0);
		cr_assert_eq(sh(makers[i]), 0);
		read_disk(&n, "xvda", 512);
		print_problems(&n);
		cr_assert_eq(n.n, 1, "case %zu", i);
		cr_assert_str_eq(n.v[0].probe.type, "", "case %zu", i);
		domu_nodes_free(&n);
	}
}

Test(table, an_old_superblock_below_a_table_does_not_count)
{
	struct domu_nodes n;

	cr_assert_eq(sh("truncate -s 20M disk; mke2fs -q -F disk;"
	                "printf 'label: dos\\nstart=2048,size=2048\\n' | sfdisk --wipe never disk"),
	             0);
	read_disk(&n, "xvda", 512);
	cr_assert_eq(n.n, 2);
	cr_assert_str_eq(n.v[0].probe.type, "dos");
	domu_nodes_free(&n);
}

Test(table, partitions_past_the_end_are_left_out_and_named)
{
	struct domu_nodes n;

	cr_assert_eq(
	    sh("truncate -s 100M disk; printf 'label: dos\\nstart=2048,size=20480\\nstart=40960,size=100000\\n' |"
	       "sfdisk disk; truncate -s 30M disk"),
	    0);
	read_disk(&n, "xvda", 512);
	cr_assert_eq(n.n, 2);
	cr_assert(
	    has_problem(&n, "xvda2 cannot be opened: the partition (sector 40960, 100000 sectors) runs past the end"));
	domu_nodes_free(&n);

	cr_assert_eq(
	    sh("truncate -s 100M disk; printf 'label: gpt\\nstart=2048,size=20480\\nstart=40960,size=100000\\n' |"
	       "sfdisk disk; truncate -s 30M disk"),
	    0);
	read_disk(&n, "xvda", 512);
	print_problems(&n);
	cr_assert_eq(n.n, 2);
	expect(&n, 1, "xvda1", MIB, 10 * MIB);
	cr_assert(has_problem(&n, "xvda2 cannot be opened: the partition"));
	domu_nodes_free(&n);
}

Test(table, overlaps_are_named)
{
	struct domu_nodes n;

	cr_assert_eq(sh("truncate -s 100M disk; printf 'label: dos\\nstart=2048,size=20480\\nstart=40960,size=20480\\n"
	                "start=81920,size=2048' | sfdisk disk"),
	             0);
	poke32(446 + 12, 60000);
	read_disk(&n, "xvda", 512);
	print_problems(&n);
	cr_assert_eq(n.n, 4);
	cr_assert_eq(n.n_problems, 1);
	cr_assert(has_problem(&n, "xvda1 and xvda2 overlap: bytes 20971520 to 31457279 of xvda are in both"));
	cr_assert_eq(n.v[1].frozen, DOMU_FROZEN_OVERLAP);
	cr_assert_not_null(strstr(n.v[1].overlap, "bytes 20971520 to 31457279 of xvda are in xvda2 too, "));
	cr_assert_not_null(strstr(n.v[2].overlap, "bytes 20971520 to 31457279 of xvda are in xvda1 too, "));
	cr_assert_eq(n.v[3].frozen, DOMU_NOT_FROZEN);
	domu_nodes_free(&n);
}

/* As each can be asked for by itself: which pairs are named is of no matter. */
Test(table, each_that_overlaps_is_frozen)
{
	static const uint64_t places[][3] = { { 10, 5, 0 }, { 15, 5, 0 }, { 40, 60, 1 }, { 41, 2, 1 },  { 50, 2, 1 },
		                              { 50, 2, 1 }, { 99, 2, 1 }, { 101, 1, 0 }, { 103, 9, 1 }, { 111, 1, 1 } };
	struct domu_nodes n = { 0 };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		struct domu_node *p = domu_nodes_add(&n);

		snprintf(p->name, sizeof p->name, "xvda%zu", i);
		p->kind = DOMU_NODE_PARTITION;
		p->start = places[i][0];
		p->size = places[i][1];
	}
	/* Logical ones lie in it. */
	domu_nodes_add(&n)->extended = true;
	n.v[n.n - 1].kind = DOMU_NODE_PARTITION;
	n.v[n.n - 1].size = 1000;
	cr_assert_eq(domu_overlap_partitions(&ctx, &n, 0), 0);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		cr_expect_eq(n.v[i].frozen == DOMU_FROZEN_OVERLAP, places[i][2] != 0, "%zu", i);
	domu_nodes_free(&n);
}

Test(table, a_backup_gpt_is_used_and_a_gpt_without_any_is_a_problem)
{
	uint8_t zeros[512] = { 0 };
	struct domu_nodes n;

	cr_assert_eq(sh("truncate -s 100M disk; printf 'label: gpt\\nstart=2048,size=20480\\n' | sfdisk disk"), 0);
	poke(512, zeros, sizeof zeros);
	read_disk(&n, "xvda", 512);
	print_problems(&n);
	expect(&n, 1, "xvda1", MIB, 10 * MIB);
	cr_assert_geq(n.n_problems, 1);
	domu_nodes_free(&n);
	poke(100 * MIB - 512, zeros, sizeof zeros);
	read_disk(&n, "xvda", 512);
	print_problems(&n);
	cr_assert_eq(n.n, 1);
	cr_assert_str_eq(n.v[0].probe.type, "gpt");
	cr_assert(has_problem(&n, "neither its header nor the backup"));
	domu_nodes_free(&n);
}

Test(table, chains_that_loop_or_leave_the_disk_end)
{
	struct domu_nodes n;
	uint8_t ebr[512];
	int fd;

	make_logicals();
	/* The last record points at the second. */
	fd = open(disk, O_RDWR);
	cr_assert_eq(domu_pread_full(fd, ebr, 512, 40960 * 512), 0);
	cr_assert_eq(ebr[446 + 16 + 4], 5);
	{
		uint64_t second = 40960 + domu_le32(ebr + 446 + 16 + 8);
		uint64_t third;
		uint8_t e[512];

		cr_assert_eq(domu_pread_full(fd, e, 512, second * 512), 0);
		third = 40960 + domu_le32(e + 446 + 16 + 8);
		memcpy(e + 446 + 16, ebr + 446 + 16, 16);
		cr_assert_eq(pwrite(fd, e + 446 + 16, 16, (off_t)(third * 512 + 446 + 16)), 16);
	}
	close(fd);
	read_disk(&n, "xvda", 512);
	print_problems(&n);
	cr_assert_eq(n.n, 6);
	cr_assert(has_problem(&n, "loops"));
	domu_nodes_free(&n);
	/* The first record's own address. */
	poke32(40960 * 512 + 446 + 16 + 8, 0);
	read_disk(&n, "xvda", 512);
	cr_assert_eq(n.n, 4);
	cr_assert(has_problem(&n, "loops"));
	domu_nodes_free(&n);
	poke32(40960 * 512 + 446 + 16 + 8, 0xfffffff0);
	read_disk(&n, "xvda", 512);
	print_problems(&n);
	cr_assert_eq(n.n, 4);
	cr_assert(has_problem(&n, "past the end"));
	domu_nodes_free(&n);
}

Test(table, an_absurd_gpt_header_takes_no_memory)
{
	struct domu_nodes n;
	struct open_disk d;
	uint8_t h[512];

	cr_assert_eq(sh("truncate -s 100M disk; printf 'label: gpt\\nstart=2048,size=20480\\n' | sfdisk disk"), 0);
	/* On a disk of 4 TiB, both headers ask for 2^32 entries of 512 bytes. */
	open_disk(&d, 512, UINT64_C(1) << 42);
	cr_assert_eq(domu_block_pread(d.s.top, h, 512, 512), 0);
	domu_put_le32(h + 80, 0xffffffff);
	domu_put_le32(h + 84, 512);
	cr_assert_eq(domu_block_pwrite(d.s.top, h, 512, 512), 0);
	cr_assert_eq(domu_block_pwrite(d.s.top, h, 512, (UINT64_C(1) << 42) - 512), 0);
	memset(&n, 0, sizeof n);
	cr_assert_eq(domu_table_read(&ctx, d.s.top, "xvda", 0, &n), 0);
	cr_assert_eq(n.n, 1);
	cr_assert(has_problem(&n, "absurd"));
	domu_nodes_free(&n);
	close_disk(&d);
}

/* Whatever is in the sectors that make a table: bounded, no crash, and only partitions inside the disk. */
static void mutate(unsigned rng, const uint64_t *at, size_t n_at, unsigned rounds)
{
	for (unsigned r = 0; r < rounds; r++) {
		struct domu_nodes n = { 0 };
		struct open_disk d;
		struct domu_probe p;

		open_disk(&d, r % 7 == 0 ? 4096 : 512, 0);
		for (int k = 1 + rand_r(&rng) % 12; k > 0; k--) {
			static const uint32_t values[] = {
				0, 1, 5, 0xee, 0xff, 0x80, 0xffffffff, 0x7fffffff, 128, 2048
			};
			uint64_t offset = at[(unsigned)rand_r(&rng) % n_at] + (unsigned)rand_r(&rng) % 512;
			uint8_t v[4];
			size_t len = rand_r(&rng) % 2 ? 1 : 4;

			domu_put_le32(v,
			              rand_r(&rng) % 2 ? values[(unsigned)rand_r(&rng) % 10] : (uint32_t)rand_r(&rng));
			if (offset + 4 <= d.s.top->size)
				cr_assert_eq(domu_block_pwrite(d.s.top, v, len, offset), 0);
		}
		domu_error_clear(&ctx);
		cr_assert_eq(domu_table_read(&ctx, d.s.top, "xvda", 0, &n), 0, "%s", ctx.error.message);
		cr_assert_leq(n.n_problems, 64);
		for (size_t i = 0; i < n.n; i++)
			cr_assert(domu_inside(n.v[i].start, n.v[i].size, d.s.top->size));
		cr_assert_eq(domu_blkid_probe(d.s.top, &p), 0);
		if (n.n > 1)
			domu_table_grow(&ctx, d.s.top, n.v[1].partno, n.v[1].size + MIB);
		domu_nodes_free(&n);
		close_disk(&d);
	}
}

Test(table, mutants_are_read_safely)
{
	static const uint64_t dos[] = { 0, 0, 40960 * 512, 65536 * 512 - MIB, 65534 * 512, 63488 * 512 };
	static const uint64_t gpt[] = { 0, 512, 512, 1024, 200 * MIB - 512 };
	const char *rounds = getenv("DOMU_TEST_ROUNDS");
	unsigned n = rounds != NULL ? (unsigned)strtoul(rounds, NULL, 0) : 150;
	unsigned seed = test_seed();

	make_logicals();
	mutate(seed, dos, sizeof dos / sizeof *dos, n);
	cr_assert_eq(
	    sh("rm disk; truncate -s 200M disk; printf 'label: gpt\\nstart=2048,size=20480\\n,,\\n' | sfdisk disk"), 0);
	mutate(seed + 1, gpt, sizeof gpt / sizeof *gpt, n);
}

/* ---- what is on a device -------------------------------------------------- */

Test(table, content_is_what_blkid_says)
{
	static const struct {
		const char *make, *type, *label;
	} cases[] = {
		{ "truncate -s 8M disk", "empty", "" },
		{ "truncate -s 0 disk", "empty", "" },
		{ "truncate -s 8M disk; head -c 100 /dev/urandom | dd of=disk bs=1 seek=100 conv=notrunc", "unknown",
		  "" },
		{ "truncate -s 40M disk; mkswap -L swp -U 11111111-2222-3333-4444-555555555555 disk", "swap", "swp" },
		{ "truncate -s 20M disk; mke2fs -q -F -t ext4 -L root -U 11111111-2222-3333-4444-555555555555 disk",
		  "ext4", "root" },
		{ "truncate -s 400M disk; mkfs.xfs -q -f -L data -m uuid=11111111-2222-3333-4444-555555555555 disk",
		  "xfs", "data" },
		{ "truncate -s 200M disk; mkfs.btrfs -q -f -L bt -U 11111111-2222-3333-4444-555555555555 disk", "btrfs",
		  "bt" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct domu_probe p;
		struct open_disk d;

		if (absent(cases[i].make))
			continue;
		cr_assert_eq(sh("rm -f disk"), 0);
		cr_assert_eq(sh(cases[i].make), 0, "case %zu", i);
		open_disk(&d, 512, 0);
		cr_assert_eq(domu_blkid_probe(d.s.top, &p), 0);
		cr_assert_str_eq(p.type, cases[i].type);
		cr_assert_str_eq(p.label, cases[i].label);
		if (i >= 3)
			cr_assert_str_eq(p.uuid, "11111111-2222-3333-4444-555555555555");
		close_disk(&d);
	}
}
