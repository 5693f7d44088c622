#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# moved.sh - a commit is due and its disk is elsewhere: moved, renumbered, copied, replaced, missing.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
. "$(dirname "$0")/../lib/cut.sh"
need_kernel
need_strace
mkdir "$T/tree" "$T/a" "$T/b" "$T/other"
plain_tree "$T/tree"
truncate -s 8M "$T/base.img"
mke2fs -q -F -t ext4 -b 1024 -L root -d "$T/tree" "$T/base.img"
head -c 60000 /dev/urandom >"$T/payload"
fs_offset=0 fs_size=0
disk=$T/a/disk.img

test_cleanup() {
	umount "$T/other" "$T/held" 2>/dev/null
}

config test "$disk,raw,xvda,w"
cp --sparse=always "$T/base.img" "$disk"
at=$(writes write test:/etc/big)

# ---- moved on its file system: the same file
cut_short "$at" "$disk" write test:/etc/big
mv "$disk" "$T/b/moved.img"
due "moved away" test
ends "moved away: reading" 4 cat test:/etc/big
refused "moved away: recover" "$id.*pending.*cannot open" "$T/b/moved.img" recover
refused "moved away: recover test" "$id.*pending.*cannot open" "$T/b/moved.img" recover test
config test "$T/b/moved.img,raw,xvda,w"
due "moved, and the config says where" test
works "moved: status" status test
has "moved: status says that it is due" "$(err)" "$id.*recover test"
works "moved: a change finishes it first" mkdir test:/srv
has "moved: and says so" "$(err)" "$id.*was finished"
is "moved: the change is there" "$(domu ls test:/; out | grep -cx srv)" 1
recovered "moved" "$T/b/moved.img"
works "moved: undo" undo test
works "moved: undo of what was finished" undo test "$id"
cmp -s "$T/b/moved.img" "$T/base.img"
is "moved: as before" "$?" 0
rm "$T/b/moved.img"
config test "$disk,raw,xvda,w"

cut_short "$at" "$disk" write "$disk:/etc/big"
mv "$disk" "$T/b/moved.img"
works "a guest without a name, moved: recover" --disk "$T/b/moved.img" recover
recovered "a guest without a name, moved" "$T/b/moved.img"
rm "$T/b/moved.img"

# ---- later than whoever recovers at boot
cut_short "$at" "$disk" write test:/etc/big
mv "$disk" "$T/b/late.img"
ends "late: it is waited for" 7 recover --wait 1
has "late: which is said once" "$(err | grep -c 'test: waiting for its disks')" '^1$'
"$DOMU" recover --wait 600 >"$T/late" 2>&1 &
waiting=$!
check "late: recover waits" wait_until 20 grep -q "waiting for its disks" "$T/late"
mv "$T/b/late.img" "$disk"
wait $waiting
is "late: and goes on when it is there" "$?" 0
recovered "late" "$disk"
ends "late: a guest that is named is not waited for" 2 recover --wait 1 test
ends "late: no number" 2 recover --wait 1x
rm "$disk"

# A stage, too.
cp --sparse=always "$T/base.img" "$disk"
rm -rf "$state"
call=fdatasync killed 1 write test:/etc/big
is "a stage is left" "$(ls "$state/pending" | wc -l)" 1
mv "$disk" "$T/b/moved.img"
config test "$T/b/moved.img,raw,xvda,w"
ends "a stage, moved: it is in the way" 3 mkdir test:/srv
works "a stage, moved: dropped" --yes rollback test
config test "$disk,raw,xvda,w"
rm "$T/b/moved.img"

# ---- another file where it was
cut_short "$at" "$disk" write test:/etc/big
mv "$disk" "$T/b/moved.img"
cp --sparse=always "$T/base.img" "$disk"
due "replaced" test
refused "replaced: recover" 'another file' "$disk" recover
refused "replaced: recover test" 'another file' "$disk" recover test
refused "replaced: a change" 'another file' "$disk" mkdir test:/srv
mv "$T/b/moved.img" "$disk"
works "it comes back: recover" recover
recovered "it comes back" "$disk"

