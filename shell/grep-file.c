/* SPDX-License-Identifier: GPL-3.0-or-later */
/* grep-file.c - grep in one file: read in big pieces, searched by buffers, its lines printed with what is around. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shell/grep.h"

#define VECTOR   64
#define NUL_STEP (96u * 1024) /* text ends at the multiple of this before the first NUL, as GNU grep reads */
#define MAX_LINE (64u << 20) /* a longer one is searched in parts */
/* Read in one go: whole steps, so that none has been shown too much of, and few, so that the cache holds them. */
#define PIECE (3 * NUL_STEP)

struct domu_grep_buffer {
	char *v;
	size_t cap;
};

struct file {
	struct domu_grep *g;
	struct domu_grep_buffer *b;
	const struct domu_path *where;
	const char *shown;
	size_t pos; /* searched up to here; a line begins here */
	size_t lim; /* whole lines up to here */
	size_t end; /* read up to here */
	uint64_t base; /* the file's offset of the buffer's first byte */
	size_t text_end; /* only text up to here; SIZE_MAX: no NUL was met */
	bool binary, eof, done, added_newline;
	uint64_t selected;
	size_t printed; /* the last line printed ends here */
	bool printed_any; /* of this file, and printed says where */
	uint64_t pending; /* lines of context still to print */
	size_t counted; /* lines are counted up to here */
	uint64_t lines;
};

int domu_grep_buffer_new(struct domu_ctx *ctx, struct domu_grep_buffer **b)
{
	*b = calloc(1, sizeof **b);
	if (*b != NULL)
		(*b)->v = malloc(PIECE + 1);
	if (*b == NULL || (*b)->v == NULL) {
		free(*b);
		*b = NULL;
		return domu_nomem(ctx);
	}
	(*b)->cap = PIECE + 1;
	return 0;
}

void domu_grep_buffer_free(struct domu_grep_buffer *b)
{
	if (b != NULL)
		free(b->v);
	free(b);
}

/* ---- output --------------------------------------------------------------------------- */

int domu_grep_flush(struct domu_grep *g)
{
	size_t n = g->out_len;

	g->out_len = 0;
	return n > 0 ? domu_run_write(g->r, g->out, n) : 0;
}

static int put(struct domu_grep *g, const char *bytes, size_t len)
{
	int rc = 0;

	if (len > GREP_OUT - g->out_len)
		rc = domu_grep_flush(g);
	if (rc != 0)
		return rc;
	if (len > GREP_OUT)
		return domu_run_write(g->r, bytes, len);
	memcpy(g->out + g->out_len, bytes, len);
	g->out_len += len;
	return 0;
}

static int put_name(struct file *f, char separator)
{
	char c = f->g->nul_after_name ? '\0' : separator;
	int rc = put(f->g, f->shown, strlen(f->shown));

	return rc != 0 ? rc : put(f->g, &c, 1);
}

static int put_number(struct file *f, uint64_t n, char separator)
{
	char text[24];

	return put(f->g, text, (size_t)snprintf(text, sizeof text, "%" PRIu64 "%c", n, separator));
}

/* The number of the line that begins at begin: asked in growing order. */
static uint64_t line_number(struct file *f, size_t begin)
{
	const char *p = f->b->v + f->counted, *stop = f->b->v + begin;

	if (!f->g->numbers && !f->g->json)
		p = stop;
	while (p < stop && (p = memchr(p, f->g->eol, (size_t)(stop - p))) != NULL) {
		f->lines++;
		p++;
	}
	f->counted = begin > f->counted ? begin : f->counted;
	return f->lines + 1;
}

/* Cells of a row that has none of its own. */
static int json_row(struct file *f, bool line, size_t begin, const struct domu_grep_hit *text, char separator)
{
	struct domu_out *o = f->g->r->out;

	domu_row_text(o, f->g->r->guest);
	domu_row_text(o, f->shown);
	if (line) {
		domu_row_number(o, line_number(f, begin));
		domu_row_number(o, f->base + text->begin);
		domu_row_bytes(o, f->b->v + text->begin, text->end - text->begin);
		domu_row_number(o, separator == '-');
	} else {
		domu_row_null(o);
		domu_row_null(o);
		domu_row_null(o);
		domu_row_null(o);
	}
	if (f->g->count)
		domu_row_number(o, f->selected);
	else
		domu_row_null(o);
	domu_row_number(o, f->binary);
	return domu_row_end(o);
}

