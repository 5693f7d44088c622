/* SPDX-License-Identifier: GPL-3.0-or-later */
/* grep-match.c - lines that match patterns: memmem() where it will do, GNU's regular expressions for the rest. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "shell/grep.h"

#define VECTOR      64
#define MAX_GAVE_UP 20 /* lines of a file: what comes is most likely like them */

struct pattern {
	char *literal; /* what each match holds, in lower case where case does not count; NULL: nothing certain */
	size_t literal_len;
	bool whole; /* it is the literal, and no expression is compiled */
	struct re_pattern_buffer re;
	/* The same behind ".*": at a line's begin it tells in one pass whether there is a match anywhere. */
	struct re_pattern_buffer anywhere;
	bool compiled, has_anywhere;
	struct domu_grep_perl *perl; /* instead of all that */
	bool bounded; /* a match has a greatest length: it may be looked for in a text of many lines */
	size_t next; /* the first line from where the search stands on that may match; SIZE_MAX: none */
	bool next_known;
};

struct domu_grep_matcher {
	enum domu_grep_syntax syntax;
	bool icase, word, line;
	unsigned gave_up; /* lines, since it was asked */
	char eol;
	struct pattern *v;
	size_t n;
	const char *text;
	size_t len;
	char *lower; /* text in lower case, for literals where case does not count */
	size_t lower_cap;
};

int domu_grep_matcher_new(struct domu_ctx *ctx, const struct domu_grep_matcher_opts *opts, struct domu_grep_matcher **m)
{
	*m = calloc(1, sizeof **m);
	if (*m == NULL)
		return domu_nomem(ctx);
	(*m)->syntax = opts->syntax;
	(*m)->icase = opts->icase;
	(*m)->word = opts->word && !opts->line;
	(*m)->line = opts->line;
	(*m)->eol = opts->eol;
	return 0;
}

void domu_grep_matcher_free(struct domu_grep_matcher *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].literal);
		domu_grep_perl_free(m->v[i].perl);
		if (m->v[i].compiled)
			regfree(&m->v[i].re);
		if (m->v[i].has_anywhere)
			regfree(&m->v[i].anywhere);
	}
	free(m->v);
	free(m->lower);
	free(m);
}

/* ---- compiling ---------------------------------------------------------------------- */

static char lower(char from)
{
	unsigned char c = (unsigned char)from;

	return (char)(c + ((unsigned char)(c - 'A') < 26 ? 32 : 0));
}

/* Bytes alone: no locale is set here.  In steps of a known length, of which the compiler makes vectors. */
static void to_lower(char *restrict to, const char *restrict from, size_t len)
{
	for (; len >= VECTOR; len -= VECTOR, to += VECTOR, from += VECTOR)
		for (size_t i = 0; i < VECTOR; i++)
			to[i] = lower(from[i]);
	while (len-- > 0)
		*to++ = lower(*from++);
}

static bool has_back_reference(const char *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		if (p[i] != '\\')
			continue;
		if (p[i + 1] >= '1' && p[i + 1] <= '9')
			return true;
		i++;
	}
	return false;
}

/*
 * Looking for the first match from every place in a line takes the square of
 * its length where a match may be long; a line can have megabytes.
 */
static void compile_anywhere(struct domu_grep_matcher *m, struct pattern *p, const char *text, size_t len)
{
	bool extended = m->syntax == GREP_EXTENDED;
	const char *error;
	char *all;
	int n = asprintf(&all, "%s%.*s%s", extended ? ".*(" : ".*\\(", (int)len, text, extended ? ")" : "\\)");

	if (n < 0)
		return;
	error = re_compile_pattern(all, (size_t)n, &p->anywhere);
	p->has_anywhere = error == NULL;
	if (error != NULL)
		regfree(&p->anywhere);
	free(all);
}

