/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flags.h - the letters that lsattr and chattr have for the flags of an inode. */
#ifndef DOMU_FLAGS_H
#define DOMU_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#define DOMU_FLAGS_TEXT 23
void domu_flags_text(uint32_t flags, char out[DOMU_FLAGS_TEXT]); /* --------------e------- */
/* A word of chattr: +, - or = and letters.  No other check: it is for the parser. */
bool domu_flags_word(const char *word);
/* The flags that the letters of such a word are; *unknown the first that is none, else 0. */
uint32_t domu_flags_parse(const char *letters, char *unknown);
/* Flags that a user may set on what has this mode, as the kernel has it. */
uint32_t domu_flags_settable(uint32_t mode);

#endif
