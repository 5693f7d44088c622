/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find.h - the expression of find: parsed, and asked about an inode. */
#ifndef DOMU_FIND_H
#define DOMU_FIND_H

#include <regex.h>

#include "shell/names.h"
#include "shell/text.h"

enum domu_find_kind {
	FIND_AND,
	FIND_OR,
	FIND_COMMA,
	FIND_NOT,
	FIND_TRUE,
	FIND_FALSE,
	FIND_NAME,
	FIND_INAME,
	FIND_PATH,
	FIND_IPATH,
	FIND_LNAME,
	FIND_TYPE,
	FIND_SIZE,
	FIND_EMPTY,
	FIND_TIME, /* -mtime and its like: number in units of unit seconds */
	FIND_NEWER, /* -newerXY too: which time of it, and when */
	FIND_REGEX,
	FIND_SAMEFILE,
	FIND_PERM,
	FIND_USER,
	FIND_GROUP,
	FIND_NOUSER,
	FIND_NOGROUP,
	FIND_LINKS,
	FIND_INUM,
	/* Actions. */
	FIND_PRINT,
	FIND_PRINT0,
	FIND_LS,
	FIND_PRINTF,
	FIND_PRUNE,
	FIND_QUIT,
};

struct domu_find_node {
	enum domu_find_kind kind;
	int left, right; /* indexes; -1: none */
	const char *text;
	char sign; /* '+', '-', '/' or 0 */
	char which; /* of times: m, a, c, B */
	uint64_t number, unit;
	struct timespec when;
	uint32_t id;
	struct domu_find_format *format; /* of -printf; owned */
	struct re_pattern_buffer *regex; /* owned */
	const struct domu_fs *fs; /* of -samefile, with number the inode */
};

struct domu_find {
	struct domu_find_node *v;
	size_t n, cap;
	int root; /* -1: everything */
	bool has_action;
	unsigned max_depth, min_depth;
	bool one_fs, post_order;
	bool needs_names;
	time_t now;
};

/*
 * words: n of them, which must live as long as f.  look() finds the file that
 * -newer or -samefile names.  DOMU_USAGE.
 */
struct domu_find_env {
	struct domu_ctx *ctx;
	const struct domu_names *names;
	int (*look)(void *user, const char *path, bool follow, struct domu_path *out);
	void *user;
};
int domu_find_parse(const struct domu_find_env *env, char *const *words, size_t n, struct domu_find *f);
void domu_find_free(struct domu_find *f);

/* What an expression is asked about, and what it wants done. */
struct domu_find_item {
	const char *path, *name;
	size_t path_len, start_len; /* of path; of the start that it begins with */
	struct domu_fs *fs;
	size_t node;
	const struct domu_stat *st;
	unsigned depth;
	time_t now;
	const struct domu_names *names;
	/* As it comes: print, print0, ls, printf.  0, or a negative errno to end. */
	int (*action)(void *user, const struct domu_find_node *x);
	char (*follow)(void *user); /* the type letter of what a link leads to; N nothing, L a loop, ? an error */
	void *user;
	bool prune, quit;
};

struct domu_find_format;
int domu_find_format_new(struct domu_ctx *ctx, const char *text, struct domu_find_format **out); /* DOMU_USAGE */
void domu_find_format_free(struct domu_find_format *f);
bool domu_find_format_names(const struct domu_find_format *f); /* it asks for names of owners */
/* quote: what the guest wrote is escaped for a terminal. */
void domu_find_format_put(const struct domu_find_format *f, const struct domu_find_item *item, struct domu_text *t,
                          bool quote);
void domu_find_ls(const struct domu_find_item *item, struct domu_text *t, bool quote);
char domu_find_type(uint32_t mode);

/* 1, 0, or a negative errno. */
int domu_find_match(const struct domu_find *f, struct domu_find_item *item);

#endif
