/* SPDX-License-Identifier: GPL-3.0-or-later */
/* visited.h - which directories a walk has met: a tree that is none comes to an end. */
#ifndef DOMU_VISITED_H
#define DOMU_VISITED_H

#include <stddef.h>
#include <stdint.h>

/* Inode numbers lie close together: bits, 512 in a piece, and a hash of the pieces. */
struct domu_visited {
	struct domu_visited_piece *v;
	size_t n, cap; /* cap is a power of two */
};

/* 0: new.  -ELOOP: it was here before.  -ENOMEM. */
int domu_visit(struct domu_visited *s, uint64_t mount, uint64_t ino);
void domu_visited_free(struct domu_visited *s);

#endif
