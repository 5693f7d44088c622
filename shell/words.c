/* SPDX-License-Identifier: GPL-3.0-or-later */
/* words.c - lines of the shell taken apart. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "shell/words.h"

#define MAX_WORDS 100000

/* Characters that end a word, and those that a name has to have a \ before. */
static const char ends[] = " \t\n;|<>";
static const char special[] = " \t\n;|<>'\"\\*?[]#!";

struct text {
	char *v;
	size_t n, cap;
};

struct parser {
	struct domu_ctx *ctx;
	const char *p;
	unsigned line;
	char open; /* the quote that was not closed */
};

static int put(struct text *t, char c)
{
	if (!DOMU_ARRAY_ROOM(t->v, t->cap, t->n + 2))
		return -ENOMEM;
	t->v[t->n++] = c;
	t->v[t->n] = '\0';
	return 0;
}

/* One character of a word: its text, and its pattern, where what was quoted stands for itself. */
static int put_char(struct text *word, struct text *pattern, char c, bool quoted, bool *glob)
{
	bool magic = strchr("*?[]\\", c) != NULL;

	if (!quoted && (c == '*' || c == '?' || c == '['))
		*glob = true;
	if (put(word, c) != 0 || (quoted && magic && put(pattern, '\\') != 0) || put(pattern, c) != 0)
		return -ENOMEM;
	return 0;
}

/* A word from p->p on.  -EAGAIN: a quote is open at the end. */
static int take_word(struct parser *p, struct domu_word *out)
{
	struct text word = { 0 }, pattern = { 0 };
	bool glob = false;
	char quote = 0;
	int rc = put(&word, '\0') != 0 || put(&pattern, '\0') != 0 ? -ENOMEM : 0;

	word.n = pattern.n = 0;
	for (; rc == 0 && *p->p != '\0' && (quote != 0 || strchr(ends, *p->p) == NULL); p->p++) {
		char c = *p->p;

		p->line += c == '\n';
		if (quote != 0 && c == quote) {
			quote = 0;
		} else if (quote == 0 && (c == '\'' || c == '"')) {
			quote = c;
		} else if (c == '\\' && quote != '\'' &&
		           (quote == 0 || (p->p[1] != '\0' && strchr("\"\\", p->p[1]) != NULL))) {
			if (*++p->p == '\0') {
				p->open = '\\';
				p->p--;
			} else if (*p->p == '\n') {
				p->line++;
			} else {
				rc = put_char(&word, &pattern, *p->p, true, &glob);
			}
		} else {
			rc = put_char(&word, &pattern, c, quote != 0, &glob);
		}
	}
	if (quote != 0)
		p->open = quote;
	if (rc != 0 || !glob) {
		free(pattern.v);
		pattern.v = NULL;
	}
	if (rc != 0) {
		free(word.v);
		return rc;
	}
	*out = (struct domu_word){ word.v, pattern.v };
	return p->open != 0 ? -EAGAIN : 0;
}

static int add_word(struct domu_line_command *c, const struct domu_word *w)
{
	struct domu_word *v;

	if (c->n >= MAX_WORDS)
		return -E2BIG;
	v = reallocarray(c->words, c->n + 1, sizeof *v);
	if (v == NULL)
		return -ENOMEM;
	c->words = v;
	c->words[c->n++] = *w;
	return 0;
}

static void skip_blanks(struct parser *p)
{
	for (;;) {
		if (*p->p == ' ' || *p->p == '\t' || *p->p == '\r') {
			p->p++;
		} else if (p->p[0] == '\\' && p->p[1] == '\n') {
			p->line++;
			p->p += 2;
		} else {
			return;
		}
	}
}

/* A line of the host's shell: to the end of the line, or a ; that is not quoted. */
static char *take_host(struct parser *p)
{
	const char *start = p->p;
	char quote = 0;

	for (; *p->p != '\0' && *p->p != '\n' && (quote != 0 || *p->p != ';'); p->p++) {
		if (quote != 0 && *p->p == quote)
			quote = 0;
		else if (quote == 0 && (*p->p == '\'' || *p->p == '"'))
			quote = *p->p;
		else if (*p->p == '\\' && quote != '\'' && p->p[1] != '\0')
			p->p++;
	}
	return strndup(start, (size_t)(p->p - start));
}

static int syntax(struct parser *p, const char *what)
{
	return domu_fail(p->ctx, DOMU_USAGE, -EINVAL, "line %u: %s", p->line, what);
}

static int redirection(struct parser *p, struct domu_line_command *c)
{
	bool in = *p->p++ == '<';
	struct domu_word w = { 0 };
	char **slot = in ? &c->in : &c->out;
	int rc;

	if (!in && *p->p == '>') {
		c->append = true;
		p->p++;
	}
	skip_blanks(p);
	if (*slot != NULL)
		return syntax(p, "two files for one direction");
	if (*p->p == '\0' || strchr(ends, *p->p) != NULL)
		return syntax(p, "a file of the host is missing after < or >");
	rc = take_word(p, &w);
	free(w.pattern);
	*slot = w.text;
	return rc;
}

