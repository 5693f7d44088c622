/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find-parse.c - the words of find's expression, as findutils reads them. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/num.h"
#include "shell/cmd.h"
#include "shell/find.h"
#include "shell/fmt.h"
#include "shell/mode.h"

#define MAX_NESTING 100
#define MAX_NODES   10000 /* asking an expression recurses as deep as it is long */

struct parser {
	const struct domu_find_env *env;
	struct domu_find *f;
	char *const *words;
	size_t n, at;
	unsigned nesting;
};

static int bad(struct parser *p, const char *what, const char *word)
{
	return domu_fail(p->env->ctx, DOMU_USAGE, -EINVAL, "find: %s %s; see domu-rescue help find", what, word);
}

/* A new node's index, or a negative errno. */
static int node(struct parser *p, enum domu_find_kind kind)
{
	struct domu_find *f = p->f;

	if (f->n >= MAX_NODES)
		return bad(p, "an expression that is too long", "");
	if (!DOMU_ARRAY_ROOM(f->v, f->cap, f->n + 1))
		return domu_nomem(p->env->ctx);
	f->v[f->n] = (struct domu_find_node){ .kind = kind, .left = -1, .right = -1 };
	return (int)f->n++;
}

static int join(struct parser *p, enum domu_find_kind kind, int left, int right)
{
	int i = node(p, kind);

	if (i >= 0) {
		p->f->v[i].left = left;
		p->f->v[i].right = right;
	}
	return i;
}

static const char *peek(const struct parser *p)
{
	return p->at < p->n ? p->words[p->at] : NULL;
}

static bool is(const struct parser *p, const char *a, const char *b)
{
	const char *w = peek(p);

	return w != NULL && (strcmp(w, a) == 0 || strcmp(w, b) == 0);
}

/* [+-]N; rest: what may follow the number. */
static int signed_number(struct parser *p, struct domu_find_node *x, const char *word, const char **rest)
{
	char *end;

	x->sign = *word == '+' || *word == '-' ? *word++ : 0;
	errno = 0;
	x->number = *word >= '0' && *word <= '9' ? strtoull(word, &end, 10) : (errno = EINVAL, 0);
	if (errno != 0)
		return bad(p, "not a number:", word);
	*rest = end;
	return 0;
}

static int size_test(struct parser *p, struct domu_find_node *x, const char *word)
{
	static const struct {
		char letter;
		uint64_t unit;
	} units[] = { { '\0', 512 },    { 'b', 512 },     { 'c', 1 },      { 'w', 2 },
		      { 'k', 1 << 10 }, { 'M', 1 << 20 }, { 'G', 1 << 30 } };
	const char *rest;
	int rc = signed_number(p, x, word, &rest);

	for (size_t i = 0; rc == 0 && i < sizeof units / sizeof *units; i++) {
		if (rest[0] == units[i].letter && (rest[0] == '\0' || rest[1] == '\0')) {
			x->unit = units[i].unit;
			return 0;
		}
	}
	return rc != 0 ? rc : bad(p, "no unit of a size:", word);
}

static int perm_test(struct parser *p, struct domu_find_node *x, const char *word)
{
	uint32_t mode = 0;
	char *end;

	x->sign = *word == '-' || *word == '/' ? *word++ : 0;
	/* u+s, g=rx,o=: what chmod would make of no bits at all. */
	if (*word < '0' || *word > '7') {
		if (*word == '\0' || domu_mode_apply(word, 0, false, &mode) != 0)
			return bad(p, "not a mode:", word);
		x->number = mode;
		return 0;
	}
	x->number = strtoull(word, &end, 8);
	if (x->number > 07777 || *end != '\0')
		return bad(p, "not a mode:", word);
	return 0;
}

