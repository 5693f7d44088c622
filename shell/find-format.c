/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find-format.c - what -printf and -ls say about an inode, as findutils writes it. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "shell/find.h"
#include "shell/fmt.h"

#define MAX_PIECES 1000
#define SPEC       16 /* bytes of %-10.3 and its like */

struct piece {
	char letter; /* 0: text alone */
	char which; /* of %A %B %C %T */
	char spec[SPEC]; /* "" : nothing between % and the letter */
	const char *text; /* len bytes, before the directive */
	size_t len;
};

struct domu_find_format {
	struct piece *v;
	size_t n;
	bool stop; /* \c: nothing after it */
	char *words; /* the texts, without their escapes */
};

/* ---- reading a format ---------------------------------------------------------------- */

static const char letters[] = "abcdDfFgGhHiklmMnpPsStuUyY";

static int bad(struct domu_ctx *ctx, const char *what, const char *at)
{
	return domu_fail(ctx, DOMU_USAGE, -EINVAL, "find: -printf: %s '%.16s'; see domu-rescue help find", what, at);
}

/* After a backslash.  Gives the byte, or -1: \c, -2: none. */
static int escape(const char **p)
{
	static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
	const char *found = **p != '\0' ? strchr(from, **p) : NULL;
	int v = 0;

	if (**p == 'c') {
		(*p)++;
		return -1;
	}
	if (found != NULL) {
		(*p)++;
		return (unsigned char)to[found - from];
	}
	if (**p < '0' || **p > '7')
		return -2;
	for (int i = 0; i < 3 && **p >= '0' && **p <= '7'; i++)
		v = v * 8 + *(*p)++ - '0';
	return v & 0xff;
}

static int directive(struct domu_ctx *ctx, const char **p, struct piece *x)
{
	const char *at = *p - 1;
	size_t n = strspn(*p, "-+ #0");

	n += strspn(*p + n, "0123456789");
	if ((*p)[n] == '.')
		n += 1 + strspn(*p + n + 1, "0123456789");
	/* A width of more than four digits would only be a way to fill memory. */
	if (n + 3 > SPEC || n > 9)
		return bad(ctx, "a width that is too long:", at);
	memcpy(x->spec, *p, n);
	x->spec[n] = '\0';
	*p += n;
	x->letter = **p;
	if (x->letter == '\0')
		return bad(ctx, "% at the end of the format", "%");
	(*p)++;
	if (strchr("ABCT", x->letter) == NULL)
		return strchr(letters, x->letter) != NULL ? 0 : bad(ctx, "there is no", at);
	x->which = **p;
	if (x->which == '\0' || strchr("@HIklMprSTX+ZaAbBcdDFhjmUwWxyYGguVseCnt", x->which) == NULL)
		return bad(ctx, "there is no", at);
	(*p)++;
	return 0;
}

static int read_pieces(struct domu_ctx *ctx, const char *p, struct domu_find_format *f)
{
	char *q = f->words;
	int rc = 0;

	while (rc == 0 && *p != '\0' && !f->stop) {
		struct piece *x = &f->v[f->n++];

		x->text = q;
		while (*p != '\0' && !(p[0] == '%' && p[1] != '%') && !f->stop) {
			int c = (unsigned char)*p++;

			if (c == '%')
				p++;
			if (c == '\\' && (c = escape(&p)) == -2)
				return bad(ctx, "there is no", p - 1);
			f->stop = c == -1;
			if (!f->stop)
				*q++ = (char)c;
		}
		x->len = (size_t)(q - x->text);
		if (*p == '%' && !f->stop) {
			p++;
			rc = directive(ctx, &p, x);
		}
	}
	return rc;
}

int domu_find_format_new(struct domu_ctx *ctx, const char *text, struct domu_find_format **out)
{
	struct domu_find_format *f = calloc(1, sizeof *f);
	size_t most = 1;
	int rc;

	for (const char *p = text; *p != '\0'; p++)
		most += *p == '%';
	*out = f;
	if (f == NULL)
		return domu_nomem(ctx);
	f->v = most < MAX_PIECES ? calloc(most, sizeof *f->v) : NULL;
	f->words = strdup(text);
	if (most >= MAX_PIECES)
		rc = bad(ctx, "a format that is too long:", text);
	else
		rc = f->v != NULL && f->words != NULL ? read_pieces(ctx, text, f) : domu_nomem(ctx);
	if (rc != 0) {
		domu_find_format_free(f);
		*out = NULL;
	}
	return rc;
}

void domu_find_format_free(struct domu_find_format *f)
{
	if (f == NULL)
		return;
	free(f->v);
	free(f->words);
	free(f);
}

bool domu_find_format_names(const struct domu_find_format *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].letter == 'u' || f->v[i].letter == 'g')
			return true;
	return false;
}

/* ---- writing by it ------------------------------------------------------------------- */

