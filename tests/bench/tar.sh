#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tar.sh [DIR] - tar-out against a mount and tar(1), tar-in against fuse2fs and a mount, on tree.sh's image.
# Ratios of one run mean something, of wall clock on an idle machine and of processor time on any.  BENCH_TAR_IN= says
# what of this machine is unpacked (default /usr/include).  Needs root.
. "$(dirname "$0")/lib.sh"
dir=${1:-${TMPDIR:-/tmp}/domu-bench}
runs=${BENCH_RUNS:-3} what=${BENCH_TAR_IN:-/usr/include}
"$here/tree.sh" "$dir" || exit 1
image=$dir/usr.img
work=$(mktemp -d "$dir/tar.XXXXXX")
export DOMU_RESCUE_STATE_DIR=$work/state DOMU_RESCUE_CONFIG_DIR=$work
mkdir "$work/mnt"
trap 'umount "$work/mnt" 2>/dev/null; rm -rf "$work"' EXIT

# measure NAME COMMAND: the best of several runs: seconds, processor seconds, the largest process in KiB.
measure() {
	local i
	for ((i = 0; i < runs; i++)); do
		[ -z "${before-}" ] || eval "$before"
		/usr/bin/time -o "$work/time" -f '%e %U %S %M' bash -c "$2" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
		tail -n 1 "$work/time" >>"$work/$1"
	done
	sort -n "$work/$1" | head -n 1 | awk -v n="$1" '{ printf "%-22s %8.2f s  %8.2f s of processor  %7d KiB\n", n, $1, $2 + $3, $4 }'
}

# ratio NAME NAME [TARGET]: how many times longer the first takes.
ratio() {
	local two
	two=$(paste -d ' ' <(sort -n "$work/$1" | head -n 1) <(sort -n "$work/$2" | head -n 1))
	awk -v a="$1" -v b="$2" '{ printf "  %s / %s: %.1f, of processor time %.1f\n", a, b, $1 / $5, ($2 + $3) / ($6 + $7) }' <<<"$two"
	[ -z "${3-}" ] || told "$1 / $2" "$(awk '{ print $1 / $5 }' <<<"$two")" x at-least "$3"
}

export DOMU image work
cat "$image" >/dev/null
measure tar-out '"$DOMU" tar-out "$image:/" - | cat >/dev/null'
measure mount+tar 'mount -o loop,ro,noload "$image" "$work/mnt" && tar --format=posix --acls --xattrs --xattrs-include="*" -cf - -C "$work/mnt" . | cat; umount "$work/mnt"'
ratio mount+tar tar-out 10
told "tar-out: resident" "$(sort -n "$work/tar-out" | awk 'NR == 1 { print $4 / 1024 }')" MiB at-most 32
# Cold: what the image has in the page cache is dropped, and nothing else.
before='dd of="$image" oflag=nocache conv=notrunc,fdatasync count=0 status=none'
measure tar-out-cold '"$DOMU" tar-out "$image:/" - | cat >/dev/null'
measure read-cold 'dd if="$image" bs=1M count=5000 status=none | cat >/dev/null'
before=

tar -C "$what" -cf "$work/in.tar" .
truncate -s 2G "$work/empty.img"
mke2fs -q -F -t ext4 "$work/empty.img"
before='cp --sparse=always "$work/empty.img" "$work/in.img"'
# A commit is on the disk when it ends: so are the others'.
measure tar-in '"$DOMU" tar-in "$work/in.tar" "$work/in.img:/"'
measure mount+untar 'mount -o loop "$work/in.img" "$work/mnt" && tar -xpf "$work/in.tar" -C "$work/mnt"; umount "$work/mnt"; sync "$work/in.img"'
ratio mount+untar tar-in
if command -v fuse2fs >/dev/null; then
	runs=1
	# In the foreground, so that its end is waited for.
	measure fuse2fs 'fuse2fs -f -o fakeroot "$work/in.img" "$work/mnt" & until mountpoint -q "$work/mnt"; do :; done
		tar -xpf "$work/in.tar" -C "$work/mnt"; umount "$work/mnt"; wait; sync "$work/in.img"'
	ratio fuse2fs tar-in 2
fi
