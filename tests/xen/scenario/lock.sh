# SPDX-License-Identifier: GPL-3.0-or-later
# lock.sh - the lock of Xen's block script: whoever has it, the other waits or is refused.
# shellcheck shell=bash
. /lab/lab.sh
lock=/var/run/xen-hotplug/block
waiting() {
	grep -q -- "-> FLOCK.*:$(stat -c %i $lock) " /proc/locks
}
image $disks/lock.img 8M
still=1 guest lock "file:$disks/lock.img"
mkdir -p /var/run/xen-hotplug
bash -c "exec 8<>$lock && flock 8 && : >'$T/has' && exec sleep 1000" &
holder=$!
check "somebody has the lock" wait_until 10 test -e "$T/has"
wait_until 10 called $holder sleep
before=$(md5sum <$disks/lock.img)
ends "a commit meanwhile" 3 write lock:/etc/motd < <(echo never)
has "says why" "$(err)" "Xen's hotplug lock $lock is held by process $holder \(sleep\): a guest is being started or stopped; try again"
is "no byte changed" "$(md5sum <$disks/lock.img)" "$before"
works "nothing is left of it" -n write lock:/etc/motd < <(echo never)
xl create -p /etc/xen/lock.cfg >"$T/xl" 2>&1 &
creator=$!
check "a start waits for the same lock" wait_until 30 waiting
kill $holder
wait $creator
is "and goes on when it is released" "$?" 0
destroy lock
works "then the commit goes through" write lock:/etc/motd < <(echo last)
works "and a second one at once" write lock:/etc/motd < <(echo again)
check "e2fsck finds nothing" e2fsck -fn $disks/lock.img