static void put_spec(struct domu_text *t, const struct piece *x, const char *bytes)
{
	char fmt[SPEC + 4], *text = NULL;
	int n;

	snprintf(fmt, sizeof fmt, "%%%ss", x->spec);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	n = asprintf(&text, fmt, bytes);
#pragma GCC diagnostic pop
	if (n < 0)
		t->err = t->err != 0 ? t->err : -ENOMEM;
	else
		domu_text_add(t, text, (size_t)n);
	if (n >= 0)
		free(text);
}

static void put_text(struct domu_text *t, const struct piece *x, const char *bytes, size_t len)
{
	if (x->spec[0] == '\0')
		domu_text_add(t, bytes, len);
	else
		put_spec(t, x, bytes);
}

/* A guest's bytes: on a terminal nothing in them may steer it. */
static void put_name(struct domu_text *t, const struct piece *x, const char *bytes, size_t len, bool quote)
{
	char *shown = quote ? domu_escape(bytes, len, false) : NULL;

	if (quote && shown == NULL)
		t->err = t->err != 0 ? t->err : -ENOMEM;
	else
		put_text(t, x, quote ? shown : bytes, quote ? strlen(shown) : len);
	free(shown);
}

static void put_number(struct domu_text *t, const struct piece *x, uint64_t n, bool octal)
{
	char fmt[SPEC + 8], text[128];

	if (x->spec[0] == '\0' && !octal) {
		domu_text_number(t, n);
		return;
	}
	/* Findutils pads numbers as text: no zeros; but %m is a number. */
	snprintf(fmt, sizeof fmt, octal ? "%%%slo" : "%%%ss", x->spec);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (octal) {
		int len = snprintf(text, sizeof text, fmt, (unsigned long)n);

		domu_text_add(t, text, len > 0 && (size_t)len < sizeof text ? (size_t)len : 0);
	} else {
		snprintf(text, sizeof text, "%" PRIu64, n);
		put_spec(t, x, text);
	}
#pragma GCC diagnostic pop
}

static void put_time(struct domu_text *t, const struct piece *x, struct timespec when, char which)
{
	char text[128], fmt[8] = { '%', which, '\0' }, ns[16];
	struct tm tm;
	size_t len = 0;

	snprintf(ns, sizeof ns, ".%09ld0", when.tv_nsec);
	if (which == '@') {
		len = (size_t)snprintf(text, sizeof text, "%lld%s", (long long)when.tv_sec, ns);
	} else if (localtime_r(&when.tv_sec, &tm) == NULL) {
		len = (size_t)snprintf(text, sizeof text, "%lld", (long long)when.tv_sec);
	} else {
		if (which == 0)
			snprintf(fmt, sizeof fmt, "%s", "%a %b ");
		else if (which == '+')
			snprintf(fmt, sizeof fmt, "%s", "%F+%T");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		len = strftime(text, sizeof text, fmt, &tm);
#pragma GCC diagnostic pop
		if (which == 0)
			len += (size_t)snprintf(text + len, sizeof text - len, "%2d %02d:%02d:%02d%s %lld", tm.tm_mday,
			                        tm.tm_hour, tm.tm_min, tm.tm_sec, ns, 1900 + (long long)tm.tm_year);
		else if (strchr("STX+", which) != NULL)
			len += (size_t)snprintf(text + len, sizeof text - len, "%s", ns);
	}
	text[len < sizeof text ? len : sizeof text - 1] = '\0';
	put_text(t, x, text, strlen(text));
}

static void put_owner(struct domu_text *t, const struct piece *x, const char *name, uint32_t id, bool quote)
{
	if (name != NULL)
		put_name(t, x, name, strlen(name), quote);
	else
		put_number(t, x, id, false);
}

static void put_target(struct domu_text *t, const struct piece *x, const struct domu_find_item *item, bool quote)
{
	char target[4096];
	int n = -1;

	if (S_ISLNK(item->st->mode) && item->fs != NULL)
		n = domu_fs_readlink(item->fs, item->st->ino, target, sizeof target);
	if (n < 0 && S_ISLNK(item->st->mode) && item->fs != NULL)
		domu_error_clear(item->fs->ctx);
	put_name(t, x, n > 0 ? target : "", n > 0 ? (size_t)n : 0, quote);
}

static void put_path(struct domu_text *t, const struct piece *x, const struct domu_find_item *item, bool quote)
{
	const char *path = item->path, *slash;
	size_t len = item->path_len, n = item->start_len;
	char *part = NULL;

	switch (x->letter) {
	case 'f':
		path = item->name;
		len = strlen(path);
		break;
	case 'P':
		path += n;
		path += *path == '/';
		len = strlen(path);
		break;
	case 'H':
		len = n;
		break;
	case 'h':
		while (len > 1 && path[len - 1] == '/')
			len--;
		slash = memrchr(path, '/', len);
		len = slash != NULL ? (size_t)(slash - path) : 1;
		path = slash != NULL ? path : ".";
		break;
	default:
		break;
	}
	if (x->spec[0] != '\0') {
		part = strndup(path, len);
		path = part != NULL ? part : "";
	}
	put_name(t, x, path, len, quote);
	free(part);
}

static char type_of(uint32_t mode)
{
	char text[11];

	domu_mode_text(mode, text);
	return text[0] == '-' ? 'f' : text[0] == '?' ? 'U' : text[0];
}

