#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# stage.sh - stages that outlive who made them: hung up, killed, rebooted, overtaken by the guest, shared by guests.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
need_kernel
mkdir "$T/tree" "$T/tree/data" "$T/many"
plain_tree "$T/tree"
truncate -s 32M "$T/base.img"
mke2fs -q -F -t ext4 -L root -d "$T/tree" "$T/base.img"
fs_offset=0 fs_size=0
disk=$T/disk.img
base=$(sha "$T/base.img")
many=40
for ((i = 1; i <= many; i++)); do echo "$i" >"$T/many/$i"; done
config test "$disk,raw,xvda,w"

fresh() {
	rm -rf "$T/state"
	cp --sparse=always "$T/base.img" "$disk"
}

# left COMMANDS [GUEST]: what a shell has staged when its terminal goes away.
left() {
	# shellcheck disable=SC2016
	domu shell "${2:-test}" -c "$1"'; !kill -HUP $PPID'
}

pending() {
	find "$T/state/pending" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l
}

# staged NAME PATHS: exactly these are added.
staged() {
	domu diff test --json
	is "$1" "$(jq -r '.files[] | select(.change == "added") | .path' "$T/out" | tr '\n' ' ')" "$2"
}

# nobody: no process has a disk or the state directory open.
nobody() {
	[ -z "$(find /proc/[0-9]*/fd \( -lname "$T/state/*" -o -lname "$disk" \) 2>/dev/null)" ]
}

# refused NAME GUEST ARG...: with 3, naming whose stage it is, its age, and the three ways on with that guest.
refused() {
	local name=$1 guest=$2 fail=3
	shift 2
	[ "$1" != fsck ] || fail=8
	ends "$name: refused" $fail "$@" </dev/null
	has "$name: why" "$(err)" "$guest(, which)? has a stage with changes by [^ ]+, [0-9]+ (s|min|h) old"
	has "$name: the ways on" "$(err)" "diff $guest.*commit $guest.*rollback $guest.*shell $guest"
}

# ---- hung up
fresh
left 'mkdir /a; touch /a/f'
is "hung up: nothing is written" "$(sha "$disk")" "$base"
staged "hung up: the stage is there" '/a /a/f '
works "hung up: it can be committed" commit test
fsck_clean "hung up: e2fsck" "$disk"
is "hung up: it is on the disk" "$(domu ls test:/a; out)" f

# ---- every changing command is refused over it
fresh
left 'mkdir /a'
before=$(cd "$T/state" && find pending -type f ! -name lock -exec sha256sum {} +)
export VISUAL=true
for command in 'mkdir test:/b' 'touch test:/b' 'write test:/b' 'rm test:/etc/hostname' 'rmdir test:/srv' 'mv test:/etc/hostname /b' \
	'ln -s x test:/b' 'chmod 600 test:/etc/hostname' 'chown 1 test:/etc/hostname' 'truncate -s 0 test:/etc/hostname' \
	'edit test:/etc/hostname' "cp $T/many/1 test:/b" "cp -r $T/many test:/" 'cp test:/etc/hostname test:/b' 'fsck -p test' 'fsck -y test' \
	'resize-root test 40M' 'undo test' 'shell test -c mkdir\ /b' '--dry-run mkdir test:/b'; do
	eval "refused ${command@Q} test $command"
done
unset VISUAL
for command in 'ls test:/' 'cat test:/etc/hostname' 'fsck -n test' 'list' 'info test' 'status test' 'history test' 'resize-root test 40M --plan' \
	"cp test:/etc/hostname $T/copy"; do
	eval "works ${command@Q} $command"
done
works "diff" diff test
is "it is the disk that is read" "$(domu ls test:/; out | grep -c '^a$')" 0
is "the disk is as it was" "$(sha "$disk")" "$base"
is "the stage too" "$(cd "$T/state" && find pending -type f ! -name lock -exec sha256sum {} +)" "$before"
ends "rollback asks" 5 rollback test </dev/null
works "rollback --yes" rollback test --yes
is "nothing is left of it" "$(pending)" 0
works "then a change is possible" mkdir test:/b

# ---- the guest ran meanwhile
fresh
left 'mkdir /a; write /etc/hostname < /dev/null'
kmount "$disk" 0 0 "$T/mnt" rw && touch "$T/mnt/guest" && kumount "$T/mnt"
now=$(sha "$disk")
ends "the guest ran: commit is refused" 1 commit test
has "the guest ran: how much, and where" "$(err)" 'test has changed since: [1-9][0-9]* of the [0-9]+ blocks staged, the first is block [0-9]+ of xvda \(byte [0-9]+ of .*disk\.img\)'
has "the guest ran: the ways on" "$(err)" 'diff test.*rollback test'
staged "the guest ran: diff works" '/a '
has "the guest ran: with a warning" "$(err)" 'warning: test has changed since'
refused "the guest ran: a change" test mkdir test:/b
ends "the guest ran: commit is still refused" 1 commit test
is "the guest ran: nothing was written" "$(sha "$disk")" "$now"
kmount "$disk" 0 0 "$T/mnt"
works "the guest runs: rollback" rollback test --yes
kumount "$T/mnt"
is "the guest ran: the stage is gone" "$(pending)" 0
works "the guest ran: then a change is possible" mkdir test:/b
fsck_clean "the guest ran: e2fsck" "$disk"

# ---- another disk has the name
fresh
left 'mkdir /a'
cp --sparse=always "$T/base.img" "$T/new.img"
mv "$T/new.img" "$disk"
ends "another disk: commit is refused" 1 commit test
has "another disk: why, and the way on" "$(err)" 'not the disk that this was staged on.*rollback test'
works "another disk: rollback" rollback test --yes
is "another disk: nothing was written" "$(sha "$disk")" "$base"

# ---- a reboot: torn tails, processes that are other ones now, other device numbers
fresh
left 'mkdir /a; mkdir /b'
log=$(echo "$T"/state/pending/*/log)
cp "$log" "$T/log"
tail=$(($(stat -c %s "$log") * 3 / 4))
echo $$ >"${log%log}lock"
sed -i 's/"dev":[0-9]*/"dev":4711/' "${log%log}meta"
staged "a reboot: the stage is there" '/a /b '
for tear in "truncate -s $tail" "truncate -s $((tail + 20))"; do
	cp "$T/log" "$log"
	$tear "$log"
	staged "$tear: only whole commands" '/a '
	has "$tear: it is said" "$(err)" 'warning: .*cut short is left out'
	truncate -s +8192 "$log"
	staged "$tear, and zeros: only whole commands" '/a '
done
cp "$T/log" "$log"
dd if=/dev/urandom of="$log" bs=4200 seek=$((tail / 4200)) count=1 conv=notrunc status=none
staged "a record is damaged: only whole commands" '/a '
has "a record is damaged: it is said" "$(err)" 'warning: .*cut short is left out'
cp "$T/log" "$log"
head -c 10000 /dev/urandom >>"$log"
staged "what follows is no log: whole commands" '/a /b '
works "then it can be committed" commit test
fsck_clean "a reboot: e2fsck" "$disk"
is "a reboot: it is on the disk" "$(domu ls test:/; out | grep -cE '^[ab]$')" 2
for what in 'log' 'log meta' 'log lock' 'log meta lock'; do
	fresh
	left 'mkdir /a'
	for file in $what; do : >"$(echo "$T"/state/pending/*/"$file")"; done
	works "nothing of it reached the disk ($what): a change" mkdir test:/b
	is "nothing of it reached the disk ($what): nothing is left" "$(pending)" 0
done
fresh
left 'mkdir /a'
log=$(echo "$T"/state/pending/*/log)
dd if=/dev/urandom of="$log" bs=1 seek=3000 count=40 conv=notrunc status=none
ends "a block of it is damaged: commit" 1 commit test
has "a block of it is damaged: where" "$(err)" 'log is damaged at byte'
is "a block of it is damaged: nothing was written" "$(sha "$disk")" "$base"
works "a block of it is damaged: rollback" rollback test --yes

fresh
loop=$(losetup -f --show "$disk")
: >"$T/loops/${loop##*/}"
config loop "phy:$loop,xvda,w"
# In a container who has a device open may not be seen: that is not what is looked at here.
waive=(--waive writers)
works "a device: a change" "${waive[@]}" mkdir loop:/0
# shellcheck disable=SC2016
domu "${waive[@]}" shell loop -c 'mkdir /a; !kill -HUP $PPID'
spare=$(losetup -f --show "$disk")
: >"$T/loops/${spare##*/}"
losetup -d "$loop"
rm "$T/loops/${loop##*/}"
# Where somebody else was faster it is another's, too.
losetup "$loop" "$T/base.img" 2>/dev/null && : >"$T/loops/${loop##*/}"
config loop "phy:$spare,xvda,w"
refused "another number: a change" loop mkdir loop:/b "${waive[@]}"
works "another number: commit" commit loop "${waive[@]}"
is "another number: it is on the disk" "$(domu ls loop:/; out | grep -c '^a$')" 1
for loop in "$T"/loops/*; do
	losetup -d "/dev/${loop##*/}"