# ---- a copy
cut_short "$at" "$disk" write test:/etc/big
cp --sparse=always "$disk" "$T/b/copy.img"
config copy "$T/b/copy.img,raw,xvda,w"
due "a copy" copy
refused "a copy: recover" "copy of $disk.*recover test" "$T/b/copy.img" recover copy
refused "a copy: by its path" "copy of $disk.*recover test" "$T/b/copy.img" --disk "$T/b/copy.img" recover
refused "a copy: a change" "copy of $disk" "$T/b/copy.img" mkdir copy:/srv
refused "a copy: reading" "$id.*recover copy" "$T/b/copy.img" cat copy:/etc/hostname
works "its original: recover" recover
recovered "its original" "$disk"
refused "a copy of what was finished since" "closed by commit $id.*finished since on $disk.*debugfs" "$T/b/copy.img" recover copy

# ---- moved to another file system, or restored: another file with its door
mkdir -p "$T/other"
mount -t tmpfs -o mode=700 tmpfs "$T/other"
cut_short "$at" "$disk" write test:/etc/big
cp --sparse=always "$disk" "$T/other/disk.img"
rm "$disk"
config test "$T/other/disk.img,raw,xvda,w"
due "another file system" test
refused "another file system: recover" "$id.*$disk.*gone.*recover test" "$T/other/disk.img" recover
refused "another file system: a change" "$id.*$disk.*gone.*recover test" "$T/other/disk.img" mkdir test:/srv
cp --sparse=always "$T/other/disk.img" "$T/other/keep.img"
truncate -s +1M "$T/other/disk.img"
refused "another file system: another size" "bytes" "$T/other/disk.img" recover test
truncate -s -1M "$T/other/disk.img"
printf x | dd of="$T/other/disk.img" bs=1 seek=1690000 conv=notrunc status=none
refused "another file system: changed" "block" "$T/other/disk.img" recover test
cp --sparse=always "$T/other/keep.img" "$T/other/disk.img"
works "another file system: recover test" recover test
has "another file system: and says so" "$(err)" "taken for $disk"
recovered "another file system" "$T/other/disk.img"
works "another file system: history" history test --json
is "another file system: it is this disk's now" "$(jq -r '.commits[0] | .id, .undoable' "$T/out" | tr '\n' ' ')" "$id true "
works "another file system: undo" undo test
cmp -s "$T/other/disk.img" "$T/base.img"
is "another file system: as before" "$?" 0
config test "$disk,raw,xvda,w"
umount "$T/other"

cut_short "$at" "$disk" write test:/etc/big
cp --sparse=always "$disk" "$T/b/backup.img"
rm "$disk"
: >"$T/a/filler"
mv "$T/b/backup.img" "$disk"
refused "restored under its name: recover" "another file.*recover test" "$disk" recover
# Recover is cut as well, after the disk was taken for the one it was.
writes=$(strace -o "$T/calls" -e trace=pwrite64 "$DOMU" --dry-run recover test >"$T/out" 2>&1; grep -c '^pwrite64(' "$T/calls")
for ((n = writes + 1; n < writes + 60; n++)); do
	killed "$n" recover test
	grep -q 'exited with' "$T/trace" && break
	closed "$disk" || break
	# Whatever the cut left, nobody needs to be asked again about a disk that was accepted.
	cut=$((${cut-0} + 1))
done
has "restored under its name: recover was cut" "${cut-0}" '^[1-9]'
works "restored under its name: recover test" recover test
recovered "restored under its name" "$disk"

