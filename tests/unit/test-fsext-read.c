/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fsext-read.c - what the ext driver reads is what the kernel reads. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fsext-util.h"

struct variant {
	const char name[24];
	const char mke2fs[64];
};

static struct variant variants[] = {
	{ "ext2", "-t ext2" },
	{ "ext3-i128", "-t ext3 -I 128" },
	{ "ext4", "-t ext4" },
	{ "ext4-1k", "-t ext4 -b 1024" },
	{ "ext2-2k-nofiletype", "-t ext2 -b 2048 -O ^filetype" },
	{ "no-csum-32bit", "-t ext4 -O ^metadata_csum,^64bit" },
	{ "inline-data", "-t ext4 -O inline_data" },
	{ "bigalloc", "-t ext4 -O bigalloc -C 65536" },
	{ "ea-inode", "-t ext4 -O ea_inode" },
	{ "large-dir-seed", "-t ext4 -O large_dir,metadata_csum_seed" },
	{ "no-journal", "-t ext4 -O ^has_journal" },
	{ "uninit-bg-meta-bg", "-t ext4 -O ^metadata_csum,uninit_bg,meta_bg,^resize_inode" },
};

ParameterizedTestParameters(fsext_read, equal_to_kernel)
{
	return cr_make_param_array(struct variant, variants, sizeof variants / sizeof variants[0]);
}

/* Made by the kernel, with all that an inode can have. */
static const char populate[] =
    "cd mnt\n"
    "mkdir -p d/e/f big empty\n"
    "cp -a /usr/share/perl5/Debconf* d 2>/dev/null; cp -a /usr/share/doc/libc6* d 2>/dev/null\n"
    "i=0; while [ $i -lt 1500 ]; do echo $i >big/entry-with-a-long-name-$i; i=$((i+1)); done\n"
    "echo short >s; ln -s s fast; ln -s /$(printf %0300d 7) slow; printf '' >zero\n"
    "head -c 100 /dev/urandom >in100; head -c 3000000 /dev/urandom >data\n"
    "truncate -s 100M sparse; printf x | dd of=sparse bs=1 seek=52428800 conv=notrunc status=none\n"
    "printf y | dd of=sparse bs=1 seek=99999999 conv=notrunc status=none\n"
    "fallocate -l 200000 prealloc 2>/dev/null && printf q | dd of=prealloc bs=1 seek=70000 conv=notrunc status=none\n"
    "i=0; while [ $i -lt 200 ]; do printf z | dd of=frag bs=1 seek=$((i*30000)) conv=notrunc status=none; i=$((i+1)); "
    "done\n"
    "mknod c c 5 1; mknod b b 300 70000; mkfifo p; ln data hard\n"
    "chown 100000:200000 s; chmod 4751 s; touch -d '2040-01-02 03:04:05.123456789' s\n"
    "touch -h -d '1960-05-06 07:08:09' fast\n"
    "setfattr -n user.one -v 1 s; setfattr -n user.long -v $(printf %0600d 5) s\n"
    "setfattr -n trusted.t -v 0x000102 d; setfacl -m u:77:rwx,g:88:r s; setfacl -d -m u:99:rx d\n"
    "setfattr -n user.big -v $(printf %02500d 6) in100; true\n";

static bool make_tree(struct image *im)
{
	if (!image_mount(im, ""))
		return false;
	cr_assert_eq(run(im, "%s", populate), 0, "%s", output(im));
	image_umount(im);
	return true;
}

static void same_time(const char *path, const char *what, struct timespec ours, struct timespec theirs)
{
	cr_assert(ours.tv_sec == theirs.tv_sec && ours.tv_nsec == theirs.tv_nsec, "%s: %s %ld.%ld, kernel %ld.%ld",
	          path, what, (long)ours.tv_sec, ours.tv_nsec, (long)theirs.tv_sec, theirs.tv_nsec);
}

