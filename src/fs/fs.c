/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fs.c - the calls every filesystem driver is reached through: arguments and names are checked here, once. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/num.h"
#include "fs/fs.h"

#define NAME_BYTES   255
#define TARGET_BYTES 4095
#define XATTR_BYTES  65536

/* An older driver has a shorter struct: what lies beyond its size is not there. */
#define HAS(fs, op) \
	(offsetof(struct domu_fs_ops, op) + sizeof((fs)->ops->op) <= (fs)->ops->self_size && (fs)->ops->op != NULL)

static const char *shown(const struct domu_fs *fs)
{
	return fs->block != NULL ? fs->block->name : fs->ops->name;
}

static int unsupported(struct domu_fs *fs, const char *what)
{
	return domu_fail(fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: the driver %s for %s cannot %s", shown(fs),
	                 fs->ops->name, fs->probe.type[0] != '\0' ? fs->probe.type : "this filesystem", what);
}

static int may_change(struct domu_fs *fs)
{
	if (fs->writable)
		return 0;
	if (fs->block != NULL && fs->block->why_readonly != NULL)
		return domu_fail(fs->ctx, DOMU_UNSUPPORTED, -EROFS, "%s: %s", shown(fs), fs->block->why_readonly);
	return domu_fail(fs->ctx, DOMU_FAILED, -EROFS, "%s: the filesystem is opened read-only", shown(fs));
}