static int type_test(struct parser *p, struct domu_find_node *x, const char *word)
{
	x->text = word;
	for (; *word != '\0'; word++) {
		if (strchr("bcdpfls", *word) == NULL)
			return bad(p, "no type of file:", word);
		if (word[1] == ',' && word[2] != '\0')
			word++;
		else if (word[1] != '\0')
			return bad(p, "types of files are letters with commas between:", word);
	}
	return 0;
}

static int user_test(struct parser *p, struct domu_find_node *x, const char *word, bool group)
{
	static const struct domu_names *none;
	const struct domu_names *names = p->env->names != NULL ? p->env->names : none;

	p->f->needs_names = true;
	if (names == NULL)
		return 0;
	if (group ? domu_names_find_group(names, word, &x->id) : domu_names_find_user(names, word, &x->id))
		return 0;
	return bad(p, group ? "the guest has no group" : "the guest has no user", word);
}

static struct timespec time_of(const struct domu_stat *st, char which)
{
	return which == 'a' ? st->atime : which == 'c' ? st->ctime : which == 'B' ? st->btime : st->mtime;
}

static int look(struct parser *p, const char *word, bool follow, struct domu_path **out)
{
	int rc;

	*out = malloc(sizeof **out);
	if (*out == NULL)
		return domu_nomem(p->env->ctx);
	rc = p->env->look(p->env->user, word, follow, *out);
	if (rc == 0)
		return 0;
	free(*out);
	*out = NULL;
	return rc;
}

static int newer_test(struct parser *p, struct domu_find_node *x, const char *word, char which)
{
	struct domu_path *where;
	int rc;

	if (which == 't')
		return domu_when(word, p->f->now, DOMU_WHEN_DATE, &x->when) ? 0 : bad(p, "not a time:", word);
	if (p->env->look == NULL)
		return 0;
	rc = look(p, word, true, &where);
	if (rc != 0)
		return rc;
	x->when = time_of(&where->st, which);
	free(where);
	return 0;
}

static int samefile_test(struct parser *p, struct domu_find_node *x, const char *word)
{
	struct domu_path *where;
	int rc;

	if (p->env->look == NULL)
		return 0;
	rc = look(p, word, false, &where);
	if (rc != 0)
		return rc;
	x->fs = where->fs;
	x->number = where->ino;
	free(where);
	return 0;
}

static int regex_test(struct parser *p, struct domu_find_node *x, const char *word)
{
	const char *said;

	x->regex = calloc(1, sizeof *x->regex);
	if (x->regex == NULL)
		return domu_nomem(p->env->ctx);
	/* The C library has no other way to say it; nothing else here compiles by it. */
	re_set_syntax(RE_SYNTAX_EMACS | (x->which == 'i' ? RE_ICASE : 0));
	said = re_compile_pattern(word, strlen(word), x->regex);
	return said == NULL ? 0 : bad(p, said, word);
}

static int printf_action(struct parser *p, struct domu_find_node *x, const char *word)
{
	int rc = domu_find_format_new(p->env->ctx, word, &x->format);

	p->f->has_action = true;
	if (rc == 0 && domu_find_format_names(x->format))
		p->f->needs_names = true;
	return rc;
}

static int depth_option(struct parser *p, const char *word, unsigned *depth)
{
	char *end;
	unsigned long v = *word >= '0' && *word <= '9' ? strtoul(word, &end, 10) : (end = (char *)"x", 0);

	if (*end != '\0' || v > 1000000)
		return bad(p, "not a depth:", word);
	*depth = (unsigned)v;
	return 0;
}

/* Those that take a word, then those that do not. */
enum test {
	T_TEXT,
	T_TYPE,
	T_SIZE,
	T_NUMBER,
	T_TIME,
	T_NEWER,
	T_SAMEFILE,
	T_REGEX,
	T_PRINTF,
	T_PERM,
	T_USER,
	T_GROUP,
	T_MAXDEPTH,
	T_MINDEPTH,
	T_PLAIN,
	T_XDEV,
	T_DEPTH,
	T_NAMES,
	T_ACTION,
	T_PRUNE,
	T_DELETE,
	T_EXEC, /* up to its end */
};

