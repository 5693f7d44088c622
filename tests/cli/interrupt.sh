#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# interrupt.sh - Ctrl-C while much goes out of a guest, or into it: the answer comes at once, and nothing is left behind.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((480 * 1048576))
mib=1048576

fill() {
	mkdir -p "$1"/{etc,sbin,srv}
	echo >"$1/etc/fstab"
	: >"$1/sbin/init"
	openssl rand $((200 * mib)) >"$1/srv/large" 2>/dev/null || head -c $((200 * mib)) /dev/urandom >"$1/srv/large"
}
make_fs ext4 "$T/disk.img" fill || skip_all "no image"
config web "$T/disk.img,raw,xvda,w"
cp --sparse=always "$T/disk.img" "$T/base.img"
before=$(state_of "$T/disk.img")

# larger FILE BYTES
larger() {
	[ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -ge "$2" ]
}

# bash has what runs beside it ignore SIGINT, and who was told to ignore it does.
beside() {
	env --default-signal=INT "$DOMU" "$@" >"$out" 2>"$T/err" &
	pid=$!
}
out=$T/out

# fields PID: those of its stat behind the name, from its state on.
fields() {
	local stat
	read -r stat <"/proc/$1/stat" && read -ra fields <<<"${stat##*) }"
} 2>/dev/null

# in_state STATES PID...: each of them is in one of these, or gone.
in_state() {
	local p
	for p in "${@:2}"; do
		! fields "$p" || [[ ${fields[0]} == ["$1"] ]] || return 1
	done
}

# halt: $pid and who works for it stand still.
halt() {
	kill -STOP "$pid"
	wait_until 60 in_state TZ "$pid"
	read -ra workers <"/proc/$pid/task/$pid/children"
	[ ${#workers[@]} = 0 ] || kill -STOP "${workers[@]}" 2>/dev/null
	wait_until 60 in_state TZ "${workers[@]}"
}

go_on() {
	kill -CONT "$pid" "${workers[@]}" 2>/dev/null
}

# told PID: its SIGINT waits no more.
told() {
	local key value
	while read -r key value; do
		[[ $key != S[ih][gd]Pnd: || $((0x$value & 2)) = 0 ]] || return 1
	done <"/proc/$1/status"
	return 0
} 2>/dev/null

# spent PID...: sets $ticks, the processor time of these.
spent() {
	local p
	ticks=0
	for p; do
		! fields "$p" || ticks=$((ticks + fields[11] + fields[12]))
	done
}

# ended: sets $milliseconds, the processor time of all that this shell has waited for.
ended() {
	local user system m s
	times >"$T/times"
	{ read -r _ && read -r user system; } <"$T/times"
	milliseconds=0
	for m in "${user%s}" "${system%s}"; do
		s=${m#*m}
		milliseconds=$((milliseconds + ${m%m*} * 60000 + 10#${s/./}))
	done
}

# stop NAME: SIGINT for $pid, which stands still; how it ends, and how soon.  That is told by the processor time it takes:
# how long that lasts is for who else is at work here to say.
stop() {
	local start=$EPOCHREALTIME took all
	spent "$pid" "${workers[@]}"
	ended
	took=$((-milliseconds - ticks * 1000 / $(getconf CLK_TCK)))
	kill -INT "$pid"
	kill -CONT "$pid"
	wait_until 60 told "$pid"
	go_on
	wait_until 60 in_state Z "$pid" || kill -KILL "$pid"
	wait "$pid"
	status=$?
	ended
	took=$((took + milliseconds))
	is "$1: status" "$status" 5
	all=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
	# Who only waits for something takes no processor.
	check "$1: at once, in $took ms of the processor, $all ms in all" test "$took" -lt 1000 -a "$all" -lt 60000
}

# cut NAME FILE COMMAND...: when there are 16 MiB of FILE, a pattern, and not yet half of all.  Where there was more it is done again.
cut_at() {
	local name=$1 file=$2 i begin=$SECONDS
	shift 2
	for ((i = 0; i < 30 && SECONDS < begin + time_limit; i++)); do
		beside "$@"
		# shellcheck disable=SC2086
		until larger $file $((16 * mib)) || in_state Z "$pid"; do
			[ $SECONDS -lt $((begin + time_limit)) ] || kill -KILL "$pid"
		done
		halt
		# shellcheck disable=SC2086
		if ! in_state Z "$pid" && larger $file $((16 * mib)) && ! larger $file $((100 * mib)); then
			stop "$name"
			return
		fi
		go_on
		wait "$pid"
		rm -rf "${T:?}"/here/* "$T/state"
		cp --sparse=always "$T/base.img" "$T/disk.img"
		before=$(state_of "$T/disk.img")
	done
	not_ok "$name: it can be stopped before it is done"
}

# ---- out, to a file: what is written is on the disk, and little of it in memory, which would have to be gone through
works "tar-out to a file" tar-out web:/ "$T/whole.tar"
if [ "$(stat -f -c %T "$T")" != tmpfs ] && command -v fincore >/dev/null; then
	kept=$(fincore -bno RES "$T/whole.tar")
	check "of 200 MiB little is kept in memory ($kept bytes)" test "$kept" -lt $((64 * mib))
else
	skip "little is kept in memory" "no disk below $T, or no fincore"
fi
mkdir "$T/here"
cut_at "tar-out to a file" "$T/here/cut.tar.part" tar-out web:/ "$T/here/cut.tar"
is "tar-out to a file: nothing is left" "$(ls "$T/here")" ""

# ---- to somebody who does not read on
mkfifo "$T/pipe"
exec 3<>"$T/pipe"
out=$T/pipe
beside tar-out web:/
head -c $((16 * mib)) <&3 >"$T/taken"
halt
stop "tar-out to who does not read"
exec 3<&-
out=$T/out

# ---- cp with the host
cut_at "cp out" "$T/here/srv/large" cp -a web:/srv "$T/here"
cut_at "cp in" "$T/state/pending/*/log" cp "$T/whole.tar" web:/srv/copy
is "cp in: no stage is left" "$(ls "$T/state/pending")" ""
is "not a byte was changed" "$(state_of "$T/disk.img")" "$before"
done_testing
