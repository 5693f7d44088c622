#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# attr.sh - getfattr, lsattr print what attr's and e2fsprogs' do of a mount; setfattr, chattr, mknod change just that.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((24 * 1048576))

fill() {
	local d=$1
	plain_tree "$d"
	mkdir -p "$d/odd/sub/.dot" "$d/dir"
	echo attr >"$d/odd/attr"
	ln -s attr "$d/odd/link"
	ln -s /odd "$d/dirlink"
	mkfifo "$d/odd/fifo"
	: >"$d/odd/sub/.hidden"
	setfattr -n user.comment -v 'a remark' "$d/odd/attr"
	setfattr -n user.empty "$d/odd/attr"
	setfattr -n user.binary -v 0x00ff1027 "$d/odd/attr"
	setfattr -n user.lines -v $'two\nlines "quoted" back\\slash\e' "$d/odd/attr"
	setfattr -n user.nul -v 0x616200 "$d/odd/attr"
	setfattr -n trusted.t -v trust "$d/odd/attr"
	setfattr -n user.dir -v d "$d/odd"
	setfattr -n trusted.link -v l -h "$d/odd/link"
	setfattr -n security.selinux -v system_u:object_r:etc_t:s0 "$d/etc/passwd"
	setfacl -m u:1000:rw,g:42:r "$d/odd/attr"
	echo named >"$d/odd/"$'new\nline'
	setfattr -n user.x -v y "$d/odd/"$'new\nline'
	setfattr -n user.x -v y "$d/odd/sub/.hidden"
	chattr +d "$d/odd/attr"
	chattr +A "$d/odd/sub"
	echo still >"$d/odd/fixed"
	chattr +i "$d/odd/fixed"
	echo more >"$d/odd/log"
	chattr +a "$d/odd/log"
}

make_fs ext4 "$T/fs.img" fill || skip_all "no image"
disk=$T/disk.img
make_disk none "$T/fs.img" "$disk"
cp --sparse=always "$disk" "$T/base.img"
config test "$disk,raw,xvda,w"
before=$(state_of "$disk")
kmount "$T/base.img" 0 0 "$T/mnt" ro || skip_all "no mount"
m=$T/mnt

# like SORT TOOL ARG...: the same output as the tool in the mounted tree; paths are "@/odd/attr".  SORT: cat, or a filter.
like() {
	local sorted=$1 tool=$2 ours=() theirs=() a
	shift 2
	for a in "$@"; do
		case $a in
		@*) ours+=("test:${a#@}") theirs+=("$m${a#@}") ;;
		*) ours+=("$a") theirs+=("$a") ;;
		esac
	done
	LC_ALL=C "$tool" "${theirs[@]}" 2>/dev/null | LC_ALL=C sed "s,${m#/}/,,; s,$m,," | $sorted >"$T/theirs"
	domu "$tool" "${ours[@]}"
	$sorted <"$T/out" >"$T/ours"
	same "$tool $*" "$T/ours" "$T/theirs"
}

records() {
	LC_ALL=C awk 'BEGIN { RS = ""; ORS = "\n\n" } { gsub(/\n/, "\001"); print }' | tr -s '\n' | LC_ALL=C sort
}

# ---- reading
for o in '' -d '-d -m -' '-m -' '-d -e hex' '-d -e base64' '-d -e text' '-d -m trusted' '-n user.comment' '-n user.empty' '-n user.lines' \
	'-n user.nul' '-n user.binary' '-n user.comment --only-values' '-d --absolute-names' '-n system.posix_acl_access' '-d -m ^user.[bc]'; do
	like cat getfattr $o @/odd/attr
