/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* array.h - arrays that grow. */
#ifndef DOMU_ARRAY_H
#define DOMU_ARRAY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define DOMU_ARRAY_FIRST 1024 /* bytes: the first room, of four elements at least */

/* The array with room for need, or NULL: no memory, or more than there can be; nothing has changed then. */
static inline void *domu_array_grow(void *v, size_t *cap, size_t need, size_t size)
{
	size_t more = *cap <= SIZE_MAX / 2 ? 2 * *cap : SIZE_MAX;
	void *bigger;

	if (more == 0)
		more = size <= DOMU_ARRAY_FIRST / 4 ? DOMU_ARRAY_FIRST / size : 4;
	if (more < need)
		more = need;
	bigger = reallocarray(v, more, size);
	if (bigger != NULL)
		*cap = more;
	return bigger;
}

/*
 * v, an array from malloc() or NULL, has room for cap elements; makes it need
 * or more.  What is new is not zeroed.  False: as above.
 */
#define DOMU_ARRAY_ROOM(v, cap, need)                                                   \
	((need) <= (cap) || ({                                                          \
		 void *domu_bigger = domu_array_grow((v), &(cap), (need), sizeof *(v)); \
		 if (domu_bigger != NULL)                                               \
			 (v) = domu_bigger;                                             \
		 domu_bigger != NULL;                                                   \
	 }))

#endif
