/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-grep.c - grep: its options, and the files that it searches. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "shell/cmd.h"
#include "shell/fmt.h"
#include "shell/grep.h"

#define MAX_LINKED   40 /* directories gone into through links, one in the other */
#define MAX_PATTERNS (1u << 20) /* bytes of a file of patterns */
#define MAX_FOLLOWS  100000u /* links to directories followed in all */

struct job {
	struct domu_grep g;
	struct domu_grep_buffer *b;
	struct domu_tree *tree;
	struct domu_scans *scans; /* of all walks: each filesystem is read whole at most once */
	bool recursive, follow, quiet_errors;
	struct {
		const struct domu_fs *fs;
		uint64_t ino;
	} linked[MAX_LINKED];
	unsigned n_linked, follows;
	int failed; /* the first that could not be read */
};

/* ---- which files ----------------------------------------------------------------------- */

/* As GNU: the end of the path from any of its slashes on may match. */
static bool glob_matches(const char *glob, const char *path)
{
	for (const char *p = path; p != NULL; p = strchr(p, '/')) {
		p += *p == '/';
		if (fnmatch(glob, p, 0) == 0)
			return true;
	}
	return false;
}

static bool any_matches(const struct domu_args *a, const char *option, const char *path, bool *given)
{
	const char *glob;

	for (size_t i = 0; (glob = domu_args_value_at(a, option, i)) != NULL; i++) {
		*given = true;
		if (glob_matches(glob, path))
			return true;
	}
	return false;
}

static bool wanted(const struct job *j, const char *path, bool dir)
{
	const struct domu_args *a = j->g.r->args;
	bool given = false, ignored = false;

	if (dir)
		return !any_matches(a, "exclude-dir", path, &ignored);
	if (any_matches(a, "exclude", path, &ignored))
		return false;
	return any_matches(a, "include", path, &given) || !given;
}

/* ---- one after the other -------------------------------------------------------------------- */

/* What went wrong with one file is said and remembered; what would end everything is returned. */
static int survived(struct job *j, const char *path, int rc)
{
	struct domu_ctx *ctx = j->g.r->ctx;

	if (rc == 0 || rc == -EINTR || rc == -ESHUTDOWN || rc == -ENOMEM || ctx->error.status == DOMU_USAGE)
		return rc;
	if (!j->quiet_errors && domu_grep_flush(&j->g) == 0)
		domu_say(ctx, DOMU_WARNING, "%s: %s", path,
		         ctx->error.message != NULL ? ctx->error.message : strerror(-rc));
	domu_error_clear(ctx);
	j->failed = j->failed != 0 ? j->failed : rc;
	return 0;
}

static int search(struct job *j, const struct domu_path *where, const char *shown)
{
	int rc;

	if (!S_ISREG(where->st.mode))
		return 0;
	rc = survived(j, shown, domu_grep_file(&j->g, j->b, where, shown));
	/* grep -q has its answer. */
	return rc == 0 && j->g.quiet && j->g.found ? -ECANCELED : rc;
}

static int walk(struct job *j, const struct domu_path *start, const char *shown);

/* -R: what a link leads to, unless the way here came from there. */
static int follow(struct job *j, const struct domu_path *link, const char *shown)
{
	struct domu_path *where = malloc(sizeof *where);
	int rc = where != NULL ? domu_path_walk(j->tree, "/", link->path, 0, where) : domu_nomem(j->g.r->ctx);

	if (rc != 0) {
		rc = survived(j, shown, rc);
		goto out;
	}
	if (!S_ISDIR(where->st.mode)) {
		rc = wanted(j, shown, false) ? search(j, where, shown) : 0;
		goto out;
	}
	for (unsigned i = 0; i < j->n_linked; i++)
		if (j->linked[i].fs == where->fs && j->linked[i].ino == where->ino)
			goto out;
	if (strncmp(link->path, where->path, strlen(where->path)) == 0 || j->n_linked == MAX_LINKED ||
	    j->follows++ >= MAX_FOLLOWS) {
		domu_say(j->g.r->ctx, DOMU_WARNING, "%s: a loop of directories", shown);
		goto out;
	}
	j->linked[j->n_linked].fs = where->fs;
	j->linked[j->n_linked++].ino = where->ino;
	rc = wanted(j, shown, true) ? walk(j, where, shown) : 0;
	j->n_linked--;
out:
	free(where);
	return rc;
}