done
rm "$T/xen/loop.cfg" "$T/loops/"*

# ---- what is kept is synced
fresh
domu mkdir test:/0
if command -v strace >/dev/null && strace -f -o /dev/null true 2>/dev/null; then
	# shellcheck disable=SC2016
	strace -y -o "$T/trace" -e trace=fdatasync,fsync,pwrite64 "$DOMU" shell test -c 'mkdir /a; !kill -HUP $PPID' >"$T/out" 2>"$T/err"
	is "kept: log, description, and their names are synced, in this order" \
		"$(grep -oE 'sync\([0-9]+<[^>]*>\) += 0' "$T/trace" | sed -E 's/.*\/([^/]*)>.*/\1/; s/^2[-0-9T]*-[0-9a-f]{6}$/ID/' | tr '\n' ' ')" \
		'log meta ID pending '

	fresh
	domu mkdir test:/0
	# shellcheck disable=SC2016
	strace -o "$T/trace" -e trace=fdatasync -e inject=fdatasync:error=EIO:when=1 "$DOMU" shell test -c 'mkdir /a; !kill -HUP $PPID' >"$T/out" 2>"$T/err"
	is "kept, and its sync fails: status" "$?" 1
	has "kept, and its sync fails: it is said" "$(err)" 'cannot be synced'
	strace -o "$T/trace" -e trace=rename "$DOMU" commit test >"$T/out" 2>"$T/err"
	is "kept, and its sync failed: it can be committed" "$?" 0
	has "kept, and its sync failed: the log was written anew" "$(cat "$T/trace")" 'rename\(".*/log\.new", ".*/log"\) = 0'
