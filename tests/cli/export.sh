#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# export.sh - a guest's tree mounted by export is the one that the kernel mounts, and what is changed there is the guest's.
# shellcheck source-path=SCRIPTDIR/../lib
. "$(dirname "$0")/../lib/functions.sh"
. "$lib/images.sh"
need_kernel
[ -e /dev/fuse ] || skip_all "no /dev/fuse"
mkdir "$T/exp" "$T/exp2"

test_cleanup() {
	umount -l "$T/exp" "$T/exp2" 2>/dev/null
}

# start DIR ARG...: runs export in the background until the mount is there; its process in $exporter.
start() {
	local dir=$1
	shift
	# A job of a shell ignores Ctrl-C unless it is told not to.
	env --default-signal=INT timeout --foreground -k 60 900 "$DOMU" "$@" "$dir" >"$T/out" 2>"$T/err" </dev/null &
	exporter=$!
	wait_until 10 mountpoint -q "$dir" || not_ok "export mounts" "$(err)"
	# timeout passes a signal on, once only with --foreground: the second Ctrl-C could be one to the commit at the end.  What is
	# asked about is its child.
	program=$(pgrep -P "$exporter")
}

# stop SIGNAL: ends it; its status in $status.
stop() {
	kill "-$1" "$exporter"
	wait "$exporter"
	status=$?
}

make_fs ext4 "$T/root.img" rich_tree || not_ok "a filesystem" "$(cat "$T/mke2fs.log")"
# A link that says it has one name and has two, at the top and far down: debugfs counts no names.
echo outside >"$T/outside"
down=d/d/d/d/d/d/d/d/d/d/d/d
kmount "$T/root.img" 0 0 "$T/mnt" rw
mkdir -p "$T/mnt/$down" && ln -s "$T/outside" "$T/mnt/two" && mkdir "$T/mnt/dir" && ln -s "$T/outside" "$T/mnt/dir/link"
kumount "$T/mnt"
cp "$T/root.img" "$T/lies.img"
# The second of two extents lies beyond the end of the disk.
kmount "$T/lies.img" 0 0 "$T/mnt" rw
for i in 0 2; do dd if=/dev/urandom of="$T/mnt/torn" bs=64k seek=$i count=1 conv=notrunc status=none; done
dd if="$T/mnt/torn" of="$T/half" bs=64k count=2 status=none
kumount "$T/mnt"
debugfs -w -R "sif /torn block[8] 0x7ffffff0" "$T/lies.img" 2>/dev/null
for name in two dir; do debugfs -w -R "ln /$name /$down/$name" "$T/lies.img" 2>/dev/null; done
state=$(state_of "$T/root.img")

# ---- read-only: the same as the kernel shows

start "$T/exp" --config-dir "$T/xen" export --raw-links --disk "$T/root.img"
kmount "$T/root.img" 0 0 "$T/mnt" ro
# Birth and blocks of directories apart, FUSE passes on everything; flags (lsattr) it cannot.
listing "$T/mnt" | grep -av '^F' >"$T/kernel"
listing "$T/exp" | grep -av '^F' >"$T/ours"
same "types, modes, owners, links, inodes, blocks, times, contents and xattrs" "$T/ours" "$T/kernel"
check "cp -a of it" cp -a "$T/exp/odd" "$T/copy"
check "leaves holes as they are" test "$(stat -c %b "$T/copy/huge")" -lt 100
check "tar of it is tar of the kernel's mount" cmp \
	<(tar -C "$T/exp" --sort=name --xattrs --acls -cf - etc usr home deep many 2>/dev/null | sha256sum) \
	<(tar -C "$T/mnt" --sort=name --xattrs --acls -cf - etc usr home deep many 2>/dev/null | sha256sum)
is "links as the guest has them lead nowhere" "$(cat "$T/exp/odd/absolute" 2>&1 | grep -o 'Too many levels')" "Too many levels"
touch "$T/exp/new" 2>/dev/null && not_ok "nothing can be written"
is "statfs" "$(stat -fc '%s %b %f %a %c %d' "$T/exp")" "$(stat -fc '%s %b %f %a %c %d' "$T/mnt")"
kumount "$T/mnt"
(cd "$T/exp" && exec sleep 600) &
sleeper=$!
wait_until 60 called $sleeper sleep || not_ok "somebody uses it"
kill -INT "$exporter"
wait_until 5 grep -q 'in use by sleep' "$T/err"
has "somebody who uses it is named" "$(err)" "in use by sleep \(process $sleeper\)"
kill "$sleeper"
wait "$exporter"
is "it ends when he leaves" $? 0
wait "$sleeper" 2>/dev/null
mountpoint -q "$T/exp" && not_ok "nothing is left mounted"
is "the disk was not touched" "$(state_of "$T/root.img")" "$state"

