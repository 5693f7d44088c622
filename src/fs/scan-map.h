/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan-map.h - which inodes a scan has, and where in its array: a table of 64 inode numbers a place. */
#ifndef DOMU_SCAN_MAP_H
#define DOMU_SCAN_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Which of 64 inode numbers are there, and how many inodes are before them in the array. */
struct domu_scan_chunk {
	uint32_t key; /* their number / 64, + 1; 0: free */
	uint32_t before;
	uint64_t bits;
};

/*
 * As far from its place a chunk may be.  Of a filesystem as it comes, none is half as far; the numbers of a hostile one
 * may be chosen to have one place, and each would be looked for among all others.
 */
#define DOMU_SCAN_MAP_FAR 4096u

/*
 * Inodes come in ascending order, but a part of a filesystem is read in
 * several goes: chunks of several goes may have one key.
 */
struct domu_scan_map {
	struct domu_scan_chunk *v; /* at least half of it is free */
	size_t n, room; /* room: a power of two */
	size_t now; /* the chunk that took the last inode; SIZE_MAX: a new go */
	uint32_t factor; /* spreads the keys; 1: there is a place for each */
};

static inline void domu_scan_map_restart(struct domu_scan_map *m)
{
	m->now = SIZE_MAX;
}

static inline void domu_scan_map_init(struct domu_scan_map *m)
{
	*m = (struct domu_scan_map){ .now = SIZE_MAX, .factor = UINT32_C(0x9e3779b1) };
}

static inline size_t domu_scan_map_bytes(const struct domu_scan_map *m)
{
	return m->room * sizeof *m->v;
}

/* Four keys that follow each other are in one line of the cache: they are asked for together. */
static inline size_t domu_scan_map_slot(const struct domu_scan_map *m, uint32_t key)
{
	uint32_t h = (key >> 2) * m->factor;

	return ((size_t)(h ^ h >> 15) << 2 | (key & 3)) & (m->room - 1);
}

/* SIZE_MAX: all that are near are taken. */
static inline size_t domu_scan_map_free_slot(const struct domu_scan_map *m, uint32_t key)
{
	size_t i = domu_scan_map_slot(m, key);

	for (size_t n = 0; n < DOMU_SCAN_MAP_FAR; n++, i = (i + 1) & (m->room - 1))
		if (m->v[i].key == 0)
			return i;
	return SIZE_MAX;
}

/* Before anything is in it: a place for each chunk that files inodes can have, where that takes at most some bytes. */
static inline void domu_scan_map_direct(struct domu_scan_map *m, uint64_t files, size_t bytes)
{
	size_t room = 256;

	/* Twice as many: the table never grows. */
	while (room / 2 < files / 64 + 2)
		room *= 2;
	m->v = room * sizeof *m->v <= bytes ? calloc(room, sizeof *m->v) : NULL;
	if (m->v == NULL)
		return;
	m->room = room;
	m->factor = 1;
}

static inline bool domu_scan_map_grow(struct domu_scan_map *m, size_t limit)
{
	struct domu_scan_map to = *m;

	to.room = m->room != 0 ? 2 * m->room : 256;
	to.v = to.room * sizeof *to.v <= limit ? calloc(to.room, sizeof *to.v) : NULL;
	if (to.v == NULL)
		return false;
	for (size_t i = 0; i < m->room; i++) {
		size_t at = m->v[i].key != 0 ? domu_scan_map_free_slot(&to, m->v[i].key) : 0;

		if (at == SIZE_MAX) {
			free(to.v);
			return false;
		}
		if (m->v[i].key != 0)
			to.v[at] = m->v[i];
	}
	free(m->v);
	*m = to;
	return true;
}

/*
 * Where the bit of ino is to be set once it is added at the end of an array
 * of n: in the chunk of the inode before, or a new one.  NULL: no room below
 * limit bytes, or near its place.
 */
static inline uint64_t *domu_scan_map_next(struct domu_scan_map *m, uint32_t ino, size_t n, size_t limit)
{
	uint32_t key = ino / 64 + 1;

	if (m->now == SIZE_MAX || m->v[m->now].key != key) {
		if (2 * (m->n + 1) > m->room && !domu_scan_map_grow(m, limit))
			return NULL;
		m->now = domu_scan_map_free_slot(m, key);
		if (m->now == SIZE_MAX)
			return NULL;
		m->n++;
		m->v[m->now] = (struct domu_scan_chunk){ .key = key, .before = (uint32_t)n };
	}
	return &m->v[m->now].bits;
}

/* Without the processor's instruction, which not all have. */
static inline unsigned domu_scan_map_count(uint64_t v)
{
	v -= v >> 1 & UINT64_C(0x5555555555555555);
	v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
	v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)(v * UINT64_C(0x0101010101010101) >> 56);
}

/* Where in the array ino is; false: it is not there. */
static inline bool domu_scan_map_find(const struct domu_scan_map *m, uint64_t ino, size_t *at)
{
	uint32_t key = (uint32_t)(ino / 64) + 1;
	uint64_t bit = UINT64_C(1) << (ino % 64);

	if (ino > UINT32_MAX || m->room == 0)
		return false;
	for (size_t i = domu_scan_map_slot(m, key), n = 0; n < DOMU_SCAN_MAP_FAR; n++, i = (i + 1) & (m->room - 1)) {
		const struct domu_scan_chunk *c = &m->v[i];

		if (c->key == 0)
			break;
		if (c->key == key && (c->bits & bit) != 0) {
			*at = c->before + domu_scan_map_count(c->bits & (bit - 1));
			return true;
		}
	}
	return false;
}

#endif