static int take_command(struct parser *p, struct domu_line_command *c)
{
	int rc = 0;

	c->line = p->line;
	if (*p->p == '!') {
		p->p++;
		c->host = take_host(p);
		return c->host != NULL ? 0 : -ENOMEM;
	}
	while (rc == 0) {
		struct domu_word w = { 0 };

		skip_blanks(p);
		if (*p->p == '\0' || *p->p == ';' || *p->p == '\n')
			break;
		if (*p->p == '#') {
			p->p += strcspn(p->p, "\n");
		} else if (*p->p == '<' || *p->p == '>') {
			rc = redirection(p, c);
		} else if (*p->p == '|') {
			p->p++;
			c->pipe = take_host(p);
			if (c->pipe == NULL)
				return -ENOMEM;
			if (c->n == 0 || c->pipe[strspn(c->pipe, " \t")] == '\0')
				rc = syntax(p, "a command is missing beside |");
		} else {
			rc = take_word(p, &w);
			if ((rc == 0 || rc == -EAGAIN) && add_word(c, &w) != 0)
				rc = -ENOMEM;
		}
	}
	if (rc == 0 && c->n == 0 && (c->in != NULL || c->out != NULL))
		rc = syntax(p, "a file without a command");
	return rc;
}

static int parse_all(struct parser *p, struct domu_line *line)
{
	int rc = 0;

	while (rc == 0) {
		struct domu_line_command c = { 0 }, *v;

		skip_blanks(p);
		if (*p->p == ';' || *p->p == '\n') {
			p->line += *p->p++ == '\n';
			continue;
		}
		if (*p->p == '\0')
			break;
		rc = take_command(p, &c);
		if (rc != 0 || (c.n == 0 && c.host == NULL)) {
			domu_line_command_free(&c);
			continue;
		}
		v = reallocarray(line->v, line->n + 1, sizeof *v);
		if (v == NULL) {
			domu_line_command_free(&c);
			return -ENOMEM;
		}
		line->v = v;
		line->v[line->n++] = c;
	}
	return rc;
}

int domu_line_parse(struct domu_ctx *ctx, const char *text, struct domu_line *line)
{
	struct parser p = { .ctx = ctx, .p = text, .line = 1 };
	int rc;

	memset(line, 0, sizeof *line);
	rc = parse_all(&p, line);
	if (rc != 0)
		domu_line_free(line);
	if (rc == -ENOMEM || rc == -E2BIG)
		return domu_nomem(ctx);
	return rc;
}

void domu_line_command_free(struct domu_line_command *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->words[i].text);
		free(c->words[i].pattern);
	}
	free(c->words);
	free(c->host);
	free(c->pipe);
	free(c->in);
	free(c->out);
	memset(c, 0, sizeof *c);
}

void domu_line_free(struct domu_line *line)
{
	for (size_t i = 0; i < line->n; i++)
		domu_line_command_free(&line->v[i]);
	free(line->v);
	memset(line, 0, sizeof *line);
}

/* ---- completion --------------------------------------------------------------------- */

int domu_line_partial(const char *text, struct domu_line_command *c, size_t *start, char *quote)
{
	struct parser p = { .p = text, .line = 1 };
	int rc = 0;

	memset(c, 0, sizeof *c);
	*quote = 0;
	*start = strlen(text);
	while (rc == 0 && *p.p != '\0') {
		struct domu_word w = { 0 };

		skip_blanks(&p);
		*start = (size_t)(p.p - text);
		if (*p.p == '\0')
			break;
		if (*p.p == ';' || *p.p == '\n') {
			domu_line_command_free(c);
			p.p++;
			*start = (size_t)(p.p - text);
			continue;
		}
		if (strchr("|<>", *p.p) != NULL || (*p.p == '!' && c->n == 0)) {
			/* What follows is of the host. */
			domu_line_command_free(c);
			c->host = strdup(p.p + 1);
			*start += 1;
			return c->host != NULL ? 0 : -ENOMEM;
		}
		rc = take_word(&p, &w);
		if ((rc == 0 || rc == -EAGAIN) && add_word(c, &w) != 0)
			rc = -ENOMEM;
		if (rc == 0 && *p.p == '\0')
			return 0;
	}
	if (rc == -EAGAIN) {
		*quote = p.open;
		return 0;
	}
	if (rc == 0) {
		struct domu_word w = { .text = calloc(1, 1) };

		rc = w.text != NULL ? add_word(c, &w) : -ENOMEM;
	}
	return rc;
}

char *domu_word_quote(const char *name, char quote)
{
	char *out = malloc(2 * strlen(name) + 3), *q = out;

	if (out == NULL)
		return NULL;
	if (quote == '\'' || quote == '"')
		*q++ = quote;
	for (; *name != '\0'; name++) {
		if (quote == '"' ? strchr("\"\\", *name) != NULL : quote != '\'' && strchr(special, *name) != NULL)
			*q++ = '\\';
		*q++ = *name;
	}
	*q = '\0';
	return out;
}
