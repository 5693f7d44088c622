/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mount.c - a filesystem of the disk found and mounted in the appliance: read-only until the first change. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#define DISK   "/dev/disk/guestfs/" GUEST_LABEL
#define SECTOR 512 /* bytes: what sysfs counts in */

/*
 * The partition that begins there, as the appliance's kernel lists them: its
 * name for the disk is sda or sdb, as it happens, so the disk has a label.
 * libguestfs' own question would open the disk for writing, whereupon udev
 * reads the table again and takes the partitions away for a moment.
 */
static void find_partition(struct app_fs *a, const struct domu_appliance_target *t)
{
	char *out = guest_shell(a->guest, "udevadm settle; d=$(basename $(readlink -f " DISK ")); "
	                                  "cd /sys/block/$d && for p in $d*; do "
	                                  "echo $(cat $p/partition $p/start $p/size); done");
	char *line = out, *next;

	for (; line != NULL && *line != '\0'; line = next) {
		unsigned number;
		uint64_t start, size;

		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (sscanf(line, "%u %" SCNu64 " %" SCNu64, &number, &start, &size) == 3 &&
		    start == t->offset / SECTOR && size == t->size / SECTOR)
			snprintf(a->device, sizeof a->device, DISK "%u", number);
	}
	free(out);
}

/* Where the kernel of the appliance sees no such partition: a loop device in the appliance. */
int app_find_device(struct domu_fs *fs, const struct domu_appliance_target *t)
{
	struct app_fs *a = app(fs);
	char command[160];
	char *out;

	if (t->offset == 0 && t->size == t->disk_size) {
		snprintf(a->device, sizeof a->device, DISK);
		return 0;
	}
	find_partition(a, t);
	if (a->device[0] != '\0')
		return 0;
	snprintf(command, sizeof command, "losetup -f --show -o %" PRIu64 " --sizelimit %" PRIu64 " " DISK, t->offset,
	         t->size);
	out = guest_shell(a->guest, command);
	if (out != NULL && sscanf(out, "%31s", a->device) == 1 && strncmp(a->device, "/dev/loop", 9) == 0) {
		free(out);
		return 0;
	}
	free(out);
	a->device[0] = '\0';
	return domu_fail(fs->ctx, DOMU_FAILED, -ENODEV, "%s: the appliance does not find it at offset %" PRIu64,
	                 fs->block->name, t->offset);
}

int app_mount(struct domu_fs *fs)
{
	struct app_fs *a = app(fs);
	struct guest *g = a->guest;

	if (a->mounted)
		return 0;
	if (g->lib.mount_options(g->g, a->options, a->device, a->mount) != 0)
		return domu_fail(fs->ctx, DOMU_FAILED, -EIO, "%s: the appliance's kernel does not mount it: %.300s",
		                 fs->block->name, g->lib.last_error(g->g));
	a->mounted = true;
	a->rw = false;
	a->age++;
	return 0;
}

int app_unmount(struct domu_fs *fs)
{
	struct app_fs *a = app(fs);
	struct guest *g = a->guest;

	if (!a->mounted)
		return 0;
	a->mounted = false;
	if (g->lib.umount_opts(g->g, a->mount, -1) != 0)
		return domu_fail(fs->ctx, DOMU_FAILED, -EIO, "%s: the appliance cannot unmount it: %.300s",
		                 fs->block->name, g->lib.last_error(g->g));
	return 0;
}

int app_writable(struct domu_fs *fs)
{
	struct app_fs *a = app(fs);
	struct guest *g = a->guest;
	int rc = app_mount(fs);

	a->age++;
	if (rc != 0 || a->rw)
		return rc;
	if (!fs->writable)
		return domu_fail(fs->ctx, DOMU_FAILED, -EROFS, "%s: opened read-only", fs->block->name);
	if (g->lib.remount(g->g, a->mount, GUESTFS_REMOUNT_RW, 1, -1) != 0)
		return domu_fail(fs->ctx, DOMU_FAILED, -EROFS, "%s: the appliance cannot write to it: %.300s",
		                 fs->block->name, g->lib.last_error(g->g));
	a->rw = true;
	return 0;
}

