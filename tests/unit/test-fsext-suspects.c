/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fsext-suspects.c - which inodes may have changed, by the blocks that did: never one too few. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "block/block.h"
#include "fsext-util.h"

static struct image before, after;
static uint64_t met[100000];
static size_t n_met;

static int take(void *user, uint64_t ino)
{
	(void)user;
	cr_assert_lt(n_met, sizeof met / sizeof *met);
	met[n_met++] = ino;
	return 0;
}

static bool is_met(uint64_t ino)
{
	for (size_t i = 0; i < n_met; i++)
		if (met[i] == ino)
			return true;
	return false;
}

/* Both images, of which the second is changed by a shell command that finds it in $IMG. */
static void change(const char *mke2fs, const char *command)
{
	image_make(&before, "16M", mke2fs);
	cr_assert_eq(run(&before,
	                 "mkdir -p t/a/b && for i in $(seq 1 120); do seq 1 $((i * 7)) >t/a/f$i; done && "
	                 "head -c 300000 /dev/urandom >t/a/b/large && mke2fs -q -F %s -d t %s",
	                 mke2fs, before.path),
	             0, "%s", output(&before));
	image_make(&after, "16M", mke2fs);
	cr_assert_eq(run(&after, "cp %s %s && IMG=%s && %s", before.path, after.path, after.path, command), 0, "%s",
	             output(&after));
	image_must_open(&before, 0);
	image_must_open(&after, 0);
}

/* Asks the driver with every unit of 4096 bytes in which the two differ. */
static int ask(void)
{
	struct domu_span spans[4096];
	static char a[4096], b[4096];
	size_t n = 0;

	for (uint64_t at = 0; at < before.block->size; at += 4096) {
		cr_assert_eq(pread(before.fd, a, 4096, (off_t)at), 4096);
		cr_assert_eq(pread(after.fd, b, 4096, (off_t)at), 4096);
		if (memcmp(a, b, 4096) != 0)
			spans[n++] = (struct domu_span){ .offset = at, .len = 4096 };
	}
	cr_assert_gt(n, 0, "nothing was changed");
	n_met = 0;
	return ext_suspects(before.fs, after.fs, spans, n, take, NULL);
}

static void end(void)
{
	image_close(&before);
	image_close(&after);
	image_free(&before);
	image_free(&after);
}

Test(suspects, an_inode_that_changed_and_no_other)
{
	change("-t ext4", "debugfs -w -R 'sif /a/f7 mode 0100600' $IMG");
	cr_assert_eq(ask(), 0);
	cr_assert_eq(n_met, 1);
	cr_assert_eq(met[0], walk(&after, "/a/f7"));
	end();
}

/* The inode is as it was: only the map tells whose block it is. */
static void content(const char *options)
{
	change(options, "b=$(debugfs -R 'bmap /a/b/large 50' $IMG 2>/dev/null) && s=$(dumpe2fs -h $IMG 2>/dev/null | "
	                "sed -n 's/^Block size: *//p') && printf X | dd of=$IMG bs=1 seek=$((b * s + 5)) conv=notrunc");
	cr_assert_eq(ask(), 0);
	cr_assert(is_met(walk(&after, "/a/b/large")));
	end();
}

Test(suspects, content_that_changed_behind_its_inode)
{
	content("-t ext4");
	content("-t ext2 -b 1024");
	content("-t ext3 -b 4096");
}

Test(suspects, names_that_changed_behind_their_folder)
{
	change("-t ext4 -O ^metadata_csum,^dir_index",
	       "b=$(debugfs -R 'bmap /a 1' $IMG 2>/dev/null) && s=1024 && printf g | dd of=$IMG bs=1 "
	       "seek=$((b * s + 8)) conv=notrunc");
	cr_assert_eq(ask(), 0);
	cr_assert(is_met(walk(&after, "/a")));
	end();
}

Test(suspects, a_mapping_block)
{
	change("-t ext2 -b 1024",
	       "b=$(debugfs -R 'bmap /a/b/large 50' $IMG 2>/dev/null) && "
	       "i=$(debugfs -R 'stat /a/b/large' $IMG | grep -o '(IND):[0-9]*' | head -n 1 | cut -d: -f2) && "
	       "printf '\\000' | dd of=$IMG bs=1 seek=$((i * 1024 + 900)) conv=notrunc");
	cr_assert_eq(ask(), 0);
	cr_assert(is_met(walk(&after, "/a/b/large")));
	end();
}

Test(suspects, inodes_that_are_gone_and_new)
{
	change("-t ext4", "printf 'rm /a/f9\\nmkdir /a/new\\n' | debugfs -w -f - $IMG");
	cr_assert_eq(ask(), 0);
	cr_assert(is_met(walk(&before, "/a/f9")));
	cr_assert(is_met(walk(&after, "/a/new")));
	cr_assert(is_met(walk(&after, "/a")));
	cr_assert_not(is_met(walk(&after, "/a/f10")));
	end();
}

Test(suspects, another_layout_cannot_be_told)
{
	change("-t ext4", "mke2fs -q -F -t ext4 -N 64 $IMG");
	cr_assert_eq(ask(), -EOPNOTSUPP);
	end();
}
