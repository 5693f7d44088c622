/* SPDX-License-Identifier: GPL-3.0-or-later */
/* commit.h - the state directory, and the only code that writes to a guest's disk: commit, recover, undo. */
#ifndef DOMU_COMMIT_H
#define DOMU_COMMIT_H

#include "block/table.h"

#define DOMU_ID_LEN 23 /* 20260102T030405-1a2b3c */

/* What a disk was when it was opened: the same disk or not, later. */
struct domu_identity {
	char vdev[32];
	char *path; /* realpath of the backing store */
	char *by_id; /* a stable name of a block device: dm UUID, by-id; or NULL */
	uint64_t size; /* bytes, of the backing */
	uint64_t dev; /* st_dev of a file, st_rdev of a device: changes with a reboot, a hint only */
	uint64_t inode; /* of a file; 0: a device */
	uint64_t btime; /* birth of a file, in ns since the epoch; 0: not known */
};

/* What fd, opened by path, is. */
int domu_identity_make(struct domu_ctx *ctx, int fd, const char *path, const char *vdev, struct domu_identity *id);
void domu_identity_free(struct domu_identity *id); /* what it holds */
/* Where this disk is to be found now, allocated: its path, or the node that its device has now.  NULL: nowhere. */
char *domu_identity_find(const struct domu_identity *id);

/* A door: the sector of a filesystem's superblock that closes and opens it. */
struct domu_door {
	unsigned disk;
	uint64_t offset; /* bytes from the start of the disk */
	uint32_t size; /* of the sector */
	bool root; /* of the guest's root filesystem: opened last */
	const struct domu_fs_ops *fs; /* whose door_close() makes the closed image */
};

/* What a stage rests on beside the blocks that it replaces: a superblock or table as it was when it was begun. */
struct domu_super {
	unsigned disk;
	uint64_t offset; /* bytes from the start of the disk */
	uint32_t size; /* at most DOMU_UNIT */
	uint32_t sum; /* domu_hash32() */
	bool layout; /* says what lies where on the disk: a table, a group's metadata */
	char name[64]; /* of the device, as it is shown: xvda3 */
};
#define DOMU_MAX_SUPERS 1024

/* Where a filesystem that a commit changes lay then: only where it still lies may an undo put something back. */
struct domu_home {
	char name[64]; /* of the device, as it is shown: vg/root */
	char lv[40]; /* the volume's UUID; "": it is none */
	char *map; /* as domu_lv_format() */
};
#define DOMU_MAX_HOMES 1024
void domu_homes_free(struct domu_home *v, size_t n);

enum domu_commit_state {
	DOMU_COMMIT_STAGED, /* a stage, not sealed */
	DOMU_COMMIT_INTERRUPTED, /* sealed, cut short: recover is due */
	DOMU_COMMIT_COMMITTED,
	DOMU_COMMIT_UNDONE,
	DOMU_COMMIT_SUPERSEDED, /* cut short, and the guest ran before recover: nothing was written */
};

struct domu_commit_info {
	char id[DOMU_ID_LEN + 1];
	enum domu_commit_state state;
	char *guest; /* its name, or the path given */
	char *command; /* as typed */
	char *owner; /* who made it: user@tty */
	int64_t owner_pid;
	int64_t time; /* of the commit, or of the stage's start; seconds since the epoch */
	uint64_t blocks, bytes;
	bool undoable;
	bool under_way; /* of an interrupted one: it is not, somebody has it open: a commit, or a recover */
	int64_t holder_pid; /* who; 0: it cannot be told */
	bool torn; /* of a stage: it has a seal, which is not whole */
	char *undoes; /* the ID of the commit that this one reverses, or NULL */
	char *waived; /* checks waived, comma-separated, or NULL */
	struct domu_identity *disks;
	size_t n_disks;
	/*
	 * Of a stage; none in one that an older version began.  Of a commit: its layouts that it has not written
	 * itself, for an undo that has no homes to go by.
	 */
	struct domu_super *supers;
	size_t n_supers;
	/* Of a commit; none in one of an older version, or where there are too many. */
	struct domu_home *homes;
	size_t n_homes;
};

