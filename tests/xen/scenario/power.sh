# SPDX-License-Identifier: GPL-3.0-or-later
# power.sh - a guest started while a commit is under way; the power gone in the midst of one; a guest started before recover.
# shellcheck shell=bash
. /lab/lab.sh
disk=/dev/lab/slow

# slow HEAD REST: writes to the first 64 sectors, where the superblock is, and to the rest take that many milliseconds.
slow() {
	local n dev start
	dmsetup table lab-slow >"$T/fast"
	read -r _ n _ dev start _ <"$T/fast"
	{
		echo "0 64 delay $dev $start 0 $dev $start $1 $dev $start 0"
		echo "64 $((n - 64)) delay $dev $((start + 64)) 0 $dev $((start + 64)) $2 $dev $((start + 64)) 0"
	} | dmsetup load lab-slow
	dmsetup suspend lab-slow && dmsetup resume lab-slow
}

fast() {
	dmsetup load lab-slow <"$T/fast"
	dmsetup suspend lab-slow && dmsetup resume lab-slow
}

test_seconds() {
	[ $SECONDS -ge "$1" ]
}

closed() {
	dd if=$disk iflag=direct bs=4096 count=1 2>/dev/null | grep -aq 'domu-rescue commit'
}

sealed() {
	[ -n "$(find /var/lib/domu-rescue/pending -name seal -size +0 2>/dev/null)" ]
}

motd() {
	debugfs -R 'cat /etc/motd' $disk 2>/dev/null
}

case $1 in
1)
	vgs lab >/dev/null 2>&1 || vgcreate -qq -y lab /dev/vdc >/dev/null
	lvcreate -qq -y -n slow -L 16M lab >/dev/null
	udevadm settle
	image $disk 16M
	guest slow "phy:$disk"
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
	slow 0 600000
	"$DOMU" write slow:/etc/motd >"$T/cut" 2>&1 < <(echo "after the cut") &
	check "closed again" wait_until 30 closed
	sync -f /root
	power_cut 2
	;;
2)
	isnt "the device numbers have changed" "$(stat -Lc '%t:%T' $disk)" "$(cat /root/lab/number)"
	has "the boot's recover has finished it" "$(cat /run/domu-rescue-recover.log)" 'slow: commit .* was finished'
	is "the disk is as after" "$(motd)" "after the cut"
	check "e2fsck finds nothing" e2fsck -fn $disk
	works "nothing is left" recover
	has "to recover" "$(out)" "nothing to recover"
	works "history" history slow
	has "shows it as committed" "$(out)" committed
	check "the guest starts" start slow
	has "and shows it" "$(console slow)" "motd is after the cut"
	stop slow
	# ---- the power goes again, and nothing recovers at the start
	: >/root/no-recover
	slow 0 600000
	"$DOMU" write slow:/etc/motd >"$T/cut" 2>&1 < <(echo "in the end") &
	check "closed once more" wait_until 30 closed
	sync -f /root/no-recover
	power_cut 3
	;;
3)
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
	"$DOMU" write slow:/etc/motd >"$T/cut" 2>&1 < <(echo "never") &
	check "sealed" wait_until 30 sealed
	power_cut 4
	;;
4)
	check "the guest starts before recover" start slow
	has "from the disk as it was" "$(console slow)" "motd is in the end"
	stop slow
	before=$(md5sum <$disk)
	domu recover slow
	has "recover says that it is superseded" "$(err)" "superseded: the guest ran meanwhile, nothing was written"
	is "nothing was written" "$(md5sum <$disk)" "$before"
	works "and it can be changed" write slow:/etc/motd < <(echo "new")
	check "e2fsck finds nothing" e2fsck -fn $disk
	rm /root/no-recover
	;;
esac
