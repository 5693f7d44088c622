/* SPDX-License-Identifier: GPL-3.0-or-later */
/* complete.c - what a word may become: from the command table, the guest, and the host. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "shell/cmd.h"
#include "shell/find.h"
#include "shell/flags.h"
#include "shell/shell.h"

#define MAX_CANDIDATES 20000

static int add(struct domu_candidates *c, const char *text)
{
	char **v;

	/* A name that could steer the terminal, or cannot be typed, is not offered. */
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0))
			return 0;
	if (!domu_is_utf8(text, strlen(text)) || c->n >= MAX_CANDIDATES)
		return 0;
	v = reallocarray(c->v, c->n + 1, sizeof *v);
	if (v == NULL)
		return -ENOMEM;
	c->v = v;
	c->v[c->n] = domu_word_quote(text, c->quote);
	if (c->v[c->n] == NULL)
		return -ENOMEM;
	c->n++;
	return 0;
}

static int add_if(struct domu_candidates *c, const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0 ? add(c, text) : 0;
}

void domu_candidates_free(struct domu_candidates *c)
{
	domu_paths_free(c->v, c->n);
	memset(c, 0, sizeof *c);
}

/* ---- from the table ------------------------------------------------------------------------ */

static int commands(struct domu_candidates *c, const char *word)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && domu_commands[i] != NULL; i++) {
		const struct domu_command *cmd = domu_commands[i];

		if ((cmd->needs & (CLI_ONLY | HIDDEN)) != 0)
			continue;
		rc = add_if(c, cmd->name, word);
		if (rc == 0 && cmd->alias != NULL)
			rc = add_if(c, cmd->alias, word);
	}
	return rc;
}

static int option_list(struct domu_candidates *c, const struct domu_option *list, const char *dashes, const char *word)
{
	int rc = 0;

	for (const struct domu_option *o = list; o != NULL && (o->name != NULL || o->letter != 0) && rc == 0; o++) {
		char text[80];

		if (o->name != NULL && strpbrk(o->name, "(!") == NULL) {
			snprintf(text, sizeof text, "%s%s%s", dashes, o->name,
			         o->value != NULL && dashes[1] != '\0' ? "=" : "");
			rc = add_if(c, text, word);
		} else if (o->name == NULL) {
			snprintf(text, sizeof text, "-%c", o->letter);
			rc = add_if(c, text, word);
		}
	}
	return rc;
}

static int options(struct domu_candidates *c, const struct domu_command *cmd, const char *word)
{
	int rc = option_list(c, cmd->options, (cmd->needs & RAW_ARGS) != 0 ? "-" : "--", word);

	if (rc == 0 && strncmp(word, "--", 2) == 0)
		rc = option_list(c, domu_global_options, "--", word);
	return rc;
}

/* The argument that the k-th operand is, operands before it being what they may. */
static enum domu_arg_type type_at(const struct domu_command *cmd, size_t k)
{
	const struct domu_arg *last = NULL;

	for (const struct domu_arg *arg = cmd->args; arg != NULL && arg->name != NULL; arg++) {
		if (arg->type == ARG_GUEST || arg->type == ARG_FLAGS)
			continue;
		last = arg;
		if (k == 0 || arg->count == COUNT_ANY || arg->count == COUNT_SOME)
			return arg->type;
		k--;
	}
	return last != NULL && (last->count == COUNT_ANY || last->count == COUNT_SOME) ? last->type : ARG_NONE;
}

/* ---- from guest and host ------------------------------------------------------------------------ */

static int guest_paths(struct domu_app *app, struct domu_candidates *c, const char *word)
{
	char **names;
	size_t n;
	int rc = domu_paths_complete(app, app->session, word, &names, &n);

	/* A word that is a name of the guest's does not become something else; behind ./ it is none. */
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (domu_name_misleads(app, word) || !domu_name_misleads(app, names[i]))
			rc = add(c, names[i]);
	if (rc == 0)
		domu_paths_free(names, n);
	domu_error_clear(app->ctx);
	return rc;
}

/* before: what stands before a path of the host, and goes with it. */
static int host_paths(struct domu_candidates *c, const char *before, const char *word)
{
	const char *slash = strrchr(word, '/'), *base = slash != NULL ? slash + 1 : word;
	char *dir = strndup(word, (size_t)(base - word));
	DIR *d = dir != NULL ? opendir(*dir != '\0' ? dir : ".") : NULL;
	struct dirent *e;
	int rc = 0;

	while (d != NULL && rc == 0 && (e = readdir(d)) != NULL) {
		struct stat st;
		char *path;
		bool is_dir;

		if (strncmp(e->d_name, base, strlen(base)) != 0 || (e->d_name[0] == '.' && *base != '.'))
			continue;
		is_dir = fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
		if (asprintf(&path, "%s%s%s%s", before, dir, e->d_name, is_dir ? "/" : "") < 0)
			break;
		rc = add(c, path);
		free(path);
	}
	if (d != NULL)
		closedir(d);
	free(dir);
	return rc;
}

