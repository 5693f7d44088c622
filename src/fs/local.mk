# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/fs/fs.c src/fs/fs.h \
	src/fs/proxy.h src/fs/tree.h
