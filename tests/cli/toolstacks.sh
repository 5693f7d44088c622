#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# toolstacks.sh - guests of other toolstacks are named with the command that opens them; disks of two guests; status for people.
. "$(dirname "$0")/../lib/functions.sh"
[ "$(readlink /proc/self/ns/mnt)" != "$(readlink /proc/1/ns/mnt)" ] || skip_all "no mount namespace of its own here"

# In the namespace of this test alone: /etc as it is, and what is written to it is gone at the end.
over_etc() {
	mkdir "$T/etc" && mount -t tmpfs none "$T/etc" && mkdir "$T/etc/upper" "$T/etc/work" &&
		mount -t overlay -o "lowerdir=/etc,upperdir=$T/etc/upper,workdir=$T/etc/work" none /etc
}
over_etc 2>/dev/null || skip_all "no overlay over /etc here"
test_cleanup() {
	umount /etc "$T/etc"
}
rm -rf /etc/libvirt /etc/xensource-inventory /etc/qubes-release
mkdir -p /etc/xen/auto /etc/libvirt/libxl/autostart "$T/tree/etc"
echo testguest >"$T/tree/etc/hostname"
for i in a b c; do
	truncate -s 8M "$T/$i.img"
	mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/$i.img"
done
config web1 "$T/a.img,raw,xvda,w" "$T/b.img,raw,xvdb,r"
cat >/etc/libvirt/libxl/virt.xml <<END
<domain type='xen'>
  <name>virt</name>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='$T/c.img'/>
      <target dev='xvda' bus='xen'/>
    </disk>
  </devices>
</domain>
END
echo new >"$T/new"

works "list" list
has "list names libvirt and its guest" "$(err)" 'libvirt keeps virt here \(/etc/libvirt/libxl\); to open virt: domu-rescue --disk'
lacks "which is no row" "$(out)" virt
works "list --json" list --json
is "list --json: the toolstack" "$(jq -r '.toolstacks[] | .name + " " + .place + " " + .guests[0].name' "$T/out")" \
	"libvirt /etc/libvirt/libxl virt"
works "list -q" -q list
is "list -q says nothing of it" "$(err)" ''
ends "a guest of libvirt is no guest of ours" 4 cat virt:/etc/hostname
next=$(sed -n 's/.*next: domu-rescue //p' "$T/err")
is "the command is given" "$next" "--disk $T/c.img shell"
# shellcheck disable=SC2086 # words
works "and it works" $next -c 'cat /etc/hostname'
is "on the right disk" "$(out)" testguest
ends "what nobody keeps" 4 cat nobody:/etc/hostname
has "is said as ever" "$(err)" 'no guest is named nobody \(looked in'

# ---- what no shell and no JSON takes as it is
sed "s/type='raw'/type='q; reboot'/; s/<name>virt/<name>virt2/" /etc/libvirt/libxl/virt.xml >/etc/libvirt/libxl/$'odd\xff.xml'
ends "a format that is more than a word" 4 cat virt2:/etc/hostname
has "is one to the shell" "$(err)" "--format 'q; reboot' --disk"
works "list --json" list --json
check "list --json: is UTF-8, whatever a file is called" iconv -f UTF-8 -t UTF-8 "$T/out"
works "status --json" --disk "$T/c.img" status --json
check "status --json: too" iconv -f UTF-8 -t UTF-8 "$T/out"
is "status --json: what is not is replaced" "$(jq -r '.shared[] | select(.guest == "virt2") | .source' "$T/out")" "/etc/libvirt/libxl/odd�.xml"
rm /etc/libvirt/libxl/odd*
mkfifo /etc/libvirt/libxl/fifo.xml
works "list waits for nobody" list
has "but says so" "$(err)" 'fifo.xml: not understood: its guests are not known'
has "and goes on" "$(err)" 'libvirt keeps virt here'
rm /etc/libvirt/libxl/fifo.xml

# ---- one disk, two guests
works "nobody else has the disks" status web1
lacks "status says nothing then" "$(out)" also
works "nor a change" write web1@xvda:/etc/hostname <"$T/new"
is "nor warns" "$(err)" ''
ln "$T/a.img" "$T/hard.img"
config web2 "$T/hard.img,raw,xvdc,w"
config reader "$T/b.img,raw,xvda,r"
works "status of a shared disk" status web1
has "the other guest" "$(out)" "disk xvda is also xvdc of web2 \($T/xen/web2.cfg\)"
has "one that reads" "$(out)" "disk xvdb is also xvda of reader, read only"
works "status --json" status web1 --json
is "status --json: shared" "$(jq -r '.shared[] | .disk + " " + .guest + " " + .vdev' "$T/out" | sort | tr '\n' ' ')" \
	"xvda web2 xvdc xvdb reader xvda "
