#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# watch.sh - a domain that is started while the shell waits for a line: said at once, and the line stays.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel ext4
. "$lib/made-up.sh"
. "$lib/pty.sh"
mkdir "$T/tree"
plain_tree "$T/tree"
disk=$T/disk.img
truncate -s 16M "$disk"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$disk"
base=$(sha "$disk")
cd "$T" || exit 1

pty_start "$DOMU" ./disk.img
pty_prompt "the prompt" '.*disk.img:/>'
pty_type 'cat /etc/host'
pty_expect "a line is being typed" 'cat /etc/host'
appear web1 7 "$disk"
pty_expect "a domain is started: it is said at once" 'has it as xvda'
pty_prompt "the prompt says it, and what was typed stays" '.*disk.img:/ \(read-only\)> cat /etc/host'
pty_type 'name'
pty_key Enter
pty_expect "a command that reads is refused" '--live'
pty_line 'mkdir /never'
pty_expect "one that changes something too" 'this shell only reads. Next: xl|only'
pty_clear
pty_type 'cat "/etc/'
pty_key Enter
pty_prompt "a line that goes on" '>'
pty_type 'hostname"'
vanish web1
pty_expect "it goes: that is said" 'not in use any more'
pty_prompt "a line that goes on has no other prompt" '> hostname"'
pty_key C-c
pty_clear
pty_line 'cat /etc/hostname'
pty_expect "nothing is staged: it can be read" '^testguest$'
pty_line 'mkdir /never'
pty_expect "and not be changed" 'was in use meanwhile'
pty_line 'begin'
pty_expect "begin makes it free" 'free again'
pty_prompt "which the prompt says" '.*disk.img:/>'
pty_line 'mkdir /a'
pty_prompt "something is staged" '.*disk.img:/\*>'
appear web1 8 "$disk"
pty_prompt "over which a domain is started" '.*disk.img:/ \(read-only\)\*>'
vanish web1
pty_clear
pty_line 'quit'
pty_prompt "leaving asks" '.*commit, diff, keep or drop them\?'
pty_line 'drop'
pty_ended "and ends" 0
is "nothing was written" "$(sha "$disk")" "$base"
done_testing
