/* SPDX-License-Identifier: GPL-3.0-or-later */
/* inode.c - inodes: reading, checking, writing, and what stat shows of them. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "fs-ext.h"

int ext_iread(struct ext_fs *x, uint32_t ino, struct ext_inode *in)
{
	errcode_t rc;

	memset(&in->large, 0, sizeof in->large);
	in->ino = ino;
	rc = ext2fs_read_inode_full(x->e2, ino, &in->i, (int)ext_inode_size(x));
	return rc == 0 ? 0 : ext_fail(x, rc, "cannot read inode %" PRIu32, ino);
}

int ext_iget(struct ext_fs *x, uint64_t ino, struct ext_inode *in)
{
	struct ext2_super_block *sb = x->e2->super;
	int rc;

	if ((ino != EXT2_ROOT_INO && ino < EXT2_FIRST_INO(sb)) || ino > sb->s_inodes_count)
		return ext_damaged(x, "a name points to inode %" PRIu64 ", which is not a file's", ino);
	rc = ext_iread(x, (uint32_t)ino, in);
	if (rc != 0)
		return rc;
	if (in->i.i_links_count == 0 || in->i.i_mode == 0)
		return ext_damaged(x, "a name points to inode %" PRIu64 ", which is not in use", ino);
	if ((in->i.i_flags & EXT4_EA_INODE_FL) != 0)
		return ext_damaged(x, "a name points to inode %" PRIu64 ", which holds an extended attribute", ino);
	return 0;
}

int ext_iput(struct ext_fs *x, struct ext_inode *in)
{
	errcode_t rc = ext2fs_write_inode_full(x->e2, in->ino, &in->i, (int)ext_inode_size(x));

	return rc == 0 ? 0 : ext_fail(x, rc, "cannot write inode %" PRIu32, in->ino);
}

uint64_t ext_isize(const struct ext_fs *x, const struct ext_inode *in)
{
	if (LINUX_S_ISREG(in->i.i_mode) || ext2fs_has_feature_largedir(x->e2->super))
		return EXT2_I_SIZE(&in->i);
	return in->i.i_size;
}

uint64_t ext_max_size(const struct ext_fs *x, const struct ext_inode *in)
{
	uint64_t per = x->e2->blocksize / 4, blocks = UINT32_MAX - 1;

	if ((in->i.i_flags & EXT4_EXTENTS_FL) == 0) {
		uint64_t mapped = EXT2_NDIR_BLOCKS + per + per * per + per * per * per;

		if (mapped < blocks)
			blocks = mapped;
	}
	return blocks * x->e2->blocksize;
}

/* As the kernel tells: a target in a block needs one, besides that of the attributes. */
bool ext_fast_link(const struct ext_fs *x, const struct ext_inode *in)
{
	uint64_t ea = ext2fs_file_acl_block(x->e2, &in->i) != 0 ? (uint64_t)EXT2_CLUSTER_SIZE(x->e2->super) / 512 : 0;

	if (!LINUX_S_ISLNK(in->i.i_mode) || (in->i.i_flags & EXT4_INLINE_DATA_FL) != 0)
		return false;
	return in->i.i_blocks == ea && in->i.osd2.linux2.l_i_blocks_hi == 0;
}

struct timespec ext_time_get(uint32_t base, uint32_t extra)
{
	struct timespec t = { .tv_sec = (int32_t)base, .tv_nsec = (long)(extra >> EXT4_EPOCH_BITS) };

	t.tv_sec += (time_t)((uint64_t)(extra & EXT4_EPOCH_MASK) << 32);
	if (t.tv_nsec > 999999999)
		t.tv_nsec = 0;
	return t;
}

void ext_time_put(struct timespec t, bool has_extra, uint32_t *base, uint32_t *extra)
{
	const int64_t min = INT32_MIN, max = has_extra ? INT32_MAX + (int64_t)(3ULL << 32) : INT32_MAX;
	int64_t sec = t.tv_sec;

	if (sec < min || sec > max) {
		sec = sec < min ? min : max;
		t.tv_nsec = 0;
	}
	*base = (uint32_t)sec;
	*extra = (uint32_t)(((uint64_t)(sec - (int32_t)(uint32_t)sec) >> 32) & EXT4_EPOCH_MASK) |
	         (uint32_t)t.tv_nsec << EXT4_EPOCH_BITS;
}

