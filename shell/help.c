/* SPDX-License-Identifier: GPL-3.0-or-later */
/* help.c - help from the command table. */
#include "config.h"

#include <string.h>

#include "shell/help.h"

#define WIDTH 79

const char *const *domu_help_topics(void)
{
	static const char *const topics[] = { "looking", "reading", "changing", "repair", "history", "shell", NULL };

	return topics;
}

static bool shown_in(const struct domu_command *c, bool in_shell)
{
	return (c->needs & HIDDEN) == 0 && (c->needs & (in_shell ? CLI_ONLY : SHELL_ONLY)) == 0;
}

/* The words of text from column at on, lines indented, a blank line where the text has line ends; ends its line. */
static void wrap(FILE *f, const char *text, size_t at, size_t indent)
{
	size_t column = at;

	while (*text != '\0') {
		size_t len = strcspn(text, " \n");

		if (len > 0 && column > indent && column + 1 + len > WIDTH) {
			fprintf(f, "\n%*s", (int)indent, "");
			column = indent;
		}
		if (len > 0) {
			fprintf(f, "%s%.*s", column > indent ? " " : "", (int)len, text);
			column += len + (column > indent);
		}
		text += len;
		if (*text == '\n') {
			text += strspn(text, "\n");
			fprintf(f, "\n\n%*s", (int)indent, "");
			column = indent;
		} else {
			text += strspn(text, " ");
		}
	}
	fputc('\n', f);
}

/* term, then text in a column of its own. */
static void item(FILE *f, const char *term, const char *text, size_t column)
{
	size_t len = strlen(term) + 2;

	fprintf(f, "  %s", term);
	if (len + 2 > column) {
		fputc('\n', f);
		len = 0;
	}
	fprintf(f, "%*s", (int)(column - len), "");
	wrap(f, text, column, column);
}

void domu_help_option(const struct domu_command *c, const struct domu_option *o, char *out, size_t size)
{
	bool raw = c != NULL && (c->needs & RAW_ARGS) != 0;
	const char *dashes = raw ? "-" : "--", *between = raw || o->name == NULL ? " " : "=";
	char letter[8] = "", name[64] = "";

	if (o->letter != 0)
		snprintf(letter, sizeof letter, "-%c%s", o->letter, o->name != NULL ? ", " : "");
	if (o->name != NULL)
		snprintf(name, sizeof name, "%s%s", strpbrk(o->name, "(!") != NULL ? "" : dashes, o->name);
	snprintf(out, size, "%s%s%s%s", letter, name, o->value != NULL ? between : "",
	         o->value != NULL ? o->value : "");
}

static bool left_out(const struct domu_arg *arg, bool in_shell)
{
	return arg->type == ARG_NONE || (in_shell && arg->type == ARG_GUEST);
}

void domu_help_usage(FILE *f, const struct domu_command *c, bool in_shell)
{
	fprintf(f, "%s%s", in_shell ? "" : "domu-rescue ", c->name);
	if (c->options != NULL && (c->needs & RAW_ARGS) == 0)
		fputs(" [OPTION...]", f);
	for (const struct domu_arg *arg = c->args; arg != NULL && arg->name != NULL; arg++) {
		const char *name = arg->name;
		bool optional =
		    arg->count == COUNT_OPTIONAL || arg->count == COUNT_ANY || (in_shell && arg->type == ARG_GUEST_DIR);
		bool more = arg->count == COUNT_ANY || arg->count == COUNT_SOME;

		if (left_out(arg, in_shell))
			continue;
		if (in_shell && strncmp(name, "GUEST:", 6) == 0)
			name += 6;
		fprintf(f, " %s%s%s%s%s", arg->type == ARG_REST ? "-- " : "", optional ? "[" : "", name,
		        more ? "..." : "", optional ? "]" : "");
	}
	if ((c->needs & RAW_ARGS) != 0)
		fputs(" [EXPRESSION]", f);
}

static void options(FILE *f, const struct domu_command *c, const struct domu_option *list)
{
	char term[96];

	for (const struct domu_option *o = list; o->name != NULL || o->letter != 0; o++) {
		domu_help_option(c, o, term, sizeof term);
		item(f, term, o->help, 24);
	}
}

void domu_help_command(FILE *f, const struct domu_command *c, bool in_shell)
{
	fprintf(f, "%s - %s\n\nUsage: ", c->name, c->summary);
	domu_help_usage(f, c, in_shell);
	fputc('\n', f);
	if (c->alias != NULL)
		fprintf(f, "Also:  %s\n", c->alias);
	if (c->description != NULL) {
		fputc('\n', f);
		wrap(f, c->description, 0, 0);
	}
	if (c->options != NULL) {
		fputs((c->needs & RAW_ARGS) != 0 ? "\nExpression:\n" : "\nOptions:\n", f);
		options(f, c, c->options);
	}
	if (c->example != NULL)
		fprintf(f, "\nExample:\n  %s\n", c->example);
	fputs(in_shell ? "" : "\nOptions of every command: domu-rescue help\n", f);
}

static void command_list(FILE *f, bool in_shell)
{
	for (const char *const *topic = domu_help_topics(); *topic != NULL; topic++) {
		bool first = true;

		for (size_t i = 0; domu_commands[i] != NULL; i++) {
			const struct domu_command *c = domu_commands[i];

			if (strcmp(c->topic, *topic) != 0 || !shown_in(c, in_shell))
				continue;
			if (first)
				fprintf(f, "\n%s:\n", *topic);
			first = false;
			item(f, c->name, c->summary, 18);
		}
	}
}

void domu_help_program(FILE *f)
{
	fputs("domu-rescue - rescue the filesystems of Xen guests\n\n"
	      "Usage: domu-rescue [OPTION...] COMMAND ...   one command\n"
	      "       domu-rescue [OPTION...] GUEST         an interactive shell on a guest\n\n"
	      "A GUEST is the name of an xl config or of a live domain, or a path: of a\n"
	      "config (*.cfg *.xl *.hvm *.pv *.pvh), else of a disk.  GUEST:/path is a file\n"
	      "in it, GUEST@DEV:/path a file in one of its filesystems.\n",
	      f);
	command_list(f, false);
	fputs("\noptions (-n -y -q -v only before COMMAND):\n", f);
	options(f, NULL, domu_global_options);
	fputs("\nHelp for a command: domu-rescue help COMMAND\n", f);
}

void domu_help_shell(FILE *f)
{
	fputs("Paths are the guest's, with * ? [] as in any shell; quote with ' \" \\.\n"
	      "CMD; CMD runs both.  !HOSTCMD, CMD | HOSTCMD, CMD > HOSTFILE, CMD >> HOSTFILE\n"
	      "and CMD < HOSTFILE reach the host.\n",
	      f);
	command_list(f, true);
	fputs("\nHelp for a command: help COMMAND\n", f);
}
