# SPDX-License-Identifier: GPL-3.0-or-later
check_PROGRAMS += tests/unit/test-fence-worker tests/unit/test-fence-program
TESTS += tests/unit/test-fence-worker tests/unit/test-fence-program
FENCE_CPPFLAGS = $(AM_CPPFLAGS) -DBUILDDIR='"$(abs_top_builddir)"'
tests_unit_test_fence_worker_SOURCES = tests/unit/test-fence-worker.c tests/unit/fence-help.c tests/unit/fence-help.h
tests_unit_test_fence_worker_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fence_worker_CPPFLAGS = $(FENCE_CPPFLAGS)
tests_unit_test_fence_worker_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fence_worker_LDADD = $(UNIT_LDADD)
tests_unit_test_fence_program_SOURCES = tests/unit/test-fence-program.c tests/unit/fence-help.c tests/unit/fence-help.h
tests_unit_test_fence_program_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fence_program_CPPFLAGS = $(FENCE_CPPFLAGS)
tests_unit_test_fence_program_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fence_program_LDADD = $(UNIT_LDADD)
# Minutes, not seconds: it starts virtual machines.
check_PROGRAMS += tests/unit/test-fence-appliance
TESTS += tests/unit/test-fence-appliance
tests_unit_test_fence_appliance_SOURCES = tests/unit/test-fence-appliance.c \
	tests/unit/fence-help.c tests/unit/fence-help.h
tests_unit_test_fence_appliance_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fence_appliance_CPPFLAGS = $(FENCE_CPPFLAGS)
tests_unit_test_fence_appliance_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fence_appliance_LDADD = $(UNIT_LDADD)
check_PROGRAMS += tests/unit/test-fence-door
TESTS += tests/unit/test-fence-door
tests_unit_test_fence_door_SOURCES = tests/unit/test-fence-door.c tests/unit/fence-help.c tests/unit/fence-help.h
tests_unit_test_fence_door_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fence_door_CPPFLAGS = $(FENCE_CPPFLAGS)
tests_unit_test_fence_door_LDFLAGS = $(UNIT_LDFLAGS)
tests_unit_test_fence_door_LDADD = $(UNIT_LDADD)
