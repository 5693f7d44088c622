/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cat-show.c - cat with numbers and signs: -n -b -E -T -v -A -s as coreutils have them. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shell/cat.h"

#define OUT_BYTES 65536u
#define LONGEST   64u /* what one byte may become, with a line's number before it */

void domu_cat_options(struct domu_cat *c, const struct domu_args *a)
{
	bool all = domu_args_flag(a, "A"), e = domu_args_flag(a, "e"), t = domu_args_flag(a, "t");

	memset(c, 0, sizeof *c);
	c->number_filled = domu_args_flag(a, "b");
	c->number = domu_args_flag(a, "n") && !c->number_filled;
	c->ends = domu_args_flag(a, "E") || all || e;
	c->tabs = domu_args_flag(a, "T") || all || t;
	c->signs = domu_args_flag(a, "v") || all || e || t;
	c->squeeze = domu_args_flag(a, "s");
	c->any = c->number || c->number_filled || c->ends || c->tabs || c->signs || c->squeeze;
	c->line_start = true;
}

static size_t put_sign(char *out, unsigned char c)
{
	size_t n = 0;

	if (c >= 128) {
		out[n++] = 'M';
		out[n++] = '-';
		c = (unsigned char)(c - 128);
	}
	if (c < 32 || c == 127) {
		out[n++] = '^';
		c ^= 64;
	}
	out[n++] = (char)c;
	return n;
}

static size_t put_byte(struct domu_cat *c, char *out, unsigned char b)
{
	size_t n = 0;

	/* As coreutils: where ends are shown, the one before a newline is. */
	if (c->cr) {
		memcpy(out, b == '\n' ? "^M" : "\r", 2);
		n = b == '\n' ? 2 : 1;
		c->cr = false;
	}
	if (b == '\r' && c->ends && !c->signs && !c->line_start) {
		c->cr = true;
		return n;
	}
	if (b == '\n' && c->line_start) {
		if (c->squeeze && c->blank++ > 0)
			return 0;
	} else {
		c->blank = 0;
	}
	if (c->line_start && (c->number || (c->number_filled && b != '\n')))
		n += (size_t)snprintf(out + n, 32, "%6" PRIu64 "\t", ++c->lines);
	c->line_start = b == '\n';
	if (b == '\n') {
		if (c->ends)
			out[n++] = '$';
		out[n++] = '\n';
	} else if (b == '\t' && c->tabs) {
		n += put_sign(out + n, b);
	} else if (c->signs && b != '\t' && (b < 32 || b >= 127)) {
		n += put_sign(out + n, b);
	} else {
		out[n++] = (char)b;
	}
	return n;
}

int domu_cat_write(struct domu_cat *c, struct domu_run *r, const char *bytes, size_t len)
{
	char out[OUT_BYTES];
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < len; i++) {
		if (n > OUT_BYTES - LONGEST) {
			rc = domu_run_write(r, out, n);
			n = 0;
		}
		n += put_byte(c, out + n, (unsigned char)bytes[i]);
	}
	return rc == 0 && n > 0 ? domu_run_write(r, out, n) : rc;
}

int domu_cat_end(struct domu_cat *c, struct domu_run *r)
{
	return c->cr ? domu_run_write(r, "\r", 1) : 0;
}
