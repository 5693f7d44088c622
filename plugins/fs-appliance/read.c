/* SPDX-License-Identifier: GPL-3.0-or-later */
/* read.c - looking at a filesystem in the appliance. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "guest.h"

#define MAX_READ   (2u << 20) /* bytes: libguestfs takes less than 4 MiB in a message */
#define BATCH      1000 /* names in one question for attributes */
#define DEV_SHIFT  DOMU_SUBVOL_SHIFT /* handles on other devices of the same filesystem: 56 bits, as the export needs */
#define INO_MASK   ((UINT64_C(1) << DEV_SHIFT) - 1)
#define MAX_XATTRS 4096

int app_path(struct domu_fs *fs, uint64_t ino, const char *name, char path[GUEST_PATH])
{
	struct app_fs *a = app(fs);

	return names_path(&a->names, fs->root, a->mount, ino, name, path, GUEST_PATH);
}

const char *app_shown(struct domu_fs *fs, const char *path)
{
	const char *rest = path + strlen(app(fs)->mount);

	return *rest != '\0' ? rest : "/";
}

/* A subvolume of btrfs is a device of its own, in which inode numbers begin again. */
static int handle(struct domu_fs *fs, uint64_t dev, uint64_t ino, uint64_t *out)
{
	struct app_fs *a = app(fs);
	size_t i = 0;

	while (i < a->n_dev && a->dev[i] != dev)
		i++;
	if (i == a->n_dev) {
		if (i == sizeof a->dev / sizeof *a->dev)
			return domu_fail(fs->ctx, DOMU_UNSUPPORTED, -EMFILE, "%s: more than %zu subvolumes",
			                 fs->block->name, i);
		a->dev[a->n_dev++] = dev;
	}
	if (ino == 0 || ino > INO_MASK)
		return domu_fail(fs->ctx, DOMU_FAILED, -EIO, "%s: an inode number that cannot be", fs->block->name);
	*out = ino | (uint64_t)i << DEV_SHIFT;
	return 0;
}

int app_take_stat(struct domu_fs *fs, const struct guestfs_statns *from, struct domu_stat *st)
{
	dev_t rdev = (dev_t)from->st_rdev;

	*st = (struct domu_stat){
		.mode = (uint32_t)from->st_mode,
		.nlink = (uint32_t)from->st_nlink,
		.uid = (uint32_t)from->st_uid,
		.gid = (uint32_t)from->st_gid,
		.rdev_major = major(rdev),
		.rdev_minor = minor(rdev),
		.size = (uint64_t)from->st_size,
		.sectors = (uint64_t)from->st_blocks,
		.block_size = (uint32_t)from->st_blksize,
		.atime = { .tv_sec = from->st_atime_sec, .tv_nsec = from->st_atime_nsec },
		.mtime = { .tv_sec = from->st_mtime_sec, .tv_nsec = from->st_mtime_nsec },
		.ctime = { .tv_sec = from->st_ctime_sec, .tv_nsec = from->st_ctime_nsec },
	};
	return handle(fs, (uint64_t)from->st_dev, (uint64_t)from->st_ino, &st->ino);
}

static int remember(struct domu_fs *fs, uint64_t dir, const char *name, const struct domu_stat *st)
{
	struct app_fs *a = app(fs);
	struct name *n = names_put(&a->names, st->ino, dir, name);

	if (n == NULL)
		return domu_fail(fs->ctx, DOMU_FAILED, -ENOMEM, "out of memory");
	n->st = *st;
	n->age = a->age;
	return 0;
}

int app_look(struct domu_fs *fs, uint64_t dir, const char *name, struct domu_stat *st)
{
	struct guest *g = app(fs)->guest;
	struct guestfs_statns *got;
	char path[GUEST_PATH];
	int rc = app_mount(fs);

	if (rc == 0)
		rc = app_path(fs, dir, name, path);
	if (rc != 0)
		return rc;
	got = g->lib.lstatns(g->g, path);
	if (got == NULL) {
		rc = guest_errno(fs);
		return rc == -ENOENT || rc == -ENOTDIR ? rc : guest_fail(fs, "read", app_shown(fs, path));
	}
	rc = app_take_stat(fs, got, st);
	g->lib.free_statns(got);
	return rc != 0 ? rc : remember(fs, dir, name, st);
}

int app_lookup(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t *ino)
{
	struct domu_stat st;
	int rc = app_look(fs, dir, name, &st);

	if (rc == 0)
		*ino = st.ino;
	return rc;
}

int app_stat(struct domu_fs *fs, uint64_t ino, struct domu_stat *st)
{
	struct app_fs *a = app(fs);
	struct guest *g = a->guest;
	struct name *n = names_find(&a->names, ino);
	struct guestfs_statns *got;
	char path[GUEST_PATH];
	int rc = app_mount(fs);

	if (rc == 0 && n != NULL && n->age == a->age) {
		*st = n->st;
		return 0;
	}
	if (rc == 0)
		rc = app_path(fs, ino, NULL, path);
	if (rc != 0)
		return rc;
	got = g->lib.lstatns(g->g, path);
	if (got == NULL)
		return guest_fail(fs, "read", app_shown(fs, path));
	rc = app_take_stat(fs, got, st);
	g->lib.free_statns(got);
	if (rc == 0 && st->ino != ino)
		rc = domu_fail(fs->ctx, DOMU_FAILED, -ESTALE, "%s: %s is another file now", fs->block->name,
		               app_shown(fs, path));
	if (rc == 0 && n != NULL) {
		n->st = *st;
		n->age = a->age;
	}
	return rc;
}

/* ---- directories ------------------------------------------------------------------ */

