/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ext_io.c - libext2fs' io_manager on a block stack. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <et/com_err.h>
#include <ext2fs/ext2_err.h>
#include <ext2fs/ext2_types.h>

#include "base/num.h"
#include "block/ext_io.h"

/*
 * A write-back cache as large as the one of libext2fs' own manager, and with
 * its rules: single blocks that are rewritten at once (superblock, bitmaps)
 * reach the log once, and bytes_written, which e2fsck adds to the superblock
 * after a journal replay, comes out the same.
 */
#define SLOTS       8
#define CACHED_RUN  4 /* blocks: longer requests go past the cache */
#define ZERO_CHUNK  (1u << 20)
#define MAX_BLKSIZE 65536

struct slot {
	uint64_t block;
	uint64_t used; /* larger is later */
	bool valid, dirty;
};

struct channel {
	struct domu_block *b;
	struct struct_io_stats stats;
	uint64_t clock;
	struct slot slot[SLOTS];
	char *data; /* SLOTS blocks */
};

static struct channel *priv(io_channel io)
{
	return io->private_data;
}

static char *slot_data(io_channel io, const struct slot *s)
{
	return priv(io)->data + (size_t)(s - priv(io)->slot) * (size_t)io->block_size;
}

static size_t bytes_of(io_channel io, int count)
{
	return count < 0 ? (size_t) - (int64_t)count : (size_t)count * (size_t)io->block_size;
}

/* ---- past the cache ------------------------------------------------------ */

static errcode_t raw_read(io_channel io, unsigned long long block, int count, void *buf)
{
	struct channel *c = priv(io);
	size_t size = bytes_of(io, count), inside = size;
	uint64_t offset;
	errcode_t err = 0;

	c->stats.bytes_read += size;
	if (!domu_mul(block, (uint64_t)io->block_size, &offset) || offset >= c->b->size)
		inside = 0;
	else if (size > c->b->size - offset)
		inside = (size_t)(c->b->size - offset);
	/*
	 * A block number from the disk may be anything: reading beyond the end is zeros and an error, no failure
	 * of ours.
	 */
	if (inside < size) {
		memset((char *)buf + inside, 0, size - inside);
		err = EXT2_ET_SHORT_READ;
	}
	if (inside > 0) {
		int rc = domu_block_pread(c->b, buf, inside, offset);

		if (rc < 0) {
			memset(buf, 0, inside);
			inside = 0;
			err = -rc;
		}
	}
	if (err != 0 && io->read_error != NULL)
		err = io->read_error(io, (unsigned long)block, count, buf, size, (int)inside, err);
	return err;
}

static errcode_t put(io_channel io, unsigned long long block, size_t size, const void *buf)
{
	struct channel *c = priv(io);
	uint64_t offset;

	c->stats.bytes_written += size;
	if (!domu_mul(block, (uint64_t)io->block_size, &offset) || !domu_inside(offset, size, c->b->size))
		return EXT2_ET_SHORT_WRITE;
	return -domu_block_pwrite(c->b, buf, size, offset);
}

static errcode_t raw_write(io_channel io, unsigned long long block, int count, const void *buf)
{
	size_t size = bytes_of(io, count);
	errcode_t err = put(io, block, size, buf);

	if (err != 0 && io->write_error != NULL)
		err = io->write_error(io, (unsigned long)block, count, buf, size, 0, err);
	return err;
}

/* ---- the cache ----------------------------------------------------------- */

/* Writes a dirty slot; one that cannot be written is told to whoever listens, and dropped. */
static errcode_t clean(io_channel io, struct slot *s)
{
	struct slot was = *s;
	char *copy;
	errcode_t err;

	if (!s->valid || !s->dirty)
		return 0;
	s->dirty = false;
	err = put(io, s->block, (size_t)io->block_size, slot_data(io, s));
	if (err == 0 || io->write_error == NULL)
		return err;
	s->valid = false;
	/* The handler may write through this cache: it gets a copy. */
	copy = malloc((size_t)io->block_size);
	if (copy == NULL)
		return err;
	memcpy(copy, slot_data(io, s), (size_t)io->block_size);
	io->write_error(io, (unsigned long)was.block, 1, copy, (size_t)io->block_size, -1, err);
	free(copy);
	return err;
}

static errcode_t clean_all(io_channel io, bool forget)
{
	errcode_t err = 0;

	for (unsigned i = 0; i < SLOTS; i++) {
		errcode_t r = clean(io, &priv(io)->slot[i]);

		if (err == 0)
			err = r;
		if (forget)
			priv(io)->slot[i].valid = false;
	}
	return err;
}

static struct slot *find(struct channel *c, unsigned long long block)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (c->slot[i].valid && c->slot[i].block == block) {
			c->slot[i].used = ++c->clock;
			return &c->slot[i];
		}
	}
	return NULL;
}

