#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# lvm-pieces.sh - volumes of several pieces on two disks are changed, repaired, cut short, undone; what is there afterwards
# is put together by dd where lvm(8) says that the pieces are, for e2fsck and the kernel.
# shellcheck source-path=SCRIPTDIR/../lib
. "$(dirname "$0")/../lib/functions.sh"
. "$lib/images.sh"
. "$lib/lvm.sh"
. "$lib/cut.sh"
need_kernel
need_lvm
need_strace
fs_offset=0

truncate -s 33M "$T/a"
truncate -s 33M "$T/b"
volumes "$T/a" "$T/b"
make_volumes() {
	set -e
	lvm pvcreate -y "${loops[@]}"
	lvm vgcreate -y vg "${loops[@]}"
	# As lvextend leaves it: two pieces on one disk with another volume between them, and one on a second disk.
	lvm lvcreate -y -an -Zn -Wn -n root -l 2 vg "${loops[0]}"
	lvm lvcreate -y -an -Zn -Wn -n between -l 1 vg "${loops[0]}"
	lvm lvextend -y -l +1 vg/root "${loops[0]}"
	lvm lvextend -y -l +2 vg/root "${loops[1]}"
	lvm lvcreate -y -an -Zn -Wn -n striped -i 2 -I 256k -l 4 vg
}
(make_volumes) >"$T/log" 2>&1
made=$?
[ "$made" = 0 ] || skip_all "lvm makes no volumes here: $(tail -n 1 "$T/lvm.log")"

# What is added to the root is more than any two of its pieces have room for.
root_tree() {
	plain_tree "$1"
	mkdir "$1/data"
	printf '/dev/vg/root / ext4 defaults 0 1\n/dev/vg/striped /data ext4 defaults 0 2\n' >"$1/etc/fstab"
	head -c 2000000 /dev/urandom >"$1/etc/filling"
}
data_tree() {
	for i in {1..40}; do
		seq "$i" 4000 >"$1/file-$i"
	done
}
fs_bytes=$((20 * MiB)) && make_fs ext4 "$T/root.img" root_tree -b 1024 -J size=1
fs_bytes=$((16 * MiB)) && make_fs ext4 "$T/striped.img" data_tree -b 1024 -J size=1 -L data
scatter vg/root "$T/root.img"
scatter vg/striped "$T/striped.img"
segments vg/root >"$T/segments"
release
head -c 12000000 /dev/urandom >"$T/payload"
cp --sparse=always "$T/a" "$T/a.base"
cp --sparse=always "$T/b" "$T/b.base"
both=$(sha "$T/a")$(sha "$T/b")
config vm "$T/a,raw,xvda,w" "$T/b,raw,xvdb,w"

fresh() {
	rm -rf "$T/state"
	cp --sparse=always "$T/a.base" "$T/a"
	cp --sparse=always "$T/b.base" "$T/b"
}
now() {
	echo "$(sha "$T/a")$(sha "$T/b")"
}
# put_together: both volumes as they are now, in root.now and striped.now.
put_together() {
	gather vg/root "$T/root.now"
	gather vg/striped "$T/striped.now"
}
put_together
is "lvm's report puts together what was taken apart" "$(sha "$T/root.now") $(sha "$T/striped.now")" \
	"$(sha "$T/root.img") $(sha "$T/striped.img")"
is "the root is in three pieces" "$(grep -c linear "$T/segments")" 3

# ---- an edit, of both at once

listing_of "$T/root.img" "$T/root.before" 0
works "an edit that fills all pieces" write vm:/etc/big <"$T/payload"
works "and a script that changes both volumes" shell vm -c 'mkdir /srv/new -p; rm /data/file-7; mv /data/file-8 /data/was-8'
put_together
for v in root striped; do
	fsck_clean "$v: e2fsck finds nothing" "$T/$v.now"
done
listing_of "$T/root.now" "$T/root.after" 0
is "the kernel shows exactly the change" "$(changed "$T/root.before" "$T/root.after" | tr ' ' '\n' | sort -u | xargs)" \
	". ./etc ./etc/big ./srv ./srv/new"
