/* SPDX-License-Identifier: GPL-3.0-or-later */
/* notes.c - what programs said while they changed a stage: kept beside its log, and with the commit. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "block/commit-private.h"
#include "block/log.h"

#define NOTES_FORMAT 1
#define NOTES_MAX    (512u << 10) /* bytes of the file */
#define TEXT_MAX     (64u << 10) /* bytes of one note */

/*
 * A line of JSON a note.  Each names the place in the log up to which it
 * speaks and the checksum there, which vouches for all before: a log that
 * was cut back, or cut back and written on, no longer has it, and the note
 * counts for nothing.  So notes go with the change they are about, also
 * after a crash between the two files.  end 0: the stage was committed as it
 * was then, and its log may be gone.
 */
struct note {
	struct domu_log_pos pos;
	struct domu_note note;
};

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string)
	           ? json_object_get_string(v)
	           : "";
}

static int64_t number_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_int) ? json_object_get_int64(v)
	                                                                                      : -1;
}

/* Strings stay o's. */
static bool parse_note(struct json_object *o, struct note *n)
{
	int64_t end = number_of(o, "end"), last = number_of(o, "last"), chain = number_of(o, "chain");
	struct json_object *cut;

	memset(n, 0, sizeof *n);
	if (number_of(o, "format") != NOTES_FORMAT || end < 0 || last < 0 || chain < 0 || chain > UINT32_MAX)
		return false;
	n->pos = (struct domu_log_pos){ .end = (uint64_t)end, .last = (uint64_t)last, .chain = (uint32_t)chain };
	n->note =
	    (struct domu_note){ .device = text_of(o, "device"),
		                .source = text_of(o, "source"),
		                .text = text_of(o, "text"),
		                .cut = json_object_object_get_ex(o, "cut", &cut) && json_object_get_boolean(cut) };
	return true;
}

static int put_note(FILE *f, const struct note *n)
{
	struct json_object *o = json_object_new_object();
	const char *line;
	int rc = -ENOMEM;

	if (o == NULL)
		return rc;
	json_object_object_add(o, "format", json_object_new_int(NOTES_FORMAT));
	json_object_object_add(o, "end", json_object_new_int64((int64_t)n->pos.end));
	json_object_object_add(o, "last", json_object_new_int64((int64_t)n->pos.last));
	json_object_object_add(o, "chain", json_object_new_int64(n->pos.chain));
	json_object_object_add(o, "device", json_object_new_string(n->note.device));
	json_object_object_add(o, "source", json_object_new_string(n->note.source));
	json_object_object_add(o, "cut", json_object_new_boolean(n->note.cut));
	json_object_object_add(o, "text", json_object_new_string(n->note.text));
	line = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	if (line != NULL && fprintf(f, "%s\n", line) > 0)
		rc = 0;
	json_object_put(o);
	return rc;
}

/* ---- reading ------------------------------------------------------------------------------ */

typedef int (*note_fn)(void *user, const struct note *n);

/* Notes of a file that still hold; log_fd -1: those of a commit.  A file that is not there has none. */
static int read_notes(const char *path, int log_fd, note_fn fn, void *user)
{
	char *data = NULL, *line, *nl;
	size_t len;
	int rc = domu_file_read(path, NOTES_MAX, &data, &len);

	/* They are for people: a damaged file is no reason to fail. */
	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	for (line = data; rc == 0 && (nl = strchr(line, '\n')) != NULL; line = nl + 1) {
		struct json_object *o;
		struct note n;

		*nl = '\0';
		o = json_tokener_parse(line);
		if (o != NULL && parse_note(o, &n) &&
		    (n.pos.end == 0 || (log_fd >= 0 && domu_log_same(log_fd, &n.pos))))
			rc = fn(user, &n);
		json_object_put(o);
	}
	free(data);
	return rc;
}

struct giver {
	domu_note_fn fn;
	void *user;
};

static int give(void *user, const struct note *n)
{
	const struct giver *g = user;

	return g->fn(g->user, &n->note);
}

int domu_stage_notes(struct domu_stage *s, domu_note_fn fn, void *user)
{
	char *path = domu_text("%s/notes", s->dir);
	struct giver g = { fn, user };
	int rc = path != NULL ? read_notes(path, s->log_fd, give, &g) : domu_nomem(s->st->ctx);

	free(path);
	return rc;
}

