#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# crash.sh - commits that are killed or interrupted at every sync and write; state directories that are full or read-only.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
command -v strace >/dev/null || skip_all "no strace to kill with"
strace -f -o /dev/null true 2>/dev/null || skip_all "no tracing here"
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 32M "$T/base.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/base.img"
head -c 3000000 /dev/urandom >"$T/payload"
fs_offset=0 fs_size=0
disk=$T/disk.img
base=$(sha "$T/base.img")
config test "$disk,raw,xvda,w"
cp --sparse=always "$T/base.img" "$disk"

test_cleanup() {
	umount "$T/small" 2>/dev/null
}

# at SYSCALL N SIGNAL ARG...: runs the program, with a signal as it enters its Nth call of that kind.
at() {
	local call=$1 n=$2 signal=$3
	shift 3
	{
		timeout -k 5 "$time_limit" strace -f -o "$T/trace" -e trace="$call" \
			-e inject="$call:signal=$signal:when=$n" "$DOMU" "$@" >"$T/out" 2>"$T/err"
		status=$?
	} 2>/dev/null
}

# The stage and the disk as they were before the commit: the disk is the same inode, as the stage wants it.
restore() {
	rm -rf "$T/state"
	cp -a "$T/stage" "$T/state"
	cp --sparse=always "$T/base.img" "$disk"
}

# mounts: the kernel mounts the disk, or not.
mounts() {
	kmount "$disk" 0 0 "$T/mnt" ro 2>/dev/null && kumount "$T/mnt"
}

# verdict NAME: what a cut may leave, and what list and recover make of it. Sets $left.
verdict() {
	local name=$1 now
	now=$(sha "$disk")
	case $now in
	"$base") left=before ;;
	"$after") left=after ;;
	*)
		left=closed
		if mounts; then not_ok "$name: a half-written disk is closed"; else ok "$name: a half-written disk is closed"; fi
		domu list
		has "$name: list says that recover is due" "$(err)" 'domu-rescue recover test'
		ends "$name: nothing is read" 7 ls test:/
		has "$name: what to do" "$(err)" 'domu-rescue recover test'
		is "$name: nothing was written" "$(sha "$disk")" "$now"
		;;
	esac
	works "$name: recover ($left)" recover
	case $left in
	before) is "$name: the disk is as before" "$(sha "$disk")" "$base" ;;
	*) is "$name: the disk is as after" "$(sha "$disk")" "$after" ;;
	esac
	fsck_clean "$name: e2fsck" "$disk"
	if [ "$left" != before ]; then
		now=$(state_of "$disk")
		works "$name: a second recover" recover
		is "$name: it has nothing to do" "$(out)" "nothing to recover"
		is "$name: it does nothing" "$(state_of "$disk")" "$now"
	else
		works "$name: the stage can be committed" commit test
		is "$name: then the disk is as after" "$(sha "$disk")" "$after"
	fi
	seen[$left]=1
}

# ---- one stage, committed again and again
at fdatasync 1 KILL write test:/etc/big <"$T/payload"
is "killed before the first sync: the disk is as before" "$(sha "$disk")" "$base"
cp -a "$T/state" "$T/stage"
timeout "$time_limit" strace -f -o "$T/calls" -e trace=pwrite64,fdatasync,fsync "$DOMU" commit test >"$T/out" 2>"$T/err"
is "its stage can be committed" "$?" 0
after=$(sha "$disk")
same "what was committed" "$T/payload" <(domu cat test:/etc/big; out)
fsck_clean "what was committed: e2fsck" "$disk"

# ---- killed
declare -A seen=()
for call in fdatasync pwrite64 fsync; do
	count=$(grep -c " $call(" "$T/calls")
	for ((n = 1; n <= count; n++)); do
		# Of the writes of the undo file one is enough; then come the seal's, the doors' and the blocks'.
		[ "$call" != pwrite64 ] || [ "$n" = 2 ] || [ "$n" -gt $((count - 13)) ] || continue
		restore
		at "$call" "$n" KILL commit test
		[ "$status" = 137 ] || not_ok "killed at $call $n" "status $status" "$(err)"
		verdict "killed at $call $n"
	done
done
is "a closed disk was met" "${seen[closed]-0}" 1
is "a disk as before was met" "${seen[before]-0}" 1

# ---- recover is killed too
writes=$(grep -c ' pwrite64(' "$T/calls")
for n in 1 3 6 9; do
	restore
	at pwrite64 $((writes - 3)) KILL commit test
	at pwrite64 "$n" KILL recover
	verdict "recover killed at write $n"
done

