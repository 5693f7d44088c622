/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-notes.c - what a stage holds, in numbers and in the words of the programs that changed it. */
#include "config.h"

#include <string.h>

#include "task/session-impl.h"

int domu_session_sums(struct domu_session *s, struct domu_stage_sum *sums)
{
	int rc = 0;

	memset(sums, 0, DOMU_MAX_DISKS * sizeof *sums);
	if (s->stage != NULL)
		rc = domu_session_flush(s);
	return rc == 0 && s->stage != NULL ? domu_stage_sums(s->stage, sums) : rc;
}

void domu_session_note(struct domu_session *s, const struct domu_note *note)
{
	if (s->stage == NULL || note->text == NULL)
		return;
	/* A note speaks for the log as it is: what an appliance still holds has to be in it. */
	if (domu_session_flush(s) == 0 && domu_stage_note(s->stage, note) == 0)
		return;
	domu_say(s->ctx, DOMU_WARNING, "what %s said about %s is not kept: %s", note->source, note->device,
	         s->ctx->error.message != NULL ? s->ctx->error.message : "out of memory");
	domu_error_clear(s->ctx);
}

int domu_session_notes(struct domu_session *s, domu_note_fn fn, void *user)
{
	return s->stage != NULL ? domu_stage_notes(s->stage, fn, user) : 0;
}
