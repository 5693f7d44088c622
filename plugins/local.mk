# SPDX-License-Identifier: GPL-3.0-or-later
# Shared objects named KIND-NAME.so, beside the executable in the build tree.  They take what
# domu-plugin.h declares from the program that loads them.
SHARED_CFLAGS = $(AM_CFLAGS) -fPIC
SHARED_LDFLAGS = $(AM_LDFLAGS) -shared -Wl,-z,now
# Empty files beside those that most commands do without: see domu-plugin.h.
nodist_plugin_DATA =
include plugins/fs-ext.mk
include plugins/fs-appliance.mk
include plugins/source-xl.mk
include plugins/source-path.mk
include plugins/shim.mk

plugins/%.late: Makefile
	$(AM_V_GEN)$(MKDIR_P) plugins && : >$@
CLEANFILES += $(nodist_plugin_DATA)