/* glibc takes the syntax from a variable of the process: what it was is put back. */
static const char *compile(struct domu_grep_matcher *m, struct pattern *p, const char *text, size_t len)
{
	reg_syntax_t syntax = m->syntax == GREP_EXTENDED ? RE_SYNTAX_EGREP : RE_SYNTAX_GREP, before;
	bool simple = !has_back_reference(text, len);
	const char *error;

	syntax |= RE_HAT_LISTS_NOT_NEWLINE | (m->icase ? RE_ICASE : 0u);
	syntax &= ~(reg_syntax_t)RE_DOT_NEWLINE;
	/* In a line that a NUL ends, a newline is a byte like others. */
	if (m->eol == '\0')
		syntax = (syntax | RE_DOT_NEWLINE) & ~(reg_syntax_t)RE_HAT_LISTS_NOT_NEWLINE;
	if (simple)
		syntax |= RE_NO_SUB;
	p->bounded = m->eol == '\n' && memchr(text, '*', len) == NULL && memchr(text, '+', len) == NULL &&
	             memchr(text, '{', len) == NULL;
	before = re_set_syntax(syntax);
	error = re_compile_pattern(text, len, &p->re);
	p->compiled = true;
	p->re.newline_anchor = m->eol == '\n';
	/* Behind ".*" the C library takes a newline for a line's end, whatever newline_anchor says. */
	if (error == NULL && simple && !p->bounded && !m->word && !m->line && m->eol == '\n')
		compile_anywhere(m, p, text, len);
	re_set_syntax(before);
	return error;
}

/* An empty pattern matches every line; words and whole lines are told by the expression's matches. */
static int prepare(struct domu_ctx *ctx, struct domu_grep_matcher *m, struct pattern *p, const char *text, size_t len)
{
	const char *error;

	if (m->syntax == GREP_PERL)
		return domu_grep_perl_new(ctx, &(struct domu_grep_perl_opts){ m->icase, m->word, m->line }, text, len,
		                          &p->perl);
	if (m->syntax == GREP_FIXED) {
		p->literal = malloc(len + 1);
		if (p->literal == NULL)
			return domu_nomem(ctx);
		memcpy(p->literal, text, len);
		p->literal_len = len;
		p->whole = true;
	} else if (domu_grep_literal(text, len, m->syntax == GREP_EXTENDED, &p->literal, &p->literal_len, &p->whole) !=
	           0) {
		return domu_nomem(ctx);
	}
	for (size_t i = 0; p->literal != NULL && m->icase && i < p->literal_len; i++)
		p->literal[i] = lower(p->literal[i]);
	if (p->whole && p->literal == NULL) {
		p->literal = calloc(1, 1);
		if (p->literal == NULL)
			return domu_nomem(ctx);
	}
	if (p->whole)
		return 0;
	error = compile(m, p, text, len);
	return error == NULL ? 0 : domu_fail(ctx, DOMU_USAGE, -EINVAL, "grep: '%.*s': %s", (int)len, text, error);
}

int domu_grep_matcher_add(struct domu_ctx *ctx, struct domu_grep_matcher *m, const char *patterns)
{
	int rc = 0;

	for (const char *end; rc == 0 && patterns != NULL; patterns = end != NULL ? end + 1 : NULL) {
		struct pattern *v = reallocarray(m->v, m->n + 1, sizeof *v);

		end = strchr(patterns, '\n');
		if (v == NULL)
			return domu_nomem(ctx);
		m->v = v;
		memset(&v[m->n], 0, sizeof *v);
		rc = prepare(ctx, m, &v[m->n++], patterns, end != NULL ? (size_t)(end - patterns) : strlen(patterns));
	}
	return rc;
}

/* ---- in a line ------------------------------------------------------------------------ */

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool is_word(const char *line, size_t len, size_t begin, size_t end)
{
	return (begin == 0 || !word_char(line[begin - 1])) && (end == len || !word_char(line[end]));
}

static bool equal(const struct domu_grep_matcher *m, const char *text, const struct pattern *p)
{
	if (!m->icase)
		return memcmp(text, p->literal, p->literal_len) == 0;
	for (size_t i = 0; i < p->literal_len; i++)
		if (lower(text[i]) != p->literal[i])
			return false;
	return true;
}

