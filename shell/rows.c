/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rows.c - rows as bytes: made, sent, checked when they arrive, and handed to table, layout or JSON. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/array.h"
#include "base/escape.h"
#include "base/io.h"
#include "fence/fence.h"
#include "shell/out.h"

#define BATCH    (64u * 1024)
#define MAX_TEXT (1024u * 1024) /* of one cell: far above any path, far below a message */

/* A row is its cells one after the other; TAG_LINE stands between rows. */
enum { TAG_NULL = 1, TAG_NUMBER, TAG_TIME, TAG_BYTES, TAG_OBJECT, TAG_LINE };

static int stick(struct domu_out *o, int err, const char *what)
{
	if (o->err == 0)
		o->err = domu_fail(o->ctx, DOMU_FAILED, err, "%s", what);
	return o->err;
}

static int add(struct domu_out *o, const void *p, size_t len)
{
	if (o->err != 0)
		return o->err;
	if (!DOMU_ARRAY_ROOM(o->buf, o->cap, o->len + len))
		return stick(o, -ENOMEM, "out of memory");
	memcpy(o->buf + o->len, p, len);
	o->len += len;
	return 0;
}

static int add_tag(struct domu_out *o, uint8_t tag)
{
	if (!o->in_row) {
		o->in_row = true;
		o->row_start = o->len;
		o->row_cells = 0;
	}
	o->row_cells++;
	return add(o, &tag, 1);
}

static int add_bytes(struct domu_out *o, const char *bytes, size_t len)
{
	uint32_t n = (uint32_t)len;

	if (len > MAX_TEXT)
		return stick(o, -EMSGSIZE, "a cell of a row is longer than 1 MiB");
	add(o, &n, sizeof n);
	add(o, bytes, len);
	return add(o, "", 1);
}

int domu_row_bytes(struct domu_out *o, const char *bytes, size_t len)
{
	add_tag(o, TAG_BYTES);
	return add_bytes(o, bytes, len);
}

int domu_row_text(struct domu_out *o, const char *text)
{
	return text != NULL ? domu_row_bytes(o, text, strlen(text)) : domu_row_null(o);
}

int domu_row_number(struct domu_out *o, uint64_t n)
{
	add_tag(o, TAG_NUMBER);
	return add(o, &n, sizeof n);
}

int domu_row_time(struct domu_out *o, struct timespec t)
{
	int64_t v[2] = { t.tv_sec, t.tv_nsec };

	add_tag(o, TAG_TIME);
	return add(o, v, sizeof v);
}

int domu_row_null(struct domu_out *o)
{
	return add_tag(o, TAG_NULL);
}

int domu_row_object(struct domu_out *o, struct json_object *v)
{
	if (v == NULL)
		return domu_row_null(o);
	if (o->work != NULL) {
		json_object_put(v);
		return stick(o, -EINVAL, "a nested value in a row of the worker");
	}
	add_tag(o, TAG_OBJECT);
	return add(o, &v, sizeof v);
}

/* ---- reading them back ---- */

struct reader {
	const uint8_t *p;
	size_t len, pos;
	bool ours; /* made in this process: pointers may be in it */
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t len)
{
	const uint8_t *p = r->p + r->pos;

	if (r->bad || len > r->len - r->pos) {
		r->bad = true;
		return NULL;
	}
	r->pos += len;
	return p;
}

static void take_bytes(struct reader *r, const char **text, size_t *len)
{
	const uint8_t *p = take(r, sizeof(uint32_t));
	uint32_t n;

	*text = "";
	*len = 0;
	if (p == NULL)
		return;
	memcpy(&n, p, sizeof n);
	p = n <= MAX_TEXT ? take(r, (size_t)n + 1) : NULL;
	if (p == NULL || p[n] != '\0') {
		r->bad = true;
		return;
	}
	*text = (const char *)p;
	*len = n;
}

