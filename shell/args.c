/* SPDX-License-Identifier: GPL-3.0-or-later */
/* args.c - a command's words taken apart by its row: options anywhere, operands counted. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shell/command.h"
#include "shell/flags.h"

struct given {
	const struct domu_option *option;
	char *value;
};

struct domu_args {
	const struct domu_command *cmd;
	bool in_shell, yes;
	struct given *given;
	size_t n_given;
	char **operands, **rest;
	size_t n_operands, n_rest;
};

static bool is_option(const struct domu_option *o)
{
	return o != NULL && (o->name != NULL || o->letter != 0);
}

static const struct domu_option *by_letter(const struct domu_command *c, char letter)
{
	for (const struct domu_option *o = c->options; is_option(o); o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

static const struct domu_option *by_name(const struct domu_command *c, const char *name, size_t len)
{
	for (const struct domu_option *o = c->options; is_option(o); o++)
		if (o->name != NULL && strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static int usage(struct domu_ctx *ctx, const struct domu_command *c, const char *what, const char *word)
{
	return domu_fail(ctx, DOMU_USAGE, -EINVAL, "%s: %s%s%s; see domu-rescue help %s", c->name, what,
	                 word != NULL ? " " : "", word != NULL ? word : "", c->name);
}

static int add_option(struct domu_args *a, const struct domu_option *o, const char *value)
{
	struct given *g = &a->given[a->n_given];

	g->option = o;
	g->value = value != NULL ? strdup(value) : NULL;
	if (value != NULL && g->value == NULL)
		return -ENOMEM;
	a->n_given++;
	return 0;
}

static int add_word(char **list, size_t *n, const char *word)
{
	list[*n] = strdup(word);
	if (list[*n] == NULL)
		return -ENOMEM;
	++*n;
	return 0;
}

const char *domu_command_instead(const struct domu_command *c, const char *word)
{
	for (const struct domu_missing *m = c->missing; m != NULL && m->word != NULL; m++) {
		size_t n = strlen(m->word);

		if (strncmp(m->word, word, n) == 0 && (word[n] == '\0' || word[n] == '='))
			return m->instead;
	}
	return "";
}

static int no_option(struct domu_ctx *ctx, const struct domu_command *c, const char *word)
{
	return domu_fail(ctx, DOMU_USAGE, -EINVAL, "%s: there is no option %s%s; see domu-rescue help %s", c->name,
	                 word, domu_command_instead(c, word), c->name);
}

/* --name, --name=value, --name value.  *i moves on where the next word was taken. */
static int long_option(struct domu_ctx *ctx, struct domu_args *a, int argc, char *const *argv, int *i)
{
	const char *word = argv[*i] + 2, *eq = strchr(word, '=');
	const struct domu_option *o = by_name(a->cmd, word, eq != NULL ? (size_t)(eq - word) : strlen(word));

	if (o == NULL)
		return no_option(ctx, a->cmd, argv[*i]);
	if (o->value == NULL) {
		if (eq != NULL)
			return usage(ctx, a->cmd, "this option takes no value:", argv[*i]);
		return add_option(a, o, NULL);
	}
	if (eq != NULL)
		return add_option(a, o, eq + 1);
	if (o->value[0] == '[')
		return add_option(a, o, NULL);
	if (*i + 1 >= argc)
		return usage(ctx, a->cmd, "a value is missing after", argv[*i]);
	return add_option(a, o, argv[++*i]);
}

static int letters(struct domu_ctx *ctx, struct domu_args *a, int argc, char *const *argv, int *i)
{
	for (const char *p = argv[*i] + 1; *p != '\0'; p++) {
		const struct domu_option *o = by_letter(a->cmd, *p);
		char shown[3] = { '-', *p, '\0' };
		int rc;

		if (o == NULL && *p == 'y' && (a->cmd->needs & (NEED_WRITE | NEED_STAGE | NEED_STATE)) != 0) {
			a->yes = true;
			continue;
		}
		if (o == NULL)
			return no_option(ctx, a->cmd, isprint((unsigned char)*p) ? shown : argv[*i]);
		if (o->value == NULL) {
			rc = add_option(a, o, NULL);
			if (rc != 0)
				return rc;
			continue;
		}
		if (p[1] != '\0')
			return add_option(a, o, p + 1);
		if (*i + 1 >= argc)
			return usage(ctx, a->cmd, "a value is missing after", shown);
		return add_option(a, o, argv[++*i]);
	}
	return 0;
}

static bool has_arg(const struct domu_command *c, enum domu_arg_type type)
{
	for (const struct domu_arg *arg = c->args; arg != NULL && arg->name != NULL; arg++)
		if (arg->type == type)
			return true;
	return false;
}

