# SPDX-License-Identifier: GPL-3.0-or-later
libdomu_a_SOURCES += \
	src/task/check.c src/task/check.h \
	src/task/files.c src/task/files.h src/task/files-record.c \
	src/task/fsck.c src/task/fsck.h \
	src/task/restore.c src/task/restore.h src/task/restore-do.c \
	src/task/resize-plan.c src/task/resize.c src/task/resize.h \
	src/task/seen.c \
	src/task/session-commit.c src/task/session-impl.h \
	src/task/session-files.c \
	src/task/session-notes.c \
	src/task/session-recover.c src/task/session-replay.c \
	src/task/session-stage.c \
	src/task/session-undo.c \
	src/task/session.c src/task/session.h \
	src/task/treeio-guest-in.c \
	src/task/treeio-guest-out.c \
	src/task/treeio-host-in.c \
	src/task/treeio-host-out.c \
	src/task/treeio-links.c src/task/treeio-links.h \
	src/task/treeio-stream.c \
	src/task/treeio.h
