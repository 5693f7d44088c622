# SPDX-License-Identifier: GPL-3.0-or-later
SHELL_TESTS = tests/unit/test-shell-args tests/unit/test-shell-words tests/unit/test-shell-out \
	tests/unit/test-shell-table tests/unit/test-shell-find tests/unit/test-shell-fmt \
	tests/unit/test-shell-diff
check_PROGRAMS += $(SHELL_TESTS)
TESTS += $(SHELL_TESTS)
SHELL_TEST_LDADD = libdomushell.a $(UNIT_LDADD)
tests_unit_test_shell_args_SOURCES = tests/unit/test-shell-args.c
tests_unit_test_shell_args_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_shell_args_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_shell_args_LDADD = $(SHELL_TEST_LDADD)
tests_unit_test_shell_words_SOURCES = tests/unit/test-shell-words.c
tests_unit_test_shell_words_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_shell_words_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_shell_words_LDADD = $(SHELL_TEST_LDADD)
tests_unit_test_shell_out_SOURCES = tests/unit/test-shell-out.c
tests_unit_test_shell_out_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_shell_out_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_shell_out_LDADD = $(SHELL_TEST_LDADD)
tests_unit_test_shell_table_SOURCES = tests/unit/test-shell-table.c
tests_unit_test_shell_table_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_shell_table_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_shell_table_LDADD = $(SHELL_TEST_LDADD)
tests_unit_test_shell_find_SOURCES = tests/unit/test-shell-find.c
tests_unit_test_shell_find_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_shell_find_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_shell_find_LDADD = $(SHELL_TEST_LDADD)
tests_unit_test_shell_fmt_SOURCES = tests/unit/test-shell-fmt.c
tests_unit_test_shell_fmt_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_shell_fmt_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_shell_fmt_LDADD = $(SHELL_TEST_LDADD)
tests_unit_test_shell_diff_SOURCES = tests/unit/test-shell-diff.c
tests_unit_test_shell_diff_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_shell_diff_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_shell_diff_LDADD = $(SHELL_TEST_LDADD)
