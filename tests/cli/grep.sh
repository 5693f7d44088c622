#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# grep.sh - grep prints what GNU grep prints of the same tree mounted, and ends as it does.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((64 * 1048576))

fill() {
	local d=$1 i
	plain_tree "$d"
	mkdir -p "$d/src/sub" "$d/src/.git" "$d/logs" "$d/odd"
	printf 'one foo\ntwo\nthree Foo bar\nfoobar\n\nfour foo_bar\nbar.foo\n' >"$d/src/a.c"
	printf 'no newline at the end: foo' >"$d/src/b.h"
	printf 'foo\nfoo\nfoo\nbar\nbaz\nfoo\n' >"$d/src/sub/c.c"
	printf 'foo in git\n' >"$d/src/.git/config"
	: >"$d/src/empty"
	printf '\n\n\n' >"$d/src/blank"
	printf 'foo before\n\0\0\0foo after\nbar\n' >"$d/odd/binary"
	{ seq 1 30000 | sed 's/$/ line with foo/'; printf 'x\0y\nfoo\n'; } >"$d/odd/late-nul"
	{ seq -f '%07g quiet line' 1 56000 | sed '0~50s/quiet/foo/'; printf 'x\0y\nfoo\n'; } >"$d/odd/latest-nul"
	truncate -s 40M "$d/odd/hole"
	printf 'foo in a hole\n' | dd of="$d/odd/hole" bs=1 seek=20000000 conv=notrunc status=none
	seq 1 20000 | sed 's/^\(.*7\)$/\1 needle \1/' >"$d/logs/numbers"
	seq 1 60000 | sed 's/$/ the quick brown fox jumps over the lazy dog/' >"$d/logs/large"
	{ head -c 3000000 /dev/zero | tr '\0' 'x'; echo ' foo'; echo after; } >"$d/logs/long-line"
	{ yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab | head -n 30; echo end; } >"$d/logs/many-slow"
	printf 'foo\nx\0bar\n\0b\200z foo\0\0last' >"$d/odd/nul-ended"
	printf 'caf\xe9 foo\ngr\xc3\xbcn\n' >"$d/odd/latin"
	printf 'esc\e[31mfoo\n' >"$d/odd/steer"
	echo 'foo named' >"$d/odd/with space"
	echo 'foo named' >"$d/odd/"$'new\nline'
	ln -s a.c "$d/src/link.c"
	ln -s ../src "$d/odd/dirlink"
	ln -s . "$d/odd/loop"
	ln -s nowhere "$d/odd/dangling"
	mkfifo "$d/odd/fifo"
	mknod "$d/odd/null" c 1 3
}

make_fs ext4 "$T/fs.img" fill || skip_all "no image"
make_disk none "$T/fs.img" "$T/disk.img"
cp --sparse=always "$T/disk.img" "$T/oracle.img"
config test "$T/disk.img,raw,xvda,w"
config other "$T/disk2.img,raw,xvda,w"
cp --sparse=always "$T/disk.img" "$T/disk2.img"
before=$(state_of "$T/disk.img")
kmount "$T/oracle.img" 0 0 "$T/mnt" ro || skip_all "no mount"

