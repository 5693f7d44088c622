/* SPDX-License-Identifier: GPL-3.0-or-later */
/* identity.c - what makes a disk the same disk later, when device numbers have changed and names were given anew. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
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

/* "dm:UUID", "loop:OFFSET:FILE": what the kernel itself knows a device by; NULL: neither. */
static char *kernel_name(dev_t rdev)
{
	char *line = sys_line(rdev, "dm/uuid"), *name = NULL, *offset;

	if (line != NULL) {
		name = domu_text("dm:%s", line);
	} else if ((line = sys_line(rdev, "loop/backing_file")) != NULL) {
		offset = sys_line(rdev, "loop/offset");
		name = domu_text("loop:%s:%s", offset != NULL ? offset : "0", line);
		free(offset);
	}
	free(line);
	return name;
}

/* That, or a link of udev's; NULL: this device has no stable name. */
static char *stable_name(dev_t rdev)
{
	char *name = kernel_name(rdev);

	return name != NULL ? name : by_id_link(rdev);
}

/* One call for all of it: what two calls say may be of two files. */
static int look(int fd, const char *path, struct domu_identity *id)
{
	struct statx sx;

	if (statx(fd, path, AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &sx) < 0)
		return -errno;
	if (S_ISBLK(sx.stx_mode)) {
		id->dev = makedev(sx.stx_rdev_major, sx.stx_rdev_minor);
		id->by_id = stable_name(id->dev);
		return 0;
	}
	if (!S_ISREG(sx.stx_mode))
		return -EINVAL;
	id->dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	id->inode = sx.stx_ino;
	id->size = sx.stx_size;
	if ((sx.stx_mask & STATX_BTIME) != 0 && sx.stx_btime.tv_sec > 0)
		id->btime = (uint64_t)sx.stx_btime.tv_sec * 1000000000u + sx.stx_btime.tv_nsec;
	return 0;
}

/* Of a file that is gone the folder is resolved all the same: it is known by its path alone. */
static char *resolve(const char *path)
{
	const char *name = strrchr(path, '/');
	char *real = realpath(path, NULL), *dir, *there;

	if (real != NULL || errno != ENOENT)
		return real;
	dir = name == NULL ? strdup(".") : domu_text("%.*s/", (int)(name - path), path);
	there = dir != NULL ? realpath(dir, NULL) : NULL;
	if (there != NULL)
		real = domu_text("%s/%s", strcmp(there, "/") == 0 ? "" : there, name != NULL ? name + 1 : path);
	else
		real = strdup(path);
	free(dir);
	free(there);
	return real;
}

int domu_identity_of_path(const char *path, struct domu_identity *id)
{
	int rc;

	memset(id, 0, sizeof *id);
	id->path = resolve(path);
	rc = id->path == NULL ? -errno : look(AT_FDCWD, id->path, id);
	return rc;
}

