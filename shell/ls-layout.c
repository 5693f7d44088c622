/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ls-layout.c - how ls looks: long lines, columns on a terminal, else a name a line. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "shell/command.h"
#include "shell/fmt.h"
#include "shell/ls.h"

#define MAX_HELD 20000 /* lines held back to align them: more are shown in pieces */

enum { INODE, BLOCKS, MODE, NLINK, OWNER, GROUP, LABEL, SIZE, TIME, FIELDS };

struct line {
	char *field[FIELDS]; /* of the long format */
	char *name;
};

struct held {
	struct line *v;
	size_t n, cap;
	time_t now;
};

static void line_free(struct line *l)
{
	for (int i = 0; i < FIELDS; i++)
		free(l->field[i]);
	free(l->name);
}

static char *text(const char *fmt, ...) DOMU_PRINTF(1, 2);

static char *text(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return s;
}

static const char *sign(const struct domu_args *a, const struct domu_cell *c)
{
	uint64_t mode = c[STAT_IFMODE].number;

	if (S_ISDIR(mode))
		return domu_args_flag(a, "F") || domu_args_flag(a, "p") ? "/" : "";
	if (!domu_args_flag(a, "F"))
		return "";
	if (S_ISLNK(mode))
		return "@";
	if (S_ISFIFO(mode))
		return "|";
	if (S_ISSOCK(mode))
		return "=";
	return S_ISREG(mode) && (mode & 0111) != 0 ? "*" : "";
}

static char *name_field(struct domu_out *o, const struct domu_args *a, const struct domu_cell *c, bool long_format)
{
	char *name = domu_name_shown(o, c[LS_NAME].text, c[LS_NAME].len), *target = NULL, *all = NULL;
	bool arrow = long_format && !c[STAT_TARGET].null;

	if (arrow)
		target = domu_name_shown(o, c[STAT_TARGET].text, c[STAT_TARGET].len);
	if (name != NULL && (!arrow || target != NULL))
		all = text("%s%s%s%s", name, !arrow && !c[STAT_IFMODE].null ? sign(a, c) : "", arrow ? " -> " : "",
		           arrow ? target : "");
	free(name);
	free(target);
	return all;
}

static char *owner_field(struct domu_out *o, const struct domu_cell *name, const struct domu_cell *id)
{
	return name->null ? text("%" PRIu64, id->number) : domu_name_shown(o, name->text, name->len);
}

static char *blocks_field(const struct domu_args *a, const struct domu_cell *c)
{
	char human[DOMU_HUMAN_TEXT];

	if (c[STAT_ALLOCATED].null)
		return text("?");
	if (!domu_args_flag(a, "h"))
		return text("%" PRIu64, c[STAT_ALLOCATED].number / 1024);
	domu_human(c[STAT_ALLOCATED].number, human);
	return text("%s", human);
}

static char *size_field(const struct domu_args *a, const struct domu_cell *c)
{
	char human[DOMU_HUMAN_TEXT];

	if (!c[STAT_MAJOR].null)
		return text("%" PRIu64 ", %" PRIu64, c[STAT_MAJOR].number, c[STAT_MINOR].number);
	if (!domu_args_flag(a, "h"))
		return text("%" PRIu64, c[STAT_SIZE].number);
	domu_human(c[STAT_SIZE].number, human);
	return text("%s", human);
}

