/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fs.h - a guest's tree: its disks and nodes, filesystems, root, mounts, and paths that never leave it. */
#ifndef DOMU_FS_H
#define DOMU_FS_H

#include "block/block.h"
#include "block/table.h"

/* ---- one filesystem ----------------------------------------------------- */

/* The same as the ops, with arguments and names checked; a missing member is DOMU_UNSUPPORTED. */
int domu_fs_close(struct domu_fs *fs); /* fs may be NULL */
int domu_fs_flush(struct domu_fs *fs);
int domu_fs_lookup(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t *ino);
int domu_fs_stat(struct domu_fs *fs, uint64_t ino, struct domu_stat *st);
int domu_fs_readdir(struct domu_fs *fs, uint64_t dir, domu_dirent_fn fn, void *user);
int domu_fs_readlink(struct domu_fs *fs, uint64_t ino, char *buf, size_t size);
ssize_t domu_fs_read(struct domu_fs *fs, uint64_t ino, void *buf, size_t len, uint64_t offset);
int domu_fs_listxattr(struct domu_fs *fs, uint64_t ino, domu_xattr_fn fn, void *user);
/*
 * One of them: *value is the caller's to free, *len bytes and a NUL behind them.  value NULL: is it there?
 * -ENODATA: it is not; -ERANGE: it is longer than limit.  Nothing is recorded for either.
 */
int domu_fs_getxattr(struct domu_fs *fs, uint64_t ino, const char *name, size_t limit, char **value, size_t *len);
int domu_fs_statfs(struct domu_fs *fs, struct domu_statfs *sf);
int domu_fs_create(struct domu_fs *fs, uint64_t dir, const char *name, const struct domu_stat *attr, const char *target,
                   uint64_t *ino);
int domu_fs_write(struct domu_fs *fs, uint64_t ino, const void *buf, size_t len, uint64_t offset);
int domu_fs_truncate(struct domu_fs *fs, uint64_t ino, uint64_t size);
int domu_fs_link(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t ino);
int domu_fs_unlink(struct domu_fs *fs, uint64_t dir, const char *name);
int domu_fs_rmdir(struct domu_fs *fs, uint64_t dir, const char *name);
int domu_fs_rename(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t newdir, const char *newname);
int domu_fs_setattr(struct domu_fs *fs, uint64_t ino, const struct domu_stat *st, unsigned mask);
int domu_fs_setxattr(struct domu_fs *fs, uint64_t ino, const char *name, const void *value, size_t len);
int domu_fs_removexattr(struct domu_fs *fs, uint64_t ino, const char *name);
int domu_fs_check(struct domu_fs *fs, enum domu_check_mode mode, domu_line_fn fn, void *user, int *result);
/* Where content is on the block, and which inodes may have changed with parts of it: -EOPNOTSUPP, nothing recorded. */
int domu_fs_extent(struct domu_fs *fs, uint64_t ino, uint64_t offset, uint64_t len, uint64_t *at, uint64_t *run);
int domu_fs_suspects(struct domu_fs *before, struct domu_fs *after, const struct domu_span *spans, size_t n,
                     int (*fn)(void *user, uint64_t ino), void *user);
/* All of it in the order of the disk; see domu_scan_tree_open(). */
bool domu_fs_can_scan(const struct domu_fs *fs);
int domu_fs_scan(struct domu_fs *fs, const struct domu_scan *to, void *user);
int domu_fs_scan_some(struct domu_fs *fs, const uint32_t *inos, size_t n, const struct domu_scan *to, void *user);
/* The directory of a subvolume; id 0: the default one.  -EOPNOTSUPP, -ENOENT: nothing recorded. */
#define DOMU_SUBVOL_TOP 5 /* of what holds all others (BTRFS_FS_TREE_OBJECTID) */
int domu_fs_subvolume(struct domu_fs *fs, uint64_t id, uint64_t *ino);
/* Two inodes of one filesystem: would a kernel show them on one device, as it does not those of two subvolumes? */
static inline bool domu_same_device(uint64_t ino, uint64_t other)
{
	return (ino ^ other) >> DOMU_SUBVOL_SHIFT == 0;
}
/* May name be a directory entry's: 1 to 255 bytes, no '/', not "." or ".."? */
bool domu_fs_name_ok(const char *name);
/* The whole content of a small file (at most max bytes, else -EFBIG), NUL added; the caller frees. */
int domu_fs_slurp(struct domu_fs *fs, uint64_t ino, size_t max, char **data, size_t *len);

