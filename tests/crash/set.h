/* SPDX-License-Identifier: GPL-3.0-or-later */
/* set.h - a set of hashes. */
#ifndef CRASH_SET_H
#define CRASH_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct set {
	uint64_t *v; /* 0: free */
	size_t n, cap;
};

bool set_add(struct set *s, uint64_t key); /* true: it was not there */
bool set_has(const struct set *s, uint64_t key);
void set_free(struct set *s);

#endif
