# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/base/ahead.c src/base/ahead.h \
	src/base/array.h \
	src/base/crc32c.c src/base/crc32c.h \
	src/base/ctx.c src/base/ctx.h \
	src/base/escape.c src/base/escape.h \
	src/base/hash.c src/base/hash.h \
	src/base/io.c src/base/io.h \
	src/base/lib.c src/base/lib.h \
	src/base/msg.c src/base/msg.h \
	src/base/num.c src/base/num.h \
	src/base/plugins.c src/base/plugins.h
