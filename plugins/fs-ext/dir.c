/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dir.c - directories: their blocks and inline data read without trusting them, lookup, readdir. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "fs-ext.h"

#define DIRENT_HEAD 8u
#define TAIL        12u /* struct ext2_dir_entry_tail */

/* Of an index: what is before the counts, the entries in use, and the tail behind the room for others. */
static bool index_good(uint32_t seed, const uint8_t *data, size_t size)
{
	static const uint8_t zeros[4];
	size_t at, limit, count;
	const uint8_t *tail;

	if (domu_le16(data + 4) == size && data[6] == 0)
		at = 8;
	else if (domu_le16(data + 4) == 12 && domu_le16(data + 16) == size - 12 && domu_le32(data + 24) == 0 &&
	         data[29] == 8)
		at = 32;
	else
		return false;
	limit = domu_le16(data + at);
	count = domu_le16(data + at + 2);
	if (count > limit || at + limit * 8 + 8 > size)
		return false;
	tail = data + at + limit * 8;
	seed = domu_crc32c(seed, data, at + count * 8);
	seed = domu_crc32c(seed, tail, 4);
	return domu_le32(tail + 4) == domu_crc32c(seed, zeros, sizeof zeros);
}

bool ext_dir_block_good(const struct ext_fs *x, uint32_t seed, const uint8_t *data)
{
	size_t size = x->e2->blocksize;
	const uint8_t *tail = data + size - TAIL;

	if (!ext2fs_has_feature_metadata_csum(x->e2->super))
		return true;
	if (domu_le32(tail) == 0 && domu_le16(tail + 4) == TAIL && tail[6] == 0 &&
	    tail[7] == EXT2_DIR_NAME_LEN_CSUM >> 8 && domu_le32(tail + 8) == domu_crc32c(seed, data, size - TAIL))
		return true;
	return index_good(seed, data, size);
}

/* libext2fs computes it byte by byte: it is asked where they do not agree. */
bool ext_dir_csum_ok(struct ext_fs *x, uint32_t ino, uint32_t seed, const uint8_t *data)
{
	return ext_dir_block_good(x, seed, data) ||
	       ext2fs_dir_block_csum_verify(x->e2, ino, (struct ext2_dir_entry *)data);
}

int ext_dir_entries(struct ext_fs *x, const uint8_t *data, size_t size, ext_dirent_fn fn, void *user, bool *damaged)
{
	bool types = ext2fs_has_feature_filetype(x->e2->super);

	for (size_t at = 0; at + DIRENT_HEAD < size;) {
		const struct ext2_dir_entry *e = (const void *)(data + at);
		struct ext_dirent de = { .name = e->name, .ino = domu_le32(data + at) };
		unsigned rec_len;
		int rc;

		if (ext2fs_get_rec_len(x->e2, (struct ext2_dir_entry *)e, &rec_len) != 0 || rec_len < DIRENT_HEAD ||
		    rec_len % 4 != 0 || rec_len > size - at) {
			*damaged = true;
			return 0;
		}
		/* Before the feature filetype, both bytes were the length. */
		de.len = types ? data[at + 6] : domu_le16(data + at + 6);
		de.file_type = types ? data[at + 7] & 7 : EXT2_FT_UNKNOWN;
		if (de.ino == 0) {
			at += rec_len;
			continue;
		}
		if (de.len + DIRENT_HEAD > rec_len || de.ino > x->e2->super->s_inodes_count ||
		    !domu_name_sound(de.name, de.len)) {
			*damaged = true;
		} else {
			rc = fn(user, &de);
			if (rc != 0)
				return rc;
		}
		at += rec_len;
	}
	return 0;
}

static int walk_inline(struct ext_fs *x, const struct ext_inode *dir, ext_dirent_fn fn, void *user, bool *damaged)
{
	const uint8_t *block = (const uint8_t *)dir->i.i_block, *more;
	struct ext_dirent self = { .name = ".", .len = 1, .ino = dir->ino, .file_type = EXT2_FT_DIR };
	struct ext_dirent up = { .name = "..", .len = 2, .ino = domu_le32(block), .file_type = EXT2_FT_DIR };
	size_t len;
	int rc;

	rc = ext_inline_more(x, dir, &more, &len);
	if (rc == 0)
		rc = fn(user, &self);
	if (rc == 0)
		rc = fn(user, &up);
	if (rc == 0)
		rc = ext_dir_entries(x, block + EXT4_INLINE_DATA_DOTDOT_SIZE,
		                     EXT4_MIN_INLINE_DATA_SIZE - EXT4_INLINE_DATA_DOTDOT_SIZE, fn, user, damaged);
	if (rc == 0)
		rc = ext_dir_entries(x, more, len, fn, user, damaged);
	return rc;
}

static int walk_blocks(struct ext_fs *x, const struct ext_inode *dir, uint8_t *data, ext_dirent_fn fn, void *user,
                       bool *damaged)
{
	uint64_t blocks = ext_isize(x, dir) / x->e2->blocksize;
	uint32_t seed = ext_scan_seed(x, dir);
	struct ext_run run;
	int rc = 0;

	/* A size that lies must not be followed further than there can be blocks. */
	if (blocks > ext2fs_blocks_count(x->e2->super)) {
		blocks = ext2fs_blocks_count(x->e2->super);
		*damaged = true;
	}
	for (uint64_t lblk = 0; rc == 0 && lblk < blocks;) {
		rc = ext_map(x, dir, lblk, blocks - lblk, &run);
		if (rc != 0)
			break;
		if (run.pblk == 0 || run.unwritten) {
			*damaged = true;
			lblk += run.len;
			continue;
		}
		rc = ext_read_blocks(x, run.pblk, 1, data);
		if (rc == 0 && !ext_dir_csum_ok(x, dir->ino, seed, data))
			*damaged = true;
		else if (rc == 0)
			rc = ext_dir_entries(x, data, x->e2->blocksize, fn, user, damaged);
		lblk++;
	}
	return rc;
}

