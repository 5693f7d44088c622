/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fsext-change.c - each change by the ext driver and by the kernel: equal trees, e2fsck content. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsext-util.h"

struct variant {
	const char name[24];
	const char mke2fs[64];
};

static struct variant variants[] = {
	{ "ext2", "-t ext2" },
	{ "ext2-1k", "-t ext2 -b 1024" },
	{ "ext3-i128", "-t ext3 -I 128" },
	{ "ext3-nofiletype", "-t ext3 -O ^filetype" },
	{ "ext4", "-t ext4" },
	{ "ext4-1k", "-t ext4 -b 1024" },
	{ "no-csum-32bit", "-t ext4 -O ^metadata_csum,^64bit" },
	{ "inline-data", "-t ext4 -O inline_data" },
	{ "inline-data-i512-nocsum", "-t ext4 -I 512 -O inline_data,^metadata_csum" },
	{ "bigalloc", "-t ext4 -N 8192 -O bigalloc -C 65536" },
	{ "bigalloc-2k", "-t ext4 -b 2048 -N 8192 -O bigalloc -C 8192" },
	{ "ea-inode", "-t ext4 -O ea_inode" },
	{ "large-dir-seed", "-t ext4 -O large_dir,metadata_csum_seed" },
	{ "sparse-super2", "-t ext4 -O sparse_super2,^resize_inode" },
	{ "no-journal", "-t ext4 -O ^has_journal" },
	{ "uninit-bg-meta-bg", "-t ext4 -O ^metadata_csum,uninit_bg,meta_bg,^resize_inode" },
	{ "no-dir-index", "-t ext4 -O ^dir_index" },
	{ "project", "-t ext4 -O project" },
	{ "fast-commit", "-t ext4 -O fast_commit" },
};

/* One image changed by the driver, a copy of it by the kernel with a script of the same steps. */
struct both {
	struct image im;
	FILE *script;
	unsigned steps, data;
	bool ea_inode;
};

static const struct domu_fs_ops *ops(struct both *t)
{
	return t->im.fs->ops;
}

/* ---- one step ----------------------------------------------------------------- */

static void begin(struct both *t)
{
	domu_error_clear(&t->im.ctx);
	image_must_open(&t->im, DOMU_FS_WRITE);
}

static void end(struct both *t, int rc, const char *what)
{
	int status;

	cr_assert_eq(rc, 0, "%s: %d %s", what, rc, t->im.ctx.error.message);
	image_close(&t->im);
	status = run(&t->im, "e2fsck -fn img");
	cr_assert_eq(status, 0, "step %u, %s: e2fsck -fn: %d\n%s", t->steps, what, status, output(&t->im));
	t->steps++;
}

static uint64_t parent_of(struct both *t, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char dir[512];
	uint64_t ino;

	*name = slash != NULL ? slash + 1 : path;
	snprintf(dir, sizeof dir, "%.*s", slash != NULL ? (int)(slash - path) : 0, path);
	ino = walk(&t->im, dir);
	cr_assert_neq(ino, 0, "%s: no such folder", dir);
	return ino;
}

static uint64_t must_find(struct both *t, const char *path)
{
	uint64_t ino = walk(&t->im, path);

	cr_assert_neq(ino, 0, "%s: not there: %s", path, t->im.ctx.error.message);
	return ino;
}

static int make(struct both *t, const char *path, uint32_t mode, const char *target, uint32_t major, uint32_t minor)
{
	struct domu_stat a = { .mode = mode, .rdev_major = major, .rdev_minor = minor };
	const char *name;
	uint64_t dir = parent_of(t, path, &name), ino;

	return ops(t)->create(t->im.fs, dir, name, &a, target, &ino);
}

static void do_create(struct both *t, const char *path)
{
	begin(t);
	end(t, make(t, path, S_IFREG | 0644, NULL, 0, 0), path);
	fprintf(t->script, ": >%s\n", path);
}

