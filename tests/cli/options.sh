#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# options.sh - options of ls, cat, readlink, stat, df print what coreutils print of a mount; those of commands that
# change files do what coreutils do to a mounted copy.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((24 * 1048576))

fill() {
	local d=$1 i n=7
	plain_tree "$d"
	mkdir -p "$d/odd/dir.d" "$d/odd/zdir" "$d/full/sub" "$d/none/of/it"
	for i in b.c a.txt c.c Z .hidden; do
		n=$((n * 7919 % 32768 + 10))
		head -c $n /dev/urandom >"$d/odd/$i"
	done
	touch -d '2019-01-02 03:04:05' "$d/odd/b.c"
	touch -a -d '2021-01-02 03:04:05' "$d/odd/Z"
	chmod 755 "$d/odd/Z"
	ln -s a.txt "$d/odd/link"
	ln -s dir.d "$d/odd/dirlink"
	ln -s nowhere "$d/odd/dangling"
	mkfifo "$d/odd/fifo"
	mknod "$d/odd/null" c 1 3
	setfattr -n security.selinux -v system_u:object_r:etc_t:s0 "$d/odd/a.txt"
	setfattr -n security.selinux -v unconfined_u:object_r:user_home_t:s0 "$d/odd/dir.d"
	printf 'one\n\n\n\ntwo\ttabs\t\n\x01\x7f\x80\xff\r\nlast' >"$d/odd/dir.d/text"
	printf 'x\n' >"$d/full/file"
	printf 'y\n' >"$d/full/sub/other"
	chmod 751 "$d/full/file"
	chown 1000:42 "$d/full/file"
	touch -d '2001-02-03 04:05:06.789' "$d/full/file"
	ln -s file "$d/full/l"
}

make_fs ext4 "$T/fs.img" fill || skip_all "no image"
disk=$T/disk.img
make_disk none "$T/fs.img" "$disk"
cp --sparse=always "$disk" "$T/base.img"
cp --sparse=always "$disk" "$T/oracle.img"
config test "$disk,raw,xvda,w"
kmount "$T/oracle.img" 0 0 "$T/mnt" ro || skip_all "no mount"
m=$T/mnt

# like COMMAND ARG...: the same output as the host's, byte for byte; paths are written "@/odd".
like() {
	local ours=() theirs=() a tool=$1
	shift
	for a in "$@"; do
		case $a in
		@*) ours+=("test:${a#@}") theirs+=("$m${a#@}") ;;
		*) ours+=("$a") theirs+=("$a") ;;
		esac
	done
	LC_ALL=C "$tool" "${theirs[@]}" 2>/dev/null | if [[ " $* " == *' -C'* ]]; then expand; else cat; fi | LC_ALL=C sed "s,$m\(/*\),\1,g" >"$T/theirs"
	domu "$tool" "${ours[@]}"
	same "$tool $*" "$T/out" "$T/theirs"
}

for o in '' -a -A -1 -l -ln -lan -lnh -lnt -lnS -lnr -lnc -lnu -t -u -c -r -S -X -s -sh -i -is -F -p -Fa -pa -nG -g -o -ng -lno -lnZ -Z -nL -L -nFL \
	-d -nd -R -nR -C -Ci -ls -lnis --full-time '-n --full-time' --group-directories-first -f1 '-n --color=never' --color=auto; do
	case $o in
	-g | -o | -ng | -lno | -l | -ls | --full-time) set -- $o @/odd/dir.d ;;
	*) set -- $o @/odd ;;
	esac
	[ "$o" != -f1 ] || { domu ls -f test:/odd; is "ls -f" "$(out | sort)" "$(LC_ALL=C ls -f "$m/odd" | sort)"; continue; }
	like ls "$@"
done
like ls -n @/odd/a.txt @/odd/Z @/odd/link
like ls -nH @/odd/link
like ls @/odd/dirlink
like ls -F @/odd/dirlink
like ls -d @/odd @/full
for o in -n -b -A -v -E -T -e -t -s -ns -bE -nA -nb; do
	like cat $o @/odd/dir.d/text