/* A word that begins with "-" and is an operand all the same: -5G of resize, -w of chmod. */
static bool dashed_operand(const struct domu_command *c, const char *word)
{
	if (isdigit((unsigned char)word[1]) && by_letter(c, word[1]) == NULL)
		return has_arg(c, ARG_SIZE);
	return has_arg(c, ARG_MODE) && by_letter(c, word[1]) == NULL &&
	       strspn(word + 1, "rwxXstugo=+,-") == strlen(word + 1);
}

/* head -20 is head -n 20, grep -2 is grep -C 2: the option that a number alone is the value of. */
static const struct domu_option *number_option(const struct domu_command *c, const char *word)
{
	const struct domu_option *o = by_letter(c, 'n');

	if (o == NULL || o->value == NULL)
		o = by_letter(c, 'C');
	return isdigit((unsigned char)word[1]) && by_letter(c, word[1]) == NULL && o != NULL && o->value != NULL &&
	               strspn(word + 1, "0123456789") == strlen(word + 1)
	           ? o
	           : NULL;
}

static int parse_word(struct domu_ctx *ctx, struct domu_args *a, int argc, char *const *argv, int *i)
{
	const char *word = argv[*i];

	if (has_arg(a->cmd, ARG_FLAGS) && domu_flags_word(word) && by_letter(a->cmd, word[1]) == NULL)
		return add_option(a, by_name(a->cmd, "flags", strlen("flags")), word);
	if (word[0] != '-' || word[1] == '\0' || dashed_operand(a->cmd, word))
		return add_word(a->operands, &a->n_operands, word);
	if (word[1] == '-')
		return long_option(ctx, a, argc, argv, i);
	if (number_option(a->cmd, word) != NULL)
		return add_option(a, number_option(a->cmd, word), word + 1);
	return letters(ctx, a, argc, argv, i);
}

static int parse_raw(struct domu_args *a, int argc, char *const *argv)
{
	int i = 1, rc = 0;

	for (; rc == 0 && i < argc && strchr("-(!", argv[i][0]) == NULL; i++)
		rc = add_word(a->operands, &a->n_operands, argv[i]);
	for (; rc == 0 && i < argc; i++)
		rc = add_word(a->rest, &a->n_rest, argv[i]);
	return rc;
}

static int parse_words(struct domu_ctx *ctx, struct domu_args *a, int argc, char *const *argv)
{
	bool ended = false;
	int rc = 0;

	if ((a->cmd->needs & RAW_ARGS) != 0)
		return parse_raw(a, argc, argv);
	for (int i = 1; rc == 0 && i < argc; i++) {
		if (!ended && strcmp(argv[i], "--") == 0)
			ended = true;
		else if (ended && has_arg(a->cmd, ARG_REST))
			rc = add_word(a->rest, &a->n_rest, argv[i]);
		else if (ended)
			rc = add_word(a->operands, &a->n_operands, argv[i]);
		else
			rc = parse_word(ctx, a, argc, argv, &i);
	}
	return rc;
}

/* grep PATTERN is grep -e PATTERN, unless -e or -f is there: so all operands are files, also in a part of them. */
static int take_pattern(struct domu_ctx *ctx, struct domu_args *a)
{
	const struct domu_option *o = by_name(a->cmd, "regexp", strlen("regexp"));

	if (!has_arg(a->cmd, ARG_PATTERN) || domu_args_flag(a, "regexp") || domu_args_flag(a, "file"))
		return 0;
	if (a->n_operands == 0)
		return usage(ctx, a->cmd, "missing", "PATTERN");
	a->given[a->n_given++] = (struct given){ .option = o, .value = a->operands[0] };
	a->n_operands--;
	memmove(a->operands, a->operands + 1, (a->n_operands + 1) * sizeof *a->operands);
	return 0;
}

/* cp -t DIR FILE is cp FILE DIR/: a directory it has to be. */
static int take_target(struct domu_args *a)
{
	const struct domu_option *o = by_name(a->cmd, "target-directory", strlen("target-directory"));
	char *dir = NULL;

	for (size_t i = 0; o != NULL && i < a->n_given; i++) {
		if (a->given[i].option != o)
			continue;
		free(dir);
		dir = a->given[i].value;
		memmove(&a->given[i], &a->given[i + 1], (a->n_given - i - 1) * sizeof *a->given);
		a->n_given--;
		i--;
	}
	if (dir == NULL)
		return 0;
	a->operands[a->n_operands] = dir;
	if (*dir == '\0' || dir[strlen(dir) - 1] == '/' || asprintf(&a->operands[a->n_operands], "%s/", dir) >= 0) {
		if (a->operands[a->n_operands] != dir)
			free(dir);
		a->n_operands++;
		return 0;
	}
	free(dir);
	return -ENOMEM;
}

