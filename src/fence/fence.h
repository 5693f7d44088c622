/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fence.h - the processes: the worker that looks at guest bytes, programs on the stage, and the appliance. */
#ifndef DOMU_FENCE_H
#define DOMU_FENCE_H

#include "base/msg.h"
#include "fs/fs.h"

/* The uid and gid of worker, programs and export, when the front is root: nobody's and nothing's. */
#define DOMU_WORKER_UID 65533

/* ---- the worker ---------------------------------------------------------- */

/* Types of messages.  Requests go to the worker, the rest comes back; one END ends a request. */
enum domu_msg_type {
	DOMU_MSG_REQUEST = 1, /* str op, then what the op puts */
	DOMU_MSG_ANSWER, /* to an upcall: as END; fds */
	DOMU_MSG_SAY, /* u64 level, str text */
	DOMU_MSG_PROGRESS, /* str what, u64 done, u64 total */
	DOMU_MSG_ROWS, /* rows of a table, see shell/rows.h */
	DOMU_MSG_DATA, /* bytes for the terminal */
	/* str "replay", "replay-base" or "appliance", u64 disk, offset, size, str volume (NULL), str type, u64 flags */
	DOMU_MSG_UPCALL,
	DOMU_MSG_END, /* u64 0 or negative errno, u64 status, str message or NULL; then the op's reply */
};

/* In the worker: what an operation works with. */
struct domu_work {
	struct domu_ctx *ctx; /* messages and failures go to the front */
	struct domu_tree *tree; /* NULL until domu_work_tree() */
	int sock;
	void *private_; /* the worker's own */
};

/*
 * An operation.  req is read, reply is filled for END; fds it takes from req are its to close, those it puts are
 * closed for it.
 */
typedef int (*domu_op_fn)(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);
struct domu_op {
	const char *name;
	domu_op_fn run;
};

/*
 * The guest's tree, opened at first use with the options of the worker's start; "use" replaces opts.use (may be
 * NULL).
 */
int domu_work_tree(struct domu_work *w, const char *use, struct domu_tree **t);
/* The top of a disk's stack, to be written below the filesystems: the tree is closed first. */
int domu_work_disk(struct domu_work *w, uint64_t disk, struct domu_block **top);
/*
 * The guest as its disks are without the stage, its journals replayed; or with
 * what is in a log of units laid over them, nothing replayed.  It stays the
 * worker's, as log_fd does (-1: none), until it is asked for in the other way
 * or closed.
 */
int domu_work_base_tree(struct domu_work *w, int log_fd, struct domu_tree **t);
void domu_work_base_close(struct domu_work *w);
/*
 * What of a place may differ between that and the tree of domu_work_tree():
 * relative to its begin, ascending, apart; the caller frees.
 */
int domu_work_spans(struct domu_work *w, const struct domu_place *p, struct domu_span **spans, size_t *n);
/*
 * A device of domu_work_tree() and what it was in domu_work_base_tree(), both
 * asked for before: c gets both sides and what of their blocks may differ, in
 * *spans, which the caller frees after comparing.
 */
struct domu_compare;
int domu_work_sides(struct domu_work *w, size_t node, struct domu_compare *c, struct domu_span **spans);
/* Sends something that is not the END: rows, data. */
int domu_work_send(struct domu_work *w, struct domu_msg *m);

struct domu_worker_disk {
	char vdev[32];
	struct domu_stack_desc stack;
	int base_fd; /* the log of a throw-away layer above the disk without the stage, for its journals; -1: none */
};

struct domu_worker_opts {
	const struct domu_worker_disk *disks;
	size_t n_disks;
	struct domu_tree_opts tree;
	const struct domu_op *ops; /* ended by name NULL; known before the fork */
	uint64_t memory_limit; /* bytes of address space above what it has; 0: default */
	/*
	 * Without the libraries for partition tables and foreign formats, the
	 * drivers that are loaded late (domu-plugin.h), and perhaps a layer for
	 * a journal's replay: they take longer to have than a file to read.  A
	 * call that needs any of them ends the worker with -ELIBACC, nothing recorded and nothing done: make it
	 * again with a worker that is not lean.
	 */
	bool lean;
	bool walks; /* whole trees may be asked for: with a thread that reads ahead (base/ahead.h) */
};

/*
 * Called in the front for what comes back.  Each may be NULL.  rows and data: not 0 ends the worker and is the
 * call's result.
 */
struct domu_worker_handlers {
	int (*rows)(void *user, struct domu_msg *m);
	int (*data)(void *user, const void *bytes, size_t len);
	/* Upcalls: 0 or a negative errno; *fd is handed to the worker when not -1, and closed. */
	int (*replay)(void *user, const struct domu_place *p, const char *type);
	int (*replay_base)(void *user, const struct domu_place *p, const char *type);
	int (*appliance)(void *user, const struct domu_place *p, const char *type, unsigned flags, int *fd);
	void *user;
	/*
	 * Looked at a few times a second while an answer is waited for, in the
	 * place of Ctrl-C: not 0 ends the worker and is the call's result.
	 */
	int (*tick)(void *user);
	void *tick_user;
};