# ---- links stay inside

start "$T/exp" export "$T/root.img"
is "an absolute link leads to the guest's file" "$(cat "$T/exp/odd/absolute")" testguest
is "one that climbs too far stops at the guest's root" "$(readlink "$T/exp/odd/escape")" ../etc/passwd
is "one that is harmless is as it is" "$(readlink "$T/exp/odd/relative")" ../etc/passwd
is "find -L meets nothing of this machine" "$(find -L "$T/exp" -samefile /etc/passwd 2>/dev/null)" ""
start "$T/exp2" export "$T/lies.img"
for name in two dir/link; do
	readlink "$T/exp2/$name" "$T/exp2/$down/$name" >/dev/null
	lacks "nor does $name, which is there twice and says it is not" "$(cat "$T/exp2/$name" "$T/exp2/$down/$name" 2>&1)" '^outside'
done
cat "$T/exp2/torn" >"$T/torn" 2>/dev/null && not_ok "a file that cannot be read whole is an error" "$(stat -c %s "$T/torn")"
is "and keeps its size" "$(stat -c %s "$T/exp2/torn")" 196608
dd if="$T/exp2/torn" of="$T/torn" bs=64k count=2 status=none
same "what is before it is read" "$T/torn" "$T/half"
stop TERM
start "$T/exp2" export "$T/root.img"
check "two at once" cmp "$T/exp/big/random" "$T/exp2/big/random"
stop TERM
is "SIGTERM ends it" "$status" 0
umount "$T/exp"
wait_until 5 sh -c "! pgrep -f 'export $T/root.img $T/exp\$'"
is "umount ends it" "$(pgrep -fc "export $T/root.img $T/exp\$")" 0

start "$T/exp" export "$T/root.img"
kill -KILL "$(pgrep -P "$program")"
wait "$exporter"
is "a worker that is killed" $? 1
has "is told of" "$(err)" "worker ended by signal 9"
mountpoint -q "$T/exp" && not_ok "and leaves no mount"

# ---- changes

mkdir "$T/turns"
for i in $(seq 300); do seq $((i * 7919 % 60 * 40)) >"$T/turns/a-file-with-a-rather-long-name-$i"; done
start "$T/exp" --yes export --rw "$T/root.img"
(
	set -ex
	cd "$T/exp"
	# What is removed while it is open gets another name, and not one that the guest has.
	mkdir own && echo own >own/.domu-rescue-open.1 && echo x >own/x && exec 9<own/x && rm own/x && exec 9<&- || exit 1
	[ "$(cat own/.domu-rescue-open.1)" = own ]
	sed -i s/testguest/newname/ etc/hostname
	# A directory that grows where there is no room in one piece.
	mkdir pad
	for i in $(seq 300); do seq 900 >"pad/$i"; done
	for i in $(seq 1 2 300); do rm "pad/$i"; done
	tar -C "$T" -cf - turns | tar -xpf -
	diff -r turns "$T/turns"
	mkdir src && cd src
	for i in $(seq 1 60); do seq "$i" $((i + 100)) >"a-file-with-a-longer-name-$i"; done
	if command -v git; then
		git init -q . && git add . && git -c user.email=a@b -c user.name=a commit -qm one && git fsck && [ -z "$(git status --short)" ]
	fi
	cd ..
	tar -C "$T/exp/usr" -cf - . | (mkdir usr2 && tar -C usr2 -xpf -)
	ln etc/hostname name2 && ln -s /etc/hostname link && mknod dev c 5 1 && mkfifo fifo
	setfattr -n user.k -v v name2 && setfacl -m u:7:rw name2 && chown 8:9 name2 && chmod 4751 name2
	touch -d '2001-02-03 04:05:06.789' name2
	# An inherited ACL counts instead of the umask; where there is none, the program's own umask does.
	mkdir acl && setfacl -d -m u:7:rwx,o::- acl && (umask 077 && touch acl/new masked && mkdir acl/sub)
	[ "$(getfacl -cnE acl/new | tr '\n' ' ')" = "user::rw- user:7:rwx group::r-x mask::rw- other::---  " ]
	getfacl -cn acl/sub | grep default:user:7:rwx
	[ "$(stat -c %a masked)" = 600 ]
	# The guest's policy names what is new, whatever it is called in this machine.
	mkdir -p etc/selinux/targeted/contexts/files
	printf '/srv/www(/.*)?\tsystem_u:object_r:httpd_t:s0\n' >etc/selinux/targeted/contexts/files/file_contexts
	printf 'SELINUX=enforcing\nSELINUXTYPE=targeted\n' >etc/selinux/config
	truncate -s 1G big/sparse && mv odd odd2 && rm -r many && mv link big/
	exec 9>open && rm open && echo still >&9 && [ "$(find . -maxdepth 1 -name '*open*' | wc -l)" = 1 ] && exec 9>&- && [ "$(find . -maxdepth 1 -name '*open*' | wc -l)" = 0 ] || exit 1
	! fallocate -l 1M big/pre 2>/dev/null && rm -f big/pre
	[ "$(mv -T etc usr 2>&1 | grep -c 'not empty')" = 1 ]
	echo half >half && sync half
) >"$T/log" 2>&1
# Not in one list with the commands: bash would take no notice of set -e there.
worked=$?
[ "$worked" = 0 ] || not_ok "programs work on it" "$(cat "$T/log")"
listing "$T/exp" | grep -av '^F' >"$T/ours"
is "the disk is not written before the end" "$(state_of "$T/root.img")" "$state"
stop INT
is "--yes commits at the end" "$status" 0
fs_offset=0 fsck_clean "e2fsck finds nothing" "$T/root.img"
kmount "$T/root.img" 0 0 "$T/mnt" ro
listing "$T/mnt" | grep -av '^F' >"$T/kernel"
# Links are longer or shorter where they are shown so that they stay inside.
same "the kernel shows what was there" <(grep -av '	l 777 ' "$T/ours") <(grep -av '	l 777 ' "$T/kernel")
is "a link is what was written" "$(readlink "$T/mnt/big/link")" /etc/hostname
kumount "$T/mnt"
works "it is in the history" history "$T/root.img"
has "as one commit" "$(out)" "committed +yes"

