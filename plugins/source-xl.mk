# SPDX-License-Identifier: GPL-3.0-or-later
# Not linked with libxl: it is loaded when the first config or domain is looked at.
if HAVE_LIBXL
plugin_PROGRAMS += plugins/source-xl.so
nodist_plugin_DATA += plugins/source-xl.late
plugins_source_xl_so_SOURCES = plugins/source-xl.c \
	plugins/source-xl-live.c plugins/source-xl-store.c plugins/source-xl.h
plugins_source_xl_so_CFLAGS = $(SHARED_CFLAGS) $(XL_CFLAGS)
plugins_source_xl_so_LDFLAGS = $(SHARED_LDFLAGS)
plugins_source_xl_so_LDADD = -ldl
endif
