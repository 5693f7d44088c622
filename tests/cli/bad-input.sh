#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# bad-input.sh - damaged, hostile and absurd disks, tables, configs and paths: a message and a status, never a crash.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"

# bad NAME STATUSES ARG...: one of the statuses, a message, no signal, not much output.
bad() {
	local name=$1 wants=$2
	shift 2
	domu "$@"
	if [[ " $wants " != *" $status "* ]]; then
		not_ok "$name" "\$ domu-rescue $*" "status $status, expected one of: $wants" "$(tail -c 800 "$T/err")" "$(tail -c 300 "$T/out")"
	elif [ "$status" != 0 ] && [ ! -s "$T/err" ] && [[ $name != *fsck* ]]; then
		not_ok "$name" "\$ domu-rescue $*" "status $status without a message"
	elif [ "$(stat -c %s "$T/err")" -gt 20000 ] || [ "$(stat -c %s "$T/out")" -gt 200000 ]; then
		not_ok "$name" "too much output"
	elif LC_ALL=C grep -q '[[:cntrl:]]' < <(tr -d '\n\t' <"$T/err"); then
		not_ok "$name" "a control character in the message: $(cat -v "$T/err")"
	else
		ok "$name"
	fi
}

# try NAME DISK [STATUSES]: everything that looks at a disk.
try() {
	local name=$1 disk=$2 wants=${3:-1 4 6} before
	before=$(state_of "$disk")
	bad "$name: cat" "$wants" cat "$disk:/etc/hostname"
	bad "$name: ls" "$wants 0" ls -l "$disk:/"
	bad "$name: info" "0 1" info "$disk"
	bad "$name: write" "$wants" write "$disk:/etc/hostname" <"$T/new"
	bad "$name: fsck -n" "0 4 8 12" fsck -n "$disk"
	# A change may succeed where the filesystem can be opened: undone, it must be the old bytes.
	[ "$(sha "$disk")" = "${before%% *}" ] || domu undo "$disk"
	is "$name: not a byte was changed" "$(sha "$disk")" "${before%% *}"
}

seeded

# ---- disks
echo 'new content' >"$T/new"
bad "an absent disk" 4 cat "$T/nothing.img:/etc/hostname"
has "an absent disk is named" "$(err)" 'nothing\.img'
: >"$T/empty.img"
try "an empty file" "$T/empty.img"
printf x >"$T/one.img"
try "a file of one byte" "$T/one.img"
truncate -s 20M "$T/zeros.img"
try "zeros" "$T/zeros.img"
head -c 5000000 /dev/urandom >"$T/random.img"
try "random bytes" "$T/random.img"
mkdir "$T/folder.img"
bad "a folder" "1 2 4" cat "$T/folder.img:/etc/hostname"
mkfifo "$T/fifo.img"
bad "a pipe" "1 2 4" cat "$T/fifo.img:/etc/hostname"
bad "a character device" "1 2 4" --disk /dev/zero info

# An image that is all text and reads like a config naming a file of the host is a disk, never a config.
printf 'secret of the host\n' >"$T/secret"
{
	printf 'name = "victim"\ndisk = [ "%s,raw,xvda,w" ]\n' "$T/secret"
	yes '# a comment' | head -c 600000
} >"$T/text.img"
try "text like a config" "$T/text.img"
bad "text like a config is not followed" "0 1 4 6" info "$T/text.img"
lacks "nothing of the host's file is shown" "$(out) $(err)" 'secret|victim'
cp "$T/text.img" "$T/text"
bad "text like a config, without a suffix" "1 2 4 6" cat "$T/text:/etc/hostname"
lacks "that is a disk too" "$(out) $(err)" 'secret'

# A raw disk that begins like a qcow2 gets a warning and stays raw.
truncate -s 10M "$T/tree.img"
mkdir -p "$T/tree/etc"
echo hello >"$T/tree/etc/hostname"
mke2fs -q -F -t ext4 -d "$T/tree" "$T/tree.img"
cp "$T/tree.img" "$T/likeqcow.img"
printf 'QFI\xfb\0\0\0\3' | dd of="$T/likeqcow.img" conv=notrunc status=none
bad "a raw disk that begins like a qcow2 is read as raw" 0 cat "$T/likeqcow.img:/etc/hostname"
is "its content" "$(out)" hello
has "a warning" "$(err)" 'qcow2'

