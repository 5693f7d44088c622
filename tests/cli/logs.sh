#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# logs.sh - logs shows the end of a journal as journalctl does, of text logs as tail does, and of the console log.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
fs_bytes=$((64 * 1048576))
export DOMU_RESCUE_CONSOLE_DIR=$T/console
mkdir "$DOMU_RESCUE_CONSOLE_DIR" "$T/journal"
journald=/lib/systemd/systemd-journald

# A journal by systemd's own daemon, in a /run of its own: this script has its own mounts.
make_journal() {
	local pid i
	mount -t tmpfs none /run || return 1
	mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log
	printf '[Journal]\nStorage=persistent\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\n%s\n' "$1" >/run/systemd/journald.conf.d/test.conf
	: >/run/systemd/journal/flushed
	mount --bind "$T/journal" /var/log/journal || { umount /run; return 1; }
	env "${@:2}" "$journald" >"$T/journald.log" 2>&1 &
	pid=$!
	wait_until 10 test -S /run/systemd/journal/stdout
	for i in {1..80}; do
		echo "<6>line $i of it"
	done | systemd-cat -t demo
	printf 'MESSAGE=first line\nMESSAGE=second line\nSYSLOG_IDENTIFIER=multi\n' | logger --journald
	# A field that is compressed, stored before the message it belongs to.
	printf 'LONG=%s\nMESSAGE=short after long\nSYSLOG_IDENTIFIER=java\n' "$(printf 'x%.0s' {1..3000})" | logger --journald
	# Long enough to be compressed; a pattern, and what is none.
	printf 'MESSAGE=long %s end\nSYSLOG_IDENTIFIER=long\n' "$(seq -s ' ' 1 700)" | logger --journald
	printf 'MESSAGE=noise %s\nSYSLOG_IDENTIFIER=noise\n' "$(head -c 3000 /dev/urandom | base64 -w0)" | logger --journald
	printf 'MESSAGE=unkillable \e[31m process\nSYSLOG_IDENTIFIER=steer\n' | logger --journald
	wait_until 10 sh -c 'journalctl --directory=/var/log/journal -t steer --no-pager -q | grep -q unkillable'
	kill "$pid"
	wait "$pid"
	umount /var/log/journal
	umount /run
}

text_logs() {
	plain_tree "$1"
	seq 1 500 | sed 's/^/Jan  1 00:00:00 web syslog line /' >"$1/var/log/syslog"
	seq 1 30 | sed 's/^/[    0.0] dmesg line /' >"$1/var/log/dmesg"
	touch -d '2020-01-01' "$1/var/log/syslog"
}

journal() {
	text_logs "$1"
	mkdir -p "$1/var/log/journal"
	cp -r "$T/journal/." "$1/var/log/journal/"
}

make_fs ext4 "$T/text.img" text_logs || skip_all "no image"
config text "$T/text.img,raw,xvda,w"
works "text logs" logs -n 7 text
is "text logs: the end of each" "$(out)" "$(
	echo '==> /var/log/syslog <=='
	seq 494 500 | sed 's/^/Jan  1 00:00:00 web syslog line /'
	echo '==> /var/log/dmesg <=='
	seq 24 30 | sed 's/^/[    0.0] dmesg line /'
)"
works "by default" logs text
is "by default: 50 lines of what has more" "$(out | grep -c syslog.line)" 50
works "no lines" logs -n 0 text
ends "a number that is none" 2 logs -n x text

# Rotated: by number and by date, each compressed in its own way; together they are what was cut into pieces.
rotated() {
	local log=$1/var/log
	plain_tree "$1"
	mkdir -p "$log"
	seq 901 1000 | sed 's/^/numbered /' >"$log/syslog"
	seq 601 900 | sed 's/^/numbered /' >"$log/syslog.1"
	seq 301 600 | sed 's/^/numbered /' | gzip >"$log/syslog.2.gz"
	seq 1 300 | sed 's/^/numbered /' | xz >"$log/syslog.10.xz"
	echo 'not a log' >"$log/syslog.1.orig"
	echo 'not a log' >"$log/syslogish"
	seq 11 20 | sed 's/^/dated /' >"$log/kern.log"
	seq 6 10 | sed 's/^/dated /' | zstd -q >"$log/kern.log-20240218.zst"
	seq 1 5 | sed 's/^/dated /' | gzip >"$log/kern.log-20240211.gz"
}
make_fs ext4 "$T/rotated.img" rotated
config rotated "$T/rotated.img,raw,xvda,w"
for n in 5 100 101 400 401 750 5000; do
	works "$n lines of what was rotated" logs -n "$n" rotated
	same "$n lines of what was rotated: the last, in their order" <(grep numbered "$T/out") <(seq 1 1000 | tail -n "$n" | sed 's/^/numbered /')
