# SPDX-License-Identifier: GPL-3.0-or-later
# lvm.sh - logical volumes made by lvm(8) on loop devices and never activated; its own report says where they are.
# shellcheck shell=bash disable=SC2034,SC2154
MiB=1048576
pe=$((4 * MiB)) # an extent, unless a test says otherwise
declare -A disks # by loop: FILE OFFSET
export LVM_SUPPRESS_FD_WARNINGS=1 LVM_SYSTEM_DIR=$T/lvm

need_lvm() {
	command -v lvm >/dev/null || skip_all "no lvm here"
	mkdir "$T/lvm" "$T/parts"
}

lvm() {
	timeout "$time_limit" lvm "$@" --driverloaded n 2>>"$T/lvm.log" --config "$lvm_config"
}

# volumes DISK...: loops of them that lvm sees; nothing else.  A disk is FILE, or FILE@OFFSET for a partition to its end.
volumes() {
	local f offset filter=
	loops=()
	for f; do
		offset=0
		[[ $f != *@* ]] || offset=${f##*@}
		loops+=("$(loop "${f%@*}" "$offset" 0)")
		disks[${loops[-1]}]="${f%@*} $offset"
		filter+="\"a|^${loops[-1]}\$|\","
	done
	lvm_config="devices { filter=[ $filter \"r|.*|\" ] use_devicesfile=0 external_device_info_source=\"none\" hints=\"none\" }
		global { event_activation=0 locking_dir=\"$T/lvm\" } backup { backup=0 archive=0 }
		activation { udev_sync=0 udev_rules=0 monitoring=0 verify_udev_operations=0 }"
}

release() {
	local l
	for l in "${loops[@]}"; do
		unloop "$l"
	done
}

# segments VG/LV: TYPE START SIZE STRIPE DEVICE:FIRST-LAST..., a line each; in bytes, and extents of the device.
segments() {
	lvm lvs --noheadings --units b --nosuffix --segments -o segtype,seg_start,seg_size,stripe_size,seg_pe_ranges "$1"
}

# parts VG/LV: OFFSET LENGTH FILE FILE-OFFSET, a line for each part of it that is in one place.  Asked of lvm once.
parts() {
	local type start size stripe ranges legs n i k at to known=$T/parts/${1/\//-}
	if [ ! -e "$known" ]; then
		while read -r type start size stripe ranges; do
			read -ra legs <<<"$ranges"
			n=${#legs[@]}
			[ "$type" != linear ] || stripe=$size
			for ((i = 0; i < size / stripe; i++)); do
				k=${legs[i % n]%-*}
				to=${disks[${k%:*}]}
				at=$((${k##*:} * pe + MiB + i / n * stripe + ${to##* }))
				echo $((start + i * stripe)) "$stripe" "${to% *}" "$at"
			done
		done < <(segments "$1") >"$known"
	fi
	cat "$known"
}

# scatter VG/LV IMAGE: the image's bytes where lvm reports the volume's extents to be.
scatter() {
	local from len file to
	while read -r from len file to; do
		dd if="$2" of="$file" bs="$len" skip="$from" seek="$to" count=1 iflag=skip_bytes,fullblock \
			oflag=seek_bytes conv=notrunc status=none
	done < <(parts "$1")
	sync -f "$T"
}

# gather VG/LV IMAGE: the volume's bytes, from there.
gather() {
	local from len file to
	rm -f "$2"
	while read -r from len file to; do
		dd if="$file" of="$2" bs="$len" skip="$to" seek="$from" count=1 iflag=skip_bytes,fullblock \
			oflag=seek_bytes conv=notrunc status=none
	done < <(parts "$1")
}
