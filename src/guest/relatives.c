/* SPDX-License-Identifier: GPL-3.0-or-later */
/* relatives.c - which block devices of this host hold the same bytes as a disk: partitions, holders, loops. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "guest/check.h"

/* Stacks are a handful of devices; a host with more than this is made up. */
#define MAX_RELATIVES 4096
#define LOOP_TRIES    600 /* of 5 ms: what waits for the kernel lasts where the machine is busy */

/* ---- loops ------------------------------------------------------------------- */

char *domu_first_line(const char *path)
{
	char text[PATH_MAX + 64];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n < 0)
		return NULL;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return strdup(text);
}

/* access(2) would make credentials for it: four times as slow, and every loop is asked at every start. */
static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

/* By device and inode, as the kernel has them: the path in sysfs may be of another mount namespace, or renamed. */
static void ask_loop(struct domu_loop *l)
{
	struct loop_info64 info;
	struct stat st;
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/dev/%s", l->name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0) {
		l->known = fstat(fd, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == l->dev &&
		           ioctl(fd, LOOP_GET_STATUS64, &info) == 0;
		close(fd);
		if (l->known) {
			l->back_dev = info.lo_device;
			l->back_inode = info.lo_inode;
			/* Kernels before 5.14 give a file's st_dev here too. */
			l->back_rdev = info.lo_rdevice != info.lo_device ? info.lo_rdevice : 0;
			return;
		}
	}
	/* No node in /dev: what the path leads to is better than nothing. */
	if (l->file != NULL && stat(l->file, &st) == 0) {
		l->known = true;
		l->back_dev = st.st_dev;
		l->back_inode = st.st_ino;
		l->back_rdev = S_ISBLK(st.st_mode) ? st.st_rdev : 0;
	}
}

static int add_loop(struct domu_loops *ls, const char *name)
{
	const struct timespec moment = { .tv_nsec = 5000000 };
	struct domu_loop l = { 0 }, *v;
	char path[96], dir[96];

	if (snprintf(l.name, sizeof l.name, "%s", name) >= (int)sizeof l.name)
		return 0;
	snprintf(path, sizeof path, "/sys/block/%s/loop/backing_file", l.name);
	if (!exists(path))
		return 0;
	l.file = domu_first_line(path);
	snprintf(dir, sizeof dir, "/sys/block/%s", l.name);
	l.dev = domu_sysfs_dev(dir);
	ask_loop(&l);
	/* One that is being taken down, whosever it is, does not answer until it is no more. */
	for (int i = 0; i < LOOP_TRIES && !l.known; i++) {
		if (!exists(path)) {
			free(l.file);
			return 0;
		}
		nanosleep(&moment, NULL);
		ask_loop(&l);
	}
	v = reallocarray(ls->v, ls->n + 1, sizeof *v);
	if (v == NULL) {
		free(l.file);
		return -ENOMEM;
	}
	ls->v = v;
	ls->v[ls->n++] = l;
	return 0;
}

int domu_view_loops(struct domu_view *v, const struct domu_loops **loops)
{
	struct dirent *e;
	DIR *d;
	int rc = 0;

	*loops = &v->loops;
	if (v->loops_read)
		return 0;
	d = opendir("/sys/block");
	while (d != NULL && rc == 0 && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "loop", 4) == 0 && isdigit((unsigned char)e->d_name[4]))
			rc = add_loop(&v->loops, e->d_name);
	if (d != NULL)
		closedir(d);
	v->loops_read = rc == 0;
	return rc;
}

/* ---- relatives --------------------------------------------------------------- */

const struct domu_related *domu_related_find(const struct domu_relatives *r, uint64_t dev)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].dev == dev)
			return &r->v[i];
	return NULL;
}

void domu_relatives_free(struct domu_relatives *r)
{
	free(r->v);
	memset(r, 0, sizeof *r);
}

