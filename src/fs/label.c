/* SPDX-License-Identifier: GPL-3.0-or-later */
/* label.c - file_contexts: which label a path has, by the rules of libselinux (selabel_file(5)). */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "fs/label.h"
#include "fs/lib-pcre2.h"

DOMU_LIB_DEFINE(pcre2, DOMU_PCRE2_CALLS, PCRE2_SONAME);

#define META          ".^$?*+|[({"
#define MATCH_LIMIT   100000u /* steps: a guest's expression may be made to take for ever */
#define FIND_SECONDS  2 /* of the processor: so may many of them; a policy takes some milliseconds */
#define LOOK_EVERY    64u /* expressions */
#define DEPTH_LIMIT   10000u
#define HEAP_LIMIT_KB 16384u

struct spec {
	const char *regex;
	const char *context;
	uint32_t mode; /* of the only type that it is for, or 0 */
	size_t stem; /* length of a first directory without special characters, which is not part of the match */
	pcre2_code_8 *code; /* compiled at first use */
	bool exact; /* no special characters at all: wins over those with */
	bool bad; /* does not compile */
};

struct sub {
	const char *from, *to;
};

struct domu_labels {
	struct domu_label_texts texts; /* the strings below are in them */
	struct spec *specs;
	size_t n, cap;
	struct sub *subs[2];
	size_t n_subs[2];
	pcre2_match_context_8 *limits;
	pcre2_match_data_8 *found;
	unsigned asked; /* expressions, of the path that is looked for */
	time_t until; /* of the processor's time */
	bool gave_up, told;
};

/* ---- reading ------------------------------------------------------------------- */

/* The next word of a line, ended in place. */
static char *take_word(char **rest)
{
	char *word = *rest, *end;

	while (isspace((unsigned char)*word))
		word++;
	for (end = word; *end != '\0' && !isspace((unsigned char)*end); end++)
		;
	*rest = *end != '\0' ? end + 1 : end;
	*end = '\0';
	return *word != '\0' ? word : NULL;
}

static char *take_line(char **text)
{
	char *line;

	do {
		line = strsep(text, "\n");
		while (line != NULL && isspace((unsigned char)*line))
			line++;
	} while (line != NULL && (*line == '#' || *line == '\0'));
	return line;
}

static bool type_of(const char *word, uint32_t *mode)
{
	static const char letters[] = "-bcdpls";
	static const uint32_t modes[] = { S_IFREG, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFSOCK };
	const char *at = strlen(word) == 2 && word[0] == '-' ? strchr(letters, word[1]) : NULL;

	if (at == NULL)
		return false;
	*mode = modes[at - letters];
	return true;
}

static size_t stem_of_spec(const char *regex)
{
	const char *slash = regex[0] != '\0' ? strchr(regex + 1, '/') : NULL;
	size_t len = slash != NULL ? (size_t)(slash - regex) : 0;

	return strcspn(regex, META) < len ? 0 : len;
}

static bool is_exact(const char *regex)
{
	for (; *regex != '\0'; regex++) {
		if (strchr(META, *regex) != NULL)
			return false;
		if (*regex == '\\' && regex[1] != '\0')
			regex++;
	}
	return true;
}

static int read_contexts(struct domu_labels *l, char *text)
{
	char *line;

	while ((line = take_line(&text)) != NULL) {
		struct spec s = { .regex = take_word(&line) };
		char *second = take_word(&line), *third = take_word(&line);

		s.context = third != NULL ? third : second;
		if (s.regex == NULL || s.context == NULL || (third != NULL && !type_of(second, &s.mode)))
			continue;
		if (!DOMU_ARRAY_ROOM(l->specs, l->cap, l->n + 1))
			return -ENOMEM;
		s.stem = stem_of_spec(s.regex);
		s.exact = is_exact(s.regex);
		l->specs[l->n++] = s;
	}
	return 0;
}

static int read_subs(struct domu_labels *l, unsigned which, char *text)
{
	size_t cap = 0;
	char *line;

	while ((line = take_line(&text)) != NULL) {
		struct sub s = { .from = take_word(&line) };

		s.to = take_word(&line);
		if (s.from == NULL || s.to == NULL)
			continue;
		if (!DOMU_ARRAY_ROOM(l->subs[which], cap, l->n_subs[which] + 1))
			return -ENOMEM;
		l->subs[which][l->n_subs[which]++] = s;
	}
	return 0;
}

int domu_labels_new(struct domu_label_texts *texts, struct domu_labels **labels)
{
	struct domu_labels *l = calloc(1, sizeof *l), none = { .texts = *texts };
	int rc = 0;

	*labels = NULL;
	memset(texts, 0, sizeof *texts);
	if (l == NULL) {
		for (unsigned i = 0; i < 5; i++)
			free(i < 3 ? none.texts.contexts[i] : none.texts.subs[i - 3]);
		return -ENOMEM;
	}
	l->texts = none.texts;
	for (unsigned i = 0; rc == 0 && i < 3; i++)
		rc = read_contexts(l, l->texts.contexts[i]);
	for (unsigned i = 0; rc == 0 && i < 2; i++)
		rc = read_subs(l, i, l->texts.subs[i]);
	if (rc == 0) {
		l->limits = pcre2_match_context_create_8(NULL);
		l->found = pcre2_match_data_create_8(1, NULL);
		rc = l->limits == NULL || l->found == NULL ? -ENOMEM : 0;
	}
	if (rc != 0) {
		domu_labels_free(l);
		return rc;
	}
	pcre2_set_match_limit_8(l->limits, MATCH_LIMIT);
	pcre2_set_depth_limit_8(l->limits, DEPTH_LIMIT);
	pcre2_set_heap_limit_8(l->limits, HEAP_LIMIT_KB);
	*labels = l;
	return 0;
}

