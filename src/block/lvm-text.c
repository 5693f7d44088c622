/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lvm-text.c - the text that LVM2 describes a volume group with: sections, values and lists, see lvm.conf(5). */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "block/lvm.h"

#define MAX_ITEMS 200000
#define MAX_DEPTH 8

struct parser {
	struct lvm_text *t;
	char *p, *end;
	size_t room;
};

static void blanks(struct parser *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r' || *s->p == '#'))
		if (*s->p++ == '#')
			while (s->p < s->end && *s->p != '\n')
				s->p++;
}

/* What comes next, after blanks; '\0' at the end. */
static char next(struct parser *s)
{
	blanks(s);
	return s->p < s->end ? *s->p : '\0';
}

static bool taken(struct parser *s, char c)
{
	if (next(s) != c)
		return false;
	s->p++;
	return true;
}

/* Members of one section stand in the order of the text. */
static int add(struct parser *s, size_t in, size_t *last, size_t *item)
{
	struct lvm_text *t = s->t;

	if (t->n == MAX_ITEMS)
		return -EINVAL;
	if (t->n == s->room) {
		size_t room = s->room == 0 ? 256 : s->room * 2;
		struct lvm_item *v = realloc(t->v, room * sizeof *v);

		if (v == NULL)
			return -ENOMEM;
		t->v = v;
		s->room = room;
	}
	*item = t->n++;
	t->v[*item] = (struct lvm_item){ .kind = LVM_OTHER };
	if (*item == 0)
		return 0;
	if (*last == 0)
		t->v[in].first = *item;
	else
		t->v[*last].next = *item;
	*last = *item;
	return 0;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	       c == '.' || c == '+' || c == '/';
}

static size_t word(struct parser *s)
{
	size_t n = 0;

	blanks(s);
	while (s->p + n < s->end && is_word(s->p[n]))
		n++;
	return n;
}

/* "text", with \" and \\ in it; unescaped in place. */
static int string(struct parser *s, struct lvm_item *i)
{
	char *q = ++s->p;

	i->kind = LVM_STRING;
	i->text = q;
	for (; s->p < s->end && *s->p != '"'; s->p++) {
		if (*s->p == '\\' && s->p + 1 < s->end)
			s->p++;
		*q++ = *s->p;
	}
	if (s->p == s->end)
		return -EINVAL;
	s->p++;
	*q = '\0';
	return 0;
}

static int scalar(struct parser *s, struct lvm_item *i)
{
	size_t n;

	if (next(s) == '"')
		return string(s, i);
	n = word(s);
	if (n == 0)
		return -EINVAL;
	i->kind = LVM_NUMBER;
	i->number = 0;
	for (size_t k = 0; k < n; k++)
		if (s->p[k] < '0' || s->p[k] > '9' || !domu_mul(i->number, 10, &i->number) ||
		    !domu_add(i->number, (uint64_t)(s->p[k] - '0'), &i->number)) {
			i->kind = LVM_OTHER;
			break;
		}
	s->p += n;
	return 0;
}

static int value(struct parser *s, size_t item)
{
	size_t last = 0, member;
	int rc;

	if (!taken(s, '['))
		return scalar(s, &s->t->v[item]);
	s->t->v[item].kind = LVM_LIST;
	while (!taken(s, ']')) {
		if (last != 0 && !taken(s, ','))
			return -EINVAL;
		rc = add(s, item, &last, &member);
		if (rc == 0)
			rc = scalar(s, &s->t->v[member]);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* Up to the '}', or the end of the text. */
static int section(struct parser *s, size_t in, unsigned depth)
{
	size_t last = 0, item;

	if (depth > MAX_DEPTH)
		return -EINVAL;
	while (next(s) != '\0' && *s->p != '}') {
		size_t n = word(s);
		char *name = s->p, after;
		int rc = n > 0 ? add(s, in, &last, &item) : -EINVAL;

		if (rc != 0)
			return rc;
		s->t->v[item].name = name;
		s->p += n;
		after = next(s);
		if (after != '=' && after != '{')
			return -EINVAL;
		s->p++;
		name[n] = '\0';
		if (after == '=') {
			rc = value(s, item);
		} else {
			s->t->v[item].kind = LVM_SECTION;
			rc = section(s, item, depth + 1);
			if (rc == 0 && !taken(s, '}'))
				rc = -EINVAL;
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

int lvm_text_parse(char *bytes, size_t len, struct lvm_text *t)
{
	struct parser s = { .t = t, .p = bytes, .end = bytes + len };
	size_t last = 0, whole;
	int rc;

	*t = (struct lvm_text){ .bytes = bytes };
	/* The metadata ends with a NUL of its own. */
	s.end = bytes + strnlen(bytes, len);
	rc = add(&s, 0, &last, &whole);
	if (rc == 0) {
		t->v[0].kind = LVM_SECTION;
		rc = section(&s, 0, 0);
	}
	if (rc == 0 && s.p != s.end)
		rc = -EINVAL;
	if (rc != 0)
		lvm_text_free(t);
	return rc;
}

void lvm_text_free(struct lvm_text *t)
{
	free(t->bytes);
	free(t->v);
	*t = (struct lvm_text){ 0 };
}

size_t lvm_text_find(const struct lvm_text *t, size_t in, const char *name, enum lvm_kind kind)
{
	for (size_t i = t->v[in].first; i != 0; i = t->v[i].next)
		if (t->v[i].name != NULL && t->v[i].kind == kind && strcmp(t->v[i].name, name) == 0)
			return i;
	return 0;
}

const char *lvm_text_string(const struct lvm_text *t, size_t in, const char *name)
{
	size_t i = lvm_text_find(t, in, name, LVM_STRING);

	return i != 0 ? t->v[i].text : NULL;
}

bool lvm_text_number(const struct lvm_text *t, size_t in, const char *name, uint64_t *n)
{
	size_t i = lvm_text_find(t, in, name, LVM_NUMBER);

	*n = t->v[i].number;
	return i != 0;
}

bool lvm_text_lists(const struct lvm_text *t, size_t in, const char *name, const char *word)
{
	size_t i = lvm_text_find(t, in, name, LVM_LIST);

	for (i = i != 0 ? t->v[i].first : 0; i != 0; i = t->v[i].next)
		if (t->v[i].kind == LVM_STRING && strcmp(t->v[i].text, word) == 0)
			return true;
	return false;
}
