#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# usage.sh - options before and after the command, help, exit statuses, and that help, manual and completion agree.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
"$top/tests/demo/make-farm" "$T/farm" || exit 1
cp -r --sparse=always "$T/farm/disks" "$T/disks"
export DOMU_RESCUE_CONFIG_DIR=$T/farm/xen DOMU_RESCUE_STATE_DIR=$T/farm/state
disk=$T/farm/disks/web1.img

# ---- letters
before=$(sha "$disk")
works "-n before the command is --dry-run" -n rm web1:/etc/hosts
is "nothing was changed" "$(sha "$disk")" "$before"
works "-n after the command is the command's own" head -n 1 web1:/etc/passwd
is "its effect" "$(out)" "root:x:0:0:root:/root:/bin/bash"
works "fsck -n" fsck -n web1
works "-q before the command" -q ls web1:/
works "-v before the command" -v ls web1:/
works "-y after a command that changes is --yes" --no-undo mkdir web1:/srv2 -y
works "-y before it too" -y --no-undo mkdir web1:/srv3
ends "-y after a command that reads is not known" 2 ls web1:/ -y
works "options after operands" ls web1:/etc -l
works "options among operands" cat web1:/etc/hostname --quiet web1:/etc/hosts
works "letters together" ls -la web1:/
works "a value in the same word" head -n1 web1:/etc/passwd
works "a long option with =" ls --config-dir="$T/farm/xen" web1:/
works "a long option with its value after it" --state-dir "$T/other" history web1
works "global options after the command" ls web1:/ --json
ends "-- ends options" 4 cat -- web1:/-n
ends "an option of another command" 2 cat --snapshot web1:/etc/fstab
ends "an unknown letter" 2 ls -Q9 web1:/
ends "a value that is missing" 2 ls web1:/ --config-dir
ends "an engine that there is not" 2 --engine magic ls web1:/

# ---- usage
ends "no command" "0 2"
ends "an unknown command" "2 4" frobnicate
ends "an unknown command with an option" 2 sed -i s/a/b/ web1:/etc/fstab
has "it is no guest with a wrong option" "$(err)" 'there is no command sed'
ends "an unknown option of a guest alone" 2 web1 -x
has "that one is" "$(err)" 'there is no option -x'
ends "the guest before the command" 2 web1 ls
has "it says how it is typed" "$(err)" 'domu-rescue ls GUEST'
works "commands after a guest" web1 -c 'ls /'
ends "too few operands" 2 cat
ends "too many operands" 2 info web1 db1 old1 xxx yyy
ends "a guest alone where a file is meant" "1 2" cat web1
works "--version" --version
has "the version is a number" "$(out)" '[0-9]+\.[0-9]+'
works "--help" --help
has "usage comes first" "$(out | head -n 4)" '[Uu]sage'
works "help" help

# ---- statuses
ends "4: no such guest" 4 cat nobody:/etc/fstab
ends "4: no such file" 4 cat web1:/none
ends "4: no such filesystem" 4 cat web1@xvda9:/etc/fstab
ends "4: no such device" 4 resize web1 xvda9 5G
has "where they are shown" "$(err)" "domu-rescue info web1 shows"
ends "4: no such commit" 4 undo web1 20200101T000000-000000
has "where they are shown" "$(err)" "domu-rescue history web1 shows"
ends "1: a folder is not a file" 1 cat web1:/etc
ends "1: a folder that is not empty" 1 rmdir web1:/etc
ends "1: it is there already" 1 mkdir web1:/etc
ends "1: rm of a folder" 1 rm web1:/etc
ends "1: rm of the root" "1 2" rm -r web1:/
works "rm -f of what is not there" rm -f web1:/none
ends "6: a filesystem without a driver" 6 --engine ext2fs ls web1@xvda1:/
ends "6: a format that nobody reads here" "6" --format vhdx info "$disk"
ends "5: nobody answers" 5 --no-undo mkdir web1:/x
has "a message names the program" "$(err)" '^domu-rescue: '

# A closed pipe is no reason to complain
timeout "$time_limit" bash -c "set -o pipefail; '$DOMU' cat web1:/boot/initrd.img-6.1.0-18-amd64 2>'$T/err' | head -c 10 >/dev/null"
is "a reader that goes away: no message" "$(err)" ""
if [ -w /dev/full ]; then
	timeout "$time_limit" "$DOMU" cat web1:/etc/passwd >/dev/full 2>"$T/err"
	is "a full disk is a failure" "$?" 1
	has "and says so" "$(err)" '[Nn]o space'
	timeout "$time_limit" "$DOMU" list >/dev/full 2>"$T/err"
	is "for a table too" "$?" 1
fi

# ---- the root of the guest's own disks is the demo's damage: repaired by the tour's command
domu fsck --all -y
is "fsck --all -y of the demo guests" "$status" 1
works "and then they are clean" fsck --all -n

# ---- help, manual and completion come from one table
works "the commands" help
out | sed -n 's/^  \([a-z][a-z0-9-]*\)  *[a-z].*/\1/p' | sort -u >"$T/commands"
check "help names commands" test "$(wc -l <"$T/commands")" -gt 25
for c in list info status ls cat head tail stat find readlink df du export edit write cp mkdir rm rmdir mv ln chmod chown touch \
	truncate diff commit rollback history undo recover fsck resize-root help shell; do
	grep -qx "$c" "$T/commands" || not_ok "help names $c"