done
same "rotated by date: in its order" <(grep dated "$T/out") <(seq 1 20 | sed 's/^/dated /')
is "each file has a heading" "$(grep '^==>' "$T/out")" "$(
	printf '==> /var/log/%s <==\n' syslog.10.xz syslog.2.gz syslog.1 syslog kern.log-20240211.gz kern.log-20240218.zst kern.log)"
just_rotated() { rotated "$1"; : >"$1/var/log/syslog"; }
make_fs ext4 "$T/just.img" just_rotated
config just "$T/just.img,raw,xvda,w"
works "what was rotated just now" logs -n 5000 just
same "what was rotated just now: each once" <(grep numbered "$T/out") <(seq 1 900 | sed 's/^/numbered /')
torn() { rotated "$1"; truncate -s 500 "$1/var/log/syslog.2.gz"; }
make_fs ext4 "$T/torn.img" torn
config torn "$T/torn.img,raw,xvda,w"
ends "a rotated file that is cut short" 1 logs -n 5000 torn
has "cut short: it is named" "$(err)" "/var/log/syslog.2.gz"
has "cut short: what is before and behind it is shown" "$(out)" "numbered 1000"
has "cut short: what is before it is shown" "$(out)" "numbered 299"

printf 'Welcome\r\nKernel panic - not syncing\e[0m' >"$T/console/guest-text.log"
works "the console log" logs -n 3 text
has "the console log: its end" "$(out | tail -n 1)" 'Kernel panic'
if command -v script >/dev/null; then
	script -qec "$DOMU logs -n 3 text" /dev/null </dev/null >"$T/tty" 2>&1
	lacks "nothing steers a terminal" "$(cat "$T/tty")" $'\e'
fi
domu shell text -c 'logs -n 1'
has "in the shell" "$(out)" 'syslog line 500'
none() { mkdir -p "$1/etc" "$1/sbin" "$1/usr"; echo >"$1/etc/fstab"; echo >"$1/sbin/init"; }
make_fs ext4 "$T/none.img" none
config none "$T/none.img,raw,xvda,w"
ends "a guest without logs" 4 logs none

