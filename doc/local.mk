# SPDX-License-Identifier: GPL-3.0-or-later
# The manual and the completion for bash: their commands come from the program's own table.
EXTRA_DIST += doc/domu-rescue.1.head doc/domu-rescue.1.tail doc/design.md doc/safety.md doc/testing.md
man1_MANS = doc/domu-rescue.1
completiondir = $(datadir)/bash-completion/completions
nodist_completion_DATA = doc/domu-rescue
CLEANFILES += doc/domu-rescue.1 doc/domu-rescue

doc/domu-rescue.1: doc/domu-rescue.1.head doc/domu-rescue.1.tail domu-rescue$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) doc && { cat $(srcdir)/doc/domu-rescue.1.head && ./domu-rescue$(EXEEXT) --dump-manual && \
		cat $(srcdir)/doc/domu-rescue.1.tail; } >$@.new && mv $@.new $@

doc/domu-rescue: domu-rescue$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) doc && ./domu-rescue$(EXEEXT) --dump-completion >$@.new && mv $@.new $@
