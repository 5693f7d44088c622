#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# several.sh - df, find, grep and du of several guests: whose each line is, and one that is in use or gone among them.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((16 * 1048576))
make_fs ext4 "$T/one.img" plain_tree || skip_all "no image"
for g in one two busy; do
	[ "$g" = one ] || cp --sparse=always "$T/one.img" "$T/$g.img"
	config "$g" "$T/$g.img,raw,xvda,w"
done
config gone "$T/gone.img,raw,xvda,w"
kmount "$T/busy.img" 0 0 "$T/mnt" ro
# each NAME STATUS WHO WHAT-OF-ONE WHAT-OF-TWO COMMAND...
each() {
	local name=$1 want=$2 who=$3 a=$4 b=$5
	shift 5
	ends "$name" "$want" "$@"
	has "$name: it is said who" "$(err)" "$who"
	has "$name: the first" "$(out)" "$a"
	has "$name: the last" "$(out)" "$b"
}
for middle in busy gone; do
	status_of=$([ $middle = busy ] && echo 3 || echo 4)
	each "df, $middle" "$status_of" "$middle" '^one +xvda' '^two +xvda' df one $middle two
	each "find, $middle" "$status_of" "$middle" '^one:/etc/passwd' '^two:/etc/passwd' find one:/etc $middle:/etc two:/etc -name passwd
	each "grep, $middle" "$status_of" "$middle" '^one:/etc/passwd:root' '^two:/etc/passwd:root' grep '^root' one:/etc/passwd $middle:/etc/passwd two:/etc/passwd
	each "du, $middle" "$status_of" "$middle" 'one:/etc$' 'two:/etc$' du -s one:/etc $middle:/etc two:/etc
	for command in "df one $middle two" "find one:/etc $middle:/etc two:/etc" "du one:/etc $middle:/etc two:/etc" "grep root one:/etc/passwd $middle:/etc/passwd two:/etc/passwd"; do
		read -ra words <<<"$command"
		ends "--json $command" "$status_of" --json "${words[@]}"
		is "--json $command: both, and the failure" "$(jq -r '[(.entries // .matches)[].guest] + [.error.status] | unique | map(tostring) | sort | join(" ")' "$T/out")" "$status_of one two"
	done
done
ends "a file that one of them has not" 4 cat one:/none two:/etc/hostname
has "a file that one of them has not: it is said whose" "$(err)" 'one: /none'
is "a file that one of them has not: the other's" "$(out)" "$("$DOMU" cat two:/etc/hostname)"
domu grep nosuchtext one:/etc/passwd two:/etc/passwd
is "grep finds nothing in two" "$status" 1
ends "grep finds it in one of two" 0 grep root one:/etc/passwd two:/etc/hostname
done_testing
