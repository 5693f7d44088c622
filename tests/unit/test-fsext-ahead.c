/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fsext-ahead.c - a scan gives the same with the thread that reads ahead and without, of whatever disk. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/block.h"
#include "fsext-util.h"

#define MUTANTS 15

struct variant {
	const char mke2fs[96];
};

static struct variant variants[] = {
	{ "-t ext4 -b 4096 -N 20000" },
	{ "-t ext4 -b 1024 -N 20000 -O inline_data" },
	{ "-t ext4 -b 1024 -N 20000 -I 128 -O ^metadata_csum,uninit_bg" },
	{ "-t ext2 -b 2048 -N 20000" },
};

ParameterizedTestParameters(ahead, a_scan_is_the_same)
{
	return cr_make_param_array(struct variant, variants, sizeof variants / sizeof *variants);
}

static const char populate[] = "cd mnt && i=0; while [ $i -lt 120 ]; do mkdir -p d$i/e/f; i=$((i+1)); done\n"
                               "seq -f 'd%%g/a-file-with-some-name' 0 119 | xargs touch\n"
                               "(cd d7 && seq -f 'one-of-many-in-a-directory-with-an-index-%%g' 1 5000 | xargs touch); "
                               "ln -s target l; mknod c c 1 2\n";

/* ---- a scan as text ---------------------------------------------------------------- */

static int put_inode(void *user, const struct domu_scan_inode *in)
{
	fprintf(user, "%" PRIu64 " %o %u %" PRIu64 " %" PRIu64 " %u %" PRIu64 " %ld.%ld\n", in->st.ino, in->st.mode,
	        in->st.nlink, in->st.size, in->st.sectors, in->xattrs, in->first, (long)in->st.mtime.tv_sec,
	        in->st.mtime.tv_nsec);
	return 0;
}

static int put_name(void *user, uint64_t dir, const char *name, size_t len, uint64_t ino)
{
	fprintf(user, "%" PRIu64 " %.*s %" PRIu64 "\n", dir, (int)len, name, ino);
	return 0;
}

static int put_odd(void *user, uint64_t dir)
{
	fprintf(user, "odd %" PRIu64 "\n", dir);
	return 0;
}

/* All, every third inode by its number, and what failure is recorded.  The caller frees. */
static char *scan_as_text(struct domu_block *b, struct domu_ahead *a, int cut_fd, off_t cut)
{
	const struct domu_scan to = { .self_size = sizeof to, .inode = put_inode, .name = put_name, .odd = put_odd };
	struct domu_ctx ctx, *kept = b->ctx;
	struct domu_fs *fs = NULL;
	uint32_t inos[6000];
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	int rc;

	cr_assert_not_null(f);
	domu_ctx_init(&ctx);
	ctx.ahead = a;
	for (struct domu_block *at = b; at != NULL; at = at->below)
		at->ctx = &ctx;
	rc = ext_open(&ctx, b, 0, &fs);
	fprintf(f, "open %d\n", rc);
	if (rc == 0 && cut_fd >= 0)
		cr_assert_eq(ftruncate(cut_fd, cut), 0);
	if (rc == 0)
		fprintf(f, "scan %d\n", ext_scan(fs, &to, f));
	fprintf(f, "%s\n", ctx.error.message != NULL ? ctx.error.message : "");
	domu_error_clear(&ctx);
	for (uint32_t i = 0; i < 6000; i++)
		inos[i] = 1 + 3 * i;
	if (rc == 0)
		fprintf(f, "some %d\n", ext_scan_some(fs, inos, 6000, &to, f));
	fprintf(f, "%s\n", ctx.error.message != NULL ? ctx.error.message : "");
	if (rc == 0)
		ext_close(fs);
	for (struct domu_block *at = b; at != NULL; at = at->below)
		at->ctx = kept;
	domu_ctx_free(&ctx);
	fclose(f);
	return text;
}