int domu_commit_notes(struct domu_state *st, const char *id, domu_note_fn fn, void *user)
{
	char *path = domu_id_valid(id) ? domu_state_path(st, "history", id, "notes") : NULL;
	struct giver g = { fn, user };
	int rc = path != NULL ? read_notes(path, -1, give, &g) : 0;

	free(path);
	return rc;
}

/* ---- writing ------------------------------------------------------------------------------ */

struct rewrite {
	FILE *f;
	bool settle;
	bool any;
};

static int keep(void *user, const struct note *n)
{
	struct rewrite *w = user;
	struct note copy = *n;

	if (w->settle)
		memset(&copy.pos, 0, sizeof copy.pos);
	w->any = true;
	return put_note(w->f, &copy);
}

/* What holds and, where there is one, a new note: in a new file that takes the place of the old. */
static int rewrite(struct domu_stage *s, const struct note *more, bool settle)
{
	char *path = domu_text("%s/notes", s->dir), *temp = domu_text("%s/notes.new", s->dir), *data = NULL;
	struct domu_ctx *ctx = s->st->ctx;
	struct rewrite w = { .settle = settle };
	size_t len = 0;
	int rc = path == NULL || temp == NULL || (w.f = open_memstream(&data, &len)) == NULL ? domu_nomem(ctx) : 0;

	if (rc != 0)
		goto out;
	rc = read_notes(path, s->log_fd, keep, &w);
	if (rc == 0 && more != NULL)
		rc = keep(&w, more);
	if (fclose(w.f) != 0 && rc == 0)
		rc = -ENOMEM;
	if (rc != 0) {
		domu_nomem(ctx);
		goto out;
	}
	if (!w.any) {
		/* Stale ones are nothing to keep; where there were none nothing is written. */
		if (ctx->io->unlink(path) < 0 && errno != ENOENT)
			rc = domu_fail(ctx, DOMU_FAILED, -errno, "%s: %s", path, strerror(errno));
		goto out;
	}
	if (len > NOTES_MAX) {
		domu_say(ctx, DOMU_INFO, "%s is full: what was said last is not kept", path);
		goto out;
	}
	rc = domu_file_replace(ctx, temp, path, data, len, settle);
out:
	free(data);
	free(path);
	free(temp);
	return rc;
}

static int no_record(void *user, const struct domu_log_rec *rec, uint64_t at)
{
	(void)user;
	(void)rec;
	(void)at;
	return 0;
}

int domu_stage_note(struct domu_stage *s, const struct domu_note *note)
{
	struct note n = { .note = *note };
	size_t len = strlen(note->text);
	char *utf8;
	int rc = domu_log_walk(s->st->ctx, s->log_fd, "stage", &n.pos, no_record, NULL);

	/* Nothing staged is nothing to speak of. */
	if (rc != 0 || n.pos.records == 0)
		return rc;
	if (len > TEXT_MAX) {
		len = TEXT_MAX;
		while (len > 0 && note->text[len - 1] != '\n')
			len--;
		n.note.cut = true;
	}
	utf8 = domu_to_utf8(note->text, len);
	if (utf8 == NULL)
		return domu_nomem(s->st->ctx);
	n.note.text = utf8;
	rc = rewrite(s, &n, false);
	free(utf8);
	return rc;
}

int domu_notes_settle(struct domu_stage *s)
{
	char *path = domu_text("%s/notes", s->dir);
	int rc = path == NULL ? domu_nomem(s->st->ctx) : access(path, F_OK) == 0 ? rewrite(s, NULL, true) : 0;

	free(path);
	return rc;
}

/* ---- how much there is ----------------------------------------------------------------------- */

int domu_stage_sums(struct domu_stage *s, struct domu_stage_sum sums[DOMU_MAX_DISKS])
{
	static const uint8_t zeros[DOMU_UNIT];
	const uint32_t zero_crc = domu_unit_crc(zeros);
	struct domu_log_entry *e = NULL;
	uint64_t end;
	size_t n = 0;
	int rc = domu_log_scan(s->st->ctx, s->log_fd, &e, &n, &end);

	memset(sums, 0, DOMU_MAX_DISKS * sizeof *sums);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct domu_stage_sum *sum = &sums[e[i].disk];

		if (e[i].crc == e[i].old_crc) {
			sum->same++;
			continue;
		}
		sum->blocks++;
		sum->zeros += e[i].crc == zero_crc;
	}
	free(e);
	return rc;
}
