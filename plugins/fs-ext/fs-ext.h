/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fs-ext.h - what the files of the ext2/ext3/ext4 driver share. */
#ifndef DOMU_FS_EXT_H
#define DOMU_FS_EXT_H

#include <ext2fs/ext2fs.h>

#include "domu-plugin.h"
#include "base/ahead.h"
#include "base/num.h"

/*
 * libext2fs trusts much of what it reads.  So everything that only reads has
 * its own bounded code here (maps, directories, inline data, xattrs), and
 * libext2fs is used for what is hard to write and safe to read: opening,
 * inodes, checksums, bitmaps, and changing trees that were found sane.
 */
#define EXT_MAX_DEPTH 5 /* of an extent tree: more cannot be needed for 2^32 blocks */
#define EXT_MAX_INODE 4096 /* bytes of an inode on disk */
#define EXT_MAX_LINK  4095 /* bytes of a symbolic link's target */
#define EXT_MAX_XATTR 65536 /* bytes of a value */
#define EXT_MAX_RUN   256 /* blocks read or written in one go */
#define EXT_DOOR_BIT  0x40000000u /* incompat feature that nobody knows: a commit was cut short */
#define EXT_DOOR_TEXT "domu-rescue commit "

struct ext_tree_block {
	uint64_t blk; /* 0: none */
	uint8_t *data;
};

/* The names of one large directory, by their hashes. */
struct ext_names {
	uint32_t dir; /* 0: none */
	uint64_t *slot;
	size_t cap, count;
};

struct ext_fs {
	struct domu_fs *fs;
	ext2_filsys e2;
	uint8_t *buf; /* one block, for partial transfers; never held over a callback */
	struct ext_tree_block tree[EXT_MAX_DEPTH]; /* mapping blocks met last, by level */
	bool bitmaps; /* read, and everything needed for a change was checked */
	struct ext_names names;
	uint32_t serial; /* mixed into new generations */
	/* Of a scan: what each of two threads reads into, and what is made of that; NULL: there was none. */
	uint8_t *pieces[2];
	struct ext_made *made[DOMU_AHEAD_SLOTS];
};

struct ext_inode {
	uint32_t ino;
	union {
		struct ext2_inode i;
		struct ext2_inode_large large;
		uint8_t raw[EXT_MAX_INODE];
	};
};

static inline bool ext_casefolded(const struct ext_inode *in)
{
	return (in->i.i_flags & EXT4_CASEFOLD_FL) != 0;
}

static inline struct ext_fs *ext_of(struct domu_fs *fs)
{
	return fs->priv;
}

/* ---- plugin.c: opening, and errors -------------------------------------- */

const struct domu_fs_ops *ext_ops(void);
/* A libext2fs error as a recorded failure: "DEVICE: what: text". 0 for 0. */
int ext_fail(struct ext_fs *x, errcode_t rc, const char *fmt, ...) DOMU_PRINTF(3, 4);
/* The disk says what cannot be: -EUCLEAN, with the advice to check. */
int ext_damaged(struct ext_fs *x, const char *fmt, ...) DOMU_PRINTF(2, 3);
int ext_nomem(struct ext_fs *x);
/* Reads whole blocks. */
int ext_read_blocks(struct ext_fs *x, uint64_t blk, uint32_t count, void *buf);
int ext_write_blocks(struct ext_fs *x, uint64_t blk, uint32_t count, const void *buf);
bool ext_block_ok(const struct ext_fs *x, uint64_t blk, uint64_t count);
/* Before any change: writable, bitmaps read, nothing cached that will be stale. */
int ext_begin_change(struct ext_fs *x);

/* ---- probe.c ------------------------------------------------------------- */

int ext_probe(struct domu_block *b, struct domu_probe *out);
int ext_door_close(void *sector, uint32_t sector_size, const char *id);
/* Names of the bits set in the three words, blank-separated. */
void ext_feature_names(uint32_t compat, uint32_t incompat, uint32_t ro_compat, char *out, size_t size);

/* ---- open.c -------------------------------------------------------------- */

int ext_open(struct domu_ctx *ctx, struct domu_block *b, unsigned flags, struct domu_fs **fs);
int ext_close(struct domu_fs *fs);
int ext_flush(struct domu_fs *fs);
int ext_statfs(struct domu_fs *fs, struct domu_statfs *sf);

