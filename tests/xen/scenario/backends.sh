# SPDX-License-Identifier: GPL-3.0-or-later
# backends.sh - disks as they come: qdisk, raw and qcow2; loop devices; partitions of the Dom0; disks without a table; shared ones.
# shellcheck shell=bash
. /lab/lab.sh
image $disks/raw.img 8M
guest qraw "format=raw,vdev=xvda,access=rw,backendtype=qdisk,target=$disks/raw.img"
sed -i 's/,xvda,w"/"/' /etc/xen/qraw.cfg
if xl create -p /etc/xen/qraw.cfg >"$T/xl" 2>&1; then
	refused "served by qemu" $disks/raw.img 'domain qraw \([0-9]+, paused\) has it as xvda' write qraw:/etc/motd
	works "status" --json status qraw
	has "status: the backend too" "$(jq -r '.reasons[].check' "$T/out" | tr '\n' ' ')" 'domains .*backends'
	destroy qraw
else
	not_ok "a qdisk is attached" "$(cat "$T/xl")"
fi
works "after it is gone" write qraw:/etc/motd < <(echo raw)

for type in phy qdisk; do
	image $disks/$type.img 8M
	guest $type "format=raw,vdev=xvda,access=rw,backendtype=$type,target=$disks/$type.img"
	sed -i 's/,xvda,w"/"/' /etc/xen/$type.cfg
	check "a domain with backendtype=$type" xl create -p /etc/xen/$type.cfg
	refused "backendtype=$type" $disks/$type.img "domain $type \([0-9]+, paused\) has it as xvda" write $type:/etc/motd
	destroy $type
	works "backendtype=$type, when it is gone" write $type:/etc/motd < <(echo free)
done

qemu-img create -q -f qcow2 $disks/base.qcow2 8M
guest qcow "format=qcow2,vdev=xvda,access=rw,target=$disks/base.qcow2"
sed -i 's/,xvda,w"/"/' /etc/xen/qcow.cfg
ends "qcow2 is not supported yet, and says so" 6 cat qcow:/etc/motd
has "with a way" "$(err)" 'qemu-img convert'

image $disks/loop.img 8M
loop=$(losetup -f --show $disks/loop.img)
guest loop "phy:$loop"
guest file "file:$disks/loop.img"
check "a domain on a loop device" xl create -p /etc/xen/loop.cfg
refused "by the loop device" $disks/loop.img 'domain loop \([0-9]+, paused\)' write loop:/etc/motd
refused "by the file below it" $disks/loop.img "backend|domain loop|${loop#/dev/} is over it" write file:/etc/motd
destroy loop
works "the loop device itself, when it is free" write loop:/etc/motd < <(echo loop)
refused "the file, while the loop device is there" $disks/loop.img "${loop#/dev/} is over it.*losetup -d $loop" write file:/etc/motd
losetup -d "$loop"
works "then the file" write file:/etc/motd < <(echo file)

truncate -s 20M "$T/whole.img"
echo 'start=2048, size=16384, type=83' | sfdisk -q "$T/whole.img"
whole=$(losetup -fP --show "$T/whole.img")
udevadm settle
image "${whole}p1" 8M
guest part "phy:${whole}p1"
sed -i 's/,xvda,w/,xvda1,w/; s/root=.dev.xvda/root=\/dev\/xvda1/' /etc/xen/part.cfg
guest over "phy:$whole"
check "a domain on a partition" xl create -p /etc/xen/part.cfg
refused "the partition" "$whole" 'domain part \([0-9]+, paused\) has it as xvda1' write part:/etc/motd
refused "the disk that it is on" "$whole" 'domain part \([0-9]+, paused\) has it as xvda1' write over:/etc/motd
destroy part
check "a domain on the whole disk" xl create -p /etc/xen/over.cfg
refused "the partition, while a guest has its disk" "$whole" 'domain over \([0-9]+, paused\) has' write part:/etc/motd
destroy over
works "a disk without a table, xvda1" write part:/etc/motd < <(echo part)
works "it is the root" cat part:/etc/motd
is "with what was written" "$(out)" part
losetup -d "$whole"

image $disks/shared.img 8M
image $disks/own.img 8M
printf 'name = "ro%s"\nkernel = "/lab/vmlinux"\nmemory = 96\ndisk = [ "file:%s/own.img,xvda,w", "file:%s/shared.img,xvdb,r" ]\n' \
	1 $disks $disks >/etc/xen/ro1.cfg
guest ro2 "file:$disks/shared.img"
check "a domain that only reads a disk" xl create -p /etc/xen/ro1.cfg
works "another guest reads it too" cat ro2:/etc/motd
refused "nobody changes it" $disks/shared.img 'domain ro1 \([0-9]+, paused\) has it as xvdb' write ro2:/etc/motd
destroy ro1