static int devices(struct domu_app *app, struct domu_candidates *c, const char *word)
{
	struct domu_nodes nodes = { 0 };
	int rc = domu_session_nodes(app->session, false, &nodes);

	for (size_t i = 0; rc == 0 && i < nodes.n; i++)
		rc = add_if(c, nodes.v[i].name, word);
	domu_nodes_free(&nodes);
	domu_error_clear(app->ctx);
	return rc;
}

/* What undo can put back, newest first. */
static int commits(struct domu_app *app, struct domu_candidates *c, const char *word)
{
	struct domu_commit_info *v = NULL;
	size_t n = 0;
	int rc = domu_session_history(app->session, &v, &n);

	c->in_order = true;
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (v[i].undoable)
			rc = add_if(c, v[i].id, word);
	domu_state_list_free(v, n);
	domu_error_clear(app->ctx);
	return rc;
}

static int operand(struct domu_app *app, struct domu_candidates *c, enum domu_arg_type type, const char *word)
{
	switch (type) {
	case ARG_ANY_PATH:
		return strncmp(word, "host:", 5) == 0 ? host_paths(c, "host:", word + 5) : guest_paths(app, c, word);
	case ARG_GUEST_PATH:
	case ARG_GUEST_DIR:
		return guest_paths(app, c, word);
	case ARG_HOST_PATH:
		return host_paths(c, "", word);
	case ARG_DEV:
		return devices(app, c, word);
	case ARG_COMMAND:
		return commands(c, word);
	case ARG_COMMIT:
		return commits(app, c, word);
	default:
		return 0;
	}
}

/* ---- values of options -------------------------------------------------------------------------- */

static const struct domu_option *option_of(const struct domu_command *cmd, const char *name, char letter)
{
	for (const struct domu_option *o = cmd->options; o != NULL && (o->name != NULL || o->letter != 0); o++)
		if (name != NULL ? o->name != NULL && strcmp(o->name, name) == 0 : o->letter == letter)
			return o;
	return NULL;
}

static bool has_value(const struct domu_option *o)
{
	return o != NULL && o->value != NULL && o->value[0] != '[';
}

/* The option of this word that takes the next one as its value; NULL: none does. */
static const struct domu_option *takes_next(const struct domu_command *cmd, const char *word)
{
	const struct domu_option *o;

	if (word[0] != '-' || word[1] == '\0')
		return NULL;
	if ((cmd->needs & RAW_ARGS) != 0 || word[1] == '-') {
		o = option_of(cmd, word + ((cmd->needs & RAW_ARGS) != 0 ? 1 : 2), 0);
		return has_value(o) ? o : NULL;
	}
	/* Of letters together the first that takes a value has what stands behind it. */
	for (const char *p = word + 1; *p != '\0'; p++) {
		o = option_of(cmd, NULL, *p);
		if (has_value(o))
			return p[1] == '\0' ? o : NULL;
	}
	return NULL;
}

static int choices(struct domu_candidates *c, const char *list, const char *word)
{
	int rc = 0;

	for (size_t n; rc == 0 && *list != '\0'; list += n + (list[n] == '|')) {
		char one[64];

		n = strcspn(list, "|");
		snprintf(one, sizeof one, "%.*s", (int)n, list);
		rc = add_if(c, one, word);
	}
	return rc;
}

/* What find -exec runs. */
static int runnable(struct domu_candidates *c, const char *word)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && domu_commands[i] != NULL; i++)
		if (domu_find_can_run(domu_commands[i]))
			rc = add_if(c, domu_commands[i]->name, word);
	return rc;
}

/* By what the row calls the value. */
static int value(struct domu_app *app, struct domu_candidates *c, const struct domu_command *cmd, const char *name,
                 const char *word)
{
	if (strcmp(name, "ATTRIBUTE") == 0)
		return choices(c,
		               "security.capability|security.selinux|system.posix_acl_access|"
		               "system.posix_acl_default|trusted.|user.",
		               word);
	if (strchr(name, '|') != NULL)
		return choices(c, name, word);
	if (strncmp(name, "COMMAND", 7) == 0)
		return runnable(c, word);
	if (strncmp(name, "GUEST:", 6) == 0 || strcmp(name, "PATH") == 0)
		return guest_paths(app, c, word);
	if (strcmp(name, "DIR") == 0 && cmd->args != NULL)
		return operand(app, c, cmd->args->type == ARG_ANY_PATH ? ARG_ANY_PATH : ARG_HOST_PATH, word);
	return strcmp(name, "FILE") == 0 ? host_paths(c, "", word) : 0;
}

/* After | ! < >: the last word is a file of the host. */
static int host_word(struct domu_candidates *c, const char *host)
{
	size_t at = strlen(host);

	while (at > 0 && strchr(" \t|;<>=", host[at - 1]) == NULL)
		at--;
	c->start += at;
	return host_paths(c, "", host + at);
}

