# SPDX-License-Identifier: GPL-3.0-or-later
# power.sh - a guest that is started while a commit is under way, and the power gone in the midst of one.
# shellcheck shell=bash
. /lab/lab.sh
. /lab/slow.sh
case $1 in
1)
	make_slow_guest
	# ---- a commit that takes longer than libxl waits (it is stopped in the midst), and a guest that starts meanwhile
	slow 0 5000
	begin=$SECONDS
	"$DOMU" write slow:/etc/motd >"$T/long" 2>&1 < <(echo "a long commit") &
	domu_pid=$!
	check "the doors are closed" wait_until 30 closed
	check "and the hotplug lock is free again" wait_until 5 flock -n /var/run/xen-hotplug/block true
	kill -STOP $domu_pid
	refused_by "another domu-rescue" "another domu-rescue is changing it \(pid $domu_pid" write slow:/etc/motd
	check "the start is not held up" create slow
	check "the guest has looked for its root" says slow "guest: .*mounted" 90
	has "and has found nothing to mount" "$(console slow)" "no root could be mounted"
	check "more than 40 seconds pass" wait_until 60 test_seconds $((begin + 41))
	check "the commit is still under way" closed
	kill -CONT $domu_pid
	wait $domu_pid
	is "it succeeds" "$?" 0
	destroy slow
	fast
	check "the disk is whole" e2fsck -fn $disk
	is "and as it was to become" "$(motd)" "a long commit"
	# ---- the power goes in the midst of a commit
	mkdir -p /root/lab
	echo 'dmsetup create first --table "0 8 error" && dmsetup create second --table "0 8 error"' >/root/before-lvm
	stat -Lc '%t:%T' $disk >/root/lab/number
	mkdir -p /etc/xen/auto
	ln -s ../slow.cfg /etc/xen/auto/slow.cfg
	rm -f $logs/guest-slow.log
	slow 0 600000
	commit_until closed "after the cut"
	sync -f /root
	power_cut 2
	;;
2)
	isnt "the device numbers have changed" "$(stat -Lc '%t:%T' $disk)" "$(cat /root/lab/number)"
	has "the boot's recover has finished it" "$(cat /run/domu-rescue-recover.log)" 'slow: commit .* was finished'
	check "xendomains has started the guest after it" says slow "guest: up"
	has "and it shows the change" "$(console slow)" "motd is after the cut"
	stop slow
	check "e2fsck finds nothing" e2fsck -fn $disk
	works "nothing is left" recover
	has "to recover" "$(out)" "nothing to recover"
	works "history" history slow
	has "shows it as committed" "$(out)" committed
	rm /root/before-lvm /etc/xen/auto/slow.cfg
	;;
esac