void ext_set_time(struct ext_fs *x, struct ext_inode *in, unsigned which, struct timespec t)
{
	uint32_t base, extra;

	if ((which & EXT_ATIME) != 0) {
		ext_time_put(t, ext_has(x, in, i_atime_extra), &base, &extra);
		in->large.i_atime = base;
		if (ext_has(x, in, i_atime_extra))
			in->large.i_atime_extra = extra;
	}
	if ((which & EXT_MTIME) != 0) {
		ext_time_put(t, ext_has(x, in, i_mtime_extra), &base, &extra);
		in->large.i_mtime = base;
		if (ext_has(x, in, i_mtime_extra))
			in->large.i_mtime_extra = extra;
	}
	if ((which & EXT_CTIME) != 0) {
		ext_time_put(t, ext_has(x, in, i_ctime_extra), &base, &extra);
		in->large.i_ctime = base;
		if (ext_has(x, in, i_ctime_extra))
			in->large.i_ctime_extra = extra;
	}
	if ((which & EXT_CRTIME) != 0 && ext_has(x, in, i_crtime)) {
		ext_time_put(t, ext_has(x, in, i_crtime_extra), &base, &extra);
		in->large.i_crtime = base;
		if (ext_has(x, in, i_crtime_extra))
			in->large.i_crtime_extra = extra;
	}
}

struct timespec ext_now(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_REALTIME, &t) != 0)
		t = (struct timespec){ .tv_sec = time(NULL) };
	return t;
}

static void stat_rdev(const struct ext_inode *in, struct domu_stat *st)
{
	uint32_t old = in->i.i_block[0], dev = in->i.i_block[1];

	if (!LINUX_S_ISCHR(in->i.i_mode) && !LINUX_S_ISBLK(in->i.i_mode))
		return;
	if (old != 0) {
		st->rdev_major = (old >> 8) & 0xff;
		st->rdev_minor = old & 0xff;
	} else {
		st->rdev_major = (dev & 0xfff00) >> 8;
		st->rdev_minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
	}
}

static void stat_times(const struct ext_fs *x, const struct ext_inode *in, struct domu_stat *st)
{
	const struct ext2_inode_large *i = &in->large;

	st->atime = ext_time_get(i->i_atime, ext_has(x, in, i_atime_extra) ? i->i_atime_extra : 0);
	st->mtime = ext_time_get(i->i_mtime, ext_has(x, in, i_mtime_extra) ? i->i_mtime_extra : 0);
	st->ctime = ext_time_get(i->i_ctime, ext_has(x, in, i_ctime_extra) ? i->i_ctime_extra : 0);
	if (ext_has(x, in, i_crtime))
		st->btime = ext_time_get(i->i_crtime, ext_has(x, in, i_crtime_extra) ? i->i_crtime_extra : 0);
}

void ext_stat_of(const struct ext_fs *x, const struct ext_inode *in, struct domu_stat *st)
{
	memset(st, 0, sizeof *st);
	st->ino = in->ino;
	st->mode = in->i.i_mode;
	st->nlink = in->i.i_links_count;
	st->uid = inode_uid(in->i);
	st->gid = inode_gid(in->i);
	st->size = ext_isize(x, in);
	st->sectors = ext2fs_get_stat_i_blocks(x->e2, (struct ext2_inode *)&in->i);
	if ((in->i.i_flags & EXT4_INLINE_DATA_FL) != 0 && LINUX_S_ISREG(in->i.i_mode))
		st->sectors += (st->size + 511) / 512;
	st->block_size = x->e2->blocksize;
	st->flags = in->i.i_flags;
	st->generation = in->i.i_generation;
	if (ext2fs_has_feature_project(x->e2->super) && ext_has(x, in, i_projid))
		st->projid = in->large.i_projid;
	stat_rdev(in, st);
	stat_times(x, in, st);
}

int ext_stat(struct domu_fs *fs, uint64_t ino, struct domu_stat *st)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode in;
	int rc = ext_iget(x, ino, &in);

	if (rc == 0)
		ext_stat_of(x, &in, st);
	return rc;
}