/* A line, or a match in it; line is where the line begins. */
static int put_text(struct file *f, size_t line, const struct domu_grep_hit *text, char separator)
{
	const struct domu_grep *g = f->g;
	int rc = 0;

	if (g->json)
		return json_row(f, true, line, text, separator);
	if (g->names)
		rc = put_name(f, separator);
	if (rc == 0 && g->numbers)
		rc = put_number(f, line_number(f, line), separator);
	if (rc == 0 && g->offsets)
		rc = put_number(f, f->base + text->begin, separator);
	if (rc == 0)
		rc = put(f->g, f->b->v + text->begin, text->end - text->begin);
	return rc == 0 ? put(f->g, &g->eol, 1) : rc;
}

/* -o: every match that is not empty, on a line of its own. */
static int put_matches(struct file *f, size_t begin, size_t end)
{
	size_t from = 0;
	int rc = 0;

	while (rc == 0 && from <= end - begin) {
		struct domu_grep_hit hit;

		if (!domu_grep_in_line(f->g->m, f->b->v + begin, end - begin, from, &hit))
			break;
		if (hit.end > hit.begin) {
			struct domu_grep_hit text = { begin + hit.begin, begin + hit.end };

			rc = put_text(f, begin, &text, ':');
			from = hit.end;
		} else {
			from = hit.begin + 1;
		}
	}
	return rc;
}

static int put_line(struct file *f, size_t begin, size_t end, char separator)
{
	struct domu_grep_hit text = { begin, end - 1 };
	int rc = 0;

	if (!f->g->only)
		rc = put_text(f, begin, &text, separator);
	else if (separator == ':' && !f->g->invert)
		rc = put_matches(f, begin, end - 1);
	f->printed = end;
	f->printed_any = true;
	f->g->printed = true;
	return rc;
}

static size_t next_line(const struct file *f, size_t at)
{
	const char *nl = memchr(f->b->v + at, f->g->eol, f->lim - at);

	return nl != NULL ? (size_t)(nl - f->b->v) + 1 : f->lim;
}

static size_t line_before(const struct file *f, size_t at)
{
	const char *nl = at > 1 ? memrchr(f->b->v, f->g->eol, at - 1) : NULL;

	return nl != NULL ? (size_t)(nl - f->b->v) + 1 : 0;
}

/* Lines after a match, as far as they are wanted and known. */
static int put_pending(struct file *f, size_t upto)
{
	int rc = 0;

	while (rc == 0 && f->pending > 0 && f->printed < upto) {
		rc = put_line(f, f->printed, next_line(f, f->printed), '-');
		f->pending--;
	}
	return rc;
}

/* ---- lines that were chosen --------------------------------------------------------------- */

static bool prints_lines(const struct file *f)
{
	const struct domu_grep *g = f->g;

	return !g->quiet && !g->count && !g->list && !g->list_without && !f->binary;
}

static int put_selected(struct file *f, size_t begin, size_t end)
{
	struct domu_grep *g = f->g;
	size_t start = begin, least;
	int rc = put_pending(f, begin);

	least = f->printed_any ? f->printed : 0;
	for (uint64_t i = 0; i < g->before && start > least; i++)
		start = line_before(f, start);
	if (rc == 0 && g->context && g->printed && !(f->printed_any && f->printed == start) && !g->json)
		rc = put(g, "--\n", 3);
	while (rc == 0 && start < begin) {
		size_t e = next_line(f, start);

		rc = put_line(f, start, e, '-');
		start = e;
	}
	if (rc == 0)
		rc = put_line(f, begin, end, ':');
	f->pending = g->after;
	return rc;
}

static int select_line(struct file *f, size_t begin, size_t end)
{
	struct domu_grep *g = f->g;
	int rc = 0;

	f->selected++;
	g->found = true;
	if (prints_lines(f))
		rc = put_selected(f, begin, end);
	else
		f->done = !g->count;
	if (f->selected >= g->max)
		f->done = true;
	return rc;
}

