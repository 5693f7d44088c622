#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# lvm.sh - a guest's logical volumes, made by lvm(8) without ever being activated; its own report says where they are.
# shellcheck source-path=SCRIPTDIR/../lib
. "$(dirname "$0")/../lib/functions.sh"
. "$lib/images.sh"
. "$lib/lvm.sh"
need_kernel
need_lvm
truncate -s 80M "$T/a" "$T/b"
printf 'label: dos\nstart=2048, size=8192, type=83\nstart=10240, type=8e\n' | sfdisk -q "$T/a" 2>/dev/null || true
part=$((10240 * 512))
volumes "$T/a@$part" "$T/b"
make_volumes() {
	set -e
	lvm pvcreate -y "${loops[@]}"
	lvm vgcreate -y my-vg "${loops[@]}"
	lvm lvcreate -y -an -Zn -Wn -n root -l 6 my-vg "${loops[0]}"
	lvm lvcreate -y -an -Zn -Wn -n swap -l 1 my-vg "${loops[0]}"
	lvm lvcreate -y -an -Zn -Wn -n striped -i 2 -I 64k -l 4 my-vg
	lvm lvcreate -y -an -Zn -Wn -n pieces -l 2 my-vg "${loops[0]}"
	lvm lvcreate -y -an -Zn -Wn -n between -l 1 my-vg "${loops[0]}"
	lvm lvextend -y -l +2 my-vg/pieces "${loops[0]}"
	lvm lvextend -y -l +2 my-vg/pieces "${loops[1]}"
	lvm lvcreate -y -an -Zn -Wn -n far -l 2 my-vg "${loops[1]}"
	lvm lvcreate -y -an -Zn -Wn -n held -l 2 my-vg "${loops[1]}"
	lvm lvcreate -y -an -Zn -Wn -n cow -l 1 my-vg "${loops[1]}"
	lvm lvconvert -y -Zn -s my-vg/held my-vg/cow
	lvm lvcreate -y -an -Zn -Wn -pr -n fixed -l 2 my-vg "${loops[1]}"
}
# Not in one list: bash would take no notice of set -e there.
(make_volumes) >"$T/log" 2>&1
made=$?
[ "$made" = 0 ] || skip_all "lvm makes no volumes here: $(tail -n 1 "$T/lvm.log")"