kmount "$T/root.now" 0 0 "$T/mnt" ro
check "with every byte" cmp "$T/payload" "$T/mnt/etc/big"
kumount "$T/mnt"
kmount "$T/striped.now" 0 0 "$T/mnt" ro
is "and the other" "$(cd "$T/mnt" && echo file-[78] was-*)" "file-[78] was-8"
kumount "$T/mnt"
check "more than one disk was written" test "$(sha "$T/b")" != "$(sha "$T/b.base")"
works "cat gives it back" cat vm:/etc/big
check "the same" cmp "$T/out" "$T/payload"
works "history" history vm --json
is "has both commits" "$(jq '[.commits[] | select(.undoable)] | length' "$T/out")" 2
works "undo" undo vm
works "undo of the first" undo vm "$(domu history vm --json; jq -r '[.commits[] | select(.state == "committed" and .undoable)][-1].id' "$T/out")"
is "all bytes of both disks are as before" "$(now)" "$both"

# ---- a stage, its diff, and what the guest's lvm does in the meantime

fresh
# shellcheck disable=SC2016
domu shell vm -c 'mkdir /etc/kept; rm /data/file-3; !kill -HUP $PPID' || true
works "a stage is compared" diff vm --json
is "in files" "$(jq -r '.files[] | "\(.change) \(.path)"' "$T/out" | grep -v metadata | sort | xargs)" \
	"added /etc/kept removed /data/file-3"
is "and the disks are as before" "$(now)" "$both"
volumes "$T/a" "$T/b"
lvm lvcreate -y -an -Zn -Wn -n late -l 1 vg >"$T/log" 2>&1
release
changed_by_lvm=$(now)
check "lvm changes the group" test "$changed_by_lvm" != "$both"
ends "then the stage cannot be committed" 3 commit vm
has "which says why" "$(err)" "superblock or table of xvd[ab].*not what it was.*rollback vm"
is "nothing is written" "$(now)" "$changed_by_lvm"
works "but dropped" rollback vm --yes

# ---- an undo, when the volume was moved by somebody who copied it whole

fresh
works "a file is changed" write vm:/data/file-5 <"$T/xen/vm.cfg"
domu undo vm
works "and changed again by an undo of the undo" undo vm
put_together
volumes "$T/a" "$T/b"
move_striped() {
	set -e
	lvm lvrename -y vg striped was
	lvm lvcreate -y -an -Zn -Wn -n striped -i 2 -I 256k -l 2 vg
	lvm lvremove -y vg/was
	lvm lvextend -y -i 2 -I 256k -l 4 vg/striped
}
(move_striped) >"$T/log" 2>&1
mv "$T/parts/vg-striped" "$T/parts/was"
scatter vg/striped "$T/striped.now"
release
check "it lies elsewhere" test "$(cat "$T/parts/was")" != "$(cat "$T/parts/vg-striped")"
works "it is read where it is now" cat vm:/data/file-5
check "with what was written" cmp "$T/out" "$T/xen/vm.cfg"
before=$(now)
ends "what was replaced where it was is not put back there" 1 undo vm
has "which says why" "$(err)" "vg/striped does not lie any more where it lay then"
lacks "and promises no other way" "$(err)" "--files"
ends "nor file by file" 1 undo vm --files
has "which says why, too" "$(err)" "vg/striped does not lie any more where it lay then"
is "and nothing is written" "$(now)" "$before"
mv "$T/parts/was" "$T/parts/vg-striped"

# ---- an undo, when lvm changed the group and not where the volumes lie

