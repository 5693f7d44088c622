# SPDX-License-Identifier: GPL-3.0-or-later
# Only what they use of the library is linked: no plugin calls into these programs.
COMMIT_RIG = tests/unit/commit-rig.c tests/unit/commit-rig.h
COMMIT_LDADD = libdomu.a $(DOMU_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/test-commit-basic
TESTS += tests/unit/test-commit-basic
tests_unit_test_commit_basic_SOURCES = tests/unit/test-commit-basic.c $(COMMIT_RIG)
tests_unit_test_commit_basic_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_commit_basic_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_commit_basic_LDADD = $(COMMIT_LDADD)
