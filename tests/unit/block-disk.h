/* SPDX-License-Identifier: GPL-3.0-or-later */
/* block-disk.h - for tests of tables: a disk made by a shell script, opened as a stack. */
#ifndef BLOCK_DISK_H
#define BLOCK_DISK_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/io.h"
#include "base/num.h"
#include "block/table.h"

#define MIB (UINT64_C(1) << 20)

static char dir[] = "/tmp/domu-test-table-XXXXXX";
static char disk[64];
static struct domu_ctx ctx;

static inline int sh(const char *script)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int out;

		if (chdir(dir) < 0)
			_exit(126);
		out = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(out, 1);
		dup2(out, 2);
		setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
		execl("/bin/sh", "sh", "-ec", script, (char *)NULL);
		_exit(127);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Tools that a machine may lack: said, not passed over. */
static inline bool absent(const char *script)
{
	static const char *const tools[] = { "sgdisk", "mkfs.xfs", "mkfs.btrfs" };
	char probe[64];

	for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
		snprintf(probe, sizeof probe, "command -v %s", tools[i]);
		if (strstr(script, tools[i]) != NULL && sh(probe) != 0) {
			fprintf(stderr, "skipped: no %s\n", tools[i]);
			return true;
		}
	}
	return false;
}

static inline void start(void)
{
	domu_ctx_init(&ctx);
	cr_assert_not_null(mkdtemp(dir));
	snprintf(disk, sizeof disk, "%s/disk", dir);
}

static inline void stop(void)
{
	sh("rm -rf \"$PWD\"");
	domu_ctx_free(&ctx);
}

/* The disk as a stack of its own. */
struct open_disk {
	int fd, log;
	struct domu_stack s;
};

static inline void open_disk(struct open_disk *d, uint32_t sector_size, uint64_t size)
{
	struct domu_stack_desc desc = { .replay_fd = -1, .sector_size = sector_size, .size = size };

	desc.base_fd = d->fd = open(disk, O_RDONLY);
	desc.stage_fd = d->log = domu_replay_log(&ctx, NULL);
	cr_assert_eq(domu_stack_open(&ctx, &desc, "xvda", &d->s), 0, "%s", ctx.error.message);
}

static inline void close_disk(struct open_disk *d)
{
	domu_stack_close(&d->s);
	close(d->fd);
	close(d->log);
}

static inline void read_disk(struct domu_nodes *nodes, const char *vdev, uint32_t sector_size)
{
	struct open_disk d;

	memset(nodes, 0, sizeof *nodes);
	open_disk(&d, sector_size, 0);
	cr_assert_eq(domu_table_read(&ctx, d.s.top, vdev, 0, nodes), 0, "%s", ctx.error.message);
	close_disk(&d);
}

static inline void expect(const struct domu_nodes *nodes, size_t i, const char *name, uint64_t at, uint64_t size)
{
	cr_assert_lt(i, nodes->n);
	cr_assert_str_eq(nodes->v[i].name, name);
	cr_assert_eq(nodes->v[i].start, at, "%s: start %" PRIu64, name, nodes->v[i].start);
	cr_assert_eq(nodes->v[i].size, size, "%s: size %" PRIu64, name, nodes->v[i].size);
}

static inline bool has_problem(const struct domu_nodes *nodes, const char *text)
{
	for (size_t i = 0; i < nodes->n_problems; i++)
		if (strstr(nodes->problems[i], text) != NULL)
			return true;
	return false;
}

static inline void print_problems(const struct domu_nodes *nodes)
{
	for (size_t i = 0; i < nodes->n_problems; i++)
		fprintf(stderr, "problem: %s\n", nodes->problems[i]);
}

static inline void poke(uint64_t offset, const void *data, size_t len)
{
	int fd = open(disk, O_WRONLY);

	cr_assert_eq(domu_pwrite_full(&domu_io_system, fd, data, len, offset), 0);
	close(fd);
}

static inline void poke32(uint64_t offset, uint32_t v)
{
	uint8_t b[4];

	domu_put_le32(b, v);
	poke(offset, b, sizeof b);
}

static inline void make_logicals(void)
{
	cr_assert_eq(
	    sh("truncate -s 200M disk; printf 'label: dos\\nstart=2048,size=20480\\nstart=40960,size=300000,type=5\\n"
	       "start=43008,size=2048\\nstart=65536,size=2048\\nstart=102400,size=4096\\n' | sfdisk disk"),
	    0);
}

#endif
