/* SPDX-License-Identifier: GPL-3.0-or-later */
/* describe.c - what confines the worker on this kernel, for people. */
#include "config.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fence/fence.h"

static void say(domu_line_fn fn, void *user, const char *what, bool on, const char *why_not)
{
	char text[160];

	snprintf(text, sizeof text, "%-28s %s", what, on ? "yes" : why_not);
	fn(user, text);
}

int domu_fence_describe(domu_line_fn fn, void *user)
{
	bool root = geteuid() == 0;
	char uid[64];

	snprintf(uid, sizeof uid, "own uid and gid (%d)", DOMU_WORKER_UID);
	say(fn, user, uid, root, "no: not started by root");
	say(fn, user, "empty root folder", root, "no: not started by root");
	say(fn, user, "no capabilities", true, "");
	say(fn, user, "empty bounding set", root, "no: not started by root");
	say(fn, user, "no new privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0, "no: the kernel is too old");
	say(fn, user, "disks opened read-only", true, "");
	say(fn, user, "no other descriptors", true, "");
#ifdef DOMU_SANITIZED
	say(fn, user, "limit of memory", false, "no: built with sanitizers");
	say(fn, user, "no new processes", false, "no: built with sanitizers");
#else
	say(fn, user, "limit of memory", true, "");
	say(fn, user, "no new processes", true, "");
#endif
	say(fn, user, "ends with the program", true, "");
	say(fn, user, "filter of system calls", false, "no: not built in");
	say(fn, user, "Landlock", false, "no: not built in");
	say(fn, user, "programs: FUSE export", root && access("/dev/fuse", R_OK | W_OK) == 0,
	    root ? "no: /dev/fuse cannot be opened" : "no: not started by root");
	return 0;
}
