# SPDX-License-Identifier: GPL-3.0-or-later
# power.sh - a guest that is started while a commit is under way, and the power gone in the midst of one.
# shellcheck shell=bash
. /lab/lab.sh
. /lab/slow.sh
property() {
	systemctl show -P "$1" "$2"
}
case $1 in
1)
	make_slow_guest
	# ---- a commit that takes longer than libxl waits (it is stopped in the midst), and a guest that starts meanwhile
	# A guest's disk is connected when what is being written there is: for so long it waits.
	slow 0 12000
	begin=$SECONDS
	"$DOMU" write slow:/etc/motd >"$T/long" 2>&1 < <(echo "a long commit") &
	domu_pid=$!
	check "the doors are closed" wait_until 120 closed
	check "and the hotplug lock is free again" wait_until 5 flock -n /var/run/xen-hotplug/block true
	kill -STOP $domu_pid
	refused_by "another domu-rescue" "another domu-rescue is changing it \(pid $domu_pid" write slow:/etc/motd
	check "the start is not held up" create slow
	check "the guest has looked for its root" says slow "guest: (mounted|no root could be mounted)"
	has "and has found nothing to mount" "$(console slow)" "no root could be mounted"
	# Others, that need none of this, have their turn while nothing happens here.
	/bin/bash /lab/scenarios lock edit
	check "more than 40 seconds pass" wait_until 60 test_seconds $((begin + 41))
	check "the commit is still under way" closed
	kill -CONT $domu_pid
	fast # what was held back is written at once
	wait $domu_pid
	is "it succeeds" "$?" 0
	destroy slow
	check "the disk is whole" e2fsck -fn $disk
	is "and as it was to become" "$(motd)" "a long commit"
	# ---- the power goes in the midst of a commit
	check "systemd finds nothing wrong with the unit" systemd-analyze verify --man=no domu-rescue-recover.service
	check "it is enabled" systemctl enable domu-rescue-recover
	cut_in_commit "after the cut" systemd
	;;
2)
	is "systemd is the first process" "$(cat /proc/1/comm)" systemd
	is "the unit has run" "$(property ActiveState domu-rescue-recover) $(property Result domu-rescue-recover)" "inactive success"
	has "and has waited for the disk" "$(journalctl -qu domu-rescue-recover)" 'slow: waiting for its disks'
	has "and has finished it" "$(journalctl -qu domu-rescue-recover)" 'slow: commit .* was finished'
	begin=$(property ExecMainStartTimestampMonotonic domu-rescue-recover)
	end=$(property ExecMainExitTimestampMonotonic domu-rescue-recover)
	check "xen.service was there before it" test "$(property ActiveEnterTimestampMonotonic xen)" -lt "$begin"
	check "xendomains.service only after it" test "$end" -lt "$(property InactiveExitTimestampMonotonic xendomains)"
	recovered_at_boot "after the cut"
	;;
esac
