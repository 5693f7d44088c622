/* SPDX-License-Identifier: GPL-3.0-or-later */
/* create.c - new inodes of every type, and more names for an old one. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "fs-ext.h"

#define INHERITED                                                                                          \
	(EXT2_SECRM_FL | EXT2_UNRM_FL | EXT2_COMPR_FL | EXT2_SYNC_FL | EXT2_NODUMP_FL | EXT2_NOATIME_FL |  \
	 EXT2_NOCOMPR_FL | EXT3_JOURNAL_DATA_FL | EXT2_NOTAIL_FL | EXT2_DIRSYNC_FL | EXT4_PROJINHERIT_FL | \
	 EXT4_CASEFOLD_FL)
#define NOT_FOR_FILES (EXT2_DIRSYNC_FL | EXT4_PROJINHERIT_FL | EXT4_CASEFOLD_FL)
#define FOR_OTHERS    (EXT2_NODUMP_FL | EXT2_NOATIME_FL)

/* Not secret, but never the same twice for one inode: NFS handles rest on it. */
static uint32_t new_generation(struct ext_fs *x, uint32_t ino, struct timespec now)
{
	uint64_t seed[3] = { (uint64_t)now.tv_sec, (uint64_t)now.tv_nsec, (uint64_t)ino << 32 | x->serial++ };

	return ext2fs_crc32c_le(x->e2->csum_seed ^ 0xffffffffu, (const unsigned char *)seed, sizeof seed);
}

static uint32_t inherited_flags(const struct ext_inode *dir, uint32_t mode)
{
	uint32_t flags = dir->i.i_flags & INHERITED;

	if (LINUX_S_ISDIR(mode))
		return flags;
	return flags & (LINUX_S_ISREG(mode) ? ~(uint32_t)NOT_FOR_FILES : (uint32_t)FOR_OTHERS);
}

