/* SPDX-License-Identifier: GPL-3.0-or-later */
/* owners.h - who else a guest's disks belong to: other guests' configs that name them, and what starts any of these. */
#ifndef DOMU_OWNERS_H
#define DOMU_OWNERS_H

#include "guest/inuse.h"

/* Another guest that has one of our disks.  Nobody uses it for that: but both could be started. */
struct domu_share {
	char disk[32]; /* what it is to us */
	char vdev[32]; /* what it is to the other */
	char *guest, *source; /* the other's name, and the file that says so */
	bool readonly; /* the other only reads it */
};

/* What starts a guest without being asked. */
struct domu_starter {
	const char *by; /* "xendomains", "libvirt", "Qubes", "XAPI" */
	char *guest; /* whom */
	char *through; /* the link, or the command that shows more */
	bool sure; /* false: whether it does cannot be seen from here */
};

struct domu_owners {
	struct domu_share *shares;
	size_t n_shares;
	struct domu_starter *starters;
	size_t n_starters;
};

/*
 * Reads every config and those of other toolstacks: not for commands that only read.  root: before the paths of what
 * starts guests and of other toolstacks ("": this host).  Domains that run are the verdict's.  -ENOMEM.
 */
int domu_owners_find(struct domu_ctx *ctx, const struct domu_where *where, const char *root, const struct domu_guest *g,
                     const struct domu_backing *backings, size_t n, struct domu_owners *out);
void domu_owners_free(struct domu_owners *o);

#endif
