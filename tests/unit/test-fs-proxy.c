/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fs-proxy.c - a filesystem over a socket: every call comes through, and a hostile other end is only an error. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/proxy-wire.h"
#include "memfs.h"

static struct domu_ctx ctx;
static struct domu_fs *fs;
static pid_t server;

/* The server in a process of its own: a file /f, a directory /d, a link /l, and inode numbers as made. */
static int serve_memfs(int sock)
{
	struct domu_ctx own;
	struct domu_fs *mem;
	int rc;

	domu_ctx_init(&own);
	mem = memfs_new(&own);
	memfs_file(mem, "/f", "hello");
	memfs_dir(mem, "/d");
	memfs_link(mem, "/l", "d/../f");
	memfs_raw_entry(mem, "/d", "evil/name", 3);
	rc = domu_proxy_serve(sock, mem);
	domu_fs_close(mem);
	domu_ctx_free(&own);
	return rc;
}

static void start(void)
{
	int sv[2];

	domu_ctx_init(&ctx);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	server = fork();
	if (server == 0) {
		close(sv[0]);
		_exit(serve_memfs(sv[1]) == 0 ? 0 : 1);
	}
	close(sv[1]);
	cr_assert_eq(domu_proxy_open(&ctx, sv[0], NULL, DOMU_FS_WRITE, &fs), 0);
	cr_assert_eq(fs->root, 2);
	cr_assert_str_eq(fs->probe.type, "mem");
}

static void stop(void)
{
	int status;

	cr_assert_eq(domu_fs_close(fs), 0);
	cr_assert_eq(waitpid(server, &status, 0), server);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	domu_ctx_free(&ctx);
}

static uint64_t at(const char *name)
{
	uint64_t ino;

	cr_assert_eq(domu_fs_lookup(fs, fs->root, name, &ino), 0);
	return ino;
}

static int count_names(void *user, const char *name, size_t len, uint64_t ino, uint32_t mode)
{
	(void)ino;
	(void)mode;
	cr_assert_eq(strlen(name), len);
	++*(int *)user;
	return 0;
}

/* A callback that asks for more on the same filesystem, as a caller does. */
static int stat_names(void *user, const char *name, size_t len, uint64_t ino, uint32_t mode)
{
	struct domu_stat st;
	uint64_t found;

	(void)len;
	cr_assert_eq(domu_fs_lookup(fs, fs->root, name, &found), 0);
	cr_assert_eq(found, ino);
	cr_assert_eq(domu_fs_stat(fs, ino, &st), 0);
	cr_assert_eq(st.mode & S_IFMT, mode);
	++*(int *)user;
	return 0;
}

static int stop_at_once(void *user, const char *name, size_t len, uint64_t ino, uint32_t mode)
{
	(void)user;
	(void)name;
	(void)len;
	(void)ino;
	(void)mode;
	return 77;
}

Test(proxy, reading_comes_through, .init = start, .fini = stop)
{
	struct domu_stat st;
	struct domu_statfs sf;
	char buf[64];
	int n = 0;

	cr_assert_eq(domu_fs_stat(fs, at("f"), &st), 0);
	cr_assert(S_ISREG(st.mode));
	cr_assert_eq(st.size, 5);
	cr_assert_eq(domu_fs_read(fs, at("f"), buf, sizeof buf, 1), 4);
	cr_assert_eq(memcmp(buf, "ello", 4), 0);
	cr_assert_eq(domu_fs_read(fs, at("f"), buf, sizeof buf, 5), 0);
	cr_assert_eq(domu_fs_readlink(fs, at("l"), buf, sizeof buf), 6);
	cr_assert_str_eq(buf, "d/../f");
	cr_assert_eq(domu_fs_readdir(fs, fs->root, stat_names, &n), 0);
	cr_assert_eq(n, 3);
	cr_assert_eq(domu_fs_readdir(fs, fs->root, stop_at_once, NULL), 77);
	cr_assert_eq(domu_fs_statfs(fs, &sf), 0);
	cr_assert_eq(sf.files_free, 900);
	cr_assert_eq(domu_fs_flush(fs), 0);
}

Test(proxy, an_impossible_name_is_left_out, .init = start, .fini = stop)
{
	int n = 0;

	cr_assert_eq(domu_fs_readdir(fs, at("d"), count_names, &n), 0);
	cr_assert_eq(n, 0);
}

static int one_xattr(void *user, const char *name, const void *value, size_t len)
{
	cr_assert_str_eq(name, "user.a");
	cr_assert_eq(len, 3);
	cr_assert_eq(memcmp(value, "x\0y", 3), 0);
	++*(int *)user;
	return 0;
}

