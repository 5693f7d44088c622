/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-commit-identity.c - which file is the same disk later: births, moves, copies, and states without births. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "commit-rig.h"
#include "own-mounts.h"

#define EXT4 "-t ext4 -b 1024 -N 16 -O ^has_journal"

static struct domu_identity made(struct rig *r, const char *path)
{
	struct domu_identity id;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	cr_assert(fd >= 0 && domu_identity_make(&r->ctx, fd, path, "xvda", &id) == 0, "%s", path);
	close(fd);
	return id;
}

static enum domu_likeness like(const struct domu_identity *id, const char *path)
{
	struct domu_identity now;
	enum domu_likeness l;

	domu_identity_of_path(path, &now);
	l = domu_identity_like(id, &now);
	domu_identity_free(&now);
	return l;
}

static int checked(struct rig *r, const struct domu_identity *id, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	cr_assert(fd >= 0);
	rc = domu_identity_check(&r->ctx, DOMU_UNRECOVERED, id, id->size, fd);
	domu_error_clear(&r->ctx);
	close(fd);
	return rc;
}

/* The kernel stamps files with a clock that stands still for some milliseconds. */
static void wait_for_a_tick(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_REALTIME_COARSE, &a);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &b);
	while (a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec);
}

/* Two files of the same number and size, on two file systems that were just made. */
static bool twins(struct rig *r, char a[128], char b[128])
{
	struct stat x, y;

	if (!own_mounts())
		return false;
	for (int i = 0; i < 2; i++) {
		char *path = i == 0 ? a : b;

		snprintf(path, 128, "%s/fs%d", r->dir, i);
		if (mkdir(path, 0700) < 0 || mount("tmpfs", path, "tmpfs", 0, NULL) < 0)
			return false;
		snprintf(path, 128, "%s/fs%d/disk", r->dir, i);
		cr_assert(rig_run("truncate -s 1M %s", path) == 0);
		wait_for_a_tick();
	}
	cr_assert(stat(a, &x) == 0 && stat(b, &y) == 0);
	cr_assert(x.st_ino == y.st_ino && x.st_size == y.st_size && x.st_dev != y.st_dev, "they are no twins");
	return true;
}

Test(identity, tells_the_same_inode_number_on_two_file_systems_apart)
{
	struct domu_identity id;
	char a[128], b[128];
	struct rig r;

	rig_open(&r, 0, "", "0");
	if (!twins(&r, a, b)) {
		rig_close(&r);
		cr_skip_test("nothing can be mounted here");
	}
	id = made(&r, a);
	cr_assert(id.btime != 0, "tmpfs does not tell births here");
	cr_expect(like(&id, a) == DOMU_SAME_DISK);
	cr_expect(like(&id, b) == DOMU_OTHER_DISK);
	cr_expect(checked(&r, &id, a) == 0);
	cr_expect(checked(&r, &id, b) == -ESTALE);
	/* As a state written by an older version has it: the number and one thing more. */
	id.btime = 0;
	cr_expect(like(&id, a) == DOMU_SAME_DISK);
	cr_expect(like(&id, b) == DOMU_SAME_DISK);
	domu_identity_free(&id);
	rig_run("umount %s/fs0 %s/fs1", r.dir, r.dir);
	rig_close(&r);
}

Test(identity, is_kept_by_a_move_and_by_growing_and_not_by_a_copy)
{
	struct domu_identity id;
	char moved[128], copy[128];
	struct rig r;

	rig_open(&r, 1, EXT4, "1M");
	snprintf(moved, sizeof moved, "%s/moved", r.dir);
	snprintf(copy, sizeof copy, "%s/copy", r.dir);
	id = made(&r, r.disk[0]);
	cr_assert(rig_run("cp -a %s %s && mv %s %s && truncate -s 2M %s", r.disk[0], copy, r.disk[0], moved, moved) ==
	          0);
	cr_expect(like(&id, moved) == DOMU_SAME_DISK);
	cr_expect(like(&id, copy) == DOMU_OTHER_DISK);
	cr_expect(like(&id, r.disk[0]) == DOMU_SAME_PATH, "it is gone, and known by its name alone");
	cr_assert(rig_run("mv %s %s", copy, r.disk[0]) == 0);
	cr_expect(like(&id, r.disk[0]) == DOMU_REPLACED, "another file has its name");
	domu_identity_free(&id);
	rig_close(&r);
}

Test(identity, of_a_path_that_is_gone_has_its_folder_resolved)
{
	struct domu_identity id;
	char link[160], want[160];
	struct rig r;

	rig_open(&r, 0, "", "0");
	snprintf(want, sizeof want, "%s/real/gone", r.dir);
	cr_assert(rig_run("mkdir %s/real && ln -s real %s/link", r.dir, r.dir) == 0);
	snprintf(link, sizeof link, "%s/link/gone", r.dir);
	cr_assert(domu_identity_of_path(link, &id) == -ENOENT);
	cr_assert_str_eq(id.path, want);
	domu_identity_free(&id);
	rig_close(&r);
}