/* A slot for block: a free one or the oldest, which is written first. */
static errcode_t take(io_channel io, unsigned long long block, struct slot **out)
{
	struct channel *c = priv(io);
	struct slot *best = &c->slot[0];
	errcode_t err;

	for (unsigned i = 0; i < SLOTS && best->valid; i++)
		if (!c->slot[i].valid || c->slot[i].used < best->used)
			best = &c->slot[i];
	err = clean(io, best);
	if (err != 0)
		return err;
	*best = (struct slot){ .block = block, .used = ++c->clock, .valid = true };
	*out = best;
	return 0;
}

/* ---- the manager --------------------------------------------------------- */

static errcode_t io_close(io_channel io)
{
	errcode_t err;

	if (--io->refcount > 0)
		return 0;
	err = clean_all(io, true);
	if (err == 0 && !priv(io)->b->readonly)
		err = -domu_block_flush(priv(io)->b);
	free(priv(io)->data);
	free(priv(io));
	free(io->name);
	free(io);
	return err;
}

static errcode_t io_set_blksize(io_channel io, int blksize)
{
	errcode_t err;
	char *data;

	if (blksize == io->block_size)
		return 0;
	if (blksize <= 0 || blksize > MAX_BLKSIZE)
		return EXT2_ET_INVALID_ARGUMENT;
	err = clean_all(io, true);
	if (err != 0)
		return err;
	data = realloc(priv(io)->data, SLOTS * (size_t)blksize);
	if (data == NULL)
		return EXT2_ET_NO_MEMORY;
	priv(io)->data = data;
	io->block_size = blksize;
	return 0;
}

static errcode_t io_read_blk64(io_channel io, unsigned long long block, int count, void *buf)
{
	struct channel *c = priv(io);
	char *p = buf;
	errcode_t err;

	if (count < 0 || count > CACHED_RUN) {
		err = clean_all(io, false);
		return err != 0 ? err : raw_read(io, block, count, buf);
	}
	while (count > 0) {
		struct slot *s = find(c, block);
		int run = 1;

		if (s != NULL) {
			memcpy(p, slot_data(io, s), (size_t)io->block_size);
		} else {
			while (run < count && find(c, block + (unsigned)run) == NULL)
				run++;
			err = raw_read(io, block, run, p);
			for (int i = 0; err == 0 && i < run; i++) {
				err = take(io, block + (unsigned)i, &s);
				if (err == 0)
					memcpy(slot_data(io, s), p + (size_t)i * (size_t)io->block_size,
					       (size_t)io->block_size);
			}
			if (err != 0)
				return err;
		}
		count -= run;
		block += (unsigned)run;
		p += (size_t)run * (size_t)io->block_size;
	}
	return 0;
}

static errcode_t io_read_blk(io_channel io, unsigned long block, int count, void *buf)
{
	return io_read_blk64(io, block, count, buf);
}

static errcode_t io_write_blk64(io_channel io, unsigned long long block, int count, const void *buf)
{
	bool through = (io->flags & CHANNEL_FLAGS_WRITETHROUGH) != 0;
	const char *p = buf;
	errcode_t err = 0;

	if (count < 0 || count > CACHED_RUN) {
		err = clean_all(io, true);
		return err != 0 ? err : raw_write(io, block, count, buf);
	}
	if (through)
		err = raw_write(io, block, count, buf);
	for (; count > 0; count--, block++, p += io->block_size) {
		struct slot *s = find(priv(io), block);

		if (s == NULL) {
			errcode_t r = take(io, block, &s);

			if (r != 0)
				return r;
		}
		memcpy(slot_data(io, s), p, (size_t)io->block_size);
		s->dirty = !through;
	}
	return err;
}

static errcode_t io_write_blk(io_channel io, unsigned long block, int count, const void *buf)
{
	return io_write_blk64(io, block, count, buf);
}

static errcode_t io_write_byte(io_channel io, unsigned long offset, int count, const void *buf)
{
	struct channel *c = priv(io);
	errcode_t err = clean_all(io, true);

	if (err != 0)
		return err;
	if (count < 0 || !domu_inside(offset, (uint64_t)count, c->b->size))
		return EXT2_ET_SHORT_WRITE;
	return -domu_block_pwrite(c->b, buf, (size_t)count, offset);
}

static errcode_t io_flush(io_channel io)
{
	errcode_t err = clean_all(io, false);

	return err != 0 ? err : -domu_block_flush(priv(io)->b);
}

