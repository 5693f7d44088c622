/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-impl.h - what the files of the session share. */
#ifndef DOMU_SESSION_IMPL_H
#define DOMU_SESSION_IMPL_H

#include "task/session.h"

struct domu_session {
	struct domu_ctx *ctx;
	const struct domu_guest *guest;
	struct domu_session_opts opts;
	char *use;

	struct domu_backing *backings; /* by disk index: the index in logs and identities too */
	uint64_t *view; /* by disk index: the size the stage sees, 0: the backing's */
	size_t n_backings;
	bool locked; /* our own lock on every disk is held, the whole verdict was free */
	bool vetted; /* the whole verdict was free once: what only it asks is asked again when a domain is started */
	struct domu_watch *watch; /* NULL: nothing is watched */
	char *taken; /* who was seen on a disk since it was opened: the session only reads; NULL: nobody */
	char *taken_next; /* the command that ends that, or NULL */
	bool in_use; /* somebody was still there when last asked */
	char *held; /* why a shell could not announce itself: somebody has a disk; or NULL */

	struct domu_stage *stage; /* NULL: only reading */
	struct domu_commit_info rests; /* its superblocks, also while it is being committed; nothing else of it */
	int base_fd; /* the worker's throw-away layer above the disks without the stage, -1: none */
	int replay_fd; /* the throw-away layer of a reader, -1: not made yet */
	uint64_t mark; /* of the change under way, or of the stage as it was opened */
	bool touched; /* a change was begun since */
	unsigned changing; /* nested change_begin() */
	bool uncut; /* what a failed change left in the stage could not be cut off */
	bool no_appliance; /* it could not be started: not again */
	enum domu_status appliance_status;
	char *appliance_error; /* why */
	bool looking; /* only to know what there is: nothing is replayed, nothing reaches the stage */
	bool verified; /* the stage was checked since its last change */
	bool resumed; /* the stage is of an earlier session */
	bool programs; /* a program (a repair, a resize) changed the stage: no list of files is kept */

	struct domu_worker *worker;
	bool not_lean; /* its worker needs what a lean one lacks (fence.h) */
	/* Where they were needed: one a disk, and one a volume of several pieces. */
	struct domu_session_appliance {
		struct domu_appliance *a; /* NULL: this place is free */
		unsigned disk;
		char *volume; /* as domu_lv_format(); NULL: the disk */
	} appliance[DOMU_MAX_DISKS];
};

/* What the session sees of a disk, in bytes. */
uint64_t domu_session_size(const struct domu_session *s, size_t disk);
/* As it is on the disk, whatever its journal holds: who uses it would not see what was replayed for us. */
bool domu_session_unreplayed(const struct domu_session *s);

/* The layers of a disk as this session sees it now. */
int domu_session_stack(struct domu_session *s, size_t disk, struct domu_stack_desc *desc);

/* ---- session-upcall.c ---- */

/* What a program is shown.  It may point into itself: not to be copied. */
struct domu_shown {
	struct domu_stack_desc stack;
	uint64_t offset, size; /* bytes */
	struct domu_volume volume;
};
/* The layers of a place, as this session sees its disks now. */
int domu_session_show(struct domu_session *s, const struct domu_place *p, struct domu_shown *out);
/* The same without the stage, under the layer of that log. */
int domu_session_show_base(struct domu_session *s, const struct domu_place *p, int log_fd, struct domu_shown *out);
/* What a worker's call needs while it is answered. */
struct domu_relay {
	struct domu_session *s;
	const struct domu_worker_handlers *h; /* the caller's, or NULL */
};
extern const struct domu_worker_handlers domu_session_handlers; /* their user is a domu_relay */
bool domu_session_in_appliance(const struct domu_session *s);
int domu_session_end_appliances(struct domu_session *s);

/* ---- */

/* A throw-away log for this session; the caller closes it. */
int domu_session_replay_log(struct domu_session *s);
/* Ends worker and appliance; flush: what they hold reaches the stage first. */
int domu_session_end_worker(struct domu_session *s, bool flush);
/* What journals' replays changed for a reader is dropped. */
void domu_session_drop_replay(struct domu_session *s);
/* The stage was dropped: where nobody has the disks any more, the session is free again. */
void domu_session_dropped(struct domu_session *s);
/* Superblocks and tables of nodes as the disks have them now, for a stage that is to be begun. */
int domu_session_note_supers(struct domu_session *s, const struct domu_nodes *nodes, struct domu_commit_info *ci);
/* Those of the stage that is open now are what is compared; and none. */
int domu_session_keep_supers(struct domu_session *s);
void domu_session_forget_supers(struct domu_session *s);
/* Before anything is compared: what this host remembers of the disks is dropped. */
void domu_session_forget_disks(struct domu_session *s);
/* DOMU_INUSE, -ESTALE: one is not what it was. */
int domu_session_check_supers(struct domu_session *s);
/*
 * The nodes as the stage has them, seen by a worker of its own: looking adds
 * nothing to the stage, no journal is replayed.
 */
