/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-block-shim.c - e2fsprogs' programs through the shim leave what they leave on the image itself. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/io.h"
#include "base/num.h"
#include "block/shim.h"

#define MIB      (UINT64_C(1) << 20)
#define OFFSET   (3 * MIB + 512) /* of the filesystem on the disk: no whole unit */
#define SHIM_LIB BUILDDIR "/plugins/" DOMU_SHIM_FILE

static char dir[] = "/tmp/domu-test-shim-XXXXXX";
static struct domu_ctx ctx;

static void start(void)
{
	domu_ctx_init(&ctx);
	cr_assert_not_null(mkdtemp(dir));
}

static void stop(void)
{
	char *argv[] = { "rm", "-rf", dir, NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	domu_ctx_free(&ctx);
}

TestSuite(shim, .init = start, .fini = stop, .timeout = 600);

/* Runs a program in dir with these added to the environment (NULL: nothing); its exit status. */
static int run(const char *env, const char *preload, const char *const *argv)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int out = open("out", O_WRONLY | O_CREAT | O_APPEND, 0600);

		if (chdir(dir) < 0)
			_exit(126);
		out = open("out", O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(out, 1);
		dup2(out, 2);
		dup2(open("/dev/null", O_RDONLY), 0);
		/* Both runs of a program happen in one second. */
		setenv("E2FSCK_TIME", "1700000000", 1);
		setenv("E2FSPROGS_FAKE_TIME", "1700000000", 1);
		setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
		if (env != NULL)
			putenv(strdup(env));
		if (preload != NULL)
			setenv("LD_PRELOAD", preload, 1);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "%s ended by signal %d", argv[0], WTERMSIG(status));
	return WEXITSTATUS(status);
}

#define RUN(...) run(NULL, NULL, (const char *const[]){ __VA_ARGS__, NULL })

static int open_in_dir(const char *name, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, flags, 0600);
	cr_assert_geq(fd, 0, "%s", path);
	return fd;
}

static void *slurp(const char *name, size_t *len)
{
	int fd = open_in_dir(name, O_RDONLY);
	void *p;

	*len = (size_t)lseek(fd, 0, SEEK_END);
	p = malloc(*len + 1);
	cr_assert_eq(domu_pread_full(fd, p, *len, 0), 0);
	close(fd);
	return p;
}

static void spill(const char *name, const void *data, size_t len, uint64_t offset)
{
	int fd = open_in_dir(name, O_RDWR | O_CREAT);

	cr_assert_eq(domu_pwrite_full(&domu_io_system, fd, data, len, offset), 0);
	close(fd);
}

/* "fs": files, a deep directory, links; mke2fs adds the size. */
static void make_fs(const char *features, const char *block_size, const char *size)
{
	cr_assert_eq(RUN("sh", "-c",
	                 "mkdir -p tree/a/b/c && cp -r /usr/share/common-licenses tree/a && cp /bin/ls tree/a/b && "
	                 "for i in `seq 300`; do echo $i > tree/a/b/c/file$i; done; ln -s ../x tree/link; "
	                 "ln tree/a/b/ls tree/hard; rm -f fs"),
	             0);
	cr_assert_eq(RUN("mke2fs", "-q", "-F", "-t", "ext4", "-O", features, "-b", block_size, "-U",
	                 "11111111-2222-3333-4444-555555555555", "-E",
	                 "hash_seed=11111111-2222-3333-4444-555555555555,lazy_itable_init=0", "-d", "tree", "fs", size),
	             0);
}

struct shimmed {
	struct domu_shim desc;
	uint64_t size;
};

/* Puts "fs" on "disk" at OFFSET, with room for size bytes, and opens what the shim is given. */
static void setup_shim(struct shimmed *s, uint64_t size)
{
	size_t len;
	void *fs = slurp("fs", &len);
	int fd;

	memset(s, 0, sizeof *s);
	spill("disk", fs, len, OFFSET);
	free(fs);
	fd = open_in_dir("name", O_RDWR | O_CREAT | O_TRUNC);
	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
	s->size = size;
	s->desc.stack.base_fd = open_in_dir("disk", O_RDONLY);
	s->desc.stack.stage_fd = memfd_create("log", 0);
	cr_assert_eq(domu_log_init(&ctx, s->desc.stack.stage_fd), 0);
	s->desc.stack.replay_fd = -1;
	s->desc.stack.size = OFFSET + size + MIB;
	s->desc.stack.sector_size = 512;
	s->desc.stack.disk = 2;
	s->desc.offset = OFFSET;
	s->desc.size = size;
	s->desc.writable = true;
	snprintf(s->desc.name, sizeof s->desc.name, "%s/name", dir);
}