/* Asks the drivers, then libblkid; fills probe always.  Returns the driver that claims it, or NULL. */
const struct domu_fs_ops *domu_fs_probe(struct domu_block *b, struct domu_probe *probe);
/* st_mode says one of the seven types of files. */
bool domu_type_known(uint32_t mode);
/* The driver for a probe type: "ext4", "xfs"; NULL: none. */
const struct domu_fs_ops *domu_fs_driver(const char *type);
/*
 * A journal to replay that e2fsck (1.47.0) is not to be trusted with: of the
 * fast commits in it some are lost, or half done, and it ends as if all were
 * well.  A kernel replays them.
 */
bool domu_has_fast_commits(const struct domu_probe *probe);
/* A probe type that is a filesystem, as opposed to swap, a member of a volume or array, a table, nothing. */
bool domu_type_is_fs(const char *type);

/* ---- the tree ------------------------------------------------------------ */

/*
 * What the tree needs from whoever runs it (the worker asks the front).
 * Each may be NULL: then a journal that needs replay or a filesystem without
 * a driver here is DOMU_UNSUPPORTED.
 */
struct domu_tree_hooks {
	/* Replay the journal of node (an ext filesystem) into the top of its disk; then the tree refreshes it. */
	int (*replay)(void *user, const struct domu_node *node);
	/* Open node through the appliance: a struct domu_fs that speaks to it. */
	int (*appliance)(void *user, const struct domu_node *node, unsigned flags, struct domu_fs **fs);
	void *user;
	/* After a replay, makes what it wrote visible in the disk's stack; NULL: domu_overlay_refresh() of its top. */
	int (*refresh)(void *user, unsigned disk);
};

struct domu_tree_opts {
	const char *root_hint; /* as struct domu_guest has it: /dev/xvda2, UUID=..., LABEL=..., or NULL */
	const char *use; /* @DEV or the shell's "use": this filesystem is / and nothing is mounted below it */
	bool writable; /* the tops of the disks are stages */
	bool engine_guestfs; /* every filesystem through the appliance */
	bool unreplayed; /* --live: no journal is replayed, filesystems are read as they are */
	const char *guest; /* what to call it in a message that says what to type; NULL: GUEST */
};

struct domu_tree;

/* disks: the tops of the stacks, named by vdev, in the guest's order; they stay the caller's. */
int domu_tree_open(struct domu_ctx *ctx, struct domu_block **disks, size_t n_disks, const struct domu_tree_opts *opts,
                   const struct domu_tree_hooks *hooks, struct domu_tree **tree);
/*
 * The disk is one filesystem that a driver here claims and nothing else: no library for tables is needed to open it.
 * clean: and it has no journal to replay.
 */
bool domu_tree_is_plain(struct domu_block *disk, bool clean);
/* Whatever the drivers hold of changes reaches the disks' tops. */
int domu_tree_flush(struct domu_tree *t);
int domu_tree_close(struct domu_tree *t); /* closes filesystems: a lost flush is a failure */
const struct domu_nodes *domu_tree_nodes(struct domu_tree *t); /* probed; lives as long as the tree */
/* A node by what a user may call it: xvda3, sda3, hda3, /dev/xvda3, vg/lv, UUID=, LABEL=, PARTUUID=, PARTLABEL=. */
int domu_tree_find(struct domu_tree *t, const char *dev, size_t *node);
/* The filesystem of a node, opened at first use; stays the tree's. */
int domu_tree_fs(struct domu_tree *t, size_t node, struct domu_fs **fs);
/* The root filesystem's node, by the rules of the contract.  Several candidates: DOMU_USAGE names them. */
int domu_tree_root(struct domu_tree *t, size_t *node);

struct domu_mount {
	size_t node;
	char *target; /* "/", "/boot" */
	char *spec; /* as fstab has it */
	bool bind; /* spec is a directory of the guest; node is only known when that was looked up */
	char *subvol; /* as fstab has it, or NULL */
	uint64_t subvolid; /* 0: not given */
};
/* The root and what fstab mounts below it, root first.  What cannot be resolved is one warning. */
int domu_tree_mounts(struct domu_tree *t, const struct domu_mount **m, size_t *n);
/*
 * Opens every filesystem of domu_tree_mounts().  One that cannot be, but for the root, is a warning: from then on
 * nothing is mounted there.
 */
int domu_tree_enter_all(struct domu_tree *t);

/* Nothing was in the way of mounting it.  Known after domu_tree_enter_all(). */
bool domu_tree_is_mounted(const struct domu_tree *t, unsigned mount);

