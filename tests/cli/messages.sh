#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# messages.sh - a failure names the path that was meant, not only an inode, and the command that is typed next.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((16 * 1048576))

tree() {
	plain_tree "$1"
	mkdir -p "$1/srv/a/b"
	echo fixed >"$1/srv/a/b/fixed"
	echo other >"$1/srv/a/b/other"
	chattr +i "$1/srv/a/b/fixed"
}
make_fs ext4 "$T/web.img" tree -m 0
config web "$T/web.img,raw,xvda,w"
before=$(sha "$T/web.img")

# names WHAT PATH ARG...: the command fails, and its message has the path and why.
names() {
	local what=$1 path=$2
	shift 2
	ends "$what" 1 "$@"
	has "$what: names the path" "$(err)" "'?$path'?[^:]*: .*(immutable|No space left|cannot allocate)"
	is "$what: nothing is written" "$(sha "$T/web.img")" "$before"
}
fixed=/srv/a/b/fixed
names "rm of what is immutable" $fixed rm web:$fixed
names "rm -r of a tree with it" $fixed rm -r web:/srv/a
names "chmod" $fixed chmod 600 web:$fixed
names "chmod -R" $fixed chmod -R 600 web:/srv
names "chown -R" $fixed chown -R 5 web:/srv
names "touch" $fixed touch web:$fixed
names "truncate" $fixed truncate -s 0 web:$fixed
names "mv" $fixed mv web:$fixed web:/srv/moved
names "ln" $fixed ln web:$fixed web:/srv/another
names "setfattr" $fixed setfattr -n user.x -v y web:$fixed
names "cp onto it" $fixed cp web:/srv/a/b/other web:$fixed
names "cp from this host onto it" $fixed cp "$T/xen/web.cfg" web:$fixed
names "find -delete" $fixed find web:/srv -name fixed -delete
names "find -exec" $fixed find web:/srv -name fixed -exec chmod 600 {} ';'
echo x | names "write" $fixed write web:$fixed
EDITOR="sed -i s/fixed/loose/" names "edit" $fixed edit web:$fixed
mkdir -p "$T/in/a/b"
echo x >"$T/in/a/b/fixed"
tar -C "$T/in" -cf "$T/in.tar" a
names "tar-in over it" a/b/fixed tar-in "$T/in.tar" web:/srv

# ---- no room
mkdir -p "$T/big/sub"
head -c 12M /dev/urandom >"$T/big/sub/one"
head -c 12M /dev/urandom >"$T/big/sub/two"
names "cp -r of more than there is room for" /srv/big/sub/two cp -r "$T/big" web:/srv/
names "write of more than there is room for" /srv/huge write web:/srv/huge < <(cat "$T"/big/sub/*)

# ---- damage: the whole command
debugfs -w -R 'set_inode_field /srv/a/b/other block[0] 0' "$T/web.img" >/dev/null 2>&1
ends "a damaged inode" 1 cat web:/srv/a/b/other
has "a damaged inode: its path, and what to type" "$(err)" "/srv/a/b/other.*: domu-rescue fsck -n web$"

# ---- as nobody
if command -v setpriv >/dev/null && chmod 755 "$T" && setpriv --reuid 65534 --clear-groups test -x "$DOMU"; then
	chmod 644 "$T/web.img"
	for c in list "info web" "status web"; do
		# shellcheck disable=SC2086
		setpriv --reuid 65534 --regid 65534 --clear-groups timeout "$time_limit" "$DOMU" $c >"$T/out" 2>"$T/err"
		is "not as root: $c works" "$? $(grep -c stopped "$T/out")" "0 1"
	done
else
	skip "not as root" "the program's folder is not readable by others"
fi
done_testing