fi
truncate -s 32M "$T/state.img"
mke2fs -q -F -t ext4 "$T/state.img"
# power_cut NAME STATUSES ARG...: with the state directory as a power cut at this moment leaves it: what reached its disk.
power_cut() {
	local state=$T/mnt/${DOMU_RESCUE_STATE_DIR##*/}

	cp "$T/state.img" "$T/cut.img"
	kmount "$T/cut.img" 0 0 "$T/mnt" rw
	DOMU_RESCUE_STATE_DIR=$state ends "$@"
	DOMU_RESCUE_STATE_DIR=$state domu diff test --json
	kumount "$T/mnt"
	jq -r '.files[] | select(.change == "added") | .path' "$T/out" | tr '\n' ' ' >"$T/added"
}
kmount "$T/state.img" 0 0 "$T/statefs" rw
DOMU_RESCUE_STATE_DIR=$T/statefs/state
fresh
left 'mkdir /a; mkdir /b'
power_cut "a power cut after it was kept: a change is refused" 3 mkdir test:/c
is "a power cut after it was kept: all of it is there" "$(cat "$T/added")" '/a /b '
DOMU_RESCUE_STATE_DIR=$T/statefs/other
# shellcheck disable=SC2016
{ domu shell test -c 'mkdir /a; !kill -KILL $PPID'; } 2>/dev/null
power_cut "a power cut after a kill: whole commands, or nothing in the way" "0 3" mkdir test:/c
has "a power cut after a kill: what is there" "$(cat "$T/added")" '^(/a |/a /c |)$'
kumount "$T/statefs"
DOMU_RESCUE_STATE_DIR=$T/state

# ---- a process that outlives its front
if command -v strace >/dev/null && strace -f -o /dev/null true 2>/dev/null; then
	fresh
	left 'mkdir /a'
	log=$(echo "$T"/state/pending/*/log)
	mkfifo "$T/go"
	# It opens the pipe when it has the lock, and so does this shell.
	flock "$log" cat "$T/go" >"$T/cat" 2>&1 &
	exec 7>"$T/go"
	# It is stopped when it was refused the lock once: it waits for some seconds only.
	strace -o "$T/trace" -e trace=flock -P "$log" -e inject=flock:signal=STOP:when=1 \
		"$DOMU" diff test >"$T/out" 2>"$T/err" 7>&- &
	pid=$!
	check "a writer that has not gone yet" wait_until 60 grep -q 'stopped by SIGSTOP' "$T/trace"
	has "a writer that has not gone yet: has the lock" "$(cat "$T/trace")" '^flock\(.*EAGAIN'
	exec 7>&-
	wait_until 60 flock -n "$log" true
	read -r front <"/proc/$pid/task/$pid/children"
	kill -CONT "$front"
	wait $pid
	is "a writer that has not gone yet: is waited for" "$?$(grep -c '^+ /a$' "$T/out")" 01
else
	skip "a process that outlives its front" "no strace to stop with"
fi

# ---- two disks, of which another guest has one
fresh
mkdir "$T/data" "$T/data/d"
truncate -s 16M "$T/data.img"
mke2fs -q -F -t ext4 -L data -d "$T/data" "$T/data.img"
printf '/dev/xvda / ext4 defaults 0 1\n/dev/xvdb /data ext4 defaults 0 2\n' >"$T/fstab"
config two "$disk,raw,xvda,w" "$T/data.img,raw,xvdb,w"
config half "$T/data.img,raw,xvda,w"
config wide "$T/data.img,raw,xvda,w" "$disk,raw,xvdb,w"
works "two disks: fstab" write two:/etc/fstab <"$T/fstab"
before=$(sha "$disk")$(sha "$T/data.img")
left 'mkdir /a; mkdir /data/b' two
for guest in half wide; do
	refused "two disks: a change of $guest" two mkdir $guest:/c
	refused "two disks: commit of $guest" two commit $guest
	refused "two disks: diff of $guest" two diff $guest
done
refused "two disks: by path" two mkdir "$T/data.img:/c"
works "two disks: reading the other guest" ls half:/
is "two disks: nothing was written" "$(sha "$disk")$(sha "$T/data.img")" "$before"
works "two disks: commit" commit two
is "two disks: both have it" "$(domu ls -d two:/a two:/data/b; out | wc -l)" 2
fsck_clean "two disks: e2fsck of the first" "$disk"
fsck_clean "two disks: e2fsck of the second" "$T/data.img"
left 'mkdir /data/c' two
works "two disks: the other guest may drop it" rollback half --yes
is "two disks: it is gone" "$(pending)" 0
config one "$disk,raw,xvda,w" "$T/data.img,raw,xvdb,r"
cp --sparse=always "$T/base.img" "$T/disk2.img"
config other "$T/disk2.img,raw,xvda,w" "$T/data.img,raw,xvdb,r"
left 'mkdir /c' one
works "a disk that both only read: the other guest can be changed" mkdir other:/c
works "a disk that both only read: the stage can be committed" commit one
left 'mkdir /b' half
works "a disk that one only reads, with a stage of another guest: it can be changed" mkdir one:/b
works "the stage there: dropped" rollback half --yes
rm "$T/xen/one.cfg" "$T/xen/other.cfg" "$T/disk2.img"
rm "$T/xen/two.cfg" "$T/xen/half.cfg" "$T/xen/wide.cfg"

# ---- the guest's own name in its shell: what is staged there, and nobody else
fresh
config pair "$disk,raw,xvda,w" "$T/data.img,raw,xvdb,w"
works "its own name: copies" shell pair -c "write /new < $T/many/7; cp pair:/new /copy; cp /new pair:/twice; cp pair:/new host:$T/new
	cp host:$T/many/8 pair@xvdb:/eight; cp pair@xvdb:/eight /back; cp /new pair@xvdb:/seven; use xvdb; cp pair@xvdb:/seven /again"
is "its own name: nobody is warned of" "$(err | grep -v "is also xvda of test")" ""
is "its own name: to the host" "$(cat "$T/new")" 7
works "its own name: on the command line, from one filesystem to the other" cp pair:/back pair@xvdb:/last
is "its own name: nobody is warned of there" "$(err | grep -v "is also xvda of test")" ""
kmount "$disk" 0 0 "$T/mnt" ro
is "its own name: what the kernel sees" "$(cat "$T/mnt/"{copy,twice,back} | tr '\n' ' ')" '7 7 8 '
kumount "$T/mnt"
kmount "$T/data.img" 0 0 "$T/mnt" ro
is "its own name: on the other disk" "$(cat "$T/mnt/"{eight,seven,again,last} | tr '\n' ' ')" '8 7 7 8 '
kumount "$T/mnt"
fsck_clean "its own name: e2fsck" "$disk"
rm "$T/xen/pair.cfg"

# ---- killed
fresh
# killed COMMANDS: what a shell has staged when it is killed.
killed() {
	# shellcheck disable=SC2016
	{ domu shell test -c "$1"'; !kill -KILL $PPID'; } 2>/dev/null
}
killed 'ls /'
works "killed before a change: a change is possible" mkdir test:/b
fresh
killed begin
works "killed after begin: a change is possible" mkdir test:/b
is "killed after begin: nothing is left" "$(pending)" 0
fresh
killed 'mkdir /a'
staged "killed: the stage is there" '/a '

command -v strace >/dev/null && strace -f -o /dev/null true 2>/dev/null || skip_all "no strace to kill with"
printf 'mkdir /first\nlcd %s\ncp -r host:many /\nmkdir /last\ncommit\n' "$T" >"$T/script"
fresh
strace -o "$T/calls" -e trace=recvmsg,sendmsg "$DOMU" shell test "$T/script" >"$T/out" 2>"$T/err"

# aftermath NAME: whole commands or none of them; whoever comes next is offered them, or is not stopped.
aftermath() {
	local added count staged
	wait_until 10 nobody && ok "$1: no process is left" || not_ok "$1: no process is left" "$(find /proc/[0-9]*/fd -lname "$T/state/*" -printf '%p %l\n' 2>/dev/null)"
	if [ "$(sha "$disk")" != "$base" ]; then
		works "$1: committed, and whole" ls -d test:/first "test:/many/$many" test:/last
		return
	fi
	domu diff test --json
	added=$(jq -r '.files[] | select(.change == "added") | .path' "$T/out")
	count=$(grep -c ^/many <<<"$added")
	case "$count $(grep -v ^/many <<<"$added" | tr '\n' ' ')" in
	"0 /first " | "$((many + 1)) /first " | "$((many + 1)) /first /last ") staged=1 ;;
	"0 " | "0  ") staged=0 ;;
	*) not_ok "$1: only whole commands are staged" "$added" "$(err)" ;;
	esac
	seen[$staged]=1
	if [ $staged = 0 ]; then
		works "$1: nothing is in the way" mkdir test:/next
	else
		refused "$1" test mkdir test:/next
		works "$1: commit" commit test
	fi
	fsck_clean "$1: e2fsck" "$disk"
}

