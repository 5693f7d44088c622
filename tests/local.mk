# SPDX-License-Identifier: GPL-3.0-or-later
TESTS =
# A unit test links the library and Criterion; UNIT_LDADD and UNIT_CFLAGS are for each program.
UNIT_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
UNIT_LDFLAGS = $(AM_LDFLAGS) -Wl,--export-dynamic
UNIT_LDADD = $(WHOLE_LIBDOMU) $(DOMU_LIBS) $(CRITERION_LIBS)
if HAVE_CRITERION
include tests/unit/base.mk
include tests/unit/block.mk
include tests/unit/commit.mk
include tests/unit/fs.mk
include tests/unit/fsext.mk
include tests/unit/guest.mk
include tests/unit/fence.mk
include tests/unit/shell.mk
include tests/unit/task.mk
endif

# Only builds what make check would run.
check-programs: all $(check_PROGRAMS)

# make check runs what this build can show; bootstrap check runs more (other builds, static analysis).
check-local: check-programs
	$(top_srcdir)/tests/check --build $(abs_builddir)

bench: all
	DOMU=$(abs_builddir)/domu-rescue $(top_srcdir)/tests/bench/run $(BENCH_DIR)
.PHONY: bench check-programs
