/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-undo.c - a session reverses a commit. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/session-impl.h"

int domu_session_find_undoable(struct domu_session *s, const char *id, struct domu_commit_info *ci)
{
	struct domu_commit_info *v;
	size_t n;
	int rc = domu_state_list(s->opts.state, s->backings[0].path, false, &v, &n);

	if (rc != 0)
		return rc;
	rc = -ENOENT;
	for (size_t i = 0; i < n && rc != 0; i++) {
		if (id != NULL ? strcmp(v[i].id, id) != 0 : !v[i].undoable)
			continue;
		if (!v[i].undoable) {
			domu_fail(s->ctx, DOMU_FAILED, -EINVAL, "commit %s cannot be undone: %s", v[i].id,
			          v[i].state == DOMU_COMMIT_UNDONE ? "it was undone already" : "it has no undo data");
			break;
		}
		*ci = v[i];
		memset(&v[i], 0, sizeof v[i]);
		rc = 0;
	}
	domu_state_list_free(v, n);
	if (rc != 0)
		domu_fail(s->ctx, DOMU_NOTFOUND, rc, id != NULL ? "%s has no commit %s" : "%s has no commit to undo%s",
		          domu_guest_shown(s->guest), id != NULL ? id : "");
	return rc;
}

int domu_session_undo(struct domu_session *s, const char *id, char done[DOMU_ID_LEN + 1], char undone[DOMU_ID_LEN + 1])
{
	struct domu_commit_disk mine[DOMU_MAX_DISKS], disks[DOMU_MAX_DISKS];
	struct domu_commit_info old = { 0 }, ci = { 0 };
	struct domu_nodes nodes = { 0 };
	struct domu_door *doors = NULL;
	size_t n_doors = 0;
	unsigned n;
	int rc;

	for (size_t i = 0; i < s->n_backings; i++)
		mine[i].fd = -1;
	rc = domu_session_ask_no_undo(s);
	if (rc == 0)
		rc = domu_session_lock(s);
	if (rc == 0)
		rc = domu_session_recover(s, &n);
	if (rc == 0)
		rc = domu_session_clear_stage(s);
	if (rc == 0)
		rc = domu_session_find_undoable(s, id, &old);
	if (rc == 0)
		rc = domu_session_open_rw(s, mine);
	if (rc == 0)
		rc = domu_session_match_disks(s, &old, mine, disks);
	for (size_t i = 0; rc == 0 && i < old.n_disks; i++)
		if (disks[i].fd != mine[i].fd)
			rc = domu_fail(s->ctx, DOMU_UNRECOVERED, -EINVAL,
			               "%s has its disks in another order than when commit %s was made",
			               domu_guest_shown(s->guest), old.id);
	if (rc == 0)
		rc = domu_session_describe(s, &ci);
	if (rc == 0)
		rc = domu_undo_stage(s->opts.state, old.id, disks, old.n_disks, &ci, &s->stage);
	if (rc == -ESTALE)
		domu_session_explain_stale(s, old.id);
	domu_session_close_rw(s, mine);
	if (rc == 0)
		rc = domu_session_look(s, true, &nodes);
	if (rc == 0)
		rc = domu_session_record_files(s, &nodes);
	if (rc == 0)
		rc = domu_session_find_doors(s, &nodes, &doors, &n_doors);
	if (rc == 0) {
		snprintf(done, DOMU_ID_LEN + 1, "%s", domu_stage_info(s->stage)->id);
		snprintf(undone, DOMU_ID_LEN + 1, "%s", old.id);
		rc = domu_session_write_stage(s, doors, n_doors, old.id);
	}
	if (rc != 0 && s->stage != NULL)
		domu_session_rollback(s);
	domu_commit_info_free(&old);
	domu_commit_info_free(&ci);
	domu_nodes_free(&nodes);
	free(doors);
	return rc;
}
