/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-recover.c - a session finishes what was cut short on its disks. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "task/session-impl.h"

/* The disks of an earlier commit among this guest's, by path: indexes may differ from the session's. */
int domu_session_match_disks(struct domu_session *s, const struct domu_commit_info *ci,
                             const struct domu_commit_disk *mine, struct domu_commit_disk *out)
{
	if (ci->n_disks > DOMU_MAX_DISKS)
		return domu_fail(s->ctx, DOMU_UNRECOVERED, -EINVAL, "commit %s names too many disks", ci->id);
	for (size_t i = 0; i < ci->n_disks; i++) {
		out[i].fd = -1;
		for (size_t k = 0; k < s->n_backings && out[i].fd < 0; k++)
			if (strcmp(ci->disks[i].path, s->backings[k].path) == 0)
				out[i] = mine[k];
		if (out[i].fd < 0)
			return domu_fail(s->ctx, DOMU_UNRECOVERED, -ENOENT,
			                 "commit %s also changed %s (%s), which %s does not have now", ci->id,
			                 ci->disks[i].path, ci->disks[i].vdev, domu_guest_shown(s->guest));
	}
	return 0;
}

static int recover_one(struct domu_session *s, const struct domu_commit_info *ci)
{
	static const char *const words[] = {
		[DOMU_RECOVER_NOTHING] = "was whole already",
		[DOMU_RECOVER_APPLIED] = "was finished",
		[DOMU_RECOVER_STAGED] = "had not reached the disk: it is a stage again",
		[DOMU_RECOVER_SUPERSEDED] = "is superseded: the guest ran meanwhile, nothing was written",
	};
	struct domu_commit_disk mine[DOMU_MAX_DISKS], disks[DOMU_MAX_DISKS];
	enum domu_recover_result result;
	int rc = domu_session_open_rw(s, mine);

	if (rc == 0)
		rc = domu_session_match_disks(s, ci, mine, disks);
	if (rc == 0)
		rc = domu_recover(s->opts.state, ci->id, disks, ci->n_disks, domu_session_recheck, s, &result);
	if (rc == 0)
		domu_say(s->ctx, DOMU_WARNING, "%s: commit %s (%s) %s", domu_guest_shown(s->guest), ci->id,
		         ci->command != NULL ? ci->command : "", words[result]);
	domu_session_close_rw(s, mine);
	return rc;
}

int domu_session_recover(struct domu_session *s, unsigned *n_done)
{
	struct domu_commit_info *v;
	size_t n;
	int rc = domu_session_pending(s, DOMU_COMMIT_INTERRUPTED, &v, &n);

	*n_done = 0;
	if (rc != 0 || n == 0)
		return rc;
	if (s->opts.dry_run)
		rc = domu_fail(
		    s->ctx, DOMU_UNRECOVERED, -EBUSY,
		    "%s: commit %s has to be finished first, and a dry run writes nothing: domu-rescue recover %s",
		    domu_guest_shown(s->guest), v[0].id, domu_guest_shown(s->guest));
	if (rc == 0)
		rc = domu_session_end_worker(s, false);
	if (rc == 0)
		rc = domu_session_lock(s);
	/* The oldest first: a later commit rests on it. */
	for (size_t i = n; rc == 0 && i-- > 0;) {
		rc = recover_one(s, &v[i]);
		if (rc == 0)
			++*n_done;
	}
	domu_state_list_free(v, n);
	return rc;
}