done
like cat -n @/odd/dir.d/text @/full/file @/full/file
for o in -f -e -m '' -n; do
	like readlink $o @/odd/link
done
like readlink -m @/odd/missing/x/y
like readlink -m @/none/of/it
like readlink -f @/odd/missing
ends "readlink -f of what is not there" "1 4" readlink -f test:/odd/missing/x
like stat -c '%n %s %a' @/full/file @/odd
like stat --printf '%n:%s\n%a\t%h\n' @/full/file
for o in '-n 2' '-c 5' '-n -2' '-c -5' -1; do
	like head $o @/var/log/syslog
	like tail ${o/ -/ +} @/var/log/syslog
done
like head -qn1 @/full/file @/full/sub/other
domu head -vn1 test:/full/file
is "head -v" "$(out)" $'==> test:/full/file <==\nx'
kumount "$m"

# ---- changes: what a command does here, coreutils do to a mounted copy
# What differs in time, inodes and sizes of directories is left out.
facts() {
	(cd "$1" && find . -path ./lost+found -prune -o -printf '%p %y %m %U %G %n %l %s ' -a \( -type f -printf '%T@\n' -o -printf '\n' \) |
		sed -E 's/^(\S+ d .*) [0-9]+ $/\1/' | awk -v start="$start" '$NF + 0 >= start { $NF = "now" } { $1 = $1; print }' | sort)
}
start=$((EPOCHSECONDS - 600))
# act COMMAND ARG...: "@" as above; a time that is now is not compared.
act() {
	local ours=() theirs=() a tool=$1
	shift
	for a in "$@"; do
		case $a in
		--*=@*) ours+=("${a%%=*}=test:${a#*=@}") theirs+=("${a%%=*}=$T/copy${a#*=@}") ;;
		@*) ours+=("test:${a#@}") theirs+=("$T/copy${a#@}") ;;
		*) ours+=("$a") theirs+=("$a") ;;
		esac
	done
	cp --sparse=always "$T/base.img" "$disk"
	cp --sparse=always "$T/base.img" "$T/copy.img"
	kmount "$T/copy.img" 0 0 "$T/copy" rw
	(umask 022; LC_ALL=C "$tool" "${theirs[@]}" 2>"$T/theirs.err" | sed "s,$T/copy,,g" >"$T/theirs")
	facts "$T/copy" >"$T/want"
	kumount "$T/copy"
	domu "$tool" "${ours[@]}"
	if [ "$status" != 0 ] && [ ! -s "$T/theirs.err" ]; then
		not_ok "$tool $*" "status $status: $(err)"
		return
	fi
	kmount "$disk" 0 0 "$T/copy" ro
	facts "$T/copy" >"$T/got"
	kumount "$T/copy"
	if ! cmp -s "$T/got" "$T/want"; then
		not_ok "$tool $*" "$(diff "$T/got" "$T/want")" "$(err)"
	elif ! cmp -s <(sort "$T/out") <(sort "$T/theirs"); then
		not_ok "$tool $*: what is said" "$(diff <(sort "$T/out") <(sort "$T/theirs"))"
	else
		ok "$tool $*"
	fi
}

act rm -rf @/full @/none-such
act rm -Rv @/full/l
act rm -dv @/full/l
act rm -rv @/full @/odd/zdir/ @/odd/Z
act rmdir -p @/none/of/it
act rmdir --ignore-fail-on-non-empty @/full
act mkdir -pv -m 700 @/full/a/b
act mkdir -m u=rwx,go= @/full/c
act mv -t @/odd/zdir @/full/file @/full/l
act mv -v @/full/file @/full/renamed
act mv -n @/full/file @/full/sub/other
act mv -nv @/full/file @/odd/Z @/odd/zdir
act mv -T @/full/sub @/odd/zdir
act ln -s -f ../x @/full/l
act ln -sfn /etc @/odd/dirlink
act ln -s -t @/full /etc/hosts /etc/passwd
act ln -v @/full/file @/full/hard
act touch -r @/full/file @/odd/Z
act touch -t 200102030405.06 @/odd/Z
act touch -t 9902030405 @/odd/Z
act touch -m -d @1000000000 @/odd/Z
act touch -c @/full/none
act touch -h -d @1000000000 @/odd/dangling
act chmod -v 600 @/full/file
act chmod --reference=@/full/file @/odd/Z
for mode in g+s,+t u=g,g=u,o= a=rX -x u+x,g-w 2755; do
	act chmod -R "$mode" @/full