done
like cat getfattr -d @/odd/attr @/etc/passwd @/odd
like cat getfattr -d -m - @/odd/link
like cat getfattr -h -d -m - @/odd/link
like cat getfattr -d -m - @/etc/passwd
like cat getfattr -d "@/odd/"$'new\nline'
like records getfattr -R -d -m - @/odd
like records getfattr -R -h -d -m - -e hex @/odd @/etc
ends "an attribute that is not there" 1 getfattr -n user.none test:/etc/passwd
has "is named" "$(err)" 'user.none'
like cat lsattr @/odd/attr @/odd/fixed @/odd/log
like cat lsattr -d @/odd @/odd/sub @/
like cat lsattr -p @/odd/attr
like cat lsattr -v @/odd/attr
like sort lsattr @/odd
domu lsattr -a test:/odd/sub
is "lsattr -a: the same" "$(out | sort)" "$(lsattr -a "$m/odd/sub" | sed "s,$m,," | grep -v '/\.\.$' | sort)"
domu lsattr -R test:/odd
is "lsattr -R: the same" "$(out | sort)" "$(lsattr -R "$m/odd" 2>/dev/null | sed "s,$m,," | grep -v '^$\|:$' | sort)"
ends "a fifo has no flags" 1 lsattr test:/odd/fifo
domu getfattr --json -n user.binary test:/odd/attr
is "getfattr as JSON" "$(jq -r '.entries[0] | .name, .value_b64' "$T/out" | tr '\n' ' ')" "user.binary AP8QJw== "
domu lsattr --json test:/odd/fixed
is "lsattr as JSON" "$(jq -r '.entries[0].flags' "$T/out")" "----i---------e-------"
if command -v script >/dev/null; then
	script -qec "$DOMU getfattr -d test:/odd/attr" /dev/null </dev/null >"$T/tty" 2>&1
	lacks "nothing steers a terminal" "$(cat "$T/tty")" $'\e'
fi
kumount "$m"
is "reading changed no byte" "$(state_of "$disk")" "$before"

# ---- changing: after each the kernel shows the same as after the tools' own work on a copy
listing_of "$disk" "$T/before"
# change NAME PATHS ARG...: these paths alone differ, and e2fsck finds nothing; $T/after is what there is.
change() {
	local name=$1 want=$2
	shift 2
	cp --sparse=always "$T/base.img" "$disk"
	domu "$@"
	[ "$status" = 0 ] || { not_ok "$name" "status $status" "$(err)"; return; }
	listing_of "$disk" "$T/after"
	is "$name" "$(changed "$T/before" "$T/after")" "$want"
	fsck_clean "$name: e2fsck" "$disk"
	domu rollback test 2>/dev/null
}
fact() {
	has "$1" "$(grep -aP "^$2\t\./$3\t" "$T/after" | head -n 1)" "$4"
}

change "setfattr" ./etc/fstab setfattr -n user.note -v 'two words' test:/etc/fstab
fact "setfattr: value" X etc/fstab "user.note=0x$(printf 'two words' | xxd -p) "
change "setfattr of hexadecimal" ./etc/fstab setfattr -n trusted.h -v 0x00FF7f test:/etc/fstab
fact "setfattr of hexadecimal: value" X etc/fstab 'trusted.h=0x00ff7f '
change "setfattr of base64" ./etc/fstab setfattr -n security.foo -v 0sAQIDBA== test:/etc/fstab
fact "setfattr of base64: value" X etc/fstab 'security.foo=0x01020304 '
change "setfattr of quoted text" ./etc/fstab setfattr -n user.q -v '"a\"b\\c\012\101"' test:/etc/fstab
fact "setfattr of quoted text: value" X etc/fstab "user.q=0x$(printf 'a"b\\c\nA' | xxd -p) "
change "setfattr of nothing" ./etc/fstab setfattr -n user.q test:/etc/fstab
fact "setfattr of nothing: value" X etc/fstab 'user.q=0x '
change "setfattr of an ACL" ./etc/fstab setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff02000600e803000004000400ffffffff10000600ffffffff20000400ffffffff test:/etc/fstab
fact "setfattr of an ACL: mode" S etc/fstab 'f 664 '
change "setfattr -x" ./odd/attr setfattr -x user.comment test:/odd/attr
change "setfattr -h" ./odd/link setfattr -h -n trusted.link -v other test:/odd/link
change "setfattr on two" "./etc/fstab ./etc/group" setfattr -n user.n -v 1 test:/etc/fstab test:/etc/group
ends "an attribute that cannot be removed" 1 setfattr -x user.none test:/etc/fstab
ends "a value that is none" 2 setfattr -n user.x -v 0xabc test:/etc/fstab
ends "a name that is none" "1 6" setfattr -n nowhere.x -v y test:/etc/fstab
ends "-n and -x" 2 setfattr -n user.a -x user.b test:/etc/fstab

