/* SPDX-License-Identifier: GPL-3.0-or-later */
/* names.c - filling one large directory: which names it cannot have, and the block where there was room last. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "fs-ext.h"

#define MIN_BLOCKS 4 /* smaller directories are read faster than remembered */
#define MAX_NAMES  (1u << 19)

/*
 * A new name has to be compared with all others, and libext2fs looks for room
 * from the first block on: unpacking an archive would take the square of its
 * files.  So the hashes of the names of one directory are kept while it is
 * changed: a name whose hash is not among them is not there.
 */
static uint64_t hash_name(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
	return h | 1; /* 0 is an empty slot */
}

static void put(struct ext_names *n, uint64_t h)
{
	size_t i = (size_t)h & (n->cap - 1);

	while (n->slot[i] != 0 && n->slot[i] != h)
		i = (i + 1) & (n->cap - 1);
	n->count += n->slot[i] == 0;
	n->slot[i] = h;
}

static bool grow(struct ext_names *n)
{
	struct ext_names bigger = { .cap = n->cap != 0 ? n->cap * 2 : 1024 };

	bigger.slot = calloc(bigger.cap, sizeof *bigger.slot);
	if (bigger.slot == NULL)
		return false;
	for (size_t i = 0; i < n->cap; i++)
		if (n->slot[i] != 0)
			put(&bigger, n->slot[i]);
	free(n->slot);
	n->slot = bigger.slot;
	n->cap = bigger.cap;
	return true;
}

void ext_names_forget(struct ext_fs *x)
{
	free(x->names.slot);
	x->names = (struct ext_names){ 0 };
}

static bool add(struct ext_names *n, const char *name, size_t len)
{
	if (n->count >= MAX_NAMES || ((n->count + 1) * 2 > n->cap && !grow(n)))
		return false;
	put(n, hash_name(name, len));
	return true;
}

void ext_names_added(struct ext_fs *x, uint32_t dir, const char *name)
{
	if (x->names.dir == dir && !add(&x->names, name, strlen(name)))
		ext_names_forget(x);
}

bool ext_names_absent(const struct ext_fs *x, const struct ext_inode *dir, const char *name)
{
	const struct ext_names *n = &x->names;
	uint64_t h = hash_name(name, strlen(name));
	size_t i;

	if (n->dir != dir->ino || n->cap == 0)
		return false;
	for (i = (size_t)h & (n->cap - 1); n->slot[i] != 0; i = (i + 1) & (n->cap - 1))
		if (n->slot[i] == h)
			return false;
	return true;
}

bool ext_names_begin(struct ext_fs *x, const struct ext_inode *dir)
{
	if (!x->bitmaps || ext_casefolded(dir) || ext_isize(x, dir) < (uint64_t)MIN_BLOCKS * x->e2->blocksize)
		return false;
	ext_names_forget(x);
	return true;
}

bool ext_names_collect(struct ext_fs *x, const struct ext_dirent *de)
{
	return add(&x->names, de->name, de->len);
}

void ext_names_end(struct ext_fs *x, const struct ext_inode *dir)
{
	x->names.dir = dir->ino;
}

/* ---- room --------------------------------------------------------------------- */

static bool insert(struct ext_fs *x, uint8_t *data, const char *name, uint32_t ino, int file_type)
{
	unsigned len = (unsigned)strlen(name), need = EXT2_DIR_REC_LEN(len);
	unsigned end = x->e2->blocksize;

	if (ext2fs_has_feature_metadata_csum(x->e2->super))
		end -= (unsigned)sizeof(struct ext2_dir_entry_tail);
	for (unsigned at = 0; at + 8 < end;) {
		struct ext2_dir_entry *de = (void *)(data + at);
		unsigned rec_len, used;

		if (ext2fs_get_rec_len(x->e2, de, &rec_len) != 0 || rec_len < 8 || rec_len % 4 != 0 ||
		    rec_len > end - at)
			return false;
		used = de->inode != 0 ? EXT2_DIR_REC_LEN((unsigned)ext2fs_dirent_name_len(de)) : 0;
		if (used > rec_len)
			return false;
		if (rec_len - used < need) {
			at += rec_len;
			continue;
		}
		if (used > 0) {
			ext2fs_set_rec_len(x->e2, used, de);
			de = (void *)(data + at + used);
			ext2fs_set_rec_len(x->e2, rec_len - used, de);
		}
		de->inode = ino;
		de->name_len = 0;
		ext2fs_dirent_set_name_len(de, (int)len);
		ext2fs_dirent_set_file_type(de, file_type);
		memcpy(de->name, name, len);
		return true;
	}
	return false;
}

int ext_names_insert(struct ext_fs *x, const struct ext_inode *dir, const char *name, uint32_t ino, int file_type)
{
	uint64_t blocks = ext_isize(x, dir) / x->e2->blocksize;
	uint8_t *data = x->buf;
	struct ext_run run;
	errcode_t e2rc;
	int rc;

	if (x->names.dir != dir->ino || (dir->i.i_flags & (EXT2_INDEX_FL | EXT4_INLINE_DATA_FL)) != 0 || blocks == 0)
		return -ENOSPC;
	rc = ext_map(x, dir, blocks - 1, 1, &run);
	if (rc != 0)
		return rc;
	if (run.pblk == 0 || run.unwritten)
		return -ENOSPC;
	rc = ext_read_blocks(x, run.pblk, 1, data);
	if (rc != 0)
		return rc;
	if (!ext_dir_csum_ok(x, dir->ino, ext_scan_seed(x, dir), data) || !insert(x, data, name, ino, file_type))
		return -ENOSPC;
	e2rc = ext2fs_write_dir_block4(x->e2, run.pblk, data, 0, dir->ino);
	return ext_fail(x, e2rc, "cannot enter '%s' in directory inode %u", name, dir->ino);
}
