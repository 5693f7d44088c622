#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# walk.sh - find, du and ls -R of whole trees are what the kernel and the GNU tools say, for every kind of ext, sound and damaged.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel

# Directories of many blocks, of one, of none; names of all lengths; enough of them that a walk from below comes to scan, too.
walk_tree() {
	rich_tree "$1"
	mkdir -p "$1"/wide/{a..z}/{1..4} "$1/wide/zz"
	(cd "$1/wide" && for d in */*/; do : >"$d/x" && ln "$d/x" "$d/same"; done)
	(cd "$1/wide/zz" && seq -f 'a-name-that-takes-much-room-in-its-directory-so-that-it-needs-an-extent-tree-%06g' 1 2000 | xargs touch)
	touch -d @1600000000 "$1/wide/b"
}

# The kernel's side: GNU find and du print ./a where ours prints /a.
below() {
	(cd "$m" && "$@") 2>"$T/below.err"
}

format='%P|%s|%m|%M|%U|%G|%n|%i|%y|%Y|%l|%d|%b|%k|%S|%T@|%A@|%C@|%t|%TY-%Tm-%Td %TT|%TX|%T+|%Tc|%a|%5s|%-6m|%%\t\101\n'

# agree LABEL: everything of the filesystem mounted at $m, whose copy is the guest test.
agree() {
	local label=$1
	domu find test:/ -printf "$format"
	is "$label: find ends with 0" "$status" 0
	same "$label: find -printf" <(sort "$T/out") <(below find . -printf "$format" | sort)
	domu find test:/ -mindepth 1 -print0
	same "$label: find is sorted by bytes, depth first" "$T/out" <(below find . -mindepth 1 -print0 | sed -z 's,^\.,,' | by_components)
	domu find test:/ -depth -mindepth 1 -print0
	same "$label: find -depth -print0" <(tr '\0\n' '\n\r' <"$T/out" | sort) <(below find . -depth -mindepth 1 -print0 | sed -z 's,^\.,,' | tr '\0\n' '\n\r' | sort)
	domu find test:/etc test:/home -printf '%u %g %p\n'
	has "$label: the names are those of the guest" "$(out)" '^anna anna /home/anna$'
	domu find test:/wide test:/many test:/deep -printf '%p %H %P %h %f %i\n'
	same "$label: find from below, several" <(sort "$T/out") <(find "$m/wide" "$m/many" "$m/deep" -printf '%p %H %P %h %f %i\n' | sed "s,$m,,g" | sort)
	domu ls -R test:/
	same "$label: ls -R" <(grep -av '^/:' "$T/out") <(below env LC_ALL=C ls -RN . | sed 's,^\./,/,' | grep -av '^\.:')
	domu ls -lanR test:/wide
	same "$label: ls -lanR" <(sed 's/  */ /g' "$T/out") <(below env LC_ALL=C ls -lanRN wide | sed 's/  */ /g; s,^wide,/wide,')
	# Which of two names an inode is counted at depends on the order of the names: only where they are in one directory.
	for o in ' -s /' '-sb /' '-sm /' ' /wide' '-c /wide /deep' '-b /wide' '-d 1 /wide' '-a /many /deep /big'; do
		# shellcheck disable=SC2086
		domu du ${o// \// test:/}
		# shellcheck disable=SC2086
		same "$label: du $o" <(sort "$T/out") <(below du ${o// \// ./} | sed 's,\t\./,\t/,' | sort)
	done
	domu du -k test:/wide/a test:/wide test:/wide/z
	same "$label: du of what lies in each other" <(sort "$T/out") <(below du -k wide/a wide wide/z | sed 's,\twide,\t/wide,' | sort)
}

# Sorted as a walk gives them: a directory's names in order, each followed by what is in it.
by_components() {
	LC_ALL=C perl -e 'local $/ = "\0"; my @l = <STDIN>; chomp @l;
		print map { "$_->[1]\0" } sort { $a->[0] cmp $b->[0] } map { my $k = $_; $k =~ tr,/,\0,; [$k, $_] } @l'
}

kind=0
while read -r type options; do
	kind=$((kind + 1))
	label="$type $options"
	# shellcheck disable=SC2086
	make_fs "$type" "$T/fs.img" walk_tree $options 2>"$T/make.err" || { not_ok "$label: it is made" "$(cat "$T/make.err")"; continue; }
	fs_offset=0 fs_size=0
	config test "$T/fs.img,raw,xvda,w"
	cp --sparse=always "$T/fs.img" "$T/oracle.img"
	kmount "$T/oracle.img" 0 0 "$T/mnt" ro || { not_ok "$label: the kernel mounts it"; continue; }
	m=$T/mnt
	agree "$label"
	kumount "$m"
done <<'EOF'
ext2 -N 6000
ext3 -N 6000
ext4
ext4 -b 1024 -O ^extent,^64bit,^metadata_csum,uninit_bg
ext4 -b 1024 -N 6000 -O inline_data -I 256
ext4 -b 4096 -O bigalloc -C 16384 -N 6000
ext4 -b 1024 -O meta_bg,^resize_inode,^flex_bg -N 6000 -g 8192
ext4 -b 2048 -O large_dir,metadata_csum_seed,^has_journal -I 512 -N 6000
ext4 -b 1024 -O ^dir_index,^filetype -N 6000
EOF

# ---- it says that it has too many inodes for one scan: read in parts

# make_full IMAGE [OPTIONS...]: 620,000 inodes, of which its groups say that all are in use.
make_full() {
	local image=$1 small=$fs_bytes g
	shift
	fs_bytes=$((2560 << 20))
	make_fs ext4 "$image" walk_tree -b 4096 -N 620000 -I 128 -J size=4 "$@" 2>"$T/make.err"
	for ((g = 0; g < 20; g++)); do
		printf 'set_bg %d %s\n' $g 'free_inodes_count 0' $g 'checksum calc'
	done | debugfs -w -f - "$image" >"$T/debugfs.log" 2>&1
	is "in parts: none of the inodes is free" "$(dumpe2fs "$image" 2>/dev/null | grep -c ' 0 free inodes')" 20
	fs_bytes=$small
}

make_full "$T/fs.img"
config test "$T/fs.img,raw,xvda,w"
cp --sparse=always "$T/fs.img" "$T/oracle.img"
if kmount "$T/oracle.img" 0 0 "$T/mnt" ro; then
	m=$T/mnt
	agree "in parts"
	kumount "$m"
else
	not_ok "in parts: the kernel mounts it"
fi

# ---- two filesystems of one guest, as its fstab joins them

with_home() {
	plain_tree "$1"
	echo 'LABEL=home /home ext4 defaults 0 2' >>"$1/etc/fstab"
	mkdir -p "$1"/usr/{a..f}/{a..f}
	: >"$1/home/hidden"
}
home_tree() {
	mkdir -p "$1"/anna "$1"/usr/{a..f}/{a..f}
	seq 1 500 | (cd "$1/usr/a/b" && xargs touch)
}
fs_bytes=$((16 * 1048576))
make_fs ext4 "$T/fs.img" with_home -N 600
make_fs ext4 "$T/home.img" home_tree -N 800 -L home
config test "$T/fs.img,raw,xvda,w" "$T/home.img,raw,xvdb,w"
cp "$T/fs.img" "$T/oracle.img"
cp "$T/home.img" "$T/oracle2.img"
if kmount "$T/oracle.img" 0 0 "$T/mnt" ro && kmount "$T/oracle2.img" 0 0 "$T/mnt/home" ro; then
	m=$T/mnt
	format='%P|%s|%m|%U|%i|%y|%d|%b|%T@\n'
	domu find test:/ -printf "$format"
	same "two filesystems: find" <(sort "$T/out") <(below find . -printf "$format" | sort)
	domu find test:/home/usr -depth -printf "$format"
	same "two filesystems: find -depth in the second" <(sort "$T/out") <(below find home/usr -depth -printf "$format" | sort)
	domu find test:/ -xdev -printf "$format"
	same "two filesystems: find -xdev" <(sort "$T/out") <(below find . -xdev -printf "$format" | sort)
	for o in '' -x -s -sx; do
		domu du ${o:+"$o"} test:/
		same "two filesystems: du $o" <(sort "$T/out") <(below du ${o:+"$o"} . | sed 's,\t\.$,\t/,; s,\t\./,\t/,' | sort)
	done
	domu ls -R test:/
	same "two filesystems: ls -R" <(grep -v '^/:' "$T/out") <(below env LC_ALL=C ls -RN . | sed 's,^\./,/,' | grep -v '^\.:')
	# A bind mount is no filesystem of its own, but what an operand in it is on; what cannot be mounted is not shown.
	cp --sparse=always "$T/fs.img" "$T/bind.img"
	cat "$T/mnt/etc/fstab" >"$T/fstab"
	echo '/home/usr /mnt none bind 0 0' >>"$T/fstab"
	echo '/dev/xvdb /no/such/directory ext4 defaults 0 0' >>"$T/fstab"
	debugfs -w -R 'rm /etc/fstab' "$T/bind.img" 2>/dev/null
	debugfs -w -R "write $T/fstab /etc/fstab" "$T/bind.img" >/dev/null 2>&1
	config bind "$T/bind.img,raw,xvda,w" "$T/home.img,raw,xvdb,w"
	mount --bind "$T/mnt/home/usr" "$T/mnt/mnt"
	domu df bind
	same "a bind mount: df, where" <(sed 1d "$T/out" | awk '{ print $6 }') <(df | awk -v m="$T/mnt" 'index($6 "/", m "/") == 1 { sub(m, "", $6); print $6 == "" ? "/" : $6 }')
	domu df bind:/mnt
	is "a bind mount: df of what is in it, on which" "$(sed 1d "$T/out" | awk '{ print $1, $6 }')" "xvdb /mnt"
	umount "$T/mnt/mnt"
	domu df test:/nowhere test:/home
	is "df of what is not there: status" "$status" 4
	is "df of what is not there: the others" "$(sed 1d "$T/out" | awk '{ print $1, $6 }')" "xvdb /home"
	kumount "$T/mnt/home"
	kumount "$T/mnt"
else
	not_ok "two filesystems: the kernel mounts them"
fi

# ---- damaged: ends soon, says so, shows the rest

# damaged LABEL COMMAND...: debugfs commands on a fresh image; find and du end with 1, and a bounded output.
damaged() {
	local label=$1
	shift
	cp --sparse=always "$T/sound.img" "$T/fs.img"
	printf '%s\n' "$@" | debugfs -w -f - "$T/fs.img" >"$T/debugfs.log" 2>&1
	! cmp -s "$T/sound.img" "$T/fs.img" || { not_ok "$label: the damage is there"; return; }
	domu find test:/
	is "$label: find ends with 1" "$status" 1
	has "$label: it names an inode or says why" "$(err)" 'inode [0-9]+|damaged|structure|levels of symbolic links'
	is "$label: the rest is shown" "$(grep -c '^/many/file-with' "$T/out")" 1500
	is "$label: nothing is shown twice" "$(sort "$T/out" | uniq -d | head -n 3)" ""
	domu du -a test:/
	is "$label: du ends with 1" "$status" 1
	domu ls -R test:/
	is "$label: ls -R ends with 1" "$status" 1
	[ "$(stat -c %s "$T/out")" -lt 3000000 ] && ok "$label: bounded" || not_ok "$label: bounded"
}

fs_bytes=$((48 * 1048576))
make_fs ext4 "$T/sound.img" walk_tree -b 1024 -O ^metadata_csum >"$T/make.err" 2>&1
config test "$T/fs.img,raw,xvda,w"
cp --sparse=always "$T/sound.img" "$T/fs.img"
# ---- what goes to a terminal holds nothing that could steer it

if command -v script >/dev/null; then
	domu find test:/
	is "a name holds an escape" "$(tr -dc '\033' <"$T/out" | wc -c)" 1
	for what in -print -ls "-printf %p:%f:%l\n"; do
		# shellcheck disable=SC2086
		script -qec "$(printf '%q ' "$DOMU" find test:/ $what)" /dev/null </dev/null >"$T/out" 2>&1
		is "find $what on a terminal: no control characters" "$(tr -d '\r\n' <"$T/out" | tr -dc '\000-\037' | wc -c)" 0
	done
else
	skip "find on a terminal" "script is not installed"
fi

damaged "a directory in itself" 'link /wide/a /wide/a/1/loop'
damaged "the root in a directory" 'link / /wide/a/1/root'
damaged "an inode that is not in use" 'link /wide/a/1/x /wide/a/1/gone' 'clri /wide/a/1/x'
damaged "a directory whose size lies" 'sif /wide/zz size 4000000000'
damaged "a block outside the filesystem" 'sif /wide/zz block[4] 0xffffff00' 'sif /wide/b/1 block[5] 0x7fffffff'
damaged "an extent tree that is none" 'sif /wide/zz block[0] 0x12345678'
damaged "a directory that is a file's content" 'sif /big/random mode 040755'
# A part of the inode table of the directories below wide.
ino=$(debugfs -R 'stat /wide/m/2' "$T/sound.img" 2>/dev/null | sed -n 's/^Inode: \([0-9]*\).*/\1/p')
at=$(debugfs -R "imap <$ino>" "$T/sound.img" 2>/dev/null | sed -n 's/.*block \([0-9]*\),.*/\1/p')
cp --sparse=always "$T/sound.img" "$T/keep.img"
dd if=/dev/zero of="$T/sound.img" bs=1024 seek="$at" count=2 conv=notrunc status=none
damaged "zeros in the inode table" 'sif /wide/zz mtime 5'
mv "$T/keep.img" "$T/sound.img"
# And in parts.
make_full "$T/sound.img" -O ^metadata_csum
damaged "in parts: a directory in itself" 'link /wide/a /wide/a/1/loop'
damaged "in parts: an inode that is not in use" 'link /wide/a/1/x /wide/a/1/gone' 'clri /wide/a/1/x'
damaged "in parts: a directory whose size lies" 'sif /wide/zz size 4000000000'
done_testing
