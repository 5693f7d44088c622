#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# find-change.sh - find -delete and -exec: GNU find and coreutils do the same to a mounted copy.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((32 * 1048576))

tree() {
	local d
	mkdir -p "$1"/{etc,sbin,srv,empty/{a/b/c,d/e,f}}
	echo >"$1/etc/fstab"
	: >"$1/sbin/init"
	: >"$1/empty/d/e/file"
	for d in etc srv srv/one srv/one/two 'srv/with space' srv/old; do
		mkdir -p "$1/$d"
		echo "secret of $d" >"$1/$d/a.bak"
		echo "nothing" >"$1/$d/b.bak"
		echo "kept" >"$1/$d/c.conf"
	done
	(cd "$1/srv" && seq -f file-%05g 1 500 | xargs touch)
	ln "$1/srv/a.bak" "$1/srv/one/hard.bak"
	ln -s a.bak "$1/srv/link.bak"
	printf x >"$1/srv/$(printf 'new\nline.bak')"
	chmod 600 "$1"/srv/one/*
	touch -d 2001-02-03 "$1"/srv/old/*
}
shown() { (cd "$1" && find . -printf '%P %y %m %U %G %n %l\n' | LC_ALL=C sort; find . -type f -name '[^f]*' -exec md5sum {} + | LC_ALL=C sort); }

make_fs ext4 "$T/tree.img" tree
disk=$T/disk.img
config web "$disk,raw,xvda,w"
# both WHAT WORDS...: @ is the guest's root.  What is printed is compared sorted.
both() {
	local what=$1 theirs
	shift
	cp --sparse=always "$T/tree.img" "$disk"
	cp --sparse=always "$T/tree.img" "$T/theirs.img"
	kmount "$T/theirs.img" 0 0 "$T/mnt" rw
	(cd "$T/mnt" && find "${@//@/$T/mnt}") >"$T/theirs.out" 2>"$T/theirs.err"
	theirs=$?
	shown "$T/mnt" >"$T/want"
	kumount "$T/mnt"
	ends "$what" "$theirs" find "${@/#@/web:}"
	kmount "$disk" 0 0 "$T/mnt" ro
	shown "$T/mnt" >"$T/got"
	kumount "$T/mnt"
	same "$what: as GNU find" "$T/got" "$T/want"
	same "$what: what is printed" <(LC_ALL=C sort "$T/out") <(sed "s,$T/mnt,,g" "$T/theirs.out" | LC_ALL=C sort)
	fs_offset=0 fsck_clean "$what: e2fsck" "$disk"
}
both "-delete of names" @/srv -name '*.bak' -delete
both "-delete of old files, and their names" @/srv -mtime +365 -type f -delete -print
both "-delete of what is empty, from below" @/empty -type d -empty -delete
both "-delete of a tree" @/srv/one -delete
both "-delete of one of two" @/srv ! -name a.bak -type f -delete
both "-delete of 500" @/srv -name 'file-*' -delete
both "-depth -delete -prune" @/srv -depth -name one -prune -o -name '*.conf' -delete
both "-exec rm ;" @/srv -name '*.bak' ! -name '*line*' -exec rm -v {} ';'
both "-exec rm +" @/srv -name 'file-*' -exec rm {} +
both "-exec rm -r of directories that are gone into next" @/srv -depth -name two -exec rm -r {} ';'
both "-exec chmod +" @/srv -type f -exec chmod 640 {} +
both "-exec chown +, then -exec chmod" @/srv -type f -exec chown 7:8 {} + -name 'a*' -exec chmod g+s {} ';'
both "-exec cp {} {}.copy" @/etc -name '*.conf' -exec cp -p {} {}.copy ';'
both "-exec mv" @/srv -name '*.bak' -type f -exec mv {} {}.old ';'
both "-exec grep -q as a test" @/srv -type f -exec grep -q secret {} ';' -print
both "-exec grep -l +" @/srv -name '*.bak' -type f -exec grep -l secret {} +
both "-exec cat in the order of what is found" @/srv/old -type f -exec cat {} ';' -print
both "! -exec" @/srv -name '*.bak' -type f ! -exec grep -q secret {} ';' -exec rm {} +

# A directory that was removed is not gone into: GNU find complains and ends with 1.
cp --sparse=always "$T/tree.img" "$disk"
works "-exec rm -r of a directory that it found" find web:/srv -name one -exec rm -r {} ';'
domu find web:/srv -path '*one*'
is "-exec rm -r of a directory that it found: is gone" "$(out)" ""
fs_offset=0 fsck_clean "-exec rm -r of a directory that it found: e2fsck" "$disk"

# ---- all or nothing, history, undo
before=$(sha "$T/tree.img")
cp --sparse=always "$T/tree.img" "$disk"
ends "-delete of a directory that is not empty" 1 find web:/srv -name a.bak -delete -o -name one -delete
has "-delete of a directory that is not empty: is said" "$(err)" "find: nothing is deleted: '/srv/one': .*not empty"
is "-delete of a directory that is not empty: nothing is written" "$(sha "$disk")" "$before"
ends "-exec of a command that fails" 1 find web:/srv -name '*.bak' -exec rm {} ';' -o -name two -exec rm {} ';'
is "-exec of a command that fails: nothing is written" "$(sha "$disk")" "$before"
ends "-delete of the root" 1 find web:/ -delete
has "-delete of the root: is said" "$(err)" "refusing to delete the root"
is "-delete of the root: nothing is written" "$(sha "$disk")" "$before"
works "-delete with --dry-run" --dry-run find web:/srv -delete
is "-delete with --dry-run: nothing is written" "$(sha "$disk")" "$before"
works "-delete" find web:/srv -name '*.bak' -delete
works "-delete: is in the history" history web
has "-delete: is in the history, as typed" "$(out)" "find web:/srv -name \*.bak -delete"
works "-delete: is undone" undo web
is "-delete: is undone: the disk is as it was" "$(sha "$disk")" "$before"
works "-exec of what only reads" find web:/srv -name '*.bak' -exec cat {} +
domu find web:/srv -name '*.conf' -exec grep -l secret {} +
is "-exec grep -l + that finds nothing: its status" "$status $(err)" "1 "
ends "-exec cat + where another start is missing" 4 find web:/nowhere web:/srv/old -name 'c*' -exec cat {} +
is "-exec cat + where another start is missing: of the one that is there" "$(out)" kept
has "-exec cat + where another start is missing: is said" "$(err)" "/nowhere: no such file"
works "-exec of what only reads: is no commit" history web --json
is "-exec of what only reads: is no commit: the disk" "$(sha "$disk")" "$before"

# ---- in the shell: staged, "." stays
works "shell: -delete is staged" shell web -c "cd /srv; find . -name '*.bak' -delete; find /empty -exec rm -rf {} +; diff; rollback"
has "shell: -delete is staged: diff shows it" "$(out)" "^- +/srv/one/a.bak"
has "shell: -exec is staged: diff shows it" "$(out)" "^- +/empty/a/b/c"
is "shell: rolled back" "$(sha "$disk")" "$before"
works "shell: find . -delete" shell web -c 'cd /srv/one; find . -delete; find . /srv/old -name "*.conf" -exec rm -v {} \;'
has "shell: find . -delete: . stays" "$(out)" "removed '/srv/old/c.conf'"
domu find web:/srv/one
is "shell: find . -delete: nothing else does" "$(out)" /srv/one
cp --sparse=always "$T/tree.img" "$disk"

# ---- what is refused
rm -r "$T/state"
ends "-delete with -prune" 2 find web:/srv -name one -prune -o -delete
ends "-exec without an end" 2 find web:/srv -exec rm {}
ends "-exec of nothing" 2 find web:/srv -exec ';'
ends "-exec of a program of the host" 2 find web:/srv -exec sed -i s/a/b/ {} ';'
has "-exec of a program of the host: what there is" "$(err)" "runs cat .*chmod.*domu-rescue export GUEST DIR"
lacks "-exec of a program of the host: no more than can be run" "$(err)" "tar-in|edit|export,"
ends "-exec cp to the host" 2 find web:/srv -exec cp {} host:/tmp ';'
ends "-exec of a command without its words" 2 find web:/srv -exec chmod {} ';'
ends "-o with nothing before it" 2 find web:/srv -o -name one
has "is said" "$(err)" "missing before -o;"
ends "-o with nothing behind it" 2 find web:/srv -name one -o
has "is said" "$(err)" "missing at the end of -o;"
ends "-exec with two {} and +" 2 find web:/srv -exec cp {} {} +
ends "-exec with an option that is none" 2 find web:/srv -exec rm -Q {} ';'
config two "$T/tree.img,raw,xvda,w"
ends "-delete in two guests at once" 2 find web:/srv two:/srv -delete
works "-exec in two guests at once that only reads" find web:/srv/old two:/srv/old -name '*.bak' -exec grep -H secret {} +
has "-exec in two guests at once: says which" "$(out)" "^two:/srv/old/a.bak:secret"
is "what is refused: nothing was staged" "$(find "$T/state" -name log 2>/dev/null)" ""
done_testing
