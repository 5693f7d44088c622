/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-shell-table.c - every command's row is whole, and help, manual and completion say the same. */
#include "config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "shell/command.h"
#include "shell/help.h"

#define EACH(c) for (size_t i_ = 0; ((c) = domu_commands[i_]) != NULL; i_++)

/* What fn prints; the caller frees. */
static char *printed(void (*fn)(FILE *f, const void *arg), const void *arg)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fn(f, arg);
	fclose(f);
	return text;
}

static void help_of(FILE *f, const void *c)
{
	domu_help_command(f, c, false);
}

static void shell_help_of(FILE *f, const void *c)
{
	domu_help_command(f, c, true);
}

static void program(FILE *f, const void *arg)
{
	(void)arg;
	domu_help_program(f);
}

static void shell(FILE *f, const void *arg)
{
	(void)arg;
	domu_help_shell(f);
}

static void manual(FILE *f, const void *arg)
{
	(void)arg;
	domu_dump_manual(f);
}

static void completion(FILE *f, const void *arg)
{
	(void)arg;
	domu_dump_completion(f);
}

static bool has_topic(const char *topic)
{
	for (const char *const *t = domu_help_topics(); *t != NULL; t++)
		if (strcmp(*t, topic) == 0)
			return true;
	return false;
}

static bool is_end(const struct domu_option *o)
{
	return o->name == NULL && o->letter == 0;
}

Test(table, every_row_is_whole)
{
	const struct domu_command *c;

	EACH(c)
	{
		cr_expect_not_null(c->summary, "%s", c->name);
		cr_expect(has_topic(c->topic), "%s: %s", c->name, c->topic);
		cr_expect(c->worker != NULL || c->front != NULL, "%s: does nothing", c->name);
		cr_expect(islower((unsigned char)c->summary[0]), "%s: a summary is lower case", c->name);
		cr_expect_neq(c->summary[strlen(c->summary) - 1], '.', "%s", c->name);
		cr_expect_lt(strlen(c->name) + 3 + strlen(c->summary), 80, "%s", c->name);
		cr_expect(c->worker == NULL || (c->needs & (NEED_GUEST | NEED_MANY)) != 0, "%s: a worker needs a guest",
		          c->name);
		if ((c->needs & (SHELL_ONLY | HIDDEN)) == 0)
			cr_expect_not_null(c->example, "%s has no example", c->name);
		if (c->example != NULL && (c->needs & SHELL_ONLY) == 0)
			cr_expect_not_null(strstr(c->example, "domu-rescue "), "%s", c->name);
		cr_expect_eq(domu_command_find(c->name), c, "%s is found", c->name);
		if (c->alias != NULL)
			cr_expect_eq(domu_command_find(c->alias), c, "%s", c->alias);
	}
	cr_expect_null(domu_command_find("no-such-command"));
}

Test(table, what_commands_need_are_different_bits)
{
	static const unsigned bits[] = { NEED_GUEST,  NEED_WRITE, NEED_LOOK,   NEED_MANY,      SHELL_ONLY,
		                         CLI_ONLY,    NEED_STAGE, GIVES_BYTES, TAKES_BYTES,    RAW_ARGS,
		                         FSCK_STATUS, HIDDEN,     OWN_OUTPUT,  STAGE_OPTIONAL, NEED_STATE };
	unsigned all = 0;

	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
		cr_expect_eq(all & bits[i], 0, "bit %zu", i);
		all |= bits[i];
	}
}

Test(table, options_are_told_apart)
{
	const struct domu_command *c;

	EACH(c)
	for (const struct domu_option *o = c->options; o != NULL && !is_end(o); o++) {
		cr_expect_not_null(o->help, "%s --%s", c->name, o->name != NULL ? o->name : "");
		for (const struct domu_option *p = c->options; p != o; p++) {
			cr_expect(o->letter == 0 || o->letter != p->letter, "%s -%c twice", c->name, o->letter);
			cr_expect(o->name == NULL || p->name == NULL || strcmp(o->name, p->name) != 0, "%s --%s twice",
			          c->name, o->name);
		}
		/* What changes something and has -y of its own means something by it. */
		cr_expect(o->letter != 'y' || (c->needs & (FSCK_STATUS | NEED_WRITE | NEED_STATE)) != 0, "%s -y",
		          c->name);
	}
}

Test(table, columns_are_told_apart)
{
	const struct domu_command *c;

	EACH(c)
	for (size_t i = 0; c->columns != NULL && c->columns[i].key != NULL; i++) {
		cr_expect_lt(i, DOMU_MAX_COLUMNS, "%s", c->name);
		for (size_t k = 0; k < i; k++)
			cr_expect(c->columns[i].key[0] == '\0' || strcmp(c->columns[i].key, c->columns[k].key) != 0,
			          "%s: %s twice", c->name, c->columns[i].key);
		cr_expect(c->columns[i].type != CELL_OBJECT || c->columns[i].title == NULL, "%s: %s", c->name,
		          c->columns[i].key);
	}
}

