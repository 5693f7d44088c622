#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# undo-files.sh - a commit undone file by file after the guest has run: the kernel is the guest, and says what is there.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_offset=0 fs_size=0
disk=$T/disk.img
config test "$disk,raw,xvda,w"

tree() {
	plain_tree "$1"
	mkdir "$1/srv" "$1/srv/old" "$1/srv/moved"
	echo first >"$1/srv/edited"
	head -c 200000 /dev/urandom >"$1/srv/big"
	echo mode >"$1/srv/mode"
	echo attr >"$1/srv/attr"
	setfattr -n user.note -v before "$1/srv/attr"
	setfacl -m u:1000:rw "$1/srv/attr"
	echo gone >"$1/srv/old/gone"
	setfattr -n user.kept -v yes "$1/srv/old/gone"
	chown 1000:1000 "$1/srv/old/gone" "$1/srv/old"
	chmod 2750 "$1/srv/old"
	mkfifo "$1/srv/old/fifo"
	ln -s ../edited "$1/srv/old/link"
	ln -s "$(printf 'x%.0s' {1..200})" "$1/srv/old/long"
	echo renamed >"$1/srv/name"
	echo one >"$1/srv/hard1"
	ln "$1/srv/hard1" "$1/srv/hard2"
	echo both >"$1/srv/both1"
	ln "$1/srv/both1" "$1/srv/both2"
	truncate -s 3M "$1/srv/sparse"
	echo end >>"$1/srv/sparse"
	head -c 100000 /dev/urandom >"$1/srv/moved/file"
	echo over >"$1/srv/over"
	echo file >"$1/srv/tolink"
	ln -s mode "$1/srv/tofile"
	mkdir -p "$1/srv/todir.d/sub"
	echo deep >"$1/srv/todir.d/sub/deep"
	touch -d '2009-02-13 23:31:30.123456789' "$1/srv/edited" "$1/srv/old/gone" "$1/srv/old"
}
make_fs ext4 "$T/base.img" tree || skip_all "no filesystem"

fresh() {
	rm -rf "$T/state"
	cp --sparse=always "$T/base.img" "$disk"
}

# guest COMMAND: what the guest does when it has booted.
guest() {
	kmount "$disk" 0 0 "$T/mnt" rw
	(cd "$T/mnt" && eval "$1")
	sync -f "$T/mnt"
	kumount "$T/mnt"
}

# What --files promises: everything but inode numbers, ctimes, allocation and, for folders, sizes and mtimes.
facts() {
	listing_of "$disk" "$T/l"
	awk -F'\t' -v OFS='\t' '$1 == "S" {
		split($3, f, " ")
		# type mode owner group links target inode blocks mtime ctime
		n = split($3, f, " "); mtime = f[n - 1]
		if (f[1] == "d") mtime = ""
		target = f[1] == "l" ? f[6] : ""
		print $1, $2, f[1], f[2], f[3], f[4], f[1] == "d" ? "" : f[5], target, mtime
		next
	} { print }' "$T/l" >"$1"
}

edits='write /srv/edited < '$T/new'
write /srv/big < '$T/new'
chmod 600 /srv/mode
chown 1000:1000 /srv/mode
rm -r /srv/old
mv /srv/name /srv/renamed
rm /srv/hard2
rm /srv/both1 /srv/both2
truncate -s 100 /srv/sparse
mv /srv/moved /srv/there
mv /srv/attr /srv/over
rm /srv/tolink /srv/tofile
ln -s mode /srv/tolink
write /srv/tofile < '$T/new'
mkdir /srv/new
write /srv/new/file < '$T/new'
ln -s file /srv/new/link
touch /srv/mode'
echo second version >"$T/new"
printf '%s\n' "$edits" >"$T/script"

