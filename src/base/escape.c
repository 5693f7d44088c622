/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* escape.c - bytes of a guest made fit for a terminal or for JSON. */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"

/* The table of RFC 3629, section 4. */
size_t domu_utf8_len(const char *p, size_t len)
{
	const unsigned char *s = (const unsigned char *)p;
	unsigned char lo = 0x80, hi = 0xbf;
	size_t n;

	if (len == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		n = 2;
	} else if (s[0] >= 0xe0 && s[0] <= 0xef) {
		n = 3;
		if (s[0] == 0xe0)
			lo = 0xa0;
		if (s[0] == 0xed)
			hi = 0x9f;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		n = 4;
		if (s[0] == 0xf0)
			lo = 0x90;
		if (s[0] == 0xf4)
			hi = 0x8f;
	} else {
		return 0;
	}
	if (len < n || s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

bool domu_is_utf8(const char *bytes, size_t len)
{
	while (len > 0) {
		size_t n = domu_utf8_len(bytes, len);

		if (n == 0)
			return false;
		bytes += n;
		len -= n;
	}
	return true;
}

char *domu_escape(const char *bytes, size_t len, bool keep_lines)
{
	char *out = malloc(len * 4 + 1), *q = out;

	if (out == NULL)
		return NULL;
	while (len > 0) {
		size_t n = domu_utf8_len(bytes, len);
		unsigned char c = (unsigned char)*bytes;
		/* U+0080 to U+009F are controls too. */
		bool c1 = n == 2 && c == 0xc2 && (unsigned char)bytes[1] < 0xa0;

		if (n == 1 && keep_lines && (c == '\n' || c == '\t')) {
			*q++ = (char)c;
		} else if (n == 1 && c == '\\' && !keep_lines) {
			*q++ = '\\';
			*q++ = '\\';
		} else if (n == 0 || c1 || (n == 1 && (c < 0x20 || c == 0x7f))) {
			if (n == 0)
				n = 1;
			for (size_t i = 0; i < n; i++) {
				unsigned char byte = (unsigned char)bytes[i];

				*q++ = '\\';
				*q++ = (char)('0' + (byte >> 6));
				*q++ = (char)('0' + (byte >> 3 & 7));
				*q++ = (char)('0' + (byte & 7));
			}
		} else {
			memcpy(q, bytes, n);
			q += n;
		}
		bytes += n;
		len -= n;
	}
	*q = '\0';
	return out;
}

char *domu_to_utf8(const char *bytes, size_t len)
{
	char *out = malloc(len * 3 + 1), *q = out;

	if (out == NULL)
		return NULL;
	while (len > 0) {
		size_t n = domu_utf8_len(bytes, len);

		if (n == 0) {
			memcpy(q, "\xef\xbf\xbd", 3);
			q += 3;
			n = 1;
		} else {
			memcpy(q, bytes, n);
			q += n;
		}
		bytes += n;
		len -= n;
	}
	*q = '\0';
	return out;
}

char *domu_base64(const void *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = bytes;
	char *out = malloc((len + 2) / 3 * 4 + 1), *q = out;

	if (out == NULL)
		return NULL;
	for (; len > 0; p += 3) {
		size_t n = len < 3 ? len : 3;
		uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);

		*q++ = digits[v >> 18];
		*q++ = digits[(v >> 12) & 63];
		*q++ = n > 1 ? digits[(v >> 6) & 63] : '=';
		*q++ = n > 2 ? digits[v & 63] : '=';
		len -= n;
	}
	*q = '\0';
	return out;
}