static errcode_t io_zeroout(io_channel io, unsigned long long block, unsigned long long count)
{
	struct channel *c = priv(io);
	uint64_t offset, len;
	void *zeros;
	errcode_t err = clean_all(io, true);

	if (err != 0)
		return err;
	if (!domu_mul(block, (uint64_t)io->block_size, &offset) || !domu_mul(count, (uint64_t)io->block_size, &len) ||
	    !domu_inside(offset, len, c->b->size))
		return EXT2_ET_SHORT_WRITE;
	zeros = calloc(1, ZERO_CHUNK);
	if (zeros == NULL)
		return EXT2_ET_NO_MEMORY;
	while (err == 0 && len > 0) {
		size_t n = len < ZERO_CHUNK ? (size_t)len : ZERO_CHUNK;

		err = -domu_block_pwrite(c->b, zeros, n, offset);
		offset += n;
		len -= n;
	}
	free(zeros);
	return err;
}

static errcode_t io_cache_readahead(io_channel io, unsigned long long block, unsigned long long count)
{
	struct channel *c = priv(io);
	uint64_t offset, len, at, run;
	int fd, rc;

	if (!domu_mul(block, (uint64_t)io->block_size, &offset) || !domu_mul(count, (uint64_t)io->block_size, &len) ||
	    !domu_inside(offset, len, c->b->size))
		return EXT2_ET_SHORT_READ;
	for (; len > 0; offset += run, len -= run) {
		rc = domu_block_map(c->b, offset, len, &fd, &at, &run);
		if (rc == 0)
			rc = -posix_fadvise(fd, (off_t)at, (off_t)run, POSIX_FADV_WILLNEED);
		if (rc < 0 && rc != -ENODATA)
			return EXT2_ET_OP_NOT_SUPPORTED;
	}
	return 0;
}

static errcode_t io_get_stats(io_channel io, io_stats *stats)
{
	*stats = &priv(io)->stats;
	return 0;
}

/* "offset" is what partitions are reached by elsewhere; here the block is the filesystem already. */
static errcode_t io_set_option(io_channel io, const char *option, const char *arg)
{
	(void)io;
	(void)option;
	(void)arg;
	return EXT2_ET_INVALID_ARGUMENT;
}

static errcode_t io_open(const char *name, int flags, io_channel *channel);

/* No discard: what a filesystem no longer uses stays on the disk, and so in reach of undo. */
static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "domu-rescue",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_blksize,
	.read_blk = io_read_blk,
	.write_blk = io_write_blk,
	.flush = io_flush,
	.write_byte = io_write_byte,
	.set_option = io_set_option,
	.get_stats = io_get_stats,
	.read_blk64 = io_read_blk64,
	.write_blk64 = io_write_blk64,
	.cache_readahead = io_cache_readahead,
	.zeroout = io_zeroout,
};

long domu_ext_io_channel(struct domu_block *b, const char *name, int flags, io_channel *channel)
{
	io_channel io;
	struct channel *c;

	if ((flags & IO_FLAG_RW) && b->readonly)
		return EROFS;
	io = calloc(1, sizeof *io);
	c = calloc(1, sizeof *c);
	if (io == NULL || c == NULL)
		goto nomem;
	io->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	io->manager = &manager;
	io->block_size = 1024;
	io->refcount = 1;
	io->private_data = c;
	io->name = strdup(name);
	c->b = b;
	c->stats.num_fields = 2;
	c->data = malloc(SLOTS * (size_t)io->block_size);
	if (io->name == NULL || c->data == NULL)
		goto nomem;
	*channel = io;
	return 0;
nomem:
	if (io != NULL)
		free(io->name);
	if (c != NULL)
		free(c->data);
	free(c);
	free(io);
	return EXT2_ET_NO_MEMORY;
}

/* ---- how open finds the block -------------------------------------------- */

/*
 * io_manager.open has a name and no user pointer.  A name holds a serial
 * number, so that one which outlived its block finds nothing.
 */
#define NAMES 16

static _Thread_local struct {
	struct domu_block *b;
	unsigned serial;
} named[NAMES];
static _Thread_local unsigned last_serial;

struct struct_io_manager *domu_ext_io(void)
{
	return &manager;
}

int domu_ext_io_name(struct domu_block *b, char name[32])
{
	unsigned serial = ++last_serial;

	named[serial % NAMES].b = b;
	named[serial % NAMES].serial = serial;
	snprintf(name, 32, "domu-block-%u", serial);
	return 0;
}

static errcode_t io_open(const char *name, int flags, io_channel *channel)
{
	char wanted[32];

	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(wanted, sizeof wanted, "domu-block-%u", named[i].serial);
		if (named[i].b != NULL && strcmp(name, wanted) == 0)
			return domu_ext_io_channel(named[i].b, name, flags, channel);
	}
	return EXT2_ET_BAD_DEVICE_NAME;
}
