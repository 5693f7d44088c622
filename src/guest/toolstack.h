/* SPDX-License-Identifier: GPL-3.0-or-later */
/* toolstack.h - toolstacks other than xl on this host: which are there, which guests they keep. */
#ifndef DOMU_TOOLSTACK_H
#define DOMU_TOOLSTACK_H

#include "guest/guest.h"

/* A guest that another toolstack keeps.  Its disks are paths of this host, where script and backend are NULL. */
struct domu_kept {
	struct domu_guest *guest;
	char *autostart; /* through what the toolstack starts it with the machine; NULL: not, as far as can be seen */
};

struct domu_toolstack {
	const char *name; /* "libvirt", "Qubes", "XAPI" */
	const char *stop, *kill, *resume; /* the commands that take a guest's name */
	char *place; /* by what it was recognized */
	char *control; /* XAPI: what it calls this Dom0, or NULL */
	struct domu_kept *v; /* XAPI's are in its database: none here */
	size_t n;
};

#define DOMU_TOOLSTACKS 3

struct domu_toolstacks {
	struct domu_toolstack v[DOMU_TOOLSTACKS];
	size_t n;
};

/*
 * root: before every path that is looked at ("": this host).  -ENOMEM.  A file that cannot be understood
 * is passed over with a warning.
 */
int domu_toolstacks_read(struct domu_ctx *ctx, const char *root, struct domu_toolstacks *out);
void domu_toolstacks_free(struct domu_toolstacks *ts);
/* The toolstack that keeps a guest of that name, XAPI (which may keep any) last; *kept NULL: XAPI's.  NULL: none. */
const struct domu_toolstack *domu_toolstack_of(const struct domu_toolstacks *ts, const char *name,
                                               const struct domu_kept **kept);
/*
 * The next command to type for a guest of it: "domu-rescue --disk /dev/vg/web1 shell", or what has to be done
 * before.  kept NULL: of a guest that is only known by its name, or in general (name NULL).  NULL: no memory.
 */
char *domu_toolstack_next(const struct domu_toolstack *t, const struct domu_kept *kept, const char *name);
/* As a shell takes it.  NULL: no memory. */
char *domu_shell_quote(const char *word);

#endif