int domu_session_look(struct domu_session *s, bool mounts, struct domu_nodes *nodes);
/* One operation of a worker that looks, as above. */
int domu_session_look_call(struct domu_session *s, struct domu_msg *req, struct domu_msg *reply);
/* Before a commit: which files it changes is kept beside the stage.  Fails only when interrupted. */
int domu_session_record_files(struct domu_session *s, const struct domu_nodes *nodes);
/* The commit that undo means by id (NULL: the newest that can be undone). */
int domu_session_find_undoable(struct domu_session *s, const char *id, struct domu_commit_info *ci);
/* Adds to the failure "blocks have changed since" which files differ, and what to type. */
void domu_session_explain_stale(struct domu_session *s, const char *id);
/* The stage holds only whole changes: one that failed and could not be cut off is cut off now, or this fails. */
int domu_session_whole(struct domu_session *s);
/* What worker and appliance hold of changes reaches the stage; they live on. */
int domu_session_flush(struct domu_session *s);
/* Takes the locks of a shell that opens; where somebody has one, s->held says who. */
void domu_session_announce(struct domu_session *s);
/* Without a stage such a shell only reads, and says so. */
void domu_session_rest(struct domu_session *s);
/* Our own lock and the whole verdict; DOMU_INUSE names the holder. */
int domu_session_lock(struct domu_session *s);
/* The whole verdict once more, before a commit begins and without the hotplug lock. */
int domu_session_still_free(struct domu_session *s);
/* The verdict under the hotplug lock: domu_commit_opts.recheck. */
int domu_session_recheck(void *session);
/*
 * Where all lies that the stage changes, by the nodes as it has them; none where
 * that cannot be told of each.  Freed by domu_homes_free().
 */
int domu_session_homes(struct domu_session *s, const struct domu_nodes *nodes, struct domu_home **v, size_t *n);
/* O_RDWR descriptors of every disk that may be written. */
int domu_session_open_rw(struct domu_session *s, struct domu_commit_disk *disks);
void domu_session_close_rw(struct domu_session *s, struct domu_commit_disk *disks);
/* Where the sector of a node's door is, which has one in probe. */
bool domu_session_door_sector(const struct domu_session *s, const struct domu_node *n, unsigned *disk, uint64_t *offset,
                              uint32_t *size);
/* The doors of every filesystem that the stage changes, and of the root; nodes were checked; freed by the caller. */
int domu_session_find_doors(struct domu_session *s, const struct domu_nodes *nodes, struct domu_door **out,
                            size_t *n_out);
/*
 * The stage as it is now goes to the disks; nodes as the stage has them.  Refused before the commit point, the session
 * has it still.
 */
int domu_session_write_stage(struct domu_session *s, const struct domu_nodes *nodes, const char *undoes);
/* The room that a commit of the stage as it is needs. */
int domu_session_commit_room(struct domu_session *s);
/* --no-undo needs a yes. */
int domu_session_ask_no_undo(struct domu_session *s);
/* The disks of an earlier commit among this guest's (mine, by the session's index): indexes may differ. */
int domu_session_match_disks(struct domu_session *s, const struct domu_commit_info *ci,
                             const struct domu_commit_disk *mine, bool named, struct domu_commit_disk *out);
/* No program is run on a filesystem that is closed: DOMU_UNRECOVERED; none that changes on what can only be read. */
int domu_session_check_door(struct domu_session *s, const struct domu_node *node, bool change);
/* DOMU_UNRECOVERED: a disk is closed by a commit of which the state directory has nothing, or no whole seal. */
int domu_session_refuse_closed(struct domu_session *s);
/* What every disk is, by the session's index: n_backings of them, freed by domu_session_identities_free(). */
int domu_session_identities(struct domu_session *s, struct domu_identity **out);
void domu_session_identities_free(struct domu_session *s, struct domu_identity *ids);
/* Commits cut short (or stages) on this guest's disks, newest first. */
int domu_session_pending(struct domu_session *s, enum domu_commit_state state, struct domu_commit_info **v, size_t *n);
/* Which nodes the stage changes: an array as long as nodes, freed by the caller. */
int domu_session_touched(struct domu_session *s, const struct domu_nodes *nodes, bool **touched);
/* Before anything is staged: locks and the whole verdict, what was cut short finished, no earlier stage in the way. */
int domu_session_make_way(struct domu_session *s);
/* What a new stage says of itself; freed with domu_commit_info_free(). */
int domu_session_describe(struct domu_session *s, struct domu_commit_info *ci);

/* ---- session-replay.c ---- */

/* A journal is replayed in the top layer of what is shown, or that is left as it was. */
int domu_session_replay_journal(struct domu_session *s, const struct domu_shown *shown, const char *type,
                                const char *disk);
/* Before a change: what a kernel does besides when it mounts. */
int domu_session_settle(struct domu_session *s, const struct domu_shown *shown, const char *type, const char *disk);

#endif
