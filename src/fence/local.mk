# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/fence/appliance.c src/fence/appliance.h \
	src/fence/confine.c src/fence/confine.h \
	src/fence/describe.c \
	src/fence/export.c \
	src/fence/fence.h \
	src/fence/find.c \
	src/fence/kvm.c src/fence/kvm.h \
	src/fence/mount.c src/fence/mount.h \
	src/fence/nodes.c src/fence/nodes.h \
	src/fence/output.c \
	src/fence/program.c src/fence/program.h \
	src/fence/say.c \
	src/fence/serve.c \
	src/fence/serve-node.c src/fence/serve-read.c src/fence/serve-tree.c src/fence/serve-tree.h src/fence/serve-write.c \
	src/fence/server.c src/fence/server.h src/fence/lib-fuse.h \
	src/fence/target.h \
	src/fence/work.c src/fence/work.h src/fence/work-spans.c \
	src/fence/worker.c
