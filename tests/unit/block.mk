# SPDX-License-Identifier: GPL-3.0-or-later
check_PROGRAMS += tests/unit/test-block-layers
TESTS += tests/unit/test-block-layers
tests_unit_test_block_layers_SOURCES = tests/unit/test-block-layers.c
tests_unit_test_block_layers_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_block_layers_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_block_layers_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/test-block-shim
TESTS += tests/unit/test-block-shim
tests_unit_test_block_shim_SOURCES = tests/unit/test-block-shim.c
tests_unit_test_block_shim_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_block_shim_CPPFLAGS = $(AM_CPPFLAGS) -DBUILDDIR='"$(abs_top_builddir)"'
tests_unit_test_block_shim_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_block_shim_LDADD = $(UNIT_LDADD)