static bool tag_fits(uint8_t tag, enum domu_cell_type type)
{
	switch (type) {
	case CELL_TEXT:
	case CELL_WORD:
	case CELL_BYTES:
		return tag == TAG_BYTES;
	case CELL_NUMBER:
	case CELL_SIZE:
	case CELL_BOOL:
	case CELL_OCTAL:
		return tag == TAG_NUMBER;
	case CELL_TIME:
		return tag == TAG_TIME;
	case CELL_OBJECT:
		return tag == TAG_OBJECT;
	}
	return false;
}

static void take_cell(struct reader *r, uint8_t tag, struct domu_cell *cell)
{
	const uint8_t *p;
	int64_t v[2];

	switch (tag) {
	case TAG_NUMBER:
		p = take(r, sizeof cell->number);
		if (p != NULL)
			memcpy(&cell->number, p, sizeof cell->number);
		break;
	case TAG_TIME:
		p = take(r, sizeof v);
		if (p == NULL)
			break;
		memcpy(v, p, sizeof v);
		cell->time.tv_sec = (time_t)v[0];
		cell->time.tv_nsec = (long)v[1];
		r->bad = r->bad || v[1] < 0 || v[1] > 999999999;
		break;
	case TAG_BYTES:
		take_bytes(r, &cell->text, &cell->len);
		break;
	default:
		if (!r->ours)
			r->bad = true;
		p = take(r, sizeof cell->object);
		if (p != NULL && r->ours)
			memcpy(&cell->object, p, sizeof cell->object);
		break;
	}
}

static int take_row(struct domu_out *o, struct reader *r, struct domu_cell *cells)
{
	for (size_t i = 0; i < o->n_columns; i++) {
		const uint8_t *tag = take(r, 1);

		cells[i] = (struct domu_cell){ .text = "" }; /* also of a null: nobody has to look for it */
		if (tag == NULL)
			return -EBADMSG;
		if (*tag == TAG_NULL) {
			cells[i].null = true;
			continue;
		}
		if (!tag_fits(*tag, o->o.columns[i].type))
			return -EBADMSG;
		take_cell(r, *tag, &cells[i]);
	}
	return r->bad ? -EBADMSG : 0;
}

/* ---- showing them ---- */

static int show_row(struct domu_out *o, const struct domu_cell *cells)
{
	if (o->o.json)
		return domu_json_row(o, cells);
	if (o->o.layout != NULL && o->o.layout->row != NULL)
		return o->o.layout->row(o, cells, o->n_columns, o->o.user);
	return domu_table_row(o, cells);
}

static int show_line(struct domu_out *o, const char *text, size_t len)
{
	int rc;

	if (o->o.json)
		return 0;
	/* What came before the line stands before it. */
	if (o->o.layout != NULL && o->o.layout->flush != NULL)
		rc = o->o.layout->flush(o, o->o.user);
	else
		rc = domu_table_flush(o);
	if (rc == 0)
		rc = domu_out_bytes(o, text, len);
	return rc != 0 ? rc : domu_out_write(o, "\n", 1);
}

static int show(struct domu_out *o, struct reader *r)
{
	struct domu_cell cells[DOMU_MAX_COLUMNS];
	int rc = 0;

	while (rc == 0 && r->pos < r->len) {
		if (r->p[r->pos] == TAG_LINE) {
			const char *text;
			size_t len;

			r->pos++;
			take_bytes(r, &text, &len);
			rc = r->bad ? -EBADMSG : show_line(o, text, len);
			continue;
		}
		rc = o->n_columns > 0 ? take_row(o, r, cells) : -EBADMSG;
		if (rc == 0)
			rc = show_row(o, cells);
		for (size_t i = 0; r->ours && i < o->n_columns; i++)
			json_object_put(cells[i].object);
	}
	return rc;
}

static int flush(struct domu_out *o)
{
	struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_ROWS);
	int rc = o->err;

	if (rc == 0 && o->len > 0) {
		domu_msg_put_bytes(&m, o->buf, o->len);
		rc = domu_work_send(o->work, &m);
	}
	domu_msg_free(&m);
	o->len = 0;
	return rc;
}

int domu_out_flush(struct domu_out *o)
{
	return o->err = flush(o);
}

