#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# history.sh - what history shows and keeps, the file that says how much, and room that is asked for before a change.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
mkdir "$T/tree" "$T/small" "$T/elsewhere"
plain_tree "$T/tree"
truncate -s 32M "$T/base.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/base.img"
fs_offset=0
disk=$T/disk.img
base=$(sha "$T/base.img")
config test "$disk,raw,xvda,w"
config other "$T/other.img,raw,xvda,w"

test_cleanup() {
	umount "$T/small" 2>/dev/null
}

fresh() {
	rm -rf "$T/state"
	cp --sparse=always "$T/base.img" "$disk"
}

# leave KIB: so much is free in the small folder.
leave() {
	rm -f "$T/small/filler"
	head -c $((($(df --output=avail -k "$T/small" | tail -n 1) - $1) * 1024)) /dev/zero >"$T/small/filler"
}

ids() {
	domu history "$1" --json
	jq -r '.commits[].id' "$T/out"
}

# ---- what is shown
fresh
works "a commit with a check waived" --waive writers mkdir test:/one
works "undo of it" undo test
works "history" history test
has "who" "$(out)" "  *WHO "
has "what was waived" "$(out)" 'without these checks.*writers'
has "what undoes what" "$(out)" '^[0-9T]+-[0-9a-f]+ undoes [0-9T]+-[0-9a-f]+$'
domu history test --json
is "its columns" "$(jq -c '.commits[0] | keys - ["owner", "undoes", "waived", "notes"]' "$T/out")" \
	'["blocks","bytes","command","id","state","time","undoable"]'
is "states, newest first" "$(jq -c '[.commits[].state]' "$T/out")" '["committed","undone"]'
is "what can be undone" "$(jq -c '[.commits[].undoable]' "$T/out")" '[true,false]'
works "a commit by the disk's path" mkdir "$disk:/two"
is "is the guest's too" "$(ids test | wc -l)" 3
ends "undo of an undone one" 1 undo test "$(ids test | tail -n 1)"
has "it says why" "$(err)" 'undone already'

