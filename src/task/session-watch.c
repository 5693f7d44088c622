/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-watch.c - a domain that is started on a disk of an open session: noticed, said, and what may be done then. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/session-impl.h"

size_t domu_session_watch_fds(const struct domu_session *s, int fds[DOMU_WATCH_MAX])
{
	return domu_watch_fds(s->watch, fds);
}

bool domu_session_taken(const struct domu_session *s)
{
	return s->taken != NULL;
}

/* l: the reason of a verdict, or NULL where none could be made. */
static void take(struct domu_session *s, const struct domu_verdict_line *l)
{
	free(s->taken);
	free(s->taken_next);
	if (l == NULL || asprintf(&s->taken, "disk %s: %s", l->disk, l->detail != NULL ? l->detail : "in use") < 0)
		s->taken = strdup("who has its disks cannot be told");
	if (l != NULL && l->next != NULL)
		s->taken_next = strdup(l->next);
	else if (asprintf(&s->taken_next, "domu-rescue status %s", domu_guest_shown(s->guest)) < 0)
		s->taken_next = NULL;
}

/* Who has a disk now: the session remembers it.  Cannot be asked: somebody may. */
static void ask(struct domu_session *s)
{
	const struct domu_verdict_line *l;
	struct domu_ctx quiet;
	struct domu_verdict v;
	int rc;

	domu_ctx_init(&quiet);
	rc = domu_verdict_make(&quiet, s->guest, s->backings, s->n_backings,
	                       s->vetted ? DOMU_VERDICT_STARTED_CHANGE : DOMU_VERDICT_STARTED, s->opts.waive, &v);
	domu_ctx_free(&quiet);
	l = rc == 0 ? domu_verdict_reason(&v) : NULL;
	s->in_use = rc != 0 || l != NULL;
	if (s->in_use)
		take(s, l);
	if (rc == 0)
		domu_verdict_free(&v);
}

static const char *next(const struct domu_session *s)
{
	return s->taken_next != NULL ? s->taken_next : "domu-rescue list";
}

/* What makes the session writable again once the disks are free. */
static const char *way_on(struct domu_session *s)
{
	return domu_session_dirty(s) ? "commit (refused if the disk was changed meanwhile) or rollback" : "begin";
}

/* Worker, replayed journal and page cache are of the disks as they were. */
static void look_anew(struct domu_session *s)
{
	domu_session_end_worker(s, false);
	domu_session_drop_replay(s);
	domu_session_forget_disks(s);
}

static char *now_taken(struct domu_session *s)
{
	char *text = NULL;

	/* The whole verdict has to be made again before anything is changed. */
	s->locked = false;
	look_anew(s);
	if (asprintf(&text, "%s is in use: %s. From now on this shell only reads%s. Next: %s, then %s",
	             domu_guest_shown(s->guest), s->taken, domu_session_dirty(s) ? ", and what is staged is kept" : "",
	             next(s), way_on(s)) < 0)
		return NULL;
	return text;
}

char *domu_session_watch(struct domu_session *s)
{
	bool before = s->taken != NULL, in_use = s->in_use;
	char *text = NULL;

	if (!domu_watch_look(s->watch))
		return NULL;
	ask(s);
	if (s->in_use && (!before || !in_use))
		return now_taken(s);
	if (in_use && !s->in_use &&
	    asprintf(&text, "%s is not in use any more. This shell still only reads; next: %s",
	             domu_guest_shown(s->guest), way_on(s)) < 0)
		text = NULL;
	return text;
}

int domu_session_untaken(struct domu_session *s)
{
	free(domu_session_watch(s));
	if (s->taken == NULL)
		return 0;
	if (s->in_use)
		return domu_fail(s->ctx, DOMU_INUSE, -EBUSY,
		                 "%s is in use: %s: this shell only reads. Next: %s, then %s",
		                 domu_guest_shown(s->guest), s->taken, next(s), way_on(s));
	return domu_fail(s->ctx, DOMU_INUSE, -EBUSY,
	                 "%s was in use meanwhile (last seen: %s): this shell only reads. Next: %s",
	                 domu_guest_shown(s->guest), s->taken, way_on(s));
}

int domu_session_readable(struct domu_session *s, bool stage_too)
{
	if (s->taken == NULL)
		return 0;
	ask(s);
	look_anew(s);
	if (s->in_use)
		return domu_fail(s->ctx, DOMU_INUSE, -EBUSY,
		                 "%s is in use: %s. Next: %s; or read it as it runs: domu-rescue --live %s",
		                 domu_guest_shown(s->guest), s->taken, next(s), domu_guest_shown(s->guest));
	if (domu_session_dirty(s) && !stage_too)
		return domu_fail(
		    s->ctx, DOMU_INUSE, -EBUSY,
		    "%s was in use meanwhile (last seen: %s), and what is staged may not fit its disk any more: diff "
		    "shows it. Next: %s",
		    domu_guest_shown(s->guest), s->taken, way_on(s));
	return 0;
}

static void released(struct domu_session *s)
{
	look_anew(s);
	free(s->taken);
	free(s->taken_next);
	s->taken = s->taken_next = NULL;
	domu_say(s->ctx, DOMU_INFO, "%s is free again: its disks are looked at anew", domu_guest_shown(s->guest));
}

void domu_session_dropped(struct domu_session *s)
{
	if (s->taken == NULL)
		return;
	ask(s);
	if (!s->in_use)
		released(s);
}

int domu_session_retake(struct domu_session *s)
{
	int rc = 0;

	free(domu_session_watch(s));
	if (s->taken == NULL)
		return 0;
	ask(s);
	if (s->in_use)
		return domu_session_untaken(s);
	look_anew(s);
	if (s->stage != NULL)
		rc = domu_session_dirty(s) ? domu_session_fits(s) : domu_session_rollback(s);
	if (rc == 0 && s->taken != NULL)
		released(s);
	return rc;
}
