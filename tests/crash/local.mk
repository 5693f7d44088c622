# SPDX-License-Identifier: GPL-3.0-or-later
# The crash explorer.  The wrapped functions have faults in them that are asked for by name; otherwise they are the real ones.
check_PROGRAMS += tests/crash/explore
tests_crash_explore_SOURCES = tests/crash/explore.c tests/crash/crash.h \
	tests/crash/explore-more.c \
	tests/crash/faults.c \
	tests/crash/guest.c \
	tests/crash/judge.c \
	tests/crash/model.c tests/crash/model.h \
	tests/crash/set.c tests/crash/set.h \
	tests/crash/workload.c \
	tests/crash/world.c
tests_crash_explore_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/crash
tests_crash_explore_CFLAGS = $(AM_CFLAGS)
tests_crash_explore_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=domu_crc32c -Wl,--wrap=domu_image_new -Wl,--wrap=domu_identity_check \
	-Wl,--wrap=domu_apply_close_doors -Wl,--wrap=domu_apply_units -Wl,--wrap=domu_apply_open_doors \
	-Wl,--wrap=domu_seal_write -Wl,--wrap=domu_seal_mark -Wl,--wrap=domu_state_finish -Wl,--wrap=domu_stage_rewrite_log
tests_crash_explore_LDADD = plugins/libfsext.a libdomu.a $(DOMU_LIBS)