Test(proxy, changes_come_through, .init = start, .fini = stop)
{
	struct domu_stat attr = { .mode = S_IFREG | 0600, .uid = 7, .mtime = { 1, 2 } }, st;
	uint64_t ino, other;
	char *big = malloc(3 << 20), *text;
	size_t len;
	int n = 0;

	cr_assert_eq(domu_fs_create(fs, fs->root, "new", &attr, NULL, &ino), 0);
	memset(big, 'x', 3 << 20);
	cr_assert_eq(domu_fs_write(fs, ino, big, 3 << 20, 10), 0);
	cr_assert_eq(domu_fs_slurp(fs, ino, 4 << 20, &text, &len), 0);
	cr_assert_eq(len, (3 << 20) + 10);
	cr_assert_eq(text[9], 0);
	cr_assert_eq(text[len - 1], 'x');
	cr_assert_eq(domu_fs_truncate(fs, ino, 4), 0);
	attr.mode = 0640;
	attr.gid = 9;
	cr_assert_eq(domu_fs_setattr(fs, ino, &attr, DOMU_ATTR_MODE | DOMU_ATTR_GID), 0);
	cr_assert_eq(domu_fs_stat(fs, ino, &st), 0);
	cr_assert_eq(st.mode, S_IFREG | 0640);
	cr_assert(st.uid == 7 && st.gid == 9 && st.size == 4 && st.mtime.tv_nsec == 2);
	cr_assert_eq(domu_fs_link(fs, fs->root, "hard", ino), 0);
	cr_assert_eq(domu_fs_rename(fs, fs->root, "new", at("d"), "moved"), 0);
	cr_assert_eq(domu_fs_lookup(fs, at("d"), "moved", &other), 0);
	cr_assert_eq(other, ino);
	cr_assert_eq(domu_fs_setxattr(fs, ino, "user.a", "x\0y", 3), 0);
	cr_assert_eq(domu_fs_listxattr(fs, ino, one_xattr, &n), 0);
	cr_assert_eq(n, 1);
	cr_assert_eq(domu_fs_removexattr(fs, ino, "user.a"), 0);
	cr_assert_eq(domu_fs_unlink(fs, fs->root, "hard"), 0);
	attr.mode = S_IFDIR | 0755;
	cr_assert_eq(domu_fs_create(fs, fs->root, "dir", &attr, NULL, &ino), 0);
	cr_assert_eq(domu_fs_rmdir(fs, fs->root, "dir"), 0);
	attr.mode = S_IFLNK | 0777;
	cr_assert_eq(domu_fs_create(fs, fs->root, "sym", &attr, "target", &ino), 0);
	free(big);
	free(text);
}

static void count_line(void *user, const char *line)
{
	cr_assert_eq(strncmp(line, "pass ", 5), 0);
	++*(int *)user;
}

Test(proxy, a_check_comes_through, .init = start, .fini = stop)
{
	int n = 0, result = -1;

	cr_assert_eq(domu_fs_check(fs, DOMU_CHECK_YES, count_line, &n, &result), 0);
	cr_assert_eq(n, 2);
	cr_assert_eq(result, 1);
}

Test(proxy, errors_keep_status_errno_and_message, .init = start, .fini = stop)
{
	uint64_t ino;

	cr_assert_eq(domu_fs_lookup(fs, fs->root, "absent", &ino), -ENOENT);
	cr_assert_eq(ctx.error.status, DOMU_OK, "an absent name is recorded by whoever wanted it");
	cr_assert_eq(domu_fs_unlink(fs, fs->root, "d"), -EISDIR);
	/* Past this end's own checks: the other end's are as good. */
	cr_assert_eq(fs->ops->lookup(fs, fs->root, "..", &ino), -EINVAL);
	cr_assert_eq(ctx.error.status, DOMU_FAILED);
	cr_assert_eq(ctx.error.err, -EINVAL);
	cr_assert_str_eq(ctx.error.message, "memfs: '..' cannot be a file's name");
}

Test(proxy, a_dead_server_is_an_error, .init = start)
{
	struct domu_stat st;

	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	cr_assert_lt(domu_fs_stat(fs, 2, &st), 0);
	cr_assert_eq(ctx.error.status, DOMU_FAILED);
	cr_assert_lt(domu_fs_stat(fs, 2, &st), 0);
	domu_fs_close(fs);
	domu_ctx_free(&ctx);
}

/* ---- a hostile client ------------------------------------------------------------ */

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void put_random(struct domu_msg *m)
{
	static const char *const strings[] = { "", "..", "a/b", "f", "d", "user.x" };

	switch (rnd() % 5) {
	case 0:
		domu_msg_put_str(m, strings[rnd() % 6]);
		break;
	case 1:
		domu_msg_put_bytes(m, "abcdefgh", rnd() % 9);
		break;
	case 2:
		domu_msg_put_u64(m, rnd());
		break;
	default:
		domu_msg_put_u64(m, rnd() % 8);
		break;
	}
}