# ---- filesystems
make_bad() {
	cp "$T/tree.img" "$T/$1.img"
}
make_bad truncated
truncate -s 3M "$T/truncated.img"
try "a filesystem cut short" "$T/truncated.img" "0 1 4 6"
make_bad superblock
noise $seed 1024 | dd of="$T/superblock.img" bs=1 seek=1024 conv=notrunc status=none
try "a random superblock" "$T/superblock.img"
make_bad feature
debugfs -w -R 'feature' "$T/feature.img" >/dev/null 2>&1
# s_feature_incompat is at 0x60 of the superblock: a bit that nobody knows.
printf '\x42\x02\x00\x08' | dd of="$T/feature.img" bs=1 seek=$((1024 + 0x60)) conv=notrunc status=none
try "an unknown feature" "$T/feature.img"
make_bad geometry
printf '\x00\x00\x00\x00' | dd of="$T/geometry.img" bs=1 seek=$((1024 + 0x20)) conv=notrunc status=none
try "no blocks in a group" "$T/geometry.img"
make_bad blocksize
printf '\x3f\x00\x00\x00' | dd of="$T/blocksize.img" bs=1 seek=$((1024 + 0x18)) conv=notrunc status=none
try "blocks of 2^73 bytes" "$T/blocksize.img"
for i in 1 2 3 4 5 6; do
	make_bad "mutant$i"
	# Random bytes over the first metadata blocks: descriptors, bitmaps, inode table.
	noise $((seed + i)) 2048 | dd of="$T/mutant$i.img" bs=512 seek=$((i * 7)) conv=notrunc status=none
	try "mutant $i" "$T/mutant$i.img" "0 1 4 6"
done
# A directory that is its own parent and child; a length of a terabyte; a link of nothing.
make_bad cycle
debugfs -w -f - "$T/cycle.img" >/dev/null 2>&1 <<-'DAMAGE'
	mkdir /etc/sub
	link /etc /etc/sub/again
	set_inode_field /etc/hostname size 1099511627776
DAMAGE
bad "a directory inside itself" "0 1" find "$T/cycle.img:/"
bad "du of a directory inside itself" "0 1 2" ls -R "$T/cycle.img:/"
bad "a file that says it has a terabyte, its end" "0 1" tail -c 10 "$T/cycle.img:/etc/hostname"
truncate -s 300M "$T/swap.img"
mkswap -q "$T/swap.img"
bad "a swap disk has no files" "1 4 6" ls "$T/swap.img:/"
mkfs.btrfs -q -f "$T/swap.img" >/dev/null 2>&1 && bad "an unknown filesystem is named" "1 6 4" --engine ext2fs ls "$T/swap.img:/"