static const char *find_literal(const struct domu_grep_matcher *m, const char *line, size_t len, size_t from,
                                const struct pattern *p)
{
	if (p->literal_len > len - from)
		return NULL;
	if (!m->icase)
		return memmem(line + from, len - from, p->literal, p->literal_len);
	for (size_t i = from; i + p->literal_len <= len; i++)
		if (equal(m, line + i, p))
			return line + i;
	return NULL;
}

static bool literal_in_line(const struct domu_grep_matcher *m, const struct pattern *p, const char *line, size_t len,
                            size_t from, struct domu_grep_hit *hit)
{
	if (m->line) {
		*hit = (struct domu_grep_hit){ 0, len };
		return from == 0 && len == p->literal_len && equal(m, line, p);
	}
	while (from <= len) {
		const char *at = find_literal(m, line, len, from, p);

		if (at == NULL)
			return false;
		hit->begin = (size_t)(at - line);
		hit->end = hit->begin + p->literal_len;
		if (!m->word || is_word(line, len, hit->begin, hit->end))
			return true;
		from = hit->begin + 1;
	}
	return false;
}

/* A match that begins at begin and is a word, the longest: a shorter one where the longest is none. */
static bool word_at(struct pattern *p, const char *line, size_t len, size_t begin, struct domu_grep_hit *hit)
{
	regoff_t n = re_match(&p->re, line, (regoff_t)len, (regoff_t)begin, NULL);

	while (n > 0) {
		hit->begin = begin;
		hit->end = begin + (size_t)n;
		if (is_word(line, len, hit->begin, hit->end))
			return true;
		if (begin > 0 && word_char(line[begin - 1]))
			return false;
		n = re_match(&p->re, line, (regoff_t)hit->end - 1, (regoff_t)begin, NULL);
	}
	hit->begin = hit->end = begin;
	return n == 0 && is_word(line, len, begin, begin);
}

static bool regex_in_line(struct domu_grep_matcher *m, struct pattern *p, const char *line, size_t len, size_t from,
                          struct domu_grep_hit *hit)
{
	regoff_t n;

	if (m->line) {
		*hit = (struct domu_grep_hit){ 0, len };
		return from == 0 && re_match(&p->re, line, (regoff_t)len, 0, NULL) == (regoff_t)len;
	}
	for (; from <= len; from++) {
		n = re_search(&p->re, line, (regoff_t)len, (regoff_t)from, (regoff_t)(len - from), NULL);
		if (n < 0)
			return false;
		from = (size_t)n;
		if (m->word) {
			if (word_at(p, line, len, from, hit))
				return true;
			continue;
		}
		n = re_match(&p->re, line, (regoff_t)len, (regoff_t)from, NULL);
		*hit = (struct domu_grep_hit){ from, from + (n > 0 ? (size_t)n : 0) };
		return true;
	}
	return false;
}

static bool perl_in_line(struct domu_grep_matcher *m, struct pattern *p, const char *line, size_t len, size_t from,
                         struct domu_grep_hit *hit)
{
	int found = domu_grep_perl_match(p->perl, line, len, from, hit);

	m->gave_up += found < 0;
	return found > 0;
}

unsigned domu_grep_gave_up(struct domu_grep_matcher *m)
{
	unsigned lines = m->gave_up;

	m->gave_up = 0;
	return lines;
}

bool domu_grep_given_up(const struct domu_grep_matcher *m)
{
	return m->gave_up >= MAX_GAVE_UP;
}

static bool pattern_in_line(struct domu_grep_matcher *m, struct pattern *p, const char *line, size_t len, size_t from,
                            struct domu_grep_hit *hit)
{
	if (p->perl != NULL)
		return perl_in_line(m, p, line, len, from, hit);
	return p->whole ? literal_in_line(m, p, line, len, from, hit) : regex_in_line(m, p, line, len, from, hit);
}

