# SPDX-License-Identifier: GPL-3.0-or-later
# The shell is a library too, so that unit tests can link it; main.c is the program.
noinst_LIBRARIES += libdomushell.a
libdomushell_a_CFLAGS = $(AM_CFLAGS)
libdomushell_a_SOURCES = \
	shell/app.c shell/app.h \
	shell/args.c \
	shell/change.c shell/change-remove.c shell/change.h \
	shell/cmd-change.c \
	shell/cmd-chattr.c shell/flags.c shell/flags.h \
	shell/cmd-chmod.c \
	shell/cmd-copy.c shell/copy.h \
	shell/cmd-cp.c shell/cp-ends.c shell/cp-ends.h shell/cp-tell.c shell/cp-tell.h \
	shell/cmd-diff.c shell/diff-unified.c shell/diff-work.c shell/diff.h \
	shell/note.c shell/note.h \
	shell/cmd-move.c \
	shell/cmd-touch.c \
	shell/ids.c shell/ids.h \
	shell/mode.c shell/mode.h \
	shell/cmd-edit.c \
	shell/cmd-export.c \
	shell/cmd-fsck.c \
	shell/cmd-cat.c shell/cat-show.c shell/cat.h \
	shell/cmd-df.c \
	shell/cmd-du.c \
	shell/cmd-find.c shell/find-exec.c shell/find-format.c shell/find-match.c shell/find-parse.c shell/find.h \
	shell/cmd-getfattr.c \
	shell/cmd-grep.c shell/grep-file.c shell/grep-literal.c shell/grep-match.c shell/grep-perl.c shell/grep.h \
	shell/cmd-help.c \
	shell/cmd-history.c \
	shell/cmd-info.c shell/info-segments.c shell/info.h \
	shell/cmd-list.c \
	shell/cmd-recover.c \
	shell/cmd-resize.c \
	shell/cmd-stage.c \
	shell/cmd-logs.c shell/logs-expand.c shell/logs-journal.c shell/logs-text.c shell/logs.h \
	shell/cmd-mknod.c \
	shell/cmd-setfattr.c \
	shell/cmd-ls.c shell/ls-entries.c shell/ls-entries.h shell/ls-layout.c shell/ls.h \
	shell/cmd-shell.c \
	shell/cmd-stat.c \
	shell/cmd-status.c \
	shell/cmd-tar-in.c \
	shell/cmd-tar-out.c \
	shell/cmd-undo.c \
	shell/cmd-words.c \
	shell/cmd.h \
	shell/command.h \
	shell/complete.c \
	shell/conffile.c shell/conffile.h \
	shell/exec.c \
	shell/fmt.c shell/fmt.h \
	shell/globals.c \
	shell/help.c shell/help.h \
	shell/host.c \
	shell/interactive.c shell/lib-readline.h \
	shell/line.c \
	shell/manual.c \
	shell/names.c shell/names.h \
	shell/ops.h \
	shell/out-json.c \
	shell/owners.c shell/owners.h \
	shell/out-text.c shell/lib-scols.h \
	shell/out.h \
	shell/rows.c shell/rows.h \
	shell/paths.c \
	shell/rowstat.c shell/rowstat.h \
	shell/run.c \
	shell/shell.h \
	shell/table.c \
	shell/text.c shell/text.h \
	shell/when.c \
	shell/words.c shell/words.h \
	shell/workercmd.c shell/workercmd.h

bin_PROGRAMS += domu-rescue
domu_rescue_SOURCES = shell/main.c
domu_rescue_LDFLAGS = $(AM_LDFLAGS) -Wl,--export-dynamic
# Whole: plugins call what the program itself may not.
WHOLE_LIBDOMU = $(WHOLE_ARCHIVE) libdomu.a $(NO_WHOLE_ARCHIVE)
domu_rescue_LDADD = libdomushell.a $(WHOLE_LIBDOMU) $(DOMU_LIBS)
domu_rescue_DEPENDENCIES = libdomushell.a libdomu.a
