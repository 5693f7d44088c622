/* SPDX-License-Identifier: GPL-3.0-or-later */
/* app.h - the program around the commands: what main and the shell need beyond command.h. */
#ifndef DOMU_APP_H
#define DOMU_APP_H

#include "shell/command.h"

void domu_app_init(struct domu_app *app, struct domu_ctx *ctx, volatile sig_atomic_t *signal_flag);
void domu_app_free(struct domu_app *app);
/* A message on stderr, escaped, after the results printed so far. */
void domu_app_print(struct domu_app *app, const char *prefix, const char *text);
unsigned domu_app_width(int fd); /* of the terminal, 0: none */
/* As domu_app_run(); no_guest: operands name no guest.  For the shell: argv of one line. */
int domu_app_exec(struct domu_app *app, int argc, char *const *argv, bool in_shell);

#endif
