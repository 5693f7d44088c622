/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-task-files.c - the list of files of a commit: what is written is read, and no list harms its reader. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/hash.h"
#include "base/io.h"
#include "task/files.h"

static struct domu_stat stat_of(uint64_t ino, uint32_t mode, uint64_t size)
{
	return (struct domu_stat){ .ino = ino,
		                   .mode = mode,
		                   .nlink = 1,
		                   .uid = 1000,
		                   .size = size,
		                   .mtime = { 5, 999999999 },
		                   .ctime = { -3, 1 } };
}

/* A list of every kind of record; the descriptor is a file in memory. */
static int make_list(struct domu_ctx *ctx, int result)
{
	const struct domu_files_fs root = { .node = "xvda2", .target = "/", .uuid = "u-1" },
	                           data = { .node = "vg/data", .uuid = "" };
	struct domu_treeio_xattr xattrs[] = { { "user.a", "value", 5 }, { "security.capability", "\0\1", 2 } };
	struct domu_file file = { .path = "/etc/hostname",
		                  .change = DOMU_IS_MODIFIED,
		                  .old = stat_of(12, S_IFREG | 0644, 6),
		                  .new = stat_of(12, S_IFREG | 0644, 9),
		                  .data = "hello\n",
		                  .has_content = true,
		                  .has_xattrs = true,
		                  .xattrs = 77,
		                  .xattr = xattrs,
		                  .n_xattr = 2 };
	struct domu_file link = {
		.path = "/l", .change = DOMU_IS_REMOVED, .old = stat_of(13, S_IFLNK | 0777, 3), .target = "abc"
	};
	struct domu_file dir = { .path = "/", .change = DOMU_IS_METADATA };
	struct domu_file new = { .path = "/a b\n/\xff", .change = DOMU_IS_ADDED, .new = stat_of(14, S_IFIFO, 0) };
	struct domu_files_writer w;
	int fd = memfd_create("list", MFD_CLOEXEC);

	dir.old = dir.new = stat_of(2, S_IFDIR | 0755, 4096);
	cr_assert(fd >= 0);
	cr_assert(domu_files_begin(&w, ctx, fd) == 0);
	cr_assert(domu_files_put_fs(&w, &root) == 0);
	cr_assert(domu_files_put(&w, &file) == 0);
	cr_assert(domu_files_put(&w, &link) == 0);
	cr_assert(domu_files_put_fs(&w, &data) == 0);
	cr_assert(domu_files_put(&w, &dir) == 0);
	cr_assert(domu_files_put(&w, &new) == 0);
	cr_assert(domu_files_end(&w, result) == result);
	return fd;
}

Test(files, what_is_written_is_read)
{
	struct domu_ctx ctx;
	struct domu_files f;
	int fd;

	domu_ctx_init(&ctx);
	fd = make_list(&ctx, 0);
	cr_assert(domu_files_read(&ctx, fd, &f) == 0, "%s", ctx.error.message);
	cr_assert(f.n_fs == 2 && f.n == 4);
	cr_assert_str_eq(f.fs[0].target, "/");
	cr_assert(f.fs[1].target == NULL);
	cr_assert(f.v[0].fs == 0 && f.v[1].fs == 0 && f.v[2].fs == 1 && f.v[3].fs == 1);
	cr_assert(memcmp(f.v[0].data, "hello\n", 6) == 0 && f.v[0].old.size == 6 && f.v[0].new.size == 9);
	cr_assert(f.v[0].n_xattr == 2 && f.v[0].xattr[1].len == 2);
	cr_assert_str_eq(f.v[0].xattr[1].name, "security.capability");
	cr_assert(f.v[0].old.ctime.tv_sec == -3 && f.v[0].old.mtime.tv_nsec == 999999999);
	cr_assert_str_eq(f.v[1].target, "abc");
	cr_assert_str_eq(f.v[3].path, "/a b\n/\xff");
	domu_files_free(&f);
	close(fd);
	domu_ctx_free(&ctx);
}

Test(files, a_list_that_was_not_finished_is_none)
{
	struct domu_ctx ctx;
	struct domu_files f;
	int fd;

	domu_ctx_init(&ctx);
	fd = make_list(&ctx, -EIO);
	cr_assert(domu_files_read(&ctx, fd, &f) == -EBADMSG);
	cr_assert(domu_error_status(&ctx) == DOMU_UNSUPPORTED);
	close(fd);
	domu_ctx_free(&ctx);
}

Test(files, paths_that_lead_elsewhere_are_refused)
{
	static const char *const paths[] = { "etc", "", "/..", "/a/../b", "/a//b", "/a/", "/.", "//" };

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct domu_file file = { .path = paths[i], .change = DOMU_IS_ADDED, .new = stat_of(9, S_IFREG, 0) };
		const struct domu_files_fs root = { .node = "xvda", .target = "/", .uuid = "" };
		struct domu_files_writer w;
		struct domu_ctx ctx;
		struct domu_files f;
		int fd = memfd_create("list", MFD_CLOEXEC);

		domu_ctx_init(&ctx);
		cr_assert(fd >= 0 && domu_files_begin(&w, &ctx, fd) == 0 && domu_files_put_fs(&w, &root) == 0);
		cr_assert(domu_files_put(&w, &file) == 0 && domu_files_end(&w, 0) == 0);
		cr_expect(domu_files_read(&ctx, fd, &f) == -EBADMSG, "%s was taken", paths[i]);
		close(fd);
		domu_ctx_free(&ctx);
	}
}

/* Who writes a list can make its checksums right, too: they are made right again after each change. */
static void seal(uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	for (size_t at = 16; at + 16 <= len;) {
		uint64_t n, both[4] = { sum, 0, 0, 0 };

		memcpy(&n, p + at, 8);
		if (n == 0 || n % 32 != 0 || n > len - at - 16)
			return;
		both[1] = domu_hash64(p + at + 16, n);
		both[2] = n;
		sum = domu_hash64(both, sizeof both);
		memcpy(p + at + 8, &sum, 8);
		at += 16 + n;
	}
}

Test(files, a_hostile_list_never_harms_its_reader)
{
	struct domu_ctx ctx;
	uint8_t *good, *bad;
	unsigned taken = 0, refused = 0;
	size_t len;
	int fd;

	domu_ctx_init(&ctx);
	fd = make_list(&ctx, 0);
	len = (size_t)lseek(fd, 0, SEEK_END);
	good = malloc(len);
	bad = malloc(len);
	cr_assert(good != NULL && bad != NULL && domu_pread_full(fd, good, len, 0) == 0);
	srandom(1);
	for (unsigned i = 0; i < 20000; i++) {
		struct domu_files f;

		memcpy(bad, good, len);
		for (unsigned k = 0; k <= i % 4; k++)
			bad[16 + (size_t)random() % (len - 16)] = (uint8_t)random();
		seal(bad, len);
		cr_assert(domu_pwrite_full(&domu_io_system, fd, bad, len, 0) == 0);
		if (domu_files_read(&ctx, fd, &f) == 0) {
			taken++;
			for (size_t k = 0; k < f.n; k++)
				cr_assert(f.v[k].path[0] == '/' && f.v[k].fs < f.n_fs &&
				          (f.v[k].data == NULL || f.v[k].old.size <= len));
			domu_files_free(&f);
		} else {
			refused++;
		}
		domu_error_clear(&ctx);
	}
	cr_assert(taken > 1000 && refused > 1000, "%u taken, %u refused", taken, refused);
	free(good);
	free(bad);
	close(fd);
	domu_ctx_free(&ctx);
}
