# SPDX-License-Identifier: GPL-3.0-or-later
# cells.sh - what is tried on each feature set: every changing command, and the same done to a mount by the kernel's tools.
# shellcheck shell=bash disable=SC2034,SC2154

# fill: the tree that is changed, made in the current folder.  Old, and with whole seconds, for inodes of 128 bytes.
fill() {
	local i
	mkdir -p etc home/anna/sub/subsub home/empty var/many srv/shared root
	echo 'LABEL=root / ext4 defaults 0 1' >etc/fstab
	printf 'root:x:0:0:root:/root:/bin/bash\n' >etc/passwd
	echo old >etc/hostname
	chmod 640 etc/hostname
	chown 1000:42 etc/hostname
	ln etc/hostname home/hardlink
	setfattr -n user.note -v kept etc/hostname
	setfattr -n security.selinux -v 'system_u:object_r:etc_t:s0' etc/hostname
	setfacl -m u:1000:rw,g:7:r etc/hostname
	for i in one two; do
		echo $i >etc/$i
		setfattr -n user.shared -v "$(printf '%0600d' 1)" etc/$i
	done
	echo tool >root/tool
	chmod 4755 root/tool
	setfattr -n security.capability -v 0x0100000200240000000000000000000000000000 root/tool
	echo text >home/anna/sub/file
	echo deeper >home/anna/sub/subsub/file
	ln -s file home/anna/sub/link
	seq 1 150000 >home/large
	truncate -s 2M home/sparse
	printf tail | dd of=home/sparse bs=1 seek=2000000 conv=notrunc status=none
	ln -s "$(printf 'x%.0s' {1..150})" home/slow-link
	(cd var/many && seq -f 'a-name-of-some-length-%04g' 1 300 | xargs touch)
	chown 0:50 srv/shared
	chmod 2770 srv/shared
	setfacl -d -m u::rwx,g::rx,u:1000:rwx,m::rwx,o::- srv/shared
	find . -depth ! -path './lost+found*' -exec touch -h -d '2009-02-13 23:31:30 UTC' {} +
}

# host: what cp takes in, in the current folder.
host() {
	mkdir -p dir/sub
	echo 'from the host' >dir/file
	chmod 640 dir/file
	chown 12:34 dir/file
	ln dir/file dir/sub/same
	setfattr -n user.tag -v here dir/file
	setfacl -m u:7:r dir/sub
	ln -s file dir/sub/link
	truncate -s 3M dir/holes
	printf end | dd of=dir/holes bs=1 seek=3000000 conv=notrunc status=none
	mkfifo dir/fifo
	mknod dir/null c 1 3
	echo plain >plain
	seq 1 300000 >large
	printf '#!/bin/sh\necho appended >>"$1"\n' >editor
	chmod 755 editor
	find dir plain -exec touch -h -d '2010-01-02 03:04:05.5 UTC' {} +
	: >nothing
}

acl=0x0200000001000600ffffffff020007000700000004000400ffffffff10000700ffffffff20000000ffffffff

# NAME|COMMAND|WHAT THE KERNEL IS TOLD, where it is not the same.  @ is the guest's root; $H the host's folder.
cells='
write|write @/etc/motd <$H/plain|cat $H/plain >@/etc/motd
over|write @/etc/hostname <$H/plain|cat $H/plain >@/etc/hostname
large|write @/home/anna/sub/file <$H/large|cat $H/large >@/home/anna/sub/file
empty|write @/home/large <$H/nothing|: >@/home/large
edit|edit @/etc/passwd|echo appended >>@/etc/passwd
cp|cp $H/plain @/root/
cp over|cp $H/large @/etc/hostname
cp -a|cp -a $H/dir @/root/
cp -a inside|cp -a @/home @/root/copy
mkdir|mkdir @/srv/new
mkdir -p|mkdir -p @/opt/a/b
rmdir|rmdir @/home/empty
rm|rm @/home/large
rm link|rm @/home/hardlink @/etc/one|rm -f @/home/hardlink @/etc/one
rm slow|rm @/home/slow-link
rm -r|rm -r @/home/anna @/var/many
mv|mv @/etc/fstab @/root/fstab2
mv over|mv @/etc/passwd @/etc/hostname|mv -f @/etc/passwd @/etc/hostname
mv dir|mv @/home/anna @/srv/anna
ln|ln @/etc/passwd @/root/pw
ln -s|ln -s ../etc/passwd @/root/soft
ln -s long|ln -s $LONG @/root/soft
many|touch $(seq -f @/var/many/one-more-name-%g 40)
chmod|chmod 4751 @/etc/passwd @/etc/hostname
chown|chown 70000:80000 @/etc/two
chown -R|chown -R 1000:1000 @/home/anna|chown -hR 1000:1000 @/home/anna
touch|touch @/root/new
touch -d|touch -d 2046-01-31T12:00:00.123456789Z @/etc/passwd
cut|truncate -s 1000 @/home/large
grow|truncate -s 5000000 @/etc/passwd
inherit|write @/srv/shared/file <$H/plain|cat $H/plain >@/srv/shared/file
inherit dir|mkdir @/srv/shared/dir
inherit cp|cp -r $H/dir/sub @/srv/shared/
setfattr|setfattr -n user.more -v $LONG @/etc/one
setfattr -x|setfattr -x user.shared @/etc/two
ACL|setfattr -n system.posix_acl_access -v $ACL @/etc/passwd
chattr|chattr +d @/etc/passwd
mknod|mknod @/root/node b 259 70000
fsck|fsck -p @|:
larger|resize-root --yes @ +16M|:
'

# What "@ext4" in the list of sets stands for.
ext4='-O has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum'
