/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unitmap.h - where in the log a unit's last record is: a hash table of 20 to 30 bytes a unit. */
#ifndef DOMU_UNITMAP_H
#define DOMU_UNITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct domu_unitmap {
	struct domu_unitslot {
		uint64_t unit;
		uint64_t at; /* as put; 0: the slot is free */
	} * slot;
	size_t n, cap;
};

void domu_unitmap_free(struct domu_unitmap *m); /* empty again */
uint64_t domu_unitmap_get(const struct domu_unitmap *m, uint64_t unit); /* 0: not there */
int domu_unitmap_put(struct domu_unitmap *m, uint64_t unit, uint64_t at); /* at is not 0; -ENOMEM */
/* All units, ascending; the caller frees.  NULL: no memory, or none there. */
uint64_t *domu_unitmap_units(const struct domu_unitmap *m);

#endif
