/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-shell-args.c - a command's words and the global options, taken apart. */
#include "config.h"

#include <string.h>

#include <criterion/criterion.h>

#include "shell/command.h"

static int nothing(struct domu_run *r)
{
	(void)r;
	return 0;
}

static const struct domu_option options[] = {
	{ "all", 'a', NULL, "a flag" },
	{ NULL, 'l', NULL, "a letter alone" },
	{ "lines", 'n', "NUM", "a value" },
	{ "name-only", 0, NULL, "a long name alone" },
	{ "quiet", 'q', NULL, "shadows the global one" },
	{ NULL, 0, NULL, NULL },
};
static const struct domu_arg paths[] = { { "GUEST:PATH", ARG_GUEST_PATH, COUNT_SOME }, { NULL, ARG_NONE, COUNT_ONE } };
static const struct domu_arg dirs[] = { { "GUEST:PATH", ARG_GUEST_DIR, COUNT_SOME }, { NULL, ARG_NONE, COUNT_ONE } };
static const struct domu_arg size[] = { { "GUEST", ARG_GUEST, COUNT_ONE },
	                                { "SIZE", ARG_SIZE, COUNT_ONE },
	                                { NULL, ARG_NONE, COUNT_ONE } };
static const struct domu_arg copy[] = { { "SRC", ARG_ANY_PATH, COUNT_SOME },
	                                { "DST", ARG_HOST_PATH, COUNT_ONE },
	                                { NULL, ARG_NONE, COUNT_ONE } };
static const struct domu_arg mode[] = { { "MODE", ARG_MODE, COUNT_ONE },
	                                { "GUEST:PATH", ARG_GUEST_PATH, COUNT_SOME },
	                                { NULL, ARG_NONE, COUNT_ONE } };

static const struct domu_command reads = { .name = "reads", .args = paths, .options = options, .front = nothing };
static const struct domu_command lists = { .name = "lists", .args = dirs, .options = options, .front = nothing };
static const struct domu_command sizes = { .name = "sizes", .args = size, .front = nothing, .needs = NEED_WRITE };
static const struct domu_command copies = { .name = "copies", .args = copy, .front = nothing };
static const struct domu_command modes = { .name = "modes", .args = mode, .front = nothing };
static const struct domu_command finds = { .name = "finds", .args = dirs, .front = nothing, .needs = RAW_ARGS };

static struct domu_ctx ctx;

static int parse(const struct domu_command *c, bool in_shell, struct domu_args **a, const char *const *words)
{
	int argc = 0;

	domu_error_clear(&ctx);
	while (words[argc] != NULL)
		argc++;
	return domu_args_parse(&ctx, c, argc, (char *const *)words, in_shell, a);
}

#define PARSE(c, in_shell, a, ...) parse(c, in_shell, a, (const char *const[]){ (c)->name, ##__VA_ARGS__, NULL })

static void init(void)
{
	domu_ctx_init(&ctx);
}

static void fini(void)
{
	domu_ctx_free(&ctx);
}

TestSuite(args, .init = init, .fini = fini);
TestSuite(globals, .init = init, .fini = fini);

Test(args, options_stand_anywhere_and_letters_cluster)
{
	struct domu_args *a;

	cr_assert_eq(PARSE(&reads, false, &a, "g:/x", "-al", "g:/y", "--name-only", "-n5"), 0);
	cr_expect_eq(domu_args_count(a), 2);
	cr_expect_str_eq(domu_args_get(a, 1), "g:/y");
	cr_expect(domu_args_flag(a, "all") && domu_args_flag(a, "a") && domu_args_flag(a, "l"));
	cr_expect(domu_args_flag(a, "name-only"));
	cr_expect_not(domu_args_flag(a, "q"));
	cr_expect_str_eq(domu_args_value(a, "lines"), "5");
	domu_args_free(a);
}

