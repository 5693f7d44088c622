/* SPDX-License-Identifier: GPL-3.0-or-later */
/* grep.h - what the parts of grep share: patterns compiled, and the reading of one file. */
#ifndef DOMU_GREP_H
#define DOMU_GREP_H

#include "shell/command.h"

/* ---- patterns (grep-match.c) ---- */

enum domu_grep_syntax { GREP_BASIC, GREP_EXTENDED, GREP_FIXED, GREP_PERL };

struct domu_grep_matcher;

/* Part of a line, or of a buffer of lines: offsets from what was searched. */
struct domu_grep_hit {
	size_t begin, end;
};

struct domu_grep_matcher_opts {
	enum domu_grep_syntax syntax;
	bool icase, word, line;
	char eol; /* what ends a line: a newline, or with -z a NUL */
};

int domu_grep_matcher_new(struct domu_ctx *ctx, const struct domu_grep_matcher_opts *opts,
                          struct domu_grep_matcher **m);
/* Several patterns, a newline between them, are as many patterns.  DOMU_USAGE: none at all. */
int domu_grep_matcher_add(struct domu_ctx *ctx, struct domu_grep_matcher *m, const char *patterns);
void domu_grep_matcher_free(struct domu_grep_matcher *m);
/*
 * A new text to search: whole lines, each with its newline.  -ENOMEM where a
 * copy of it in lower case is needed and there is no memory.
 */
int domu_grep_matcher_text(struct domu_grep_matcher *m, const char *text, size_t len);
/* The first line from offset from (where one begins) on that matches, its newline included. */
bool domu_grep_next_line(struct domu_grep_matcher *m, size_t from, struct domu_grep_hit *line);
/* The first match in a line (without its newline), from offset from on; the longest of those that begin there. */
bool domu_grep_in_line(struct domu_grep_matcher *m, const char *line, size_t len, size_t from,
                       struct domu_grep_hit *hit);

/*
 * The lines on which an expression of Perl was given up since this was asked last: too many steps, too much memory.
 * Such a line counts as one that does not match.
 */
unsigned domu_grep_gave_up(struct domu_grep_matcher *m);
/* On so many that no further line is looked at. */
bool domu_grep_given_up(const struct domu_grep_matcher *m);

/* ---- expressions of Perl (grep-perl.c) ---- */

struct domu_grep_perl;
struct domu_grep_perl_opts {
	bool icase, word, line;
};
/* To be called before the fence closes. */
int domu_grep_perl_load(struct domu_ctx *ctx);
bool domu_grep_perl_loaded(void);
int domu_grep_perl_new(struct domu_ctx *ctx, const struct domu_grep_perl_opts *opts, const char *pattern, size_t len,
                       struct domu_grep_perl **p);
void domu_grep_perl_free(struct domu_grep_perl *p);
/* 1, 0, or -E2BIG: given up. */
int domu_grep_perl_match(struct domu_grep_perl *p, const char *line, size_t len, size_t from,
                         struct domu_grep_hit *hit);

/* The literal text that whatever matches a pattern holds, which may be none.  whole: the pattern is nothing else. */
int domu_grep_literal(const char *pattern, size_t len, bool extended, char **literal, size_t *literal_len, bool *whole);

/* ---- one file (grep-file.c) ---- */

enum domu_grep_binary { GREP_BINARY_TELL, GREP_BINARY_TEXT, GREP_BINARY_SKIP };

struct domu_grep {
	struct domu_run *r;
	struct domu_grep_matcher *m;
	enum domu_grep_binary binary;
	bool invert, only, count, list, list_without, quiet;
	bool names, numbers, offsets, nul_after_name, json;
	char eol; /* what ends a line */
	uint64_t max; /* lines of a file; UINT64_MAX: all */
	uint64_t before, after;
	bool context; /* -A, -B or -C was given */
	bool blank_counts; /* an empty line is among the wanted: holes cannot be passed over */
	bool printed; /* something was: groups of lines are set apart */
	bool found; /* a line of any file was selected */
	char *out; /* of GREP_OUT bytes */
	size_t out_len;
};
#define GREP_OUT (128u * 1024)

struct domu_grep_buffer;
int domu_grep_buffer_new(struct domu_ctx *ctx, struct domu_grep_buffer **b);
void domu_grep_buffer_free(struct domu_grep_buffer *b);
/* Searches a regular file; shown is its name in the output. */
int domu_grep_file(struct domu_grep *g, struct domu_grep_buffer *b, const struct domu_path *where, const char *shown);
int domu_grep_flush(struct domu_grep *g);

#endif