# lvm_did WHAT: that is called with the volumes there; what follows is compared with the disks after it.
lvm_did() {
	volumes "$T/a" "$T/b"
	"$1" >"$T/log" 2>&1 || not_ok "lvm: $1" "$(tail -n 2 "$T/lvm.log")"
	release
}
extends() {
	lvm lvextend -y -l +1 vg/between && lvm lvextend -y -l +1 vg/root "${loops[1]}" && lvm lvcreate -y -an -Zn -Wn -n new -l 1 vg &&
		lvm lvrename -y vg root system && lvm vgrename -y vg house
}
back() {
	lvm vgrename -y house vg && lvm lvrename -y vg system root
}
snapshot() {
	lvm lvcreate -y -an -Zn -Wn -n cow -l 1 vg && lvm lvconvert -y -Zn -s vg/striped vg/cow
}
fresh
works "files are changed on both" shell vm -c "mkdir /etc/new; rm /data/file-9"
lvm_did extends
works "their undo, when the group has changed" undo vm
put_together
is "is exact" "$(sha "$T/root.now") $(sha "$T/striped.now")" "$(sha "$T/root.img") $(sha "$T/striped.img")"
works "and so is that of the undo" undo vm
lvm_did back
works "what the commit had written is there again" stat -c %F vm:/etc/new
lvm_did snapshot
state=$(now)
ends "a volume with a snapshot is not written past it" 6 undo vm
has "which says why" "$(err)" "nothing was written; vg/striped: a volume that has a snapshot, which would miss the change"
is "and nothing is" "$(now)" "$state"
# Its extents go to another, which holds the same bytes as yet.
other() {
	local ranges
	read -r _ _ _ _ ranges < <(segments vg/striped)
	# shellcheck disable=SC2086
	lvm lvremove -y vg/cow && lvm lvremove -y vg/striped && lvm lvcreate -y -an -Zn -Wn -n other -i 2 -I 256k -l 4 vg $ranges
}
lvm_did other
volumes "$T/a" "$T/b"
is "another volume has its place" "$(parts vg/other)" "$(parts vg/striped)"
release
ends "another volume in its place is not written" 1 undo vm
has "which says why" "$(err)" "striped does not lie any more where it lay then"

# It lies elsewhere under another name, and another has its name, its place and, as yet, its bytes.
exchanges() {
	local a b
	lvm lvcreate -y -an -Zn -Wn -n other -i 2 -I 256k -l 4 vg && lvm vgcfgbackup -f "$T/vg.cfg" vg || return
	read -r a < <(lvm lvs --noheadings -o lv_uuid vg/striped)
	read -r b < <(lvm lvs --noheadings -o lv_uuid vg/other)
	sed -i "s/$a/THAT/; s/$b/$a/; s/THAT/$b/" "$T/vg.cfg" && lvm vgcfgrestore -f "$T/vg.cfg" vg
}
fresh
works "a file is changed" write vm:/data/file-5 <"$T/xen/vm.cfg"
lvm_did exchanges
state=$(now)
ends "another volume of its name in its place is not written" 1 undo vm
has "which says why" "$(err)" "vg/striped does not lie any more where it lay then"
is "and nothing is" "$(now)" "$state"

# ---- file by file, when the guest has run

fresh
works "a file is changed" write vm:/data/file-5 <"$T/xen/vm.cfg"
put_together
kmount "$T/striped.now" 0 0 "$T/mnt" rw
echo guest >"$T/mnt/by-the-guest"
kumount "$T/mnt"
scatter vg/striped "$T/striped.now"
ends "its undo is refused" 1 undo vm
works "but not file by file" undo vm --files
put_together
fsck_clean "e2fsck finds nothing" "$T/striped.now"
kmount "$T/striped.now" 0 0 "$T/mnt" ro
check "the file is as it was" cmp "$T/mnt/file-5" <(seq 5 4000)
is "what the guest wrote is there" "$(cat "$T/mnt/by-the-guest")" guest
kumount "$T/mnt"

# ---- a repair

