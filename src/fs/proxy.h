/* SPDX-License-Identifier: GPL-3.0-or-later */
/* proxy.h - struct domu_fs over a socket: the worker's end, and the appliance's. */
#ifndef DOMU_PROXY_H
#define DOMU_PROXY_H

#include "fs/fs.h"

/* A filesystem whose driver runs at the other end of sock (taken over). */
int domu_proxy_open(struct domu_ctx *ctx, int sock, struct domu_block *b, unsigned flags, struct domu_fs **fs);
/* The other end: serves fs until the socket closes.  0, or what went wrong with the socket. */
int domu_proxy_serve(int sock, struct domu_fs *fs);

#endif
