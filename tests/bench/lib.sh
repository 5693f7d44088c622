# SPDX-License-Identifier: GPL-3.0-or-later
# lib.sh - what the parts of the benchmark share: times, medians, ratios.
# shellcheck shell=bash disable=SC2154

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

# resident COMMAND...: MiB of its largest process.
resident() {
	/usr/bin/time -f %M -o "$state/rss" "$@" >/dev/null 2>&1
	awk 'END { printf "%.1f\n", $1 / 1024 }' "$state/rss"
}
