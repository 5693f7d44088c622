/* SPDX-License-Identifier: GPL-3.0-or-later */
/* out-json.c - one JSON object a command, its rows printed as they come. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/array.h"
#include "base/escape.h"
#include "shell/out.h"

#define STYLE (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* json-c escapes C0 controls; DEL and the C1 controls can steer a terminal too. */
static int write_escaped(struct domu_out *o, const char *text)
{
	const char *from = text, *p;
	char esc[8];
	int rc = 0;

	for (p = text; *p != '\0' && rc == 0; p++) {
		unsigned char c = (unsigned char)*p, next = (unsigned char)p[1];
		bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;

		if (c != 0x7f && !c1)
			continue;
		rc = domu_out_write(o, from, (size_t)(p - from));
		snprintf(esc, sizeof esc, "\\u%04x", c1 ? next : c);
		if (rc == 0)
			rc = domu_out_write(o, esc, 6);
		p += c1;
		from = p + 1;
	}
	return rc != 0 ? rc : domu_out_write(o, from, (size_t)(p - from));
}

/* json-c takes bytes as they come; whatever a file of the host is called, JSON is UTF-8. */
static int write_json(struct domu_out *o, struct json_object *v)
{
	const char *text = json_object_to_json_string_ext(v, STYLE);
	char *fixed = text != NULL && !domu_is_utf8(text, strlen(text)) ? domu_to_utf8(text, strlen(text)) : NULL;
	int rc = text != NULL ? write_escaped(o, fixed != NULL ? fixed : text) : domu_nomem(o->ctx);

	free(fixed);
	return rc;
}

static int words(struct domu_out *o, const char *text)
{
	return domu_out_write(o, text, strlen(text));
}

static int write_string(struct domu_out *o, const char *text)
{
	struct json_object *v = json_object_new_string(text);
	int rc = v != NULL ? write_json(o, v) : domu_nomem(o->ctx);

	json_object_put(v);
	return rc;
}

static int open_object(struct domu_out *o)
{
	int rc;

	if (o->opened)
		return 0;
	o->opened = true;
	rc = words(o, "{\"schema\":\"domu-rescue/1\",\"command\":");
	return rc != 0 ? rc : write_string(o, o->o.command);
}

static int open_array(struct domu_out *o)
{
	int rc = open_object(o);

	if (rc != 0 || o->array)
		return rc;
	if (o->array_done)
		return domu_fail(o->ctx, DOMU_FAILED, -EINVAL, "a row after the rows were closed");
	o->array = true;
	words(o, ",");
	write_string(o, o->o.json_key != NULL ? o->o.json_key : "entries");
	return words(o, ":[");
}

static int close_array(struct domu_out *o)
{
	if (!o->array)
		return 0;
	o->array = false;
	o->array_done = true;
	return words(o, o->any ? "\n]" : "]");
}

static struct json_object *time_value(struct timespec t)
{
	char text[64], frac[16] = "";
	struct tm tm;

	if (gmtime_r(&t.tv_sec, &tm) == NULL || tm.tm_year + 1900 > 9999 || tm.tm_year + 1900 < 0)
		return NULL;
	if (t.tv_nsec != 0)
		snprintf(frac, sizeof frac, ".%09ld", t.tv_nsec);
	snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
	         tm.tm_hour, tm.tm_min, tm.tm_sec, frac);
	return json_object_new_string(text);
}

/* Text as JSON wants it; what is not UTF-8 is also given as it is, in KEY_b64. */
static struct json_object *text_value(struct json_object *row, const char *key, const struct domu_cell *cell)
{
	struct json_object *v = NULL;
	char name[96], *fixed, *b64;

	if (domu_is_utf8(cell->text, cell->len))
		return json_object_new_string_len(cell->text, (int)cell->len);
	fixed = domu_to_utf8(cell->text, cell->len);
	b64 = domu_base64(cell->text, cell->len);
	if (fixed != NULL && b64 != NULL) {
		snprintf(name, sizeof name, "%s_b64", key);
		json_object_object_add(row, name, json_object_new_string(b64));
		v = json_object_new_string(fixed);
	}
	free(fixed);
	free(b64);
	return v;
}

