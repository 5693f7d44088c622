/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-getfattr.c - getfattr: extended attributes, as the program of that name prints them. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "shell/change.h"
#include "shell/cmd.h"
#include "shell/fmt.h"

enum { FA_GUEST, FA_PATH, FA_NAME, FA_VALUE, FA_CELLS };

static const struct domu_column columns[] = {
	{ "guest", NULL, CELL_TEXT },  { "path", NULL, CELL_BYTES }, { "name", NULL, CELL_BYTES },
	{ "value", NULL, CELL_BYTES }, { NULL, NULL, CELL_TEXT },
};

struct attr {
	char *name;
	void *value;
	size_t len;
};

struct attrs {
	struct attr *v;
	size_t n;
};

struct job {
	struct domu_run *r;
	regex_t pattern;
	bool all; /* -m - */
	bool no_follow;
	const char *name; /* -n */
	struct attrs found; /* of the file at hand */
	int failed; /* something could not be read */
};

/* ---- in the worker ----------------------------------------------------------------------- */

static void forget(struct attrs *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->v[i].name);
		free(a->v[i].value);
	}
	free(a->v);
	memset(a, 0, sizeof *a);
}

static int collect(void *user, const char *name, const void *value, size_t len)
{
	struct job *j = user;
	struct attr *v, *x;

	if (j->name != NULL ? strcmp(name, j->name) != 0 : !j->all && regexec(&j->pattern, name, 0, NULL, 0) != 0)
		return 0;
	v = reallocarray(j->found.v, j->found.n + 1, sizeof *v);
	if (v == NULL)
		return -ENOMEM;
	j->found.v = v;
	x = &v[j->found.n++];
	*x = (struct attr){ .name = strdup(name), .value = malloc(len + 1), .len = len };
	if (x->name == NULL || x->value == NULL)
		return -ENOMEM;
	if (len > 0)
		memcpy(x->value, value, len);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct attr *)a)->name, ((const struct attr *)b)->name);
}

static int show(struct job *j, const struct domu_path *p, const char *shown)
{
	struct domu_out *o = j->r->out;
	int rc = domu_fs_listxattr(p->fs, p->ino, collect, j);

	if (rc == 0 && j->name != NULL && j->found.n == 0)
		rc = domu_fail(j->r->ctx, DOMU_FAILED, -ENODATA, "getfattr: %s: %s: no such attribute", shown, j->name);
	if (j->found.n > 1)
		qsort(j->found.v, j->found.n, sizeof *j->found.v, by_name);
	for (size_t i = 0; rc == 0 && i < j->found.n; i++) {
		domu_row_text(o, j->r->guest);
		domu_row_text(o, shown);
		domu_row_text(o, j->found.v[i].name);
		domu_row_bytes(o, j->found.v[i].value, j->found.v[i].len);
		rc = domu_row_end(o);
	}
	forget(&j->found);
	return rc != 0 ? domu_change_fail(j->r, rc, "%s", shown) : 0;
}

/* A link met on the way: what it leads to, by its own name. */
static int show_target(struct job *j, const struct domu_path *link, const char *shown)
{
	struct domu_path *p = malloc(sizeof *p);
	struct domu_tree *t;
	int rc = p != NULL ? domu_work_tree(j->r->work, j->r->use, &t) : domu_nomem(j->r->ctx);

	if (rc == 0)
		rc = domu_path_walk(t, "/", link->path, 0, p);
	if (rc == 0)
		rc = show(j, p, shown);
	free(p);
	return rc;
}

static int each(void *user, const struct domu_walk_entry *e)
{
	struct job *j = user;
	bool link = e->err == 0 && S_ISLNK(e->where->st.mode) && !j->no_follow;
	int rc = 0;

	if (link)
		rc = show_target(j, e->where, e->path);
	else if (e->err == 0)
		rc = show(j, e->where, e->path);
	rc = e->err != 0 ? e->err : rc;
	if (rc == 0 || rc == -ENOMEM || rc == -EINTR || rc == -ESHUTDOWN)
		return rc;
	/* One file that has it not, or is damaged, is not the end of the walk. */
	if (rc == -ENODATA && j->name != NULL)
		domu_error_clear(j->r->ctx);
	else
		domu_run_unreadable(j->r, e->path, rc, &j->failed);
	return 0;
}

static int get_one(struct domu_run *r, size_t operand, void *user)
{
	const struct domu_walk_opts opts = { .max_depth = ~0u, .read_only = true };
	struct job *j = user;
	struct domu_path *p = malloc(sizeof *p);
	const char *shown = domu_change_shown(r, operand);
	struct domu_tree *t;
	int rc =
	    p != NULL ? domu_change_walk(r, operand, j->no_follow ? DOMU_WALK_NOFOLLOW : 0, p) : domu_nomem(r->ctx);

	if (rc == 0)
		rc = domu_work_tree(r->work, r->use, &t);
	if (rc == 0 && domu_args_flag(r->args, "recursive") && S_ISDIR(p->st.mode))
		rc = domu_walk_tree(t, p, shown, &opts, each, j);
	else if (rc == 0)
		rc = show(j, p, shown);
	free(p);
	return rc;
}

static int run(struct domu_run *r)
{
	struct job j = { .r = r, .name = domu_args_value(r->args, "name") };
	const char *match = domu_args_value(r->args, "match"), *encoding = domu_args_value(r->args, "encoding");
	int rc;

	if (encoding != NULL && strcmp(encoding, "text") != 0 && strcmp(encoding, "hex") != 0 &&
	    strcmp(encoding, "base64") != 0)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "getfattr: -e is text, hex or base64, not %s", encoding);
	j.no_follow = domu_args_flag(r->args, "no-dereference");
	j.all = match != NULL && strcmp(match, "-") == 0;
	if (regcomp(&j.pattern, match != NULL && !j.all ? match : "^user\\.", REG_NOSUB) != 0)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "getfattr: '%s' is no regular expression", match);
	rc = domu_run_each(r, 0, get_one, &j);
	rc = domu_run_walked(r, rc, j.failed);
	regfree(&j.pattern);
	return rc;
}

