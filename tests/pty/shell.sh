#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# shell.sh - the interactive shell: prompt, completion, history, Ctrl-C, end of input, 80 columns.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
. "$(dirname "$0")/../lib/pty.sh"
mkdir "$T/tree"
plain_tree "$T/tree"
mkdir -p "$T/tree/usr/share/unmistakable" "$T/tree/etc/alternatives" "$T/tree/etc/web1:/x"
echo found >"$T/tree/usr/share/unmistakable/file name"
printf 'esc \033[31mred\033[0m\007 bell\n' >"$T/tree/etc/evil"
: >"$T/tree/etc/"$'evil\e[31mname'
truncate -s 32M "$T/disk.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/disk.img"
config web1 "$T/disk.img,raw,xvda,w"
config web2 "$T/disk2.img,raw,xvda,w"
base=$(sha "$T/disk.img")

# ---- prompt
pty_start "$DOMU" web1
pty_prompt "the prompt" 'web1:/>'
pty_line 'cd /etc'
pty_prompt "the prompt names the folder" 'web1:/etc>'
pty_line 'pwd'
pty_expect "pwd" '^/etc$'
pty_line 'cat hostname'
pty_expect "cat of a relative path" '^testguest$'
pty_line 'frobnicate'
pty_expect "an unknown command" 'frobnicate'
pty_line 'cat /none'
pty_expect "a failed command" '/none'
pty_prompt "the shell goes on after it" 'web1:/etc>'

# ---- completion
pty_clear
pty_type 'hel'
pty_key Tab
pty_expect "a command completes" '> help'
pty_key C-u
pty_type 'ls /usr/share/unmis'
pty_key Tab
pty_expect "a path of the guest completes" 'ls /usr/share/unmistakable/'
pty_type 'fi'
pty_key Tab
pty_expect "a blank in a name is quoted" "unmistakable/file\\\\ name|'/usr/share/unmistakable/file name'|\"/usr/share/unmistakable/file name\""
pty_key C-a C-k
pty_type 'cat /usr/share/unmis'
pty_key Tab
pty_type 'f'
pty_key Tab
pty_key Enter
pty_expect "what was completed can be used" '^found$'
pty_type 'ls --he'
pty_key Tab
pty_key C-u
pty_type 'find --'
pty_key Tab Tab
pty_key C-u
pty_type 'cd /et'
pty_key Tab
pty_expect "a folder completes with its slash" 'cd /etc/'
pty_key C-u
pty_prompt "after Ctrl-U the prompt is empty" 'web1:/etc>'

# completes TYPED WANT: what stands there after TAB; a path of the guest, of the host, an option, a value.
mkdir "$T/host-folder"
: >"$T/host-file"
completes() {
	pty_key C-u
	pty_type "$1"
	pty_key Tab
	pty_expect "TAB: $1" "> ${2//[.+]/\\&}"
}
there=/usr/share/unmis whole=/usr/share/unmistakable/
for c in 'grep x' 'grep -i -A 2 x' 'grep -e x' 'grep -rf x' du tar-out 'tar-in x' getfattr 'getfattr -d -n user.x' 'setfattr -x user.x' lsattr \
	'chattr +i' 'mknod -m 600' 'touch -r' 'find / -newer' find 'cp x' 'cp -t' 'ln -s' 'du --max-depth 1'; do
	completes "$c $there" "$c $whole"
done
for c in 'tar-out /etc' tar-in export 'grep -f' 'cat hostname >'; do
	completes "$c $T/host-fo" "$c $T/host-folder/"
done
completes "cp host:$T/host-fi" "cp host:$T/host-file"
completes 'cat ./web' 'cat ./web1:/'
pty_key C-u
pty_type 'cat web'
pty_key Tab
pty_type 'X'
pty_expect "TAB: a name that would be another path is not offered" '> cat webX$'
completes 'getfattr -n security.s' 'getfattr -n security.selinux'
completes 'getfattr -e h' 'getfattr -e hex'
completes 'logs --lin' 'logs --lines='
completes 'find / -type f -maxd' 'find / -type f -maxdepth'
completes 'grep --include' 'grep --include='
completes 'find / -exec gre' 'find / -exec grep'
completes 'find / -name x -dele' 'find / -name x -delete'
pty_key C-u
pty_clear
pty_type 'find / '
pty_key Tab Tab
pty_expect "TAB: find /: an expression may follow" '-newerXY'
pty_expect "TAB: find /: or a path" "alternatives/"
pty_key C-u
pty_type 'find / -type f '
pty_key Tab Tab
pty_expect "TAB: find / -type f: what else may follow" '-maxdepth'
pty_key C-u

# ---- the directory before
pty_clear
pty_line 'cd -'
pty_expect "cd - says where to" '^/$'
pty_prompt "cd - goes back" 'web1:/>'
pty_line 'cd -'
pty_prompt "cd - and there again" 'web1:/etc>'

# ---- history of lines
pty_clear
pty_key Up
pty_key Up
pty_expect "the lines before come back" 'web1:/etc> [a-z]+'
pty_key C-u

# ---- Ctrl-C
pty_clear
pty_type 'half a line'
pty_key C-c
pty_prompt "Ctrl-C drops the line" 'web1:/etc>'
pty_line 'pwd'
pty_expect "and the shell lives" '^/etc$'

# ---- nothing of the guest steers the terminal
pty_clear
pty_line 'cat evil'
pty_expect "what could steer the terminal is escaped" 'esc .*(\\033|\\e|\^\[|\\x1b|\\033)\[31mred'
pty_line 'ls /etc'
pty_expect "in names too" 'evil(\\033|\\e|\^\[|\\x1b|\?)\[31mname'

# ---- 80 columns
n=0
for c in help 'help ls' 'ls -l /etc' 'df' 'info' 'status' 'history'; do
	pty_clear
	pty_line "$c"
	n=$((n + 1))
	pty_line "!echo 'all 'of $n"
	pty_expect "80 columns: $c: all of it" "^all of $n"
	is "80 columns: $c" "$(pty_joined | awk 'length > 80' | head -n 3)" ""
done

# ---- leaving
pty_key C-d
pty_ended "end of input leaves" 0
pty_start "$DOMU" web1
pty_prompt "again" 'web1:/>'
pty_line 'quit'
pty_ended "quit leaves" 0
is "nothing was written" "$(sha "$T/disk.img")" "$base"

# ---- IDs of the history, newest first
for i in 1 2 3; do
	domu touch "web1:/etc/$i"
done
domu history --json web1
mapfile -t ids < <(jq -r '.commits[].id' "$T/out")
pty_start "$DOMU" web1
pty_prompt "with a history" 'web1:/>'
pty_type 'undo '
pty_key Tab Tab Tab
pty_expect "TAB: undo: IDs" "${ids[2]}"
is "TAB: undo: newest first, nothing else" "$(pty_joined | grep -v 'undo' | tr -s ' ' '\n' | grep .)" "$(printf '%s\n' "${ids[@]}")"
pty_key C-u
pty_line 'quit'
pty_ended "quit leaves again" 0
done_testing
