# SPDX-License-Identifier: GPL-3.0-or-later
GUEST_TESTS = tests/unit/test-guest-names tests/unit/test-guest-find tests/unit/test-guest-inuse \
	tests/unit/test-guest-ours
check_PROGRAMS += $(GUEST_TESTS)
TESTS += $(GUEST_TESTS)
GUEST_CPPFLAGS = $(AM_CPPFLAGS) -DBUILDDIR='"$(abs_top_builddir)"'
GUEST_HELP = tests/unit/guest-help.c tests/unit/guest-help.h
tests_unit_test_guest_names_SOURCES = tests/unit/test-guest-names.c
tests_unit_test_guest_names_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_guest_names_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_guest_names_LDADD = $(UNIT_LDADD)
tests_unit_test_guest_find_SOURCES = tests/unit/test-guest-find.c $(GUEST_HELP)
tests_unit_test_guest_find_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_guest_find_CPPFLAGS = $(GUEST_CPPFLAGS)
tests_unit_test_guest_find_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_guest_find_LDADD = $(UNIT_LDADD)
tests_unit_test_guest_inuse_SOURCES = tests/unit/test-guest-inuse.c tests/unit/guest-inuse.h $(GUEST_HELP)
tests_unit_test_guest_inuse_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_guest_inuse_CPPFLAGS = $(GUEST_CPPFLAGS)
tests_unit_test_guest_inuse_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_guest_inuse_LDADD = $(UNIT_LDADD)
tests_unit_test_guest_ours_SOURCES = tests/unit/test-guest-ours.c tests/unit/guest-inuse.h $(GUEST_HELP)
tests_unit_test_guest_ours_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_guest_ours_CPPFLAGS = $(GUEST_CPPFLAGS)
tests_unit_test_guest_ours_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_guest_ours_LDADD = $(UNIT_LDADD)
if HAVE_LIBXL
GUEST_XL_TESTS = tests/unit/test-guest-xl tests/unit/test-guest-fuzz
check_PROGRAMS += $(GUEST_XL_TESTS)
TESTS += $(GUEST_XL_TESTS)
tests_unit_test_guest_xl_SOURCES = tests/unit/test-guest-xl.c $(GUEST_HELP)
tests_unit_test_guest_xl_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_guest_xl_CPPFLAGS = $(GUEST_CPPFLAGS)
tests_unit_test_guest_xl_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_guest_xl_LDADD = $(UNIT_LDADD)
tests_unit_test_guest_fuzz_SOURCES = tests/unit/test-guest-fuzz.c $(GUEST_HELP)
tests_unit_test_guest_fuzz_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_guest_fuzz_CPPFLAGS = $(GUEST_CPPFLAGS)
tests_unit_test_guest_fuzz_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_guest_fuzz_LDADD = $(UNIT_LDADD)
endif