/* What stands before the word that is typed. */
struct typed {
	const struct domu_option *taken; /* the word is the value of this one */
	bool expression; /* of find: no operand comes any more */
	size_t operands;
};

static void look_back(const struct domu_command *cmd, const struct domu_line_command *l, struct typed *t)
{
	bool flags = cmd->args != NULL && cmd->args->type == ARG_FLAGS;
	bool pattern = cmd->args != NULL && cmd->args->type == ARG_PATTERN, raw = (cmd->needs & RAW_ARGS) != 0;

	for (size_t i = 1; i + 1 < l->n; i++) {
		const char *word = l->words[i].text;
		bool is_value = t->taken != NULL;

		t->taken = is_value ? NULL : takes_next(cmd, word);
		t->expression = t->expression || (raw && strchr("-(!", word[0]) != NULL);
		t->operands += !is_value && word[0] != '-' && !(flags && domu_flags_word(word));
		/* grep -e PATTERN, -f FILE: the pattern is no operand then. */
		if (pattern && t->taken != NULL && (t->taken->letter == 'e' || t->taken->letter == 'f')) {
			t->operands++;
			pattern = false;
		}
	}
}

static int complete_words(struct domu_app *app, const struct domu_line_command *l, struct domu_candidates *c)
{
	const char *word = l->words[l->n - 1].text;
	const struct domu_command *cmd;
	struct typed t = { 0 };
	int rc;

	if (l->n == 1)
		return commands(c, word);
	cmd = domu_command_find(l->words[0].text);
	if (cmd == NULL)
		return 0;
	look_back(cmd, l, &t);
	if (t.taken != NULL)
		return value(app, c, cmd, t.taken->value, word);
	if (word[0] == '-' || t.expression)
		return options(c, cmd, word);
	rc = operand(app, c, type_at(cmd, t.operands), word);
	/* Behind a path of find an expression may begin. */
	if (rc == 0 && (cmd->needs & RAW_ARGS) != 0 && t.operands > 0 && word[0] == '\0')
		rc = options(c, cmd, word);
	return rc;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int domu_complete(struct domu_app *app, const char *line, struct domu_candidates *out)
{
	struct domu_line_command l;
	int rc;

	memset(out, 0, sizeof *out);
	rc = domu_line_partial(line, &l, &out->start, &out->quote);
	if (rc == 0 && l.host != NULL)
		rc = host_word(out, l.host);
	else if (rc == 0 && l.n > 0)
		rc = complete_words(app, &l, out);
	domu_line_command_free(&l);
	if (rc == 0 && !out->in_order && out->n > 1)
		qsort(out->v, out->n, sizeof *out->v, by_text);
	return rc;
}

/* ---- for bash -------------------------------------------------------------------------------------- */

static int print_guests(struct domu_app *app, const char *word)
{
	struct domu_guests all = { 0 };
	struct domu_where where;
	int rc = domu_app_where(app, &app->globals, &where);

	if (rc == 0)
		rc = domu_guest_list(app->ctx, &where, &all);
	for (size_t i = 0; rc == 0 && i < all.n; i++) {
		const char *name = all.v[i]->name;

		if (name != NULL && strncmp(name, word, strlen(word)) == 0 && name[strcspn(name, " \t\n'\"\\")] == '\0')
			printf("%s\n", name);
	}
	domu_guests_free(&all);
	return rc;
}

static int print_paths(struct domu_app *app, const char *word, const char *path)
{
	struct domu_guest *g = NULL;
	struct domu_candidates c = { 0 };
	int rc = domu_app_session(app, word, 0, &g, &app->session);

	if (rc == 0)
		rc = guest_paths(app, &c, path);
	for (size_t i = 0; i < c.n; i++)
		printf("%.*s%s\n", (int)(path - word), word, c.v[i]);
	domu_candidates_free(&c);
	if (app->session != NULL)
		domu_session_close(app->session);
	app->session = NULL;
	domu_guest_free(g);
	return rc;
}

int domu_complete_ids(struct domu_app *app, const char *guest, const char *word)
{
	struct domu_candidates c = { 0 };
	struct domu_guest *g = NULL;
	int rc;

	app->mute = app->globals.quiet = true;
	rc = domu_app_session(app, guest, domu_cmd_history.needs, &g, &app->session);
	if (rc == 0)
		rc = commits(app, &c, word);
	for (size_t i = 0; i < c.n; i++)
		printf("%s\n", c.v[i]);
	domu_candidates_free(&c);
	domu_session_close(app->session);
	app->session = NULL;
	domu_guest_free(g);
	return rc == 0 ? 0 : (int)domu_error_status(app->ctx);
}

int domu_complete_word(struct domu_app *app, const char *word)
{
	const char *split = strstr(word, ":/");
	int rc;

	app->mute = app->globals.quiet = true;
	rc = split != NULL ? print_paths(app, word, split + 1) : print_guests(app, word);
	return rc == 0 ? 0 : (int)domu_error_status(app->ctx);
}