done
"$DOMU" --dump-manual >"$T/manual" 2>"$T/err" || not_ok "the manual's command part" "$(err)"
sed -i 's/\\-/-/g; s/\\&//g' "$T/manual"
"$DOMU" --dump-completion >"$T/completion" 2>/dev/null
missing=() examples=0
while read -r c; do
	domu "$c" --help
	[ "$status" = 0 ] || missing+=("$c --help ends with $status")
	cp "$T/out" "$T/help"
	domu help "$c"
	cmp -s "$T/out" "$T/help" || missing+=("help $c is not $c --help")
	grep -Eq "^\.(S[HS]|TP|B) .*\b$c\b|^$c\b" "$T/manual" || missing+=("$c is not in the manual")
	grep -q -- "$c" "$T/completion" || missing+=("$c is not in the completion")
	for o in $(sed -n 's/^  .*\(--[a-z][a-z0-9-]*\).*/\1/p' "$T/help" | sort -u); do
		grep -q -- "$o" "$T/manual" || missing+=("$c $o is not in the manual")
	done
done <"$T/commands"
is "help, manual and completion agree" "${missing[*]-}" ""
check "the completion is bash" bash -n "$T/completion"
# completed LINE: what bash would offer.
completed() {
	(
		compopt() { :; }
		domu-rescue() { "$DOMU" "$@"; }
		. "$T/completion"
		COMP_LINE="domu-rescue $1" COMP_POINT=$((${#1} + 12))
		_domu_rescue
		echo "${COMPREPLY[*]-}"
	)
}
: >"$T/some-patterns"
is "bash completes grep -f by files of this host" "$(completed "grep -f $T/some-pat")" "$T/some-patterns"
is "and grep -e by nothing" "$(completed "grep -e $T/some-pat")" ""
is "and tar-out's FILE by files of this host" "$(completed "tar-out web:/etc $T/some-pat")" "$T/some-patterns"
is "and an option" "$(completed "find web:/ -type f -maxd")" "-maxdepth"
for i in 1 2 3; do
	domu touch "web1:/srv/$i"
done
domu history --json web1
is "and undo's ID by the history, newest first" "$(completed "undo web1 ")" "$(jq -r '[.commits[] | select(.undoable) | .id] | join(" ")' "$T/out")"
is "behind options too" "$(completed "undo --files web1 2")" "$(completed "undo web1 ")"
is "and that of another guest by nothing" "$(completed "undo nobody ")" ""
is "and undo's guest by guests" "$(completed "undo web")" "web1"
check "the manual is troff" sh -c "man -l --warnings '$T/manual' >/dev/null 2>&1 || ! command -v man >/dev/null"

# ---- the example of each command works on the demo guests
cd "$T" || exit 1
echo 'new content' >"$T/motd"
tar -C "$T" -czf "$T/etc.tar.gz" motd
while IFS= read -r line; do
	rm -rf "$T/farm/disks" "$T/farm/state"
	cp -r --sparse=always "$T/disks" "$T/farm/disks"
	line=${line#domu-rescue }
	if [[ $line == export* ]]; then
		# It goes on until it is told to end.  The folder has to be empty, which this host's /mnt may not be.
		line="${line% *} $T/mnt"
		bash -c "exec timeout --foreground 300 '$DOMU' $line" >"$T/out" 2>"$T/err" </dev/null &
		exporter=$!
		wait_until 60 eval '! kill -0 "$exporter" || mountpoint -q "$T/mnt"'
		kill "$exporter"
		wait "$exporter"
	else
		VISUAL=/bin/true EDITOR=/bin/true timeout 300 bash -c "'$DOMU' $line" >"$T/out" 2>"$T/err" </dev/null
	fi
	status=$?
	examples=$((examples + 1))
	case $line:$status in
	*:0 | fsck*:1 | undo*:4) ok "example: domu-rescue $line" ;;
	*) not_ok "example: domu-rescue $line" "status $status" "$(head -c 600 "$T/err")" "$(head -c 300 "$T/out")" ;;
	esac
done < <(while read -r c; do "$DOMU" help "$c"; done <"$T/commands" | grep -oE '^ *(\$ )?domu-rescue [a-z].*' | sed 's/^ *\(\$ \)\?//' | grep -v '\[' | sort -u)
check "commands have examples" test "$examples" -gt 20
works "an option whose value may be left out takes no operand" ls --color web1:/etc/hosts
is "its output" "$(out)" /etc/hosts
ends "find -execdir" 2 find web1:/etc -execdir cat {} ';'
has "find -execdir: what to type instead" "$(err)" "there is no -execdir .*-exec COMMAND"
# What fingers type and is not there: the nearest thing is named, and nothing else happens.
while IFS='|' read -r command want; do
	read -ra words <<<"$command"
	ends "not there: $command" 2 "${words[@]}"
	has "not there: $command: what to type instead" "$(err)" "there is no .*$want"
done <<-'WORDS'
	du --exclude=x web:/|find .*! -path
	cp --preserve=all web:/etc .|-p keeps mode
	ls -I x web:/|find -maxdepth 1
WORDS
done_testing
