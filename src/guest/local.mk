# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/guest/backing.c src/guest/check-attached.c \
	src/guest/check-disk.c src/guest/check-kernel.c src/guest/check-process.c src/guest/check-saved.c \
	src/guest/check-xen.c src/guest/check.h \
	src/guest/guest.c src/guest/guest.h \
	src/guest/inuse.c src/guest/inuse.h \
	src/guest/owners.c src/guest/owners.h \
	src/guest/relatives.c \
	src/guest/target.c \
	src/guest/toolstack.c src/guest/toolstack.h src/guest/toolstack-impl.h src/guest/toolstack-qubes.c \
	src/guest/watch.c src/guest/watch.h \
	src/guest/xen.c \
	src/guest/xml.c src/guest/xml.h
