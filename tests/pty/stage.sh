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
pty_expect "quit asks" '[Cc]ommit.*[Dd]iff.*[Kk]eep.*[Dd]rop'
pty_line 'diff'
pty_expect "diff shows what is staged" '/srv'
pty_expect "and it asks again" '[Cc]ommit.*[Kk]eep.*[Dd]rop'
pty_line 'commit'
pty_ended "quit, commit: it ends" 0
has_srv "quit, commit: it is written" 1

fresh
staged "quit, drop"
pty_key C-d
pty_expect "the end of input asks too" '[Cc]ommit.*[Dd]iff.*[Kk]eep.*[Dd]rop'
pty_line 'drop'
pty_ended "quit, drop: it ends" 0
is "quit, drop: nothing was written" "$(sha "$disk")" "$base"
works "quit, drop: a change is possible" mkdir web1:/other

fresh
staged "quit, keep"
pty_line 'quit'
pty_expect "quit, keep: it asks" '[Kk]eep'
pty_line 'keep'
pty_ended "quit, keep: it ends" 0
is "quit, keep: nothing was written" "$(sha "$disk")" "$base"
ends "quit, keep: a change is refused" 3 mkdir web1:/other
pty_start "$DOMU" web1
pty_expect "the next shell offers it" '[Rr]esume'
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
pty_expect "no answer: it asks" '[Kk]eep'
pty_line 'what'
pty_expect "no answer: it asks again" '[Kk]eep.*[Dd]rop'
pty_key C-d
pty_ended "no answer: it ends" 0
is "no answer: nothing was written" "$(sha "$disk")" "$base"
works "no answer: it was kept" diff web1 --json
is "no answer: with its change" "$(jq -r '.files[].path' "$T/out" | grep -c '^/srv$')" 1

# The terminal goes away.
fresh
staged "SIGHUP"
pid=$(pgrep -f "^$DOMU web1" | head -n 1)
pty kill-server
wait_until "$pty_wait" sh -c "! kill -0 $pid 2>/dev/null" && ok "SIGHUP ends the shell" || not_ok "SIGHUP ends the shell"
is "SIGHUP: nothing was written" "$(sha "$disk")" "$base"
ends "SIGHUP: the stage is kept" 3 mkdir web1:/other
pty_start "$DOMU" web1
pty_expect "SIGHUP: the next shell offers it" '[Rr]esume'
pty_line 'resume'
pty_prompt "SIGHUP: resumed" 'web1:/\*>'
pty_line 'ls /'
pty_expect "SIGHUP: with its change" '(^|  )srv'
pty_line 'quit'
pty_expect "SIGHUP: it asks" '[Dd]rop'
pty_line 'drop'
pty_ended "SIGHUP: it ends" 0

# Ctrl-C at a long command: the change is whole or absent, and the shell goes on.
fresh
staged "Ctrl-C"
pty_line '!cat'
pty_line 'marker'
pty_expect "Ctrl-C: a command of the host runs" '^marker'
pty_key C-c
pty_prompt "Ctrl-C: the shell goes on, with its stage" 'web1:/\*>'
pty_line 'rollback'
pty_prompt "Ctrl-C: rollback" 'web1:/>'

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
