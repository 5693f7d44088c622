/* SPDX-License-Identifier: GPL-3.0-or-later */
/* seen.c - what was last seen of each guest: a small file each, which may be lost at any time. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "block/commit-private.h"

#define NAME_MAX_KEPT 120u
#define SEEN_MAX      (1u << 20) /* bytes */

/*
 * A guest's key may be a path: what is no letter or digit is %XX, and a long one is cut and told apart by a
 * checksum.
 */
static char *seen_path(const struct domu_state *st, const char *key)
{
	char name[3 * NAME_MAX_KEPT + 16], *p = name;
	size_t len = strlen(key);

	for (size_t i = 0; i < len && i < NAME_MAX_KEPT; i++) {
		unsigned char c = (unsigned char)key[i];

		if (isalnum(c) || c == '-' || c == '_' || (c == '.' && i > 0))
			*p++ = (char)c;
		else
			p += snprintf(p, 4, "%%%02X", c);
		if (p - name > 180)
			break;
	}
	*p = '\0';
	if (len > NAME_MAX_KEPT || p - name > 180)
		snprintf(p, 12, "%%%08x", ~domu_crc32c(~0u, key, len));
	return domu_state_path(st, "seen", name, NULL);
}

int domu_seen_put(struct domu_state *st, const char *guest_key, const char *json)
{
	char *path = seen_path(st, guest_key), *temp = NULL;
	int rc = 0;

	if (path != NULL)
		temp = domu_text("%s+%ld", path, (long)getpid());
	if (temp == NULL)
		rc = domu_nomem(st->ctx);
	else if (st->readonly)
		rc = -EROFS;
	else
		rc = domu_file_write(st->ctx, temp, json, strlen(json), false);
	if (rc == 0 && st->ctx->io->rename(temp, path) < 0) {
		rc = domu_fail(st->ctx, DOMU_FAILED, -errno, "%s: %s", path, strerror(errno));
		st->ctx->io->unlink(temp);
	}
	free(path);
	free(temp);
	return rc;
}

int domu_seen_get(struct domu_state *st, const char *guest_key, char **json, int64_t *time)
{
	char *path = seen_path(st, guest_key);
	struct stat sb;
	size_t len = 0;
	int rc;

	*json = NULL;
	if (path == NULL)
		return domu_nomem(st->ctx);
	rc = stat(path, &sb) < 0 ? -errno : domu_file_read(path, SEEN_MAX, json, &len);
	if (rc == 0 && strlen(*json) != len) {
		free(*json);
		*json = NULL;
		rc = -EBADMSG;
	}
	if (rc == 0 && time != NULL)
		*time = (int64_t)sb.st_mtime;
	free(path);
	return rc;
}
