#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# change.sh LAYOUT [TYPES] - each changing command: the kernel shows exactly that change, e2fsck nothing, undo the old bytes.
layout=${1:-none} types=${2:-ext2 ext3 ext4} test_suffix=$layout
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((24 * 1048576))

# A guest with something for every command; small, since it is listed and summed often.
fill() {
	plain_tree "$1"
	chmod 600 "$1/etc/group"
	chown 1000:42 "$1/etc/hostname"
	setfattr -n user.note -v kept "$1/etc/hostname"
	setfacl -m u:1000:rw "$1/etc/hostname" 2>/dev/null
	ln "$1/etc/hostname" "$1/home/hardlink"
	mkdir -p "$1/home/anna/sub/subsub" "$1/home/empty" "$1/var/many"
	echo text >"$1/home/anna/sub/file"
	echo deeper >"$1/home/anna/sub/subsub/file"
	ln -s file "$1/home/anna/sub/link"
	head -c 900000 /dev/urandom >"$1/home/large"
	truncate -s 2M "$1/home/sparse"
	printf 'tail' | dd of="$1/home/sparse" bs=1 seek=2000000 conv=notrunc status=none
	(cd "$1/var/many" && seq -f 'a-name-of-some-length-%04g' 1 400 | xargs touch)
	printf 'long target' >"$1/home/$(printf 'l%.0s' {1..100})"
	ln -s "$(printf 'x%.0s' {1..150})" "$1/home/slow-link"
}

# change NAME PATHS ARG...: the command changes these paths alone (as `changed` prints them), and undo takes it back.
change() {
	local name="$type $layout: $1" want=$2 got
	shift 2
	domu "$@"
	if [ "$status" != 0 ]; then
		not_ok "$name" "\$ domu-rescue $*" "status $status" "$(err)" "$(out)"
		cp --sparse=always "$T/base.img" "$disk"
		return 1
	fi
	if ! listing_of "$disk" "$T/after"; then
		not_ok "$name" "the kernel cannot mount it"
	else
		got=$(changed "$T/before" "$T/after")
		is "$name" "$got" "$want"
	fi
	fsck_clean "$name: e2fsck" "$disk"
	# What holds of the result is asked by the caller before the undo.
	if [ -n "${also-}" ]; then
		"$also" "$name"
	fi
	domu undo test
	if [ "$status" = 0 ] && [ "$(sha "$disk")" = "$base" ]; then
		ok "$name: undo"
	else
		not_ok "$name: undo" "status $status: $(err)" "$(cmp "$disk" "$T/base.img")"
		cp --sparse=always "$T/base.img" "$disk"
	fi
}

# fact NAME LETTER PATH PATTERN: the listing's line of that kind has it.
fact() {
	has "$1" "$(grep -aP "^$2\t\./$3\t" "$T/after" | head -n 1)" "$4"
}

no_fact() {
	lacks "$1" "$(grep -aP "^$2\t\./$3\t" "$T/after" | head -n 1)" "$4"
}

ino_of() {
	grep -aP "^S\t\./$1\t" "$T/${2:-after}" | sed -E 's/^S\t[^\t]*\t[^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]* ([0-9]+) .*/\1/'
}

sha_text() {
	printf '%s' "$1" | sha256sum | cut -d' ' -f1
}

kept() {
	fact "$1: owner, mode, times of the rest" S etc/hostname 'f [0-7]+ 1000 42 2 '
	fact "$1: xattr" X etc/hostname 'user.note=0x6b657074'
	fact "$1: content" H etc/hostname "$(sha_text $'new name\n')"
	fact "$1: the other link shows it" H home/hardlink "$(sha_text $'new name\n')"
}