static void put_char(struct domu_text *t, const struct piece *x, char c)
{
	const char text[2] = { c, '\0' };

	put_text(t, x, text, 1);
}

static void put_sparseness(struct domu_text *t, const struct piece *x, const struct domu_stat *st)
{
	char text[64];
	double v = st->size == 0 ? (st->sectors == 0 ? 1.0 : 0.0) : 512.0 * (double)st->sectors / (double)st->size;

	if (st->size == 0 && st->sectors != 0)
		snprintf(text, sizeof text, "inf");
	else
		snprintf(text, sizeof text, "%g", v);
	put_text(t, x, text, strlen(text));
}

static void put_numeric(struct domu_text *t, const struct piece *x, const struct domu_find_item *item)
{
	const struct domu_stat *st = item->st;

	switch (x->letter) {
	case 'b':
		put_number(t, x, st->sectors, false);
		break;
	case 'd':
		put_number(t, x, item->depth, false);
		break;
	case 'D':
		put_number(t, x, item->node + 1, false);
		break;
	case 'G':
		put_number(t, x, st->gid, false);
		break;
	case 'i':
		put_number(t, x, st->ino, false);
		break;
	case 'k':
		put_number(t, x, (st->sectors + 1) / 2, false);
		break;
	case 'm':
		put_number(t, x, st->mode & 07777, true);
		break;
	case 'n':
		put_number(t, x, st->nlink, false);
		break;
	case 's':
		put_number(t, x, st->size, false);
		break;
	default:
		put_number(t, x, st->uid, false);
		break;
	}
}

static void put(struct domu_text *t, const struct piece *x, const struct domu_find_item *item, bool quote)
{
	const struct domu_stat *st = item->st;
	const char *type = item->fs != NULL ? item->fs->probe.type : "";
	char mode[11];

	switch (x->letter) {
	case 'a':
	case 'A':
		put_time(t, x, st->atime, x->which);
		break;
	case 'B':
		put_time(t, x, st->btime, x->which);
		break;
	case 'c':
	case 'C':
		put_time(t, x, st->ctime, x->which);
		break;
	case 't':
	case 'T':
		put_time(t, x, st->mtime, x->which);
		break;
	case 'f':
	case 'h':
	case 'H':
	case 'p':
	case 'P':
		put_path(t, x, item, quote);
		break;
	case 'F':
		put_text(t, x, type, strlen(type));
		break;
	case 'g':
		put_owner(t, x, domu_names_group(item->names, st->gid), st->gid, quote);
		break;
	case 'u':
		put_owner(t, x, domu_names_user(item->names, st->uid), st->uid, quote);
		break;
	case 'l':
		put_target(t, x, item, quote);
		break;
	case 'M':
		domu_mode_text(st->mode, mode);
		put_text(t, x, mode, 10);
		break;
	case 'S':
		put_sparseness(t, x, st);
		break;
	case 'y':
		put_char(t, x, type_of(st->mode));
		break;
	case 'Y':
		put_char(t, x,
		         S_ISLNK(st->mode) && item->follow != NULL ? item->follow(item->user) : type_of(st->mode));
		break;
	default:
		put_numeric(t, x, item);
		break;
	}
}

void domu_find_format_put(const struct domu_find_format *f, const struct domu_find_item *item, struct domu_text *t,
                          bool quote)
{
	for (size_t i = 0; i < f->n; i++) {
		domu_text_add(t, f->v[i].text, f->v[i].len);
		if (f->v[i].letter != 0)
			put(t, &f->v[i], item, quote);
	}
}

char domu_find_type(uint32_t mode)
{
	return type_of(mode);
}

void domu_find_ls(const struct domu_find_item *item, struct domu_text *t, bool quote)
{
	const struct domu_stat *st = item->st;
	const struct piece owner = { .spec = "-8" }, plain = { 0 };
	char mode[11], when[DOMU_TIME_TEXT], size[48], line[160];
	int n;

	domu_mode_text(st->mode, mode);
	domu_time_ls(st->mtime, item->now, when);
	n = snprintf(line, sizeof line, "%9" PRIu64 " %6" PRIu64 " %s %3u ", st->ino, st->sectors / 2, mode, st->nlink);
	domu_text_add(t, line, (size_t)n);
	put_owner(t, &owner, domu_names_user(item->names, st->uid), st->uid, quote);
	domu_text_char(t, ' ');
	put_owner(t, &owner, domu_names_group(item->names, st->gid), st->gid, quote);
	snprintf(size, sizeof size, "%" PRIu64, st->size);
	if (S_ISCHR(st->mode) || S_ISBLK(st->mode))
		snprintf(size, sizeof size, "%u, %u", st->rdev_major, st->rdev_minor);
	n = snprintf(line, sizeof line, " %8s %s ", size, when);
	domu_text_add(t, line, (size_t)n);
	put_name(t, &plain, item->path, item->path_len, quote);
	if (S_ISLNK(st->mode)) {
		domu_text_add(t, " -> ", 4);
		put_target(t, &plain, item, quote);
	}
	domu_text_char(t, '\n');
}