static void drop_shim(struct shimmed *s)
{
	close(s->desc.stack.base_fd);
	close(s->desc.stack.stage_fd);
	if (s->desc.stack.replay_fd >= 0)
		close(s->desc.stack.replay_fd);
}

static int run_shim(struct shimmed *s, const char *const *argv)
{
	char *env = domu_shim_format(&s->desc);
	int status = run(env, SHIM_LIB, argv);

	free(env);
	return status;
}

#define RUN_SHIM(s, ...) run_shim(s, (const char *const[]){ __VA_ARGS__, NULL })

/* What the stage shows, size bytes of the filesystem. */
static uint8_t *staged(struct shimmed *s, uint64_t size)
{
	struct domu_stack stack;
	uint8_t *got = malloc(size);

	cr_assert_eq(domu_stack_open(&ctx, &s->desc.stack, "xvda", &stack), 0, "%s", ctx.error.message);
	cr_assert_eq(domu_block_pread(stack.top, got, size, OFFSET), 0);
	domu_stack_close(&stack);
	return got;
}

static void expect_same(const char *what, const uint8_t *a, const uint8_t *b, size_t len, bool but_superblocks)
{
	for (size_t i = 0; i < len; i += 1024) {
		if (memcmp(a + i, b + i, 1024) == 0)
			continue;
		/* Only there are times and counts, which no variable fixes for resize2fs. */
		cr_assert(but_superblocks && domu_le16(a + i + 56) == 0xef53, "%s: bytes differ at %zu", what, i);
	}
}

static bool shown(const char *text)
{
	size_t len;
	char *out = slurp("out", &len);
	bool found;

	out[len] = '\0';
	found = strstr(out, text) != NULL;
	free(out);
	return found;
}

static void check_repair(const char *what)
{
	struct shimmed s;
	uint8_t *got, *direct, *base, *disk;
	size_t len, disk_len;
	int status;

	base = slurp("fs", &len);
	setup_shim(&s, len);
	status = RUN_SHIM(&s, "e2fsck", "-fy", s.desc.name);
	cr_assert_eq(RUN("e2fsck", "-fy", "fs"), status, "%s", what);
	cr_assert(status == 1 || status == 0, "%s: status %d", what, status);
	direct = slurp("fs", &len);
	got = staged(&s, len);
	cr_assert_neq(memcmp(base, direct, len), 0, "%s: nothing was to repair", what);
	expect_same(what, got, direct, len, false);
	/* The disk itself is untouched. */
	disk = slurp("disk", &disk_len);
	cr_assert_eq(memcmp(disk + OFFSET, base, len), 0);
	cr_assert_eq(RUN_SHIM(&s, "e2fsck", "-fn", s.desc.name), 0, "%s", what);
	drop_shim(&s);
	free(base);
	free(direct);
	free(got);
	free(disk);
}

/* Zeros in the first group's bitmaps and inode table, and lost inodes. */
static void damage(void)
{
	static const char *const cmds[] = { "clri <20>",          "clri /a/b",
		                            "freei <30>",         "setb 900 50",
		                            "freeb 700 400",      "sif <40> links_count 9",
		                            "sif /a/b/c size 77", "ssv free_blocks_count 5",
		                            "unlink /a/b/c/file7" };

	for (size_t i = 0; i < sizeof cmds / sizeof *cmds; i++)
		RUN("debugfs", "-w", "-R", cmds[i], "fs");
}

Test(shim, a_repair_is_byte_for_byte_the_direct_one)
{
	static const char *const kinds[][3] = { { "metadata_csum,64bit", "4096", "48M" },
		                                { "^metadata_csum,^64bit,^extents,^flex_bg", "1024", "24M" },
		                                { "metadata_csum,bigalloc,inline_data", "2048", "32M" } };

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		make_fs(kinds[i][0], kinds[i][1], kinds[i][2]);
		damage();
		check_repair(kinds[i][0]);
	}
}

Test(shim, a_journal_replay_is_byte_for_byte_the_direct_one)
{
	static const char *const block_sizes[] = { "1024", "4096" };

	for (size_t i = 0; i < 2; i++) {
		make_fs("metadata_csum", block_sizes[i], "48M");
		cr_assert_eq(RUN("sh", "-c",
		                 "head -c 300000 /dev/urandom > blocks; "
		                 "printf 'jo\\njw -b 5000-5060 blocks\\njw -b 6000-6004 blocks\\njw -b 5002-5070 "
		                 "blocks\\njc\\n' > cmd; "
		                 "debugfs -w -f cmd fs"),
		             0);
		check_repair("journal");
	}
}

