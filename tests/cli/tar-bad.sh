#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tar-bad.sh - archives that lie, disks that are damaged or full, and readers that go away.
. "$(dirname "$0")/../lib/functions.sh"
. "$lib/images.sh"
need_kernel
fs_bytes=$((24 * 1048576)) fs_offset=0 fs_size=$((24 * 1048576))

small_tree() {
	plain_tree "$1"
	mkdir "$1/data" "$1/srv"
	head -c 3000000 /dev/urandom >"$1/data/one"
	head -c 3000000 /dev/urandom >"$1/data/two"
	ln -s /etc "$1/srv/link"
	echo old >"$1/srv/file"
	mkdir "$1/srv/full"
	echo x >"$1/srv/full/x"
}

make_fs ext4 "$T/a.img" small_tree
before=$(state_of "$T/a.img")
# untouched NAME: nothing of the disk has changed, and nothing waits to be committed.
untouched() {
	is "$1: the disk is as it was" "$(state_of "$T/a.img")" "$before"
	is "$1: nothing is staged" "$(find "$T/state/pending" -mindepth 1 -maxdepth 1 -type d 2>/dev/null)" ""
}

# ---- where an archive may go

script -qec "'$DOMU' tar-out '$T/a.img:/' -" /dev/null </dev/null >"$T/tty" 2>&1
is "no archive to a terminal" "$?" 2
has "and why" "$(cat "$T/tty")" 'not for a terminal'
is "nothing of it was shown" "$(grep -ac ustar "$T/tty")" 0
ends "nor to /dev/full" 1 tar-out "$T/a.img:/" /dev/full
has "with the reason" "$(err)" 'No space left'
mkdir "$T/small"
mount -t tmpfs -o size=200k none "$T/small"
: >"$T/loops/small"
for f in a.tar a.tar.gz a.tar.zst; do
	ends "a full disk: $f" 1 tar-out "$T/a.img:/" "$T/small/$f"
	has "says so" "$(err)" 'No space left'
	is "and leaves nothing" "$(ls -A "$T/small")" ""
done
umount "$T/small"
rm "$T/loops/small"
echo precious >"$T/there.tar"
chmod 640 "$T/there.tar"
ends "a guest path that is not there" 4 tar-out "$T/a.img:/nowhere" "$T/there.tar"
is "leaves an older file alone" "$(cat "$T/there.tar")" precious
: >"$T/there.tar.part"
ends "somebody else's .part" 1 tar-out "$T/a.img:/" "$T/there.tar"
is "is not touched" "$(stat -c %s "$T/there.tar.part")" 0
rm "$T/there.tar.part"
works "an older file is replaced" tar-out "$T/a.img:/data" "$T/there.tar"
is "and keeps its mode" "$(stat -c %a "$T/there.tar")" 640
"$DOMU" tar-out "$T/a.img:/" 2>"$T/err" | head -c 1000 >/dev/null
is "a reader that goes away is no message" "$(cat "$T/err")" ""
"$DOMU" tar-out -z "$T/a.img:/" 2>"$T/err" | head -c 1000 >/dev/null
is "nor with gzip" "$(cat "$T/err")" ""

# Ended while a fifo that nobody reads holds it up.
for z in '' --zstd; do
	mkfifo "$T/fifo"
	exec 5<>"$T/fifo"
	# shellcheck disable=SC2086
	"$DOMU" tar-out $z "$T/a.img:/" - >"$T/fifo" 2>"$T/err" &
	pid=$!
	wait_until 10 grep -q . "/proc/$pid/task/$pid/children"
	kill -TERM $pid
	wait $pid
	is "a signal ends it with 5 ${z:-plain}" "$?" 5
	exec 5>&-
	rm "$T/fifo"
done
untouched "tar-out"

# ---- archives that lie

mkdir -p "$T/x/sub" "$T/y"
echo evil >"$T/x/passwd"
echo evil >"$T/x/sub/file"
tar -C "$T/x" -cPf "$T/dots.tar" --transform 's,^,../../etc/,' passwd
tar -C "$T/x" -cPf "$T/inside.tar" --transform 's,^,sub/../../etc/,' passwd
ln -s /etc "$T/y/esc"
tar -C "$T/y" -cf "$T/link.tar" esc
tar -C "$T/x" -rPf "$T/link.tar" --transform 's,^,esc/,' passwd
tar -C "$T/x" -cPf "$T/through.tar" --transform 's,^,link/,' passwd
tar -C "$T/x" -cPf "$T/absolute.tar" --transform 's,^,/etc/,' passwd
for kind in dots inside link through; do
	ends "refused: $kind" 1 tar-in "$T/$kind.tar" "$T/a.img:/srv"
	has "says which member: $kind" "$(err)" "'.*passwd' is refused"
	untouched "$kind"
