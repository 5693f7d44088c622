#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# stage.sh - leaving the shell with staged changes, and a shell whose terminal goes away.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
. "$(dirname "$0")/../lib/pty.sh"
mkdir "$T/tree"
plain_tree "$T/tree"
truncate -s 32M "$T/base.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/base.img"
disk=$T/disk.img
config web1 "$disk,raw,xvda,w"
base=$(sha "$T/base.img")

fresh() {
	pty kill-server 2>/dev/null
	rm -rf "$T/state"
	cp --sparse=always "$T/base.img" "$disk"
}

# staged: a shell with a change.
staged() {
	pty_start "$DOMU" web1
	pty_prompt "$1: the prompt" 'web1:/>'
	pty_line 'mkdir /srv'
	pty_prompt "$1: a * while something is staged" 'web1:/\*>'
}

has_srv() {
	domu ls web1:/
	is "$1" "$(out | grep -c '^srv$')" "$2"
}

fresh
staged "commit"
is "commit: nothing is written yet" "$(sha "$disk")" "$base"
pty_line 'commit'
pty_prompt "commit: the * goes" 'web1:/>'
pty_line 'quit'
pty_ended "commit: then quit asks nothing" 0
has_srv "commit: it is written" 1

fresh
staged "rollback"
pty_line 'rollback'
pty_prompt "rollback: the * goes" 'web1:/>'
pty_key C-d
pty_ended "rollback: then it ends" 0
is "rollback: nothing was written" "$(sha "$disk")" "$base"

fresh
staged "quit, commit"
pty_line 'quit'
pty_prompt "quit asks" '.*commit, diff, keep or drop them\?'
pty_line 'diff'
pty_expect "diff shows what is staged" '/srv'
pty_prompt "and it asks again" '.*commit, diff, keep or drop them\?'
pty_line 'commit'
pty_ended "quit, commit: it ends" 0
has_srv "quit, commit: it is written" 1
domu history --json web1
id=$(jq -r '.commits[0].id' "$T/out")
pty_start "$DOMU" history web1
pty_ended "quit, commit: history" 0
has "quit, commit: its ID can be copied from 80 columns" "$(pty_screen)" "^$id [0-9: -]+ committed +yes"

fresh
staged "quit, drop"
pty_key C-d
pty_prompt "the end of input asks too" '.*commit, diff, keep or drop them\?'
pty_line 'drop'
pty_ended "quit, drop: it ends" 0
is "quit, drop: nothing was written" "$(sha "$disk")" "$base"
works "quit, drop: a change is possible" mkdir web1:/other

fresh
staged "quit, keep"
pty_line 'quit'
pty_prompt "quit, keep: it asks" '.*commit, diff, keep or drop them\?'
pty_line 'keep'
pty_ended "quit, keep: it ends" 0
is "quit, keep: nothing was written" "$(sha "$disk")" "$base"
ends "quit, keep: a change is refused" 3 mkdir web1:/other
pty_start "$DOMU" web1
pty_prompt "the next shell offers it" 'Resume, keep or drop it\?'
pty_line 'resume'
pty_prompt "it is there again" 'web1:/\*>'
pty_line 'ls /'
pty_expect "with its change" '(^|  )srv'
pty_line 'commit'
pty_prompt "and can be committed" 'web1:/>'
pty_line 'quit'
pty_ended "quit, keep, resume: it ends" 0
has_srv "quit, keep, resume: it is written" 1

# An answer that is none, and an end of input at the question: nothing is lost.
fresh
staged "no answer"
pty_line 'quit'
pty_prompt "no answer: it asks" '.*commit, diff, keep or drop them\?'
pty_line 'what'
pty_prompt "no answer: it asks again" '.*commit, diff, keep or drop them\?'
pty_key C-d
pty_ended "no answer: it ends" 0
is "no answer: nothing was written" "$(sha "$disk")" "$base"
works "no answer: it was kept" diff web1 --json
is "no answer: with its change" "$(jq -r '.files[].path' "$T/out" | grep -c '^/srv$')" 1

# The terminal goes away.
fresh
staged "SIGHUP"
pid=$(pty_program)
pty kill-server
check "SIGHUP ends the shell" pty_gone "$pid"
is "SIGHUP: nothing was written" "$(sha "$disk")" "$base"
ends "SIGHUP: the stage is kept" 3 mkdir web1:/other
pty_start "$DOMU" web1
pty_prompt "SIGHUP: the next shell offers it" 'Resume, keep or drop it\?'
pty_line 'resume'
pty_prompt "SIGHUP: resumed" 'web1:/\*>'
pty_line 'ls /'
pty_expect "SIGHUP: with its change" '(^|  )srv'
pty_line 'quit'
pty_prompt "SIGHUP: it asks" '.*commit, diff, keep or drop them\?'
pty_line 'drop'
pty_ended "SIGHUP: it ends" 0