Test(proxy, a_hostile_client_is_answered_and_does_no_harm, .timeout = 600)
{
	struct domu_msg m = DOMU_MSG_INIT(0), reply = DOMU_MSG_INIT(0);
	int sv[2], status;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	server = fork();
	if (server == 0) {
		close(sv[0]);
		_exit(serve_memfs(sv[1]) == 0 ? 0 : 1);
	}
	close(sv[1]);
	for (unsigned i = 0; i < 20000; i++) {
		/* Not TRUNCATE: the test's own driver would allocate what it is told. */
		uint32_t type = (uint32_t)(rnd() % (PROXY_OPS + 2));

		domu_msg_reset(&m, type == PROXY_TRUNCATE || type == PROXY_WRITE ? PROXY_STAT : type);
		for (uint64_t n = rnd() % 22; n > 0; n--)
			put_random(&m);
		cr_assert_eq(domu_msg_send(sv[0], &m), 0);
		do {
			cr_assert_eq(domu_msg_recv(sv[0], &reply), 0);
		} while (reply.type != PROXY_REPLY);
	}
	/* Half a header, then nothing. */
	cr_assert_eq(write(sv[0], "abc", 3), 3);
	close(sv[0]);
	cr_assert_eq(waitpid(server, &status, 0), server);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	domu_msg_free(&m);
	domu_msg_free(&reply);
}

/* ---- a hostile server ------------------------------------------------------------- */

/* Answers hello as it should, and then whatever the random numbers say. */
static void serve_nonsense(int sock, uint64_t how)
{
	struct domu_msg m = DOMU_MSG_INIT(0), inner = DOMU_MSG_INIT(0), reply = DOMU_MSG_INIT(0);

	seed = how * 2 + 1;
	for (bool first = true; domu_msg_recv(sock, &m) == 0; first = false) {
		domu_msg_reset(&inner, 0);
		if (first) {
			domu_msg_put_u64(&inner, PROXY_VERSION);
			domu_msg_put_u64(&inner, 2);
			domu_msg_put_u64(&inner, 1);
			for (int i = 0; i < 3; i++)
				domu_msg_put_str(&inner, "mem");
			domu_msg_put_u64(&inner, 0);
			domu_msg_put_u64(&inner, 0);
		} else {
			for (uint64_t n = rnd() % 30; n > 0; n--)
				put_random(&inner);
		}
		for (uint64_t n = first ? 0 : rnd() % 3; n > 0; n--) {
			domu_msg_reset(&reply, rnd() % 4 == 0 ? (uint32_t)rnd() : PROXY_PART_MSG);
			for (uint64_t k = rnd() % 8; k > 0; k--)
				put_random(&reply);
			domu_msg_send(sock, &reply);
		}
		domu_msg_reset(&reply, first || rnd() % 16 != 0 ? PROXY_REPLY : (uint32_t)rnd());
		domu_msg_put_u64(&reply, first || rnd() % 3 != 0 ? 0 : rnd() % 5000);
		domu_msg_put_u64(&reply, first ? 0 : rnd() % 10);
		domu_msg_put_str(&reply, rnd() % 2 ? NULL : "it failed");
		domu_msg_put_bytes(&reply, inner.data, inner.len);
		if (domu_msg_send(sock, &reply) != 0)
			break;
	}
	domu_msg_free(&m);
	domu_msg_free(&inner);
	domu_msg_free(&reply);
}

static void ask_everything(void)
{
	struct domu_stat st = { .mode = S_IFREG };
	struct domu_statfs sf;
	uint64_t ino;
	char buf[100];
	int n = 0;

	domu_fs_lookup(fs, 2, "f", &ino);
	domu_fs_stat(fs, 2, &st);
	domu_fs_readdir(fs, 2, count_names, &n);
	cr_assert_leq(domu_fs_readlink(fs, 3, buf, sizeof buf), 99);
	cr_assert_leq(domu_fs_read(fs, 3, buf, sizeof buf, 0), 100);
	domu_fs_statfs(fs, &sf);
	domu_fs_write(fs, 3, buf, 10, 0);
	domu_fs_check(fs, DOMU_CHECK_NO, NULL, NULL, &n);
}

Test(proxy, a_hostile_server_is_an_error, .timeout = 600)
{
	domu_ctx_init(&ctx);
	for (uint64_t how = 0; how < 1500; how++) {
		int sv[2];

		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
		server = fork();
		if (server == 0) {
			close(sv[0]);
			serve_nonsense(sv[1], how);
			_exit(0);
		}
		close(sv[1]);
		cr_assert_eq(domu_proxy_open(&ctx, sv[0], NULL, DOMU_FS_WRITE, &fs), 0);
		ask_everything();
		domu_fs_close(fs);
		domu_error_clear(&ctx);
		waitpid(server, NULL, 0);
	}
	domu_ctx_free(&ctx);
}

Test(proxy, a_server_that_is_gone_at_once_is_an_error)
{
	int sv[2];

	domu_ctx_init(&ctx);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	close(sv[1]);
	signal(SIGPIPE, SIG_IGN);
	cr_assert_lt(domu_proxy_open(&ctx, sv[0], NULL, 0, &fs), 0);
	cr_assert_null(fs);
	domu_ctx_free(&ctx);
}
