/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-shell-words.c - lines of the shell: quotes, separators, pipes; sh itself is asked what a quoted line means. */
#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "shell/words.h"

static struct domu_ctx ctx;

static void init(void)
{
	domu_ctx_init(&ctx);
}

static void fini(void)
{
	domu_ctx_free(&ctx);
}

TestSuite(words, .init = init, .fini = fini);

static int parse(const char *text, struct domu_line *l)
{
	domu_error_clear(&ctx);
	return domu_line_parse(&ctx, text, l);
}

/* The words of the only command in text, each in <>. */
static void shown(const char *text, char *out, size_t size)
{
	struct domu_line l;
	size_t n = 0;

	out[0] = '\0';
	cr_assert_eq(parse(text, &l), 0, "%s", text);
	cr_assert_eq(l.n, 1, "%s", text);
	for (size_t i = 0; i < l.v[0].n; i++)
		n += (size_t)snprintf(out + n, size - n, "<%s>", l.v[0].words[i].text);
	domu_line_free(&l);
}

Test(words, quoting_is_what_sh_makes_of_it)
{
	static const char *const lines[] = {
		"a b  c",
		"'a b' \"c d\"",
		"a\\ b c",
		"x'y z'w",
		"\"a\\\"b\" 'c\\d'",
		"\"a\\\\b\" a\\\\b",
		"'it'\\''s'",
		"\"\" ''",
		"a\"\"b",
		"\"a'b\" 'c\"d'",
		"\"a;b|c>d\"",
		"a\\;b\\|c",
		"one # two three",
		"a#b c#d",
		"\"new\nline\"",
		"a\\\nb c",
		"  lead",
		"\"x\\y\"",
	};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		char ours[256], theirs[256] = "", *command;
		FILE *f;
		size_t n;

		shown(lines[i], ours, sizeof ours);
		cr_assert_gt(asprintf(&command, "printf '<%%s>' %s", lines[i]), 0);
		f = popen(command, "r");
		n = fread(theirs, 1, sizeof theirs - 1, f);
		theirs[n] = '\0';
		cr_assert_eq(pclose(f), 0);
		cr_expect_str_eq(ours, theirs, "%s", lines[i]);
		free(command);
	}
}

Test(words, commands_end_at_semicolons_and_lines)
{
	struct domu_line l;

	cr_assert_eq(parse("a 1; b\n\n# only a comment\n;;c 'x;y' # more\nd", &l), 0);
	cr_assert_eq(l.n, 4);
	cr_expect_str_eq(l.v[2].words[1].text, "x;y");
	cr_expect_eq(l.v[2].n, 2);
	cr_expect_eq(l.v[0].line, 1);
	cr_expect_eq(l.v[1].line, 1);
	cr_expect_eq(l.v[2].line, 4);
	cr_expect_eq(l.v[3].line, 5);
	domu_line_free(&l);
	cr_assert_eq(parse(" \t# nothing\n", &l), 0);
	cr_expect_eq(l.n, 0);
	domu_line_free(&l);
}

Test(words, pipes_files_and_the_host)
{
	struct domu_line l;

	cr_assert_eq(parse("cat a | sort -t';' -k 2; ls >out; ls>> 'o p'; write /x <in; !echo a | b; pwd", &l), 0);
	cr_assert_eq(l.n, 6);
	cr_expect_str_eq(l.v[0].pipe, " sort -t';' -k 2");
	cr_expect_str_eq(l.v[1].out, "out");
	cr_expect_not(l.v[1].append);
	cr_expect_str_eq(l.v[2].out, "o p");
	cr_expect(l.v[2].append);
	cr_expect_str_eq(l.v[3].in, "in");
	cr_expect_eq(l.v[3].n, 2);
	cr_expect_str_eq(l.v[4].host, "echo a | b");
	cr_expect_eq(l.v[4].n, 0);
	cr_expect_str_eq(l.v[5].words[0].text, "pwd");
	domu_line_free(&l);
	cr_assert_eq(parse("find / ! -name x", &l), 0);
	cr_expect_str_eq(l.v[0].words[2].text, "!");
	domu_line_free(&l);
}

Test(words, what_makes_no_sense_is_usage)
{
	static const char *const wrong[] = { "ls >", "ls > ; pwd", "| sort", "ls |", "> file", "ls >a >b", "x < <" };

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct domu_line l;

		cr_expect_eq(parse(wrong[i], &l), -EINVAL, "%s", wrong[i]);
		cr_expect_eq(ctx.error.status, DOMU_USAGE, "%s", wrong[i]);
		cr_expect_eq(l.n, 0);
	}
}

