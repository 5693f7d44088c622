#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# resize.sh - resize-root: what the kernel, e2fsck and sfdisk say after it, and undo.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
MiB=1048576

# blocks_of DISK: the filesystem's size in bytes, as its superblock says.
bytes_of() {
	dumpe2fs -h "$1?offset=$fs_offset" 2>/dev/null | awk '/^Block count/ { n = $3 } /^Block size/ { s = $3 } END { print n * s }'
}

# part_size DISK: of the last partition, bytes.
part_size() {
	echo $(($(sfdisk -J "$1" | jq '[.partitiontable.partitions[] | select(.type | test("^(5|f)$") | not)] | last | .size') * 512))
}

for type in ext4 ext3 ext2; do
	make_fs $type "$T/fs.img" plain_tree
	for layout in none gpt dos logical; do
		[ $type = ext4 ] || [ $layout = none ] || [ $layout = logical ] || continue
		name="$type $layout"
		disk=$T/disk.img
		rm -rf "$T/state"
		make_disk $layout "$T/fs.img" "$disk" 40
		config test "$disk,raw,xvda,w"
		before=$(sha "$disk") size=$(stat -c %s "$disk")
		listing_of "$disk" "$T/before"
		yes=()
		[ $layout != none ] || yes=(--yes)

		works "$name: --plan" resize-root test +16M --plan --json
		is "$name: the plan's end" "$(jq '.to - .from' "$T/out")" $((16 * MiB))
		is "$name: a plan is not done" "$(jq .done "$T/out")" false
		has "$name: its steps" "$(jq -r '[.steps[].op] | join(" ")' "$T/out")" 'grow-filesystem'
		is "$name: a plan changes nothing" "$(sha "$disk") $(stat -c %s "$disk")" "$before $size"
		works "$name: --dry-run" --dry-run resize-root test +16M
		is "$name: --dry-run changes nothing" "$(sha "$disk") $(stat -c %s "$disk")" "$before $size"
		if [ $layout = none ]; then
			ends "$name: growing the backing store needs consent" 5 resize-root test +16M </dev/null
			is "$name: declined, nothing changed" "$(sha "$disk") $(stat -c %s "$disk")" "$before $size"
		fi

		works "$name: +16M" "${yes[@]}" resize-root test +16M
		is "$name: the filesystem's new size" "$(bytes_of "$disk")" $((fs_size + 16 * MiB))
		fsck_clean "$name: e2fsck" "$disk"
		listing_of "$disk" "$T/after" $((fs_size + 16 * MiB)) || not_ok "$name: the kernel mounts it"
		is "$name: every file is as it was" "$(changed "$T/before" "$T/after")" ""
		kmount "$disk" "$fs_offset" $((fs_size + 16 * MiB)) "$T/mnt" ro
		is "$name: the kernel sees the new size" \
			"$(($(stat -fc '%b * %S' "$T/mnt") > fs_size))" 1
		kumount "$T/mnt"
		if [ $layout != none ]; then
			check "$name: sfdisk --verify" sfdisk --verify -q "$disk"
			is "$name: the partition's new size" "$(part_size "$disk")" $((fs_size + 16 * MiB))
			is "$name: its start is where it was" "$(sfdisk -J "$disk" | jq '[.partitiontable.partitions[].start] | max')" $((fs_offset / 512))
			is "$name: the disk's size" "$(stat -c %s "$disk")" "$size"
		else
			is "$name: the disk's size" "$(stat -c %s "$disk")" $((size + 16 * MiB))
		fi
		works "$name: undo" "${yes[@]}" undo test
		if [ $layout = none ]; then
			is "$name: undo brings the bytes back" "$(head -c "$size" "$disk" | sha256sum | cut -d' ' -f1)" "$before"
		else
			is "$name: undo brings the bytes back" "$(sha "$disk")" "$before"
		fi
		fsck_clean "$name: e2fsck after undo" "$disk"
		make_disk $layout "$T/fs.img" "$disk" 40
		rm -rf "$T/state"

		if [ $layout != none ]; then
			works "$name: max" resize-root test max
			is "$name: max uses the disk" "$(($(bytes_of "$disk") >= fs_size + 38 * MiB))" 1
			fsck_clean "$name: max: e2fsck" "$disk"
			check "$name: max: sfdisk --verify" sfdisk --verify -q "$disk"
			is "$name: max again has nothing to do" "$(domu resize-root test max; echo $?)" 0
			works "$name: max: beyond the disk needs consent" --yes resize-root test +20M
			is "$name: the disk grew" "$(($(stat -c %s "$disk") >= size + 17 * MiB))" 1
			fsck_clean "$name: grown disk: e2fsck" "$disk"
			check "$name: grown disk: sfdisk --verify" sfdisk --verify -q "$disk"
			is "$name: grown disk: sfdisk has nothing to say" "$(sfdisk -l "$disk" 2>&1 >/dev/null)" ""
			kmount "$disk" "$fs_offset" "$(part_size "$disk")" "$T/mnt" rw
			check "$name: the kernel writes into the new room" dd if=/dev/zero of="$T/mnt/fill" bs=1M count=70 status=none
			kumount "$T/mnt"
			fsck_clean "$name: e2fsck after that" "$disk"
		fi
	done
