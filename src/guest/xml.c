/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xml.c - a scanner for the small XML files that other toolstacks keep. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest/xml.h"

struct scan {
	const char *p, *end;
	const struct domu_xml_handler *h;
	void *user;
	char path[DOMU_XML_PATH];
	size_t at[DOMU_XML_DEPTH]; /* path's length before each open element */
	size_t depth;
	char *scratch, *free; /* as long as the text: replacing references only makes it shorter */
};

const char *domu_xml_attr(const struct domu_xml_attr *attrs, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(attrs[i].name, name) == 0)
			return attrs[i].value;
	return NULL;
}

static bool looking_at(const struct scan *s, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(s->end - s->p) >= n && memcmp(s->p, word, n) == 0;
}

/* Past the next word; false: there is none. */
static bool skip_past(struct scan *s, const char *word)
{
	const char *at = memmem(s->p, (size_t)(s->end - s->p), word, strlen(word));

	if (at == NULL)
		return false;
	s->p = at + strlen(word);
	return true;
}

static void skip_blanks(struct scan *s)
{
	while (s->p < s->end && isspace((unsigned char)*s->p))
		s->p++;
}

static bool name_char(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr("_-.:", c) != NULL);
}

/* A copy with a NUL at its end, in scratch; NULL: no name here. */
static const char *take_name(struct scan *s)
{
	char *start = s->free;

	while (s->p < s->end && name_char(*s->p))
		*s->free++ = *s->p++;
	if (s->free == start)
		return NULL;
	*s->free++ = '\0';
	return start;
}

static char *put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

/* "&amp;", "&#38;", "&#x26;" at *from, which is moved behind it.  false: none of these. */
static bool take_reference(const char **from, const char *end, char **to)
{
	static const struct {
		const char *text;
		char c;
	} known[] = { { "&lt;", '<' }, { "&gt;", '>' }, { "&amp;", '&' }, { "&quot;", '"' }, { "&apos;", '\'' } };
	size_t left = (size_t)(end - *from);
	char *stop;
	unsigned long c;
	bool hex;

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		size_t n = strlen(known[i].text);

		if (left >= n && memcmp(*from, known[i].text, n) == 0) {
			*(*to)++ = known[i].c;
			*from += n;
			return true;
		}
	}
	if (left < 4 || (*from)[1] != '#')
		return false;
	hex = (*from)[2] == 'x';
	if (!isxdigit((unsigned char)(*from)[hex ? 3 : 2]))
		return false;
	c = strtoul(*from + (hex ? 3 : 2), &stop, hex ? 16 : 10); /* ends at the text's NUL at the latest */
	if (stop >= end || *stop != ';' || c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return false;
	*to = put_utf8(*to, (uint32_t)c);
	*from = stop + 1;
	return true;
}

/* [from, end) with its references replaced, in scratch; NULL: a reference that is none. */
static const char *decode(struct scan *s, const char *from, const char *end)
{
	char *start = s->free;

	while (from < end) {
		if (*from != '&')
			*s->free++ = *from++;
		else if (!take_reference(&from, end, &s->free))
			return NULL;
	}
	*s->free++ = '\0';
	return start;
}

static int push(struct scan *s, const char *name)
{
	size_t len = s->depth > 0 ? strlen(s->path) : 0, n = strlen(name);

	if (s->depth == DOMU_XML_DEPTH || len + n + 2 > sizeof s->path)
		return -EINVAL;
	s->at[s->depth++] = len;
	if (len > 0)
		s->path[len++] = '/';
	memcpy(s->path + len, name, n + 1);
	return 0;
}

static int pop(struct scan *s)
{
	int rc = s->h->close != NULL ? s->h->close(s->user, s->path) : 0;

	s->path[s->at[--s->depth]] = '\0';
	return rc;
}

static bool take_attr(struct scan *s, struct domu_xml_attr *a)
{
	const char *close;
	char quote;

	a->name = take_name(s);
	skip_blanks(s);
	if (a->name == NULL || s->p == s->end || *s->p != '=')
		return false;
	s->p++;
	skip_blanks(s);
	if (s->p == s->end || (*s->p != '"' && *s->p != '\''))
		return false;
	quote = *s->p++;
	close = memchr(s->p, quote, (size_t)(s->end - s->p));
	if (close == NULL)
		return false;
	a->value = decode(s, s->p, close);
	s->p = close + 1;
	return a->value != NULL;
}

/* Behind "<": a name, attributes, ">" or "/>". */
static int take_open(struct scan *s)
{
	struct domu_xml_attr attrs[DOMU_XML_ATTRS];
	const char *name = take_name(s);
	size_t n = 0;
	bool empty;
	int rc;

	if (name == NULL)
		return -EINVAL;
	for (skip_blanks(s); s->p < s->end && name_char(*s->p); skip_blanks(s))
		if (n == DOMU_XML_ATTRS || !take_attr(s, &attrs[n++]))
			return -EINVAL;
	empty = looking_at(s, "/>");
	if (!empty && !looking_at(s, ">"))
		return -EINVAL;
	s->p += empty ? 2 : 1;
	rc = push(s, name);
	if (rc == 0 && s->h->open != NULL)
		rc = s->h->open(s->user, s->path, attrs, n);
	if (rc == 0 && empty)
		rc = pop(s);
	return rc;
}

static int take_close(struct scan *s)
{
	const char *name = take_name(s), *mine;

	skip_blanks(s);
	if (name == NULL || s->depth == 0 || !looking_at(s, ">"))
		return -EINVAL;
	s->p++;
	mine = strrchr(s->path, '/');
	if (strcmp(mine != NULL ? mine + 1 : s->path, name) != 0)
		return -EINVAL;
	return pop(s);
}

static int take_text(struct scan *s)
{
	const char *lt = memchr(s->p, '<', (size_t)(s->end - s->p)), *text;

	if (lt == NULL)
		lt = s->end;
	text = decode(s, s->p, lt);
	s->p = lt;
	if (text == NULL)
		return -EINVAL;
	return s->depth > 0 && s->h->text != NULL ? s->h->text(s->user, s->path, text) : 0;
}

static int take_next(struct scan *s)
{
	s->free = s->scratch;
	if (*s->p != '<')
		return take_text(s);
	if (looking_at(s, "<!--"))
		return skip_past(s, "-->") ? 0 : -EINVAL;
	if (looking_at(s, "<?"))
		return skip_past(s, "?>") ? 0 : -EINVAL;
	if (looking_at(s, "</")) {
		s->p += 2;
		return take_close(s);
	}
	/* "<!" too: a document type could define references, and none of these files has one. */
	s->p++;
	return take_open(s);
}

int domu_xml_scan(const char *text, size_t len, const struct domu_xml_handler *h, void *user)
{
	struct scan s = { .h = h, .user = user };
	int rc = 0;
	char *copy;

	/* A NUL behind it, for strtoul(). */
	copy = strndup(text, len);
	s.scratch = malloc(len + 2);
	if (copy == NULL || s.scratch == NULL) {
		rc = -ENOMEM;
		goto out;
	}
	s.p = copy;
	s.end = copy + strlen(copy);
	while (rc == 0 && s.p < s.end)
		rc = take_next(&s);
	if (rc == 0 && (s.depth > 0 || s.end != copy + len))
		rc = -EINVAL;
out:
	free(copy);
	free(s.scratch);
	return rc;
}