Test(words, an_open_quote_wants_more)
{
	static const char *const open[] = { "a 'b", "a \"b", "a \\", "a; b 'c; d" };

	for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
		struct domu_line l;

		cr_expect_eq(parse(open[i], &l), -EAGAIN, "%s", open[i]);
		cr_expect_eq(ctx.error.status, DOMU_OK, "%s", open[i]);
	}
}

Test(words, only_what_is_not_quoted_is_a_pattern)
{
	struct domu_line l;

	cr_assert_eq(parse("ls a* 'b*' c\\* \"d\"* plain '['[x]", &l), 0);
	cr_assert_eq(l.v[0].n, 7);
	cr_expect_str_eq(l.v[0].words[1].pattern, "a*");
	cr_expect_null(l.v[0].words[2].pattern);
	cr_expect_null(l.v[0].words[3].pattern);
	cr_expect_str_eq(l.v[0].words[4].pattern, "d*");
	cr_expect_null(l.v[0].words[5].pattern);
	cr_expect_eq(fnmatch(l.v[0].words[6].pattern, "[x", 0), 0);
	cr_expect_neq(fnmatch(l.v[0].words[6].pattern, "[y", 0), 0);
	domu_line_free(&l);
}

/* Every name of two odd characters, quoted as completion does it, is one word with that text. */
Test(words, quoted_names_come_back)
{
	static const char odd[] = " \t;|<>'\"\\*?[]#!a$`&(){}~^";

	for (const char *p = odd; *p != '\0'; p++) {
		for (const char *q = odd; *q != '\0'; q++) {
			const char name[] = { *p, *q, '\0' };
			char *quoted = domu_word_quote(name, 0), *line;
			struct domu_line l;

			cr_assert_gt(asprintf(&line, "cat %s", quoted), 0);
			cr_assert_eq(parse(line, &l), 0, "%s", line);
			cr_assert_eq(l.n, 1, "%s", line);
			cr_assert_eq(l.v[0].n, 2, "%s", line);
			cr_expect_str_eq(l.v[0].words[1].text, name);
			cr_expect_null(l.v[0].words[1].pattern, "%s", line);
			domu_line_free(&l);
			free(quoted);
			free(line);
		}
	}
}

Test(words, partial_lines_for_completion)
{
	static const struct {
		const char *text;
		size_t n, start;
		const char *last;
		char quote;
	} cases[] = {
		{ "", 1, 0, "", 0 },
		{ "l", 1, 0, "l", 0 },
		{ "ls ", 2, 3, "", 0 },
		{ "ls /et", 2, 3, "/et", 0 },
		{ "pwd; ls /e", 2, 8, "/e", 0 },
		{ "ls 'a b", 2, 3, "a b", '\'' },
		{ "ls \"a b", 2, 3, "a b", '"' },
		{ "ls a\\ b", 2, 3, "a b", 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct domu_line_command c;
		size_t start;
		char quote;

		cr_assert_eq(domu_line_partial(cases[i].text, &c, &start, &quote), 0);
		cr_assert_eq(c.n, cases[i].n, "'%s': %zu", cases[i].text, c.n);
		cr_expect_eq(start, cases[i].start, "'%s': %zu", cases[i].text, start);
		cr_expect_str_eq(c.words[c.n - 1].text, cases[i].last);
		cr_expect_eq(quote, cases[i].quote, "'%s'", cases[i].text);
		domu_line_command_free(&c);
	}
}

Test(words, after_a_pipe_or_file_it_is_the_host)
{
	static const char *const lines[] = { "ls | so", "ls > /tm", "!ec", "cat < /et" };

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct domu_line_command c;
		size_t start;
		char quote;

		cr_assert_eq(domu_line_partial(lines[i], &c, &start, &quote), 0);
		cr_expect_not_null(c.host, "%s", lines[i]);
		domu_line_command_free(&c);
	}
}

/* Whatever is typed: an answer, and nothing left behind. */
Test(words, random_lines)
{
	static const char alphabet[] = "ab ;|<>'\"\\*#!\n\t[";
	uint32_t seed = 1;

	for (int i = 0; i < 50000; i++) {
		char text[24];
		struct domu_line_command c;
		struct domu_line l;
		size_t n, start;
		char quote;

		for (n = 0; n < sizeof text - 1; n++) {
			seed = seed * 1664525 + 1013904223;
			text[n] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
		}
		text[n] = '\0';
		if (parse(text, &l) == 0)
			domu_line_free(&l);
		cr_assert_eq(domu_line_partial(text, &c, &start, &quote), 0);
		cr_assert_leq(start, n);
		domu_line_command_free(&c);
	}
}