declare -A seen=()
for call in recvmsg sendmsg; do
	# In how many pieces answers come, and how often they are waited for in vain, differs from run to run.
	count=$(($(grep -c "^$call(.*= [1-9]" "$T/calls") - 3))
	for ((n = 2; n <= count; n += 1 + count / 7)); do
		fresh
		{ strace -o "$T/trace" -e trace=$call -e inject=$call:signal=KILL:when=$n "$DOMU" shell test "$T/script" >"$T/out" 2>"$T/err"; } 2>/dev/null
		status=$?
		[ $status = 0 ] && [ "$(grep -c "^$call(" "$T/trace")" -lt $n ] && continue
		[ $status = 137 ] || not_ok "killed at $call $n" "$(err)"
		aftermath "killed at $call $n"
	done
done
is "killed: with nothing staged, and with something" "${seen[0]-0}${seen[1]-0}" 11

# The whole group: stopped where it is to die, then killed as one.
for n in 3 6 10; do
	fresh
	rm -f "$T/trace"
	setsid strace -o "$T/trace" -e trace=sendmsg -e inject=sendmsg:signal=STOP:when=$n "$DOMU" shell test "$T/script" >"$T/out" 2>"$T/err" &
	strace=$!
	wait_until 10 grep -q 'stopped by SIGSTOP' "$T/trace" || not_ok "stopped at message $n" "$(cat "$T/trace")"
	kill -KILL -- -$strace
	wait $strace 2>/dev/null
	aftermath "the group killed at message $n"
done

# ---- ended politely: a batch, a copy, a commit
fresh
for i in 2 3; do
	cp --sparse=always "$T/base.img" "$T/disk$i.img"
	config test$i "$T/disk$i.img,raw,xvda,w"
done
for n in 1 4 6 8 10; do
	signal=$([ $((n % 4)) = 0 ] && echo TERM || echo HUP)
	strace -o "$T/trace" -e trace=sendmsg -e inject=sendmsg:signal="$signal":when=$n "$DOMU" fsck -y test test2 test3 >"$T/out" 2>"$T/err"
	status=$?
	is "fsck of three, $signal at message $n: done, or interrupted" "$([ $status = 0 ] || [ $status = 32 ]; echo $?)" 0
	[ $status = 0 ] || has "fsck of three, $signal at message $n: it is said" "$(err)" 'interrupted'
	is "fsck of three, $signal at message $n: nothing is left" "$(pending)" 0
done
for i in '' 2 3; do fsck_clean "fsck of three: e2fsck" "$T/disk$i.img"; done
before=$(sha "$disk")
for n in 3 5; do
	strace -o "$T/trace" -e trace=recvmsg -e inject=recvmsg:signal=HUP:when=$n "$DOMU" cp -r "$T/many" test:/ >"$T/out" 2>"$T/err"
	is "cp, HUP at answer $n: interrupted" "$?" 5
	is "cp, HUP at answer $n: nothing is left" "$(pending)" 0
	is "cp, HUP at answer $n: nothing was written" "$(sha "$disk")" "$before"
done
for signal in HUP INT TERM; do
	# From the sync that closes the door on, again and again.
	strace -o "$T/trace" -e trace=fdatasync -e inject=fdatasync:signal=$signal:when=4+ "$DOMU" mkdir "test:/$signal" >"$T/out" 2>"$T/err"
	is "$signal while the disk is closed: done" "$?" 0
	is "$signal while the disk is closed: said once" "$(err)" 'domu-rescue: warning: the disk is closed: the commit is finished first'
	works "$signal while the disk is closed: it is there" ls -d "test:/$signal"
done
# ---- a disk of the guest is missing: what was done is told all the same, and a stage can be dropped
mkdir "$T/pair"
truncate -s 8M "$T/pair/a.img" "$T/pair/b.img"
mke2fs -q -F -t ext4 "$T/pair/a.img"
mke2fs -q -F -t ext4 "$T/pair/b.img"
config pair "$T/pair/a.img,raw,xvda,w" "$T/pair/b.img,raw,xvdb,w"
works "two disks: a change" mkdir pair@xvda:/one
"$DOMU" shell pair@xvda -c 'mkdir /two; !kill -HUP $PPID' >"$T/out" 2>"$T/err"
works "two disks: a stage is kept" history pair
has "two disks: it is" "$(out)" 'is staged by'
before=$(sha "$T/pair/a.img")
for d in a b; do
	mv "$T/pair/$d.img" "$T/pair/away"
	works "without disk $d: history" history pair
	has "without disk $d: history tells the commit" "$(out)" 'mkdir pair@xvda:/one'
	has "without disk $d: history says which" "$(err)" "pair/$d.img"
	ends "without disk $d: nothing is read" 4 ls pair@xvda:/
	mv "$T/pair/away" "$T/pair/$d.img"
done
mv "$T/pair/a.img" "$T/pair/away"
works "without a disk: the stage is dropped" rollback pair --yes
mv "$T/pair/away" "$T/pair/a.img"
works "two disks: history again" history pair
lacks "two disks: nothing is staged any more" "$(out)" 'is staged'
is "two disks: nothing was written" "$(sha "$T/pair/a.img")" "$before"
done_testing
