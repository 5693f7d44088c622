/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treeio-links.h - which files of a tree are one file: inodes met, numbered from 1 as they come. */
#ifndef DOMU_TREEIO_LINKS_H
#define DOMU_TREEIO_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct domu_links {
	struct domu_link {
		uint64_t a, b, id; /* id 0: free */
	} * v;
	size_t n, cap;
};

/*
 * The number of inode b of device a; *again: it was asked for before.
 * 0: the table is full, it counts as a file of its own.
 */
uint64_t domu_links_id(struct domu_links *l, uint64_t a, uint64_t b, bool *again);
void domu_links_free(struct domu_links *l);

#endif