# ---- tables
truncate -s 40M "$T/table.img"
# entry TYPE START SIZE: 16 bytes of an MBR.
entry() {
	printf '\0\0\0\0'
	printf "\\x$(printf %02x "$1")\0\0\0"
	local v
	for v in "$2" "$3"; do
		printf "\\x$(printf %02x $((v & 255)))\\x$(printf %02x $((v >> 8 & 255)))\\x$(printf %02x $((v >> 16 & 255)))\\x$(printf %02x $((v >> 24 & 255)))"
	done
}
mbr() {
	dd of="$1" bs=1 seek=$((446 + ${2:-0})) conv=notrunc status=none
	printf '\x55\xaa' | dd of="$1" bs=1 seek=$((510 + ${2:-0})) conv=notrunc status=none
}
cp "$T/table.img" "$T/overlap.img"
{ entry 0x83 2048 40000; entry 0x83 20480 40000; } | mbr "$T/overlap.img"
bad "partitions that overlap" "0 1" info "$T/overlap.img"
try "partitions that overlap" "$T/overlap.img"
cp "$T/table.img" "$T/beyond.img"
{ entry 0x83 2048 4000000000; entry 0x83 4000000000 1000; } | mbr "$T/beyond.img"
bad "partitions that run past the end" "0 1" info "$T/beyond.img"
has "which one is said" "$(err)$(out)" 'xvda[12]'
try "partitions past the end" "$T/beyond.img"
cp "$T/table.img" "$T/looptable.img"
entry 0x05 2048 70000 | mbr "$T/looptable.img"
{ entry 0x83 63 100; entry 0x05 0 70000; } | mbr "$T/looptable.img" $((2048 * 512))
try "an extended partition that leads to itself" "$T/looptable.img"
cp "$T/table.img" "$T/badgpt.img"
printf 'label: gpt\nsize=8MiB\nsize=8MiB\n' | sfdisk -q "$T/badgpt.img"
noise $seed 1536 | dd of="$T/badgpt.img" bs=512 seek=1 conv=notrunc status=none
try "a GPT whose first header is random" "$T/badgpt.img"
printf 'label: gpt\nsize=8MiB\nsize=8MiB\n' | sfdisk -q "$T/table.img"
truncate -s 10M "$T/table.img"
try "a GPT on a disk that was cut short" "$T/table.img"

# ---- configs
truncate -s 10M "$T/good.img"
mke2fs -q -F -t ext4 -d "$T/tree" "$T/good.img"
config good "$T/good.img,raw,xvda,w"
printf 'name = "nodisk"\n' >"$T/xen/nodisk.cfg"
printf 'name = "broken\ndisk = [\n' >"$T/xen/broken.cfg"
printf 'name = "syntax"\ndisk = [ "%s,raw,xvda,w!" ]\n' "$T/good.img" >"$T/xen/syntax.cfg"
printf 'name = "python"\nimport os\ndef f():\n  return 1\ndisk = [ "phy:%%s,xvda,w" %% os.getcwd() ]\n' >"$T/xen/python.cfg"
printf 'name = "vmdk"\ndisk = [ "%s,vmdk,xvda,w" ]\n' "$T/good.img" >"$T/xen/vmdk.cfg"
printf 'name = "gone"\ndisk = [ "%s,raw,xvda,w" ]\n' "$T/gone.img" >"$T/xen/gone.cfg"
printf 'name = "esc\x1b[31m"\ndisk = [ "%s,raw,xvda,w" ]\n' "$T/good.img" >"$T/xen/esc.cfg"
head -c 100000 /dev/urandom >"$T/xen/random.cfg"
ln -s /nonexistent "$T/xen/dangling.cfg"
mkdir "$T/xen/folder.cfg"
mkfifo "$T/xen/fifo.cfg"
bad "list goes on past configs with errors" "0 1" list
has "the good one is listed" "$(out)" '^good'
has "the one that cannot be used is named" "$(out)$(err)" 'syntax'
bad "a config that xl rejects" "1 2 6" cat syntax:/etc/hostname
bad "a config of Python" "1 2 4 6" cat python:/etc/hostname
bad "a config whose disk is gone" 4 cat gone:/etc/hostname
has "the disk is named" "$(err)" 'gone\.img'
bad "a folder as a config" "1 2 4" --config "$T/xen" list
bad "a file as a config folder" "0 1 2 4" --config-dir "$T/secret" list
bad "an absent config folder" "0 1 2 4" --config-dir "$T/absent" list
bad "an absent config" "1 2 4" --config "$T/absent.cfg" ls /