/* ---- inode.c ------------------------------------------------------------- */

/* An inode in use that a name may point to. */
int ext_iget(struct ext_fs *x, uint64_t ino, struct ext_inode *in);
/* Any inode, also the filesystem's own. */
int ext_iread(struct ext_fs *x, uint32_t ino, struct ext_inode *in);
int ext_iput(struct ext_fs *x, struct ext_inode *in); /* writes it */
uint64_t ext_isize(const struct ext_fs *x, const struct ext_inode *in);
/* The largest size that can be mapped, in bytes. */
uint64_t ext_max_size(const struct ext_fs *x, const struct ext_inode *in);
bool ext_fast_link(const struct ext_fs *x, const struct ext_inode *in);
static inline size_t ext_inode_size(const struct ext_fs *x)
{
	return (size_t)EXT2_INODE_SIZE(x->e2->super);
}
/* Whether bytes up to end (from the inode's start) belong to its fixed fields. */
static inline bool ext_has_bytes(const struct ext_fs *x, const struct ext_inode *in, size_t end)
{
	size_t fixed = EXT2_GOOD_OLD_INODE_SIZE + (size_t)in->large.i_extra_isize;

	return ext_inode_size(x) > EXT2_GOOD_OLD_INODE_SIZE && end <= fixed && fixed <= ext_inode_size(x);
}
#define ext_has(x, in, field) ext_has_bytes(x, in, offsetof(struct ext2_inode_large, field) + sizeof((in)->large.field))
int ext_stat(struct domu_fs *fs, uint64_t ino, struct domu_stat *st);
void ext_stat_of(const struct ext_fs *x, const struct ext_inode *in, struct domu_stat *st);
struct timespec ext_time_get(uint32_t base, uint32_t extra);
/* The halves of t; a time outside what the inode can hold is cut to the nearest. */
void ext_time_put(struct timespec t, bool has_extra, uint32_t *base, uint32_t *extra);
enum ext_touch { EXT_ATIME = 1, EXT_MTIME = 2, EXT_CTIME = 4, EXT_CRTIME = 8 };
void ext_set_time(struct ext_fs *x, struct ext_inode *in, unsigned which, struct timespec t);
struct timespec ext_now(void);

/* ---- map.c --------------------------------------------------------------- */

struct ext_run {
	uint64_t pblk; /* 0: a hole */
	uint64_t len; /* blocks, at least 1 */
	bool unwritten; /* allocated, reads as zeros */
};

/* Where block lblk of the file is, and how many from there are alike (at most max). */
int ext_map(struct ext_fs *x, const struct ext_inode *in, uint64_t lblk, uint64_t max, struct ext_run *run);
void ext_map_forget(struct ext_fs *x);

/* ---- dir.c --------------------------------------------------------------- */

struct ext_dirent {
	const char *name; /* not terminated */
	unsigned len;
	uint32_t ino;
	unsigned file_type; /* EXT2_FT_*, 0: not told */
};

/* 0 goes on, 1 ends the walk with success, anything negative ends it. */
typedef int (*ext_dirent_fn)(void *user, const struct ext_dirent *de);

/* Every entry with sound form, "." and ".." too; what is damaged is passed over and reported at the end. */
int ext_dir_walk(struct ext_fs *x, const struct ext_inode *dir, ext_dirent_fn fn, void *user);
/* seed: ext_scan_seed() of the directory, whose inode is ino.  block_good: it surely is, by any thread. */
bool ext_dir_block_good(const struct ext_fs *x, uint32_t seed, const uint8_t *data);
bool ext_dir_csum_ok(struct ext_fs *x, uint32_t ino, uint32_t seed, const uint8_t *data);
/*
 * The entries of one block, or of a part of inline data.  0, 1 or negative as
 * fn has it; *damaged is set where an entry cannot be, and the rest is left.
 */
int ext_dir_entries(struct ext_fs *x, const uint8_t *data, size_t size, ext_dirent_fn fn, void *user, bool *damaged);
/*
 * -ENOENT is not recorded.  A case-insensitive directory may have the name in
 * other letters: that, with which an entry is changed, goes to stored (256
 * bytes, or NULL).
 */