static int each(void *user, const struct domu_walk_entry *e)
{
	struct job *j = user;
	bool dir = S_ISDIR(e->where->st.mode);
	int rc = survived(j, e->path, e->err);

	if (rc != 0 || (e->err != 0 && e->where->st.mode == 0))
		return rc != 0 ? rc : DOMU_WALK_PRUNE;
	if (dir)
		return wanted(j, e->path, true) ? DOMU_WALK_GO : DOMU_WALK_PRUNE;
	if (S_ISLNK(e->where->st.mode))
		return j->follow ? follow(j, e->where, e->path) : 0;
	return wanted(j, e->path, false) ? search(j, e->where, e->path) : 0;
}

static int walk(struct job *j, const struct domu_path *start, const char *shown)
{
	struct domu_walk_opts opts = { .max_depth = ~0u, .read_only = true };
	int rc = j->scans == NULL ? domu_scans_new(j->tree, &j->scans) : 0;

	opts.scans = j->scans;
	return rc == 0 ? domu_walk_tree(j->tree, start, shown, &opts, each, j) : rc;
}

static int named(struct job *j, const struct domu_path *where, const char *shown)
{
	struct domu_ctx *ctx = j->g.r->ctx;

	if (S_ISDIR(where->st.mode) && j->recursive)
		return walk(j, where, shown);
	if (S_ISDIR(where->st.mode))
		return survived(j, shown,
		                domu_fail(ctx, DOMU_FAILED, -EISDIR, "is a directory: grep -r searches what is in it"));
	if (!wanted(j, shown, false))
		return 0;
	if (!S_ISREG(where->st.mode))
		return j->recursive ? 0
		                    : survived(j, shown,
		                               domu_fail(ctx, DOMU_FAILED, -EINVAL, "a %s has no content on the disk",
		                                         domu_type_words(where->st.mode, 1)));
	return search(j, where, shown);
}

static int operand(struct domu_run *r, size_t i, void *user)
{
	struct job *j = user;
	const char *path = i != SIZE_MAX ? domu_run_path(r, i) : NULL;
	struct domu_path *where;
	char *shown = NULL;
	int rc, n;

	if (j->g.quiet && j->g.found)
		return 0;
	where = malloc(sizeof *where);
	if (path == NULL)
		path = r->in_shell ? "." : "/";
	n = r->many ? asprintf(&shown, "%s:%s", r->guest, path) : asprintf(&shown, "%s", path);
	if (n < 0 || where == NULL) {
		free(n >= 0 ? shown : NULL);
		free(where);
		return domu_nomem(r->ctx);
	}
	rc = domu_path_walk(j->tree, r->cwd, path, 0, where);
	if (rc == 0)
		rc = named(j, where, shown);
	else if (j->quiet_errors)
		rc = survived(j, shown, rc);
	free(shown);
	free(where);
	return rc == -ECANCELED ? 0 : rc;
}

/* ---- options --------------------------------------------------------------------------------- */

static int number(struct domu_run *r, const char *option, uint64_t *n)
{
	const char *text = domu_args_value(r->args, option);
	char *end;

	if (text == NULL)
		return 0;
	errno = 0;
	*n = strtoull(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' && *text >= '0' && *text <= '9')
		return 0;
	return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "grep: %s is no number of lines", text);
}

static int take_context(struct domu_grep *g)
{
	uint64_t around = 0;
	int rc = number(g->r, "C", &around);

	g->before = g->after = around;
	if (rc == 0)
		rc = number(g->r, "B", &g->before);
	if (rc == 0)
		rc = number(g->r, "A", &g->after);
	g->max = UINT64_MAX;
	if (rc == 0)
		rc = number(g->r, "m", &g->max);
	g->context = g->before > 0 || g->after > 0;
	if (g->before > 1000000)
		g->before = 1000000;
	return rc;
}

