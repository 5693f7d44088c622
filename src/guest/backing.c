/* SPDX-License-Identifier: GPL-3.0-or-later */
/* backing.c - a disk's backing store: resolved, opened read-only, locked by us, opened for a commit. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "guest/check.h"

void domu_sysfs_path(uint64_t dev, char out[64])
{
	snprintf(out, 64, "/sys/dev/block/%u:%u", major((dev_t)dev), minor((dev_t)dev));
}

uint64_t domu_sysfs_dev(const char *dir)
{
	char path[PATH_MAX], text[32];
	unsigned ma, mi;
	ssize_t n;
	int fd;

	if (snprintf(path, sizeof path, "%s/dev", dir) >= (int)sizeof path)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return sscanf(text, "%u:%u", &ma, &mi) == 2 ? makedev(ma, mi) : 0;
}

/* The disk that a partition is on, itself for everything else. */
static uint64_t whole_of(uint64_t dev)
{
	char dir[64], path[96];
	uint64_t whole;

	domu_sysfs_path(dev, dir);
	snprintf(path, sizeof path, "%s/partition", dir);
	if (access(path, F_OK) != 0)
		return dev;
	snprintf(path, sizeof path, "%s/..", dir);
	whole = domu_sysfs_dev(path);
	return whole != 0 ? whole : dev;
}

/* Where an open descriptor's path leads in the end: one call instead of one for each component. */
static char *resolved(int fd, const char *path)
{
	char link[64], buf[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, buf, sizeof buf - 1);
	if (n > 0 && buf[0] == '/') {
		buf[n] = '\0';
		return strdup(buf);
	}
	return realpath(path, NULL);
}

/* Whoever has the file has the loop over it, and sees no loop: qemu, a saved state, a config. */
static void loop_facts(struct domu_backing *b)
{
	struct loop_info64 info;

	if (major((dev_t)b->dev) != LOOP_MAJOR && major((dev_t)b->whole_dev) != LOOP_MAJOR)
		return;
	if (ioctl(b->fd, LOOP_GET_STATUS64, &info) < 0)
		return;
	b->below_dev = info.lo_device;
	b->below_inode = info.lo_inode;
}

static int device_facts(struct domu_backing *b)
{
	int sector = 0;
	uint64_t size = 0;

	if (ioctl(b->fd, BLKGETSIZE64, &size) < 0 || ioctl(b->fd, BLKSSZGET, &sector) < 0)
		return -errno;
	b->size = size;
	b->sector_size = sector > 0 ? (uint32_t)sector : 512;
	b->whole_dev = whole_of(b->dev);
	loop_facts(b);
	return 0;
}

