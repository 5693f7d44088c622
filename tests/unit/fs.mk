# SPDX-License-Identifier: GPL-3.0-or-later
check_PROGRAMS += tests/unit/test-fs-proxy
TESTS += tests/unit/test-fs-proxy
tests_unit_test_fs_proxy_SOURCES = tests/unit/test-fs-proxy.c tests/unit/memfs.c tests/unit/memfs.h
tests_unit_test_fs_proxy_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fs_proxy_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fs_proxy_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/test-fs-walk
TESTS += tests/unit/test-fs-walk
tests_unit_test_fs_walk_SOURCES = tests/unit/test-fs-walk.c tests/unit/memfs.c tests/unit/memfs.h
tests_unit_test_fs_walk_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fs_walk_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fs_walk_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/test-fs-tree
TESTS += tests/unit/test-fs-tree
tests_unit_test_fs_tree_SOURCES = tests/unit/test-fs-tree.c
tests_unit_test_fs_tree_CFLAGS = $(UNIT_CFLAGS) -DBUILDDIR='"$(abs_top_builddir)"'
tests_unit_test_fs_tree_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fs_tree_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/test-fs-treeio
TESTS += tests/unit/test-fs-treeio
tests_unit_test_fs_treeio_SOURCES = tests/unit/test-fs-treeio.c tests/unit/memfs.c tests/unit/memfs.h
tests_unit_test_fs_treeio_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fs_treeio_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fs_treeio_LDADD = $(UNIT_LDADD)