fresh
cp "$T/striped.img" "$T/damaged.img"
debugfs -w -R 'clri file-20' "$T/damaged.img" >/dev/null 2>&1
debugfs -w -R 'set_inode_field file-21 links_count 9' "$T/damaged.img" >/dev/null 2>&1
scatter vg/striped "$T/damaged.img"
ends "fsck -n finds it" 4 fsck -n vm@vg/striped
ends "fsck -y repairs the striped volume" 1 fsck -y vm@vg/striped
E2FSCK_TIME=1700000000 ends "and once more has nothing to do" 0 fsck -y vm@vg/striped
put_together
fsck_clean "e2fsck agrees" "$T/striped.now"
E2FSCK_TIME=1700000000 e2fsck -fy "$T/damaged.img" >/dev/null 2>&1
E2FSCK_TIME=1700000000 e2fsck -fy "$T/damaged.img" >/dev/null 2>&1
cp "$T/striped.now" "$T/now.img"
E2FSCK_TIME=1700000000 e2fsck -fy "$T/now.img" >/dev/null 2>&1
for f in damaged now; do
	kmount "$T/$f.img" 0 0 "$T/mnt" ro
	listing "$T/mnt" >"$T/$f.list"
	kumount "$T/mnt"
done
same "and so does a repair of the volume put together" "$T/now.list" "$T/damaged.list"
works "a check of the whole guest" fsck vm

# ---- a guest that crashed

fresh
cp "$T/striped.img" "$T/crashed.img"
kmount "$T/crashed.img" 0 0 "$T/mnt" rw
echo last words >"$T/mnt/words"
rm "$T/mnt/file-1"
sync -f "$T/mnt"
cp "$T/crashed.img" "$T/copy.img"
kumount "$T/mnt"
check "its journal is not empty" grep -q needs_recovery < <(dumpe2fs -h "$T/copy.img" 2>/dev/null)
scatter vg/striped "$T/copy.img"
before=$(now)
works "a reader sees the journal replayed" cat vm:/data/words
is "as the guest wrote it" "$(out)" "last words"
is "and writes nothing" "$(now)" "$before"
works "a change keeps it" write vm:/data/new <"$T/xen/vm.cfg"
put_together
fsck_clean "the volume is whole" "$T/striped.now"
kmount "$T/striped.now" 0 0 "$T/mnt" ro
is "and has all of it" "$(cat "$T/mnt/words"; cmp "$T/mnt/new" "$T/xen/vm.cfg"; ls "$T/mnt/file-1" 2>/dev/null)" "last words"
kumount "$T/mnt"

# ---- a commit that is cut short

fresh
head -c 3000000 /dev/urandom >"$T/payload"
at=$(writes write vm:/etc/big)
for n in $((at / 2)) $((at - 3)); do
	fresh
	killed "$n" write vm:/etc/big
	put_together
	if ! closed "$T/root.now"; then
		# The first writes are of the undo file.
		is "cut at $n: as before" "$(now)" "$both"
		continue
	fi
	was_closed=$n
	mount -o loop,ro "$T/root.now" "$T/mnt" 2>/dev/null
	isnt=$?
	check "cut at $n: the kernel does not mount it" test $isnt != 0
	ends "cut at $n: nor is it read" 7 cat vm:/etc/motd
	works "cut at $n: recover" recover vm
	put_together
	fsck_clean "cut at $n: whole" "$T/root.now"
	kmount "$T/root.now" 0 0 "$T/mnt" ro
	check "cut at $n: new" cmp "$T/payload" "$T/mnt/etc/big"
	kumount "$T/mnt"
done
check "one of them was closed" test -n "${was_closed-}"

# ---- and its state directory is lost

# opened NAME GUEST VOLUME [FEATURE]: what recover says to do is done as it is printed, and e2fsck is content with what comes of it.
opened() {
	local way
	rm -rf "$T/state"
	ends "$1: recover does not open it" 7 recover "$2"
	way=$(err | sed -n 's/.*what cannot be repaired: \(.*\), then domu-rescue fsck -y .*$/\1/p')
	has "$1: but says how to" "$way" "dd bs=1 seek=[0-9]+ conv=notrunc,fsync of=$T/"
	bash -c "$way" >"$T/way" 2>&1
	is "$1: which works" "$?" 0
	gather "$3" "$T/open.now"
	has "$1: e2fsprogs finds its superblock sound" "$(dumpe2fs -h "$T/open.now" 2>&1)" "Filesystem features:.*${4-}"
	lacks "$1: and open" "$(dumpe2fs -h "$T/open.now" 2>&1)" "FEATURE_I30|does not match"
	eval "domu $(err | sed -n 's/.*, then domu-rescue \(fsck -y .*\)$/\1/p')"
	has "$1: then it is repaired" "$status" '^[01]$'
	gather "$3" "$T/open.now"
	fsck_clean "$1: e2fsck finds nothing" "$T/open.now"
}
fresh
killed "$was_closed" write vm:/etc/big
opened "lost" vm vg/root metadata_csum
kmount "$T/open.now" 0 0 "$T/mnt" ro
check "lost: the kernel mounts it" test -e "$T/mnt/etc/hostname"
kumount "$T/mnt"