/* Only whether there is a match. */
static bool line_matches(struct domu_grep_matcher *m, struct pattern *p, const char *line, size_t len)
{
	struct domu_grep_hit hit;

	if (p->has_anywhere)
		return re_match(&p->anywhere, line, (regoff_t)len, 0, NULL) >= 0;
	return pattern_in_line(m, p, line, len, 0, &hit);
}

bool domu_grep_in_line(struct domu_grep_matcher *m, const char *line, size_t len, size_t from,
                       struct domu_grep_hit *hit)
{
	bool found = false;

	for (size_t i = 0; i < m->n; i++) {
		struct domu_grep_hit h;

		if (!pattern_in_line(m, &m->v[i], line, len, from, &h))
			continue;
		if (!found || h.begin < hit->begin || (h.begin == hit->begin && h.end > hit->end))
			*hit = h;
		found = true;
	}
	return found;
}

/* ---- in a text -------------------------------------------------------------------------- */

int domu_grep_matcher_text(struct domu_grep_matcher *m, const char *text, size_t len)
{
	bool lower = false;

	for (size_t i = 0; i < m->n; i++) {
		m->v[i].next_known = false;
		lower = lower || (m->icase && m->v[i].literal_len > 0);
	}
	m->text = text;
	m->len = len;
	if (!lower)
		return 0;
	if (len > m->lower_cap) {
		free(m->lower);
		m->lower = malloc(len);
		m->lower_cap = m->lower != NULL ? len : 0;
		if (m->lower == NULL)
			return -ENOMEM;
	}
	to_lower(m->lower, text, len);
	return 0;
}

static size_t line_begin(const struct domu_grep_matcher *m, size_t at)
{
	const char *text = m->text, *nl = at > 0 ? memrchr(text, m->eol, at) : NULL;

	return nl != NULL ? (size_t)(nl - text) + 1 : 0;
}

static size_t line_end(const struct domu_grep_matcher *m, size_t at)
{
	const char *nl = memchr(m->text + at, m->eol, m->len - at);

	return nl != NULL ? (size_t)(nl - m->text) + 1 : m->len;
}

/* Where the first thing is that may be in a match: SIZE_MAX when nothing is. */
static size_t candidate(struct domu_grep_matcher *m, struct pattern *p, size_t from)
{
	const char *where = m->icase ? m->lower : m->text, *hit;
	regoff_t n;

	if (p->literal_len > 0) {
		hit = memmem(where + from, m->len - from, p->literal, p->literal_len);
		return hit != NULL ? (size_t)(hit - where) : SIZE_MAX;
	}
	if (p->whole && !m->line && !m->word)
		return from;
	if (p->whole || m->line || !p->bounded)
		return from; /* every line is asked about */
	n = re_search(&p->re, m->text + from, (regoff_t)(m->len - from), 0, (regoff_t)(m->len - from), NULL);
	return n < 0 ? SIZE_MAX : from + (size_t)n;
}

/* The first line that one pattern matches. */
static size_t next_of(struct domu_grep_matcher *m, struct pattern *p, size_t from)
{
	while (from < m->len && !domu_grep_given_up(m)) {
		size_t at = candidate(m, p, from), begin, end;

		if (at >= m->len)
			return SIZE_MAX;
		begin = line_begin(m, at);
		end = line_end(m, at);
		if (p->whole && !m->word && !m->line)
			return begin;
		/* A match of a text may go beyond a line, and the line all the same hold none. */
		if (line_matches(m, p, m->text + begin, end - begin - 1))
			return begin;
		from = end;
	}
	return SIZE_MAX;
}

bool domu_grep_next_line(struct domu_grep_matcher *m, size_t from, struct domu_grep_hit *line)
{
	size_t first = SIZE_MAX;

	for (size_t i = 0; i < m->n; i++) {
		struct pattern *p = &m->v[i];

		if (!p->next_known || p->next < from) {
			p->next = next_of(m, p, from);
			p->next_known = true;
		}
		first = p->next < first ? p->next : first;
	}
	if (first == SIZE_MAX)
		return false;
	*line = (struct domu_grep_hit){ first, line_end(m, first) };
	return true;
}
