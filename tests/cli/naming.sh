#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# naming.sh - which files are guests, and what an argument names.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
echo new >"$T/new"
mkdir "$T/tree" "$T/tree2"
plain_tree "$T/tree" one
plain_tree "$T/tree2" two
mkdir "$T/tree/a:"
echo colon >"$T/tree/a:/b"
ln -s /etc/hostname "$T/tree/etc/absolute"
ln -s ../../../../../../../etc/hostname "$T/tree/etc/escape"
make() {
	truncate -s 16M "$2"
	mke2fs -q -F -t ext4 -L "$3" -U "6e1c4e43-5d11-4a30-9f83-0d6e37a0b10$4" -d "$1" "$2"
}
make "$T/tree" "$T/one.img" root 1
make "$T/tree2" "$T/two.img" data 2

names() {
	domu list --json "$@"
	jq -r '.guests[].name' "$T/out" | sort | tr '\n' ' '
}

guest_file() {
	printf 'name = "%s"\ndisk = [ "%s,raw,xvda,w" ]\n' "$2" "${3:-$T/one.img}" >"$T/xen/$1"
}

# ---- which files count
for f in a.cfg b.xl c.hvm d.pv e.pvh f; do
	guest_file "$f" "guest-$f"
done
for f in xlexample.pvlinux xlexample.hvm xl.conf g.cfg~ h.cfg.dpkg-old i.cfg.bak .j.cfg '#k.cfg#' l.txt m.cfg.swp n.orig; do
	guest_file "$f" "wrong-$f"
