/* SPDX-License-Identifier: GPL-3.0-or-later */
/* analyzer.h - tells static analysis, which sees one file at a time, that domu_fail() never returns success. */
#include "config.h"

#include "base/ctx.h"

#define domu_fail(ctx, status, err, ...) (domu_say((ctx), DOMU_DEBUG, __VA_ARGS__), (void)(status), (void)(err), -1)
#define domu_nomem(ctx)                  ((void)(ctx), -12)
