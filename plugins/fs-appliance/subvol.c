/* SPDX-License-Identifier: GPL-3.0-or-later */
/* subvol.c - which directory a subvolume of btrfs is: the kernel of the appliance is asked. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#define TOP 5 /* BTRFS_FS_TREE_OBJECTID, which app_mount() mounts */

/* mountinfo has \040 for a space.  In place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s != '\0')
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	*to = '\0';
}

/* Mounts it once more, elsewhere, and reads what of the filesystem that shows (proc(5): the fourth field). */
static char *shown_root(struct domu_fs *fs, uint64_t id)
{
	struct app_fs *a = app(fs);
	char command[512], which[48] = "";
	char *line;

	if (id != 0)
		snprintf(which, sizeof which, ",subvolid=%" PRIu64, id);
	snprintf(command, sizeof command,
	         "mkdir -p /tmp%s && mount -t btrfs -o ro,noatime%s %s /tmp%s && "
	         "{ while read -r a b c root at rest; do [ \"$at\" != /tmp%s ] || echo \"$root\"; done "
	         "</proc/self/mountinfo; umount /tmp%s; }",
	         a->mount, which, a->device, a->mount, a->mount, a->mount);
	line = guest_shell(a->guest, command);
	if (line == NULL)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	unescape(line);
	return line;
}

int app_subvolume(struct domu_fs *fs, uint64_t id, uint64_t *ino)
{
	struct domu_stat st = { .ino = fs->root };
	char *path, *name, *rest;
	int rc;

	if (strcmp(fs->probe.type, "btrfs") != 0)
		return -EOPNOTSUPP;
	rc = app_mount(fs);
	*ino = fs->root;
	if (rc != 0 || id == TOP)
		return rc;
	path = shown_root(fs, id);
	if (path == NULL || path[0] != '/')
		rc = -ENOENT;
	for (name = rest = path; rc == 0 && (name = strsep(&rest, "/")) != NULL;)
		if (name[0] != '\0')
			rc = app_look(fs, st.ino, name, &st);
	free(path);
	*ino = st.ino;
	return rc;
}