static void long_fields(struct domu_out *o, const struct domu_args *a, const struct domu_cell *c, struct line *l,
                        time_t now)
{
	char mode[11], when[DOMU_TIME_TEXT];

	if (c[STAT_IFMODE].null) {
		for (int i = NLINK; i < FIELDS; i++)
			if (l->field[i] == NULL && i != LABEL)
				l->field[i] = text("?");
		l->field[MODE] = text("%s??????????", !c[LS_MARK].null && c[LS_MARK].text[0] == 'l' ? "l" : "?");
		return;
	}
	domu_mode_text((uint32_t)c[STAT_IFMODE].number, mode);
	if (domu_args_flag(a, "full-time"))
		domu_time_full(c[STAT_MTIME].time, when);
	else
		domu_time_ls(c[STAT_MTIME].time, now, when);
	l->field[MODE] = text("%s%.1s", mode, c[LS_MARK].null ? "" : c[LS_MARK].text[0] == '+' ? "+" : ".");
	l->field[NLINK] = text("%" PRIu64, c[STAT_NLINK].number);
	if (!domu_args_flag(a, "g"))
		l->field[OWNER] = owner_field(o, &c[STAT_OWNER], &c[STAT_UID]);
	if (!domu_args_flag(a, "o") && !domu_args_flag(a, "G"))
		l->field[GROUP] = owner_field(o, &c[STAT_GROUP], &c[STAT_GID]);
	l->field[SIZE] = size_field(a, c);
	l->field[TIME] = text("%s", when);
}

bool domu_ls_is_long(const struct domu_args *a)
{
	return domu_args_flag(a, "l") || domu_args_flag(a, "n") || domu_args_flag(a, "g") || domu_args_flag(a, "o") ||
	       domu_args_flag(a, "full-time");
}

/* ---- what is held back ----------------------------------------------------------------- */

/* The two numbers of devices stand below each other. */
static void align_devices(struct held *h)
{
	size_t widest = 0;

	for (size_t i = 0; i < h->n; i++) {
		const char *comma = h->v[i].field[SIZE] != NULL ? strchr(h->v[i].field[SIZE], ',') : NULL;

		if (comma != NULL && strlen(comma + 2) > widest)
			widest = strlen(comma + 2);
	}
	for (size_t i = 0; i < h->n && widest > 0; i++) {
		char *field = h->v[i].field[SIZE], *comma = field != NULL ? strchr(field, ',') : NULL;

		if (comma == NULL)
			continue;
		h->v[i].field[SIZE] = text("%.*s, %*s", (int)(comma - field), field, (int)widest, comma + 2);
		free(field);
	}
}

static void measure(const struct held *h, size_t width[FIELDS])
{
	for (size_t i = 0; i < h->n; i++) {
		for (int k = 0; k < FIELDS; k++) {
			size_t n = h->v[i].field[k] != NULL ? domu_columns_of(h->v[i].field[k]) : 0;

			width[k] = n > width[k] ? n : width[k];
		}
	}
}

/* What stands before a name in columns: the inode, the blocks, the label. */
static size_t before_name(const struct line *l, const size_t width[FIELDS])
{
	size_t sum = 0;

	for (int k = 0; k < FIELDS; k++)
		sum += l->field[k] != NULL ? width[k] + 1 : 0;
	return sum;
}

static int print_long(struct domu_out *o, struct held *h)
{
	size_t width[FIELDS] = { 0 };

	align_devices(h);
	measure(h, width);
	for (size_t i = 0; i < h->n; i++) {
		for (int k = 0; k < FIELDS; k++) {
			const char *f = h->v[i].field[k];
			bool left =
			    k == OWNER || k == GROUP || k == MODE || (k == LABEL && h->v[i].field[MODE] != NULL);
			int pad;

			if (f == NULL)
				continue;
			pad = (int)(width[k] - domu_columns_of(f));
			domu_out_print(o, "%*s%s%*s ", left ? 0 : pad, "", f, left ? pad : 0, "");
		}
		if (domu_out_print(o, "%s\n", h->v[i].name) != 0)
			return -EIO;
	}
	return 0;
}

/* The widths of columns if there are rows of them; the sum. */
static size_t try_rows(const struct held *h, const size_t *len, size_t rows)
{
	size_t sum = 0;

	for (size_t first = 0; first < h->n; first += rows) {
		size_t widest = 0;

		for (size_t i = first; i < first + rows && i < h->n; i++)
			widest = len[i] > widest ? len[i] : widest;
		sum += widest + 2;
	}
	return sum;
}

