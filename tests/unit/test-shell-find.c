/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-shell-find.c - find's expressions: the host's own find is asked the same about the same tree. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/ctx.h"
#include "shell/find.h"

static struct domu_ctx ctx;
static char dir[] = "/tmp/test-shell-find.XXXXXX";

static void touch(const char *name, off_t size, mode_t mode, time_t age)
{
	int fd = open(name, O_WRONLY | O_CREAT, 0600);
	struct timespec t[2] = { { .tv_sec = time(NULL) - age }, { .tv_sec = time(NULL) - age } };

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, size), 0);
	cr_assert_eq(fchmod(fd, mode), 0);
	cr_assert_eq(futimens(fd, t), 0);
	close(fd);
}

static void init(void)
{
	domu_ctx_init(&ctx);
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	mkdir("sub", 0755);
	mkdir("sub/deep", 0700);
	mkdir("empty", 0755);
	touch("a.c", 0, 0644, 10);
	touch("B.C", 1, 0600, 3600);
	touch("sub/c.c", 512, 0755, 86400 + 60);
	touch("sub/d.txt", 513, 04755, 3 * 86400);
	touch("sub/deep/e.conf", 1 << 20, 0444, 400 * 86400);
	touch("sub/deep/.hidden", 100000, 0640, 90);
	touch("sub/[odd] name", 5, 0777, 5 * 86400);
	cr_assert_eq(symlink("a.c", "link"), 0);
	cr_assert_eq(symlink("/nowhere/at all", "sub/dangling"), 0);
	cr_assert_eq(link("a.c", "sub/hard"), 0);
	cr_assert_eq(mkfifo("sub/fifo", 0644), 0);
}

static int unlink_each(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void fini(void)
{
	nftw(dir, unlink_each, 16, FTW_PHYS | FTW_DEPTH);
	domu_ctx_free(&ctx);
}

TestSuite(find, .init = init, .fini = fini);

/* ---- ours: the expression over what the kernel's lstat says ---------------------------------- */

static struct {
	struct domu_find f;
	FILE *out;
	const char *path;
	size_t skip; /* below a pruned directory: its length */
	char pruned[256];
	bool quit;
} ours;

static int act(void *user, const struct domu_find_node *x)
{
	(void)user;
	fprintf(ours.out, "%s%c", ours.path, x->kind == FIND_PRINT0 ? '\0' : '\n');
	return 0;
}

static int each(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	const char *name = path + ftw->base;
	struct domu_stat ds = { .ino = st->st_ino,
		                .mode = st->st_mode,
		                .nlink = (uint32_t)st->st_nlink,
		                .uid = st->st_uid,
		                .gid = st->st_gid,
		                .size = (uint64_t)st->st_size,
		                .atime = st->st_atim,
		                .mtime = st->st_mtim,
		                .ctime = st->st_ctim };
	struct domu_find_item item = {

		.path = path,
		.path_len = strlen(path),
		.name = name,
		.st = &ds,
		.depth = (unsigned)ftw->level,
		.action = act
	};
	size_t n = strlen(ours.pruned);

	(void)flag;
	if (ours.quit || (n > 0 && strncmp(path, ours.pruned, n) == 0 && path[n] == '/'))
		return 0;
	if ((unsigned)ftw->level > ours.f.max_depth || (unsigned)ftw->level < ours.f.min_depth)
		return 0;
	ours.path = path;
	cr_assert_geq(domu_find_match(&ours.f, &item), 0);
	if (item.prune && S_ISDIR(st->st_mode))
		snprintf(ours.pruned, sizeof ours.pruned, "%s", path);
	ours.quit = item.quit;
	return 0;
}

static int look(void *user, const char *path, bool follow, struct domu_path *out)
{
	struct stat st;

	(void)user;
	if ((follow ? stat(path, &st) : lstat(path, &st)) != 0)
		return domu_fail(&ctx, DOMU_NOTFOUND, -errno, "%s", path);
	memset(out, 0, sizeof *out);
	out->ino = st.st_ino;
	out->st.atime = st.st_atim;
	out->st.mtime = st.st_mtim;
	out->st.ctime = st.st_ctim;
	return 0;
}

static int parse(char *const *words, size_t n, struct domu_find *f)
{
	struct domu_find_env env = { .ctx = &ctx, .look = look };

	domu_error_clear(&ctx);
	return domu_find_parse(&env, words, n, f);
}

static char *run_ours(char *const *words, size_t n)
{
	char *text = NULL;
	size_t len;

	memset(&ours, 0, sizeof ours);
	if (parse(words, n, &ours.f) != 0)
		return NULL;
	ours.out = open_memstream(&text, &len);
	cr_assert_eq(nftw(".", each, 16, FTW_PHYS), 0);
	fclose(ours.out);
	domu_find_free(&ours.f);
	return text;
}

static char *run_theirs(char *const *words, size_t n)
{
	char **argv = calloc(n + 3, sizeof *argv), *text = calloc(1, 65536);
	size_t len = 0;
	ssize_t r;
	int fd[2], status;
	pid_t pid;

	argv[0] = (char *)"find";
	argv[1] = (char *)".";
	memcpy(argv + 2, words, n * sizeof *argv);
	cr_assert_eq(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fd[1], STDOUT_FILENO);
		execvp("find", argv);
		_exit(127);
	}
	close(fd[1]);
	while ((r = read(fd[0], text + len, 65535 - len)) > 0)
		len += (size_t)r;
	close(fd[0]);
	waitpid(pid, &status, 0);
	free(argv);
	if (status == 0)
		return text;
	free(text);
	return NULL;
}

