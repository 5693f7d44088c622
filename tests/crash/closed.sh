#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# closed.sh [PATTERN] - disks of every feature set, closed by a commit that was cut: nobody else opens or changes them.
# One line a disk; PATTERN: only the disks whose name matches it.
# In memory: what a power cut leaves is asked elsewhere, and nothing waits for a sync.
[ -n "${TMPDIR-}" ] || [ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
command -v strace >/dev/null || skip_all "no strace to cut a commit with"
strace -o /dev/null true 2>/dev/null || skip_all "no tracing here"
only=${1-.}
mkdir -p "$T/tree/etc" "$T/tree/sbin" "$T/tree/usr/lib"
echo web1 >"$T/tree/etc/hostname"
echo 'LABEL=root / ext4 defaults 0 1' >"$T/tree/etc/fstab"
head -c 100000 /dev/urandom >"$T/tree/usr/lib/lib"
disk=$T/disk.img closed=0 mountable=0

test_cleanup() {
	local l
	umount "$T/mnt" 2>/dev/null
	for l in "${dev-}" "${whole-}"; do
		[ -z "$l" ] || losetup -d "$l" 2>/dev/null
	done
}

# bad WHAT...: what is wrong with this disk.
bad() {
	wrong+=("$*")
}

# attach DISK [LOSETUP-OPTION...]: $dev, as a guest's kernel would see the filesystem on it.
attach() {
	dev=$(losetup -f --show -b "$sector" -o "$start" --sizelimit "$size" "${@:2}" "$1")
}

detach() {
	unloop "$dev"
	dev=
}

# unchanged WHAT: nobody has written to the disk since it was closed.
unchanged() {
	if [ "$disk" -nt "$T/ref" ]; then
		bad "$1 wrote to the closed disk"
		touch -r "$disk" "$T/ref"
	fi
}

# refused COMMAND...: it fails, and writes nothing.
refused() {
	if timeout "$time_limit" "$@" >"$T/said" 2>&1 </dev/null; then
		bad "$* was content: $(head -n 3 "$T/said" | tr '\n' ' ')"
	fi
	unchanged "$*"
}

# no_mount TYPE OPTIONS
no_mount() {
	if mount -n -t "$1" -o "$2" "$dev" "$T/mnt" 2>/dev/null; then
		umount "$T/mnt"
		bad "the kernel mounted it, -t $1 -o $2"
	fi
	unchanged "mount -t $1 -o $2"
}

# because_of_the_door: what the kernel gave as its reason since the marker: the feature, not a checksum or something else that happens to be wrong.
because_of_the_door() {
	local log
	[ -n "$kmsg" ] || return
	log=$(dmesg 2>/dev/null | sed -n "\\|$marker|,\$p" | grep -F "(${dev#/dev/}): ")
	grep -qE "$because" <<<"$log" || bad "the kernel does not name the feature: $log"
	! grep -qEi 'checksum|corrupt|mismatch' <<<"$log" || bad "the kernel names something else: $log"
}

# found: what blkid makes of it.
found() {
	blkid -p -o export -s UUID -s LABEL "$dev" 2>/dev/null | grep -v '^DEVNAME=' | sort
}

# ext_tools: e2fsprogs and the boot loader on the closed filesystem.
ext_tools() {
	refused e2fsck -p "$dev"
	refused e2fsck -y "$dev"
	refused e2fsck -f -y "$dev"
	refused tune2fs -L other "$dev"
	refused tune2fs -f -O ^has_journal "$dev"
	refused resize2fs -f "$dev" 4M
	debugfs -w -R 'mkdir /new' "$dev" >/dev/null 2>&1
	unchanged "debugfs -w"
	[ -z "$grub_reads" ] || refused grub-fstest "$dev" cat '(loop0)/etc/hostname'
}

# verdict: the checker's, on a disk that is open.
verdict() {
	timeout "$time_limit" e2fsck -fn "$dev" >"$T/verdict" 2>&1
	echo $?
}

# told NAME STATUSES ARG...: the program ends so, gives nothing of the disk, and says what to do.
told() {
	domu "${@:3}"
	[[ " $2 " == *" $status "* ]] || bad "$1: status $status: $(head -n 2 "$T/err")"
	[ ! -s "$T/out" ] || bad "$1: it told: $(head -n 2 "$T/out")"
	grep -Eq -e 'domu-rescue .*recover|--state-dir' "$T/err" || bad "$1: no word of what to do: $(head -n 2 "$T/err")"
	unchanged "$1"
}

# way_in: what the message says where the state directory is lost does open it, and e2fsck is content then.
way_in() {
	local way said
	way=$(sed -n 's/.*cannot be repaired: \(.*\), then domu-rescue fsck -y .*/\1/p' "$T/err")
	[ -n "$way" ] || bad "no way in: $(err)"
	cp --sparse=always "$disk" "$T/lost"
	said=$(eval "${way//"$target"/"$T/lost"}" 2>&1 </dev/null)
	domu fsck -y "$T/lost"
	e2fsck -fn "$T/lost?offset=$start" >"$T/said" 2>&1 || bad "$way: $said" "$(err)" "$(cat "$T/said")"
	rm -rf "$T/state"
}

# cut WHICH ARG...: the program is killed as it enters that write to the disk. The first one closes it.
cut() {
	{
		timeout -k 5 "$time_limit" strace -o /dev/null -P "$target" -e trace=pwrite64 \
			-e inject="pwrite64:signal=KILL:when=$1" "$DOMU" "${@:2}" >"$T/out" 2>"$T/err"
		status=$?
	} 2>/dev/null
}

# one_sector: the closed disk is the open one but for the door, and with the old door it is the open one.
one_sector() {
	local at=$((start + door / sector * sector))
	cp --sparse=always "$disk" "$T/opened"
	dd if="$T/before" of="$T/opened" bs="$sector" skip=$((at / sector)) seek=$((at / sector)) count=1 conv=notrunc status=none
	cmp -s "$T/before" "$T/opened" || bad "more than a sector was changed before it was closed"
	! cmp -s "$T/before" "$disk" || bad "nothing was changed"
}

# try NAME: the disk as $disk, $start, $size, $sector say, is closed by a commit; $half: and half written, cut at that write.
try() {
	local name=$1 wrong=() before_found before_verdict now target=$disk waive=() options can_mount=no
	rm -rf "$T/state"
	cp --sparse=always "$disk" "$T/before"
	attach "$T/before" -r
	before_found=$(found)
	before_verdict=$(verdict)
	grub_reads=
	[ -z "$grub" ] || [ "$(grub-fstest "$dev" cat '(loop0)/etc/hostname' 2>/dev/null)" != web1 ] || grub_reads=1
	if mount -n -t "$type" -o "$look" "$dev" "$T/mnt" 2>/dev/null; then
		umount "$T/mnt"
		can_mount=yes
		mountable=$((mountable + 1))
	else
		echo "# the kernel does not mount this one when it is open either: $name"
	fi
	detach
	if [ "$sector" != 512 ]; then
		whole=$(losetup -f --show -b "$sector" "$disk")
		target=$whole
		# Where this is not the first container of the machine, who has a device open cannot be told.
		waive=(--waive writers)
	fi
	# shellcheck disable=SC2086
	cut "${half:-2}" "${waive[@]}" ${how[0]} "${target}${how[1]-}" <"$T/payload"
	if [ "$status" != 137 ]; then
		not_ok "$name" "the commit was not cut: status $status" "$(err)" "$(out)"
		[ -z "$whole" ] || losetup -d "$whole"
		whole=
		return
	fi
	[ -z "$whole" ] || sync -f "$disk"
	attach "$disk"
	touch -r "$disk" "$T/ref"
	[ "$(found)" = "$before_found" ] || bad "blkid: $(found), not $before_found"
	marker="domu-rescue closed $$ $name"
	[ -z "$kmsg" ] || echo "$marker" >/dev/kmsg
	for options in $mounts; do
		no_mount "$type" "$options"
	done
	because_of_the_door
	for options in $others; do
		no_mount "$options" ro
	done
	ext_tools
	detach
	told "ls" 7 ls -a "$target:/"
	told "fsck -n" 8 fsck -n "$target"
	mv "$T/state" "$T/away"
	told "ls without its state" 7 ls -a "$target:/"
	told "recover without its state" 7 "${waive[@]}" recover "$target"
	[ $((closed % 3)) != 0 ] || way_in
	told "fsck -y without its state" 8 "${waive[@]}" fsck -y "$target"
	rm -rf "$T/state"
	mv "$T/away" "$T/state"
	[ -n "${half-}" ] || one_sector
	domu "${waive[@]}" recover "$target"
	[ "$status" = 0 ] || bad "recover: status $status: $(err)"
	if [ -n "$whole" ]; then
		unloop "$whole"
		whole=
	fi
	attach "$disk" -r
	[ "$(found)" = "$before_found" ] || bad "blkid after recover: $(found)"
	now=$(verdict)
	[ "$now" = 0 ] || [ "$now" = "$before_verdict" ] || bad "check after recover: $now, before $before_verdict: $(head -n 5 "$T/verdict")"
	if [ "$can_mount" = yes ]; then
		mount -n -t "$type" -o "$look" "$dev" "$T/mnt" 2>/dev/null || bad "not mountable after recover"
		umount "$T/mnt"
	fi
	detach
	closed=$((closed + 1))
	if [ ${#wrong[@]} = 0 ]; then
		ok "$name"
	else
		not_ok "$name" "${wrong[@]}"
	fi
}

# ---- ext2, 3, 4

type=ext4 look=ro,noload mounts="ro rw ro,noload" others="ext2 ext3" start=0 sector=512 door=1024 whole='' half=''
because='unsupported optional features \(40000000\)'
how=("fsck -p")
kmsg='' grub=''
if echo "domu-rescue closed $$" 2>/dev/null >/dev/kmsg && dmesg 2>/dev/null | grep "domu-rescue closed $$" >/dev/null; then
	kmsg=1
else
	skip "why the kernel refuses" "no kernel log to read"
fi
if command -v grub-fstest >/dev/null; then grub=1; else skip "what a boot loader makes of a closed disk" "no grub-fstest"; fi
head -c 300000 /dev/urandom >"$T/payload"

# label: of 1 to 12 bytes.
label() {
	local text
	text=$(head -c 9 /dev/urandom | base64 | tr '+/' '-.')
	echo "${text:0:$((RANDOM % 12 + 1))}"
}

# ext MIB MKE2FS-OPTION...: a disk with that filesystem: all of it, or, with a $table, its second partition.
ext() {
	local mib=$1 name=$prefix$* at=$disk
	shift
	[[ $name =~ $only ]] || return 1
	size=$((mib * 1048576)) start=0
	[ -z "$table" ] || start=$((3 * 1048576))
	rm -f "$disk"
	truncate -s $((start * 2 + size)) "$disk"
	if [ -n "$table" ]; then
		[ "$sector" = 512 ] || at=$(losetup -f --show -b "$sector" "$disk")
		printf 'label: %s\nstart=1MiB, size=1MiB\nstart=3MiB, size=%dMiB\n' "$table" "$mib" |
			sfdisk -q "$at" >"$T/sfdisk" 2>&1 || bad "sfdisk: $(cat "$T/sfdisk")"
		[ "$sector" = 512 ] || unloop "$at"
	fi
	# Made long ago, so that a check has its time to write.
	if ! E2FSPROGS_FAKE_TIME=1700000000 mke2fs -q -F -L "$(label)" -E "offset=$start${extended:+,$extended}" -d "$T/tree" \
		"$@" "$disk" $((size / 1024))k >"$T/mke2fs" 2>&1; then
		not_ok "$name" "mke2fs: $(cat "$T/mke2fs")"
		return 1
	fi
}

# closes MIB MKE2FS-OPTION...
closes() {
	local wrong=()
	if ext "$@"; then try "$prefix$*"; fi
}

# crashed: the disk as a guest leaves it that is switched off while it writes.
crashed() {
	attach "$disk"
	mount -n -t ext4 "$dev" "$T/mnt" || bad "it cannot be mounted"
	cp -r "$T/tree" "$T/mnt/written"
	sync -f "$T/mnt"
	cp --sparse=always "$disk" "$disk.now"
	umount "$T/mnt"
	detach
	mv "$disk.now" "$disk"
	dumpe2fs -h "$disk?offset=$start" 2>/dev/null | grep -q '^Filesystem features:.*needs_recovery' || bad "no journal to replay"
}

# damaged COMMAND: by debugfs, and e2fsck sees it.
damaged() {
	debugfs -w -R "$1" "$disk?offset=$start" >/dev/null 2>&1
	! e2fsck -fn "$disk?offset=$start" >/dev/null 2>&1 || bad "$1 has damaged nothing"
}

prefix='' table='' extended=''
closes 8 -t ext2 -r 0
for i in 128 256; do
	for b in 1024 2048 4096; do
		closes 8 -t ext2 -b $b -I $i
		closes 16 -t ext3 -b $b -I $i
		for csum in uninit_bg metadata_csum metadata_csum,metadata_csum_seed ^metadata_csum,^uninit_bg; do
			for bits in 64bit ^64bit; do
				[ $i = 256 ] || [ $bits = ^64bit ] || continue
				closes 16 -t ext4 -b $b -I $i -O $csum,$bits
				[ $i = 128 ] || closes 16 -t ext4 -b $b -I $i -O $csum,$bits,^has_journal
			done
		done
	done
done
for b in 1024 4096; do
	for csum in metadata_csum uninit_bg; do
		for features in inline_data ea_inode quota quota,project encrypt verity orphan_file large_dir sparse_super2 \
			fast_commit meta_bg,^resize_inode ^flex_bg stable_inodes ^extent,^64bit ^dir_index \
			inline_data,ea_inode,large_dir,orphan_file,quota,project,verity,encrypt,stable_inodes; do
			closes 16 -t ext4 -b $b -O $csum,$features
		done
		closes 64 -t ext4 -b $b -O $csum,bigalloc -C $((b * 16))
		extended=encoding=utf8
		closes 16 -t ext4 -b $b -O $csum,casefold
		extended=
	done
done

if [ "$only" = . ]; then
	skip "16 -t ext4 -O mmp" "each check of it waits for 11 seconds: closed.sh mmp"
else
	closes 16 -t ext4 -O mmp
fi
for sector in 512 4096; do
	for table in '' gpt dos; do
		[ -n "$table" ] || [ "$sector" = 4096 ] || continue
		prefix="$sector $table "
		closes 16 -t ext2 -b 4096
		closes 16 -t ext3 -b 4096
		closes 16 -t ext4 -b 4096 -O metadata_csum,metadata_csum_seed
		closes 16 -t ext4 -b 4096 -O ^metadata_csum,^64bit
		closes 16 -t ext4 -b 4096 -O inline_data,orphan_file,large_dir
	done
done

sector=512
for table in '' gpt; do
	for made in "-t ext3 -b 1024" "-t ext4 -b 4096" "-t ext4 -b 1024 -O metadata_csum" "-t ext4 -b 2048 -O fast_commit,orphan_file"; do
		prefix="crashed $table " wrong=()
		# Fast commits are replayed by nobody here: only -y gives them up.
		[[ $made != *fast_commit* ]] || how=("fsck -y")
		# shellcheck disable=SC2086
		if ext 16 $made; then crashed && try "$prefix$made"; fi
	done
	how=("fsck -y")
	for damage in 'clri <12>' 'freeb 1 900' 'set_super_value state 2' 'set_super_value free_blocks_count 1' \
		'set_inode_field /etc links_count 9' 'unlink /usr/lib'; do
		prefix="damaged by $damage $table " wrong=()
		if ext 16 -t ext4 -b 1024 -O metadata_csum; then damaged "$damage" && try "$prefix"; fi
	done
	how=(write :/usr/lib/more)
	for half in 3 4 5 6; do
		prefix="half written $half $table "
		closes 16 -t ext4 -b 1024 -O metadata_csum
		closes 16 -t ext3 -b 4096
	done
	half='' how=("fsck -p")
done

if [ "$only" = . ]; then
	is "at least 200 disks were closed" "$((closed >= 200))" 1
fi
echo "# closed disks: $closed, of which the kernel mounts $mountable when they are open"
done_testing
