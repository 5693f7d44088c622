#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# transaction.sh - scripts are one transaction; stages, history, undo; nothing is written that was not committed.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 32M "$T/base.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/base.img"
fs_offset=0
disk=$T/disk.img
base=$(sha "$T/base.img")
config test "$disk,raw,xvda,w"

fresh() {
	rm -rf "$T/state"
	cp --sparse=always "$T/base.img" "$disk"
}

unchanged() {
	is "$1: the disk is as it was" "$(sha "$disk")" "$base"
}

content() {
	domu cat "test:$1"
	out
}

# ---- scripts
fresh
works "a script with -c" shell test -c 'mkdir /srv; touch /srv/a; ln -s a /srv/b'
is "all of it is there" "$(domu ls test:/srv; out | tr '\n' ' ')" "a b "
fsck_clean "a script: e2fsck" "$disk"
domu history test --json
is "one commit" "$(jq '.commits | length' "$T/out")" 1
works "undo of the script" undo test
unchanged "undo of the script"

fresh
ends "a script whose last command fails" 4 shell test -c 'mkdir /srv; touch /srv/a; cat /none'
unchanged "a script whose last command fails"
domu history test --json
is "no commit of it" "$(jq '[.commits[] | select(.state == "committed")] | length' "$T/out")" 0
printf 'mkdir /srv\n# a comment\n\nwrite /srv/x < %s\nls /srv\n' "$T/xen/test.cfg" >"$T/script"
works "a script file" shell test "$T/script"
is "its output" "$(out)" x
is "what it wrote" "$(content /srv/x)" "$(cat "$T/xen/test.cfg")"
fresh
status=0
timeout "$time_limit" "$DOMU" shell test <"$T/script" >"$T/out" 2>"$T/err" || status=$?
is "a script on stdin" "$status" 0
is "a script on stdin: its effect" "$(content /srv/x)" "$(cat "$T/xen/test.cfg")"
fresh
ends "with -k it goes on" 1 shell test -k -c 'mkdir /srv; cat /none; touch /srv/a'
is "with -k what succeeded is committed" "$(domu ls test:/srv; out)" a
fresh
ends "a command unknown to the shell" 2 shell test -c 'mkdir /srv; frobnicate /'
unchanged "a command unknown to the shell"
ends "a script file that is not there" 4 shell test "$T/none"
works "an explicit commit counts as written" shell test -c 'mkdir /srv; commit'
is "it is there" "$(domu ls test:/; out | grep -c srv)" 1
fresh
domu shell test -c 'mkdir /srv; commit; mkdir /srv2; cat /none'
is "after a failure what was committed stays" "$(domu ls test:/; out | grep srv)" srv
fresh
works "a rollback in a script" shell test -c 'mkdir /srv; rollback; mkdir /srv2'
is "only what came after" "$(domu ls test:/; out | grep srv)" srv2
fresh
ends "a failed command changes nothing of its own" 1 shell test -k -c 'rm -r /home /none'
unchanged "a failed command changes nothing of its own"
fresh
works "quotes" shell test -c "mkdir '/a b' \"/c;d\" /e\\ f"
is "names with blanks" "$(domu ls test:/; out | grep -E '^(a b|c;d|e f)$' | tr '\n' ,)" 'a b,c;d,e f,'
fresh
works "pipes and files of the host" shell test -c "cat /etc/passwd | sort -r > $T/sorted; ls /etc > $T/ls"
is "what the pipe wrote" "$(cat "$T/sorted")" "$(sort -r "$T/tree/etc/passwd")"
has "what the redirection wrote" "$(cat "$T/ls")" '^fstab$'
unchanged "pipes and files of the host"
works "cd, pwd and relative paths" shell test -c 'cd /etc; pwd; cat hostname; cd ..; pwd'
is "what they say" "$(out | tr '\n' ' ')" "/etc testguest / "
works "commands of the host" shell test -c "!echo from the host"
has "their output" "$(out)" 'from the host'

# ---- --dry-run
fresh
before=$(state_of "$disk")
works "--dry-run of a write" --dry-run write test:/etc/motd <"$T/script"
works "-n before the command" -n mkdir test:/srv
works "--dry-run after the command" rm -r test:/home --dry-run
works "--dry-run of a script" --dry-run shell test -c 'mkdir /srv; rm /etc/hostname'
is "--dry-run writes nothing" "$(state_of "$disk")" "$before"
is "and leaves no stage" "$(find "$T/state/pending" -mindepth 1 2>/dev/null | wc -l)" 0
domu history test --json
is "and no history" "$(jq '.commits | length' "$T/out")" 0

# ---- history and undo
fresh
works "a first commit" mkdir test:/one
after_one=$(sha "$disk")
works "a second commit" mkdir test:/two
works "history" history test
is "two commits" "$(domu history test --json; jq '.commits | length' "$T/out")" 2
first=$(jq -r '.commits | last | .id' "$T/out")
has "the command is shown" "$(domu history test; out)" 'mkdir test:/two'
ends "an older commit whose blocks have changed" 1 undo test "$first"
is "it changed nothing" "$(domu ls test:/; out | grep -cE '^(one|two)$')" 2
works "undo of the last" undo test
is "the bytes after the first" "$(sha "$disk")" "$after_one"
works "undo of the first" undo test "$first"
unchanged "undo of both"
ends "an unknown ID" 4 undo test 20000101T000000-000000
fresh
ends "undo where nothing was done" 4 undo test
works "no undo data" --no-undo --yes mkdir test:/one
domu undo test
is "then there is no undo" "$((status != 0))" 1
fresh
works "a commit that is undone" mkdir test:/one
after_one=$(sha "$disk")
works "its undo" undo test
works "an undo can be undone" undo test
is "the bytes again" "$(sha "$disk")" "$after_one"

# ---- nothing to do, and what is not asked about
fresh
works "an edit without a change" write test:/etc/hostname <"$T/tree/etc/hostname"
edited=$(sha "$disk")
ends "committing without undo is declined where nobody answers" 5 --no-undo mkdir test:/srv </dev/null
is "declined: the disk is as it was" "$(sha "$disk")" "$edited"
fresh
works "diff without a stage" diff test
works "commit without a stage" commit test
works "rollback without a stage" rollback test
unchanged "diff, commit, rollback of nothing"

# ---- a stage that was left
if command -v setsid >/dev/null; then
	fresh
	mkfifo "$T/in"
	"$DOMU" shell test <"$T/in" >"$T/left.out" 2>&1 &
	pid=$!
	exec 7>"$T/in"
	printf 'mkdir /srv\nls / > %s\n' "$T/staged" >&7
	wait_until 20 grep -qx srv "$T/staged" || not_ok "a shell stages" "$(cat "$T/left.out")"
	unchanged "a stage is not written"
	ends "another change meanwhile is refused" 3 mkdir test:/other
	has "its owner is named" "$(err)" "[0-9]|$(id -un)"
	works "reading meanwhile is allowed" ls test:/
has "with a warning" "$(err)" 'warning'
	kill -HUP $pid
	exec 7>&-
	wait $pid
	unchanged "after a hangup"
	ends "a change is refused while there is a stage" 3 mkdir test:/other
	has "the ways on are named" "$(err)" 'commit.*rollback|rollback.*commit'
	works "diff shows the stage" diff test --json
	is "the new folder is in it" "$(jq -r '.files[] | select(.path == "/srv") | .change' "$T/out")" added
	works "commit of the stage" commit test
	is "it is on the disk" "$(domu ls test:/; out | grep -c '^srv$')" 1
	fsck_clean "commit of the stage: e2fsck" "$disk"
fi
done_testing
