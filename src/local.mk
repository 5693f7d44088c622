# SPDX-License-Identifier: GPL-3.0-or-later
# The library: everything but the command line.  Compiled once, position-independent.
noinst_LIBRARIES += libdomu.a
libdomu_a_CFLAGS = $(AM_CFLAGS) -fPIC
libdomu_a_SOURCES = \
	src/domu-plugin.h
include src/base/local.mk
include src/block/local.mk
include src/guest/local.mk
include src/fs/local.mk
include src/fence/local.mk
include src/task/local.mk

# What every command needs.  libfdisk, libblkid, libfuse3, libsmartcols and readline are loaded when first needed (base/lib.h).
DOMU_LIBS = $(EXT2FS_LIBS) $(JSON_LIBS) $(SECCOMP_LIBS) $(SAN_LIBS) -ldl -lpthread