static void take_options(struct job *j)
{
	struct domu_grep *g = &j->g;
	const struct domu_args *a = g->r->args;
	char lists = domu_args_last(a, "lL"), names = domu_args_last(a, "hH");

	j->follow = domu_args_last(a, "rR") == 'R';
	j->recursive = domu_args_last(a, "rR") != 0;
	j->quiet_errors = domu_args_flag(a, "s");
	g->binary = domu_args_last(a, "aI") == 'a'   ? GREP_BINARY_TEXT
	            : domu_args_last(a, "aI") == 'I' ? GREP_BINARY_SKIP
	                                             : GREP_BINARY_TELL;
	g->invert = domu_args_flag(a, "v");
	g->only = domu_args_flag(a, "o");
	g->list = lists == 'l';
	g->list_without = lists == 'L';
	g->quiet = domu_args_flag(a, "q");
	g->count = domu_args_flag(a, "c") && lists == 0;
	g->numbers = domu_args_flag(a, "n");
	g->offsets = domu_args_flag(a, "b");
	g->nul_after_name = domu_args_flag(a, "Z");
	g->eol = domu_args_flag(a, "z") ? '\0' : '\n';
	g->json = domu_out_json(g->r->out);
	g->names = names == 'H' || (names == 0 && (g->r->many || j->recursive || domu_args_count(a) > 1));
}

/* A single file that -r was given for is not named before its lines. */
static void hide_single_name(struct job *j)
{
	struct domu_run *r = j->g.r;
	struct domu_path *where;

	if (!j->recursive || r->many || domu_args_count(r->args) != 1 || domu_args_last(r->args, "hH") != 0)
		return;
	where = malloc(sizeof *where);
	if (where != NULL && domu_run_walk(r, 0, 0, where) == 0 && !S_ISDIR(where->st.mode))
		j->g.names = false;
	domu_error_clear(r->ctx);
	free(where);
}

static int make_matcher(struct domu_grep *g)
{
	const struct domu_args *a = g->r->args;
	char kind = domu_args_last(a, "EFGP");
	const struct domu_grep_matcher_opts opts = { .syntax = kind == 'E'   ? GREP_EXTENDED
		                                               : kind == 'F' ? GREP_FIXED
		                                               : kind == 'P' ? GREP_PERL
		                                                             : GREP_BASIC,
		                                     .icase = domu_args_flag(a, "i"),
		                                     .word = domu_args_flag(a, "w"),
		                                     .line = domu_args_flag(a, "x"),
		                                     .eol = g->eol };
	const char *pattern;
	size_t i;
	int rc = domu_grep_matcher_new(g->r->ctx, &opts, &g->m);

	for (i = 0; rc == 0 && (pattern = domu_args_value_at(a, "regexp", i)) != NULL; i++)
		rc = kind == 'P' && (i > 0 || strchr(pattern, '\n') != NULL)
		         ? domu_fail(g->r->ctx, DOMU_USAGE, -EINVAL, "grep: -P takes one pattern: join them with |")
		         : domu_grep_matcher_add(g->r->ctx, g->m, pattern);
	if (rc == 0) {
		struct domu_grep_hit hit;

		g->blank_counts = domu_grep_in_line(g->m, "", 0, 0, &hit) != g->invert;
	}
	return rc;
}

static int run(struct domu_run *r)
{
	struct job *j = calloc(1, sizeof *j);
	int rc, r2;

	if (j == NULL)
		return domu_nomem(r->ctx);
	j->g.r = r;
	take_options(j);
	rc = take_context(&j->g);
	if (rc == 0)
		rc = make_matcher(&j->g);
	if (rc == 0)
		rc = domu_grep_buffer_new(r->ctx, &j->b);
	if (rc == 0 && (j->g.out = malloc(GREP_OUT)) == NULL)
		rc = domu_nomem(r->ctx);
	if (rc == 0)
		rc = domu_work_tree(r->work, r->use, &j->tree);
	/* Without a pattern nothing can match, and as GNU has it no file is looked at, not even to count that. */
	if (rc == 0 && (domu_args_value(r->args, "regexp") != NULL || j->g.invert || j->g.list_without)) {
		hide_single_name(j);
		rc = domu_run_each(r, 0, operand, j);
	}
	r2 = j->g.out != NULL && rc != -ESHUTDOWN ? domu_grep_flush(&j->g) : 0;
	rc = rc != 0 ? rc : r2;
	if (j->g.quiet && j->g.found) {
		domu_error_clear(r->ctx);
		rc = j->failed = 0;
	}
	if (rc == 0 && j->failed != 0)
		rc = domu_fail(r->ctx, DOMU_FAILED, j->failed, "grep: some files could not be searched");
	if (rc == 0)
		r->exit_status = j->g.found ? 0 : 1;
	domu_grep_matcher_free(j->g.m);
	domu_grep_buffer_free(j->b);
	domu_scans_free(j->scans);
	free(j->g.out);
	free(j);
	return rc;
}

