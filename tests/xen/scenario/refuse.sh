# SPDX-License-Identifier: GPL-3.0-or-later
# refuse.sh - whatever a domain may be doing with a disk: it is refused, by whose it is, and not one byte changes.
# shellcheck shell=bash
. /lab/lab.sh
image $disks/run.img 8M
guest run "file:$disks/run.img" 'on_crash = "preserve"' 'on_poweroff = "preserve"'
check "the guest starts" start run
ln $disks/run.img $disks/hard.img
ln -s run.img $disks/soft.img
mkdir -p /mnt/bind
mount --bind $disks /mnt/bind
guest alias "phy:$disks/soft.img"
domain='domain run \([0-9]+, running\) has it as xvda'

refused "running" $disks/run.img "$domain.*next: xl shutdown run" write run:/etc/motd
refused "reading a running guest" $disks/run.img "$domain" cat run:/etc/motd
refused "a config of another name" $disks/run.img "$domain" write alias:/etc/motd
refused "a hard link" $disks/run.img "$domain" --disk $disks/hard.img write :/etc/motd
refused "another path" $disks/run.img "$domain" --disk /mnt/bind/soft.img write :/etc/motd
works "--live reads it" --live cat run:/etc/motd
is "--live: what is there" "$(out)" before
has "--live: a warning" "$(err)" "warning"
refused "--live changes nothing" $disks/run.img "with --live it can only be read" --live write run:/etc/motd
works "status" --json status run
is "status: the verdict" "$(jq -r '.verdict' "$T/out")" in-use
has "status: the reason" "$(jq -r '.reasons[] | .check + ": " + .detail' "$T/out")" "^domains: $domain"
works "list" --json list
is "list: its state" "$(jq -r '.guests[] | select(.name == "run") | .state' "$T/out")" running
umount /mnt/bind

xl pause run
refused "paused" $disks/run.img "domain run \([0-9]+, paused\).*next: xl unpause run" write run:/etc/motd
xl unpause run

check "xl save" xl save run /var/lib/xen/save/run
refused "saved" $disks/run.img "the saved state /var/lib/xen/save/run would resume on it.*next: xl restore" write run:/etc/motd
refused "saved, by another name" $disks/run.img "the saved state /var/lib/xen/save/run" write alias:/etc/motd
works "list" --json list
is "list: saved" "$(jq -r '.guests[] | select(.name == "run") | .state' "$T/out")" saved
check "xl restore" xl restore /var/lib/xen/save/run
rm /var/lib/xen/save/run
refused "restored" $disks/run.img "$domain" write run:/etc/motd

xl sysrq run c
check "the guest crashes" wait_until 30 eval 'domu list; out | grep -q "run *crashed"'
refused "crashed and preserved" $disks/run.img "domain run \([0-9]+, crashed\).*next: xl destroy run" write run:/etc/motd
check "the crashed domain goes" destroy run
works "then it is free" write run:/etc/motd < <(echo after)

check "the guest starts again" start run
has "it shows the change" "$(console run)" "motd is after"
xl shutdown run >/dev/null
check "the guest shuts down" wait_until 60 eval 'xl list run | grep -q -- "--s"'
refused "shut down and preserved" $disks/run.img "domain run \([0-9]+, shut down\).*next: xl destroy run" write run:/etc/motd
check "the domain goes" destroy run
works "then it is free too" write run:/etc/motd < <(echo last)

check "attached to the Dom0" xl block-attach 0 "phy:$disks/run.img,xvdz,w"
refused "attached to the Dom0" $disks/run.img "xvdz.*next: xl block-detach 0 xvdz" write run:/etc/motd
check "detached" xl block-detach 0 xvdz
works "detached: free" write run:/etc/motd < <(echo end)
check "e2fsck finds nothing" e2fsck -fn $disks/run.img
