# SPDX-License-Identifier: GPL-3.0-or-later
# functions.sh - what every shell test sources: TAP output, running the program, cleaning up.
# shellcheck shell=bash disable=SC2034
set -uo pipefail
export LC_ALL=C.UTF-8 TZ=UTC PATH=$PATH:/usr/sbin:/sbin
# Mounts of our own: a namespace that some other test makes meanwhile would keep a copy of them, and the loop device busy.
if [ -z "${DOMU_TEST_NAMESPACE-}" ] && [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	DOMU_TEST_NAMESPACE=1 exec unshare -m --propagation private bash "$0" "$@"
fi
unset DOMU_TEST_NAMESPACE MAKEFLAGS DOMU_RESCUE_CONFIG_DIR DOMU_RESCUE_STATE_DIR VISUAL EDITOR
lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$lib/../.." && pwd)
DOMU=${DOMU:-$top/build/domu-rescue}
T=$(mktemp -d "${TMPDIR:-/tmp}/domu-test.XXXXXX")
export T DOMU
export DOMU_RESCUE_STATE_DIR=$T/state DOMU_RESCUE_CONFIG_DIR=$T/xen DOMU_RESCUE_CONF=$T/domu-rescue.conf
mkdir "$T/xen" "$T/mnt" "$T/loops" "$T/tmp"
# Where there is little room, a share of it would be less than what a test commits.
echo 'history-size = unlimited' >"$DOMU_RESCUE_CONF"
export TMPDIR=$T/tmp
test_number=0
time_limit=${DOMU_TIME_LIMIT:-300} # of a command; it ends a hang, and measures no speed

cleanup() {
	local f
	declare -F test_cleanup >/dev/null && test_cleanup
	for f in "$T"/loops/*; do
		[ -e "$f" ] || continue
		umount "$(cat "$f")" 2>/dev/null
		losetup -d "/dev/${f##*/}" 2>/dev/null
	done
	for f in $own_loops; do
		[ ! -b "/dev/loop$f" ] || perl -e 'open my $c, "+<", "/dev/loop-control" or exit; ioctl $c, 0x4c81, $ARGV[0] + 0' "$f"
	done
	[ -n "${KEEP-}" ] || rm -rf "$T"
}
own_loops=$(seq $((100000 + $$ % 50000 * 16)) $((100015 + $$ % 50000 * 16)))
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# ---- TAP

ok() {
	test_number=$((test_number + 1))
	echo "ok $test_number - $1"
}

# not_ok NAME [LINE...]
not_ok() {
	test_number=$((test_number + 1))
	echo "not ok $test_number - $1"
	shift
	[ $# -eq 0 ] || printf '%s\n' "$@" | head -c 3000 | sed 's/^/#   /'
	return 1
}

skip() {
	test_number=$((test_number + 1))
	echo "ok $test_number - $1 # SKIP $2"
}

skip_all() {
	skip "${0##*/}${test_suffix:+ $test_suffix}" "$1"
	done_testing
}

done_testing() {
	echo "1..$test_number"
	exit 0
}

# is NAME GOT WANT
is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got:  ${2@Q}" "want: ${3@Q}"
	fi
}

# has NAME TEXT PATTERN: TEXT matches the extended regular expression.
has() {
	if grep -Eq -- "$3" <<<"$2"; then
		ok "$1"
	else
		not_ok "$1" "no match of $3 in:" "$2"
	fi
}

# lacks NAME TEXT PATTERN
lacks() {
	if grep -Eq -- "$3" <<<"$2"; then
		not_ok "$1" "a match of $3 in:" "$2"
	else
		ok "$1"
	fi
}

# same NAME FILE FILE
same() {
	# Either may be a pipe.
	cat "$2" >"$T/same.1"
	cat "$3" >"$T/same.2"
	if cmp -s "$T/same.1" "$T/same.2"; then
		ok "$1"
	else
		not_ok "$1" "$(diff -a "$T/same.1" "$T/same.2" 2>&1 | head -n 30 | cat -v)"
	fi
}

# check NAME COMMAND...: the command succeeds.
check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		ok "$name"
	else
		not_ok "$name" "\$ $*" "$out"
	fi
}

# ---- the program

