#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# diff-repair.sh - what a repair changes: in files as the kernel shows them, in e2fsck's words, kept with stage and history.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
. "$(dirname "$0")/../lib/compare.sh"
need_kernel
fs_bytes=$((16 * 1048576)) fs_offset=0
disk=$T/disk.img
config test "$disk,raw,xvda,w"
seeded

fill() {
	local d f
	plain_tree "$1"
	for d in 1 2 3 4; do
		mkdir -p "$1/srv/d$d/sub/below"
		for f in 1 2 3 4 5 6 7 8; do
			seq 1 $((f * d * 50)) >"$1/srv/d$d/f$f"
		done
		echo below >"$1/srv/d$d/sub/below/file"
		ln -s f1 "$1/srv/d$d/link"
	done
}
make_fs ext4 "$T/base.img" fill

# damaged: a fresh disk, damaged by the debugfs commands of stdin, and a copy of it.
damaged() {
	rm -rf "$T/state"
	cp --sparse=always "$T/base.img" "$disk"
	debugfs -w -f - "$disk" >"$T/debugfs.out" 2>&1
	e2fsck -fn "$disk" >"$T/e2fsck.before" 2>&1 && not_ok "$1: the damage is there" "$(cat "$T/debugfs.out")"
	cp --sparse=always "$disk" "$T/before.img"
}

# damage: a random bunch of what a broken disk may look like; no file twice.
damage() {
	local d n=0 f from
	for d in 1 2 3 4; do
		from=$RANDOM # a subshell would draw its own
		for f in $(seq 1 8 | shuf -n 3 --random-source=<(yes "$from")); do
			case $((RANDOM % 7)) in
			0) echo "clri /srv/d$d/f$f" ;;
			1) echo "unlink /srv/d$d/f$f" ;;
			2) echo "sif /srv/d$d/f$f links_count $((RANDOM % 3 + 2))" ;;
			3) echo "sif /srv/d$d/f$f mode 0" ;;
			4) echo "sif /srv/d$d/f$f size 20000000" ;;
			5) echo "ln /srv/d$d/f$f /srv/d$d/again$f" ;;
			6) echo "sif /srv/d$d/f$f blocks 3000" ;;
			esac
		done
		case $((n++)) in
		0) echo "clri /srv/d$d/sub" ;;
		1) echo "unlink /srv/d$d/sub" ;;
		2) echo "clri /srv/d$d/link" ;;
		3) echo "freei /srv/d$d/f1" ;;
		esac
	done
}

for round in 1 2 3 4; do
	damage >"$T/damage"
	damaged "damage $round" <"$T/damage"
	kernel "$T/before.img" "$T/before"
	ends "damage $round: fsck -y and diff" 0 shell test -c "fsck -y; diff --json > $T/json"
	fsck_clean "damage $round: e2fsck finds nothing afterwards" "$disk"
	kernel "$disk" "$T/after"
	same "damage $round: diff tells what the kernel shows" <(ours) <(oracle "$T/before" "$T/after")
	is "damage $round: as many blocks as differ" "$(jq .blocks "$T/json")" \
		"$(cmp -l "$T/before.img" "$disk" | awk '{ u[int(($1 - 1) / 4096)] = 1 } END { print length(u) }')"
done

# ---- folders whose entries are only stored anew
# mke2fs -d makes folders without an index; e2fsck gives them one when it repairs anything.
mkdir "$T/linear"
plain_tree "$T/linear"
for d in 1 2; do
	mkdir -p "$T/linear/srv/d$d"
	(cd "$T/linear/srv/d$d" && seq -f 'a-name-of-some-length-%04g' 1 500 | xargs touch)
done
rm -rf "$T/state" "$disk"
truncate -s 16M "$disk"
mke2fs -q -F -t ext4 -b 1024 -d "$T/linear" "$disk"
debugfs -w -R 'clri /srv/d1/a-name-of-some-length-0007' "$disk" >/dev/null 2>&1
cp --sparse=always "$disk" "$T/before.img"
kernel "$T/before.img" "$T/before"
works "a repair that optimizes" shell test -c "fsck -y > $T/said; diff --json > $T/json"
has "a repair that optimizes: it did" "$(cat "$T/said")" 'Optimizing directories'
kernel "$disk" "$T/after"
same "a repair that optimizes: diff tells what the kernel shows" <(ours) <(oracle "$T/before" "$T/after")

