# SPDX-License-Identifier: GPL-3.0-or-later
# The driver's own sources are linked in, so that sanitizers see them too; of the library only what they use.
FSEXT_TEST_SOURCES = tests/unit/fsext-util.c tests/unit/fsext-util.h tests/unit/own-mounts.h
FSEXT_TEST_LDADD = plugins/libfsext.a libdomu.a $(EXT2FS_LIBS) $(CRITERION_LIBS)
FSEXT_TESTS = tests/unit/test-fsext-open tests/unit/test-fsext-read tests/unit/test-fsext-change tests/unit/test-fsext-mutants \
	tests/unit/test-fsext-suspects tests/unit/test-fsext-parts tests/unit/test-fsext-ahead
check_PROGRAMS += $(FSEXT_TESTS)
TESTS += $(FSEXT_TESTS)

tests_unit_test_fsext_read_SOURCES = tests/unit/test-fsext-read.c $(FSEXT_TEST_SOURCES)
tests_unit_test_fsext_read_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fsext_read_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fsext_read_LDADD = $(FSEXT_TEST_LDADD)

tests_unit_test_fsext_change_SOURCES = tests/unit/test-fsext-change.c $(FSEXT_TEST_SOURCES)
tests_unit_test_fsext_change_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fsext_change_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fsext_change_LDADD = $(FSEXT_TEST_LDADD)

tests_unit_test_fsext_mutants_SOURCES = tests/unit/test-fsext-mutants.c $(FSEXT_TEST_SOURCES)
tests_unit_test_fsext_mutants_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fsext_mutants_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fsext_mutants_LDADD = $(FSEXT_TEST_LDADD)

tests_unit_test_fsext_open_SOURCES = tests/unit/test-fsext-open.c $(FSEXT_TEST_SOURCES)
tests_unit_test_fsext_open_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fsext_open_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fsext_open_LDADD = $(FSEXT_TEST_LDADD)

tests_unit_test_fsext_suspects_SOURCES = tests/unit/test-fsext-suspects.c $(FSEXT_TEST_SOURCES)
tests_unit_test_fsext_suspects_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fsext_suspects_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fsext_suspects_LDADD = $(FSEXT_TEST_LDADD)

tests_unit_test_fsext_parts_SOURCES = tests/unit/test-fsext-parts.c $(FSEXT_TEST_SOURCES)
tests_unit_test_fsext_parts_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fsext_parts_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fsext_parts_LDADD = $(FSEXT_TEST_LDADD)

tests_unit_test_fsext_ahead_SOURCES = tests/unit/test-fsext-ahead.c $(FSEXT_TEST_SOURCES)
tests_unit_test_fsext_ahead_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fsext_ahead_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fsext_ahead_LDADD = $(FSEXT_TEST_LDADD)