# killed: the next shell offers what it had staged; one killed before a change leaves nothing to ask about.
fresh
staged "SIGKILL"
kill -KILL "$(pty_program)"
pty_ended "SIGKILL ends the shell" 137
pty_start "$DOMU" web1
pty_expect "SIGKILL: whose, how old, how much" 'a stage of [a-z]+@pts/[0-9]+, begun [0-9]+ [a-z]+ ago, holds changes \([0-9]+ bl'
pty_expect "SIGKILL: what it is good for" 'can be committed'
pty_prompt "SIGKILL: it is offered" 'Resume, keep or drop it\?'
pty_line 'drop'
pty_prompt "SIGKILL: dropped" 'web1:/>'
kill -KILL "$(pty_program)"
pty_ended "killed again" 137
pty_start "$DOMU" web1
pty_prompt "killed before a change: nothing is asked" 'web1:/>'
lacks "killed before a change: nothing is said" "$(pty_screen)" 'stage|warning'
pty_line 'quit'
pty_ended "it ends" 0

# The guest ran meanwhile.
fresh
# shellcheck disable=SC2016
domu shell web1 -c 'mkdir /srv; !kill -HUP $PPID'
if [ "$(id -u)" = 0 ] && kmount "$disk" 0 0 "$T/mnt" rw 2>/dev/null; then
	touch "$T/mnt/guest"
	kumount "$T/mnt"
	now=$(sha "$disk")
	pty_start "$DOMU" web1
	pty_expect "the guest ran: it is said" 'web1 has changed since: [1-9]'
	pty_prompt "the guest ran: what is left to do" 'Diff, keep or drop it\?'
	pty_line 'resume'
	pty_prompt "the guest ran: it cannot be resumed" 'Diff, keep or drop it\?'
	pty_line 'diff'
	pty_expect "the guest ran: diff" '^\+ /srv'
	pty_prompt "the guest ran: and it is asked again" 'Diff, keep or drop it\?'
	pty_line 'keep'
	pty_prompt "the guest ran: kept" 'web1:/>'
	pty_line 'mkdir /other'
	pty_expect "the guest ran: a change is refused, and begin named" 'begin offers'
	pty_clear
	pty_line 'begin'
	pty_prompt "the guest ran: begin offers it" 'Diff, keep or drop it\?'
	pty_line 'drop'
	pty_prompt "the guest ran: dropped" 'web1:/>'
	pty_line 'mkdir /other'
	pty_prompt "the guest ran: then a change is possible" 'web1:/\*>'
	pty_line 'rollback'
	pty_line 'quit'
	pty_ended "the guest ran: it ends" 0
	is "the guest ran: nothing was written" "$(sha "$disk")" "$now"
else
	skip "the guest ran" "no loop mounts"
fi

# Two shells on one guest.
fresh
pty_start "$DOMU" web1
pty_prompt "two shells: the first" 'web1:/>'
works "two shells: a reader beside one that only reads" ls web1:/
is "two shells: is told nothing" "$(err)" ''
ends "two shells: a change beside it is refused" 3 mkdir web1:/other
has "two shells: with who has it" "$(err)" 'pid [0-9]+, [a-z]+@pts/[0-9]+, since 20[-0-9]+ [0-9:]+: domu-rescue web1\); end that'
pty_line 'mkdir /srv'
pty_prompt "two shells: the first has a stage" 'web1:/\*>'
works "two shells: a reader beside a stage" ls web1:/
has "two shells: is told" "$(err)" 'warning: .*another domu-rescue is changing it'
lacks "two shells: and reads the disk" "$(out)" srv
pty_beside "$DOMU" web1
pty_prompt "two shells: the second" 'web1:/>'
has "two shells: it says at once what it can do" "$(pty_screen | tr '\n' ' ')" 'this shell only reads.*pid [0-9]+, [a-z]+@pts/[0-9]+, since 20'
for command in 'mkdir /other' 'rm /etc/hostname' 'write /etc/hostname < /dev/null' 'begin' 'fsck -y' 'resize-root 40M' 'undo'; do
	pty_clear
	pty_line "$command"
	pty_expect "two shells: $command in the second is refused" 'end that one first|one first'
	pty_prompt "two shells: $command: it goes on" 'web1:/>'
