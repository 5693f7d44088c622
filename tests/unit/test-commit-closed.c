/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-closed.c - what the kernel, e2fsck and blkid make of a closed disk, and of one that was opened again. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit-rig.h"
#include "own-mounts.h"

#define EDIT "rm /etc/hostname\nwrite script /etc/hostname\nmkdir /var"

static void check_closed(const struct rig *r, const char *uuid)
{
	char copy[128];

	snprintf(copy, sizeof copy, "%s/closed", r->dir);
	rig_copy(r->disk[0], copy);
	cr_assert(rig_run("e2fsck -p %s >/dev/null 2>&1", copy) >= 8);
	cr_assert(rig_run("e2fsck -y %s >/dev/null 2>&1", copy) >= 8);
	cr_assert(rig_run("e2fsck -fy %s >/dev/null 2>&1", copy) >= 8);
	cr_assert(rig_same(r->disk[0], copy), "e2fsck changed a closed disk");
	cr_assert(rig_run("test \"$(blkid -p -o value -s UUID %s)\" = \"$(cat %s)\"", copy, uuid) == 0);
	if (geteuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0) {
		cr_assert(rig_run("mkdir -p %s/mnt; mount -o loop %s %s/mnt 2>/dev/null && umount %s/mnt", r->dir, copy,
		                  r->dir, r->dir) != 0,
		          "the kernel mounted a closed disk");
		cr_assert(rig_run("mkdir -p %s/mnt; mount -o loop,ro,noload %s %s/mnt 2>/dev/null && umount %s/mnt",
		                  r->dir, copy, r->dir, r->dir) != 0,
		          "the kernel mounted a closed disk read-only");
		cr_assert(rig_same(r->disk[0], copy), "the kernel changed a closed disk");
	}
}

static void check_open(const struct rig *r, const char *name)
{
	cr_assert(rig_run("e2fsck -fn %s >/dev/null 2>&1", r->disk[0]) == 0);
	if (geteuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0) {
		char copy[128];

		snprintf(copy, sizeof copy, "%s/opened", r->dir);
		rig_copy(r->disk[0], copy);
		cr_assert(rig_run("mount -o loop,ro %s %s/mnt && test -e %s/mnt/%s; s=$?; umount %s/mnt; exit $s", copy,
		                  r->dir, r->dir, name, r->dir) == 0);
	}
}

static void closed_and_opened(const char *mke2fs)
{
	struct rig r;
	char after[128], before[128], uuid[128], id[DOMU_ID_LEN + 1];
	enum domu_recover_result result = DOMU_RECOVER_NOTHING;
	unsigned n, calls, seen = 0;
	struct domu_stage *s;

	own_mounts();
	rig_open(&r, 1, mke2fs, "8M");
	snprintf(after, sizeof after, "%s/after", r.dir);
	snprintf(before, sizeof before, "%s/before", r.dir);
	snprintf(uuid, sizeof uuid, "%s/uuid", r.dir);
	rig_copy(r.disk[0], before);
	rig_edit(&r, 0, after, EDIT);
	cr_assert(rig_run("blkid -p -o value -s UUID %s >%s && test -s %s", r.disk[0], uuid, uuid) == 0);
	s = rig_stage(&r);
	rig_write(&r, s, 0, after);
	rig_io_reset();
	cr_assert(rig_commit(&r, s, NULL) == 0);
	calls = rig_io.calls;
	for (unsigned at = calls / 2; at <= calls; at++) {
		uint8_t sector[512];

		rig_run("rm -rf %s", r.state);
		rig_copy(before, r.disk[0]);
		rig_io_reset();
		rig_reopen(&r);
		s = rig_stage(&r);
		rig_write(&r, s, 0, after);
		rig_io_reset();
		rig_io.fail_at = at;
		rig_io.tear = true;
		rig_commit(&r, s, NULL);
		rig_io_reset();
		rig_reopen(&r);
		cr_assert(domu_pread_full(r.fd[0], sector, sizeof sector, 1024) == 0);
		if (!domu_door_is_closed(sector, sizeof sector, id))
			continue;
		check_closed(&r, uuid);
		cr_assert(rig_recover(&r, &result, &n) == 0 && result == DOMU_RECOVER_APPLIED);
		cr_assert(rig_same(r.disk[0], after));
		check_open(&r, "var");
		seen++;
	}
	cr_assert(seen > 2, "%u", seen);
	rig_close(&r);
}

Test(closed, ext4_with_metadata_csum_is_refused_by_everything)
{
	closed_and_opened("-t ext4 -O metadata_csum");
}

Test(closed, ext4_without_metadata_csum_is_refused_by_everything)
{
	closed_and_opened("-t ext4 -O ^metadata_csum,^64bit");
}

Test(closed, ext4_with_checksum_seed_is_refused_by_everything)
{
	closed_and_opened("-t ext4 -b 1024 -O metadata_csum,metadata_csum_seed,inline_data");
}

