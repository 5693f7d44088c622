# SPDX-License-Identifier: GPL-3.0-or-later
# slow.sh - sourced: a guest on a volume whose writes can be made to last, so that something can happen in the midst of them.
# shellcheck shell=bash
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

# make_slow_guest: the guest "slow" on it.
make_slow_guest() {
	vgs lab >/dev/null 2>&1 || vgcreate -qq -y lab /dev/vdc >/dev/null
	lvs lab/slow >/dev/null 2>&1 || lvcreate -qq -y -n slow -L 16M lab >/dev/null
	udevadm settle
	image $disk 16M
	guest slow "phy:$disk"
}

# commit_until CONDITION TEXT: a commit of that motd is under way, and as far as that.
commit_until() {
	"$DOMU" write slow:/etc/motd >"$T/cut" 2>&1 < <(echo "$2") &
	check "a commit is under way: $1" wait_until 120 "$1"
}

# cut_in_commit TEXT [systemd]: the power goes in a commit of that motd; xendomains is to start the guest, and its
# volume will have another number, and with systemd be there only when recover waits for it.
cut_in_commit() {
	make_slow_guest
	cat >/root/before-lvm <<-'END'
		modprobe dm-mod
		for i in first second; do
			dmsetup create --noudevsync --noudevrules $i --table "0 8 error"
		done
		[ -d /run/systemd/system ] || exit 0
		until [ -d /sys/fs/cgroup/system.slice/domu-rescue-recover.service ]; do
			sleep 0.5
		done && vgchange -qq -ay lab &
	END
	vgchange -qq --setautoactivation n lab
	stat -Lc '%t:%T' $disk >/root/number
	mkdir -p /etc/xen/auto
	ln -sf ../slow.cfg /etc/xen/auto/slow.cfg
	rm -f $logs/guest-slow.log
	slow 0 600000
	commit_until closed "$1"
	sync -f /root
	power_cut 2 "${2-}"
}

# recovered_at_boot TEXT
recovered_at_boot() {
	isnt "the device numbers have changed" "$(stat -Lc '%t:%T' $disk)" "$(cat /root/number)"
	check "xendomains has started the guest" says slow "guest: up"
	has "and it shows the change" "$(console slow)" "motd is $1"
	stop slow
	check "e2fsck finds nothing" e2fsck -fn $disk
	works "nothing is left" recover
	has "to recover" "$(out)" "nothing to recover"
	works "history" history slow
	has "shows it as committed" "$(out)" committed
	rm /root/before-lvm /etc/xen/auto/slow.cfg
}