static void do_mkdir(struct both *t, const char *path)
{
	begin(t);
	end(t, make(t, path, S_IFDIR | 0755, NULL, 0, 0), path);
	fprintf(t->script, "mkdir %s\n", path);
}

static void do_symlink(struct both *t, const char *path, const char *target)
{
	begin(t);
	end(t, make(t, path, S_IFLNK | 0777, target, 0, 0), path);
	fprintf(t->script, "ln -s %s %s\n", target, path);
}

static void do_mknod(struct both *t, const char *path, uint32_t type, uint32_t major, uint32_t minor)
{
	char c = type == S_IFCHR ? 'c' : type == S_IFBLK ? 'b' : 'p';

	begin(t);
	end(t, make(t, path, type | 0640, NULL, major, minor), path);
	fprintf(t->script, "mknod -m 640 %s %c ", path, c);
	if (type == S_IFIFO)
		fprintf(t->script, "\n");
	else
		fprintf(t->script, "%u %u\n", major, minor);
}

static void do_many(struct both *t, const char *dir, const char *prefix, unsigned from, unsigned to)
{
	char path[512];
	int rc = 0;

	begin(t);
	for (unsigned i = from; rc == 0 && i < to; i++) {
		snprintf(path, sizeof path, "%s/%s%u", dir, prefix, i);
		rc = make(t, path, S_IFREG | 0644, NULL, 0, 0);
	}
	end(t, rc, dir);
	fprintf(t->script, "i=%u; while [ $i -lt %u ]; do : >%s/%s$i; i=$((i+1)); done\n", from, to, dir, prefix);
}

static void do_many_dirs(struct both *t, const char *dir, unsigned n)
{
	char path[512];
	int rc = 0;

	begin(t);
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		snprintf(path, sizeof path, "%s/sub%u", dir, i);
		rc = make(t, path, S_IFDIR | 0755, NULL, 0, 0);
	}
	end(t, rc, dir);
	fprintf(t->script, "i=0; while [ $i -lt %u ]; do mkdir %s/sub$i; i=$((i+1)); done\n", n, dir);
}

static void do_unlink_many(struct both *t, const char *dir, const char *prefix, unsigned from, unsigned to)
{
	char name[512];
	uint64_t ino;
	int rc = 0;

	begin(t);
	ino = must_find(t, dir);
	for (unsigned i = from; rc == 0 && i < to; i++) {
		snprintf(name, sizeof name, "%s%u", prefix, i);
		rc = ops(t)->unlink(t->im.fs, ino, name);
	}
	end(t, rc, dir);
	fprintf(t->script, "i=%u; while [ $i -lt %u ]; do rm %s/%s$i; i=$((i+1)); done\n", from, to, dir, prefix);
}

static void do_write(struct both *t, const char *path, uint64_t offset, size_t len, size_t chunk)
{
	uint8_t *data = malloc(len);
	char file[256];
	uint32_t r = t->data * 2654435761u + 12345;
	size_t at = 0;
	uint64_t ino;
	FILE *f;
	int rc = 0;

	for (size_t i = 0; i < len; i++) {
		r = r * 1103515245u + 12345;
		data[i] = (uint8_t)(r >> 16);
	}
	snprintf(file, sizeof file, "%s/data%u", t->im.dir, t->data);
	f = fopen(file, "w");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite(data, 1, len, f), len);
	fclose(f);
	begin(t);
	ino = must_find(t, path);
	while (rc == 0 && at < len) {
		size_t n = len - at < chunk ? len - at : chunk;

		rc = ops(t)->write(t->im.fs, ino, data + at, n, offset + at);
		at += n;
	}
	end(t, rc, path);
	fprintf(t->script, "dd if=../data%u of=%s bs=1M oflag=seek_bytes seek=%lu conv=notrunc status=none\n",
	        t->data++, path, (unsigned long)offset);
	free(data);
}