Test(shim, a_replay_layer_takes_what_reading_needs)
{
	struct shimmed s;
	uint8_t *before, *after;
	size_t len;
	uint64_t stage_len;

	make_fs("metadata_csum", "4096", "48M");
	cr_assert_eq(RUN("sh", "-c",
	                 "head -c 300000 /dev/urandom > blocks; printf 'jo\\njw -b 5000-5060 blocks\\njc\\n' > cmd; "
	                 "debugfs -w -f cmd fs"),
	             0);
	before = slurp("fs", &len);
	setup_shim(&s, len);
	s.desc.stack.replay_fd = domu_replay_log(&ctx, NULL);
	cr_assert_eq(fcntl(s.desc.stack.replay_fd, F_SETFD, 0), 0);
	s.desc.stack.stage_readonly = true;
	stage_len = (uint64_t)lseek(s.desc.stack.stage_fd, 0, SEEK_END);
	cr_assert_leq(RUN_SHIM(&s, "e2fsck", "-p", "-E", "journal_only", s.desc.name), 1);
	cr_assert_eq((uint64_t)lseek(s.desc.stack.stage_fd, 0, SEEK_END), stage_len);
	after = staged(&s, len);
	cr_assert_neq(domu_le32(before + 1024 + 96) & 4, 0, "needs_recovery was set");
	cr_assert_eq(domu_le32(after + 1024 + 96) & 4, 0, "needs_recovery is cleared");
	drop_shim(&s);
	free(before);
	free(after);
}

static void check_resize(const char *features, const char *block_size, const char *from, uint64_t to)
{
	char size[32];
	struct shimmed s;
	uint8_t *got, *direct;
	size_t len;
	struct stat st;
	uint64_t longest;
	char name[300];

	make_fs(features, block_size, from);
	free(slurp("fs", &len));
	longest = to > len ? to : len;
	setup_shim(&s, longest);
	snprintf(size, sizeof size, "%" PRIu64 "K", to / 1024);
	cr_assert_eq(RUN_SHIM(&s, "resize2fs", s.desc.name, size), 0);
	/* A file that is too short gets a byte of its own at the end. */
	if (to == longest)
		cr_assert_eq(RUN("truncate", "-s", size, "fs"), 0);
	cr_assert_eq(RUN("resize2fs", "fs", size), 0);
	direct = slurp("fs", &len);
	cr_assert_eq(len, to);
	got = staged(&s, len);
	expect_same(features, got, direct, len, true);
	snprintf(name, sizeof name, "%s/name", dir);
	cr_assert_eq(stat(name, &st), 0);
	cr_assert_eq((uint64_t)st.st_size, to, "the name's length is the new size");
	cr_assert_eq(st.st_blocks, 0, "nothing is in it");
	cr_assert_eq(RUN_SHIM(&s, "e2fsck", "-fn", s.desc.name), 0);
	free(got);
	free(direct);
	drop_shim(&s);
}

Test(shim, resize2fs_grows_beyond_the_disk_and_shrinks)
{
	check_resize("metadata_csum,64bit", "4096", "48M", 300 * MIB);
	check_resize("^metadata_csum,^resize_inode", "1024", "20M", 90 * MIB);
	check_resize("metadata_csum,64bit", "4096", "300M", 64 * MIB);
	check_resize("^metadata_csum,^64bit", "1024", "90M", 24 * MIB);
}

Test(shim, other_programs_take_it_too)
{
	struct shimmed s;
	uint8_t *got;
	size_t len;

	make_fs("metadata_csum", "4096", "48M");
	free(slurp("fs", &len));
	setup_shim(&s, len);
	cr_assert_eq(RUN_SHIM(&s, "tune2fs", "-L", "shimmed", s.desc.name), 0);
	got = staged(&s, len);
	cr_assert_str_eq((const char *)got + 1024 + 120, "shimmed");
	free(got);
	cr_assert_eq(RUN_SHIM(&s, "debugfs", "-R", "cat /a/b/c/file33", s.desc.name), 0);
	cr_assert(shown("\n33\n"));
	cr_assert_eq(RUN_SHIM(&s, "mke2fs", "-q", "-F", "-t", "ext2", "-L", "made", s.desc.name), 0);
	got = staged(&s, len);
	cr_assert_str_eq((const char *)got + 1024 + 120, "made");
	free(got);
	cr_assert_eq(RUN_SHIM(&s, "e2fsck", "-fn", s.desc.name), 0);
	drop_shim(&s);
}

