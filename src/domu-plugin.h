/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* domu-plugin.h - the one public header: what a plugin sees of domu-rescue and what it must offer. */
#ifndef DOMU_PLUGIN_H
#define DOMU_PLUGIN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/*
 * Conventions.  Functions return 0 (or a count) or a negative errno, and
 * report the cause once, where it happened, with domu_fail().  Sizes and
 * offsets are uint64_t bytes; a count of blocks says "blocks".  Strings are
 * bytes as the guest has them: neither UTF-8 nor printable unless stated.
 * Structs that a plugin fills carry their own size first and only ever grow
 * at the end, so that an old plugin works with a newer program.
 */
#define DOMU_PLUGIN_API 1

#if defined(__GNUC__)
#define DOMU_PUBLIC       __attribute__((visibility("default")))
#define DOMU_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define DOMU_PUBLIC
#define DOMU_PRINTF(f, a)
#endif

/* ---- context ----------------------------------------------------------- */

struct domu_ctx;

/* Exit statuses; fsck has its own bits. */
enum domu_status {
	DOMU_OK = 0,
	DOMU_FAILED = 1, /* the message says what and where */
	DOMU_USAGE = 2, /* wrong usage, an ambiguous name */
	DOMU_INUSE = 3, /* the guest or a disk is in use, or staged by someone else */
	DOMU_NOTFOUND = 4, /* no such guest, disk, filesystem or file */
	DOMU_DECLINED = 5, /* declined by the person asked, or interrupted */
	DOMU_UNSUPPORTED = 6, /* the message says what could */
	DOMU_UNRECOVERED = 7, /* a commit was cut short and cannot be recovered now */
};

/* DOMU_WARNING_ONCE: a warning about the guest, which every process that opens it would give again. */
enum domu_level { DOMU_DEBUG, DOMU_INFO, DOMU_WARNING, DOMU_WARNING_ONCE };

/*
 * Records the cause of a failure in ctx and returns err (a negative errno),
 * so that "return domu_fail(...)" is the usual form.  The first cause since
 * domu_error_clear() is kept, later ones are dropped.  ctx may be NULL.
 * The text is lower case, names the thing and the place, has no newline.
 */
DOMU_PUBLIC int domu_fail(struct domu_ctx *ctx, enum domu_status status, int err, const char *fmt, ...)
    DOMU_PRINTF(4, 5);

/* The guest as a person types it, for the command that a message ends with: "web1"; "GUEST" where it is not known. */
DOMU_PUBLIC const char *domu_guest_word(const struct domu_ctx *ctx);

/* A message that is not a failure: to the user's terminal or log.  ctx may be NULL. */
DOMU_PUBLIC void domu_say(struct domu_ctx *ctx, enum domu_level level, const char *fmt, ...) DOMU_PRINTF(3, 4);

/* ---- block devices ----------------------------------------------------- */

struct domu_block;

struct domu_block_ops {
	size_t self_size;
	const char *name;
	/* All or nothing; [offset, offset+len) is inside the block's size. */
	int (*pread)(struct domu_block *b, void *buf, size_t len, uint64_t offset);
	int (*pwrite)(struct domu_block *b, const void *buf, size_t len, uint64_t offset); /* NULL: read-only */
	int (*flush)(struct domu_block *b);
	int (*close)(struct domu_block *b); /* frees priv; a lost flush is a failure */
	/*
	 * Optional: where the bytes at offset are in a file, for splice: *fd, *fd_offset,
	 * and *run bytes (> 0, <= len).  -ENODATA: a hole of *run zero bytes.
	 * -EOPNOTSUPP: ask pread.
	 */
	int (*map)(struct domu_block *b, uint64_t offset, uint64_t len, int *fd, uint64_t *fd_offset, uint64_t *run);
};

struct domu_block {
	const struct domu_block_ops *ops;
	struct domu_ctx *ctx;
	struct domu_block *below; /* not owned: the owner of a stack closes top first */
	uint64_t size; /* bytes */
	uint32_t sector_size; /* 512 or 4096 */
	bool readonly;
	char name[64]; /* as a user would say it: xvda, xvda3, vg/lv */
	void *priv;
	/* With readonly, where it stays so whoever opens it: why, a sentence; as long as the block, or NULL. */
	const char *why_readonly;
};