static void do_truncate(struct both *t, const char *path, uint64_t size)
{
	begin(t);
	end(t, ops(t)->truncate(t->im.fs, must_find(t, path), size), path);
	fprintf(t->script, "truncate -s %lu %s\n", (unsigned long)size, path);
}

static void do_link(struct both *t, const char *old, const char *path)
{
	const char *name;
	uint64_t dir;

	begin(t);
	dir = parent_of(t, path, &name);
	end(t, ops(t)->link(t->im.fs, dir, name, must_find(t, old)), path);
	fprintf(t->script, "ln %s %s\n", old, path);
}

static void do_unlink(struct both *t, const char *path)
{
	const char *name;
	uint64_t dir;

	begin(t);
	dir = parent_of(t, path, &name);
	end(t, ops(t)->unlink(t->im.fs, dir, name), path);
	fprintf(t->script, "rm %s\n", path);
}

static void do_rmdir(struct both *t, const char *path)
{
	const char *name;
	uint64_t dir;

	begin(t);
	dir = parent_of(t, path, &name);
	end(t, ops(t)->rmdir(t->im.fs, dir, name), path);
	fprintf(t->script, "rmdir %s\n", path);
}

static int rename_rc(struct both *t, const char *from, const char *to)
{
	const char *name, *newname;
	uint64_t dir = parent_of(t, from, &name), newdir = parent_of(t, to, &newname);

	return ops(t)->rename(t->im.fs, dir, name, newdir, newname);
}

static void do_rename(struct both *t, const char *from, const char *to)
{
	begin(t);
	end(t, rename_rc(t, from, to), from);
	fprintf(t->script, "mv -fT %s %s\n", from, to);
}

static void do_setattr(struct both *t, const char *path, const struct domu_stat *st, unsigned mask)
{
	begin(t);
	end(t, ops(t)->setattr(t->im.fs, must_find(t, path), st, mask), path);
}

static void do_chmod(struct both *t, const char *path, uint32_t mode)
{
	do_setattr(t, path, &(struct domu_stat){ .mode = mode }, DOMU_ATTR_MODE);
	fprintf(t->script, "chmod %o %s\n", mode, path);
}

static void do_chown(struct both *t, const char *path, uint32_t uid, uint32_t gid)
{
	do_setattr(t, path, &(struct domu_stat){ .uid = uid, .gid = gid }, DOMU_ATTR_UID | DOMU_ATTR_GID);
	fprintf(t->script, "chown -h %u:%u %s\n", uid, gid, path);
}

static void do_times(struct both *t, const char *path, int64_t sec, long nsec)
{
	struct timespec ts = { .tv_sec = sec, .tv_nsec = nsec };

	do_setattr(t, path, &(struct domu_stat){ .atime = ts, .mtime = ts }, DOMU_ATTR_ATIME | DOMU_ATTR_MTIME);
	fprintf(t->script, "touch -h -d @%ld.%09ld %s\n", (long)sec, nsec, path);
}

static void do_setxattr(struct both *t, const char *path, const char *name, const void *value, size_t len)
{
	begin(t);
	end(t, ops(t)->setxattr(t->im.fs, must_find(t, path), name, value, len), name);
	fprintf(t->script, "setfattr -h -n %s -v 0x", name);
	for (size_t i = 0; i < len; i++)
		fprintf(t->script, "%02x", ((const uint8_t *)value)[i]);
	fprintf(t->script, " %s\n", path);
}

static void do_setxattr_long(struct both *t, const char *path, const char *name, size_t len, int fill)
{
	char *value = malloc(len);

	memset(value, fill, len);
	do_setxattr(t, path, name, value, len);
	free(value);
}

static void do_removexattr(struct both *t, const char *path, const char *name)
{
	begin(t);
	end(t, ops(t)->removexattr(t->im.fs, must_find(t, path), name), name);
	fprintf(t->script, "setfattr -h -x %s %s\n", name, path);
}

/* ---- the steps ------------------------------------------------------------------ */

