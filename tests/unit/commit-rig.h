/* SPDX-License-Identifier: GPL-3.0-or-later */
/* commit-rig.h - a state directory, disks with real filesystems, an editor, and I/O that breaks on demand. */
#ifndef COMMIT_RIG_H
#define COMMIT_RIG_H

#include "base/io.h"
#include "block/commit-private.h"

#define RIG_DISKS 2

struct rig {
	char dir[64]; /* removed at the end */
	char state[96];
	char disk[RIG_DISKS][96];
	unsigned n;
	int fd[RIG_DISKS];
	struct domu_ctx ctx;
	struct domu_state *st;
	struct domu_commit_disk disks[RIG_DISKS];
	char said[1024]; /* the last message */
};

void rig_open(struct rig *r, unsigned n, const char *mke2fs_args, const char *size);
void rig_close(struct rig *r);
/* As a new process would start. */
void rig_reopen(struct rig *r);

/* Runs a shell command with printf arguments; -1, or its exit status. */
int rig_run(const char *fmt, ...) DOMU_PRINTF(1, 2);
uint8_t *rig_read(const char *path, size_t *len);
void rig_copy(const char *from, const char *to);
bool rig_same(const char *a, const char *b);
/* What an edit would make of a disk: a copy, changed by debugfs commands (separated by newlines). */
void rig_edit(struct rig *r, unsigned disk, const char *target, const char *commands);

struct domu_stage *rig_stage(struct rig *r);
/* Everything in which target differs from the disk goes into the stage. */
void rig_write(struct rig *r, struct domu_stage *s, unsigned disk, const char *target);
void rig_put(struct rig *r, struct domu_stage *s, unsigned disk, uint64_t offset, const void *p, size_t len);
/* The stage's view of a disk into a file. */
void rig_view(struct rig *r, struct domu_stage *s, unsigned disk, const char *to);

/* The ext superblock of a disk that is one filesystem; root for disk 0. */
struct domu_door rig_door(unsigned disk);
int rig_door_close(void *sector, uint32_t size, const char *id);
int rig_commit(struct rig *r, struct domu_stage *s, const struct domu_commit_opts *opts);
int rig_commit_doorless(struct rig *r, struct domu_stage *s, const struct domu_commit_opts *opts);
int rig_undo(struct rig *r, const char *id);
/* Recovers all that is due; the result of the last one. */
int rig_recover(struct rig *r, enum domu_recover_result *result, unsigned *n);

/* I/O through which everything is counted; from call fail_at on (counted from 1; 0: never) it is dead. */
struct rig_io {
	unsigned calls, syncs, fail_at;
	int disk_fd; /* and from the write on to this one: */
	unsigned fail_write; /* counted from 1; 0: never */
	bool tear; /* of the write that fails the first half of the sectors arrives */
	int err;
	bool once; /* only that call fails */
	bool keep_seal; /* a seal cannot be deleted */
	unsigned signal_at; /* before that call the process gets this signal: */
	int signal;
};
extern struct rig_io rig_io;
extern const struct domu_io rig_io_table;
void rig_io_reset(void);

#endif
