# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/fs/compare.c src/fs/compare.h \
	src/fs/compare-inode.c \
	src/fs/find.c \
	src/fs/fs.c src/fs/fs.h \
	src/fs/label.c src/fs/label.h src/fs/lib-pcre2.h \
	src/fs/mounts.c \
	src/fs/newfile.c \
	src/fs/probe.c \
	src/fs/proxy.c src/fs/proxy.h \
	src/fs/proxy-serve.c src/fs/proxy-wire.h \
	src/fs/root.c \
	src/fs/scan.c src/fs/scan.h src/fs/scan-map.h \
	src/fs/scans.c \
	src/fs/stat.c \
	src/fs/subvol.c \
	src/fs/tree.c src/fs/tree.h \
	src/fs/treewalk.c \
	src/fs/visited.c src/fs/visited.h \
	src/fs/walk.c
