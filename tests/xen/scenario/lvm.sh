# SPDX-License-Identifier: GPL-3.0-or-later
# lvm.sh - logical volumes as guests' disks, and everything that a Dom0 may have put on top of one.
# shellcheck shell=bash
. /lab/lab.sh
lvm() {
	command lvm "$@" >>"$T/lvm" 2>&1 || sed 's/^/# /' "$T/lvm"
}
vgs lab >/dev/null 2>&1 || lvm vgcreate -y lab /dev/vdc
lvm lvcreate -y -n root -L 16M lab
lvm lvcreate -y -n root-two -L 16M lab
udevadm settle
disk=/dev/lab/root
image $disk 16M
still=1 guest lv "phy:$disk"
guest other "phy:/dev/mapper/lab-root"
works "a volume that nobody has is changed" write lv:/etc/motd < <(echo free)

check "a domain is built on it" xl create -p /etc/xen/lv.cfg
refused "another domain has it" $disk 'domain lv \([0-9]+, paused\) has it as xvda' write other:/etc/motd
refused "the domain itself" $disk 'domain lv \([0-9]+, paused\)' write lv:/etc/motd
check "the domain goes" destroy lv

lvm lvcreate -y -s -n snap -L 8M lab/root
udevadm settle
refused "a snapshot of it" $disk 'LV lab/snap \(dm-[0-9]+\) is a snapshot of it' write lv:/etc/motd
lvm lvremove -y lab/snap
udevadm settle

sleep 1000 7<>$disk &
holder=$!
refused "open for writing in the Dom0" $disk "process $holder \(sleep\) has it open for writing.*kill $holder" write lv:/etc/motd
kill $holder
wait $holder 2>/dev/null

mkdir -p /mnt/inside
mount -t ext4 $disk /mnt/inside
refused "mounted" $disk 'mounted on /mnt/inside.*umount /mnt/inside' write lv:/etc/motd
umount /mnt/inside
mkfifo "$T/go"
unshare -m --propagation private sh -c "mount -t ext4 $disk /mnt/inside && sync && echo there >'$T/there' && exec sleep 1000" &
holder=$!
check "somebody mounts it where only he sees it" wait_until 20 test -s "$T/there"
refused "mounted in another namespace" $disk "mounted on /mnt/inside in the mount namespace of pid $holder \(sleep\)" write lv:/etc/motd
kill $holder
wait $holder 2>/dev/null

dmsetup create over --table "0 32768 linear $disk 0"
udevadm settle
refused "a device-mapper device is over it" $disk 'over.* is over it.*dmsetup remove over' write lv:/etc/motd
dmsetup remove over

modprobe raid1
mdadm --create /dev/md7 --run --force --level=1 --raid-devices=2 --metadata=1.0 --assume-clean --size=8192 \
	$disk missing >/dev/null 2>&1 </dev/null
udevadm settle
refused "an md array is over it" $disk 'md7 is over it.*mdadm --stop /dev/md7' write lv:/etc/motd
mdadm --stop /dev/md7 >/dev/null 2>&1
mdadm --zero-superblock $disk >/dev/null 2>&1

inner() {
	lvm "$@" --config 'devices { scan_lvs = 1 }'
}
lvm pvcreate -y -ff --config 'devices { scan_lvs = 1 }' /dev/lab/root-two
inner vgcreate guestvg /dev/lab/root-two
inner lvcreate -y -n root -L 8M guestvg
udevadm settle
image /dev/guestvg/root 8M
guest vg "phy:/dev/lab/root-two"
refused "the guest's own volume group is active here" /dev/lab/root-two \
	'LV guestvg/root.* is over it.*vgchange -an guestvg' write vg:/etc/motd
refused "and mounted" /dev/lab/root-two 'LV guestvg/root' write vg:/etc/motd
inner vgchange -an guestvg

check "attached to the Dom0" xl block-attach 0 "phy:$disk,xvdz,w"
refused "attached to the Dom0" $disk 'attached to this Dom0 as xvdz.*next: xl block-detach 0 xvdz' write lv:/etc/motd
modprobe xen-blkfront
check "where it appears" wait_until 30 test -b /dev/xvdz
mount -t ext4 -o ro /dev/xvdz /mnt/inside
refused "attached to the Dom0 and mounted" $disk \
	'attached to this Dom0 as xvdz \(.*/dev/xvdz: mounted on /mnt/inside .*next: umount /mnt/inside && xl block-detach 0 xvdz$' write lv:/etc/motd
umount /mnt/inside
check "detached" xl block-detach 0 xvdz

works "in the end it is free" status lv
works "and can be changed" write lv:/etc/motd < <(echo last)
is "which it was" "$(debugfs -R 'cat /etc/motd' $disk 2>/dev/null)" last
