# SPDX-License-Identifier: GPL-3.0-or-later
EXTRA_PROGRAMS = tests/bench/commit
tests_bench_commit_SOURCES = tests/bench/commit.c
tests_bench_commit_CFLAGS = $(AM_CFLAGS)
tests_bench_commit_LDADD = libdomu.a $(DOMU_LIBS)

bench: config.h all-am tests/bench/commit
	DOMU=$(abs_builddir)/domu-rescue COMMIT=$(abs_builddir)/tests/bench/commit $(top_srcdir)/tests/bench/run $(BENCH_DIR)

bench-tar: all-am
	DOMU=$(abs_builddir)/domu-rescue $(top_srcdir)/tests/bench/tar.sh $(BENCH_DIR)

bench-large: all-am
	DOMU=$(abs_builddir)/domu-rescue $(top_srcdir)/tests/bench/large.sh $(BENCH_DIR)
.PHONY: bench bench-tar bench-large
