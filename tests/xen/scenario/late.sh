# SPDX-License-Identifier: GPL-3.0-or-later
# late.sh - the power gone in a commit, and the guest started before recover: with its door closed, and before it was.
# shellcheck shell=bash
. /lab/lab.sh
. /lab/slow.sh
case $1 in
1)
	make_slow_guest
	# ---- the power goes again, and nothing recovers at the start
	: >/root/no-domu-rescue-recover
	slow 0 600000
	commit_until closed "in the end"
	sync -f /root/no-domu-rescue-recover
	power_cut 2
	;;
2)
	domu list
	has "list says that a recover is due" "$(err)" "domu-rescue recover slow"
	create slow >/dev/null 2>&1
	check "a guest starts before recover" says slow "guest: up"
	has "and finds nothing to mount" "$(console slow)" "no root could be mounted"
	before=$(md5sum <$disk)
	ends "recover with the guest running" 7 recover slow
	has "names it" "$(err)" 'domain slow \([0-9]+, running\)'
	is "nothing was written" "$(md5sum <$disk)" "$before"
	destroy slow
	works "without it, it recovers" recover slow
	is "the disk is as after" "$(motd)" "in the end"
	# ---- the power goes before the doors are closed, and the guest runs
	slow 600000 600000
	commit_until sealed "never"
	power_cut 3
	;;
3)
	check "the guest starts before recover" start slow
	has "from the disk as it was" "$(console slow)" "motd is in the end"
	stop slow
	before=$(md5sum <$disk)
	domu recover slow
	has "recover says that it is superseded" "$(err)" "superseded: the guest ran meanwhile, nothing was written"
	is "nothing was written" "$(md5sum <$disk)" "$before"
	works "and it can be changed" write slow:/etc/motd < <(echo "new")
	check "e2fsck finds nothing" e2fsck -fn $disk
	rm /root/no-domu-rescue-recover
	;;
esac
