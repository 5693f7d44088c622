/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rows.h - rows of typed cells: made in worker or front, shown as a table, as lines, or as JSON. */
#ifndef DOMU_ROWS_H
#define DOMU_ROWS_H

#include "base/msg.h"
#include "domu-plugin.h"

enum domu_cell_type {
	CELL_TEXT, /* of the program: ASCII or UTF-8 */
	CELL_BYTES, /* of a guest: escaped in text; in JSON with KEY_b64 where it is not UTF-8 */
	CELL_NUMBER,
	CELL_SIZE, /* bytes: human in a table, a number in JSON */
	CELL_TIME, /* seconds and nanoseconds: RFC 3339 in JSON */
	CELL_BOOL,
	CELL_OCTAL, /* a mode: octal text in both */
	CELL_OBJECT, /* only in JSON: a nested value that the front builds */
};

struct domu_column {
	const char *key; /* in JSON; NULL ends the list */
	const char *title; /* of the table; NULL: only in JSON */
	enum domu_cell_type type;
};

struct domu_cell {
	bool null;
	uint64_t number;
	struct timespec time;
	const char *text; /* len bytes and a NUL */
	size_t len;
};

struct domu_out;

/* A layout shows rows as text where a table is not what a user expects (ls, stat, find). */
struct domu_layout {
	/* Called for each row as it comes; out is where to write. */
	int (*row)(struct domu_out *out, const struct domu_cell *cells, size_t n, void *user);
	int (*end)(struct domu_out *out, void *user);
};

/* ---- making rows: the same in worker and front ---- */
int domu_row_text(struct domu_out *o, const char *text); /* NULL: null */
int domu_row_bytes(struct domu_out *o, const char *bytes, size_t len);
int domu_row_number(struct domu_out *o, uint64_t n);
int domu_row_time(struct domu_out *o, struct timespec t);
int domu_row_null(struct domu_out *o);
int domu_row_end(struct domu_out *o); /* the row is whole: as many cells as columns */
/* A line of text outside a table (a heading, a summary): not in JSON. */
int domu_out_line(struct domu_out *o, const char *fmt, ...) DOMU_PRINTF(2, 3);

#endif