void domu_backing_forget(const struct domu_backing *b)
{
	if (b->is_device && b->fd >= 0)
		posix_fadvise(b->fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* Is it a RAM disk, or made of one? */
static bool of_ram(uint64_t dev, unsigned depth)
{
	char dir[64], path[PATH_MAX];
	bool ram = major((dev_t)dev) == RAMDISK_MAJOR || depth == 0;
	struct dirent *e;
	DIR *d;

	domu_sysfs_path(dev, dir);
	snprintf(path, sizeof path, "%s/slaves", dir);
	d = ram ? NULL : opendir(path);
	while (d != NULL && !ram && (e = readdir(d)) != NULL) {
		snprintf(path, sizeof path, "%s/slaves/%s", dir, e->d_name);
		ram = e->d_name[0] != '.' && of_ram(domu_sysfs_dev(path), depth - 1);
	}
	if (d != NULL)
		closedir(d);
	return ram;
}

/*
 * fadvise drops what is clean and in nobody's hands at that moment.  It only
 * begins to write what is dirty, and so leaves it, and before Linux 5.13 it
 * leaves what is in the buffers that a file system of this host used last on
 * each CPU: the superblock above all, of a mount that was refused.  BLKFLSBUF
 * waits for the one and drops the other (fsync_bdev() and invalidate_bdev(),
 * in block/).  But it takes as long as there is something to write, and older
 * RAM disks take it as an order to empty themselves, of which device-mapper
 * tells them: so only where something is decided, and never on these.  Neither
 * drops what somebody has mapped or reads just now.
 */
void domu_backing_forget_all(const struct domu_backing *b)
{
	if (b->is_device && b->fd >= 0 && !of_ram(b->whole_dev, 8))
		(void)ioctl(b->fd, BLKFLSBUF, 0);
	/* Only root may do that, and has to be for a commit. */
	domu_backing_forget(b);
}

/* A guest could make its raw disk look like an image that names files of the host: the format never changes by that. */
static void warn_of_magic(struct domu_ctx *ctx, const struct domu_backing *b)
{
	static const struct {
		const char *magic, *format;
		size_t len;
	} magics[] = {
		{ "QFI\xfb", "qcow2", 4 }, { "conectix", "vhd", 8 }, { "vhdxfile", "vhdx", 8 },
		{ "KDMV", "vmdk", 4 },     { "QED", "qed", 4 },
	};
	char head[8];

	if (b->size < sizeof head || domu_pread_full(b->fd, head, sizeof head, 0) < 0)
		return;
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
		if (memcmp(head, magics[i].magic, magics[i].len) == 0)
			domu_say(ctx, DOMU_WARNING,
			         "disk %s (%s) begins like a %s image but is taken as raw; --format %s says otherwise",
			         b->disk->vdev, b->path, magics[i].format, magics[i].format);
}

static int refuse_kind(struct domu_ctx *ctx, const struct domu_disk *d)
{
	if (d->path == NULL)
		return domu_fail(ctx, DOMU_NOTFOUND, -ENOMEDIUM, "disk %s is an empty drive", d->vdev);
	if (d->script != NULL)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "disk %s is made by the block script %s from %s; next: xl block-attach 0 "
		                 "'script=%s,vdev=xvdz,target=%s' && domu-rescue --disk /dev/xvdz shell",
		                 d->vdev, d->script, d->path, d->script, d->path);
	if (d->backend != NULL && strcmp(d->backend, "0") != 0 && strcmp(d->backend, "Domain-0") != 0)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "disk %s is served by the driver domain %s: run domu-rescue --disk %s shell there",
		                 d->vdev, d->backend, d->path);
	if (d->format != NULL && strcmp(d->format, "raw") != 0)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "disk %s (%s) is %s: only raw disks can be read; qemu-img convert -O raw makes one",
		                 d->vdev, d->path, d->format);
	return 0;
}