static const struct test_row {
	const char *name;
	enum domu_find_kind kind;
	enum test test;
	char which;
	uint64_t unit;
} tests[] = {
	{ "name", FIND_NAME, T_TEXT, 0, 0 },
	{ "iname", FIND_INAME, T_TEXT, 0, 0 },
	{ "path", FIND_PATH, T_TEXT, 0, 0 },
	{ "wholename", FIND_PATH, T_TEXT, 0, 0 },
	{ "ipath", FIND_IPATH, T_TEXT, 0, 0 },
	{ "lname", FIND_LNAME, T_TEXT, 0, 0 },
	{ "type", FIND_TYPE, T_TYPE, 0, 0 },
	{ "size", FIND_SIZE, T_SIZE, 0, 0 },
	{ "empty", FIND_EMPTY, T_PLAIN, 0, 0 },
	{ "mtime", FIND_TIME, T_TIME, 'm', 86400 },
	{ "atime", FIND_TIME, T_TIME, 'a', 86400 },
	{ "ctime", FIND_TIME, T_TIME, 'c', 86400 },
	{ "mmin", FIND_TIME, T_TIME, 'm', 60 },
	{ "amin", FIND_TIME, T_TIME, 'a', 60 },
	{ "cmin", FIND_TIME, T_TIME, 'c', 60 },
	{ "newer", FIND_NEWER, T_NEWER, 'm', 'm' },
	{ "anewer", FIND_NEWER, T_NEWER, 'a', 'm' },
	{ "cnewer", FIND_NEWER, T_NEWER, 'c', 'm' },
	{ "regex", FIND_REGEX, T_REGEX, 0, 0 },
	{ "iregex", FIND_REGEX, T_REGEX, 'i', 0 },
	{ "samefile", FIND_SAMEFILE, T_SAMEFILE, 0, 0 },
	{ "iwholename", FIND_IPATH, T_TEXT, 0, 0 },
	{ "printf", FIND_PRINTF, T_PRINTF, 0, 0 },
	{ "perm", FIND_PERM, T_PERM, 0, 0 },
	{ "user", FIND_USER, T_USER, 0, 0 },
	{ "group", FIND_GROUP, T_GROUP, 0, 0 },
	{ "uid", FIND_USER, T_NUMBER, 'u', 0 },
	{ "gid", FIND_GROUP, T_NUMBER, 'g', 0 },
	{ "nouser", FIND_NOUSER, T_NAMES, 0, 0 },
	{ "nogroup", FIND_NOGROUP, T_NAMES, 0, 0 },
	{ "links", FIND_LINKS, T_NUMBER, 0, 0 },
	{ "inum", FIND_INUM, T_NUMBER, 0, 0 },
	{ "true", FIND_TRUE, T_PLAIN, 0, 0 },
	{ "false", FIND_FALSE, T_PLAIN, 0, 0 },
	{ "maxdepth", FIND_TRUE, T_MAXDEPTH, 0, 0 },
	{ "mindepth", FIND_TRUE, T_MINDEPTH, 0, 0 },
	{ "xdev", FIND_TRUE, T_XDEV, 0, 0 },
	{ "mount", FIND_TRUE, T_XDEV, 0, 0 },
	{ "depth", FIND_TRUE, T_DEPTH, 0, 0 },
	{ "print", FIND_PRINT, T_ACTION, 0, 0 },
	{ "print0", FIND_PRINT0, T_ACTION, 0, 0 },
	{ "ls", FIND_LS, T_ACTION, 0, 0 },
	{ "prune", FIND_PRUNE, T_PRUNE, 0, 0 },
	{ "quit", FIND_QUIT, T_ACTION, 0, 0 },
	{ "delete", FIND_DELETE, T_DELETE, 0, 0 },
	{ "exec", FIND_EXEC, T_EXEC, 0, 0 },
};