done

# Cut between the growing of the image and the closing of its door: a stage again, that can be committed.
if strace -o /dev/null true 2>/dev/null; then
	make_fs ext4 "$T/fs.img" plain_tree
	disk=$T/disk.img fs_offset=0
	fresh() {
		rm -rf "$T/state"
		cp --sparse=always "$T/fs.img" "$disk"
		config test "$disk,raw,xvda,w"
	}
	fresh
	size=$(stat -c %s "$disk")
	check "cut when grown: a whole commit" strace -o "$T/calls" -e trace=ftruncate,fdatasync "$DOMU" --yes resize-root test +16M
	at=$(awk -v to=", $((size + 16 * MiB)))" '/^fdatasync/ { n++ } /^ftruncate/ && index($0, to) { at = n + 1 } END { print at }' "$T/calls")
	fresh
	{
		strace -o "$T/calls" -e trace=ftruncate,fdatasync -e inject="fdatasync:signal=KILL:when=$at" "$DOMU" --yes resize-root test +16M
	} >/dev/null 2>&1
	is "cut when grown: the image is longer" "$(stat -c %s "$disk")" $((size + 16 * MiB))
	is "cut when grown: the file system is as before" "$(bytes_of "$disk")" "$size"
	works "cut when grown: diff" diff test
	printf x | dd of="$disk" bs=1 seek=$((size + 4 * MiB)) conv=notrunc status=none
	ends "cut when grown, and somebody wrote behind the old end: commit" 1 commit test
	has "cut when grown, and somebody wrote there: why" "$(err)" "bytes, not the $size"
	truncate -s "$size" "$disk"
	truncate -s +8M "$disk"
	ends "cut when grown, and cut back in between: commit" 1 commit test
	truncate -s $((size + 16 * MiB)) "$disk"
	works "cut when grown: commit" commit test
	is "cut when grown: the file system is bigger" "$(bytes_of "$disk")" $((size + 16 * MiB))
	fsck_clean "cut when grown: e2fsck" "$disk"
else
	skip "cut when grown" "no tracing here"
fi

# What is not possible says so and changes nothing.
make_disk gpt "$T/fs.img" "$disk" 40
rm -rf "$T/state"
before=$(sha "$disk")
ends "a size that is none" 2 resize-root test 12X
ends "a negative size" "2 6" resize-root test -- -0
ends "less than it holds" "1 2 6" resize-root test 1M
ends "an absurd size" "1 2 6" --yes resize-root test 9000P
ends "smaller" 6 resize-root test min
has "the size that it has, to be read" "$(err)" 'smaller yet: give a size above [0-9.]+[KMG]'
is "nothing was changed" "$(sha "$disk")" "$before"
# The root is not the last partition.
printf 'start=%d, size=8192, type=linux\n' $(((fs_offset + fs_size) / 512 + 2048)) | sfdisk -q --append "$disk" >/dev/null 2>&1
before=$(sha "$disk")
ends "a root that is not last cannot grow over its neighbour" 6 resize-root test +16M
is "nothing was changed then" "$(sha "$disk")" "$before"

# Two filesystems of data, the first with room on its disk: neither is the root.
for d in one two; do
	truncate -s 24M "$T/$d.img"
	mke2fs -q -F -t ext4 -U random -L "$d" "$T/$d.img" 16M
done
config rootless "$T/one.img,raw,xvda,w" "$T/two.img,raw,xvdb,w"
works "a root that cannot be told: info" info --json rootless
is "none is called the root" "$(jq '[.nodes[] | select(.root)] | length' "$T/out")" 0
works "a root that cannot be told: list" list -l --json rootless
is "none is listed as it" "$(jq -c '.guests[0].root' "$T/out")" null
before=$(sha "$T/one.img")
ends "and none is resized" 4 resize-root rootless max
has "it says how to see them" "$(err)" 'cannot tell which.*domu-rescue info rootless'
is "the first is as it was" "$(sha "$T/one.img")" "$before"
done_testing