done
cp --sparse=always "$T/a.img" "$T/b.img"
works "an absolute name" tar-in "$T/absolute.tar" "$T/b.img:/srv"
is "stays below the directory" "$("$DOMU" cat "$T/b.img:/srv/etc/passwd")" evil
has "and /etc/passwd is the guest's" "$("$DOMU" cat "$T/b.img:/etc/passwd")" '^root:'
# A hard link to a file outside, by each way there is.
hardlink() {
	perl -e 'my ($name, $link) = @ARGV;
		my $h = pack "a100a8a8a8a12a12A8a1a100a6a2a32a32a8a8a155a12", $name, "0000644", "0000000", "0000000", "00000000000",
			"00000000000", "", 1, $link, "ustar", "00", "", "", "", "", "", "";
		substr($h, 148, 8) = sprintf "%06o\0 ", unpack "%32C*", $h; print $h, "\0" x 1024' "$1" "$2"
}
hardlink mine ../etc/shadow >"$T/hard.tar"
ends "a hard link out of the directory" 1 tar-in "$T/hard.tar" "$T/a.img:/srv"
hardlink mine link/passwd >"$T/hard.tar"
ends "a hard link through a link" 1 tar-in "$T/hard.tar" "$T/a.img:/srv"
hardlink mine nowhere >"$T/hard.tar"
ends "a hard link to nothing" 1 tar-in "$T/hard.tar" "$T/a.img:/srv"
hardlink mine file >"$T/hard.tar"
works "a hard link to what is there" tar-in "$T/hard.tar" "$T/b.img:/srv"
is "is one file with it" "$("$DOMU" cat "$T/b.img:/srv/mine")" old
mkdir "$T/z"
echo new >"$T/z/full"
tar -C "$T/z" -cf "$T/over.tar" full
ends "a file over a directory that is not empty" 1 tar-in "$T/over.tar" "$T/a.img:/srv"
untouched "refusals"

# ---- archives that are damaged

tar -C "$T/x" -czf "$T/good.tar.gz" .
"$DOMU" tar-out "$T/a.img:/" 2>/dev/null >"$T/whole.tar"
head -c 200000 "$T/whole.tar" >"$T/cut.tar"
head -c 150 "$T/good.tar.gz" >"$T/cut.tar.gz"
head -c 5000 /dev/urandom >"$T/noise.tar"
: >"$T/nothing.tar"
for f in cut.tar cut.tar.gz noise.tar; do
	ends "damaged: $f" 1 tar-in "$T/$f" "$T/a.img:/srv"
	untouched "$f"
done
ends "a file that is not there" 4 tar-in "$T/nowhere.tar" "$T/a.img:/srv"
ends "a folder" 1 tar-in "$T" "$T/a.img:/srv"
ends "a directory that is not there" 4 tar-in "$T/absolute.tar" "$T/a.img:/nowhere"
ends "strip is a number" 2 tar-in --strip-components=x "$T/absolute.tar" "$T/a.img:/srv"
head -c 40000000 /dev/urandom >"$T/x/big"
tar -C "$T/x" -czf "$T/big.tar.gz" big
ends "more than the guest has room for" 1 tar-in "$T/big.tar.gz" "$T/a.img:/srv"
untouched "a full guest"
rm "$T/x/big" "$T/big.tar.gz"

# ---- what the options do

works "--strip-components" tar-in --strip-components=1 "$T/absolute.tar" "$T/b.img:/srv"
is "leaves out parts" "$("$DOMU" cat "$T/b.img:/srv/passwd")" evil
tar -C "$T/x" --owner=anna:777 --group=anna:777 -cf "$T/owner.tar" passwd
works "numbers count" tar-in "$T/owner.tar" "$T/b.img:/srv"
has "and are kept" "$("$DOMU" stat "$T/b.img:/srv/passwd")" '777'
works "--map-names" tar-in --map-names "$T/owner.tar" "$T/b.img:/srv"
has "takes the guest's anna" "$("$DOMU" stat "$T/b.img:/srv/passwd")" '1000'
fsck_clean "e2fsck finds nothing after all that" "$T/b.img"

# ---- a guest that is damaged

cp --sparse=always "$T/a.img" "$T/c.img"
debugfs -w -R 'sif /data/one block[5] 0xfffffff0' "$T/c.img" 2>/dev/null
has "the extent is out of the disk" "$(e2fsck -fn "$T/c.img" 2>&1)" 'Inode'
domu tar-out "$T/c.img:/" "$T/damaged.tar"
is "a file that cannot be read: status 1" "$status" 1
has "is named" "$(err)" "cannot read '/data/one'|cannot read './data/one'"
cmp -s <(tar -xOf "$T/damaged.tar" ./data/two) <("$DOMU" cat "$T/a.img:/data/two")
is "and the rest is there, whole" $? 0

# ---- in a shell

out=$("$DOMU" shell "$T/b.img" -c "cat /etc/hostname; tar-out /etc | tar -t; tar-in $T/good.tar.gz /srv; cat /srv/sub/file; tar-out /srv - | tar -xO ./sub/file" 2>&1)
has "the shell's pipes" "$out" '^./hostname'
is "what is staged comes out, after a worker without libarchive" "$(tail -n 2 <<<"$out")" $'evil\nevil'
done_testing
