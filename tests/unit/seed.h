/* SPDX-License-Identifier: GPL-3.0-or-later */
/* seed.h - where a test's random numbers begin: the same each time, so that a change is judged by itself. */
#ifndef SEED_H
#define SEED_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* DOMU_TEST_SEED=N begins elsewhere, DOMU_TEST_SEED=0 by the clock; printed, so that a failure can be had again. */
static inline unsigned test_seed(void)
{
	const char *given = getenv("DOMU_TEST_SEED");
	unsigned s = given != NULL ? (unsigned)strtoul(given, NULL, 0) : 1;
	struct timespec now;

	if (s == 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		s = (unsigned)now.tv_nsec | 1;
	}
	fprintf(stderr, "DOMU_TEST_SEED=%u\n", s);
	return s;
}

#endif