/* A batch of names with their attributes: one question instead of one a file. */
static int give(struct domu_fs *fs, uint64_t dir, const char *path, char **names, size_t n, domu_dirent_fn fn,
                void *user)
{
	struct guest *g = app(fs)->guest;
	struct guestfs_statns_list *list;
	int rc = 0;

	names[n] = NULL;
	list = g->lib.lstatnslist(g->g, path, names);
	if (list == NULL)
		return guest_fail(fs, "read", app_shown(fs, path));
	if (list->len != n)
		rc = domu_fail(fs->ctx, DOMU_FAILED, -EIO, "%s: the appliance answered nonsense", fs->block->name);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct domu_stat st = { .mode = 0 };

		/* An inode that cannot be read is still a name; whoever asks for it is told why. */
		if (list->val[i].st_ino > 0) {
			rc = app_take_stat(fs, &list->val[i], &st);
			if (rc == 0)
				rc = remember(fs, dir, names[i], &st);
		}
		if (rc == 0)
			rc = fn(user, names[i], strlen(names[i]), st.ino, st.mode & S_IFMT);
	}
	g->lib.free_statns_list(list);
	return rc;
}

int app_readdir(struct domu_fs *fs, uint64_t dir, domu_dirent_fn fn, void *user)
{
	struct guest *g = app(fs)->guest;
	struct guestfs_dirent_list *list;
	char path[GUEST_PATH];
	char *names[BATCH + 1];
	size_t n = 0;
	int rc = app_mount(fs);

	if (rc == 0)
		rc = app_path(fs, dir, NULL, path);
	if (rc != 0)
		return rc;
	list = g->lib.readdir(g->g, path);
	if (list == NULL)
		return guest_fail(fs, "read", app_shown(fs, path));
	for (uint32_t i = 0; i < list->len && rc == 0; i++) {
		char *name = list->val[i].name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		names[n++] = name;
		if (n == BATCH) {
			rc = give(fs, dir, path, names, n, fn, user);
			n = 0;
		}
	}
	if (rc == 0 && n > 0)
		rc = give(fs, dir, path, names, n, fn, user);
	g->lib.free_dirent_list(list);
	return rc;
}

/* ---- content ------------------------------------------------------------------------ */

/* libguestfs follows a link at the end of a path: only what is of that type is ever asked for. */
static int typed_path(struct domu_fs *fs, uint64_t ino, uint32_t type, char path[GUEST_PATH])
{
	struct domu_stat st;
	int rc = app_stat(fs, ino, &st);

	if (rc == 0 && (st.mode & S_IFMT) != type)
		rc = S_ISDIR(st.mode) ? -EISDIR : -EINVAL;
	return rc != 0 ? rc : app_path(fs, ino, NULL, path);
}

int app_readlink(struct domu_fs *fs, uint64_t ino, char *buf, size_t size)
{
	struct guest *g = app(fs)->guest;
	char path[GUEST_PATH];
	char *target;
	int rc = typed_path(fs, ino, S_IFLNK, path);

	if (rc != 0)
		return rc;
	target = g->lib.readlink(g->g, path);
	if (target == NULL)
		return guest_fail(fs, "read the link", app_shown(fs, path));
	rc = snprintf(buf, size, "%s", target);
	free(target);
	return rc < (int)size ? rc : -ENAMETOOLONG;
}

ssize_t app_read(struct domu_fs *fs, uint64_t ino, void *buf, size_t len, uint64_t offset)
{
	struct guest *g = app(fs)->guest;
	char path[GUEST_PATH];
	char *data;
	size_t got;
	int rc = typed_path(fs, ino, S_IFREG, path);

	if (rc != 0)
		return rc;
	if (offset > INT64_MAX)
		return 0;
	if (len > MAX_READ)
		len = MAX_READ;
	data = g->lib.pread(g->g, path, (int)len, (int64_t)offset, &got);
	if (data == NULL)
		return guest_fail(fs, "read", app_shown(fs, path));
	if (got > len)
		got = len;
	memcpy(buf, data, got);
	free(data);
	return (ssize_t)got;
}

int app_listxattr(struct domu_fs *fs, uint64_t ino, domu_xattr_fn fn, void *user)
{
	struct guest *g = app(fs)->guest;
	struct guestfs_xattr_list *list;
	char path[GUEST_PATH];
	int rc = app_mount(fs);

	if (rc == 0)
		rc = app_path(fs, ino, NULL, path);
	if (rc != 0)
		return rc;
	list = g->lib.lgetxattrs(g->g, path);
	if (list == NULL) {
		rc = guest_errno(fs);
		return rc == -EOPNOTSUPP ? 0 : guest_fail(fs, "read the attributes of", app_shown(fs, path));
	}
	for (uint32_t i = 0; i < list->len && i < MAX_XATTRS && rc == 0; i++)
		rc = fn(user, list->val[i].attrname, list->val[i].attrval, list->val[i].attrval_len);
	g->lib.free_xattr_list(list);
	return rc;
}

int app_statfs(struct domu_fs *fs, struct domu_statfs *sf)
{
	struct guest *g = app(fs)->guest;
	struct guestfs_statvfs *st;
	uint64_t unit;
	int rc = app_mount(fs);

	if (rc != 0)
		return rc;
	st = g->lib.statvfs(g->g, app(fs)->mount);
	if (st == NULL)
		return guest_fail(fs, "read", "/");
	unit = st->frsize > 0 ? (uint64_t)st->frsize : (uint64_t)st->bsize;
	*sf = (struct domu_statfs){
		.size = (uint64_t)st->blocks * unit,
		.free = (uint64_t)st->bfree * unit,
		.avail = (uint64_t)st->bavail * unit,
		.files = (uint64_t)st->files,
		.files_free = (uint64_t)st->ffree,
		.block_size = (uint32_t)st->bsize,
	};
	g->lib.free_statvfs(st);
	return 0;
}
