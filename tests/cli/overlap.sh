#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# overlap.sh - partitions and volumes on top of each other, or beyond the disk, as sfdisk(8) and lvm(8) make them: read, not changed.
# shellcheck source-path=SCRIPTDIR/../lib
. "$(dirname "$0")/../lib/functions.sh"
. "$lib/images.sh"
. "$lib/lvm.sh"
MiB=1048576
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 12M "$T/root.img"
mke2fs -q -F -t ext4 -b 4096 -L root -d "$T/tree" "$T/root.img"

# unchanged NAME MESSAGE ARG...: refused with 6, and no byte of $disk is written.
unchanged() {
	local name=$1 message=$2 before
	shift 2
	before=$(sha "$disk")
	ends "$name" 6 "$@"
	has "$name: the message" "$(err)" "$message"
	is "$name: no byte changed" "$(sha "$disk")" "$before"
}

# sectors FILE N COUNT: entry N of its MBR has so many, whatever is behind it; sfdisk itself would not have that.
sectors() {
	local v=$3 i
	for i in 0 1 2 3; do
		printf "\\x$(printf %02x $((v >> 8 * i & 255)))"
	done | dd of="$1" bs=1 seek=$((446 + 16 * ($2 - 1) + 12)) conv=notrunc status=none
}

# ---- two partitions

disk=$T/table.img
truncate -s 64M "$disk"
printf 'label: dos\nstart=2048, size=8192\nstart=20480, size=24576\nstart=65536, size=24576\n' | sfdisk -q "$disk"
sectors "$disk" 1 24576
has "two partitions overlap" "$(sfdisk --verify "$disk" 2>&1)" overlap
for at in 1 32; do
	dd if="$T/root.img" of="$disk" bs=$MiB seek=$at conv=notrunc status=none
done
config test "$disk,raw,xvda,w"
both="bytes 10485760 to 13631487 of xvda are in"
works "a file in one of them is read" cat test@xvda1:/etc/hostname
has "with a warning" "$(err)" "warning: xvda1: $both xvda2 too"
unchanged "not changed" "xvda1: $both xvda2 too" touch test@xvda1:/new
ends "nor repaired" 8 fsck -y test@xvda1
has "which says why" "$(err)$(out)" "xvda1: $both xvda2 too"
works "but looked at" fsck -n test@xvda1
unchanged "nor made longer" "xvda[12]" resize test xvda1 max
works "info" info test
has "names both" "$(err)" "warning: xvda1 and xvda2 overlap: $both both"
works "what is beside them is changed" touch test@xvda3:/new
works "and put back" undo test
sectors "$disk" 1 8192
works "when the table is mended too" info test
lacks "without a warning" "$(err)" overlap

# ---- a partition beyond the end

truncate -s 40M "$disk"
works "info of a disk that was cut" info test
has "says what is not there" "$(err)" "xvda3 cannot be opened: the partition .sector 65536, 24576 sectors. runs past the end of the disk, which has 81920: with 46137344 bytes"
unchanged "what it has cannot be named" "xvda3 cannot be opened.*with 46137344 bytes" cat test@xvda3:/etc/hostname
is "and that many are what it takes" "$(truncate -s 46137344 "$disk"; domu cat test@xvda3:/etc/hostname; out)" testguest

# ---- volumes of two groups, whose physical volumes overlap

need_kernel
need_lvm
disk=$T/groups.img
truncate -s 80M "$disk"
printf 'label: dos\nstart=2048, size=8192, type=8e\nstart=51200, size=112640, type=8e\n' | sfdisk -q "$disk"
sectors "$disk" 1 100352
# Each is made where only it is: what both write meets in the midst of the first.
volumes "$disk@$MiB"
make_first() {
	lvm pvcreate -y --setphysicalvolumesize 49M "${loops[0]}" && lvm vgcreate -y one "${loops[0]}" &&
		lvm lvcreate -y -an -Zn -Wn -n low -l 3 one && lvm lvcreate -y -an -Zn -Wn -n high -l 8 one
}
make_first >"$T/log" 2>&1 || skip_all "lvm makes no volumes here: $(tail -n 1 "$T/lvm.log")"
scatter one/low "$T/root.img"
release
dd if="$disk" of="$T/first.img" bs=$MiB count=25 status=none
volumes "$disk@$((25 * MiB))"
make_second() {
	lvm pvcreate -y "${loops[0]}" && lvm vgcreate -y two "${loops[0]}" && lvm lvcreate -y -an -Zn -Wn -n near -l 3 two &&
		lvm lvcreate -y -an -Zn -Wn -n middle -l 4 two && lvm lvcreate -y -an -Zn -Wn -n far -l 3 two
}
make_second >"$T/log" 2>&1
for v in near far; do
	scatter two/$v "$T/root.img"
done
release
config test "$disk,raw,xvda,w"
works "info of two groups that overlap" info test
has "names the partitions" "$(err)" "xvda1 and xvda2 overlap: bytes 26214400 to 52428799 of xvda"
has "and the volumes" "$(err)" "one/high and (two/near|xvda2) overlap: bytes"
works "what is in both is read" cat test@two/near:/etc/hostname
has "with a warning" "$(err)" "warning: two/near: bytes [0-9]+ to [0-9]+ of xvda are in (one/high|xvda1) too"
unchanged "and not changed" "two/near: bytes" touch test@two/near:/new
works "what is in one alone is changed" touch test@two/far:/new
works "in either" touch test@one/low:/new
done_testing
