#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# state.sh - a state directory that is gone, of another version or damaged, and a guest that is in use, while a commit is due.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
. "$(dirname "$0")/../lib/cut.sh"
need_kernel
need_strace
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 8M "$T/base.img"
mke2fs -q -F -t ext4 -b 1024 -L root -d "$T/tree" "$T/base.img"
head -c 60000 /dev/urandom >"$T/payload"
fs_offset=0 fs_size=0
disk=$T/disk.img
config test "$disk,raw,xvda,w"
cp --sparse=always "$T/base.img" "$T/other.img"
config other "$T/other.img,raw,xvda,w"
cp --sparse=always "$T/base.img" "$disk"
at=$(writes write test:/etc/big)

# ---- in use
cut_short "$at" "$disk" write test:/etc/big
exec 8<>"$disk"
refused "in use: recover" "$id.*pending.*in use.*writers" "$disk" recover
refused "in use: recover test" "$id.*pending.*in use.*writers" "$disk" recover test
ends "in use: a change" 3 mkdir test:/srv
due "in use" test
exec 8>&-
dev=$(loop "$disk" 0 0)
refused "under a loop: recover" "$id.*pending.*in use" "$disk" recover test
ends "under a loop: reading" 3 cat test:/etc/hostname
works "under a loop: status" status test
has "under a loop: status says that it is due" "$(err)" "$id.*recover test"
unloop "$dev"
works "free again: recover" recover
recovered "free again" "$disk"

# ---- a mistake in the file that says how much history is kept
cut_short "$at" "$disk" write test:/etc/big
echo 'history-cuont = 3' >"$T/mistake.conf"
DOMU_RESCUE_CONF=$T/mistake.conf works "a mistake in the configuration: recover" recover
has "a mistake in the configuration: is told" "$(err)" "warning: .*mistake.conf:1: unknown key"
recovered "a mistake in the configuration" "$disk"
# ---- under way: the commit is stopped with its disk closed, and goes on
rm -rf "$state"
cp --sparse=always "$T/base.img" "$disk"
strace -o "$T/trace" -e trace=pwrite64 -e inject="pwrite64:signal=STOP:when=$at" \
	"$DOMU" write test:/etc/big <"$T/payload" >"$T/commit.out" 2>"$T/commit.err" &
tracer=$!
check "under way: the commit is stopped" wait_until 60 grep -q 'stopped by SIGSTOP' "$T/trace"
check "under way: with its disk closed" closed "$disk"
pid=$(tr -d ' ' <"$(echo "$state"/pending/*/lock)")
id=$(ls "$state/pending")
works "under way: list" list --json
is "under way: no recover is due" "$(jq '.guests[] | select(.name == "test") | .recover_due' "$T/out")" false
has "under way: list says by whom" "$(err)" "commit on test is under way \($id, process $pid\)"
works "under way: status" status test
has "under way: status says by whom" "$(err)" "under way \($id, process $pid\)"
lacks "under way: and nothing of a recover" "$(err)" "cut short"
works "under way: history" history test
has "under way: history says by whom" "$(out)" "$id is under way: process $pid"
works "under way: recover" recover
has "under way: recover passes it over" "$(err)" "$id.*under way.*process $pid"
ends "under way: recover test" 3 recover test
lacks "under way: recover test does not call it due" "$(err)" "cut short|stays pending"
kill -CONT "$pid"
wait "$tracer"
is "under way: the commit ends" "$? $(grep -c . "$T/commit.err")" "0 0"
recovered "under way" "$disk"

# ---- the config is gone
cut_short "$at" "$disk" write test:/etc/big
mv "$T/xen/test.cfg" "$T/test.cfg"
refused "no config: recover" "$id stays pending.*--disk $disk recover" "$disk" recover
refused "no config: recover test" "$id stays pending.*--disk $disk recover" "$disk" recover test
ends "no config: another name" 4 recover nobody
# The name is another guest's by now.
config test "$T/other.img,raw,xvda,w"
refused "another guest of that name: recover" "$id stays pending.*$disk" "$disk" recover
is "another guest of that name: is as it was" "$(sha "$T/other.img")" "$(sha "$T/base.img")"
works "by its disk: recover" --disk "$disk" recover
recovered "by its disk" "$disk"
mv "$T/test.cfg" "$T/xen/test.cfg"

