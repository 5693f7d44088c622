#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# host.sh - copies between guest and host, the editor, and that nothing is written outside the destination.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
make_fs ext4 "$T/fs.img" rich_tree
disk=$T/disk.img
make_disk none "$T/fs.img" "$disk"
config test "$disk,raw,xvda,w"
cp --sparse=always "$disk" "$T/oracle.img"
kmount "$T/oracle.img" 0 0 "$T/mnt" ro
m=$T/mnt
before=$(state_of "$disk")
mkdir "$T/out.d"
cd "$T/out.d" || exit 1

# ---- out of the guest
works "cp of a file" cp test:/etc/passwd ./passwd
same "cp of a file: the same" passwd "$m/etc/passwd"
works "cp of a file into a folder" cp test:/etc/hostname .
same "cp into a folder: the same" hostname "$m/etc/hostname"
works "cp of several" cp test:/etc/fstab test:/var/log/syslog "$T/out.d/"
same "cp of several: the same" syslog "$m/var/log/syslog"
works "cp -r of a folder" cp -r test:/deep .
check "cp -r: the same" diff -r deep "$m/deep"
works "cp -a of everything odd" cp -a test:/odd .
listing "$T/out.d/odd" | grep -aE '^(S|L|H)' | grep -av '/huge' | sed -E 's/ [0-9]+ [0-9]+ (-?[0-9]+\.[0-9]+) -?[0-9]+\.[0-9]+(\t.*)?$/ \1/' >"$T/ours"
(cd "$m/odd" && listing .) | grep -aE '^(S|L|H)' | grep -av '/huge' | sed -E 's/ [0-9]+ [0-9]+ (-?[0-9]+\.[0-9]+) -?[0-9]+\.[0-9]+(\t.*)?$/ \1/' >"$T/kernel"
# Link counts of hard1 and hard2 differ by the third name that is elsewhere.
same "cp -a: modes, owners, times, links, content" <(grep -av 'hard[12]' "$T/ours" | grep -av $'^S\t\\.\t') <(grep -av 'hard[12]' "$T/kernel" | grep -av $'^S\t\\.\t')
is "cp -a: hard links stay one file" "$(stat -c %i odd/hard1)" "$(stat -c %i odd/hard2)"
is "cp -a: holes stay holes" "$(($(stat -c %b odd/huge) < 1000))" 1
is "cp -a: xattr" "$(getfattr -n user.comment --only-values odd/attr 2>/dev/null)" 'a remark'
chattr -i odd/flagged 2>/dev/null
ends "an absent file" 4 cp test:/none .
ends "a destination that is not there" "1 4" cp test:/etc/passwd ./no/such/place
ends "a folder without -r" "1 2" cp test:/etc .
kumount "$m"
is "not a byte was changed" "$(state_of "$disk")" "$before"

# ---- a guest that would write outside
mkdir -p "$T/evil/dir"
ln -s "$T/victim" "$T/evil/dir/link"
mkdir "$T/victim"
truncate -s 16M "$T/evil.img"
mke2fs -q -F -t ext4 -d "$T/evil" "$T/evil.img"
# In the image the link is followed by a file of its own name below it.
debugfs -w -f - "$T/evil.img" >/dev/null 2>&1 <<-D
	mkdir /x
	write $T/xen/test.cfg /x/file
	rm /dir/link
	symlink /dir/link $T/victim
	ln /x /dir/..evil
D
mkdir "$T/dest"
domu cp -a "$T/evil.img:/dir" "$T/dest/"
is "nothing is written through a link" "$(ls -A "$T/victim")" ""
mkdir -p "$T/dest2/dir"
ln -s "$T/victim" "$T/dest2/dir/sub"
mkdir -p "$T/evil2/dir/sub"
echo x >"$T/evil2/dir/sub/file"
truncate -s 16M "$T/evil2.img"
mke2fs -q -F -t ext4 -d "$T/evil2" "$T/evil2.img"
domu cp -r "$T/evil2.img:/dir" "$T/dest2/"
is "nor through one that was there" "$(ls -A "$T/victim")" ""

