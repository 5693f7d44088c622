# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/guest/guest.c src/guest/guest.h \
	src/guest/inuse.h \
	src/guest/target.c \
	src/guest/xen.c
