#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# files.sh DIR N [scattered] - makes DIR/files-N.img, once: N files without content, 50 a directory, filled one directory
# after the other; scattered (files-N-scattered.img): one file in each directory, then the next.  Needs root.
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
dir=$1 n=$2 how=${3-}
image=$dir/files-$n${how:+-$how}.img
[ ! -s "$image" ] || exit 0
mkdir -p "$dir"
mnt=$(mktemp -d)
trap 'umount "$mnt" 2>/dev/null || true; rmdir "$mnt"; rm -f "$image.new"' EXIT
echo "making $image ..." >&2
# An inode is 256 bytes, a directory a block.
truncate -s $((n * 512 + (4 << 30))) "$image.new"
mke2fs -q -F -t ext4 -N $((n + n / 50 + 1000)) "$image.new"
mount -o loop "$image.new" "$mnt"
perl -e 'my ($top, $n, $how) = @ARGV; my $dirs = int(($n + 49) / 50);
	sub in { sprintf "%s/%03d/%05d", $top, $_[0] / 1000, $_[0] }
	for my $d (0 .. $dirs - 1) {
		mkdir sprintf "%s/%03d", $top, $d / 1000 if $d % 1000 == 0;
		mkdir in($d);
		next if $how;
		for my $i ($d * 50 .. ($d * 50 + 49 < $n ? $d * 50 + 49 : $n - 1)) {
			open my $f, ">", in($d) . "/file-number-$i" or die "$!";
		}
	}
	exit unless $how;
	for my $i (0 .. $n - 1) {
		my $d = $i % $dirs;
		open my $f, ">", in($d) . "/file-number-$i" or die "$!";
	}' "$mnt" "$n" "$how"
umount "$mnt"
mv "$image.new" "$image"
