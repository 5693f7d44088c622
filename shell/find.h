/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find.h - the expression of find: parsed, and asked about an inode. */
#ifndef DOMU_FIND_H
#define DOMU_FIND_H

#include <regex.h>

#include "shell/command.h"
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
	FIND_DELETE,
	FIND_EXEC,
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
	/* Of -exec: a command, its words ({} in them is the path), and whether it is run on many paths behind them. */
	const struct domu_command *cmd;
	char *const *words;
	size_t n_words;
	bool plus;
};

struct domu_find {
	struct domu_find_node *v;
	size_t n, cap;
	int root; /* -1: everything */
	bool has_action;
	unsigned max_depth, min_depth;
	bool one_fs, post_order;
	bool depth_given, prunes, deletes;
	bool changes; /* something of the guest, by -delete or -exec */
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
	/* As it comes: print, print0, ls, printf, delete, exec.  0; 1: it is false; or a negative errno to end. */
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

/* ---- -exec (find-exec.c) ---- */
/* May -exec run it?  And does it change something? */
bool domu_find_can_run(const struct domu_command *c);
bool domu_find_changes(const struct domu_command *c);
/* Finds x->cmd by x->words and looks at the rest.  DOMU_USAGE. */
int domu_find_exec_check(struct domu_ctx *ctx, struct domu_find_node *x);
/* Runs it on a path, or with + on n.  A failure of what only reads is said, and is no failure here. */
int domu_find_exec(struct domu_run *r, const struct domu_find_node *x, char *const *paths, size_t n, bool *ok);
struct domu_find_batches {
	struct domu_find_batch {
		const struct domu_find_node *x;
		char **paths;
		size_t n, cap, bytes;
	} * v; /* one for each -exec with + */
	size_t n, cap;
	bool failed; /* one of the commands ended with another status than 0 */
};
/* Another path, which is run on when there are many... */
int domu_find_batches_add(struct domu_run *r, struct domu_find_batches *all, const struct domu_find_node *x,
                          const char *path);
/* ...or at the end. */
int domu_find_batches_run(struct domu_run *r, struct domu_find_batches *all);
void domu_find_batches_free(struct domu_find_batches *all);

/* 1, 0, or a negative errno. */
int domu_find_match(const struct domu_find *f, struct domu_find_item *item);

#endif
