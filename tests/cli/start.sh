#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# start.sh - what a command loads at its start: no more than its guest needs, and that always.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
DOMU=$(realpath "$DOMU")
plugins=$(dirname "$DOMU")/plugins
[ -e "$plugins/fs-appliance.so" ] || skip_all "the program has its plugins elsewhere"
mkdir -p "$T/tree/etc"
echo hello >"$T/tree/etc/motd"
truncate -s 16M "$T/disk.img"
mke2fs -q -F -t ext4 -d "$T/tree" "$T/disk.img"

# loads NAME WANT ARG...: the plugins that the dynamic linker says it opened.
loads() {
	local name=$1 want=$2
	shift 2
	LD_DEBUG=files timeout -k 5 "$time_limit" "$DOMU" "$@" >"$T/out" 2>"$T/err"
	is "$name" "$(sed -n 's|.*file=/.*/\([a-z]*-[a-z]*\)\.so \[0\];  generating link map.*|\1|p' "$T/err" | sort | tr '\n' ' ')" "$want"
}

loads "a file by the path of its disk" "fs-ext source-path " cat "$T/disk.img:/etc/motd"
is "it is shown" "$(out)" hello
if [ -e "$plugins/source-xl.so" ]; then
	config test "$T/disk.img,raw,xvda,w"
	loads "by the guest's name" "fs-ext source-path source-xl " cat test:/etc/motd
	is "is shown, too" "$(out)" hello
	loads "by the path of its config" "fs-ext source-path source-xl " cat "$T/xen/test.cfg:/etc/motd"
	is "likewise" "$(out)" hello
else
	skip "by the guest's name" "the program was built without libxl"
fi
if mkfs.xfs -q -d "file,name=$T/xfs.img,size=320m" 2>/dev/null; then
	loads "a filesystem that is none of ext" "fs-appliance fs-ext source-path " --engine ext2fs ls "$T/xfs.img:/"
	has "is known" "$(err)" 'xfs needs the appliance'
else
	skip "a filesystem that is none of ext" "no mkfs.xfs, or no room"
fi
truncate -s 24M "$T/table.img"
printf 'label: dos\nstart=2048\n' | sfdisk -q "$T/table.img"
dd if="$T/disk.img" of="$T/table.img" bs=1M seek=1 conv=notrunc status=none
works "a partition" cat "$T/table.img:/etc/motd"
is "is shown" "$(out)" hello

# All of them without their marks, as plugins of others come: nothing but the time changes.
mkdir -p "$T/program/plugins"
cp "$DOMU" "$T/program/" && cp "$plugins"/*.so "$T/program/plugins/"
DOMU=$T/program/domu-rescue
loads "without marks all are loaded" \
	"$(cd "$plugins" && printf '%s\n' {fs,source}-*.so | sed 's/\.so//' | tr '\n' ' ')" cat "$T/disk.img:/etc/motd"
is "and it is shown" "$(out)" hello
done_testing
