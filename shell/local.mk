# SPDX-License-Identifier: GPL-3.0-or-later
bin_PROGRAMS += domu-rescue
domu_rescue_SOURCES = shell/main.c shell/command.h shell/rows.h
domu_rescue_LDFLAGS = $(AM_LDFLAGS) -Wl,--export-dynamic
# Whole: plugins call what the program itself may not.
WHOLE_LIBDOMU = $(WHOLE_ARCHIVE) libdomu.a $(NO_WHOLE_ARCHIVE)
domu_rescue_LDADD = $(WHOLE_LIBDOMU) \
	$(DOMU_LIBS) $(SMARTCOLS_LIBS) $(READLINE_LIBS)
domu_rescue_DEPENDENCIES = libdomu.a