/* The directory of fs that mount shows as its root.  Known for mounts that a walk came through. */
uint64_t domu_tree_top(struct domu_tree *t, unsigned mount, const struct domu_fs *fs);
/* Is something mounted on directory ino of mount m?  Known for what lies in mounts that a walk came through. */
bool domu_tree_covered(struct domu_tree *t, unsigned mount, uint64_t ino);
/* From a directory to the root of what is mounted on it; where nothing is, they stay as they are. */
int domu_tree_cross(struct domu_tree *t, unsigned *mount, uint64_t *ino, struct domu_fs **fs);

/* ---- new files --------------------------------------------------------------- */

/*
 * A new inode as the running guest would make it, where nothing says what it
 * is to have: attr->mode is what a program asks for (0666, 0777), limited by
 * the directory's default ACL or else by umask; ACLs are inherited, and
 * the label is the one that the guest's policy has for path (absolute; NULL:
 * none).  attr->mode becomes what it got.
 */
#define DOMU_UMASK 022u /* of the guest's root */
int domu_fs_create_new(struct domu_tree *t, struct domu_fs *fs, uint64_t dir, const char *path, const char *name,
                       struct domu_stat *attr, uint32_t umask, const char *target, uint64_t *ino);
/* Only the label: for what brings everything else along. */
int domu_fs_label_new(struct domu_tree *t, struct domu_fs *fs, uint64_t ino, const char *path, uint32_t mode);
/* The policy may have changed: it is read anew. */
void domu_tree_forget_labels(struct domu_tree *t);

/* ---- paths ---------------------------------------------------------------- */

struct domu_path {
	struct domu_fs *fs;
	size_t node;
	uint64_t ino; /* 0: does not exist (only with DOMU_WALK_PARENT) */
	unsigned mount; /* index in domu_tree_mounts() */
	bool slash; /* what was given ended with a '/': only a directory may be made there */
	uint64_t dir; /* the directory it is in, on the same fs; the root's is itself */
	char name[256]; /* its name in dir; "/" for a root */
	struct domu_stat st; /* when ino is not 0 */
	char path[4096]; /* absolute in the guest, links resolved except, with NOFOLLOW, the last */
};

enum domu_walk {
	DOMU_WALK_NOFOLLOW = 1 << 0, /* the last component is not followed when it is a link */
	DOMU_WALK_PARENT = 1 << 1, /* the last component need not exist */
};

/*
 * Resolves path in the guest: links inside it, ".." at the root stays there,
 * at most 40 links and 4095 bytes.  cwd (absolute) is for a relative path.
 * -ENOENT is DOMU_NOTFOUND and names the component.
 */
int domu_path_walk(struct domu_tree *t, const char *cwd, const char *path, unsigned flags, struct domu_path *out);
/* Is path (absolute, resolved) above itself or something below it? */
bool domu_path_below(const char *path, const char *above);

struct domu_walk_entry {
	const char *path; /* as found from the start: START/sub/name */
	const struct domu_path *where;
	size_t path_len; /* of path */
	unsigned depth; /* 0: the start itself */
	int err; /* != 0: this inode cannot be read; st may be empty */
	bool inside; /* with err: what is in this directory cannot be read; it is an entry of its own besides */
	bool no_xattrs; /* it is known to have none */
	uint64_t first; /* byte of its block device where its content begins, or nearly; UINT64_MAX: not known */
};
enum domu_walk_answer { DOMU_WALK_GO = 0, DOMU_WALK_PRUNE = 1 };
typedef int (*domu_walk_fn)(void *user, const struct domu_walk_entry *e); /* an answer, or a negative errno to end */

/* What walks in one tree that nobody changes can keep from one to the next. */
struct domu_scans;

struct domu_walk_opts {
	unsigned max_depth; /* 0 is the start only; ~0u: no limit of the caller */
	bool one_fs; /* do not cross into what is mounted below */
	bool post_order; /* a directory after what is in it */
	/* Nothing is changed while it goes on: filesystems may be read whole, in the order of their disks. */
	bool read_only;
	struct domu_scans *scans; /* with read_only, for several walks; NULL: this one's own */
};
/*
 * Depth first, names sorted by bytes.  Errors inside go to fn as entries.  A
 * damaged tree cannot keep it going: a directory met twice is an error.
 */
int domu_walk_tree(struct domu_tree *t, const struct domu_path *start, const char *shown,
                   const struct domu_walk_opts *opts, domu_walk_fn fn, void *user);

int domu_scans_new(struct domu_tree *t, struct domu_scans **s);
void domu_scans_free(struct domu_scans *s);

/* ---- in a message ---- */
struct domu_msg;
/* Lists of files are kept with these: another order of members is another FORMAT of task/files.c. */
void domu_msg_put_stat(struct domu_msg *m, const struct domu_stat *st);
void domu_msg_get_stat(struct domu_msg *m, struct domu_stat *st);

#endif