static int add(struct domu_relatives *r, uint64_t dev, const char *name, bool holder)
{
	struct domu_related *v;

	if (dev == 0 || domu_related_find(r, dev) != NULL)
		return 0;
	v = r->n < MAX_RELATIVES ? reallocarray(r->v, r->n + 1, sizeof *v) : NULL;
	if (v == NULL)
		return -ENOMEM;
	r->v = v;
	v = &r->v[r->n++];
	v->dev = dev;
	v->holder = holder;
	snprintf(v->name, sizeof v->name, "%s", name);
	return 0;
}

/* What sysfs links to from a folder of a device: its holders, or its slaves. */
static int add_linked(struct domu_relatives *r, const char *dir, const char *folder, bool holder)
{
	char path[PATH_MAX];
	struct dirent *e;
	int rc = 0;
	DIR *d;

	snprintf(path, sizeof path, "%s/%s", dir, folder);
	d = opendir(path);
	while (d != NULL && rc == 0 && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s/%s", dir, folder, e->d_name);
		rc = add(r, domu_sysfs_dev(path), e->d_name, holder);
	}
	if (d != NULL)
		closedir(d);
	return rc;
}

/* Folders below a disk's that are partitions; name is the disk's, of which theirs begin. */
static int add_partitions(struct domu_relatives *r, const char *dir, bool holder)
{
	char path[PATH_MAX], real[PATH_MAX];
	struct dirent *e;
	const char *name;
	size_t len;
	ssize_t n = readlink(dir, real, sizeof real - 1);
	int rc = 0;
	DIR *d;

	if (n < 0)
		return 0;
	real[n] = '\0';
	name = strrchr(real, '/');
	name = name != NULL ? name + 1 : real;
	len = strlen(name);
	d = opendir(dir);
	while (d != NULL && rc == 0 && (e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, name, len) != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s/partition", dir, e->d_name);
		if (!exists(path))
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		rc = add(r, domu_sysfs_dev(path), e->d_name, holder);
	}
	if (d != NULL)
		closedir(d);
	return rc;
}

static int add_loops_over(struct domu_view *v, struct domu_relatives *r, const struct domu_backing *b, uint64_t dev)
{
	const struct domu_loops *ls;
	int rc = domu_view_loops(v, &ls);

	for (size_t i = 0; rc == 0 && i < ls->n; i++) {
		const struct domu_loop *l = &ls->v[i];
		bool over = dev != 0 ? l->back_rdev == dev
		                     : l->back_rdev == 0 && l->back_dev == b->dev && l->back_inode == b->inode;

		if (l->known && over)
			rc = add(r, l->dev, l->name, true);
	}
	return rc;
}

/*
 * Upwards from the disk: its partitions, what holds it or them, loops over
 * any of it, and so on.  A partition's whole disk belongs too (its bytes
 * include ours), with what holds it; the partitions beside ours do not.
 */
int domu_relatives(struct domu_view *v, const struct domu_backing *b, struct domu_relatives *r)
{
	char name[32], dir[64];
	int rc = 0;

	memset(r, 0, sizeof *r);
	if (b->is_device) {
		const char *slash = strrchr(b->path, '/');

		snprintf(name, sizeof name, "%.31s", slash != NULL ? slash + 1 : b->path);
		rc = add(r, b->dev, name, false);
		if (rc == 0 && b->whole_dev != b->dev)
			rc = add(r, b->whole_dev, "the whole disk", false);
	} else {
		rc = add_loops_over(v, r, b, 0);
	}
	/* r grows while it is walked; each device is in it once, so that the walk ends. */
	for (size_t i = 0; rc == 0 && i < r->n; i++) {
		struct domu_related me = r->v[i];

		domu_sysfs_path(me.dev, dir);
		rc = add_linked(r, dir, "holders", true);
		if (rc == 0 && !(me.dev == b->whole_dev && b->whole_dev != b->dev))
			rc = add_partitions(r, dir, me.holder);
		if (rc == 0)
			rc = add_loops_over(v, r, b, me.dev);
	}
	if (rc < 0)
		domu_relatives_free(r);
	return rc;
}