# ---- nothing of it was touched by the guest
fresh
facts "$T/before"
works "a commit of every kind of change" shell test "$T/script"
facts "$T/after"
id=$(domu history test --json; jq -r '.commits[0].id' "$T/out")
guest 'echo booted >var/log/boot; dd if=/dev/urandom of=var/log/journal bs=1k count=50 status=none; touch etc/passwd'
cp "$disk" "$T/booted.img"
ends "after the guest has run, undo refuses" 1 undo test
has "it says how many blocks, and the first" "$(err)" '[0-9]+ of its [0-9]+ blocks have changed.*the first is block [0-9]+'
has "it names the way on" "$(err)" "domu-rescue undo test $id --files"
is "it wrote nothing" "$(sha "$disk")" "$(sha "$T/booted.img")"
works "a dry run of undo --files" undo test --files --dry-run
is "it wrote nothing" "$(sha "$disk")" "$(sha "$T/booted.img")"
works "undo --files" undo test --files
lacks "nothing was refused" "$(out)" refused
fsck_clean "undo --files: e2fsck" "$disk"
facts "$T/undone"
is "all of it is as before, but for what the guest did" "$(changed "$T/before" "$T/undone")" \
	"./etc/passwd ./var/log/boot ./var/log/journal"
kmount "$disk" 0 0 "$T/mnt" ro
is "files of two names are one" "$(stat -c %i "$T/mnt/srv/both1" "$T/mnt/srv/hard1")" "$(stat -c %i "$T/mnt/srv/both2" "$T/mnt/srv/hard2")"
is "holes are holes" "$(($(stat -c %b "$T/mnt/srv/sparse") < 100))" 1
kumount "$T/mnt"
works "it is a commit that can be undone" undo test
is "the bytes that the guest left" "$(sha "$disk")" "$(sha "$T/booted.img")"

# ---- one comparison: what diff tells before a commit is what undo --files knows after it
fresh
works "diff, then the commit" shell test -c "$edits"$'\nchmod 600 /srv/big\ntouch /srv/attr /srv/big\ndiff'
sed -nE 's/^[-+Mm] ([^ ]+).*/\1/p' "$T/out" | sort >"$T/told"
domu undo test --files --dry-run --json
is "the same files" "$(jq -r '.files[].path' "$T/out" | sort)" "$(cat "$T/told")"
is "all of the script's" "$(($(grep -c . "$T/told") > 25))" 1
fresh
works "a file is touched" touch -d 2001-02-03 test:/srv/big
is "its content is not kept" "$(($(stat -c %s "$T"/state/history/*/files) < 10000))" 1
guest 'true'
works "undo --files" undo test --files
facts "$T/undone"
is "its times are as before" "$(changed "$T/before" "$T/undone")" ""

# ---- the guest changed some of the same files
fresh
works "the same commit" shell test "$T/script"
id=$(domu history test --json; jq -r '.commits[0].id' "$T/out")
guest 'echo third >srv/edited; chmod 644 srv/mode; echo mine >srv/new/mine; mkdir srv/old; echo again >srv/old/gone
	setfattr -n user.note -v guest srv/over; rm srv/new/link; rm -r srv/there'
facts "$T/booted"
ends "undo of it" 1 undo test
for f in /srv/edited /srv/mode /srv/over; do
	has "it names $f" "$(err)" "${f}[, ]"
done
ends "undo --files goes on with the others" 1 undo test "$id" --files --json
is "what was refused" "$(jq -r '[.files[] | select(.result == "refused") | .path] | sort | join(" ")' "$T/out")" \
	"/srv/edited /srv/mode /srv/new /srv/old /srv/old/gone /srv/over"
is "each with its reason" "$(jq -r '[.files[] | select(.result == "refused" and .reason == null)] | length' "$T/out")" 0
has "new content" "$(jq -r '.files[] | select(.path == "/srv/edited") | .reason' "$T/out")" 'content has changed'
has "another mode" "$(jq -r '.files[] | select(.path == "/srv/mode") | .reason' "$T/out")" 'mode'
has "not empty" "$(jq -r '.files[] | select(.path == "/srv/new") | .reason' "$T/out")" 'did not make'
has "made again" "$(jq -r '.files[] | select(.path == "/srv/old/gone") | .reason' "$T/out")" 'again'
fsck_clean "some refused: e2fsck" "$disk"
facts "$T/undone"
is "exactly the others changed" "$(changed "$T/booted" "$T/undone")" "./srv/attr ./srv/big ./srv/both1 ./srv/both2 \
./srv/hard1 ./srv/hard2 ./srv/moved ./srv/moved/file ./srv/name ./srv/new/file ./srv/old/fifo ./srv/old/link ./srv/old/long \
./srv/renamed ./srv/sparse ./srv/tofile ./srv/tolink"
for f in ./srv/attr ./srv/big ./srv/both1 ./srv/moved ./srv/moved/file ./srv/name ./srv/old/link ./srv/sparse; do
	is "$f is as before" "$(grep -F "	$f	" "$T/undone")" "$(grep -F "	$f	" "$T/before")"