if [ -x "$journald" ] && command -v systemd-cat journalctl >/dev/null && [ -s /etc/machine-id ] && [ -d /var/log/journal ]; then
	for format in regular compact; do
		rm -rf "$T/journal"
		mkdir "$T/journal"
		# Compact files are of systemd 252 and later; the variable turns them off.
		if ! make_journal '' "SYSTEMD_JOURNAL_COMPACT=$([ $format = compact ] && echo 1 || echo 0)"; then
			skip "a journal" "no journald here"
			break
		fi
		make_fs ext4 "$T/journal.img" journal
		config journal "$T/journal.img,raw,xvda,w"
		for n in 1 5 40 1000; do
			domu logs -n "$n" journal
			journalctl --directory="$T/journal" -o short -n "$n" --no-pager -q -a >"$T/theirs"
			same "a $format journal, $n lines: as journalctl" <(sed -n '/^==> .*journal/,/^==> .*dmesg/p' "$T/out" | sed '1d;$d') "$T/theirs"
		done
		has "a $format journal: what is compressed" "$(out)" "698 699 700 end"
		journalctl --directory="$T/journal" --header >"$T/header"
		has "a $format journal: it is" "$(cat "$T/header")" COMPRESSED-
		lacks "the older syslog is not shown" "$(out)" 'syslog line'
		has "a $format journal: a long field does not hide the message" "$(out)" 'java.*: short after long$'
		# Damage: every 97th byte of the file.
		cp -r "$T/journal" "$T/damaged"
		for f in "$T"/damaged/*/*.journal; do
			perl -e 'open(F, "+<", $ARGV[0]); for (my $i = 300; $i < -s F; $i += 97) {
				seek(F, $i, 0); read(F, my $c, 1); seek(F, $i, 0); print F chr(ord($c) ^ 0x5a) }' "$f"
		done
		(T2=$T/damaged; journal() { text_logs "$1"; mkdir -p "$1/var/log/journal"; cp -r "$T2/." "$1/var/log/journal/"; }
			make_fs ext4 "$T/damaged.img" journal)
		config damaged "$T/damaged.img,raw,xvda,w"
		ends "a damaged $format journal" "1" logs -n 100 damaged
		rm -r "$T/damaged"
	done
	# Arrays without an end in a file that is nearly all hole: one of 1 TiB, and a thousand that lie in one another.
	for kind in long nested; do
		rm -rf "$T/damaged"
		cp -r "$T/journal" "$T/damaged"
		perl -e 'open(F, "+<", $ARGV[0]) or die; my $size = 1 << 40; truncate(F, $size);
			seek(F, 144, 0); print F pack("Q<Q<", 1 << 60, 1 << 60); # objects, entries: of both there are more than can be
			my $n = $ARGV[1] eq "long" ? 1 : 1000, my $at = 1 << 30;
			seek(F, 176, 0); print F pack("Q<", $at);
			for (my $i = 0; $i < $n; $i++, $at += 64) {
				seek(F, $at, 0); print F pack("C8Q<Q<", 6, 0, 0, 0, 0, 0, 0, 0, $size - $at, $i + 1 < $n ? $at + 64 : 0);
				print F pack("Q<", 264) x 5;
			}' "$(printf '%s\n' "$T"/damaged/*/system.journal | head -n 1)" $kind
		(T2=$T/damaged; journal() { text_logs "$1"; mkdir -p "$1/var/log/journal"; cp -r --sparse=always "$T2/." "$1/var/log/journal/"; }
			make_fs ext4 "$T/$kind.img" journal)
		config "$kind" "$T/$kind.img,raw,xvda,w"
		ends "a journal of $kind arrays comes to an end" "0 1 4" logs -n 100 "$kind"
	done
	# A million times an entry that has a thousand times a field of no interest: looked at for some seconds, not for an hour.
	hostile() {
		text_logs "$1"
		mkdir -p "$1/var/log/journal"
		perl -e 'my ($n, $data, $entry, $array) = (1000000, 4096, 8192, 65536);
			print "LPKSHHRH", pack("L<L<", 0, 0), "x" x 40, "b" x 16, "x" x 16, pack("Q<Q<", 208, $n * 8 + 24), "\0" x 48,
				pack("Q<", $n), "\0" x 16, pack("Q<", $array), "\0" x 8, pack("Q<", 1700000000000000), "\0" x 8;
			print "\0" x ($data - 208), pack("C8Q<", 1, (0) x 7, 64 + 11), "\0" x 48, "FIELD=other";
			print "\0" x ($entry - $data - 75), pack("C8Q<", 3, (0) x 7, 64 + 16 * 1024), pack("Q<Q<Q<", 1, 1700000000000000, 1),
				"b" x 16, "\0" x 8, pack("Q<Q<", $data, 0) x 1024;
			print "\0" x ($array - $entry - 64 - 16 * 1024), pack("C8Q<Q<", 6, (0) x 7, 24 + 8 * $n, 0), pack("Q<", $entry) x $n;
			' >"$1/var/log/journal/system.journal"
	}
	make_fs ext4 "$T/hostile.img" hostile
	config hostile "$T/hostile.img,raw,xvda,w"
	works "a hostile journal: a unit" logs -u ssh hostile
	has "a hostile journal: where it was left" "$(err)" "too much to look at: what was said before 2023-11-14 22:13:20 is left out"
	ends "a hostile journal: as it is" 1 logs -n 3 hostile
	lacks "a hostile journal: as it is: nothing is left out" "$(err)" "too much"
else
	skip "a journal" "no systemd-journald, journalctl or logger here"
