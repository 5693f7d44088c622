# SPDX-License-Identifier: GPL-3.0-or-later
# watch.sh - a guest that is started while a shell is open on it: said at once, and nothing is written, also when it is gone.
# shellcheck shell=bash
. /lab/lab.sh
truncate -s 48M $disks/watch.pv
{
	vgcreate -q -y watch "$(losetup -f --show $disks/watch.pv)" && lvcreate -q -y -L 24M -n root watch && udevadm settle
} >/dev/null 2>&1
disk=/dev/watch/root
image $disk 24M
guest watched "phy:$disk"
echo staged >"$T/staged"

# As the device has it, whatever this host remembers of it.
sum() {
	dd if=$disk iflag=direct bs=1M status=none | md5sum
}

motd() {
	dd if=$disk iflag=direct bs=1M status=none of="$T/copy.img" && debugfs -R 'cat /etc/motd' "$T/copy.img" 2>/dev/null
}

# ---- a shell with something staged, and the guest runs and is stopped meanwhile
open_shell domu-rescue shell -k watched
enters "write /etc/motd <$T/staged"
enters 'cat /etc/motd numbers'
has "what is staged is seen" "$(answer)" '^staged$'
enters '!ls -l /proc/self/fd'
lacks "the host's commands have nothing of xenstore's" "$(answer)" 'xenstore|socket'
check "the guest is started" start watched
enters 'mkdir /never'
has "it is said" "$(answer)" \
	'warning: watched is in use: disk xvda: domain watched \([0-9]+, running\) has it as xvda\. From now on this shell only reads, and what is staged is kept\. Next: xl shutdown watched, then commit \(refused'
has "what changes something is refused" "$(answer)" 'this shell only reads\. Next: xl shutdown watched'
enters 'cat /etc/motd'
has "what reads, too" "$(answer)" 'in use: disk xvda: domain watched .*--live watched'
lacks "what reads, too: nothing is shown" "$(answer)" '^staged$'
enters status
has "status works" "$(answer)" 'domains'
enters commit
has "commit is refused" "$(answer)" 'in use: disk xvda: domain watched'
stop watched
before=$(sum)
enters 'mkdir /never'
has "the guest is gone: it does not become writable by that" "$(answer)" 'was in use meanwhile .*this shell only reads\. Next: commit'
enters commit
has "commit is refused: the disk was changed" "$(answer)" 'watched has changed since: [1-9]|superblock or table of xvda'
enters 'mkdir /never'
has "what changes something still is" "$(answer)" 'this shell only reads'
enters 'diff'
has "diff works" "$(answer)" '/etc/motd'
is "nothing was written" "$(sum)" "$before"
enters rollback
has "rollback" "$(answer)" 'free again.*|dropped, nothing was written'
enters 'cat /etc/motd'
is "the disk is read anew" "$(answer | head -n 1)" before
enters "write /etc/motd <$T/staged"
enters commit
has "and all is possible again" "$(answer)" 'committed as'
leave_shell
check "e2fsck finds nothing" e2fsck -fn $disk

# ---- an editor that is open while the guest runs and is stopped
cat >"$T/editor" <<'END'
#!/bin/bash
. /lab/lab.sh
trap - EXIT
echo typed >"$1"
start watched && stop watched
dd if=/dev/watch/root iflag=direct bs=1M status=none | md5sum >/tmp/ran
END
chmod 755 "$T/editor"
VISUAL=$T/editor domu edit watched:/etc/motd
isnt "the guest ran while its file was edited: refused" "$?" 0
has "the guest ran while its file was edited: why" "$(err)" 'has changed since|superblock or table of xvda'
is "the guest ran while its file was edited: nothing was written" "$(sum)" "$(cat /tmp/ran)"
is "what was typed is kept" "$(cat "$(sed -n 's/.*what was typed is kept in //p' "$T/err")")" typed
is "it is as it was" "$(motd)" staged

has "it ran from what was committed before" "$(console watched)" "motd is staged"

# ---- written past the cache of this host, which has read the device meanwhile
open_shell domu-rescue shell -k watched
check "it is attached to the Dom0" xl block-attach 0 "phy:$disk,xvdz,w"
check "where it appears" wait_until 30 test -b /dev/xvdz
enters pwd
has "that is said too" "$(answer)" 'it is attached to this Dom0 as xvdz .*Next: xl block-detach 0 xvdz, then begin'
cat $disk >/dev/null
mkdir -p /mnt/inside
check "and is mounted" mount -t ext4 /dev/xvdz /mnt/inside
echo beside >/mnt/inside/etc/motd
check "and written" umount /mnt/inside
check "it is detached" xl block-detach 0 xvdz
is "the device has what was written" "$(motd)" beside
enters begin
enters 'cat /etc/motd'
is "what was written there is read" "$(answer | head -n 1)" beside
enters "write /etc/motd <$T/staged"
enters commit
has "and can be changed" "$(answer)" 'committed as'
leave_shell
check "e2fsck finds nothing then" e2fsck -fn $disk

# ---- a domain that comes, and later begins to serve a disk to another
open_shell domu-rescue shell -k watched
enters "write /etc/motd <$T/staged"
printf 'name = "storage"\nkernel = "/lab/vmlinux"\nmemory = 80\n' >"$T/storage.cfg"
check "a domain comes" xl create -pq "$T/storage.cfg"
driver=$(xl domid storage)
enters pwd
lacks "which is nothing to the guest" "$(answer)" 'in use'
path=/local/domain/$driver/backend/vbd/99/51712
xenstore-write "$path/params" /dev/sda "$path/dev" xvda "$path/state" 4
enters 'mkdir /never'
has "that it serves something is said" "$(answer)" "watched is in use: disk xvda: the driver domain storage \($driver\) serves /dev/sda to domain 99 as xvda; whether that is this disk cannot be seen here\. From now on this shell only reads"
has "and nothing is changed any more" "$(answer)" 'this shell only reads\. Next: '
xenstore-rm "/local/domain/$driver/backend"
enters pwd
has "that it has ended, too" "$(answer)" 'not in use any more'
enters commit
has "then what is staged is committed" "$(answer)" 'committed as'
# First: xl, which waits for its end, has the shell's input open too.
destroy storage
leave_shell

# ---- a person's shell that waits for a line
open_shell script -qefc "stty cols 200; exec domu-rescue watched" /dev/null
wait_until 60 grep -q 'watched:/> ' "$T/said"
printf 'cat /etc/mo' >&5
wait_until 20 grep -q 'cat /etc/mo' "$T/said"
check "the guest is started" create watched -p
check "it is said while the shell waits" wait_until 30 grep -q 'has it as xvda. From now on this shell only reads. Next: .*xl .* watched, then begin' "$T/said"
check "the prompt says it, and what was typed stays" wait_until 20 grep -q 'watched:/ (read-only)> .*cat /etc/mo' "$T/said"
destroy watched
check "that it is gone is said" wait_until 30 grep -q 'not in use any more' "$T/said"
printf 'td\nbegin\nquit\n' >&5
check "begin makes it free" wait_until 30 grep -q 'free again' "$T/said"
leave_shell
has "what was typed is run" "$(tr -d '\r' <"$T/said")" '^staged$'
works "in the end it can be changed" write watched:/etc/motd < <(echo last)
is "which it was" "$(motd)" last
vgchange -q -an watch >/dev/null 2>&1