Test(args, a_value_in_every_form)
{
	static const char *const forms[][3] = {
		{ "-n", "7", NULL },      { "-n7", NULL }, { "--lines=7", NULL },
		{ "--lines", "7", NULL }, { "-7", NULL },  { "-an7", NULL },
	};

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct domu_args *a;

		cr_assert_eq(PARSE(&reads, false, &a, "g:/x", forms[i][0], forms[i][1]), 0, "form %zu", i);
		cr_expect_str_eq(domu_args_value(a, "n"), "7", "form %zu", i);
		cr_expect_eq(domu_args_count(a), 1);
		domu_args_free(a);
	}
}

Test(args, the_last_value_counts_and_all_can_be_had)
{
	struct domu_args *a;

	cr_assert_eq(PARSE(&reads, false, &a, "-n1", "g:/x", "-n2", "-la"), 0);
	cr_expect_str_eq(domu_args_value(a, "n"), "2");
	cr_expect_str_eq(domu_args_value_at(a, "n", 0), "1");
	cr_expect_null(domu_args_value_at(a, "n", 2));
	cr_expect_eq(domu_args_last(a, "la"), 'a');
	domu_args_free(a);
}

Test(args, two_dashes_end_options)
{
	struct domu_args *a;

	cr_assert_eq(PARSE(&reads, false, &a, "-a", "--", "-l", "--lines"), 0);
	cr_expect_eq(domu_args_count(a), 2);
	cr_expect_str_eq(domu_args_get(a, 0), "-l");
	cr_expect_not(domu_args_flag(a, "l"));
	domu_args_free(a);
}

Test(args, a_dash_alone_is_an_operand)
{
	struct domu_args *a;

	cr_assert_eq(PARSE(&reads, false, &a, "-"), 0);
	cr_expect_str_eq(domu_args_get(a, 0), "-");
	domu_args_free(a);
}

Test(args, what_is_wrong_is_usage_and_named)
{
	static const struct {
		const char *word[3];
		const char *named;
	} wrong[] = {
		{ { "g:/x", "-z" }, "-z" },           { { "g:/x", "--zoo" }, "--zoo" },
		{ { "g:/x", "--all=1" }, "--all=1" }, { { "g:/x", "--lines" }, "--lines" },
		{ { "g:/x", "-n" }, "-n" },           { { NULL }, "GUEST:PATH" },
		{ { "g:/x", "-y" }, "-y" },
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct domu_args *a;

		cr_expect_neq(PARSE(&reads, false, &a, wrong[i].word[0], wrong[i].word[1]), 0);
		cr_expect_null(a);
		cr_expect_eq(ctx.error.status, DOMU_USAGE);
		cr_expect_not_null(strstr(ctx.error.message, wrong[i].named), "%s", ctx.error.message);
		cr_expect_not_null(strstr(ctx.error.message, "domu-rescue help reads"), "%s", ctx.error.message);
	}
}

Test(args, operands_are_counted)
{
	struct domu_args *a;

	cr_expect_neq(PARSE(&sizes, false, &a, "g"), 0);
	cr_expect_neq(PARSE(&sizes, false, &a, "g", "1G", "more"), 0);
	cr_expect_not_null(strstr(ctx.error.message, "more"));
	cr_expect_neq(PARSE(&copies, false, &a, "one"), 0);
	cr_expect_eq(PARSE(&copies, false, &a, "one", "two", "three"), 0);
	domu_args_free(a);
}

Test(args, in_the_shell_the_guest_is_left_out)
{
	struct domu_args *a;

	cr_assert_eq(PARSE(&sizes, true, &a, "1G"), 0);
	cr_expect_eq(domu_args_arg(a, 0)->type, ARG_SIZE);
	domu_args_free(a);
	cr_expect_neq(PARSE(&reads, true, &a), 0);
	cr_assert_eq(PARSE(&lists, true, &a), 0);
	domu_args_free(a);
	cr_expect_neq(PARSE(&lists, false, &a), 0);
}

Test(args, sizes_and_modes_may_begin_with_a_dash)
{
	struct domu_args *a;

	cr_assert_eq(PARSE(&sizes, false, &a, "g", "-5G"), 0);
	cr_expect_str_eq(domu_args_get(a, 1), "-5G");
	domu_args_free(a);
	cr_assert_eq(PARSE(&modes, false, &a, "-wx", "g:/x"), 0);
	cr_expect_str_eq(domu_args_get(a, 0), "-wx");
	domu_args_free(a);
	cr_expect_neq(PARSE(&modes, false, &a, "-z", "g:/x"), 0);
}

