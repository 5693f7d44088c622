/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-guest-find.c - guests by path and by --disk: the name decides what a file is, its content never. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/guest-help.h"

static struct bench b;

static void open_bench(void)
{
	bench_open(&b);
}

static void close_bench(void)
{
	bench_close(&b);
}

TestSuite(find, .init = open_bench, .fini = close_bench);

static struct domu_guest *find(const char *name)
{
	struct domu_guest *g = NULL;

	cr_assert_eq(domu_guest_find(&b.ctx, &b.where, name, &g), 0, "%s: %s", name, b.ctx.error.message);
	cr_assert_not_null(g);
	return g;
}

static void refused(const char *name, enum domu_status status, const char *word)
{
	struct domu_guest *g = NULL;

	domu_error_clear(&b.ctx);
	cr_assert_lt(domu_guest_find(&b.ctx, &b.where, name, &g), 0, "%s", name);
	cr_assert_null(g);
	cr_assert_eq(b.ctx.error.status, status, "%s: status %d: %s", name, b.ctx.error.status, b.ctx.error.message);
	cr_assert_not_null(strstr(b.ctx.error.message, word), "%s: %s", name, b.ctx.error.message);
}

Test(find, a_path_is_a_guest_of_one_disk_with_the_format_of_its_suffix)
{
	static const char *const cases[][2] = {
		{ "a.img", "raw" },   { "a.qcow2", "qcow2" }, { "a.vhd", "vhd" }, { "a.vhdx", "vhdx" },
		{ "a.vmdk", "vmdk" }, { "a", "raw" },         { "qcow2", "raw" }, { "a.qcow2.raw", "raw" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct domu_guest *g = find(bench_image(&b, cases[i][0], 4096));

		cr_assert_null(g->name);
		cr_assert_eq(g->n_disks, 1);
		cr_assert_str_eq(g->disks[0].vdev, "xvda");
		cr_assert_str_eq(g->disks[0].format, cases[i][1], "%s", cases[i][0]);
		cr_assert_not(g->disks[0].readonly);
		cr_assert_eq(g->state, DOMU_STATE_STOPPED);
		cr_assert_str_eq(domu_guest_shown(g), bench_path(&b, cases[i][0]));
		domu_guest_free(g);
	}
}

Test(find, an_image_that_reads_like_a_config_is_a_disk)
{
	const char *path = bench_file(&b, "a.img", "name = 'evil'\ndisk = [ '/etc/shadow,raw,xvda,w' ]\n");
	struct domu_guest *g = find(path);

	cr_assert_null(g->name);
	cr_assert_eq(g->n_disks, 1);
	cr_assert_str_eq(g->disks[0].path, path);
	domu_guest_free(g);
}

Test(find, an_option_decides_the_format)
{
	struct domu_guest *g;

	b.where.format = "qcow2";
	g = find(bench_image(&b, "a.img", 4096));
	cr_assert_str_eq(g->disks[0].format, "qcow2");
	domu_guest_free(g);
	b.where.format = "tar";
	refused(bench_path(&b, "a.img"), DOMU_USAGE, "tar");
}

Test(find, disks_of_the_option_are_one_guest_in_order)
{
	const char *disks[30] = { NULL };
	char one[512], two[512];
	struct domu_guest *g;

	snprintf(one, sizeof one, "%s", bench_image(&b, "a.img", 4096));
	snprintf(two, sizeof two, "%s", bench_image(&b, "b.vhd", 4096));
	for (int i = 0; i < 28; i++)
		disks[i] = i == 1 ? two : one;
	b.where.disks = disks;
	g = find(NULL);
	cr_assert_eq(g->n_disks, 28);
	cr_assert_str_eq(g->disks[0].vdev, "xvda");
	cr_assert_str_eq(g->disks[1].vdev, "xvdb");
	cr_assert_str_eq(g->disks[1].format, "vhd");
	cr_assert_str_eq(g->disks[25].vdev, "xvdz");
	cr_assert_str_eq(g->disks[26].vdev, "xvdaa");
	cr_assert_str_eq(g->disks[27].vdev, "xvdab");
	domu_guest_free(g);
	g = find("");
	domu_guest_free(g);
	refused("web1", DOMU_USAGE, "--disk");
}

Test(find, what_is_no_disk_is_refused)
{
	refused(bench_path(&b, "absent.img"), DOMU_NOTFOUND, "absent.img");
	refused(b.dir, DOMU_FAILED, "neither");
	cr_assert_eq(mkfifo(bench_path(&b, "fifo"), 0600), 0);
	refused(bench_path(&b, "fifo"), DOMU_FAILED, "neither");
	refused("/dev/null", DOMU_FAILED, "neither");
	refused(NULL, DOMU_USAGE, "no guest is named");
	refused("", DOMU_USAGE, "no guest is named");
}

Test(find, a_backing_is_opened_and_known)
{
	struct domu_guest *g;
	struct domu_backing k;
	struct stat st;

	bench_image(&b, "a.img", 12345);
	cr_assert_eq(symlink("a.img", bench_path(&b, "link")), 0);
	g = find(bench_path(&b, "link"));
	cr_assert_eq(domu_backing_open(&b.ctx, &g->disks[0], &k), 0);
	cr_assert_str_eq(k.path, bench_path(&b, "a.img"));
	cr_assert_eq(stat(k.path, &st), 0);
	cr_assert_eq(k.inode, st.st_ino);
	cr_assert_eq(k.dev, st.st_dev);
	cr_assert_eq(k.size, 12345);
	cr_assert_eq(k.sector_size, 512);
	cr_assert_not(k.is_device);
	domu_backing_close(&k);
	domu_guest_free(g);
}

static void backing_refused(struct domu_disk *d, enum domu_status status, const char *word)
{
	struct domu_backing k;

	domu_error_clear(&b.ctx);
	cr_assert_lt(domu_backing_open(&b.ctx, d, &k), 0);
	cr_assert_eq(k.fd, -1);
	cr_assert_eq(b.ctx.error.status, status, "%s", b.ctx.error.message);
	cr_assert_not_null(strstr(b.ctx.error.message, word), "%s", b.ctx.error.message);
	domu_backing_close(&k);
}

Test(find, a_backing_that_cannot_be_read_says_why)
{
	struct domu_disk d = { .vdev = "xvda", .format = "raw" };

	backing_refused(&d, DOMU_NOTFOUND, "empty");
	d.path = (char *)bench_path(&b, "absent");
	backing_refused(&d, DOMU_NOTFOUND, "absent");
	d.path = b.dir;
	backing_refused(&d, DOMU_FAILED, "neither");
	cr_assert_eq(mkfifo(bench_path(&b, "fifo"), 0600), 0);
	d.path = (char *)bench_path(&b, "fifo");
	backing_refused(&d, DOMU_FAILED, "neither");
	d.path = (char *)bench_image(&b, "a.qcow2", 4096);
	d.format = "qcow2";
	backing_refused(&d, DOMU_UNSUPPORTED, "qcow2");
	d.format = "raw";
	d.script = "block-drbd";
	backing_refused(&d, DOMU_UNSUPPORTED, "block-drbd");
	d.script = NULL;
	d.backend = "storage";
	backing_refused(&d, DOMU_UNSUPPORTED, "storage");
}

Test(find, a_raw_disk_that_begins_like_an_image_gets_a_warning)
{
	struct domu_guest *g = find(bench_file(&b, "a.img", "QFI\xfb and so on"));
	struct domu_backing k;

	cr_assert_eq(domu_backing_open(&b.ctx, &g->disks[0], &k), 0);
	cr_assert_eq(b.warnings, 1);
	cr_assert_not_null(strstr(b.warning, "qcow2"));
	domu_backing_close(&k);
	domu_guest_free(g);
}
