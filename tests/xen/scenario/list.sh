# SPDX-License-Identifier: GPL-3.0-or-later
# list.sh - a thousand configs and five live domains, beside xl list of the same moment.
# shellcheck shell=bash
. /lab/lab.sh
image $disks/list.img 8M
mkdir -p "$T/many"
for i in $(seq 1000); do
	printf 'name = "many%s"\nmemory = 64\nvcpus = 1\nkernel = "/lab/vmlinux"\ndisk = [ "phy:/dev/lab/many%s,xvda,w", "file:%s,xvdb,r" ]\nvif = [ "bridge=br0" ]\non_crash = "preserve"\n' \
		"$i" "$i" "$disks/list.img" >"$T/many/many$i.cfg"
done
for i in 1 2 3 4 5; do
	cp $disks/list.img "$disks/list$i.img"
	guest "many$i" "file:$disks/list$i.img"
	check "domain $i is built" xl create -p "/etc/xen/many$i.cfg"
done
works "list" --config-dir "$T/many" list
is "it shows all" "$(out | grep -c '^many')" 1000
is "and who is live" "$(out | grep -c '^many[1-5] *paused')" 5

# The shortest of five, in milliseconds.
shortest() {
	local best=999999 begin end
	for _ in 1 2 3 4 5; do
		begin=${EPOCHREALTIME/./}
		"$@" >/dev/null 2>&1
		end=${EPOCHREALTIME/./}
		[ $(((end - begin) / 1000)) -ge $best ] || best=$(((end - begin) / 1000))
	done
	echo $best
}
ours=$(shortest "$DOMU" --config-dir "$T/many" list)
none=$(shortest "$DOMU" --config-dir "$T/mnt" list)
xl=$(shortest xl list)
echo "# figures: Xen lab: list of 1000 configs and 5 domains $ours ms, of the 5 domains alone $none ms; xl list $xl ms"
for i in 1 2 3 4 5; do
	destroy "many$i"
	rm -f "/etc/xen/many$i.cfg"
done
# Where nothing is emulated xl list takes some 15 ms, and 0.3 s are twenty times that.
check "list is in proportion to xl list" test "$ours" -lt $((xl * 20))