done
before=$(sha "$disk")
ends "once more: nothing is left to do" 1 undo test "$id" --files
is "it wrote nothing" "$(sha "$disk")" "$before"

# ---- a directory that became a file
fresh
works "a directory that became a file" shell test -c "rm -r /srv/todir.d; write /srv/todir.d < $T/new; write /srv/mode < $T/new"
guest 'true'
ends "undo --files" 1 undo test --files --json
is "leaves it as it is" "$(jq -r '[.files[] | select(.result == "refused") | .path] | sort | join(" ")' "$T/out")" \
	"/srv/todir.d /srv/todir.d/sub /srv/todir.d/sub/deep"
is "and goes on" "$(domu cat test:/srv/mode; out)" mode
fsck_clean "a directory that became a file: e2fsck" "$disk"

# ---- a directory that cannot be made again, for it had more attributes than are kept
fresh
truncate -s 32M "$T/fat.img"
mkdir "$T/fat"
tree "$T/fat"
mke2fs -q -F -t ext4 -O ea_inode -d "$T/fat" "$T/fat.img"
mv "$T/fat.img" "$disk"
long=$(head -c 40000 /dev/zero | tr '\0' x)
guest 'mkdir -p srv/fat/sub; echo in >srv/fat/file; echo deep >srv/fat/sub/deep
	setfattr -n user.a -v "$long" srv/fat; setfattr -n user.b -v "$long" srv/fat'
works "a directory with many attributes is removed" shell test -c "mv /srv/fat/file /srv/kept; rm -r /srv/fat; write /srv/mode < $T/new"
guest 'true'
ends "undo --files" 1 undo test --files --json
is "leaves out what was in it" "$(jq -r '[.files[] | select(.result == "refused") | .path] | sort | join(" ")' "$T/out")" \
	"/srv/fat /srv/fat/file /srv/fat/sub /srv/fat/sub/deep /srv/kept"
has "with the reason" "$(jq -r '.files[] | select(.path == "/srv/fat/sub/deep") | .reason' "$T/out")" 'directory.*cannot be made again'
is "and goes on" "$(domu cat test:/srv/mode; out)" mode
is "what was in it lives on under its new name" "$(domu cat test:/srv/kept; out)" in
fsck_clean "a directory that cannot be made again: e2fsck" "$disk"

# ---- blocks that were used again
fresh
guest 'head -c 20000000 /dev/urandom >srv/huge'
sha_huge=$(kmount "$disk" 0 0 "$T/mnt" ro; sha256sum <"$T/mnt/srv/huge"; kumount "$T/mnt")
works "a big file is removed" rm test:/srv/huge
cp "$disk" "$T/removed.img"
guest 'chmod 700 srv' # which takes no block
works "its blocks are still there" undo test --files
is "its content" "$(kmount "$disk" 0 0 "$T/mnt" ro; sha256sum <"$T/mnt/srv/huge"; kumount "$T/mnt")" "$sha_huge"
fsck_clean "a big file: e2fsck" "$disk"
works "undo of that" undo test
guest 'head -c 15000000 /dev/zero | tr "\0" y >srv/filler; sync -f .; rm srv/filler'
before=$(sha "$disk")
ends "its blocks were used and freed again" 1 undo test "$(domu history test --json; jq -r '.commits | last | .id' "$T/out")" --files
has "it says so" "$(out)" 'blocks were used again'
is "it wrote nothing" "$(sha "$disk")" "$before"

