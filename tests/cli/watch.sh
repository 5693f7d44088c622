#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# watch.sh - a domain that is started while a script has the guest open; and stages over disks that were mounted since.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel ext4
. "$lib/made-up.sh"
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 16M "$T/base.img" "$T/other.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/base.img"
mke2fs -q -F -t ext4 -L home "$T/other.img"
disk=$T/disk.img
other=$T/disk-two.img

fresh() {
	cp --sparse=always "$T/base.img" "$disk"
	cp --sparse=always "$T/other.img" "$other"
}

ends_script() {
	leave_shell
	is "$1" "$?" "$2"
}

# ---- nothing comes, nothing is said
fresh
open_shell "$DOMU" shell "$disk"
enters 'mkdir /a'
appear elsewhere 3 "$other"
enters 'mkdir /b'
lacks "a domain on another disk is nobody's business" "$(answer)" 'in use|only reads'
ends_script "and the script commits" 0
is "both are there" "$("$DOMU" ls "$disk:/" | grep -c '^[ab]$')" 2
vanish elsewhere

# ---- the guest runs and is stopped over what is staged
fresh
open_shell "$DOMU" shell -k "$disk"
enters 'mkdir /a'
appear web1 7 "$disk"
enters 'mkdir /b'
has "it is said" "$(answer)" 'warning: .*disk\.img is in use: disk xvda: domain web1 \(7, running\) has it as xvda\. From now on this shell only reads, and what is staged is kept\. Next: xl shutdown web1, then commit \(refused if the disk was changed meanwhile\) or rollback'
has "a change is refused" "$(answer)" '7, running\) has it as xvda: this shell only reads\. Next: xl shutdown web1, then commit'
for command in 'ls /' 'cat /etc/hostname' 'cd /etc' 'ls /e*' 'find /' "cp /etc/hostname $T/out" diff df 'use xvda' 'resize-root max'; do
	enters "$command"
	has "refused: $command" "$(answer)" 'is in use: disk xvda: domain web1 \(7, running\).*(--live|only reads)'
done
for command in pwd status history 'help ls' 'list'; do
	enters "$command"
	lacks "works: $command" "$(answer)" 'only reads|--live'
done
enters info
has "works: info" "$(answer)" 'ext4'
enters commit
has "commit is refused" "$(answer)" 'is in use: disk xvda: domain web1'
is "nothing was written" "$(cmp "$disk" "$T/base.img")" ""
runs_and_stops "$disk"
ran=$(sha "$disk")
vanish web1
enters 'mkdir /b'
has "it is gone: that is said" "$(answer)" 'not in use any more\. This shell still only reads; next: commit'
has "it is gone: a change is refused" "$(answer)" 'was in use meanwhile .*only reads\. Next: commit'
enters 'ls /'
has "it is gone: what is staged may not fit" "$(answer)" 'may not fit its disk any more: diff shows it'
enters 'begin'
has "it is gone: begin finds that it does not" "$(answer)" 'has changed since|superblock'
enters 'diff'
has "it is gone: diff shows it" "$(answer)" '^\+ /a$'
enters commit
has "it is gone: commit finds it too" "$(answer)" 'has changed since|superblock'
enters 'mkdir /b'
has "it is gone: and still only reads" "$(answer)" 'only reads'
enters rollback
has "rollback" "$(answer)" 'dropped, nothing was written'
has "rollback: it is free again" "$(answer)" 'free again'
is "nothing was written either" "$(sha "$disk")" "$ran"
enters 'mkdir /c'
enters 'ls /'
has "and can be changed" "$(answer)" '^c$'
ends_script "with a command that failed it ends so" 1
is "what was staged then is there" "$("$DOMU" ls "$disk:/" | grep -c '^[abc]$')" 1
check "e2fsck finds nothing" e2fsck -fn "$disk"

# ---- it was built and never ran: the stage still fits
fresh
open_shell "$DOMU" shell -k "$disk"
enters 'mkdir /a'
appear web1 8 "$disk"
enters 'mkdir /b'
vanish web1
enters begin
has "begin makes it writable" "$(answer)" 'free again'
enters 'mkdir /c'
lacks "so it is" "$(answer)" 'only reads'
enters commit
has "and it is committed" "$(answer)" 'committed as'
ends_script "it ends as what failed" 1
is "with what was staged before" "$("$DOMU" ls "$disk:/" | grep -c '^[ac]$')" 2

# ---- a script that does not go on is dropped
fresh
open_shell "$DOMU" shell "$disk"
enters 'mkdir /a'
appear web1 9 "$disk"
printf 'mkdir /b\n' >&5
ends_script "a script ends with 3" 3
is "and nothing was written" "$(cmp "$disk" "$T/base.img")" ""
ends "another begins with 3" 3 shell "$disk" -c 'mkdir /b'
vanish web1

# ---- who tells has gone: said once, and the verdict is what decides
open_shell "$DOMU" shell -k "$disk"
enters 'mkdir /a'
mv "$T/domains" "$T/moved"
enters 'mkdir /b'
has "nothing more is told: it is said" "$(answer)" 'warning: what is told of domains has ended: that a guest is started will only be noticed by the next commit'
enters 'mkdir /c'
lacks "once" "$(answer)" 'warning'
mv "$T/moved" "$T/domains"
appear web1 9 "$disk"
enters commit
has "commit notices it by itself" "$(answer)" 'in use: disk xvda: domain web1 \(9, running\)'
enters rollback
ends_script "it ends as what failed" 1
vanish web1

