# SPDX-License-Identifier: GPL-3.0-or-later
# cut.sh - commits that are killed with their disk closed, and what the program makes of them.
# shellcheck shell=bash disable=SC2034,SC2154

# The disk before is $T/base.img, what is committed is $T/payload (etc/big); $id is the commit's.
state=$DOMU_RESCUE_STATE_DIR

# Only the front writes to disks: its children are not traced.
need_strace() {
	command -v strace >/dev/null || skip_all "no strace to kill with"
	strace -o /dev/null true 2>/dev/null || skip_all "no tracing here"
}

# killed N ARG...: the program is killed as it enters its Nth write (or other $call).
killed() {
	local n=$1 call=${call-pwrite64}
	shift
	{
		timeout -k 5 "$time_limit" strace -o "$T/trace" -e trace="$call" -e inject="$call:signal=KILL:when=$n" \
			"$DOMU" "$@" <"$T/payload" >"$T/out" 2>"$T/err"
	} 2>/dev/null
}

# writes ARG...: how many writes of the front a whole commit has, up to that of its last blocks.
writes() {
	timeout -k 5 "$time_limit" strace -o "$T/calls" -e trace=pwrite64 "$DOMU" "$@" <"$T/payload" >"$T/out" 2>"$T/err" ||
		not_ok "a whole commit" "$(err)"
	echo $(($(grep -c '^pwrite64(' "$T/calls") - 2))
}

# cut_short N FILE ARG...: a new disk in FILE, and a commit by the program's ARGs that is killed with it closed.  Sets $id.
cut_short() {
	local n=$1 file=$2
	shift 2
	rm -rf "$state"
	cp --sparse=always "$T/base.img" "$T/new.img"
	if [ -b "$file" ]; then
		dd if="$T/new.img" of="$file" bs=1M status=none
		sync "$file"
	else
		mv "$T/new.img" "$file"
	fi
	killed "$n" "$@"
	id=$(ls "$state/pending" 2>/dev/null)
	closed "$file?offset=$fs_offset" || not_ok "a commit is cut short with its disk closed" "$(err)"
}

# As the kernel and e2fsprogs see it.
closed() {
	[[ $(dumpe2fs -fh "$1" 2>/dev/null) == *FEATURE_I30* ]]
}

# due NAME GUEST: list says that a recover is due.
due() {
	works "$1: list works" list
	has "$1: list says so" "$(err)" "cut short \($id\).*recover $2"
	works "$1: list --json works" list --json
	is "$1: recover_due" "$(jq --arg g "$2" '.guests[] | select(.name == $g) | .recover_due' "$T/out")" true
}

# refused NAME PATTERN FILE ARG...: the command ends with 7 and that message, and the file is as it was.
refused() {
	local name=$1 pattern=$2 file=$3 before
	shift 3
	before=$(state_of "$file")
	ends "$name" 7 "$@"
	has "$name: the message" "$(err)" "$pattern"
	is "$name: nothing was written" "$(state_of "$file")" "$before"
}

# recovered NAME FILE: for the kernel the disk holds what was committed, and nothing is due any more.
recovered() {
	kmount "$2" 0 0 "$T/mnt" ro && cmp -s "$T/payload" "$T/mnt/etc/big"
	is "$1: what was committed is there" "$?" 0
	kumount "$T/mnt"
	fsck_clean "$1: e2fsck" "$2"
	works "$1: a second recover" recover
	is "$1: has nothing to do" "$(out)" "nothing to recover"
}
