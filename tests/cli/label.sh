#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# label.sh - new files of a guest that uses SELinux have the label of its own file_contexts, however they come to be.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((24 * 1048576))

# A compiled policy beside it, as every such guest has: it must not be looked at.
fill() {
	plain_tree "$1"
	mkdir -p "$1/etc/selinux/targeted/contexts/files" "$1/srv/www"
	printf '# as installed\n SELINUX=enforcing # really\nSELINUXTYPE=targeted\n' >"$1/etc/selinux/config"
	local f=$1/etc/selinux/targeted/contexts/files/file_contexts
	cat >"$f" <<-'POLICY'
		/.*	system_u:object_r:default_t:s0
		/etc/.*	system_u:object_r:etc_t:s0
		/etc/shadow.*	--	system_u:object_r:shadow_t:s0
		/root(/.*)?	system_u:object_r:admin_home_t:s0
		/srv/www(/.*)?	system_u:object_r:httpd_sys_content_t:s0
		/srv/www/.*	-l	system_u:object_r:link_t:s0
		/tmp/.*	<<none>>
		/dev/.*	-c	system_u:object_r:device_t:s0
	POLICY
	printf '/srv/www/local(/.*)?\tsystem_u:object_r:local_t:s0\n' >"$f.local"
	printf '/home/[^/]+/.+\tunconfined_u:object_r:user_home_t:s0\n' >"$f.homedirs"
	printf '/opt/web /srv/www\n' >"$f.subs_dist"
	printf '\x8a\xff\x7c\xf9 compiled' >"$f.bin"
	setfattr -n security.selinux -v 'system_u:object_r:hostname_t:s0' "$1/etc/hostname"
}

# label PATH: as the kernel shows it, with the byte that ends it.
label() {
	getfattr -h --absolute-names --only-values -n security.selinux "$T/mnt/$1" 2>/dev/null | tr '\0' '$'
}

