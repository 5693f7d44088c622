/* SPDX-License-Identifier: GPL-3.0-or-later */
/* grep-perl.c - grep -P: expressions of Perl, by libpcre2, whose work on a line has a limit. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/lib-pcre2.h"
#include "shell/grep.h"

/* A pattern that goes back and forth over a line of a hostile file is given up: some 20 ms. */
#define MATCH_LIMIT   1000000
#define DEPTH_LIMIT   100000
#define HEAP_LIMIT_KB (32u << 10)

struct domu_grep_perl {
	pcre2_code_8 *code;
	pcre2_match_context_8 *limits;
	pcre2_match_data_8 *found;
};

int domu_grep_perl_load(struct domu_ctx *ctx)
{
	return domu_lib_load(ctx, &domu_lib_pcre2);
}

bool domu_grep_perl_loaded(void)
{
	return domu_lib_pcre2.loaded;
}

static int compile(struct domu_ctx *ctx, struct domu_grep_perl *p, const struct domu_grep_perl_opts *o,
                   const char *pattern, size_t len)
{
	uint32_t options =
	    PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C | (o->icase ? PCRE2_CASELESS : 0);
	unsigned char why[160] = "";
	char *text;
	PCRE2_SIZE at;
	int error, n;

	n = asprintf(&text, "%s%.*s%s",
	             o->line   ? "^(?:"
	             : o->word ? "(?<!\\w)(?:"
	                       : "",
	             (int)len, pattern,
	             o->line   ? ")$"
	             : o->word ? ")(?!\\w)"
	                       : "");
	if (n < 0)
		return domu_nomem(ctx);
	p->code = pcre2_compile_8((PCRE2_SPTR8)text, (PCRE2_SIZE)n, options, &error, &at, NULL);
	free(text);
	if (p->code != NULL)
		return 0;
	pcre2_get_error_message_8(error, why, sizeof why);
	return domu_fail(ctx, DOMU_USAGE, -EINVAL, "grep: '%.*s': %s", (int)len, pattern, (const char *)why);
}

int domu_grep_perl_new(struct domu_ctx *ctx, const struct domu_grep_perl_opts *o, const char *pattern, size_t len,
                       struct domu_grep_perl **out)
{
	struct domu_grep_perl *p;
	int rc = domu_lib_load(ctx, &domu_lib_pcre2);

	*out = NULL;
	if (rc == -ELIBACC)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "grep: -P needs libpcre2, which is not there");
	if (rc != 0)
		return rc;
	p = calloc(1, sizeof *p);
	if (p == NULL)
		return domu_nomem(ctx);
	rc = compile(ctx, p, o, pattern, len);
	if (rc == 0) {
		p->limits = pcre2_match_context_create_8(NULL);
		p->found = pcre2_match_data_create_8(1, NULL);
		rc = p->limits != NULL && p->found != NULL ? 0 : domu_nomem(ctx);
	}
	if (rc != 0) {
		domu_grep_perl_free(p);
		return rc;
	}
	pcre2_set_match_limit_8(p->limits, MATCH_LIMIT);
	pcre2_set_depth_limit_8(p->limits, DEPTH_LIMIT);
	pcre2_set_heap_limit_8(p->limits, HEAP_LIMIT_KB);
	*out = p;
	return 0;
}

void domu_grep_perl_free(struct domu_grep_perl *p)
{
	if (p == NULL)
		return;
	if (p->code != NULL)
		pcre2_code_free_8(p->code);
	if (p->limits != NULL)
		pcre2_match_context_free_8(p->limits);
	if (p->found != NULL)
		pcre2_match_data_free_8(p->found);
	free(p);
}

int domu_grep_perl_match(struct domu_grep_perl *p, const char *line, size_t len, size_t from, struct domu_grep_hit *hit)
{
	int rc = pcre2_match_8(p->code, (PCRE2_SPTR8)line, len, from, 0, p->found, p->limits);
	const PCRE2_SIZE *v;

	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc < 0)
		return -E2BIG;
	v = pcre2_get_ovector_pointer_8(p->found);
	/* \K may put the begin behind the end. */
	*hit = (struct domu_grep_hit){ v[0] < v[1] ? v[0] : v[1], v[1] };
	return 1;
}