Test(closed, ext3_is_refused_by_everything)
{
	closed_and_opened("-t ext3 -I 256");
}

Test(closed, ext2_is_refused_by_everything)
{
	closed_and_opened("-t ext2");
}

/* Under a number that nobody else takes while it is free for a moment. */
static bool attach(const char *file, char dev[64])
{
	for (unsigned i = 0; i < 8 && geteuid() == 0; i++) {
		snprintf(dev, 64, "/dev/loop%u", 2000 + 8 * ((unsigned)getpid() % 1000) + i);
		if (access(dev, F_OK) != 0 && rig_run("losetup %s %s 2>/dev/null", dev, file) == 0)
			return true;
	}
	return false;
}

/* Whoever looks at it just now keeps it for a moment. */
static bool detach(const char *dev)
{
	return rig_run("losetup -d %s && for i in $(seq 1200); do test -e /sys/block/%s/loop/backing_file || exit 0; "
	               "sleep 0.1; done; exit 1",
	               dev, dev + 5) == 0;
}

/* The disk becomes a loop device; no other name for it is kept. */
static void use_device(struct rig *r, const char *dev)
{
	snprintf(r->disk[0], sizeof r->disk[0], "%s", dev);
	close(r->fd[0]);
	r->fd[0] = open(dev, O_RDWR | O_EXCL | O_CLOEXEC);
	cr_assert(r->fd[0] >= 0);
	r->disks[0].fd = r->fd[0];
}

Test(device, that_got_another_number_is_recovered_and_another_under_its_name_is_not)
{
	struct rig r;
	char file[128], copy[128], after[128], before[128], first[64], second[64];
	enum domu_recover_result result = DOMU_RECOVER_NOTHING;
	unsigned n;
	struct domu_stage *s;
	int rc;

	rig_open(&r, 1, "-t ext4 -b 1024 -N 16 -O ^has_journal", "1M");
	snprintf(file, sizeof file, "%s", r.disk[0]);
	snprintf(copy, sizeof copy, "%s/copy", r.dir);
	snprintf(after, sizeof after, "%s/after", r.dir);
	snprintf(before, sizeof before, "%s/before", r.dir);
	rig_copy(file, before);
	rig_edit(&r, 0, after, EDIT);
	if (!attach(file, first)) {
		rig_close(&r);
		cr_skip_test("no loop devices here");
	}
	use_device(&r, first);
	s = rig_stage(&r);
	for (size_t i = 0; i < 1; i++)
		cr_expect(strncmp(domu_stage_info(s)->disks[i].by_id, "loop:", 5) == 0);
	{
		size_t len, m;
		uint8_t *is = rig_read(before, &len), *to = rig_read(after, &m);

		for (size_t i = 0; i < len; i += DOMU_UNIT)
			if (memcmp(is + i, to + i, DOMU_UNIT) != 0)
				rig_put(&r, s, 0, i, to + i, DOMU_UNIT);
		r.disks[0].size = len;
		free(is);
		free(to);
	}
	rig_io_reset();
	rig_io.disk_fd = r.fd[0];
	rig_io.fail_write = 3; /* the first closes the door */
	rc = rig_commit(&r, s, NULL);
	rig_io_reset();
	domu_error_clear(&r.ctx);
	cr_expect(rc < 0);
	/* Its file under another number, a copy under the old one. */
	rig_copy(file, copy);
	close(r.fd[0]);
	cr_expect(detach(first));
	cr_expect(rig_run("losetup %s %s", first, copy) == 0);
	cr_expect(attach(file, second));
	r.fd[0] = open(first, O_RDWR | O_CLOEXEC);
	r.disks[0].fd = r.fd[0];
	cr_expect(rig_recover(&r, &result, &n) == -ESTALE && n == 1);
	domu_error_clear(&r.ctx);
	use_device(&r, second);
	cr_expect(rig_recover(&r, &result, &n) == 0 && n == 1, "%s", r.ctx.error.message);
	cr_expect(result == DOMU_RECOVER_APPLIED);
	close(r.fd[0]);
	rig_run("losetup -d %s; losetup -d %s", first, second);
	cr_expect(rig_same(file, after));
	r.fd[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	rig_close(&r);
}

Test(closed, sector_says_who_closed_it)
{
	uint8_t sector[4096] = { 0 };
	char id[DOMU_ID_LEN + 1];

	sector[1024 + 56] = 0x53;
	sector[1024 + 57] = 0xef;
	cr_assert(!domu_door_is_closed(sector, sizeof sector, id));
	cr_assert(rig_door_close(sector, sizeof sector, "20260102T030405-1a2b3c") == 0);
	cr_assert(domu_door_is_closed(sector, sizeof sector, id));
	cr_assert_str_eq(id, "20260102T030405-1a2b3c");
	memcpy(sector + 1024 + 136, "/", 2);
	cr_assert(domu_door_is_closed(sector, sizeof sector, id));
	cr_assert_str_eq(id, "");
	cr_assert(!domu_door_is_closed(sector, 64, id));
}
