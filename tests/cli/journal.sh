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
done_testing