# ---- a guest that crashed before the commit: what its journal holds is not ours
fresh
kmount "$disk" 0 0 "$T/mnt" rw
echo 'by the guest' >"$T/mnt/srv/edited"
echo 'by the guest' >"$T/mnt/srv/unflushed"
sync -f "$T/mnt"
cp --sparse=always "$disk" "$T/crashed.img"
kumount "$T/mnt"
cp --sparse=always "$T/crashed.img" "$disk"
works "a commit on a disk whose journal is due" write test:/etc/hostname <"$T/new"
guest 'true'
works "undo --files" undo test --files --json
is "only our own change is undone" "$(jq -r '[.files[].path] | join(" ")' "$T/out")" /etc/hostname
is "what the guest did is there" "$(domu cat test:/srv/unflushed; out)" "by the guest"

# ---- a commit that was cut short, and finished by recover
if strace -f -o /dev/null true 2>/dev/null; then
	fresh
	{
		strace -f -o /dev/null -e trace=fdatasync -e inject=fdatasync:signal=KILL:when=5 \
			"$DOMU" shell test "$T/script" >"$T/out" 2>"$T/err" || true
	} 2>/dev/null
	domu history test --json
	is "it is interrupted" "$(jq -c '[.commits[] | [.state, .undoable]]' "$T/out")" '[["interrupted",false]]'
	has "history says what to do" "$(domu history test; out)" 'cut short: domu-rescue recover test'
	ends "it cannot be undone yet" "1 7" undo test "$(domu history test --json; jq -r '.commits[0].id' "$T/out")" --files --dry-run
	works "recover" recover test
	cp "$disk" "$T/recovered.img"
	guest 'echo booted >var/log/boot'
	works "undo --files of it" undo test --files
	facts "$T/undone"
	is "all of it is as before, but for what the guest did" "$(changed "$T/before" "$T/undone")" ./var/log/boot
	cp "$T/recovered.img" "$disk"
	works "undo of it, had the guest not run" undo test "$(domu history test --json; jq -r '.commits | last | .id' "$T/out")"
	is "exactly" "$(sha "$disk")" "$(sha "$T/base.img")"
else
	skip "a commit that was cut short" "no strace to kill with"
fi

# ---- several filesystems, one of them not mounted by the guest's fstab
fresh
truncate -s 16M "$T/boot.img" "$T/data.img"
mke2fs -q -F -t ext2 -L boot "$T/boot.img"
mke2fs -q -F -t ext3 -I 128 -L data "$T/data.img" >"$T/mke2fs.log" 2>&1
config multi "$disk,raw,xvda,w" "$T/boot.img,raw,xvdb,w" "$T/data.img,raw,xvdc,w"
echo "write /etc/fstab < $T/fstab; mkdir /boot; write /srv/edited < $T/new" >"$T/multi"
printf 'LABEL=root / ext4 defaults 0 1\nLABEL=boot /boot ext2 defaults 0 2\n' >"$T/fstab"
works "a guest with a second filesystem" shell multi "$T/multi"
works "a commit on three filesystems" shell multi -c "write /boot/cfg < $T/new; write /etc/hostname < $T/new; use xvdc; mkdir /d; write /d/file < $T/new"
guest 'echo x >var/log/boot'
works "undo --files" undo multi --files --json
is "names files as the guest does, and by the device" "$(jq -r '[.files[].path] | sort | join(" ")' "$T/out")" \
	"/boot/cfg /etc/hostname @xvdc:/d @xvdc:/d/file"
is "the root is as before" "$(domu cat multi:/etc/hostname; out)" testguest
is "what it mounts, too" "$(domu ls multi:/boot; out)" lost+found
is "and what it does not mount" "$(domu ls multi@xvdc:/; out)" lost+found
fs_offset=0
for f in "$disk" "$T/boot.img" "$T/data.img"; do
	fsck_clean "e2fsck of ${f##*/}" "$f"
done

