/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fsext-mutants.c - damaged images: whatever a disk says, reading and changing end, soon, and without a crash. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/msg.h"
#include "fs/scan.h"
#include "fsext-util.h"

#define MUTANTS   50 /* of each kind of image */
#define BUDGET    (64u << 20) /* bytes read of one mutant */
#define MAX_FILES 5000
#define MAX_DEPTH 16
#define SECONDS   300 /* for one mutant, sanitizers and a busy machine included */

struct variant {
	const char mke2fs[96];
};

/* Without checksums of metadata, which would catch nearly all of it at once; and one with them. */
static struct variant variants[] = {
	{ "-t ext2 -b 1024" },
	{ "-t ext3 -b 1024 -I 128" },
	{ "-t ext4 -b 1024 -O ^metadata_csum" },
	{ "-t ext4 -b 1024 -O ^metadata_csum,inline_data,ea_inode" },
	{ "-t ext4 -b 1024 -N 4096 -O ^metadata_csum,bigalloc -C 4096" },
	{ "-t ext4 -b 4096" },
};

static const char populate[] =
    "cd mnt\n"
    "mkdir -p a/b/c h\n"
    "i=0; while [ $i -lt 300 ]; do : >h/entry-with-a-long-name-$i; i=$((i+1)); done\n"
    "i=0; while [ $i -lt 60 ]; do printf z | dd of=frag bs=1 seek=$((i*9000)) conv=notrunc status=none; i=$((i+1)); "
    "done\n"
    "head -c 300000 /dev/zero >data; ln -s x l1; ln -s /$(printf %0200d 3) l2; printf abc >a/small; printf %0100d 1 "
    ">a/b/s\n"
    "for f in s1 s2; do echo $f >$f; setfattr -n user.shared -v $(printf %0500d 1) $f; done\n"
    "setfacl -m u:7:rwx data; setfacl -d -m g:7:rwx a; setfattr -n user.big -v $(printf %0900d 1) a/small\n"
    "setfattr -n user.huge -v $(printf %03000d 1) a/b/s 2>/dev/null; mknod c c 1 2; mkfifo p; true\n";

struct sweep {
	struct image *im;
	unsigned files, depth;
	uint64_t read;
};

static int ignore_xattr(void *user, const char *name, const void *value, size_t len)
{
	const volatile uint8_t *p = value;
	uint8_t sum = 0;

	(void)name;
	for (size_t i = 0; i < len; i++)
		sum ^= p[i];
	*(uint8_t *)user ^= sum;
	return 0;
}

static void look_at(struct sweep *s, uint64_t ino);

static int look_entry(void *user, const char *name, size_t len, uint64_t ino, uint32_t type)
{
	struct sweep *s = user;

	(void)type;
	cr_assert_eq(strlen(name), len);
	cr_assert_leq(len, 255);
	cr_assert_null(strchr(name, '/'));
	if (++s->files > MAX_FILES || s->read > BUDGET)
		return 1;
	look_at(s, ino);
	return 0;
}

static void look_at(struct sweep *s, uint64_t ino)
{
	const struct domu_fs_ops *ops = s->im->fs->ops;
	static char buf[65536];
	struct domu_stat st;
	uint64_t at = 0;
	uint8_t sum = 0;

	if (ops->stat(s->im->fs, ino, &st) != 0)
		return;
	ops->listxattr(s->im->fs, ino, ignore_xattr, &sum);
	ops->readlink(s->im->fs, ino, buf, sizeof buf);
	/* A size may lie by any amount: the reader has a budget, each call must return. */
	for (unsigned i = 0; i < 20; i++) {
		ssize_t n = ops->read(s->im->fs, ino, buf, sizeof buf, at);

		if (n <= 0)
			break;
		cr_assert_leq((size_t)n, sizeof buf);
		s->read += (uint64_t)n;
		at += (uint64_t)n;
	}
	ops->read(s->im->fs, ino, buf, sizeof buf, st.size > 3000 ? st.size - 3000 : 0);
	if (s->depth < MAX_DEPTH) {
		s->depth++;
		ops->readdir(s->im->fs, ino, look_entry, s);
		s->depth--;
	}
}

