/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plugins.h - finding and loading plugins. */
#ifndef DOMU_PLUGINS_H
#define DOMU_PLUGINS_H

#include "base/ctx.h"

/*
 * The one thing that is the process's and not a session's, as dlopen(3) is:
 * which plugins are loaded.  The folder is "plugins" beside the executable in
 * a build tree, else the one of the installation.
 */
const char *domu_plugin_dir(void);
/* For a test's program, which is not where the plugins are; before anything was loaded. */
void domu_plugin_dir_set(const char *dir);
/* Loads every KIND-*.so once; a plugin that does not load or has a wrong API is a warning. */
int domu_plugins_load(struct domu_ctx *ctx, enum domu_plugin_kind kind);
/*
 * Without those that have a NAME.late beside NAME.so: each costs every start some 0.07 ms.  What is not found among
 * these is looked for after domu_plugins_load().
 */
int domu_plugins_load_first(struct domu_ctx *ctx, enum domu_plugin_kind kind);
/* Those loaded, by priority, those with a NAME.late behind the others; NULL-terminated. */
const struct domu_plugin *const *domu_plugins(enum domu_plugin_kind kind);
/* A program or library of ours beside the plugins (the shim).  The caller frees; NULL: absent. */
char *domu_plugin_file(const char *name);

#endif
