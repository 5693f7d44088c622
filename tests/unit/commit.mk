# SPDX-License-Identifier: GPL-3.0-or-later
# Only what they use of the library is linked: no plugin calls into these programs.
COMMIT_RIG = tests/unit/commit-rig.c tests/unit/commit-rig.h
COMMIT_LDADD = libdomu.a $(DOMU_LIBS) $(CRITERION_LIBS)
COMMIT_TESTS = tests/unit/test-commit-basic tests/unit/test-commit-crash tests/unit/test-commit-state \
	tests/unit/test-commit-closed tests/unit/test-commit-doors
check_PROGRAMS += $(COMMIT_TESTS)
TESTS += $(COMMIT_TESTS)
tests_unit_test_commit_basic_SOURCES = tests/unit/test-commit-basic.c $(COMMIT_RIG)
tests_unit_test_commit_basic_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_commit_basic_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_commit_basic_LDADD = $(COMMIT_LDADD)
tests_unit_test_commit_crash_SOURCES = tests/unit/test-commit-crash.c $(COMMIT_RIG)
tests_unit_test_commit_crash_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_commit_crash_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_commit_crash_LDADD = $(COMMIT_LDADD)
tests_unit_test_commit_state_SOURCES = tests/unit/test-commit-state.c $(COMMIT_RIG)
tests_unit_test_commit_state_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_commit_state_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_commit_state_LDADD = $(COMMIT_LDADD)
tests_unit_test_commit_closed_SOURCES = tests/unit/test-commit-closed.c $(COMMIT_RIG)
tests_unit_test_commit_closed_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_commit_closed_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_commit_closed_LDADD = $(COMMIT_LDADD)
tests_unit_test_commit_doors_SOURCES = tests/unit/test-commit-doors.c $(COMMIT_RIG)
tests_unit_test_commit_doors_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_commit_doors_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_commit_doors_LDADD = $(COMMIT_LDADD)
