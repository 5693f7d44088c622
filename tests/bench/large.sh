#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# large.sh DIR [N...] - trees that are too large for one scan (default: 1,000,000 files, the same scattered, 10,000,000):
# find in parts against a new mount and find(1), and what it takes of memory.  The images take up to 4 GiB, and minutes
# to make.  Needs root.
. "$(dirname "$0")/lib.sh"
dir=${1:-${TMPDIR:-/tmp}/domu-bench}
runs=${BENCH_WALKS:-3}
state=$(mktemp -d)
mnt=$state/mnt
mkdir "$mnt"
trap 'mountpoint -q "$mnt" && umount "$mnt"; rm -rf "$state"' EXIT
export DOMU_RESCUE_STATE_DIR=$state/state DOMU_RESCUE_CONFIG_DIR=$state

ours() {
	"$DOMU" -q find "$image@xvda:/" -printf '%s %p\n' | cat
}

theirs() {
	mount -o loop,ro,noload "$image" "$mnt" && (cd "$mnt" && find . -printf '%s %p\n' | cat)
	umount "$mnt"
}

[ $# = 0 ] || shift
[ $# -gt 0 ] || set -- 1000000 1000000-scattered 10000000
for n in "$@"; do
	how=
	[ "${n%-scattered}" = "$n" ] || how=scattered
	"$here/files.sh" "$dir" "${n%-*}" $how || exit 1
	image=$dir/files-$n.img
	cat "$image" >/dev/null
	[ "$(ours | wc -l)" = "$(theirs | wc -l)" ] || echo "  $n: the kernel's has another number of lines"
	rm -f "$state"/a "$state"/b
	for ((i = 0; i < runs; i++)); do
		milliseconds ours >>"$state/a"
		milliseconds theirs >>"$state/b"
	done
	awk -v n="$n" -v a="$(median "$state/a")" -v b="$(median "$state/b")" \
		'BEGIN { printf "find of %s files: %.0f ms, mount and the same %.0f ms: %.1fx as fast\n", n, a, b, b / a }'
	told "find of $n files: resident" "$(resident "$DOMU" -q find "$image@xvda:/" -printf '%s %p\n')" MiB at-most 64
done
