# SPDX-License-Identifier: GPL-3.0-or-later
plugin_PROGRAMS += plugins/source-path.so
plugins_source_path_so_SOURCES = plugins/source-path.c
plugins_source_path_so_CFLAGS = $(SHARED_CFLAGS)
plugins_source_path_so_LDFLAGS = $(SHARED_LDFLAGS)
