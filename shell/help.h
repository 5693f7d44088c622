/* SPDX-License-Identifier: GPL-3.0-or-later */
/* help.h - what is generated from the command table: help, manual, bash completion. */
#ifndef DOMU_HELP_H
#define DOMU_HELP_H

#include <stdio.h>

#include "shell/command.h"

void domu_help_program(FILE *f); /* at most 80 columns wide, as all help */
void domu_help_shell(FILE *f); /* the commands that the shell has */
void domu_help_command(FILE *f, const struct domu_command *c, bool in_shell);
void domu_help_usage(FILE *f, const struct domu_command *c, bool in_shell); /* one line, without newline */
/* "-a, --all", "--undo-dir DIR", "-name PATTERN" */
void domu_help_option(const struct domu_command *c, const struct domu_option *o, char *out, size_t size);
const char *const *domu_help_topics(void); /* NULL-terminated, in order */
void domu_dump_manual(FILE *f); /* the part of domu-rescue(1) that is about commands */
void domu_dump_completion(FILE *f); /* for bash */

#endif
