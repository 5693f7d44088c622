# SPDX-License-Identifier: GPL-3.0-or-later
plugin_PROGRAMS += plugins/fs-ext.so
plugins_fs_ext_so_SOURCES = \
	plugins/fs-ext/fs-ext.h \
	plugins/fs-ext/plugin.c \
	plugins/fs-ext/probe.c \
	plugins/fs-ext/open.c \
	plugins/fs-ext/inode.c \
	plugins/fs-ext/map.c \
	plugins/fs-ext/dir.c \
	plugins/fs-ext/read.c \
	plugins/fs-ext/xattr.c \
	plugins/fs-ext/acl.c \
	plugins/fs-ext/alloc.c \
	plugins/fs-ext/data.c \
	plugins/fs-ext/entry.c \
	plugins/fs-ext/names.c \
	plugins/fs-ext/create.c \
	plugins/fs-ext/remove.c \
	plugins/fs-ext/rename.c \
	plugins/fs-ext/attr.c \
	plugins/fs-ext/xattr-set.c
plugins_fs_ext_so_CFLAGS = $(SHARED_CFLAGS)
plugins_fs_ext_so_LDFLAGS = $(SHARED_LDFLAGS)
plugins_fs_ext_so_LDADD = $(EXT2FS_LIBS)
