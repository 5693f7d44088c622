#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# damaged.sh - whatever walks a tree with damaged inodes names each with its own cause, gives the rest, and ends with 1.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel

fill() {
	plain_tree "$1"
	mkdir -p "$1/odd/map" "$1/odd/good"
	echo gone >"$1/odd/gone"
	echo needle >"$1/odd/good/file"
	setfattr -n user.x -v y "$1/odd/good/file"
}

make_fs ext4 "$T/disk.img" fill || skip_all "no image"
ino() { debugfs -R "stat $1" "$T/disk.img" 2>/dev/null | sed -n 's/^Inode: \([0-9]*\).*/\1/p'; }
gone=$(ino /odd/gone) map=$(ino /odd/map)
debugfs -w -R 'clri /odd/gone' "$T/disk.img" 2>/dev/null
debugfs -w -R 'sif /odd/map flags 0' "$T/disk.img" 2>/dev/null
debugfs -w -R 'sif /odd/map block[0] 99999999' "$T/disk.img" 2>/dev/null
if [ -z "$gone" ] || [ -z "$map" ] || e2fsck -fn "$T/disk.img" >/dev/null 2>&1; then
	not_ok "the image is damaged"
fi
config test "$T/disk.img,raw,xvda,w"

# told NAME LAST ARG...: status 1, each damaged name with its own inode, and LAST, of what is behind it, on stdout.
told() {
	local name=$1 last=$2
	shift 2
	ends "$name: status" 1 "$@"
	has "$name: the inode that is gone, by its name" "$(err)" "/odd/gone[':].*inode ${gone}[^0-9]"
	has "$name: the map that is damaged, by its name" "$(err)" "/odd/map[':].*inode ${map}[^0-9]"
	[ -z "$last" ] || has "$name: the rest" "$(out)" "$last"
}

told find /odd/good/file find test:/
told "find by name" /odd/good/file find test:/odd
told du /odd/good du test:/
told grep needle grep -r needle test:/
told lsattr /odd/good/file lsattr -R test:/
told getfattr odd/good/file getfattr -R -d test:/
told tar-out '' tar-out test:/ "$T/a.tar"
has "tar-out: the rest" "$(tar -tf "$T/a.tar")" odd/good/file
told cp '' cp -a test:/ "$T/copy"
is "cp: the rest" "$(cat "$T/copy/odd/good/file" 2>&1)" needle
has "cp: how many" "$(err)" '2 files could not be read'

# ---- what fstab names and is not there: told once, whichever of several workers meets it
fill() {
	plain_tree "$1"
	echo '/dev/xvdq /data ext4 nofail 0 0' >>"$1/etc/fstab"
}
make_fs ext4 "$T/fstab.img" fill
cp --sparse=always "$T/fstab.img" "$T/fstab2.img"
config fstab "$T/fstab.img,raw,xvda,w"
config fstab2 "$T/fstab2.img,raw,xvda,w"
once() {
	local name=$1 n=$2
	shift 2
	works "$name" "$@"
	is "$name: told $n times" "$(grep -c 'xvdq, for /data' "$T/err")" "$n"
}
once "a change" 1 chmod 640 fstab:/etc/passwd
once "a script" 1 shell fstab -c 'ls /; chmod 600 /etc/passwd; write /etc/x < /dev/null; diff; ls /'
once "two guests" 2 find fstab:/ fstab2:/ -maxdepth 0
once "completion" 0 --complete fstab:/et
done_testing
