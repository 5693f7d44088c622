/* SPDX-License-Identifier: GPL-3.0-or-later */
/* server.h - between the two halves of the export: export.c in the front, server.c that answers the kernel. */
#ifndef DOMU_SERVER_H
#define DOMU_SERVER_H

#include "fence/confine.h"
#include "fence/fence.h"

/*
 * The child's whole life.  First message on ctl: END with str path and the
 * descriptor of its mount namespace.  Any message from the front ends it: the
 * stack is flushed and closed, the reply is an END with the first write that
 * could not be done.
 */
_Noreturn void domu_server_main(const struct domu_export_opts *opts, int ctl, pid_t parent);

#endif