start "$T/exp" --yes export --rw "$T/root.img"
mkdir -p "$T/exp/srv/www" && touch "$T/exp/srv/www/index"
stop INT
is "with a policy in the guest, that is committed" "$status" 0
is "new files have the label of the guest's policy" "$(debugfs -R 'ea_get /srv/www/index security.selinux' "$T/root.img" 2>/dev/null)" \
	'security.selinux (29) = "system_u:object_r:httpd_t:s0\000"'

state=$(state_of "$T/root.img")
start "$T/exp" export --rw "$T/root.img"
echo kept >"$T/exp/kept"
stop TERM
is "where nobody can answer nothing is written" "$status" 5
has "and the ways on are told" "$(err)" "kept, nothing was written: domu-rescue diff"
is "the disk is as it was" "$(state_of "$T/root.img")" "$state"
ends "no second stage" 3 --yes export --rw "$T/root.img" "$T/exp"
works "it can be committed later" commit "$T/root.img"
works "and is there" cat --disk "$T/root.img" /kept
start "$T/exp" export --rw "$T/root.img"
stop INT
is "nothing changed, nothing to ask" "$status" 0
start "$T/exp" --yes export --rw "$T/root.img"
echo lost >"$T/exp/lost"
state=$(state_of "$T/root.img")
kill -KILL "$(pgrep -P "$program")"
wait "$exporter"
is "what a worker that was killed had staged is dropped" "$? $(state_of "$T/root.img")" "1 $state"

# ---- what is refused, and what is damaged

ends "not a directory" 1 export "$T/root.img" "$T/root.img"
ends "no directory" 4 export "$T/root.img" "$T/nowhere"
ends "not over this machine's root" 2 export "$T/root.img" /
mkdir -p "$T/full/.hidden"
ends "not over what this machine needs" 2 export "$T/root.img" "$T/full"
kmount "$T/root.img" 0 0 "$T/mnt" ro
ends "a guest in use" 3 export --rw "$T/root.img" "$T/exp"
kumount "$T/mnt"
cp --sparse=always "$T/root.img" "$T/bad.img"
debugfs -w "$T/bad.img" >"$T/log" 2>&1 <<-X
	link <2> deep/a/root
	link deep deep/a/b/up
	sif etc/hostname size 0x7fffffffffff
	sif usr/bin/tool block[2] 0xffffffff
	sif sbin mode 0
	sif home/anna size 0xfffffffff000
X
start "$T/exp" export "$T/bad.img"
timeout "$time_limit" find "$T/exp" -ls >"$T/found" 2>"$T/log"
check "a tree with cycles has an end" test $? -le 1 -a "$(wc -l <"$T/found")" -lt 3000
timeout "$time_limit" head -c 5000000 "$T/exp/etc/hostname" >"$T/log" 2>&1
check "a size that lies is no size of memory" test "$(awk '/VmHWM/ { print $2 }' "/proc/$(pgrep -P "$program")/status")" -lt 200000
stop INT
is "and it ends as ever" "$status" 0
done_testing
