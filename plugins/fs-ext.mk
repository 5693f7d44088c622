# SPDX-License-Identifier: GPL-3.0-or-later
# The driver is a library, so that its unit tests link what the plugin has without compiling it again.
noinst_LIBRARIES += plugins/libfsext.a
plugins_libfsext_a_CFLAGS = $(SHARED_CFLAGS)
plugins_libfsext_a_SOURCES = \
	plugins/fs-ext/acl.c \
	plugins/fs-ext/alloc.c \
	plugins/fs-ext/attr.c \
	plugins/fs-ext/create.c \
	plugins/fs-ext/data.c \
	plugins/fs-ext/dir.c \
	plugins/fs-ext/entry.c \
	plugins/fs-ext/fs-ext.h \
	plugins/fs-ext/inode.c \
	plugins/fs-ext/map.c \
	plugins/fs-ext/names.c \
	plugins/fs-ext/open.c \
	plugins/fs-ext/plugin.c \
	plugins/fs-ext/probe.c \
	plugins/fs-ext/read.c \
	plugins/fs-ext/remove.c \
	plugins/fs-ext/rename.c \
	plugins/fs-ext/scan.c \
	plugins/fs-ext/scan-dir.c \
	plugins/fs-ext/scan-read.c \
	plugins/fs-ext/suspects.c \
	plugins/fs-ext/xattr-set.c \
	plugins/fs-ext/xattr.c

plugin_PROGRAMS += plugins/fs-ext.so
plugins_fs_ext_so_SOURCES =
plugins_fs_ext_so_LDFLAGS = $(SHARED_LDFLAGS)
plugins_fs_ext_so_LDADD = $(WHOLE_ARCHIVE) plugins/libfsext.a $(NO_WHOLE_ARCHIVE) $(EXT2FS_LIBS)
plugins_fs_ext_so_DEPENDENCIES = plugins/libfsext.a
