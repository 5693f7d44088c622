#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# appliance.sh - the same work through the libguestfs appliance: xfs, btrfs with subvolumes, and ext4 with --engine guestfs.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
time_limit=600 # twice what an appliance may take to start
# Not grep -q: it ends before ldconfig has written everything, and the pipe's failure would count as absent.
ldconfig -p | grep 'libguestfs\.so' >/dev/null || skip_all "libguestfs is not installed"
command -v qemu-system-x86_64 >/dev/null || skip_all "qemu-system-x86 is not installed"
compgen -G '/boot/vmlinuz-*' >/dev/null || skip_all "no kernel in /boot for the appliance"
[ -e /dev/fuse ] || skip_all "no /dev/fuse"
need_kernel

# A script of the shell is one appliance: everything that can be is done in one start.
try() {
	local type=$1 disk=$2 before
	shift 2
	local options=("$@")
	before=$(state_of "$disk")
	# ---- reading
	works "$type: a script that reads" "${options[@]}" shell "$disk" -c "
		cat /etc/passwd > $T/passwd
		ls /etc > $T/ls
		stat --json /etc/hostname > $T/stat
		cat /big > $T/big
		readlink /etc/os-release > $T/link"
	same "$type: cat" "$T/passwd" "$T/tree/etc/passwd"
	same "$type: cat of a large file" "$T/big" "$T/tree/big"
	is "$type: ls" "$(tr '\n' ' ' <"$T/ls")" "$(ls "$T/tree/etc" | tr '\n' ' ')"
	is "$type: stat" "$(jq -r '.entries[0] | "\(.size) \(.uid) \(.gid)"' "$T/stat")" "$(stat -c '%s %u %g' "$T/tree/etc/hostname")"
	is "$type: readlink" "$(cat "$T/link")" ../usr/lib/os-release
	is "$type: not a byte was changed" "$(state_of "$disk")" "$before"
	# ---- changing
	echo 'by the appliance' >"$T/data"
	works "$type: a script that changes" "${options[@]}" shell "$disk" -c "
		write /etc/motd < $T/data
		mkdir /srv
		mv /etc/hostname /srv/name
		rm /etc/group
		diff > $T/diff"
	has "$type: diff says that it compares no files" "$(err)" 'xvda: files of .* cannot be compared'
	has "$type: and counts blocks" "$(cat "$T/diff")" '^[1-9][0-9]* blocks to write'
	fs_offset=0 fs_size=$(stat -c %s "$disk")
	fs_type=${type%% *} kmount "$disk" 0 0 "$T/mnt" ro || not_ok "$type: the kernel mounts it"
	is "$type: write" "$(cat "$T/mnt/etc/motd")" 'by the appliance'
	is "$type: mkdir, mv" "$(cat "$T/mnt/srv/name")" testguest
	is "$type: mv, rm: gone" "$(find "$T/mnt/etc" -name hostname -o -name group)" ""
	is "$type: the rest is as it was" "$(cat "$T/mnt/etc/passwd")" "$(cat "$T/tree/etc/passwd")"
	kumount "$T/mnt"
	works "$type: undo" undo "$disk"
	is "$type: undo brings back the bytes" "$(sha "$disk")" "${before%% *}"
}

mkdir "$T/tree"
plain_tree "$T/tree"
head -c 3000000 /dev/urandom >"$T/tree/big"
if command -v mkfs.xfs >/dev/null; then
	truncate -s 320M "$T/xfs.img"
	mkfs.xfs -q "$T/xfs.img"
	if fs_type=xfs kmount "$T/xfs.img" 0 0 "$T/mnt" rw; then
		cp -a "$T/tree/." "$T/mnt/"
		kumount "$T/mnt"
		try xfs "$T/xfs.img"
		domu fsck -n "$T/xfs.img"
		is "xfs: fsck -n of a clean one" "$status" 0
		check "xfs: xfs_repair -n" xfs_repair -n "$T/xfs.img"
		ends "xfs: --engine ext2fs says what could" 6 --engine ext2fs ls "$T/xfs.img:/"
	else
		skip "xfs" "this kernel mounts no xfs"
	fi
else
	skip "xfs" "xfsprogs is not installed"