/* chmod --reference=FILE FILE...: no mode is given, its place is taken by a word that is none. */
static int take_reference(struct domu_args *a)
{
	if (by_name(a->cmd, "reference", strlen("reference")) == NULL || !domu_args_flag(a, "reference") ||
	    (!has_arg(a->cmd, ARG_MODE) && !has_arg(a->cmd, ARG_WORD)))
		return 0;
	if (a->n_operands > 0 && strcmp(a->operands[0], DOMU_NO_OPERAND) == 0)
		return 0;
	memmove(a->operands + 1, a->operands, a->n_operands * sizeof *a->operands);
	a->operands[0] = strdup(DOMU_NO_OPERAND);
	a->n_operands++;
	return a->operands[0] != NULL ? 0 : -ENOMEM;
}

/* What has no operand of its own. */
static bool without_operand(const struct domu_args *a, const struct domu_arg *arg)
{
	return (a->in_shell && arg->type == ARG_GUEST) || arg->type == ARG_NONE || arg->type == ARG_REST ||
	       arg->type == ARG_PATTERN || arg->type == ARG_FLAGS;
}

static int count_operands(struct domu_ctx *ctx, const struct domu_args *a)
{
	size_t least = 0, most = 0;
	const char *missing = NULL;

	for (const struct domu_arg *arg = a->cmd->args; arg != NULL && arg->name != NULL; arg++) {
		bool optional = arg->count == COUNT_OPTIONAL || arg->count == COUNT_ANY ||
		                (a->in_shell && arg->type == ARG_GUEST_DIR);

		if (without_operand(a, arg))
			continue;
		if (!optional && a->n_operands <= least && missing == NULL)
			missing = arg->name;
		least += !optional;
		if (arg->count == COUNT_ANY || arg->count == COUNT_SOME)
			most = SIZE_MAX;
		else if (most != SIZE_MAX)
			most++;
	}
	if (a->n_operands < least)
		return usage(ctx, a->cmd, "missing", missing);
	if (a->n_operands > most)
		return usage(ctx, a->cmd, "one argument too many:", a->operands[most]);
	return 0;
}

int domu_args_parse(struct domu_ctx *ctx, const struct domu_command *c, int argc, char *const *argv, bool in_shell,
                    struct domu_args **out)
{
	size_t n = argc > 0 ? (size_t)argc : 1;
	size_t max_given = 2;
	struct domu_args *a = calloc(1, sizeof *a);
	int rc;

	*out = NULL;
	for (int i = 1; i < argc; i++)
		max_given += strlen(argv[i]);
	if (a != NULL) {
		a->cmd = c;
		a->in_shell = in_shell;
		a->given = calloc(max_given, sizeof *a->given);
		a->operands = calloc(n + 2, sizeof *a->operands);
		a->rest = calloc(n + 1, sizeof *a->rest);
	}
	if (a == NULL || a->given == NULL || a->operands == NULL || a->rest == NULL) {
		domu_args_free(a);
		return domu_nomem(ctx);
	}
	rc = parse_words(ctx, a, argc, argv);
	if (rc == 0)
		rc = take_pattern(ctx, a);
	if (rc == 0)
		rc = take_target(a);
	if (rc == 0)
		rc = take_reference(a);
	if (rc == -ENOMEM)
		domu_nomem(ctx);
	if (rc == 0)
		rc = count_operands(ctx, a);
	if (rc != 0)
		domu_args_free(a);
	else
		*out = a;
	return rc;
}

void domu_args_free(struct domu_args *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->n_given; i++)
		free(a->given[i].value);
	for (size_t i = 0; i < a->n_operands; i++)
		free(a->operands[i]);
	for (size_t i = 0; i < a->n_rest; i++)
		free(a->rest[i]);
	free(a->given);
	free(a->operands);
	free(a->rest);
	free(a);
}

int domu_args_replace(struct domu_ctx *ctx, struct domu_args *a, size_t i, char *const *names, size_t n)
{
	char **v = calloc(a->n_operands + n + 2, sizeof *v);
	size_t at = i;
	int rc = v != NULL ? 0 : -ENOMEM;

	if (v != NULL)
		memcpy(v, a->operands, i * sizeof *v);
	for (size_t k = 0; rc == 0 && k < n; k++)
		rc = add_word(v, &at, names[k]);
	if (rc != 0) {
		for (size_t k = i; v != NULL && k < at; k++)
			free(v[k]);
		free(v);
		return domu_nomem(ctx);
	}
	free(a->operands[i]);
	memcpy(v + at, a->operands + i + 1, (a->n_operands - i - 1) * sizeof *v);
	free(a->operands);
	a->operands = v;
	a->n_operands += n - 1;
	return 0;
}

