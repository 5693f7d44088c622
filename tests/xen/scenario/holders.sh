# SPDX-License-Identifier: GPL-3.0-or-later
# holders.sh - holders that a Dom0 rarely has: driver and stub domains, migrations, scripts, tapdisk, dm names, swap, libvirt.
# shellcheck shell=bash
. /lab/lab.sh
vgs lab >/dev/null 2>&1 || vgcreate -qq -y lab /dev/vdc >/dev/null
lvcreate -qq -y -n hold -L 8M lab >/dev/null
udevadm settle
disk=/dev/lab/hold
image $disk 8M
guest hold "phy:$disk"

# bare NAME [DISK]: a domain that is never run.
bare() {
	printf 'name = "%s"\nkernel = "/lab/vmlinux"\nmemory = 80\ndisk = [ %s ]\n' "$1" "${2-}" >"$T/$1.cfg"
	xl create -pq "$T/$1.cfg" >>"$T/xl" 2>&1 || sed 's/^/# /' "$T/xl"
}

# node PATH KEY VALUE...: a backend's node, as if somebody served that.
node() {
	local path=$1
	shift
	while [ $# -gt 0 ]; do
		xenstore-write "$path/$1" "$2"
		shift 2
	done
}

# ---- device-mapper by what made it; swap
dmsetup create secret --uuid CRYPT-LUKS2-0-secret --table "0 16384 linear $disk 0"
refused "dm-crypt" $disk 'dm-crypt secret \(dm-[0-9]+\) is over it.*cryptsetup close secret' write hold:/etc/motd
dmsetup remove secret
dmsetup create mpatha --uuid mpath-0 --table "0 16384 linear $disk 0"
refused "multipath" $disk 'multipath mpatha \(dm-[0-9]+\) is over it.*multipath -f mpatha' write hold:/etc/motd
dmsetup remove mpatha
lvcreate -qq -y -n swap -L 8M lab >/dev/null
udevadm settle
mkswap -q /dev/lab/swap
swapon /dev/lab/swap
guest swapping "phy:$disk"
sed -i 's#,xvda,w"#,xvda,w", "phy:/dev/lab/swap,xvdb,w"#' /etc/xen/swapping.cfg
refused_by "swap" 'disk xvdb: in use as swap .*swapoff' write swapping:/etc/motd
swapoff /dev/lab/swap
rm /etc/xen/swapping.cfg

# ---- a driver domain, a backend whose script knows what it is, tapdisk
bare storage
driver=$(xl domid storage)
path=/local/domain/$driver/backend/vbd/99/51712
node "$path" params /dev/sda state 4 dev xvda
refused "a driver domain" $disk "the driver domain storage \($driver\) serves /dev/sda to domain 99 as xvda; whether that is this disk cannot be seen here" write hold:/etc/motd
works "status" --json status hold
is "a driver domain: what it is called" "$(jq -r '.checks[] | select(.check == "driver-domains") | .result' "$T/out")" unknown
works "it can be waived" --waive driver-domains -n write hold:/etc/motd < <(echo new)
xenstore-rm "/local/domain/$driver/backend"
guest there "phy:/dev/vg/there"
sed -i 's/"phy:.*"/"backend=storage,vdev=xvda,target=\/dev\/vg\/there"/' /etc/xen/there.cfg
ends "a config with backend=" 6 cat there:/etc/motd
has "says whose it is" "$(err)" "served by the driver domain storage: run domu-rescue --disk /dev/vg/there shell there"
rm /etc/xen/there.cfg
path=/local/domain/0/backend/vbd/$driver/51712
node "$path" params iqn.2001-05.com.example:hold script /etc/xen/scripts/block-iscsi state 2 dev xvda
refused "a script that has not said what it made" $disk "what the script block-iscsi makes of iqn.2001-05.com.example:hold for domain storage \($driver\) as xvda, and so whether it is this disk, cannot be told" write hold:/etc/motd
xenstore-write "$path/physical-device" 8:10
works "a script that made something else" -n write hold:/etc/motd < <(echo new)
xenstore-write "$path/physical-device" "$(stat -Lc '%t:%T' $disk)"
refused "a script that made this" $disk "served to domain storage \($driver\) as xvda \(backendtype phy, $path\)" write hold:/etc/motd
xenstore-rm "/local/domain/0/backend/vbd/$driver"
path=/local/domain/0/backend/tap/$driver/51712
node "$path" params "aio:$disk" state 4 dev xvda
refused "tapdisk" $disk "served to domain storage \($driver\) as xvda \(backendtype tap" write hold:/etc/motd
xenstore-write "$path/state" 6
works "a closed backend" -n write hold:/etc/motd < <(echo new)
xenstore-rm "/local/domain/0/backend/tap/$driver"

# ---- a device model, and domains on their way between hosts
bare model "\"phy:$disk,xvda,w\""
model=$(xl domid model)
xenstore-write "/local/domain/$model/target" "$driver"
refused "a stub domain" $disk "domain model \($model, paused\), the device model of storage, has it as xvda.*next: xl shutdown storage" write hold:/etc/motd
works "list" list
lacks "list does not show it as a guest" "$(out)" '^model'
xenstore-rm "/local/domain/$model/target"
xl rename model web1--incoming
refused "migrating in" $disk 'which is web1 on its way here from another host, has it as xvda.*next: xl list' write hold:/etc/motd
xl rename web1--incoming web1--migratedaway
refused "migrated away" $disk 'what is left of web1 that went to another host, has it as xvda.*next: xl list' write hold:/etc/motd
xl rename web1--migratedaway virt

mkdir -p /etc/libvirt/libxl/autostart
printf "<domain type='xen'><name>virt</name><devices><disk device='disk'><source dev='%s'/><target dev='xvda'/></disk></devices></domain>" \
	$disk >/etc/libvirt/libxl/virt.xml
ln -s ../virt.xml /etc/libvirt/libxl/autostart/virt.xml
refused "a running guest of libvirt" $disk 'next: virsh resume virt && virsh shutdown virt' --disk $disk write :/etc/motd
destroy virt

# ---- a real script
cat >/etc/xen/scripts/block-lab <<'END'
#!/bin/bash
dir=$(dirname "$0")
. "$dir/block-common.sh"
case $command in
add) write_dev "/dev/lab/$(xenstore_read "$XENBUS_PATH/params" | sed 's/^word://')" && success ;;
esac
END
chmod 755 /etc/xen/scripts/block-lab
check "a script makes a disk" xl block-attach storage script=block-lab,vdev=xvda,target=word:hold
refused "script=" $disk "served to domain storage \($driver\) as xvda \(backendtype phy" write hold:/etc/motd
destroy storage
guest scripted word
sed -i 's/"word,xvda,w"/"script=block-lab,vdev=xvda,target=word:hold"/' /etc/xen/scripted.cfg
ends "the guest with script=" 6 cat scripted:/etc/motd
has "names the script" "$(err)" 'made by the block script block-lab from word:hold'
modprobe xen-blkfront
check "and the command that attaches it, which does" eval "$(sed -n 's/.*next: \(xl .*\) && .*/\1/p' "$T/err")"
check "there it is" wait_until 20 test -b /dev/xvdz
works "and it can be read there" --disk /dev/xvdz cat :/etc/motd
refused "the disk itself is refused meanwhile" $disk 'attached to this Dom0 as xvdz' write hold:/etc/motd
check "detached" xl block-detach 0 xvdz
rm /etc/xen/scripted.cfg