void domu_commit_info_free(struct domu_commit_info *ci); /* what it holds */

/* ---- the state directory: STATE/pending/ID/, STATE/history/ID/, STATE/seen/ */

struct domu_state;

/* Makes what is missing (mode 0700).  readonly: nothing is made, and an absent directory is an empty one. */
int domu_state_open(struct domu_ctx *ctx, const char *dir, bool readonly, struct domu_state **st);
void domu_state_close(struct domu_state *st);
const char *domu_state_dir(const struct domu_state *st);

/*
 * Stages and commits on the disk at path (by its identity, by its path, or closed by them), or all for NULL;
 * newest first.  One that cannot be read is a warning, or, where it may be a commit that is due, an entry without
 * disks.
 */
int domu_state_list(struct domu_state *st, const char *path, bool pending_only, struct domu_commit_info **v, size_t *n);
/*
 * The same for the guest of that name (NULL: it has none).  Where another disk has the path of the one that a commit
 * was made on, only the commit's own guest is told.
 */
int domu_state_list_of(struct domu_state *st, const char *guest, const char *path, bool pending_only,
                       struct domu_commit_info **v, size_t *n);
void domu_state_list_free(struct domu_commit_info *v, size_t n);
int domu_commit_newest_first(const void *a, const void *b); /* two domu_commit_info, for qsort(3) */

/* How much of the history is kept.  Nothing pending goes, nor the newest commit of a disk that can be undone. */
struct domu_retain {
	uint64_t count; /* commits of a disk; UINT64_MAX: no limit, as below */
	uint64_t age; /* seconds */
	uint64_t size; /* bytes that all of it takes in the state directory */
	unsigned percent; /* and at most this part of its filesystem; 0: no limit */
};
#define DOMU_RETAIN_DEFAULT \
	((struct domu_retain){ .count = 100, .age = 90 * UINT64_C(86400), .size = UINT64_C(20) << 30, .percent = 10 })
/* Removes what is beyond the limits, undo files in other folders with their commits. */
int domu_state_retain(struct domu_state *st, const struct domu_retain *limits);

/* What list shows without looking: a small file a guest.  get: -ENOENT. */
int domu_seen_put(struct domu_state *st, const char *guest_key, const char *json);
int domu_seen_get(struct domu_state *st, const char *guest_key, char **json, int64_t *time);

/* ---- a stage ----------------------------------------------------------- */

struct domu_stage; /* a folder pending/ID, its log, and its lock: held as long as it is open */

/* info: guest, command, owner, disks, and what it rests on are copied. */
int domu_stage_create(struct domu_state *st, const struct domu_commit_info *info, struct domu_stage **s);
/*
 * The same in two steps, for who looks at the disks through the stage.  Between them it is what a cut may leave: no
 * stage to anybody else, and removed by whoever opens the state directory next.  describe: what it rests on, copied.
 */
int domu_stage_prepare(struct domu_state *st, const struct domu_commit_info *info, struct domu_stage **s);
int domu_stage_describe(struct domu_stage *s, const struct domu_super *supers, size_t n);
/* -EBUSY (DOMU_INUSE): somebody has it open. */
int domu_stage_resume(struct domu_state *st, const char *id, struct domu_stage **s);
int domu_stage_log_fd(struct domu_stage *s); /* O_RDWR; stays the stage's */
const struct domu_commit_info *domu_stage_info(struct domu_stage *s);
int domu_stage_blocks(struct domu_stage *s, uint64_t *blocks); /* what the log holds now */
/* A command's changes are whole or absent: mark before, cut back to the mark when it fails. */
int domu_stage_mark(struct domu_stage *s, uint64_t *mark);
int domu_stage_cut(struct domu_stage *s, uint64_t mark);
/* What the log holds now is whole changes; whoever resumes the stage finds what was last said to be so. */
int domu_stage_whole(struct domu_stage *s);
/* The same, and synced: what is in the stage outlives a power cut.  Fails where it was removed meanwhile. */
int domu_stage_keep(struct domu_stage *s);
int domu_stage_drop(struct domu_stage *s); /* deletes it; closes s */
void domu_stage_close(struct domu_stage *s); /* it stays for later */
/* Deletes a stage that nobody has open, whatever state it is in.  -EBUSY (DOMU_INUSE). */
int domu_stage_discard(struct domu_state *st, const char *id);

