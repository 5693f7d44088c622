# SPDX-License-Identifier: GPL-3.0-or-later
check_PROGRAMS += tests/unit/test-base-values
TESTS += tests/unit/test-base-values
tests_unit_test_base_values_SOURCES = tests/unit/test-base-values.c
tests_unit_test_base_values_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_base_values_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_base_values_LDADD = libdomu.a $(DOMU_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/test-base-msg
TESTS += tests/unit/test-base-msg
tests_unit_test_base_msg_SOURCES = tests/unit/test-base-msg.c
tests_unit_test_base_msg_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_base_msg_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_base_msg_LDADD = libdomu.a $(DOMU_LIBS) $(CRITERION_LIBS)
# The plugins that it loads take the library from it.
check_PROGRAMS += tests/unit/test-base-plugins
TESTS += tests/unit/test-base-plugins
tests_unit_test_base_plugins_SOURCES = tests/unit/test-base-plugins.c
tests_unit_test_base_plugins_CFLAGS = $(UNIT_CFLAGS) -DBUILDDIR='"$(abs_top_builddir)"'
tests_unit_test_base_plugins_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_base_plugins_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/test-base-ahead
TESTS += tests/unit/test-base-ahead
tests_unit_test_base_ahead_SOURCES = tests/unit/test-base-ahead.c
tests_unit_test_base_ahead_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_base_ahead_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_base_ahead_LDADD = libdomu.a $(DOMU_LIBS) $(CRITERION_LIBS)
