/* SPDX-License-Identifier: GPL-3.0-or-later */
/* entry.c - entries of directories: adding, removing, replacing; and what may be changed at all. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "fs-ext.h"

static int refuse(struct ext_fs *x, const struct ext_inode *in, const char *what, const char *instead)
{
	return domu_fail(x->fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: inode %" PRIu32 " %s: %s", x->fs->block->name,
	                 in->ino, what, instead);
}

int ext_may_modify(struct ext_fs *x, const struct ext_inode *in, enum ext_change what)
{
	uint32_t flags = in->i.i_flags;
	bool is_dir = LINUX_S_ISDIR(in->i.i_mode);

	if ((flags & EXT2_IMMUTABLE_FL) != 0 || ((flags & EXT2_APPEND_FL) != 0 && what != EXT_ADD))
		return domu_fail(x->fs->ctx, DOMU_FAILED, -EPERM,
		                 "%s: inode %" PRIu32 " is %s: clear that with chattr -%s first", x->fs->block->name,
		                 in->ino, (flags & EXT2_IMMUTABLE_FL) != 0 ? "immutable" : "append-only",
		                 (flags & EXT2_IMMUTABLE_FL) != 0 ? "i" : "a");
	if ((flags & EXT4_ENCRYPT_FL) != 0 && (is_dir || what == EXT_CONTENT))
		return refuse(x, in, "is encrypted", "change it in the guest, which has the key");
	if ((flags & EXT4_VERITY_FL) != 0 && !is_dir && what == EXT_CONTENT)
		return refuse(x, in, "is sealed by fs-verity", "replace the file by a new one");
	if ((flags & EXT4_CASEFOLD_FL) != 0 && is_dir && x->e2->encoding == NULL)
		return refuse(x, in, "is a case-insensitive directory in an encoding that is not known here",
		              "change it in the guest");
	/* The list of files to remove or cut at the next mount runs through i_dtime. */
	if (x->e2->super->s_last_orphan != 0 && in->i.i_dtime != 0)
		return domu_fail(x->fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: inode %" PRIu32 " is to be cut at the next mount: domu-rescue fsck %s first",
		                 x->fs->block->name, in->ino, domu_guest_word(x->fs->ctx));
	return 0;
}

/* A strict filesystem has in its case-insensitive directories only names that can be folded. */
int ext_check_encoding(struct ext_fs *x, const struct ext_inode *dir, const char *name)
{
	char copy[EXT2_NAME_LEN + 1], *at = NULL;

	if (!ext_casefolded(dir) || x->e2->encoding == NULL ||
	    (x->e2->super->s_encoding_flags & EXT4_ENC_STRICT_MODE_FL) == 0)
		return 0;
	snprintf(copy, sizeof copy, "%s", name);
	if (ext2fs_check_encoded_name(x->e2->encoding, copy, strlen(copy), &at) == 0)
		return 0;
	return domu_fail(x->fs->ctx, DOMU_FAILED, -EINVAL,
	                 "%s: '%s' is not UTF-8, and directory inode %" PRIu32 " takes nothing else",
	                 x->fs->block->name, name, dir->ino);
}

uint32_t ext_link_max(const struct ext_fs *x)
{
	/* The drivers for ext2 and ext3 proper stop at 32000. */
	return strcmp(x->fs->probe.type, "ext4") == 0 ? 65000 : 32000;
}

bool ext_dir_may_grow(const struct ext_fs *x, const struct ext_inode *dir)
{
	if (dir->i.i_links_count < ext_link_max(x))
		return true;
	return ext2fs_has_feature_dir_nlink(x->e2->super) && (dir->i.i_flags & EXT2_INDEX_FL) != 0;
}

static int file_type(const struct ext_fs *x, uint32_t mode)
{
	if (!ext2fs_has_feature_filetype(x->e2->super))
		return EXT2_FT_UNKNOWN;
	switch (mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
		return EXT2_FT_REG_FILE;
	case LINUX_S_IFDIR:
		return EXT2_FT_DIR;
	case LINUX_S_IFCHR:
		return EXT2_FT_CHRDEV;
	case LINUX_S_IFBLK:
		return EXT2_FT_BLKDEV;
	case LINUX_S_IFIFO:
		return EXT2_FT_FIFO;
	case LINUX_S_IFSOCK:
		return EXT2_FT_SOCK;
	case LINUX_S_IFLNK:
		return EXT2_FT_SYMLINK;
	default:
		return EXT2_FT_UNKNOWN;
	}
}

