/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xen.c - is this a Xen Dom0, and the lock that its block scripts take. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "guest/check.h"

#define HOTPLUG_DIR  "/var/run/xen-hotplug"
#define HOTPLUG_WAIT 5 /* seconds: libxl itself gives up after 40 */
#define WORD_MAX     256

static bool line_has(const char *path, const char *word)
{
	char *line = domu_first_line(path);
	bool found = line != NULL && strstr(line, word) != NULL;

	free(line);
	return found;
}

bool domu_xen_here(void)
{
	/* Only a control domain has guests; a guest of somebody else's Xen has none. */
	return line_has("/proc/xen/capabilities", "control_d") ||
	       (line_has("/sys/hypervisor/type", "xen") && access("/proc/xen/capabilities", F_OK) != 0);
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

/* ---- who has it ------------------------------------------------------------------- */

/* Does what is open there hold a flock(2)?  Whoever took it may be gone: a script has flock(1) do that. */
static bool holds_flock(int pid, const char *fd)
{
	char path[64], line[128];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/fdinfo/%.10s", pid, fd);
	f = fopen(path, "re");
	while (f != NULL && !found && fgets(line, sizeof line, f) != NULL)
		found = strncmp(line, "lock:", 5) == 0 && strstr(line, "FLOCK") != NULL;
	if (f != NULL)
		fclose(f);
	return found;
}

/* Cached attributes will do: of what a process has open, something may be on a server that does not answer. */
static bool is_file(int dir, const char *name, const struct stat *file)
{
	struct statx st;

	return statx(dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) == 0 &&
	       st.stx_ino == file->st_ino && makedev(st.stx_dev_major, st.stx_dev_minor) == file->st_dev;
}

static bool process_holds(int pid, const struct stat *lock)
{
	bool found = false;
	struct dirent *e;
	char path[32];
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	d = opendir(path);
	while (d != NULL && !found && (e = readdir(d)) != NULL)
		found = e->d_name[0] != '.' && is_file(dirfd(d), e->d_name, lock) && holds_flock(pid, e->d_name);
	if (d != NULL)
		closedir(d);
	return found;
}

/* 0: nobody that can be seen, or not any more. */
static int holder(const char *path)
{
	struct dirent *e;
	struct stat st;
	int pid = 0;
	DIR *d;

	if (stat(path, &st) < 0)
		return 0;
	d = opendir("/proc");
	while (d != NULL && pid == 0 && (e = readdir(d)) != NULL) {
		int p = (int)strtol(e->d_name, NULL, 10);

		if (p > 0 && process_holds(p, &st))
			pid = p;
	}
	if (d != NULL)
		closedir(d);
	return pid;
}

/* What we say of ourselves to whoever waits: "pid 4711: commit ID of web1".  Nothing rests on it. */
static void leave_word(struct domu_ctx *ctx, int fd, const char *what)
{
	char text[WORD_MAX];
	int n = snprintf(text, sizeof text, "pid %d: %s", (int)getpid(), what);

	if (ctx->io->ftruncate(fd, 0) == 0)
		(void)domu_pwrite_full(ctx->io, fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, 0);
}

/* What that very process has said; it stays there when it is gone.  false: nothing. */
static bool read_word(const char *path, int pid, char out[WORD_MAX])
{
	char text[WORD_MAX], head[32];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
	size_t len;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	len = (size_t)snprintf(head, sizeof head, "pid %d: ", pid);
	if (strncmp(text, head, len) != 0 || text[len] == '\0')
		return false;
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	snprintf(out, WORD_MAX, "%s", text + len);
	return true;
}

static int still_held(struct domu_ctx *ctx, const char *path)
{
	char name[32], word[WORD_MAX];
	int pid = holder(path);

	if (pid == 0)
		return domu_fail(ctx, DOMU_INUSE, -EBUSY,
		                 "Xen's hotplug lock %s is held: a guest is being started or stopped; try again", path);
	if (read_word(path, pid, word))
		return domu_fail(
		    ctx, DOMU_INUSE, -EBUSY,
		    "Xen's hotplug lock %s is held by another domu-rescue (pid %d, %s); try again when that "
		    "has ended",
		    path, pid, word);
	domu_process_name(pid, name);
	return domu_fail(ctx, DOMU_INUSE, -EBUSY,
	                 "Xen's hotplug lock %s is held by process %d (%s): a guest is being started or stopped; try "
	                 "again",
	                 path, pid, name);
}

/* ---- taking it -------------------------------------------------------------------- */

/*
 * As /etc/xen/scripts/locking.sh takes it: flock of the file, then whether
 * the path still names it, since a holder unlinks the file when it is done.
 */
int domu_hotplug_lock_at(struct domu_ctx *ctx, const char *dir, const char *what, unsigned seconds, int *fd)
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

		if (rc > 0) {
			leave_word(ctx, *fd, what);
			return 0;
		}
		if (rc < 0)
			return domu_fail(ctx, DOMU_FAILED, rc, "cannot open Xen's hotplug lock %s: %s", path,
			                 strerror(-rc));
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec >= (time_t)seconds)
			return still_held(ctx, path);
		if (domu_interrupted(ctx))
			return domu_fail(ctx, DOMU_DECLINED, -EINTR, "interrupted");
		nanosleep(&pause, NULL);
	}
}

int domu_hotplug_lock(struct domu_ctx *ctx, const char *what, int *fd)
{
	*fd = -1;
	return domu_xen_here() ? domu_hotplug_lock_at(ctx, HOTPLUG_DIR, what, HOTPLUG_WAIT, fd) : 0;
}
