/* SPDX-License-Identifier: GPL-3.0-or-later */
/* out-text.c - rows as a table (libsmartcols), and the words and bytes of layouts. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/num.h"
#include "shell/lib-scols.h"
#include "shell/out.h"

DOMU_LIB_DEFINE(scols, DOMU_SCOLS_CALLS, SMARTCOLS_SONAME);

/* A table that is longer is printed in pieces: memory stays bounded. */
#define TABLE_ROWS 5000

int domu_out_failed(struct domu_out *o, int err)
{
	if (err == EINTR && domu_interrupted(o->ctx))
		return domu_fail(o->ctx, DOMU_DECLINED, -EINTR, "interrupted");
	/* A reader that went away has what it wanted: a failure of its own kind, about which nothing is said. */
	err = err == EPIPE ? ESHUTDOWN : err != 0 ? err : EIO;
	return domu_fail(o->ctx, DOMU_FAILED, -err, "cannot write the output: %s", strerror(err));
}

int domu_out_write(struct domu_out *o, const char *text, size_t len)
{
	if (o->err == 0 && fwrite(text, 1, len, o->o.file) != len)
		o->err = domu_out_failed(o, errno);
	return o->err;
}

int domu_out_print(struct domu_out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (o->err != 0)
		return o->err;
	va_start(ap, fmt);
	n = vfprintf(o->o.file, fmt, ap);
	va_end(ap);
	if (n < 0)
		o->err = domu_out_failed(o, errno);
	return o->err;
}

int domu_out_bytes(struct domu_out *o, const char *bytes, size_t len)
{
	char *text;
	int rc;

	if (!o->o.tty)
		return domu_out_write(o, bytes, len);
	text = domu_escape(bytes, len, true);
	if (text == NULL)
		return domu_nomem(o->ctx);
	rc = domu_out_write(o, text, strlen(text));
	free(text);
	return rc;
}

/* How many bytes at the end of p may be the beginning of a UTF-8 sequence that goes on in the next piece. */
static size_t unfinished(const char *p, size_t len)
{
	for (size_t n = 1; n <= 3 && n <= len; n++) {
		unsigned char c = (unsigned char)p[len - n];

		if (c >= 0xc2 && c <= 0xf4) {
			size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

			return want > n ? n : 0;
		}
		if (c < 0x80 || c > 0xbf)
			return 0;
	}
	return 0;
}

int domu_out_data(struct domu_out *o, const void *bytes, size_t len)
{
	const char *p = bytes;
	size_t rest;
	int rc;

	if (o->o.json)
		return domu_json_data(o, bytes, len);
	if (!o->o.tty)
		return domu_out_write(o, p, len);
	if (len == 0)
		return 0;
	if (o->tail_len > 0) {
		char joined[4 + 3];
		size_t old = o->tail_len, n = len < 3 ? len : 3, used;

		memcpy(joined, o->tail, old);
		memcpy(joined + old, p, n);
		used = domu_utf8_len(joined, old + n);
		if (used == 0 && old + len < 4 && unfinished(joined, old + n) == old + n) {
			memcpy(o->tail, joined, old + n);
			o->tail_len = old + n;
			return 0;
		}
		o->tail_len = 0;
		rc = domu_out_bytes(o, joined, used > old ? used : old);
		if (rc != 0)
			return rc;
		p += used > old ? used - old : 0;
		len -= used > old ? used - old : 0;
	}
	rest = unfinished(p, len);
	rc = domu_out_bytes(o, p, len - rest);
	memcpy(o->tail, p + len - rest, rest);
	o->tail_len = rest;
	return rc;
}

void **domu_out_state(struct domu_out *o)
{
	return &o->state;
}

bool domu_out_json(const struct domu_out *o)
{
	return o->o.json;
}

bool domu_out_tty(const struct domu_out *o)
{
	return o->o.tty;
}

unsigned domu_out_width(const struct domu_out *o)
{
	return o->o.width != 0 ? o->o.width : 80;
}

/* ---- the table ---- */

static bool right_aligned(enum domu_cell_type type)
{
	return type == CELL_NUMBER || type == CELL_SIZE || type == CELL_OCTAL;
}