static struct json_object *cell_value(struct json_object *row, const struct domu_column *c,
                                      const struct domu_cell *cell)
{
	char text[32];

	if (cell->null)
		return NULL;
	switch (c->type) {
	case CELL_TEXT:
	case CELL_WORD:
	case CELL_BYTES:
		return text_value(row, c->key, cell);
	case CELL_NUMBER:
	case CELL_SIZE:
		return json_object_new_uint64(cell->number);
	case CELL_TIME:
		return time_value(cell->time);
	case CELL_BOOL:
		return json_object_new_boolean(cell->number != 0);
	case CELL_OCTAL:
		snprintf(text, sizeof text, "%04" PRIo64, cell->number);
		return json_object_new_string(text);
	case CELL_OBJECT:
		return json_object_get(cell->object);
	}
	return NULL;
}

int domu_json_row(struct domu_out *o, const struct domu_cell *cells)
{
	struct json_object *row = json_object_new_object();
	int rc = row != NULL ? open_array(o) : domu_nomem(o->ctx);

	for (size_t i = 0; rc == 0 && i < o->n_columns; i++)
		if (o->o.columns[i].key[0] != '\0')
			json_object_object_add(row, o->o.columns[i].key, cell_value(row, &o->o.columns[i], &cells[i]));
	if (rc == 0)
		rc = words(o, o->any ? ",\n" : "\n");
	if (rc == 0)
		rc = write_json(o, row);
	o->any = true;
	json_object_put(row);
	return rc;
}

int domu_json_member(struct domu_out *o, const char *key, struct json_object *v)
{
	int rc = open_object(o);

	if (rc == 0)
		rc = close_array(o);
	if (rc == 0)
		rc = words(o, ",");
	if (rc == 0)
		rc = write_string(o, key);
	if (rc == 0)
		rc = words(o, ":");
	if (rc == 0)
		rc = v != NULL ? write_json(o, v) : words(o, "null");
	json_object_put(v);
	return rc;
}

#define MAX_CONTENT (16u << 20)

int domu_json_data(struct domu_out *o, const void *bytes, size_t len)
{
	if (len > MAX_CONTENT - o->content_len)
		return domu_fail(o->ctx, DOMU_UNSUPPORTED, -EFBIG,
		                 "more than 16 MiB do not go into JSON; leave --json out");
	if (!DOMU_ARRAY_ROOM(o->content, o->content_cap, o->content_len + len))
		return domu_nomem(o->ctx);
	memcpy(o->content + o->content_len, bytes, len);
	o->content_len += len;
	return 0;
}

/* Bytes that are not UTF-8 are in content_b64. */
static int write_content(struct domu_out *o)
{
	const struct domu_cell cell = { .text = o->content, .len = o->content_len };
	struct json_object *also = json_object_new_object(), *b64 = NULL, *v = text_value(also, "content", &cell);
	int rc = domu_json_member(o, "content", v);

	if (rc == 0 && json_object_object_get_ex(also, "content_b64", &b64))
		rc = domu_json_member(o, "content_b64", json_object_get(b64));
	json_object_put(also);
	return rc;
}

static int write_failure(struct domu_out *o, const struct domu_error *failure)
{
	struct json_object *e = json_object_new_object();
	char *text = NULL;

	if (failure->message != NULL)
		text = domu_to_utf8(failure->message, strlen(failure->message));
	json_object_object_add(e, "message", json_object_new_string(text != NULL ? text : "failed"));
	json_object_object_add(e, "status", json_object_new_int((int)failure->status));
	free(text);
	if (failure->disk[0] != '\0')
		json_object_object_add(e, "disk", json_object_new_string(failure->disk));
	if (failure->path[0] != '\0') {
		const struct domu_cell cell = { .text = failure->path, .len = strlen(failure->path) };

		json_object_object_add(e, "path", text_value(e, "path", &cell));
	}
	return domu_json_member(o, "error", e);
}

int domu_json_end(struct domu_out *o, const struct domu_error *failure)
{
	int rc = 0;

	/* A command that has rows and gave none has an empty list; one that failed before its first has none. */
	if (o->n_columns > 0 && !o->array_done && failure == NULL)
		rc = open_array(o);
	if (rc == 0)
		rc = open_object(o);
	if (rc == 0)
		rc = close_array(o);
	if (rc == 0 && o->content != NULL)
		rc = write_content(o);
	if (rc == 0 && failure != NULL)
		rc = write_failure(o, failure);
	return rc != 0 ? rc : words(o, "}\n");
}