int ext_dir_find(struct ext_fs *x, const struct ext_inode *dir, const char *name, uint32_t *ino, char *stored);
int ext_dir_get(struct ext_fs *x, uint64_t ino, struct ext_inode *dir); /* -ENOTDIR, or cannot be read */
int ext_lookup(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t *ino);
int ext_readdir(struct domu_fs *fs, uint64_t dir, domu_dirent_fn fn, void *user);

/* ---- read.c -------------------------------------------------------------- */

ssize_t ext_read(struct domu_fs *fs, uint64_t ino, void *buf, size_t len, uint64_t offset);
ssize_t ext_read_inode(struct ext_fs *x, const struct ext_inode *in, void *buf, size_t len, uint64_t offset);
int ext_readlink(struct domu_fs *fs, uint64_t ino, char *buf, size_t size);

/* ---- suspects.c ---------------------------------------------------------- */

int ext_extent(struct domu_fs *fs, uint64_t ino, uint64_t offset, uint64_t len, uint64_t *at, uint64_t *run);
int ext_suspects(struct domu_fs *before, struct domu_fs *after, const struct domu_span *spans, size_t n,
                 int (*fn)(void *user, uint64_t ino), void *user);

/* ---- scan.c, scan-dir.c, scan-read.c -------------------------------------------------- */

#define EXT_SCAN_PIECE (64u * 1024) /* bytes of one read */
#define EXT_SCAN_GAP   (32u * 1024) /* bytes between two blocks wanted that are read and thrown away */
#define EXT_SCAN_AHEAD (1024u * 1024) /* bytes that the disk is asked for at once */
#define EXT_SCAN_NEAR  (4u * 1024) /* and between two inodes: to copy more takes longer than another call */

/* A block of a directory, to be read in the order of the disk. */
struct ext_scan_block {
	uint64_t pblk;
	uint32_t dir, seed; /* its inode, and with what its checksum begins */
};

/* One read, of inodes of a table or blocks of directories, and what was made of it. */
struct ext_piece {
	uint64_t offset; /* of the block device */
	size_t len; /* at most EXT_SCAN_PIECE, or a block where that is more */
	size_t first, n; /* what it is wanted for: inode numbers from first on; or by index in inos, or in blocks */
	int fd; /* where the bytes are in a file; -1: not in one part of it */
	uint64_t at;
	bool done; /* it was read, and all below is there */
	struct ext_made *made;
};

#define EXT_SCAN_INODES (EXT_SCAN_PIECE / 128)
#define EXT_SCAN_BLOCKS (EXT_SCAN_PIECE / 1024)

/* By whichever thread has read the piece; that which scans gives it to whoever wanted it. */
struct ext_made {
	/* The inodes that are sound, ascending; bytes has the directories among them as they lie there. */
	struct domu_scan_inode inodes[EXT_SCAN_INODES];
	size_t n_inodes;
	/* Of each block: how many names bytes has of it, and whether they are all.  Odd: not looked at. */
	struct {
		unsigned names;
		enum { EXT_BLOCK_ODD, EXT_BLOCK_GOOD, EXT_BLOCK_DAMAGED } state;
	} blocks[EXT_SCAN_BLOCKS];
	uint8_t *bytes; /* as many as the piece has at most; a name: inode number, length, bytes */
	size_t used;
};

/* A group of inodes, that which was asked about last. */
struct ext_group {
	uint32_t first, used; /* its first inode, and how many were used; 0: none yet */
	uint64_t table; /* the byte where they are; 0: not inside the filesystem */
};

struct ext_scan {
	struct ext_fs *x;
	const struct domu_scan *to;
	void *user;
	const struct ext_scan_pass *pass;
	struct ext_piece pieces[DOMU_AHEAD_SLOTS];
	struct ext_scan_block *blocks;
	size_t n, cap;
	uint32_t dir; /* whose names are given */
	const uint32_t *inos; /* those that are wanted; NULL: all */
	size_t n_inos;
	/* What comes next, and to where the disk was told. */
	size_t next, told;
	uint32_t ino, left; /* of a group: the next inode, and how many of those that were used are left */
	uint64_t offset;
	struct ext_group planned;
	int rc; /* what the taker ended it with */
};

/* Some reads, one after the other; the next are done while one is used. */
struct ext_scan_pass {
	/* Fills offset, len, first, n.  1: there is none. */
	int (*plan)(struct ext_scan *s, struct ext_piece *p);
	/* Fills what is made of it.  In either thread: of s and all below it only what does not change is looked at. */
	void (*make)(const struct ext_scan *s, const struct ext_piece *p, uint8_t *data);
	int (*use)(struct ext_scan *s, const struct ext_piece *p);
};

