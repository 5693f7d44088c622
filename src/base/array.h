/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* array.h - arrays that grow. */
#ifndef DOMU_ARRAY_H
#define DOMU_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DOMU_ARRAY_FIRST 1024 /* bytes: the first room, of four elements at least */

/* array: where the pointer to the first element is. */
static inline bool domu_array_grow(void *array, size_t *cap, size_t need, size_t size)
{
	size_t more = *cap <= SIZE_MAX / 2 ? 2 * *cap : SIZE_MAX;
	void *v;

	if (more == 0)
		more = size <= DOMU_ARRAY_FIRST / 4 ? DOMU_ARRAY_FIRST / size : 4;
	if (more < need)
		more = need;
	memcpy(&v, array, sizeof v);
	v = reallocarray(v, more, size);
	if (v == NULL)
		return false;
	memcpy(array, &v, sizeof v);
	*cap = more;
	return true;
}

/*
 * v, an array from malloc() or NULL, has room for cap elements; makes it need
 * or more.  What is new is not zeroed.  False: no memory, or more than there
 * can be; v and cap are as before.
 */
#define DOMU_ARRAY_ROOM(v, cap, need) ((need) <= (cap) || domu_array_grow(&(v), &(cap), (need), sizeof *(v)))

#endif
