/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* block.h - the layers of a block stack: raw disk, stage or replay, slice. */
#ifndef DOMU_BLOCK_H
#define DOMU_BLOCK_H

#include "base/ctx.h"

/* Allocates a block of ops with priv; the caller fills size and the like.  NULL: no memory. */
struct domu_block *domu_block_new(struct domu_ctx *ctx, const struct domu_block_ops *ops, const char *name, void *priv);

/*
 * Raw: the descriptor of a file or block device, read-only: pwrite fails.
 * fd stays the caller's.  size may be longer than the backing (zeros beyond),
 * 0 takes the backing's; shorter is taken as the size.  A read beyond
 * a backing that shrank is -EIO and says so.  sector_size 0: asked from a block device, 512 for a file.
 */
int domu_raw_open(struct domu_ctx *ctx, int fd, const char *name, uint64_t size, uint32_t sector_size,
                  struct domu_block **b);

/* Slice: [offset, offset+size) of below. */
int domu_slice_open(struct domu_ctx *ctx, struct domu_block *below, const char *name, uint64_t offset, uint64_t size,
                    struct domu_block **b);

/*
 * Overlay: what was written, as an append-only log of units of DOMU_UNIT
 * bytes; what was not is read from below.  Both the stage (its log is a file
 * of the state directory) and the replay layer (its log is an unlinked file)
 * are overlays.  Several disks may share one log: disk says which this is.
 * Each write is in the log before it returns.  Several processes may have
 * the log open, one writing at a time; domu_overlay_refresh() reads what
 * others appended.  log_fd stays the caller's and must be O_RDWR.
 * The log is untrusted where a worker wrote it: every record is checked.
 */
#define DOMU_UNIT      4096u
#define DOMU_MAX_DISKS 16u

struct domu_overlay_stats {
	uint64_t blocks; /* units that differ from below */
	uint64_t records; /* in the log */
};

/* Writes the header of an empty log. */
int domu_log_init(struct domu_ctx *ctx, int log_fd);
/* readonly: the log may be O_RDONLY and writes fail. */
int domu_overlay_open(struct domu_ctx *ctx, struct domu_block *below, int log_fd, unsigned disk, bool readonly,
                      struct domu_block **b);
int domu_overlay_refresh(struct domu_block *b);
void domu_overlay_stats(struct domu_block *b, struct domu_overlay_stats *st);
/* The units that the log has of this disk, ascending; the caller frees.  NULL with n 0: none. */
int domu_overlay_units(struct domu_block *b, uint64_t **units, size_t *n);
/* Copies everything that from holds into to (the replay layer promoted into the stage); both over the same disk. */
int domu_overlay_promote(struct domu_block *from, struct domu_block *to);

/*
 * The last image of every unit in a log, for whoever commits or shows it:
 * sorted by disk, then offset.  The entry's data is at log_offset in the log
 * (zero: the unit is all zeros and has none).  old_crc is what the writer saw
 * on the disk below at first touch: domu_unit_crc() of DOMU_UNIT bytes, the
 * end of a shorter last unit filled up with zeros.
 */
struct domu_log_entry {
	uint64_t unit; /* offset on the disk / DOMU_UNIT */
	uint64_t log_offset;
	uint32_t old_crc;
	uint32_t crc; /* of the last image, as its record says */
	uint16_t disk;
	bool zero;
};

/* The records up to the last whole one; *end is where it ends: a torn tail is not an error, wrong content is. */
int domu_log_scan(struct domu_ctx *ctx, int log_fd, struct domu_log_entry **entries, size_t *n, uint64_t *end);
/* Reads one entry's DOMU_UNIT bytes and compares their checksum with the record's. */
int domu_log_read(struct domu_ctx *ctx, int log_fd, const struct domu_log_entry *e, void *unit);
/* A checksum, but no CRC: see domu_hash64() why. */
uint32_t domu_unit_crc(const void *unit);

/* ---- a volume of several pieces: volume.c, joined.c ------------------------ */

/* Where a logical volume has its bytes; stripes lie round robin on legs, len / legs bytes on each. */
struct domu_lv_piece {
	uint64_t offset, len; /* bytes in the volume */
	uint64_t stripe; /* bytes, of which len / legs is a multiple; 0: one leg */
	unsigned legs, first; /* in the map's */
};

struct domu_lv_leg {
	unsigned disk; /* of the guest, by index */
	uint64_t at; /* bytes */
};

struct domu_lv_map {
	struct domu_lv_piece *pieces; /* at least one; ascending, without gaps, from 0 on */
	struct domu_lv_leg *legs;
	size_t n_pieces, n_legs;
};

/* One that has more, or comes after so many of others, can only be read, and only by who read its group. */
#define DOMU_MAX_LEGS     1024u
#define DOMU_MAX_LEGS_ALL 16384u

void domu_lv_map_free(struct domu_lv_map *m);
uint64_t domu_lv_size(const struct domu_lv_map *m); /* bytes */
/* Is it told of where *legs of others were?  Then its own are added. */
bool domu_lv_told(const struct domu_lv_map *m, size_t *legs);
bool domu_lv_uses(const struct domu_lv_map *m, unsigned disk);
bool domu_lv_same(const struct domu_lv_map *a, const struct domu_lv_map *b); /* either may be NULL */
/*
 * Is each byte of then at its place in now, which may be longer?  disks: for each disk of then which it is in now.
 */
