# SPDX-License-Identifier: GPL-3.0-or-later
# Preloaded into GPL-2-only programs: LGPL sources alone, nothing but libc, one exported name.  Never
# with sanitizers, which cannot be preloaded into a program built without.
plugin_PROGRAMS += plugins/domu-shim.so
plugins_domu_shim_so_SOURCES = plugins/domu-shim.c \
	src/base/crc32c.c src/base/ctx.c src/base/hash.c src/base/io.c \
	src/block/block.c src/block/ext_io.c src/block/joined.c src/block/log.c src/block/overlay.c \
	src/block/raw.c src/block/shim.c src/block/slice.c src/block/stack.c src/block/unitmap.c src/block/volume.c
plugins_domu_shim_so_CFLAGS = $(WARN_CFLAGS) $(EXT2FS_CFLAGS) -fvisibility=hidden -fPIC -ffunction-sections
plugins_domu_shim_so_LDFLAGS = -shared -Wl,-z,now -Wl,-z,defs -Wl,--gc-sections \
	-Wl,--version-script=$(srcdir)/plugins/domu-shim.map
plugins_domu_shim_so_LDADD =
EXTRA_plugins_domu_shim_so_DEPENDENCIES = plugins/domu-shim.map
EXTRA_DIST += plugins/domu-shim.map
