/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conffile.c - /etc/domu-rescue.conf: "key = value" lines, and a message with file and line for what is wrong. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "shell/conffile.h"

#define CONFIG_FILE "/etc/domu-rescue.conf"
#define MAX_LINE    4096

/* ---- values ------------------------------------------------------------------------------- */

static int number(const char *text, char **end, uint64_t *n)
{
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*n = strtoull(text, end, 10);
	return errno != 0 ? -ERANGE : 0;
}

static bool unlimited(const char *value)
{
	return strcmp(value, "unlimited") == 0;
}

static int take_count(struct domu_retain *r, const char *value)
{
	char *end;

	if (unlimited(value)) {
		r->count = UINT64_MAX;
		return 0;
	}
	return number(value, &end, &r->count) != 0 || *end != '\0' || r->count == 0 ? -EINVAL : 0;
}

static int take_size(struct domu_retain *r, const char *value)
{
	uint64_t n;
	char *end;

	r->size = UINT64_MAX;
	r->percent = 0;
	if (unlimited(value))
		return 0;
	if (number(value, &end, &n) == 0 && strcmp(end, "%") == 0) {
		r->percent = (unsigned)n;
		return n >= 1 && n <= 100 ? 0 : -EINVAL;
	}
	return domu_size_parse(value, &r->size) != 0 || r->size == 0 ? -EINVAL : 0;
}

static int take_age(struct domu_retain *r, const char *value)
{
	static const struct {
		const char *unit;
		uint64_t seconds;
	} units[] = { { "h", 3600 }, { "d", 86400 }, { "w", 7 * 86400 }, { "m", 30 * 86400 }, { "y", 365 * 86400 } };
	uint64_t n;
	char *end;

	if (unlimited(value)) {
		r->age = UINT64_MAX;
		return 0;
	}
	if (number(value, &end, &n) != 0)
		return -EINVAL;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (strcmp(end, units[i].unit) == 0)
			return n > 0 && domu_mul(n, units[i].seconds, &r->age) ? 0 : -EINVAL;
	return -EINVAL;
}

static const struct {
	const char *key, *values;
	int (*take)(struct domu_retain *r, const char *value);
} keys[] = {
	{ "history-count", "a number of commits of a disk, or unlimited", take_count },
	{ "history-size", "a size (20G), a part (10%) of the filesystem that it is on, or unlimited", take_size },
	{ "history-age", "an age (12h, 90d, 8w, 6m, 1y), or unlimited", take_age },
};

/* ---- lines -------------------------------------------------------------------------------- */

static char *trim(char *text)
{
	size_t n;

	while (isspace((unsigned char)*text))
		text++;
	n = strlen(text);
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		text[--n] = '\0';
	return text;
}

static int take_line(struct domu_ctx *ctx, const char *path, unsigned line, char *text, struct domu_retain *r)
{
	char *key, *value;

	text[strcspn(text, "#")] = '\0';
	key = trim(text);
	if (*key == '\0')
		return 0;
	value = strchr(key, '=');
	if (value == NULL)
		return domu_fail(ctx, DOMU_USAGE, -EINVAL, "%s:%u: not a line of the form key = value: %s", path, line,
		                 key);
	*value++ = '\0';
	key = trim(key);
	value = trim(value);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (strcmp(keys[i].key, key) != 0)
			continue;
		if (keys[i].take(r, value) == 0)
			return 0;
		return domu_fail(ctx, DOMU_USAGE, -EINVAL, "%s:%u: %s is %s, not '%s'", path, line, key, keys[i].values,
		                 value);
	}
	return domu_fail(ctx, DOMU_USAGE, -EINVAL,
	                 "%s:%u: unknown key '%s' (known are history-count, history-size, "
	                 "history-age)",
	                 path, line, key);
}

static int read_lines(struct domu_ctx *ctx, const char *path, FILE *f, struct domu_retain *r)
{
	char *text = malloc(MAX_LINE);
	unsigned line = 0;
	int rc = text != NULL ? 0 : domu_nomem(ctx);

	while (rc == 0 && fgets(text, MAX_LINE, f) != NULL) {
		line++;
		if (strchr(text, '\n') == NULL && !feof(f))
			rc = domu_fail(ctx, DOMU_USAGE, -E2BIG, "%s:%u: the line is too long", path, line);
		else
			rc = take_line(ctx, path, line, text, r);
	}
	if (rc == 0 && ferror(f))
		rc = domu_fail(ctx, DOMU_FAILED, -EIO, "%s: cannot be read: %s", path, strerror(errno));
	free(text);
	return rc;
}

int domu_conffile_load(struct domu_ctx *ctx, struct domu_retain *r)
{
	const char *env = getenv("DOMU_RESCUE_CONF");
	const char *path = env != NULL && *env != '\0' ? env : CONFIG_FILE;
	struct domu_retain set = DOMU_RETAIN_DEFAULT;
	FILE *f = fopen(path, "re");
	int rc = 0;

	if (f == NULL && (errno != ENOENT || path == env))
		return domu_fail(ctx, DOMU_USAGE, -errno, "%s: %s", path, strerror(errno));
	if (f != NULL) {
		rc = read_lines(ctx, path, f, &set);
		fclose(f);
	}
	if (rc == 0)
		*r = set;
	return rc;
}
