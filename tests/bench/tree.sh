#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tree.sh DIR - makes DIR/usr.img, once: an ext4 that the kernel filled with files of this machine's /usr, 150,000 and
# 4 GiB of them at least (copies until there are enough).  Needs root, and room for it.
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
dir=$1
image=$dir/usr.img
[ ! -s "$image" ] || exit 0
mkdir -p "$dir"
mnt=$(mktemp -d)
trap 'umount "$mnt" 2>/dev/null || true; rmdir "$mnt"; rm -f "$image.new"' EXIT
echo "making $image ..." >&2
truncate -s 12G "$image.new"
mke2fs -q -F -t ext4 -N 1200000 "$image.new"
mount -o loop "$image.new" "$mnt"
mkdir -p "$mnt"/{etc,sbin,var/log}
echo '/dev/xvda / ext4 defaults 0 1' >"$mnt/etc/fstab"
: >"$mnt/sbin/init"
n=0
while :; do
	to=$mnt/usr
	[ $n = 0 ] || to=$mnt/copy-$n
	mkdir "$to"
	# All but the largest: what fills a guest's disk is files, not a few images.
	(cd /usr && find . -xdev ! \( -type f -size +16M \) -print0 | tar -cf - --null --no-recursion -T - 2>/dev/null) |
		tar -xpf - -C "$to"
	n=$((n + 1))
	read -r used files < <(df --output=used,iused "$mnt" | tail -n 1)
	[ "$files" -lt 150000 ] || [ "$used" -lt $((4 << 20)) ] || break
	[ $n -lt 20 ]
done
umount "$mnt"
mv "$image.new" "$image"
