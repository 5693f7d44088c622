/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-help.c - help. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "shell/cmd.h"
#include "shell/help.h"

static int rows(struct domu_run *r, const char *name)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && domu_commands[i] != NULL; i++) {
		const struct domu_command *c = domu_commands[i];

		if ((c->needs & HIDDEN) != 0 || (name != NULL && strcmp(c->name, name) != 0))
			continue;
		domu_row_text(r->out, c->name);
		domu_row_text(r->out, c->topic);
		domu_row_text(r->out, c->summary);
		rc = domu_row_end(r->out);
	}
	return rc;
}

static int run(struct domu_run *r)
{
	const char *name = domu_args_get(r->args, 0);
	const struct domu_command *c;

	if (domu_out_json(r->out))
		return rows(r, name);
	if (name == NULL) {
		if (r->in_shell)
			domu_help_shell(r->app->out);
		else
			domu_help_program(r->app->out);
		return 0;
	}
	c = domu_command_find(name);
	if (c == NULL)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "there is no command %s; see %s", name,
		                 r->in_shell ? "help" : "domu-rescue help");
	domu_help_command(r->app->out, c, r->in_shell);
	return 0;
}

static const struct domu_arg args[] = {
	{ "COMMAND", ARG_COMMAND, COUNT_OPTIONAL },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_column columns[] = {
	{ "name", "COMMAND", CELL_TEXT },
	{ "topic", "TOPIC", CELL_TEXT },
	{ "summary", "SUMMARY", CELL_TEXT },
	{ NULL, NULL, CELL_TEXT },
};

const struct domu_command domu_cmd_help = {
	.name = "help",
	.topic = "shell",
	.summary = "what commands there are, or all about one",
	.args = args,
	.columns = columns,
	.json_key = "commands",
	.example = "domu-rescue help ls",
	.front = run,
};