/* The only callers of the ops: check the range and the read-only flag once, here. */
DOMU_PUBLIC int domu_block_pread(struct domu_block *b, void *buf, size_t len, uint64_t offset);
DOMU_PUBLIC int domu_block_pwrite(struct domu_block *b, const void *buf, size_t len, uint64_t offset);
DOMU_PUBLIC int domu_block_flush(struct domu_block *b);
DOMU_PUBLIC int domu_block_close(struct domu_block *b); /* b may be NULL; frees b */
DOMU_PUBLIC int domu_block_map(struct domu_block *b, uint64_t offset, uint64_t len, int *fd, uint64_t *fd_offset,
                               uint64_t *run);

/* ---- filesystems ------------------------------------------------------- */

/* What probing finds on a block device, before anything is opened. */
struct domu_probe {
	char type[32]; /* ext2, ext3, ext4, xfs, swap, LVM2_member, dos, gpt, empty, unknown ... */
	char uuid[40]; /* as blkid prints it, or "" */
	char label[64];
	uint64_t size; /* of the filesystem, bytes; 0: not known */
	uint64_t used; /* bytes; 0: not known */
	uint32_t block_size;
	bool needs_replay; /* its journal has to be replayed before it may be read */
	bool closed; /* its door is closed: a commit was cut short */
	char closed_by[40]; /* the commit's ID */
	bool has_door;
	uint64_t door; /* offset of the door sector inside the block; only with has_door */
	char features[512]; /* blank-separated, for people */
};

enum domu_attr {
	DOMU_ATTR_MODE = 1 << 0, /* permission bits only: the type never changes */
	DOMU_ATTR_UID = 1 << 1,
	DOMU_ATTR_GID = 1 << 2,
	DOMU_ATTR_ATIME = 1 << 3,
	DOMU_ATTR_MTIME = 1 << 4,
	DOMU_ATTR_FLAGS = 1 << 5,
	DOMU_ATTR_PROJID = 1 << 6,
};

struct domu_stat {
	uint64_t ino;
	uint32_t mode; /* S_IFMT and permission bits, as Linux has them */
	uint32_t nlink;
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	uint64_t size; /* bytes */
	uint64_t sectors; /* allocated, in 512 bytes, as st_blocks */
	uint32_t block_size; /* st_blksize */
	uint32_t flags; /* FS_*_FL */
	uint32_t projid;
	uint32_t generation;
	struct timespec atime, mtime, ctime, btime; /* btime.tv_sec 0: not known */
};

struct domu_statfs {
	uint64_t size, free, avail; /* bytes; size without the filesystem's own overhead, as statfs(2) */
	uint64_t files, files_free;
	uint32_t block_size;
};

struct domu_fs;

/* Return 0 to go on, anything else ends the walk and is returned. name is len bytes and a NUL. */
typedef int (*domu_dirent_fn)(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode);
typedef int (*domu_xattr_fn)(void *user, const char *name, const void *value, size_t len);
/* A part of a block device, bytes. */
struct domu_span {
	uint64_t offset, len;
};
/* A line (without newline) that a checker printed. */
typedef void (*domu_line_fn)(void *user, const char *line);

/* ---- a scan: all of a filesystem in the order of its disk ---- */

/* An inode in use, found sound. */
struct domu_scan_inode {
	struct domu_stat st;
	bool xattrs; /* it may have extended attributes */
	uint64_t
	    first; /* byte of the block device where its content begins, or nearly; UINT64_MAX: nowhere, not known */
};

/*
 * Who takes a scan.  Each returns 0 to go on, anything else ends the scan and
 * is returned.  What is not given, or given as odd, is asked for by stat and
 * readdir, which say what is wrong with it.
 */
struct domu_scan {
	size_t self_size;
	/* Ascending by st.ino; a directory comes before its names. */
	int (*inode)(void *user, const struct domu_scan_inode *in);
	/*
	 * Without . and ..; name is len bytes, not terminated.  The names of a directory come in pieces, mixed with
	 * those of others.
	 */
	int (*name)(void *user, uint64_t dir, const char *name, size_t len, uint64_t ino);
	int (*odd)(void *user, uint64_t dir); /* some of its names are missing */
};