static int by_line(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_lines(char *text)
{
	char *v[256], *copy = strdup(text), *q = text;
	size_t n = 0;

	for (char *p = strtok(copy, "\n"); p != NULL; p = strtok(NULL, "\n"))
		v[n++] = p;
	qsort(v, n, sizeof *v, by_line);
	for (size_t i = 0; i < n; i++)
		q += sprintf(q, "%s\n", v[i]);
	free(copy);
}

static void same(const char *expression)
{
	char *copy = strdup(expression), *words[64], *a, *b;
	size_t n = 0;

	for (char *p = strtok(copy, " "); p != NULL; p = strtok(NULL, " ")) {
		for (char *q = p; *q != '\0'; q++)
			*q = *q == '_' ? ' ' : *q;
		words[n++] = p;
	}
	words[n] = NULL;
	a = run_ours(words, n);
	b = run_theirs(words, n);
	cr_assert_not_null(a, "%s: %s", expression, ctx.error.message);
	cr_assert_not_null(b, "%s", expression);
	sort_lines(a);
	sort_lines(b);
	cr_expect_str_eq(a, b, "find . %s\nours:\n%s\ntheirs:\n%s", expression, a, b);
	free(a);
	free(b);
	free(copy);
}

/* "_" stands for a blank. */
Test(find, tests_select_what_the_host_s_find_selects)
{
	static const char *const expressions[] = {
		"",
		"-name *.c",
		"-iname *.c",
		"-name *o*",
		"-name .*",
		"-name \\[odd\\]_*",
		"-path *deep*",
		"-path ./sub/*",
		"-ipath *SUB*",
		"-wholename ./a.c",
		"-type f",
		"-type d",
		"-type l",
		"-type p",
		"-type f,l",
		"-size 0",
		"-size 1",
		"-size +1",
		"-size -2",
		"-size 1c",
		"-size +512c",
		"-size 1k",
		"-size 1M",
		"-size -1M",
		"-size +97k",
		"-mtime 0",
		"-mtime 1",
		"-mtime +2",
		"-mtime -2",
		"-mmin -5",
		"-mmin +30",
		"-newer sub/c.c",
		"! -newer sub/c.c",
		"-anewer sub/c.c",
		"-cnewer sub/c.c",
		"-newermt @1500000000",
		"-newermt 2017-07-14",
		"-newermt 2017-07-14_02:40",
		"! -newermt 2017-07-14_02:40:01",
		"-newermm sub/c.c",
		"-newerac sub/c.c",
		"-samefile sub/c.c",
		"-regex .*\\.c",
		"-regex \\./[a-c]+.*",
		"-regex a.c",
		"-iregex .*SUB/.*",
		"-regex .*\\(sub\\|deep\\).*",
		"-perm 644",
		"-perm -600",
		"-perm /111",
		"-perm -4000",
		"-perm /0",
		"-perm u=rw,go=r",
		"-perm -u+w,g+r",
		"-perm /u+s,g+w",
		"-perm -+x",
		"-links 2",
		"-links +1",
		"-uid 0",
		"-uid +0",
		"-true",
		"-false",
	};

	for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
		same(expressions[i]);
}

Test(find, operators_bind_as_in_the_host_s_find)
{
	static const char *const expressions[] = {
		"-name *.c -o -name *.txt",
		"-name *.c -type f -o -type d -name s*",
		"-type f -a -name *.c",
		"! -type f",
		"-not -name *.c",
		"! ! -name *.c",
		"( -name *.c -o -name *.txt ) -size +0",
		"! ( -type f -o -type d )",
		"-type f ( -perm 644 -o -perm 755 ) -name *c*",
		"-name *.c -print",
		"-name *.c -o -print",
		"-type d -print -o -name *.c -print",
		"-name sub -prune -o -print",
		"-name deep -prune -o -type f -print",
		"-maxdepth 0",
		"-maxdepth 1",
		"-mindepth 1 -maxdepth 2 -type f",
		"-mindepth 2",
		"-type f , -type d -print",
		"-false -o -true",
		"-name *.c -print -print",
		"-true -false -o -name *.c",
	};

	for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
		same(expressions[i]);
}

Test(find, what_the_host_s_find_refuses_is_usage)
{
	static const char *const wrong[][4] = {
		{ "-name" },
		{ "-nonsense" },
		{ "-type", "z" },
		{ "-type", "f," },
		{ "-size", "x" },
		{ "-size", "1q" },
		{ "-mtime", "one" },
		{ "(", "-name", "x" },
		{ "-name", "x", ")" },
		{ "-o" },
		{ "-name", "x", "-o" },
		{ "!" },
		{ "-perm", "9" },
		{ "-maxdepth", "-1" },
		{ "(", ")" },
		{ "-type", "fd" },
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct domu_find f;
		size_t n = 0;

		while (n < 4 && wrong[i][n] != NULL)
			n++;
		cr_expect_lt(parse((char *const *)wrong[i], n, &f), 0, "%s %s", wrong[i][0], n > 1 ? wrong[i][1] : "");
		cr_expect_eq(ctx.error.status, DOMU_USAGE, "%s", wrong[i][0]);
	}
}

Test(find, nesting_has_an_end)
{
	char *words[1000];
	struct domu_find f;

	for (size_t i = 0; i < 1000; i++)
		words[i] = (char *)(i % 2 ? "!" : "(");
	cr_expect_lt(parse(words, 1000, &f), 0);
	cr_expect_eq(ctx.error.status, DOMU_USAGE);
}

Test(find, a_long_expression_is_answered_and_one_without_end_refused)
{
	size_t n = 100000;
	char **words = calloc(n + 1, sizeof *words), *a;

	for (size_t i = 0; i < n; i++)
		words[i] = (char *)"-true";
	a = run_ours(words, 4000);
	cr_expect_not_null(a);
	free(a);
	cr_expect_null(run_ours(words, n));
	cr_expect_eq(ctx.error.status, DOMU_USAGE);
	free(words);
}
