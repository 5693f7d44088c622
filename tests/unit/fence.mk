# SPDX-License-Identifier: GPL-3.0-or-later
check_PROGRAMS += tests/unit/test-fence-program
TESTS += tests/unit/test-fence-program
tests_unit_test_fence_program_SOURCES = tests/unit/test-fence-program.c
tests_unit_test_fence_program_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fence_program_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fence_program_LDADD = $(UNIT_LDADD)
