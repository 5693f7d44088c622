# SPDX-License-Identifier: GPL-3.0-or-later
# lab.sh - what every scenario sources: TAP, the program, guests, and what the guests' disks held before.
# shellcheck shell=bash disable=SC2034
# An editor may start and stop a guest, and others may be at work on the machine below.
DOMU_TEST_NAMESPACE=1 DOMU=/usr/local/bin/domu-rescue DOMU_TIME_LIMIT=300
export DOMU_TEST_NAMESPACE DOMU
# shellcheck source=tests/lib/functions.sh
. /lab/functions.sh
# shellcheck source=tests/xen/light.sh
. /lab/light.sh
unset DOMU_RESCUE_CONFIG_DIR DOMU_RESCUE_STATE_DIR
export TMPDIR=/tmp
disks=/var/disks logs=/var/log/xen/console
mkdir -p $disks

# A fork costs 10 to 50 ms here.  Nothing comes from this, so that a wait takes none.
exec {nothing}<> <(:)

# wait_until SECONDS COMMAND...: as in functions.sh, and seldom enough to leave the processor to what is waited for.  Five
# minutes at least: what takes ten seconds here takes a hundred where the machine below is busy.
wait_until() {
	local end=$((SECONDS + ($1 > 300 ? $1 : 300)))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		read -rt 0.2 -u "$nothing"
	done
	return 0
}

# The same as there without grep and cat.
matches() {
	local line
	while IFS= read -r line; do
		[[ ! $line =~ $2 ]] || return 0
	done <<<"$1"
	return 1
}

has() {
	if matches "$2" "$3"; then
		ok "$1"
	else
		not_ok "$1" "no match of $3 in:" "$2"
	fi
}

lacks() {
	if matches "$2" "$3"; then
		not_ok "$1" "a match of $3 in:" "$2"
	else
		ok "$1"
	fi
}

out() {
	local text
	IFS= read -rd '' text <"$T/out"
	printf '%s' "$text"
}

err() {
	local text
	IFS= read -rd '' text <"$T/err"
	printf '%s' "$text"
}

# power_cut STEP [systemd]: the machine loses its power now; the scenario goes on with that step after the next start,
# where systemd is the first process or what an init with scripts would do is done.
power_cut() {
	local file
	file=/root/step/$(basename "$0" .sh)
	echo "$1" >"$file"
	sync "$file" /root/step # alone: what is under way is not to be finished
	echo "cut ${2:-scripts}"
	while :; do
		sleep 100
	done
}

# tree: what a guest's root holds.
tree() {
	mkdir -p "$T/tree/etc"
	echo before >"$T/tree/etc/motd"
	echo "/dev/xvda / ext4 defaults 0 1" >"$T/tree/etc/fstab"
	seq 2000 >"$T/tree/numbers"
}

# image FILE [SIZE]
image() {
	tree
	mke2fs -q -F -t ext4 -E lazy_itable_init=0 -d "$T/tree" "$1" "${2:-24M}" >/dev/null
}

# guest NAME TARGET [LINE...]: a config of a PV guest with that disk as xvda.  still=1: one that is only ever built, which
# takes a third of the time.
guest() {
	local name=$1 target=$2
	shift 2
	{
		printf 'name = "%s"\n' "$name"
		if [ -n "${still-}" ]; then
			printf 'kernel = "/lab/still"\nmemory = 16\n'
		else
			printf 'kernel = "/lab/vmlinux"\nramdisk = "/lab/initrd.gz"\nmemory = 96\n'
		fi
		printf 'cmdline = "root=/dev/xvda console=hvc0 quiet %s lpj=1000000 %s"\n' "$light" "${words-}"
		printf 'disk = [ "%s,xvda,w" ]\n' "$target"
		printf '%s\n' "$@"
	} >"/etc/xen/$name.cfg"
}

console() {
	tr -d '\r' <"$logs/guest-$1.log" 2>/dev/null
}

# console_has NAME TEXT: by the shell alone.
console_has() {
	local text
	IFS= read -rd '' text <"$logs/guest-$1.log"
	[[ $text =~ $2 ]]
}

# says NAME TEXT [SECONDS]: the guest's console has had TEXT, an extended regular expression.
says() {
	wait_until "${3:-150}" console_has "$1" "$2" || {
		echo "# the console of $1:"
		console "$1" | tail -n 15 | sed 's/^/#   /'
		return 1
	}
}

# create NAME [XL-OPTION...]: started, with a console of its own.
create() {
	local name=$1
	shift
	rm -f "$logs/guest-$name.log"
	xl create "$@" "/etc/xen/$name.cfg"
}

# start NAME: started, and up.
start() {
	create "$1" && says "$1" "guest: up"
}

gone() {
	! xl domid "$1" >/dev/null 2>&1
}

stop() {
	xl shutdown "$1" >/dev/null 2>&1
	wait_until 60 gone "$1"
}

destroy() {
	xl destroy "$1" >/dev/null 2>&1
	wait_until 30 gone "$1"
}

# refused NAME DISK HOLDER ARG...: status 3, the holder named, and no byte of the disk changed.
refused() {
	local name=$1 disk=$2 holder=$3 before
	shift 3
	before=$(md5sum <"$disk")
	ends "$name: refused" 3 "$@" < <(echo "never to be seen")
	has "$name: by whom" "$(err)" "$holder"
	is "$name: no byte changed" "$(md5sum <"$disk")" "$before"
}

# refused_by NAME HOLDER ARG...: where somebody else is writing.
refused_by() {
	local name=$1 holder=$2
	shift 2
	ends "$name: refused" 3 "$@" < <(echo "never to be seen")
	has "$name: by whom" "$(err)" "$holder"
}

# isnt NAME GOT UNWANTED
isnt() {
	if [ "$2" = "$3" ]; then
		not_ok "$1" "got: ${2@Q}"
	else
		ok "$1"
	fi
}
