#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# ahead.sh - the worker's second thread: who has it, that the fence holds it too, and that all is the same without it.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
command -v taskset >/dev/null || skip_all "no taskset"
[ "$(nproc)" -gt 1 ] || skip_all "one processor: there is no second thread"

many() {
	rich_tree "$1"
	mkdir -p "$1"/wide/{a..z}/{1..9}
	(cd "$1/wide" && for d in */*/; do : >"$d/x" && ln "$d/x" "$d/same"; done)
	(cd "$1/wide" && seq -f 'a-directory-of-so-many-names-that-it-has-an-index-%05g' 1 6000 | xargs touch)
}
fs_bytes=$((64 * 1048576))
make_fs ext4 "$T/sound.img" many -N 16000 2>"$T/make.err" || skip_all "no image"
cp --sparse=always "$T/sound.img" "$T/fs.img"
config test "$T/fs.img,raw,xvda,w"
config other "$T/sound.img,raw,xvda,w"

# ---- what the kernel says of it

# held COMMAND...: a worker held up in its output: a fifo of which one byte is read, and which a longer text than a pipe takes fills.
held() {
	mkfifo "$T/fifo"
	exec 5<>"$T/fifo"
	"${run[@]}" "$DOMU" "$@" >"$T/fifo" 2>"$T/err" &
	pid=$!
	read -rN 1 -u 5 _
	read -r worker _ <"/proc/$pid/task/$pid/children"
}

let_go() {
	kill -TERM $pid
	wait $pid
	status=$?
	exec 5>&-
	rm "$T/fifo"
}

# threads: of the worker.
threads() {
	local t=("/proc/$worker/task"/*)
	echo ${#t[@]}
}

# facts: what of each thread the fence decides, with how many have it so.
facts() {
	for t in "/proc/$worker/task"/*; do
		grep -E '^(Uid|Gid|Groups|NoNewPrivs|Cap[A-Z][a-z]+):' "$t/status" | tr -s '\t ' ' '
		echo "root $(readlink "$t/root") files $(ls -l "$t/fd" | awk '{ print $9, $11 }' | sort | md5sum)"
	done | sort | uniq -c
}

# The sanitizers have a thread of their own.
if ldd "$DOMU" 2>/dev/null | grep -q libasan; then
	skip "the threads of a worker" "built with sanitizers"
else
	long=$(printf 'x%.0s' {1..600})
	run=()
	held find test:/ -printf "%p $long\n"
	is "find has a second thread" "$(threads)" 2
	is "neither may make another, nor a process" "$(awk '/^Max processes/ { print $3, $4 }' "/proc/$worker/limits")" "0 0"
	is "what one has the other has" "$(facts | awk '$1 != 2')" ""
	has "nobody's" "$(facts)" 'Uid: 65533 65533 65533 65533'
	has "no capabilities" "$(facts)" 'CapEff: 0000000000000000'
	has "no new privileges" "$(facts)" 'NoNewPrivs: 1'
	has "an empty root" "$(facts)" 'root .*deleted'
	let_go
	is "a signal ends it with 5" "$status" 5
	check "the worker has gone" test ! -e "/proc/$worker"

	run=(taskset -c "$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')")
	held find test:/ -printf "%p $long\n"
	is "on one processor it has none" "$(threads)" 1
	is "and may make none" "$(awk '/^Max processes/ { print $3, $4 }' "/proc/$worker/limits")" "0 0"
	let_go

	run=()
	held cat test:/big/random test:/big/random test:/big/random
	is "cat has none" "$(threads)" 1
	let_go

	# Another worker's thread, of the same uid, is in nobody's way.
	held find test:/ -printf "%p $long\n"
	first=$pid first_worker=$worker
	mv "$T/fifo" "$T/fifo.1"
	exec 6<&5
	held find other:/ -printf "%p $long\n"
	is "two at once have one each" "$(threads) $(worker=$first_worker; threads)" "2 2"
	let_go
	kill -TERM "$first"
	wait "$first"
	exec 6<&-
fi

# ---- the same with it and without

one=$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')
# both NAME COMMAND...: output, messages and status.
both() {
	local name=$1
	shift
	domu "$@"
	mv "$T/out" "$T/with.out"
	{ sort "$T/err"; echo "$status"; } >"$T/with"
	taskset -c "$one" "$DOMU" "$@" >"$T/out" 2>"$T/err"
	status=$?
	{ sort "$T/err"; echo "$status"; } >"$T/without"
	if cmp -s "$T/with.out" "$T/out" && cmp -s "$T/with" "$T/without"; then
		ok "$name: $1"
	else
		not_ok "$name: $*" "$(diff "$T/with" "$T/without" | head -n 10)" "$(cmp "$T/with.out" "$T/out" 2>&1)"
	fi
}

commands() {
	both "$1" find test:/ -printf '%p|%s|%m|%i|%n|%T@|%l\n'
	both "$1" ls -lanR test:/
	both "$1" du -a test:/
	both "$1" grep -rc a test:/wide
	both "$1" tar-out test:/ -
}

commands "sound"
# Bytes at random in the first third: tables of inodes, directories.
for seed in 1 2 3; do
	cp --sparse=always "$T/sound.img" "$T/fs.img"
	perl -e 'srand($ARGV[0]); open my $f, "+<", $ARGV[1] or die;
		for (1 .. 200) { seek $f, 8192 + int(rand(20000000)), 0; print $f chr(int(rand(256))) } close $f' $seed "$T/fs.img"
	! cmp -s "$T/sound.img" "$T/fs.img" || not_ok "damage $seed is there"
	commands "damage $seed"
done
# An image that ends in the midst of its tables.
cp --sparse=always "$T/sound.img" "$T/fs.img"
truncate -s 9M "$T/fs.img"
commands "cut short"
done_testing