/* -exec COMMAND WORDS... ; and -exec COMMAND WORDS... {} + */
static int exec_action(struct parser *p, struct domu_find_node *x)
{
	size_t from = p->at, to = from;
	int rc;

	while (to < p->n && strcmp(p->words[to], ";") != 0 &&
	       (to < from + 2 || strcmp(p->words[to], "+") != 0 || strcmp(p->words[to - 1], "{}") != 0))
		to++;
	if (to == p->n)
		return bad(p, "-exec COMMAND... has to end with ';', quoted, or with", "{} +");
	if (to == from)
		return bad(p, "a command is missing after", "-exec");
	x->words = p->words + from;
	x->plus = strcmp(p->words[to], "+") == 0;
	x->n_words = to - from - (x->plus ? 1 : 0);
	p->at = to + 1;
	p->f->has_action = true;
	rc = domu_find_exec_check(p->env->ctx, x);
	p->f->changes = p->f->changes || (rc == 0 && domu_find_changes(x->cmd));
	return rc;
}

static bool takes_word(enum test t)
{
	return t < T_PLAIN;
}

static int fill_plain(struct parser *p, const struct test_row *row)
{
	p->f->one_fs = p->f->one_fs || row->test == T_XDEV;
	p->f->depth_given = p->f->depth_given || row->test == T_DEPTH;
	p->f->prunes = p->f->prunes || row->test == T_PRUNE;
	p->f->deletes = p->f->deletes || row->test == T_DELETE;
	p->f->changes = p->f->changes || row->test == T_DELETE;
	p->f->post_order = p->f->post_order || row->test == T_DEPTH || row->test == T_DELETE;
	p->f->needs_names = p->f->needs_names || row->test == T_NAMES || row->kind == FIND_LS;
	p->f->has_action = p->f->has_action || row->test == T_ACTION || row->test == T_DELETE;
	return 0;
}

static int fill(struct parser *p, const struct test_row *row, struct domu_find_node *x, const char *word)
{
	const char *rest = "";
	int rc;

	x->which = row->which;
	x->unit = row->unit;
	switch (row->test) {
	case T_TEXT:
		x->text = word;
		return 0;
	case T_TYPE:
		return type_test(p, x, word);
	case T_SIZE:
		return size_test(p, x, word);
	case T_NUMBER:
	case T_TIME:
		rc = signed_number(p, x, word, &rest);
		return rc == 0 && *rest != '\0' ? bad(p, "not a number:", word) : rc;
	case T_NEWER:
		return newer_test(p, x, word, (char)row->unit);
	case T_SAMEFILE:
		return samefile_test(p, x, word);
	case T_REGEX:
		return regex_test(p, x, word);
	case T_PRINTF:
		return printf_action(p, x, word);
	case T_PERM:
		return perm_test(p, x, word);
	case T_USER:
	case T_GROUP:
		return user_test(p, x, word, row->test == T_GROUP);
	case T_MAXDEPTH:
		return depth_option(p, word, &p->f->max_depth);
	case T_MINDEPTH:
		return depth_option(p, word, &p->f->min_depth);
	case T_EXEC:
		return exec_action(p, x);
	default:
		return fill_plain(p, row);
	}
}

static int add_test(struct parser *p, const struct test_row *row, const char *word)
{
	struct domu_find_node x;
	int i, rc;

	if (takes_word(row->test) && p->at >= p->n)
		return bad(p, "a word is missing after", word);
	i = node(p, row->kind);
	if (i < 0)
		return i;
	/* A number of a user is compared with its sign, a name by its number. */
	x = p->f->v[i];
	rc = fill(p, row, &x, takes_word(row->test) ? p->words[p->at++] : "");
	p->f->v[i] = x;
	return rc != 0 ? rc : i;
}

