#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tar.sh - tar-out and tar-in: what GNU tar, bsdtar and the kernel make of our archives, and we of theirs.
. "$(dirname "$0")/../lib/functions.sh"
. "$lib/images.sh"
need_kernel
command -v bsdtar >/dev/null || skip_all "no bsdtar to compare with"
fs_bytes=$((64 * 1048576)) fs_offset=0 fs_size=$((64 * 1048576))

# facts DIR: everything that an archive keeps, a line a fact; the root's own name is left out.
facts() {
	(
		cd "$1" || exit 1
		find . -name lost+found -prune -o -printf 'S\t%p\t%y %m %U %G %n %T@ %l\0' | tr '\n\0' '\r\n' |
			awk -F '\t' 'BEGIN { OFS = "\t" } $3 ~ /^d/ { sub(/^(d [0-7]+ [0-9]+ [0-9]+) [0-9]+/, "d dir", $3) } { print }'
		find . ! -type d -printf 'L\t%p\t%s\0' | tr '\n\0' '\r\n'
		find . \( -type b -o -type c \) -print0 | xargs -0r stat -c 'D	%n	%t %T'
		find . -type f -size -100M -print0 | xargs -0r sha256sum -z | sed -z 's/^\([0-9a-f]*\)  \(.*\)/H\t\2\t\1/' | tr '\n\0' '\r\n'
		getfattr -R -P -h -d -m - -e hex . 2>/dev/null | awk 'BEGIN { RS = ""; FS = "\n" } {
			sub(/^# file: /, "", $1); printf "X\t./%s\t", $1; for (i = 2; i <= NF; i++) printf "%s ", $i; print "" }'
	) | sort
}
# atimes DIR, flags DIR: what only some of them restore.
atimes() {
	(cd "$1" && find . -name lost+found -prune -o -printf '%p\t%A@\0' | tr '\n\0' '\r\n' | sort)
}

flags() {
	(cd "$1" && lsattr -R -a . 2>/dev/null | awk '/^[-a-zA-Z]+ \.\// && $2 !~ /\/\.\.?$/ { f = $1; gsub(/[-eI]/, "", f)
		sub(/^[^ ]+ /, ""); if (f != "") print $0 "\t" f }' | sort)
}

# What a tree can have beside what rich_tree makes: all that must not get lost.
full_tree() {
	local d=$1 long
	rich_tree "$d"
	mkdir "$d/closed" "$d/odd/sub"
	echo inside >"$d/closed/file"
	setfattr -n security.selinux -v 0x73797374656d5f753a6f626a6563745f723a6574635f743a733000 "$d/odd/empty"
	setfattr -n 'user.a=b%' -v tricky "$d/odd/sub"
	long=$(printf 'd%.0s' {1..90})
	mkdir -p "$d/$long/$long"
	echo deep >"$d/$long/$long/$(printf 'f%.0s' {1..120})"
	echo bytes >"$d/$long/$long/$(printf 'g%.0s' {1..120})"$'\xe9'
	ln -s "$(printf 't%.0s' {1..99})"$'\xe9' "$d/odd/link-bytes"
	chown 3000000:4000000 "$d/odd/sub"
	touch -d '2100-01-02 03:04:05.000000006' "$d/odd/sub"
	head -c 70000 /dev/urandom >"$d/odd/large"
	truncate -s 9G "$d/odd/empty-huge"
	touch -d '1999-12-31 23:59:59.999999999' "$d/closed"
	touch -a -d '2001-02-03 04:05:06.700000001' "$d/odd/large" "$d/odd/relative"
	perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_STREAM, 0); bind($s, sockaddr_un($ARGV[0])) or die' "$d/sock"
	chmod 500 "$d/closed"
	chmod 700 "$d"
	touch -h -d '2020-02-02 02:02:02.020202' "$d"
}

empty_tree() {
	:
}

make_fs ext4 "$T/a.img" full_tree
make_fs ext4 "$T/empty.img" empty_tree
before=$(state_of "$T/a.img")
# A guest that is mounted is in use: the kernel looks at a copy.
cp --sparse=always "$T/a.img" "$T/oracle.img"
kmount "$T/oracle.img" 0 0 "$T/a" ro,noatime
facts "$T/a" | grep -av $'\t./sock\t' >"$T/want"
atimes "$T/a" | grep -av "^./sock" >"$T/want-atimes"
flags "$T/a" >"$T/want-flags"
[ "$(wc -l <"$T/want")" -gt 4000 ] || not_ok "the oracle sees a tree"

# ---- out, read by others

