#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# walk.sh DIR - whole trees: find, du, grep against a new mount and the GNU tools, on copies of this machine's /usr; and memory by files.
# The images are made once, and kept in DIR.  Warm: an image is in the page cache, a mount is new each time.
. "$(dirname "$0")/lib.sh"
dir=$1
runs=${BENCH_WALKS:-5}
state=$(mktemp -d)
mnt=$state/mnt
mkdir "$mnt"
trap 'mountpoint -q "$mnt" && umount "$mnt"; rm -rf "$state"' EXIT
export DOMU_RESCUE_STATE_DIR=$state/state DOMU_RESCUE_CONFIG_DIR=$state
[ "$(id -u)" = 0 ] || { echo "walks: not here: no mounts without root"; exit 0; }

# used IMAGE: its inodes in use, and KiB.
used() {
	dumpe2fs -h "$1" 2>/dev/null | awk -F': *' '{ v[$1] = $2 } END {
		print v["Inode count"] - v["Free inodes"], (v["Block count"] - v["Free blocks"]) * v["Block size"] / 1024 }'
}

ours() {
	"$DOMU" -q "$@" | cat
}

# by_mount COMMAND...: in a new mount.
by_mount() {
	mount -o loop,ro,noload "$image" "$mnt" && (cd "$mnt" && "$@" | cat)
	umount "$mnt"
}

# compare LABEL OURS -- THEIRS; least=: how many times as fast it should be.
compare() {
	local label=$1 mine=() a b m
	shift
	while [ "$1" != -- ]; do
		mine+=("$1")
		shift
	done
	shift
	rm -f "$state"/a "$state"/b
	if [ "$(ours "${mine[@]}" 2>/dev/null | wc -l)" != "$(by_mount "$@" 2>/dev/null | wc -l)" ]; then
		echo "  $label: the kernel's has another number of lines"
		return
	fi
	for ((i = 0; i < runs; i++)); do
		milliseconds ours "${mine[@]}" >>"$state/a"
		[ $i -ge 3 ] || milliseconds by_mount "$@" >>"$state/b"
	done
	a=$(median "$state/a") b=$(median "$state/b") m=$(resident "$DOMU" -q "${mine[@]}")
	awk -v n="$label" -v a="$a" -v b="$b" -v m="$m" \
		'BEGIN { printf "  %-22s %8.1f ms, mount and the same %9.1f ms: %.1fx as fast; %.1f MiB resident\n", n, a, b, b / a, m }'
	[ -z "${least-}" ] || told "$label: mount and the same / ours" "$(awk -v a="$a" -v b="$b" 'BEGIN { print b / a }')" x at-least "$least"
	[ -z "${least-}" ] || told "$label: resident" "$m" MiB at-most 32
}

image=$dir/usr.img
"$here/tree.sh" "$dir" || exit 0
cat "$image" >/dev/null
read -r files kib < <(used "$image")
echo "walks of $files inodes, $((kib / 1024)) MiB, medians:"
least=40 compare "find with size" find "$image@xvda:/" -printf '%s %p\n' -- find . -printf '%s %p\n'
compare "find" find "$image@xvda:/" -- find .
compare "du" du "$image@xvda:/" -- du .
compare "ls -R" ls -R "$image@xvda:/" -- ls -RN .
compare "ls -lnR" ls -lnR "$image@xvda:/" -- ls -lnRN .
least=1 compare "grep -r" grep -r lseek64 "$image@xvda:/" -- grep -r lseek64 .
for n in 250000 1000000; do
	"$here/files.sh" "$dir" $n || exit 0
	image=$dir/files-$n.img
	cat "$image" >/dev/null
	rm -f "$state/a"
	for ((i = 0; i < 3; i++)); do
		milliseconds ours find "$image@xvda:/" -printf '%s %p\n' >>"$state/a"
	done
	echo "$n $(median "$state/a") $(resident "$DOMU" -q find "$image@xvda:/" -printf '%s %p\n')"
done | awk '{ n[NR] = $1; t[NR] = $2; m[NR] = $3; k = NR
	printf "  find of %7d files   %8.1f ms, %.1f MiB resident\n", $1, $2, $3; if (p) printf "  slope: %.2f us and %.1f bytes a file more\n",
	($2 - q) * 1000 / ($1 - p), ($3 - r) * 1048576 / ($1 - p); p = $1; q = $2; r = $3 }'
exit 0
