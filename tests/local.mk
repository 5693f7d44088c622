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
# A plugin, and not a part of the program.
check_PROGRAMS += tests/lib/source-made-up.so
tests_lib_source_made_up_so_SOURCES = tests/lib/source-made-up.c
tests_lib_source_made_up_so_CFLAGS = $(SHARED_CFLAGS)
tests_lib_source_made_up_so_LDFLAGS = $(SHARED_LDFLAGS)
# Who keeps a page of a device (tests/cli/device-reads.sh).
check_PROGRAMS += tests/lib/keep-page
tests_lib_keep_page_SOURCES = tests/lib/keep-page.c
# What stands for xenstored and for its library where they fail (tests/cli/xenstore.sh).
if HAVE_LIBXL
check_PROGRAMS += tests/lib/xenstored-cut tests/lib/xenstore-odd.so tests/lib/xenstore-few.so
tests_lib_xenstored_cut_SOURCES = tests/lib/xenstored-cut.c
tests_lib_xenstore_odd_so_SOURCES = tests/lib/xenstore-odd.c
tests_lib_xenstore_odd_so_CFLAGS = $(SHARED_CFLAGS)
tests_lib_xenstore_odd_so_LDFLAGS = -shared
tests_lib_xenstore_few_so_SOURCES = tests/lib/xenstore-odd.c
tests_lib_xenstore_few_so_CPPFLAGS = $(AM_CPPFLAGS) -DFEW
tests_lib_xenstore_few_so_CFLAGS = $(SHARED_CFLAGS)
tests_lib_xenstore_few_so_LDFLAGS = -shared
endif
include tests/bench/local.mk
include tests/crash/local.mk

# Only builds what make check would run.
# Not "all": that is a make of its own, beside this one.
check-programs: config.h all-am $(check_PROGRAMS)

# make check runs what this build can show; bootstrap check runs more (other builds, static analysis).
check-local: check-programs
	$(top_srcdir)/tests/check --build $(abs_builddir)

# Every state of every workload, without a limit: hours.
crash-all: tests/crash/explore
	for w in $$(tests/crash/explore --workloads); do tests/crash/explore $$w || exit 1; done

# Every scenario on a real Xen: see doc/testing.md.
check-xen: all
	DOMU_BUILD=$(abs_builddir) $(top_srcdir)/tests/xen/check

# Every changing command on every feature set, and longer random scripts; features writes the table of doc/features.md anew.
check-matrix: all
	DOMU=$(abs_builddir)/domu-rescue $(top_srcdir)/tests/matrix/run
	DOMU=$(abs_builddir)/domu-rescue RANDOM_SEED=$$(date +%s) RANDOM_ROUNDS=60 RANDOM_STEPS=250 $(top_srcdir)/tests/matrix/random
features: all
	DOMU=$(abs_builddir)/domu-rescue $(top_srcdir)/tests/matrix/run --write
.PHONY: check-programs crash-all check-xen check-matrix features
