/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-cache.c - a page of a device that this host cannot drop, while the device itself was written past it. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "commit-rig.h"

#define SIZE (1u << 20)

static char image[96], loop[64];

static void put_loop(struct rig *r)
{
	char out[128];
	FILE *f;

	snprintf(image, sizeof image, "%s", r->disk[0]);
	snprintf(out, sizeof out, "%s/loop", r->dir);
	if (rig_run("losetup -f --show %s >%s 2>/dev/null", image, out) != 0) {
		rig_close(r);
		cr_skip_test("no loop devices here");
	}
	f = fopen(out, "re");
	cr_assert(f != NULL && fscanf(f, "%63s", loop) == 1);
	fclose(f);
	snprintf(r->disk[0], sizeof r->disk[0], "%s", loop);
	rig_reopen(r);
	r->disks[0].size = SIZE;
	/* It goes with the last that has it open, also when a test fails. */
	cr_assert(rig_run("losetup -d %s", loop) == 0);
}

/* Where the name of the guest is on its disk. */
static uint64_t place(const char *word)
{
	size_t len;
	uint8_t *p = rig_read(image, &len), *at = memmem(p, len, word, strlen(word));
	uint64_t offset = at != NULL ? (uint64_t)(at - p) : 0;

	cr_assert(at != NULL);
	free(p);
	return offset;
}

Test(cache, a_page_that_somebody_keeps_is_not_what_is_compared)
{
	struct domu_stage *s;
	struct rig r;
	uint64_t at;
	char *map, old[6] = "";
	int fd, rc;

	rig_open(&r, 1, "-t ext4 -b 1024 -N 16 -O ^has_journal", "1M");
	put_loop(&r);
	at = place("web0\n");
	s = rig_stage(&r);
	rig_put(&r, s, 0, at, "ours\n", 5);
	/* Somebody maps the device, and a guest that ran meanwhile has written past it. */
	map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED | MAP_LOCKED, r.fd[0], 0);
	cr_assert(map != MAP_FAILED && memcmp(map + at, "web0\n", 5) == 0);
	fd = open(image, O_RDWR);
	cr_assert(pwrite(fd, "else\n", 5, (off_t)at) == 5 && fsync(fd) == 0);
	ioctl(r.fd[0], BLKFLSBUF, 0);
	posix_fadvise(r.fd[0], 0, 0, POSIX_FADV_DONTNEED);
	cr_assert(pread(r.fd[0], old, 5, (off_t)at) == 5);
	cr_assert_str_eq(old, "web0\n", "this kernel drops what is mapped: %s", old);
	rc = rig_commit(&r, s, NULL);
	cr_assert(rc == -ESTALE && strstr(r.ctx.error.message, "has changed since it was staged") != NULL, "%d: %s", rc,
	          r.ctx.error.message != NULL ? r.ctx.error.message : "");
	munmap(map, SIZE);
	cr_assert(pread(fd, old, 5, (off_t)at) == 5);
	cr_assert_str_eq(old, "else\n");
	close(fd);
	rig_close(&r);
}