static const char populate[] =
    "cd mnt\n"
    "mkdir -p a/b/c htree inl full empty\n"
    "i=0; while [ $i -lt 3000 ]; do : >htree/an-entry-with-a-long-name-$i; i=$((i+1)); done\n"
    "i=0; while [ $i -lt 20 ]; do echo $i >a/f$i; i=$((i+1)); done\n"
    "echo linked >hard0; i=1; while [ $i -lt 20 ]; do ln hard0 a/hard$i; i=$((i+1)); done\n"
    "for f in s1 s2 s3; do echo $f >$f; setfattr -n user.shared -v $(printf %0700d 1) $f; done\n"
    "echo own >own; setfattr -n user.own -v $(printf %0800d 2) own\n"
    "echo aclfile >acl; setfacl -m u:7:rwx,g:8:r acl\n"
    "printf 0123456789 >small; printf %0100d 0 >inl100; : >zero\n"
    "head -c 2000000 /dev/zero | tr '\\0' x >data\n"
    "truncate -s 100M sparse; printf y | dd of=sparse bs=1 seek=70000000 conv=notrunc status=none\n"
    "fallocate -l 300000 prealloc || head -c 300000 /dev/zero >prealloc\n"
    "i=0; while [ $i -lt 150 ]; do printf z | dd of=frag bs=1 seek=$((i*20000)) conv=notrunc status=none; i=$((i+1)); "
    "done\n"
    "ln -s short l1; ln -s /$(printf %0200d 3) l2; true\n";

static void steps_data(struct both *t)
{
	do_create(t, "new");
	do_write(t, "new", 0, 11, 11);
	do_write(t, "new", 5, 20000, 777);
	do_write(t, "new", 0, 3000000, 1 << 20);
	do_write(t, "new", 60000000, 50001, 4096);
	do_truncate(t, "new", 60010003);
	do_truncate(t, "new", 60020000);
	do_write(t, "new", 40000000, 100, 100);
	do_truncate(t, "new", 1000001);
	do_write(t, "data", 4095, 4098, 5000);
	do_write(t, "data", 1999999, 300000, 300000);
	do_write(t, "sparse", 1000, 10, 10);
	do_write(t, "sparse", 33333333, 1234567, 65536);
	do_truncate(t, "sparse", 34000000);
	do_write(t, "prealloc", 12345, 10000, 10000);
	do_write(t, "prealloc", 290000, 30000, 30000);
	do_write(t, "frag", 15000, 200000, 200000);
	do_truncate(t, "frag", 77777);
	do_write(t, "small", 3, 4, 4);
	do_write(t, "small", 12, 4, 4);
	do_write(t, "inl100", 90, 5000, 5000);
	do_truncate(t, "inl100", 50);
	do_truncate(t, "s1", 1);
	do_truncate(t, "zero", 10);
	do_truncate(t, "own", 0);
}

static void steps_names(struct both *t)
{
	do_mkdir(t, "d1");
	do_mkdir(t, "d1/d2");
	do_many(t, "inl", "e", 0, 25);
	do_many(t, "d1", "file-in-a-plain-directory-", 0, 300);
	do_many(t, "htree", "one-more-entry-with-a-long-name-", 0, 700);
	do_unlink_many(t, "htree", "an-entry-with-a-long-name-", 1000, 1600);
	do_many_dirs(t, "full", 60);
	do_symlink(t, "d1/fast", "target");
	do_symlink(t, "d1/almost", "12345678901234567890123456789012345678901234567890123456789");
	do_symlink(t, "d1/slow", "123456789012345678901234567890123456789012345678901234567890");
	do_unlink(t, "l1");
	do_unlink(t, "l2");
	do_mknod(t, "c", S_IFCHR, 4, 64);
	do_mknod(t, "b", S_IFBLK, 259, 70000);
	do_mknod(t, "p", S_IFIFO, 0, 0);
	do_link(t, "hard0", "d1/hard20");
	do_unlink(t, "hard0");
	do_unlink_many(t, "a", "hard", 1, 20);
	do_unlink(t, "d1/hard20");
	do_unlink(t, "a/f0");
	do_unlink(t, "c");
	do_rmdir(t, "empty");
	do_unlink(t, "frag");
	do_unlink(t, "sparse");
}

