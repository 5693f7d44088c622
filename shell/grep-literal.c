/* SPDX-License-Identifier: GPL-3.0-or-later */
/* grep-literal.c - the text that every match of a regular expression holds: memmem() finds it faster than regex. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shell/grep.h"

/*
 * Only what is certain counts: a group, a class, an anchor, a back-reference
 * end a run of literals, an operator of repetition takes its last character
 * away, an alternative outside a group makes an end of it all.
 */
struct scan {
	const char *p, *end;
	bool extended;
	char *run; /* the run that goes on */
	size_t len;
	char *best;
	size_t best_len;
	bool whole; /* one run, and nothing else */
};

static void end_run(struct scan *s)
{
	if (s->len > s->best_len) {
		memcpy(s->best, s->run, s->len);
		s->best_len = s->len;
	}
	s->len = 0;
	s->whole = false;
}

/* From behind "[" to behind its "]"; NULL: there is none. */
static const char *skip_bracket(const char *p, const char *end)
{
	p += p < end && *p == '^';
	p += p < end && *p == ']';
	while (p < end && *p != ']') {
		if (*p == '[' && p + 1 < end && strchr(".:=", p[1]) != NULL) {
			char kind = p[1];

			for (p += 2; p + 1 < end && !(p[0] == kind && p[1] == ']'); p++)
				;
			p += p + 1 < end ? 1 : 0;
		}
		p++;
	}
	return p < end ? p + 1 : NULL;
}

/* Does an operator of this name stand at p?  In a basic expression they have a backslash. */
static bool operator_at(const struct scan *s, const char *p, char name)
{
	if (s->extended)
		return p < s->end && *p == name;
	return p + 1 < s->end && *p == '\\' && p[1] == name;
}

/* From behind "(" to behind its ")"; NULL: there is none. */
static const char *skip_group(const struct scan *s, const char *p)
{
	unsigned depth = 1, width = s->extended ? 1 : 2;

	while (p < s->end) {
		if (operator_at(s, p, '(')) {
			depth++;
			p += width;
		} else if (operator_at(s, p, ')')) {
			p += width;
			if (--depth == 0)
				return p;
		} else if (*p == '[') {
			p = skip_bracket(p + 1, s->end);
			if (p == NULL)
				return NULL;
		} else {
			p += *p == '\\' && p + 1 < s->end ? 2 : 1;
		}
	}
	return NULL;
}

/* Behind an interval, "{2,3}" or "\{2,3\}"; where it has no end its first character alone. */
static const char *skip_interval(const struct scan *s, const char *p)
{
	const char *start = p += s->extended ? 1 : 2;

	for (; p < s->end; p++)
		if (operator_at(s, p, '}'))
			return p + (s->extended ? 1 : 2);
	return start;
}

/* An operator of repetition at p: the character before it need not be there. */
static bool repetition(struct scan *s)
{
	bool star = *s->p == '*', interval = operator_at(s, s->p, '{');

	if (!star && !interval && !operator_at(s, s->p, '?') && !operator_at(s, s->p, '+'))
		return false;
	s->len -= s->len > 0;
	end_run(s);
	if (interval)
		s->p = skip_interval(s, s->p);
	else
		s->p += star || s->extended ? 1 : 2;
	return true;
}

/* What is neither a literal nor a repetition.  -ENOTSUP: nothing is certain. */
static int special(struct scan *s)
{
	if (operator_at(s, s->p, '|') || *s->p == '\n')
		return -ENOTSUP;
	end_run(s);
	if (operator_at(s, s->p, '('))
		s->p = skip_group(s, s->p + (s->extended ? 1 : 2));
	else if (*s->p == '[')
		s->p = skip_bracket(s->p + 1, s->end);
	else
		s->p += *s->p == '\\' && s->p + 1 < s->end ? 2 : 1;
	return s->p != NULL ? 0 : -ENOTSUP;
}

static bool literal_at(const struct scan *s, char *c, size_t *width)
{
	static const char punctuation[] = ".[]*^$/\\-\"#%&,:;=@_!~ ";

	*c = *s->p;
	*width = 1;
	if (*s->p == '\\') {
		if (s->p + 1 >= s->end || s->p[1] == '\0')
			return false;
		*c = s->p[1];
		*width = 2;
		if (s->extended && strchr("(){}|+?", *c) != NULL)
			return true;
		return strchr(punctuation, *c) != NULL;
	}
	if (*c == '\0' || *c == '\n' || strchr(".[*^$", *c) != NULL)
		return false;
	return !s->extended || strchr("(){}|+?", *c) == NULL;
}

static int scan(struct scan *s)
{
	int rc = 0;

	while (rc == 0 && s->p < s->end) {
		size_t width;
		char c;

		if (literal_at(s, &c, &width)) {
			s->run[s->len++] = c;
			s->p += width;
		} else if (!repetition(s)) {
			rc = special(s);
		}
	}
	return rc;
}

int domu_grep_literal(const char *pattern, size_t len, bool extended, char **literal, size_t *literal_len, bool *whole)
{
	struct scan s = { .p = pattern, .end = pattern + len, .extended = extended, .whole = true };
	int rc;

	*literal = NULL;
	*literal_len = 0;
	s.run = malloc(len + 1);
	s.best = malloc(len + 1);
	if (s.run == NULL || s.best == NULL) {
		free(s.run);
		free(s.best);
		return -ENOMEM;
	}
	rc = scan(&s);
	*whole = rc == 0 && s.whole;
	end_run(&s);
	free(s.run);
	if (rc != 0 || s.best_len == 0) {
		free(s.best);
		*whole = *whole && rc == 0;
		return 0;
	}
	*literal = s.best;
	*literal_len = s.best_len;
	return 0;
}