static void expect_80(const char *text, const char *what)
{
	for (const char *p = text, *end; *p != '\0'; p = end + (*end == '\n')) {
		end = strchr(p, '\n');
		if (end == NULL)
			end = p + strlen(p);
		cr_expect_leq(end - p, 80, "%s: %.*s", what, (int)(end - p), p);
		cr_expect(end == p || end[-1] != ' ', "%s: a blank at the end of: %.*s", what, (int)(end - p), p);
	}
}

Test(table, help_is_at_most_80_columns_wide)
{
	const struct domu_command *c;
	char *text = printed(program, NULL);

	expect_80(text, "help");
	free(text);
	text = printed(shell, NULL);
	expect_80(text, "help in the shell");
	free(text);
	EACH(c)
	{
		text = printed(help_of, c);
		expect_80(text, c->name);
		free(text);
		text = printed(shell_help_of, c);
		expect_80(text, c->name);
		free(text);
	}
}

/* text with what troff needs taken out. */
static char *unroff(char *text)
{
	char *q = text;

	for (char *p = text; *p != '\0'; p++) {
		if (*p == '\\' && p[1] == '&')
			p++;
		else if (*p == '\\' && p[1] == 'e')
			*q++ = '\\', p++;
		else if (*p != '\\')
			*q++ = *p;
	}
	*q = '\0';
	return text;
}

static void expect_in(const char *where, const char *text, const char *c, const char *what)
{
	cr_expect_not_null(strstr(text, what), "%s: %s is not in the %s", c, what, where);
}

Test(table, help_manual_and_completion_agree)
{
	const struct domu_command *c;
	char *man = unroff(printed(manual, NULL)), *bash = printed(completion, NULL), *all = printed(program, NULL);
	char *in_shell = printed(shell, NULL);

	EACH(c)
	{
		char *help = printed(help_of, c), line[128], term[128];

		if ((c->needs & HIDDEN) != 0) {
			free(help);
			continue;
		}
		snprintf(line, sizeof line, ".SS %s", c->name);
		expect_in("manual", man, c->name, line);
		snprintf(line, sizeof line, "\n  %s ", c->name);
		if ((c->needs & SHELL_ONLY) == 0) {
			expect_in("help", all, c->name, line);
			snprintf(term, sizeof term, " %s", c->name);
			expect_in("completion", bash, c->name, term);
		}
		if ((c->needs & CLI_ONLY) == 0)
			expect_in("shell's help", in_shell, c->name, line);
		for (const struct domu_option *o = c->options; o != NULL && !is_end(o); o++) {
			domu_help_option(c, o, term, sizeof term);
			expect_in("help", help, c->name, term);
			expect_in("manual", man, c->name, term);
			if (o->name == NULL || strpbrk(o->name, "(!") != NULL || (c->needs & SHELL_ONLY) != 0)
				continue;
			snprintf(term, sizeof term, " %s%s", (c->needs & RAW_ARGS) != 0 ? "-" : "--", o->name);
			expect_in("completion", bash, c->name, term);
		}
		free(help);
	}
	free(man);
	free(bash);
	free(all);
	free(in_shell);
}

Test(table, the_completion_is_bash_and_completes)
{
	char *bash = printed(completion, NULL), *script, *command, path[] = "/tmp/test-shell-table.XXXXXX";
	char out[4096];
	int fd;
	FILE *f;
	size_t n;

	/* What bash offers after each of these, with a program that knows no guests. */
	cr_assert_gt(
	    asprintf(&script,
	             "domu-rescue() { :; }; compopt() { :; }\n%s\n"
	             "go() { COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=' :='; _domu_rescue; echo "
	             "\"${COMPREPLY[@]}\"; }\n"
	             "go 'domu-rescue ls --almo'; go 'domu-rescue hel'; go 'domu-rescue --config x list --lo';\n",
	             bash),
	    0);
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	f = fdopen(fd, "w");
	fputs(script, f);
	fclose(f);
	cr_assert_gt(asprintf(&command, "bash %s 2>&1", path), 0);
	f = popen(command, "r");
	n = fread(out, 1, sizeof out - 1, f);
	out[n] = '\0';
	cr_expect_eq(pclose(f), 0, "%s", out);
	remove(path);
	free(command);
	cr_expect_str_eq(out, "--almost-all\nhelp\n--look\n");
	free(script);
	free(bash);
}
