/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.h - the format of the log that overlays write, and a walk over it. */
#ifndef DOMU_LOG_H
#define DOMU_LOG_H

#include "block/block.h"

/*
 * All numbers little-endian.  The log begins with a header of DOMU_LOG_HEAD
 * bytes:
 *
 *	0  "DOMULOG" and a NUL
 *	8  u32 version, 12 u32 DOMU_UNIT, 16 u64 zero, 24 u32 zero
 *	28 u32 crc32c of bytes 0-27
 *
 * Records follow without gaps, each a header of DOMU_LOG_REC bytes and,
 * unless DOMU_LOG_ZERO or DOMU_LOG_WHOLE is set, DOMU_UNIT bytes of data:
 *
 *	0  u32 magic, 4 u16 disk, 6 u16 flags, 8 u64 unit
 *	16 u32 domu_unit_crc() of the data, 20 the same of what below held at first touch
 *	24 u32 zero
 *	28 u32 crc32c of bytes 0-27, begun with this field of the header before
 *
 * So each record vouches for all before it: a log that somebody cut back and
 * wrote on is told from one that only grew, whatever its length.  A checksum
 * of data is taken of the whole unit, zeros included.
 *
 * A record with DOMU_LOG_WHOLE, all other fields zero, ends a change: what
 * follows the last one is of a change that was cut short.
 */
#define DOMU_LOG_VERSION 1u
#define DOMU_LOG_HEAD    32u
#define DOMU_LOG_REC     32u
#define DOMU_LOG_MAGIC   UINT32_C(0x52756d64) /* "dmuR" */
#define DOMU_LOG_ZERO    1u
#define DOMU_LOG_WHOLE   2u

struct domu_log_rec {
	uint64_t unit;
	uint16_t disk, flags;
	uint32_t crc, old_crc;
};

/* How far somebody has read a log. */
struct domu_log_pos {
	uint64_t end; /* after the last whole record; 0: nothing read yet */
	uint64_t last; /* the header that chain is from */
	uint64_t seen; /* the log's length then: more than end is a torn tail */
	uint64_t records;
	uint32_t chain;
};

/* Calls fn for every record after pos, which moves on; at is the offset of its header. */
typedef int (*domu_log_fn)(void *user, const struct domu_log_rec *rec, uint64_t at);
int domu_log_walk(struct domu_ctx *ctx, int log_fd, const char *name, struct domu_log_pos *pos, domu_log_fn fn,
                  void *user);
/* Ends a change at pos, which is up to date; a torn tail is cut off. */
int domu_log_end_change(struct domu_ctx *ctx, int log_fd, struct domu_log_pos *pos);
/* Is what pos read still there?  false: cut back meanwhile, begin again. */
bool domu_log_same(int log_fd, const struct domu_log_pos *pos);
/* Writes rec's header; returns the chain for the next. */
uint32_t domu_log_encode(const struct domu_log_rec *rec, uint32_t chain, void *header);
/* The fields of a header; its checksum is not looked at. */
void domu_log_decode(const void *header, struct domu_log_rec *rec);

#endif
