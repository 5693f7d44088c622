#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# read.sh LAYOUT - what cat, ls, stat, find and the rest show is what a loop mount shows, and reading changes no byte.
layout=${1:-none} test_suffix=$layout
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel

# stat shows the names of the guest: root and anna are the only ones it has.
names_of_guest() {
	cat
}

# ours FILE: the entries of a JSON answer as lib/kernel-find writes them.
ours() {
	jq -r '.entries[] | [.path_b64 // (.path | @base64), .type, .mode, .nlink, .uid, .gid, .size, .allocated, .inode, .mtime,
		(.target_b64 // (if .target == null then "-" else .target | @base64 end)), .major // "-", .minor // "-"] | @tsv' "$1" |
		sed -E 's/\tnull/\t-/g; s/(T[0-9:]+)Z/\1.000000000/; s/(T[0-9:]+\.[0-9]+)(Z|\+00:00)/\1/' | sort
}

for type in ext2 ext3 ext4; do
	name="$type $layout"
	make_fs $type "$T/fs.img" rich_tree || { not_ok "$name: making it"; continue; }
	disk=$T/$type.img
	make_disk "$layout" "$T/fs.img" "$disk"
	rm "$T/fs.img"
	config test "$disk,raw,xvda,w"
	before=$(state_of "$disk")
	# The oracle's copy: the disk itself stays free.
	cp --sparse=always "$disk" "$T/oracle.img"
	kmount "$T/oracle.img" "$fs_offset" "$fs_size" "$T/mnt" ro || { not_ok "$name: the kernel mounts it"; continue; }
	m=$T/mnt

	# ---- find, ls, stat
	"$lib/kernel-find" "$m" | sort >"$T/kernel"
	domu find --json test:/
	is "$name: find ends with 0" "$status" 0
	ours "$T/out" >"$T/ours"
	same "$name: find shows every inode as the kernel does" "$T/ours" "$T/kernel"
	works "$name: find as text" find test:/
	(cd "$m" && find . -print0 | sed -z 's,^\.$,/,; s,^\./,/,') | tr '\0' '\n' | sort >"$T/kernel.text"
	same "$name: find as text shows the same paths" <(out | sort) "$T/kernel.text"
	works "$name: find -name -type" find test:/ -name 'h*' -type f
	is "$name: find -name -type: the same" "$(out | sort)" "$(cd "$m" && find . -name 'h*' -type f | sed 's,^\.,,' | sort)"
	for d in / /etc /many /deep /odd /home/anna; do
		works "$name: ls $d" ls "test:$d"
		same "$name: ls $d: names in the same order" "$T/out" <(LC_ALL=C ls "$m$d")
	done
	works "$name: ls -a" ls -a test:/etc
	same "$name: ls -a: the same" "$T/out" <(LC_ALL=C ls -a "$m/etc")
	works "$name: ls -l" ls -ln test:/etc
	same "$name: ls -l: the same" <(sed 's/  */ /g' "$T/out") <(LC_ALL=C ls -ln "$m/etc" | sed 's/  */ /g')
	works "$name: ls -la of everything odd" ls -lan test:/odd
	same "$name: ls -la: the same" <(sed 's/  */ /g' "$T/out") <(LC_ALL=C ls -lan "$m/odd" | sed 's/  */ /g')
	works "$name: ls -d" ls -d test:/etc
	works "$name: ls -i" ls -i test:/etc
	same "$name: ls -i: the same" <(sed 's/^ *//' "$T/out") <(LC_ALL=C ls -i "$m/etc" | sed 's/^ *//')
	works "$name: ls -R" ls -R test:/deep
	same "$name: ls -R: the same" "$T/out" <(cd "$m" && LC_ALL=C ls -R deep | sed 's,^deep,/deep,')
	for f in /etc/passwd /odd/attr /odd/disk /odd/relative /odd/sparse /many /odd/empty /odd/hard1; do
		works "$name: stat $f" stat --json "test:$f"
		is "$name: stat $f: the same" "$(ours "$T/out" | cut -f2-)" "$(grep -aF "$(printf %s "$f" | base64 -w0)"$'\t' "$T/kernel" | cut -f2-)"
		works "$name: stat -c $f" stat -c '%n %s %b %f %u %g %i %h %a %A %F %Y %X %Z %t %T %U %G %o' "test:$f"
		is "$name: stat -c $f: the same" "$(out)" "$(stat -c '%n %s %b %f %u %g %i %h %a %A %F %Y %X %Z %t %T %U %G %o' "$m$f" | sed "s,$m,," | names_of_guest)"
	done

	# ---- content
	n=0 bad=''
	while IFS= read -rd '' f; do
		n=$((n + 1))
		timeout "$time_limit" "$DOMU" cat "test:/$f" 2>"$T/err" | cmp -s - "$m/$f" || bad+=" ${f@Q}"
	done < <(cd "$m" && find . -type f -size -50M -not -path './many/*' -printf '%P\0')
	is "$name: cat of $n files is what the kernel reads" "$bad" ""
	works "$name: cat of several" cat test:/etc/passwd test:/etc/hostname
	same "$name: cat of several: the same" "$T/out" <(cat "$m/etc/passwd" "$m/etc/hostname")
	works "$name: cat through a link" cat test:/odd/dirlink/hostname
	same "$name: cat through a link: the same" "$T/out" "$m/etc/hostname"
	works "$name: head" head -n 7 test:/var/log/syslog
	same "$name: head: the same" "$T/out" <(head -n 7 "$m/var/log/syslog")
	works "$name: head -c" head -c 1000 test:/big/random
	same "$name: head -c: the same" "$T/out" <(head -c 1000 "$m/big/random")
	works "$name: tail" tail -n 12 test:/var/log/syslog
	same "$name: tail: the same" "$T/out" <(tail -n 12 "$m/var/log/syslog")
	works "$name: tail of 5 GiB" tail -c 20 test:/odd/huge
	same "$name: tail of 5 GiB: the same" "$T/out" <(tail -c 20 "$m/odd/huge")
	for l in absolute relative dangling long-link; do
		works "$name: readlink $l" readlink "test:/odd/$l"
		is "$name: readlink $l: the same" "$(out)" "$(readlink "$m/odd/$l")"
	done
	ends "$name: a loop of links" 1 cat test:/odd/loop-a
	ends "$name: a dangling link" 4 cat test:/odd/dangling
	ends "$name: cat of a device" "1 6" cat test:/odd/null
	ends "$name: cat of a fifo" "1 6" cat test:/odd/fifo
	works "$name: df" df test --json
	is "$name: df: the kernel's figures" "$(jq -r '.entries[0] | "\(.size) \(.avail // .available)"' "$T/out")" \
		"$(df -B1 --output=size,avail "$m" | tail -n 1 | tr -s ' ' | sed 's/^ //')"

	# ---- from several, and errors among them
	domu cat test:/etc/hostname test:/none test:/etc/passwd
	is "$name: cat of one that is not there" "$status" 4
	domu shell test -c 'ls /odd/loop-a/x /etc/hostname/x /etc/hostname'
	is "$name: ls shows what there is beside what cannot be reached" "$(out)" /etc/hostname
	kumount "$m"
	is "$name: not a byte was changed" "$(state_of "$disk")" "$before"
	is "$name: nothing was left in the state folder" "$(find "$T/state/pending" "$T/state/history" -mindepth 1 2>/dev/null | wc -l)" 0
	rm "$disk" "$T/oracle.img"
done
done_testing