Test(shim, read_only_and_other_names_are_refused)
{
	struct shimmed s;
	size_t len;
	uint64_t log_len;

	make_fs("metadata_csum", "4096", "48M");
	free(slurp("fs", &len));
	setup_shim(&s, len);
	s.desc.writable = false;
	log_len = (uint64_t)lseek(s.desc.stack.stage_fd, 0, SEEK_END);
	cr_assert_eq(RUN_SHIM(&s, "e2fsck", "-fn", s.desc.name), 0);
	cr_assert_eq(RUN_SHIM(&s, "e2fsck", "-fy", s.desc.name), 8);
	cr_assert_eq(RUN_SHIM(&s, "e2fsck", "-fn", "fs"), 8);
	cr_assert(shown("Permission denied"));
	s.desc.stack.disk = 99;
	cr_assert_eq(RUN_SHIM(&s, "e2fsck", "-fn", s.desc.name), 8);
	cr_assert(shown("domu-shim: "));
	cr_assert_eq((uint64_t)lseek(s.desc.stack.stage_fd, 0, SEEK_END), log_len);
	drop_shim(&s);
}

Test(shim, the_environment_is_read_as_it_was_written)
{
	struct domu_shim in = { 0 }, out;
	char *text;

	in.stack =
	    (struct domu_stack_desc){ .base_fd = 3, .stage_fd = 7, .replay_fd = -1, .disk = 4, .size = UINT64_MAX / 2 };
	in.stack.sector_size = 4096;
	in.stack.stage_readonly = true;
	in.offset = 1;
	in.size = 1ull << 60;
	snprintf(in.name, sizeof in.name, "/a name with=signs ");
	text = domu_shim_format(&in);
	cr_assert_eq(strncmp(text, "DOMU_SHIM=", 10), 0);
	cr_assert_eq(domu_shim_parse(text + 10, &out), 0);
	cr_assert_eq(memcmp(&in, &out, sizeof in), 0);
	text[strlen(text) - strlen(in.name)] = '\0';
	cr_assert_eq(domu_shim_parse(text + 10, &out), -EINVAL);
	free(text);
	cr_assert_eq(domu_shim_parse("", &out), -EINVAL);
	cr_assert_eq(domu_shim_parse("v3 base=3", &out), -EINVAL);
}

Test(shim, a_volume_is_read_as_it_was_written)
{
	struct domu_volume v = { 0 };
	struct domu_shim in = { .size = 16 * 512, .writable = true, .name = "/a name" }, out;
	struct domu_lv_map *m;
	char *text;

	cr_assert_eq(domu_lv_parse("8@3:0;8/2@3:100,1:0", &m), 0);
	v.map = m;
	for (unsigned i = 0; i < DOMU_MAX_DISKS; i++)
		v.disks[i].base_fd = -1;
	v.disks[1] = (struct domu_stack_desc){
		.base_fd = 5, .stage_fd = 7, .replay_fd = -1, .disk = 1, .size = 1 << 20, .sector_size = 512
	};
	v.disks[3] = v.disks[1];
	v.disks[3].base_fd = 6;
	v.disks[3].disk = 3;
	v.disks[3].sector_size = 4096;
	in.stack = v.disks[1];
	in.stack.volume = &v;
	text = domu_shim_format(&in);
	cr_assert_eq(domu_shim_parse(text + 10, &out), 0, "%s", text);
	cr_assert_not_null(out.stack.volume);
	cr_expect(domu_lv_same(out.stack.volume->map, m));
	cr_expect_eq(memcmp(out.stack.volume->disks, v.disks, sizeof v.disks), 0);
	cr_expect_eq(out.stack.sector_size, 4096);
	cr_expect_geq(out.stack.base_fd, 5);
	cr_expect_str_eq(out.name, in.name);
	domu_lv_map_free((struct domu_lv_map *)(uintptr_t)out.stack.volume->map);
	free((void *)(uintptr_t)out.stack.volume);
	/* A map that is none. */
	*strstr(text, "@3:0") = ':';
	cr_expect_eq(domu_shim_parse(text + 10, &out), -EINVAL);
	free(text);
	domu_lv_map_free(m);
}