# ---- an undo, undone file by file
fresh
works "an edit" write test:/srv/edited <"$T/new"
works "its undo" undo test
guest 'echo booted >var/log/boot'
works "the undo, undone file by file" undo test --files
is "is the edit again" "$(domu cat test:/srv/edited; out)" "$(cat "$T/new")"
facts "$T/undone"
is "only that and what the guest did" "$(changed "$T/before" "$T/undone")" "./srv/edited ./var/log/boot"

# ---- another disk under the same name
fresh
works "an edit" write test:/srv/edited <"$T/new"
cp --sparse=always "$disk" "$T/copy.img"
mv "$T/copy.img" "$disk"
before=$(sha "$disk")
for how in '' --files; do
	# shellcheck disable=SC2086
	ends "undo $how on a disk that was replaced" 1 undo test $how
	lacks "it does not speak of files" "$(err)" 'differ'
done
is "nothing was written" "$(sha "$disk")" "$before"

# ---- the guest crashed: what it did is in its journal, and the blocks are as the commit left them
two_folders() {
	mkdir "$1/a" "$1/b"
	echo precious >"$1/a/precious"
	echo other >"$1/a/other"
}
make_fs ext4 "$disk" two_folders -b 4096
rm -rf "$T/state"
works "a file is moved" mv test:/a/precious test:/b/
kmount "$disk" 0 0 "$T/mnt" rw
mv "$T/mnt/a/other" "$T/mnt/a/renamed"
sync "$T/mnt/a/renamed"
cp --sparse=always "$disk" "$T/crashed.img"
kumount "$T/mnt"
cp --sparse=always "$T/crashed.img" "$disk"
has "it is in the journal" "$(dumpe2fs -h "$disk" 2>/dev/null | grep features)" needs_recovery
ends "what would be lost in its replay is not put back" 1 undo test
has "which says why, and the way on" "$(err)" "the journal of xvda has what the guest did since.*domu-rescue undo test [^ ]* --files"
is "it wrote nothing" "$(sha "$disk")" "$(sha "$T/crashed.img")"
works "undo --files" undo test --files
fsck_clean "e2fsck" "$disk"
kmount "$disk" 0 0 "$T/mnt" ro
is "all files are there, and what the guest did" "$(cd "$T/mnt" && echo [ab]/*)" "a/precious a/renamed"
kumount "$T/mnt"
cp --sparse=always "$T/crashed.img" "$disk"
rm -rf "$T/state"
works "a commit that has replayed the journal" mv test:/b/precious test:/a/
works "is undone" undo test
is "and the journal is to be replayed again" "$(sha "$disk")" "$(sha "$T/crashed.img")"
works "that is undone, too" undo test
fsck_clean "e2fsck" "$disk"

# ---- what has no list
fresh
works "a check" fsck test
guest 'true'
ends "undo --files of a check" 6 undo test --files
has "what could be done" "$(err)" 'domu-rescue undo test [0-9T-]+'
fresh
works "an edit" write test:/srv/edited <"$T/new"
list=$(echo "$T"/state/history/*/files)
cp "$list" "$T/list"
size=$(stat -c %s "$list")
for cut in 0 8 100 $((size - 1)); do
	truncate -s "$cut" "$list"
	ends "a list cut to $cut bytes" 6 undo test --files
done
for at in 20 200 $((size - 40)); do
	cp "$T/list" "$list"
	printf '\x5a' | dd of="$list" bs=1 seek="$at" conv=notrunc status=none
	ends "a list with a wrong byte at $at" 6 undo test --files
done
cp "$T/list" "$list"
ends "an unknown ID" 4 undo test 20000101T000000-000000 --files
works "without the guest having run, undo still works" undo test
is "exactly" "$(sha "$disk")" "$(sha "$T/base.img")"
ends "an undone commit has nothing to undo" 1 undo test "$(domu history test --json; jq -r '.commits | last | .id' "$T/out")" --files
works "in a shell it is staged" shell test -c 'undo --files; rollback'
is "and can be dropped" "$(sha "$disk")" "$(sha "$T/base.img")"
works "nothing was pending" diff test
done_testing
