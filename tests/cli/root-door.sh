#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# root-door.sh - a change of another filesystem, or of none: until it is whole the guest's root is closed, too.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
. "$(dirname "$0")/../lib/cut.sh"
need_kernel
need_strace
mib=1048576
mkdir -p "$T/root" "$T/data/etc"
plain_tree "$T/root"
mkdir -p "$T/root/srv"
printf '%s\n' 'LABEL=root / ext4 defaults 0 1' 'LABEL=data /srv ext4 defaults 0 2' >"$T/root/etc/fstab"
truncate -s 25M "$T/base.img"
printf 'label: dos\nstart=2048, size=16384, type=83\nstart=18432, size=32768, type=83\n' | sfdisk -q "$T/base.img"
mke2fs -q -F -t ext4 -L root -d "$T/root" -E offset=$((1 * mib)) "$T/base.img" 8M
mke2fs -q -F -t ext4 -L data -d "$T/data" -E offset=$((9 * mib)) "$T/base.img" 16M
head -c 60000 /dev/urandom >"$T/payload"
fs_offset=$((9 * mib))
disk=$T/disk.img
config test "$disk,raw,xvda,w"

# root_closed: the guest cannot boot.
root_closed() {
	closed "$disk?offset=$mib" && ! kmount "$disk" $mib $((8 * mib)) "$T/mnt" ro 2>/dev/null
}

# ---- another filesystem
cp --sparse=always "$T/base.img" "$disk"
at=$(writes write test:/srv/etc/big)
dd if="$disk" bs=1M skip=1 count=8 status=none | cmp -s - <(dd if="$T/base.img" bs=1M skip=1 count=8 status=none)
is "a whole commit leaves the root as it was" "$?" 0
works "its undo" undo test
cmp -s "$disk" "$T/base.img"
is "is exact" "$?" 0
cut_short "$at" "$disk" write test:/srv/etc/big
check "while the data is closed the root is, too" root_closed
works "recover" recover test
kmount "$disk" $mib $((8 * mib)) "$T/mnt" ro
is "the root is open" "$?" 0
kumount "$T/mnt"
kmount "$disk" $fs_offset $((16 * mib)) "$T/mnt" ro && cmp -s "$T/payload" "$T/mnt/etc/big"
is "what was committed is there" "$?" 0
kumount "$T/mnt"
works "undo of what was finished" undo test
cmp -s "$disk" "$T/base.img"
is "as before" "$?" 0

# ---- a disk of its own, and the one with the root is another by the time of the undo
split() {
	rm -rf "$state"
	dd if="$T/base.img" of="$T/r.img" bs=1M skip=1 count=8 status=none
	dd if="$T/base.img" of="$T/d.img" bs=1M skip=9 count=16 status=none
}
config test "$T/r.img,raw,xvda,w" "$T/d.img,raw,xvdb,w"
split
works "a commit to another disk" write test:/srv/etc/big <"$T/payload"
cp "$T/r.img" "$T/r.new"
mv "$T/r.new" "$T/r.img"
works "undo does not ask for the root's" undo test
cmp -s "$T/d.img" <(dd if="$T/base.img" bs=1M skip=9 count=16 status=none)
is "it is exact" "$?" 0
split
config test "$T/r.img,raw,xvda,r" "$T/d.img,raw,xvdb,w"
works "a root that may only be read is left alone" write test:/srv/etc/big <"$T/payload"
done_testing
