/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guest-help.c - what the tests of guests share. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/plugins.h"
#include "tests/unit/guest-help.h"

static void note(void *user, enum domu_level level, const char *text)
{
	struct bench *b = user;

	if (level < DOMU_WARNING)
		return;
	b->warnings++;
	snprintf(b->warning, sizeof b->warning, "%s", text);
}

void bench_open(struct bench *b)
{
	memset(b, 0, sizeof *b);
	domu_plugin_dir_set(BUILDDIR "/plugins");
	domu_ctx_init(&b->ctx);
	b->ctx.cb.message = note;
	b->ctx.cb.user = b;
	snprintf(b->dir, sizeof b->dir, "/tmp/domu-guest-XXXXXX");
	cr_assert_not_null(mkdtemp(b->dir));
	b->dirs[0] = b->dir;
	b->dirs[1] = "/nonexistent/folder";
	b->where.config_dirs = b->dirs;
}

void bench_close(struct bench *b)
{
	run("rm", "-rf", b->dir);
	domu_ctx_free(&b->ctx);
}

const char *bench_path(struct bench *b, const char *name)
{
	static char ring[10][512];
	static unsigned next;
	char *p = ring[next++ % 10];

	snprintf(p, sizeof ring[0], "%s/%s", b->dir, name);
	return p;
}

const char *bench_file(struct bench *b, const char *name, const char *text)
{
	const char *path = bench_path(b, name);
	FILE *f = fopen(path, "we");

	cr_assert_not_null(f, "%s: %s", path, strerror(errno));
	fputs(text, f);
	cr_assert_eq(fclose(f), 0);
	return path;
}

const char *bench_image(struct bench *b, const char *name, uint64_t size)
{
	const char *path = bench_file(b, name, "");

	cr_assert_eq(truncate(path, (off_t)size), 0);
	return path;
}

static void exec_args(const char *program, va_list ap)
{
	const char *argv[32] = { program };
	int null = open("/dev/null", O_RDWR);

	for (int i = 1; i < 31 && (argv[i] = va_arg(ap, const char *)) != NULL; i++)
		;
	dup2(null, 0);
	dup2(null, 2);
	execvp(program, (char *const *)argv);
	_exit(127);
}

int run_line(char *out, size_t size, const char *program, ...)
{
	char line[512] = "";
	int p[2], status = -1;
	va_list ap;
	FILE *f;
	pid_t pid;

	cr_assert_eq(pipe(p), 0);
	va_start(ap, program);
	pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		close(p[0]);
		close(p[1]);
		exec_args(program, ap);
	}
	va_end(ap);
	close(p[1]);
	f = fdopen(p[0], "r");
	if (fgets(line, sizeof line, f) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (out != NULL)
		snprintf(out, size, "%s", line);
	while (fgets(line, sizeof line, f) != NULL)
		;
	fclose(f);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int run_start(const char *program, ...)
{
	int p[2];
	va_list ap;
	pid_t pid;
	char c;

	cr_assert_eq(pipe(p), 0);
	va_start(ap, program);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(p[1], 1);
		close(p[0]);
		close(p[1]);
		exec_args(program, ap);
	}
	va_end(ap);
	close(p[1]);
	while (read(p[0], &c, 1) == 1 && c != '\n')
		;
	close(p[0]);
	return pid;
}

void run_stop(int pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
