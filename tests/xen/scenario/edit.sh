# SPDX-License-Identifier: GPL-3.0-or-later
# edit.sh - a guest that is started while its file is being edited: nothing is written, what was typed is kept.
# shellcheck shell=bash
. /lab/lab.sh
image $disks/edit.img 8M
still=1 guest edit "file:$disks/edit.img"
cat >"$T/editor" <<'END'
#!/bin/sh
echo typed >"$1"
xl create -p /etc/xen/edit.cfg >/dev/null 2>&1
md5sum </var/disks/edit.img >/tmp/started
END
chmod 755 "$T/editor"
export VISUAL=$T/editor
ends "started during an edit: refused" 3 edit edit:/etc/motd
has "by whom" "$(err)" 'domain edit \([0-9]+, paused\) has it as xvda'
is "no byte changed" "$(md5sum <$disks/edit.img)" "$(cat /tmp/started)"
kept=$(sed -n 's/.*what was typed is kept in //p' "$T/err")
is "what was typed is kept" "$(cat "$kept")" typed
check "the domain goes" destroy edit
works "and can be written later" write edit:/etc/motd <"$kept"
is "what is there then" "$(debugfs -R 'cat /etc/motd' $disks/edit.img 2>/dev/null)" typed
check "e2fsck finds nothing" e2fsck -fn $disks/edit.img
