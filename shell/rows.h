/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rows.h - rows of typed cells: made in worker or front, shown as a table, as lines, or as JSON. */
#ifndef DOMU_ROWS_H
#define DOMU_ROWS_H

#include <stdio.h>

#include "base/ctx.h"
#include "base/msg.h"
#include "domu-plugin.h"

struct domu_work;
struct json_object;

enum domu_cell_type {
	CELL_TEXT, /* of the program: ASCII or UTF-8 */
	CELL_WORD, /* the same, and never on two lines: it will be copied */
	CELL_BYTES, /* of a guest: escaped in text; in JSON with KEY_b64 where it is not UTF-8 */
	CELL_NUMBER,
	CELL_SIZE, /* bytes: human in a table, a number in JSON */
	CELL_TIME, /* seconds and nanoseconds: RFC 3339 in JSON */
	CELL_BOOL,
	CELL_OCTAL, /* a mode: octal text in both */
	CELL_OBJECT, /* only in JSON: a nested value that the front builds */
};

struct domu_column {
	const char *key; /* in JSON; "": not there; NULL ends the list */
	const char *title; /* of the table; NULL: only in JSON */
	enum domu_cell_type type;
};

#define DOMU_MAX_COLUMNS 32

struct domu_cell {
	bool null;
	uint64_t number;
	struct timespec time;
	const char *text; /* len bytes and a NUL */
	size_t len;
	struct json_object *object; /* borrowed */
};

struct domu_out;

/*
 * A layout shows rows as text where a table is not what a user expects (ls,
 * stat, find).  user is the struct domu_run of the command, so its options
 * can be asked; what a layout keeps between rows hangs on domu_out_state().
 */
struct domu_layout {
	/* Called for each row as it comes; out is where to write. */
	int (*row)(struct domu_out *out, const struct domu_cell *cells, size_t n, void *user);
	int (*end)(struct domu_out *out, void *user); /* also after a failure: frees the state; may be NULL */
	int (*flush)(struct domu_out *out, void *user); /* a line comes: rows held back go before it; may be NULL */
};

/* For a command that tells its text by domu_out_line() as it goes: its rows are for JSON. */
extern const struct domu_layout domu_layout_told;

/* ---- making rows: the same in worker and front ---- */
int domu_row_text(struct domu_out *o, const char *text); /* NULL: null */
int domu_row_bytes(struct domu_out *o, const char *bytes, size_t len);
int domu_row_number(struct domu_out *o, uint64_t n); /* also sizes, booleans, modes */
int domu_row_time(struct domu_out *o, struct timespec t);
int domu_row_null(struct domu_out *o);
int domu_row_object(struct domu_out *o, struct json_object *v); /* in the front; takes v over */
int domu_row_end(struct domu_out *o); /* the row is whole: as many cells as columns */
/* A line of text outside a table (a heading, a summary): not in JSON. */
int domu_out_line(struct domu_out *o, const char *fmt, ...) DOMU_PRINTF(2, 3);
bool domu_out_json(const struct domu_out *o); /* somebody wants all columns */
int domu_out_flush(struct domu_out *o); /* in the worker: what was made so far is sent */

/* ---- in a layout ---- */
void **domu_out_state(struct domu_out *o);
int domu_out_print(struct domu_out *o, const char *fmt, ...) DOMU_PRINTF(2, 3); /* the program's own words */
int domu_out_bytes(struct domu_out *o, const char *bytes, size_t len); /* a guest's: escaped on a terminal */
bool domu_out_tty(const struct domu_out *o);
unsigned domu_out_width(const struct domu_out *o); /* columns of the terminal, 80 where there is none */

/* ---- opening and closing ---- */

struct domu_out_opts {
	const char *command; /* in JSON */
	const struct domu_column *columns; /* may be NULL */
	const char *json_key; /* NULL: "entries" */
	const struct domu_layout *layout; /* NULL: a table */
	void *user; /* for the layout */
	FILE *file;
	bool json, tty;
	unsigned width; /* of the terminal; 0: not known */
};

/* In the front. */
int domu_out_open(struct domu_ctx *ctx, const struct domu_out_opts *opts, struct domu_out **o);
/* In the worker: rows are sent in batches of 64 KiB.  json: as domu_out_json() says there. */
int domu_out_open_send(struct domu_work *w, const struct domu_column *columns, bool json, struct domu_out **o);
/* In the front: what a worker sent.  -EBADMSG when it is not rows of these columns. */
int domu_out_receive(struct domu_out *o, struct domu_msg *m);
/*
 * Bulk bytes that a worker sent because stdout is a terminal (or not for a worker).  In JSON: "content", at most
 * 16 MiB.
 */
int domu_out_data(struct domu_out *o, const void *bytes, size_t len);
/* Another member of the JSON object beside the rows (verdict, exit); takes v over; nothing in text. */
int domu_out_member(struct domu_out *o, const char *key, struct json_object *v);
void domu_out_silent(struct domu_out *o); /* no JSON object either */
/* Shows what is still held back.  failure (may be NULL) becomes "error" in JSON.  Frees o. */
int domu_out_close(struct domu_out *o, const struct domu_error *failure);

#endif
