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

# stop NAME: $pid is sent SIGINT; how it ends, and how soon.
stop() {
	local start=$EPOCHREALTIME taken
	kill -INT "$pid"
	wait "$pid"
	status=$?
	taken=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
	is "$1: status" "$status" 5
	check "$1: within two seconds, on a machine that has other work ($taken ms)" test "$taken" -lt 2000
}

# cut NAME FILE COMMAND...: when there are 16 MiB of FILE, a pattern.  Where all was there sooner it is done again.
cut_at() {
	local name=$1 file=$2 i
	shift 2
	for i in 1 2 3 4 5; do
		beside "$@"
		# shellcheck disable=SC2086
		until larger $file $((16 * mib)); do
			kill -0 "$pid" 2>/dev/null || { wait "$pid"; rm -rf "${T:?}"/here/*; continue 2; }
		done
		stop "$name"
		return
	done
	skip "$name" "it was done too soon five times"
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
stop "tar-out to who does not read"
exec 3<&-
out=$T/out

# ---- cp with the host
cut_at "cp out" "$T/here/srv/large" cp -a web:/srv "$T/here"
cut_at "cp in" "$T/state/pending/*/log" cp "$T/whole.tar" web:/srv/copy
is "cp in: no stage is left" "$(ls "$T/state/pending")" ""
is "not a byte was changed" "$(state_of "$T/disk.img")" "$before"
done_testing
