/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-help.c - help. */
#include "config.h"

#include <errno.h>

#include "shell/cmd.h"
#include "shell/help.h"

static int run(struct domu_run *r)
{
	const char *name = domu_args_get(r->args, 0);
	const struct domu_command *c;

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

const struct domu_command domu_cmd_help = {
	.name = "help",
	.topic = "shell",
	.summary = "what commands there are, or all about one",
	.args = args,
	.example = "domu-rescue help ls",
	.needs = GIVES_BYTES,
	.front = run,
};
