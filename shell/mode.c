/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mode.c - permission bits as chmod takes them: octal or symbolic. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/mode.h"

#define UMASK 022u /* root's, of nearly every guest */

static int apply_octal(const char *text, uint32_t old, bool dir, uint32_t *mode)
{
	size_t digits = strspn(text, "01234567");
	uint32_t v = 0;

	if (text[digits] != '\0' || digits == 0)
		return -EINVAL;
	for (const char *p = text; *p != '\0'; p++) {
		v = v << 3 | (uint32_t)(*p - '0');
		if (v > 07777)
			return -EINVAL;
	}
	/* As GNU chmod: a directory keeps its set-ID bits unless five digits say otherwise. */
	if (dir && digits < 5)
		v |= old & (S_ISUID | S_ISGID);
	*mode = v;
	return 0;
}

/* The bits of who: u, g, o, a. */
static const char *take_who(const char *p, uint32_t *who)
{
	for (*who = 0;; p++) {
		if (*p == 'u')
			*who |= S_ISUID | S_IRWXU;
		else if (*p == 'g')
			*who |= S_ISGID | S_IRWXG;
		else if (*p == 'o')
			*who |= S_ISVTX | S_IRWXO;
		else if (*p == 'a')
			*who |= 07777;
		else
			return p;
	}
}

/* "g=u": the three bits of one class, for all. */
static uint32_t copy_bits(char from, uint32_t mode)
{
	uint32_t three = from == 'u' ? mode >> 6 : from == 'g' ? mode >> 3 : mode;

	return (three & 7) * 0111;
}

static const char *take_bits(const char *p, uint32_t mode, bool dir, uint32_t *bits)
{
	*bits = 0;
	if (*p == 'u' || *p == 'g' || *p == 'o') {
		*bits = copy_bits(*p, mode);
		return p + 1;
	}
	for (;; p++) {
		switch (*p) {
		case 'r':
			*bits |= 0444;
			break;
		case 'w':
			*bits |= 0222;
			break;
		case 'x':
			*bits |= 0111;
			break;
		case 'X':
			*bits |= dir || (mode & 0111) != 0 ? 0111 : 0;
			break;
		case 's':
			*bits |= S_ISUID | S_ISGID;
			break;
		case 't':
			*bits |= S_ISVTX;
			break;
		default:
			return p;
		}
	}
}

/* One "u+x" or "g=r-w"; *p after it. */
static int apply_clause(const char **text, uint32_t *mode, bool dir)
{
	const char *p = *text;
	uint32_t who, bits, mask;
	bool any = false;

	p = take_who(p, &who);
	/* Without a who, the umask's bits are left alone. */
	mask = who != 0 ? who : ~UMASK & 07777;
	while (*p == '+' || *p == '-' || *p == '=') {
		char op = *p;
		uint32_t keep = 0;

		p = take_bits(p + 1, *mode, dir, &bits);
		bits &= mask;
		if (op == '+')
			*mode |= bits;
		else if (op == '-')
			*mode &= ~bits;
		else {
			/* "=" clears a directory's set-ID bits only when they are named. */
			if (dir)
				keep = *mode & (S_ISUID | S_ISGID) & ~bits;
			*mode = (*mode & ~(who != 0 ? who : 07777u)) | bits | keep;
		}
		any = true;
	}
	*text = p;
	return any ? 0 : -EINVAL;
}

int domu_mode_apply(const char *text, uint32_t old, bool dir, uint32_t *mode)
{
	uint32_t v = old & 07777;

	if (*text >= '0' && *text <= '9')
		return apply_octal(text, old, dir, mode);
	for (;;) {
		int rc = apply_clause(&text, &v, dir);

		if (rc != 0)
			return rc;
		if (*text == '\0')
			break;
		if (*text++ != ',')
			return -EINVAL;
	}
	*mode = v;
	return 0;
}
