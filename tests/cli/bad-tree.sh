#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# bad-tree.sh - damaged trees under every command that goes through one: an end within seconds, status 1, the rest is read.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((24 * 1048576))

tree() {
	local i
	plain_tree "$1"
	mkdir -p "$1/t/a/sub" "$1/t/htree" "$1/t/"$'esc\e]0;title\a\e[31m'
	for i in {1..300}; do
		: >"$1/t/htree/an entry with a name of some length, number $i"
	done
	head -c 300000 /dev/zero | tr '\0' 'x' | fold -w 70 >"$1/t/text"
	echo 'needle here' >>"$1/t/text"
	echo needle >"$1/t/a/sub/deep"
	echo needle >"$1/t/zz-last"
	echo needle >"$1/t/"$'esc\e]0;title\a\e[31m/'$'new\nline'
	setfattr -n user.small -v value "$1/t/a" "$1/t/zz-last"
	setfattr -n user.large -v "$(printf 'v%.0s' {1..600})" "$1/t/text"
	for i in {1..40}; do
		echo "a line of the log, needle $i"
	done >"$1/var/log/syslog"
	cp "$1/var/log/syslog" "$1/var/log/kern.log"
}
make_fs ext4 "$T/sound.img" tree || skip_all "no image"
disk=$T/fs.img
config web "$disk,raw,xvda,w"

inode() { debugfs -R "stat $1" "$T/sound.img" 2>/dev/null | sed -n 's/^Inode: *\([0-9]*\).*/\1/p'; }

# one LABEL STATUSES SEEN COMMAND...: the command on what was damaged.
one() {
	local label=$1 wants=$2 seen=$3
	shift 3
	domu "$@"
	if [[ " $wants " != *" $status "* ]]; then
		not_ok "$label" "status $status, expected one of: $wants" "$(head -c 600 "$T/err")" "$(tail -c 300 "$T/out" | cat -v)"
	elif [ "$status" != 0 ] && [ ! -s "$T/err" ]; then
		not_ok "$label" "status $status without a message"
	elif [ "$(stat -c %s "$T/err")" -gt 20000 ] || [ "$(stat -c %s "$T/out")" -gt 3000000 ]; then
		not_ok "$label" "too much output"
	elif LC_ALL=C grep -q '[[:cntrl:]]' < <(tr -d '\n\t' <"$T/err"); then
		not_ok "$label" "a control character in the message: $(cat -v "$T/err")"
	elif [ "$seen" != - ] && ! grep -aq -- "$seen" "$T/out"; then
		not_ok "$label" "what can be read was not shown: $seen" "$(head -c 600 "$T/err")" "$(head -c 600 "$T/out" | cat -v)"
	else
		ok "$label"
	fi
}

# damaged LABEL STATUSES DEBUGFS-COMMAND...: every command that goes through a tree.
damaged() {
	local label=$1 wants=$2 before
	shift 2
	cp --sparse=always "$T/sound.img" "$disk"
	printf '%s\n' "$@" | debugfs -w -f - "$disk" >"$T/debugfs.log" 2>&1
	cmp -s "$T/sound.img" "$disk" && { not_ok "$label: the damage is there" "$(cat "$T/debugfs.log")"; return; }
	before=$(state_of "$disk")
	one "$label: find" "$wants" zz-last find web:/t
	one "$label: ls -lR" "$wants" zz-last ls -lR web:/t
	one "$label: du -a" "$wants" zz-last du -a web:/t
	one "$label: grep -r" "$wants" zz-last grep -r needle web:/t
	one "$label: tar-out" "$wants" zz-last tar-out web:/t -
	one "$label: getfattr -R" "$wants" zz-last getfattr -R web:/t
	one "$label: lsattr -R" "$wants" zz-last lsattr -R web:/t
	rm -rf "$T/copy"
	one "$label: cp -a" "$wants" - cp -a web:/t "$T/copy"
	is "$label: cp -a: the rest is there" "$(cat "$T/copy/zz-last" 2>&1)" needle
	is "$label: not a byte was changed" "$(state_of "$disk")" "$before"
}

