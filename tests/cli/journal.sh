#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# journal.sh - a guest that crashed: reading shows what is in its journal and changes no byte; a change replays it first.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel

# A copy of a mounted filesystem is one whose journal was not replayed.
fill() {
	plain_tree "$1"
	sync -f "$1"
	mkdir "$1/srv"
	for i in $(seq 1 50); do
		echo "content $i" >"$1/srv/file$i"
	done
	rm "$1/etc/group"
	chmod 700 "$1/home/anna"
	mv "$1/var/log/syslog" "$1/var/log/syslog.1"
	sync -f "$1"
	cp --sparse=always "$T/fs.img" "$T/crashed.img"
}

for type in ext3 ext4; do
	make_fs $type "$T/fs.img" fill
	has "$type: the image has a journal to replay" "$(dumpe2fs -h "$T/crashed.img" 2>/dev/null | grep features)" needs_recovery
	for layout in none gpt; do
		name="$type $layout"
		disk=$T/disk.img
		rm -rf "$T/state"
		make_disk $layout "$T/crashed.img" "$disk"
		config test "$disk,raw,xvda,w"
		# What the kernel makes of it, on a copy.
		cp --sparse=always "$disk" "$T/kernel.img"
		kmount "$T/kernel.img" "$fs_offset" "$fs_size" "$T/mnt" rw
		listing "$T/mnt" >"$T/kernel.listing"
		kumount "$T/mnt"
		before=$(state_of "$disk")
		works "$name: reading" cat test:/srv/file50
		is "$name: it shows what is in the journal" "$(out)" "content 50"
		ends "$name: what the journal removes is gone" 4 cat test:/etc/group
		works "$name: ls" ls test:/srv
		is "$name: all files are there" "$(out | wc -l)" 50
		domu stat --json test:/home/anna
		has "$name: attributes too" "$(out)" '0?700'
		works "$name: find" find test:/
		is "$name: find shows what the kernel shows" "$(out | sed 's,^/,./,; s,^\./$,.,' | sort | md5sum)" \
			"$(grep -a '^S' "$T/kernel.listing" | cut -f2 | sort | md5sum)"
		works "$name: fsck -n" fsck -n test
		works "$name: info" info test
		is "$name: not a byte was changed" "$(state_of "$disk")" "$before"
		works "$name: a change" touch test:/srv/new
		fsck_clean "$name: e2fsck after the change" "$disk"
		lacks "$name: the journal was replayed" "$(dumpe2fs -h "$disk?offset=$fs_offset" 2>/dev/null | grep features)" needs_recovery
		listing_of "$disk" "$T/after"
		is "$name: the kernel sees the replayed tree and the change" \
			"$(diff <(grep -a '^[SH]' "$T/kernel.listing" | cut -f2 | sort -u) <(grep -a '^[SH]' "$T/after" | cut -f2 | sort -u))" \
			"$(printf '%sa%s\n> ./srv/new' "$(grep -a '^[SH]' "$T/kernel.listing" | cut -f2 | sort -u | grep -n '^./srv/file9$' | cut -d: -f1)" \
				"$(grep -a '^[SH]' "$T/after" | cut -f2 | sort -u | grep -n '^./srv/new$' | cut -d: -f1)")"
		works "$name: undo" undo test
		is "$name: undo brings back the unreplayed bytes" "$(sha "$disk")" "${before%% *}"
		ends "$name: fsck -p" "0 1" fsck -p test
		fsck_clean "$name: e2fsck after fsck -p" "$disk"
		# --live reads without replaying: nothing to compare it with, but it must not change anything nor fail.
		make_disk $layout "$T/crashed.img" "$disk"
		before=$(state_of "$disk")
		exec 8<>"$disk"
		works "$name: --live does not replay" --live ls test:/
		is "$name: --live changes nothing" "$(state_of "$disk")" "$before"
		exec 8>&-
	done
done

# ---- what a guest leaves besides: files that were deleted while open, and fast commits

# crash_with OPTIONS COMMAND: a mounted image copied after the command was run in it.
crash_with() {
	rm -rf "$T/state" "$T/fs.img"
	truncate -s 40M "$T/fs.img"
	# shellcheck disable=SC2086
	mke2fs -q -F -t ext4 $1 "$T/fs.img" 2>"$T/mke2fs.log" || return 1
	kmount "$T/fs.img" 0 0 "$T/mnt" rw
	plain_tree "$T/mnt"
	sync -f "$T/mnt"
	(
		cd "$T/mnt" || exit
		eval "$2"
		cp --sparse=always "$T/fs.img" "$T/disk.img"
	)
	kumount "$T/mnt"
	cp --sparse=always "$T/disk.img" "$T/kernel.img"
}

disk=$T/disk.img fs_offset=0
config test "$disk,raw,xvda,w"
# shellcheck disable=SC2016
deleted='for i in 3 4 5 6; do eval "exec $i>d$i; seq 20000 >&$i; rm d$i"; done; sync -f .'
for options in '' '-O orphan_file' '-O metadata_csum_seed,orphan_file,inline_data'; do
	name="deleted while open ${options:-(ext4)}"
	crash_with "$options" "$deleted"
	has "$name: they are in the image" "$(e2fsck -fn "$T/kernel.img" 2>&1)" 'orphan|Deleted inode|count wrong|Orphan file'
	before=$(state_of "$disk")
	works "$name: reading" ls test:/
	lacks "$name: they are not shown" "$(out)" '^d[0-9]'
	is "$name: not a byte was changed" "$(state_of "$disk")" "$before"
	works "$name: a change" touch test:/etc/new
	said=$(e2fsck -fn "$disk" 2>&1)
	is "$name: e2fsck has nothing to say" "$? $(grep -c '?' <<<"$said")" "0 0"
	kmount "$T/kernel.img" 0 0 "$T/mnt" rw && listing "$T/mnt" | grep -vP '^S\t\./etc\t' >"$T/kernel.listing"
	kumount "$T/mnt"
	kmount "$disk" 0 0 "$T/mnt" ro && listing "$T/mnt" | grep -vP '^S\t\./etc\t|\./etc/new\t' >"$T/after"
	kumount "$T/mnt"
	same "$name: the kernel shows what it makes of the crashed one, and the change" "$T/after" "$T/kernel.listing"
done
for options in '-O fast_commit' '-O fast_commit,orphan_file'; do
	name="fast commits ${options#-O }"
	crash_with "$options" 'for i in 1 2 3; do echo "number $i" >f$i; sync f$i; done; rm f1; sync f2'
	kmount "$T/kernel.img" 0 0 "$T/mnt" rw
	wanted=$(cat "$T/mnt/f3")
	kumount "$T/mnt"
	is "$name: the kernel has them" "$wanted" "number 3"
	before=$(state_of "$disk")
	# What e2fsck makes of them is something else, or the same, and it does not say which.
	ends "$name: reading by e2fsck's replay is refused" 6 --engine ext2fs cat test:/f3
	has "$name: it says what could" "$(err)" 'start the guest, or use --engine guestfs'
	ends "$name: a change, too" 6 --engine ext2fs touch test:/new
	ends "$name: fsck -n cannot say" 8 fsck -n test
	ends "$name: fsck -p refuses" 8 fsck -p test
	has "$name: it says what could" "$(out; err)" 'start the guest.*fsck -y'
	is "$name: not a byte was changed" "$(state_of "$disk")" "$before"
done
done_testing