fi
# make_btrfs FILE: / is the default subvolume, deep inside another; "@" is an older root that must not be taken for it.
make_btrfs() {
	local m=$T/fill id
	truncate -s 160M "$1"
	mkfs.btrfs -q -L root "$1" >/dev/null
	fs_type=btrfs kmount "$1" 0 0 "$m" rw || return 1
	for id in @ @home vol snapshots snapshots/now; do
		btrfs -q subvolume create "$m/$id"
	done
	plain_tree "$m/@" old
	plain_tree "$m/snapshots/now"
	btrfs -q subvolume create "$m/snapshots/now/inside it"
	rm -r "$m/snapshots/now/home/anna"
	mkdir "$m/@home/anna" "$m/snapshots/now"/{srv,all,none}
	echo mine >"$m/@home/anna/file"
	echo volume >"$m/vol/file"
	echo nested >"$m/snapshots/now/inside it/file"
	id=$(btrfs subvolume list "$m" | awk '$NF == "vol" { print $2 }')
	cat >"$m/snapshots/now/etc/fstab" <<-END
		LABEL=root / btrfs defaults 0 0
		LABEL=root /home btrfs subvol=/@home,noatime 0 0
		LABEL=root /srv btrfs subvolid=$id 0 0
		LABEL=root /all btrfs subvol=/ 0 0
		LABEL=root /none btrfs subvol=@none 0 0
	END
	btrfs -q subvolume set-default "$(btrfs subvolume list "$m" | awk '$NF == "snapshots/now" { print $2 }')" "$m"
	kumount "$m"
}

try_btrfs() {
	local disk=$T/btrfs.img
	echo 'by the appliance' >"$T/data"
	works "btrfs: a script on several subvolumes" shell "$disk" -c "
		cat /etc/hostname > $T/name
		cat /home/anna/file > $T/home
		cat /srv/file > $T/byid
		cat '/inside it/file' > $T/nested
		ls /all > $T/top
		find /home -name file > $T/found
		ls /none
		write /etc/motd < $T/data
		write /home/anna/motd < $T/data
		mv /srv/file /home/moved
		mv '/inside it/file' /etc/unnested
		ln /home/anna/file /home/hard
		find / -xdev > $T/xdev"
	is "btrfs: the default subvolume is the root" "$(cat "$T/name")" testguest
	is "btrfs: subvol=" "$(cat "$T/home")" mine
	is "btrfs: subvolid=" "$(cat "$T/byid")" volume
	is "btrfs: one that lies in the root" "$(cat "$T/nested")" nested
	is "btrfs: the top level" "$(tr '\n' ' ' <"$T/top")" "@ @home snapshots vol "
	is "btrfs: find" "$(cat "$T/found")" "/home/anna/file"
	fs_type=btrfs kmount "$disk" 0 0 "$T/mnt" ro,subvolid=5 || not_ok "btrfs: the kernel mounts it"
	is "btrfs: find -xdev" "$(sort "$T/xdev")" "$(cd "$T/mnt/snapshots/now" && find . -xdev | sed 's/^\.//; s,^$,/,' | sort)"
	kumount "$T/mnt"
	has "btrfs: one that is not there is a warning" "$(err)" \
		'/etc/fstab: /none cannot be mounted: LABEL=root has no subvol=@none'
	check "btrfs check" btrfs check "$disk"
	fs_type=btrfs kmount "$disk" 0 0 "$T/mnt" ro,subvolid=5 || not_ok "btrfs: the kernel mounts it"
	is "btrfs: a change in the root" "$(cat "$T/mnt/snapshots/now/etc/motd")" 'by the appliance'
	is "btrfs: and in what is mounted below" "$(cat "$T/mnt/@home/anna/motd")" 'by the appliance'
	is "btrfs: mv to another subvolume" "$(cat "$T/mnt/@home/moved" "$T/mnt/snapshots/now/etc/unnested")" $'volume\nnested'
	is "btrfs: mv: gone" "$(find "$T/mnt/vol" "$T/mnt/snapshots/now/inside it" -name file)" ""
	is "btrfs: ln" "$(stat -c %h "$T/mnt/@home/hard")" 2
	is "btrfs: the older root is as it was" "$(ls "$T/mnt/@/etc")" "$(ls "$T/tree/etc")"
	kumount "$T/mnt"
}

if ! command -v mkfs.btrfs >/dev/null; then
	skip "btrfs" "btrfs-progs is not installed"
elif make_btrfs "$T/btrfs.img"; then
	try_btrfs
else
	skip "btrfs" "this kernel mounts no btrfs"
fi
truncate -s 64M "$T/ext4.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/ext4.img"
try "ext4 by --engine guestfs" "$T/ext4.img" --engine guestfs
check "ext4: e2fsck" e2fsck -fn "$T/ext4.img"
done_testing
