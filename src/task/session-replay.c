/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-replay.c - the journal that a crashed guest left, replayed by e2fsck in the stage or a passing layer. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "task/session-impl.h"

struct heard {
	struct domu_session *s;
	bool failed; /* e2fsck says so, and ends with 0 */
};

static void log_line(void *user, const char *line)
{
	struct heard *h = user;

	h->failed = h->failed || strstr(line, "while recovering journal") != NULL;
	domu_say(h->s->ctx, DOMU_DEBUG, "%s", line);
}

static int cannot_replay(struct domu_session *s, const char *disk)
{
	return domu_fail(
	    s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
	    "the journal on %s has what the e2fsck of this host cannot replay, and it would be lost: start the "
	    "guest, or use --engine guestfs; domu-rescue fsck -y %s drops it",
	    disk, domu_guest_shown(s->guest));
}

static struct domu_program on_shown(const struct domu_shown *shown, struct heard *heard)
{
	return (struct domu_program){ .stack = shown->stack,
		                      .offset = shown->offset,
		                      .size = shown->size,
		                      .writable = true,
		                      .line = log_line,
		                      .user = heard };
}

/*
 * The journal of a filesystem is replayed in the top layer of what is shown.  Where
 * e2fsck fails half way it empties the journal all the same, and ends with 0:
 * what it wrote is cut off again.
 */
int domu_session_replay_journal(struct domu_session *s, const struct domu_shown *shown, const char *type,
                                const char *disk)
{
	const struct domu_fs_ops *ops = domu_fs_driver(type);
	struct heard heard = { .s = s };
	struct domu_program p = on_shown(shown, &heard);
	int status, rc, top = shown->stack.stage_fd >= 0 ? shown->stack.stage_fd : shown->stack.replay_fd;
	struct stat before;

	p.argv = ops->tools->replay;
	p.shim = ops->tools->shim;
	if (fstat(top, &before) < 0)
		return domu_fail(s->ctx, DOMU_FAILED, -errno, "cannot look at the log: %s", strerror(errno));
	rc = domu_program_run(s->ctx, &p, &status);
	if (rc == 0 && heard.failed) {
		if (s->ctx->io->ftruncate(top, before.st_size) < 0)
			return domu_fail(s->ctx, DOMU_FAILED, -errno, "cannot cut the log: %s", strerror(errno));
		return cannot_replay(s, disk);
	}
	if (rc == 0 && (!WIFEXITED(status) || (WEXITSTATUS(status) & ~3) != 0))
		rc =
		    domu_fail(s->ctx, DOMU_FAILED, -EIO, "the journal on %s cannot be replayed: domu-rescue fsck -y %s",
		              disk, domu_guest_shown(s->guest));
	return rc;
}

/*
 * After a replay the counts of free blocks in the superblock are still those
 * of some time ago, and an orphan file is not empty: a kernel sees to both when
 * it mounts.  Before a change e2fsck does.
 */
int domu_session_settle(struct domu_session *s, const struct domu_shown *shown, const char *type, const char *disk)
{
	const struct domu_fs_ops *ops = domu_fs_driver(type);
	struct heard heard = { .s = s };
	struct domu_program p = on_shown(shown, &heard);
	int status, rc;

	p.argv = ops->tools->check[DOMU_CHECK_PREEN];
	p.shim = ops->tools->shim;
	if (p.argv == NULL)
		return 0;
	rc = domu_program_run(s->ctx, &p, &status);
	if (rc == 0 && (!WIFEXITED(status) || (WEXITSTATUS(status) & ~3) != 0))
		rc = domu_fail(s->ctx, DOMU_FAILED, -EUCLEAN,
		               "%s has errors after the replay of its journal: run domu-rescue fsck -y %s", disk,
		               domu_guest_shown(s->guest));
	return rc;
}