# ---- which commit undo means
fresh
works "a commit" mkdir test:/older
older=$(ids test)
works "and one without undo" --no-undo --yes mkdir test:/etc/newest
newest=$(ids test | head -n 1)
before=$(sha "$disk")
ends "undo does not take the older one for the newest" 1 undo test
has "it says which cannot be undone, and how the older one is" "$(err)" "$newest .*etc/newest.*domu-rescue undo test $older"
ends "nor does undo --files" 1 undo --files test
is "nothing was written" "$(sha "$disk")" "$before"
works "named, the older one is meant" undo --files test "$older"
is "and the newest stays" "$(domu ls -d test:/older test:/etc/newest 2>/dev/null; out)" /etc/newest
works "a commit with its undo elsewhere" --undo-dir "$T/elsewhere" mkdir test:/elsewhere
mv "$T/elsewhere" "$T/unmounted"
ends "undo while that is gone" 1 undo test
has "says where it was" "$(err)" "cannot be undone: .*is not there now.*undo-dir"
mv "$T/unmounted" "$T/elsewhere"
works "and works when it is back" undo test
rm -f "$T/elsewhere"/*

# ---- a commit that the guest overtook
if [ "$(id -u)" = 0 ] && strace -f -o /dev/null true 2>/dev/null && kmount "$T/base.img" 0 0 "$T/mnt" ro; then
	kumount "$T/mnt"
	fresh
	{
		strace -f -o /dev/null -e trace=fdatasync -e inject=fdatasync:signal=KILL:when=3 \
			"$DOMU" mkdir test:/srv >"$T/out" 2>"$T/err" || true
	} 2>/dev/null
	is "sealed, and not on the disk" "$(sha "$disk")" "$base"
	domu history test --json
	is "it is interrupted" "$(jq -c '[.commits[].state]' "$T/out")" '["interrupted"]'
	kmount "$disk" 0 0 "$T/mnt" rw
	mkdir "$T/mnt/by-the-guest"
	kumount "$T/mnt"
	before=$(sha "$disk")
	works "recover" recover test
	is "it writes nothing" "$(sha "$disk")" "$before"
	works "history" history test
	has "says what became of it" "$(out)" 'the guest ran before it was finished: it was not written'
	domu history test --json
	is "it is superseded, and no undo of it" "$(jq -c '[.commits[] | [.state, .undoable]]' "$T/out")" '[["superseded",false]]'
	ends "it cannot be undone" 1 undo test "$(jq -r '.commits[0].id' "$T/out")"
	has "it says why" "$(err)" 'never written'
else
	skip "a commit that the guest overtook" "no loop mounts, or no strace to kill with"
fi

# ---- what is kept
fresh
cp --sparse=always "$T/base.img" "$T/other.img"
conf=$DOMU_RESCUE_CONF
DOMU_RESCUE_CONF=$T/conf
: >"$T/conf"
works "of another guest" mkdir other:/one
printf '# kept\n\nhistory-count = 2 # a disk\nhistory-age = unlimited\nhistory-size=unlimited\n' >"$T/conf"
for i in 1 2 3 4; do
	domu --undo-dir "$T/elsewhere" mkdir "test:/$i"
done
is "as many as the file says" "$(ids test | wc -l)" 2
is "their undo files elsewhere with them" "$(find "$T/elsewhere" -type f | wc -l)" 2
is "other disks have their own" "$(ids other | wc -l)" 1
is "nothing is left of the others" "$(find "$T/state/history" -mindepth 1 -maxdepth 1 | wc -l)" 3
works "the newest can be undone" undo test
is "and its undo too" "$(domu undo test; echo $?)" 0
for how in "mkdir /in-shell" "cp host:$T/conf /in-shell-too" "mkdir /in-shell-3; commit"; do
	works "shell: $how" shell test -c "$how"
	is "shell: $how: as many as the file says" "$(ids test | wc -l)" 2
done
echo 'history-size = unlimited' >"$T/conf"
for how in "mkdir /more" "cp host:$T/conf /more-too" "mkdir /more-3; commit"; do
	before=$(ids test)
	works "without limits, shell: $how" shell test -c "$how"
	is "without limits, shell: $how: all are kept" "$(ids test | tail -n +2)" "$before"
done
printf 'history-size = 1K\n' >"$T/conf"
echo 'mkdir /by-the-shell' >"$T/script"
printf 'history-count = 2\nhistory-size = unlimited\n' >"$T/conf"
for how in "shell test -c 'mkdir /s1'" "shell test $T/script" "shell test <<<'mkdir /s3'" "mkdir test:/m"; do
	eval "works \"$how\" $how"
	is "$how: keeps as many" "$(ids test | wc -l)" 2
	is "$how: and those of other disks" "$(ids other | wc -l)" 1
done
printf 'history-count = many\n' >"$T/conf"
before=$(state_of "$disk")
ends "a shell with a wrong file changes nothing" 2 shell test -c 'mkdir /wrong'
has "a wrong file: the shell says why" "$(err)" "$T/conf:1: "
is "a wrong file: nothing was written" "$(state_of "$disk")" "$before"
works "a shell reads with a wrong file" shell test -c 'ls /'
printf 'history-size = 1K\n' >"$T/conf"
works "a limit below one commit" mkdir test:/x
is "the newest stays" "$(ids test | wc -l)" 1
works "and can be undone" undo test
if strace -f -o /dev/null true 2>/dev/null; then
	ASAN_OPTIONS=detect_leaks=0 strace -f -o "$T/trace" -e trace=rename -e inject=rename:error=EIO:when=3 "$DOMU" mkdir test:/warned >"$T/out" 2>"$T/err"
	is "a history that cannot be shortened is no failure" "$?" 0
	has "but a warning" "$(err)" 'warning: the history could not be shortened: .*history'
	is "the commit is there" "$(domu ls test:/; out | grep -cx warned)" 1
	works "the next one shortens it" mkdir test:/after
	is "to what it is to be" "$(ids test | wc -l)" 1
else
	skip "a history that cannot be shortened" "no strace to fail a call with"
fi
n=0
while IFS='|' read -r line want; do
	n=$((n + 1))
	printf '# a line\n%s\n' "$line" >"$T/conf"
	before=$(state_of "$disk")
	ends "wrong: $line" 2 mkdir test:/y
	has "wrong: $line: file and line" "$(err)" "$T/conf:2: .*$want"
	is "wrong: $line: nothing was done" "$(state_of "$disk")" "$before"
done <<'END'
history-cuont = 3|unknown key 'history-cuont'
history-count = many|history-count .*'many'
history-count = 0|history-count .*'0'
history-size = 110%|history-size .*'110%'
history-size = -1|history-size .*'-1'
history-age = 3 days|history-age .*'3 days'
history-age|key = value
END
works "reading goes on with a wrong file" ls test:/
works "so does rollback" --yes rollback test
for line in 'history-count=1' 'history-count = unlimited' 'history-size = 10%' 'history-size = 20G' 'history-age = 12h' \
	'history-age = 3w' 'history-age = 1y # a comment' '   # nothing' ''; do
	printf '%s' "$line" >"$T/conf"
	works "right: $line" -n mkdir test:/y
done
DOMU_RESCUE_CONF=$T/none ends "a file that is not there" 2 mkdir test:/y
DOMU_RESCUE_CONF=$conf

# ---- room
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=6m,mode=700 tmpfs "$T/small" 2>/dev/null; then
	fresh
	head -c 3000000 /dev/urandom >"$T/big"
	export DOMU_RESCUE_STATE_DIR=$T/small
	DOMU_RESCUE_CONF=$T/conf
	printf 'history-size = 20%%\n' >"$T/conf"
	for i in 1 2 3 4 5 6; do
		head -c 400000 /dev/urandom | domu write test:/etc/share
	done
	is "a share of the filesystem is kept" "$(($(ids test | wc -l) < 5))" 1
	is "and not only the newest" "$(($(ids test | wc -l) > 1))" 1
	DOMU_RESCUE_CONF=$conf
	rm -r "${T:?}/small"/*
	cp --sparse=always "$T/base.img" "$disk"
	before=$(state_of "$disk")
	for how in "write test:/etc/big" "cp $T/big test:/etc/big"; do
		# shellcheck disable=SC2086
		ends "$how: no room" 1 $how <"$T/big"
		has "$how: the figures" "$(err)" "takes [0-9.]+M.*$T/small has [0-9.]+M free"
		has "$how: the ways on" "$(err)" 'undo-dir.*no-undo.*state-dir'
		is "$how: nothing was written" "$(state_of "$disk")" "$before"
		is "$how: no stage is left" "$(find "$T/small/pending" -mindepth 1 | wc -l)" 0
	done
	works "with the undo elsewhere there is" --undo-dir "$T/elsewhere" write test:/etc/big <"$T/big"
	ends "undo of that needs as much" 1 undo test
	has "and says so before" "$(err)" 'no room for this change.*undo-dir'
	works "with the undo elsewhere it has it" --undo-dir "$T/elsewhere" undo test
	is "exactly" "$(sha "$disk")" "$base"
	before=$(state_of "$disk")
	cat "$T/big" "$T/big" "$T/big" | ends "a stream that does not fit" 1 write test:/etc/big
	has "one message, with the figures" "$(err)" "$T/small is full: .*staged.*left: nothing was written"
	is "and no other" "$(err | wc -l)" 1
	is "a stream: nothing was written" "$(state_of "$disk")" "$before"
	is "a stream: no stage is left" "$(find "$T/small/pending" -mindepth 1 | wc -l)" 0
	leave 20
	ends "a small change that does not fit" 1 touch test:/etc/new
	has "one message, with the figures" "$(err)" "$T/small is full: .*staged.*left: nothing was written; make room"
	is "and no other" "$(err | wc -l)" 1
	for how in -p -y; do
		ends "nor the checking: fsck $how" 8 fsck $how test
		has "which says the same" "$(out; err)" "$T/small is full: .*left: nothing was written; make room"
		lacks "and nothing of the guest's disk" "$(out; err)" 'Error writing|not repaired'
		is "fsck $how: nothing was written" "$(state_of "$disk")" "$before"
	done
	leave 100
	ends "what fails for another reason says that" 4 rm test:/none
	lacks "and nothing of room" "$(err)" 'full|room'
	leave 2000
	before=$(state_of "$disk")
	ends "a resize without room for its undo" 1 resize-root test +1G --yes
	has "it says so" "$(err)" 'undo of this commit takes'
	is "the disk did not grow" "$(state_of "$disk")" "$before"
	leave 300
	ends "a repair without room" 8 fsck test
	has "it says so" "$(err)" 'undo of this commit takes'
	is "a resize and a repair: no stage is left" "$(find "$T/small/pending" -mindepth 1 | wc -l)" 0
	is "nor is the disk changed" "$(state_of "$disk")" "$before"
	leave 0
	ends "not even room for a lock" 1 touch test:/etc/late
	has "it says where to make room" "$(err)" "$T/small/.*No space left on device: make room there.*state-dir"
	is "no room for a lock: nothing was written" "$(state_of "$disk")" "$before"
	umount "$T/small"
else
	skip "a state directory that is small" "no tmpfs can be mounted"
fi
done_testing
