/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ls.h - between ls in the worker and how the front shows it. */
#ifndef DOMU_LS_H
#define DOMU_LS_H

#include "shell/command.h"
#include "shell/rowstat.h"

enum { LS_NAME = STAT_CELLS, LS_MARK, LS_LABEL, LS_CELLS };

bool domu_ls_is_long(const struct domu_args *a);

extern const struct domu_layout domu_ls_layout;

#endif