bool domu_fs_name_ok(const char *name)
{
	size_t len = strnlen(name, NAME_BYTES + 1);

	return len >= 1 && len <= NAME_BYTES && memchr(name, '/', len) == NULL && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static int check_name(struct domu_fs *fs, const char *name)
{
	if (strnlen(name, NAME_BYTES + 1) > NAME_BYTES)
		return domu_fail(fs->ctx, DOMU_FAILED, -ENAMETOOLONG, "%s: %.32s...: file name too long", shown(fs),
		                 name);
	if (!domu_fs_name_ok(name))
		return domu_fail(fs->ctx, DOMU_FAILED, -EINVAL, "%s: '%s' cannot be a file's name", shown(fs), name);
	return 0;
}

static int check_range(struct domu_fs *fs, size_t len, uint64_t offset)
{
	uint64_t end;

	if (domu_add(offset, len, &end) && end <= INT64_MAX)
		return 0;
	return domu_fail(fs->ctx, DOMU_FAILED, -EFBIG, "%s: offset %" PRIu64 " is beyond any file's end", shown(fs),
	                 offset);
}

int domu_fs_close(struct domu_fs *fs)
{
	return fs != NULL ? fs->ops->close(fs) : 0;
}

int domu_fs_flush(struct domu_fs *fs)
{
	return HAS(fs, flush) ? fs->ops->flush(fs) : 0;
}

int domu_fs_lookup(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t *ino)
{
	int rc = check_name(fs, name);

	*ino = 0;
	if (rc != 0)
		return rc;
	rc = fs->ops->lookup(fs, dir, name, ino);
	if (rc == 0 && *ino == 0)
		rc = domu_fail(fs->ctx, DOMU_FAILED, -EIO, "%s: an entry of inode %" PRIu64 " leads nowhere", shown(fs),
		               dir);
	return rc;
}

int domu_fs_stat(struct domu_fs *fs, uint64_t ino, struct domu_stat *st)
{
	memset(st, 0, sizeof *st);
	return fs->ops->stat(fs, ino, st);
}

struct dirents {
	struct domu_fs *fs;
	uint64_t dir;
	domu_dirent_fn fn;
	void *user;
	bool warned;
};

/* A name with a '/' would be taken for a path by whoever joins it to one: such entries are not shown at all. */
static int pass_dirent(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode)
{
	struct dirents *d = user;

	if (strnlen(name, NAME_BYTES + 1) == len && domu_fs_name_ok(name))
		return d->fn(d->user, name, len, ino, type_mode);
	if (!d->warned && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		domu_say(d->fs->ctx, DOMU_WARNING,
		         "%s: directory inode %" PRIu64 " has entries with impossible names: left out", shown(d->fs),
		         d->dir);
	d->warned = true;
	return 0;
}

int domu_fs_readdir(struct domu_fs *fs, uint64_t dir, domu_dirent_fn fn, void *user)
{
	struct dirents d = { .fs = fs, .dir = dir, .fn = fn, .user = user };

	return fs->ops->readdir(fs, dir, pass_dirent, &d);
}

int domu_fs_readlink(struct domu_fs *fs, uint64_t ino, char *buf, size_t size)
{
	int n;

	if (size == 0)
		return -EINVAL;
	buf[0] = '\0';
	n = fs->ops->readlink(fs, ino, buf, size);
	if (n < 0)
		return n;
	if ((size_t)n >= size || n > TARGET_BYTES || memchr(buf, '\0', (size_t)n) != NULL)
		return domu_fail(fs->ctx, DOMU_FAILED, -EIO, "%s: the link at inode %" PRIu64 " is damaged", shown(fs),
		                 ino);
	buf[n] = '\0';
	return n;
}

ssize_t domu_fs_read(struct domu_fs *fs, uint64_t ino, void *buf, size_t len, uint64_t offset)
{
	ssize_t n;

	if (len == 0 || offset > INT64_MAX)
		return 0;
	if (len > (uint64_t)INT64_MAX - offset)
		len = (size_t)((uint64_t)INT64_MAX - offset);
	n = fs->ops->read(fs, ino, buf, len, offset);
	if (n > 0 && (size_t)n > len)
		return domu_fail(fs->ctx, DOMU_FAILED, -EIO, "%s: the driver %s read too much", shown(fs),
		                 fs->ops->name);
	return n;
}

int domu_fs_listxattr(struct domu_fs *fs, uint64_t ino, domu_xattr_fn fn, void *user)
{
	return HAS(fs, listxattr) ? fs->ops->listxattr(fs, ino, fn, user) : 0;
}

struct wanted {
	const char *name;
	size_t limit, len;
	char *value;
};

/* Where a damaged inode has it twice the first counts, as for the kernel. */
static int take_wanted(void *user, const char *name, const void *value, size_t len)
{
	struct wanted *w = user;

	if (strcmp(name, w->name) != 0)
		return 0;
	if (len > w->limit)
		return -ERANGE;
	w->value = malloc(len + 1);
	if (w->value == NULL)
		return -ENOMEM;
	if (len > 0)
		memcpy(w->value, value, len);
	w->value[len] = '\0';
	w->len = len;
	return 1;
}

int domu_fs_getxattr(struct domu_fs *fs, uint64_t ino, const char *name, size_t limit, char **value, size_t *len)
{
	struct wanted w = { .name = name, .limit = limit };
	int rc = domu_fs_listxattr(fs, ino, take_wanted, &w);

	if (value != NULL)
		*value = NULL;
	if (rc <= 0)
		return rc == 0 ? -ENODATA : rc == -ENOMEM ? domu_nomem(fs->ctx) : rc;
	if (value == NULL) {
		free(w.value);
		return 0;
	}
	*value = w.value;
	*len = w.len;
	return 0;
}

int domu_fs_statfs(struct domu_fs *fs, struct domu_statfs *sf)
{
	memset(sf, 0, sizeof *sf);
	return HAS(fs, statfs) ? fs->ops->statfs(fs, sf) : unsupported(fs, "tell how full it is");
}

int domu_fs_extent(struct domu_fs *fs, uint64_t ino, uint64_t offset, uint64_t len, uint64_t *at, uint64_t *run)
{
	int rc = HAS(fs, extent) ? fs->ops->extent(fs, ino, offset, len, at, run) : -EOPNOTSUPP;

	if (rc == 0 && (*run == 0 || *run > len))
		rc = domu_fail(fs->ctx, DOMU_FAILED, -EIO, "%s: the driver %s maps nothing", shown(fs), fs->ops->name);
	return rc;
}

int domu_fs_suspects(struct domu_fs *before, struct domu_fs *after, const struct domu_span *spans, size_t n,
                     int (*fn)(void *user, uint64_t ino), void *user)
{
	if (before->ops != after->ops || !HAS(after, suspects))
		return -EOPNOTSUPP;
	return after->ops->suspects(before, after, spans, n, fn, user);
}

bool domu_fs_can_scan(const struct domu_fs *fs)
{
	return HAS(fs, scan);
}

int domu_fs_subvolume(struct domu_fs *fs, uint64_t id, uint64_t *ino)
{
	return HAS(fs, subvolume) ? fs->ops->subvolume(fs, id, ino) : -EOPNOTSUPP;
}

int domu_fs_scan(struct domu_fs *fs, const struct domu_scan *to, void *user)
{
	return HAS(fs, scan) ? fs->ops->scan(fs, to, user) : -EOPNOTSUPP;
}

int domu_fs_scan_some(struct domu_fs *fs, const uint32_t *inos, size_t n, const struct domu_scan *to, void *user)
{
	return HAS(fs, scan_some) ? fs->ops->scan_some(fs, inos, n, to, user) : -EOPNOTSUPP;
}

bool domu_type_known(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	default:
		return false;
	}
}

int domu_fs_create(struct domu_fs *fs, uint64_t dir, const char *name, const struct domu_stat *attr, const char *target,
                   uint64_t *ino)
{
	bool is_link = S_ISLNK(attr->mode);
	int rc;

	*ino = 0;
	if (!HAS(fs, create))
		return unsupported(fs, "make files");
	rc = may_change(fs);
	if (rc == 0)
		rc = check_name(fs, name);
	if (rc != 0)
		return rc;
	if (!domu_type_known(attr->mode) || (attr->mode & ~(uint32_t)(S_IFMT | 07777)) != 0 ||
	    is_link != (target != NULL))
		return domu_fail(fs->ctx, DOMU_FAILED, -EINVAL, "%s: %o is no type of file", shown(fs), attr->mode);
	if (is_link && target[0] == '\0')
		return domu_fail(fs->ctx, DOMU_FAILED, -ENOENT, "%s: a link needs a target", name);
	if (is_link && strnlen(target, TARGET_BYTES + 1) > TARGET_BYTES)
		return domu_fail(fs->ctx, DOMU_FAILED, -ENAMETOOLONG, "%s: the link's target is too long", name);
	return fs->ops->create(fs, dir, name, attr, target, ino);
}

int domu_fs_write(struct domu_fs *fs, uint64_t ino, const void *buf, size_t len, uint64_t offset)
{
	int rc;

	if (!HAS(fs, write))
		return unsupported(fs, "write files");
	rc = may_change(fs);
	if (rc == 0)
		rc = check_range(fs, len, offset);
	return rc != 0 || len == 0 ? rc : fs->ops->write(fs, ino, buf, len, offset);
}

int domu_fs_truncate(struct domu_fs *fs, uint64_t ino, uint64_t size)
{
	int rc;

	if (!HAS(fs, truncate))
		return unsupported(fs, "change a file's size");
	rc = may_change(fs);
	if (rc == 0)
		rc = check_range(fs, 0, size);
	return rc != 0 ? rc : fs->ops->truncate(fs, ino, size);
}

int domu_fs_link(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t ino)
{
	int rc;

	if (!HAS(fs, link))
		return unsupported(fs, "make hard links");
	rc = may_change(fs);
	if (rc == 0)
		rc = check_name(fs, name);
	return rc != 0 ? rc : fs->ops->link(fs, dir, name, ino);
}

int domu_fs_unlink(struct domu_fs *fs, uint64_t dir, const char *name)
{
	int rc;

	if (!HAS(fs, unlink))
		return unsupported(fs, "remove files");
	rc = may_change(fs);
	if (rc == 0)
		rc = check_name(fs, name);
	return rc != 0 ? rc : fs->ops->unlink(fs, dir, name);
}

int domu_fs_rmdir(struct domu_fs *fs, uint64_t dir, const char *name)
{
	int rc;

	if (!HAS(fs, rmdir))
		return unsupported(fs, "remove directories");
	rc = may_change(fs);
	if (rc == 0)
		rc = check_name(fs, name);
	return rc != 0 ? rc : fs->ops->rmdir(fs, dir, name);
}

int domu_fs_rename(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t newdir, const char *newname)
{
	int rc;

	if (!HAS(fs, rename))
		return unsupported(fs, "rename files");
	rc = may_change(fs);
	if (rc == 0)
		rc = check_name(fs, name);
	if (rc == 0)
		rc = check_name(fs, newname);
	return rc != 0 ? rc : fs->ops->rename(fs, dir, name, newdir, newname);
}

int domu_fs_setattr(struct domu_fs *fs, uint64_t ino, const struct domu_stat *st, unsigned mask)
{
	int rc;

	if (!HAS(fs, setattr))
		return unsupported(fs, "change a file's attributes");
	rc = may_change(fs);
	return rc != 0 || mask == 0 ? rc : fs->ops->setattr(fs, ino, st, mask);
}

static int check_xattr(struct domu_fs *fs, const char *name, size_t len)
{
	size_t n = strnlen(name, NAME_BYTES + 1);
	int rc = may_change(fs);

	if (rc != 0)
		return rc;
	if (n == 0 || n > NAME_BYTES)
		return domu_fail(fs->ctx, DOMU_FAILED, -EINVAL, "%s: '%.64s' cannot be an attribute's name", shown(fs),
		                 name);
	if (len > XATTR_BYTES)
		return domu_fail(fs->ctx, DOMU_FAILED, -E2BIG, "%s: the value of %s is longer than %d bytes", shown(fs),
		                 name, XATTR_BYTES);
	return 0;
}

int domu_fs_setxattr(struct domu_fs *fs, uint64_t ino, const char *name, const void *value, size_t len)
{
	int rc;

	if (!HAS(fs, setxattr))
		return unsupported(fs, "set extended attributes");
	rc = check_xattr(fs, name, len);
	return rc != 0 ? rc : fs->ops->setxattr(fs, ino, name, value, len);
}

int domu_fs_removexattr(struct domu_fs *fs, uint64_t ino, const char *name)
{
	int rc;

	if (!HAS(fs, removexattr))
		return unsupported(fs, "remove extended attributes");
	rc = check_xattr(fs, name, 0);
	return rc != 0 ? rc : fs->ops->removexattr(fs, ino, name);
}

int domu_fs_check(struct domu_fs *fs, enum domu_check_mode mode, domu_line_fn fn, void *user, int *result)
{
	*result = 8;
	return HAS(fs, check) ? fs->ops->check(fs, mode, fn, user, result) : unsupported(fs, "check it");
}

int domu_fs_slurp(struct domu_fs *fs, uint64_t ino, size_t max, char **data, size_t *len)
{
	struct domu_stat st;
	size_t size, have = 0;
	char *buf;
	int rc = domu_fs_stat(fs, ino, &st);

	*data = NULL;
	*len = 0;
	if (rc != 0)
		return rc;
	if (!S_ISREG(st.mode))
		return S_ISDIR(st.mode) ? -EISDIR : -EINVAL;
	/* The size is what the inode claims: nothing is allocated for it beyond max. */
	if (st.size > max)
		return -EFBIG;
	size = (size_t)st.size;
	buf = malloc(size + 1);
	if (buf == NULL)
		return domu_nomem(fs->ctx);
	while (have < size) {
		ssize_t n = domu_fs_read(fs, ino, buf + have, size - have, have);

		if (n < 0) {
			free(buf);
			return (int)n;
		}
		if (n == 0)
			break;
		have += (size_t)n;
	}
	buf[have] = '\0';
	*data = buf;
	*len = have;
	return 0;
}
