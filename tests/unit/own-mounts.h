/* SPDX-License-Identifier: GPL-3.0-or-later */
/* own-mounts.h - a mount namespace of the test's own. */
#ifndef OWN_MOUNTS_H
#define OWN_MOUNTS_H

#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>

/*
 * A namespace that some other process makes meanwhile would keep a copy of what is mounted here: the filesystem stays
 * mounted then, not written back, and its loop busy, after an umount.  False: not root, or none can be had.
 */
static inline bool own_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

#endif
