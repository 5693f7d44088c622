/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-acl.c - POSIX ACLs between the form of getxattr(2) and the text that tar keeps them as. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "task/tar.h"

#define ACL_VERSION 2u
#define HEAD        4u
#define ENTRY       8u

/* The words of acl_to_text(3) by tag; *named: an ID belongs to it. */
static const char *tag_word(unsigned tag, bool *named)
{
	*named = tag == 2 || tag == 8;
	switch (tag) {
	case 1:
	case 2:
		return "user";
	case 4:
	case 8:
		return "group";
	case 16:
		return "mask";
	case 32:
		return "other";
	default:
		return NULL;
	}
}

/*
 * Numbers stand where names could: they are the guest's, and no name of the
 * machine that unpacks it may come in between.  acl_from_text(3) and
 * libarchive both take them.
 */
char *domu_tar_acl_text(const void *value, size_t len)
{
	const uint8_t *v = value;
	char *text = NULL;
	size_t size;
	FILE *f;

	if (len < HEAD || (len - HEAD) % ENTRY != 0 || domu_le32(v) != ACL_VERSION)
		return NULL;
	f = open_memstream(&text, &size);
	if (f == NULL)
		return NULL;
	for (size_t at = HEAD; at < len; at += ENTRY) {
		unsigned perm = domu_le16(v + at + 2);
		bool named;
		const char *word = tag_word(domu_le16(v + at), &named);

		if (word == NULL || perm > 7) {
			fclose(f);
			free(text);
			return NULL;
		}
		fprintf(f, "%s%s:", at > HEAD ? "," : "", word);
		if (named)
			fprintf(f, "%u", domu_le32(v + at + 4));
		fprintf(f, ":%c%c%c", (perm & 4) != 0 ? 'r' : '-', (perm & 2) != 0 ? 'w' : '-',
		        (perm & 1) != 0 ? 'x' : '-');
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
