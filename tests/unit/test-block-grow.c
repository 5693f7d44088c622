/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-block-grow.c - a partition made longer on the stage is what sfdisk and sgdisk accept. */
#include "config.h"

#include "block-disk.h"

TestSuite(grow, .init = start, .fini = stop, .timeout = 600);

/* What a commit would do. */
static void apply(struct open_disk *d, const struct domu_log_entry *e, size_t n)
{
	uint8_t unit[DOMU_UNIT];
	int fd;

	cr_assert_eq(truncate(disk, (off_t)d->s.top->size), 0);
	fd = open(disk, O_WRONLY);
	for (size_t k = 0; k < n; k++) {
		cr_assert_eq(domu_log_read(&ctx, d->log, &e[k], unit), 0);
		cr_assert_eq(domu_pwrite_full(&domu_io_system, fd, unit, sizeof unit, e[k].unit * DOMU_UNIT), 0);
	}
	close(fd);
}

Test(grow, growing_a_partition_is_what_sfdisk_and_sgdisk_accept)
{
	struct {
		const char *table;
		unsigned partno;
		uint64_t size;
	} cases[] = {
		{ "label: gpt\\nstart=2048,size=20480,name=root,attrs=LegacyBIOSBootable\\nstart=40960,size=20480\\n",
		  2, 300 * MIB },
		{ "label: gpt\\nstart=2048,size=20480\\nstart=40960,size=20480\\n", 1, 19 * MIB },
		{ "label: dos\\nlabel-id: "
		  "0x11223344\\nstart=2048,size=20480,bootable\\nstart=40960,size=20480,type=8e\\n",
		  2, 364 * MIB },
		{ "label: dos\\nstart=2048,size=20480\\nstart=40960,size=100000,type=5\\nstart=43008,size=2048\\n"
		  "start=65536,size=2048\\n",
		  6, 300 * MIB },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct domu_log_entry *e;
		struct domu_nodes n = { 0 };
		struct open_disk d;
		char script[600];
		size_t n_e;

		snprintf(script, sizeof script, "rm -f disk; truncate -s 100M disk; printf '%s' | sfdisk disk",
		         cases[i].table);
		cr_assert_eq(sh(script), 0);
		open_disk(&d, 512, 384 * MIB);
		domu_error_clear(&ctx);
		cr_assert_eq(domu_table_grow(&ctx, d.s.top, cases[i].partno, cases[i].size), 0, "case %zu: %s", i,
		             ctx.error.message);
		cr_assert_eq(domu_table_read(&ctx, d.s.top, "xvda", 0, &n), 0);
		print_problems(&n);
		cr_assert_eq(n.n_problems, 0);
		for (size_t k = 0; k < n.n; k++)
			if (n.v[k].partno == cases[i].partno)
				cr_assert_eq(n.v[k].size, cases[i].size);
		/* Only a few sectors are touched. */
		cr_assert_eq(domu_log_scan(&ctx, d.log, &e, &n_e, NULL), 0);
		cr_assert_leq(n_e, 16, "case %zu: %zu blocks", i, n_e);
		apply(&d, e, n_e);
		free(e);
		snprintf(script, sizeof script,
		         "sfdisk --verify disk; sfdisk -d disk | grep -q 'disk%u .*size= *%" PRIu64 "\\b'%s",
		         cases[i].partno, cases[i].size / 512,
		         strstr(cases[i].table, "gpt") != NULL && !absent("sgdisk")
		             ? "; sgdisk -v disk | grep 'No problems found'"
		             : "");
		cr_assert_eq(sh(script), 0, "case %zu", i);
		domu_nodes_free(&n);
		close_disk(&d);
	}
}

Test(grow, growing_over_a_neighbour_or_a_damaged_table_is_refused)
{
	struct domu_log_entry *e;
	struct open_disk d;
	size_t n;

	make_logicals();
	open_disk(&d, 512, 0);
	cr_assert_lt(domu_table_grow(&ctx, d.s.top, 1, 60 * MIB), 0);
	cr_assert_lt(domu_table_grow(&ctx, d.s.top, 5, 20 * MIB), 0);
	cr_assert_lt(domu_table_grow(&ctx, d.s.top, 4, 20 * MIB), 0);
	cr_assert_lt(domu_table_grow(&ctx, d.s.top, 1, 5 * MIB), 0);
	cr_assert_lt(domu_table_grow(&ctx, d.s.top, 7, 500 * MIB), 0);
	cr_assert_eq(domu_log_scan(&ctx, d.log, &e, &n, NULL), 0);
	cr_assert_eq(n, 0);
	free(e);
	close_disk(&d);
	poke32(40960 * 512 + 446 + 16 + 8, 0);
	open_disk(&d, 512, 0);
	cr_assert_eq(domu_table_grow(&ctx, d.s.top, 1, 11 * MIB), -EUCLEAN);
	close_disk(&d);
}
