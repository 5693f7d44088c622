#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# inuse.sh - a guest whose disk somebody uses is refused, by whatever way it is used; --live and --waive.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
echo new >"$T/new"
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 32M "$T/fs.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/fs.img"
disk=$T/disk.img
make_disk gpt "$T/fs.img" "$disk"
config test "$disk,raw,xvda,w"

# refused NAME CHECK: reading and changing are refused with 3, nothing is written, status says which check.
refused() {
	local name=$1 check=$2 before
	before=$(sha "$disk")
	ends "$name: a change is refused" 3 write test:/etc/hostname <"$T/new"
	has "$name: the holder is named" "$(err)" "${3-.}"
	is "$name: nothing was written" "$(sha "$disk")" "$before"
	works "$name: status works" status test --json
	is "$name: the verdict" "$(jq -r .verdict "$T/out")" in-use
	has "$name: the check" "$(jq -r '.reasons[].check' "$T/out" | tr '\n' ' ')" "$check"
	works "$name: list works" list
	works "$name: info works" info test
	works "$name: history works" history test
	domu fsck -p test
	is "$name: fsck of a named guest in use" "$((status & 8))" 8
	domu fsck -p --no-mark --all
	is "$name: fsck --all skips it" "$status" 0
}

reading_refused() {
	ends "$1: reading is refused" 3 cat test:/etc/hostname
	works "$1: --live reads" --live cat test:/etc/hostname
	is "$1: --live reads the right thing" "$(out)" testguest
	has "$1: --live warns" "$(err)" '[a-z]'
	ends "$1: --live does not change" 3 --live write test:/etc/hostname <"$T/new"
}

works "a stopped guest is free" status test --json
is "its verdict" "$(jq -r .verdict "$T/out")" free
has "checks are listed" "$(jq -r '.checks[].check' "$T/out" | tr '\n' ' ')" '[a-z]+ [a-z]+'
is "no check failed" "$(jq -r '[.checks[] | select(.result == "fail")] | length' "$T/out")" 0
is "results are of the contract" "$(jq -r '[.checks[].result] | unique - ["pass", "fail", "skipped", "unknown", "waived"] | length' "$T/out")" 0
works "status as text" status test
works "status --fence" status --fence test
has "status --fence says something" "$(out)" '[a-z]'

kmount "$disk" "$fs_offset" "$fs_size" "$T/mnt" ro
refused "a loop mount" 'loop|mount' 'mnt|loop'
reading_refused "a loop mount"
kumount "$T/mnt"
works "free again" cat test:/etc/hostname

dev=$(loop "$disk" 0 0)
refused "a loop device" 'loop|stacked' "${dev#/dev/}"
reading_refused "a loop device"
ln -s disk.img "$T/link.img"
ends "a link to the disk" 3 write "$T/link.img:/etc/hostname" <"$T/new"
ln "$disk" "$T/hard.img"
ends "a hard link to the disk" 3 write "$T/hard.img:/etc/hostname" <"$T/new"
works "the loop device itself can be looked at" --disk "$dev" info
unloop "$dev"
rm "$T/hard.img"

# A writer: a process of its own, since whatever this shell has open its children have too.
tail -f /dev/null 8<>"$disk" &
writer=$!
writes() {
	[ "$(readlink "/proc/$writer/fd/8")" = "$disk" ] && called $writer tail
}
check "a writer is there" wait_until 10 writes
refused "a writer" 'writer|open|process' "process $writer \(tail\)"
kill "$writer"
wait "$writer" 2>/dev/null
works "free when the writer is gone" status test --json
is "its verdict then" "$(jq -r .verdict "$T/out")" free
exec 8<"$disk"
works "a reader does not matter" mkdir test:/srv
exec 8<&-
works "undo" undo test

# qemu's image locks: OFD locks on bytes 100 and following
if command -v qemu-io >/dev/null; then
	mkfifo "$T/qemu"
	qemu-io -f raw "$disk" <"$T/qemu" >"$T/qemu.out" 2>&1 &
	qpid=$!
	exec 8>"$T/qemu"
	echo 'read 0 512' >&8
	wait_until 20 grep -q '512 bytes' "$T/qemu.out"
	ends "a disk that qemu has open" 3 write test:/etc/hostname <"$T/new"
	exec 8>&-
	wait $qpid
	rm "$T/qemu"
else
	skip "a disk that qemu has open" "qemu-io is not installed"
fi

# A lock alone, of a process that has it open only for reading
if command -v flock >/dev/null; then
	exec 8<"$disk"
	flock -n 8
	ends "a flock on the disk" 3 write test:/etc/hostname <"$T/new"
	exec 8<&-
fi

# Swap
truncate -s 16M "$T/swap.img"
mkswap -q "$T/swap.img"
dev=$(loop "$T/swap.img" 0 0)
if swapon "$dev" 2>/dev/null; then
	config swapper "$disk,raw,xvda,w" "$T/swap.img,raw,xvdb,w"
	ends "the guest's swap is in use here" 3 write swapper:/etc/hostname <"$T/new"
	config swapper "$disk,raw,xvda,w" "$dev,raw,xvdb,w"
	ends "the device is swap here" 3 write swapper:/etc/hostname <"$T/new"
	has "swap is named" "$(err)" 'swap'
	swapoff "$dev"
	rm "$T/xen/swapper.cfg"
else
	skip "the guest's swap is in use here" "no swapon here"
fi
unloop "$dev"

# Mounted in another mount namespace only
if unshare -m true 2>/dev/null; then
	dev=$(loop "$disk" "$fs_offset" "$fs_size" -r)
	config device "$dev,raw,xvda,r"
	mkfifo "$T/ns"
	unshare -m sh -c "mount -o ro $dev $T/mnt && echo ready >$T/ns.ready && read _ <$T/ns; umount $T/mnt" &
	nspid=$!
	wait_until 20 test -s "$T/ns.ready"
	domu status device --json
	has "a mount in another namespace" "$(jq -r '.reasons[].check' "$T/out" | tr '\n' ' ')" 'mount'
	echo end >"$T/ns"
	wait $nspid
	rm "$T/xen/device.cfg"
	unloop "$dev"
else
	skip "a mount in another namespace" "no mount namespaces here"
fi

# --waive
dev=$(loop "$disk" 0 0 -r)
check=$(domu status test --json; jq -r '[.reasons[].check] | unique | join(" ")' "$T/out")
waive=()
for c in $check; do
	waive+=(--waive "$c")
done
works "--waive of the check that failed" "${waive[@]}" mkdir test:/waived
domu "${waive[@]}" history test --json
unloop "$dev"
works "undo of it" undo test
ends "--waive of a check that does not exist" 2 --waive nonsense mkdir test:/srv
ends "there is no --force" 2 --force mkdir test:/srv

# Our own lock: two at once
mkfifo "$T/in"
"$DOMU" shell test <"$T/in" >"$T/shell.out" 2>&1 &
pid=$!
exec 8>"$T/in"
printf 'mkdir /srv\nls / > %s\n' "$T/staged" >&8
wait_until 20 test -s "$T/staged"
ends "another session stages" 3 mkdir test:/other
domu fsck -p test
is "fsck meanwhile" "$((status & 8))" 8
echo 'rollback' >&8
exec 8>&-
wait $pid
works "free again after it" mkdir test:/other
done_testing
