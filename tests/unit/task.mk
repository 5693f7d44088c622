# SPDX-License-Identifier: GPL-3.0-or-later
TASK_TESTS = tests/unit/test-task-files tests/unit/test-task-regions
check_PROGRAMS += $(TASK_TESTS)
TESTS += $(TASK_TESTS)
tests_unit_test_task_files_SOURCES = tests/unit/test-task-files.c
tests_unit_test_task_files_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_task_files_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_task_files_LDADD = $(UNIT_LDADD)
tests_unit_test_task_regions_SOURCES = tests/unit/test-task-regions.c
tests_unit_test_task_regions_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_task_regions_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_task_regions_LDADD = $(UNIT_LDADD)
