/* SPDX-License-Identifier: GPL-3.0-or-later */
/* out.h - what rows.c, out-text.c and out-json.c share: the inside of struct domu_out. */
#ifndef DOMU_OUT_H
#define DOMU_OUT_H

#include "shell/rows.h"

struct libscols_table;

struct domu_out {
	struct domu_ctx *ctx;
	struct domu_work *work; /* in the worker: rows go out through it; NULL: in the front */
	struct domu_out_opts o;
	size_t n_columns;
	/* Rows as bytes, the same whether they stay here or are sent. */
	uint8_t *buf;
	size_t len, cap;
	size_t row_start, row_cells;
	bool in_row;
	int err; /* sticks */
	/* Text. */
	void *state;
	struct libscols_table *table;
	size_t table_rows;
	bool headed; /* the headings were printed */
	char tail[4]; /* a UTF-8 sequence that the last data ended in */
	size_t tail_len;
	/* JSON. */
	char *content; /* of bulk bytes */
	size_t content_len, content_cap;
	bool opened, array, array_done, any;
};

int domu_out_write(struct domu_out *o, const char *text, size_t len); /* to the file; the failure is recorded */

int domu_out_failed(struct domu_out *o, int err); /* err: an errno */

int domu_table_row(struct domu_out *o, const struct domu_cell *cells);
int domu_table_flush(struct domu_out *o);
void domu_table_free(struct domu_out *o);

int domu_json_row(struct domu_out *o, const struct domu_cell *cells);
int domu_json_member(struct domu_out *o, const char *key, struct json_object *v);
int domu_json_data(struct domu_out *o, const void *bytes, size_t len);
int domu_json_end(struct domu_out *o, const struct domu_error *failure);

#endif