for type in $types; do
	make_fs $type "$T/fs.img" fill || { not_ok "$type: making it"; continue; }
	disk=$T/$type.img
	make_disk "$layout" "$T/fs.img" "$disk"
	cp --sparse=always "$disk" "$T/base.img"
	base=$(sha "$disk")
	rm -rf "$T/state"
	config test "$disk,raw,xvda,w" -- "root = \"/dev/$fs_dev ro\""
	listing_of "$disk" "$T/before"
	# Where times are whole seconds, a change in the second of the making would not show.
	made=$EPOCHSECONDS
	wait_until 3 eval '[ "$EPOCHSECONDS" -gt "$made" ]'

	# Writing files
	echo 'hello there' >"$T/data"
	also=
	a_new_file() { fact "$1: content" H etc/motd "$(sha "$T/data")"; fact "$1: mode and owner" S etc/motd 'f 644 0 0 1 '; }
	also=a_new_file change "write makes a file" "./etc ./etc/motd" write test:/etc/motd <"$T/data"
	echo 'new name' >"$T/data"
	also=kept change "write replaces a file" "./etc/hostname ./home/hardlink" write test:/etc/hostname <"$T/data"
	head -c 2500000 /dev/urandom >"$T/data"
	a_large_file() { fact "$1: content" H root/large "$(sha "$T/data")"; }
	also=a_large_file change "write of a large file" "./root ./root/large" write test:/root/large <"$T/data"
	: >"$T/data"
	change "write of nothing" "./home/large" write test:/home/large <"$T/data"
	cat >"$T/editor" <<-'SCRIPT'
		#!/bin/sh
		sed -i 's/anna/berta/' "$1"
	SCRIPT
	chmod 755 "$T/editor"
	edited() { fact "$1: content" H etc/group "$(sha_text $'root:x:0:\nberta:x:1000:\n')"; fact "$1: mode" S etc/group 'f 600 0 0 1 '; }
	VISUAL=$T/editor also=edited change "edit" "./etc/group" edit test:/etc/group

	# Names
	change "mkdir" ". ./srv" mkdir test:/srv
	a_tree() { fact "$1: modes" S opt/a/b 'd 755 0 0 2 '; }
	also=a_tree change "mkdir -p" ". ./opt ./opt/a ./opt/a/b" mkdir -p test:/opt/a/b
	change "rmdir" "./home ./home/empty" rmdir test:/home/empty
	change "rm" "./home ./home/large" rm test:/home/large
	change "rm of one link" "./etc/hostname ./home ./home/hardlink" rm test:/home/hardlink
	change "rm of a link leaves its target" "./home ./home/slow-link" rm test:/home/slow-link
	change "rm -r" "./home ./home/anna ./home/anna/sub ./home/anna/sub/file ./home/anna/sub/link ./home/anna/sub/subsub ./home/anna/sub/subsub/file" \
		rm -r test:/home/anna
	moved() { is "$1: the same inode" "$(ino_of etc/fstab2)" "$(ino_of etc/fstab before)"; }
	also=moved change "mv in a folder" "./etc ./etc/fstab ./etc/fstab2" mv test:/etc/fstab test:/etc/fstab2
	change "mv to another folder" "./etc ./etc/fstab ./root ./root/fstab" mv test:/etc/fstab test:/root
	change "mv over a file" "./etc ./etc/fstab ./etc/passwd" mv test:/etc/passwd test:/etc/fstab
	change "mv of a folder" "./home ./home/anna ./home/anna/sub ./home/anna/sub/file ./home/anna/sub/link ./home/anna/sub/subsub ./home/anna/sub/subsub/file ./root ./root/anna ./root/anna/sub ./root/anna/sub/file ./root/anna/sub/link ./root/anna/sub/subsub ./root/anna/sub/subsub/file" \
		mv test:/home/anna test:/root/anna
	linked() { fact "$1: count" S etc/passwd 'f 644 0 0 2 '; is "$1: the same inode" "$(ino_of root/pw)" "$(ino_of etc/passwd before)"; }
	also=linked change "ln" "./etc/passwd ./root ./root/pw" ln test:/etc/passwd test:/root/pw
	soft() { fact "$1: target" S root/soft 'l 777 0 0 1 \.\./etc/passwd '; }
	also=soft change "ln -s" "./root ./root/soft" ln -s ../etc/passwd test:/root/soft
	many_target=$(printf 'y%.0s' {1..200})
	long_soft() { fact "$1: target" S root/soft "l 777 0 0 1 $many_target "; }
	also=long_soft change "ln -s of a long target" "./root ./root/soft" ln -s "$many_target" test:/root/soft
	change "a name in a large folder" "./var/many ./var/many/one-more-of-them" touch test:/var/many/one-more-of-them

	# Attributes
	moded() { fact "$1: mode" S etc/passwd 'f 4751 '; }
	also=moded change "chmod" "./etc/passwd" chmod 4751 test:/etc/passwd
	symbolic() { fact "$1: mode" S etc/passwd 'f 640 '; }
	also=symbolic change "chmod by letters" "./etc/passwd" chmod o-r test:/etc/passwd
	owned() { fact "$1: owner" S etc/passwd 'f 644 1234 70000 '; }
	also=owned change "chown" "./etc/passwd" chown 1234:70000 test:/etc/passwd
	by_name() { fact "$1: owner" S etc/passwd 'f 644 1000 1000 '; }
	also=by_name change "chown by the guest's own names" "./etc/passwd" chown anna:anna test:/etc/passwd
	change "chown -R" "./home/anna ./home/anna/sub ./home/anna/sub/file ./home/anna/sub/link ./home/anna/sub/subsub ./home/anna/sub/subsub/file" \
		chown -R 1000:1000 test:/home/anna
	touched() { fact "$1: time" S etc/passwd ' 1000000000\.0+ '; }
	also=touched change "touch -d" "./etc/passwd" touch -d @1000000000 test:/etc/passwd
	change "touch makes a file" "./root ./root/new" touch test:/root/new
	shorter() { fact "$1: length" L home/large 1000; }
	also=shorter change "truncate" "./home/large" truncate -s 1000 test:/home/large
	longer() { fact "$1: length" L etc/passwd 5000000; }
	also=longer change "truncate makes longer" "./etc/passwd" truncate -s 5000000 test:/etc/passwd

	# Copies
	mkdir -p "$T/host/dir/sub"
	echo 'from the host' >"$T/host/dir/file"
	chmod 640 "$T/host/dir/file"
	chown 12:34 "$T/host/dir/file"
	touch -d '2010-01-02 03:04:05 UTC' "$T/host/dir/file"
	ln -sf file "$T/host/dir/sub/link"
	copied() { fact "$1: content" H root/file "$(sha "$T/host/dir/file")"; }
	also=copied change "cp of a file" "./root ./root/file" cp "$T/host/dir/file" test:/root/
	archived() {
		fact "$1: content" H root/dir/file "$(sha "$T/host/dir/file")"
		fact "$1: owner, mode, time" S root/dir/file 'f 640 12 34 1 .* 1262401445\.0'
		fact "$1: link" S root/dir/sub/link 'l 777 0 0 1 file '
	}
	also=archived change "cp -a of a folder" "./root ./root/dir ./root/dir/file ./root/dir/sub ./root/dir/sub/link" \
		cp -a "$T/host/dir" test:/root/
	inside() { fact "$1: content" H root/copy "$(grep -aP '^H\t./home/large\t' "$T/before" | cut -f3)"; }
	also=inside change "cp in the guest" "./root ./root/copy" cp test:/home/large test:/root/copy
	also=
done
done_testing
