/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fsext-parts.c - a tree that is too large for one scan, read in parts: what is shown is what is shown by name. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/msg.h"
#include "fs/fs.h"
#include "fs/scan-map.h"
#include "fs/scan.h"
#include "fsext-util.h"

static struct image im;
static struct domu_tree *tree;

/* Directories in each other, wide and deep; a file with several names, also far apart; a directory of many blocks. */
static const char populate[] =
    "mkdir t && { mount -t tmpfs tmpfs t || true; } && cd t && mkdir -p usr/sbin etc many w$(printf '/w%.0s' $(seq 1 "
    "40)) && : >usr/sbin/init\n"
    "awk 'BEGIN { for (a = 1; a <= 25; a++) for (b = 1; b <= 6; b++) for (c = 1; c <= 2; c++) "
    "printf \"a%d/b%d/c%d\\n\", a, b, c }' >../dirs\n"
    "xargs mkdir -p <../dirs\n"
    "find . -type d | awk '{ for (i = 1; i < 10; i++) print $0 \"/file-\" i }' | xargs touch\n"
    "seq -f 'many/a-name-that-is-not-short-%05g' 1 1500 | xargs touch\n"
    "for i in 1 5 9 25; do ln a$i/b1/file-1 a$i/b1/same; ln a1/b1/file-2 a$i/far; ln -s far a$i/link; done; cd ..\n";

struct lines {
	char *text;
	size_t len;
	FILE *f;
	unsigned n, errors, scanned;
};

static int note(void *user, const struct domu_walk_entry *e)
{
	struct lines *l = user;
	const struct domu_stat *st = &e->where->st;

	fprintf(l->f, "%s %u %d %d %s %s", e->path, e->depth, e->err, e->inside, e->where->path, e->where->name);
	if (e->err == 0)
		fprintf(l->f, " %llu %o %u %llu %llu.%09ld %llu", (unsigned long long)st->ino, st->mode, st->nlink,
		        (unsigned long long)st->size, (unsigned long long)st->mtime.tv_sec, st->mtime.tv_nsec,
		        (unsigned long long)st->sectors);
	fputc('\n', l->f);
	l->n++;
	l->errors += e->err != 0;
	l->scanned += e->no_xattrs;
	return 0;
}

/* most: inodes that are scanned at once; parts 0: by name. */
static void look(const char *from, unsigned depth, bool post, uint64_t most, size_t parts, struct lines *l)
{
	struct domu_walk_opts opts = { .max_depth = depth, .post_order = post, .read_only = parts != 0 };
	static struct domu_path start;

	*l = (struct lines){ 0 };
	l->f = open_memstream(&l->text, &l->len);
	cr_assert_eq(domu_path_walk(tree, "/", from, 0, &start), 0);
	if (parts != 0) {
		cr_assert_eq(domu_scans_new(tree, &opts.scans), 0);
		domu_scans_limit(opts.scans, most, parts);
	}
	cr_assert_eq(domu_walk_tree(tree, &start, from, &opts, note, l), 0);
	domu_scans_free(opts.scans);
	fclose(l->f);
}

static void same(const char *from, unsigned depth, bool post, size_t parts, unsigned least)
{
	struct lines name, part;

	look(from, depth, post, 0, 0, &name);
	look(from, depth, post, 1, parts, &part);
	cr_assert_eq(name.n, part.n);
	for (const char *a = name.text, *b = part.text; *a != '\0'; a++, b++)
		cr_assert_eq(*a, *b, "at %.60s", b);
	/* Without this, nothing would tell a walk by name from one in parts. */
	cr_assert_eq(name.scanned, 0);
	cr_assert_geq(part.scanned, least, "%u of %u in parts", part.scanned, part.n);
	free(name.text);
	free(part.text);
}

static int open_image(void *user, const struct domu_node *node, unsigned flags, struct domu_fs **fs)
{
	struct domu_block *const *disks = user;

	(void)flags;
	return ext_open(&im.ctx, disks[node->disk], 0, fs);
}

static void make(const char *mke2fs, const char *damage)
{
	const struct domu_tree_opts opts = { .engine_guestfs = true };
	struct domu_tree_hooks hooks = { .appliance = open_image };

	image_make(&im, "64M", mke2fs);
	cr_assert_eq(run(&im, "%s mke2fs -q -F %s -d t img 64M && { umount t || true; }", populate, mke2fs), 0, "%s",
	             output(&im));
	cr_assert_eq(run(&im, "%s", damage), 0, "%s", output(&im));
	image_must_open(&im, 0);
	hooks.user = &im.block;
	cr_assert_eq(domu_tree_open(&im.ctx, &im.block, 1, &opts, &hooks, &tree), 0);
}

static void end(void)
{
	cr_assert_eq(domu_tree_close(tree), 0);
	image_free(&im);
}

Test(fsext_parts, of_any_size_show_what_is_there)
{
	make("-t ext4", "true");
	/* All in one; several in each other; so small that some directories do not fit. */
	same("/", ~0u, false, 64 << 20, 6500);
	same("/", ~0u, false, 512 << 10, 5000);
	same("/", ~0u, true, 300 << 10, 4000);
	same("/", ~0u, false, 100 << 10, 1500);
	same("/", 4, false, 512 << 10, 4000);
	end();
}

Test(fsext_parts, a_walk_from_below_begins_by_name)
{
	make("-t ext3 -I 128", "true");
	same("/a7", ~0u, false, 1 << 20, 0);
	same("/a25", ~0u, true, 1 << 20, 0);
	same("/many", ~0u, false, 1 << 20, 0);
	end();
}

