/* SPDX-License-Identifier: GPL-3.0-or-later */
/* crash.h - what the parts of the crash explorer share: the world on memory disks, the workloads, the judge. */
#ifndef CRASH_H
#define CRASH_H

#include "base/io.h"
#include "block/commit-private.h"
#include "model.h"

#define DISKS 2

/* ---- small help (world.c) -------------------------------------------------------- */

void *must(void *p); /* p, or the end: out of memory */
/* Something that is no finding: the explorer itself cannot go on. */
__attribute__((format(printf, 1, 2), noreturn)) void bail(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) int run(const char *fmt, ...); /* a shell command; its exit status, -1 */
__attribute__((format(printf, 1, 2))) char *text(const char *fmt, ...); /* allocated */

/* ---- the world (world.c): a folder in memory where everything is -------------------- */

struct world {
	char *dir; /* DIR/w is the root of the model, DIR/store has each inode under its number */
	struct model act; /* what is there now */
	struct ops *record; /* NULL: nothing is recorded */
	unsigned calls; /* of the table of I/O functions, since it was set to 0 */
	unsigned writes; /* of those, that changed a disk */
	unsigned fail_at; /* this call fails: 0 none */
	enum { FAIL_ONCE, FAIL_SPACE, FAIL_SHORT, FAIL_ON } fail_how; /* EIO, ENOSPC, a short write, EIO from then on */
	int disk[DISKS]; /* inodes */
	unsigned n_disks;
};
extern struct world world;
extern const struct domu_io world_io;

void world_open(void);
void world_close(void);
char *world_path(const char *name); /* DIR/w/NAME */
/* Takes the file at path into the model under that name. */
int world_adopt(const char *name);
/* Makes everything in memory what m says.  Disks keep their inodes. */
void world_become(const struct model *m);
/* Inodes made since there were n are forgotten. */
void world_forget(int n);

struct rig {
	struct domu_ctx ctx;
	struct domu_state *st;
	int fd[DISKS];
	struct domu_commit_disk disks[DISKS];
};

/* ---- workloads (workload.c) ------------------------------------------------------------ */

struct image {
	uint8_t *data; /* whole sectors */
	uint64_t size;
	uint64_t *hash; /* of the sectors, as in the model */
	size_t sectors;
};

struct workload {
	const char *name;
	const char *what; /* one line */
	unsigned n_disks;
	unsigned rounds; /* commits that go before: 1 with an undo, 2 with its undo */
	bool doors; /* false: nothing that is changed has one */
	bool no_undo, undo_dir;
	bool volume; /* the root is on all disks, one after the other, as a logical volume may be: one door */
	void (*make)(void); /* old-N and new-N in DIR */
	uint64_t root; /* offset of the root filesystem on disk 0 */
	/* Filled by make and by the recording: */
	struct image old[DISKS], new[DISKS];
	struct domu_door door[8];
	size_t n_doors;
};

struct workload *workload_find(const char *name);
extern struct workload workloads[];
/* Makes the disks, does it once, and gives the record; *first: the prefixes from here on are of interest. */
void workload_record(struct workload *w, struct model *start, struct ops *record, size_t *first);
/* Does once what the record is of. */
int workload_do(const struct workload *w, struct rig *r);

/* ---- the program's own functions on the world (judge.c) ---------------------------------- */

/* As a new process would start. */
void rig_open(struct rig *r, const struct workload *w);
void rig_close(struct rig *r);
int rig_stage(struct rig *r, const struct workload *w, const struct image *to);
int rig_undo(struct rig *r, const struct workload *w, const char *id);
/* What is due is recovered, then a stage that is there is committed: 1; 0: there was none; or a failure. */
int rig_retry(struct rig *r, const struct workload *w);
bool rig_newest(struct rig *r, char id[DOMU_ID_LEN + 1]); /* that can be undone */

enum content { CONTENT_OLD, CONTENT_NEW, CONTENT_MIXED };

struct visit {
	const struct workload *w;
	const struct model *state;
	bool done; /* the commit had been reported as done */
	bool deep; /* the costly questions too */
	bool failed; /* the commit ended with a failure, */
	bool due; /* which said that a recover is due */
	const char *where; /* for messages */
};

struct tally {
	unsigned long states, old, closed, new, staged, superseded, undone, guests, clones, killed, failures;
};
extern struct tally tally;

/*
 * Recovers in this state and judges; what recover did is added to record
 * where that is not NULL.  False: a finding, which violation() was told.
 */
bool judge(const struct visit *v, struct ops *record);
/* A finding.  Always false. */
__attribute__((format(printf, 2, 3))) bool violation(const struct visit *v, const char *fmt, ...);
extern unsigned violations;

/* ---- exploring (explore.c, explore-more.c) --------------------------------------------- */

extern unsigned long limit; /* states of one exploration, about; 0: all */
/* What a cut after each of the calls from `from` on may leave, judged.  how: for messages. */
void explore(const struct workload *w, const struct model *start, const struct ops *ops, size_t from, const char *how);
/* The same; start is given the inodes that ops name besides. */
void explore_from(const struct workload *w, const struct model *start, const struct ops *ops, size_t from,
                  const char *how);
/* A process that is killed leaves everything, none of it synced; then recover runs, and then the power goes. */
void explore_killed(const struct workload *w, const struct model *start, const struct ops *record, size_t from);
/* Each call fails, in four ways; recover runs, or the commit is tried again; after a failed sync the power goes. */
void explore_failing(const struct workload *w, const struct model *start, const struct ops *record, size_t from);

/* ---- a guest that runs in between (guest.c) -------------------------------------------- */

/*
 * Mounts the root, writes, unmounts, as a guest's kernel does: what becomes of
 * its image.  Made once for each content.
 */
const struct image *guest_run(const struct workload *w, const struct image *before);
/* What it has its root on: the first disk, or a volume on all of them; and what is allocated for that. */
struct image guest_see(const struct workload *w, const struct model *m);
void guest_forget(const struct workload *w, struct image *im);
/* Somebody else writes to the disks: what is in such an image; and is it there? */
void guest_write(const struct workload *w, struct rig *r, const struct image *im);
bool guest_wrote(const struct workload *w, const struct image *im);
bool is_image(const struct inode *f, const struct image *im);
/* What does the guest's part: "the kernel", or what there is without loop mounts. */
const char *guest_kind(void);

/* ---- faults (faults.c) --------------------------------------------------------------------- */

struct fault {
	const char *name;
	const char *what;
	const char *workloads; /* those in which it shows, blank-separated */
	const char *harmless; /* why it is none, or NULL */
};
extern const struct fault faults[];
extern unsigned fault; /* the one that is built in now, counted from 1; 0: none */
unsigned fault_find(const char *name);
/* Is this sync of that file left out? nth: of this file since the recording began. */
bool fault_drops_sync(const char *name, bool is_dir, bool is_disk, unsigned nth);

#endif
