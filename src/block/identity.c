/* SPDX-License-Identifier: GPL-3.0-or-later */
/* identity.c - what makes a disk the same disk later, when device numbers have changed and names were given anew. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "block/commit-private.h"

#define BY_ID "/dev/disk/by-id"

void domu_identity_free(struct domu_identity *id)
{
	free(id->path);
	free(id->by_id);
	id->path = id->by_id = NULL;
}

int domu_fd_size(int fd, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISBLK(st.st_mode))
		return ioctl(fd, BLKGETSIZE64, size) < 0 ? -errno : 0;
	*size = (uint64_t)st.st_size;
	return S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

/* One line of a device's folder in sysfs. */
static char *sys_line(dev_t rdev, const char *name)
{
	char *path = domu_text("/sys/dev/block/%u:%u/%s", major(rdev), minor(rdev), name);
	FILE *f = path != NULL ? fopen(path, "re") : NULL;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n = f != NULL ? getline(&line, &cap, f) : -1;

	if (f != NULL)
		fclose(f);
	free(path);
	while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == ' '))
		line[--n] = '\0';
	if (n <= 0) {
		free(line);
		return NULL;
	}
	return line;
}

/* The first by name of udev's links to the device that say what it is, not what it is called or holds. */
static char *by_id_link(dev_t rdev)
{
	DIR *d = opendir(BY_ID);
	struct dirent *e;
	char best[256] = "";
	struct stat st;

	while (d != NULL && (e = readdir(d)) != NULL) {
		char path[sizeof BY_ID + 256];

		if (e->d_name[0] == '.' || strncmp(e->d_name, "dm-name-", 8) == 0 ||
		    strncmp(e->d_name, "lvm-pv-", 7) == 0 || strlen(e->d_name) >= sizeof best)
			continue;
		snprintf(path, sizeof path, BY_ID "/%s", e->d_name);
		if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != rdev)
			continue;
		if (best[0] == '\0' || strcmp(e->d_name, best) < 0)
			snprintf(best, sizeof best, "%s", e->d_name);
	}
	if (d != NULL)
		closedir(d);
	return best[0] != '\0' ? domu_text(BY_ID "/%s", best) : NULL;
}

/* "dm:UUID", "loop:OFFSET:FILE", a link of udev's; NULL: this device has no stable name. */
static char *stable_name(dev_t rdev)
{
	char *line = sys_line(rdev, "dm/uuid"), *name = NULL, *offset;

	if (line != NULL) {
		name = domu_text("dm:%s", line);
	} else if ((line = sys_line(rdev, "loop/backing_file")) != NULL) {
		offset = sys_line(rdev, "loop/offset");
		name = domu_text("loop:%s:%s", offset != NULL ? offset : "0", line);
		free(offset);
	} else {
		name = by_id_link(rdev);
	}
	free(line);
	return name;
}

static int from_stat(const struct stat *st, struct domu_identity *id)
{
	if (S_ISBLK(st->st_mode)) {
		id->dev = st->st_rdev;
		id->by_id = stable_name(st->st_rdev);
		return 0;
	}
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	id->dev = st->st_dev;
	id->inode = st->st_ino;
	id->size = (uint64_t)st->st_size;
	return 0;
}

int domu_identity_of_path(const char *path, struct domu_identity *id)
{
	struct stat st;
	int rc;

	memset(id, 0, sizeof *id);
	id->path = realpath(path, NULL);
	if (id->path == NULL || stat(id->path, &st) < 0)
		rc = -errno;
	else
		rc = from_stat(&st, id);
	if (rc < 0)
		domu_identity_free(id);
	return rc;
}

int domu_identity_make(struct domu_ctx *ctx, int fd, const char *path, const char *vdev, struct domu_identity *id)
{
	struct stat st;
	int rc = 0;

	memset(id, 0, sizeof *id);
	snprintf(id->vdev, sizeof id->vdev, "%s", vdev);
	id->path = realpath(path, NULL);
	if (id->path == NULL || fstat(fd, &st) < 0)
		rc = -errno;
	if (rc == 0)
		rc = from_stat(&st, id);
	if (rc == 0)
		rc = domu_fd_size(fd, &id->size);
	if (rc < 0) {
		domu_identity_free(id);
		return domu_fail(ctx, DOMU_FAILED, rc, "%s: %s", path, strerror(-rc));
	}
	return 0;
}

/* A link of udev's is followed again; the other names are made anew and compared. */
static bool same_name(const char *by_id, dev_t rdev, const char *now)
{
	struct stat st;

	if (by_id[0] == '/')
		return stat(by_id, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == rdev;
	return now != NULL && strcmp(by_id, now) == 0;
}

bool domu_identity_is_path(const struct domu_identity *id, const struct domu_identity *path)
{
	if (id->path != NULL && strcmp(id->path, path->path) == 0)
		return true;
	if (id->inode != 0)
		return id->inode == path->inode && (id->dev == path->dev || id->size == path->size);
	return path->inode == 0 && id->by_id != NULL && same_name(id->by_id, path->dev, path->by_id);
}

static int not_same(struct domu_ctx *ctx, enum domu_status status, const struct domu_identity *id, const char *why)
{
	return domu_fail(ctx, status, -ESTALE,
	                 "%s: %s is not the disk that this was staged on: %s: nothing was written", id->vdev, id->path,
	                 why);
}

int domu_identity_check(struct domu_ctx *ctx, enum domu_status status, const struct domu_identity *id, uint64_t size,
                        int fd)
{
	struct domu_identity now = { 0 };
	char link[32], path[4096];
	struct stat st;
	uint64_t actual;
	ssize_t n;
	int rc;

	if (fd < 0)
		return domu_fail(ctx, status, -ENODEV, "%s: %s is not there: nothing was written", id->vdev, id->path);
	rc = fstat(fd, &st) < 0 ? -errno : domu_fd_size(fd, &actual);
	if (rc == 0)
		rc = from_stat(&st, &now);
	if (rc < 0)
		return domu_fail(ctx, status, rc, "%s: %s", id->path, strerror(-rc));
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';

	if ((id->inode != 0) != (now.inode != 0))
		rc = not_same(ctx, status, id, "one is a file, the other a device");
	else if (id->inode != 0 && id->inode != now.inode)
		rc = not_same(ctx, status, id, "another file has its name");
	else if (id->inode == 0 && id->by_id != NULL && !same_name(id->by_id, now.dev, now.by_id))
		rc = not_same(ctx, status, id, "another device has its name");
	else if (id->inode == 0 && id->by_id == NULL && strcmp(id->path, path) != 0)
		rc = not_same(ctx, status, id, "it has no stable name, and another path");
	else if (actual != id->size && actual != size)
		rc = domu_fail(ctx, status, -ESTALE,
		               "%s: %s has %" PRIu64 " bytes, not the %" PRIu64 " it had: nothing was written",
		               id->vdev, id->path, actual, id->size);
	domu_identity_free(&now);
	return rc;
}
