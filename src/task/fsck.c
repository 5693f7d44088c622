/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fsck.c - checking and repairing every filesystem of a guest on its stage. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "task/fsck.h"
#include "task/session-impl.h"

#define MAX_PASSES 3

const char *domu_fsck_outcome_name(enum domu_fsck_outcome o)
{
	static const char *const names[] = { "clean", "repaired", "damaged", "skipped", "in-use", "error" };

	return names[o];
}

void domu_fsck_report_free(struct domu_fsck_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		domu_log_free(&r->v[i].log);
	free(r->v);
	memset(r, 0, sizeof *r);
}

struct progress {
	const struct domu_fsck_opts *opts;
	const char *device;
};

static void on_progress(void *user, unsigned pass, uint64_t done, uint64_t total)
{
	struct progress *p = user;

	p->opts->progress(p->opts->user, p->device, pass, done, total);
}

static int run_pass(struct domu_session *s, const struct domu_fsck_opts *opts, const struct domu_node *node,
                    enum domu_check_mode mode, struct domu_log *log, int *code)
{
	struct progress p = { .opts = opts, .device = node->name };

	return domu_check_node(s, node, mode, DOMU_VIEW_SESSION, log, opts->progress != NULL ? on_progress : NULL, &p,
	                       code);
}

/*
 * Repairs on the stage until a pass has nothing to do.  -p gives up by itself
 * at what is not safe (status 4); what -y left after three passes stays left.
 */
static int repair(struct domu_session *s, const struct domu_fsck_opts *opts, const struct domu_node *node,
                  struct domu_fsck_result *r)
{
	bool repaired = false;
	int rc = 0, code = 0;

	for (unsigned pass = 0; pass < MAX_PASSES; pass++) {
		rc = run_pass(s, opts, node, opts->mode, &r->log, &code);
		if (rc != 0)
			return rc;
		if (code != FSCK_OK || pass == 0)
			r->said = r->log.len;
		if (code == FSCK_OK)
			break;
		if ((code & ~(FSCK_NONDESTRUCT | 2)) != 0 && opts->mode == DOMU_CHECK_PREEN)
			break;
		if ((code & (FSCK_ERROR | FSCK_USAGE | FSCK_CANCELED | 128)) != 0)
			break;
		repaired = true;
	}
	r->exit = code;
	if (code == FSCK_OK)
		r->outcome = repaired ? DOMU_FSCK_REPAIRED : DOMU_FSCK_CLEAN;
	else if ((code & (FSCK_ERROR | FSCK_USAGE | FSCK_CANCELED | 128)) != 0)
		r->outcome = DOMU_FSCK_ERROR;
	else
		r->outcome = DOMU_FSCK_DAMAGED;
	return 0;
}

/* What the checker said stays with what it changed. */
static void keep_words(struct domu_session *s, const struct domu_fsck_opts *opts, const struct domu_node *node,
                       const struct domu_fsck_result *r)
{
	const struct domu_fs_ops *fs = domu_fs_driver(node->probe.type);
	bool here = fs != NULL && fs->tools != NULL && !s->opts.engine_guestfs;
	char source[64], *text = r->log.text != NULL ? strndup(r->log.text, r->said) : NULL;
	struct domu_note note = { .device = node->name, .text = text, .cut = r->log.cut };

	snprintf(source, sizeof source, "%s -%c",
	         here ? fs->tools->check[opts->mode][0] : "check in the appliance, fsck",
	         opts->mode == DOMU_CHECK_YES ? 'y' : 'p');
	note.source = source;
	domu_session_note(s, &note);
	free(text);
}

/* One filesystem: what is kept of it on the stage is whole, or nothing. */
static int fsck_node(struct domu_session *s, const struct domu_fsck_opts *opts, const struct domu_node *node,
                     struct domu_fsck_result *r)
{
	uint64_t left;
	bool keep;
	int rc, code;