int domu_backing_open(struct domu_ctx *ctx, const struct domu_disk *disk, struct domu_backing *b)
{
	struct stat st;
	int rc = refuse_kind(ctx, disk);

	memset(b, 0, sizeof *b);
	b->disk = disk;
	b->fd = b->lock_fd = b->parent_lock_fd = -1;
	if (rc < 0)
		return rc;
	/* Nonblocking: a fifo does not hold us up. */
	b->fd = open(disk->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (b->fd < 0) {
		rc = -errno;
		return domu_fail(ctx, rc == -ENOENT || rc == -ENOTDIR || rc == -ENXIO ? DOMU_NOTFOUND : DOMU_FAILED, rc,
		                 "disk %s: cannot open %s: %s", disk->vdev, disk->path, strerror(-rc));
	}
	if (fstat(b->fd, &st) < 0) {
		rc = domu_fail(ctx, DOMU_FAILED, -errno, "disk %s: %s: %s", disk->vdev, disk->path, strerror(errno));
		goto out;
	}
	b->is_device = S_ISBLK(st.st_mode);
	if (b->is_device) {
		b->dev = st.st_rdev;
		rc = device_facts(b);
		if (rc < 0) {
			rc = domu_fail(ctx, DOMU_FAILED, rc, "disk %s: cannot get the size of %s: %s", disk->vdev,
			               disk->path, strerror(-rc));
			goto out;
		}
	} else if (S_ISREG(st.st_mode)) {
		b->dev = b->whole_dev = st.st_dev;
		b->inode = st.st_ino;
		b->size = (uint64_t)st.st_size;
		b->sector_size = 512;
	} else {
		rc = domu_fail(ctx, DOMU_FAILED, -EINVAL, "disk %s: %s is neither a file nor a block device",
		               disk->vdev, disk->path);
		goto out;
	}
	b->path = resolved(b->fd, disk->path);
	if (b->path == NULL) {
		rc = domu_nomem(ctx);
		goto out;
	}
	warn_of_magic(ctx, b);
out:
	if (rc < 0)
		domu_backing_close(b);
	return rc;
}

void domu_backing_unlock(struct domu_backing *b)
{
	if (b->lock_fd >= 0)
		close(b->lock_fd);
	if (b->parent_lock_fd >= 0)
		close(b->parent_lock_fd);
	b->lock_fd = b->parent_lock_fd = -1;
	b->idle = false;
}

void domu_backing_close(struct domu_backing *b)
{
	if (b->fd >= 0)
		close(b->fd);
	domu_backing_unlock(b);
	free(b->path);
	memset(b, 0, sizeof *b);
	b->fd = b->lock_fd = b->parent_lock_fd = -1;
}

static bool is_backing(const struct domu_backing *b, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (b->is_device)
		return S_ISBLK(st.st_mode) && st.st_rdev == b->dev;
	return st.st_dev == b->dev && st.st_ino == b->inode;
}

int domu_backing_open_rw(struct domu_ctx *ctx, struct domu_backing *b)
{
	bool again = domu_held_by_us(b);
	int fd, rc;

	/* Once we are a writer ourselves the kernel can no longer be asked whether there is one. */
	if (!again)
		b->alone = domu_ask_lease(b) == DOMU_LEASE_FREE;
	fd = ctx->io->open(b->path, O_RDWR | O_NOCTTY | (b->is_device ? O_EXCL : 0), 0);
	if (fd < 0) {
		rc = -errno;
		if (rc == -EBUSY)
			return domu_fail(ctx, DOMU_INUSE, rc,
			                 "disk %s: the kernel holds %s for something: see domu-rescue --disk %s status",
			                 b->disk->vdev, b->path, b->path);
		return domu_fail(ctx, DOMU_FAILED, rc, "disk %s: cannot open %s for writing: %s", b->disk->vdev,
		                 b->path, strerror(-rc));
	}
	if (!is_backing(b, fd))
		rc = domu_fail(ctx, DOMU_FAILED, -ESTALE, "disk %s: %s is not the disk any more that was opened",
		               b->disk->vdev, b->path);
	else if (!again && domu_image_lock(fd) < 0)
		rc = domu_fail(ctx, DOMU_INUSE, -EBUSY, "disk %s: qemu or a tool of it holds the image lock of %s",
		               b->disk->vdev, b->path);
	else
		return fd;
	ctx->io->close(fd);
	return rc;
}

/* ---- our own lock ---------------------------------------------------------- */

/*
 * STATE/locks/FILE, locked by an open file description lock on its first
 * byte: it goes with the process, and who has it can be asked.  A partition
 * takes its own exclusively and the whole disk's shared, so the two conflict.
 * The files stay: deleting one would let two own "the" lock.
 */
#define IDLE "reads"

static void lock_path(const char *state_dir, const struct domu_backing *b, bool whole, char out[PATH_MAX])
{
	uint64_t dev = whole ? b->whole_dev : b->dev;

	if (b->is_device)
		snprintf(out, PATH_MAX, "%s/locks/block-%u-%u", state_dir, major((dev_t)dev), minor((dev_t)dev));
	else
		snprintf(out, PATH_MAX, "%s/locks/file-%llx-%llu", state_dir, (unsigned long long)b->dev,
		         (unsigned long long)b->inode);
}

void domu_owner_name(char *out, size_t size)
{
	const char *user = getenv("SUDO_USER"), *tty = ttyname(STDIN_FILENO);

	if (user == NULL)
		user = getenv("LOGNAME");
	if (user == NULL)
		user = geteuid() == 0 ? "root" : "user";
	if (tty != NULL && strncmp(tty, "/dev/", 5) == 0)
		tty += 5;
	snprintf(out, size, "%s%s%s", user, tty != NULL ? "@" : "", tty != NULL ? tty : "");
}

/* Who has it, and in a second line whether he only reads so far. */
static void read_owner(int fd, char *owner, size_t size, bool *idle)
{
	ssize_t n = pread(fd, owner, size - 1, 0);
	char *line;

	*idle = false;
	if (n <= 0) {
		snprintf(owner, size, "another domu-rescue");
		return;
	}
	owner[n] = '\0';
	line = strchr(owner, '\n');
	if (line != NULL) {
		*idle = strcmp(line + 1, IDLE) == 0;
		*line = '\0';
		n = line - owner;
	}
	for (char *p = owner; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	while (n > 0 && owner[n - 1] == ' ')
		owner[--n] = '\0';
}

static int lock_held(const char *path, short type, char *owner, size_t size, bool *idle)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_len = 1 };
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (fcntl(fd, F_OFD_GETLK, &fl) < 0) {
		rc = -errno;
	} else if (fl.l_type != F_UNLCK) {
		read_owner(fd, owner, size, idle);
		rc = 1;
	}
	close(fd);
	return rc;
}

