/* SPDX-License-Identifier: GPL-3.0-or-later */
/* owners.h - to whom a guest's disks belong beside it, shown: other guests, other toolstacks, what starts them. */
#ifndef DOMU_SHELL_OWNERS_H
#define DOMU_SHELL_OWNERS_H

#include "guest/owners.h"
#include "shell/cmd.h"

/* For the guest of a session.  domu_owners_free() it. */
int domu_app_owners(struct domu_app *app, struct domu_session *s, struct domu_owners *o);
/* A warning for each guest that shares a disk.  A bare disk belongs to whoever has it: only when that are several. */
void domu_owners_warn(struct domu_ctx *ctx, const struct domu_guest *g, const struct domu_owners *o);
/* The same before something is changed, once a session.  A batch does not: it would read every config each time. */
int domu_app_warn_owners(struct domu_app *app, struct domu_session *s);
/* "shared" and "starters" of JSON, and as lines. */
int domu_owners_show(struct domu_out *out, const struct domu_guest *g, const struct domu_owners *o);

/* For list: disks that several configs name, by their paths alone; and the toolstacks beside xl, with their guests. */
void domu_list_shared(struct domu_ctx *ctx, const struct domu_guests *all);
int domu_list_toolstacks(struct domu_run *r, const struct domu_where *where);

#endif
