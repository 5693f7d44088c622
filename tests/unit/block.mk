# SPDX-License-Identifier: GPL-3.0-or-later
check_PROGRAMS += tests/unit/test-block-layers
TESTS += tests/unit/test-block-layers
tests_unit_test_block_layers_SOURCES = tests/unit/test-block-layers.c
tests_unit_test_block_layers_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_block_layers_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_block_layers_LDADD = libdomu.a $(DOMU_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/test-block-shim
TESTS += tests/unit/test-block-shim
tests_unit_test_block_shim_SOURCES = tests/unit/test-block-shim.c
tests_unit_test_block_shim_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_block_shim_CPPFLAGS = $(AM_CPPFLAGS) -DBUILDDIR='"$(abs_top_builddir)"'
tests_unit_test_block_shim_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_block_shim_LDADD = libdomu.a $(DOMU_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/test-block-table
TESTS += tests/unit/test-block-table
tests_unit_test_block_table_SOURCES = tests/unit/test-block-table.c
tests_unit_test_block_table_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_block_table_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_block_table_LDADD = libdomu.a $(DOMU_LIBS) $(CRITERION_LIBS)