static void same_content(struct image *im, const char *path, uint64_t ino, const struct stat *k)
{
	static const size_t sizes[] = { 65536, 4096, 1000, 300001 };
	int fd = open(path, O_RDONLY);
	size_t chunk = sizes[ino % 4];
	char *a = malloc(chunk), *b = malloc(chunk);
	off_t at = 0;

	cr_assert_geq(fd, 0);
	for (;;) {
		ssize_t n = im->fs->ops->read(im->fs, ino, a, chunk, (uint64_t)at);
		ssize_t m = pread(fd, b, chunk, at);

		cr_assert_eq(n, m, "%s: %zd at %ld, kernel %zd: %s", path, n, (long)at, m, im->ctx.error.message);
		if (n == 0)
			break;
		cr_assert_eq(memcmp(a, b, (size_t)n), 0, "%s: differs near %ld", path, (long)at);
		at += n;
	}
	cr_assert_eq(at, k->st_size);
	close(fd);
	free(a);
	free(b);
}

static const char *xattr_path;
static size_t xattr_count;

static int same_xattr(void *user, const char *name, const void *value, size_t len)
{
	char k[65536];
	ssize_t n = lgetxattr(xattr_path, name, k, sizeof k);

	(void)user;
	cr_assert_eq(n, (ssize_t)len, "%s: %s has %zu bytes, kernel %zd", xattr_path, name, len, n);
	cr_assert_eq(memcmp(k, value, len), 0, "%s: %s", xattr_path, name);
	xattr_count++;
	return 0;
}

static void same_xattrs(struct image *im, const char *path, uint64_t ino)
{
	char names[8192];
	ssize_t len = llistxattr(path, names, sizeof names);
	size_t n = 0;

	cr_assert_geq(len, 0);
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
		n++;
	xattr_path = path;
	xattr_count = 0;
	cr_assert_eq(im->fs->ops->listxattr(im->fs, ino, same_xattr, NULL), 0, "%s: %s", path, im->ctx.error.message);
	cr_assert_eq(xattr_count, n, "%s: %zu attributes, kernel %zu", path, xattr_count, n);
}

struct seen {
	struct image *im;
	const char *path;
	size_t n;
	unsigned long files;
};

static void compare(struct image *im, const char *path, uint64_t ino, unsigned long *files);

static int compare_entry(void *user, const char *name, size_t len, uint64_t ino, uint32_t type)
{
	struct seen *s = user;
	char path[4096];
	struct stat k;

	(void)len;
	snprintf(path, sizeof path, "%s/%s", s->path, name);
	cr_assert_eq(lstat(path, &k), 0, "%s: not there for the kernel", path);
	cr_assert_eq(k.st_ino, ino, "%s", path);
	cr_assert_eq(type, k.st_mode & S_IFMT, "%s: type %o", path, type);
	s->n++;
	compare(s->im, path, ino, &s->files);
	return 0;
}

static void compare_dir(struct image *im, const char *path, uint64_t ino, unsigned long *files)
{
	struct seen s = { .im = im, .path = path, .files = *files };
	char cmd[4200], text[32] = "";
	FILE *f;

	cr_assert_eq(im->fs->ops->readdir(im->fs, ino, compare_entry, &s), 0, "%s: %s", path, im->ctx.error.message);
	*files = s.files;
	snprintf(cmd, sizeof cmd, "ls -A '%s' | wc -l", path);
	f = popen(cmd, "r");
	cr_assert_not_null(f);
	cr_assert_not_null(fgets(text, sizeof text, f));
	pclose(f);
	cr_assert_eq(s.n, strtoul(text, NULL, 10), "%s: %zu entries, kernel %s", path, s.n, text);
}