static int primary(struct parser *p)
{
	const char *word = p->words[p->at++];

	for (size_t k = 0; word[0] == '-' && k < sizeof tests / sizeof *tests; k++)
		if (strcmp(word + 1, tests[k].name) == 0)
			return add_test(p, &tests[k], word);
	/* -newerXY: the time X of it is later than the time Y of the file, or than the time itself. */
	if (strncmp(word, "-newer", 6) == 0 && strlen(word) == 8 && strchr("aBcm", word[6]) != NULL &&
	    strchr("aBcmt", word[7]) != NULL) {
		const struct test_row row = { "newer", FIND_NEWER, T_NEWER, word[6], (unsigned char)word[7] };

		return add_test(p, &row, word);
	}
	return domu_fail(p->env->ctx, DOMU_USAGE, -EINVAL, "find: there is no %s%s; see domu-rescue help find", word,
	                 domu_command_instead(&domu_cmd_find, word));
}

static int comma(struct parser *p);

static int factor(struct parser *p)
{
	int i;

	if (++p->nesting > MAX_NESTING)
		return bad(p, "an expression nested more than 100 deep", "");
	if (peek(p) == NULL) {
		i = bad(p, "an expression is missing at the end of", p->words[p->n - 1]);
	} else if (is(p, "-o", "-or") || is(p, "-a", "-and") || is(p, ",", ")")) {
		i = bad(p, "an expression is missing before", peek(p));
	} else if (is(p, "!", "-not")) {
		p->at++;
		i = factor(p);
		i = i < 0 ? i : join(p, FIND_NOT, i, -1);
	} else if (is(p, "(", "(")) {
		p->at++;
		i = comma(p);
		if (i >= 0 && !is(p, ")", ")"))
			i = bad(p, "there is no ) for", "(");
		p->at++;
	} else {
		i = primary(p);
	}
	p->nesting--;
	return i;
}

static int term(struct parser *p)
{
	int left = factor(p);

	while (left >= 0 && peek(p) != NULL && !is(p, "-o", "-or") && !is(p, ",", ")")) {
		int right;

		if (is(p, "-a", "-and"))
			p->at++;
		right = factor(p);
		left = right < 0 ? right : join(p, FIND_AND, left, right);
	}
	return left;
}

static int or_list(struct parser *p)
{
	int left = term(p);

	while (left >= 0 && is(p, "-o", "-or")) {
		int right;

		p->at++;
		right = term(p);
		left = right < 0 ? right : join(p, FIND_OR, left, right);
	}
	return left;
}

static int comma(struct parser *p)
{
	int left = or_list(p);

	while (left >= 0 && is(p, ",", ",")) {
		int right;

		p->at++;
		right = or_list(p);
		left = right < 0 ? right : join(p, FIND_COMMA, left, right);
	}
	return left;
}

int domu_find_parse(const struct domu_find_env *env, char *const *words, size_t n, struct domu_find *f)
{
	struct parser p = { .env = env, .f = f, .words = words, .n = n };
	int rc;

	*f = (struct domu_find){ .root = -1, .max_depth = ~0u, .now = time(NULL) };
	if (n == 0)
		return 0;
	rc = comma(&p);
	if (rc >= 0 && p.at < p.n)
		rc = bad(&p, "this does not belong there:", p.words[p.at]);
	if (rc >= 0 && f->deletes && f->prunes && !f->depth_given)
		rc = bad(&p, "-delete turns on -depth, where -prune does nothing: give -depth if that is meant,",
		         "or ! -path instead of -prune");
	if (rc < 0) {
		domu_find_free(f);
		return rc;
	}
	f->root = rc;
	return 0;
}

void domu_find_free(struct domu_find *f)
{
	for (size_t i = 0; i < f->n; i++) {
		domu_find_format_free(f->v[i].format);
		if (f->v[i].regex != NULL)
			regfree(f->v[i].regex);
		free(f->v[i].regex);
	}
	free(f->v);
	memset(f, 0, sizeof *f);
	f->root = -1;
}
