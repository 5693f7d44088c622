# SPDX-License-Identifier: GPL-3.0-or-later
# Shared objects named KIND-NAME.so, beside the executable in the build tree.  They take what
# domu-plugin.h declares from the program that loads them.
SHARED_CFLAGS = $(AM_CFLAGS) -fPIC
SHARED_LDFLAGS = $(AM_LDFLAGS) -shared -Wl,-z,now
