#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# diff.sh - what diff tells is what two mounts by the kernel, before and after the commit, show; -u is a patch between them.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
. "$(dirname "$0")/../lib/compare.sh"
need_kernel
fs_bytes=$((24 * 1048576)) fs_offset=0
disk=$T/disk.img
config test "$disk,raw,xvda,w"
seeded

fill() {
	local d f
	plain_tree "$1"
	for d in 1 2 3 4 5 6; do
		mkdir -p "$1/srv/d$d/sub/below"
		for f in 1 2 3 4 5 6 7 8; do
			seq 1 $((f * d * 20)) >"$1/srv/d$d/f$f"
		done
		seq 1 40 >"$1/srv/d$d/sub/below/text"
		ln -s f1 "$1/srv/d$d/link"
		ln "$1/srv/d$d/f2" "$1/srv/d$d/hard"
		head -c 9000 /dev/urandom >"$1/srv/d$d/binary"
	done
	(cd "$1/srv/d6" && seq -f 'a-name-of-some-length-%04g' 1 600 | xargs touch)
	mknod "$1/srv/null" c 1 3
	mkfifo "$1/srv/fifo"
	echo 'odd name' >"$1/srv/with space"
	echo 'odd name' >"$1/srv/quote\"and\\backslash"
	printf 'no newline' >"$1/srv/no-newline"
	head -c 200000 /dev/urandom >"$1/srv/large"
	setfattr -n user.note -v kept "$1/srv/d1/f3"
	setfattr -n security.selinux -v "system_u:object_r:etc_t:s0" "$1/srv/d1/f4" 2>/dev/null
	setfacl -m u:1000:rw "$1/srv/d1/f5"
}

fresh() {
	rm -rf "$T/state"
	cp --sparse=always "$T/$1.img" "$disk"
}

# differing: blocks in which the disk is not as the base.
differing() {
	cmp -l "$T/base.img" "$disk" | awk '{ u[int(($1 - 1) / 4096)] = 1 } END { print length(u) }'
}

# ---- a random bunch of changes: RANDOM is of this shell alone, so nothing here may be drawn in a subshell
bunch() {
	local i d f n
	rm -rf "$T/host"
	mkdir "$T/host"
	mknod "$T/host/null" c 1 $((RANDOM % 5 + 4))
	echo "other" >"$T/host/other"
	cp "$T/host/other" "$T/host/marked"
	setfattr -n user.note -v changed "$T/host/marked"
	for ((i = 0; i < 25; i++)); do
		d=$((RANDOM % 6 + 1)) f=$((RANDOM % 8 + 1)) n=$i
		case $((RANDOM % 15)) in
		0) echo "write /srv/d$d/f$f < $T/host/other" ;;
		1) echo "rm -f /srv/d$d/f$f" ;;
		2) echo "touch /srv/d$d/hard" ;;
		3) echo "chmod $((RANDOM % 2 ? 600 : 755)) /srv/d$d/binary" ;;
		4) echo "chown $((RANDOM % 3)):7 /srv/d$d/sub" ;;
		5) echo "mkdir -p /srv/d$d/new$n/deep" ;;
		6) echo "ln -f /srv/d$d/binary /srv/hard$n" ;;
		7) echo "ln -sf other$n /srv/d$d/link" ;;
		8) echo "mv /srv/d$d/binary /srv/moved$n && mv /srv/moved$n /srv/d$d/binary" | sed 's/ && /\n/' ;;
		9) echo "rm -rf /srv/d$d/sub/below" ;;
		10) echo "truncate -s $((RANDOM % 4000)) /srv/d$d/binary" ;;
		11) echo "cp -a /srv/d$d/sub /srv/copy$n" ;;
		12) echo "touch -d 2001-02-03 /srv/d$d/sub" ;;
		13) echo "mv -f /srv/large /srv/large$n" && echo "mv -f /srv/large$n /srv/large" ;;
		14) printf 'touch /srv/d6/a-name-of-some-length-%04d /srv/d%d/added%d\n' $((RANDOM % 600 + 1)) "$d" "$n" ;;
		esac
	done
	echo "cp -a host:$T/host/null /srv/null"
	echo "cp -a host:$T/host/marked /srv/d1/f3"
	echo "mv '/srv/with space' '/srv/other space'"
	echo "rm /srv/fifo"
}