static void same_both_ways(struct domu_block *b, struct domu_ahead *a, const char *what)
{
	char *alone = scan_as_text(b, NULL, -1, 0), *both = scan_as_text(b, a, -1, 0);

	cr_assert(strcmp(alone, both) == 0, "%s: not the same", what);
	free(alone);
	free(both);
}

/* ---- disks --------------------------------------------------------------------------- */

/* An image with a tree, through the kernel; raw is a layer over its file. */
static void make_disk(struct image *im, const char *mke2fs, int *fd, struct domu_block **raw)
{
	image_make(im, "48M", mke2fs);
	if (!image_mount(im, "")) {
		image_free(im);
		cr_skip_test("no loop mounts here");
	}
	cr_assert_eq(run(im, populate), 0, "%s", output(im));
	image_umount(im);
	*fd = open(im->path, O_RDWR);
	cr_assert_geq(*fd, 0);
	cr_assert_eq(domu_raw_open(&im->ctx, *fd, "xvda", 0, 0, raw), 0);
}

static void free_disk(struct image *im, int fd, struct domu_block *raw)
{
	domu_block_close(raw);
	close(fd);
	image_free(im);
}

static struct domu_ahead *thread_or_skip(void)
{
	struct domu_ahead *a = domu_ahead_start();

	if (a == NULL)
		cr_skip_test("there is one processor");
	return a;
}

/* Of which byte 0 says that it cannot be found in a file. */
static atomic_uint preads;

static int counted_pread(struct domu_block *b, void *buf, size_t len, uint64_t offset)
{
	atomic_fetch_add(&preads, 1);
	return domu_block_pread(b->below, buf, len, offset);
}

static int counted_map(struct domu_block *b, uint64_t offset, uint64_t len, int *fd, uint64_t *fd_offset, uint64_t *run)
{
	return domu_block_map(b->below, offset, len, fd, fd_offset, run);
}

static int nothing(struct domu_block *b)
{
	(void)b;
	return 0;
}

static const struct domu_block_ops counted = {
	.self_size = sizeof counted, .name = "counted", .pread = counted_pread, .close = nothing, .map = counted_map
};

/* Otherwise all that follows would show nothing. */
Test(ahead, the_thread_reads_some_of_it)
{
	struct domu_ahead *a = thread_or_skip();
	struct domu_block *raw, *top;
	struct image im;
	unsigned alone;
	char *text;
	int fd;

	make_disk(&im, variants[0].mke2fs, &fd, &raw);
	top = domu_block_new(&im.ctx, &counted, "xvda", NULL);
	cr_assert_not_null(top);
	top->below = raw;
	top->size = raw->size;
	top->readonly = true;
	free(scan_as_text(top, NULL, -1, 0));
	alone = preads;
	/* Where it has to wait long for a processor, all may be done before it comes. */
	for (unsigned i = 0; i < 1000 && preads >= alone; i++) {
		preads = 0;
		text = scan_as_text(top, a, -1, 0);
		free(text);
	}
	cr_assert_lt(preads, alone);
	domu_block_close(top);
	free_disk(&im, fd, raw);
	domu_ahead_stop(a);
}

/* Bytes at random, where inode tables and directories are; the same ones again where the test fails. */
static void damage(int fd, off_t size, unsigned seed)
{
	for (unsigned i = 0; i < 60; i++) {
		uint8_t byte;
		off_t at;

		seed = seed * 1103515245u + 12345u;
		at = (off_t)4096 + (off_t)(seed >> 4) % (size / 3);
		byte = (uint8_t)(seed >> 11);
		cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
	}
}

ParameterizedTest(struct variant *v, ahead, a_scan_is_the_same, .timeout = 120)
{
	struct domu_ahead *a = thread_or_skip();
	struct domu_block *raw;
	struct image im;
	char what[160];
	int fd;

	make_disk(&im, v->mke2fs, &fd, &raw);
	same_both_ways(raw, a, v->mke2fs);
	for (unsigned i = 0; i < MUTANTS; i++) {
		snprintf(what, sizeof what, "%s, damage %u", v->mke2fs, i);
		damage(fd, (off_t)raw->size, i + 1);
		same_both_ways(raw, a, what);
	}
	free_disk(&im, fd, raw);
	domu_ahead_stop(a);
}