change "chattr +i" ./etc/fstab chattr +i test:/etc/fstab
fact "chattr +i: flags" F etc/fstab '----i---------e-------'
change "chattr -i" ./odd/fixed chattr -i test:/odd/fixed
fact "chattr -i: flags" F odd/fixed '--------------e-------'
change "chattr of several" ./odd/attr chattr -d +Aa test:/odd/attr
fact "chattr of several: flags" F odd/attr '-----a-A------e-------'
change "chattr =" ./odd/attr chattr =A test:/odd/attr
fact "chattr =: flags" F odd/attr '-------A------e-------'
change "chattr -R" $'./odd ./odd/attr ./odd/fixed ./odd/log ./odd/new ./odd/new\rline ./odd/sub/.dot ./odd/sub/.hidden' chattr -R =A test:/odd
# Kernels without quota mount a filesystem with projects read-only: made by mke2fs -d, asked by debugfs and such a mount.
mkdir "$T/proj"
echo one >"$T/proj/file"
truncate -s 24M "$T/proj.img"
mke2fs -q -F -t ext4 -O project -d "$T/proj" "$T/proj.img"
domu chattr -p 77 +P test:/etc/fstab
is "chattr -p where there are no projects" "$status" 6
domu --disk "$T/proj.img" chattr -p 77 /file
is "chattr -p" "$status" 0
has "chattr -p: debugfs sees it" "$(debugfs -R 'stat /file' "$T/proj.img" 2>&1)" 'Project: +77'
check "chattr -p: e2fsck" e2fsck -fn "$T/proj.img"
domu --disk "$T/proj.img" lsattr -p /file
has "lsattr -p" "$(out)" '^   77 -'
cp --sparse=always "$T/base.img" "$disk"
ends "a flag of the filesystem" 6 chattr -e test:/etc/fstab
ends "a letter that is none" "2 4" chattr +q test:/etc/fstab
ends "no flags" 2 chattr test:/etc/fstab
ends "a fifo" 1 chattr +d test:/odd/fifo
for c in "chmod 600 test:/odd/fixed" "rm test:/odd/fixed" "truncate -s 0 test:/odd/fixed" "rm test:/odd/log" \
	"setfattr -n user.a -v b test:/odd/fixed"; do
	base=$(sha "$disk")
	# shellcheck disable=SC2086
	ends "immutable: $c is refused" "1 6" $c
	has "immutable: $c: and how it could be" "$(err)" 'chattr -[ia]'
	is "immutable: $c: nothing was written" "$(sha "$disk")" "$base"
done

for c in "b 8 1:b 644" "c 300 70000:c 644" "u 1 3:c 644" "p:p 644"; do
	# shellcheck disable=SC2086
	change "mknod ${c%:*}" "./dir ./dir/node" mknod test:/dir/node ${c%:*}
	fact "mknod ${c%:*}: type and mode" S dir/node "^S.${c#*:}|${c#*:} 0 0 1 "
done
change "mknod -m" "./dir ./dir/null" mknod -m 666 test:/dir/null c 1 3
kmount "$disk" 0 0 "$m" ro
is "mknod -m: numbers and mode" "$(stat -c '%A %t %T' "$m/dir/null")" "crw-rw-rw- 1 3"
kumount "$m"
ends "mknod where something is" 1 mknod test:/etc/fstab p
ends "mknod without numbers" 2 mknod test:/dir/x c
ends "mknod of a type that is none" 2 mknod test:/dir/x q
domu shell test -c 'cd /dir; mknod fifo p; setfattr -n user.s -v t /etc/group; chattr +d /etc/group; getfattr -n user.s /etc/group; lsattr /etc/group'
is "in the shell" "$(out | tail -n 1)" '------d-------e------- /etc/group'
done_testing
