/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find.h - the expression of find: parsed, and asked about an inode. */
#ifndef DOMU_FIND_H
#define DOMU_FIND_H

#include "shell/names.h"

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
	FIND_NEWER,
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
	FIND_PRUNE,
	FIND_QUIT,
};

struct domu_find_node {
	enum domu_find_kind kind;
	int left, right; /* indexes; -1: none */
	const char *text;
	char sign; /* '+', '-', '/' or 0 */
	char which; /* of times: m, a, c */
	uint64_t number, unit;
	struct timespec when;
	uint32_t id;
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
 * words: n of them, which must live as long as f.  newer() finds the mtime of
 * the file that -newer names.  DOMU_USAGE.
 */
struct domu_find_env {
	struct domu_ctx *ctx;
	const struct domu_names *names;
	int (*newer)(void *user, const char *path, struct timespec *mtime);
	void *user;
};
int domu_find_parse(const struct domu_find_env *env, char *const *words, size_t n, struct domu_find *f);
void domu_find_free(struct domu_find *f);

/* What an expression is asked about, and what it wants done. */
struct domu_find_item {
	const char *path, *name;
	struct domu_fs *fs;
	const struct domu_stat *st;
	unsigned depth;
	const struct domu_names *names;
	/* 'p' print, '0' print0, 'l' ls: as it comes.  0, or a negative errno to end. */
	int (*action)(void *user, char what);
	void *user;
	bool prune, quit;
};
/* 1, 0, or a negative errno. */
int domu_find_match(const struct domu_find *f, struct domu_find_item *item);

#endif
