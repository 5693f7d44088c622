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
wait_until 10 called $holder sleep
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
wait_until 10 called $holder sleep
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

# ---- a guest's volumes in several pieces: the Dom0's own dm says what is in them

lvm lvcreate -y -n pv-one -L 24M lab
lvm lvcreate -y -n pv-two -L 24M lab
lvm pvcreate -y -ff --config 'devices { scan_lvs = 1 }' /dev/lab/pv-one /dev/lab/pv-two
inner vgcreate two /dev/lab/pv-one /dev/lab/pv-two
inner lvcreate -y -n grown -l 2 two /dev/lab/pv-one
inner lvcreate -y -n between -l 1 two /dev/lab/pv-one
inner lvextend -y -l +1 two/grown /dev/lab/pv-two
inner lvcreate -y -n striped -i 2 -I 64k -l 4 two
udevadm settle
image /dev/two/grown 12M
mke2fs -q -F -t ext4 -E lazy_itable_init=0 -L data /dev/two/striped 16M >/dev/null
head -c 6000000 /dev/urandom >"$T/payload"
is "the kernel has the root in two pieces" "$(dmsetup table two-grown | wc -l)" 2
is "and the other in stripes" "$(dmsetup table two-striped | cut -d' ' -f3)" striped
inner vgchange -an two
udevadm settle
printf 'name = "two"\nkernel = "/lab/vmlinux"\ndisk = [ "%s", "%s" ]\n' \
	"phy:/dev/lab/pv-one,xvda,w" "phy:/dev/lab/pv-two,xvdb,w" >/etc/xen/two.cfg
works "a volume that lvextend grew is changed" write two@two/grown:/etc/big <"$T/payload"
works "and one in stripes" write two@two/striped:/big <"$T/payload"
works "both are checked" fsck two
inner vgchange -ay two
udevadm settle
for v in grown:etc/big striped:big; do
	check "e2fsck finds nothing on what dm makes of it: ${v%%:*}" e2fsck -fn "/dev/two/${v%%:*}"
	mount -t ext4 "/dev/two/${v%%:*}" /mnt/inside
	check "the kernel has what was written" cmp "$T/payload" "/mnt/inside/${v#*:}"
	echo guest >/mnt/inside/written
	umount /mnt/inside
done
inner vgchange -an two
udevadm settle
works "what dm wrote is read" cat two@two/striped:/written
is "as it is" "$(out)" guest

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