Test(fsext_parts, with_names_and_directories_in_the_inode)
{
	make("-t ext4 -O inline_data,metadata_csum -I 256 -b 1024", "true");
	/* Of content in the inode a walk says that there may be attributes. */
	same("/", ~0u, false, 512 << 10, 500);
	end();
}

Test(fsext_parts, damage_is_told_as_it_is_by_name)
{
	make("-t ext4 -O ^metadata_csum",
	     "for c in 'link /a3 /a3/b2/loop' 'link / /a4/root' 'link /a5/file-1 /a5/gone' 'clri /a5/file-1' "
	     "'sif /many size 4000000000' 'sif /a6/b3 block[5] 0x7fffffff' 'sif /a9/file-3 mode 040755'; do "
	     "echo \"$c\"; done | debugfs -w -f - img");
	same("/", ~0u, false, 64 << 20, 5000);
	same("/", ~0u, false, 400 << 10, 3500);
	end();
}

/* A second filesystem, mounted before most of the first is shown: its directories have the same inode numbers. */
Test(fsext_parts, a_filesystem_mounted_below_has_its_own)
{
	const struct domu_tree_opts opts = { .engine_guestfs = true };
	struct domu_block *disks[2];
	struct domu_tree_hooks hooks = { .appliance = open_image, .user = disks };
	struct image other;

	image_make(&other, "64M", "-t ext4");
	cr_assert_eq(run(&other, "mkdir t && for i in $(seq 1 300); do mkdir -p t/z$i/y; touch t/z$i/x$i; done && "
	                         "mke2fs -q -F -t ext4 -d t img 64M"),
	             0, "%s", output(&other));
	image_must_open(&other, 0);
	image_make(&im, "64M", "-t ext4");
	cr_assert_eq(run(&im, "mkdir -p t/etc t/sbin t/a0/m/k && : >t/sbin/init && for i in $(seq 1 300); do "
	                      "mkdir -p t/a$i/b; touch t/a$i/c$i; done && "
	                      "echo '/dev/xvdb /a0 ext4 defaults 0 0' >t/etc/fstab && "
	                      "mke2fs -q -F -t ext4 -d t img 64M"),
	             0, "%s", output(&im));
	image_must_open(&im, 0);
	disks[0] = im.block;
	disks[1] = other.block;
	snprintf(disks[1]->name, sizeof disks[1]->name, "xvdb");
	cr_assert_eq(domu_tree_open(&im.ctx, disks, 2, &opts, &hooks, &tree), 0, "%s", im.ctx.error.message);
	same("/", ~0u, false, 64 << 20, 1500);
	same("/", ~0u, true, 300 << 10, 500);
	same("/", ~0u, false, 40 << 10, 100);
	cr_assert_eq(domu_tree_close(tree), 0);
	image_free(&other);
	image_free(&im);
}

/* All within some slots of the largest table: a table without a bound goes through those before for each. */
Test(fsext_parts, inodes_chosen_to_have_one_place_end_the_table)
{
	static uint32_t inos[65536];
	struct domu_scan_map m;
	size_t n = 0, taken, at;

	domu_scan_map_init(&m);
	for (uint32_t group = 0; group < 1u << 24 && n < 65536; group++) {
		uint32_t h = group * m.factor;

		for (uint32_t k = 0; ((h ^ h >> 15) & 0xffff) < 64 && k < 4 && n < 65536; k++)
			if ((group << 2 | k) > 0)
				inos[n++] = ((group << 2 | k) - 1) * 64;
	}
	cr_assert_gt(n, 60000);
	for (taken = 0; taken < n; taken++) {
		uint64_t *bits = domu_scan_map_next(&m, inos[taken], taken, 64 << 20);

		if (bits == NULL)
			break;
		*bits |= 1;
	}
	cr_assert(taken > 1000 && taken < 10000, "%zu of %zu", taken, n);
	for (size_t i = 0; i < n; i++) {
		cr_assert_eq(domu_scan_map_find(&m, inos[i], &at), i < taken);
		cr_assert(i >= taken || at == i);
	}
	free(m.v);
}

static const struct domu_block_ops *sound;
static uint64_t bad;
static unsigned asked;

static int pread_but_one(struct domu_block *b, void *buf, size_t len, uint64_t offset)
{
	if (bad < offset || bad >= offset + len)
		return sound->pread(b, buf, len, offset);
	asked++;
	return -EIO;
}

/* A disk that fails takes seconds for each try. */
Test(fsext_parts, a_block_that_cannot_be_read_is_not_asked_for_again_and_again)
{
	struct domu_block_ops ops;

	make("-t ext4 -b 1024 -I 256",
	     "mkdir -p u/sbin && : >u/sbin/init && for i in $(seq 100 400); do mkdir -p u/d$i/e; done && "
	     "mke2fs -q -F -t ext4 -b 1024 -d u img 64M && debugfs -R 'blocks /d330' img 2>/dev/null");
	bad = strtoull(output(&im), NULL, 10) * 1024;
	cr_assert_gt(bad, 0, "%s", output(&im));
	sound = im.block->ops;
	ops = *sound;
	ops.pread = pread_but_one;
	im.block->ops = &ops;
	same("/", ~0u, false, 64 << 20, 1);
	/* By name, and then in parts: once with others, once by itself. */
	cr_assert(asked >= 2 && asked <= 4, "%u times", asked);
	im.block->ops = sound;
	end();
}