# ---- made by an older version, which did not know births
cut_short "$at" "$disk" write test:/etc/big
rm -rf "$state"
cp --sparse=always "$T/base.img" "$disk"
call=fdatasync killed 1 write test:/etc/big
meta=$(echo "$state"/pending/*/meta)
has "a description has the birth" "$(cat "$meta")" '"btime":[0-9]+'
sed -i 's/,"btime":[0-9]*//' "$meta"
lacks "an older one has not" "$(cat "$meta")" btime
works "an older stage: commit" commit test
id=$(ls "$state/history")
recovered "an older stage" "$disk"

# ---- made by a newer version
cut_short "$at" "$disk" write test:/etc/big
printf '\2' | dd of="$state/pending/$id/seal" bs=1 seek=8 conv=notrunc status=none
due "a newer seal" test
refused "a newer seal: recover" "newer version" "$disk" recover
refused "a newer seal: recover test" "newer version" "$disk" recover test
refused "a newer seal: a change" "newer version" "$disk" mkdir test:/srv
refused "a newer seal: undo" "newer version" "$disk" undo test
refused "a newer seal: reading" "$id.*recover test" "$disk" cat test:/etc/hostname
works "a newer seal: history" history test
works "a newer seal: reading another guest" cat other:/etc/hostname

# ---- damaged
for damage in 'head -c 3000 /dev/urandom >$seal' 'truncate -s 600 $seal' 'rm $seal; mkdir $seal' \
	'dd if=/dev/urandom of=$seal bs=1 seek=1030 count=30 conv=notrunc status=none'; do
	cut_short "$at" "$disk" write test:/etc/big
	seal=$state/pending/$id/seal
	eval "$damage"
	works "$damage: list" list
	refused "$damage: reading" "$id" "$disk" cat test:/etc/hostname
	refused "$damage: a change" "$id" "$disk" mkdir test:/srv
	refused "$damage: recover test" "$id" "$disk" recover test
	works "$damage: another guest is changed" mkdir other:/srv
	works "$damage: and back" undo other
done
rm -rf "$state"
works "a directory anew" mkdir other:/srv
mkdir -p "$state"/{pending,history}/20200101T000000-000001
echo nonsense >"$state/pending/20200101T000000-000001/meta"
echo nonsense >"$state/history/20200101T000000-000001/seal"
: >"$state/pending/20200101T000000-000002"
mkdir "$state/pending/20200101T000000-000003"
echo nonsense >"$state/seen/test"
works "bad entries: list" list
works "bad entries: list --json" list --json
is "bad entries: nothing is due" "$(jq '[.guests[] | select(.recover_due)] | length' "$T/out")" 0
works "bad entries: history" history other
works "bad entries: undo" undo other
works "bad entries: recover" recover
rm -rf "$state"

# ---- gone while a shell has a stage open
cp --sparse=always "$T/base.img" "$disk"
before=$(state_of "$disk")
ends "removed under a shell" 1 shell test -c "mkdir /srv; !rm -rf '$state'; mkdir /srv2; commit"
has "removed under a shell: the message" "$(err)" "$state.*nothing was written"
is "removed under a shell: nothing was written" "$(state_of "$disk")" "$before"
works "removed under a shell: a new change" mkdir test:/srv
works "removed under a shell: undo" undo test

# ---- a shell on a guest with a commit that is due
cut_short "$at" "$disk" write test:/etc/big
works "in a shell: recover" shell test -c 'recover; cat /etc/hostname'
has "in a shell: it says so" "$(err)" "$id.*was finished"
is "in a shell: and goes on" "$(out)" testguest
recovered "in a shell" "$disk"

# ---- gone while a commit is due: every command names it, recover knows the way on
# opened NAME DISK: what recover says opens the disk; then it can be repaired, and the kernel mounts it.
opened() {
	local way
	way=$(err | sed -n 's/.*cannot be repaired: \(.*\), then domu-rescue fsck -y .*$/\1/p')
	bash -c "$way" >"$T/way" 2>&1
	if closed "$2?offset=$fs_offset"; then not_ok "$1: opened" "$way" "$(cat "$T/way")"; else ok "$1: opened"; fi
	eval "domu $(err | sed -n 's/.*, then domu-rescue \(fsck -y .*\)$/\1/p')"
	is "$1: repaired" "$((status & ~1))" 0
	fsck_clean "$1: e2fsck" "$2"
	is "$1: its features are as before" "$(features "$2")" "$features"
	kmount "$2" "$fs_offset" "$fs_size" "$T/mnt" ro && cmp -s "$T/tree/var/log/syslog" "$T/mnt/var/log/syslog"
	is "$1: what was not touched is there" "$?" 0
	kumount "$T/mnt"
}

features() {
	dumpe2fs -h "$1?offset=$fs_offset" 2>/dev/null | grep '^Filesystem features'
}

cut_short "$at" "$disk" write test:/etc/big
rm -rf "$state"
features="$(features "$T/base.img")"
works "gone: list" list
works "gone: info" info test
has "gone: info says so" "$(err)" "$id.*recover test"
works "gone: status" status test
works "gone: history" history test
refused "gone: reading" "$id.*recover test" "$disk" cat test:/etc/hostname
refused "gone: a change" "$id.*recover test" "$disk" mkdir test:/srv
refused "gone: a script" "$id.*recover test" "$disk" shell test -c 'mkdir /srv'
refused "gone: resize-root" "$id.*recover test" "$disk" --yes resize-root test +4M
ends "gone: undo" 4 undo test
domu fsck -y test
is "gone: fsck" "$status" 8
has "gone: fsck says so" "$(err)$(out)" "$id.*recover test"
is "gone: no stage is left" "$(find "$state/pending" -mindepth 1 2>/dev/null | wc -l)" 0
refused "gone: recover test" "xvda is closed by commit $id.*$state has nothing whole.*--state-dir" "$disk" recover test
cp --sparse=always "$disk" "$T/it's \"my\" disk.img"
opened "gone" "$disk"
ends "gone, with quotes in its path" 7 recover "$T/it's \"my\" disk.img"
opened "gone, with quotes in its path" "$T/it's \"my\" disk.img"

disk=$T/gpt.img
for type in 'ext4 -O ^metadata_csum,uninit_bg,^64bit' ext3; do
	mke2fs -q -F -t $type -L root -d "$T/tree" "$T/base.img" 8M >"$T/mke2fs" 2>&1
	mv "$T/base.img" "$T/fs.img"
	make_disk gpt "$T/fs.img" "$T/base.img" 1
	config test "$disk,raw,xvda,w"
	rm -rf "$state"
	cp --sparse=always "$T/base.img" "$disk"
	at=$(writes write test:/etc/big)
	features=$(features "$T/base.img")
	cut_short "$at" "$disk" write test:/etc/big
	rm -rf "$state"
	ends "gone, $type: recover test" 7 recover test
	opened "gone, $type" "$disk"
done

# ---- the same of xfs, whose door is made here: an incompatible bit, the text, and the checksum
# close_xfs FILE OFFSET ID
close_xfs() {
	local -a bytes
	local crc=$((0xffffffff)) i k hex=''
	mapfile -t bytes < <(od -An -v -tu1 -w1 -j "$2" -N 512 "$1")
	bytes[216]=$((bytes[216] | 0x40))
	i=448
	for k in $(printf 'domu-rescue commit %s\0' "$3" | od -An -v -tu1 -w1); do
		bytes[i]=$k i=$((i + 1))
	done
	for ((i = 224; i < 228; i++)); do bytes[i]=0; done
	for ((i = 0; i < 512; i++)); do
		crc=$((crc ^ bytes[i]))
		for ((k = 0; k < 8; k++)); do crc=$((crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1)); done
	done
	crc=$((crc ^ 0xffffffff))
	for ((i = 0; i < 4; i++)); do bytes[224 + i]=$((crc >> 8 * i & 255)); done
	for i in "${bytes[@]}"; do hex+=$(printf '\\x%02x' "$i"); done
	printf '%b' "$hex" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

if command -v mkfs.xfs xfs_db >/dev/null; then
	rm -rf "$state"
	truncate -s 300M "$T/xfs.fs"
	mkfs.xfs -q "$T/xfs.fs" >"$T/mkfs" 2>&1
	make_disk gpt "$T/xfs.fs" "$T/xfs.img" 1
	config test "$T/xfs.img,raw,xvda,w"
	head -c $((fs_offset + 4096)) "$T/xfs.img" >"$T/xfs.before"
	id=20260102T030405-1a2b3c
	close_xfs "$T/xfs.img" "$fs_offset" "$id"
	ln "$T/xfs.img" "$T/it's xfs.img"
	ends "xfs: recover" 7 recover "$T/it's xfs.img"
	has "xfs: the message" "$(err)" "closed by commit $id.*xfs_db"
	way=$(err | sed -n 's/.*cannot be repaired: \(.*\), then domu-rescue fsck -y .*$/\1/p')
	bash -c "$way" >"$T/way" 2>&1
	is "xfs: opened" "$(cmp -l -n $((fs_offset + 4096)) "$T/xfs.before" "$T/xfs.img" | awk -v o="$fs_offset" '{ i = $1 - 1 - o } i < 448 && (i < 224 || i > 227)')" ''
	dev=$(loop "$T/xfs.img" "$fs_offset" "$fs_size")
	check "xfs: what the text leaves is cleared" xfs_repair "$dev"
	check "xfs: nothing is wrong with it" xfs_repair -n "$dev"
	unloop "$dev"
	works "xfs: recover has nothing to do" recover test
	is "xfs: it says so" "$(out)" "nothing to recover"
else
	skip "xfs: recover" "no xfsprogs"
fi
done_testing
