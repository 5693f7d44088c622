# SPDX-License-Identifier: GPL-3.0-or-later
# race.sh - commits against starts of the same guest, and against each other: how long Xen's hotplug lock is held.
# shellcheck shell=bash
. /lab/lab.sh
. /lab/slow.sh
lock=/run/xen-hotplug/block
image $disks/race.img 8M
guest race "file:$disks/race.img"

# traced ARG...: the program; what it did with the lock is in $T/trace.
traced() {
	strace -y -ttt -e trace=flock,close -o "$T/trace" "$DOMU" "$@"
}

# held: for how many milliseconds it had the lock.
held() {
	awk '/flock\(.*xen-hotplug\/block.* = 0$/ { from = $1 }
		/close\(.*xen-hotplug\/block/ && from { printf "%d\n", ($1 - from) * 1000; from = 0 }' "$T/trace"
}

traced write race:/etc/motd >"$T/out" 2>"$T/err" < <(echo alone)
is "a commit" "$?" 0
ms=$(held)
echo "# figures: Xen lab: the hotplug lock is held for $ms ms (traced), libxl waits 40000"
check "the lock is held once, and much shorter than libxl waits" test "$ms" -lt 4000

# ---- two commits
make_slow_guest
mkdir -p ${lock%/*}
has_lock() {
	[ -e $lock ] && ! flock -n $lock true
}
slow 8000 0
"$DOMU" write slow:/etc/motd >"$T/first" 2>&1 < <(echo first) &
first=$!
check "a commit closes its disk" wait_until 120 grep -q blkdev_fsync "/proc/$first/stack"
kill -STOP $first
check "it is stopped when it is closed" wait_until 60 grep -q '^State:.T' "/proc/$first/status"
check "and has the lock" has_lock
rm "$T/trace"
traced write race:/etc/motd >"$T/out" 2>"$T/err" < <(echo second) &
second=$!
check "another guest's commit waits for it" wait_until 120 grep -q 'xen-hotplug/block.*EAGAIN' "$T/trace"
kill -CONT $first
wait $second
is "and takes it in its turn" "$? $(err)" "0 "
wait $first
is "the first one succeeds" "$?" 0
fast

# ---- starts and commits
opened() {
	! head -c 4096 $disks/race.img | grep -aq 'domu-rescue commit'
}

# more_refused N: another commit was refused since then.
more_refused() {
	[ "$(cat "$T/refused")" -gt "$1" ]
}

# A commit that let a guest in has closed its disk: from where that has ended on, nobody may write, though commits are tried.
starts() {
	local n before
	for n in 1 2 3; do
		xl create -p /etc/xen/race.cfg >"$T/xl" 2>&1 || {
			echo "start $n failed: $(tr '\n' ' ' <"$T/xl")"
			continue
		}
		wait_until 60 opened || echo "start $n: its disk stays closed"
		before=$(md5sum <$disks/race.img)
		wait_until 60 more_refused "$(cat "$T/refused")" || echo "start $n: no commit was tried"
		[ "$before" = "$(md5sum <$disks/race.img)" ] || echo "start $n: written while it was there"
		destroy race
	done
}
went=0 refused=0 last=second
echo 0 >"$T/refused"
starts >"$T/starts" 2>/dev/null &
starter=$!
while kill -0 $starter 2>/dev/null; do
	domu write race:/etc/motd < <(echo "text $went")
	case $status in
	0)
		last="text $went"
		went=$((went + 1))
		;;
	3)
		refused=$((refused + 1))
		echo $refused >"$T/refused.new"
		mv "$T/refused.new" "$T/refused" # never empty for who reads it
		;;
	*) not_ok "a commit while the guest starts" "status $status: $(err)" ;;
	esac
done
wait $starter
is "no start has failed, and no running guest's disk was written" "$(cat "$T/starts")" ""
check "some commits went through" test $went -gt 0
check "some were refused" test $refused -gt 0
echo "# figures: Xen lab: 3 starts among $went commits and $refused refusals"
is "the last one is there" "$(debugfs -R 'cat /etc/motd' $disks/race.img 2>/dev/null)" "$last"
check "e2fsck finds nothing" e2fsck -fn $disks/race.img
