# SPDX-License-Identifier: GPL-3.0-or-later
# list.sh - a thousand configs and five live domains, beside xl list of the same moment.
# shellcheck shell=bash
. /lab/lab.sh
. /lab/many.sh
image $disks/list.img 8M
many "$T/many"
for i in 1 2 3 4 5; do
	cp $disks/list.img "$disks/list$i.img"
	guest "many$i" "file:$disks/list$i.img"
	check "domain $i is built" xl create -p "/etc/xen/many$i.cfg"
done
works "list" --config-dir "$T/many" list
is "it shows all" "$(out | grep -c '^many')" 1000
is "and who is live" "$(out | grep -c '^many[1-5] *paused')" 5

whole=$(shortest "$DOMU" --config-dir "$T/many" list)
live=$(shortest "$DOMU" --config-dir "$T/mnt" list)
xl=$(shortest xl list)
for i in 1 2 3 4 5; do
	destroy "many$i"
	rm -f "/etc/xen/many$i.cfg"
done
configs=$((whole - live))
# The same program with the same configs on the machine that emulates this one: what emulation costs.
native=$(cat /lab/native-list)
estimate=$((whole * native / configs))
echo "# figures: Xen lab: list of 1000 configs and 5 domains $((whole / 1000)) ms, of the 5 domains alone $((live / 1000)) ms," \
	"xl list $((xl / 1000)) ms"
echo "# figures: Xen lab: the configs alone on the machine below: $((native / 1000)) ms, so emulation costs $((configs / native)) times," \
	"and the whole list would take some $((estimate / 1000)) ms there"
check "a list of 1000 configs and 5 domains takes less than 0.3 s where nothing is emulated" test $estimate -lt 300000
