/* SPDX-License-Identifier: GPL-3.0-or-later */
/* words.h - lines of the shell taken apart: commands, quoted words, pipes and files of the host. */
#ifndef DOMU_WORDS_H
#define DOMU_WORDS_H

#include "base/ctx.h"

struct domu_word {
	char *text;
	char *pattern; /* for fnmatch, with what was quoted escaped; NULL: no unquoted * ? [ */
};

/* One command.  Either words, or host (a line for the host's shell). */
struct domu_line_command {
	struct domu_word *words;
	size_t n;
	char *host; /* !HOSTCMD */
	char *pipe; /* CMD | HOSTCMD */
	char *in, *out; /* CMD < HOSTFILE, CMD > HOSTFILE */
	bool append; /* >> */
	unsigned line; /* counted from 1 */
};

struct domu_line {
	struct domu_line_command *v;
	size_t n;
};

/*
 * Commands end at ; and at the end of a line; # begins a comment; ' " and \
 * quote, and a \ at the end of a line joins it with the next.  DOMU_USAGE;
 * -EAGAIN with no failure recorded: more lines are needed (an open quote).
 */
int domu_line_parse(struct domu_ctx *ctx, const char *text, struct domu_line *line);
void domu_line_free(struct domu_line *line);

/* For completion: the words of the last command in text, and where in text the last of them (may be "") begins. */
int domu_line_partial(const char *text, struct domu_line_command *c, size_t *start, char *quote);
void domu_line_command_free(struct domu_line_command *c);
/* name with a \ before what would not stand for itself; inside the quote character where that is not 0. */
char *domu_word_quote(const char *name, char quote);

#endif
