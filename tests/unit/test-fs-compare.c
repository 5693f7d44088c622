/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fs-compare.c - two trees compared: cycles, what cannot be read, and only the paths asked for. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/compare.h"
#include "memfs.h"

static struct domu_ctx ctx;
static struct domu_fs *old, *new;
static char told[8192], said[65536];
static unsigned warnings;

static void keep_message(void *user, enum domu_level level, const char *text)
{
	size_t len = strlen(said);

	(void)user;
	warnings += level == DOMU_WARNING;
	snprintf(said + len, sizeof said - len, "%s\n", text);
}

static int tell(void *user, const struct domu_difference *d)
{
	size_t len = strlen(told);

	(void)user;
	snprintf(told + len, sizeof told - len, "%s %s%s;", domu_difference_name(d->change), d->path,
	         (d->what & DOMU_DIFFERS_UNKNOWN) != 0 ? " ?" : "");
	return 0;
}

static void setup(void)
{
	domu_ctx_init(&ctx);
	ctx.cb.message = keep_message;
	old = memfs_new(&ctx);
	new = memfs_new(&ctx);
	for (int i = 0; i < 2; i++) {
		struct domu_fs *fs = i == 0 ? old : new;

		memfs_dir(fs, "/etc");
		memfs_file(fs, "/etc/a", "one");
		memfs_file(fs, "/etc/b", "two");
		memfs_dir(fs, "/srv");
		memfs_dir(fs, "/srv/sub");
		memfs_file(fs, "/srv/sub/c", "three");
	}
}

static void teardown(void)
{
	cr_assert_eq(domu_fs_close(old), 0);
	cr_assert_eq(domu_fs_close(new), 0);
	domu_ctx_free(&ctx);
}

static const char *compare(const char *const *paths, size_t n, bool *met)
{
	const struct domu_compare c = {
		.ctx = &ctx, .old = old, .new = new, .at = "/", .paths = paths, .met = met, .n_paths = n, .found = tell
	};

	told[0] = said[0] = '\0';
	warnings = 0;
	cr_assert_eq(domu_compare(&c), 0);
	cr_assert_eq(ctx.error.status, DOMU_OK, "%s", ctx.error.message);
	return told;
}

static uint64_t find(struct domu_fs *fs, const char *dir, const char *name)
{
	uint64_t d = fs->root, ino = 0;

	if (dir != NULL)
		cr_assert_eq(domu_fs_lookup(fs, fs->root, dir, &d), 0);
	cr_assert_eq(domu_fs_lookup(fs, d, name, &ino), 0);
	return ino;
}

Test(compare, nothing_differs, .init = setup, .fini = teardown)
{
	cr_assert_str_eq(compare(NULL, 0, NULL), "");
}

Test(compare, xattrs_are_metadata, .init = setup, .fini = teardown)
{
	cr_assert_eq(domu_fs_setxattr(old, find(old, "etc", "a"), "security.selinux", "x", 1), 0);
	cr_assert_eq(domu_fs_setxattr(new, find(new, "etc", "a"), "security.selinux", "y", 1), 0);
	cr_assert_eq(domu_fs_setxattr(new, find(new, NULL, "srv"), "system.posix_acl_access", "y", 1), 0);
	cr_assert_str_eq(compare(NULL, 0, NULL), "metadata /etc/a;metadata /srv;");
}

Test(compare, a_device_of_another_number_is_modified, .init = setup, .fini = teardown)
{
	struct domu_stat st = { .mode = S_IFCHR | 0600, .nlink = 1, .rdev_major = 1, .rdev_minor = 3 };
	uint64_t ino;

	cr_assert_eq(domu_fs_create(old, old->root, "null", &st, NULL, &ino), 0);
	st.rdev_minor = 5;
	cr_assert_eq(domu_fs_create(new, new->root, "null", &st, NULL, &ino), 0);
	cr_assert(strstr(compare(NULL, 0, NULL), "modified /null;") != NULL, "%s", told);
}

Test(compare, ends_on_a_cycle, .init = setup, .fini = teardown)
{
	memfs_raw_entry(new, "/srv", "again", find(new, NULL, "srv"));
	memfs_raw_entry(old, "/srv", "root", old->root);
	compare(NULL, 0, NULL);
	cr_assert(strstr(told, "added /srv/again;") != NULL, "%s", told);
	cr_assert(strstr(told, "removed /srv/root;") != NULL, "%s", told);
	cr_assert_lt(strlen(told), 300, "%s", told);
}

Test(compare, what_cannot_be_read_is_told_and_the_rest_compared, .init = setup, .fini = teardown)
{
	memfs_break(old, find(old, "etc", "a"), -EUCLEAN);
	memfs_raw_entry(old, "/etc", "dangling", 77);
	memfs_file(new, "/srv/sub/new", "x");
	compare(NULL, 0, NULL);
	cr_assert(strstr(told, "modified /etc/a ?;") != NULL, "%s", told);
	cr_assert(strstr(told, "removed /etc/dangling;") != NULL, "%s", told);
	cr_assert(strstr(told, "added /srv/sub/new;") != NULL, "%s", told);
	cr_assert_eq(warnings, 2, "%s", said);
}

Test(compare, warnings_are_bounded, .init = setup, .fini = teardown)
{
	for (uint64_t i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof name, "dangling%03u", (unsigned)i);
		memfs_raw_entry(old, "/etc", name, 1000 + i);
	}
	compare(NULL, 0, NULL);
	cr_assert_gt(warnings, 0);
	cr_assert_lt(warnings, 30);
}

Test(compare, only_the_paths_asked_for, .init = setup, .fini = teardown)
{
	static const char *const paths[] = { "/srv/sub", "/etc/b", "/none" };
	bool met[3] = { false, false, false };

	memfs_file(new, "/etc/new", "x");
	memfs_file(new, "/srv/sub/new", "x");
	memfs_file(new, "/srv/subordinate", "x");
	cr_assert_str_eq(compare(paths, 3, met), "added /srv/sub/new;");
	cr_assert(met[0] && met[1] && !met[2]);
}

Test(compare, spans_meet_at_their_edges)
{
	static const struct domu_span s[] = { { 4096, 4096 }, { 16384, 8192 } };

	cr_assert_not(domu_spans_meet(s, 2, 0, 4096));
	cr_assert(domu_spans_meet(s, 2, 0, 4097));
	cr_assert(domu_spans_meet(s, 2, 8191, 1));
	cr_assert_not(domu_spans_meet(s, 2, 8192, 8192));
	cr_assert(domu_spans_meet(s, 2, 0, UINT64_C(1) << 40));
	cr_assert_not(domu_spans_meet(s, 2, 24576, 4096));
	cr_assert_not(domu_spans_meet(s, 0, 0, 4096));
}
