/* SPDX-License-Identifier: GPL-3.0-or-later */
/* info.h - what the files of info share. */
#ifndef DOMU_INFO_H
#define DOMU_INFO_H

#include "block/table.h"

struct json_object;

/* An array of the pieces of a volume; NULL: n is none, or it has more than are told of. */
struct json_object *domu_info_segments(const struct domu_nodes *nodes, const struct domu_node *n);

/* The same for people, where there is more to say than a start: so many lines at most. */
size_t domu_info_lines(const struct domu_node *n);
struct domu_info_line {
	char where[4 * 96];
	char type[32];
	uint64_t size; /* bytes */
};
void domu_info_line(const struct domu_nodes *nodes, const struct domu_node *n, size_t i, struct domu_info_line *l);

#endif