static int parsed(const char *btime, struct domu_meta *m)
{
	char json[512];

	snprintf(
	    json, sizeof json,
	    "{\"format\":1,\"id\":\"20260102T030405-1a2b3c\",\"pid\":1,\"time\":1,\"blocks\":0,\"bytes\":0,"
	    "\"no_undo\":false,\"disks\":[{\"vdev\":\"xvda\",\"path\":\"/d\",\"size\":1,\"dev\":2,\"inode\":3%s}]}",
	    btime);
	return domu_meta_parse(json, strlen(json), m);
}

Test(identity, in_a_description_may_have_no_birth_but_not_a_senseless_one)
{
	static const char *const senseless[] = { ",\"btime\":\"x\"", ",\"btime\":null", ",\"btime\":[]",
		                                 ",\"btime\":1.5" };
	struct domu_meta m, again;
	char *json = NULL;
	size_t len = 0;

	cr_assert(parsed("", &m) == 0 && m.info.disks[0].btime == 0);
	cr_assert(domu_meta_format(&m, &json, &len) == 0 && strstr(json, "btime") == NULL);
	free(json);
	domu_meta_free(&m);
	cr_assert(parsed(",\"btime\":1795621941894532234", &m) == 0);
	cr_assert(m.info.disks[0].btime == UINT64_C(1795621941894532234));
	cr_assert(domu_meta_format(&m, &json, &len) == 0 && domu_meta_parse(json, len, &again) == 0);
	cr_expect(again.info.disks[0].btime == m.info.disks[0].btime);
	free(json);
	domu_meta_free(&m);
	domu_meta_free(&again);
	for (size_t i = 0; i < sizeof senseless / sizeof *senseless; i++)
		cr_expect(parsed(senseless[i], &m) == -EBADMSG, "%s", senseless[i]);
}

/* Closed: the commit is cut after its first writes to the disk. */
static void cut_short(struct rig *r, const char *after)
{
	struct domu_stage *s;

	rig_edit(r, 0, after, "rm /etc/hostname\nwrite script /etc/hostname\nmkdir /var");
	s = rig_stage(r);
	rig_write(r, s, 0, after);
	rig_io_reset();
	rig_io.disk_fd = r->fd[0];
	rig_io.fail_write = 3; /* the first closes the door */
	cr_assert(rig_commit(r, s, NULL) < 0);
	rig_io_reset();
}

/* The births of a seal as an older version leaves them: not there. */
static void forget_births(struct rig *r, const char *id)
{
	char *path = domu_state_path(r->st, "pending", id, "seal");
	struct domu_seal s;
	int fd;

	cr_assert(domu_seal_load(&r->ctx, path, &s) == 0);
	cr_assert(s.meta.info.disks[0].btime != 0);
	s.meta.info.disks[0].btime = 0;
	fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
	cr_assert(fd >= 0 && domu_seal_write(&r->ctx, fd, &s) == 0);
	close(fd);
	domu_seal_free(&s);
	cr_assert(rig_run("grep -q '\"inode\"' %s && ! grep -q btime %s", path, path) == 0);
	free(path);
}

Test(older, seal_is_recovered_also_after_a_move)
{
	struct rig r;
	char after[128], moved[96], id[DOMU_ID_LEN + 1];
	enum domu_recover_result result;
	struct domu_commit_info *v;
	unsigned done;
	size_t n;

	rig_open(&r, 1, EXT4, "1M");
	snprintf(after, sizeof after, "%s/after", r.dir);
	snprintf(moved, sizeof moved, "%s/moved", r.dir);
	cut_short(&r, after);
	rig_reopen(&r);
	cr_assert(domu_state_list(r.st, NULL, true, &v, &n) == 0 && n == 1);
	snprintf(id, sizeof id, "%s", v[0].id);
	domu_state_list_free(v, n);
	forget_births(&r, id);
	cr_assert(rig_run("mv %s %s", r.disk[0], moved) == 0);
	snprintf(r.disk[0], sizeof r.disk[0], "%s", moved);
	rig_reopen(&r);
	cr_assert(domu_state_list(r.st, moved, true, &v, &n) == 0 && n == 1);
	domu_state_list_free(v, n);
	cr_assert(rig_recover(&r, &result, &done) == 0 && done == 1, "%s", r.ctx.error.message);
	cr_expect(result == DOMU_RECOVER_APPLIED);
	cr_expect(rig_same(r.disk[0], after));
	rig_close(&r);
}
