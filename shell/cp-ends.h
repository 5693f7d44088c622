/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cp-ends.h - the two ends of a copy between the host and guests, and what goes through. */
#ifndef DOMU_CP_ENDS_H
#define DOMU_CP_ENDS_H

#include "shell/cmd.h"

struct domu_cp_operand {
	struct domu_target t;
	const char *word;
	bool shell; /* of the shell's own guest, by whatever name: through its session, which has what is staged */
};

/*
 * Sources that go together: all of this host, or of one place in a guest.  A
 * file that has names in several of them stays one file.  Several have names
 * of their own, and go into a directory.
 */
struct domu_cp_set {
	char **paths; /* n, and NULL */
	char **names; /* n, and NULL */
	char **shown; /* n, and NULL: as they were typed */
	size_t n;
};

/* One end of the stream: a guest's session or a folder of the host. */
struct domu_cp_end {
	struct domu_run *r;
	const struct domu_cp_operand *o;
	struct domu_session *s; /* NULL: of the host, or opened by the end itself */
	bool ours; /* its locks are held for the other end: that is nobody else */
	unsigned flags;
	const struct domu_cp_set *set;
};

/* The last name of a path as typed: what the copy is called in a folder. "." where its content goes there itself. */
int domu_cp_base(struct domu_run *r, const char *path, char base[256]);
/* GUEST or GUEST@DEV of an operand, as a session wants it. */
int domu_cp_open_guest(struct domu_run *r, const struct domu_cp_operand *o, unsigned needs, struct domu_guest **g,
                       struct domu_session **s);
/* From the host or a guest into a guest whose session is staging. */
int domu_cp_into_guest(struct domu_cp_end *from, struct domu_cp_end *to);
/* From a guest, whose session is open, to the host. */
int domu_cp_to_host(struct domu_cp_end *from, struct domu_cp_end *to);

#endif