# ---- guests of libvirt, two configs of one disk
works "list" list
has "list names libvirt" "$(err)" 'libvirt keeps virt here \(/etc/libvirt/libxl\)'
ends "a guest of libvirt" 4 cat virt:/etc/motd
next=$(sed -n 's/.*next: domu-rescue //p' "$T/err")
is "with the command that opens it" "$next" "--disk $disk shell"
# shellcheck disable=SC2086 # words
works "which does" $next -c 'cat /etc/motd'
is "and reads it" "$(out)" before
guest twin "phy:$disk"
works "a disk of two guests is changed" write hold:/etc/motd < <(echo twin)
has "with a warning" "$(err)" 'disk xvda of hold is also xvda of twin \(/etc/xen/twin.cfg\)'
mkdir -p /etc/xen/auto
ln -sf ../twin.cfg /etc/xen/auto/twin
works "status" status hold
has "status: the other" "$(out)" 'disk xvda is also xvda of twin'
has "status: who starts it" "$(out)" 'twin is started at boot by xendomains \(/etc/xen/auto/twin\)'
has "status: libvirt too" "$(out)" 'virt is started at boot by libvirt'
rm -r /etc/xen/auto/twin /etc/xen/twin.cfg /etc/xen/hold.cfg /etc/libvirt
check "e2fsck finds nothing" e2fsck -fn $disk
lvremove -qq -y lab/hold lab/swap >/dev/null
