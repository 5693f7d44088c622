/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session.h - a guest opened: its verdict, disks, stage and worker; everything that a task needs. */
#ifndef DOMU_SESSION_H
#define DOMU_SESSION_H

#include "block/commit.h"
#include "fence/fence.h"
#include "guest/inuse.h"
#include "guest/watch.h"

struct domu_session;

struct domu_session_opts {
	struct domu_state *state;
	const struct domu_op *ops; /* what the worker can do */
	bool live; /* --live: read though in use */
	bool engine_guestfs;
	bool no_appliance; /* --engine ext2fs */
	const char *const *waive; /* NULL-terminated, or NULL */
	bool no_undo;
	bool dry_run; /* nothing is written: not even what a recover would */
	const char *undo_dir;
	const struct domu_retain *retain; /* how much history is kept after a commit; NULL: all */
	const char *use; /* @DEV */
	const char *command; /* as typed, for the history */
	bool in_use_ok; /* info, status: no verdict, and no journal replay */
	bool missing_ok; /* history, rollback: no disk is looked at, one that is missing is a warning */
	bool changes; /* what is to be done takes the lock: who has it is said once, when it cannot */
	bool watch; /* a shell: a domain that is started on its disks meanwhile is noticed */
	bool announce; /* a shell: it takes the disks' locks when it opens, and reads where somebody else has one */
	bool walks; /* whole trees may be gone through (fence.h) */
	const struct domu_worker_handlers *handlers; /* rows and data; the session adds the upcalls */
};

/*
 * Opens the guest's disks read-only and makes the cheap verdict.  g stays the caller's.  Warns of a recover that
 * is due.
 */
int domu_session_open(struct domu_ctx *ctx, const struct domu_guest *g, const struct domu_session_opts *opts,
                      struct domu_session **s);
/* Keeps a stage that holds changes, drops an empty one. */
int domu_session_close(struct domu_session *s);

const struct domu_guest *domu_session_guest(struct domu_session *s);
struct domu_ctx *domu_session_ctx(struct domu_session *s);
/* The backings by disk index (cdroms and empty disks left out). */
const struct domu_backing *domu_session_backings(struct domu_session *s, size_t *n);
void domu_session_use(struct domu_session *s, const char *dev); /* NULL: by fstab again */

/*
 * Before the first change: recover what is due, lock, the whole verdict, a new stage.
 * Where a stage of an earlier session exists: DOMU_INUSE with its owner, age and the ways on,
 * unless it was resumed.
 */
int domu_session_begin(struct domu_session *s);
/* Who has a disk of a session that was to announce itself, as a refused change says it; NULL: nobody, it is ours. */
const char *domu_session_held(const struct domu_session *s);
/*
 * The watch of a session that is open for long.  Where a domain was started on one of its disks since, the session only
 * reads: what would change something fails with DOMU_INUSE, until settle, or rollback, finds the disks free.
 */
size_t domu_session_watch_fds(const struct domu_session *s, int fds[DOMU_WATCH_MAX]);
/* Looks, without waiting.  NULL: nothing new; else what is to be said of it, which the caller frees. */
char *domu_session_watch(struct domu_session *s);
bool domu_session_taken(const struct domu_session *s); /* it only reads, for that reason */
/* Looks.  DOMU_INUSE, with the way on, where it only reads. */
int domu_session_untaken(struct domu_session *s);
/*
 * May the guest be read now?  DOMU_INUSE while somebody has it; stage_too: also what is staged above a disk that
 * somebody had, which may not fit it any more.
 */
int domu_session_readable(struct domu_session *s, bool stage_too);
/* Whoever asks for it, when nobody has the disks and what is staged fits them still: changes are possible again. */
int domu_session_retake(struct domu_session *s);
/* A stage of an earlier session on one of these disks: *id "" when none.  Freed with domu_commit_info_free(). */
int domu_session_find_stage(struct domu_session *s, struct domu_commit_info *ci);
/* Lock, verdict, and the stage is this session's.  A stage of other disks is refused (DOMU_INUSE). */
int domu_session_resume(struct domu_session *s, const struct domu_commit_info *ci);
/*
 * Can the stage still be committed?  -ESTALE where the disks have changed under it, naming how many blocks and the
 * first, or the superblock; another failure where it is damaged.  Reads what it replaces.
 */