works "tar-out to a file" tar-out "$T/a.img:/" "$T/a.tar"
has "sockets are said, once" "$(err)" "sock' is a socket"
is "the guest's disk is as it was" "$(state_of "$T/a.img")" "$before"
check "no .part is left" test ! -e "$T/a.tar.part"
"$DOMU" tar-out "$T/a.img:/" 2>/dev/null | cat >"$T/pipe.tar"
same "a pipe gets the same" "$T/pipe.tar" "$T/a.tar"
mkdir "$T/gnu" "$T/bsd"
tar --acls --xattrs --xattrs-include='*' --selinux --numeric-owner -xpSf "$T/a.tar" -C "$T/gnu" 2>"$T/gnu.err"
is "GNU tar unpacks it" $? 0
lacks "and only does not know flags and bytes" "$(grep -Ev 'SCHILY.fflags|hdrcharset|in the future|implausibly old' "$T/gnu.err")" .
facts "$T/gnu" >"$T/got"
same "GNU tar: all that was there" "$T/got" "$T/want"
bsdtar --numeric-owner -xpf "$T/a.tar" -C "$T/bsd" 2>"$T/bsd.err"
atimes "$T/bsd" >"$T/bsd-atimes"
# It leaves the directory that it is in as it is.
facts "$T/bsd" | grep -av $'\t\\.\td' | sed 's/user.a%3Db%25=/user.a\\075b%=/' >"$T/got"
same "bsdtar: all that was there" "$T/got" <(grep -av $'\t\\.\td' "$T/want")
same "bsdtar: the times of the last access" <(grep -aE 'large|relative' "$T/bsd-atimes") <(grep -aE 'large|relative' "$T/want-atimes")
has "bsdtar: flags" "$(flags "$T/bsd")" 'flagged.i'
is "holes are holes" "$(stat -c %b "$T/gnu/odd/empty-huge")" 0
check "and small where there is data" test "$(stat -c %b "$T/gnu/odd/huge")" -le 32
chattr -R -i "$T/bsd" 2>/dev/null
tar --list -f "$T/a.tar" 2>/dev/null | sort | uniq -d >"$T/twice"
is "no member comes twice" "$(cat "$T/twice")" ""

for z in gz:gzip xz:xz zst:zstd; do
	works "tar-out to .tar.${z%:*}" tar-out "$T/a.img:/" "$T/a.tar.${z%:*}"
	same "${z#*:} gives the same archive" <("${z#*:}" -dc "$T/a.tar.${z%:*}") "$T/a.tar"
done
domu tar-out --zstd "$T/a.img:/etc" - && zstd -dc "$T/out" | tar -t >"$T/list"
is "--zstd to stdout, names from the directory on" "$(head -n 2 "$T/list")" $'./\n./fstab'
works "a single file" tar-out "$T/a.img:/etc/passwd" "$T/one.tar"
is "is one member" "$(tar -tf "$T/one.tar")" ./passwd

# ---- the round trip

cp --sparse=always "$T/empty.img" "$T/b.img"
works "tar-in of it" tar-in "$T/a.tar" "$T/b.img:/"
fsck_clean "e2fsck finds nothing" "$T/b.img"
kmount "$T/b.img" 0 0 "$T/b" ro,noatime
atimes "$T/b" >"$T/got-atimes"
facts "$T/b" >"$T/got"
same "guest to guest: every fact" "$T/got" "$T/want"
flags "$T/b" >"$T/got"
same "guest to guest: flags" "$T/got" "$T/want-flags"
same "guest to guest: times of the last access" "$T/got-atimes" "$T/want-atimes"
kumount "$T/b"
ends "an immutable file is not replaced" 1 tar-in "$T/a.tar.zst" "$T/b.img:/"
has "and it is said what to do" "$(err)" 'immutable.*chattr -i'
kmount "$T/b.img" 0 0 "$T/b" rw,noatime
chattr -i "$T/b/odd/flagged"
kumount "$T/b"
works "again over what is there" tar-in "$T/a.tar.zst" "$T/b.img:/"
fsck_clean "e2fsck finds nothing then" "$T/b.img"
kmount "$T/b.img" 0 0 "$T/b" ro,noatime
facts "$T/b" >"$T/got"
same "it is the same again" "$T/got" "$T/want"
kumount "$T/b"
cp --sparse=always "$T/empty.img" "$T/c.img"
"$DOMU" tar-out -z "$T/a.img:/etc" 2>/dev/null | "$DOMU" tar-in - "$T/c.img:/" 2>"$T/err"
is "from one guest into the other by a pipe" "$?" 0
kmount "$T/c.img" 0 0 "$T/c" ro,noatime
same "is that directory" <(facts "$T/c" | grep -av $'\t\\.\t') <(cd "$T/a/etc" && facts . | grep -av $'\t\\.\t')
kumount "$T/c"
cp --sparse=always "$T/empty.img" "$T/c.img"
config from "$T/a.img,raw,xvda,w"
config to "$T/c.img,raw,xvda,w"
works "cp -a from one guest into the other" cp -a from:/. to:/
kmount "$T/c.img" 0 0 "$T/c" ro,noatime
same "keeps the same facts" <(facts "$T/c" | grep -av $'\t\\./sock\t' | grep -av $'\t\\.\td') <(grep -av $'\t\\.\td' "$T/want")
kumount "$T/c"

