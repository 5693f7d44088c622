# SPDX-License-Identifier: GPL-3.0-or-later
# lib.sh - what the parts of the benchmark share: mounts of their own, paths, times, medians, ratios.
# shellcheck shell=bash disable=SC2154
# A namespace that somebody else makes meanwhile would keep a copy of a mount, and the image in use.
if [ -z "${BENCH_NAMESPACE-}" ] && [ "$(id -u)" = 0 ]; then
	BENCH_NAMESPACE=1 exec unshare -m --propagation private bash "$0" "$@"
fi
set -uo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
DOMU=${DOMU:-$here/../../build/domu-rescue}

# milliseconds COMMAND...: how long it took, as a decimal number.
milliseconds() {
	local begin=$EPOCHREALTIME end
	"$@" >/dev/null 2>&1
	end=$EPOCHREALTIME
	echo $((${end/./} - ${begin/./})) | awk '{ printf "%.3f\n", $1 / 1000 }'
}

median() {
	sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# told WHAT FIGURE UNIT at-least|at-most TARGET: a line now, and one of the table at the end of run.
told() {
	awk -v what="$1" -v n="$2" -v unit="$3" -v bound="$4" -v target="$5" 'BEGIN {
		reached = bound == "at-least" ? n >= target : n <= target
		printf "%-42s %8.2f %-4s %-9s %6g  %s\n", what, n, unit, bound, target, reached ? "reached" : "MISSED" }' |
		tee -a "${BENCH_TABLE:-/dev/null}"
}

# resident COMMAND...: MiB of its largest process.
resident() {
	/usr/bin/time -f %M -o "$state/rss" "$@" >/dev/null 2>&1
	awk 'END { printf "%.1f\n", $1 / 1024 }' "$state/rss"
}
