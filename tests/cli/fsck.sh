#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fsck.sh - checking and repairing: the bits of the exit status, the second check finds nothing, e2fsck agrees.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 32M "$T/clean.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/clean.img"
fs_offset=0
disk=$T/disk.img
config test "$disk,raw,xvda,w"

# damage NAME < debugfs commands: a fresh disk with that damage, proved to be there.
damage() {
	rm -rf "$T/state"
	cp --sparse=always "$T/clean.img" "$disk"
	debugfs -w -f - "$disk" >/dev/null 2>&1
	if e2fsck -fn "$disk" >"$T/e2fsck.out" 2>&1; then
		not_ok "$1: the damage is there"
	fi
}

# bits NAME STATUS ARG...
bits() {
	local name=$1 want=$2
	shift 2
	domu fsck "$@"
	if [ "$status" = "$want" ]; then
		ok "$name"
	else
		not_ok "$name" "\$ domu-rescue fsck $*" "status $status, expected $want" "$(out)" "$(err)"
	fi
}

repaired() {
	fsck_clean "$1: e2fsck finds nothing" "$disk"
	bits "$1: a second check finds nothing" 0 -n test
}

# ---- clean
cp --sparse=always "$T/clean.img" "$disk"
before=$(state_of "$disk")
bits "a clean one: -n" 0 -n test
is "-n changes nothing" "$(state_of "$disk")" "$before"
domu fsck -n test --json
is "--json: the result" "$(jq -r '.guests[0].filesystems[0].result' "$T/out")" clean
is "--json: the keys" "$(jq -r '.guests[0].filesystems[0] | [has("device", "type", "uuid", "result", "exit", "seconds", "log")] | all' "$T/out")" true
tune2fs -C 40 -c 20 -T 20200101 "$disk" >/dev/null
bits "a clean one that is due: -p" 0 -p test
said=$(dumpe2fs -h "$disk" 2>/dev/null)
has "its mount count is set" "$said" 'Mount count: +0'
lacks "its last check is set" "$said" 'Last checked: .* 2020'
fsck_clean "marking: e2fsck" "$disk"
tune2fs -C 40 -c 20 "$disk" >/dev/null
before=$(sha "$disk")
bits "--no-mark" 0 -p --no-mark test
is "--no-mark leaves it" "$(sha "$disk")" "$before"

# ---- damage
damage "wrong counts" <<<'set_inode_field /etc/hostname links_count 5'
before=$(state_of "$disk")
bits "wrong counts: -n" 4 -n test
is "wrong counts: -n changes nothing" "$(state_of "$disk")" "$before"
bits "wrong counts: -p" 1 -p test
repaired "wrong counts"
works "undo of a repair" undo test
is "the damaged bytes again" "$(sha "$disk")" "${before%% *}"

damage "bitmaps" <<-'D'
	freei /etc/hostname
	freeb 100 50
D
bits "bitmaps: -p repairs what is safe" 1 -p test
repaired "bitmaps"

damage "lost files" <<-'D'
	clri /etc
	clri /sbin/init
D
before=$(sha "$disk")
domu fsck -p test
is "lost files: -p leaves what is not safe" "$((status & 4))" 4
has "lost files: what to type next" "$(out)" 'not repaired.*: try domu-rescue fsck -y test$'
lacks "lost files: e2fsck's tabs are tabs" "$(out)" '\\011'
bits "lost files: -y" 1 -y test
told=$(grep 'in lost+found now' "$T/out")
repaired "lost files"
works "lost files: they are found" find test:/lost+found
has "in lost+found" "$(out)" '#[0-9]+'

# e2fsck numbers what it moves, and says what it clears: debugfs and that are what the summary is held against.
# counts NAME MOVED GONE: what is told after fsck -y.
counts() {
	local moved
	moved=$(debugfs -R 'ls -p /lost+found' "$disk" 2>/dev/null | grep -c '/#[0-9]*/')
	is "$1: debugfs finds as many in lost+found" "$moved" "$2"
	has "$1: how many files went where" "$told" "^test: xvda: $2 files? or folders? (is|are) in lost\\+found now, $3 names? (is|are) gone: domu-rescue undo test brings"
}
moved=$(debugfs -R 'ls -p /lost+found' "$disk" 2>/dev/null | grep -c '/#[0-9]*/')
has "lost files: how many are in lost+found" "$told" "^test: xvda: $moved files or folders are in lost\\+found now, 2 names are gone: domu-rescue undo test "
works "lost files: undo" undo test
is "lost files: undo: the bytes" "$(sha "$disk")" "$before"
damage "a name that is gone" <<<'unlink /etc/hostname'
bits "a name that is gone: -y" 1 -y --json test
is "a name that is gone: in lost+found, by JSON" "$(jq -c '.guests[0].filesystems[0] | [.lost_found, .gone]' "$T/out")" '[1,0]'
damage "two names that are gone" <<-'D'
	unlink /etc/hostname
	unlink /sbin/init