Test(args, y_is_yes_for_what_changes)
{
	struct domu_args *a;

	cr_assert_eq(PARSE(&sizes, false, &a, "-y", "g", "1G"), 0);
	cr_expect(domu_args_yes(a));
	domu_args_free(a);
}

Test(args, operands_know_their_argument)
{
	struct domu_args *a;

	cr_assert_eq(PARSE(&copies, false, &a, "1", "2", "3"), 0);
	cr_expect_eq(domu_args_arg(a, 0)->type, ARG_ANY_PATH);
	cr_expect_eq(domu_args_arg(a, 1)->type, ARG_ANY_PATH);
	cr_expect_eq(domu_args_arg(a, 2)->type, ARG_HOST_PATH);
	domu_args_free(a);
	cr_assert_eq(PARSE(&modes, false, &a, "644", "g:/1", "g:/2"), 0);
	cr_expect_eq(domu_args_arg(a, 0)->type, ARG_MODE);
	cr_expect_eq(domu_args_arg(a, 2)->type, ARG_GUEST_PATH);
	domu_args_free(a);
}

Test(args, words_parse_to_the_same)
{
	struct domu_args *a, *b;
	char **words;
	int argc;

	cr_assert_eq(PARSE(&reads, false, &a, "-l", "--lines=-3", "g:/x", "--name-only", "--", "-odd", ""), 0);
	words = domu_args_words(a, 0, domu_args_count(a), &argc);
	cr_assert_eq(domu_args_parse(&ctx, &reads, argc, words, false, &b), 0);
	cr_expect_eq(domu_args_count(b), 3);
	for (size_t i = 0; i < 3; i++)
		cr_expect_str_eq(domu_args_get(a, i), domu_args_get(b, i));
	cr_expect_str_eq(domu_args_value(b, "n"), "-3");
	cr_expect(domu_args_flag(b, "l") && domu_args_flag(b, "name-only"));
	domu_args_free(b);
	domu_words_free(words);
	/* A part of the operands, with all options. */
	words = domu_args_words(a, 1, 1, &argc);
	cr_assert_eq(domu_args_parse(&ctx, &reads, argc, words, false, &b), 0);
	cr_expect_eq(domu_args_count(b), 1);
	cr_expect_str_eq(domu_args_get(b, 0), "-odd");
	domu_args_free(b);
	domu_words_free(words);
	domu_args_free(a);
}

Test(args, raw_words_are_split_at_the_expression)
{
	struct domu_args *a;
	char *const *rest;
	size_t n;

	cr_assert_eq(PARSE(&finds, false, &a, "g:/a", "g:/b", "!", "-name", "*.c"), 0);
	cr_expect_eq(domu_args_count(a), 2);
	rest = domu_args_rest(a, &n);
	cr_assert_eq(n, 3);
	cr_expect_str_eq(rest[0], "!");
	cr_expect_null(rest[3]);
	domu_args_free(a);
}

/* ---- global options ------------------------------------------------------------------- */

static int take(struct domu_globals *g, const struct domu_command *c, const char *const *words, int *argc, char **argv)
{
	memset(g, 0, sizeof *g);
	domu_error_clear(&ctx);
	for (*argc = 0; words[*argc] != NULL; ++*argc)
		argv[*argc] = (char *)words[*argc];
	argv[*argc] = NULL;
	return domu_globals_take(&ctx, g, c, argc, argv);
}

#define TAKE(g, c, ...) take(g, c, (const char *const[]){ __VA_ARGS__, NULL }, &argc, argv)

