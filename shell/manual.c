/* SPDX-License-Identifier: GPL-3.0-or-later */
/* manual.c - the commands' part of the manual, and the completion for bash, from the command table. */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include "shell/help.h"

/* ---- the manual (man(7)) ---------------------------------------------------------- */

/* Text for troff: backslashes and hyphens as they are, no line that begins like a request. */
static void roff(FILE *f, const char *text)
{
	bool start = true;

	for (; *text != '\0'; text++) {
		if (start && (*text == '.' || *text == '\''))
			fputs("\\&", f);
		start = *text == '\n';
		if (*text == '\\')
			fputs("\\e", f);
		else if (*text == '-')
			fputs("\\-", f);
		else if (*text == '\n' && text[1] == '\n')
			fputs("\n.PP", f);
		else
			fputc(*text, f);
	}
}

static void roff_options(FILE *f, const struct domu_command *c, const struct domu_option *list)
{
	char term[96];

	for (const struct domu_option *o = list; o != NULL && (o->name != NULL || o->letter != 0); o++) {
		domu_help_option(c, o, term, sizeof term);
		fputs(".TP\n.B ", f);
		roff(f, term);
		fputc('\n', f);
		roff(f, o->help);
		fputc('\n', f);
	}
}

static void usage_lines(FILE *f, const struct domu_command *c)
{
	char line[512] = "";
	FILE *mem;

	for (int in_shell = 0; in_shell < 2; in_shell++) {
		if ((c->needs & (in_shell ? CLI_ONLY : SHELL_ONLY)) != 0 || (in_shell && (c->needs & SHELL_ONLY) == 0))
			continue;
		memset(line, 0, sizeof line);
		mem = fmemopen(line, sizeof line - 1, "w");
		if (mem == NULL)
			continue;
		domu_help_usage(mem, c, in_shell);
		fclose(mem);
		fputs(".B ", f);
		roff(f, line);
		fputc('\n', f);
	}
}

static void columns(FILE *f, const struct domu_command *c)
{
	if (c->columns == NULL)
		return;
	fputs(".PP\nIn JSON, ", f);
	fprintf(f, "\\fI%s\\fR[]:", c->json_key != NULL ? c->json_key : "entries");
	for (size_t i = 0, n = 0; c->columns[i].key != NULL; i++)
		if (c->columns[i].key[0] != '\0')
			fprintf(f, "%s %s", n++ > 0 ? "," : "", c->columns[i].key);
	fputs(".\n", f);
}

static void manual_command(FILE *f, const struct domu_command *c)
{
	fprintf(f, ".SS %s%s%s\n", c->name, c->alias != NULL ? ", " : "", c->alias != NULL ? c->alias : "");
	usage_lines(f, c);
	fputs(".PP\n", f);
	fputc(toupper((unsigned char)*c->summary), f);
	roff(f, c->summary + 1);
	fputs(".\n", f);
	if (c->description != NULL) {
		fputs(".PP\n", f);
		roff(f, c->description);
		fputc('\n', f);
	}
	roff_options(f, c, c->options);
	columns(f, c);
	if (c->example != NULL) {
		fputs(".PP\nExample: \n.B ", f);
		roff(f, c->example);
		fputc('\n', f);
	}
}

void domu_dump_manual(FILE *f)
{
	fputs(".SH OPTIONS\nLong options may stand anywhere, the short forms only before\n.IR COMMAND .\n", f);
	roff_options(f, NULL, domu_global_options);
	for (const char *const *topic = domu_help_topics(); *topic != NULL; topic++) {
		fputs(".SH COMMANDS: ", f);
		for (const char *p = *topic; *p != '\0'; p++)
			fputc(toupper((unsigned char)*p), f);
		fputc('\n', f);
		for (size_t i = 0; domu_commands[i] != NULL; i++)
			if (strcmp(domu_commands[i]->topic, *topic) == 0 && (domu_commands[i]->needs & HIDDEN) == 0)
				manual_command(f, domu_commands[i]);
	}
}

/* ---- bash -------------------------------------------------------------------------- */

static void bash_options(FILE *f, const struct domu_command *c, const struct domu_option *list)
{
	const char *dash = c != NULL && (c->needs & RAW_ARGS) != 0 ? "-" : "--";

	for (const struct domu_option *o = list; o != NULL && (o->name != NULL || o->letter != 0); o++) {
		if (o->name != NULL && strpbrk(o->name, "(!) ") == NULL)
			fprintf(f, " %s%s", dash, o->name);
		if (o->letter != 0 && c != NULL)
			fprintf(f, " -%c", o->letter);
	}
}

/* What a command's operands are, for the script: words of h(ost) g(uest) p(ath) c(ommand) i(d). */
static void bash_kinds(FILE *f, const struct domu_command *c)
{
	for (const struct domu_arg *arg = c->args; arg != NULL && arg->name != NULL; arg++) {
		switch (arg->type) {
		case ARG_GUEST:
			fputc('g', f);
			break;
		case ARG_GUEST_PATH:
		case ARG_GUEST_DIR:
			fputc('p', f);
			break;
		case ARG_ANY_PATH:
			fputs("ph", f);
			break;
		case ARG_HOST_PATH:
			fputc('h', f);
			break;
		case ARG_COMMAND:
			fputc('c', f);
			break;
		case ARG_COMMIT:
			fputc('i', f);
			break;
		default:
			break;
		}
	}
}