D
bits "two names that are gone: -y" 1 -y test
told=$(grep 'in lost+found now' "$T/out")
counts "two names that are gone" 2 0
damage "a folder without a name" <<<'unlink /etc'
bits "a folder without a name: -y" 1 -y test
told=$(grep 'in lost+found now' "$T/out")
counts "a folder without a name" 1 0
damage "an inode that is cleared" <<<'clri /etc/hostname'
bits "an inode that is cleared: -y" 1 -y test
told=$(grep 'in lost+found now' "$T/out")
counts "an inode that is cleared" 0 1
damage "wrong counts alone" <<<'set_inode_field /etc/hostname links_count 5'
bits "wrong counts alone: -y" 1 -y test
lacks "wrong counts alone: no file went anywhere" "$(out)" "lost.found"
damage "in a shell" <<<'unlink /etc/hostname'
works "in a shell: fsck -y" shell test -c 'fsck -y; diff; rollback'
has "in a shell: what to type" "$(out)" "1 file or folder is in lost.found now, 0 names are gone: diff shows them, rollback drops"
has "in a shell: diff shows it" "$(out)" "\\+ +/lost.found/#"

damage "dry run" <<<'set_inode_field /etc/hostname links_count 5'
before=$(state_of "$disk")
domu --dry-run fsck -y test
is "--dry-run changes nothing" "$(state_of "$disk")" "$before"

damage "fsck in a shell" <<<'set_inode_field /etc/hostname links_count 5'
domu shell test -c 'fsck -y'
is "fsck in a script repairs" "$((status == 0 || status == 1))" 1

# ---- several guests
cp --sparse=always "$T/clean.img" "$T/second.img"
config second "$T/second.img,raw,xvda,w"
damage "one of two" <<<'set_inode_field /etc/hostname links_count 5'
bits "one of two: -n" 4 -n test second
bits "--all -y" 1 --all -y
repaired "--all"
bits "--all again" 0 --all -n
domu fsck -n --all --json
is "--json has both guests" "$(jq -r '[.guests[].guest] | sort | join(" ")' "$T/out")" "second test"
config busy "$T/busy.img,raw,xvda,w"
cp --sparse=always "$T/clean.img" "$T/busy.img"
exec 8<>"$T/busy.img"
bits "--all skips one in use" 0 --all -p --no-mark
has "and says so" "$(out)$(err)" '1 in use'
domu fsck -p busy
is "a named one in use is an operational error" "$((status & 8))" 8
lacks "a named one in use: it is a failure, and no warning" "$(err)" warning
has "a named one in use: it is said" "$(err)" "^domu-rescue: .*busy"
exec 8>&-
rm "$T/xen/busy.cfg"

# ---- usage and operation
bits "an unknown guest" 8 -n nobody
bits "an unknown guest and a clean one" 8 -n nobody test
bits "no guest" 16
bits "an option that does not exist" 16 --frobnicate test
bits "-n and -y" 16 -n -y test
truncate -s 5M "$T/zero.img"
config zero "$T/zero.img,raw,xvda,w"
domu fsck -n zero
is "nothing to check is not a crash" "$((status == 0 || status == 8))" 1
rm "$T/xen/zero.cfg"

# ---- what cannot be repaired in three passes is said, never written as if it were (the superblock gone)
cp --sparse=always "$T/clean.img" "$disk"
rm -rf "$T/state"
dd if=/dev/urandom of="$disk" bs=512 seek=2 count=2 conv=notrunc status=none
domu fsck -p test
is "a superblock that is gone: not clean, no crash" "$((status < 32))" 1

# ---- a partition of a disk: only that is touched
if [ "$(id -u)" = 0 ]; then
	cp --sparse=always "$T/clean.img" "$T/part.img"
	debugfs -w -R 'set_inode_field /etc/hostname links_count 5' "$T/part.img" >/dev/null 2>&1
	make_disk logical "$T/part.img" "$disk"
	head -c "$fs_offset" "$disk" | sha256sum >"$T/head"
	tail -c +$((fs_offset + fs_size + 1)) "$disk" | sha256sum >"$T/tail"
	bits "a logical partition" 1 -y test
	fsck_clean "a logical partition: e2fsck" "$disk"
	is "before it nothing changed" "$(head -c "$fs_offset" "$disk" | sha256sum)" "$(cat "$T/head")"
	is "after it nothing changed" "$(tail -c +$((fs_offset + fs_size + 1)) "$disk" | sha256sum)" "$(cat "$T/tail")"
fi
# ---- what is no filesystem is not listed as one that could not be checked
rm -rf "$T/state"
truncate -s 48M "$T/parts.img"
printf 'label: dos\nstart=2048, size=65536, type=83\nstart=67584, size=16384, type=83\n' | sfdisk -q "$T/parts.img" >"$T/sfdisk.log" 2>&1
dd if="$T/clean.img" of="$T/parts.img" bs=1M seek=1 conv=notrunc status=none
printf 'LUKS\272\276\0\1aes\0' | dd of="$T/parts.img" bs=512 seek=67584 conv=notrunc status=none
is "libblkid sees an encrypted partition" "$(blkid -p -O $((67584 * 512)) -o value -s TYPE "$T/parts.img")" crypto_LUKS
config parts "$T/parts.img,raw,xvda,w"
domu fsck -n --json parts
is "fsck speaks of filesystems alone" "$(jq -r '.guests[].filesystems[].device' "$T/out")" xvda1
truncate -s 1M "$T/luks.img"
printf 'LUKS\272\276\0\1aes\0' | dd of="$T/luks.img" conv=notrunc status=none
config luks "$T/luks.img,raw,xvda,w"
bits "nothing to check" 8 -n luks
has "nothing to check: it says so" "$(err)" 'no filesystem'
done_testing