# The last one is read by other ways: content in inodes, values of attributes in inodes of their own, 4 KiB blocks.
for type in ext2 ext3 "ext4 -O inline_data,ea_inode -b 4096" ext4; do
	# shellcheck disable=SC2086
	make_fs ${type%% *} "$T/base.img" fill ${type#"${type%% *}"}
	cp --sparse=always "$T/base.img" "$T/before.img"
	kernel "$T/before.img" "$T/before"
	for round in 1 2; do
		fresh base
		{
			bunch
			echo "diff --json > $T/json"
		} >"$T/script"
		domu shell -k test <"$T/script"
		lacks "$type, bunch $round: no inode is unknown to diff" "$(err)" 'cannot be read'
		kernel "$disk" "$T/after"
		same "$type, bunch $round: diff tells what the kernel shows" <(ours) <(oracle "$T/before" "$T/after")
		is "$type, bunch $round: as many blocks as a commit writes" "$(jq .blocks "$T/json")" \
			"$(domu history test --json; jq '.commits[0].blocks' "$T/out")"
		is "$type, bunch $round: as many as differ" "$(jq .blocks "$T/json")" "$(differing)"
	done
done

# ---- one thing at a time: path, change and what it says
# tells NAME EXPECTED COMMAND...
tells() {
	local name=$1 want=$2
	shift 2
	fresh base
	printf '%s\n' "$@" "diff --json > $T/json" >"$T/script"
	works "$name" shell test "$T/script"
	is "$name: is told" "$(ours | tr '\t\n' ' ,')" "$want"
	is "$name: as many blocks as differ afterwards" "$(jq .blocks "$T/json")" "$(differing)"
	[ -z "${what-}" ] || has "$name: and what" "$(jq -r '.files[].what' "$T/json")" "$what"
	what=
}

what='^times$' tells "times alone" "metadata /etc/group," "touch /etc/group"
what='^times$' tells "the same content written again" "metadata /etc/group," "cat /etc/group > $T/group" "write /etc/group < $T/group"
what='mode 0600, was 0644' tells "a mode" "metadata /etc/group," "chmod 600 /etc/group"
what='owner 3:4, was 0:0' tells "an owner" "metadata /etc/group," "chown 3:4 /etc/group"
what='links 2, were 1' tells "a hard link" "added /etc/group2,metadata /etc/group," "ln /etc/group /etc/group2"
tells "a rename" "added /etc/g,removed /etc/group," "mv /etc/group /etc/g"
what='^target$' tells "a link's target" "modified /srv/d1/link," "ln -sfT f9 /srv/d1/link"
what='was a (regular )?file' tells "a file that becomes a folder" "modified /etc/group," "rm /etc/group" "mkdir /etc/group"
tells "one byte more" "modified /etc/group," "cat /etc/group > $T/group" "!echo >> $T/group" "write /etc/group < $T/group"
tells "times of a folder alone" "metadata /srv/d1," "touch -d 2001-02-03 /srv/d1"
fresh base
mkdir "$T/odd"
: >"$T/odd/x"$'\n'"- y"
printf '%s\n' "cp -r host:$T/odd /srv" diff >"$T/script"
works "a name with a newline" shell test "$T/script"
is "has one line" "$(out | grep -v blocks)" $'+ /srv/odd\n+ /srv/odd/x\\012- y'
tells "a new file in a folder" "added /srv/d1/x," "touch /srv/d1/x"
fresh base
printf '%s\n' 'touch /srv/d1/x /srv/d2/x' 'cd /srv' "diff --json d2 > $T/json" >"$T/script"
works "a PATH" shell test "$T/script"
is "a PATH: only what is below it" "$(ours | tr '\t\n' ' ,')" "added /srv/d2/x,"
ends "a PATH that is on neither side" 4 shell test -c 'touch /srv/x; diff /none'
fresh base
works "a PATH of what did not change" shell test -c 'touch /srv/x; diff /etc/fstab'
lacks "a PATH of what did not change: it is not told" "$(out)" fstab

# ---- -u
fresh base
cat >"$T/script" <<END
cat /srv/d1/f8 > $T/text
!sed -i -e 3d -e 's/^90\$/ninety/' -e '\$aend' $T/text
write /srv/d1/f8 < $T/text
rm /srv/d2/f3
touch /srv/empty
chmod 755 /srv/d2/f4
write /srv/d2/new < $T/text
mv '/srv/with space' '/srv/other space'
rm '/srv/quote"and\\backslash'
write /srv/no-newline < $T/text
ln -s d1/f8 /srv/newlink
rm /srv/d3/link
ln -sfT f7 /srv/d4/link
rm /srv/d5/f1
ln -s f2 /srv/d5/f1
diff -u > $T/patch
diff -U 0 /srv/d1/f8 > $T/patch0
diff -u --json > $T/json
END
works "diff -u" shell test "$T/script"
is "diff -u: nothing but the patch" "$(sed -n 1p "$T/patch")" 'diff --git a/srv/d1/f8 b/srv/d1/f8'
has "diff -u: the labels" "$(cat "$T/patch")" '^--- a/srv/d1/f8$'
has "diff -u: modes" "$(cat "$T/patch")" '^new mode 100755$'
is "-U 0 has no context" "$(grep -c '^ ' "$T/patch0")" 0
is "JSON has the patch too" "$(jq -r .content "$T/json")" "$(cat "$T/patch")"
for side in old new; do
	mkdir "$T/$side"
	kmount "$([ $side = old ] && echo "$T/before.img" || echo "$disk")" 0 0 "$T/mnt" ro
	cp -a "$T/mnt/srv" "$T/$side"
	kumount "$T/mnt"
	# The listing of a patch: no times, no folders.
	rm -rf "$T/$side/srv/null" "$T/$side/srv/fifo"
done
cp -a "$T/old" "$T/by-git"
check "patch -p1 takes it" sh -c "cd '$T/old' && patch -p1 -s <'$T/patch'"
is "the patched tree is the new tree" "$(diff -r --no-dereference "$T/old" "$T/new" 2>&1)" ""
is "its modes too" "$(cd "$T/old" && find . ! -type d -printf '%m %p\n' | sort | md5sum)" \
	"$(cd "$T/new" && find . ! -type d -printf '%m %p\n' | sort | md5sum)"

check "git apply takes it" sh -c "cd '$T/by-git' && git apply -p1 <'$T/patch'"
is "what git made of it is the new tree" "$(diff -r --no-dereference "$T/by-git" "$T/new" 2>&1)" ""

fresh base
printf '%s\n' "write /srv/large < $T/patch" 'chown 4:4 /srv/d1/f1' 'mkdir /srv/made' 'rm /srv/fifo' "diff -u > $T/patch" >"$T/script"
works "diff -u of what is no text" shell test "$T/script"
has "binary files with their sizes" "$(cat "$T/patch")" '^Binary files a/srv/large \(200000 bytes\) and b/srv/large \([0-9]+ bytes\) differ$'
has "an owner is a remark" "$(cat "$T/patch")" '^# /srv/d1/f1: owner 4:4, was 0:0$'
has "a folder is one" "$(cat "$T/patch")" '^# /srv/made: directory added$'
has "a pipe is one" "$(cat "$T/patch")" '^# /srv/fifo: fifo removed$'
if command -v script >/dev/null; then
	fresh base
	printf 'red\e[31mtext\n' >"$T/red"
	script -qec "$DOMU shell test -c 'write /srv/red < $T/red; write \"/srv/esc\$(printf \"\\033\")name\" < $T/red; diff -u; diff'" /dev/null >"$T/typescript" </dev/null
	has "on a terminal the text is there" "$(cat -v "$T/typescript")" '\+red\\033\[31mtext'
	lacks "and no control character of the guest" "$(tr -d '\r\n\t' <"$T/typescript")" $'\e'
fi

# ---- a large file without a change of size: read only where its blocks differ
fresh base
printf '%s\n' "touch /srv/large" "diff --json > $T/json" >"$T/script"
works "a large file with other times" shell test "$T/script"
is "a large file with other times is metadata" "$(ours)" $'metadata\t/srv/large'

# ---- several filesystems and disks
make_fs ext4 "$T/fs.img" plain_tree
make_disk gpt "$T/fs.img" "$disk"
truncate -s 8M "$T/boot.img" "$T/data.img"
mke2fs -q -F -t ext2 -L boot "$T/boot.img"
dd if="$T/boot.img" of="$disk" bs=1M seek=1 conv=notrunc status=none
mke2fs -q -F -t ext4 -L data "$T/data.img"
kmount "$disk" "$fs_offset" "$fs_size" "$T/mnt" rw
printf 'LABEL=root / ext4 defaults 0 1\nLABEL=boot /boot ext2 defaults 0 2\n' >"$T/mnt/etc/fstab"
mkdir "$T/mnt/boot"
kumount "$T/mnt"
config two "$disk,raw,xvda,w" "$T/data.img,raw,xvdb,w"
rm -rf "$T/state"
mkfifo "$T/in"
"$DOMU" shell two <"$T/in" >"$T/left.out" 2>&1 &
pid=$!
exec 7>"$T/in"
printf '%s\n' 'touch /boot/kernel /etc/motd' 'use xvdb' 'mkdir /stuff' "ls / > $T/staged" >&7
wait_until 20 grep -qx stuff "$T/staged"
kill -HUP $pid
exec 7>&-
wait $pid
works "diff of two disks" diff two --json
cp "$T/out" "$T/json"
is "each filesystem by where it is mounted, or its device" "$(ours | cut -f2 | tr '\n' ' ')" "/boot/kernel /etc/motd @xvdb:/stuff "
is "blocks by disk" "$(jq -r '.devices[].device' "$T/json" | tr '\n' ' ')" "xvda xvdb "
is "their sum" "$(jq '[.devices[].blocks] | add' "$T/json")" "$(jq .blocks "$T/json")"
works "diff of one of them" diff two@xvdb
has "diff of one of them: its paths alone" "$(out)" '^\+ /stuff$'
works "diff of a path by GUEST:" diff two:/boot
is "diff of a path by GUEST:" "$(out | head -n 1)" "+ /boot/kernel"
works "dropping it" rollback two --yes
works "a shell that uses one of them" shell two -c "touch /etc/motd; use xvdb; mkdir /stuff; diff --json > $T/json; rollback"
is "a shell that uses one of them: what a commit would write is told" "$(ours | cut -f2 | tr '\n' ' ')" "/stuff @xvda2:/etc/motd "
done_testing