for type in ext3 ext4; do
	make_fs $type "$T/fs.img" fill
	disk=$T/disk.img
	cp --sparse=always "$T/fs.img" "$disk"
	fs_offset=0 fs_size=$fs_bytes
	config test "$disk,raw,xvda,w"
	rm -rf "$T/state"
	mkdir -p "$T/host/tree/local"
	echo new >"$T/host/new"
	echo file >"$T/host/tree/file"
	ln -sf file "$T/host/tree/link"
	ln -f "$T/host/tree/file" "$T/host/tree/local/same"
	printf '#!/bin/sh\necho edited >>"$1"\n' >"$T/host/editor"
	chmod 755 "$T/host/editor"
	works "$type: write" write test:/etc/motd <"$T/host/new"
	works "$type: write of a file that a longer line names" write test:/etc/shadow <"$T/host/new"
	works "$type: write over a labelled file" write test:/etc/hostname <"$T/host/new"
	VISUAL=$T/host/editor works "$type: edit of a new file" edit test:/root/notes
	VISUAL=$T/host/editor works "$type: edit of a labelled file" edit test:/etc/hostname
	works "$type: mkdir -p" mkdir -p test:/srv/www/a/b
	works "$type: touch" touch test:/home/anna/x
	works "$type: ln -s" ln -s a test:/srv/www/s
	works "$type: cp -r" cp -r "$T/host/tree" test:/srv/www/tree
	works "$type: cp -a of what has no labels" cp -a "$T/host/tree" test:/srv/www/local
	tar -C "$T/host" -cf "$T/host.tar" tree --transform 's,^tree,unpacked/new,'
	works "$type: tar-in of what has no labels" tar-in "$T/host.tar" test:/srv/www
	works "$type: cp to a new name" cp "$T/host/new" test:/opt-new
	works "$type: a path that is labelled like another" mkdir -p test:/opt/web/x
	works "$type: touch where no label is to be" touch test:/tmp/x
	works "$type: cp -a inside keeps labels" cp -a test:/etc/hostname test:/root/hostname
	works "$type: cp inside does not" cp test:/etc/hostname test:/root/copy
	works "$type: tar-out with labels" tar-out test:/etc "$T/host.tar"
	works "$type: tar-in of what has labels" tar-in "$T/host.tar" test:/home
	works "$type: a link changes no label" ln test:/etc/motd test:/root/motd
	kmount "$disk" 0 0 "$T/mnt" ro
	while read -r path want; do
		is "$type: /$path" "$(label "$path")" "${want:+$want$}"
	done <<-'LABELS'
		etc/motd system_u:object_r:etc_t:s0
		etc/shadow system_u:object_r:shadow_t:s0
		root/notes system_u:object_r:admin_home_t:s0
		srv/www/a system_u:object_r:httpd_sys_content_t:s0
		srv/www/a/b system_u:object_r:httpd_sys_content_t:s0
		home/anna/x unconfined_u:object_r:user_home_t:s0
		srv/www/s system_u:object_r:link_t:s0
		srv/www/tree system_u:object_r:httpd_sys_content_t:s0
		srv/www/tree/file system_u:object_r:httpd_sys_content_t:s0
		srv/www/tree/link system_u:object_r:link_t:s0
		srv/www/tree/local/same system_u:object_r:httpd_sys_content_t:s0
		srv/www/local system_u:object_r:local_t:s0
		srv/www/local/link system_u:object_r:local_t:s0
		srv/www/local/local/same system_u:object_r:local_t:s0
		srv/www/unpacked system_u:object_r:httpd_sys_content_t:s0
		srv/www/unpacked/new system_u:object_r:httpd_sys_content_t:s0
		srv/www/unpacked/new/file system_u:object_r:httpd_sys_content_t:s0
		srv/www/unpacked/new/link system_u:object_r:link_t:s0
		opt system_u:object_r:default_t:s0
		opt-new system_u:object_r:default_t:s0
		opt/web system_u:object_r:httpd_sys_content_t:s0
		opt/web/x system_u:object_r:httpd_sys_content_t:s0
		tmp/x
		root/copy system_u:object_r:admin_home_t:s0
		root/motd system_u:object_r:etc_t:s0
		home/hostname system_u:object_r:hostname_t:s0
		home/motd system_u:object_r:etc_t:s0
		etc/fstab
	LABELS
	is "$type: what had a label keeps it" "$(label etc/hostname)" system_u:object_r:hostname_t:s0
	is "$type: so does its copy" "$(label root/hostname)" system_u:object_r:hostname_t:s0
	kumount "$T/mnt"
	fsck_clean "$type: e2fsck" "$disk"
done

# Not where the guest does not use it, or has no policy.
echo 'SELINUX=disabled' >"$T/host/disabled"
printf 'SELINUX=permissive\nSELINUXTYPE=../../../etc\n' >"$T/host/escape"
printf 'SELINUX=permissive\nSELINUXTYPE=mls\n' >"$T/host/no-policy"
for how in disabled escape no-policy; do
	works "$how" shell test -c "write /etc/selinux/config < $T/host/$how; touch /etc/$how"
	kmount "$disk" 0 0 "$T/mnt" ro
	is "$how: no label" "$(label etc/$how)" ''
	kumount "$T/mnt"
done
printf 'SELINUX=permissive\n' >"$T/host/again"
printf '/etc/again\tsystem_u:object_r:again_t:s0\n' >"$T/host/policy"
works "a policy that is changed in the same shell" shell test -c "write /etc/selinux/config < $T/host/again; touch /etc/before
write /etc/selinux/targeted/contexts/files/file_contexts.local < $T/host/policy; touch /etc/again"
kmount "$disk" 0 0 "$T/mnt" ro
is "the policy as it was" "$(label etc/before)" 'system_u:object_r:etc_t:s0$'
is "the policy as it is" "$(label etc/again)" 'system_u:object_r:again_t:s0$'
kumount "$T/mnt"
done_testing