# domu ARG...: runs the program, bounded; output in $T/out and $T/err, status in $status.
domu() {
	local begin=$SECONDS
	timeout -k 5 "$time_limit" "$DOMU" "$@" >"$T/out" 2>"$T/err"
	status=$?
	# Who hangs once may do so each time: it has failed, and the rest of the script is not to take hours.
	[ $((SECONDS - begin)) -lt "$time_limit" ] || time_limit=$((time_limit < 20 ? time_limit : 20))
	return $status
}

out() {
	cat "$T/out"
}

err() {
	cat "$T/err"
}

# has_controls FILE: control characters other than newline and tab.
has_controls() {
	local text LC_ALL=C
	# A NUL ends what is read.
	! IFS= read -rd '' text <"$1" || return 0
	[[ ${text//[$'\n\t']/} == *[[:cntrl:]]* ]]
}

# ends NAME STATUSES ARG...: the program ends with one of the statuses, and says why where it fails.
ends() {
	local name=$1 want=$2
	shift 2
	domu "$@"
	if [[ " $want " != *" $status "* ]]; then
		not_ok "$name" "\$ domu-rescue $*" "status $status, expected $want" "$(tail -c 1500 "$T/err")" "$(tail -c 500 "$T/out")"
	elif [ "$status" != 0 ] && [ ! -s "$T/err" ] && [ ! -s "$T/out" ]; then
		not_ok "$name" "\$ domu-rescue $*" "status $status, but no message"
	elif has_controls "$T/err"; then
		not_ok "$name" "a control character in the message: $(cat -v "$T/err")"
	else
		ok "$name"
	fi
}

# works NAME ARG...
works() {
	local name=$1
	shift
	ends "$name" 0 "$@"
}

# config NAME DISK-SPECIFICATION... [-- LINE...]: a guest of that name in the config folder.
config() {
	local name=$1 disks='' line
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		disks+="${disks:+, }\"$1\""
		shift
	done
	[ $# -eq 0 ] || shift
	{
		printf 'name = "%s"\nmemory = 256\ndisk = [ %s ]\n' "$name" "$disks"
		for line in "$@"; do
			printf '%s\n' "$line"
		done
	} >"$T/xen/$name.cfg"
}

# wait_until SECONDS COMMAND...: polls; for what another process does.  Two minutes at least: the bound ends a hang, and a
# busy machine may take a minute for what is done at once on an idle one.
wait_until() {
	local end=$((SECONDS + ($1 > 120 ? $1 : 120)))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		read -rt 0.05 <> <(:)
	done
	return 0
}

# called PID NAME: it has got as far as its exec; between fork and exec it has the name of who started it.
called() {
	local name
	read -r name <"/proc/$1/comm" && [ "$name" = "$2" ]
}

# seeded: RANDOM begins with DOMU_TEST_SEED, with the same one unless that is told, with the clock's if it is 0.
seeded() {
	seed=${DOMU_TEST_SEED:-1}
	[ "$seed" != 0 ] || seed=$((EPOCHSECONDS % 100000))
	echo "# seed $seed (DOMU_TEST_SEED= repeats it)"
	RANDOM=$seed
}

# noise SEED BYTES: the same of the same seed.  A subshell, as $(...) and <(...) are, has a RANDOM of its own.
noise() {
	perl -e 'srand(shift); print pack "C*", map { int rand 256 } 1 .. shift' "$1" "$2"
}

# ---- a shell whose lines come one by one: each is waited for

# open_shell COMMAND...: what it prints is in $T/said, what is typed goes to descriptor 5.
open_shell() {
	rm -f "$T/in"
	mkfifo "$T/in"
	: >"$T/said"
	"$@" <"$T/in" >>"$T/said" 2>&1 &
	shell=$!
	exec 5>"$T/in"
	shell_lines=0
}

# enters LINE: it was run when the line after it was, and what it said is in $T/answer.
enters() {
	local from
	from=$(wc -l <"$T/said")
	shell_lines=$((shell_lines + 1))
	printf '%s\n!echo "did "%s\n' "$1" $shell_lines >&5
	wait_until "$time_limit" grep -q "^did $shell_lines" "$T/said" || echo "# no answer to $1"
	tail -n +$((from + 1)) "$T/said" >"$T/answer"
}

answer() {
	cat "$T/answer"
}

# leave_shell: its status is the shell's.
leave_shell() {
	exec 5>&-
	wait "$shell"
}

# ---- disks

sha() {
	sha256sum <"$1" | cut -d' ' -f1
}

# state_of FILE: everything of a disk that a read must leave alone.
state_of() {
	echo "$(sha "$1") $(stat -c '%y %s' "$1")"
}
