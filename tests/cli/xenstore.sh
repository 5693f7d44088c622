#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# xenstore.sh - a xenstored that goes away in the midst of an answer, and libraries of Xen that lack something: unknown, never free.
. "$(dirname "$0")/../lib/functions.sh"
built=$(dirname "$DOMU")
[ -x "$built/tests/lib/xenstored-cut" ] || skip_all "xenstored-cut is not built (libxl, make check-programs)"
. "$lib/made-up.sh"
rm "$T/program/plugins/source-made-up.so"
cp "$built/plugins/source-xl.so" "$T/program/plugins/"
export XENSTORED_PATH=$T/socket
truncate -s 1M "$T/disk.img" "$T/other.img"
server=

# serve DISK ANSWERS: xenstore as if domain 7 had DISK, cut after so many answers.
serve() {
	end_server
	rm -f "$T/socket"
	"$built/tests/lib/xenstored-cut" "$T/socket" "$@" >"$T/answers" &
	server=$!
	wait_until 60 test -S "$T/socket" || not_ok "xenstored is there"
}

end_server() {
	[ -z "$server" ] || { kill "$server" && wait "$server" 2>/dev/null; }
	server=
}

test_cleanup() {
	end_server
}

# What is said of the backends of that disk.
backends() {
	domu --json --disk "$T/disk.img" status
	jq -r '.checks[] | select(.check == "backends") | .result + ": " + .detail' "$T/out"
}

serve "$T/disk.img" 1000
has "a backend is found" "$(backends)" '^fail: it is served to domain 7 as xvda'
all=$(sort -n "$T/answers" | tail -n 1)
check "it took some answers" test "$all" -gt 10
serve "$T/other.img" 1000
has "one of another disk is none" "$(backends)" '^pass: $'
wrong=
for ((n = 0; n < all; n++)); do
	serve "$T/other.img" "$n"
	[[ $(backends) == "unknown: xenstore's backends cannot be read: "* ]] || wrong+=" $n: $(backends)"
done
is "cut in any answer it is unknown" "$wrong" ''
serve "$T/disk.img" $((all - 1))
has "one that was told before the cut is not forgotten" "$(backends)" '^fail: it is served to domain 7'
serve "$T/other.img" 0
ends "a change is refused" 3 --disk "$T/disk.img" write :/x < <(echo never)
end_server
rm "$T/socket"
has "where nobody answers" "$(backends)" '^unknown: xenstore does not answer: '

# ---- the libraries
mkdir "$T/odd"
export LD_LIBRARY_PATH=$T/odd
cp "$built/tests/lib/xenstore-few.so" "$T/odd/libxenstore.so.4"
has "a function that is missing" "$(backends)" '^unknown: xenstore cannot be read: libxenstore.so.4 has no xs_check_watch'
cp "$built/tests/lib/xenstore-odd.so" "$T/odd/libxenstore.so.4"
has "one that it needs itself" "$(backends)" '^unknown: xenstore cannot be read: .*undefined symbol: xs_that_nobody_has'
has "of libxl, too" "$(jq -r '.checks[] | select(.check == "xen") | .detail' "$T/out")" 'live domains cannot be seen: .*undefined symbol'
done_testing
