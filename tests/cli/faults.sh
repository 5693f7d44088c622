#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# faults.sh - every call of a commit and of a recover that can fail does, once: old, new, or what recover mends.
# In memory: nothing waits for a sync.
[ -n "${TMPDIR-}" ] || [ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
command -v strace >/dev/null || skip_all "no strace to inject faults with"
strace -o /dev/null true 2>/dev/null || skip_all "no tracing here"
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 16M "$T/base.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/base.img"
head -c 9000 /dev/urandom >"$T/payload"
fs_offset=0 fs_size=0
disk=$T/disk.img
base=$(sha "$T/base.img")
config test "$disk,raw,xvda,w"
cp --sparse=always "$T/base.img" "$disk"

test_cleanup() {
	umount "$T/small" 2>/dev/null
}

# inject CALL N WHAT [PATH] -- ARG...: the program's Nth call of that kind (on that path) goes so.
inject() {
	local call=$1 n=$2 what=$3 on=()
	shift 3
	[ "$1" = -- ] || { on=(-P "$1"); shift; }
	shift
	{
		timeout -k 5 "$time_limit" strace -o "$T/trace" "${on[@]}" -e trace="$call" -e inject="$call:$what:when=$n" \
			"$DOMU" "$@" >"$T/out" 2>"$T/err"
		status=$?
	} 2>/dev/null
}

# The disk is the same inode, as the stage wants it.
restore() {
	rm -rf "$T/state"
	cp -a "$1" "$T/state"
	cp --sparse=always "$2" "$disk"
	began=$(sha "$disk")
}

wrong=()
bad() {
	wrong+=("$*")
}

# goes ARG...: what is typed next works.
goes() {
	domu "$@"
	[ "$status" = 0 ] || bad "$*: status $status: $(err)"
}

# judge NAME: the status says what the disk holds, and what is typed next leads to the new one.
judge() {
	local name=$1 now
	now=$(sha "$disk")
	wrong=()
	grep -q INJECTED "$T/trace" || bad "nothing was injected"
	[ "$status" = 0 ] || [ -s "$T/err" ] || bad "no message"
	case $status in
	0) [ "$now" = "$after" ] || bad "status 0, and the disk is not new" ;;
	1) [ "$now" = "$began" ] || bad "status 1, and the disk has changed: $(err)" ;;
	7) grep -q 'domu-rescue recover test' "$T/err" || bad "no word of recover: $(err)" ;;
	*) bad "status $status: $(err)" ;;
	esac
	if [ "$now" != "$base" ] && [ "$now" != "$after" ]; then
		kmount "$disk" 0 0 "$T/mnt" ro 2>/dev/null && kumount "$T/mnt" && bad "a half-written disk is open"
	fi
	seen[$status]=1
	goes recover
	now=$(sha "$disk")
	if [ "$now" = "$base" ]; then
		goes commit test
		now=$(sha "$disk")
	fi
	[ "$now" = "$after" ] || bad "the disk is not new in the end"
	e2fsck -fn "$disk" >"$T/fsck" 2>&1 || bad "e2fsck: $(cat "$T/fsck")"
	# A marked commit is moved by the next one that may write there.
	goes list -l
	[ "$(domu history test --json; jq -r '.commits[0].state' "$T/out")" = committed ] || bad "history: $(out)"
	[ -z "$(find "$T/state/pending" -mindepth 1 -print -quit)" ] || bad "left in pending: $(ls "$T/state/pending"/*)"
	if [ ${#wrong[@]} = 0 ]; then ok "$name"; else not_ok "$name" "${wrong[@]}"; fi
}

# ---- one stage, and one closed disk
inject fdatasync 1 signal=KILL -- write test:/etc/big <"$T/payload"
is "killed before the first sync: the disk is as before" "$(sha "$disk")" "$base"
id=$(ls "$T/state/pending")
cp -a "$T/state" "$T/stage"
timeout "$time_limit" strace -y -o "$T/calls" "$DOMU" commit test >"$T/out" 2>"$T/err"
is "its stage can be committed" "$?" 0
after=$(sha "$disk")
restore "$T/stage" "$T/base.img"
inject pwrite64 2 signal=KILL "$disk" -- commit test
cp -a "$T/state" "$T/cut"
cp --sparse=always "$disk" "$T/closed.img"
timeout "$time_limit" strace -y -o "$T/recover-calls" "$DOMU" recover >"$T/out" 2>"$T/err"
is "a cut one can be recovered" "$(sha "$disk")" "$after"

# each KIND ERROR... -- ARG...: each call of that kind fails, with the errors in turn.
each() {
	local call=$1 what=() count n
	shift
	while [ "$1" != -- ]; do what+=("$1"); shift; done
	shift
	count=$(grep -c "^$call(" "$calls")
	for ((n = 1; n <= count; n++)); do
		restore "$from" "$image"
		inject "$call" "$n" "error=${what[n % ${#what[@]}]}" -- "$@"
		judge "$*: $call $n of $count: ${what[n % ${#what[@]}]}"
	done
}

# each_open ARG...: each file of the commit cannot be opened.
each_open() {
	local path n count errors=(EIO EMFILE ENOSPC)
	for path in "$T/state/pending/$id"{,/log,/undo,/seal,/lock,/meta,/meta.new} "$T/state/pending" "$T/state/history"; do
		count=$(grep -c "^openat(.*\"$path\"" "$calls")
		for ((n = 1; n <= count; n++)); do
			restore "$from" "$image"
			inject openat "$n" "error=${errors[n % 3]}" "$path" -- "$@"
			judge "$*: openat $n of $count of ${path#"$T/state/"}: ${errors[n % 3]}"
		done
	done
}

declare -A seen=()
calls=$T/calls from=$T/stage image=$T/base.img
each fdatasync EIO -- commit test
each fsync EIO -- commit test
each pwrite64 ENOSPC EIO EDQUOT -- commit test
each ftruncate EIO ENOSPC -- commit test
each fallocate ENOSPC EDQUOT EOPNOTSUPP -- commit test
each unlink EIO -- commit test
each rename EIO ENOSPC -- commit test
each_open commit test
is "success, refusal and a commit cut short were met" "${seen[0]-}${seen[1]-}${seen[7]-}" 111
calls=$T/recover-calls from=$T/cut image=$T/closed.img
each fdatasync EIO -- recover
each fsync EIO -- recover
each pwrite64 EIO ENOSPC EDQUOT -- recover
each unlink EIO -- recover
each rename ENOSPC EIO -- recover
each_open recover

# ---- no fault but the place: refused, nothing written, and it goes on when there is room
# refuses NAME PATTERN ARG...: status 1, a message, the disk as it was and nothing pending.
refuses() {
	local name=$1 pattern=$2 before
	shift 2
	before=$(state_of "$disk")
	ends "$name" 1 "$@" <"$T/payload"
	has "$name: it says so" "$(err)" "$pattern"
	is "$name: the disk is as it was" "$(state_of "$disk")" "$before"
	is "$name: nothing is left in pending" "$(find "$T/state/pending" -mindepth 1 2>/dev/null | wc -l)" 0
}

rm -rf "$T/state"
cp --sparse=always "$T/base.img" "$disk"
for what in '' /pending /history /seen; do
	rm -rf "$T/state"
	[ -z "$what" ] || mkdir -m 700 "$T/state"
	echo "not a folder" >"$T/state$what"
	before=$(state_of "$disk")
	ends "a file for the folder state$what" 1 write test:/etc/new <"$T/payload"
	has "a file for the folder state$what: it says so" "$(err)" "state$what: .*([Nn]ot a directory|exists)"
	is "a file for the folder state$what: the disk is as it was" "$(state_of "$disk")" "$before"
	# What is no state directory at all may hide that a recover is due.
	if [ -n "$what" ]; then works "a file for the folder state$what: reading goes on" cat test:/etc/fstab; fi
done
rm -rf "$T/state"
mkdir -m 777 "$T/state"
refuses "a state directory of everybody" "chmod 700" write test:/etc/new
rm -rf "$T/state"
echo "a file" >"$T/file"
refuses "undo in a folder that is a file" "[Nn]ot a directory|exists" --undo-dir "$T/file" write test:/etc/new
refuses "undo in a folder that is missing" "No such file" --undo-dir "$T/nowhere" write test:/etc/new
# The real short write: the kernel takes what is left up to the limit, then none.
head -c 3000000 /dev/urandom >"$T/payload"
for limit in 8 1000; do
	before=$(state_of "$disk")
	(
		ulimit -f $limit
		domu write test:/etc/new <"$T/payload"
		echo "$status" >"$T/status"
	)
	is "a limit of $limit blocks a file: it is refused" "$(cat "$T/status")" 1
	has "a limit of $limit blocks a file: it says so" "$(err)" "File too large|size limit"
	is "a limit of $limit blocks a file: the disk is as it was" "$(state_of "$disk")" "$before"
done
mkdir "$T/small"
if mount -t tmpfs -o size=3m,mode=700 tmpfs "$T/small"; then
	# An image with holes, on a file system that has no room to fill them.
	disk=$T/small/disk.img
	config small "$disk,raw,xvda,w"
	cp --sparse=always "$T/base.img" "$disk"
	refuses "no room under the image" "no room for .* blocks" write small:/etc/new
	fsck_clean "no room under the image: e2fsck" "$disk"
	mount -o remount,size=64m "$T/small"
	works "no room under the image: with more it goes on" write small:/etc/new <"$T/payload"
	same "no room under the image: and it is there" "$T/payload" <(domu cat small:/etc/new; out)
	mount -o remount,size=$(($(du -sk "$T/small" | cut -f1) + 1024))k "$T/small"
	refuses "no room for undo elsewhere" "takes .* free" --undo-dir "$T/small" write small:/etc/other
	is "no room for undo elsewhere: nothing is left there" "$(ls "$T/small")" disk.img
	umount "$T/small"
else
	skip "no room under the image" "no tmpfs can be mounted"
fi
done_testing
