/* SPDX-License-Identifier: GPL-3.0-or-later */
/* inuse.h - a guest's disks on this host: opening, locking, and the verdict whether anybody uses them. */
#ifndef DOMU_INUSE_H
#define DOMU_INUSE_H

#include <time.h>

#include "guest/guest.h"

/* A backing store, opened read-only and known by what the kernel knows it by. */
struct domu_backing {
	const struct domu_disk *disk; /* the guest's */
	char *path; /* resolved through links */
	int fd; /* O_RDONLY */
	bool is_device;
	uint64_t dev; /* st_rdev of a device, st_dev of a file */
	uint64_t inode; /* of a file */
	uint64_t whole_dev; /* of a partition: the disk's device number; else dev */
	uint64_t below_dev, below_inode; /* of a loop, or a partition of one: the file that it is over; else 0 */
	uint64_t size; /* bytes */
	uint32_t sector_size;
	int lock_fd; /* our own lock, -1: not held */
	int parent_lock_fd; /* of a partition: the whole disk's, shared; -1: not held */
	bool idle; /* the lock says that we only read so far */
	time_t since; /* that it is held */
	/*
	 * Where locks are, for the own-lock check of a disk that is not locked by us; NULL: not looked at.  The
	 * caller's.
	 */
	const char *state_dir;
	bool alone; /* nobody had the file open for writing when we last opened it for that */
};

/*
 * DOMU_NOTFOUND, DOMU_FAILED (neither file nor device), DOMU_UNSUPPORTED (a
 * format that no plugin reads, a block script, a driver domain).  disk stays
 * the caller's and has to live as long as b.  state_dir is NULL afterwards.
 */
int domu_backing_open(struct domu_ctx *ctx, const struct domu_disk *disk, struct domu_backing *b);
void domu_backing_close(struct domu_backing *b);
/*
 * What this host remembers of a device is forgotten: xen-blkback writes past its page cache once a guest is connected,
 * and that cache lives as long as anybody has the device open.  A file is always seen as it is.
 */
void domu_backing_forget(const struct domu_backing *b);
/* Also what only BLKFLSBUF reaches.  Waits for what this host has still to write there: before something is decided. */
void domu_backing_forget_all(const struct domu_backing *b);
/*
 * O_RDWR for a commit; O_EXCL on a device, and qemu's image lock, both as long as it stays open.  A negative
 * errno, DOMU_INUSE where the kernel says busy.
 */
int domu_backing_open_rw(struct domu_ctx *ctx, struct domu_backing *b);
/* Fork: a child that keeps lock_fd keeps the lock; close both descriptors in it. */
/*
 * Our own lock (check 2), in STATE/locks: exclusive, with the owner's pid and command in it.  DOMU_INUSE names the
 * owner.
 */
int domu_backing_lock(struct domu_ctx *ctx, const char *state_dir, struct domu_backing *b);
/* Records why path, in the state directory, cannot be had (rc, a negative errno), and what helps; gives rc. */
int domu_state_failed(struct domu_ctx *ctx, int rc, const char *path);
/* The same lock, and it says that who has it only reads, until domu_backing_lock() is called. */
int domu_backing_announce(struct domu_ctx *ctx, const char *state_dir, struct domu_backing *b);
void domu_backing_unlock(struct domu_backing *b);
/* user@tty of who runs this. */
void domu_owner_name(char *out, size_t size);

/*
 * Is path on a file system on this disk, on a partition, volume or loop of it, or in a file of such a one?  What is
 * above several devices (btrfs) or other file systems (overlay) cannot be told.
 */
int domu_backing_holds(struct domu_ctx *ctx, const struct domu_backing *b, const char *path, bool *holds);

enum domu_check_result {
	DOMU_CHECK_PASS,
	DOMU_CHECK_FAIL,
	DOMU_CHECK_SKIPPED, /* no Xen here */
	DOMU_CHECK_UNKNOWN, /* cannot be told: in use, except where the check says otherwise */
	DOMU_CHECK_WAIVED,
};

struct domu_verdict_line {
	const char *check; /* its name: "mounts", "loops" ... */
	char *disk; /* vdev */
	enum domu_check_result result;
	bool blocks; /* this line makes the verdict "in use" */
	char *detail; /* who holds it, as an administrator would call it; or NULL */
	char *next; /* the command that frees it, or NULL */
};

struct domu_verdict {
	bool in_use;
	struct domu_verdict_line *v;
	size_t n;
};

enum domu_verdict_depth {
	DOMU_VERDICT_READ, /* the cheap ones, before reading */
	DOMU_VERDICT_CHANGE, /* all */
	DOMU_VERDICT_RECHECK, /* under the hotplug lock: those that can have changed */
	DOMU_VERDICT_STARTED, /* when a watch says that a domain was started: who has the disk now */
	DOMU_VERDICT_STARTED_CHANGE, /* the same, of a disk that all checks of a change have passed */
};

/*
 * Makes the checks on every disk (read-only cdroms excepted) that is in
 * backings.  waive: NULL-terminated names, or NULL.  0 also when in use: look
 * at in_use.  A check never writes.
 */
int domu_verdict_make(struct domu_ctx *ctx, const struct domu_guest *g, const struct domu_backing *backings, size_t n,
                      enum domu_verdict_depth depth, const char *const *waive, struct domu_verdict *out);
void domu_verdict_free(struct domu_verdict *v);
const char *domu_check_result_name(enum domu_check_result r);
/* Fails with DOMU_INUSE, or DOMU_FAILED where only root can tell: the first reason and the next command to type. */
int domu_verdict_refuse(struct domu_ctx *ctx, const struct domu_guest *g, const struct domu_verdict *v);
/* Nobody was seen to use it, by somebody who may not look: only root can tell. */
bool domu_verdict_untold(const struct domu_verdict *v);
/* That reason; NULL: it is free. */
const struct domu_verdict_line *domu_verdict_reason(const struct domu_verdict *v);

/* When a check is made: bits of the depth. */
enum domu_check_when {
	DOMU_CHECK_AT_READ = 1 << DOMU_VERDICT_READ,
	DOMU_CHECK_AT_CHANGE = 1 << DOMU_VERDICT_CHANGE,
	DOMU_CHECK_AGAIN = 1 << DOMU_VERDICT_RECHECK,
	DOMU_CHECK_AT_START = 1 << DOMU_VERDICT_STARTED,
	DOMU_CHECK_AT_START_CHANGE = 1 << DOMU_VERDICT_STARTED_CHANGE,
};

struct domu_check_info {
	const char *name; /* --waive takes it */
	const char *what; /* is so when it passes */
	unsigned when;
	bool unknown_passes; /* what cannot be told does not count as in use */
};

/* Is the check name among what --waive gave (NULL-terminated, or NULL)? */
bool domu_check_waived(const char *const *waive, const char *name);
/* The checks in their order; NULL after the last. */
const struct domu_check_info *domu_check_info(size_t i);

/*
 * Xen's hotplug lock, taken as its block script takes it.  -1 where there is no Xen; released by closing.  what is
 * what another domu-rescue is told that waits for it: "commit ID of web1".
 */
int domu_hotplug_lock(struct domu_ctx *ctx, const char *what, int *fd);
DOMU_PUBLIC bool domu_xen_here(void);

#endif