/* ---- asking ---- */

static bool names(const struct domu_option *o, const char *name)
{
	if (o->name != NULL && strcmp(o->name, name) == 0)
		return true;
	return o->letter != 0 && name[0] == o->letter && name[1] == '\0';
}

bool domu_args_flag(const struct domu_args *a, const char *name)
{
	for (size_t i = 0; i < a->n_given; i++)
		if (names(a->given[i].option, name))
			return true;
	return false;
}

const char *domu_args_value(const struct domu_args *a, const char *name)
{
	for (size_t i = a->n_given; i-- > 0;)
		if (names(a->given[i].option, name))
			return a->given[i].value;
	return NULL;
}

const char *domu_args_value_at(const struct domu_args *a, const char *name, size_t n)
{
	for (size_t i = 0; i < a->n_given; i++)
		if (names(a->given[i].option, name) && n-- == 0)
			return a->given[i].value;
	return NULL;
}

char domu_args_last(const struct domu_args *a, const char *wanted)
{
	for (size_t i = a->n_given; i-- > 0;) {
		char letter = a->given[i].option->letter;

		if (letter != 0 && strchr(wanted, letter) != NULL)
			return letter;
	}
	return 0;
}

unsigned domu_args_walks(const struct domu_command *c, const struct domu_args *a)
{
	return c->recursive == NULL || domu_args_last(a, c->recursive) != 0 ? c->needs & WALKS : 0;
}

size_t domu_args_count(const struct domu_args *a)
{
	return a->n_operands;
}

const char *domu_args_get(const struct domu_args *a, size_t i)
{
	return i < a->n_operands ? a->operands[i] : NULL;
}

char *const *domu_args_rest(const struct domu_args *a, size_t *n)
{
	*n = a->n_rest;
	return a->rest;
}

const struct domu_arg *domu_args_arg(const struct domu_args *a, size_t i)
{
	const struct domu_arg *list[16], *repeated = NULL;
	size_t n = 0, before = 0, after;

	for (const struct domu_arg *arg = a->cmd->args; arg != NULL && arg->name != NULL && n < 16; arg++) {
		if (without_operand(a, arg))
			continue;
		if (repeated == NULL && (arg->count == COUNT_ANY || arg->count == COUNT_SOME)) {
			repeated = arg;
			before = n;
		}
		list[n++] = arg;
	}
	if (repeated == NULL)
		return i < n ? list[i] : NULL;
	after = n - before - 1;
	if (i < before)
		return list[i];
	/* cp SRC... DST: the last operands belong to what follows the repeated one. */
	return i + after >= a->n_operands && i < a->n_operands ? list[n - (a->n_operands - i)] : repeated;
}

char **domu_args_words(const struct domu_args *a, size_t first, size_t n, int *argc)
{
	char **words = calloc(2 * a->n_given + n + a->n_rest + 4, sizeof *words);
	size_t at = 0;
	int rc;

	if (words == NULL)
		return NULL;
	rc = add_word(words, &at, a->cmd->name);
	if (rc == 0 && a->yes)
		rc = add_word(words, &at, "-y");
	for (size_t i = 0; rc == 0 && i < a->n_given; i++) {
		const struct given *g = &a->given[i];
		bool behind = g->value != NULL && g->option->value[0] == '[';
		char word[300];

		if (behind)
			snprintf(word, sizeof word, "--%s=%s", g->option->name, g->value);
		else if (g->option->letter != 0)
			snprintf(word, sizeof word, "-%c", g->option->letter);
		else
			snprintf(word, sizeof word, "--%s", g->option->name);
		rc = add_word(words, &at, word);
		if (rc == 0 && g->value != NULL && !behind)
			rc = add_word(words, &at, g->value);
	}
	if (rc == 0 && (a->cmd->needs & RAW_ARGS) == 0)
		rc = add_word(words, &at, "--");
	for (size_t i = first; rc == 0 && i < first + n && i < a->n_operands; i++)
		rc = add_word(words, &at, a->operands[i]);
	for (size_t i = 0; rc == 0 && i < a->n_rest; i++)
		rc = add_word(words, &at, a->rest[i]);
	if (rc != 0) {
		domu_words_free(words);
		return NULL;
	}
	*argc = (int)at;
	return words;
}

void domu_words_free(char **words)
{
	for (size_t i = 0; words != NULL && words[i] != NULL; i++)
		free(words[i]);
	free(words);
}

bool domu_args_yes(const struct domu_args *a)
{
	return a->yes;
}
