# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/fence/fence.h