int domu_lock_owner(const struct domu_backing *b, char *owner, size_t size, bool *idle)
{
	char path[PATH_MAX];
	int rc;

	*idle = false;
	if (b->state_dir == NULL || b->lock_fd >= 0)
		return 0;
	lock_path(b->state_dir, b, false, path);
	rc = lock_held(path, F_WRLCK, owner, size, idle);
	if (rc != 0 || b->whole_dev == b->dev)
		return rc;
	lock_path(b->state_dir, b, true, path);
	return lock_held(path, F_RDLCK, owner, size, idle);
}

/* Without the folder that it was called from. */
static void own_command(char *out, size_t size)
{
	char *name;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, size - 1) : 0;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		n = 0;
	out[n] = '\0';
	name = strrchr(out, '/');
	if (name != NULL) {
		n -= name + 1 - out;
		memmove(out, name + 1, (size_t)n);
	}
	for (ssize_t i = 0; i < n; i++)
		if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
			out[i] = ' ';
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

int domu_state_failed(struct domu_ctx *ctx, int rc, const char *path)
{
	const char *next = "";

	if ((rc == -EACCES || rc == -EPERM) && geteuid() != 0)
		next = ": run as root";
	else if (rc == -ENOSPC || rc == -EDQUOT)
		next = ": make room there, or --state-dir DIR keeps stages, undo and history elsewhere";
	return domu_fail(ctx, DOMU_FAILED, rc, "%s: %s%s", path, strerror(-rc), next);
}

static int write_owner(struct domu_ctx *ctx, int fd, const struct domu_backing *b, bool idle)
{
	char text[512], command[300], name[80], when[32] = "";
	struct tm tm;

	own_command(command, sizeof command);
	domu_owner_name(name, sizeof name);
	if (localtime_r(&b->since, &tm) != NULL)
		strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(text, sizeof text, "pid %d, %s, since %s: %s\n%s", (int)getpid(), name, when, command,
	         idle ? IDLE : "");
	if (ctx->io->ftruncate(fd, 0) < 0)
		return -errno;
	return domu_pwrite_full(ctx->io, fd, text, strlen(text), 0);
}

