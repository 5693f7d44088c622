/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fs-treeio.c - trees on the move: through a stream nothing is lost, and a hostile stream writes nowhere else. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "memfs.h"
#include "task/treeio.h"

static struct domu_ctx ctx;
static char dir[64];
static int dirfd_;
static char warned[4096];

static int sh(const char *fmt, ...) DOMU_PRINTF(1, 2);
static int sh(const char *fmt, ...)
{
	char cmd[4096], whole[4400];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof whole, "cd %s && { %s\n} >>out 2>&1", dir, cmd);
	status = system(whole);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void keep_message(void *user, enum domu_level level, const char *text)
{
	(void)user;
	(void)level;
	snprintf(warned, sizeof warned, "%s", text);
}

static void setup(void)
{
	domu_ctx_init(&ctx);
	ctx.cb.message = keep_message;
	snprintf(dir, sizeof dir, "/tmp/domu-treeio-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void teardown(void)
{
	close(dirfd_);
	sh("rm -rf %s", dir);
	domu_ctx_free(&ctx);
}

static int host_out(int fd, const char *name, unsigned flags)
{
	struct domu_sink s;

	cr_assert_eq(domu_treeio_to_stream(&ctx, fd, &s), 0);
	return domu_treeio_stream_end(&s, domu_treeio_from_host(&ctx, dirfd_, name, flags, NULL, &s));
}

/* ---- host to host through a stream: what cp does is the measure ------------------------- */

static int through_stream(const char *from, const char *to, unsigned flags)
{
	int p[2], rc, status;
	pid_t pid;

	cr_assert_eq(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		close(p[0]);
		_exit(host_out(p[1], from, flags) == 0 ? 0 : 1);
	}
	close(p[1]);
	rc = domu_treeio_host_in(&ctx, p[0], dirfd_, to, NULL, flags);
	close(p[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return rc != 0 ? rc : WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

#define MAKE_TREE                                                                                                    \
	"mkdir -p src/d/e src/ro; echo one >src/f; ln src/f src/d/hard; ln -s ../f src/d/link; ln -s /no src/dang\n" \
	"truncate -s 5M src/sparse; printf x | dd of=src/sparse bs=1 seek=3000000 conv=notrunc\n"                    \
	"head -c 3000000 /dev/urandom >src/big; mkfifo src/d/fifo; chmod 1770 src/d\n"                               \
	"setfattr -n user.x -v y src/f; chown 7:8 src/big; chmod 4755 src/big; touch -d 2001-02-03 src/d/e src/big " \
	"src/d/fifo\n"                                                                                               \
	"touch -h -d 2002-02-03 src/dang; chmod 500 src/ro; mkdir 'src/a b'; touch src/empty \"src/n\nl\"\n"

/* Everything that stat shows of a tree, in one text. */
#define SHOW(t)                                                                                        \
	"(cd " t " && find . -printf '%%P %%y %%m %%U %%G %%s %%n %%l %%T@\\n' | LC_ALL=C sort; cd " t \
	" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum)"

Test(treeio, an_archive_through_a_stream_is_what_cp_a_makes, .init = setup, .fini = teardown)
{
	cr_assert_eq(sh("set -e; umask 022\n" MAKE_TREE "cp -a src want"), 0);
	cr_assert_eq(through_stream("src", "got", DOMU_TREEIO_ARCHIVE), 0, "%s", ctx.error.message);
	cr_assert_eq(sh(SHOW("want") ">w; " SHOW("got") ">g; diff w g"), 0);
	cr_assert_eq(sh("test \"$(getfattr --only-values -n user.x got/f)\" = y"), 0);
	cr_assert_eq(sh("test $(stat -c %%b got/sparse) -lt 100"), 0, "holes are kept");
	cr_assert_eq(sh("test $(stat -c %%i got/f) = $(stat -c %%i got/d/hard)"), 0);
}

Test(treeio, without_archive_it_is_what_cp_r_makes, .init = setup, .fini = teardown)
{
	cr_assert_eq(sh("set -e; umask 022\n" MAKE_TREE "cp -r src want"), 0);
	umask(022);
	cr_assert_eq(through_stream("src", "got", DOMU_TREEIO_RECURSIVE), 0, "%s", ctx.error.message);
	cr_assert_eq(
	    sh("for t in want got; do (cd $t && find . ! -type d -printf '%%P %%y %%m %%U %%G %%s %%n %%l\\n' -o "
	       "-printf '%%P %%m %%U %%n\\n' | LC_ALL=C sort) >$t.txt; done; diff want.txt got.txt"),
	    0);
}

Test(treeio, what_is_there_is_merged_into_and_replaced, .init = setup, .fini = teardown)
{
	cr_assert_eq(
	    sh("set -e; umask 022\n" MAKE_TREE
	       "mkdir -p got/d; echo longer than one >got/f; ln -s /etc/passwd got/big; echo kept >got/d/kept\n"
	       "cp -p /etc/passwd passwd"),
	    0);
	cr_assert_eq(through_stream("src", "got", DOMU_TREEIO_ARCHIVE), 0, "%s", ctx.error.message);
	cr_assert_eq(sh("cmp src/f got/f && cmp src/big got/big && test ! -L got/big && cmp passwd /etc/passwd && "
	                "test -f got/d/kept"),
	             0);
}

Test(treeio, one_file_without_r, .init = setup, .fini = teardown)
{
	cr_assert_eq(sh("set -e\n" MAKE_TREE), 0);
	cr_assert_eq(through_stream("src/d/link", "copy", 0), 0, "%s", ctx.error.message);
	cr_assert_eq(sh("test ! -L copy && cmp copy src/f"), 0);
	cr_assert_lt(through_stream("src", "dir", 0), 0);
	cr_assert_not_null(strstr(ctx.error.message, "omitting directory"), "%s", ctx.error.message);
	cr_assert_neq(sh("test -e dir"), 0);
}

Test(treeio, directories_are_not_overwritten_by_files_nor_files_by_directories, .init = setup, .fini = teardown)
{
	cr_assert_eq(sh("mkdir d; touch f; mkdir src; touch one"), 0);
	cr_assert_lt(through_stream("one", "d", 0), 0);
	cr_assert_not_null(strstr(ctx.error.message, "cannot overwrite directory 'd'"));
	domu_error_clear(&ctx);
	cr_assert_lt(through_stream("src", "f", DOMU_TREEIO_RECURSIVE), 0);
	cr_assert_not_null(strstr(ctx.error.message, "cannot overwrite non-directory 'f'"));
}

/* ---- into a guest and out of it ----------------------------------------------------------- */

static struct domu_fs *mem;

static uint64_t at(const char *path)
{
	uint64_t ino = mem->root;
	char copy[256], *name = copy, *slash;

	snprintf(copy, sizeof copy, "%s", path);
	while (name != NULL) {
		slash = strchr(name, '/');
		if (slash != NULL)
			*slash++ = '\0';
		if (domu_fs_lookup(mem, ino, name, &ino) != 0)
			return 0;
		name = slash;
	}
	return ino;
}

static struct domu_tree *no_tree(void)
{
	struct domu_tree *t;

	cr_assert_eq(domu_tree_open(&ctx, NULL, 0, NULL, NULL, &t), 0);
	return t;
}

static int into_guest(const char *from, const char *name, unsigned flags)
{
	struct domu_treeio_into into = { .tree = no_tree(), .fs = mem, .dir = mem->root, .name = name };
	struct domu_sink s;
	int rc;

	cr_assert_eq(domu_treeio_to_guest(&ctx, &into, flags, &s), 0);
	rc = domu_treeio_from_host(&ctx, dirfd_, from, flags, NULL, &s);
	domu_treeio_guest_free(&s);
	domu_tree_close(into.tree);
	return rc;
}

Test(treeio, into_a_guest_a_file_keeps_its_inode_and_owner, .init = setup, .fini = teardown)
{
	struct domu_stat st, own = { .mode = 0640, .uid = 5 };
	uint64_t ino;
	char *text;
	size_t len;

	mem = memfs_new(&ctx);
	ino = memfs_file(mem, "/f", "something longer than that");
	cr_assert_eq(domu_fs_setattr(mem, ino, &own, DOMU_ATTR_MODE | DOMU_ATTR_UID), 0);
	cr_assert_eq(sh("echo new >new"), 0);
	cr_assert_eq(into_guest("new", "f", 0), 0, "%s", ctx.error.message);
	cr_assert_eq(at("f"), ino);
	cr_assert_eq(domu_fs_stat(mem, ino, &st), 0);
	cr_assert(st.uid == 5 && st.mode == (S_IFREG | 0640) && st.size == 4);
	cr_assert_eq(domu_fs_slurp(mem, ino, 100, &text, &len), 0);
	cr_assert_str_eq(text, "new\n");
	free(text);
	domu_fs_close(mem);
}

Test(treeio, a_tree_into_a_guest, .init = setup, .fini = teardown)
{
	struct domu_stat st;
	char target[64];

	mem = memfs_new(&ctx);
	memfs_dir(mem, "/d");
	cr_assert_eq(sh("set -e; umask 022\n" MAKE_TREE), 0);
	cr_assert_eq(into_guest("src", "copy", DOMU_TREEIO_ARCHIVE), 0, "%s", ctx.error.message);
	cr_assert_eq(at("copy/f"), at("copy/d/hard"));
	cr_assert_eq(domu_fs_stat(mem, at("copy/big"), &st), 0);
	cr_assert(st.mode == (S_IFREG | 04755) && st.uid == 7 && st.gid == 8 && st.size == 3000000);
	cr_assert_eq(domu_fs_stat(mem, at("copy/sparse"), &st), 0);
	cr_assert_eq(st.size, 5 << 20);
	cr_assert_eq(domu_fs_readlink(mem, at("copy/d/link"), target, sizeof target), 4);
	cr_assert_str_eq(target, "../f");
	cr_assert_eq(domu_fs_stat(mem, at("copy/d/e"), &st), 0);
	cr_assert_eq(st.mtime.tv_sec, 981158400);
	/* What is in it goes into a directory that is there. */
	cr_assert_eq(into_guest("src/d", ".", DOMU_TREEIO_ARCHIVE), 0, "%s", ctx.error.message);
	cr_assert_neq(at("hard"), 0);
	domu_fs_close(mem);
}

/* ---- a hostile stream ------------------------------------------------------------------------ */

struct memory {
	char *bytes;
	size_t len;
};

static struct memory record(const char *name)
{
	char path[128];
	struct memory m = { 0 };
	struct stat st;
	int fd;

	snprintf(path, sizeof path, "%s/stream", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_eq(host_out(fd, name, DOMU_TREEIO_ARCHIVE), 0);
	cr_assert_eq(fstat(fd, &st), 0);
	m.len = (size_t)st.st_size;
	m.bytes = malloc(m.len);
	cr_assert_eq(pread(fd, m.bytes, m.len, 0), (ssize_t)m.len);
	close(fd);
	return m;
}

static int play(const struct memory *m, size_t len)
{
	char path[128];
	int fd, into, rc;

	snprintf(path, sizeof path, "%s/play", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_eq(write(fd, m->bytes, len), (ssize_t)len);
	lseek(fd, 0, SEEK_SET);
	sh("rm -rf jail; mkdir -p jail/in");
	snprintf(path, sizeof path, "%s/jail/in", dir);
	into = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	domu_error_clear(&ctx);
	rc = domu_treeio_host_in(&ctx, fd, into, NULL, NULL, DOMU_TREEIO_ARCHIVE);
	close(into);
	close(fd);
	return rc;
}

Test(treeio, a_stream_cut_anywhere_is_an_error, .init = setup, .fini = teardown, .timeout = 600)
{
	struct memory m;

	cr_assert_eq(sh("mkdir -p src/d; echo text >src/d/f; ln -s x src/l; ln src/d/f src/g"), 0);
	m = record("src");
	cr_assert_eq(play(&m, m.len), 0, "%s", ctx.error.message);
	for (size_t len = 0; len < m.len; len += 1 + len / 40)
		cr_assert_lt(play(&m, len), 0, "cut at %zu of %zu", len, m.len);
	free(m.bytes);
}

Test(treeio, a_hostile_stream_writes_nowhere_else, .init = setup, .fini = teardown, .timeout = 600)
{
	static const char *const names[] = { "..", ".", "a/b", "../../x", "", "/etc" };
	struct memory m;
	uint64_t seed = 7;

	cr_assert_eq(sh("mkdir -p src/ddd; echo text >src/ddd/fff; ln -s ../../.. src/lll; ln src/ddd/fff src/ggg"), 0);
	m = record("src");
	for (unsigned i = 0; i < 600; i++) {
		struct memory bad = { .bytes = malloc(m.len), .len = m.len };

		memcpy(bad.bytes, m.bytes, m.len);
		for (unsigned k = 0; k < 1 + i % 4; k++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
			bad.bytes[(seed >> 33) % m.len] = (char)(seed >> 20);
		}
		play(&bad, bad.len);
		free(bad.bytes);
		if (i % 100 == 99)
			cr_assert_eq(sh("test \"$(ls jail)\" = in && ! test -e x"), 0);
	}
	/* A name made into a path, of the same length. */
	for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
		for (size_t i = 0; i + 4 < m.len; i++) {
			if (memcmp(m.bytes + i, "fff", 4) == 0 && strlen(names[k]) <= 3)
				memcpy(m.bytes + i, names[k], strlen(names[k]) + 1);
		}
		cr_assert_lt(play(&m, m.len), 0);
	}
	free(m.bytes);
}

/* A link first, then a file below its name: the oldest trick there is. */
Test(treeio, a_link_in_the_way_is_not_followed, .init = setup, .fini = teardown)
{
	struct domu_treeio_entry link = { .name = "d", .st.mode = S_IFLNK | 0777, .target = "../out" };
	struct domu_treeio_entry top = { .name = "t", .st.mode = S_IFDIR | 0755 };
	struct domu_treeio_entry sub = { .name = "d", .st.mode = S_IFDIR | 0755 };
	struct domu_sink s;

	cr_assert_eq(sh("mkdir outside"), 0);
	link.target = "../outside";
	cr_assert_eq(domu_treeio_to_host(&ctx, dirfd_, NULL, DOMU_TREEIO_ARCHIVE, &s), 0);
	cr_assert_eq(s.entry(&s, &top), 0);
	cr_assert_eq(s.entry(&s, &link), 0);
	cr_assert_lt(s.entry(&s, &sub), 0);
	domu_treeio_host_free(&s);
}