# ---- in e2fsck's words
damaged "words" <<<'clri /srv/d1/f3'
e2fsck -fy "$T/before.img" >"$T/e2fsck.said" 2>&1
works "fsck in a shell, and diff" shell test -c "fsck -y > /dev/null; diff > $T/text; diff --json > $T/json"
has "under the device" "$(cat "$T/text")" '^xvda: e2fsck -y:$'
is "the notes are what e2fsck says" "$(jq -r '.notes[].text' "$T/json" | grep -v '^$' | grep -c .)" \
	"$(grep -v '^$' "$T/e2fsck.said" | grep -c .)"
is "line by line" "$(jq -r '.notes[].text' "$T/json" | grep -F 'deleted/unused')" "$(grep -F 'deleted/unused' "$T/e2fsck.said")"
works "history -l" history -l test
has "they stay with the commit" "$(out)" '^    Entry .f3. in /srv/d1 .* has deleted/unused inode'
is "history in JSON too" "$(domu history test --json; jq -r '.commits[0].notes[0].text' "$T/out")" "$(jq -r '.notes[0].text' "$T/json")"
works "undo of it" undo test
is "an undo has none" "$(domu history test --json; jq '.commits[0].notes | length' "$T/out")" 0
damaged "rollback" <<<'clri /srv/d1/f3'
works "fsck, rollback, another change" shell test -c "fsck -y; rollback; touch /srv/new; diff --json > $T/json"
is "a rollback drops the notes" "$(jq '.notes | length' "$T/json")" 0
damaged "CLI" <<<'clri /srv/d1/f3'
ends "fsck of its own" 1 fsck -y test
has "history of a fsck of its own" "$(domu history -l test; out)" 'deleted/unused inode'

# ---- a journal that was not replayed is no change of anybody's
crashed() {
	plain_tree "$1"
	sync -f "$1"
	mkdir "$1/srv"
	for i in $(seq 1 20); do
		echo "content $i" >"$1/srv/file$i"
	done
	rm "$1/etc/group"
	sync -f "$1"
	cp --sparse=always "$T/fs.img" "$disk"
}
rm -rf "$T/state"
make_fs ext4 "$T/fs.img" crashed
has "the image has a journal to replay" "$(dumpe2fs -h "$disk" 2>/dev/null | grep features)" needs_recovery
works "a change after a crash" shell test -c "touch /srv/new; diff --json > $T/json"
is "diff tells the change alone" "$(ours)" $'added\t/srv/new'

# ---- a journal that e2fsck throws away instead of replaying it
rm -rf "$T/state"
make_fs ext4 "$T/fs.img" crashed
blk=$(debugfs -R 'bmap <8> 0' "$disk" 2>/dev/null)
head -c 1024 /dev/urandom | dd of="$disk" bs=1024 seek="$blk" conv=notrunc status=none
works "a repair without its journal" shell test -c "fsck -y; touch /etc/motd; diff --json > $T/json"
is "the change is told" "$(ours)" $'added\t/etc/motd'

# ---- resize: the steps
fs_bytes=$((16 * 1048576))
cp --sparse=always "$T/base.img" "$disk"
rm -rf "$T/state"
truncate -s 24M "$disk"
ends "a resize" "0" resize-root test max
has "its steps are in the history" "$(domu history -l test; out)" '^    grow-filesystem xvda: 16M to 24M$'

# ---- garbage: diff ends, whatever is on the disk
for round in 1 2 3 4 5 6; do
	rm -rf "$T/state"
	cp --sparse=always "$T/base.img" "$disk"
	blk=$(debugfs -R 'imap /srv' "$disk" 2>/dev/null | sed -n 's/.*located at block \([0-9]*\).*/\1/p')
	# Until it is there: it may fall on what is not in use.
	while e2fsck -fn "$disk" >/dev/null 2>&1; do
		for i in 1 2 3 4; do
			from=$RANDOM bytes=$((RANDOM % 300 + 20)) at=$(((blk + RANDOM % 8) * 1024 + RANDOM % 900))
			noise $from $bytes | dd of="$disk" bs=1 seek=$at conv=notrunc status=none
		done
	done
	domu shell -k test -c "fsck -y; touch /odd; diff; diff -u > $T/patch"
	if [ "$status" -gt 8 ] || [ "$(stat -c %s "$T/out")" -gt 1000000 ]; then
		not_ok "garbage $round: diff comes to an end" "status $status" "$(tail -c 2000 "$T/err")"
	elif grep -q 'the worker ended' "$T/err"; then
		not_ok "garbage $round: nothing breaks" "$(tail -c 2000 "$T/err")"
	else
		ok "garbage $round: diff comes to an end"
	fi
done
done_testing
