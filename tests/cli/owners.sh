#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# owners.sh - names of owners are the guest's own, everywhere: its passwd and group, not this host's.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((16 * 1048576))
tree() {
	plain_tree "$1"
	printf 'root:x:0:0::/root:/bin/sh\ndaemon:x:4711:4712::/:/bin/sh\nonlyhere:x:4713:4712::/:/bin/sh\n' >"$1/etc/passwd"
	printf 'root:x:0:\ngang:x:4712:\n' >"$1/etc/group"
	mkdir "$1/d"
	echo x >"$1/d/f"
	chown 4711:4712 "$1/d/f"
	echo y >"$1/d/g"
	chown 9999:9998 "$1/d/g"
}
make_fs ext4 "$T/fs.img" tree
config web "$T/fs.img,raw,xvda,w"
works "ls -l" ls -l web:/d
has "ls -l: the guest's name" "$(out)" ' daemon gang .* f$'
has "ls -l: a number that it has no name for" "$(out)" ' 9999 +9998 .* g$'
works "ls -n" ls -n web:/d
has "ls -n" "$(out)" ' 4711 4712 .* f$'
is "stat" "$("$DOMU" stat -c '%U %G %u %g' web:/d/f)" 'daemon gang 4711 4712'
is "find -user" "$("$DOMU" find web:/d -user daemon)" /d/f
is "find -group" "$("$DOMU" find web:/d -group gang)" /d/f
is "find -nouser" "$("$DOMU" find web:/d -nouser)" /d/g
is "find -printf" "$("$DOMU" find web:/d/f -printf '%u %g')" 'daemon gang'
ends "find -user of a name that is only this host's" "1 2" find web:/d -user nobody
works "chown by name" chown onlyhere:gang web:/d/g
is "chown by name: it has the number" "$("$DOMU" stat -c '%u %g' web:/d/g)" '4713 4712'
works "chown USER:" chown daemon: web:/d/g
is "chown USER: takes the login group of the guest" "$("$DOMU" stat -c '%u %g' web:/d/g)" '4711 4712'
ends "chown by a name that is only this host's" "1 2" chown nobody web:/d/g
has "only this host's: it is said whose is missing" "$(err)" "nobody"
# An archive of a machine with other numbers for the same names.
mkdir "$T/a"
echo z >"$T/a/by-name"
tar -C "$T/a" --owner=onlyhere:77 --group=gang:78 -cf "$T/a.tar" by-name
works "tar-in" tar-in "$T/a.tar" web:/d
is "tar-in: the numbers" "$("$DOMU" stat -c '%u %g' web:/d/by-name)" '77 78'
works "tar-in --map-names" tar-in --map-names "$T/a.tar" web:/d
is "tar-in --map-names: the guest's numbers" "$("$DOMU" stat -c '%u %g' web:/d/by-name)" '4713 4712'
is "--json" "$("$DOMU" --json ls web:/d/f | jq -r '.entries[0] | "\(.owner) \(.group)"')" 'daemon gang'
done_testing