static void try_changes(struct image *im)
{
	const struct domu_fs_ops *ops = im->fs->ops;
	struct domu_stat a = { .mode = S_IFREG | 0644 }, d = { .mode = S_IFDIR | 0755 };
	uint64_t root = im->fs->root, ino, dir;
	static const char *const names[] = { "data", "frag", "s1", "l2", "c" };
	char text[5000];

	memset(text, 'w', sizeof text);
	for (unsigned i = 0; i < 5; i++) {
		if (ops->lookup(im->fs, root, names[i], &ino) != 0)
			continue;
		ops->write(im->fs, ino, text, sizeof text, 7000);
		ops->truncate(im->fs, ino, 12345);
		ops->setxattr(im->fs, ino, "user.new", text, 300);
		ops->setattr(im->fs, ino, &(struct domu_stat){ .mode = 0600 }, DOMU_ATTR_MODE);
		if (i % 2 == 0)
			ops->unlink(im->fs, root, names[i]);
	}
	if (ops->lookup(im->fs, root, "h", &dir) == 0) {
		ops->create(im->fs, dir, "new", &a, NULL, &ino);
		ops->unlink(im->fs, dir, "entry-with-a-long-name-7");
		ops->rename(im->fs, dir, "entry-with-a-long-name-8", root, "moved");
	}
	if (ops->lookup(im->fs, root, "a", &dir) == 0) {
		if (ops->create(im->fs, dir, "sub", &d, NULL, &ino) == 0)
			ops->rename(im->fs, dir, "b", ino, "b");
		if (ops->lookup(im->fs, dir, "small", &ino) == 0)
			ops->write(im->fs, ino, text, 1000, 0);
	}
}

/* ---- the scan says what stat and readdir say, or nothing ------------------------------- */

struct names {
	char *v[4096];
	size_t n;
};

static void add_name(struct names *l, const char *name, uint64_t ino)
{
	cr_assert_lt(l->n, sizeof l->v / sizeof *l->v);
	cr_assert_geq(asprintf(&l->v[l->n++], "%s %llu", name, (unsigned long long)ino), 0);
}

static int of_scan(void *user, const char *name, size_t len, uint64_t ino)
{
	cr_assert_eq(strlen(name), len);
	add_name(user, name, ino);
	return 0;
}

static int of_readdir(void *user, const char *name, size_t len, uint64_t ino, uint32_t type)
{
	(void)len;
	(void)type;
	add_name(user, name, ino);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	l->n = 0;
}

static void same_stat(const struct domu_stat *a, const struct domu_stat *b)
{
	struct domu_msg x = DOMU_MSG_INIT(0), y = DOMU_MSG_INIT(0);

	domu_msg_put_stat(&x, a);
	domu_msg_put_stat(&y, b);
	cr_assert_eq(x.len, y.len);
	cr_assert_eq(memcmp(x.data, y.data, x.len), 0, "inode %llu", (unsigned long long)a->ino);
	domu_msg_free(&x);
	domu_msg_free(&y);
}

/* True: the scan has the names of this directory. */
static bool same_names(struct image *im, const struct domu_scan_tree *scan, uint64_t dir)
{
	static struct names a, b;
	bool known = domu_scan_tree_names(scan, dir, of_scan, &a) == 0;

	if (known) {
		cr_assert_eq(im->fs->ops->readdir(im->fs, dir, of_readdir, &b), 0, "directory %llu",
		             (unsigned long long)dir);
		cr_assert_eq(a.n, b.n);
		qsort(a.v, a.n, sizeof *a.v, by_text);
		qsort(b.v, b.n, sizeof *b.v, by_text);
		for (size_t i = 0; i < a.n; i++)
			cr_assert_str_eq(a.v[i], b.v[i]);
	}
	free_names(&a);
	free_names(&b);
	return known;
}

/* whole: all that is there is in it. */
static void compare_tree(struct image *im, const struct domu_scan_tree *scan, bool whole)
{
	struct domu_scan_more more;
	struct domu_statfs sf;
	struct domu_stat st, scanned;

	im->fs->ops->statfs(im->fs, &sf);
	for (uint64_t ino = 0; ino < sf.files + 2 && ino < 100000; ino++) {
		bool known = domu_scan_tree_stat(scan, ino, &scanned, &more), dir = false;
		int rc;

		if (!known && !whole)
			continue;
		rc = im->fs->ops->stat(im->fs, ino, &st);
		cr_assert_eq(known, rc == 0, "inode %llu", (unsigned long long)ino);
		if (rc == 0) {
			same_stat(&scanned, &st);
			dir = S_ISDIR(st.mode);
		}
		if (dir)
			cr_assert(same_names(im, scan, ino) || !whole);
		domu_error_clear(&im->ctx);
	}
}

static void compare_scan(struct image *im, bool sound)
{
	struct domu_scan_tree *scan;

	if (domu_scan_tree_open(im->fs, &scan) == 0)
		compare_tree(im, scan, sound);
	else
		cr_assert(!sound);
	domu_scan_tree_free(scan);
	/* And as a part that holds all, or some of it. */
	for (unsigned shift = 14; shift <= 24; shift += 5) {
		scan = domu_scan_tree_batch(im->fs, &im->fs->root, 1, ~0u, (size_t)1 << shift);
		cr_assert_not_null(scan);
		compare_tree(im, scan, sound && shift == 24);
		domu_scan_tree_free(scan);
	}
}

