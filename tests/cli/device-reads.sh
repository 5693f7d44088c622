#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# device-reads.sh - what undo and recover compare is read from the device past this host's page cache: in runs, not block by
# block, of which each costs an open and a turn of the device.  A table that this host has an old page of is not believed.
# shellcheck source-path=SCRIPTDIR/../lib
. "$(dirname "$0")/../lib/functions.sh"
. "$lib/images.sh"
. "$lib/cut.sh"
need_strace
built=$(dirname "$DOMU")
[ -x "$built/tests/lib/keep-page" ] || skip_all "keep-page is not built (make check-programs)"
fs_offset=0
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 32M "$T/base.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/base.img"
cp "$T/base.img" "$T/disk.img"
head -c 8000000 /dev/urandom >"$T/payload"
dev=$(loop "$T/disk.img" 0 0) || skip_all "no loop devices here"
config test "$dev,raw,xvda,w"

# direct ARG...: how often the front opens the device past the page cache.
direct() {
	timeout -k 5 "$time_limit" strace -o "$T/calls" -e trace=openat "$DOMU" "$@" >"$T/out" 2>"$T/err" ||
		not_ok "$*" "$(err)"
	grep -cw O_DIRECT "$T/calls"
}

works "a commit of 8 MB" --waive writers write test:/etc/big <"$T/payload"
domu history test --json
blocks=$(jq '.commits[0].blocks' "$T/out")
check "is of many blocks" test "$blocks" -gt 1900
n=$(direct --waive writers undo test)
check "undo looks at the device itself, $n times for $blocks blocks" test "$n" -gt 0 -a "$n" -lt $((blocks / 8))
is "all bytes are as before" "$(sha "$dev")" "$(sha "$T/base.img")"
at=$(writes --waive writers write test:/etc/big)
cut_short $((at - 3)) "$dev" --waive writers write test:/etc/big
n=$(direct --waive writers recover test)
check "so does recover, $n times" test "$n" -gt 0 -a "$n" -lt $((blocks / 8))
fsck_clean "e2fsck finds nothing" "$dev"
works "cat gives it back" cat test:/etc/big
check "the same" cmp "$T/out" "$T/payload"
unloop "$dev"

# ---- the same disk where it has sectors of 4096 bytes: a door that was closed in 512 of them is read in whole ones

cp "$T/base.img" "$T/disk.img"
dev=$(loop "$T/disk.img" 0 0)
config test "$dev,raw,xvda,w"
at=$(writes --waive writers write test:/etc/big)
cut_short $((at - 3)) "$dev" --waive writers write test:/etc/big
unloop "$dev"
dev=$(loop "$T/disk.img" 0 0 -b 4096)
config test "$dev,raw,xvda,w"
is "its sectors are larger now" "$(blockdev --getss "$dev")" 4096
works "recover finishes it" --waive writers recover test
fsck_clean "e2fsck finds nothing on it" "$dev"
works "a file written before is read" cat test:/etc/big
check "it is the same" cmp "$T/out" "$T/payload"
works "undo" --waive writers undo test
is "gives back all bytes" "$(sha "$dev")" "$(sha "$T/base.img")"
unloop "$dev"

# ---- somebody keeps a page of the table, and a guest that ran meanwhile has written another past it

truncate -s 40M "$T/table.img"
echo 'start=2048' | sfdisk -q "$T/table.img"
dd if="$T/base.img" of="$T/table.img" bs=1M seek=1 conv=notrunc status=none
dev=$(loop "$T/table.img" 0 0)
rm "$T/xen/test.cfg"
config table "$dev,raw,xvda,w"
coproc "$built/tests/lib/keep-page" "$dev"
read -r word <&"${COPROC[0]}"
is "a page is kept" "$word" kept
keeper=$COPROC_PID
works "that is what the device has" --waive writers mkdir table:/etc/before
printf '\1\2\3\4' | dd of="$T/table.img" bs=1 seek=440 conv=notrunc status=none
before=$(sha "$T/table.img")
ends "not any more" 3 --waive writers mkdir table:/etc/after
has "which says who to look for" "$(err)" "old copy of byte 0 of it in memory.*fuser -v $dev"
is "nothing is written" "$(sha "$T/table.img")" "$before"
kill "$keeper"
wait "$keeper" 2>/dev/null
works "when he has ended" --waive writers mkdir table:/etc/after
unloop "$dev"
done_testing