damaged "a directory in itself" 1 'link /t/a /t/a/sub/loop'
for c in "find web:/t" "du web:/t" "getfattr -R web:/t" "tar-out web:/t -" "cp -a web:/t $T/loop-copy"; do
	# shellcheck disable=SC2086
	domu $c
	has "a directory in itself: ${c%% *} says what it is" "$(err)" '/loop.*inode [0-9]+ is in the tree twice'
	lacks "a directory in itself: ${c%% *} speaks of no links" "$(err)" 'symbolic links'
done
damaged "a directory whose size lies" 1 'sif /t/a size 4000000000'
damaged "a file whose size lies" "0 1" 'sif /t/text size 4000000000000'
damaged "an extent outside the filesystem" "0 1" 'sif /t/text block[5] 0x7fffffff'
damaged "an extent tree that is none" "0 1" 'sif /t/text block[0] 0x12345678'
damaged "a directory's extents that are none" 1 'sif /t/a block[0] 0x12345678'
damaged "an htree that is none" "0 1" 'sif /t/htree block[0] 0x0004f30a' 'sif /t/htree block[1] 0x00010004'
damaged "attributes in a block that is no such block" "0 1" 'sif /t/text file_acl 9'
damaged "attributes in a block outside the filesystem" "0 1" 'sif /t/text file_acl 0x7fffffff'
damaged "an inode that is not in use" 1 'link /t/a/sub/deep /t/gone' 'clri /t/a/sub/deep'
damaged "a file of no type" "0 1" 'sif /t/a/sub/deep mode 0'
damaged "nothing wrong but names" 0 'sif /t/zz-last mtime 1'
# Absurd attributes in the inode itself: the first one's length.
ino=$(inode /t/a)
block=$(debugfs -R "imap <$ino>" "$T/sound.img" 2>/dev/null | sed -n 's/.*block \([0-9]*\),.*/\1/p')
offset=$(debugfs -R "imap <$ino>" "$T/sound.img" 2>/dev/null | sed -n 's/.*offset \(0x[0-9a-f]*\).*/\1/p')
size=$(dumpe2fs -h "$T/sound.img" 2>/dev/null | sed -n 's/^Block size: *//p')
cp --sparse=always "$T/sound.img" "$T/kept.img"
printf '\xff\xff\xff\xff\xff\xff\xff\xff' | dd of="$T/kept.img" bs=1 seek=$((block * size + offset + 128 + 32 + 4)) conv=notrunc status=none
(cp --sparse=always "$T/kept.img" "$disk")
one "absurd attributes in an inode: getfattr -R" 1 zz-last getfattr -R web:/t
has "absurd attributes in an inode: it is named" "$(err)" "/t/a|inode $ino"
one "absurd attributes in an inode: tar-out" "0 1" zz-last tar-out web:/t -

# ---- logs
cp --sparse=always "$T/sound.img" "$disk"
printf '%s\n' 'sif /var/log/syslog size 4000000000000' 'sif /var/log/kern.log block[5] 0x7fffffff' | debugfs -w -f - "$disk" >/dev/null 2>&1
one "logs of lying sizes" "0 1" - logs web
debugfs -w -R 'sif /var/log/syslog size 200' "$disk" >/dev/null 2>&1
one "logs, one of which cannot be read" 1 'a line of the log' logs web
has "logs, one of which cannot be read: it is named" "$(err)" 'kern\.log'

# ---- the export
if [ -e /dev/fuse ]; then
	cp --sparse=always "$T/sound.img" "$disk"
	printf '%s\n' 'link /t/a /t/a/sub/loop' 'sif /t/text block[5] 0x7fffffff' | debugfs -w -f - "$disk" >/dev/null 2>&1
	mkdir "$T/export"
	timeout --foreground -k 5 600 "$DOMU" export web "$T/export" >"$T/out" 2>"$T/err" &
	pid=$!
	if wait_until 10 test -d "$T/export/t"; then
		timeout "$time_limit" find "$T/export/t" -maxdepth 12 >"$T/found" 2>"$T/find.err"
		is "export: find ends" "$(($? < 124))" 1
		check "export: what can be read is there" grep -q needle "$T/export/t/zz-last"
		timeout "$time_limit" cat "$T/export/t/text" >"$T/text" 2>/dev/null
		is "export: what cannot is an error" "$?" 1
	else
		not_ok "export: it is mounted" "$(err)"
	fi
	kill "$pid"
	wait "$pid"
else
	skip "the export" "no /dev/fuse"
fi
done_testing