done
pty_clear
pty_line 'ls /'
pty_expect "two shells: the second reads" 'etc +home'
lacks "two shells: the disk, not the other's stage" "$(pty_screen)" srv
pty_at=t
pty_line 'commit'
pty_prompt "two shells: the first commits" 'web1:/>'
pty_line 'quit'
pty_ended "two shells: and ends" 0
pty_at=u
pty_clear
pty_line 'mkdir /other'
pty_prompt "two shells: then the second can change" 'web1:/\*>'
pty_line 'ls -d /srv /other'
pty_expect "two shells: over what the first has written" '/other +/srv'
pty_line 'commit'
pty_prompt "two shells: and commit" 'web1:/>'
pty_line 'quit'
pty_ended "two shells: it ends" 0

# Ctrl-C: the command is absent, what was staged before it stays, and the shell goes on.
fresh
mkfifo "$T/fifo"
staged "Ctrl-C"
pty_line "write /big < $T/fifo"
exec 7>"$T/fifo"
head -c 3000000 /dev/zero | tr '\0' x >&7
pty_key C-c
pty_prompt "Ctrl-C: the shell goes on, with its stage" 'web1:/\*>'
exec 7>&-
pty_clear
pty_line 'ls -d /srv /big'
pty_expect "Ctrl-C: what it did is absent" "/big.*[Nn]o such file"
pty_expect "Ctrl-C: what was before is there" '^/srv'
pty_line '!echo "it"; cat'
pty_expect "Ctrl-C: a command of the host runs" '^it'
pty_key C-c
pty_prompt "Ctrl-C: it is ended" 'web1:/\*>'
pty_line "!pkill -KILL -P \$PPID -x domu-worker"
pty_clear
pty_line 'ls /srv'
pty_expect "a worker that is killed is told" 'worker ended by signal 9'
pty_clear
pty_line 'ls -d /srv'
pty_expect "and there is another, with the stage" '^/srv'
pty_line 'rollback'
pty_prompt "Ctrl-C: rollback" 'web1:/>'
pty_line 'quit'
pty_ended "Ctrl-C: it ends" 0

# Ctrl-C in a commit: before the first door is closed nothing is written, after it the commit is finished first.
if command -v strace >/dev/null && strace -f -o /dev/null true 2>/dev/null; then
	for n in 1 3 4; do
		fresh
		pty_start strace -o "$T/trace" -e trace=fdatasync -e inject=fdatasync:signal=INT:when=$n "$DOMU" web1
		pty_prompt "Ctrl-C at sync $n: the prompt" 'web1:/>'
		pty_line 'mkdir /srv'
		pty_prompt "Ctrl-C at sync $n: staged" 'web1:/\*>'
		pty_line 'commit'
		if [ $n != 4 ]; then
			pty_expect "Ctrl-C at sync $n: it is said" 'interrupted.*nothing was written'
			pty_prompt "Ctrl-C at sync $n: the stage is kept" 'web1:/\*>'
			is "Ctrl-C at sync $n: nothing was written" "$(sha "$disk")" "$base"
			pty_line 'commit'
		fi
		pty_prompt "Ctrl-C at sync $n: committed" 'web1:/>'
		pty_line 'quit'
		pty_ended "Ctrl-C at sync $n: it ends" 0
		has_srv "Ctrl-C at sync $n: it is written" 1
	done
else
	skip "Ctrl-C in a commit" "no strace to interrupt with"
fi

# The editor has the terminal.
fresh
cat >"$T/editor" <<-'SCRIPT'
	#!/bin/sh
	test -t 0 && test -t 1 && echo 'on a terminal' >>"$1"
SCRIPT
chmod 755 "$T/editor"
pty_start env VISUAL="$T/editor" "$DOMU" web1
pty_prompt "edit: the prompt" 'web1:/>'
pty_line 'edit /etc/hostname'
pty_prompt "edit: staged" 'web1:/\*>'
pty_line 'cat /etc/hostname'
pty_expect "edit: the editor had the terminal" '^on a terminal'
pty_line 'commit'
pty_prompt "edit: committed" 'web1:/>'
pty_line 'quit'
pty_ended "edit: it ends" 0

# Questions of CLI commands are asked on a terminal.
fresh
pty_start "$DOMU" --no-undo mkdir web1:/srv
pty_expect "a question" '\?'
pty_line 'n'
pty_ended "no" 5
is "no: nothing was written" "$(sha "$disk")" "$base"
pty_start "$DOMU" --no-undo mkdir web1:/srv
pty_expect "a question again" '\?'
pty_line 'y'
pty_ended "yes" 0
has_srv "yes: it is written" 1
done_testing