fi
# ---- units, times, boots: entries as this program of systemd stores them, and journalctl chooses among
remote=/lib/systemd/systemd-journal-remote
now=$EPOCHSECONDS
entries() {
	local i
	for ((i = 0; i < 300; i++)); do
		printf '__REALTIME_TIMESTAMP=%s\n__MONOTONIC_TIMESTAMP=%s\n_BOOT_ID=%032d\n_HOSTNAME=web\nMESSAGE=number %s\n' \
			$(((now - (300 - i) * 600 - 300) * 1000000)) $((i * 1000000 + 1)) $((i / 120 + 1)) $i
		# When it was sent, where that is known; -1 is no time.
		[ $((i % 5)) != 0 ] || printf '_SOURCE_REALTIME_TIMESTAMP=%s\n' $(((now - (300 - i) * 600 - 307) * 1000000))
		[ $((i % 5)) != 1 ] || printf '_SOURCE_REALTIME_TIMESTAMP=-1\n'
		case $((i % 6)) in
		0) printf '_TRANSPORT=kernel\nSYSLOG_IDENTIFIER=kernel\n' ;;
		1) printf '_SYSTEMD_UNIT=ssh.service\nSYSLOG_IDENTIFIER=sshd\n_PID=77\n' ;;
		2) printf 'UNIT=ssh.service\nSYSLOG_IDENTIFIER=systemd\n_PID=1\n' ;;
		3) printf 'UNIT=ssh.service\nSYSLOG_IDENTIFIER=liar\n_PID=99\n' ;;
		4) printf '_SYSTEMD_UNIT=dbus.socket\nSYSLOG_IDENTIFIER=dbus\n_PID=5\n' ;;
		5) printf '_SYSTEMD_UNIT=sshd.service\nSYSLOG_IDENTIFIER=other\n_PID=6\n' ;;
		esac
		echo
	done
}
if [ -x $remote ] && command -v journalctl >/dev/null; then
	rm -rf "$T/journal"
	mkdir "$T/journal"
	entries | $remote -o "$T/journal/system.journal" - >"$T/remote.log" 2>&1
	make_fs ext4 "$T/units.img" journal
	config units "$T/units.img,raw,xvda,w"
	# as_journalctl OPTION...: the same for both, and on one day: what today is, both have to agree on.
	as_journalctl() {
		local day=
		until [ "$day" = "$(date +%F)" ]; do
			day=$(date +%F)
			domu logs "$@" units || not_ok "logs $*" "status $status" "$(err)"
			journalctl --directory="$T/journal" -o short --no-pager -q "$@" >"$T/theirs"
		done
		same "logs $*: as journalctl" <(sed '/^==> .*journal/d; /^==> .*dmesg/,$d' "$T/out") "$T/theirs"
	}
	as_journalctl -k -n 1000
	as_journalctl -k -n 3
	as_journalctl --dmesg --since -5h
	as_journalctl -u ssh -n 1000
	as_journalctl -u ssh.service -n 7
	as_journalctl -u dbus.socket -n 1000
	as_journalctl -n 20 --since "@$((now - 7200))"
	as_journalctl --since -10h --until -1h30min
	as_journalctl --since -10h --until '2 hours ago' -u ssh
	works "logs -U -n 7" logs -U "@$((now - 9000))" -n 7 units
	journalctl --directory="$T/journal" -o short --no-pager -q -U "@$((now - 9000))" | tail -n 7 >"$T/theirs"
	same "logs -U -n 7: the last before" <(sed '/^==> .*journal/d; /^==> .*dmesg/,$d' "$T/out") "$T/theirs"
	as_journalctl -U '1 month ago' -n 7
	for since in -90min '2 hours ago' yesterday today "$(date -d "@$((now - 9000))" '+%Y-%m-%d %H:%M:%S')" "$(date -d "@$((now - 90000))" +%F)"; do
		as_journalctl --since "$since" -u ssh
		as_journalctl -S "$since"
	done
	# A name of any length, and as many lines: what stands before them is not as long on each.
	rm -rf "$T/journal"
	mkdir "$T/journal"
	perl -e 'print "__REALTIME_TIMESTAMP=1700000000000000\n_BOOT_ID=", "1" x 32, "\n_HOSTNAME=", "h" x 5000,
		"\nMESSAGE\n", pack("Q<", 7), "one\ntwo\n\n"' | $remote -o "$T/journal/system.journal" - >"$T/remote.log" 2>&1
	make_fs ext4 "$T/wide.img" journal
	config wide "$T/wide.img,raw,xvda,w"
	domu logs wide
	is "further lines begin in column 80 at most" "$(out | grep '^ *two$')" "$(printf '%80stwo' '')"
	domu logs -u none units
	is "a unit that said nothing" "$status $(wc -l <"$T/out")" "0 1"
	has "which is said" "$(err)" "the journal has nothing of that$"
	works "of a time that is yet to come" logs --since +1h units
	has "that is said" "$(err)" "nothing of that: $(date -d '+1 hour' +%F) [0-9:]+ is yet to come$"
	ends "--since after --until" 2 logs --since -1h --until -2h units
	lacks "-k: no other log" "$(domu logs -k units; out)" 'console|dmesg line'
else
	skip "units, times, boots" "systemd-journal-remote is not installed"
fi
ends "--since of what is no time" 2 logs --since soon text
ends "--since of more than a time can be" 2 logs --since @9223372036854775807 text
has "and what one is" "$(err)" "-1h30min, '2 weeks ago'"
ends "-u without a journal" 4 logs -u ssh text
has "and what to type" "$(err)" 'domu-rescue logs text$'
domu logs -k -n 2 text
is "-k without a journal" "$(out | tail -n 2)" $'[    0.0] dmesg line 29\n[    0.0] dmesg line 30'
done_testing
