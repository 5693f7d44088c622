/* SPDX-License-Identifier: GPL-3.0-or-later */
/* commit-private.h - what the files of stage, commit, recover and undo share, and the seal's format. */
#ifndef DOMU_COMMIT_PRIVATE_H
#define DOMU_COMMIT_PRIVATE_H

#include <signal.h>

#include "base/io.h"
#include "block/commit.h"
#include "block/log.h"
#include "guest/inuse.h"

#define DOMU_SECTOR      512u
#define DOMU_SECTORS     (DOMU_UNIT / DOMU_SECTOR)
#define DOMU_WINDOW      256u /* units that are read or written at once: 1 MiB */
#define DOMU_META_MAX    (1u << 20) /* bytes of JSON */
#define DOMU_MAX_DOORS   1024u
#define DOMU_META_FORMAT 1
#define DOMU_SEAL_FORMAT 1
#define DOMU_UNDO_FORMAT 1

struct domu_state {
	struct domu_ctx *ctx;
	char *dir;
	bool readonly;
};

/* What meta and the front of a seal hold: what people see, and where the pre-images are. */
struct domu_meta {
	struct domu_commit_info info; /* without state and undoable */
	char *undo_path; /* absolute, where it is not "undo" in the commit's folder; or NULL */
	bool no_undo;
};

struct domu_stage {
	struct domu_state *st;
	char *dir; /* STATE/pending/ID */
	int lock_fd, log_fd;
	struct domu_meta meta;
	struct domu_log_pos pos; /* of the log */
	uint64_t whole; /* where its last whole change ends; 0: none */
};

enum { DOMU_UNIT_NEW_ZERO = 1, DOMU_UNIT_OLD_ZERO = 2 };

/*
 * A unit that a commit replaces: 32 bytes here and in the seal. Its pre-image is at 4096 * (1 + index) of the undo
 * file.
 */
struct domu_seal_unit {
	uint64_t unit; /* offset on the disk / DOMU_UNIT */
	uint64_t log_offset; /* of the new image; 0: zeros */
	uint32_t old_crc, new_crc;
	uint16_t disk, flags;
	uint32_t reserved;
};

struct domu_seal_door {
	unsigned disk;
	uint64_t offset;
	uint32_t size;
	bool root;
	uint8_t *old_image, *new_image, *closed; /* size bytes each, one allocation at old_image */
};

enum domu_mark { DOMU_MARK_NONE = 0, DOMU_MARK_APPLIED = 1, DOMU_MARK_SUPERSEDED = 2 };

struct domu_seal {
	struct domu_meta meta;
	uint64_t sizes[DOMU_MAX_DISKS]; /* of each disk as the stage saw it */
	struct domu_seal_door *doors; /* by disk and offset */
	size_t n_doors;
	struct domu_seal_unit *units; /* by disk and unit */
	size_t n_units;
	bool covered[DOMU_MAX_DISKS]; /* all that is written there is of filesystems whose door is here or on another */
	uint32_t *sector_crcs; /* DOMU_SECTORS a unit, of the pre-images; NULL: the undo file has them */
	enum domu_mark mark;
};

/* ---- names and files (state.c) ------------------------------------------ */

char *domu_text(const char *fmt, ...) DOMU_PRINTF(1, 2); /* allocated; NULL: no memory */
bool domu_id_valid(const char *id);
char *domu_state_path(const struct domu_state *st, const char *folder, const char *id, const char *name);
/* An errno that says nothing of what is in a file: another try may read it. */
bool domu_cannot_tell(int err);
/* The whole file, at most max bytes (-EFBIG), NUL added. */
int domu_file_read(const char *path, size_t max, char **data, size_t *len);
/* Creates or replaces path with data; synced when told. */
int domu_file_write(struct domu_ctx *ctx, const char *path, const void *data, size_t len, bool sync);
/* The same by way of temp: path is what it was, or all of data. */
int domu_file_replace(struct domu_ctx *ctx, const char *temp, const char *path, const void *data, size_t len,
                      bool sync);
int domu_sync_dir_of(struct domu_ctx *ctx, const char *dir); /* with a failure recorded */
int domu_fdatasync(struct domu_ctx *ctx, int fd, const char *what);
/* Moves a marked commit from pending to history; safe to repeat. */
int domu_state_finish(struct domu_state *st, const char *id, const struct domu_seal *seal);
/* Deletes what is left of commits whose removal from the history was cut short (retain.c). */
void domu_history_tidy(struct domu_state *st);
/* A silent copy of ctx for work whose failure is of no interest. */
void domu_ctx_quiet(struct domu_ctx *quiet, const struct domu_ctx *ctx);

/* ---- what fails (resync.c) ------------------------------------------------ */

