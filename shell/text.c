/* SPDX-License-Identifier: GPL-3.0-or-later */
/* text.c - text that a worker writes in large pieces. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shell/text.h"

#define PIECE (192u * 1024)

static char *room(struct domu_text *t, size_t len)
{
	if (t->err != 0)
		return NULL;
	if (t->cap - t->len < len) {
		size_t cap = t->cap != 0 ? t->cap : PIECE + PIECE / 4;
		char *p;

		while (cap - t->len < len)
			cap *= 2;
		p = realloc(t->buf, cap);
		if (p == NULL) {
			t->err = -ENOMEM;
			return NULL;
		}
		t->buf = p;
		t->cap = cap;
	}
	return t->buf + t->len;
}

void domu_text_add(struct domu_text *t, const char *text, size_t len)
{
	char *p = t->cap - t->len >= len && t->err == 0 ? t->buf + t->len : room(t, len);

	if (p == NULL || len == 0)
		return;
	/* A blank, a newline: a call would take longer than the byte. */
	if (len == 1)
		*p = *text;
	else
		memcpy(p, text, len);
	t->len += len;
}

void domu_text_char(struct domu_text *t, char c)
{
	domu_text_add(t, &c, 1);
}

void domu_text_number(struct domu_text *t, uint64_t n)
{
	char digits[20], *p = digits + sizeof digits;

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	domu_text_add(t, p, (size_t)(digits + sizeof digits - p));
}

int domu_text_flush(struct domu_text *t)
{
	if (t->err == 0 && t->len > 0)
		t->err = t->flush(t->user, t->buf, t->len);
	t->len = 0;
	return t->err;
}

int domu_text_end(struct domu_text *t)
{
	return t->err == 0 && t->len >= PIECE ? domu_text_flush(t) : t->err;
}

void domu_text_free(struct domu_text *t)
{
	free(t->buf);
	t->buf = NULL;
	t->len = t->cap = 0;
}