is "it is free all the same" "$(jq -r .verdict "$T/out")" free
works "info" info web1
has "info warns" "$(err)" 'warning: disk xvda of web1 is also xvdc of web2'
works "a change" write web1@xvda:/etc/hostname <"$T/new"
has "a change warns" "$(err)" 'warning: disk xvda of web1 is also xvdc of web2'
works "a script that reads" shell web1@xvda -c 'cat /etc/hostname; ls /etc'
is "does not warn" "$(err)" ''
works "a script that changes" shell web1@xvda -c 'mkdir /srv; mkdir /srv/a'
is "warns once of each" "$(err | grep -c 'warning: disk xvd[ab] of web1 is also')" 2
works "a resize" --yes resize web1 xvda 16M --plan
has "warns too" "$(err)" 'warning: disk xvda of web1 is also xvdc of web2'
works "a bare disk of one guest" --disk "$T/c.img" write :/etc/hostname <"$T/new"
is "is that guest's" "$(err)" ''
config twin "$T/a.img,raw,xvda,w"
works "list" list
has "list warns of one path in two configs" "$(err)" "$T/a.img is xvda of twin and xvda of web1: never start both"
lacks "not of what all only read" "$(err)" b.img

# ---- who starts it
ln -s "$T/xen/web1.cfg" /etc/xen/auto/01-web1
ln -s ../virt.xml /etc/libvirt/libxl/autostart/virt.xml
works "status" status web1
has "xendomains" "$(out)" 'web1 is started at boot by xendomains \(/etc/xen/auto/01-web1\)'
works "status of libvirt's disk" --disk "$T/c.img" status
has "libvirt" "$(out)" 'virt is started at boot by libvirt \(/etc/libvirt/libxl/autostart/virt.xml\)'
works "status --json" status web1 --json
is "status --json: started_by" "$(jq -r .started_by "$T/out")" /etc/xen/auto/01-web1
echo "CONTROL_DOMAIN_UUID='0a1b-2c'" >/etc/xensource-inventory
works "list" list
has "XAPI is named" "$(err)" 'XAPI keeps guests here \(/etc/xensource-inventory\).*xe vbd-plug'
ends "what XAPI may keep" 4 cat nobody:/etc/hostname
has "is asked of xe" "$(err)" 'no guest is named nobody in xl.s configs; XAPI keeps guests here'
# The line that it gives, with an xe that says what it was asked for and has the disk attached already.
next=$(sed -n 's/.*(\/etc\/xensource-inventory): //p' "$T/err")
mkdir "$T/bin"
cat >"$T/bin/xe" <<END
#!/bin/sh
echo "xe \$*" >>$T/asked
case \$1 in
vbd-create) echo VBD ;;
vbd-list) echo VDI ;;
vbd-param-get) echo \$(basename "\$(cat $T/attached)") ;;
esac
END
chmod 755 "$T/bin/xe"
ln -s "$DOMU" "$T/bin/domu-rescue"
losetup -f --show "$T/c.img" >"$T/attached"
is "the line that is given opens the disk" "$(echo 'cat /etc/hostname' | PATH=$T/bin:$PATH bash -c "$next" 2>"$T/err")" new
losetup -d "$(cat "$T/attached")"
is "and asks xe for the guest's first disk" "$(cat "$T/asked")" "$(
	printf 'xe %s\n' 'vbd-list vm-name-label=nobody userdevice=0 params=vdi-uuid --minimal' \
		'vbd-create vm-uuid=0a1b-2c device=autodetect vdi-uuid=VDI' 'vbd-plug uuid=VBD' \
		'vbd-param-get uuid=VBD param-name=device' 'vbd-unplug uuid=VBD' 'vbd-destroy uuid=VBD'
)"
works "status" status web1
has "status: XAPI" "$(out)" 'XAPI may start it by itself: xe vm-list'
rm /etc/xensource-inventory

# ---- status for people
works "status of two disks" status web1
check "fits a screen of 80 by 24" awk "NR <= 17 && length > 80 { bad = 1 } END { exit bad || NR > 24 }" "$T/out"
is "a row a check for both disks" "$(grep -c ' xvda xvdb ' "$T/out")" 15
# It stops itself: a shell that goes on has children, which have it open too, by any number.
bash -c 'exec 8<>"$1"; echo >"$2"; kill -STOP $$' bash "$T/a.img" "$T/has" &
holder=$!
wait_until 60 test -s "$T/has"
works "status of one in use" status web1
has "the holder" "$(out)" "writers +xvda +fail +process $holder \(bash\) has it open for writing"
has "the other disk" "$(out)" 'writers +xvdb +pass'
has "what frees it" "$(out)" "to free xvda: kill $holder\$"
kill -KILL $holder
wait $holder 2>/dev/null

# ---- a guest that was saved elsewhere has its root mounted
debugfs -w -R 'feature needs_recovery' "$T/c.img" >/dev/null 2>&1
works "status of a root that was not unmounted" --disk "$T/c.img" status
has "hints at a save" "$(out)" 'was not unmounted: if the guest was saved to a file elsewhere \(xl save\)'
works "reading it" --disk "$T/c.img" cat @xvda:/etc/hostname
has "replays it too" "$(err)" replayed
lacks "and says nothing of saves" "$(err)" 'xl save'
works "a change of it" --disk "$T/c.img" write @xvda:/etc/hostname <"$T/new"
has "hints too" "$(err)" 'was replayed: it was not unmounted; of a guest saved to a file elsewhere \(xl save\) restore that'
done_testing
