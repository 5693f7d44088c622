/* SPDX-License-Identifier: GPL-3.0-or-later */
/* globals.c - the options that every command takes. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shell/command.h"

const struct domu_option domu_global_options[] = {
	{ "dry-run", 'n', NULL, "say what would be done and change nothing" },
	{ "yes", 'y', NULL, "answer every question with yes" },
	{ "quiet", 'q', NULL, "only results and failures" },
	{ "verbose", 'v', NULL, "also say what is being done" },
	{ "json", 0, NULL, "one JSON object instead of text" },
	{ "config-dir", 0, "DIR", "look for xl configs here (repeatable)" },
	{ "config", 0, "FILE", "the guest is this xl config" },
	{ "disk", 0, "PATH", "the guest is this disk (repeatable: xvda, xvdb, ...)" },
	{ "format", 0, "FORMAT", "the format of bare disks: raw, qcow2, ..." },
	{ "state-dir", 0, "DIR", "where stages, undo files and the history are" },
	{ "engine", 0, "auto|ext2fs|guestfs", "who reads filesystems" },
	{ "no-progress", 0, NULL, "no progress on a terminal" },
	{ "progress", 0, "lines", "progress as lines, also without a terminal" },
	{ "live", 0, NULL, "read a guest though it is in use" },
	{ "waive", 0, "CHECK", "do without this check of the verdict (repeatable)" },
	{ "no-undo", 0, NULL, "commit without keeping what was there" },
	{ "undo-dir", 0, "DIR", "keep the undo files here" },
	{ "help", 'h', NULL, "help for the program or the command" },
	{ "version", 'V', NULL, "the program's version" },
	{ NULL, 0, NULL, NULL },
};

static int append(const char ***list, const char *value)
{
	size_t n = 0;
	const char **p;

	while (*list != NULL && (*list)[n] != NULL)
		n++;
	p = realloc(*list, (n + 2) * sizeof *p);
	if (p == NULL)
		return -ENOMEM;
	p[n] = value;
	p[n + 1] = NULL;
	*list = p;
	return 0;
}

static bool *flag_of(struct domu_globals *g, const char *name)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {
		{ "dry-run", &g->dry_run }, { "yes", &g->yes },         { "quiet", &g->quiet },
		{ "verbose", &g->verbose }, { "json", &g->json },       { "no-progress", &g->no_progress },
		{ "live", &g->live },       { "no-undo", &g->no_undo }, { "help", &g->help },
		{ "version", &g->version },
	};

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strcmp(flags[i].name, name) == 0)
			return flags[i].flag;
	return NULL;
}

static const char **value_of(struct domu_globals *g, const char *name)
{
	const struct {
		const char *name;
		const char **value;
	} values[] = {
		{ "config", &g->config },
		{ "format", &g->format },
		{ "state-dir", &g->state_dir },
		{ "undo-dir", &g->undo_dir },
	};

	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		if (strcmp(values[i].name, name) == 0)
			return values[i].value;
	return NULL;
}

static int set_value(struct domu_ctx *ctx, struct domu_globals *g, const char *name, const char *value)
{
	int rc = 0;

	if (*value == '\0')
		return domu_fail(ctx, DOMU_USAGE, -EINVAL, "--%s needs a value", name);
	if (strcmp(name, "config-dir") == 0)
		rc = append(&g->config_dirs, value);
	else if (strcmp(name, "disk") == 0)
		rc = append(&g->disks, value);
	else if (strcmp(name, "waive") == 0)
		rc = append(&g->waive, value);
	else if (strcmp(name, "engine") == 0)
		g->engine = value;
	else if (strcmp(name, "progress") == 0)
		g->progress_lines = true;
	else
		*value_of(g, name) = value;
	if (rc != 0)
		return domu_nomem(ctx);
	if (strcmp(name, "engine") == 0 && strcmp(value, "auto") != 0 && strcmp(value, "ext2fs") != 0 &&
	    strcmp(value, "guestfs") != 0)
		return domu_fail(ctx, DOMU_USAGE, -EINVAL, "--engine is auto, ext2fs or guestfs, not %s", value);
	if (strcmp(name, "progress") == 0 && strcmp(value, "lines") != 0)
		return domu_fail(ctx, DOMU_USAGE, -EINVAL, "--progress takes the word lines, not %s", value);
	return 0;
}

static const struct domu_option *find_long(const char *word, size_t len)
{
	for (const struct domu_option *o = domu_global_options; o->name != NULL; o++)
		if (strlen(o->name) == len && strncmp(o->name, word, len) == 0)
			return o;
	return NULL;
}

/* Does the command's own long option take the next word as its value? */
static bool own_option_takes_next(const struct domu_command *c, const char *word)
{
	if (c == NULL || strchr(word, '=') != NULL)
		return false;
	for (const struct domu_option *o = c->options; o != NULL && (o->name != NULL || o->letter != 0); o++)
		if (o->name != NULL && o->value != NULL && strcmp(o->name, word) == 0)
			return true;
	return false;
}

