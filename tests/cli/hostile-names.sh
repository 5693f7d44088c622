#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# hostile-names.sh - a name that the guest gave a file is never an option, another path, another guest or this host's.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
[ "$(id -u)" = 0 ] || skip_all "not root: no image of files of root"
fs_bytes=$((16 * 1048576))

tree() {
	plain_tree "$1"
	mkdir -p "$1"/srv/{web:,host:,two:,:}"$T/host" "$1"/srv/{web:,two:,:}/etc "$1/deep/web:/etc" "$1/one" "$1/opt"
	mkdir -p "$1/$T/disk.img:/etc" "$1/srv/disk.img:/etc"
	local d
	for d in "$1"/srv/{web:,two:,:}/etc "$1/deep/web:/etc" "$1/$T/disk.img:/etc" "$1/srv/disk.img:/etc"; do
		echo inner >"$d/hostname"
	done
	echo "of the guest" >"$1/srv/host:$T/host/file"
	echo "of the guest" >"$1/opt/host:file"
	: >"$1/opt/-delete"
	: >"$1/opt/-rf"
	: >"$1/opt/!"
	mkdir "$1/opt/dir"
	: >"$1/opt/dir/$(printf 'new\nline')"
	: >"$1/opt/dir/-x"
	: >"$1/opt/dir/{}"
}
make_fs ext4 "$T/tree.img" tree
disk=$T/disk.img
mkdir -p "$T/host"
echo "of this host" >"$T/host/file"
cp "$T/tree.img" "$disk"
config web "$disk,raw,xvda,w"
config two "$T/tree.img,raw,xvda,w"

# staged NAME COMMANDS WANT: what they change, and nothing is written.  They run where a file of the host has that name.
staged() {
	(cd "$T/host" && domu shell "${guest:-web}" -c "$2; diff; rollback")
	is "$1" "$(grep '^[-+~M] ' "$T/out" | sed 's/^\(.\) */\1 /')" "$3"
}
staged "find web: -exec rm ;" 'cd /srv; find web: -name hostname -exec rm {} \;' '- /srv/web:/etc/hostname'
staged "find web: -exec rm +" 'cd /srv; find web: -name hostname -exec rm {} +' '- /srv/web:/etc/hostname'
staged "find : -exec rm" 'cd /srv; find : -name hostname -exec rm {} +' '- /srv/:/etc/hostname'
staged "find two: -exec rm" 'cd /srv; find two: -name hostname -exec rm {} +' '- /srv/two:/etc/hostname'
staged "find -exec mv into a path that names the guest" 'cd /srv; find two: -name hostname -exec mv {} web:/one \;' \
	'+ /one/hostname
- /srv/two:/etc/hostname'
staged "find -exec cp of what is called as a path of the host" 'cd /srv; find host: -name file -exec cp {} /one \;' '+ /one/file'
works "find -exec cat of that" shell web -c 'cd /srv; find host: -name file -exec cat {} +'
is "find -exec cat of that: the guest's" "$(out)" "of the guest"
staged "find -exec rm of odd names" 'cd /opt; find dir -type f -exec rm {} +' "- /opt/dir/-x
- /opt/dir/new\\012line
- /opt/dir/{}"
guest=$disk
staged "a guest by its path: find / -exec rm" "find $T -name hostname -exec rm {} +" "- $T/disk.img:/etc/hostname"
staged "a guest by its path: rm of a glob" "rm $T/disk*/etc/hostname" "- $T/disk.img:/etc/hostname"
(cd "$T" && domu shell ./disk.img -c 'cd /srv; rm disk*/etc/hostname; diff; rollback')
has "a guest by ./: rm of a glob" "$(out)" '^- +/srv/disk.img:/etc/hostname'
(cd "$T" && domu find "./disk.img:$T" -name hostname -exec rm {} + && domu find ./disk.img:/etc -name hostname)
is "on the command line: find -exec rm leaves the guest's own" "$(out)" /etc/hostname
cp "$T/tree.img" "$disk"
guest=web

# ---- globs of the shell
staged "rm of a glob: web:" 'cd /srv; rm w*/etc/hostname' '- /srv/web:/etc/hostname'
staged "rm of a glob: :" 'cd /srv; rm :*/etc/hostname' '- /srv/:/etc/hostname'
staged "rm * takes no name for an option" 'cd /opt; rm *' ''
has "rm * takes no name for an option: is said" "$(err)" "'dir'.*directory"
staged "find * takes no name for an expression" 'cd /opt; find * -name x\*' ''
is "find * takes no name for an expression: status" "$status $(err)" "0 "
staged "cp of a glob: host:file" 'cd /opt; cp h* /one; !true; cat /one/host:file' '+ /one/host:file'
has "cp of a glob: host:file is the guest's" "$(out)" "of the guest"
staged "cp -r of a glob: host:" "cd /srv; cp -r h*$T/host /one; cat /one/host/file" '+ /one/host
+ /one/host/file'
has "cp -r of a glob: host: is the guest's" "$(out)" "of the guest"
sum=$(sha "$T/host/file")
staged "cp to a glob: host:" "cd /srv; cp /etc/passwd ho*$T/host/file" "M /srv/host:$T/host/file  (75 bytes, were 13)"
is "cp to a glob: host: leaves this host's alone" "$(sha "$T/host/file")" "$sum"
staged "cp ./*" 'cd /opt; cp ./-r* /one' '+ /one/-rf'
done_testing