void domu_labels_free(struct domu_labels *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->n; i++)
		if (l->specs[i].code != NULL)
			pcre2_code_free_8(l->specs[i].code);
	for (unsigned i = 0; i < 3; i++)
		free(l->texts.contexts[i]);
	for (unsigned i = 0; i < 2; i++) {
		free(l->texts.subs[i]);
		free(l->subs[i]);
	}
	if (l->limits != NULL)
		pcre2_match_context_free_8(l->limits);
	if (l->found != NULL)
		pcre2_match_data_free_8(l->found);
	free(l->specs);
	free(l);
}

/* ---- finding --------------------------------------------------------------------- */

/*
 * Most specifications begin with text that the path has not: that is seen
 * before they are compiled.  Where an expression has alternatives the text may
 * belong to one of them only.
 */
static bool begins_otherwise(const char *regex, const char *path)
{
	if (strchr(regex, '|') != NULL && (regex[0] != '/' || strchr(regex, '[') != NULL))
		return false;
	for (int depth = 0, i = 0; regex[i] != '\0'; i++) {
		if (regex[i] == '\\' && regex[i + 1] != '\0')
			i++;
		else if (regex[i] == '(' || regex[i] == ')')
			depth += regex[i] == '(' ? 1 : -1;
		else if (regex[i] == '|' && depth <= 0)
			return false;
	}
	for (; *regex != '\0'; regex++, path++) {
		char c = *regex;
		bool escaped = c == '\\';

		if (escaped)
			c = *++regex;
		if (escaped ? !ispunct((unsigned char)c) : strchr(META, c) != NULL)
			return false;
		if (regex[1] != '\0' && strchr("?*{", regex[1]) != NULL)
			return false;
		if (c != *path)
			return true;
	}
	return false;
}

static int compile(struct spec *s)
{
	size_t len = strlen(s->regex + s->stem), offset;
	char *anchored = malloc(len + 3);
	int error;

	if (anchored == NULL)
		return -ENOMEM;
	anchored[0] = '^';
	memcpy(anchored + 1, s->regex + s->stem, len);
	memcpy(anchored + 1 + len, "$", 2);
	s->code = pcre2_compile_8((PCRE2_SPTR8)anchored, len + 2, PCRE2_DOTALL, &error, &offset, NULL);
	s->bad = s->code == NULL;
	free(anchored);
	return 0;
}

static time_t cpu_seconds(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec;
}

bool domu_labels_gave_up(struct domu_labels *l)
{
	bool now = l->gave_up && !l->told;

	l->told = l->gave_up;
	return now;
}

static bool matches(struct domu_labels *l, struct spec *s, const char *path, size_t stem, uint32_t type)
{
	const char *rest = path + s->stem;

	if ((s->mode != 0 && s->mode != type) || s->bad)
		return false;
	if (s->stem != 0 && (s->stem != stem || memcmp(s->regex, path, stem) != 0))
		return false;
	if (begins_otherwise(s->regex + s->stem, rest))
		return false;
	if (l->gave_up || (s->code == NULL && (compile(s) != 0 || s->code == NULL)))
		return false;
	if (++l->asked % LOOK_EVERY == 0)
		l->gave_up = cpu_seconds() > l->until;
	return pcre2_match_8(s->code, (PCRE2_SPTR8)rest, strlen(rest), 0, 0, l->found, l->limits) >= 0;
}

/* The last line that fits counts, as in libselinux.  NULL: none does, or no memory. */
static char *substitute(const struct sub *subs, size_t n, const char *path)
{
	char *out = NULL;

	while (n-- > 0) {
		size_t len = strlen(subs[n].from);

		if (strncmp(path, subs[n].from, len) != 0 || (path[len] != '/' && path[len] != '\0'))
			continue;
		if (path[len] == '/' && strcmp(subs[n].to, "/") == 0)
			len++;
		if (asprintf(&out, "%s%s", subs[n].to, path + len) < 0)
			out = NULL;
		break;
	}
	return out;
}

const char *domu_labels_find(struct domu_labels *l, const char *path, uint32_t mode)
{
	char *local = substitute(l->subs[0], l->n_subs[0], path);
	char *dist = substitute(l->subs[1], l->n_subs[1], local != NULL ? local : path);
	const char *context = NULL, *slash;
	size_t stem;

	l->asked = 0;
	l->until = cpu_seconds() + FIND_SECONDS;
	path = dist != NULL ? dist : local != NULL ? local : path;
	slash = path[0] != '\0' ? strchr(path + 1, '/') : NULL;
	stem = slash != NULL ? (size_t)(slash - path) : 0;
	for (int exact = 1; context == NULL && exact >= 0; exact--)
		for (size_t i = l->n; context == NULL && i-- > 0;)
			if (l->specs[i].exact == (exact != 0) && matches(l, &l->specs[i], path, stem, mode & S_IFMT))
				context = l->specs[i].context;
	free(local);
	free(dist);
	return context != NULL && !l->gave_up && strcmp(context, "<<none>>") != 0 ? context : NULL;
}
