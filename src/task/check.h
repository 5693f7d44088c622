/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check.h - running a filesystem's checker on what a session sees, and reading what it says. */
#ifndef DOMU_CHECK_H
#define DOMU_CHECK_H

#include "task/session.h"

/* Text that a checker printed, bounded. */
struct domu_log {
	char *text; /* lines, each with its newline; may be NULL */
	size_t len;
	bool cut; /* there was more */
};

#define DOMU_LOG_MAX (1u << 20)

void domu_log_line(void *log, const char *line); /* a domu_line_fn */
void domu_log_free(struct domu_log *log);

enum domu_check_view {
	DOMU_VIEW_SESSION, /* the stage; without one, a throw-away layer of the session */
	DOMU_VIEW_BASE, /* the disk without the stage, in a throw-away layer, its journal replayed */
};

/*
 * Checks the filesystem at node.  *exit_code as fsck(8): 0 clean, 1 repaired,
 * 4 errors left, 8 operational error.  progress may be NULL.
 */
int domu_check_node(struct domu_session *s, const struct domu_node *node, enum domu_check_mode mode,
                    enum domu_check_view view, struct domu_log *log,
                    void (*progress)(void *user, unsigned pass, uint64_t done, uint64_t total), void *user,
                    int *exit_code);
/* Is there a checker for this node's type? */
bool domu_check_possible(const struct domu_node *node);

/* The worker's end for filesystems whose checker runs in the appliance. */
int domu_op_check(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply);

#endif
