# SPDX-License-Identifier: GPL-3.0-or-later
# init.sh - the power gone in a commit where an init with scripts starts the machine, in the order that insserv gives.
# shellcheck shell=bash
. /lab/lab.sh
. /lab/slow.sh
# place NAME: when it is started.
place() {
	local link
	link=$(find /etc/rc2.d -name "S*$1")
	link=${link##*/S}
	echo "$((10#${link%"$1"}))"
}
case $1 in
1)
	check "the script is enabled" insserv domu-rescue-recover
	check "after xen" test "$(place xen)" -lt "$(place domu-rescue-recover)"
	check "before xendomains" test "$(place domu-rescue-recover)" -lt "$(place xendomains)"
	cut_in_commit "by a script"
	;;
2)
	has "the boot's recover has finished it" "$(cat /run/domu-rescue-recover.log)" 'slow: commit .* was finished'
	recovered_at_boot "by a script"
	;;
esac