# ---- a disk that shrank, and one that cannot be read
config shrunk "$T/shrunk.img,raw,xvda,w"
cp "$T/good.img" "$T/shrunk.img"
bad "before it shrank" 0 info shrunk
truncate -s 5M "$T/shrunk.img"
try "a disk that shrank" "$T/shrunk.img" "0 1 4 6"
bad "a disk that shrank, by name" "0 1 4" info shrunk
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 600 "$T/good.img"
	chmod 755 "$T"
	if setpriv --reuid 65534 --clear-groups test -x "$DOMU"; then
		DOMU_RESCUE_STATE_DIR=$T/other setpriv --reuid 65534 --regid 65534 --clear-groups \
			timeout "$time_limit" "$DOMU" cat "$T/good.img:/etc/hostname" >"$T/out" 2>"$T/err"
		is "an unreadable disk" "$?" 1
		has "an unreadable disk: why" "$(err)" '[Pp]ermission'
		mkdir -p "$T/root-only/pending"
		chmod 700 "$T/root-only" "$T/root-only/pending"
		chmod 644 "$T/good.img"
		for c in "history $T/good.img" "rm $T/good.img:/etc/hostname" recover; do
			# shellcheck disable=SC2086
			DOMU_RESCUE_STATE_DIR=$T/root-only setpriv --reuid 65534 --regid 65534 --clear-groups \
				timeout "$time_limit" "$DOMU" $c >"$T/out" 2>"$T/err"
			is "not as root: ${c%% *}" "$?" 1
			has "not as root: ${c%% *}: what to do" "$(err)" 'root-only.*run as root'
		done
	else
		skip "an unreadable disk" "the program's folder is not readable by others"
	fi
else
	skip "an unreadable disk" "not root"
fi

# ---- paths
bad "an absent file" 4 cat good:/etc/none
has "its name" "$(err)" '/etc/none'
bad "a file as a folder" "1 4" cat good:/etc/hostname/x
bad "an endless path" "1 2 4" cat "good:/$(printf 'a/%.0s' {1..5000})"
bad "an endless name" "1 2 4" cat "good:/$(printf 'a%.0s' {1..300})"
bad "a folder with cat" 1 cat good:/etc
bad "control characters in a path" 4 cat $'good:/etc/\e[31m\nx'
bad "too many dots" 0 cat good:/../../../etc/../etc/./hostname
bad "an absent filesystem" 4 cat good@xvda7:/etc/hostname
bad "an empty argument" "2 4" cat ''
bad "only a colon" "2 4" cat :/
bad "no guest of that name" 4 cat nobody:/etc/hostname
has "the guest's name" "$(err)" 'nobody'

# More lines than are held back to be aligned, to somebody who does not want them
mkdir "$T/many"
(cd "$T/many" && seq -f 'n%06g' 1 21000 | xargs touch)
truncate -s 64M "$T/many.img"
mke2fs -q -F -t ext4 -N 24000 -d "$T/many" "$T/many.img"
"$DOMU" ls -l "$T/many.img:/" >/dev/full 2>"$T/err"
is "a long list on a full device" "$?" 1
# ---- a size that lies and the host's disk

truncate -s 16M "$T/lie.img"
mke2fs -q -F -t ext4 "$T/lie.img"
printf 'x\n' >"$T/x"
debugfs -w "$T/lie.img" >"$T/log" 2>&1 <<-X
	mkdir etc
	write $T/x etc/hostname
	sif etc/hostname size 0x7fffffffff
X
EDITOR=true TMPDIR=$T/tmp bad "edit of 512 GiB" "1" edit "$T/lie.img:/etc/hostname"
has "edit of 512 GiB: it says why" "$(err)" 'larger than 256 MiB'
is "edit of 512 GiB: nothing is left" "$(ls "$T/tmp")" ""
# ---- started without its standard descriptors: none of them may become that of a disk
truncate -s 16M "$T/closed.img"
mke2fs -q -F -t ext4 "$T/closed.img"
echo kept >"$T/new"
"$DOMU" write "$T/closed.img:/new" <"$T/new" >&- 2>&-
is "a change without stdout and stderr" "$? $(debugfs -R 'cat new' "$T/closed.img" 2>/dev/null)" "0 kept"
check "leaves a sound filesystem" e2fsck -fn "$T/closed.img"
"$DOMU" cat "$T/closed.img:/new" >&- 2>"$T/err"
is "what cannot be shown is said" "$? $(err)" "1 domu-rescue: cannot write the output: Bad file descriptor"
"$DOMU" write "$T/closed.img:/other" <&- 2>"$T/err"
is "a closed stdin is no disk" "$? $(err | grep -c 'Bad file descriptor')" "1 1"

done_testing
