#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# cp.sh - cp of several sources, onto directories, of what is newer: GNU cp does the same to a mounted copy.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((32 * 1048576))

tree() {
	mkdir -p "$1"/{etc,sbin,A/sub,B,C,D,old/sub,into}
	echo >"$1/etc/fstab"
	: >"$1/sbin/init"
	echo one >"$1/A/one"
	ln "$1/A/one" "$1/B/other name"
	ln "$1/A/one" "$1/third"
	echo two >"$1/C/two"
	ln "$1/C/two" "$1/A/sub/two"
	echo new >"$1/A/file"
	echo older >"$1/old/file"
	echo young >"$1/old/one"
	chmod 1750 "$1/A"
	chmod 705 "$1/A/sub"
	chown 7:8 "$1/A" "$1/B/other name"
	setfattr -n user.a -v b "$1/A"
	setfacl -m u:5:rwx "$1/old/file" "$1/old" "$1/A/sub"
	setfacl -d -m u:5:rwx "$1/old" "$1/B"
	touch -d 2001-02-03T04:05:06.789 "$1/A/sub"
	touch -d 2002-02-03T04:05:06.789 "$1/A" "$1/A/file"
	mkdir -p "$1/L/in/deep" "$1/L/out" "$1/L/round"
	echo deep >"$1/L/in/deep/file"
	ln -s ../in/deep "$1/L/out/dir"
	ln -s dir/file "$1/L/out/file"
	ln -s ../../../B "$1/L/in/deep/further"
	ln "$1/A/one" "$1/L/out/one"
	ln -s ../A/file "$1/L/up"
	ln -s .. "$1/L/round/up"
	ln -s missing "$1/L/round/nothing"
	ln -s loop "$1/L/round/loop"
	ln -s ../../A "$1/L/round/A"
	ln -s /A/sub "$1/C/from the root"
	touch -d 1999-02-03 "$1/old/file" "$1/old"
	touch -d 2033-02-03 "$1/old/one"
}
# All of a tree but its own name: times of directories too where they were set.  Two of this hour may be of two days.
now=$EPOCHSECONDS
shown() { (cd "$1" && find . -printf '%P %y %m %U %G %n ' \( -newermt "@$((now - 600))" ! -newermt "@$((now + 36000))" -printf now \
	-o -printf '%TY-%Tm-%Td' \) -printf ' %l\n' | LC_ALL=C sort; getfacl -RPn --skip-base . | LC_ALL=C sort; cat */* 2>/dev/null | md5sum); }

make_fs ext4 "$T/tree.img" tree
disk=$T/disk.img
config web "$disk,raw,xvda,w"
# The same words for both: @ is the guest's root.  What is looked at is $1.
both() {
	local where=$1 what=$2
	shift 2
	cp --sparse=always "$T/tree.img" "$disk"
	cp --sparse=always "$T/tree.img" "$T/theirs.img"
	kmount "$T/theirs.img" 0 0 "$T/mnt" rw
	(cd "$T/mnt" && cp "${@//@/$T/mnt}")
	shown "$T/mnt/$where" >"$T/want"
	kumount "$T/mnt"
	works "$what" cp "${@//@/web:}"
	kmount "$disk" 0 0 "$T/mnt" ro
	shown "$T/mnt/$where" >"$T/got"
	kumount "$T/mnt"
	same "$what: as GNU cp" "$T/got" "$T/want"
	fs_offset=0 fsck_clean "$what: e2fsck" "$disk"
}
both D "several sources with files in common" -a @/A @/B @/third @/C @/D
both D "without -a they are files of their own" -r @/A @/B @/third @/C @/D
both D "one after the other, the content of one" -a @/A/. @/B @/D
both old "-aT onto a directory" -aT @/A @/old
both old "-a DIR/. into a directory" -a @/A/. @/old
both old "-p over a file with an access control list" -p @/A/file @/old
both old "-a of directories with and without such lists" -a @/A/sub @/B/. @/old
both old "-u: only what is older" -au @/A/file @/A/one @/old
both old "-n" -an @/A/file @/A/one @/old
both D "-rL: links of a tree are followed" -rL @/L/out @/L/in @/L/up @/D
both D "-aL: what is found by a link and by its name is one file" -aL @/L/out @/L/in @/A @/D
both L/out "-rL: over what is there, with links to directories" -rL @/L/in/. @/L/out

# ---- out, in and between: the tree that GNU cp makes of the sources
cp --sparse=always "$T/tree.img" "$disk"
kmount "$disk" 0 0 "$T/mnt" ro
mkdir "$T/want.d" "$T/got.d" "$T/wantT" "$T/gotT"
(cd "$T/mnt" && cp -a A B third C "$T/want.d/")
(cd "$T/mnt" && cp -aT A "$T/wantT"; mkdir "$T/wantI"; cp -a A/. "$T/wantI")
kumount "$T/mnt"
works "out: several" cp -a web:/A web:/B web:/third web:/C "$T/got.d"
same "out: as GNU cp" <(shown "$T/got.d" | tail -n +2) <(shown "$T/want.d" | tail -n +2)
works "out: -aT" cp -aT web:/A "$T/gotT"
same "out: -aT: as GNU cp" <(shown "$T/gotT") <(shown "$T/wantT")
mkdir "$T/gotI"
works "out: -a DIR/." cp -a web:/A/. "$T/gotI"
same "out: -a DIR/.: as GNU cp" <(shown "$T/gotI") <(shown "$T/wantI")
mkdir "$T/glob"

# Links in circles and to nothing are left out, the rest is copied.
mkdir "$T/wantL" "$T/gotL" "$T/wantR" "$T/gotR"
kmount "$disk" 0 0 "$T/mnt" ro
cp -rL "$T/mnt/L" "$T/wantL" 2>"$T/theirs.err"
cp -rL "$T/mnt/L/round" "$T/wantR" 2>"$T/wantR.err"
kumount "$T/mnt"
ends "out: -rL: of a folder that a link below it leads above" 1 cp -rL web:/L/round "$T/gotR"
same "out: -rL: of a folder that a link below it leads above: as GNU cp" <(shown "$T/gotR") <(shown "$T/wantR")
is "out: -rL: GNU cp leaves three out" "$(wc -l <"$T/theirs.err")" 3
ends "out: -rL: with links in circles and to nothing" 1 cp -rL web:/L "$T/gotL"
same "out: -rL: as GNU cp" <(shown "$T/gotL") <(shown "$T/wantL")
has "out: -rL: circles are said" "$(err)" "'/L/round/up': .*circles"
has "out: -rL: links to nothing are said" "$(err)" "'/L/round/nothing': .*no such file"
is "out: -rL: how many" "$(grep -c "cannot read '/L/round" "$T/err")" 3
works "out: -rL: a link from the guest's root" cp -rL web:/C "$T/gotL"
check "out: -rL: leads to the guest's" test -f "$T/gotL/C/from the root/two"
before=$(sha "$disk")
ends "inside: -rL: with links to nothing" 1 cp -rL web:/L web:/D
is "inside: -rL: with links to nothing: nothing is written" "$(sha "$disk")" "$before"
ends "inside: -rL: into what a link of the tree leads to" 1 cp -rL web:/L/out web:/L/in/deep
has "inside: -rL: into what a link of the tree leads to: said" "$(err)" "'/L/out/dir/out': it is the copy"
# Nine directories with links to each other are a million.
bomb() {
	local i j
	mkdir -p "$1"/{etc,sbin}
	: >"$1/etc/fstab"
	for i in {1..9}; do
		mkdir -p "$1/b/$i"
		for j in {1..9}; do
			ln -s "../$j" "$1/b/$i/to-$j"
		done
	done
}
make_fs ext4 "$T/bomb.img" bomb -N 4000
config bomb "$T/bomb.img,raw,xvda,w"
ends "inside: -rL: what multiplies comes to an end" 1 cp -rL bomb:/b bomb:/c
check "inside: -rL: what multiplies is not said without end" test "$(wc -l <"$T/err")" -lt 200
kmount "$T/tree.img" 0 0 "$T/mnt" ro
works "in: -rL" cp -rL "$T/mnt/L/out" "$T/mnt/L/up" web:/D
mkdir "$T/wantIn" "$T/gotIn"
cp -rL "$T/mnt/L/out" "$T/mnt/L/up" "$T/wantIn"
ends "in: -rL: links in circles" 1 cp -rL "$T/mnt/L" web:/into
kumount "$T/mnt"
works "in: -rL: read back" cp -r web:/D/out web:/D/up "$T/gotIn"
same "in: -rL: as GNU cp" <(shown "$T/gotIn") <(shown "$T/wantIn")
cp --sparse=always "$T/tree.img" "$disk"

works "out: a glob" cp -a 'web:/[AB]' "$T/glob"
is "out: a glob: files in common" "$(stat -c %i "$T/glob/A/one")" "$(stat -c %i "$T/glob/B/other name")"

works "in: several" cp -a "$T/want.d/A" "$T/want.d/B" "$T/want.d/third" "$T/want.d/C" web:/D
kmount "$disk" 0 0 "$T/mnt" ro
same "in: the same" <(shown "$T/mnt/D" | tail -n +2) <(shown "$T/want.d" | tail -n +2)
kumount "$T/mnt"
fs_offset=0 fsck_clean "in: e2fsck" "$disk"
cp --sparse=always "$T/tree.img" "$T/two.img"
config two "$T/two.img,raw,xvda,w"
works "between guests: several" cp -a web:/D/A web:/D/B web:/D/third web:/D/C two:/into
kmount "$T/two.img" 0 0 "$T/mnt" ro
same "between guests: the same" <(shown "$T/mnt/into" | tail -n +2) <(shown "$T/want.d" | tail -n +2)
kumount "$T/mnt"
works "in the shell: to the host" shell web -c "cp -a /A /B host:$T/glob; cp -a host:$T/glob/A host:$T/glob/B /into"
works "in the shell: links" stat -c %h web:/into/A/one
is "in the shell: files in common" "$(out)" 2
ends "several onto what is no directory" 2 cp -a "$T/want.d/A" "$T/want.d/B" web:/third

# ---- -v: what GNU cp says of the same, in whatever order
said() { sed "s,$T/mnt,," | LC_ALL=C sort; }
kmount "$T/tree.img" 0 0 "$T/mnt" ro
mkdir "$T/v1" "$T/v2" "$T/v3"
cp --sparse=always "$T/tree.img" "$disk"
works "-v: out" cp -av web:/A web:/third web:/C/. "$T/v1"
same "-v: out: as GNU cp" <(sed 's,web:,,; s,v1,v2,' "$T/out" | LC_ALL=C sort) <(cp -av "$T/mnt/A" "$T/mnt/third" "$T/mnt/C/." "$T/v2" | said)
works "-v: in" cp -rv "$T/v1" "$T/v2/third" web:/into/
same "-v: in: as GNU cp" <(sed 's,web:/into/,v3/,' "$T/out" | LC_ALL=C sort) <(cp -rv "$T/v1" "$T/v2/third" "$T/v3/" | sed "s,'$T/v3,'v3,"  | LC_ALL=C sort)
cp --sparse=always "$T/tree.img" "$T/two.img"
works "-v: between guests" cp -auv web:/A/. two:/A
is "-v: between guests: nothing is newer" "$(out)" ""
rm -r "$T/state"
works "-v: between guests, one" cp -v web:/A/file two:/D
is "-v: between guests, one: said" "$(out)" "'web:/A/file' -> 'two:/D/file'"
works "-v: in the shell" shell web -c "cp -v host:$T/v2/third /into/new"
is "-v: in the shell: said" "$(out)" "'host:$T/v2/third' -> '/into/new'"
kumount "$T/mnt"

# ---- what is mounted below
mnt_tree() { tree "$1"; echo '/dev/xvdb /A/sub ext4 defaults 0 0' >"$1/etc/fstab"; }
make_fs ext4 "$T/root.img" mnt_tree
sub_tree() { mkdir "$1/C"; echo two >"$1/C/two"; }
make_fs ext4 "$T/sub.img" sub_tree
config mounted "$T/root.img,raw,xvda,w" "$T/sub.img,raw,xvdb,w"
works "with what is mounted below" cp -a mounted:/A "$T/whole"
check "with what is mounted below: it is there" test -f "$T/whole/sub/C/two"
works "-x" cp -ax mounted:/A "$T/one"
works "mv -v to what is mounted" mv -v mounted:/B mounted:/A/sub/
is "mv -v to what is mounted: said" "$(LC_ALL=C sort "$T/out")" "copied '/B/other name' -> '/A/sub/B/other name'
created directory '/A/sub/B'
removed '/B/other name'
removed directory '/B'"
is "-x: the mount point alone" "$(find "$T/one" -printf '%P\n' | LC_ALL=C sort | tr '\n' ' ')" " file one sub "
done_testing