static int search(struct file *f, size_t upto)
{
	int rc = domu_grep_matcher_text(f->g->m, f->b->v, upto);

	if (rc != 0)
		return domu_nomem(f->g->r->ctx);
	while (rc == 0 && f->pos < upto && !f->done) {
		struct domu_grep_hit line = { upto, upto };

		domu_grep_next_line(f->g->m, f->pos, &line);
		if (domu_grep_given_up(f->g->m))
			return -E2BIG;
		if (!f->g->invert) {
			if (line.begin < upto)
				rc = select_line(f, line.begin, line.end);
		} else {
			while (rc == 0 && f->pos < line.begin && !f->done) {
				size_t e = next_line(f, f->pos);

				rc = select_line(f, f->pos, e);
				f->pos = e;
			}
		}
		f->pos = line.end;
	}
	return rc == 0 && prints_lines(f) ? put_pending(f, upto) : rc;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* From where on the buffer is still needed: for lines before a match, and to count them. */
static size_t needed(struct file *f)
{
	size_t from = f->pos;

	if (!prints_lines(f))
		return from;
	for (uint64_t i = 0; i < f->g->before && from > 0; i++)
		from = line_before(f, from);
	return from;
}

static void move(struct file *f, size_t by)
{
	line_number(f, by);
	memmove(f->b->v, f->b->v + by, f->end - by);
	f->base += by;
	f->pos -= by;
	f->end -= by;
	f->lim -= by;
	f->counted -= by;
	f->printed_any = f->printed_any && f->printed >= by;
	f->printed -= f->printed_any ? by : f->printed;
}

static int make_room(struct file *f)
{
	struct domu_grep_buffer *b = f->b;
	size_t from = needed(f);
	char *v;

	/* Context that is more than a line may be is given up. */
	if (f->end - from > MAX_LINE && from < f->pos)
		from = f->pos;
	if (from > 0)
		move(f, from);
	if (b->cap - f->end > PIECE)
		return 0;
	v = realloc(b->v, f->end + 2 * (size_t)PIECE + 1);
	if (v == NULL)
		return domu_nomem(f->g->r->ctx);
	b->v = v;
	b->cap = f->end + 2 * (size_t)PIECE + 1;
	return 0;
}

/* A hole of PIECE and more at the end of what was read: 0 and its length, or 0 bytes. */
static uint64_t hole_ahead(struct file *f)
{
	const struct domu_path *w = f->where;
	uint64_t offset = f->base + f->end, at, run;

	if (f->g->blank_counts || f->g->binary == GREP_BINARY_TEXT || w->st.size - offset <= PIECE)
		return 0;
	/* With -z it holds lines, all of them empty, that may have to be counted. */
	if (f->g->eol == '\0' && (f->g->numbers || f->g->offsets || f->g->json || f->g->context))
		return 0;
	if (domu_fs_extent(w->fs, w->ino, offset, w->st.size - offset, &at, &run) != 0) {
		domu_error_clear(f->g->r->ctx);
		return 0;
	}
	return at == UINT64_MAX && run > PIECE ? run - 1 : 0;
}

/* What is left out of a hole ends the line before it and begins a new one, as every NUL does in a binary file. */
static void pass_hole(struct file *f, uint64_t len)
{
	f->b->v[f->end++] = '\0';
	if (f->g->eol != '\0' && f->text_end == SIZE_MAX)
		f->text_end = f->end - 1;
	if (!f->binary && f->g->eol != '\0')
		return;
	/* Nothing of a binary file is shown, so offsets need not agree with lines any more. */
	f->base += len - 1;
}

static void find_nul(struct file *f, size_t from)
{
	const char *nul;
	uint64_t step;
	size_t at;

	if (f->text_end != SIZE_MAX || f->g->binary == GREP_BINARY_TEXT || f->g->eol == '\0')
		return;
	nul = memchr(f->b->v + from, '\0', f->end - from);
	if (nul == NULL)
		return;
	at = (size_t)(nul - f->b->v);
	step = (f->base + at) % NUL_STEP;
	f->text_end = at > step ? at - (size_t)step : 0;
}

static void zap_nuls(struct file *f, size_t from)
{
	char *p = f->b->v + from, *end = f->b->v + f->end;

	/* In steps of a known length, of which the compiler makes vectors. */
	for (; end - p >= VECTOR; p += VECTOR)
		for (size_t i = 0; i < VECTOR; i++)
			p[i] = p[i] != '\0' ? p[i] : '\n';
	for (; p < end; p++)
		*p = *p != '\0' ? *p : '\n';
}

static int fill(struct file *f)
{
	const struct domu_path *w = f->where;
	size_t from;
	ssize_t n = 0;
	uint64_t hole;
	int rc = make_room(f);

	if (rc != 0)
		return rc;
	from = f->end;
	hole = f->base + f->end < w->st.size ? hole_ahead(f) : 0;
	if (hole > 0)
		pass_hole(f, hole);
	else if (f->base + f->end < w->st.size)
		n = domu_fs_read(w->fs, w->ino, f->b->v + f->end, PIECE, f->base + f->end);
	if (n < 0)
		return (int)n;
	f->end += (size_t)n;
	f->eof = (n == 0 && hole == 0) || f->base + f->end >= w->st.size;
	find_nul(f, from);
	if (f->binary)
		zap_nuls(f, from);
	return 0;
}

/* Whole lines: up to the last newline, at the end of the file up to its end, with a newline that was missing. */
static void find_lines(struct file *f, size_t upto)
{
	const char *nl = upto > f->pos ? memrchr(f->b->v + f->pos, f->g->eol, upto - f->pos) : NULL;

	f->lim = nl != NULL ? (size_t)(nl - f->b->v) + 1 : f->pos;
	if (upto != f->end || (!f->eof && f->end - f->pos < MAX_LINE) || f->lim == f->end)
		return;
	f->b->v[f->end++] = f->g->eol;
	f->base -= f->eof ? 0 : 1;
	f->lim = f->end;
}

/* From here on NULs end lines, and only whether something is found matters. */
static void turn_binary(struct file *f)
{
	f->binary = true;
	f->text_end = SIZE_MAX;
	zap_nuls(f, f->pos);
	if (f->g->binary == GREP_BINARY_SKIP)
		f->done = true;
}

static int search_file(struct file *f)
{
	int rc = 0;

	while (rc == 0 && !f->done && !f->eof) {
		rc = fill(f);
		if (rc == 0 && domu_interrupted(f->g->r->ctx))
			rc = domu_fail(f->g->r->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		if (rc == 0 && f->text_end != SIZE_MAX && !f->binary) {
			find_lines(f, f->text_end);
			rc = search(f, f->lim);
			turn_binary(f);
		}
		if (rc != 0 || f->done)
			break;
		find_lines(f, f->end);
		rc = search(f, f->lim);
	}
	return rc;
}

/* ---- what is told of a file as a whole -------------------------------------------------------- */

static int tell_file(struct file *f)
{
	struct domu_grep *g = f->g;
	bool skipped = f->binary && g->binary == GREP_BINARY_SKIP, named = g->list ? f->selected > 0 : f->selected == 0;
	int rc = 0;

	if (g->quiet)
		return 0;
	if (g->list || g->list_without) {
		if (!named || (skipped && !g->list_without))
			return 0;
		return g->json ? json_row(f, false, 0, NULL, ':') : put_name(f, '\n');
	}
	if (g->count && !skipped) {
		if (g->json)
			return json_row(f, false, 0, NULL, ':');
		rc = g->names ? put_name(f, ':') : 0;
		return rc == 0 ? put_number(f, f->selected, '\n') : rc;
	}
	if (!f->binary || skipped || !f->done)
		return 0;
	if (g->json)
		return json_row(f, false, 0, NULL, ':');
	rc = domu_grep_flush(g);
	if (rc == 0)
		domu_say(g->r->ctx, DOMU_INFO, "grep: %s: binary file matches", f->shown);
	return rc;
}

int domu_grep_file(struct domu_grep *g, struct domu_grep_buffer *b, const struct domu_path *where, const char *shown)
{
	struct file f = { .g = g, .b = b, .where = where, .shown = shown, .text_end = SIZE_MAX };
	int rc = g->max > 0 ? search_file(&f) : 0, r;

	r = rc != -ESHUTDOWN && rc != -EINTR ? tell_file(&f) : 0;
	if (domu_grep_gave_up(g->m) > 0 && (rc == 0 || rc == -E2BIG) && r == 0)
		r = domu_fail(g->r->ctx, DOMU_FAILED, -E2BIG,
		              "on some lines the expression was given up, since it takes too many steps%s",
		              rc != 0 ? "; the rest of the file was not searched" : "");
	return rc != 0 ? rc : r;
}