# ---- an editor is open meanwhile
fresh
cat >"$T/editor" <<END
#!/bin/bash
echo typed >"\$1"
echo "9 xvda $disk" >"$T/tmp/domain" && mv "$T/tmp/domain" "$T/domains/web1"
END
chmod 755 "$T/editor"
VISUAL=$T/editor ends "edit in a shell: refused" 3 shell "$disk" -c 'edit /etc/hostname'
has "edit in a shell: why" "$(err)" 'domain web1 \(9, running\) has it as xvda: this shell only reads'
is "edit in a shell: what was typed is kept" "$(cat "$(sed -n 's/.*what was typed is kept in //p' "$T/err")")" typed
is "edit in a shell: nothing was written" "$(cmp "$disk" "$T/base.img")" ""
vanish web1

# ---- a device that is written past this host's cache, as xen-blkback does it: here by the file below a loop
fresh
device=$(loop "$disk" 0 0)
runs() {
	cat "$device" >/dev/null # the cache lives as long as the script has it open
	kmount "$disk" 0 0 "$T/mnt" rw && echo "$1" >"$T/mnt/etc/hostname" && kumount "$T/mnt"
}
# In a container what pid 1 has open cannot be seen, and it could be the device.
open_shell "$DOMU" shell --waive writers -k "$device"
enters 'cat /etc/hostname'
appear web1 9 "$device"
enters pwd
runs beside
vanish web1
enters begin
enters 'cat /etc/hostname'
is "what was written beside is read" "$(answer | head -n 1)" beside
enters 'mkdir /a'
runs again
ran=$(sha "$disk")
enters commit
has "what nobody told of is found by the commit" "$(answer)" 'in use since this was staged: the superblock or table of xvda'
is "nothing was written over it" "$(sha "$disk")" "$ran"
enters rollback
ends_script "it ends as what failed" 1
unloop "$device"

# ---- a guest that runs and stops beside that cache while the commit waits for Xen's hotplug lock
fresh
device=$(loop "$disk" 0 0)
second=$(loop "$other" 0 0)
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
	# It waits for some seconds only: so it is stopped where it begins to.
	open_shell strace -o "$T/trace" -e trace=mkdir -P /var/run/xen-hotplug -e inject=mkdir:signal=STOP \
		"$DOMU" shell --waive writers -k --disk "$device" --disk "$second"
	enters 'mkdir /a'
	printf 'commit\n!echo "did "commit\n' >&5
	check "the commit is to wait for the lock" wait_until 60 grep -q 'stopped by SIGSTOP' "$T/trace"
	check "and is sealed" test -s "$(echo "$DOMU_RESCUE_STATE_DIR"/pending/*/seal)"
	runs_and_stops "$other"
	read -r front <"/proc/$shell/task/$shell/children"
	kill -CONT "$front"
	check "and goes on" wait_until 60 grep -q '^did commit' "$T/said"
	has "a disk that it does not write was used meanwhile" "$(cat "$T/said")" 'superblock or table of xvdb'
	is "nothing was written" "$(cmp "$disk" "$T/base.img")" ""
	enters rollback
	ends_script "it ends as what failed" 1
else
	skip "a commit that waits for Xen's hotplug lock" "no strace to stop it with"
fi
unloop "$device"
unloop "$second"

# ---- a superblock moved, and no block that is staged
fresh
cat >"$T/editor" <<END
#!/bin/bash
echo typed >"\$1"
mount -o loop "$disk" "$T/mnt" && umount "$T/mnt"
END
before=$(sha "$other")
VISUAL=$T/editor ends "the root was mounted while a file beside it was edited: refused" 3 \
	--disk "$disk" --disk "$other" edit @xvdb:/typed
has "it names the superblock" "$(err)" 'was in use since this was staged: the superblock or table of xvda \(byte 1024 of .*\) is not what it was \(check unchanged\): nothing was written.*rollback'
is "nothing was written to the other disk" "$(sha "$other")" "$before"
VISUAL=$T/editor works "unless that is waived" --waive unchanged --disk "$disk" --disk "$other" edit @xvdb:/typed

# ---- and a stage that was kept
fresh
# shellcheck disable=SC2016
domu --disk "$disk" --disk "$other" shell -c 'use xvdb; mkdir /a; !kill -HUP $PPID'
works "a stage is kept, and fits" --disk "$disk" --disk "$other" diff
lacks "so it is not warned of" "$(err)" 'in use since'
runs_and_stops "$disk"
ends "the root was mounted since: commit is refused" 3 --disk "$disk" --disk "$other" commit
has "the root was mounted since: why" "$(err)" 'superblock or table of xvda .*rollback'
is "the root was mounted since: nothing was written" "$(sha "$other")" "$before"
works "the root was mounted since: diff" --disk "$disk" --disk "$other" diff
has "the root was mounted since: with a warning" "$(err)" 'warning: .*superblock or table of xvda'
works "the root was mounted since: rollback" --disk "$disk" --disk "$other" rollback --yes
works "then it can be changed" --disk "$disk" --disk "$other" mkdir @xvdb:/a
done_testing