done
printf 'name = "no-disk"\n' >"$T/xen/nodisk.cfg"
printf 'disk = [ "%s,raw,xvda,w" ]\n' "$T/one.img" >"$T/xen/noname.cfg"
is "the files that count" "$(names)" "guest-a.cfg guest-b.xl guest-c.hvm guest-d.pv guest-e.pvh guest-f "
works "a name" cat guest-b.xl:/etc/hostname
is "its file" "$(out)" one
rm "$T"/xen/*

# ---- ambiguity, links, several folders
guest_file web.cfg web
ln -s web.cfg "$T/xen/linked.cfg"
is "links to one file are one guest" "$(names)" "web "
works "a guest with a link to its config" cat web:/etc/hostname
guest_file other.cfg web "$T/two.img"
ends "one name in two files" 2 cat web:/etc/hostname
has "both files are named" "$(tr '\n' ' ' <"$T/err")" 'other\.cfg.*web\.cfg|web\.cfg.*other\.cfg'
works "--config chooses" --config "$T/xen/other.cfg" cat web:/etc/hostname
is "the chosen one" "$(out)" two
rm "$T/xen/other.cfg"
mkdir "$T/xen2"
printf 'name = "second"\ndisk = [ "%s,raw,xvda,w" ]\n' "$T/two.img" >"$T/xen2/second.cfg"
is "--config-dir replaces the folders" "$(names --config-dir "$T/xen2")" "second "
is "--config-dir is repeatable" "$(names --config-dir "$T/xen2" --config-dir "$T/xen")" "second web "
is "DOMU_RESCUE_CONFIG_DIR has several" "$(DOMU_RESCUE_CONFIG_DIR=$T/xen:$T/xen2 names)" "second web "
cp "$T/xen2/second.cfg" "$T/oddly named.txt"
works "--config takes any name" --config "$T/oddly named.txt" cat second:/etc/hostname

# ---- paths
works "a disk by its path" cat "$T/one.img:/etc/hostname"
is "that disk's file" "$(out)" one
cp "$T/xen2/second.cfg" "$T/byname.cfg"
works "a config by its path" cat "$T/byname.cfg:/etc/hostname"
is "that config's guest" "$(out)" two
cd "$T" || exit 1
works "a path that starts with a dot" cat ./one.img:/etc/hostname
ends "a name without a slash is no path" 4 cat one.img:/etc/hostname
works "--disk" --disk "$T/two.img" info
domu --disk "$T/one.img" --disk "$T/two.img" info --json
is "--disk repeated: xvda, xvdb" "$(jq -r '[.nodes[] | select(.kind == "disk") | .name] | join(" ")' "$T/out" 2>/dev/null)" "xvda xvdb"
cp "$T/one.img" "$T/one.qcow2"
domu cat "$T/one.qcow2:/etc/hostname"
is "a suffix says the format: qcow2 is not raw" "$((status == 6 || status == 1))" 1
works "--format raw overrides it" --format raw cat "$T/one.qcow2:/etc/hostname"
cp "$T/one.img" "$T/with:colon.img"
works "a colon in a disk's name" cat "$T/with:colon.img:/etc/hostname"
cp "$T/one.img" "$T/what?x=1.img"
works "a question mark in a disk's name" cat "$T/what?x=1.img:/etc/hostname"
works "and it can be checked" fsck -n "$T/what?x=1.img"
cp "$T/one.img" "$T/a b'c\"d.img"
works "blanks and quotes in a disk's name" cat "$T/a b'c\"d.img:/etc/hostname"
cp "$T/one.img" "$T/"$'new\nline.img'
works "a newline in a disk's name" cat "$T/"$'new\nline.img:/etc/hostname'
ln -s one.img "$T/link.img"
works "a link to a disk" cat "$T/link.img:/etc/hostname"

# ---- GUEST:/path
works "the first :/ splits" cat web:/a:/b
is "a file in a:" "$(out)" colon
works "a link inside the guest" cat web:/etc/absolute
is "an absolute link stays in the guest" "$(out)" one
works "a link that climbs" cat web:/etc/escape
is "it never leaves the guest" "$(out)" one

# ---- GUEST@DEV
printf 'name = "two-disks"\ndisk = [ "%s,raw,xvda,w", "%s,raw,xvdb,w" ]\nroot = "/dev/xvda"\n' "$T/one.img" "$T/two.img" >"$T/xen/td.cfg"
works "the root of two" cat two-disks:/etc/hostname
is "is what root= says" "$(out)" one
for at in xvdb sdb hdb /dev/xvdb LABEL=data UUID=6e1c4e43-5d11-4a30-9f83-0d6e37a0b102; do
	works "@$at" cat "two-disks@$at:/etc/hostname"
	is "@$at is the second" "$(out)" two
done
sed -i '/^root/d' "$T/xen/td.cfg"
ends "two roots without root=" 2 cat two-disks:/etc/hostname
has "the candidates are named" "$(tr '\n' ' ' <"$T/err")" 'xvda.*xvdb'
works "@DEV chooses" cat two-disks@xvda:/etc/hostname
ends "a path without its slash" 4 cat guest-b.xl:etc
has "it says how a path is written" "$(err)" 'guest-b.xl:etc .*GUEST:/path'
ends "a longer one" 4 cat guest-b.xl:etc/hostname
has "as well" "$(err)" 'guest-b.xl:etc/hostname.*GUEST:/path'
ends "@DEV that is not there" 4 cat two-disks@xvdc:/etc/hostname

# ---- xl's disk syntax
n=0
for spec in "$T/one.img,raw,xvda,w" "$T/one.img,,xvda" "format=raw, vdev=xvda, access=rw, target=$T/one.img" \
	"file:$T/one.img,xvda,w" "phy:$T/one.img,xvda,r" "tap:aio:$T/one.img,hda,w" "raw:$T/one.img,sda,w" \
	"vdev=xvda,target=$T/with=equals.img" "backendtype=qdisk,vdev=xvda,format=raw,target=$T/one.img"; do
	cp "$T/one.img" "$T/with=equals.img"
	n=$((n + 1))
	rm -f "$T"/xen/*
	config "syntax$n" "$spec"
	works "disk syntax: ${spec//$T/}" cat "syntax$n:/etc/hostname"
	is "its content: ${spec//$T/}" "$(out)" one
done
rm -f "$T"/xen/*
config cd "$T/one.img,raw,xvda,w" "$T/two.img,raw,hdc,cdrom,r" ",,hdd:cdrom,r"
works "a cdrom and an empty drive beside the disk" cat cd:/etc/hostname
is "the disk's file" "$(out)" one
config readonly "$T/two.img,raw,xvda,r"
domu write readonly:/etc/hostname <"$T/new"
is "a disk that the guest may only read is not written" "$((status == 6 || status == 1))" 1

# ---- the tree follows the guest's fstab
mkdir -p "$T/mtree" "$T/mtree2"
plain_tree "$T/mtree" mounts
echo 'LABEL=data /srv/data ext4 defaults 0 2' >>"$T/mtree/etc/fstab"
mkdir -p "$T/mtree/srv/data"
echo 'on the second disk' >"$T/mtree2/file"
make "$T/mtree" "$T/m1.img" root 3
make "$T/mtree2" "$T/m2.img" data 4
config mounts "$T/m1.img,raw,xvda,w" "$T/m2.img,raw,xvdb,w"
works "a file below a mount point" cat mounts:/srv/data/file
is "comes from the other filesystem" "$(out)" 'on the second disk'
works "writing below a mount point" write mounts:/srv/data/new <"$T/xen/mounts.cfg"
domu cat "$T/m2.img:/new"
is "goes to the other filesystem" "$(out)" "$(cat "$T/xen/mounts.cfg")"
works "@DEV ignores fstab" ls mounts@xvda:/srv/data
is "the mount point is empty there" "$(out)" ""
done_testing