int domu_session_fits(struct domu_session *s);
/* Deletes a stage that nobody has open, without a look at disks or log. */
int domu_session_discard(struct domu_session *s, const struct domu_commit_info *ci);
/* The stage is left for later, synced. */
int domu_session_keep(struct domu_session *s);
bool domu_session_staging(struct domu_session *s); /* a stage is open */
bool domu_session_dirty(struct domu_session *s); /* and holds changes */
int domu_session_staged(struct domu_session *s, uint64_t *blocks); /* how many units of DOMU_UNIT bytes */

/* By disk index; DOMU_MAX_DISKS of them. */
int domu_session_sums(struct domu_session *s, struct domu_stage_sum *sums);
/*
 * Inside a change: keeps with the stage what a program said about it.  What
 * cannot be kept is a warning: the change does not depend on it.
 */
void domu_session_note(struct domu_session *s, const struct domu_note *note);
int domu_session_notes(struct domu_session *s, domu_note_fn fn, void *user);

/* A command's changes are whole or absent: call begin, do the work, call end with its result (which it returns). */
int domu_session_change_begin(struct domu_session *s);
int domu_session_change_end(struct domu_session *s, int rc);

/* Before a change that will write so many bytes: is there room to stage it, and for its undo? */
int domu_session_room(struct domu_session *s, uint64_t bytes);

/* The next call has a worker that knows what was loaded meanwhile (base/lib.h). */
int domu_session_renew(struct domu_session *s);
/* One worker operation; starts the worker when there is none. */
int domu_session_call(struct domu_session *s, struct domu_msg *req, struct domu_msg *reply);
/*
 * The worker's nodes, checked; mounts: also which is the root and what is mounted where.  Freed with
 * domu_nodes_free().
 */
int domu_session_nodes(struct domu_session *s, bool mounts, struct domu_nodes *nodes);
/*
 * Runs a program on the filesystem at node through the stage (or, when not
 * staging, a throw-away layer above what is there): flushes and ends the
 * worker first.  p's argv, line, progress, user, env, limits, shim are the caller's.
 */
int domu_session_program(struct domu_session *s, const struct domu_node *node, uint64_t size, struct domu_program *p,
                         int *wstatus);
/* The disk is to be longer than its backing (a resize): zeros beyond. */
int domu_session_grow_view(struct domu_session *s, unsigned disk, uint64_t size);

/*
 * Checks what the stage holds: every filesystem it changes must have nothing
 * wrong that was not wrong before.  commit does it by itself.
 */
int domu_session_verify(struct domu_session *s, const struct domu_nodes *nodes);
/* The stage was checked by who changed it (a repair): commit need not check again. */
void domu_session_verified(struct domu_session *s);

/*
 * Verdict again, room, the worker ended, then domu_commit().  The stage is gone afterwards; id (when not NULL) is
 * the commit's.
 */
int domu_session_commit(struct domu_session *s, char id[DOMU_ID_LEN + 1]);
int domu_session_rollback(struct domu_session *s);
/* What was staged and committed on any of the guest's disks, newest first; freed with domu_state_list_free(). */
int domu_session_history(struct domu_session *s, struct domu_commit_info **v, size_t *n);
/* Finishes every commit that was cut short on this guest's disks. */
int domu_session_recover(struct domu_session *s, unsigned *n_done);
/*
 * The same for a guest that a person named: a disk that was moved to another file system is accepted, and one that is
 * closed by a commit that the state directory does not have is told of (DOMU_UNRECOVERED).
 */
int domu_session_recover_named(struct domu_session *s, unsigned *n_done);
/*
 * id NULL: the newest that can be undone, which may be an undo.  done, undone: the IDs of the undo and of what it
 * reversed.
 */
int domu_session_undo(struct domu_session *s, const char *id, char done[DOMU_ID_LEN + 1], char undone[DOMU_ID_LEN + 1]);

/* What undo of single files did. */
struct domu_undo_file {
	char *path;
	const char *change; /* what the commit had done: added, removed, modified, metadata */
	char *refused; /* why, or NULL: it is as it was */
};
struct domu_undo_files {
	char id[DOMU_ID_LEN + 1]; /* of the commit */
	uint64_t done, refused;
	struct domu_undo_file *v; /* the refused first, and not all where they are many */
	size_t n;
};
/*
 * Puts the old versions of the files that a commit changed into the stage
 * (which is begun), each only when it is still as the commit left it and its old
 * version is still there.  A commit without a list of files: DOMU_UNSUPPORTED.
 */
int domu_session_undo_files(struct domu_session *s, const char *id, struct domu_undo_files *out);
void domu_undo_files_free(struct domu_undo_files *f);

/* What list shows later: root, size, used. */
int domu_session_seen(struct domu_session *s);

#endif