int domu_identity_make(struct domu_ctx *ctx, int fd, const char *path, const char *vdev, struct domu_identity *id)
{
	int rc = 0;

	memset(id, 0, sizeof *id);
	snprintf(id->vdev, sizeof id->vdev, "%s", vdev);
	id->path = realpath(path, NULL);
	if (id->path == NULL)
		rc = -errno;
	if (rc == 0)
		rc = look(fd, "", id);
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

static bool same_path(const struct domu_identity *id, const struct domu_identity *now)
{
	return id->path != NULL && now->path != NULL && strcmp(id->path, now->path) == 0;
}

/*
 * A file's inode number and birth are its own wherever it is moved on its
 * file system, and no copy has them; the number alone may be used again.
 * Where a birth is not known, the number with one thing more has to do.
 */
static bool same_file(const struct domu_identity *id, const struct domu_identity *now)
{
	if (id->inode != now->inode)
		return false;
	if (id->btime != 0 && now->btime != 0)
		return id->btime == now->btime;
	return same_path(id, now) || id->dev == now->dev || id->size == now->size;
}

bool domu_identity_same(const struct domu_identity *a, const struct domu_identity *b)
{
	if (a->inode != 0 || b->inode != 0)
		return a->inode != 0 && same_file(a, b);
	if (a->by_id != NULL || b->by_id != NULL)
		return a->by_id != NULL && b->by_id != NULL && strcmp(a->by_id, b->by_id) == 0;
	return same_path(a, b);
}

/* Why it is another disk; NULL: it is the same. */
static const char *difference(const struct domu_identity *id, const struct domu_identity *now)
{
	if ((id->inode != 0) != (now->inode != 0))
		return "one is a file, the other a device";
	if (id->inode != 0)
		return same_file(id, now) ? NULL : "another file has its name";
	if (id->by_id != NULL)
		return same_name(id->by_id, now->dev, now->by_id) ? NULL : "another device has its name";
	return same_path(id, now) ? NULL : "it has no stable name, and another path";
}

/* Not only unlike: what each is known by is known, and differs. */
static bool surely_other(const struct domu_identity *id, const struct domu_identity *now)
{
	if (id->inode != 0 || now->inode != 0)
		return true;
	return id->by_id != NULL && now->by_id != NULL;
}

enum domu_likeness domu_identity_like(const struct domu_identity *id, const struct domu_identity *now)
{
	bool there = now->inode != 0 || now->dev != 0;

	if (there && difference(id, now) == NULL)
		return DOMU_SAME_DISK;
	if (!same_path(id, now))
		return DOMU_OTHER_DISK;
	return there && surely_other(id, now) ? DOMU_REPLACED : DOMU_SAME_PATH;
}

/* The node of the device that the kernel knows by this name. */
static char *find_node(const char *by_id)
{
	DIR *d = opendir("/sys/dev/block");
	char *found = NULL, *name, path[320], target[PATH_MAX];
	struct dirent *e;
	unsigned ma, mi;
	struct stat st;
	ssize_t n;

	while (found == NULL && d != NULL && (e = readdir(d)) != NULL) {
		if (sscanf(e->d_name, "%u:%u", &ma, &mi) != 2)
			continue;
		name = kernel_name(makedev(ma, mi));
		snprintf(path, sizeof path, "/sys/dev/block/%s", e->d_name);
		n = name != NULL && strcmp(name, by_id) == 0 ? readlink(path, target, sizeof target - 1) : 0;
		free(name);
		if (n <= 0)
			continue;
		target[n] = '\0';
		found = domu_text("/dev%s", strrchr(target, '/'));
		if (found == NULL || stat(found, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != makedev(ma, mi)) {
			free(found);
			found = NULL;
		}
	}
	if (d != NULL)
		closedir(d);
	return found;
}

char *domu_identity_find(const struct domu_identity *id)
{
	struct domu_identity now;
	char *found = NULL;

	if (domu_identity_of_path(id->path, &now) == 0 && domu_identity_like(id, &now) == DOMU_SAME_DISK)
		found = strdup(id->path);
	else if (id->inode == 0 && id->by_id != NULL)
		found = id->by_id[0] == '/' ? realpath(id->by_id, NULL) : find_node(id->by_id);
	domu_identity_free(&now);
	return found;
}

static int not_same(struct domu_ctx *ctx, enum domu_status status, const struct domu_identity *id, const char *why)
{
	char *now = id->inode == 0 ? domu_identity_find(id) : NULL;
	int rc =
	    domu_fail(ctx, status, -ESTALE,
	              "%s: %s is not the disk that this was staged on: %s: nothing was written; name the right one "
	              "with --disk %s",
	              id->vdev, id->path, why, now != NULL ? now : "PATH");

	free(now);
	return rc;
}

int domu_identity_check(struct domu_ctx *ctx, enum domu_status status, const struct domu_identity *id, uint64_t size,
                        int fd)
{
	struct domu_identity now = { 0 };
	char link[32], path[PATH_MAX];
	const char *why;
	uint64_t actual;
	ssize_t n;
	int rc;

	if (fd < 0)
		return domu_fail(ctx, status, -ENODEV, "%s: %s is not there: nothing was written", id->vdev, id->path);
	rc = domu_fd_size(fd, &actual);
	if (rc == 0)
		rc = look(fd, "", &now);
	if (rc < 0)
		return domu_fail(ctx, status, rc, "%s: %s", id->path, strerror(-rc));
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	now.path = path;
	why = difference(id, &now);
	now.path = NULL;
	if (why != NULL)
		rc = not_same(ctx, status, id, why);
	else if (actual != id->size && actual != size)
		rc = domu_fail(ctx, status, -ESTALE,
		               "%s: %s has %" PRIu64 " bytes, not the %" PRIu64 " it had: nothing was written",
		               id->vdev, id->path, actual, id->size);
	domu_identity_free(&now);
	return rc;
}
