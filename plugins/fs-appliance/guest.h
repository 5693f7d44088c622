/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guest.h - a filesystem in the appliance, and libguestfs, which is loaded when it is started. */
#ifndef GUEST_H
#define GUEST_H

#include <guestfs.h>
#include <pthread.h>

#include "fence/target.h"
#include "fs-appliance.h"

/* The functions of libguestfs that are used. */
#define GUEST_FUNCTIONS(X)      \
	X(add_drive_opts)       \
	X(chmod)                \
	X(close)                \
	X(create)               \
	X(debug)                \
	X(free_dirent_list)     \
	X(free_statns)          \
	X(free_statns_list)     \
	X(free_statvfs)         \
	X(free_xattr_list)      \
	X(last_errno)           \
	X(last_error)           \
	X(launch)               \
	X(lchown)               \
	X(lgetxattrs)           \
	X(ln)                   \
	X(ln_s)                 \
	X(lremovexattr)         \
	X(lsetxattr)            \
	X(lstatns)              \
	X(lstatnslist)          \
	X(mkdir_mode)           \
	X(mkmountpoint)         \
	X(mknod)                \
	X(mount_options)        \
	X(pread)                \
	X(pwrite)               \
	X(readdir)              \
	X(readlink)             \
	X(remount)              \
	X(rename)               \
	X(rm)                   \
	X(rmdir)                \
	X(rmmountpoint)         \
	X(set_backend)          \
	X(set_backend_settings) \
	X(set_error_handler)    \
	X(set_event_callback)   \
	X(set_memsize)          \
	X(shutdown)             \
	X(statvfs)              \
	X(sync)                 \
	X(truncate_size)        \
	X(umask)                \
	X(umount)               \
	X(umount_opts)          \
	X(utimens)

struct guest_lib {
	void *handle;
#define X(name) __typeof__(&guestfs_##name) name;
	GUEST_FUNCTIONS(X)
#undef X
};

#define GUEST_LABEL "guest" /* of the disk in the appliance */

/* The running appliance: one a process. */
struct guest {
	struct guest_lib lib;
	guestfs_h *g;
	struct domu_ctx *starting; /* messages while it starts, then NULL */
	pthread_mutex_t lock; /* of what follows; a handle of libguestfs has its own */
	unsigned mounts; /* made so far: names of mount points */
};

/* ---- names.c: handles of inodes ------------------------------------------------- */

/* How an inode is reached: a directory's handle and a name in it. */
struct name {
	uint64_t ino; /* the handle; 0: an empty slot */
	uint64_t dir;
	char *name;
	unsigned age; /* of st, compared with the filesystem's */
	struct domu_stat st;
};

struct names {
	struct name *v;
	size_t n, cap; /* cap is a power of 2 */
};

void names_free(struct names *t);
struct name *names_find(const struct names *t, uint64_t ino);
/* That inode ino is name in dir; what was known before stays. NULL: no memory. */
struct name *names_put(struct names *t, uint64_t ino, uint64_t dir, const char *name);
/* The inode is no longer reached so. */
void names_drop(struct names *t, uint64_t ino, uint64_t dir, const char *name);
/* It is reached by another name now.  -ENOMEM. */
int names_move(struct names *t, uint64_t ino, uint64_t dir, const char *name);
/* BASE/a/b/NAME, name may be NULL; -ENOENT: a handle that is not known, -ENAMETOOLONG. */
int names_path(const struct names *t, uint64_t root, const char *base, uint64_t ino, const char *name, char *path,
               size_t size);

/* ---- one filesystem ---------------------------------------------------------------- */

#define GUEST_PATH 8192

struct app_fs {
	struct guest *guest;
	char device[64];
	char mount[24]; /* /fs1 */
	const char *options; /* of mounting it read-only */
	bool mounted, rw;
	struct names names;
	unsigned age; /* changes with every change: what was known of attributes is old then */
	uint64_t dev[256]; /* device numbers met: [0] is the root's (btrfs has one a subvolume) */
	size_t n_dev;
};

static inline struct app_fs *app(struct domu_fs *fs)
{
	return fs->priv;
}

/* After a call that failed: its errno, with the cause recorded.  what: "read", "make". */
int guest_fail(struct domu_fs *fs, const char *what, const char *name);
/* The same for -ENOENT and the like that are answers: not recorded. */
int guest_errno(struct domu_fs *fs);
int app_path(struct domu_fs *fs, uint64_t ino, const char *name, char path[GUEST_PATH]);
/* A name for messages: without the mount point. */
const char *app_shown(struct domu_fs *fs, const char *path);
/* Attributes as libguestfs gives them; the handle comes from device and inode number. */
int app_take_stat(struct domu_fs *fs, const struct guestfs_statns *from, struct domu_stat *st);
/* Attributes and handle of name in dir, remembered. */
int app_look(struct domu_fs *fs, uint64_t dir, const char *name, struct domu_stat *st);
int app_stat(struct domu_fs *fs, uint64_t ino, struct domu_stat *st);

/* ---- guest.c, launch.c, mount.c ------------------------------------------------------- */

int guest_load(struct domu_ctx *ctx, struct guest_lib *lib);
/* Starts the appliance if nobody has. */
int guest_get(struct domu_ctx *ctx, const struct domu_appliance_target *t, struct guest **g);
/* In the appliance's shell; the caller frees.  NULL: it failed. */
char *guest_shell(struct guest *g, const char *command);

int app_mount(struct domu_fs *fs); /* read-only; replays its journal */
int app_unmount(struct domu_fs *fs);
int app_writable(struct domu_fs *fs); /* before the first change */
int app_find_device(struct domu_fs *fs, const struct domu_appliance_target *t);

/* ---- the driver ------------------------------------------------------------------------- */

int app_open(struct domu_ctx *ctx, struct domu_block *b, unsigned flags, struct domu_fs **fs);
int app_close(struct domu_fs *fs);
int app_flush(struct domu_fs *fs);
int app_lookup(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t *ino);
int app_subvolume(struct domu_fs *fs, uint64_t id, uint64_t *ino);
int app_readdir(struct domu_fs *fs, uint64_t dir, domu_dirent_fn fn, void *user);
int app_readlink(struct domu_fs *fs, uint64_t ino, char *buf, size_t size);
ssize_t app_read(struct domu_fs *fs, uint64_t ino, void *buf, size_t len, uint64_t offset);
int app_listxattr(struct domu_fs *fs, uint64_t ino, domu_xattr_fn fn, void *user);
int app_statfs(struct domu_fs *fs, struct domu_statfs *sf);
int app_create(struct domu_fs *fs, uint64_t dir, const char *name, const struct domu_stat *attr, const char *target,
               uint64_t *ino);
int app_write(struct domu_fs *fs, uint64_t ino, const void *buf, size_t len, uint64_t offset);
int app_truncate(struct domu_fs *fs, uint64_t ino, uint64_t size);
int app_link(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t ino);
int app_unlink(struct domu_fs *fs, uint64_t dir, const char *name);
int app_rmdir(struct domu_fs *fs, uint64_t dir, const char *name);
int app_rename(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t newdir, const char *newname);
int app_setattr(struct domu_fs *fs, uint64_t ino, const struct domu_stat *st, unsigned mask);
int app_setxattr(struct domu_fs *fs, uint64_t ino, const char *name, const void *value, size_t len);
int app_removexattr(struct domu_fs *fs, uint64_t ino, const char *name);
int app_check(struct domu_fs *fs, enum domu_check_mode mode, domu_line_fn fn, void *user, int *result);

#endif