/*
 * Are these the disks that the stage was made on?  By index, the caller's descriptors.  A failure says which is not,
 * and why.  An image that a resize has made longer, before its commit was cut, is one.
 */
int domu_stage_disks(struct domu_stage *s, const int *fds, size_t n);
/* What has become of the blocks that a stage rests on. */
struct domu_stage_fit {
	uint64_t blocks; /* that it replaces */
	uint64_t changed; /* of them not what they were when they were first replaced */
	unsigned disk; /* the first of those */
	uint64_t unit;
};
/* Reads the disks and the whole log: fails where either cannot be read or the log is damaged. */
int domu_stage_fit(struct domu_stage *s, const int *fds, size_t n, struct domu_stage_fit *fit);

/* How much of a disk a stage holds, in units of DOMU_UNIT bytes. */
struct domu_stage_sum {
	uint64_t blocks; /* differ from the disk: a commit writes them */
	uint64_t zeros; /* of them: will hold zeros */
	uint64_t same; /* were staged, and are again as the disk has them */
};
int domu_stage_sums(struct domu_stage *s, struct domu_stage_sum sums[DOMU_MAX_DISKS]);

/* What a program said while it changed a stage. */
struct domu_note {
	const char *device; /* as a user would say it: xvda3 */
	const char *source; /* "e2fsck -y", "resize" */
	const char *text; /* lines; a guest's bytes may be in them */
	bool cut; /* there was more */
};
/*
 * Keeps a note with the stage as its log is now; it is gone with a cut back
 * of the log behind that.  note: after the change it is about, before its
 * end.  Nothing staged: nothing is kept.
 */
int domu_stage_note(struct domu_stage *s, const struct domu_note *note);
typedef int (*domu_note_fn)(void *user, const struct domu_note *note);
int domu_stage_notes(struct domu_stage *s, domu_note_fn fn, void *user);
/* Those of a commit in the history; an unknown one has none. */
int domu_commit_notes(struct domu_state *st, const char *id, domu_note_fn fn, void *user);

/* ---- commit ------------------------------------------------------------ */

struct domu_commit_disk {
	int fd; /* O_RDWR, O_EXCL where it is a device; stays the caller's */
	uint64_t size; /* of the disk as the stage sees it */
	bool moved; /* recover: known by its closed door, for it is another file or device than it was */
};

struct domu_commit_opts {
	const char *command; /* what history shows; NULL: as the stage says */
	const char *undoes; /* an undo: the ID it reverses */
	const char *waived;
	bool no_undo;
	const char *undo_dir; /* NULL: in the state directory */
	const struct domu_home *homes; /* of all that the stage changes; copied */
	size_t n_homes;
	/*
	 * Called with the hotplug lock held, just before the doors close: the
	 * checks that can have changed are made again.  0 goes on.  May be NULL.
	 */
	int (*recheck)(void *user);
	void *user;
};

/*
 * Writes the stage to the disks: the seven steps, each synced before the
 * next (doc/design.md).  The caller holds the verdict and the disks' locks,
 * and nobody else writes the log any more.  Afterwards the stage is closed
 * and freed in every case.  -ESTALE: a block the stage rests on has changed;
 * nothing was written.  Signals are held back while a door is closed.
 */
int domu_commit(struct domu_stage *s, const struct domu_commit_disk *disks, size_t n_disks,
                const struct domu_door *doors, size_t n_doors, const struct domu_commit_opts *opts);