	/* e2fsck -n says so and ends with 0; the kernel would not mount it. */
	if (node->probe.size > node->size) {
		char line[160];

		snprintf(line, sizeof line, "the filesystem has %" PRIu64 " bytes, %s has only %" PRIu64,
		         node->probe.size, node->name, node->size);
		domu_log_line(&r->log, line);
		r->outcome = DOMU_FSCK_DAMAGED;
		r->exit = FSCK_UNCORRECTED;
		return 0;
	}
	if (opts->mode == DOMU_CHECK_NO) {
		rc = run_pass(s, opts, node, DOMU_CHECK_NO, &r->log, &code);
		if (rc != 0)
			return rc;
		r->exit = code;
		r->outcome = code == FSCK_OK              ? DOMU_FSCK_CLEAN
		             : (code & ~FSCK_UNCORRECTED) ? DOMU_FSCK_ERROR
		                                          : DOMU_FSCK_DAMAGED;
		return 0;
	}
	rc = domu_session_change_begin(s);
	if (rc != 0)
		return rc;
	s->programs = true;
	rc = repair(s, opts, node, r);
	keep = rc == 0 && (r->outcome == DOMU_FSCK_REPAIRED || (r->outcome == DOMU_FSCK_CLEAN && !opts->no_mark));
	if (rc == 0 && r->outcome == DOMU_FSCK_DAMAGED && opts->partial)
		keep = domu_ask(s->ctx, "%s: errors are left; write what was repaired all the same?", node->name) == 1;
	if (keep)
		keep_words(s, opts, node, r);
	/* To e2fsck it is the guest's disk that cannot be written. */
	if (rc == 0 && !keep && r->log.text != NULL && strstr(r->log.text, strerror(ENOSPC)) != NULL &&
	    domu_state_full(s->opts.state, &left))
		rc = -ENOSPC;
	/* -ECANCELED only cuts the stage back: nothing failed. */
	code = domu_session_change_end(s, rc != 0 ? rc : keep ? 0 : -ECANCELED);
	if (rc == 0 && keep)
		rc = code;
	if (rc == 0 && keep && r->outcome != DOMU_FSCK_CLEAN && !s->opts.engine_guestfs &&
	    domu_fs_driver(node->probe.type)->tools != NULL)
		rc = domu_fsck_count(s, r);
	return rc;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int exit_bits(const struct domu_fsck_result *r)
{
	switch (r->outcome) {
	case DOMU_FSCK_REPAIRED:
		return FSCK_NONDESTRUCT;
	case DOMU_FSCK_DAMAGED:
		return FSCK_UNCORRECTED;
	case DOMU_FSCK_ERROR:
		return FSCK_ERROR;
	default:
		return 0;
	}
}

static int fsck_nodes(struct domu_session *s, const struct domu_fsck_opts *opts, const struct domu_nodes *nodes,
                      struct domu_fsck_report *out)
{
	for (size_t i = 0; i < nodes->n; i++) {
		const struct domu_node *node = &nodes->v[i];
		struct domu_fsck_result *r = &out->v[out->n];
		struct timespec start;
		int rc;

		if (node->extended || !domu_type_is_fs(node->probe.type) ||
		    (opts->use != NULL && strcmp(opts->use, node->name) != 0))
			continue;
		out->n++;
		snprintf(r->device, sizeof r->device, "%s", node->name);
		snprintf(r->type, sizeof r->type, "%s", node->probe.type);
		snprintf(r->uuid, sizeof r->uuid, "%s", node->probe.uuid);
		r->outcome = DOMU_FSCK_SKIPPED;
		if (!domu_check_possible(node))
			continue;
		clock_gettime(CLOCK_MONOTONIC, &start);
		rc = fsck_node(s, opts, node, r);
		r->seconds = seconds_since(&start);
		if (rc != 0) {
			r->outcome = DOMU_FSCK_ERROR;
			return rc;
		}
		out->exit |= exit_bits(r);
	}
	return 0;
}

int domu_fsck_guest(struct domu_session *s, const struct domu_fsck_opts *opts, struct domu_fsck_report *out)
{
	bool change = opts->mode != DOMU_CHECK_NO;
	struct domu_nodes nodes = { 0 };
	int rc = 0;

	memset(out, 0, sizeof *out);
	if (change && !domu_session_staging(s))
		rc = domu_session_begin(s);
	if (rc != 0)
		return rc;
	/* A journal is replayed by the check itself. */
	rc = domu_session_look(s, false, &nodes);
	if (rc == 0) {
		out->v = calloc(nodes.n + 1, sizeof *out->v);
		rc = out->v != NULL ? fsck_nodes(s, opts, &nodes, out) : domu_nomem(s->ctx);
	}
	domu_nodes_free(&nodes);
	if (rc == 0 && out->n == 0)
		rc = domu_fail(s->ctx, DOMU_NOTFOUND, -ENODEV,
		               "%s has no filesystem to check; domu-rescue info %s shows what is there",
		               domu_guest_shown(s->guest), domu_guest_shown(s->guest));
	if (opts->stage_only)
		return rc;
	if (rc == 0 && change && !opts->dry_run) {
		domu_session_verified(s);
		rc = domu_session_commit(s, out->commit);
		if (rc != 0)
			domu_session_rollback(s);
	} else if (change) {
		domu_session_rollback(s);
	}
	return rc;
}