/* All of fd is written again, so that the next sync means something. */
int domu_write_again(const struct domu_io *io, int fd);
/* What to call the guest of a commit in the next command: its name, or the path of its disk. */
const char *domu_commit_guest(const struct domu_commit_info *ci);
/* What failed once a disk may be closed is status 7, and recover the next command. */
int domu_cut_short(struct domu_ctx *ctx, const struct domu_commit_info *ci, int err);

/* ---- meta (meta.c) ------------------------------------------------------- */

/* In the place of what to has; after a failure it may have some. */
int domu_homes_copy(struct domu_commit_info *to, const struct domu_home *from, size_t n);
int domu_info_copy(struct domu_commit_info *to, const struct domu_commit_info *from);
void domu_meta_free(struct domu_meta *m);
int domu_meta_copy(struct domu_meta *to, const struct domu_meta *from);
int domu_meta_format(const struct domu_meta *m, char **json, size_t *len);
/* -EBADMSG: not what we write; -EPROTO: of a newer version (what could be read is in m). */
int domu_meta_parse(const char *json, size_t len, struct domu_meta *m);

/* ---- identity (identity.c) ------------------------------------------------ */

/* What a path is now: as much of an identity as can be told without opening it.  A failure may leave the path alone. */
int domu_identity_of_path(const char *path, struct domu_identity *id);
enum domu_likeness {
	DOMU_OTHER_DISK,
	DOMU_REPLACED, /* the same path, and surely another disk there: the number of a device, or a file, exchanged */
	DOMU_SAME_PATH, /* and nothing there, or what cannot be told apart */
	DOMU_SAME_DISK,
};
enum domu_likeness domu_identity_like(const struct domu_identity *id, const struct domu_identity *now);
/* Two descriptions of the past, told from each other without a look at what is there now. */
bool domu_identity_same(const struct domu_identity *a, const struct domu_identity *b);
int domu_fd_size(int fd, uint64_t *size);
/* Is fd the disk that id says?  size: what the commit made of it.  -ESTALE with status. */
int domu_identity_check(struct domu_ctx *ctx, enum domu_status status, const struct domu_identity *id, uint64_t size,
                        int fd);

/* ---- stage (stage.c) ------------------------------------------------------ */

/* Opens and locks pending/ID/lock.  -EBUSY: DOMU_INUSE names who; -ENOENT. */
int domu_lock_open(struct domu_state *st, const char *id, int *lock_fd);
/* The same, made where there is none. */
int domu_lock_make(struct domu_state *st, const char *id, int *lock_fd);
/* Has somebody this one open?  pid: who; 0: it cannot be told. */
bool domu_lock_held(const struct domu_state *st, const char *id, int64_t *pid);
int domu_stage_write_meta(struct domu_ctx *ctx, const char *dir, const struct domu_meta *m, bool sync);
/* A log whose sync failed is not synced by another: its bytes into a new file, synced, in its place. */
int domu_stage_rewrite_log(struct domu_stage *s);
/* Deletes a folder of pending that holds no commit. */
int domu_pending_remove(struct domu_state *st, const char *id);

/* ---- notes (notes.c) ------------------------------------------------------ */

/* Before a commit: those that hold now hold for good, and are synced; without any nothing is written. */
int domu_notes_settle(struct domu_stage *s);
/* The log of a stage that was taken over: nobody writes it any more, and what is no whole change is cut off. */
int domu_stage_settle(struct domu_stage *s);

/* ---- seal (seal.c) --------------------------------------------------------- */

void domu_seal_free(struct domu_seal *s);
/* Writes everything into fd (an empty file) and syncs it. */
int domu_seal_write(struct domu_ctx *ctx, int fd, const struct domu_seal *s);
/*
 * -ENOENT: no file; -ENODATA: not a whole seal (cut short while it was
 * written); -EPROTO: DOMU_UNRECOVERED, a newer version; else it is checked
 * and consistent in itself.
 */
int domu_seal_load(struct domu_ctx *ctx, const char *path, struct domu_seal *s);
/* The front only: meta and mark, without what would have to be read for the rest.  Same errors. */
int domu_seal_peek(struct domu_ctx *ctx, const char *path, struct domu_meta *m, enum domu_mark *mark);
/* The same with sizes and doors. */
int domu_seal_load_doors(struct domu_ctx *ctx, const char *path, struct domu_seal *s);
int domu_seal_mark(struct domu_ctx *ctx, const char *path, enum domu_mark mark);
/* The doors inside the unit: *first and count. */
size_t domu_seal_doors_in(const struct domu_seal *s, const struct domu_seal_unit *u, size_t *first);
bool domu_seal_has_door(const struct domu_seal *s, unsigned disk);
bool domu_seal_uses(const struct domu_seal *s, unsigned disk);
/*
 * Is one of the doors of this disk closed, just as the commit closes it, on what fd is open for?  any: or open, as
 * it was or is to be.
 */