static void set_rdev(struct ext_inode *in, const struct domu_stat *attr)
{
	uint32_t major = attr->rdev_major, minor = attr->rdev_minor;

	if (major < 256 && minor < 256)
		in->i.i_block[0] = major << 8 | minor;
	else
		in->i.i_block[1] = (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

void ext_init_extents(struct ext_inode *in)
{
	struct ext3_extent_header *h = (void *)in->i.i_block;

	in->i.i_flags |= EXT4_EXTENTS_FL;
	h->eh_magic = htole16(EXT3_EXT_MAGIC);
	h->eh_max = htole16((sizeof in->i.i_block - sizeof *h) / sizeof(struct ext3_extent));
}

static void init_inode(struct ext_fs *x, struct ext_inode *in, const struct ext_inode *dir, const struct domu_stat *a)
{
	static const struct timespec none;
	struct timespec now = ext_now();
	size_t size = ext_inode_size(x);
	uint32_t ino = in->ino;

	memset(in->raw, 0, size > sizeof in->large ? size : sizeof in->large);
	if (size > EXT2_GOOD_OLD_INODE_SIZE) {
		uint32_t want = x->e2->super->s_want_extra_isize, fixed = sizeof in->large - EXT2_GOOD_OLD_INODE_SIZE;

		if (want < fixed || want % 4 != 0 || want > size - EXT2_GOOD_OLD_INODE_SIZE)
			want = fixed;
		in->large.i_extra_isize = (uint16_t)want;
	}
	in->i.i_mode = (uint16_t)a->mode;
	in->i.i_uid = (uint16_t)a->uid;
	in->i.osd2.linux2.l_i_uid_high = (uint16_t)(a->uid >> 16);
	in->i.i_gid = (uint16_t)a->gid;
	in->i.osd2.linux2.l_i_gid_high = (uint16_t)(a->gid >> 16);
	in->i.i_links_count = LINUX_S_ISDIR(a->mode) ? 2 : 1;
	in->i.i_flags = inherited_flags(dir, a->mode);
	in->i.i_generation = new_generation(x, ino, now);
	if (ext2fs_has_feature_project(x->e2->super) && (dir->i.i_flags & EXT4_PROJINHERIT_FL) != 0 &&
	    ext_has(x, dir, i_projid) && ext_has(x, in, i_projid))
		in->large.i_projid = dir->large.i_projid;
	ext_set_time(x, in, EXT_ATIME, memcmp(&a->atime, &none, sizeof none) != 0 ? a->atime : now);
	ext_set_time(x, in, EXT_MTIME, memcmp(&a->mtime, &none, sizeof none) != 0 ? a->mtime : now);
	ext_set_time(x, in, EXT_CTIME | EXT_CRTIME, now);
}

/* The first block of a directory or of a long link. */
static int add_block(struct ext_fs *x, struct ext_inode *in, uint32_t parent, const char *target)
{
	struct ext_run run;
	char *block = NULL;
	errcode_t rc = 0;
	int err = ext_alloc(x, in, 0, 1, &run);

	if (err == 0)
		err = ext_iput(x, in);
	if (err != 0)
		return err;
	if (target != NULL) {
		memset(x->buf, 0, x->e2->blocksize);
		memcpy(x->buf, target, strlen(target));
		return ext_write_blocks(x, run.pblk, 1, x->buf);
	}
	rc = ext2fs_new_dir_block(x->e2, in->ino, parent, &block);
	if (rc == 0)
		rc = ext2fs_write_dir_block4(x->e2, run.pblk, block, 0, in->ino);
	if (block != NULL)
		ext2fs_free_mem(&block);
	return ext_fail(x, rc, "cannot write directory inode %" PRIu32, in->ino);
}

/* Fills in what the type needs.  The inode must be on the disk before blocks whose checksum takes its generation. */
static int init_content(struct ext_fs *x, struct ext_inode *in, uint32_t parent, const struct domu_stat *attr,
                        const char *target)
{
	bool is_dir = LINUX_S_ISDIR(attr->mode), is_link = LINUX_S_ISLNK(attr->mode);
	size_t len = is_link ? strlen(target) : 0;
	bool fast = is_link && len < sizeof in->i.i_block;
	int rc;

	if (LINUX_S_ISCHR(attr->mode) || LINUX_S_ISBLK(attr->mode))
		set_rdev(in, attr);
	else if (fast)
		memcpy(in->i.i_block, target, len);
	else if (ext2fs_has_feature_extents(x->e2->super) && (is_dir || is_link || LINUX_S_ISREG(attr->mode)))
		ext_init_extents(in);
	if (is_link)
		in->i.i_size = (uint32_t)len;
	else if (is_dir)
		in->i.i_size = x->e2->blocksize;
	rc = ext_iput(x, in);
	if (rc == 0 && (is_dir || (is_link && !fast)))
		rc = add_block(x, in, parent, target);
	return rc;
}

static int check_new_name(struct ext_fs *x, uint64_t dir, const char *name, struct ext_inode *parent)
{
	uint32_t found;
	int rc = ext_begin_change(x);

	if (rc == 0)
		rc = ext_dir_get(x, dir, parent);
	if (rc == 0)
		rc = ext_may_modify(x, parent, EXT_ADD);
	if (rc != 0)
		return rc;
	rc = ext_dir_find(x, parent, name, &found, NULL);
	if (rc == -ENOENT)
		return ext_check_encoding(x, parent, name);
	if (rc == 0)
		return domu_fail(x->fs->ctx, DOMU_FAILED, -EEXIST, "%s: '%s' is there already", x->fs->block->name,
		                 name);
	return rc;
}

int ext_create(struct domu_fs *fs, uint64_t dir, const char *name, const struct domu_stat *attr, const char *target,
               uint64_t *ino)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode parent, in;
	bool is_dir = LINUX_S_ISDIR(attr->mode);
	ext2_ino_t new;
	errcode_t e2rc;
	int rc = check_new_name(x, dir, name, &parent);

	if (rc != 0)
		return rc;
	if (LINUX_S_ISLNK(attr->mode) && (target == NULL || target[0] == '\0'))
		return -EINVAL;
	if (LINUX_S_ISLNK(attr->mode) && strlen(target) >= x->e2->blocksize)
		return domu_fail(fs->ctx, DOMU_FAILED, -ENAMETOOLONG,
		                 "%s: a link's target can have at most %u bytes here", fs->block->name,
		                 x->e2->blocksize - 1);
	if (is_dir && !ext_dir_may_grow(x, &parent))
		return domu_fail(fs->ctx, DOMU_FAILED, -EMLINK, "%s: too many directories in inode %" PRIu64,
		                 fs->block->name, dir);
	e2rc = ext2fs_new_inode(x->e2, (ext2_ino_t)dir, (int)attr->mode, NULL, &new);
	if (e2rc != 0)
		return ext_fail(x, e2rc, "cannot make '%s'", name);
	in.ino = new;
	init_inode(x, &in, &parent, attr);
	ext2fs_inode_alloc_stats2(x->e2, new, +1, is_dir);
	rc = init_content(x, &in, (uint32_t)dir, attr, target);
	if (rc == 0)
		rc = ext_entry_add(x, (uint32_t)dir, name, new, attr->mode);
	if (rc != 0) {
		ext_release(x, &in);
		return rc;
	}
	rc = ext_dir_changed(x, (uint32_t)dir, is_dir ? +1 : 0);
	*ino = new;
	return rc;
}

int ext_link(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t ino)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode parent, in;
	int rc = check_new_name(x, dir, name, &parent);

	if (rc == 0)
		rc = ext_iget(x, ino, &in);
	if (rc == 0)
		rc = ext_may_modify(x, &in, EXT_CHANGE);
	if (rc != 0)
		return rc;
	if (LINUX_S_ISDIR(in.i.i_mode))
		return domu_fail(fs->ctx, DOMU_FAILED, -EPERM, "%s: a directory cannot have a second name",
		                 fs->block->name);
	if (in.i.i_links_count >= ext_link_max(x))
		return domu_fail(fs->ctx, DOMU_FAILED, -EMLINK, "%s: inode %" PRIu64 " has too many names",
		                 fs->block->name, ino);
	rc = ext_entry_add(x, (uint32_t)dir, name, in.ino, in.i.i_mode);
	if (rc != 0)
		return rc;
	in.i.i_links_count++;
	ext_set_time(x, &in, EXT_CTIME, ext_now());
	rc = ext_iput(x, &in);
	return rc != 0 ? rc : ext_dir_changed(x, (uint32_t)dir, 0);
}