/* ---- in the front: what the worker cannot fetch -------------------------------------------------- */

static int read_patterns(struct domu_run *r, const char *path, char **text)
{
	bool standard = strcmp(path, "-") == 0;
	int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	size_t len = 0;
	struct stat st;
	ssize_t n = 0;

	*text = malloc(MAX_PATTERNS + 2);
	if (*text == NULL)
		rc = domu_nomem(r->ctx);
	else if (standard && r->in_shell)
		rc = domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
		               "grep: -f -: in the shell that is where commands come from: name a file");
	else if (fd < 0 || fstat(fd, &st) < 0)
		rc = domu_fail(r->ctx, errno == ENOENT ? DOMU_NOTFOUND : DOMU_FAILED, -errno, "grep: -f %s: %s", path,
		               strerror(errno));
	else if (r->many && !S_ISREG(st.st_mode))
		rc = domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
		               "grep: -f %s: for several guests it has to be a file, which can be read again", path);
	while (rc == 0 && len <= MAX_PATTERNS && (n = read(fd, *text + len, MAX_PATTERNS + 1 - len)) > 0)
		len += (size_t)n;
	if (rc == 0 && n < 0)
		rc = domu_fail(r->ctx, DOMU_FAILED, -errno, "grep: -f %s: %s", path, strerror(errno));
	if (rc == 0 && (len > MAX_PATTERNS || memchr(*text, '\0', len) != NULL))
		rc = domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "grep: -f %s: %s", path,
		               len > MAX_PATTERNS ? "more than 1 MiB of patterns" : "it holds a NUL");
	if (rc == 0)
		(*text)[len] = '\0';
	/* The last newline ends a line; an empty file has no line, and matches nothing. */
	if (rc == 0 && len > 0 && (*text)[len - 1] == '\n')
		(*text)[len - 1] = '\0';
	if (fd >= 0)
		close(fd);
	if (rc == 0 && len == 0) {
		free(*text);
		*text = NULL;
	}
	return rc;
}

/* The words again with each -f FILE as a -e that has its lines. */
static int with_patterns(struct domu_run *r, struct domu_args **out)
{
	int argc, n = 1, rc = 0;
	char **words = domu_args_words(r->args, 0, domu_args_count(r->args), &argc), **v, **texts;
	const char *path;
	size_t k = 0;

	v = words != NULL ? calloc((size_t)argc * 3 + 1, sizeof *v) : NULL;
	texts = words != NULL ? calloc((size_t)argc + 1, sizeof *texts) : NULL;
	if (v == NULL || texts == NULL)
		rc = domu_nomem(r->ctx);
	for (; rc == 0 && (path = domu_args_value_at(r->args, "file", k)) != NULL; k++) {
		rc = read_patterns(r, path, &texts[k]);
		if (rc == 0 && texts[k] != NULL) {
			v[n++] = (char *)(uintptr_t) "-e";
			v[n++] = texts[k];
		}
	}
	if (rc == 0) {
		v[0] = words[0];
		memcpy(v + n, words + 1, (size_t)argc * sizeof *v);
		rc = domu_args_parse(r->ctx, r->cmd, argc + n - 1, v, r->no_guest, out);
	}
	while (texts != NULL && k > 0)
		free(texts[--k]);
	free(texts);
	free(v);
	domu_words_free(words);
	return rc;
}

static int front(struct domu_run *r)
{
	const struct domu_args *typed = r->args;
	struct domu_args *args = NULL;
	int rc = 0;

	/* The worker, behind its fence, cannot load a library any more. */
	if (domu_args_last(typed, "EFGP") == 'P' && !domu_grep_perl_loaded()) {
		rc = domu_grep_perl_load(r->ctx);
		if (rc == 0)
			rc = domu_session_renew(r->session);
	}
	if (rc == 0 && domu_args_value(typed, "file") != NULL) {
		rc = with_patterns(r, &args);
		r->args = args;
	}
	if (rc == 0)
		rc = domu_run_in_worker(r, r->session);
	r->args = typed;
	domu_args_free(args);
	return rc;
}

/* ---- row ------------------------------------------------------------------------------------- */

static const struct domu_arg args[] = {
	{ "PATTERN", ARG_PATTERN, COUNT_ONE },
	{ "GUEST:PATH", ARG_GUEST_DIR, COUNT_SOME },
	{ 0 },
};