done
act chown --reference=@/full/file @/odd/Z
act chown -h 5:6 @/odd/link
act chown :7 @/odd/Z
act chown -R 8 @/full
act truncate -s +100 @/odd/Z
act truncate -s -5 @/odd/Z
act truncate -r @/full/file @/odd/Z
act cp -a @/full @/odd
act cp -r @/full @/odd
act cp -t @/odd/zdir @/full/file @/full/sub/other
act cp -n @/full/file @/full/sub/other
act cp -an @/full/. @/odd/zdir
act cp -P @/full/l @/odd/zdir
act cp -p @/full/file @/odd/zdir
act cp -rT @/full @/odd/zdir
act cp -f @/full/file @/odd/Z
act cp -v @/full/file @/odd/Z
act cp -v @/full/file @/odd/Z @/odd/zdir/
act cp -rv @/full @/odd/dir.d @/odd/zdir
act cp -av @/full/. @/odd/zdir
act cp -rvT @/full @/odd/zdir
act cp -anv @/full/. @/odd/zdir
act cp -auv @/full/. @/odd/zdir
act cp -rH @/odd/dirlink @/odd/link @/odd/zdir
act cp -rHP @/odd/dirlink @/odd/zdir
act cp -aH @/odd/link @/odd/zdir
act cp -L @/odd/link @/odd/zdir
act cp -dL @/odd/link @/odd/zdir
act cp -Lv @/odd/link @/odd/zdir
cp --sparse=always "$T/base.img" "$disk"
domu ln -sr test:/etc/hostname test:/odd/dir.d/rel
domu readlink test:/odd/dir.d/rel
is "ln -sr" "$(out)" "../../etc/hostname"

# ---- globs, and the host
mkdir "$T/here"
echo old >"$T/here/file"
domu cp -n test:/full/file "$T/here/"
is "cp -n to the host leaves a file" "$(cat "$T/here/file")" old
domu cp -t "$T/here" test:/full/sub/other test:/odd/b.c
is "cp -t to the host" "$(ls "$T/here" | tr '\n' ' ')" "b.c file other "
domu cp 'test:/odd/*.c' "$T/here/"
is "a glob of the command line is expanded in the guest" "$(ls "$T/here" | tr '\n' ' ')" "b.c c.c file other "
domu cat 'test:/full/f[i]*'
is "cat of a glob" "$(out)" x
domu ls -d 'test:/odd/*.c'
is "ls of a glob" "$(out | tr '\n' ' ')" "/odd/b.c /odd/c.c "
domu rm 'test:/odd/*.c' 'test:/odd/none*'
is "a glob that matches nothing is said" "$status" 4
domu df -k test
has "df -k" "$(out | head -n 1)" '1K-blocks'
domu df -h test
has "df -h" "$(out | tail -n 1)" '^xvda .*M .*% /$'

# ---- an editor that leaves nothing
cp --sparse=always "$T/base.img" "$disk"
printf '#!/bin/sh\n: >"$1"\n' >"$T/editor"
chmod 755 "$T/editor"
before=$(sha "$disk")
VISUAL=$T/editor domu edit test:/full/file </dev/null
is "an editor that leaves an empty file is refused" "$status" 5
has "and it is said" "$(err)" 'left /full/file empty: nothing was changed'
is "and nothing was written" "$(sha "$disk")" "$before"
VISUAL=$T/editor domu --yes edit test:/full/file </dev/null
is "unless --yes" "$status" 0
domu stat -c '%s %a %u %g' test:/full/file
is "then it is empty, and keeps owner and mode" "$(out)" "0 751 1000 42"
done_testing
