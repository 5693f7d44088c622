/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conffile.h - what the administrator set for good: /etc/domu-rescue.conf, or the file that DOMU_RESCUE_CONF names. */
#ifndef DOMU_CONFFILE_H
#define DOMU_CONFFILE_H

#include "block/commit.h"

/* Defaults where there is no file.  DOMU_USAGE names file and line; r->count stays 0 then. */
int domu_conffile_load(struct domu_ctx *ctx, struct domu_retain *r);

#endif
