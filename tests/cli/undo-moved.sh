#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# undo-moved.sh - an undo when the partition table has changed since: sfdisk(8) changes it, dd says what became of the bytes.
. "$(dirname "$0")/../lib/functions.sh"
. "$lib/images.sh"
MiB=1048576
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 12M "$T/root.img"
mke2fs -q -F -t ext4 -b 4096 -L root -d "$T/tree" "$T/root.img"
truncate -s 64M "$T/base.img"
printf 'label: gpt\nstart=2048, size=24576\n' | sfdisk -q "$T/base.img"
dd if="$T/root.img" of="$T/base.img" bs=$MiB seek=1 conv=notrunc status=none
disk=$T/disk.img
config test "$disk,raw,xvda,w"

# changed: a new disk with a file written.
changed() {
	rm -rf "$T/state"
	cp --sparse=always "$T/base.img" "$disk"
	works "a file is written" write test:/etc/motd <"$T/xen/test.cfg"
}
# at MiB: is what is there the filesystem as it was made?
at() {
	dd if="$disk" bs=$MiB skip="$1" count=12 status=none | sha256sum | cut -d' ' -f1
}
made=$(sha "$T/root.img")

changed
printf 'start=65536, size=8192\n' | sfdisk -q --append "$disk" 2>/dev/null
table=$(dd if="$disk" bs=$MiB count=1 status=none | sha256sum)
works "undo beside a new partition" undo test
is "puts back every byte" "$(at 1)" "$made"
is "and leaves the table alone" "$(dd if="$disk" bs=$MiB count=1 status=none | sha256sum)" "$table"
echo ', 32768' | sfdisk -q -N 1 "$disk" 2>/dev/null
works "undo of the undo in a partition that is longer now" undo test
works "and again" undo test
is "puts back every byte" "$(at 1)" "$made"

changed
sfdisk -q --delete "$disk" 1
printf 'start=40960, size=24576\n' | sfdisk -q --append "$disk" 2>/dev/null
dd if="$disk" of="$disk" bs=$MiB skip=1 seek=20 count=12 conv=notrunc status=none
works "a partition that was moved is read" cat test:/etc/motd
before=$(sha "$disk")
for how in "" --files; do
	ends "an undo does not go where it was: undo $how" 1 undo test $how
	has "which says why" "$(err)" "xvda1 does not lie any more where it lay then.*nothing was written; domu-rescue info test"
done
is "and writes nothing" "$(sha "$disk")" "$before"

changed
sfdisk -q --delete "$disk" 1
printf 'start=2048, size=8192\nstart=10240, size=16384\n' | sfdisk -q --append "$disk" 2>/dev/null
before=$(sha "$disk")
ends "nor where it is cut in two" 1 undo test
has "which says why" "$(err)" "xvda1 does not lie any more"
is "and writes nothing" "$(sha "$disk")" "$before"

# A commit that wrote the table rests on it.
changed
works "a resize" resize-root test max
echo ', 106496' | sfdisk -q -N 1 "$disk" 2>/dev/null
ends "is not undone when the table has changed since" 1 undo test
has "which says where" "$(err)" "blocks have changed since, the first is block 0 "
done_testing
