/* SPDX-License-Identifier: GPL-3.0-or-later */
/* watch.h - to be told when a domain may have been started, by whichever source can tell. */
#ifndef DOMU_WATCH_H
#define DOMU_WATCH_H

#include "base/ctx.h"

#define DOMU_WATCH_MAX 8 /* sources that watch */

struct domu_watch;

/*
 * *w is NULL where there is nothing to be watched (no Xen), or no memory for it.  A source that cannot watch is a
 * warning: the verdict before a commit is what decides.
 */
void domu_watch_open(struct domu_ctx *ctx, struct domu_watch **w);
void domu_watch_close(struct domu_watch *w); /* w may be NULL */
/* Descriptors that become readable when there is something to look at; how many. */
size_t domu_watch_fds(const struct domu_watch *w, int fds[DOMU_WATCH_MAX]);
/*
 * Did anything come since the last look?  Never waits.  A source of which nothing will come any more is a warning,
 * once, and then left out.
 */
bool domu_watch_look(struct domu_watch *w);

#endif