# An ACL that is too large for the inode and its block.
for v in a b; do fs_bytes=$((16 * 1048576)) make_fs ext4 "$T/large-$v.img" plain_tree -O ea_inode; done
kmount "$T/large-a.img" 0 0 "$T/mnt" rw
seq -f u:%g:rwx 2000 3500 | setfacl -M - "$T/mnt/etc/fstab"
getfacl -n "$T/mnt/etc/fstab" 2>/dev/null >"$T/acl.want"
[ "$(wc -l <"$T/acl.want")" -gt 1500 ] || not_ok "the kernel takes it"
kumount "$T/mnt"
works "an ACL of 1500 lines out" tar-out "$T/large-a.img:/etc" "$T/large.tar"
works "and in" tar-in "$T/large.tar" "$T/large-b.img:/etc"
kmount "$T/large-b.img" 0 0 "$T/mnt" ro
same "is the same" <(getfacl -n "$T/mnt/etc/fstab" 2>/dev/null) "$T/acl.want"
kumount "$T/mnt"
works "chmod of it" chmod 0710 "$T/large-b.img:/etc/fstab"
fs_offset=0 fsck_clean "e2fsck" "$T/large-b.img"
kmount "$T/large-b.img" 0 0 "$T/mnt" ro
is "changes its mask" "$(getfacl -cn "$T/mnt/etc/fstab" 2>/dev/null | grep -E '^(user::|mask::|other::)' | tr '\n' ' ')" "user::rwx mask::--x other::--- "
kumount "$T/mnt"

# ---- archives of others

mkdir "$T/mine"
cp -a "$T/a/odd" "$T/a/etc" "$T/a/big" "$T/mine/" 2>/dev/null
ln "$T/mine/etc/passwd" "$T/mine/big/passwd"
ln "$T/mine/etc/passwd" "$T/mine/etc/passwd-"
rm -f "$T"/mine/odd/{huge,empty-huge}
chattr -R -i -d "$T/mine" 2>/dev/null
(cd "$T/mine" && tar --format=gnu -Scf "$T/gnu.tar" . && tar --format=posix --acls --xattrs --xattrs-include='*' --selinux -Scf "$T/pax.tar" . &&
	tar --format=ustar -cf "$T/ustar.tar" etc big && bsdtar --format=pax -cf "$T/bsd.tar" . 2>/dev/null
	find etc big -print0 | cpio -0o -H newc --quiet >"$T/newc.cpio"
	xz -k "$T/gnu.tar" && bzip2 -k "$T/gnu.tar" 2>/dev/null)
facts "$T/mine" >"$T/mine.facts"
# plain FILE: without what that kind of archive does not keep.
plain() {
	grep -av "^X" "$1" | sed -E 's/ ([0-9]+)\.[0-9]{10} / \1 /' | grep -av $'\t\\.\t'
}
for kind in gnu.tar gnu.tar.xz gnu.tar.bz2 pax.tar bsd.tar ustar.tar newc.cpio; do
	[ -e "$T/$kind" ] || continue
	cp --sparse=always "$T/empty.img" "$T/c.img"
	works "tar-in of $kind" tar-in "$T/$kind" "$T/c.img:/"
	kmount "$T/c.img" 0 0 "$T/c" ro,noatime
	facts "$T/c" >"$T/got"
	case $kind in
	pax.tar | bsd.tar) same "$kind: every fact" <(grep -av $'\t\\.\t' "$T/got") <(grep -av $'\t\\.\t' "$T/mine.facts") ;;
	gnu.*) same "$kind: what it keeps" <(plain "$T/got") <(plain "$T/mine.facts") ;;
	*) same "$kind: what it keeps" <(plain "$T/got") <(plain "$T/mine.facts" | grep -aE $'\t./(etc|big)(/|\t)') ;;
	esac
	kumount "$T/c"
done
kumount "$T/a"
done_testing
