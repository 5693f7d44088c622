# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/guest/backing.c \
	src/guest/check-kernel.c src/guest/check-process.c src/guest/check-xen.c src/guest/check.h \
	src/guest/guest.c src/guest/guest.h \
	src/guest/inuse.c src/guest/inuse.h \
	src/guest/relatives.c \
	src/guest/target.c \
	src/guest/watch.c src/guest/watch.h \
	src/guest/xen.c