int ext_scan(struct domu_fs *fs, const struct domu_scan *to, void *user);
int ext_scan_some(struct domu_fs *fs, const uint32_t *inos, size_t n, const struct domu_scan *to, void *user);
/* A directory that the inode tables showed: its names where they are in the inode, else its blocks are noted. */
int ext_scan_dir(struct ext_scan *s, const struct ext_inode *in, uint32_t seed);
/* Reads all blocks noted. */
int ext_scan_blocks(struct ext_scan *s);
int ext_scan_read(struct ext_scan *s, const struct ext_scan_pass *pass);
void ext_scan_free(struct ext_fs *x);
/* Of the checksums of what belongs to an inode. */
uint32_t ext_scan_seed(const struct ext_fs *x, const struct ext_inode *in);

/* ---- xattr.c ------------------------------------------------------------- */

/* Prefixes of names by their index on disk. */
enum {
	EXT_XATTR_USER = 1,
	EXT_XATTR_ACL_ACCESS = 2,
	EXT_XATTR_ACL_DEFAULT = 3,
	EXT_XATTR_TRUSTED = 4,
	EXT_XATTR_SECURITY = 6,
	EXT_XATTR_SYSTEM = 7,
};
#define EXT_ACL_ACCESS_NAME  "system.posix_acl_access"
#define EXT_ACL_DEFAULT_NAME "system.posix_acl_default"

struct ext_xattr {
	int index;
	const char *name; /* without its prefix, not terminated */
	unsigned name_len;
	const uint8_t *value; /* NULL when inum is not 0 */
	uint32_t value_len;
	uint32_t inum; /* an inode that holds the value, or 0 */
	bool in_block;
};

typedef int (*ext_xattr_fn)(void *user, const struct ext_xattr *xa);

/* Every attribute of the inode itself, then of its block; ends with what fn gives unless that is 0. */
int ext_xattr_walk(struct ext_fs *x, const struct ext_inode *in, ext_xattr_fn fn, void *user);
/* A copy of its value, wherever that is. */
int ext_xattr_value(struct ext_fs *x, const struct ext_inode *in, const struct ext_xattr *xa, uint8_t **value);
/* Reads the attribute block into buf and checks its header; *blk 0: there is none. */
int ext_xattr_block(struct ext_fs *x, const struct ext_inode *in, uint8_t *buf, uint64_t *blk);
int ext_listxattr(struct domu_fs *fs, uint64_t ino, domu_xattr_fn fn, void *user);
/* The second part of inline data (the first is i_block): inside the inode, at most EXT_MAX_INODE bytes. */
int ext_inline_more(struct ext_fs *x, const struct ext_inode *in, const uint8_t **data, size_t *len);
bool ext_xattr_prefix(int index, const char **prefix);

/* ---- acl.c --------------------------------------------------------------- */

/* Tags of entries, the same in both forms. */
enum {
	EXT_ACL_USER_OBJ = 1,
	EXT_ACL_USER = 2,
	EXT_ACL_GROUP_OBJ = 4,
	EXT_ACL_GROUP = 8,
	EXT_ACL_MASK = 16,
	EXT_ACL_OTHER = 32,
};

/* Between the form on disk and that of getxattr(2).  0, -EINVAL, -ENOMEM; the caller frees *out. */
int ext_acl_from_disk(const uint8_t *disk, size_t len, uint8_t **out, size_t *out_len);
int ext_acl_to_disk(const uint8_t *acl, size_t len, uint8_t **out, size_t *out_len);

/* Permissions of an ACL on disk that a mode implies, and the other way round. */
void ext_acl_chmod(uint8_t *disk, size_t len, uint32_t mode);
/* The mode's permission bits; *plain: the mode says all that the ACL says. -EINVAL: not a whole ACL. */
int ext_acl_mode(const uint8_t *disk, size_t len, uint32_t *mode, bool *plain);

/* ---- alloc.c ------------------------------------------------------------- */

/*
 * Maps blocks into the hole [lblk, lblk+n): as many as come in one piece, at
 * least one; their content is not defined.  Changes *in; the caller writes it.
 */