bool domu_lv_begins(const struct domu_lv_map *now, const struct domu_lv_map *then, const unsigned *disks);
/* Which disk has the byte at offset (below the size), where, and how many follow it there. */
void domu_lv_locate(const struct domu_lv_map *m, uint64_t offset, unsigned *disk, uint64_t *at, uint64_t *run);
/*
 * No piece goes beyond its disk (-ERANGE), and none has bytes of another
 * (-EEXIST).  Nothing is recorded.
 */
int domu_lv_check(const struct domu_lv_map *m, const uint64_t *sizes, size_t n_disks);
/* The part of a disk that a leg has; all n_legs of them by disk and place.  The caller frees; NULL: no memory. */
struct domu_lv_part {
	unsigned disk;
	uint64_t at, len; /* bytes */
};
int domu_lv_part_order(const void *a, const void *b); /* of two parts, for qsort(3): by disk and place */
struct domu_lv_part *domu_lv_parts(const struct domu_lv_map *m);
/*
 * As text between processes, in sectors of 512 bytes: LEN@DISK:AT for a
 * piece, LEN/STRIPE@DISK:AT,DISK:AT... for one with stripes, pieces parted by
 * ';'.  The reader makes sure of all but what domu_lv_check() does: 0,
 * -EINVAL (also more than DOMU_MAX_LEGS), -ENOMEM.  The caller frees.
 */
char *domu_lv_format(const struct domu_lv_map *m); /* NULL: no memory */
int domu_lv_parse(const char *text, struct domu_lv_map **m);

/* Map and disks stay the caller's.  Read-only where one of its disks is. */
int domu_lv_open(struct domu_ctx *ctx, struct domu_block *const *disks, const struct domu_lv_map *map, const char *name,
                 struct domu_block **b);

/* What a filesystem lies on: a part of a disk, or with a map several of one or more disks. */
struct domu_place {
	unsigned disk; /* with a map: of the first byte, as offset is */
	uint64_t offset, size; /* bytes */
	const struct domu_lv_map *map; /* NULL: one part */
};

/* Where on the disks len bytes at offset of it are.  False: not inside, or not in one part. */
bool domu_place_find(const struct domu_place *p, uint64_t offset, uint64_t len, unsigned *disk, uint64_t *at);
/* Its map, or where it has none one of one piece, in whole sectors, that lives as long as one. */
struct domu_lv_one {
	struct domu_lv_map map;
	struct domu_lv_piece piece;
	struct domu_lv_leg leg;
};
const struct domu_lv_map *domu_place_map(const struct domu_place *p, struct domu_lv_one *one);

/* ---- a whole stack ------------------------------------------------------ */

/* The layers of one disk, by descriptors: how front, worker, shim and export all build the same view. */
struct domu_stack_desc {
	int base_fd; /* O_RDONLY */
	uint64_t size; /* bytes, may be longer than the backing; 0: the backing's */
	uint32_t sector_size; /* 0: asked */
	unsigned disk; /* index in the logs */
	int stage_fd; /* -1: none */
	int replay_fd; /* -1: none */
	bool stage_readonly; /* the stage may be looked at only (a replay layer above takes the writes) */
	bool replay_readonly; /* the same for the replay layer: only programs write there, never a worker */
	/*
	 * Not NULL: a volume is meant, on stacks of the guest's disks.  Then of the above only base_fd (not -1)
	 * and sector_size, the largest of them, count.
	 */
	const struct domu_volume *volume;
};

struct domu_volume {
	const struct domu_lv_map *map;
	struct domu_stack_desc disks[DOMU_MAX_DISKS]; /* by the map's index; base_fd -1: none of it lies there */
};

struct domu_stack {
	struct domu_block *raw, *stage, *replay; /* stage and replay may be NULL, all are with a volume */
	struct domu_block *top; /* the highest of them, or the volume */
	struct domu_stack *parts; /* of a volume: of each disk */
	struct domu_block **tops; /* of the parts */
};

#define DOMU_STACK_FDS (3 * DOMU_MAX_DISKS)
/* The descriptors that a process needs to open it; returns how many. */
size_t domu_stack_fds(const struct domu_stack_desc *desc, int fds[DOMU_STACK_FDS]);

int domu_stack_open(struct domu_ctx *ctx, const struct domu_stack_desc *desc, const char *name, struct domu_stack *s);
int domu_stack_refresh(struct domu_stack *s);
int domu_stack_close(struct domu_stack *s); /* top first; a lost flush is a failure */
/* A descriptor for a throw-away log: a memory file, or an unlinked file in dir where that is given. */
int domu_replay_log(struct domu_ctx *ctx, const char *dir);

/* ---- the adapter to libext2fs ------------------------------------------ */

struct struct_io_manager;
/* The manager that ext2fs_open() is given, and the name to give it for block b: valid until b is closed. */
DOMU_PUBLIC struct struct_io_manager *domu_ext_io(void);
/*
 * ext2fs_open() takes no user pointer: name is how the manager finds b again.  16 blocks may be open at once a
 * thread.
 */
DOMU_PUBLIC int domu_ext_io_name(struct domu_block *b, char name[32]);

#endif
