/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mode.h - permission bits as chmod takes them: octal or symbolic. */
#ifndef DOMU_MODE_H
#define DOMU_MODE_H

#include <stdbool.h>
#include <stdint.h>

/* The permission bits that text ("644", "u+x,go-w") makes of old; dir: of a directory.  -EINVAL: not a mode. */
int domu_mode_apply(const char *text, uint32_t old, bool dir, uint32_t *mode);

#endif
