/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ops.h - what the worker can be asked to do by the shell's side of the program. */
#ifndef DOMU_OPS_H
#define DOMU_OPS_H

#include "fence/fence.h"

int domu_op_command(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply); /* run a worker command */

#endif
