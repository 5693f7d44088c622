/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fence-help.c - what the fence's tests share: a folder with a disk, a stage's log, and the shell. */
#include "config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/plugins.h"
#include "tests/unit/fence-help.h"
#include "tests/unit/own-mounts.h"

struct bench bench;

int sh(const char *fmt, ...)
{
	char cmd[4096];
	va_list ap;
	pid_t pid;
	int status;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	pid = fork();
	if (pid == 0) {
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
		execl("/bin/sh", "sh", "-ec", cmd, (char *)NULL);
		_exit(126);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void heard(void *user, enum domu_level level, const char *text)
{
	size_t n = strlen(bench.said);

	(void)user;
	(void)level;
	snprintf(bench.said + n, sizeof bench.said - n, "%s\n", text);
}

void bench_open(uint64_t fs_size, const char *mkfs)
{
	domu_plugin_dir_set(BUILDDIR "/plugins");
	snprintf(bench.dir, sizeof bench.dir, "/tmp/domu-fence.XXXXXX");
	cr_assert_not_null(mkdtemp(bench.dir));
	snprintf(bench.image, sizeof bench.image, "%s/disk", bench.dir);
	cr_assert_eq(sh("exec >/dev/null 2>&1; cd %s; truncate -s %llu fs; %s\n"
	                "truncate -s %llu disk; dd if=fs of=disk bs=1M seek=1 conv=notrunc; chmod 600 disk",
	                bench.dir, (unsigned long long)fs_size, mkfs, (unsigned long long)fs_size + 2 * PART_OFFSET),
	             0);
	bench.base = open(bench.image, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(bench.base, 0);
	domu_ctx_init(&bench.ctx);
	bench.ctx.cb.message = heard;
	bench.log = domu_replay_log(&bench.ctx, NULL);
	cr_assert_geq(bench.log, 0);
}

void bench_private(void)
{
	if (geteuid() != 0)
		return;
	cr_assert(own_mounts());
	cr_assert_eq(mount("none", "/dev/shm", "tmpfs", 0, NULL), 0);
	cr_assert_eq(mount("none", "/run", "tmpfs", 0, NULL), 0);
}

bool bench_left(void)
{
	/* ls fails where either folder has none. */
	return geteuid() == 0 && sh("test -z \"$(ls -d /dev/shm/domu-rescue.* /run/domu-rescue.* 2>/dev/null)\"") != 0;
}

int bench_child(pid_t pid)
{
	char path[96];
	int child = 0, fd;
	FILE *f;

	snprintf(path, sizeof path, "%s/child", bench.dir);
	cr_assert_eq(sh("ps -o pid= --ppid %d >%s", (int)pid, path), 0);
	f = fopen(path, "re");
	cr_assert(f != NULL && fscanf(f, "%d", &child) == 1);
	fclose(f);
	fd = pidfd_open(child, 0);
	cr_assert_geq(fd, 0);
	return fd;
}

void bench_close(void)
{
	close(bench.base);
	close(bench.log);
	domu_ctx_free(&bench.ctx);
	sh("rm -rf %s", bench.dir);
}

struct domu_stack_desc bench_stack(void)
{
	return (struct domu_stack_desc){ .base_fd = bench.base, .stage_fd = bench.log, .replay_fd = -1 };
}

void bench_write_out(const char *name, uint64_t fs_size)
{
	struct domu_stack_desc d = bench_stack();
	struct domu_stack s;
	char path[96];
	char *buf = malloc(1 << 20);
	int fd;

	cr_assert_eq(domu_stack_open(&bench.ctx, &d, "disk", &s), 0);
	snprintf(path, sizeof path, "%s/%s", bench.dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (uint64_t at = 0; at < fs_size; at += 1 << 20) {
		cr_assert_eq(domu_block_pread(s.top, buf, 1 << 20, PART_OFFSET + at), 0, "%s", bench.ctx.error.message);
		cr_assert_eq(domu_write_full(fd, buf, 1 << 20), 0);
	}
	domu_stack_close(&s);
	close(fd);
	free(buf);
}

void bench_line(void *user, const char *text)
{
	size_t n = strlen(bench.text);

	(void)user;
	snprintf(bench.text + n, sizeof bench.text - n, "%s\n", text);
}