# ---- two disks, and another order
config two "$T/a/one.img,raw,xvda,w" "$T/a/two.img,raw,xvdb,w"
# both ARG...: the program, with a change on each disk.
both() {
	"$@" shell two -c "use xvdb; write /etc/big <'$T/payload'; use xvda; write /etc/big <'$T/payload'"
}
fresh() {
	rm -rf "$state"
	cp --sparse=always "$T/base.img" "$T/new.img"
	mv "$T/new.img" "$T/a/one.img"
	cp --sparse=always "$T/base2.img" "$T/new.img"
	mv "$T/new.img" "$T/a/two.img"
}
mkdir -p "$T/data/etc"
truncate -s 8M "$T/base2.img"
mke2fs -q -F -t ext4 -b 1024 -L data -d "$T/data" "$T/base2.img"
fresh
both strace -o "$T/calls" -e trace=pwrite64 "$DOMU" >"$T/out" 2>"$T/err"
is "two disks: a commit" "$?" 0
config two "$T/a/two.img,raw,xvda,w" "$T/a/one.img,raw,xvdb,w"
works "two disks in another order: undo" undo two
cmp -s "$T/a/one.img" "$T/base.img" && cmp -s "$T/a/two.img" "$T/base2.img"
is "two disks in another order: as before" "$?" 0
at_two=$(($(grep -c '^pwrite64(' "$T/calls") - 3))
# cut_two: both disks closed.
cut_two() {
	config two "$T/a/one.img,raw,xvda,w" "$T/a/two.img,raw,xvdb,w"
	fresh
	{
		both strace -o "$T/trace" -e trace=pwrite64 -e inject="pwrite64:signal=KILL:when=$at_two" "$DOMU" >"$T/out" 2>"$T/err"
	} 2>/dev/null
	id=$(ls "$state/pending")
	closed "$T/a/one.img" || not_ok "two disks are cut short" "$(err)"
}
cut_two
check "two disks: the other is closed too" closed "$T/a/two.img"
config two "$T/a/two.img,raw,xvda,w" "$T/a/one.img,raw,xvdb,w"
works "two disks in another order: recover" recover
recovered "two disks in another order" "$T/a/one.img"
recovered "two disks in another order, the other" "$T/a/two.img"
cut_two
refused "one of two disks: recover" "$T/a/two.img.*not among.*recover two" "$T/a/one.img" --disk "$T/a/one.img" recover
mv "$T/xen/two.cfg" "$T/two.cfg"
refused "two disks, no config: recover" "--disk $T/a/one.img --disk $T/a/two.img recover" "$T/a/one.img" recover
mv "$T/a/two.img" "$T/b/two.img"
cp --sparse=always "$T/a/one.img" "$T/b/new.img"
mv "$T/b/new.img" "$T/a/one.img"
works "two disks, one moved, one restored: recover" --disk "$T/b/two.img" --disk "$T/a/one.img" recover
recovered "two disks, one moved, one restored" "$T/a/one.img"
recovered "two disks, one moved, one restored, the other" "$T/b/two.img"

# Cut between the doors: only the root's is closed, and both were moved.
at_two=$((at_two + 2)) cut_two
for f in one two; do
	cp --sparse=always "$T/a/$f.img" "$T/b/new.img"
	mv "$T/b/new.img" "$T/a/$f.img"
done
is "two disks, cut between the doors: the other is open" "$(closed "$T/a/two.img"; echo $?)" 1
refused "two disks, cut between the doors: recover" "recover two" "$T/a/one.img" recover
works "two disks, cut between the doors: recover two" recover two
recovered "two disks, cut between the doors" "$T/a/one.img"
recovered "two disks, cut between the doors, the other" "$T/a/two.img"
rm "$T/xen/two.cfg"

# Without a name: both are found by what they are.
fresh
{
	strace -o "$T/trace" -e trace=pwrite64 -e inject="pwrite64:signal=KILL:when=$at_two" "$DOMU" --disk "$T/a/one.img" \
		--disk "$T/a/two.img" shell -c "use xvdb; write /etc/big <'$T/payload'; use xvda; write /etc/big <'$T/payload'" >"$T/out" 2>"$T/err"
} 2>/dev/null
id=$(ls "$state/pending")
works "two disks without a name: recover" recover
recovered "two disks without a name" "$T/a/one.img"
recovered "two disks without a name, the other" "$T/a/two.img"

# ---- a loop device
# drop DEVICE: it is no loop device any more, and no device at all: of those that are there, anybody may be given one.
drop() {
	unloop "$1"
	perl -e 'open(F, "+<", "/dev/loop-control") && ioctl(F, 0x4c81, int shift)' "${1#/dev/loop}" # LOOP_CTL_REMOVE
}

# again DEVICE FILE: it is one, of that.
again() {
	losetup "$1" "$2" && : >"$T/loops/${1##*/}"
}

