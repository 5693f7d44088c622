# SPDX-License-Identifier: GPL-3.0-or-later
# images.sh - disks for tests: every layout and ext type, filled by the kernel; and the kernel as oracle.
# shellcheck shell=bash disable=SC2034

fs_bytes=$((48 * 1048576))

# ---- the kernel

need_kernel() {
	[ "$(id -u)" = 0 ] || skip_all "not root: no loop mounts to compare with"
	[ -e /dev/loop-control ] || skip_all "no loop devices to compare with"
	local f=$T/probe.img
	truncate -s 4M "$f"
	mke2fs -q -F -t ext4 "$f" >/dev/null 2>&1
	kmount "$f" 0 0 "$T/mnt" ro 2>/dev/null || skip_all "no loop mounts of ext4 here"
	kumount "$T/mnt"
	rm "$f"
}

# loop FILE OFFSET SIZE [OPTION...]: prints a loop device of that part of the file.  By a number of this script's own:
# of two that take the first free one, the one that comes too late has it open for writing for a moment.
loop() {
	local file=$1 offset=$2 size=$3 dev n
	shift 3
	[ "$size" != 0 ] || size=$(($(stat -Lc %s "$file") - offset))
	set -- --offset "$offset" --sizelimit "$size" "$@"
	for n in $own_loops; do
		dev=/dev/loop$n
		if [ ! -e "/sys/block/loop$n/loop/backing_file" ] && losetup "$@" "$dev" "$file" 2>/dev/null; then
			: >"$T/loops/loop$n"
			echo "$dev"
			return
		fi
	done
	dev=$(losetup -f --show "$@" "$file") || return 1
	: >"$T/loops/${dev##*/}"
	echo "$dev"
}

# losetup -d is lazy where somebody still has the device open: wait until it is gone.
unloop() {
	losetup -d "$1"
	wait_until 10 test ! -e "/sys/block/${1##*/}/loop/backing_file"
	rm -f "$T/loops/${1##*/}"
}

# kmount FILE OFFSET SIZE DIR [ro|rw[,OPTION...]]
kmount() {
	local dev options=${5:-ro} ro=()
	[[ $options != ro* ]] || ro=(-r)
	dev=$(loop "$1" "$2" "$3" "${ro[@]}") || return 1
	mkdir -p "$4"
	if ! mount -t "${fs_type:-auto}" -o "$options" "$dev" "$4"; then
		unloop "$dev"
		return 1
	fi
	echo "$4" >"$T/loops/${dev##*/}"
}

# Who looks at what processes have open holds a mount for a moment: busy then is not busy for good.
kumount() {
	local dev
	dev=$(findmnt -rno SOURCE "$1") || return 1
	wait_until 10 umount "$1" && unloop "$dev"
}

