/* SPDX-License-Identifier: GPL-3.0-or-later */
/* names.h - the guest's users and groups, from its /etc/passwd and /etc/group: in the worker. */
#ifndef DOMU_NAMES_H
#define DOMU_NAMES_H

#include <stdbool.h>

#include "fs/fs.h"
#include "base/ctx.h"

struct domu_names;

/* What cannot be read is an empty list: numbers are shown then.  NULL: no memory. */
struct domu_names *domu_names_load(struct domu_tree *t, struct domu_ctx *ctx);
void domu_names_free(struct domu_names *n);
/* NULL: no such user or group (or n is NULL). */
const char *domu_names_user(const struct domu_names *n, uint32_t uid);
const char *domu_names_group(const struct domu_names *n, uint32_t gid);
/* A name or a number. */
bool domu_names_find_user(const struct domu_names *n, const char *name, uint32_t *uid);
bool domu_names_find_group(const struct domu_names *n, const char *name, uint32_t *gid);

#endif