# setup FILE: a loop device under a number that nobody else takes meanwhile.  Sets $dev.
setup() {
	local n first=$((770 + $$ % 50 * 4)) # who else runs this test has others
	for ((n = first; n < first + 4; n++)); do
		dev=/dev/loop$n
		[ ! -e "/sys/block/loop$n/loop/backing_file" ] && losetup "$dev" "$1" 2>/dev/null && break
	done
	: >"$T/loops/${dev##*/}"
}
setup "$disk"
config dev "$dev,raw,xvda,w"
rm -rf "$state"
cp --sparse=always "$T/base.img" "$disk"
at_dev=$(writes --waive writers write dev:/etc/big)
cut_short "$at_dev" "$dev" --waive writers write dev:/etc/big
cp --sparse=always "$disk" "$T/b/copy.img"
drop "$dev"
refused "a device that is gone: recover" "$id" "$disk" --waive writers recover dev
again "$dev" "$T/b/copy.img"
dev2=$(loop "$disk" 0 0)
due "another device has its name" dev
refused "another device has its name: recover" "another device has its name.*--disk $dev2" "$T/b/copy.img" --waive writers recover dev
cp --sparse=always "$T/base.img" "$T/b/copy.img"
refused "another image has its name: recover" "another device has its name.*--disk $dev2" "$T/b/copy.img" --waive writers recover dev
refused "another device has its name: a change" "another device" "$T/b/copy.img" --waive writers mkdir dev:/srv
config dev "$dev2,raw,xvda,w"
due "another number" dev
works "another number: recover" --waive writers recover
unloop "$dev2"
drop "$dev"
recovered "another number" "$disk"
rm "$T/xen/dev.cfg"

# ---- two devices exchange their numbers
cp --sparse=always "$T/base.img" "$T/b/other.img"
setup "$disk"
one=$dev
setup "$T/b/other.img"
two=$dev
cut_short "$at_dev" "$one" --waive writers write "$one:/etc/big"
drop "$one"
drop "$two"
again "$one" "$T/b/other.img"
refused "a device without a guest, and another in its place: recover" "$id.*pending.*no disk of $one now" "$T/b/other.img" --waive writers recover
drop "$one"
again "$one" "$disk"
again "$two" "$T/b/other.img"
config dev "$one,raw,xvda,w"
config other "$two,raw,xvda,w"
cut_short "$at_dev" "$one" --waive writers write dev:/etc/big
drop "$one"
drop "$two"
again "$one" "$T/b/other.img"
again "$two" "$disk"
config dev "$two,raw,xvda,w"
config other "$one,raw,xvda,w"
due "exchanged numbers" dev
is "exchanged numbers: the other guest is not due" "$(jq '.guests[] | select(.name == "other") | .recover_due' "$T/out")" false
works "exchanged numbers: the other is told nothing" status other
lacks "exchanged numbers: of a recover" "$(err)" "$id"
works "exchanged numbers: the other's history" history other --json
is "exchanged numbers: is empty" "$(jq '.commits | length' "$T/out")" 0
works "exchanged numbers: a change of the other" --waive writers mkdir other:/srv
works "exchanged numbers: recover" --waive writers recover
works "exchanged numbers: the other's undo without ID" --waive writers undo other
cmp -s "$T/b/other.img" "$T/base.img"
is "exchanged numbers: is of its own commit" "$?" 0
drop "$one"
drop "$two"
recovered "exchanged numbers" "$disk"
rm "$T/xen/dev.cfg" "$T/xen/other.cfg"

# ---- a state directory on the disk that is to be changed
setup "$disk"
mkdir "$T/held"
mount "$dev" "$T/held"
echo "$T/held" >"$T/loops/${dev##*/}"
mkdir "$T/held/state"
waive=(--waive writers --waive mounts --waive exclusive --waive stacked)
# on_it NAME DISK ARG...: refused with both names, and the file system is as it was.
on_it() {
	local name=$1 where=$2
	shift 2
	ends "$name" "1 3" "$@" write "$where:/etc/hostname" <"$T/payload"
	has "$name: the message" "$(err)" "$T/held.*on disk xvda \($where\)"
	is "$name: no stage is left" "$(find "$T"/{held/,}state/pending -mindepth 1 2>/dev/null | wc -l)" 0
	is "$name: nothing was written" "$(cat "$T/held/etc/hostname")" testguest
}
rm -rf "$state"
on_it "a state directory on the disk" "$dev" "${waive[@]}" --state-dir "$T/held/state"
on_it "a state directory on the image's loop" "$disk" "${waive[@]}" --state-dir "$T/held/state"
on_it "a folder for undo on the disk" "$dev" "${waive[@]}" --undo-dir "$T/held/state"
# In a file on it.
truncate -s 4M "$T/held/inner.img"
mke2fs -q -F -t ext4 -O ^has_journal "$T/held/inner.img"
kmount "$T/held/inner.img" 0 0 "$T/held/mnt" rw
mkdir "$T/held/mnt/state"
on_it "a state directory in a file on the disk" "$dev" "${waive[@]}" --state-dir "$T/held/mnt/state"
kumount "$T/held/mnt"
umount "$T/held"
drop "$dev"
done_testing