enum domu_check_mode { DOMU_CHECK_NO, DOMU_CHECK_PREEN, DOMU_CHECK_YES };

/* Programs of the host that work on the block device of a filesystem: run on the stage by the front. */
struct domu_fs_tools {
	/* NULL-terminated; the element "@" is replaced by the device, "#" by the size in KiB with a K. */
	const char *const *check[3]; /* by enum domu_check_mode */
	const char *const *replay; /* journal only; NULL: opening replays by itself */
	const char *const *grow; /* to "#"; NULL: not from the host */
	const char *const *shrink;
	bool shim; /* they take libext2fs' unix_io_manager: the shim reaches them */
};

enum domu_fs_flags {
	DOMU_FS_WRITE = 1 << 0, /* the block is a stage: changes are wanted */
	DOMU_FS_UNREPLAYED = 1 << 1, /* open though the journal was not replayed: only for reading what is in use */
};

/*
 * A filesystem driver.  "ino" is the driver's handle of an inode: it stays
 * valid until the inode is removed or the filesystem closed.  A driver checks
 * whatever it reads from the disk; the core checks names (no '/', no NUL,
 * 1 to 255 bytes, not "." or "..") and resolves paths and links.
 */
struct domu_fs_ops {
	size_t self_size;
	const char *name;
	const char *const *types; /* NULL-terminated: the probe types it opens */
	const struct domu_fs_tools *tools; /* NULL: check and resize through the ops below */

	/* 0 and *out filled, or -ENODATA: not mine.  Never fails on what is on the disk. */
	int (*probe)(struct domu_block *b, struct domu_probe *out);

	int (*open)(struct domu_ctx *ctx, struct domu_block *b, unsigned flags, struct domu_fs **fs);
	int (*close)(struct domu_fs *fs); /* flushes; frees fs also when it fails */
	int (*flush)(struct domu_fs *fs);

	int (*lookup)(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t *ino); /* -ENOENT, -ENOTDIR */
	int (*stat)(struct domu_fs *fs, uint64_t ino, struct domu_stat *st);
	int (*readdir)(struct domu_fs *fs, uint64_t dir, domu_dirent_fn fn, void *user); /* without . and .. */
	int (*readlink)(struct domu_fs *fs, uint64_t ino, char *buf, size_t size); /* length, NUL added; <= 4095 */
	ssize_t (*read)(struct domu_fs *fs, uint64_t ino, void *buf, size_t len, uint64_t offset); /* 0: end */
	int (*listxattr)(struct domu_fs *fs, uint64_t ino, domu_xattr_fn fn, void *user);
	int (*statfs)(struct domu_fs *fs, struct domu_statfs *sf);

	/* Changes: NULL members are answered with DOMU_UNSUPPORTED by the core. */
	/* A new inode of attr->mode's type with attr's owner, times, rdev; target for a symlink. */
	int (*create)(struct domu_fs *fs, uint64_t dir, const char *name, const struct domu_stat *attr,
	              const char *target, uint64_t *ino);
	int (*write)(struct domu_fs *fs, uint64_t ino, const void *buf, size_t len, uint64_t offset);
	int (*truncate)(struct domu_fs *fs, uint64_t ino, uint64_t size);
	int (*link)(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t ino);
	int (*unlink)(struct domu_fs *fs, uint64_t dir, const char *name); /* not a directory */
	int (*rmdir)(struct domu_fs *fs, uint64_t dir, const char *name); /* -ENOTEMPTY */
	/* Replaces a destination of the same kind (a directory only when empty). */
	int (*rename)(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t newdir, const char *newname);
	int (*setattr)(struct domu_fs *fs, uint64_t ino, const struct domu_stat *st, unsigned mask);
	int (*setxattr)(struct domu_fs *fs, uint64_t ino, const char *name, const void *value, size_t len);
	int (*removexattr)(struct domu_fs *fs, uint64_t ino, const char *name);

	/* Where there are no host tools: *result is 0 clean, 1 repaired, 4 errors left, 8 could not run. */
	int (*check)(struct domu_fs *fs, enum domu_check_mode mode, domu_line_fn fn, void *user, int *result);