# ---- what is on a filesystem, as the kernel shows it: a line a fact, the path in the second field
listing() {
	(
		cd "$1" || exit 1
		find . -printf 'S\t%p\t%y %m %U %G %n %l %i %b %T@ %C@\t\0' | tr '\n\0' '\r\n'
		find . ! -type d -printf 'L\t%p\t%s\0' | tr '\n\0' '\r\n'
		find . -type f -size -100M -print0 | xargs -0r sha256sum -z | sed -z 's/^\([0-9a-f]*\)  \(.*\)/H\t\2\t\1/' | tr '\n\0' '\r\n'
		getfattr -R -P -h -d -m - -e hex . 2>/dev/null | awk 'BEGIN { RS = ""; FS = "\n" } {
			sub(/^# file: /, "", $1); printf "X\t./%s\t", $1; for (i = 2; i <= NF; i++) printf "%s ", $i; print "" }'
		lsattr -R -a . 2>/dev/null | awk '/^[-a-zA-Z]+ \.\// && $2 !~ /\/\.\.?$/ { flags = $1; sub(/^[^ ]+ /, ""); print "F\t" $0 "\t" flags }'
	) | sort
}

# changed BEFORE AFTER: the paths that differ between two listings, on one line.
changed() {
	diff "$1" "$2" | grep '^[<>]' | cut -f2 | sort -u | tr '\n' ' ' | sed 's/ $//'
}

# ---- trees

# plain_tree DIR: a small guest, enough to be recognized as one.
plain_tree() {
	local d=$1
	mkdir -p "$d"/{etc,sbin,usr/{bin,lib},var/log,root,tmp,home/anna,mnt}
	echo 'LABEL=root / ext4 defaults 0 1' >"$d/etc/fstab"
	printf 'root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000:Anna:/home/anna:/bin/bash\n' >"$d/etc/passwd"
	printf 'root:x:0:\nanna:x:1000:\n' >"$d/etc/group"
	echo "${2:-testguest}" >"$d/etc/hostname"
	printf 'NAME=Test\nID=test\n' >"$d/usr/lib/os-release"
	ln -s ../usr/lib/os-release "$d/etc/os-release"
	printf '#!/bin/sh\n' >"$d/sbin/init"
	chmod 755 "$d/sbin/init"
	seq 1 3000 >"$d/var/log/syslog"
}

# rich_tree DIR: also everything that a reader can get wrong.
rich_tree() {
	local d=$1 i
	plain_tree "$d"
	mkdir "$d/odd" "$d/deep" "$d/big"
	chmod 1777 "$d/tmp"
	chmod 2775 "$d/home/anna"
	chown 1000:1000 "$d/home/anna"
	printf 'secret\n' >"$d/etc/shadow"
	chmod 640 "$d/etc/shadow"
	chown 0:42 "$d/etc/shadow"
	head -c 5000 /dev/urandom >"$d/usr/bin/tool"
	chmod 4755 "$d/usr/bin/tool"
	ln -s /etc/hostname "$d/odd/absolute"
	ln -s ../etc/passwd "$d/odd/relative"
	ln -s nowhere "$d/odd/dangling"
	ln -s loop-b "$d/odd/loop-a"
	ln -s loop-a "$d/odd/loop-b"
	ln -s ../../../../../../../../etc/passwd "$d/odd/escape"
	ln -s "$(printf 'x%.0s' {1..200})" "$d/odd/long-link"
	ln -s ../etc "$d/odd/dirlink"
	mknod "$d/odd/null" c 1 3
	mknod "$d/odd/disk" b 300 70000
	mkfifo "$d/odd/fifo"
	: >"$d/odd/empty"
	echo one >"$d/odd/hard1"
	ln "$d/odd/hard1" "$d/odd/hard2"
	ln "$d/odd/hard1" "$d/hard3"
	truncate -s 3M "$d/odd/sparse"
	printf 'middle' | dd of="$d/odd/sparse" bs=1 seek=1500000 conv=notrunc status=none
	truncate -s 5G "$d/odd/huge"
	printf 'end' | dd of="$d/odd/huge" bs=1 seek=5000000000 conv=notrunc status=none
	fallocate -l 200000 "$d/odd/preallocated" 2>/dev/null || truncate -s 200000 "$d/odd/preallocated"
	printf 'start' | dd of="$d/odd/preallocated" bs=1 conv=notrunc status=none
	head -c 3000000 /dev/urandom >"$d/big/random"
	# A file in many pieces.
	for ((i = 0; i < 120; i += 2)); do
		dd if=/dev/urandom of="$d/big/pieces" bs=4096 count=1 seek=$i conv=notrunc status=none
	done
	echo attr >"$d/odd/attr"
	setfattr -n user.comment -v 'a remark' "$d/odd/attr"
	setfattr -n trusted.t -v 0x00ff10 "$d/odd/attr"
	setfattr -n user.long -v "$(printf 'y%.0s' {1..700})" "$d/odd/attr"
	setfacl -m u:1000:rw,g:42:r "$d/odd/attr"
	setfacl -d -m u:1000:rwx "$d/deep"
	cp "$d/usr/bin/tool" "$d/odd/capable"
	setcap cap_net_raw+ep "$d/odd/capable"
	echo flag >"$d/odd/flagged"
	for i in 'with space' $'caf\xe9' $'new\nline' $'esc\e[31mred' '-dash' 'a:/b' 'quote"and'\'; do
		[[ $i == */* ]] && continue
		echo "named $i" >"$d/odd/$i"
	done
	echo longest >"$d/odd/$(printf 'n%.0s' {1..255})"
	echo umlaut >"$d/odd/grün"
	mkdir -p "$d/deep/a/b/c/d/e/f/g/h/i/j"
	echo bottom >"$d/deep/a/b/c/d/e/f/g/h/i/j/bottom"
	mkdir "$d/many"
	(cd "$d/many" && seq -f 'file-with-a-rather-long-name-%05g' 1 1500 | xargs touch)
	touch -h -d '2009-02-13 23:31:30.123456789' "$d/odd/hard1" "$d/odd/relative" "$d/etc/passwd"
	touch -d '1969-07-20 20:17:40' "$d/odd/empty"
	[ "${fs_inode_size:-256}" = 128 ] || touch -d '2040-05-06 07:08:09.5' "$d/odd/attr"
	chattr +i "$d/odd/flagged" 2>/dev/null
	chattr +d "$d/odd/capable" 2>/dev/null
	true
}

# make_fs TYPE FILE TREE-FUNCTION [MKE2FS-OPTION...]: a filesystem, filled by the kernel.
make_fs() {
	local type=$1 file=$2 fill=$3
	shift 3
	rm -f "$file"
	truncate -s "$fs_bytes" "$file"
	case $type in
	ext3) set -- -I 128 "$@" ;;
	ext2) set -- -b 1024 "$@" ;;
	esac
	mke2fs -q -F -t "$type" -L root "$@" "$file" >"$T/mke2fs.log" 2>&1 || { cat "$T/mke2fs.log" >&2; return 1; }
	fs_inode_size=$(dumpe2fs -h "$file" 2>/dev/null | awk '/^Inode size/ { print $3 }')
	kmount "$file" 0 0 "$T/fill" rw || return 1
	"$fill" "$T/fill"
	sync -f "$T/fill"
	kumount "$T/fill"
}

# make_disk LAYOUT FS-IMAGE DISK [ROOM]: a disk with the filesystem where the layout has its root, ROOM MiB after it.
# Sets fs_offset, fs_size, fs_dev.
make_disk() {
	local layout=$1 fs=$2 disk=$3 room=${4:-16}
	fs_size=$(stat -c %s "$fs")
	local sectors=$((fs_size / 512))
	case $layout in
	none) fs_offset=0 fs_dev=xvda room=0 ;;
	gpt | dos) fs_offset=$((9 * 1048576)) fs_dev=xvda2 ;;
	logical) fs_offset=$((12 * 1048576)) fs_dev=xvda5 ;;
	esac
	rm -f "$disk"
	truncate -s $((fs_offset + fs_size + room * 1048576)) "$disk"
	local start=$((fs_offset / 512))
	case $layout in
	gpt)
		printf 'label: gpt\nfirst-lba: 34\nstart=2048, size=16384, type=swap\nstart=%d, size=%d, type=linux\n' $start $sectors
		truncate -s $((fs_offset + fs_size + room * 1048576 + 33 * 512)) "$disk"
		;;
	dos) printf 'label: dos\nstart=2048, size=16384, type=82\nstart=%d, size=%d, type=83\n' $start $sectors ;;
	logical)
		printf 'label: dos\n1: start=2048, size=16384, type=82\n2: start=20480, type=5\n5: start=%d, size=%d, type=83\n' $start $sectors
		;;
	esac >"$T/table"
	if [ "$layout" != none ]; then
		sfdisk -q "$disk" <"$T/table" >"$T/sfdisk.log" 2>&1 || { cat "$T/sfdisk.log" >&2; return 1; }
	fi
	dd if="$fs" of="$disk" bs=1M oflag=seek_bytes seek="$fs_offset" conv=sparse,notrunc status=none
}

# fsck_clean NAME DISK: e2fsck -fn on the filesystem at fs_offset finds nothing.
fsck_clean() {
	local said
	if said=$(timeout "$time_limit" e2fsck -fn "$2?offset=$fs_offset" 2>&1); then
		ok "$1"
	else
		not_ok "$1" "$(head -n 30 <<<"$said")"
	fi
}

# listing_of DISK FILE: the kernel's listing of the disk's filesystem (at fs_offset, fs_size) into FILE.
listing_of() {
	kmount "$1" "$fs_offset" "${3:-$fs_size}" "$T/mnt" ro || return 1
	listing "$T/mnt" >"$2"
	kumount "$T/mnt"
}
