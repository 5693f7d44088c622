/* SPDX-License-Identifier: GPL-3.0-or-later */
/* commit.c - how long a commit of many blocks takes from its seal to its mark, and what its index takes of memory. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "block/commit.h"

#define MIB (UINT64_C(1) << 20)

static double sealed_at, marked_at;
static unsigned syncs;
static size_t most_memory;
static int seal_fd = -1;

static void end(struct domu_ctx *ctx, const char *what)
{
	fprintf(stderr, "commit: %s: %s\n", what, ctx->error.message != NULL ? ctx->error.message : strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool is_seal(const char *path)
{
	size_t n = strlen(path);

	return n > 5 && strcmp(path + n - 5, "/seal") == 0;
}

/* The first write to the seal begins it, the last sync of the seal (of its mark) ends it. */
static int b_open(const char *path, int flags, mode_t mode)
{
	int fd = domu_io_system.open(path, flags, mode);

	if (is_seal(path))
		seal_fd = fd;
	return fd;
}

static ssize_t b_pwrite(int fd, const void *p, size_t len, off_t offset)
{
	struct mallinfo2 m;

	if (fd == seal_fd && sealed_at == 0) {
		sealed_at = now();
		m = mallinfo2();
		most_memory = m.uordblks + m.hblkhd;
	}
	return pwrite(fd, p, len, offset);
}

static int b_fdatasync(int fd)
{
	int rc = fdatasync(fd);

	syncs++;
	if (fd == seal_fd)
		marked_at = now();
	return rc;
}

static int b_fsync(int fd)
{
	syncs++;
	return fsync(fd);
}

static void fill(char *buf, size_t len, uint64_t seed)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		memcpy(buf + i, &seed, 8);
	}
}

/* Every second MiB of a disk that is twice as long, or (scattered) every second unit. */
static void stage_blocks(struct domu_ctx *ctx, struct domu_block *top, uint64_t mib, bool scattered)
{
	size_t piece = scattered ? DOMU_UNIT : MIB;
	char *buf = malloc(MIB);

	for (uint64_t at = 0; at < mib * MIB; at += piece) {
		fill(buf, piece, at + 77);
		if (domu_block_pwrite(top, buf, piece, 2 * at) < 0)
			end(ctx, "staging");
	}
	free(buf);
}

static int open_disk(const char *dir, uint64_t mib, char path[4096])
{
	char *buf = malloc(MIB);
	int fd;

	snprintf(path, 4096, "%s/disk", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (uint64_t i = 0; fd >= 0 && i < 2 * mib; i++) {
		fill(buf, MIB, i);
		if (domu_pwrite_full(&domu_io_system, fd, buf, MIB, i * MIB) < 0)
			return -1;
	}
	free(buf);
	if (fd >= 0)
		fsync(fd);
	return fd;
}

int main(int argc, char **argv)
{
	uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 1024;
	struct domu_io io = domu_io_system;
	struct domu_identity id;
	struct domu_commit_info info = { .guest = (char *)"bench", .disks = &id, .n_disks = 1 };
	struct domu_commit_disk disk;
	struct domu_block *raw, *top;
	struct domu_stage *s;
	struct domu_state *st;
	struct domu_ctx ctx;
	struct mallinfo2 before;
	char path[4096], state[4096];

	if (argc < 2) {
		fprintf(stderr, "usage: commit DIR [MIB [scattered]]\n");
		return 2;
	}
	io.open = b_open;
	io.pwrite = b_pwrite;
	io.fdatasync = b_fdatasync;
	io.fsync = b_fsync;
	domu_ctx_init(&ctx);
	ctx.io = &io;
	disk.fd = open_disk(argv[1], mib, path);
	disk.size = 2 * mib * MIB;
	snprintf(state, sizeof state, "%s/state", argv[1]);
	if (disk.fd < 0 || domu_identity_make(&ctx, disk.fd, path, "xvda", &id) < 0 ||
	    domu_state_open(&ctx, state, false, &st) < 0 || domu_stage_create(st, &info, &s) < 0 ||
	    domu_raw_open(&ctx, disk.fd, "xvda", disk.size, 0, &raw) < 0)
		end(&ctx, "opening");
	before = mallinfo2();
	if (domu_overlay_open(&ctx, raw, domu_stage_log_fd(s), 0, false, &top) < 0)
		end(&ctx, "opening");
	stage_blocks(&ctx, top, mib, argc > 3);
	printf("stage %.1f\n", (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before.uordblks - before.hblkhd) /
	                           (double)(mib * MIB / DOMU_UNIT));
	domu_block_close(top);
	domu_block_close(raw);
	syncs = 0;
	if (domu_commit(s, &disk, 1, NULL, 0, NULL) < 0)
		end(&ctx, "commit");
	printf("commit %.1f\n",
	       (double)(most_memory - before.uordblks - before.hblkhd) / (double)(mib * MIB / DOMU_UNIT));
	printf("seconds %.3f\nsyncs %u\n", marked_at - sealed_at, syncs);
	domu_identity_free(&id);
	domu_state_close(st);
	close(disk.fd);
	return 0;
}