	/*
	 * The door.  sector is sector_size bytes read at probe's door offset.
	 * close: makes the closed image of an open door sector, for commit id.
	 * 0, or -EINVAL when the bytes are not a door sector of this driver.
	 */
	int (*door_close)(void *sector, uint32_t sector_size, const char *id);

	/*
	 * Both optional, for comparing a filesystem with what it was before.
	 * extent: where the content of a file at offset is on the block (*at,
	 * UINT64_MAX: nowhere, it reads as zeros), and how many bytes from there
	 * on are alike (*run > 0, <= len).
	 * suspects: only the spans (ascending, apart) of the two blocks differ;
	 * fn is called with every inode that may not be the same in both.  A
	 * failure: any may have changed.  What was recorded counts for nothing.
	 */
	int (*extent)(struct domu_fs *fs, uint64_t ino, uint64_t offset, uint64_t len, uint64_t *at, uint64_t *run);
	int (*suspects)(struct domu_fs *before, struct domu_fs *after, const struct domu_span *spans, size_t n,
	                int (*fn)(void *user, uint64_t ino), void *user);

	/*
	 * Optional: all inodes and names, in the order of the disk.  A failure: walk by name.  What was recorded
	 * counts for nothing.
	 */
	int (*scan)(struct domu_fs *fs, const struct domu_scan *to, void *user);

	/*
	 * Optional: the directory of a subvolume, where fs->root holds all of
	 * them; id 0 is the one that is mounted when none is named.  -ENOENT,
	 * -EOPNOTSUPP (it has none): nothing recorded.  Inodes of different
	 * subvolumes differ in the bits from DOMU_SUBVOL_SHIFT on, those of one
	 * do not.
	 */
#define DOMU_SUBVOL_SHIFT 48
	int (*subvolume)(struct domu_fs *fs, uint64_t id, uint64_t *ino);

	/*
	 * Optional, as scan: of these inodes (ascending) only.  to->inode NULL:
	 * nobody asks for them; to->name NULL: nor for the names of directories.
	 */
	int (*scan_some)(struct domu_fs *fs, const uint32_t *inos, size_t n, const struct domu_scan *to, void *user);
};

struct domu_fs {
	const struct domu_fs_ops *ops;
	struct domu_ctx *ctx;
	struct domu_block *block;
	struct domu_probe probe;
	uint64_t root; /* ino of the root directory */
	bool writable;
	void *priv;
};

/* ---- guests ------------------------------------------------------------ */

enum domu_guest_state {
	DOMU_STATE_UNKNOWN,
	DOMU_STATE_STOPPED,
	DOMU_STATE_RUNNING,
	DOMU_STATE_PAUSED,
	DOMU_STATE_SAVED,
	DOMU_STATE_SUSPENDED,
	DOMU_STATE_CRASHED,
};

struct domu_disk {
	char vdev[32]; /* xvda, as the config says */
	char *path; /* backing store on this host; NULL: an empty cdrom */
	char *format; /* raw, qcow2, vhd ... */
	char *script; /* a block script that makes the device, or NULL */
	char *backend; /* a driver domain, or NULL */
	bool readonly;
	bool cdrom;
};

struct domu_guest {
	char *name; /* NULL: nameless (a bare disk) */
	char *source; /* the config file, "live", or the path given */
	char *error; /* the config cannot be used: one line; the rest may be missing */
	enum domu_guest_state state;
	int64_t domid; /* -1: none */
	struct domu_disk *disks;
	size_t n_disks;
	char *root_hint; /* what the config says the guest boots from: ROOT, rootflags=FLAGS or both, a blank between */
	/* Of a live domain, where the state has no word for it: "shut down", "dying".  Static text, or NULL. */
	const char *condition;
	char *stub_of; /* of a live domain: the guest whose device model it is (a stub domain), or NULL */
	char *restarts; /* the config's events after which xl starts it again: "on_reboot, on_crash", or NULL */
};

/* Allocate with these, so that the program can free with domu_guest_free(). */
DOMU_PUBLIC struct domu_guest *domu_guest_new(void);
DOMU_PUBLIC void domu_guest_free(struct domu_guest *g);
DOMU_PUBLIC struct domu_disk *domu_guest_add_disk(struct domu_guest *g); /* zeroed; NULL, and errno: ENOMEM, or E2BIG */