/* Read-only again: everything is on the disk then, and the journal is empty. */
int app_flush(struct domu_fs *fs)
{
	struct app_fs *a = app(fs);
	struct guest *g = a->guest;

	if (!a->mounted || !a->rw)
		return 0;
	if (g->lib.sync(g->g) != 0 || g->lib.remount(g->g, a->mount, GUESTFS_REMOUNT_RW, 0, -1) != 0)
		return domu_fail(fs->ctx, DOMU_FAILED, -EIO,
		                 "%s: the appliance cannot write back what it holds: %.300s", fs->block->name,
		                 g->lib.last_error(g->g));
	a->rw = false;
	return 0;
}

static const char *options(const char *type, unsigned flags)
{
	bool unreplayed = (flags & DOMU_FS_UNREPLAYED) != 0;

	if (strcmp(type, "xfs") == 0)
		return unreplayed ? "ro,norecovery,nouuid" : "ro,noatime,nouuid";
	if (strcmp(type, "btrfs") == 0)
		return unreplayed ? "ro,rescue=nologreplay,subvolid=5" : "ro,noatime,subvolid=5";
	if (strncmp(type, "ext", 3) == 0)
		return unreplayed ? "ro,noload" : "ro,noatime";
	return "ro,noatime";
}

static int find_root(struct domu_fs *fs)
{
	struct app_fs *a = app(fs);
	struct guest *g = a->guest;
	struct guestfs_statns *st = g->lib.lstatns(g->g, a->mount);
	struct domu_stat root;
	int rc;

	if (st == NULL)
		return guest_fail(fs, "read", "/");
	rc = app_take_stat(fs, st, &root);
	g->lib.free_statns(st);
	if (rc != 0)
		return rc;
	fs->root = root.ino;
	return 0;
}

int app_open(struct domu_ctx *ctx, struct domu_block *b, unsigned flags, struct domu_fs **out)
{
	const struct domu_appliance_target *t = domu_appliance_target(b);
	struct domu_fs *fs = NULL;
	struct app_fs *a = NULL;
	struct guest *g;
	int rc;

	*out = NULL;
	if (t == NULL)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: only the appliance opens it", b->name);
	rc = guest_get(ctx, t, &g);
	if (rc != 0 || t->type == NULL)
		return rc;
	fs = calloc(1, sizeof *fs);
	a = calloc(1, sizeof *a);
	if (fs == NULL || a == NULL) {
		free(fs);
		free(a);
		return domu_fail(ctx, DOMU_FAILED, -ENOMEM, "out of memory");
	}
	fs->ops = &app_ops;
	fs->ctx = ctx;
	fs->block = b;
	fs->priv = a;
	fs->writable = (flags & DOMU_FS_WRITE) != 0 && t->writable;
	snprintf(fs->probe.type, sizeof fs->probe.type, "%s", t->type);
	a->guest = g;
	a->options = options(t->type, flags);
	pthread_mutex_lock(&g->lock);
	snprintf(a->mount, sizeof a->mount, "/fs%u", ++g->mounts);
	pthread_mutex_unlock(&g->lock);
	rc = app_find_device(fs, t);
	if (rc == 0 && g->lib.mkmountpoint(g->g, a->mount) != 0)
		rc = guest_fail(fs, "make", a->mount);
	if (rc == 0)
		rc = app_mount(fs);
	if (rc == 0)
		rc = find_root(fs);
	if (rc != 0) {
		app_close(fs);
		return rc;
	}
	*out = fs;
	return 0;
}

int app_close(struct domu_fs *fs)
{
	struct app_fs *a = app(fs);
	struct guest *g = a->guest;
	char command[96];
	int rc = app_flush(fs), r;

	r = app_unmount(fs);
	rc = rc != 0 ? rc : r;
	g->lib.rmmountpoint(g->g, a->mount);
	if (strncmp(a->device, "/dev/loop", 9) == 0) {
		snprintf(command, sizeof command, "losetup -d %s", a->device);
		free(guest_shell(g, command));
	}
	names_free(&a->names);
	free(a);
	free(fs);
	return rc;
}
