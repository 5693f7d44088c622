# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/fence/confine.c src/fence/confine.h \
	src/fence/fence.h \
	src/fence/nodes.c src/fence/nodes.h \
	src/fence/say.c \
	src/fence/work.c src/fence/work.h \
	src/fence/worker.c
