# SPDX-License-Identifier: GPL-3.0-or-later
# Shared objects named KIND-NAME.so, beside the executable in the build tree.  They take what
# domu-plugin.h declares from the program that loads them.
SHARED_CFLAGS = $(AM_CFLAGS) -fPIC
SHARED_LDFLAGS = $(AM_LDFLAGS) -shared -Wl,-z,now
include plugins/fs-ext.mk
include plugins/fs-appliance.mk
include plugins/source-xl.mk
include plugins/source-path.mk
include plugins/shim.mk
