# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/task/check.c src/task/check.h \
	src/task/files.c src/task/files.h src/task/files-record.c \
	src/task/fsck.c src/task/fsck-count.c src/task/fsck.h \
	src/task/restore.c src/task/restore.h src/task/restore-do.c \
	src/task/resize-plan.c src/task/resize.c src/task/resize.h \
	src/task/seen.c \
	src/task/session-commit.c src/task/session-impl.h \
	src/task/session-files.c src/task/session-homes.c \
	src/task/session-notes.c \
	src/task/session-recover.c src/task/session-replay.c \
	src/task/session-stage.c \
	src/task/session-super.c \
	src/task/session-undo.c \
	src/task/session-upcall.c \
	src/task/session-watch.c \
	src/task/session.c src/task/session.h \
	src/task/tar-acl.c \
	src/task/tar-data.c src/task/tar-data.h \
	src/task/tar-lib.c \
	src/task/tar-out.c \
	src/task/tar-pax.c \
	src/task/tar-regions.c src/task/tar-regions.h \
	src/task/tar.h \
	src/task/treeio-guest-in.c \
	src/task/treeio-guest-out.c \
	src/task/treeio-host-in.c \
	src/task/treeio-host-out.c \
	src/task/treeio-links.c src/task/treeio-links.h \
	src/task/treeio-stream.c \
	src/task/treeio.h
# What needs libarchive, and what says that it is missing.
if HAVE_LIBARCHIVE
libdomu_a_SOURCES += \
	src/base/lib-archive.h \
	src/task/tar-entry.c src/task/tar-entry.h \
	src/task/tar-in.c \
	src/task/tar-pack.c \
	src/task/tar-path.c src/task/tar-path.h \
	src/task/unpack.c
else
libdomu_a_SOURCES += src/task/tar-none.c
endif