struct domu_worker;

/* Forks the worker: own uid, no capabilities, no_new_privs, empty root, only the descriptors above. */
int domu_worker_start(struct domu_ctx *ctx, const struct domu_worker_opts *opts, struct domu_worker **w);
/*
 * One request: op and what the caller put into req (a REQUEST that starts
 * with str op).  Returns the op's result; its failure is recorded in ctx.
 * reply: the op's own part of END.  A worker that died is DOMU_FAILED with
 * the signal; Ctrl-C ends the worker: -EINTR, DOMU_DECLINED.
 */
int domu_worker_call(struct domu_worker *w, struct domu_msg *req, const struct domu_worker_handlers *h,
                     struct domu_msg *reply);
/*
 * False after a call that ended it: it died, was interrupted, or a handler
 * wanted no more.  Only domu_worker_end() is of use then; what it had not
 * yet written to the stage is lost.
 */
bool domu_worker_alive(const struct domu_worker *w);
/* Ends it (closes its filesystems first when asked to flush).  Frees w. */
int domu_worker_end(struct domu_worker *w, bool flush);

/* ---- programs ------------------------------------------------------------- */

struct domu_program {
	const char *const *argv; /* "@" elements are replaced by the device; argv[0] is found in PATH of the system */
	struct domu_stack_desc stack; /* the disk's layers; base_fd -1: it has no device */
	uint64_t offset, size; /* the part of the disk, or volume, that the program sees, bytes */
	bool shim; /* may go through the shim (dynamically linked, libext2fs) */
	bool writable;
	const char *const *env; /* NAME=VALUE, added to a minimal environment; NULL-terminated, or NULL */
	unsigned time_limit; /* seconds, 0: default of 6 hours */
	uint64_t output_limit; /* bytes, 0: default of 4 MiB; beyond it the program is ended */
	domu_line_fn line; /* each line of output, control characters still in it; may be NULL */
	void (*progress)(void *user, unsigned pass, uint64_t done, uint64_t total); /* e2fsck -C; may be NULL */
	void *user;
	const char *name; /* stands in lines for the device's path; may be NULL */
	const int *fds; /* open in the program too, with their numbers; at most 4 */
	size_t n_fds;
	/* The output as it comes, instead of lines; not 0 ends the program, and is returned; may be NULL. */
	int (*data)(void *user, const char *bytes, size_t len);
};

/*
 * *wstatus as of waitpid(2).  0 also when the program failed: its status is
 * the caller's to judge.  A program that is not there is DOMU_UNSUPPORTED
 * with its package; Ctrl-C ends it: -EINTR, DOMU_DECLINED.  Nobody else may
 * write the stage meanwhile, so a worker is ended before.
 */
int domu_program_run(struct domu_ctx *ctx, const struct domu_program *p, int *wstatus);

/* ---- the export and the appliance ------------------------------------------ */

struct domu_confine; /* confine.h */
struct domu_export; /* a FUSE file that shows the top of a stack, in a mount namespace of its own */
struct domu_export_opts {
	struct domu_stack_desc stack;
	uint64_t offset, size;
	bool writable;
	unsigned uid; /* who may open it */
	const struct domu_confine *confine; /* what the child gives up; NULL: all but its descriptors */
};
/*
 * Starts the server and runs child(user, path) in a new process that sees
 * the export at path, with that uid.  *pid is that process.  -ENOSYS /
 * DOMU_UNSUPPORTED without /dev/fuse.
 */
int domu_export_start(struct domu_ctx *ctx, const struct domu_export_opts *opts,
                      int (*child)(void *user, const char *path), void *user, pid_t *pid, struct domu_export **e);
const char *domu_export_path(const struct domu_export *e); /* as the child sees it */
int domu_export_end(struct domu_ctx *ctx, struct domu_export *e); /* a write the server could not do is a failure */

/*
 * The other end of an appliance: *fd is a socket that speaks the proxy's
 * protocol (src/fs/proxy.h) for one filesystem of the disk.
 */
struct domu_appliance;
int domu_appliance_start(struct domu_ctx *ctx, const struct domu_export_opts *disk, uint64_t offset, uint64_t size,
                         const char *type, unsigned flags, int *fd, struct domu_appliance **a);
/* Another filesystem of the same disk, in the appliance that runs: a fraction of a second. */
int domu_appliance_open(struct domu_appliance *a, uint64_t offset, uint64_t size, const char *type, unsigned flags,
                        int *fd);
/* Unmounts; what could not be written is a failure.  The worker, whose end of the sockets it is, was ended before. */
int domu_appliance_end(struct domu_ctx *ctx, struct domu_appliance *a);

/* What confines the worker on this kernel, a line each, for status --fence. */
int domu_fence_describe(domu_line_fn fn, void *user);

#endif