# ---- into the guest
mkdir -p "$T/in/a/b"
echo 1 >"$T/in/a/one"
echo 2 >"$T/in/a/b/two"
works "cp -r into the guest" cp -r "$T/in/a" test:/root/
works "and out again" cp -r test:/root/a "$T/back"
check "is the same" diff -r "$T/in/a" "$T/back"
fs_offset=0 fsck_clean "e2fsck" "$disk"
config other "$T/evil.img,raw,xvda,w"
works "between guests" cp test:/etc/passwd other:/passwd
works "what came" cat other:/passwd
has "is it" "$(out)" '^anna:'

# ---- a worker that dies: of all that end then, what is told is that
if strace -f -o /dev/null true 2>/dev/null; then
	before=$(sha "$disk")
	head -c 4000000 /dev/urandom >"$T/big"
	timeout -k 5 "$time_limit" strace -f -o "$T/trace" -e trace=pwrite64 -e inject=pwrite64:signal=KILL:when=30 \
		"$DOMU" cp "$T/big" test:/root/ >"$T/out" 2>"$T/err"
	is "a worker that is killed: the copy fails" "$?" 1
	has "it says who ended" "$(err)" 'the worker ended by signal 9'
	lacks "and not whose pipe broke" "$(err)" '[Pp]ipe'
	is "nothing was written" "$(sha "$disk")" "$before"
	works "and no stage is in the way" cp "$T/big" test:/root/
else
	skip "a worker that dies" "no strace to kill with"
fi

# ---- the editor
domu undo test
printf '#!/bin/sh\nexit 3\n' >"$T/failing"
printf '#!/bin/sh\nexit 0\n' >"$T/idle"
printf '#!/bin/sh\necho more >>"$1"\n' >"$T/appending"
printf '#!/bin/sh\ncp "$1" %s/seen; mv "$1" "$1.x"; echo renamed >"$1"; rm "$1.x"\n' "$T" >"$T/renaming"
chmod 755 "$T"/{failing,idle,appending,renaming}
before=$(sha "$disk")
VISUAL=$T/failing ends "an editor that fails" "1 5" edit test:/etc/passwd
VISUAL=$T/idle works "an editor that changes nothing" edit test:/etc/passwd
is "neither changed anything" "$(sha "$disk")" "$before"
EDITOR=$T/appending works "EDITOR" edit test:/etc/passwd
has "it was changed" "$(domu cat test:/etc/passwd; out)" '^more$'
VISUAL=$T/renaming EDITOR=$T/failing works "VISUAL comes first; an editor that renames" edit test:/etc/passwd
is "it was replaced" "$(domu cat test:/etc/passwd; out)" renamed
has "what the editor saw" "$(cat "$T/seen")" '^anna:'
VISUAL=$T/appending works "vi is edit" vi test:/etc/newfile
is "a new file" "$(domu cat test:/etc/newfile; out)" more
VISUAL=$T/appending ends "a folder cannot be edited" 1 edit test:/etc
is "no copies are left behind" "$(ls -A "$T/tmp")" ""
if [ "$(id -u)" = 0 ] && mkdir "$T/little" && mount -t tmpfs -o size=16k tmpfs "$T/little" 2>/dev/null; then
	head -c 16384 /dev/zero >"$T/little/filler" 2>/dev/null
	TMPDIR=$T/little VISUAL=$T/appending ends "no room for the copy" 1 edit test:/etc/passwd
	has "which says where, and the way on" "$(err)" "no room for $T/little/.*TMPDIR=DIR"
	umount "$T/little"
else
	skip "no room for the copy" "no tmpfs can be mounted"
fi
if [ "$(id -u)" = 0 ] && losetup -f >/dev/null 2>&1; then
	printf '#!/bin/sh\necho typed >"$1"; loop=$(losetup -f --show %s); echo $loop >%s/loops/${loop##*/}\n' "$disk" "$T" >"$T/holding"
	chmod 755 "$T/holding"
	VISUAL=$T/holding ends "a guest that is taken while the editor is open" 3 edit test:/etc/passwd
	is "what was typed is kept, and said where" "$(cat "$(sed -n 's/.*what was typed is kept in //p' "$T/err")")" typed
else
	skip "a guest that is taken while the editor is open" "no loop device can be had"
fi
done_testing
