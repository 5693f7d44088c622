/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check-disk.c - is the disk still what was opened, and has another domu-rescue got it? */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "guest/check.h"

void domu_check_resolve(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a)
{
	struct stat st;
	int rc;

	(void)v;
	(void)r;
	rc = b->disk->path == NULL ? -ENOENT : stat(b->disk->path, &st) < 0 ? -errno : 0;
	if (rc == -EACCES)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "what %s is now cannot be seen: run as root", b->disk->path);
	else if (rc < 0)
		domu_answer(a, DOMU_CHECK_FAIL, "%s is gone: %s", b->path, strerror(-rc));
	else if (b->is_device ? !S_ISBLK(st.st_mode) || st.st_rdev != b->dev
	                      : st.st_dev != b->dev || st.st_ino != b->inode)
		domu_answer(a, DOMU_CHECK_FAIL, "%s is not the disk any more that was opened", b->disk->path);
}

void domu_check_own_lock(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                         struct domu_answer *a)
{
	char owner[512];
	bool idle;
	int rc = domu_lock_owner(b, owner, sizeof owner, &idle);

	(void)r;
	/* A shell in which nothing was changed yet is of no interest to a reader. */
	if (rc > 0 && idle && v->depth == DOMU_VERDICT_READ)
		return;
	if (rc > 0)
		domu_answer(a, DOMU_CHECK_FAIL, "another domu-rescue %s (%s)",
		            idle ? "has it open for changes" : "is changing it", owner);
	else if (rc < 0)
		domu_answer(a, DOMU_CHECK_UNKNOWN,
		            "whether another domu-rescue has it cannot be seen (its lock in %s/locks: %s): run as root",
		            b->state_dir, strerror(-rc));
}

void domu_check_unchanged(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                          struct domu_answer *a)
{
	struct stat st;

	(void)v;
	(void)r;
	if (!b->is_device && (fstat(b->fd, &st) < 0 || (uint64_t)st.st_size != b->size))
		domu_answer(a, DOMU_CHECK_FAIL, "its size has changed since it was opened (%llu bytes)",
		            (unsigned long long)b->size);
}