static int print_columns(struct domu_out *o, const struct held *h)
{
	size_t *len = calloc(h->n, sizeof *len), rows = 1, width[FIELDS] = { 0 };

	if (len == NULL)
		return domu_fail(NULL, DOMU_FAILED, -ENOMEM, "out of memory");
	measure(h, width);
	for (size_t i = 0; i < h->n; i++)
		len[i] = domu_columns_of(h->v[i].name) + before_name(&h->v[i], width);
	while (rows < h->n && try_rows(h, len, rows) > domu_out_width(o) + 2)
		rows += rows < 64 ? 1 : rows / 16;
	for (size_t row = 0; row < rows; row++) {
		for (size_t i = row; i < h->n; i += rows) {
			size_t first = i - row, widest = 0;

			for (size_t k = first; k < first + rows && k < h->n; k++)
				widest = len[k] > widest ? len[k] : widest;
			for (int k = 0; k < FIELDS; k++)
				if (h->v[i].field[k] != NULL)
					domu_out_print(o, "%*s ", (int)width[k], h->v[i].field[k]);
			domu_out_print(o, "%s%*s", h->v[i].name, i + rows < h->n ? (int)(widest + 2 - len[i]) : 0, "");
		}
		domu_out_print(o, "\n");
	}
	free(len);
	return 0;
}

static int flush(struct domu_out *o, void *user)
{
	struct held *h = *domu_out_state(o);
	const struct domu_run *r = user;
	int rc = 0;

	if (h == NULL || h->n == 0)
		return 0;
	if (domu_ls_is_long(r->args) || domu_args_flag(r->args, "1") ||
	    (!domu_out_tty(o) && !domu_args_flag(r->args, "C")))
		rc = print_long(o, h);
	else
		rc = print_columns(o, h);
	for (size_t i = 0; i < h->n; i++)
		line_free(&h->v[i]);
	h->n = 0;
	return rc;
}

/* l is its to free. */
static int hold(struct domu_out *o, void *user, struct line *l)
{
	struct held *h = *domu_out_state(o);

	if (h == NULL) {
		h = calloc(1, sizeof *h);
		*domu_out_state(o) = h;
		if (h == NULL)
			goto nomem;
	}
	if (!DOMU_ARRAY_ROOM(h->v, h->cap, h->n + 1))
		goto nomem;
	h->v[h->n++] = *l;
	return h->n < MAX_HELD ? 0 : flush(o, user);
nomem:
	line_free(l);
	return domu_nomem(((const struct domu_run *)user)->ctx);
}

static int row(struct domu_out *o, const struct domu_cell *c, size_t n, void *user)
{
	const struct domu_run *r = user;
	const struct domu_args *a = r->args;
	bool long_format = domu_ls_is_long(a);
	bool columns = (domu_out_tty(o) || domu_args_flag(a, "C")) && !domu_args_flag(a, "1");
	bool aligned = domu_args_flag(a, "i") || domu_args_flag(a, "s") || domu_args_flag(a, "Z");
	struct line l = { .name = name_field(o, a, c, long_format) };
	int rc;

	(void)n;
	if (domu_args_flag(a, "i"))
		l.field[INODE] = text("%" PRIu64, c[STAT_INODE].number);
	if (domu_args_flag(a, "s"))
		l.field[BLOCKS] = blocks_field(a, c);
	if (domu_args_flag(a, "Z") && !c[LS_LABEL].null)
		l.field[LABEL] = domu_name_shown(o, c[LS_LABEL].text, c[LS_LABEL].len);
	if (long_format)
		long_fields(o, a, c, &l, time(NULL));
	if (l.name == NULL) {
		rc = domu_nomem(r->ctx);
	} else if (long_format || columns || aligned) {
		return hold(o, user, &l);
	} else {
		rc = domu_out_print(o, "%s\n", l.name);
	}
	line_free(&l);
	return rc;
}

static int end(struct domu_out *o, void *user)
{
	int rc = flush(o, user);
	struct held *h = *domu_out_state(o);

	if (h != NULL)
		free(h->v);
	free(h);
	*domu_out_state(o) = NULL;
	return rc;
}

const struct domu_layout domu_ls_layout = { .row = row, .end = end, .flush = flush };
