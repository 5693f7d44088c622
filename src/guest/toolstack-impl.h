/* SPDX-License-Identifier: GPL-3.0-or-later */
/* toolstack-impl.h - what the readers of other toolstacks' files share. */
#ifndef DOMU_TOOLSTACK_IMPL_H
#define DOMU_TOOLSTACK_IMPL_H

#include "guest/toolstack.h"

struct domu_xml_handler;

/* NULL, and errno: ENOMEM, or E2BIG. */
struct domu_kept *domu_kept_add(struct domu_toolstack *t, const char *source);
void domu_kept_drop(struct domu_toolstack *t); /* the last */
/* A file's elements; what cannot be read is a warning.  As domu_xml_scan(), or the negative errno of reading. */
int domu_toolstack_scan(struct domu_ctx *ctx, const char *path, const struct domu_xml_handler *h, void *user);
int domu_qubes_read(struct domu_ctx *ctx, const char *root, struct domu_toolstack *t);

#endif