static int table_new(struct domu_out *o)
{
	static bool ready;
	int rc = domu_lib_load(o->ctx, &domu_lib_scols);

	if (rc != 0)
		return rc;
	if (!ready) {
		/* Only tables count columns of characters: a start without one does not pay for a locale. */
		setlocale(LC_CTYPE, "");
		ready = true;
	}
	o->table = scols_new_table();
	if (o->table == NULL)
		return domu_nomem(o->ctx);
	scols_table_enable_noencoding(o->table, 1);
	scols_table_enable_noheadings(o->table, o->headed);
	if (o->o.width != 0)
		scols_table_set_termwidth(o->table, o->o.width);
	scols_table_set_termforce(o->table, o->o.width != 0 ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
	scols_table_set_stream(o->table, o->o.file);
	for (size_t i = 0; i < o->n_columns; i++) {
		const struct domu_column *c = &o->o.columns[i];
		int flags = right_aligned(c->type) ? SCOLS_FL_RIGHT : 0;

		if (c->title == NULL)
			continue;
		if ((c->type == CELL_TEXT || c->type == CELL_BYTES) && o->o.width != 0)
			flags |= SCOLS_FL_WRAP;
		if (scols_table_new_column(o->table, c->title, 0, flags) == NULL)
			return domu_nomem(o->ctx);
	}
	return 0;
}

static char *cell_text(const struct domu_cell *cell, enum domu_cell_type type)
{
	char text[64] = "";
	struct tm tm;

	if (cell->null)
		return strdup("-");
	switch (type) {
	case CELL_TEXT:
	case CELL_WORD:
	case CELL_BYTES:
		return domu_escape(cell->text, cell->len, false);
	case CELL_NUMBER:
		snprintf(text, sizeof text, "%" PRIu64, cell->number);
		break;
	case CELL_SIZE:
		domu_size_format(cell->number, text);
		break;
	case CELL_TIME:
		if (localtime_r(&cell->time.tv_sec, &tm) == NULL || strftime(text, sizeof text, "%F %T", &tm) == 0)
			snprintf(text, sizeof text, "%lld", (long long)cell->time.tv_sec);
		break;
	case CELL_BOOL:
		return strdup(cell->number != 0 ? "yes" : "no");
	case CELL_OCTAL:
		snprintf(text, sizeof text, "%04" PRIo64, cell->number);
		break;
	case CELL_OBJECT:
		break;
	}
	return strdup(text);
}

int domu_table_row(struct domu_out *o, const struct domu_cell *cells)
{
	struct libscols_line *line;
	size_t at = 0;
	int rc = o->table == NULL ? table_new(o) : 0;

	if (rc != 0)
		return rc;
	line = scols_table_new_line(o->table, NULL);
	if (line == NULL)
		return domu_nomem(o->ctx);
	for (size_t i = 0; i < o->n_columns; i++) {
		char *text;

		if (o->o.columns[i].title == NULL)
			continue;
		text = cell_text(&cells[i], o->o.columns[i].type);
		if (text == NULL || scols_line_refer_data(line, at++, text) != 0) {
			free(text);
			return domu_nomem(o->ctx);
		}
	}
	return ++o->table_rows < TABLE_ROWS ? 0 : domu_table_flush(o);
}

int domu_table_flush(struct domu_out *o)
{
	int rc = 0;

	if (o->table == NULL)
		return 0;
	if (o->err == 0 && o->table_rows > 0 && scols_print_table(o->table) != 0)
		rc = domu_fail(o->ctx, DOMU_FAILED, -EIO, "cannot print the table");
	domu_table_free(o);
	o->headed = true;
	return rc;
}

void domu_table_free(struct domu_out *o)
{
	if (o->table != NULL)
		scols_unref_table(o->table);
	o->table = NULL;
	o->table_rows = 0;
}

static int told_already(struct domu_out *out, const struct domu_cell *cells, size_t n, void *user)
{
	(void)out;
	(void)cells;
	(void)n;
	(void)user;
	return 0;
}

const struct domu_layout domu_layout_told = { .row = told_already };