# ---- its size

fresh
fs_bytes=$((9 * MiB)) && make_fs ext4 "$T/small.img" data_tree -b 1024 -J size=1 -L data
scatter vg/striped "$T/small.img"
works "the filesystem grows to what the volume has" resize vm vg/striped max
put_together
fsck_clean "e2fsck finds nothing" "$T/striped.now"
is "it has all of it" "$(dumpe2fs -h "$T/striped.now" 2>/dev/null | sed -n 's/^Block count: *//p')" 16384
before=$(now)
ends "the volume itself does not" 6 resize vm vg/striped +8M
has "which says what to do" "$(err)" "vg/striped has 16M.*lvextend in the guest"
is "and changes nothing" "$(now)" "$before"

# ---- a disk that the guest only reads

fresh
config half "$T/a,raw,xvda,w" "$T/b,raw,xvdb,r"
works "a volume of which a disk is read-only is read" cat half:/etc/hostname
ends "and not changed" 6 touch half:/etc/new
has "which says why" "$(err)" "read-only"
is "and nothing changes" "$(now)" "$both"

# ---- pieces as small as they can be: the superblock is not in the first

pe=1024
truncate -s 4M "$T/c"
truncate -s 20M "$T/d"
volumes "$T/c" "$T/d"
make_tiny() {
	set -e
	lvm pvcreate -y "${loops[@]}"
	lvm vgcreate -y -s 1k tiny "${loops[@]}"
	lvm lvcreate -y -an -Zn -Wn -n root -l 1 tiny "${loops[0]}"
	lvm lvextend -y -l +8191 tiny/root "${loops[1]}"
}
(make_tiny) >"$T/log" 2>&1
fs_bytes=$((8 * MiB)) && make_fs ext4 "$T/tiny.img" plain_tree -b 1024 -J size=1
scatter tiny/root "$T/tiny.img"
release
sb=$(grep -obUaP '\x53\xef\x01\x00' "$T/c" | head -n 1)
is "no superblock on the first disk" "$sb" ""
config tiny "$T/c,raw,xvda,w" "$T/d,raw,xvdb,w"
before="$(sha "$T/c")$(sha "$T/d")"
works "an edit" write tiny:/etc/motd <"$T/xen/vm.cfg"
gather tiny/root "$T/tiny.now"
fsck_clean "e2fsck finds nothing" "$T/tiny.now"
works "undo" undo tiny
is "gives back every byte" "$(sha "$T/c")$(sha "$T/d")" "$before"
head -c 20000 /dev/urandom >"$T/payload"
at=$(writes write tiny:/etc/big)
domu undo tiny
killed $((at - 1)) write tiny:/etc/big
gather tiny/root "$T/tiny.now"
check "a cut closes the second disk's sector" closed "$T/tiny.now"
works "recover" recover tiny
gather tiny/root "$T/tiny.now"
fsck_clean "opens it again" "$T/tiny.now"
kmount "$T/tiny.now" 0 0 "$T/mnt" ro
check "with what was committed" cmp "$T/payload" "$T/mnt/etc/big"
kumount "$T/mnt"
domu undo tiny
killed $((at - 1)) write tiny:/etc/big
gather tiny/root "$T/tiny.now"
check "cut once more" closed "$T/tiny.now"
opened "lost where the superblock is in the midst of pieces" tiny tiny/root
done_testing
