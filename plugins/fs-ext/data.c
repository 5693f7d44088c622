/* SPDX-License-Identifier: GPL-3.0-or-later */
/* data.c - changing a file's content and size. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "fs-ext.h"

/* What lies behind the end in the last block must read as zeros when the file grows over it. */
static int zero_tail(struct ext_fs *x, const struct ext_inode *in, uint64_t size)
{
	uint32_t bs = x->e2->blocksize, keep = (uint32_t)(size % bs);
	struct ext_run run;
	bool clean = true;
	int rc;

	if (keep == 0)
		return 0;
	rc = ext_map(x, in, size / bs, 1, &run);
	if (rc != 0 || run.pblk == 0 || run.unwritten)
		return rc;
	rc = ext_read_blocks(x, run.pblk, 1, x->buf);
	if (rc != 0)
		return rc;
	for (uint32_t i = keep; i < bs && clean; i++)
		clean = x->buf[i] == 0;
	if (clean)
		return 0;
	memset(x->buf + keep, 0, bs - keep);
	return ext_write_blocks(x, run.pblk, 1, x->buf);
}

static int set_size(struct ext_fs *x, struct ext_inode *in, uint64_t size)
{
	errcode_t rc = ext2fs_inode_size_set(x->e2, &in->i, (ext2_off64_t)size);

	return ext_fail(x, rc, "cannot set the size of inode %" PRIu32, in->ino);
}

static int too_big(struct ext_fs *x, uint64_t size)
{
	return domu_fail(x->fs->ctx, DOMU_FAILED, -EFBIG, "%s: no file here can have %" PRIu64 " bytes",
	                 x->fs->block->name, size);
}

/* Writes len bytes into a run that begins skip bytes before them; fresh blocks count as zeros. */
static int write_run(struct ext_fs *x, const struct ext_run *run, bool fresh, const uint8_t *buf, size_t len,
                     uint64_t skip)
{
	uint32_t bs = x->e2->blocksize;
	uint64_t blk = run->pblk;
	int rc = 0;

	while (rc == 0 && len > 0) {
		size_t n;

		if (skip == 0 && len >= bs) {
			uint32_t whole = len / bs < EXT_MAX_RUN ? (uint32_t)(len / bs) : EXT_MAX_RUN;

			rc = ext_write_blocks(x, blk, whole, buf);
			n = (size_t)whole * bs;
			blk += whole;
		} else {
			n = bs - skip < len ? (size_t)(bs - skip) : len;
			if (fresh)
				memset(x->buf, 0, bs);
			else
				rc = ext_read_blocks(x, blk, 1, x->buf);
			if (rc != 0)
				break;
			memcpy(x->buf + skip, buf, n);
			rc = ext_write_blocks(x, blk++, 1, x->buf);
			skip = 0;
		}
		buf += n;
		len -= n;
	}
	return rc;
}

static int write_some(struct ext_fs *x, struct ext_inode *in, const uint8_t *buf, size_t len, uint64_t offset,
                      size_t *done)
{
	uint32_t bs = x->e2->blocksize;
	uint64_t lblk = offset / bs, skip = offset % bs, blocks = (skip + len + bs - 1) / bs;
	struct ext_run run;
	bool fresh = true;
	int rc = ext_map(x, in, lblk, blocks, &run);

	if (rc == 0 && run.pblk == 0)
		rc = ext_alloc(x, in, lblk, run.len, &run);
	else if (rc == 0 && run.unwritten)
		rc = ext_convert(x, in, lblk, &run);
	else
		fresh = false;
	if (rc != 0)
		return rc;
	if (len > run.len * bs - skip)
		len = (size_t)(run.len * bs - skip);
	*done = len;
	return write_run(x, &run, fresh, buf, len, skip);
}

/* Moves inline data into blocks, as nothing else that follows knows them. */
static int expand_inline(struct ext_fs *x, struct ext_inode *in)
{
	uint64_t size = ext_isize(x, in);
	uint8_t data[EXT_MAX_INODE];
	ssize_t n = size <= sizeof data ? ext_read_inode(x, in, data, sizeof data, 0) : -1;
	size_t at = 0, done = 0;
	int rc;

	if (n < 0)
		return ext_damaged(x, "the inline data of inode %" PRIu32 " are damaged", in->ino);
	rc = ext_xattr_put(x, in, "system.data", NULL, 0);
	if (rc == 0)
		rc = ext_iread(x, in->ino, in);
	if (rc != 0)
		return rc;
	in->i.i_flags &= ~(uint32_t)EXT4_INLINE_DATA_FL;
	memset(in->i.i_block, 0, sizeof in->i.i_block);
	if (ext2fs_has_feature_extents(x->e2->super))
		ext_init_extents(in);
	rc = ext_iput(x, in);
	for (; rc == 0 && at < (size_t)n; at += done)
		rc = write_some(x, in, data + at, (size_t)n - at, at, &done);
	return rc != 0 ? rc : ext_iput(x, in);
}

static int get_file(struct ext_fs *x, uint64_t ino, enum ext_change what, struct ext_inode *in)
{
	int rc = ext_begin_change(x);

	if (rc == 0)
		rc = ext_iget(x, ino, in);
	if (rc == 0 && !LINUX_S_ISREG(in->i.i_mode))
		rc = LINUX_S_ISDIR(in->i.i_mode) ? -EISDIR : -EINVAL;
	if (rc == 0)
		rc = ext_may_modify(x, in, what);
	if (rc == 0 && (in->i.i_flags & EXT4_INLINE_DATA_FL) != 0)
		rc = expand_inline(x, in);
	return rc;
}

int ext_write(struct domu_fs *fs, uint64_t ino, const void *buf, size_t len, uint64_t offset)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode in;
	size_t at = 0, done = 0;
	uint64_t end, old;
	int rc, err;

	rc = get_file(x, ino, EXT_CONTENT, &in);
	if (rc != 0)
		return rc;
	if (!domu_add(offset, len, &end) || end > ext_max_size(x, &in))
		return too_big(x, offset);
	if (len == 0)
		return 0;
	old = ext_isize(x, &in);
	if (offset > old)
		rc = zero_tail(x, &in, old);
	while (rc == 0 && at < len) {
		done = 0;
		rc = write_some(x, &in, (const uint8_t *)buf + at, len - at, offset + at, &done);
		at += done;
	}
	/* After a failure, too: what was written and is not inside the size would be lost blocks. */
	if (rc != 0)
		end = at > 0 ? offset + at : 0;
	if (end > old) {
		err = set_size(x, &in, end);
		rc = rc != 0 ? rc : err;
	}
	ext_set_time(x, &in, EXT_MTIME | EXT_CTIME, ext_now());
	err = ext_iput(x, &in);
	return rc != 0 ? rc : err;
}

int ext_truncate(struct domu_fs *fs, uint64_t ino, uint64_t size)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode in;
	uint64_t old, bs;
	int rc = get_file(x, ino, EXT_CONTENT, &in);

	if (rc != 0)
		return rc;
	if (size > ext_max_size(x, &in))
		return too_big(x, size);
	old = ext_isize(x, &in);
	bs = x->e2->blocksize;
	rc = zero_tail(x, &in, size < old ? size : old);
	if (rc == 0)
		rc = set_size(x, &in, size);
	ext_set_time(x, &in, EXT_MTIME | EXT_CTIME, ext_now());
	if (rc == 0)
		rc = ext_iput(x, &in);
	if (rc == 0 && size < old)
		rc = ext_punch(x, &in, (size + bs - 1) / bs);
	return rc;
}