/* Options that take the next word: with files those whose value is a file of this host, else the others. */
static void bash_values(FILE *f, const struct domu_command *c, bool files)
{
	for (const struct domu_option *o = c->options; o != NULL && (o->name != NULL || o->letter != 0); o++) {
		if (o->value == NULL || o->value[0] == '[' || (strcmp(o->value, "FILE") == 0) != files ||
		    strncmp(o->value, "GUEST:", 6) == 0 || strcmp(o->value, "PATH") == 0 ||
		    strcmp(o->value, "DIR") == 0)
			continue;
		if (o->name != NULL && strpbrk(o->name, "(!) ") == NULL)
			fprintf(f, " %s%s", (c->needs & RAW_ARGS) != 0 ? "-" : "--", o->name);
		if (o->letter != 0)
			fprintf(f, " -%c", o->letter);
	}
}

static const char script[] =
    "_domu_rescue()\n"
    "{\n"
    "\tlocal line=${COMP_LINE:0:COMP_POINT} cur cmd='' words w i kind opts files values prev guest=''\n"
    "\tread -ra words <<<\"$line\"\n"
    "\tcur=''; [[ $line == *[[:space:]] ]] || cur=${words[-1]}\n"
    "\tfor ((i = 1; i < ${#words[@]}; i++)); do\n"
    "\t\tw=${words[i]}\n"
    "\t\t[[ $i -eq $((${#words[@]} - 1)) && -n $cur ]] && break\n"
    "\t\tcase $w in\n"
    "\t\t--config-dir|--config|--disk|--format|--state-dir|--engine|--progress|--waive|--undo-dir) ((i++)) ;;\n"
    "\t\t-*) ;;\n"
    "\t\t*) cmd=$w; break ;;\n"
    "\t\tesac\n"
    "\tdone\n"
    "\tCOMPREPLY=()\n"
    "\t_domu_rescue_row \"$cmd\"\n"
    "\tprev=${words[-1]}; [[ -z $cur ]] || prev=${words[-2]}\n"
    "\tif [[ \" $files \" == *\" $prev \"* ]]; then\n"
    "\t\tcompopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "\t\treturn\n"
    "\tfi\n"
    "\t[[ \" $values \" == *\" $prev \"* ]] && return\n"
    "\tif [[ $cur == -* ]]; then\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$opts $_domu_rescue_globals\" -- \"$cur\")\n"
    "\t\treturn\n"
    "\tfi\n"
    "\tif [[ $kind == *i* ]]; then\n"
    "\t\tfor ((i++; i < ${#words[@]} - (${#cur} > 0); i++)); do\n"
    "\t\t\t[[ ${words[i]} == -* || -n $guest ]] || guest=${words[i]}\n"
    "\t\tdone\n"
    "\t\tif [[ -n $guest ]]; then\n"
    "\t\t\tcompopt -o nosort\n"
    "\t\t\tmapfile -t COMPREPLY < <(domu-rescue --complete-ids \"$guest\" \"$cur\" 2>/dev/null)\n"
    "\t\t\treturn\n"
    "\t\tfi\n"
    "\tfi\n"
    "\tif [[ -z $cmd ]]; then\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$_domu_rescue_commands\" -- \"$cur\"; domu-rescue --complete \"$cur\" "
    "2>/dev/null)\n"
    "\telse\n"
    "\t\t[[ $kind == *c* ]] && mapfile -t COMPREPLY < <(compgen -W \"$_domu_rescue_commands\" -- \"$cur\")\n"
    "\t\t[[ $kind == *[gp]* ]] && mapfile -t COMPREPLY < <(domu-rescue --complete \"$cur\" 2>/dev/null)\n"
    "\t\t[[ $kind == *h* || $cur == [./]* ]] && compopt -o filenames &&\n"
    "\t\t\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "\tfi\n"
    "\t# Bash cuts words at colons, and replaces only what follows the last one.\n"
    "\tif [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
    "\t\tfor i in \"${!COMPREPLY[@]}\"; do COMPREPLY[i]=${COMPREPLY[i]#\"${cur%\"${cur##*:}\"}\"}; done\n"
    "\tfi\n"
    "\t[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:] ]] && compopt -o nospace\n"
    "}\n"
    "complete -F _domu_rescue domu-rescue\n";

void domu_dump_completion(FILE *f)
{
	fputs("# bash completion for domu-rescue, made from its command table.\n_domu_rescue_globals='", f);
	bash_options(f, NULL, domu_global_options);
	fputs("'\n_domu_rescue_commands='", f);
	for (size_t i = 0; domu_commands[i] != NULL; i++)
		if ((domu_commands[i]->needs & (SHELL_ONLY | HIDDEN)) == 0)
			fprintf(f, " %s", domu_commands[i]->name);
	fputs("'\n_domu_rescue_row()\n{\n\tkind='' opts='' files='' values=''\n\tcase $1 in\n", f);
	for (size_t i = 0; domu_commands[i] != NULL; i++) {
		const struct domu_command *c = domu_commands[i];

		if ((c->needs & (SHELL_ONLY | HIDDEN)) != 0)
			continue;
		fprintf(f, "\t%s%s%s)\n\t\tkind='", c->name, c->alias != NULL ? "|" : "",
		        c->alias != NULL ? c->alias : "");
		bash_kinds(f, c);
		fputs("'\n\t\topts='", f);
		bash_options(f, c, c->options);
		fputs("'\n\t\tfiles='", f);
		bash_values(f, c, true);
		fputs("'\n\t\tvalues='", f);
		bash_values(f, c, false);
		fputs("'\n\t\t;;\n", f);
	}
	fputs("\tesac\n}\n", f);
	fputs(script, f);
}
