/* SPDX-License-Identifier: GPL-3.0-or-later */
/* workercmd.h - a command on its way from the front to the worker. */
#ifndef DOMU_WORKERCMD_H
#define DOMU_WORKERCMD_H

#include <stdbool.h>

#include "base/msg.h"

struct domu_command_request {
	size_t argc;
	char *const *argv;
	const char *cwd, *use, *guest;
	bool many, no_guest, in_shell, json;
};

/* Descriptors of -1 are not sent. */
void domu_command_encode(struct domu_msg *m, const struct domu_command_request *q, int in_fd, int out_fd);

#endif
