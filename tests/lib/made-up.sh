# SPDX-License-Identifier: GPL-3.0-or-later
# made-up.sh - a Xen of our own: the program believes that it is in a Dom0, and domains are files in a folder.
# shellcheck shell=bash disable=SC2034
made_up=$(dirname "$DOMU")/tests/lib/source-made-up.so
[ -e "$made_up" ] || skip_all "source-made-up.so is not built (make check-programs)"
[ "$(id -u)" = 0 ] && [ "$(readlink /proc/self/ns/mnt)" != "$(readlink "/proc/$PPID/ns/mnt")" ] ||
	skip_all "no mount namespace of its own"
export DOMU_TEST_DOMAINS=$T/domains

# /sys with a hypervisor in it, and a /run where its lock can be; both for this test alone.
made_up_host() {
	local d
	mkdir "$T/sys" && mount --rbind /sys "$T/sys" && mount -t tmpfs none /sys || return 1
	for d in "$T"/sys/*; do
		mkdir "/sys/${d##*/}" && mount --rbind "$d" "/sys/${d##*/}"
	done
	umount -l "$T/sys" && rmdir "$T/sys" || return 1 # rmdir: nothing of the real one is in what is removed at the end
	mkdir /sys/hypervisor && echo xen >/sys/hypervisor/type && mount -t tmpfs none /run
}

# The program with plugins beside it: without what asks a real Xen.
made_up_program() {
	mkdir -p "$T/program/plugins" "$T/domains"
	cp "$DOMU" "$T/program/" && cp "$(dirname "$DOMU")"/plugins/*.so "$made_up" "$T/program/plugins/" || return 1
	rm -f "$T/program/plugins/source-xl.so"
	DOMU=$T/program/domu-rescue
}

# appear NAME ID PATH: a domain that has PATH as xvda.
appear() {
	echo "$2 xvda $3" >"$T/tmp/domain"
	mv "$T/tmp/domain" "$T/domains/$1"
}

vanish() {
	rm "$T/domains/$1"
}

# runs_and_stops DISK: what a guest does to its root, whatever else it does.
runs_and_stops() {
	kmount "$1" 0 0 "$T/mnt" rw && kumount "$T/mnt"
}
if ! made_up_program || ! made_up_host; then
	skip_all "a Xen cannot be made up here"
fi