/* Room that a commit of that many blocks needs against what is free in the state directory; fails with the figures. */
int domu_commit_room(struct domu_state *st, const char *undo_dir, uint64_t blocks);
/*
 * The same for a change that is yet to be staged and writes that many bytes:
 * the stage has to have room too.  staged: blocks that are there already.
 */
int domu_stage_room(struct domu_state *st, const char *undo_dir, bool no_undo, uint64_t bytes, uint64_t staged);
/* There is no room left to stage anything; *available: bytes. */
bool domu_state_full(struct domu_state *st, uint64_t *available);

/* ---- recover and undo --------------------------------------------------- */

/* A guest's disks, among which those of an earlier commit are looked for; arrays by the guest's index. */
struct domu_match {
	const char *guest; /* for messages */
	const struct domu_identity *now;
	const struct domu_commit_disk *disks; /* fd -1: may not be written */
	size_t n;
	bool named; /* a person named this guest to recover it: what was moved to another file system is accepted */
};

/*
 * The disks of commit ci by its own index; fd -1 where the guest has none.  A copy of a disk that is still there is
 * refused.
 */
int domu_commit_match(struct domu_state *st, const struct domu_commit_info *ci, const struct domu_match *m,
                      struct domu_commit_disk *out);

enum domu_recover_result {
	DOMU_RECOVER_NOTHING, /* it was whole: marked so */
	DOMU_RECOVER_APPLIED, /* the rest was written */
	DOMU_RECOVER_STAGED, /* nothing had reached the disk: it is a stage again */
	DOMU_RECOVER_SUPERSEDED, /* the guest ran meanwhile: nothing was written */
};

/*
 * Finishes the commit id.  disks by index as in its info.  DOMU_UNRECOVERED names the block that is neither old
 * nor new.  recheck as in domu_commit_opts: called with the hotplug lock held, before the first write; may be NULL.
 */
int domu_recover(struct domu_state *st, const char *id, const struct domu_commit_disk *disks, size_t n_disks,
                 int (*recheck)(void *user), void *user, enum domu_recover_result *result);

/*
 * A new stage that holds what commit id replaced.  nodes: what the guest has
 * now, by the indexes of info; NULL: it is not known.  Refused (-ESTALE) where
 * a block has changed since, naming how many and the first, and (-ENODEV)
 * where a disk is another, or a filesystem does not lie any more where it lay.
 * Of a commit without homes, or without nodes, tables and volume groups have
 * to be what they were.  The caller commits it with opts.undoes set.
 */
int domu_undo_stage(struct domu_state *st, const char *id, const struct domu_commit_disk *disks, size_t n_disks,
                    const struct domu_commit_info *info, const struct domu_nodes *nodes, struct domu_stage **s);

/*
 * What commit id replaced into an empty log, to be laid over the disks as
 * they are now, by their indexes in now.  Whatever else has changed since is in that view too: it is
 * for looking at, block by block or file by file, and never to be written.
 * Refused (-ENODEV) where a filesystem lies elsewhere now; of a commit without homes, where a volume group has changed.
 */
int domu_undo_view(struct domu_state *st, const char *id, const struct domu_commit_disk *disks, size_t n_disks,
                   const struct domu_commit_info *now, const struct domu_nodes *nodes, int log_fd);

/*
 * The list of the files that a commit changes: pending/ID/files, then in the
 * history.  Its format is its writer's.  Not synced: a power cut may cost it,
 * and with it undo of single files.
 */
int domu_stage_files_create(struct domu_stage *s, int *fd); /* empty, O_RDWR */
int domu_stage_files_drop(struct domu_stage *s);
int domu_history_files_open(struct domu_state *st, const char *id, int *fd); /* -ENOENT: none, nothing recorded */
bool domu_history_has_files(struct domu_state *st, const char *id);

/* The doors stored with commit id are of drivers: how recover finds who can close one; tests put their own. */
/* Is this sector a closed door?  id receives the commit's ID or "". */
bool domu_door_is_closed(const void *sector, size_t len, char id[DOMU_ID_LEN + 1]);
#define DOMU_DOOR_TEXT "domu-rescue commit "

#endif