/* *fd is the lock's, or a failure that names the owner. */
static int take_lock(struct domu_ctx *ctx, const struct domu_backing *b, const char *path, short type, bool idle,
                     int *fd)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_len = 1 };
	char owner[512], me[32];
	int rc = 0, f = ctx->io->open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

	if (f < 0)
		return domu_state_failed(ctx, -errno, path);
	if (fcntl(f, F_OFD_SETLK, &fl) < 0) {
		rc = -errno;
		if (rc != -EAGAIN && rc != -EACCES) {
			rc = domu_fail(ctx, DOMU_FAILED, rc, "cannot lock %s: %s", path, strerror(-rc));
			goto out;
		}
		read_owner(f, owner, sizeof owner, &idle);
		snprintf(me, sizeof me, "pid %d, ", (int)getpid());
		if (strncmp(owner, me, strlen(me)) == 0)
			rc = domu_fail(ctx, DOMU_INUSE, -EBUSY,
			               "disk %s (%s) is open twice: two of the guest's disks are the same",
			               b->disk->vdev, b->path);
		else
			rc = domu_fail(
			    ctx, DOMU_INUSE, -EBUSY,
			    "disk %s (%s) is open for changes in another domu-rescue (%s); end that one first",
			    b->disk->vdev, b->path, owner);
		goto out;
	}
	/* Whoever shares the whole disk's lock leaves his name too: the last one is shown. */
	rc = write_owner(ctx, f, b, idle);
	if (rc < 0)
		rc = domu_state_failed(ctx, rc, path);
out:
	if (rc < 0)
		ctx->io->close(f);
	else
		*fd = f;
	return rc;
}

/* Who holds the lock begins to change something, or has ended that. */
static int set_idle(struct domu_ctx *ctx, struct domu_backing *b, bool idle)
{
	int rc = 0;

	if (b->idle != idle)
		rc = write_owner(ctx, b->lock_fd, b, idle);
	if (rc == 0 && b->idle != idle && b->parent_lock_fd >= 0)
		rc = write_owner(ctx, b->parent_lock_fd, b, idle);
	if (rc < 0)
		return domu_fail(ctx, DOMU_FAILED, rc, "cannot write the lock of %s: %s", b->path, strerror(-rc));
	b->idle = idle;
	return 0;
}

static int lock(struct domu_ctx *ctx, const char *state_dir, struct domu_backing *b, bool idle)
{
	char path[PATH_MAX];
	int rc;

	if (strlen(state_dir) > PATH_MAX - 100)
		return domu_fail(ctx, DOMU_FAILED, -ENAMETOOLONG, "the state directory's name is too long");
	b->since = time(NULL);
	snprintf(path, sizeof path, "%s/locks", state_dir);
	if ((ctx->io->mkdir(state_dir, 0700) < 0 && errno != EEXIST) ||
	    (ctx->io->mkdir(path, 0700) < 0 && errno != EEXIST))
		return domu_fail(ctx, DOMU_FAILED, -errno, "cannot make %s: %s", path, strerror(errno));
	/* The whole disk's first: in one order, no two wait for each other (nobody waits at all). */
	if (b->whole_dev != b->dev) {
		lock_path(state_dir, b, true, path);
		rc = take_lock(ctx, b, path, F_RDLCK, idle, &b->parent_lock_fd);
		if (rc < 0)
			return rc;
	}
	lock_path(state_dir, b, false, path);
	rc = take_lock(ctx, b, path, F_WRLCK, idle, &b->lock_fd);
	if (rc < 0 && b->parent_lock_fd >= 0) {
		ctx->io->close(b->parent_lock_fd);
		b->parent_lock_fd = -1;
	}
	b->idle = rc == 0 && idle;
	return rc;
}

int domu_backing_lock(struct domu_ctx *ctx, const char *state_dir, struct domu_backing *b)
{
	return b->lock_fd >= 0 ? set_idle(ctx, b, false) : lock(ctx, state_dir, b, false);
}

int domu_backing_announce(struct domu_ctx *ctx, const char *state_dir, struct domu_backing *b)
{
	return b->lock_fd >= 0 ? set_idle(ctx, b, true) : lock(ctx, state_dir, b, true);
}