static uint32_t rnd(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Blocks that hold something: the damage is spread over these. */
static size_t used_blocks(const uint8_t *image, size_t size, uint32_t **list)
{
	static const uint8_t zeros[1024];
	size_t n = 0;

	*list = malloc(size / 1024 * sizeof **list);
	for (size_t i = 1; i < size / 1024; i++)
		if (memcmp(image + i * 1024, zeros, sizeof zeros) != 0)
			(*list)[n++] = (uint32_t)i;
	return n;
}

static void mutate(uint8_t *m, const uint32_t *blocks, size_t n, uint32_t *r)
{
	static const uint32_t odd[] = { 0, 1, 0xffffffff, 0x7fffffff, 0x80000000, 0xffff, 2, 11 };
	unsigned count = 1 + rnd(r) % 24;

	for (unsigned i = 0; i < count; i++) {
		uint8_t *b = m + (size_t)blocks[rnd(r) % n] * 1024;
		uint32_t v = rnd(r) % 2 == 0 ? odd[rnd(r) % 8] : rnd(r);
		size_t at = rnd(r) % 1020 & ~3u;

		switch (rnd(r) % 5) {
		case 0:
			b[rnd(r) % 1024] = (uint8_t)rnd(r);
			break;
		case 1:
			b[rnd(r) % 1024] ^= (uint8_t)(1u << rnd(r) % 8);
			break;
		case 2:
			memcpy(b + at, &v, 2);
			break;
		case 3:
			memcpy(b + at, &v, 4);
			break;
		default:
			memcpy(b, m + (size_t)blocks[rnd(r) % n] * 1024, rnd(r) % 4 == 0 ? 1024 : 128);
		}
	}
}

static uint8_t *load(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	uint8_t *data;

	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &st), 0);
	*size = (size_t)st.st_size;
	data = malloc(*size);
	cr_assert_eq(pread(fd, data, *size, 0), (ssize_t)*size);
	close(fd);
	return data;
}

static void store(const char *path, const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY);

	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite(fd, data, size, 0), (ssize_t)size);
	close(fd);
}

/* SIGALRM ends the test as a crash: that is what a hang is. */
static void one_mutant(struct image *im, bool sound)
{
	struct sweep s = { .im = im };

	alarm(SECONDS);
	domu_error_clear(&im->ctx);
	if (image_open(im, DOMU_FS_UNREPLAYED) == 0) {
		struct domu_statfs sf;

		im->fs->ops->statfs(im->fs, &sf);
		compare_scan(im, sound);
		look_at(&s, im->fs->root);
		ext_close(im->fs);
		im->fs = NULL;
		domu_block_close(im->block);
		close(im->fd);
	}
	domu_error_clear(&im->ctx);
	if (image_open(im, DOMU_FS_WRITE) == 0) {
		try_changes(im);
		ext_close(im->fs);
		im->fs = NULL;
		domu_block_close(im->block);
		close(im->fd);
	}
	alarm(0);
}

ParameterizedTestParameters(fsext_mutants, end_without_a_crash)
{
	return cr_make_param_array(struct variant, variants, sizeof variants / sizeof variants[0]);
}

ParameterizedTest(struct variant *v, fsext_mutants, end_without_a_crash, .timeout = 600)
{
	const char *seed = getenv("FSEXT_SEED"), *count = getenv("FSEXT_MUTANTS");
	uint32_t r = seed != NULL ? (uint32_t)strtoul(seed, NULL, 10) : 1;
	unsigned long mutants = count != NULL ? strtoul(count, NULL, 10) : MUTANTS;
	struct image im;
	uint8_t *sound, *mutant;
	uint32_t *blocks;
	size_t size, n;

	image_make(&im, "6M", v->mke2fs);
	if (!image_mount(&im, "")) {
		image_free(&im);
		cr_skip_test("this kernel does not mount it");
	}
	cr_assert_eq(run(&im, "%s", populate), 0, "%s", output(&im));
	image_umount(&im);
	sound = load(im.path, &size);
	mutant = malloc(size);
	n = used_blocks(sound, size, &blocks);
	one_mutant(&im, true);
	for (unsigned long i = 0; i < mutants; i++) {
		memcpy(mutant, sound, size);
		mutate(mutant, blocks, n, &r);
		store(im.path, mutant, size);
		/* What a crash needs to be looked at stays behind. */
		if (getenv("FSEXT_KEEP") != NULL)
			store(getenv("FSEXT_KEEP"), mutant, size);
		one_mutant(&im, false);
	}
	free(blocks);
	free(mutant);
	free(sound);
	image_free(&im);
}
