/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* escape.h - bytes of a guest made fit for a terminal or for JSON. */
#ifndef DOMU_ESCAPE_H
#define DOMU_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A new string in which every byte that could steer a terminal (control
 * characters, DEL, C1 controls, bytes that are not UTF-8) is \ooo as ls -b
 * writes it, and a backslash is doubled.  keep_lines: newline and tab stay.
 * NULL: no memory.  The caller frees.
 */
char *domu_escape(const char *bytes, size_t len, bool keep_lines);
bool domu_is_utf8(const char *bytes, size_t len);
/* A new string with U+FFFD for every byte that is not UTF-8. */
char *domu_to_utf8(const char *bytes, size_t len);
char *domu_base64(const void *bytes, size_t len);
/* Length of the UTF-8 sequence at p (at most len), 0 when it is none; overlong and surrogates are none. */
size_t domu_utf8_len(const char *p, size_t len);

#endif
