/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-cat.c - cat, head, tail: the bytes of files, from the worker straight to where they go. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/num.h"
#include "shell/cat.h"
#include "shell/cmd.h"
#include "shell/fmt.h"

#define PIECE (256u * 1024)

struct reader {
	struct domu_run *r;
	char *buf; /* PIECE bytes */
	bool bytes; /* -c */
	bool from_start; /* tail -n +N */
	bool from_end; /* head -n -N */
	uint64_t count;
	bool headings, headed;
	struct domu_cat show; /* of cat */
};

/* A regular file by an operand. */
static int open_file(struct domu_run *r, size_t i, struct domu_path *where)
{
	int rc = domu_run_walk(r, i, 0, where);

	if (rc != 0 || S_ISREG(where->st.mode))
		return rc;
	if (S_ISDIR(where->st.mode))
		return domu_fail(r->ctx, DOMU_FAILED, -EISDIR, "%s is a directory", where->path);
	return domu_fail(r->ctx, DOMU_FAILED, -EINVAL, "%s is a %s: it has no content on the disk", where->path,
	                 domu_type_words(where->st.mode, 1));
}

/* Copies [offset, end) of a file, end UINT64_MAX: all. */
static int copy(struct reader *rd, const struct domu_path *where, uint64_t offset, uint64_t end)
{
	int rc = 0;

	while (rc == 0 && offset < end) {
		size_t want = end - offset < PIECE ? (size_t)(end - offset) : PIECE;
		ssize_t n = domu_fs_read(where->fs, where->ino, rd->buf, want, offset);

		if (n <= 0)
			return (int)n;
		rc = rd->show.any ? domu_cat_write(&rd->show, rd->r, rd->buf, (size_t)n)
		                  : domu_run_write(rd->r, rd->buf, (size_t)n);
		offset += (uint64_t)n;
	}
	return rc;
}

/* ---- cat ------------------------------------------------------------------------- */

static int cat_one(struct domu_run *r, size_t i, void *user)
{
	struct reader *rd = user;
	struct domu_path *where = malloc(sizeof *where);
	int rc = where != NULL ? open_file(r, i, where) : domu_nomem(r->ctx);

	if (rc == 0)
		rc = copy(rd, where, 0, UINT64_MAX);
	free(where);
	return rc;
}

static int run_with(struct reader *rd, int (*one)(struct domu_run *r, size_t i, void *user))
{
	int rc;

	rd->buf = malloc(PIECE);
	if (rd->buf == NULL)
		return domu_nomem(rd->r->ctx);
	rc = domu_run_each(rd->r, 0, one, rd);
	free(rd->buf);
	return rc;
}

static int run_cat(struct domu_run *r)
{
	struct reader rd = { .r = r };

	int rc;

	domu_cat_options(&rd.show, r->args);
	rc = run_with(&rd, cat_one);
	return rc == 0 ? domu_cat_end(&rd.show, r) : rc;
}

/* ---- head ------------------------------------------------------------------------- */

static int heading(struct reader *rd, size_t i)
{
	char *line;
	int rc, n;

	if (!rd->headings)
		return 0;
	n = asprintf(&line, "%s==> %s <==\n", rd->headed ? "\n" : "", domu_args_get(rd->r->args, i));
	if (n < 0)
		return domu_nomem(rd->r->ctx);
	rd->headed = true;
	rc = domu_run_write(rd->r, line, (size_t)n);
	free(line);
	return rc;
}

/* Where the n-th line from the start ends. */
static int after_lines(struct reader *rd, const struct domu_path *where, uint64_t lines, uint64_t *end)
{
	uint64_t offset = 0;

	*end = 0;
	while (lines > 0) {
		ssize_t n = domu_fs_read(where->fs, where->ino, rd->buf, PIECE, offset);
		const char *p = rd->buf, *stop = rd->buf + (n > 0 ? n : 0);

		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		while (lines > 0 && p < stop) {
			const char *nl = memchr(p, '\n', (size_t)(stop - p));

			p = nl != NULL ? nl + 1 : stop;
			lines -= nl != NULL;
		}
		offset += (uint64_t)(p - rd->buf);
	}
	*end = offset;
	return 0;
}

/* Where the last lines begin, reading from the end backwards. */
static int before_lines(struct reader *rd, const struct domu_path *where, uint64_t lines, uint64_t *start)
{
	uint64_t end = where->st.size;
	bool last = true;

	*start = end;
	if (lines == 0)
		return 0;
	while (end > 0) {
		size_t want = end < PIECE ? (size_t)end : PIECE;
		ssize_t n = domu_fs_read(where->fs, where->ino, rd->buf, want, end - want);

		if (n < 0)
			return (int)n;
		if ((size_t)n < want)
			return domu_fail(rd->r->ctx, DOMU_FAILED, -EIO, "%s ends before its size says", where->path);
		while (n > 0) {
			n--;
			/* The newline that ends the file ends its last line, it does not begin another. */
			if (rd->buf[n] == '\n' && !last && --lines == 0) {
				*start = end - want + (uint64_t)n + 1;
				return 0;
			}
			last = false;
		}
		end -= want;
	}
	*start = 0;
	return 0;
}

