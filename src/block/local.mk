# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/block/block.c src/block/block.h \
	src/block/commit.h src/block/table.h