static const struct domu_option options[] = {
	{ "recursive", 'r', NULL, "directories with all that is in them; links met there are not followed" },
	{ "dereference-recursive", 'R', NULL, "the same, and links are followed" },
	{ "ignore-case", 'i', NULL, "upper and lower case of A to Z are the same" },
	{ "line-number", 'n', NULL, "the number of each line" },
	{ "files-with-matches", 'l', NULL, "only the names of files in which something is found" },
	{ "files-without-match", 'L', NULL, "only the names of files in which nothing is found" },
	{ "count", 'c', NULL, "only how many lines of each file" },
	{ "regexp", 'e', "PATTERN", "search for this too (repeatable)" },
	{ "extended-regexp", 'E', NULL, "PATTERN is an extended regular expression" },
	{ "fixed-strings", 'F', NULL, "PATTERN is text, not an expression" },
	{ "perl-regexp", 'P', NULL,
	  "PATTERN is an expression of Perl; where one takes too many steps it is given up, and said" },
	{ "file", 'f', "FILE", "search for each line of this file of the host; - is stdin" },
	{ "basic-regexp", 'G', NULL, "PATTERN is a basic regular expression (always so)" },
	{ "word-regexp", 'w', NULL, "only whole words" },
	{ "line-regexp", 'x', NULL, "only whole lines" },
	{ "only-matching", 'o', NULL, "only what matches, each on a line" },
	{ "invert-match", 'v', NULL, "lines that do not match" },
	{ "no-filename", 'h', NULL, "no names before lines" },
	{ "with-filename", 'H', NULL, "names before lines" },
	{ "quiet", 'q', NULL, "print nothing: the status tells" },
	{ "no-messages", 's', NULL, "say nothing of files that cannot be read" },
	{ "max-count", 'm', "NUM", "stop in each file after NUM lines" },
	{ "after-context", 'A', "NUM", "also NUM lines after each" },
	{ "before-context", 'B', "NUM", "also NUM lines before each" },
	{ "context", 'C', "NUM", "also NUM lines around each; -NUM is the same" },
	{ "byte-offset", 'b', NULL, "where in the file each line begins" },
	{ "text", 'a', NULL, "show lines of binary files too" },
	{ NULL, 'I', NULL, "pass over binary files" },
	{ "null-data", 'z', NULL, "lines end with a NUL, in files and in what is printed" },
	{ "null", 'Z', NULL, "a NUL after each name" },
	{ "color", 0, "[WHEN]", "never: colours are not used, whatever is asked for" },
	{ "include", 0, "GLOB", "only files with such names (repeatable)" },
	{ "exclude", 0, "GLOB", "no files with such names (repeatable)" },
	{ "exclude-dir", 0, "GLOB", "no directories with such names (repeatable)" },
	{ 0 },
};

/* In the order of json_row() in grep-file.c. */
static const struct domu_column columns[] = {
	{ "guest", NULL, CELL_TEXT },    { "path", NULL, CELL_BYTES },  { "line", NULL, CELL_NUMBER },
	{ "offset", NULL, CELL_NUMBER }, { "text", NULL, CELL_BYTES },  { "context", NULL, CELL_BOOL },
	{ "count", NULL, CELL_NUMBER },  { "binary", NULL, CELL_BOOL }, { NULL, NULL, CELL_TEXT },
};

static const struct domu_missing missing[] = {
	{ "--colour", " (| grep --color)" },
	{ "-D", " (devices, fifos and sockets are never read)" },
	{ "--devices", " (devices, fifos and sockets are never read)" },
	{ "-d", " (directories are read with -r, else passed over)" },
	{ "-U", " (files are always read as they are)" },
	{ "-T", " (-n and -H show where)" },
	{ 0 },
};

const struct domu_command domu_cmd_grep = {
	.name = "grep",
	.topic = "reading",
	.summary = "search files for lines that match a pattern",
	.description =
	    "As GNU grep in the C locale: a pattern is bytes. Takes several guests; names are then GUEST:/PATH. Of a "
	    "binary file it is only said that it matches. Ends with 0 when something was found and 1 when nothing was; "
	    "what could not be read has a message, and the status of that failure.",
	.args = args,
	.options = options,
	.columns = columns,
	.json_key = "matches",
	.example = "domu-rescue grep -rn web1 web1:/etc",
	.missing = missing,
	.needs = NEED_GUEST | GIVES_BYTES | ANY_FOUND | WALKS,
	.recursive = "rR",
	.worker = run,
	.front = front,
};
