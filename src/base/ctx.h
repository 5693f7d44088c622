/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctx.h - the context that every call carries: the first failure, and callbacks to whoever shows things. */
#ifndef DOMU_CTX_H
#define DOMU_CTX_H

#include <signal.h>

#include "domu-plugin.h"

struct domu_ahead;
struct domu_io;

struct domu_error {
	enum domu_status status; /* DOMU_OK: none yet */
	int err; /* negative errno */
	char *message;
	char disk[32]; /* where there is one: as the config calls it */
	char path[512]; /* where there is one that fits: in the guest */
};

struct domu_callbacks {
	void (*message)(void *user, enum domu_level level, const char *text);
	/* 1 yes, 0 no (also where nobody can answer). */
	int (*ask)(void *user, const char *question);
	/* done of total units of what; total 0: not known; done == total ends it. */
	void (*progress)(void *user, const char *what, uint64_t done, uint64_t total);
	void *user;
};

struct domu_ctx {
	struct domu_callbacks cb; /* each may be NULL */
	const struct domu_io *io; /* never NULL */
	/* Set by whoever owns the process when Ctrl-C or a hangup came; waits look at it.  May be NULL. */
	volatile sig_atomic_t *interrupted;
	struct domu_error error;
	const char *guest; /* of a worker: what a person types for it; NULL elsewhere */
	struct domu_ahead *ahead; /* a thread that reads what a walk will want next; NULL: none */
};

/* Sets up ctx with no callbacks and the system's I/O. */
void domu_ctx_init(struct domu_ctx *ctx);
void domu_ctx_free(struct domu_ctx *ctx); /* what it holds, not ctx itself */
void domu_error_clear(struct domu_ctx *ctx);
/* Sets the recorded failure aside; put back, it takes the place of what was recorded since. */
struct domu_error domu_error_take(struct domu_ctx *ctx);
void domu_error_put_back(struct domu_ctx *ctx, struct domu_error kept);
/* Copies a failure that came from elsewhere (a worker); keeps an earlier one. */
int domu_error_set(struct domu_ctx *ctx, enum domu_status status, int err, const char *message);
/* What the failure recorded is about, before its message: a driver knows inodes, its caller their names. */
void domu_error_about(struct domu_ctx *ctx, const char *what);
/* Says of the failure recorded which disk and which path it is about; either may be NULL, what is known is kept. */
void domu_error_where(struct domu_ctx *ctx, const char *disk, const char *path);
/* The exit status of the failure recorded, DOMU_FAILED where nothing was. */
enum domu_status domu_error_status(const struct domu_ctx *ctx);
int domu_ask(struct domu_ctx *ctx, const char *fmt, ...) DOMU_PRINTF(2, 3);
void domu_progress(struct domu_ctx *ctx, const char *what, uint64_t done, uint64_t total);
bool domu_interrupted(const struct domu_ctx *ctx);
/* The usual words: "out of memory". */
int domu_nomem(struct domu_ctx *ctx);

#endif
