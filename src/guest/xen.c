/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xen.c - is this a Xen Dom0, and the lock that its block scripts take. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "guest/check.h"

#define HOTPLUG_DIR  "/var/run/xen-hotplug"
#define HOTPLUG_WAIT 5 /* seconds: libxl itself gives up after 40 */

static bool file_has(const char *path, const char *word)
{
	char text[256];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, word) != NULL;
}

bool domu_xen_here(void)
{
	/* Only a control domain has guests; a guest of somebody else's Xen has none. */
	return file_has("/proc/xen/capabilities", "control_d") ||
	       (file_has("/sys/hypervisor/type", "xen") && access("/proc/xen/capabilities", F_OK) != 0);
}

/* 1: taken; 0: somebody has it; or a negative errno. */
static int try_lock(struct domu_ctx *ctx, const char *path, int *fd)
{
	struct stat mine, named;
	int f = ctx->io->open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

	if (f < 0)
		return -errno;
	if (flock(f, LOCK_EX | LOCK_NB) == 0 && fstat(f, &mine) == 0 && stat(path, &named) == 0 &&
	    mine.st_ino == named.st_ino && mine.st_dev == named.st_dev) {
		*fd = f;
		return 1;
	}
	close(f);
	return 0;
}

/*
 * As /etc/xen/scripts/locking.sh takes it: flock of the file, then whether
 * the path still names it, since a holder unlinks the file when it is done.
 */
int domu_hotplug_lock_at(struct domu_ctx *ctx, const char *dir, unsigned seconds, int *fd)
{
	struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 }, start, now;
	char path[256];

	*fd = -1;
	snprintf(path, sizeof path, "%.200s/block", dir);
	if (ctx->io->mkdir(dir, 0755) < 0 && errno != EEXIST)
		return domu_fail(ctx, DOMU_FAILED, -errno, "cannot make %s: %s", dir, strerror(errno));
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		int rc = try_lock(ctx, path, fd);

		if (rc > 0)
			return 0;
		if (rc < 0)
			return domu_fail(ctx, DOMU_FAILED, rc, "cannot open Xen's hotplug lock %s: %s", path,
			                 strerror(-rc));
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec >= (time_t)seconds)
			return domu_fail(
			    ctx, DOMU_INUSE, -EBUSY,
			    "Xen's hotplug lock %s is held: a guest is being started or stopped; try again", path);
		if (domu_interrupted(ctx))
			return domu_fail(ctx, DOMU_DECLINED, -EINTR, "interrupted");
		nanosleep(&pause, NULL);
	}
}

int domu_hotplug_lock(struct domu_ctx *ctx, int *fd)
{
	*fd = -1;
	return domu_xen_here() ? domu_hotplug_lock_at(ctx, HOTPLUG_DIR, HOTPLUG_WAIT, fd) : 0;
}
