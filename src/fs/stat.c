/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stat.c - what stat tells of an inode, in a message: between processes, and in the list of files of a commit. */
#include "config.h"

#include <string.h>

#include "base/msg.h"
#include "fs/fs.h"

static void put_time(struct domu_msg *m, const struct timespec *t)
{
	domu_msg_put_u64(m, (uint64_t)t->tv_sec);
	domu_msg_put_u64(m, (uint64_t)t->tv_nsec);
}

static void get_time(struct domu_msg *m, struct timespec *t)
{
	uint64_t nsec;

	t->tv_sec = (time_t)domu_msg_get_u64(m);
	nsec = domu_msg_get_u64(m);
	t->tv_nsec = nsec < 1000000000 ? (long)nsec : 0;
}

void domu_msg_put_stat(struct domu_msg *m, const struct domu_stat *st)
{
	const uint64_t v[] = { st->ino,        st->mode,       st->nlink,     st->uid,     st->gid,
		               st->rdev_major, st->rdev_minor, st->size,      st->sectors, st->block_size,
		               st->flags,      st->projid,     st->generation };

	for (size_t i = 0; i < sizeof v / sizeof *v; i++)
		domu_msg_put_u64(m, v[i]);
	put_time(m, &st->atime);
	put_time(m, &st->mtime);
	put_time(m, &st->ctime);
	put_time(m, &st->btime);
}

void domu_msg_get_stat(struct domu_msg *m, struct domu_stat *st)
{
	memset(st, 0, sizeof *st);
	st->ino = domu_msg_get_u64(m);
	st->mode = (uint32_t)domu_msg_get_u64(m);
	st->nlink = (uint32_t)domu_msg_get_u64(m);
	st->uid = (uint32_t)domu_msg_get_u64(m);
	st->gid = (uint32_t)domu_msg_get_u64(m);
	st->rdev_major = (uint32_t)domu_msg_get_u64(m);
	st->rdev_minor = (uint32_t)domu_msg_get_u64(m);
	st->size = domu_msg_get_u64(m);
	st->sectors = domu_msg_get_u64(m);
	st->block_size = (uint32_t)domu_msg_get_u64(m);
	st->flags = (uint32_t)domu_msg_get_u64(m);
	st->projid = (uint32_t)domu_msg_get_u64(m);
	st->generation = (uint32_t)domu_msg_get_u64(m);
	get_time(m, &st->atime);
	get_time(m, &st->mtime);
	get_time(m, &st->ctime);
	get_time(m, &st->btime);
}