# like ARG...: the same output, and status, as grep ARG... in the mounted tree; paths are written "@/src/a.c".
# The order of a walk is ours: sorted there.
like() {
	local ours=() theirs=() a sorted=cat theirs_status
	for a in "$@"; do
		case $a in
		@/*) ours+=("test:${a#@}") theirs+=("${a#@}") ;;
		*) ours+=("$a") theirs+=("$a") ;;
		esac
	done
	[[ " $* " =~ \ -[a-zA-Z]*[rR] ]] && sorted="sort"
	(cd "$T/mnt" && LC_ALL=C chroot_grep "${theirs[@]}") >"$T/theirs" 2>"$T/theirs.err"
	theirs_status=$?
	domu grep "${ours[@]}"
	tr '\0' '\n' <"$T/out" | $sorted >"$T/ours"
	tr '\0' '\n' <"$T/theirs" | $sorted >"$T/theirs.sorted"
	if ! cmp -s "$T/ours" "$T/theirs.sorted"; then
		not_ok "grep $*" "$(diff -a "$T/ours" "$T/theirs.sorted" | head -n 20 | cat -v)" "$(err)"
	elif [ "$theirs_status" -lt 2 ] && [ "$status" != "$theirs_status" ]; then
		not_ok "grep $*" "status $status, grep's is $theirs_status" "$(err)"
	elif [ "$theirs_status" = 2 ] && { [ "$status" = 0 ] || [ ! -s "$T/err" ]; }; then
		not_ok "grep $*" "status $status, grep's is 2: $(cat "$T/theirs.err")" "$(err)"
	else
		ok "grep $*"
	fi
}

# In the tree as root directory, so that names are the same.
chroot_grep() {
	local a words=()
	for a in "$@"; do
		case $a in
		"$T"/* | /dev/fd/*) words+=("$a") ;;
		/*) words+=("$T/mnt$a") ;;
		*) words+=("$a") ;;
		esac
	done
	command grep "${words[@]}" | LC_ALL=C sed -z "s,$T/mnt/,/,g"
	return "${PIPESTATUS[0]}"
}

f=@/src/a.c
for o in '' -i -v -n -c -l -L -w -x -o -h -H -b -ob -on -vn -vc -iw -ic -m1 -m2 -m0 -Hn -cv -lv -Lv -cm1 -q; do
	like $o foo $f @/src/b.h @/src/sub/c.c @/src/empty @/src/blank
done
for p in '' '^' '$' '^$' '^foo' 'foo$' 'f.o' 'fo*' 'foo\|bar' '\(foo\|two\)' '[a-c]ar' '[^o]$' 'o\{2\}' '\bfoo\b' '\<bar' 'bar\>' \
	'\(o\)\1' 'foo.bar' 'foo_\?bar' '\w\+\.' 'b.*r' '^[[:alpha:]]* foo$' '*' 'a**' '\.' '[]]' 'three\s' '^.\{6\}$' '[[:upper:]]'; do
	like -n -- "$p" $f @/src/sub/c.c @/src/blank
	like -ow -- "$p" $f
done
for p in 'foo|bar' '(fo+|two)' 'o{2}' 'o{2,}' 'fo?o?b' '^(one|two)' '(a|b)+r' 'a{1' '()' '\.' 'foo\|bar' '(o)\1' 'x*' '[a-f]{3}' 'thr(ee|oo) Fo{2}' \
	'ba(r|z)$' '.foo' '+' '\(' ; do
	like -oE -- "$p" $f @/src/sub/c.c
	like -iwnE -- "$p" $f
done
for p in foo . 'bar.f' '' 'foo
two' '*'; do
	like -Fi -- "$p" $f
	like -Fow -- "$p" $f
	like -Fx -- "$p" $f
done
like -e foo -e two $f
like -n -e two -e 'th.*bar' -e baz $f @/src/sub/c.c
like -E -e 'one|four' -e '^$' $f
for o in -A1 -B1 -C1 '-A 2 -B 1' -1 -A100 -B100 '-nC1' '-bA1' '-cA1' '-vA1' '-vnC1' '-m1 -A2' '-m2 -A1'; do
	like $o bar $f @/src/sub/c.c
done
like -n -C2 'needle 19.*7$' @/logs/numbers
like -ixv '.*foo.*' $f
like -x 'foobar' $f
like -c needle @/logs/numbers
like -c 'q[a-z]*k' @/logs/large
like -n '^59999 ' @/logs/large
like -B3 -n '^3[0-9]000 ' @/logs/large
like -c 'DOG$' @/logs/large
like -ci 'DOG$' @/logs/large
like -A1 ' foo$' @/logs/long-line
like -c x @/logs/long-line
like -ob foo @/logs/long-line
like -c 'x.*y' @/logs/long-line
like -c '[wx].*[yz]' @/logs/long-line
like -cE '(x+x+)+y' @/logs/long-line

# ---- binary files
for o in '' -c -l -a -I -v -o -n -av -an -q -L; do
	like $o foo @/odd/binary
done
like -c foo @/odd/hole
like -l foo @/odd/hole
like -c '^foo' @/odd/hole
like foo @/odd/latin
like -n 'gr..n' @/odd/latin
domu grep foo test:/odd/binary
has "a binary file that matches is said so" "$(err)" 'odd/binary: binary file matches'
domu grep foo test:/odd/late-nul
check "the text before a NUL is shown" test "$(wc -l <"$T/out")" -gt 20000

# ---- lines that end with a NUL
z=@/odd/nul-ended
for o in '' -n -b -ob -c -v -vn -l -L -H -C1 -A1 -B1 -x -w -m1 -i -a -lZ; do
	like -z $o foo $z $f
done
for p in '' '^x' '^bar' 'r$' 'o.x' 'o[^a]x' '^last$' 'z\|x' '.'; do
	like -zn -- "$p" $z
	like -zoE -- "$p" $z
	like -zP -- "$p" $z
done
like -zxP 'bar\n' $z
like -zc foo @/odd/hole
like -zn foo @/odd/hole

# ---- expressions of Perl
for p in 'fo+?' '(?i)FOO' 'o(?=o)' '(?<=four )\w+' '\d' '^\w+\s' '(o)\1' 'f.o$' '' '\bfoo\b' 'four \Kfoo' '(?:a|b)+r' 'x*' '\x66oo' '[[:upper:]]'; do
	for o in -n -o -iw -x -c; do
		like -P $o -- "$p" $f @/src/sub/c.c @/src/blank @/odd/latin
	done
done
like -P '\xe9' @/odd/latin
like -rP 'f(?=oo b)' @/src
like -P -c 'needle 1(?!9)' @/logs/numbers
like -c -P foo @/odd/binary
like -P '(' $f
like -P -e foo -e bar $f
like -P 'foo
bar' $f
domu grep -P '(x+x+)+[yz]' test:/logs/long-line test:/src/a.c
is "-P: too many steps: status" "$status" 1
has "-P: too many steps: it is said of which file" "$(err)" '/logs/long-line: .*given up'
domu grep -c -P '(a+)+$|^end' test:/logs/many-slow test:/src/a.c
is "-P: too many such lines: what comes is not searched" "$(out) $(err | grep -c 'many-slow: .*rest of the file was not searched')" \
	$'/logs/many-slow:0\n/src/a.c:0 1'
domu shell test -c "grep -c foo /src/a.c; grep -cP 'fo{2}' /src/a.c; grep -cP '^$' /src/blank"
is "-P in a shell whose worker is there" "$(out)" $'4\n4\n3'

# ---- patterns from a file of the host
printf 'two\nth.*bar\n' >"$T/patterns"
like -f "$T/patterns" $f
like -nE -f "$T/patterns" -e '^one|four' $f
echo bar.foo >"$T/more"
like -F -f "$T/patterns" -f "$T/more" $f
printf '' >"$T/patterns"
like -f "$T/patterns" $f
like -cv -f "$T/patterns" $f
like -rc -f "$T/patterns" @/src
like -rL -f "$T/patterns" @/src
for o in -c -L -l -n -o -q -cF -cE -cP -cw -cx; do
	like $o -f "$T/patterns" $f
	like $o -f "$T/patterns" $f @/src/b.h
done
printf 'a\n\n' >"$T/patterns"
like -c -f "$T/patterns" $f
like -r -f "$T/patterns" @/src
printf 'two\nfoo$\n' >"$T/words"
is "patterns from stdin" "$("$DOMU" grep -c -f - test:/src/a.c <"$T/words")" "$(cd "$T/mnt" && chroot_grep -c -f - /src/a.c <"$T/words")"
printf 'grep -c -f - /src/a.c\ntwo\n' >"$T/script"
"$DOMU" shell test <"$T/script" >"$T/out" 2>"$T/err"
is "stdin of a shell holds commands" "$? $(err | grep -c 'in the shell')" "2 1"
domu grep -f "$T/none" test:/src/a.c
is "a file of patterns that is not there" "$status" 4
domu grep -h -f <(echo 'no newline') test:/src/b.h other:/src/b.h
is "patterns that cannot be read twice, for two guests" "$status" 2
domu shell test -c "grep -c -f $T/patterns /src/a.c"
is "patterns of the host in the shell" "$(out)" 7

# ---- trees
for o in -r -rl -rL -rc -rn -ri -rh -rH -rI -ra -rs -rw -rlZ; do
	like $o foo @/odd @/src
done
like -r foo $f
like -rH foo $f
like -rn --include='*.c' foo @/src
like -rn --include='*.c' --include='*.h' foo @/src
like -rn --exclude='*.c' foo @/src
like -rn --exclude-dir=.git foo @/src
like -rn --exclude-dir=sub --exclude-dir=.git --exclude='b*' foo @/src
like -rl line @/logs
domu grep -R -l foo test:/odd
has "grep -R follows links" "$(out)" '/odd/dirlink/a.c'
check "grep -R of a loop ends" test "$(wc -l <"$T/out")" -lt 40
like foo @/src/none $f
like -s foo @/src/none $f
like foo @/src
like -q foo @/src/none $f
ends "a pattern that is none" 2 grep 'a\(' test:/src/a.c
has "and it is said why" "$(err)" 'Unmatched'
ends "no pattern" 2 grep
ends "a fifo" 1 grep foo test:/odd/fifo
ends "a file that is not there" 4 grep foo test:/none
ends "a number that is none" 2 grep -A x foo test:/src/a.c

# ---- several guests
domu grep foo test:/src/a.c other:/src/b.h
is "two guests: names say which" "$(out | cut -d: -f1,2 | sort -u | tr '\n' ' ')" "other:/src/b.h test:/src/a.c "
is "two guests: found" "$status" 0
domu grep 'no newline' test:/src/a.c other:/src/b.h
is "two guests: found in one" "$status" 0
domu grep -e three test:/src/a.c other:/src/b.h
is "two guests: found in the other" "$status" 0
domu grep nowhere test:/src/a.c other:/src/b.h
is "two guests: found in none" "$status $(cat "$T/err")" "1 "
domu grep foo test:/none other:/src/b.h
is "two guests: a failure counts" "$status" 4

kmount "$T/disk2.img" 0 0 "$T/busy" ro
domu grep -h 'no newline' other:/src/b.h test:/src/b.h
kumount "$T/busy"
is "one of two guests in use: its status" "$status" 3
is "and the other is searched" "$(out)" 'no newline at the end: foo'

# ---- in the shell
domu shell test -c "cd /src; grep -n foo a*; grep -c foo b.h"
is "in the shell, with a glob" "$(out)" $'1:one foo\n4:foobar\n6:four foo_bar\n7:bar.foo\n1'
domu shell test -c "cd /src; grep -rl git"
is "in the shell, without a path" "$(out)" "./.git/config"

# ---- JSON, a terminal
domu grep --json -n foo test:/src/a.c
is "JSON" "$(jq -r '.schema, (.matches[] | "\(.guest) \(.path) \(.line) \(.offset) \(.text)")' "$T/out" | head -n 3 | tr '\n' '|')" \
	"domu-rescue/1|test /src/a.c 1 0 one foo|test /src/a.c 4 26 foobar|"
if command -v script >/dev/null; then
	script -qec "$DOMU grep foo test:/odd/steer" /dev/null </dev/null >"$T/tty" 2>&1
	lacks "nothing steers a terminal" "$(cat "$T/tty")" $'\e'
	has "it is shown escaped" "$(cat "$T/tty")" 'esc\\033\[31mfoo'
fi
kumount "$T/mnt"
is "not a byte was changed" "$(state_of "$T/disk.img")" "$before"
done_testing