/* What is in buf goes its way: at once in the front, in batches from a worker. */
static int push(struct domu_out *o)
{
	struct reader r = { .p = o->buf, .len = o->len, .ours = true };
	int rc;

	if (o->err != 0)
		return o->err;
	if (o->work != NULL)
		return o->len >= BATCH ? o->err = flush(o) : 0;
	rc = show(o, &r);
	o->len = 0;
	return o->err = rc;
}

int domu_row_end(struct domu_out *o)
{
	bool whole = o->in_row && o->row_cells == o->n_columns;

	o->in_row = false;
	if (o->err == 0 && !whole)
		return stick(o, -EINVAL, "a row that has not as many cells as the command has columns");
	return push(o);
}

int domu_out_line(struct domu_out *o, const char *fmt, ...)
{
	uint8_t tag = TAG_LINE;
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return stick(o, -ENOMEM, "out of memory");
	if (o->in_row)
		stick(o, -EINVAL, "a line inside a row");
	add(o, &tag, 1);
	add_bytes(o, text, (size_t)n < MAX_TEXT ? (size_t)n : MAX_TEXT);
	free(text);
	return push(o);
}

int domu_out_receive(struct domu_out *o, struct domu_msg *m)
{
	size_t len;
	const uint8_t *p = domu_msg_get_bytes(m, &len);
	struct reader r = { .p = p, .len = len };
	int rc;

	if (m->err != 0 || len > 2 * BATCH + DOMU_MAX_COLUMNS * MAX_TEXT)
		rc = -EBADMSG;
	else
		rc = o->err != 0 ? o->err : show(o, &r);
	if (rc == -EBADMSG)
		return stick(o, rc, "the worker sent rows that are none of this command");
	return o->err = rc;
}

int domu_out_member(struct domu_out *o, const char *key, struct json_object *v)
{
	int rc = o->err;

	if (rc == 0 && o->o.json && o->work == NULL)
		return o->err = domu_json_member(o, key, v);
	json_object_put(v);
	return rc;
}

/* ---- opening and closing ---- */

static struct domu_out *make(struct domu_ctx *ctx, const struct domu_column *columns)
{
	struct domu_out *o = calloc(1, sizeof *o);

	if (o == NULL)
		return NULL;
	o->ctx = ctx;
	o->o.columns = columns;
	while (columns != NULL && o->n_columns < DOMU_MAX_COLUMNS && columns[o->n_columns].key != NULL)
		o->n_columns++;
	return o;
}

int domu_out_open(struct domu_ctx *ctx, const struct domu_out_opts *opts, struct domu_out **o)
{
	*o = make(ctx, opts->columns);
	if (*o == NULL)
		return domu_nomem(ctx);
	(*o)->o = *opts;
	return 0;
}

int domu_out_open_send(struct domu_work *w, const struct domu_column *columns, bool json, struct domu_out **o)
{
	*o = make(w->ctx, columns);
	if (*o == NULL)
		return domu_nomem(w->ctx);
	(*o)->work = w;
	(*o)->o.json = json;
	return 0;
}

void domu_out_silent(struct domu_out *o)
{
	o->o.json = false;
}

static int finish(struct domu_out *o, const struct domu_error *failure)
{
	int rc = o->err, r;

	if (o->tail_len > 0 && rc == 0) {
		size_t n = o->tail_len;

		o->tail_len = 0;
		rc = domu_out_bytes(o, o->tail, n);
	}
	if (!o->o.json && o->o.layout != NULL && o->o.layout->end != NULL) {
		r = o->o.layout->end(o, o->o.user);
		rc = rc != 0 ? rc : r;
	}
	r = o->o.json ? domu_json_end(o, failure) : domu_table_flush(o);
	rc = rc != 0 ? rc : r;
	if (fflush(o->o.file) != 0 && rc == 0)
		rc = domu_out_failed(o, errno);
	return rc;
}

int domu_out_close(struct domu_out *o, const struct domu_error *failure)
{
	int rc;

	if (o == NULL)
		return 0;
	rc = o->work != NULL ? flush(o) : finish(o, failure);
	domu_table_free(o);
	free(o->content);
	free(o->buf);
	free(o);
	return rc;
}
