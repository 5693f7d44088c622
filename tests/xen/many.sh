# SPDX-License-Identifier: GPL-3.0-or-later
# many.sh - sourced: a thousand configs, and how long the program takes with them, on this machine or in the Dom0.
# shellcheck shell=bash

# many DIR
many() {
	local i
	mkdir -p "$1"
	for i in $(seq 1000); do
		printf 'name = "many%s"\nmemory = 64\nvcpus = 1\nkernel = "/lab/vmlinux"\ndisk = [ "phy:/dev/lab/many%s,xvda,w", "file:/var/disks/list.img,xvdb,r" ]\nvif = [ "bridge=br0" ]\non_crash = "preserve"\n' \
			"$i" "$i" >"$1/many$i.cfg"
	done
}

# shortest COMMAND...: of five times, in microseconds.
shortest() {
	local best=999999999 begin end
	for _ in 1 2 3 4 5; do
		begin=${EPOCHREALTIME/./}
		"$@" >/dev/null 2>&1
		end=${EPOCHREALTIME/./}
		[ $((end - begin)) -ge $best ] || best=$((end - begin))
	done
	echo $best
}