static int head_one(struct domu_run *r, size_t i, void *user)
{
	struct reader *rd = user;
	struct domu_path *where = malloc(sizeof *where);
	uint64_t end = rd->count;
	int rc = where != NULL ? open_file(r, i, where) : domu_nomem(r->ctx);

	if (rc == 0)
		rc = heading(rd, i);
	if (rc == 0 && rd->bytes && rd->from_end)
		end = where->st.size > rd->count ? where->st.size - rd->count : 0;
	else if (rc == 0 && rd->from_end)
		rc = before_lines(rd, where, rd->count, &end);
	else if (rc == 0 && !rd->bytes)
		rc = after_lines(rd, where, rd->count, &end);
	if (rc == 0)
		rc = copy(rd, where, 0, end);
	free(where);
	return rc;
}

static int tail_one(struct domu_run *r, size_t i, void *user)
{
	struct reader *rd = user;
	struct domu_path *where = malloc(sizeof *where);
	uint64_t start = rd->count > 0 ? rd->count - 1 : 0;
	int rc = where != NULL ? open_file(r, i, where) : domu_nomem(r->ctx);

	if (rc == 0)
		rc = heading(rd, i);
	if (rc == 0 && rd->bytes && !rd->from_start)
		start = where->st.size > rd->count ? where->st.size - rd->count : 0;
	else if (rc == 0 && !rd->from_start)
		rc = before_lines(rd, where, rd->count, &start);
	else if (rc == 0 && !rd->bytes)
		rc = after_lines(rd, where, start, &start);
	if (rc == 0)
		rc = copy(rd, where, start, UINT64_MAX);
	free(where);
	return rc;
}

/* -n and -c: NUM with K, M, G; a sign before it. */
static int count_option(struct reader *rd, const char *signs)
{
	const struct domu_args *a = rd->r->args;
	char last = domu_args_last(a, "nc");
	const char *text = last == 'c' ? domu_args_value(a, "c") : last == 'n' ? domu_args_value(a, "n") : "10";
	const char *digits = text + (*text != '\0' && strchr("+-", *text) != NULL);

	rd->bytes = last == 'c';
	rd->from_start = *text == '+' && strchr(signs, '+') != NULL;
	rd->from_end = *text == '-' && strchr(signs, '-') != NULL;
	rd->headings = domu_args_flag(a, "v") || (domu_args_count(a) > 1 && !domu_args_flag(a, "q"));
	if (domu_size_parse(digits, &rd->count) != 0)
		return domu_fail(rd->r->ctx, DOMU_USAGE, -EINVAL, "%s: %s is no number; see domu-rescue help %s",
		                 rd->r->cmd->name, text, rd->r->cmd->name);
	return 0;
}

static int run_head(struct domu_run *r)
{
	struct reader rd = { .r = r };
	int rc = count_option(&rd, "-");

	return rc != 0 ? rc : run_with(&rd, head_one);
}

static int run_tail(struct domu_run *r)
{
	struct reader rd = { .r = r };
	int rc = count_option(&rd, "+");

	return rc != 0 ? rc : run_with(&rd, tail_one);
}

/* ---- rows ------------------------------------------------------------------------- */

static const struct domu_arg args[] = {
	{ "GUEST:PATH", ARG_GUEST_PATH, COUNT_SOME },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option cat_options[] = {
	{ "number", 'n', NULL, "number the lines" },
	{ "number-nonblank", 'b', NULL, "number the lines that are not empty" },
	{ "show-all", 'A', NULL, "-v, -E and -T" },
	{ "show-nonprinting", 'v', NULL, "control characters as ^X, high bytes as M-X" },
	{ "show-ends", 'E', NULL, "a $ at the end of each line" },
	{ "show-tabs", 'T', NULL, "tabs as ^I" },
	{ NULL, 'e', NULL, "-v and -E" },
	{ NULL, 't', NULL, "-v and -T" },
	{ "squeeze-blank", 's', NULL, "of several empty lines in a row only one" },
	{ 0 },
};

static const struct domu_option head_options[] = {
	{ "bytes", 'c', "NUM", "the first NUM bytes; with -NUM all but the last" },
	{ "lines", 'n', "NUM", "the first NUM lines, not 10; with -NUM all but the last" },
	{ "quiet", 'q', NULL, "no headings" },
	{ "verbose", 'v', NULL, "always headings" },
	{ NULL, 0, NULL, NULL },
};

static const struct domu_option tail_options[] = {
	{ "bytes", 'c', "NUM", "the last NUM bytes; with +NUM from byte NUM on" },
	{ "lines", 'n', "NUM", "the last NUM lines, not 10; with +NUM from line NUM on" },
	{ "quiet", 'q', NULL, "no headings" },
	{ "verbose", 'v', NULL, "always headings" },
	{ NULL, 0, NULL, NULL },
};

const struct domu_command domu_cmd_cat = {
	.name = "cat",
	.topic = "reading",
	.summary = "print files",
	.description =
	    "On a terminal what could steer it is shown as \\ooo; in a pipe or file the bytes are the guest's.",
	.args = args,
	.options = cat_options,
	.example = "domu-rescue cat web1:/etc/fstab",
	.needs = NEED_GUEST | GIVES_BYTES,
	.worker = run_cat,
};

const struct domu_command domu_cmd_head = {
	.name = "head",
	.topic = "reading",
	.summary = "print the first lines of files",
	.args = args,
	.options = head_options,
	.example = "domu-rescue head -n 3 web1:/etc/passwd",
	.needs = NEED_GUEST | GIVES_BYTES,
	.worker = run_head,
};

const struct domu_command domu_cmd_tail = {
	.name = "tail",
	.topic = "reading",
	.summary = "print the last lines of files",
	.args = args,
	.options = tail_options,
	.example = "domu-rescue tail -n 20 web1:/var/log/syslog",
	.needs = NEED_GUEST | GIVES_BYTES,
	.worker = run_tail,
};
