/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* num.c - sizes and ages as people write and read them. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

static const char units[] = "KMGTP";

int domu_size_parse(const char *text, uint64_t *bytes)
{
	char *end;
	const char *unit;
	uint64_t v, mult = 1;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0)
		return -ERANGE;
	if (*end >= 'a' && *end <= 'z')
		unit = strchr(units, *end - 'a' + 'A');
	else
		unit = *end != '\0' ? strchr(units, *end) : NULL;
	if (unit != NULL) {
		mult = UINT64_C(1024) << (10 * (unit - units));
		end++;
		if (strcmp(end, "iB") == 0)
			end += 2;
	}
	if (strcmp(end, "B") == 0)
		end++;
	if (*end != '\0')
		return -EINVAL;
	return domu_mul(v, mult, bytes) ? 0 : -ERANGE;
}

void domu_size_format(uint64_t bytes, char out[DOMU_SIZE_TEXT])
{
	int i = -1;
	uint64_t whole = bytes, rest = 0;

	while (whole >= 1024 && i < 4) {
		rest = whole & 1023;
		whole >>= 10;
		i++;
	}
	if (i < 0)
		snprintf(out, DOMU_SIZE_TEXT, "%" PRIu64, whole);
	else if (whole < 10 && rest * 10 / 1024 != 0)
		snprintf(out, DOMU_SIZE_TEXT, "%" PRIu64 ".%" PRIu64 "%c", whole, rest * 10 / 1024, units[i]);
	else if (whole < 100000)
		snprintf(out, DOMU_SIZE_TEXT, "%" PRIu64 "%c", whole, units[i]);
	else
		snprintf(out, DOMU_SIZE_TEXT, "huge");
}

void domu_age_format(int64_t seconds, char out[DOMU_AGE_TEXT])
{
	static const struct {
		int64_t length;
		const char *one;
	} steps[] = { { 86400 * 365, "year" }, { 86400, "day" }, { 3600, "hour" }, { 60, "minute" } };

	if (seconds < 0)
		seconds = 0;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		if (seconds >= steps[i].length) {
			unsigned n = (unsigned)(seconds / steps[i].length % 10000);

			snprintf(out, DOMU_AGE_TEXT, "%u %s%s", n, steps[i].one, n == 1 ? "" : "s");
			return;
		}
	}
	snprintf(out, DOMU_AGE_TEXT, "%u s", (unsigned)(seconds % 60));
}