static void steps_rename(struct both *t)
{
	do_rename(t, "a/f1", "a/renamed");
	do_rename(t, "a/f2", "moved");
	do_rename(t, "a/f3", "a/f4");
	do_rename(t, "own", "data");
	do_rename(t, "a/b/c", "d1/c");
	do_rename(t, "d1/d2", "d1/c");
	do_rename(t, "a/b", "inl/b");
	do_rename(t, "d1/c", "full/sub3");
	do_rename(t, "full/sub4", "inl/b");
	do_rename(t, "htree", "d1/htree");
	do_rename(t, "d1/fast", "d1/htree/fast");
	begin(t);
	cr_assert_eq(rename_rc(t, "d1", "d1/htree/x"), -EINVAL);
	cr_assert_eq(rename_rc(t, "d1", "full"), -ENOTEMPTY);
	cr_assert_eq(rename_rc(t, "a/f5", "full"), -EISDIR);
	cr_assert_eq(rename_rc(t, "a", "moved"), -ENOTDIR);
	cr_assert_eq(rename_rc(t, "gone", "moved"), -ENOENT);
	end(t, 0, "refused renames");
}

static void steps_attr(struct both *t)
{
	static const uint8_t acl[] = { 2, 0,    0,    0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  7,
		                       0, 0x39, 0x30, 0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
		                       5, 0,    255,  255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255 };
	static const uint8_t plain[] = { 2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 4,   0,
		                         4, 0, 255, 255, 255, 255, 32, 0, 1,   0,   255, 255, 255, 255 };

	do_chmod(t, "data", 04711);
	do_chmod(t, "acl", 0640);
	do_chown(t, "a/f6", 70000, 80000);
	do_chown(t, "d1/slow", 5, 6);
	do_times(t, "a/f6", 1234567890, 123456789);
	do_times(t, "a/f7", 5000000000, 999999999);
	do_times(t, "a/f8", -86400, 0);
	do_times(t, "full/sub3", 1700000000, 1);
	do_setxattr(t, "a/f6", "user.one", "1", 1);
	do_setxattr(t, "a/f6", "security.capability", "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	do_setxattr_long(t, "a/f6", "user.long", 500, 'l');
	do_setxattr_long(t, "a/f6", "user.longer", 60, 'm');
	do_setxattr(t, "a/f6", "user.empty", "", 0);
	do_setxattr_long(t, "a/f6", "user.long", 30, 'n');
	do_setxattr_long(t, "s1", "user.more", 40, 's');
	do_setxattr_long(t, "s2", "user.shared", 100, 'r');
	do_removexattr(t, "s3", "user.shared");
	do_removexattr(t, "a/f6", "user.one");
	do_setxattr(t, "a/f9", "system.posix_acl_access", acl, sizeof acl);
	do_chmod(t, "a/f9", 0751);
	do_setxattr(t, "a/f10", "system.posix_acl_access", acl, sizeof acl);
	do_setxattr(t, "a/f10", "system.posix_acl_access", plain, sizeof plain);
	do_setxattr(t, "d1", "system.posix_acl_default", acl, sizeof acl);
	do_setxattr(t, "d1", "trusted.x", "abc", 3);
	do_setxattr_long(t, "small", "user.onsmall", 300, 'i');
	if (t->ea_inode) {
		do_setxattr_long(t, "a/f11", "user.huge", 20000, 'h');
		do_setxattr_long(t, "a/f12", "user.huge", 9000, 'h');
		do_setxattr_long(t, "a/f11", "user.huge", 30000, 'g');
		do_removexattr(t, "a/f12", "user.huge");
		do_unlink(t, "a/f11");
	}
	do_unlink(t, "s2");
	do_unlink(t, "a/f9");
	do_setattr(t, "a/f13", &(struct domu_stat){ .flags = EXT2_NODUMP_FL | EXT2_NOATIME_FL | EXT2_IMMUTABLE_FL },
	           DOMU_ATTR_FLAGS);
	fprintf(t->script, "chattr +dAi a/f13\n");
	begin(t);
	cr_assert_eq(ops(t)->write(t->im.fs, must_find(t, "a/f13"), "x", 1, 0), -EPERM);
	cr_assert_eq(ops(t)->unlink(t->im.fs, must_find(t, "a"), "f13"), -EPERM);
	cr_assert_eq(ops(t)->rmdir(t->im.fs, t->im.fs->root, "full"), -ENOTEMPTY);
	cr_assert_eq(make(t, "data", S_IFREG | 0644, NULL, 0, 0), -EEXIST);
	cr_assert_eq(ops(t)->removexattr(t->im.fs, must_find(t, "data"), "user.absent"), -ENODATA);
	end(t, 0, "refused changes");
}

/* ---- equal trees ------------------------------------------------------------------ */

/* Everything but what is of the moment: times are compared where they were set. */
static const char show[] =
    "cd mnt && { find . \\( -type d -printf 'd %%P %%m %%U %%G %%n\\n' \\) -o -printf '%%y %%P %%m %%U %%G %%n %%s "
    "%%l\\n'"
    " | sort; find . -type f -exec sha256sum {} + | sort -k2; getfattr -R -h -d -m - -e hex . 2>&1 | cat;"
    " stat -c '%%n %%t %%T' b p; find a/f6 a/f7 a/f8 full/sub3 -printf '%%P %%T@ %%A@\\n';"
    " lsattr -p a/f13 | tr -d eN; } >../%s";

static void compare_trees(struct both *t)
{
	struct image *im = &t->im;

	cr_assert(image_mount(im, "noatime"), "%s", output(im));
	cr_assert_eq(run(im, show, "ours"), 0, "%s", output(im));
	image_umount(im);
	image_clean(im);
	cr_assert_eq(run(im, "mv img img-driver && mv img-kernel img"), 0);
	cr_assert(image_mount(im, "noatime"));
	cr_assert_eq(run(im, "cd mnt && sh -e ../script"), 0, "%s", output(im));
	cr_assert_eq(run(im, show, "theirs"), 0, "%s", output(im));
	cr_assert_eq(run(im, "chattr -i mnt/a/f13"), 0);
	image_umount(im);
	cr_assert_eq(run(im, "diff ours theirs"), 0, "ours and the kernel's:\n%s", output(im));
}

ParameterizedTestParameters(fsext_change, as_the_kernel)
{
	return cr_make_param_array(struct variant, variants, sizeof variants / sizeof variants[0]);
}

ParameterizedTest(struct variant *v, fsext_change, as_the_kernel, .timeout = 600)
{
	struct both t = { .steps = 0 };
	char path[128];

	image_make(&t.im, "160M", v->mke2fs);
	t.ea_inode = strstr(v->mke2fs, "ea_inode") != NULL;
	if (!image_mount(&t.im, "")) {
		image_free(&t.im);
		cr_skip_test("this kernel does not mount it: %s", v->name);
	}
	cr_assert_eq(run(&t.im, "%s", populate), 0, "%s", output(&t.im));
	image_umount(&t.im);
	cr_assert_eq(run(&t.im, "cp --sparse=always img img-kernel"), 0);
	snprintf(path, sizeof path, "%s/script", t.im.dir);
	t.script = fopen(path, "w");
	cr_assert_not_null(t.script);
	steps_data(&t);
	steps_names(&t);
	steps_rename(&t);
	steps_attr(&t);
	cr_assert_eq(fclose(t.script), 0);
	compare_trees(&t);
	image_free(&t.im);
}