int ext_alloc(struct ext_fs *x, struct ext_inode *in, uint64_t lblk, uint64_t n, struct ext_run *run);
/* Makes allocated and unwritten blocks written. */
int ext_convert(struct ext_fs *x, struct ext_inode *in, uint64_t lblk, const struct ext_run *run);
/* Frees every block from lblk on, after a look at the whole map. */
int ext_punch(struct ext_fs *x, struct ext_inode *in, uint64_t lblk);

/* ---- data.c -------------------------------------------------------------- */

int ext_write(struct domu_fs *fs, uint64_t ino, const void *buf, size_t len, uint64_t offset);
int ext_truncate(struct domu_fs *fs, uint64_t ino, uint64_t size);

/* ---- entry.c ------------------------------------------------------------- */

enum ext_change { EXT_ADD, EXT_CHANGE, EXT_CONTENT };
/* Refuses what the inode's flags forbid, and what cannot be kept right. */
int ext_may_modify(struct ext_fs *x, const struct ext_inode *in, enum ext_change what);
int ext_check_encoding(struct ext_fs *x, const struct ext_inode *dir, const char *name); /* of a new name */
/* The directory was looked through without damage before any of these. */
int ext_entry_add(struct ext_fs *x, uint32_t dir, const char *name, uint32_t ino, uint32_t mode);
int ext_entry_remove(struct ext_fs *x, uint32_t dir, const char *name, uint32_t ino);
int ext_entry_set(struct ext_fs *x, uint32_t dir, const char *name, uint32_t ino, uint32_t mode);
/* New times of a directory whose entries changed, and links more subdirectories in it. */
int ext_dir_changed(struct ext_fs *x, uint32_t dir, int links);
bool ext_dir_may_grow(const struct ext_fs *x, const struct ext_inode *dir); /* one more subdirectory */
uint32_t ext_link_max(const struct ext_fs *x);
int ext_dir_empty(struct ext_fs *x, const struct ext_inode *dir); /* 0, -ENOTEMPTY */

/* ---- names.c ------------------------------------------------------------- */

void ext_names_forget(struct ext_fs *x);
bool ext_names_begin(struct ext_fs *x, const struct ext_inode *dir); /* false: not worth it */
bool ext_names_collect(struct ext_fs *x, const struct ext_dirent *de); /* false: too many */
void ext_names_end(struct ext_fs *x, const struct ext_inode *dir); /* all were collected */
void ext_names_added(struct ext_fs *x, uint32_t dir, const char *name);
bool ext_names_absent(const struct ext_fs *x, const struct ext_inode *dir, const char *name); /* surely */
/* Into the last block of the directory whose names are known.  -ENOSPC: not there, and nothing is recorded. */
int ext_names_insert(struct ext_fs *x, const struct ext_inode *dir, const char *name, uint32_t ino, int file_type);

/* ---- create.c, remove.c, rename.c ---------------------------------------- */

int ext_create(struct domu_fs *fs, uint64_t dir, const char *name, const struct domu_stat *attr, const char *target,
               uint64_t *ino);
int ext_link(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t ino);
void ext_init_extents(struct ext_inode *in); /* an empty tree */
/* Gives back all that an inode without names has. */
int ext_release(struct ext_fs *x, struct ext_inode *in);
/* One name less: the last one releases it. */
int ext_drop_link(struct ext_fs *x, struct ext_inode *in);
int ext_unlink(struct domu_fs *fs, uint64_t dir, const char *name);
int ext_rmdir(struct domu_fs *fs, uint64_t dir, const char *name);
int ext_rename(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t newdir, const char *newname);

/* ---- attr.c, xattr-set.c ------------------------------------------------- */

int ext_setattr(struct domu_fs *fs, uint64_t ino, const struct domu_stat *st, unsigned mask);
int ext_setxattr(struct domu_fs *fs, uint64_t ino, const char *name, const void *value, size_t len);
int ext_removexattr(struct domu_fs *fs, uint64_t ino, const char *name);
/* Without checks of the name or the inode; disk is the form on disk; NULL removes. */
int ext_xattr_put(struct ext_fs *x, const struct ext_inode *in, const char *name, const void *disk, size_t len);
/* A copy of the access ACL as on disk; *disk NULL: there is none. */
int ext_acl_read(struct ext_fs *x, const struct ext_inode *in, uint8_t **disk, size_t *len);

#endif