int ext_dir_walk(struct ext_fs *x, const struct ext_inode *dir, ext_dirent_fn fn, void *user)
{
	bool damaged = false;
	uint8_t *data = NULL;
	int rc;

	if ((dir->i.i_flags & EXT4_INLINE_DATA_FL) != 0) {
		rc = walk_inline(x, dir, fn, user, &damaged);
	} else {
		/* Its own buffer: fn may well use the filesystem. */
		data = malloc(x->e2->blocksize);
		if (data == NULL)
			return ext_nomem(x);
		rc = walk_blocks(x, dir, data, fn, user, &damaged);
		free(data);
	}
	if (rc == 0 && damaged)
		return ext_damaged(x, "directory inode %" PRIu32 " is damaged", dir->ino);
	return rc > 0 ? 0 : rc;
}

int ext_dir_get(struct ext_fs *x, uint64_t ino, struct ext_inode *dir)
{
	int rc = ext_iget(x, ino, dir);

	if (rc != 0)
		return rc;
	if (!LINUX_S_ISDIR(dir->i.i_mode))
		return -ENOTDIR;
	if ((dir->i.i_flags & EXT4_ENCRYPT_FL) != 0)
		return domu_fail(x->fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: directory inode %" PRIu64 " is encrypted: only the guest has its key",
		                 x->fs->block->name, ino);
	return 0;
}

struct find {
	struct ext_fs *x;
	const char *name;
	size_t len;
	bool fold;
	bool collect; /* every name is remembered on the way */
	uint32_t ino;
	char *stored; /* the name as it is in the directory; may be NULL */
};

static int find_entry(void *user, const struct ext_dirent *de)
{
	struct find *f = user;
	bool same = de->len == f->len && memcmp(de->name, f->name, f->len) == 0;

	if (f->collect && !ext_names_collect(f->x, de))
		f->collect = false;
	if (!same && f->fold)
		same = ext2fs_casefold_cmp(f->x->e2->encoding, (const unsigned char *)f->name, f->len,
		                           (const unsigned char *)de->name, de->len) == 0;
	if (!same)
		return 0;
	f->ino = de->ino;
	if (f->stored != NULL) {
		memcpy(f->stored, de->name, de->len);
		f->stored[de->len] = '\0';
	}
	return 1;
}

int ext_dir_find(struct ext_fs *x, const struct ext_inode *dir, const char *name, uint32_t *ino, char *stored)
{
	struct find f = { .x = x, .name = name, .len = strlen(name), .stored = stored };
	int rc;

	if (ext_names_absent(x, dir, name))
		return -ENOENT;
	f.fold = ext_casefolded(dir) && x->e2->encoding != NULL;
	f.collect = x->names.dir != dir->ino && ext_names_begin(x, dir);
	rc = ext_dir_walk(x, dir, find_entry, &f);
	if (rc == 0 && f.ino == 0 && f.collect)
		ext_names_end(x, dir);
	if (rc != 0)
		return rc;
	*ino = f.ino;
	return f.ino != 0 ? 0 : -ENOENT;
}

int ext_lookup(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t *ino)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode in;
	uint32_t found = 0;
	int rc = ext_dir_get(x, dir, &in);

	if (rc == 0)
		rc = ext_dir_find(x, &in, name, &found, NULL);
	*ino = found;
	return rc;
}

struct list {
	struct ext_fs *x;
	domu_dirent_fn fn;
	void *user;
	int rc; /* what fn ended the walk with */
};

static uint32_t type_mode(struct ext_fs *x, const struct ext_dirent *de)
{
	static const uint32_t modes[8] = {
		[EXT2_FT_REG_FILE] = LINUX_S_IFREG, [EXT2_FT_DIR] = LINUX_S_IFDIR,  [EXT2_FT_CHRDEV] = LINUX_S_IFCHR,
		[EXT2_FT_BLKDEV] = LINUX_S_IFBLK,   [EXT2_FT_FIFO] = LINUX_S_IFIFO, [EXT2_FT_SOCK] = LINUX_S_IFSOCK,
		[EXT2_FT_SYMLINK] = LINUX_S_IFLNK,
	};
	struct ext2_inode inode;

	if (de->file_type != EXT2_FT_UNKNOWN)
		return modes[de->file_type];
	/* What cannot be read is told when it is looked at itself. */
	return ext2fs_read_inode(x->e2, de->ino, &inode) == 0 ? inode.i_mode & LINUX_S_IFMT : 0;
}

static int list_entry(void *user, const struct ext_dirent *de)
{
	struct list *l = user;
	char name[EXT2_NAME_LEN + 1];

	memcpy(name, de->name, de->len);
	name[de->len] = '\0';
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	l->rc = l->fn(l->user, name, de->len, de->ino, type_mode(l->x, de));
	return l->rc != 0 ? 1 : 0;
}

int ext_readdir(struct domu_fs *fs, uint64_t dir, domu_dirent_fn fn, void *user)
{
	struct ext_fs *x = ext_of(fs);
	struct list l = { .x = x, .fn = fn, .user = user };
	struct ext_inode in;
	int rc = ext_dir_get(x, dir, &in);

	if (rc == 0)
		rc = ext_dir_walk(x, &in, list_entry, &l);
	return l.rc != 0 ? l.rc : rc;
}