# ---- closed, and something else is typed than recover
restore
at fdatasync 5 KILL commit test
before=$(state_of "$disk")
works "closed: list --json" list --json
is "closed: recover_due" "$(jq '.guests[0].recover_due' "$T/out")" true
is "closed: list -l says it once" "$(domu list -l; err | grep -c 'recover test')" 1
ends "closed: a dry run" 7 --dry-run mkdir test:/srv
ends "closed: a dry run of recover" 7 --dry-run recover
ends "closed: a dry run of a script" 7 --dry-run shell test -c 'mkdir /srv'
e2fsck -fy "$disk" >"$T/e2fsck" 2>&1
is "closed: e2fsck -y refuses" "$(($? >= 8))" 1
is "closed: all of them have left it alone" "$(state_of "$disk")" "$before"
works "closed: a change finishes the commit first" mkdir test:/srv
has "closed: and says so" "$(err)" 'was finished'
same "closed: what was committed is there" "$T/payload" <(domu cat test:/etc/big; out)
is "closed: and the change" "$(domu ls test:/; out | grep -cx srv)" 1
fsck_clean "closed: e2fsck" "$disk"
works "closed: undo of the change" undo test
is "closed: as after" "$(sha "$disk")" "$after"
works "closed: undo of what was finished" undo test "$(domu history test --json; jq -r '.commits | last | .id' "$T/out")"
is "closed: as before" "$(sha "$disk")" "$base"
# Marked, but not in the history yet.
restore
at fdatasync $(grep -c ' fdatasync(' "$T/calls") KILL commit test
works "marked: undo" undo test
is "marked: as before" "$(sha "$disk")" "$base"
is "marked: nothing is pending" "$(find "$T/state/pending" -mindepth 1 | wc -l)" 0

# ---- interrupted
count=$(grep -c ' fdatasync(' "$T/calls")
for signal in INT TERM; do
	for ((n = 1; n <= count; n++)); do
		[ "$signal" = INT ] || [ $((n % 3)) = 1 ] || continue
		restore
		at fdatasync "$n" "$signal" commit test
		now=$(sha "$disk")
		if [ "$now" = "$base" ]; then
			is "$signal at sync $n: unchanged is no success" "$((status != 0))" 1
			works "$signal at sync $n: the stage is kept" commit test
			is "$signal at sync $n: and can be committed" "$(sha "$disk")" "$after"
		else
			is "$signal at sync $n: whole" "$now" "$after"
			works "$signal at sync $n: recover has nothing to do" recover
		fi
		fsck_clean "$signal at sync $n: e2fsck" "$disk"
	done
done

# ---- a state directory that runs full
rm -rf "$T/state"
cp --sparse=always "$T/base.img" "$disk"
mkdir "$T/small"
if mount -t tmpfs -o size=2m,mode=700 tmpfs "$T/small"; then
	export DOMU_RESCUE_STATE_DIR=$T/small
	before=$(state_of "$disk")
	ends "a state directory that runs full" 1 write test:/etc/big <"$T/payload"
	has "it says so" "$(err)" '[Ss]pace|room|full'
	is "the disk is as it was" "$(state_of "$disk")" "$before"
	is "no stage is left" "$(find "$T/small/pending" -mindepth 1 2>/dev/null | wc -l)" 0
	# Room for the new bytes, not for the old ones too.
	DOMU_RESCUE_STATE_DIR=$T/state
	head -c 1100000 "$T/payload" | domu write test:/etc/old
	DOMU_RESCUE_STATE_DIR=$T/small
	before=$(state_of "$disk")
	ends "no room for undo" 1 write test:/etc/old < <(tail -c 1100000 "$T/payload")
	has "no room for undo: the way on" "$(err)" 'undo-dir|no-undo'
	is "no room for undo: the disk is as it was" "$(state_of "$disk")" "$before"
	works "a small change has room" write test:/etc/small <"$T/xen/test.cfg"
	same "it is there" "$T/xen/test.cfg" <(domu cat test:/etc/small; out)
	fsck_clean "a small change: e2fsck" "$disk"
	mount -o remount,ro "$T/small"
	before=$(state_of "$disk")
	works "reading with a read-only state directory" cat test:/etc/small
	works "list with a read-only state directory" list
	ends "a change with a read-only state directory" "1 3" mkdir test:/srv
	has "it says so" "$(err)" '[Rr]ead-only'
	is "the disk is as it was" "$(state_of "$disk")" "$before"
	umount "$T/small"
else
	skip "a state directory that runs full" "no tmpfs can be mounted"
fi
done_testing
