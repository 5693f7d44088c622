# SPDX-License-Identifier: GPL-3.0-or-later
# pty.sh - the program on a terminal: tmux types and shows the screen.  Nothing sleeps: text is waited for, bounded.
# shellcheck shell=bash disable=SC2034
command -v tmux >/dev/null || skip_all "tmux is not installed"
pty_socket=$T/tmux
pty_at=t # the terminal that is typed on: a test may have several
pty_wait=${DOMU_PTY_WAIT:-120}
export TERM=screen

pty() {
	tmux -S "$pty_socket" -f /dev/null "$@"
}

test_cleanup() {
	pty kill-server 2>/dev/null
}

# pty_start COMMAND...: in a terminal of 80x24, the only one; what ends it leaves $T/pty.status.t.
pty_start() {
	pty kill-server 2>/dev/null
	pty_at=t
	pty_open "$@"
	pty set-option -g remain-on-exit on >/dev/null
	pty set-option -g history-limit 5000 >/dev/null
}

# pty_beside COMMAND...: in a second terminal; pty_at=t and pty_at=u say which one is meant.
pty_beside() {
	pty_at=u
	pty_open "$@"
}

pty_open() {
	rm -f "$T/pty.status.$pty_at"
	printf '%q ' "$@" >"$T/pty.command.$pty_at"
	cat >"$T/pty.sh.$pty_at" <<-SCRIPT
		. "$T/pty.command.$pty_at"
		echo \$? >"$T/pty.status.new"
		mv "$T/pty.status.new" "$T/pty.status.$pty_at"
		echo "-- ended --"
		read -r _
	SCRIPT
	# A server that was killed takes a moment to go, and what asks it meanwhile fails.
	if ! wait_until 5 pty new-session -d -s "$pty_at" -x 80 -y 24 "HOME='$T' PS1= bash --norc '$T/pty.sh.$pty_at'"; then
		[ -n "${pty_started-}" ] || skip_all "tmux does not start here"
		not_ok "tmux starts again"
	fi
	pty_started=1
}

pty_type() {
	pty send-keys -t "$pty_at" -l -- "$1"
}

# pty_line TEXT: types it and Enter.
pty_line() {
	pty_type "$1"
	pty send-keys -t "$pty_at" Enter
}

pty_key() {
	pty send-keys -t "$pty_at" "$@"
}

# Lines as they were printed, also where the terminal wrapped one: where that is depends on a pid's digits.
pty_screen() {
	pty capture-pane -p -J -t "$pty_at" | sed 's/ *$//'
}

# With what has scrolled away.
pty_joined() {
	pty capture-pane -p -J -S -500 -t "$pty_at"
}

# Only the prompt is left: what was on the screen before is not taken for what comes next.
pty_clear() {
	pty_key C-l
	wait_until "$pty_wait" pty_one_line
	pty clear-history -t "$pty_at"
}

pty_one_line() {
	[ "$(pty_screen | grep -c .)" -le 1 ]
}

pty_matches() {
	pty_screen | grep -Eq -- "$1"
}

# pty_program: the process that was started in this terminal.  By its name alone it may be that of another test.
pty_program() {
	local tty
	tty=$(pty display-message -p -t "$pty_at" '#{pane_tty}')
	pgrep -t "${tty#/dev/}" -f "^$DOMU "
}

# pty_gone PID: it has ended, though its parent may not have taken notice yet.
pty_gone() {
	wait_until "$pty_wait" sh -c "! grep -qs '^State:.[^ZX]' /proc/$1/status"
}

# pty_expect NAME PATTERN
pty_expect() {
	if wait_until "$pty_wait" pty_matches "$2"; then
		ok "$1"
	else
		not_ok "$1" "no match of $2 within $pty_wait seconds on the screen:" "$(pty_screen | grep -v '^$')"
	fi
}

# pty_last PATTERN: the last line on the screen that is not empty.
pty_last() {
	pty_screen | grep -v '^ *$' | tail -n 1 | grep -Eq -- "$1"
}

# pty_prompt NAME PATTERN: the prompt, or a question, is there and nothing after it.  What is typed before that stands
# between what is printed, and what was asked before is still on the screen.
pty_prompt() {
	if wait_until "$pty_wait" pty_last "^$2 *\$"; then
		ok "$1"
	else
		not_ok "$1" "expected the prompt $2 at the end of:" "$(pty_screen | grep -v '^$')"
	fi
}

# pty_ended NAME STATUS
pty_ended() {
	if ! wait_until "$pty_wait" test -s "$T/pty.status.$pty_at"; then
		not_ok "$1" "still running:" "$(pty_screen | grep -v '^$')"
	else
		is "$1" "$(cat "$T/pty.status.$pty_at")" "$2"
	fi
}