static void compare(struct image *im, const char *path, uint64_t ino, unsigned long *files)
{
	struct domu_stat st;
	struct statx x;
	struct stat k;
	char a[4096], b[4096];
	ssize_t n;

	++*files;
	cr_assert_eq(lstat(path, &k), 0);
	cr_assert_eq(im->fs->ops->stat(im->fs, ino, &st), 0, "%s: %s", path, im->ctx.error.message);
	cr_assert_eq(st.mode, k.st_mode, "%s", path);
	cr_assert_eq(st.nlink, k.st_nlink, "%s", path);
	cr_assert_eq(st.uid, k.st_uid, "%s", path);
	cr_assert_eq(st.gid, k.st_gid, "%s", path);
	cr_assert_eq(st.size, (uint64_t)k.st_size, "%s", path);
	cr_assert_eq(st.sectors, (uint64_t)k.st_blocks, "%s: %lu, kernel %lu", path, st.sectors, k.st_blocks);
	cr_assert_eq(st.block_size, (uint32_t)k.st_blksize, "%s", path);
	if (S_ISCHR(k.st_mode) || S_ISBLK(k.st_mode))
		cr_assert(st.rdev_major == major(k.st_rdev) && st.rdev_minor == minor(k.st_rdev), "%s", path);
	same_time(path, "atime", st.atime, k.st_atim);
	same_time(path, "mtime", st.mtime, k.st_mtim);
	same_time(path, "ctime", st.ctime, k.st_ctim);
	cr_assert_eq(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &x), 0);
	if ((x.stx_mask & STATX_BTIME) != 0)
		same_time(path, "btime", st.btime,
		          (struct timespec){ .tv_sec = x.stx_btime.tv_sec, .tv_nsec = x.stx_btime.tv_nsec });
	same_xattrs(im, path, ino);
	if (S_ISREG(k.st_mode)) {
		same_content(im, path, ino, &k);
	} else if (S_ISLNK(k.st_mode)) {
		n = readlink(path, b, sizeof b);
		cr_assert_eq(im->fs->ops->readlink(im->fs, ino, a, sizeof a), n, "%s: %s", path, im->ctx.error.message);
		cr_assert_eq(memcmp(a, b, (size_t)n), 0, "%s", path);
	} else if (S_ISDIR(k.st_mode)) {
		compare_dir(im, path, ino, files);
	}
}

static void same_statfs(struct image *im)
{
	struct domu_statfs sf;
	struct statfs k;

	cr_assert_eq(statfs(im->mnt, &k), 0);
	cr_assert_eq(im->fs->ops->statfs(im->fs, &sf), 0);
	cr_assert_eq(sf.block_size, (uint32_t)k.f_bsize);
	cr_assert_eq(sf.size, k.f_blocks * (uint64_t)k.f_bsize, "size %lu, kernel %lu", sf.size,
	             k.f_blocks * (uint64_t)k.f_bsize);
	cr_assert_eq(sf.free, k.f_bfree * (uint64_t)k.f_bsize);
	cr_assert_eq(sf.avail, k.f_bavail * (uint64_t)k.f_bsize, "avail %lu, kernel %lu", sf.avail,
	             k.f_bavail * (uint64_t)k.f_bsize);
	cr_assert_eq(sf.files, k.f_files);
	cr_assert_eq(sf.files_free, k.f_ffree);
}

ParameterizedTest(struct variant *v, fsext_read, equal_to_kernel, .timeout = 600)
{
	struct image im;
	unsigned long files = 0;

	image_make(&im, "160M", v->mke2fs);
	if (!make_tree(&im)) {
		image_free(&im);
		cr_skip_test("this kernel does not mount it: %s", v->name);
	}
	cr_assert(image_mount(&im, "ro,noload") || image_mount(&im, "ro"));
	image_must_open(&im, 0);
	compare(&im, im.mnt, im.fs->root, &files);
	cr_assert_gt(files, 1500);
	same_statfs(&im);
	image_close(&im);
	image_umount(&im);
	image_free(&im);
}

Test(fsext_read, nothing_is_written_by_opening_for_writing, .timeout = 600)
{
	struct image im;

	image_make(&im, "32M", "-t ext4");
	cr_assert_eq(run(&im, "cp img before"), 0);
	image_must_open(&im, DOMU_FS_WRITE);
	cr_assert_neq(walk(&im, "lost+found"), 0);
	image_close(&im);
	cr_assert_eq(run(&im, "cmp img before"), 0, "%s", output(&im));
	image_free(&im);
}
