/* SPDX-License-Identifier: GPL-3.0-or-later */
/* read.c - the content of files and the targets of links. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "fs-ext.h"

static ssize_t read_inline(struct ext_fs *x, const struct ext_inode *in, uint8_t *buf, size_t len, uint64_t offset)
{
	const uint8_t *more;
	size_t more_len, done = 0;
	int rc = ext_inline_more(x, in, &more, &more_len);

	if (rc != 0)
		return rc;
	for (; done < len; done++) {
		uint64_t at = offset + done;

		if (at < EXT4_MIN_INLINE_DATA_SIZE)
			buf[done] = ((const uint8_t *)in->i.i_block)[at];
		else if (at - EXT4_MIN_INLINE_DATA_SIZE < more_len)
			buf[done] = more[at - EXT4_MIN_INLINE_DATA_SIZE];
		else
			return ext_damaged(x, "inode %" PRIu32 " has less inline data than its size says", in->ino);
	}
	return (ssize_t)done;
}

/*
 * Bytes as they are wanted, whole blocks or not, in one read.  Only where nothing changes: what was written may
 * still be in libext2fs' cache.
 */
static ssize_t read_past_cache(struct ext_fs *x, const struct ext_run *run, uint64_t skip, uint8_t *buf, size_t len)
{
	uint64_t inside = run->len * x->e2->blocksize - skip;
	size_t n = inside < len ? (size_t)inside : len;
	int rc = domu_block_pread(x->fs->block, buf, n, run->pblk * x->e2->blocksize + skip);

	return rc != 0 ? rc : (ssize_t)n;
}

/* At most one run, and through the cache at most EXT_MAX_RUN blocks of it. */
static ssize_t read_some(struct ext_fs *x, const struct ext_inode *in, uint8_t *buf, size_t len, uint64_t offset)
{
	uint32_t bs = x->e2->blocksize;
	uint64_t skip = offset % bs, blocks = (skip + len + bs - 1) / bs;
	struct ext_run run;
	size_t n;
	int rc = ext_map(x, in, offset / bs, blocks, &run);

	if (rc != 0)
		return rc;
	if (run.pblk == 0 || run.unwritten) {
		n = run.len * bs - skip < len ? (size_t)(run.len * bs - skip) : len;
		memset(buf, 0, n);
		return (ssize_t)n;
	}
	if (!x->fs->writable)
		return read_past_cache(x, &run, skip, buf, len);
	if (skip == 0 && len >= bs) {
		uint64_t whole = len / bs;

		if (whole > run.len)
			whole = run.len;
		if (whole > EXT_MAX_RUN)
			whole = EXT_MAX_RUN;
		rc = ext_read_blocks(x, run.pblk, (uint32_t)whole, buf);
		return rc != 0 ? rc : (ssize_t)(whole * bs);
	}
	rc = ext_read_blocks(x, run.pblk, 1, x->buf);
	if (rc != 0)
		return rc;
	n = bs - skip < len ? (size_t)(bs - skip) : len;
	memcpy(buf, x->buf + skip, n);
	return (ssize_t)n;
}

ssize_t ext_read_inode(struct ext_fs *x, const struct ext_inode *in, void *buf, size_t len, uint64_t offset)
{
	uint64_t size = ext_isize(x, in);
	size_t done = 0;

	/* A size may lie; one that no file can have says that the inode is not sound. */
	if (size > ext_max_size(x, in))
		return ext_damaged(x, "inode %" PRIu32 " claims %" PRIu64 " bytes, more than a file can have", in->ino,
		                   size);
	if (offset >= size)
		return 0;
	if (len > size - offset)
		len = (size_t)(size - offset);
	if ((in->i.i_flags & EXT4_INLINE_DATA_FL) != 0)
		return read_inline(x, in, buf, len, offset);
	while (done < len) {
		ssize_t n = read_some(x, in, (uint8_t *)buf + done, len - done, offset + done);

		if (n < 0)
			return n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int not_encrypted(struct ext_fs *x, const struct ext_inode *in)
{
	if ((in->i.i_flags & EXT4_ENCRYPT_FL) == 0)
		return 0;
	return domu_fail(x->fs->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
	                 "%s: inode %" PRIu32 " is encrypted: only the guest has its key", x->fs->block->name, in->ino);
}

ssize_t ext_read(struct domu_fs *fs, uint64_t ino, void *buf, size_t len, uint64_t offset)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode in;
	int rc = ext_iget(x, ino, &in);

	if (rc == 0 && !LINUX_S_ISREG(in.i.i_mode))
		rc = LINUX_S_ISDIR(in.i.i_mode) ? -EISDIR : -EINVAL;
	if (rc == 0)
		rc = not_encrypted(x, &in);
	return rc != 0 ? rc : ext_read_inode(x, &in, buf, len, offset);
}

int ext_readlink(struct domu_fs *fs, uint64_t ino, char *buf, size_t size)
{
	struct ext_fs *x = ext_of(fs);
	struct ext_inode in;
	uint64_t len;
	int rc = ext_iget(x, ino, &in);

	if (rc == 0 && !LINUX_S_ISLNK(in.i.i_mode))
		rc = -EINVAL;
	if (rc == 0)
		rc = not_encrypted(x, &in);
	if (rc != 0)
		return rc;
	len = ext_isize(x, &in);
	if (len == 0 || len > EXT_MAX_LINK || (ext_fast_link(x, &in) && len >= sizeof in.i.i_block))
		return ext_damaged(x, "the link at inode %" PRIu64 " has a target of %" PRIu64 " bytes", ino, len);
	if (len >= size)
		return -ENAMETOOLONG;
	if (ext_fast_link(x, &in)) {
		memcpy(buf, in.i.i_block, len);
	} else {
		ssize_t n = ext_read_inode(x, &in, buf, len, 0);

		if (n < 0)
			return (int)n;
		len = (uint64_t)n;
	}
	buf[len] = '\0';
	/* What the kernel follows ends at the first NUL. */
	len = strlen(buf);
	if (len == 0)
		return ext_damaged(x, "the link at inode %" PRIu64 " has no target", ino);
	return (int)len;
}