typedef int (*domu_guest_fn)(void *user, struct domu_guest *g); /* takes g over */

/* A virtual disk that some domain's backend serves, as xenstore has it.  Strings may be NULL. */
struct domu_backend {
	const char *path; /* of the node: /local/domain/0/backend/vbd/3/51712 */
	const char *params; /* what it serves: a path, perhaps "format:" before it */
	const char *physical_device; /* hexadecimal major:minor */
	unsigned domain; /* where the backend runs; 0: here */
	unsigned frontend; /* whose disk it is */
	int state; /* 6: closed */
	const char *vdev; /* what the frontend calls it: xvda */
	bool readonly;
	const char *script; /* the block script that makes the device of params, when it is not Xen's own; or NULL */
};

typedef int (*domu_backend_fn)(void *user, const struct domu_backend *b);

/* What a source keeps while it watches; its own. */
struct domu_source_watch;

struct domu_source_ops {
	size_t self_size;
	const char *name;
	/* A guest from one file that the administrator named.  -ENODATA: not a file of this source. */
	int (*open_file)(struct domu_ctx *ctx, const char *path, const char *format, struct domu_guest **g);
	/* Every guest of a config folder (NULL ops member: this source has no configs). */
	int (*list_dir)(struct domu_ctx *ctx, const char *dir, domu_guest_fn fn, void *user);
	/* Every live domain; 0 and nothing where there is no such hypervisor. */
	int (*list_live)(struct domu_ctx *ctx, domu_guest_fn fn, void *user);
	/* Every backend node of every domain; 0 and nothing where there is no such hypervisor. */
	int (*list_backends)(struct domu_ctx *ctx, domu_backend_fn fn, void *user);

	/*
	 * All four or none: to be told that a domain may have been started, or a disk attached, instead of asking again
	 * and again.  watch_open: 0 and *w NULL where there is nothing to watch; what happens after it is told.
	 * watch_fd: readable when there is something to look at.  watch_look never waits: 1 when anything came since
	 * the last look (it need not be of interest), 0, or a negative errno when nothing will come any more.  A child
	 * of the process does not touch it.
	 */
	int (*watch_open)(struct domu_ctx *ctx, struct domu_source_watch **w);
	int (*watch_fd)(struct domu_source_watch *w);
	int (*watch_look)(struct domu_source_watch *w);
	void (*watch_close)(struct domu_source_watch *w);
};

/* A plugin that was built before there was this member is shorter. */
#define DOMU_SOURCE_HAS(ops, member) \
	(offsetof(struct domu_source_ops, member) + sizeof((ops)->member) <= (ops)->self_size && (ops)->member != NULL)

/* ---- registration ------------------------------------------------------ */

enum domu_plugin_kind { DOMU_PLUGIN_SOURCE = 1, DOMU_PLUGIN_FS = 2, DOMU_PLUGIN_BLOCK = 3, DOMU_PLUGIN_CHECK = 4 };
/* Which process calls it. */
enum domu_plugin_place { DOMU_IN_FRONT = 1, DOMU_IN_WORKER = 2, DOMU_IN_APPLIANCE = 3 };

struct domu_plugin {
	size_t self_size;
	uint32_t api; /* DOMU_PLUGIN_API */
	enum domu_plugin_kind kind;
	enum domu_plugin_place place;
	const char *name; /* as the file: "fs-ext" for fs-ext.so */
	const char *summary;
	int priority; /* lower is asked first */
	union {
		const void *ops;
		const struct domu_source_ops *source;
		const struct domu_fs_ops *fs;
	};
};

/*
 * A plugin is a shared object, named KIND-NAME.so, that exports this one
 * function.  With a file KIND-NAME.late beside it, whatever that contains, it
 * is loaded only where those without cannot do: for a filesystem that none of
 * them takes, for a guest that is not named by the path of its disk, and
 * where all are asked.  Then it is asked after them, whatever its priority.
 */
#define DOMU_PLUGIN_ENTRY "domu_plugin_entry"
#define DOMU_REGISTER_PLUGIN(p)                                        \
	DOMU_PUBLIC const struct domu_plugin *domu_plugin_entry(void); \
	const struct domu_plugin *domu_plugin_entry(void)              \
	{                                                              \
		return &(p);                                           \
	}

#endif
