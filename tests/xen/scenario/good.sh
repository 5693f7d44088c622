# SPDX-License-Identifier: GPL-3.0-or-later
# good.sh - the plain good case: a running guest is stopped, edited, checked, grown, and boots with what was changed.
# shellcheck shell=bash
. /lab/lab.sh
image $disks/good.img
guest good "file:$disks/good.img"
check "the guest starts" start good
has "it shows its file" "$(console good)" "motd is before"
works "list" list
has "list shows the guest as running" "$(out)" "good +running"
ends "an edit of the running guest is refused" 3 write good:/etc/motd
has "by its name and number" "$(err)" "domain good \([0-9]+, running\).*xl shutdown good"
check "the guest stops" stop good
works "list" list
has "list shows it as stopped" "$(out)" "good +stopped"
works "edit" write good:/etc/motd < <(echo after)
ends "repair" "0 1" fsck -p good
ends "grow" 0 --yes resize-root good 48M
check "the guest starts again" start good
has "it shows the change" "$(console good)" "motd is after"
has "its disk is larger" "$(console good)" "of 98304 sectors"
check "and stops" stop good
check "e2fsck finds nothing" e2fsck -fn $disks/good.img