/* What is staged is in a log: of it the thread gets nothing. */
Test(ahead, what_is_staged_is_seen, .timeout = 60)
{
	struct domu_ahead *a = thread_or_skip();
	int fd, log = memfd_create("log", MFD_CLOEXEC);
	struct domu_block *raw, *stage;
	struct domu_fs *fs;
	struct image im;
	struct stat whole;
	uint64_t ino;
	char *text;

	make_disk(&im, variants[3].mke2fs, &fd, &raw);
	cr_assert_eq(domu_log_init(&im.ctx, log), 0);
	cr_assert_eq(domu_overlay_open(&im.ctx, raw, log, 0, false, &stage), 0);
	cr_assert_eq(ext_open(&im.ctx, stage, DOMU_FS_WRITE, &fs), 0, "%s", im.ctx.error.message);
	for (unsigned i = 0; i < 200; i++) {
		struct domu_stat st = { .mode = 0100644 };
		char name[32];

		snprintf(name, sizeof name, "staged-%u", i);
		cr_assert_eq(fs->ops->create(fs, fs->root, name, &st, NULL, &ino), 0, "%s", im.ctx.error.message);
		st.mode = 040755;
		snprintf(name, sizeof name, "d%u", i % 120);
		cr_assert_eq(fs->ops->lookup(fs, fs->root, name, &ino), 0);
		snprintf(name, sizeof name, "folder-%u", i);
		cr_assert_eq(fs->ops->create(fs, ino, name, &st, NULL, &ino), 0, "%s", im.ctx.error.message);
	}
	cr_assert_eq(ext_close(fs), 0);
	same_both_ways(stage, a, "with a stage");
	text = scan_as_text(stage, a, -1, 0);
	cr_assert_not_null(strstr(text, "2 staged-199 "));
	free(text);
	/* A record of the log that is damaged is found in either way. */
	cr_assert_eq(fstat(log, &whole), 0);
	for (off_t i = 1; i < 16; i++) {
		off_t at = whole.st_size / 16 * i;
		char was, now;

		cr_assert_eq(pread(log, &was, 1, at), 1);
		now = (char)~was;
		cr_assert_eq(pwrite(log, &now, 1, at), 1);
		same_both_ways(stage, a, "with a damaged log");
		cr_assert_eq(pwrite(log, &was, 1, at), 1);
	}
	domu_block_close(stage);
	close(log);
	free_disk(&im, fd, raw);
	domu_ahead_stop(a);
}

/* A file that is cut short while it is open: the message is that of who reads it without a thread. */
Test(ahead, where_it_cannot_be_read_the_failure_is_the_same, .timeout = 60)
{
	struct domu_ahead *a = thread_or_skip();
	struct domu_block *raw;
	struct image im;
	int fd;

	make_disk(&im, variants[0].mke2fs, &fd, &raw);
	for (unsigned i = 1; i < 24; i += 5) {
		off_t cut = (off_t)raw->size / 48 * i;
		char *alone, *both;

		cr_assert_eq(run(&im, "cp img kept"), 0);
		alone = scan_as_text(raw, NULL, fd, cut);
		cr_assert_eq(run(&im, "cat kept >img"), 0);
		both = scan_as_text(raw, a, fd, cut);
		cr_assert_eq(run(&im, "cat kept >img"), 0);
		cr_assert(strcmp(alone, both) == 0, "cut at %jd: not the same", (intmax_t)cut);
		if (i == 1)
			cr_assert_not_null(strstr(both, "the backing store ends at byte"), "%s", both);
		free(alone);
		free(both);
	}
	free_disk(&im, fd, raw);
	domu_ahead_stop(a);
}
