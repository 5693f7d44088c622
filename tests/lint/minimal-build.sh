#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# minimal-build.sh - without libxl, libguestfs and libarchive it builds with no warning, says so, and still reads a guest.
. "$(dirname "$0")/../lib/functions.sh"
mkdir "$T/build" && cd "$T/build" || exit 1
if "$top/configure" --enable-werror --without-libxl --without-libguestfs --without-libarchive CFLAGS=-O0 >configure.out 2>&1; then
	has "configure says what is left out" "$(tail -n 15 configure.out)" 'libxl\) +no'
else
	not_ok "configure" "$(tail -n 20 configure.out)"
	done_testing
fi
if make -s -j2 all >make.out 2>&1; then
	ok "it builds"
else
	not_ok "it builds" "$(tail -n 20 make.out)"
	done_testing
fi
DOMU=$T/build/domu-rescue
truncate -s 8M "$T/disk.img"
mkdir -p "$T/tree/etc"
echo hello >"$T/tree/etc/hostname"
mke2fs -q -F -t ext4 -d "$T/tree" "$T/disk.img"
works "it reads a disk" cat "$T/disk.img:/etc/hostname"
is "the right bytes" "$(out)" hello
mkfs.xfs -q -d "file,name=$T/xfs.img,size=320m" 2>/dev/null &&
	ends "what only the appliance opens is unsupported, not a crash" 6 ls "$T/xfs.img:/"
"$DOMU" tar-out "$T/disk.img:/etc" - 2>&1 | tar -xO ./hostname >"$T/hostname" 2>&1
is "tar-out works" "$(cat "$T/hostname")" hello
ends "tar-in says what is missing" 6 tar-in "$T/hostname" "$T/disk.img:/"
has "by its name" "$(err)" libarchive
ends "so does a compressed tar-out" 6 tar-out "$T/disk.img:/" "$T/etc.tar.gz"
check "and leaves no file" test ! -e "$T/etc.tar.gz.part"
check "make install DESTDIR=" make -s install DESTDIR="$T/dest"
check "the program is there" test -x "$T/dest/usr/local/bin/domu-rescue"
check "a plugin is there" test -e "$T/dest/usr/local/lib/domu-rescue/fs-ext.so"
done_testing
