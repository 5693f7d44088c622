# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/block/block.c src/block/block.h \
	src/block/ext_io.c src/block/ext_io.h \
	src/block/joined.c \
	src/block/log.c src/block/log.h \
	src/block/lvm.c src/block/lvm-label.c src/block/lvm-text.c src/block/lvm.h \
	src/block/overlap.c \
	src/block/overlay.c \
	src/block/probe.c \
	src/block/raw.c \
	src/block/shim.c src/block/shim.h \
	src/block/slice.c \
	src/block/stack.c \
	src/block/unitmap.c src/block/unitmap.h \
	src/block/volume.c \
	src/block/commit.h src/block/table.h \
	src/block/table.c \
	src/block/table-find.c \
	src/block/table-grow.c \
	src/block/table-image.c src/block/table-image.h \
	src/block/table-lib.c src/block/lib-fdisk.h src/block/lib-blkid.h
libdomu_a_SOURCES += \
	src/block/apply.c \
	src/block/bare.c \
	src/block/commit.c src/block/commit-private.h \
	src/block/door.c \
	src/block/identity.c \
	src/block/image.c \
	src/block/list.c \
	src/block/match.c \
	src/block/meta.c \
	src/block/notes.c \
	src/block/preimage.c \
	src/block/recover.c \
	src/block/resync.c \
	src/block/retain.c \
	src/block/room.c \
	src/block/seal.c \
	src/block/seen.c \
	src/block/stage.c \
	src/block/whole.c \
	src/block/state.c \
	src/block/undo.c