/* ---- the other way round ------------------------------------------------------- */

/* The device of the file system that path is on; 0: none (or one that does not say: overlay, btrfs). */
static uint64_t device_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && major(st.st_dev) != 0 ? st.st_dev : 0;
}

/* What lies below a device: what dm and md make it of, and the file system that the file of a loop is on. */
static int add_below(struct domu_view *v, struct domu_relatives *below, uint64_t dev)
{
	const struct domu_loops *ls;
	char dir[64], path[96];
	uint64_t whole = dev;
	int rc = domu_view_loops(v, &ls);

	domu_sysfs_path(dev, dir);
	if (rc == 0)
		rc = add_linked(below, dir, "slaves", false);
	snprintf(path, sizeof path, "%s/partition", dir);
	if (exists(path)) {
		snprintf(path, sizeof path, "%s/..", dir);
		whole = domu_sysfs_dev(path);
	}
	for (size_t i = 0; rc == 0 && i < ls->n; i++)
		if (ls->v[i].dev == whole && ls->v[i].known)
			rc = add(below, ls->v[i].back_rdev != 0 ? ls->v[i].back_rdev : ls->v[i].back_dev, "", false);
	return rc;
}

int domu_backing_holds(struct domu_ctx *ctx, const struct domu_backing *b, const char *path, bool *holds)
{
	struct domu_view view = { .ctx = ctx };
	struct domu_relatives r = { 0 }, below = { 0 };
	int rc = domu_relatives(&view, b, &r);

	*holds = false;
	if (rc == 0)
		rc = add(&below, device_of(path), "", false);
	for (size_t i = 0; rc == 0 && !*holds && i < below.n; i++) {
		*holds = domu_related_find(&r, below.v[i].dev) != NULL;
		rc = add_below(&view, &below, below.v[i].dev);
	}
	domu_relatives_free(&r);
	domu_relatives_free(&below);
	domu_view_free(&view);
	return rc < 0 ? domu_nomem(ctx) : 0;
}

/* ---- the same disk by another name --------------------------------------------- */

bool domu_same_device(const struct domu_backing *b, uint64_t dev)
{
	char dir[64], path[96];
	uint64_t whole;

	if (!b->is_device || dev == 0)
		return false;
	if (dev == b->dev || dev == b->whole_dev)
		return true;
	domu_sysfs_path(dev, dir);
	snprintf(path, sizeof path, "%s/partition", dir);
	if (!exists(path))
		return false;
	snprintf(path, sizeof path, "%s/..", dir);
	whole = domu_sysfs_dev(path);
	return whole == b->dev;
}

bool domu_same_file(const struct domu_backing *b, uint64_t dev, uint64_t inode)
{
	if (b->is_device)
		return b->below_inode != 0 && b->below_dev == dev && b->below_inode == inode;
	return b->dev == dev && b->inode == inode;
}

enum domu_same domu_same_disk(const struct domu_backing *b, const char *path)
{
	struct stat st;

	if (path == NULL || path[0] == '\0')
		return DOMU_SAME_NO;
	if (stat(path, &st) < 0) {
		if (strcmp(path, b->path) == 0 || (b->disk->path != NULL && strcmp(path, b->disk->path) == 0))
			return DOMU_SAME_YES;
		return errno == ENOENT || errno == ENOTDIR ? DOMU_SAME_NO : DOMU_SAME_UNKNOWN;
	}
	if (S_ISBLK(st.st_mode))
		return domu_same_device(b, st.st_rdev) ? DOMU_SAME_YES : DOMU_SAME_NO;
	return domu_same_file(b, st.st_dev, st.st_ino) ? DOMU_SAME_YES : DOMU_SAME_NO;
}