fs_bytes=$((24 * MiB))
make_fs ext4 "$T/root.img" plain_tree -b 1024
data() {
	seq 1 400000 >"$1/numbers"
	mkdir "$1/dir"
	head -c 3000000 /dev/urandom >"$1/dir/random"
}
for v in striped:16 pieces:24 far:8 held:8 fixed:8; do
	fs_bytes=$((${v#*:} * MiB))
	make_fs ext4 "$T/${v%:*}.img" data -b 1024 -L "${v%:*}"
done
kmount "$T/root.img" 0 0 "$T/mnt" rw
mkdir "$T/mnt/striped" "$T/mnt/pieces" "$T/mnt/far"
cat >"$T/mnt/etc/fstab" <<-X
	/dev/mapper/my--vg-root / ext4 defaults 0 1
	/dev/my-vg/striped /striped ext4 defaults 0 2
	LABEL=pieces /pieces ext4 defaults 0 2
	/dev/mapper/my--vg-far /far ext4 defaults 0 2
	/dev/mapper/my--vg-swap none swap sw 0 0
X
kumount "$T/mnt"
for v in root striped pieces far held fixed; do
	scatter "my-vg/$v" "$T/$v.img"
done
# As info has it: NAME TYPE OFFSET SIZE STRIPE PV:BYTE..., on the disk.
for v in root swap striped pieces between far held fixed; do
	segments "my-vg/$v" | while read -r type start size stripe ranges; do
		where=
		for r in $ranges; do
			to=${disks[${r%:*}]}
			first=${r##*:}
			[ "${to% *}" = "$T/a" ] && pv=xvda2 || pv=xvdb
			where+=" $pv:$((${first%-*} * pe + MiB + ${to##* }))"
		done
		echo "my-vg/$v $type $start $size $stripe$where"
	done
done | sort >"$T/segments"
release
config lvm "file:$T/a,xvda,w" "file:$T/b,xvdb,w"

works "info" info lvm
has "shows a volume below its partition" "$(out | sed -n '/xvda2/,/xvdb/p')" "my-vg/root +ext4 +24M"
has "with its pieces where it has several" "$(out | grep -A 3 'my-vg/pieces *ext4' | tail -n 3 | tr -s ' ' | xargs -d '\n')" \
	"xvda2 .37M linear 8M .*xvda2 .49M linear 8M .*xvdb .9M linear 8M "
has "or stripes" "$(out | grep -A 1 'my-vg/striped *ext4')" "xvda2 .29M, xvdb .1M +striped 64K +16M"
is "and none where it is one" "$(out | grep -A 1 'my-vg/root *ext4' | grep -c swap)" 1
works "info --json" info lvm --json
jq -r '.nodes[] | select(.kind == "lv") | .name as $n | .segments[] |
	"\($n) \(.type) \(.offset) \(.size) \(.stripe_size // 0) " + ([.legs[] | "\(.pv):\(.start)"] | join(" "))' "$T/out" |
	sort >"$T/told"
same "has what lvs --segments has" "$T/told" "$T/segments"
is "of volumes alone" "$(jq '[.nodes[] | select(.kind != "lv" and .segments != null)] | length' "$T/out")" 0
works "the tree" find lvm:/ -xdev -name hostname
for v in striped pieces far; do
	kmount "$T/$v.img" 0 0 "$T/mnt" ro
	for f in numbers dir/random; do
		works "$v/$f" cat "lvm:/$v/$f"
		check "is what was written there" cmp "$T/out" "$T/mnt/$f"
	done
	kumount "$T/mnt"
done
lacks "without a warning" "$(err)" warning
works "one by its name" ls lvm@my-vg/striped:/dir
works "a volume in one piece can be changed" write lvm:/etc/motd <"$T/xen/lvm.cfg"
works "and another that the root mounts" mkdir lvm:/far/new
dd if="$T/a" of="$T/now.img" bs=$MiB skip=$((part + MiB)) iflag=skip_bytes count=24 status=none
fs_offset=0 fsck_clean "e2fsck finds nothing" "$T/now.img"
kmount "$T/now.img" 0 0 "$T/mnt" ro
same "the kernel shows the change" "$T/mnt/etc/motd" "$T/xen/lvm.cfg"
kumount "$T/mnt"
volumes "$T/b"
is "lvm still knows its volume" "$(lvm pvs --noheadings -o vg_name | tr -d " " | sort -u)" my-vg
release
state=$(sha "$T/a")$(sha "$T/b")
for v in held fixed; do
	works "$v/numbers" cat "lvm@my-vg/$v:/numbers"
	ends "what a snapshot rests on, or its group has read-only, cannot be changed: $v" 6 touch "lvm@my-vg/$v:/new"
	has "and says why" "$(err)" "my-vg/$v: a volume that (has a snapshot|is read-only in its group)"
	ends "nor repaired" 8 fsck "lvm@my-vg/$v"
done
is "no byte changed" "$(sha "$T/a")$(sha "$T/b")" "$state"

# ---- damage

config half "file:$T/a,xvda,w"
works "a physical volume is missing" info half
has "what it had is told of" "$(err)" "my-vg/striped cannot be opened: a physical volume is missing"
works "the root is there all the same" cat half:/etc/motd
cp --sparse=always "$T/a" "$T/copy"
config twice "file:$T/a,xvda,w" "file:$T/copy,xvdb,w"
domu info twice
has "a copy beside it is not guessed about" "$(err)" "two physical volumes have the same UUID"
# One byte after the other of label, header, area and text: never a crash, and never another volume's bytes.
config bad "file:$T/copy,xvda,w"
for at in 512 540 560 600 4096 4105 4130 4140 4600 5000 6000 9000; do
	cp --sparse=always "$T/a" "$T/copy"
	printf '\377' | dd of="$T/copy" bs=1 seek=$((part + at)) conv=notrunc status=none
	domu info bad
	[ "$status" = 0 ] || not_ok "info of damage at $at" "$(err)"
done
ok "damage is a message at most"
done_testing
