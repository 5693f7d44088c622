# SPDX-License-Identifier: GPL-3.0-or-later
# What finishes, when the machine starts, the commits that were cut short: for systemd, and for an init with scripts.
EXTRA_DIST += boot/domu-rescue-recover.service.in boot/domu-rescue-recover.in
systemdunitdir = $(prefix)/lib/systemd/system
nodist_systemdunit_DATA = boot/domu-rescue-recover.service
nodist_init_SCRIPTS = boot/domu-rescue-recover
CLEANFILES += boot/domu-rescue-recover.service boot/domu-rescue-recover

boot/domu-rescue-recover.service boot/domu-rescue-recover: boot/%: $(top_srcdir)/boot/%.in Makefile
	$(AM_V_GEN)$(MKDIR_P) boot && sed 's|@bindir[@]|$(bindir)|' $(top_srcdir)/$@.in >$@.new && mv $@.new $@