int ext_entry_add(struct ext_fs *x, uint32_t dir, const char *name, uint32_t ino, uint32_t mode)
{
	struct ext_inode in;
	errcode_t rc;
	int err;

	err = ext_iread(x, dir, &in);
	if (err != 0)
		return err;
	/* As the kernel: an index that the filesystem may no longer have is dropped, its blocks are plain ones. */
	if ((in.i.i_flags & EXT2_INDEX_FL) != 0 && !ext2fs_has_feature_dir_index(x->e2->super)) {
		in.i.i_flags &= ~(uint32_t)EXT2_INDEX_FL;
		err = ext_iput(x, &in);
		if (err != 0)
			return err;
	}
	err = ext_names_insert(x, &in, name, ino, file_type(x, mode));
	if (err != -ENOSPC) {
		if (err == 0)
			ext_names_added(x, dir, name);
		return err;
	}
	/* Inline data first become a block, which may then be full itself. */
	for (unsigned tries = 0;; tries++) {
		rc = ext2fs_link(x->e2, dir, name, ino, file_type(x, mode));
		if (rc != EXT2_ET_DIR_NO_SPACE || tries == 2 || (in.i.i_flags & EXT2_INDEX_FL) != 0)
			break;
		rc = ext2fs_expand_dir(x->e2, dir);
		/* What is remembered of where its blocks are is not so any more. */
		ext_map_forget(x);
		if (rc != 0)
			break;
	}
	if (rc == 0)
		ext_names_added(x, dir, name);
	return ext_fail(x, rc, "cannot enter '%s' in directory inode %" PRIu32, name, dir);
}

int ext_entry_remove(struct ext_fs *x, uint32_t dir, const char *name, uint32_t ino)
{
	errcode_t rc = ext2fs_unlink(x->e2, dir, name, ino, 0);

	return ext_fail(x, rc, "cannot remove '%s' from directory inode %" PRIu32, name, dir);
}

struct set {
	const char *name;
	size_t len;
	uint32_t ino;
	int type; /* negative: left as it is */
	bool done;
};

static int set_entry(ext2_ino_t dir, int entry, struct ext2_dir_entry *de, int offset, int blocksize, char *buf,
                     void *user)
{
	struct set *s = user;

	(void)dir;
	(void)entry;
	(void)offset;
	(void)blocksize;
	(void)buf;
	if ((size_t)ext2fs_dirent_name_len(de) != s->len || memcmp(de->name, s->name, s->len) != 0)
		return 0;
	de->inode = s->ino;
	if (s->type > EXT2_FT_UNKNOWN)
		ext2fs_dirent_set_file_type(de, s->type);
	s->done = true;
	return DIRENT_CHANGED | DIRENT_ABORT;
}

int ext_entry_set(struct ext_fs *x, uint32_t dir, const char *name, uint32_t ino, uint32_t mode)
{
	struct set s = { .name = name, .len = strlen(name), .ino = ino, .type = file_type(x, mode) };
	errcode_t rc = ext2fs_dir_iterate2(x->e2, dir, 0, NULL, set_entry, &s);

	if (rc == 0 && !s.done)
		return ext_damaged(x, "directory inode %" PRIu32 " has no entry '%s'", dir, name);
	return ext_fail(x, rc, "cannot change '%s' in directory inode %" PRIu32, name, dir);
}

int ext_dir_changed(struct ext_fs *x, uint32_t dir, int links)
{
	struct ext_inode in;
	int rc = ext_iread(x, dir, &in);

	if (rc != 0)
		return rc;
	/* A count of 1 says that there are too many subdirectories to count, and stays. */
	if (links > 0 && in.i.i_links_count != 1) {
		in.i.i_links_count++;
		if (in.i.i_links_count > ext_link_max(x))
			in.i.i_links_count = 1;
	} else if (links < 0 && in.i.i_links_count > 2) {
		in.i.i_links_count--;
	}
	ext_set_time(x, &in, EXT_MTIME | EXT_CTIME, ext_now());
	return ext_iput(x, &in);
}

static int any_entry(void *user, const struct ext_dirent *de)
{
	bool dots = de->name[0] == '.' && (de->len == 1 || (de->len == 2 && de->name[1] == '.'));

	if (!dots)
		*(bool *)user = true;
	return dots ? 0 : 1;
}

int ext_dir_empty(struct ext_fs *x, const struct ext_inode *dir)
{
	bool found = false;
	int rc = ext_dir_walk(x, dir, any_entry, &found);

	return rc == 0 && found ? -ENOTEMPTY : rc;
}