static bool own_option(const struct domu_command *c, const char *word, size_t len)
{
	for (const struct domu_option *o = c != NULL ? c->options : NULL;
	     o != NULL && (o->name != NULL || o->letter != 0); o++)
		if ((c->needs & RAW_ARGS) == 0 && o->name != NULL && strlen(o->name) == len &&
		    strncmp(o->name, word, len) == 0)
			return true;
	return false;
}

/* 1: taken, and *i stands on its last word; 0: not a global option. */
static int take_long(struct domu_ctx *ctx, struct domu_globals *g, const struct domu_command *c, int argc, char **argv,
                     int *i)
{
	const char *word = argv[*i] + 2, *eq = strchr(word, '=');
	size_t len = eq != NULL ? (size_t)(eq - word) : strlen(word);
	const struct domu_option *o = own_option(c, word, len) ? NULL : find_long(word, len);
	int rc;

	if (o == NULL)
		return 0;
	if (o->value == NULL) {
		if (eq != NULL)
			return domu_fail(ctx, DOMU_USAGE, -EINVAL, "--%s takes no value", o->name);
		*flag_of(g, o->name) = true;
		return 1;
	}
	if (eq == NULL && *i + 1 >= argc)
		return domu_fail(ctx, DOMU_USAGE, -EINVAL, "--%s needs a value", o->name);
	rc = set_value(ctx, g, o->name, eq != NULL ? eq + 1 : argv[++*i]);
	return rc != 0 ? rc : 1;
}

static int take_letters(struct domu_ctx *ctx, struct domu_globals *g, const char *word)
{
	for (const char *p = word + 1; *p != '\0'; p++) {
		const struct domu_option *o = domu_global_options;

		while (o->name != NULL && o->letter != *p)
			o++;
		if (o->name == NULL)
			return domu_fail(ctx, DOMU_USAGE, -EINVAL,
			                 "there is no option -%c before a command; see domu-rescue help", *p);
		*flag_of(g, o->name) = true;
	}
	return 1;
}

int domu_globals_take(struct domu_ctx *ctx, struct domu_globals *g, const struct domu_command *c, int *argc,
                      char **argv)
{
	int kept = c != NULL ? 1 : 0, i, rc;

	for (i = kept; i < *argc; i++) {
		char *word = argv[i];

		if (strcmp(word, "--") == 0)
			break;
		rc = 0;
		if (word[0] == '-' && word[1] == '-')
			rc = take_long(ctx, g, c, *argc, argv, &i);
		else if (c == NULL && word[0] == '-' && word[1] != '\0')
			rc = take_letters(ctx, g, word);
		if (rc < 0)
			return rc;
		if (rc == 1)
			continue;
		if (c == NULL && word[0] == '-' && word[1] == '-')
			return domu_fail(ctx, DOMU_USAGE, -EINVAL,
			                 "there is no option %s before a command; see domu-rescue help", word);
		if (c == NULL)
			break;
		argv[kept++] = word;
		if (word[0] == '-' && word[1] == '-' && own_option_takes_next(c, word + 2) && i + 1 < *argc)
			argv[kept++] = argv[++i];
	}
	for (; i < *argc; i++)
		argv[kept++] = argv[i];
	argv[kept] = NULL;
	*argc = kept;
	return 0;
}

static int copy_list(const char **from, const char ***to)
{
	*to = NULL;
	for (; from != NULL && *from != NULL; from++)
		if (append(to, *from) != 0)
			return -ENOMEM;
	return 0;
}

int domu_globals_copy(struct domu_ctx *ctx, const struct domu_globals *from, struct domu_globals *to)
{
	*to = *from;
	to->waive = to->config_dirs = to->disks = NULL;
	if (copy_list(from->waive, &to->waive) == 0 && copy_list(from->config_dirs, &to->config_dirs) == 0 &&
	    copy_list(from->disks, &to->disks) == 0)
		return 0;
	domu_globals_free(to);
	return domu_nomem(ctx);
}

void domu_globals_free(struct domu_globals *g)
{
	free(g->waive);
	free(g->config_dirs);
	free(g->disks);
	memset(g, 0, sizeof *g);
}