bool domu_seal_door_on(const struct domu_seal *s, unsigned disk, int fd, bool any);

/* ---- disks that no door keeps anybody off (bare.c) ------------------------------ */

/* Fills covered from doors, units and homes; until then none is. */
int domu_seal_find_covered(struct domu_ctx *ctx, struct domu_seal *s);
/* The hotplug lock has to keep guests off it as long as it is half written. */
bool domu_seal_is_bare(const struct domu_seal *s, unsigned disk);

/* ---- Xen's hotplug lock (commit.c) -------------------------------------------- */

/* As domu_hotplug_lock() takes it; whoever waits for it is told which commit has it. */
int domu_commit_hotplug(struct domu_ctx *ctx, const struct domu_commit_info *ci, int *fd);

/* ---- images (image.c) ------------------------------------------------------- */

/* [offset, offset+len) of a disk, past the page cache of a device; zeros beyond what the backing has or size. */
int domu_disk_read(struct domu_ctx *ctx, int fd, const char *vdev, uint64_t size, void *buf, size_t len,
                   uint64_t offset);
/*
 * What the disks hold now at the units of a seal, asked for one after the other: what lies together is read at once.
 * All zero at first; the caller frees buf.  *now: DOMU_UNIT bytes, until the next is asked for.
 */
struct domu_disk_units {
	uint8_t *buf;
	size_t first, n; /* which of the seal's are in it */
};
int domu_disk_unit(struct domu_ctx *ctx, const struct domu_seal *s, const struct domu_commit_disk *disks,
                   struct domu_disk_units *u, size_t i, const uint8_t **now);
/* Bytes of a unit that lie on a disk of that size. */
size_t domu_unit_len(uint64_t size, uint64_t unit);
/* What the page cache has of the disks that s changes is dropped: a guest writes to a device past it. */
void domu_disks_forget(const struct domu_seal *s, const struct domu_commit_disk *disks);
/* The new image of unit i from the stage log, compared with its sealed checksum. */
int domu_image_new(struct domu_ctx *ctx, const struct domu_seal *s, size_t i, int log_fd, void *buf);
/* The pre-image from the undo file, likewise. */
int domu_image_old(struct domu_ctx *ctx, const struct domu_seal *s, size_t i, int undo_fd, void *buf);
/* Opens the undo file of a commit in dir for reading and checks its header. */
int domu_undo_open(struct domu_ctx *ctx, const struct domu_meta *m, const char *dir, int *fd);
/* Makes the undo file and its header. */
int domu_undo_create(struct domu_ctx *ctx, const struct domu_meta *m, const char *dir, int *fd);
/* Of an earlier try at the same commit, cut before its bytes were synced. */
bool domu_undo_is_torn(const char *path);
char *domu_undo_path(const struct domu_meta *m, const char *dir);

/* ---- step 2 of a commit (preimage.c) ------------------------------------------ */

/* Fills the seal's units from the log's entries and writes the undo file (undo_fd -1: none).  -ESTALE. */
int domu_preimages_take(struct domu_ctx *ctx, struct domu_seal *seal, const struct domu_commit_disk *disks, int log_fd,
                        const struct domu_log_entry *entries, size_t n, int undo_fd);
int domu_preimages_reserve(struct domu_ctx *ctx, const struct domu_seal *s, const struct domu_commit_disk *disks);

/* ---- putting it on the disks (apply.c) --------------------------------------- */

enum domu_which { DOMU_ALL_DISKS, DOMU_BARE_DISKS, DOMU_CLOSED_DISKS }; /* bare: no door keeps anybody off */

struct domu_apply {
	struct domu_ctx *ctx;
	const struct domu_seal *seal;
	const struct domu_commit_disk *disks;
	int log_fd;
	enum domu_which which; /* whose units */
};

/* Steps 4, 5 and 6 of a commit; each ends synced. */
int domu_apply_close_doors(struct domu_apply *a);
int domu_apply_units(struct domu_apply *a);
int domu_apply_open_doors(struct domu_apply *a);
/* Makes regular files as long as the stage saw them. */
int domu_apply_lengths(struct domu_apply *a);

/* Signals wait while a disk is closed. */
struct domu_signals {
	sigset_t before;
	bool held;
};
void domu_signals_hold(struct domu_signals *s);
void domu_signals_release(struct domu_signals *s);

/* The room that n blocks need in the state directory and for the undo file. */
int domu_room_check(struct domu_state *st, const char *undo_dir, bool no_undo, uint64_t blocks);

#endif
