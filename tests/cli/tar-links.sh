#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tar-links.sh - tar-in where the guest has links for directories: GNU tar --keep-directory-symlink does the same to a mounted copy.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((16 * 1048576))

merged() {
	mkdir -p "$1"/{etc,usr/bin,usr/lib/x,usr/sbin,srv/real,run,var}
	echo >"$1/etc/fstab"
	ln -s usr/bin "$1/bin"
	ln -s usr/lib "$1/lib"
	ln -s /usr/sbin "$1/sbin"
	ln -s ../run "$1/var/run"
	ln -s real "$1/srv/inside"
	ln -s /etc "$1/srv/outside"
	ln -s nowhere "$1/srv/dangling"
	ln -s ../etc/fstab "$1/srv/file"
	echo shell >"$1/usr/bin/sh"
	echo init >"$1/usr/sbin/init"
}
make_fs ext4 "$T/fs.img" merged
mkdir -p "$T/a"/{bin,lib/x/y,sbin,var/run/sub} "$T/s"/{inside/deep,dangling,file} "$T/o/outside"
echo ls >"$T/a/bin/ls"
ln "$T/a/bin/ls" "$T/a/lib/x/y/ls"
echo halt >"$T/a/sbin/halt"
echo pid >"$T/a/var/run/sub/pid"
echo 1 >"$T/s/inside/deep/f"
echo 2 >"$T/s/dangling/f"
echo 3 >"$T/s/file/f"
echo 4 >"$T/o/outside/passwd"
touch -d @-1.5 "$T/a/bin/ls"
touch -d @-1000000000.000000001 "$T/a/sbin/halt"
touch -d @-7 "$T/a/var/run/sub/pid"
tar -C "$T/a" --format=posix -cf "$T/a.tar" bin lib sbin var
tar -C "$T/s" -cf "$T/s.tar" inside dangling file
tar -C "$T/o" -cf "$T/o.tar" outside
tar -C "$T/o" -cf "$T/p.tar" outside/passwd
shown() { (cd "$1" && find . -printf '%P %y %m %U %G %s %l\n' | grep -v lost+found | LC_ALL=C sort; find . -type f -printf '%P %T@\n' | LC_ALL=C sort); }
disk=$T/disk.img
# unpacked WHAT TAR DIR GNU-OPTION [OUR-OPTION]
unpacked() {
	cp --sparse=always "$T/fs.img" "$disk"
	cp --sparse=always "$T/fs.img" "$T/theirs.img"
	kmount "$T/theirs.img" 0 0 "$T/mnt" rw
	# Absolute links would lead to this machine.
	tar -C "$T/mnt/$3" "$4" -xf "$2"
	shown "$T/mnt" >"$T/want"
	kumount "$T/mnt"
	works "$1" tar-in "${@:5}" "$2" "$disk:/$3"
	kmount "$disk" 0 0 "$T/mnt" ro
	shown "$T/mnt" >"$T/got"
	kumount "$T/mnt"
	same "$1: as GNU tar" "$T/got" "$T/want"
	fs_offset=0 fsck_clean "$1: e2fsck" "$disk"
}
tar -C "$T/a" --format=posix -cf "$T/rel.tar" bin lib var
unpacked "links of a merged /usr" "$T/rel.tar" "" --keep-directory-symlink
has "it is said that one was kept" "$(domu tar-in "$T/rel.tar" "$disk:/"; err)" "'bin/' is a link to /usr/bin.*kept.*--no-keep-directory-symlink"
unpacked "replaced when that is wanted" "$T/rel.tar" "" --overwrite-dir --no-keep-directory-symlink
unpacked "links below a directory" "$T/s.tar" srv --keep-directory-symlink
cp --sparse=always "$T/fs.img" "$disk"
works "an absolute link is the guest's" tar-in "$T/a.tar" "$disk:/"
is "an absolute link: the file went where it leads" "$("$DOMU" cat "$disk:/usr/sbin/halt")" halt
is "an absolute link: it is there" "$("$DOMU" readlink "$disk:/sbin")" /usr/sbin
is "an absolute link: init is where it was" "$("$DOMU" cat "$disk:/sbin/init")" init
is "a hard link through links" "$("$DOMU" stat -c %h "$disk:/bin/ls")" 2
sum=$(sha "$disk")
ends "a link that leads out of the directory" 1 tar-in "$T/o.tar" "$disk:/srv"
has "out of the directory: it is said where" "$(err)" "'outside/' is refused.*link in the guest, to /etc"
ends "what is below such a link" 1 tar-in "$T/p.tar" "$disk:/srv"
has "below such a link: it is said" "$(err)" "'outside/passwd' is refused"
is "nothing was written" "$(sha "$disk")" "$sum"
works "it is replaced when that is wanted" tar-in --no-keep-directory-symlink "$T/o.tar" "$disk:/srv"
is "replaced: a directory" "$("$DOMU" stat -c %F "$disk:/srv/outside")" directory
has "replaced: what it led to is untouched" "$("$DOMU" ls "$disk:/etc")" fstab
lacks "replaced: nothing came there" "$("$DOMU" ls "$disk:/etc")" passwd

# ---- times before 1970, there and back
works "tar-out of old times" tar-out "$disk:/usr/bin" "$T/old.tar"
mkdir "$T/old"
tar -C "$T/old" -xf "$T/old.tar"
is "old times: tar-in and tar-out" "$(stat -c %.9Y "$T/old/ls")" "$(stat -c %.9Y "$T/a/bin/ls")"
done_testing
