# SPDX-License-Identifier: GPL-3.0-or-later
# Not linked with libguestfs: it is loaded when the appliance is started.
plugin_PROGRAMS += plugins/fs-appliance.so
nodist_plugin_DATA += plugins/fs-appliance.late
plugins_fs_appliance_so_SOURCES = \
	plugins/fs-appliance/door.c \
	plugins/fs-appliance/fs-appliance.h \
	plugins/fs-appliance/plugin.c \
	plugins/fs-appliance/probe.c
plugins_fs_appliance_so_CFLAGS = $(SHARED_CFLAGS)
plugins_fs_appliance_so_LDFLAGS = $(SHARED_LDFLAGS)
plugins_fs_appliance_so_LDADD = -ldl -lpthread
if HAVE_LIBGUESTFS
plugins_fs_appliance_so_CFLAGS += $(GUESTFS_CFLAGS)
plugins_fs_appliance_so_SOURCES += \
	plugins/fs-appliance/change.c \
	plugins/fs-appliance/check.c \
	plugins/fs-appliance/guest.c \
	plugins/fs-appliance/guest.h \
	plugins/fs-appliance/launch.c \
	plugins/fs-appliance/mount.c \
	plugins/fs-appliance/names.c \
	plugins/fs-appliance/read.c \
	plugins/fs-appliance/subvol.c
endif