/* ---- in the front -------------------------------------------------------------------------- */

/* Characters that would end a name or a line are \ooo, and so is the backslash. */
static void put_quoted(FILE *f, const char *text, size_t len, const char *special)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\\' || c == '\n' || c == '\r' || strchr(special, c) != NULL)
			fprintf(f, "\\%03o", c);
		else
			fputc(c, f);
	}
}

static bool printable(const char *value, size_t len)
{
	size_t other = 0;

	len -= len > 0 && value[len - 1] == '\0';
	for (size_t i = 0; i < len; i++)
		other += (unsigned char)value[i] < 0x20 || (unsigned char)value[i] > 0x7e;
	return len >= other * 8;
}

static void put_text(FILE *f, const char *value, size_t len)
{
	len -= len > 0 && value[len - 1] == '\0';
	fputc('"', f);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		if (c == '\0' || c == '\n' || c == '\r')
			fprintf(f, "\\%03o", c);
		else if (c == '\\' || c == '"')
			fprintf(f, "\\%c", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static int put_value(FILE *f, const char *value, size_t len, const char *encoding)
{
	char *text;

	if (encoding == NULL)
		encoding = printable(value, len) ? "text" : "base64";
	if (encoding[0] == 't') {
		put_text(f, value, len);
	} else if (encoding[0] == 'h') {
		fputs("0x", f);
		for (size_t i = 0; i < len; i++)
			fprintf(f, "%02x", (unsigned char)value[i]);
	} else {
		text = domu_base64(value, len);
		if (text == NULL)
			return -ENOMEM;
		fprintf(f, "0s%s", text);
		free(text);
	}
	return 0;
}

/* The whole text of a row: with a heading where another file begins. */
static int put_row(struct domu_out *o, FILE *f, const struct domu_cell *c, const struct domu_args *a)
{
	const struct domu_cell *path = &c[FA_PATH], *value = &c[FA_VALUE];
	char **last = (char **)domu_out_state(o);
	const char *shown = path->text;
	int rc = 0;

	if (domu_args_flag(a, "only-values")) {
		fwrite(value->text, 1, value->len, f);
		return 0;
	}
	while (!domu_args_flag(a, "absolute-names") && shown[0] == '/')
		shown++;
	if (*last == NULL || strcmp(*last, path->text) != 0) {
		if (*last != NULL)
			fputc('\n', f);
		free(*last);
		*last = strdup(path->text);
		fputs("# file: ", f);
		put_quoted(f, *shown != '\0' ? shown : ".", *shown != '\0' ? strlen(shown) : 1, "");
		fputc('\n', f);
	}
	put_quoted(f, c[FA_NAME].text, c[FA_NAME].len, "=");
	if (domu_args_flag(a, "dump") || domu_args_flag(a, "name")) {
		fputc('=', f);
		rc = put_value(f, value->text, value->len, domu_args_value(a, "encoding"));
	}
	fputc('\n', f);
	return rc;
}

static int row(struct domu_out *o, const struct domu_cell *c, size_t n, void *user)
{
	const struct domu_run *r = user;
	char *text = NULL;
	size_t len = 0;
	FILE *f;
	int rc;

	(void)n;
	if (c[FA_PATH].null || c[FA_NAME].null || c[FA_VALUE].null)
		return -EBADMSG;
	f = open_memstream(&text, &len);
	if (f == NULL)
		return domu_nomem(r->ctx);
	rc = put_row(o, f, c, r->args);
	if (fclose(f) != 0 || rc != 0)
		rc = domu_nomem(r->ctx);
	else
		rc = domu_out_bytes(o, text, len);
	free(text);
	return rc;
}

static int end(struct domu_out *o, void *user)
{
	char **last = (char **)domu_out_state(o);
	int rc = *last != NULL ? domu_out_print(o, "\n") : 0;

	(void)user;
	free(*last);
	*last = NULL;
	return rc;
}

static const struct domu_layout layout = { .row = row, .end = end };

static const struct domu_arg args[] = { { "GUEST:PATH", ARG_GUEST_PATH, COUNT_SOME }, { 0 } };

static const struct domu_option options[] = {
	{ "dump", 'd', NULL, "values too" },
	{ "name", 'n', "ATTRIBUTE", "this attribute alone, with its value" },
	{ "match", 'm', "PATTERN", "attributes whose name matches; - is all of them (else only user.*)" },
	{ "encoding", 'e', "text|hex|base64", "values like this; else text where they can be read, or base64" },
	{ "no-dereference", 'h', NULL, "of a link itself, not of what it leads to" },
	{ "recursive", 'R', NULL, "directories with all that is in them" },
	{ "absolute-names", 0, NULL, "the / that paths begin with is not left out" },
	{ "only-values", 0, NULL, "values as they are, and nothing else" },
	{ 0 },
};

const struct domu_command domu_cmd_getfattr = {
	.name = "getfattr",
	.topic = "reading",
	.summary = "print extended attributes: labels, capabilities, ACLs",
	.args = args,
	.options = options,
	.columns = columns,
	.example = "domu-rescue getfattr -d -m - web1:/etc/passwd",
	.needs = NEED_GUEST | WALKS,
	.recursive = "R",
	.worker = run,
	.layout = &layout,
};
