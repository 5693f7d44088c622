/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guest-inuse.h - what the tests of the verdict share: one disk, its verdict, and what it should say. */
#ifndef GUEST_INUSE_H
#define GUEST_INUSE_H

#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/check.h"
#include "tests/unit/guest-help.h"
#include "tests/unit/own-mounts.h"

#define SIZE (8u << 20)

static struct bench b;
static struct domu_guest *g;
static struct domu_backing k; /* of g's one disk */
static struct domu_verdict v;
static char image[512], loop[64], mnt[512];

static void open_bench(void)
{
	own_mounts();
	bench_open(&b);
	snprintf(image, sizeof image, "%s", bench_image(&b, "a.img", SIZE));
	snprintf(mnt, sizeof mnt, "%s", bench_path(&b, "mnt"));
	cr_assert_eq(mkdir(mnt, 0700), 0);
	loop[0] = '\0';
	k.fd = k.lock_fd = k.parent_lock_fd = -1;
}

static void close_bench(void)
{
	domu_verdict_free(&v);
	domu_backing_close(&k);
	domu_guest_free(g);
	run("umount", "-q", mnt);
	if (loop[0] != '\0') {
		int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

		run("losetup", "-d", loop);
		ioctl(control, LOOP_CTL_REMOVE, strtol(loop + strlen("/dev/loop"), NULL, 10));
		close(control);
	}
	bench_close(&b);
}

/* Skipped aloud; a skipped test has no fini. */
#define skip(why)                  \
	do {                       \
		close_bench();     \
		cr_skip_test(why); \
	} while (0)

static inline void open_disk(const char *path)
{
	cr_assert_eq(domu_guest_find(&b.ctx, &b.where, path, &g), 0, "%s", b.ctx.error.message);
	cr_assert_eq(domu_backing_open(&b.ctx, &g->disks[0], &k), 0, "%s", b.ctx.error.message);
}

static inline void look(enum domu_verdict_depth depth)
{
	domu_verdict_free(&v);
	cr_assert_eq(domu_verdict_make(&b.ctx, g, &k, 1, depth, NULL, &v), 0);
}

static inline const struct domu_verdict_line *line(const char *check)
{
	for (size_t i = 0; i < v.n; i++)
		if (strcmp(v.v[i].check, check) == 0)
			return &v.v[i];
	cr_assert_fail("no check %s", check);
	return NULL;
}

static inline void holds(const char *check, const char *word)
{
	const struct domu_verdict_line *l = line(check);

	cr_assert_eq(l->result, DOMU_CHECK_FAIL, "%s: %s (%s)", check, domu_check_result_name(l->result), l->detail);
	cr_assert(l->blocks);
	cr_assert(v.in_use);
	cr_assert_str_eq(l->disk, "xvda");
	cr_assert_not_null(strstr(l->detail, word), "%s: %s", check, l->detail);
}

static inline void passes(const char *check)
{
	const struct domu_verdict_line *l = line(check);

	cr_assert_eq(l->result, DOMU_CHECK_PASS, "%s: %s (%s)", check, domu_check_result_name(l->result), l->detail);
}

static inline void refused(const char *word)
{
	domu_error_clear(&b.ctx);
	cr_assert_lt(domu_verdict_refuse(&b.ctx, g, &v), 0);
	cr_assert_eq(b.ctx.error.status, DOMU_INUSE);
	cr_assert_not_null(strstr(b.ctx.error.message, word), "%s", b.ctx.error.message);
	cr_assert_not_null(strstr(b.ctx.error.message, image[0] ? "xvda" : ""), "%s", b.ctx.error.message);
}

/* Detaching and unmounting may come a little late: somebody looked just then, a namespace is being taken down. */
static inline void until_free(enum domu_verdict_depth depth)
{
	look(depth);
	for (int i = 0; i < 3000 && v.in_use; i++) {
		usleep(20000);
		look(depth);
	}
	for (size_t i = 0; i < v.n; i++)
		cr_assert(!v.v[i].blocks, "%s: %s", v.v[i].check, v.v[i].detail);
}

/*
 * Over file, or the test is skipped aloud.  By a number of this process's own: of two that take the first free one,
 * the one that comes too late has it open for writing for a moment.
 */
static inline void make_loop(const char *file, const char *sector)
{
	for (int i = 0; i < 8; i++) {
		snprintf(loop, sizeof loop, "/dev/loop%d", 100000 + getpid() % 100000 * 8 + i);
		if (run("losetup", "-b", sector, loop, file) == 0)
			return;
	}
	loop[0] = '\0';
	skip("no loop devices here");
}

/* The end of a script of a process that holds something: it keeps its name, has no child, and never ends. */
#define STAYS " && kill -STOP $$"

/* A process with the image open: "3<>" for writing, "3<" for reading. */
static inline int hold(const char *redirection)
{
	char script[1024];

	snprintf(script, sizeof script, "exec %s%s; echo open" STAYS, redirection, image);
	return run_start("sh", "-c", script, NULL);
}

#endif