Test(globals, before_the_command_letters_count)
{
	struct domu_globals g;
	char *argv[16];
	int argc;

	cr_assert_eq(TAKE(&g, NULL, "-ny", "--json", "-q", "--disk", "a", "--disk=b", "ls", "-n", "--quiet"), 0);
	cr_expect(g.dry_run && g.yes && g.json && g.quiet && !g.verbose);
	cr_expect_str_eq(g.disks[0], "a");
	cr_expect_str_eq(g.disks[1], "b");
	cr_expect_null(g.disks[2]);
	cr_assert_eq(argc, 3);
	cr_expect_str_eq(argv[0], "ls");
	cr_expect_str_eq(argv[1], "-n");
	domu_globals_free(&g);
	cr_expect_neq(TAKE(&g, NULL, "-x", "ls"), 0);
	cr_expect_neq(TAKE(&g, NULL, "--all", "ls"), 0);
	cr_expect_eq(ctx.error.status, DOMU_USAGE);
}

Test(globals, after_it_only_long_ones_and_not_behind_two_dashes)
{
	struct domu_globals g;
	char *argv[16];
	int argc;

	cr_assert_eq(TAKE(&g, &lists, "lists", "-n", "5", "--json", "g:/x", "--waive", "mounts", "--", "--yes"), 0);
	cr_expect(g.json && !g.dry_run && !g.yes);
	cr_expect_str_eq(g.waive[0], "mounts");
	cr_assert_eq(argc, 6);
	cr_expect_str_eq(argv[3], "g:/x");
	cr_expect_str_eq(argv[5], "--yes");
	cr_expect_null(argv[6]);
	domu_globals_free(&g);
}

Test(globals, a_command_s_own_option_goes_first)
{
	struct domu_globals g;
	char *argv[16];
	int argc;

	cr_assert_eq(TAKE(&g, &lists, "lists", "--quiet", "--lines", "--json", "x"), 0);
	cr_expect_not(g.quiet);
	cr_expect_not(g.json, "the value of --lines is no option");
	cr_expect_eq(argc, 5);
	domu_globals_free(&g);
}

Test(globals, wrong_values_are_usage)
{
	struct domu_globals g;
	char *argv[16];
	int argc;

	cr_expect_neq(TAKE(&g, &lists, "lists", "--engine", "magic"), 0);
	cr_expect_neq(TAKE(&g, &lists, "lists", "--progress=bars"), 0);
	cr_expect_neq(TAKE(&g, &lists, "lists", "--json=yes"), 0);
	cr_expect_neq(TAKE(&g, &lists, "lists", "--config"), 0);
	cr_expect_neq(TAKE(&g, &lists, "lists", "--state-dir="), 0);
	cr_expect_eq(ctx.error.status, DOMU_USAGE);
	cr_assert_eq(TAKE(&g, &lists, "lists", "--engine=guestfs", "--progress", "lines"), 0);
	cr_expect_str_eq(g.engine, "guestfs");
	cr_expect(g.progress_lines);
	domu_globals_free(&g);
}

Test(globals, every_one_of_the_table_is_taken)
{
	for (const struct domu_option *o = domu_global_options; o->name != NULL; o++) {
		char word[64], *argv[4] = { (char *)"lists", word, (char *)"lines", NULL };
		struct domu_globals g = { 0 };
		int argc = 3;

		if (strcmp(o->name, "engine") == 0)
			argv[2] = (char *)"auto";
		snprintf(word, sizeof word, "--%s", o->name);
		domu_error_clear(&ctx);
		if (strcmp(o->name, "quiet") == 0)
			continue;
		cr_expect_eq(domu_globals_take(&ctx, &g, &lists, &argc, argv), 0, "%s", word);
		cr_expect_eq(argc, o->value != NULL ? 1 : 2, "%s", word);
		domu_globals_free(&g);
	}
}

Test(globals, a_copy_is_its_own)
{
	struct domu_globals g, copy_of;
	char *argv[16];
	int argc;

	cr_assert_eq(TAKE(&g, NULL, "--disk", "a", "--yes", "ls"), 0);
	cr_assert_eq(domu_globals_copy(&ctx, &g, &copy_of), 0);
	cr_expect(copy_of.yes);
	cr_expect_neq((void *)copy_of.disks, (void *)g.disks);
	cr_expect_str_eq(copy_of.disks[0], "a");
	domu_globals_free(&copy_of);
	domu_globals_free(&g);
}
