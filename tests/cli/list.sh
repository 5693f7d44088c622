#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# list.sh - what list shows of a root is what was last seen, with its age; list -l looks again.
. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/images.sh"
image=$T/a.img
truncate -s 16M "$image"
mke2fs -q -F -t ext4 "$image"
config web "$image,raw,xvda,w"

# used: as e2fsprogs counts it, in bytes.
used() {
	dumpe2fs -h "$image" 2>/dev/null | awk -F: '/^Block count/ { n = $2 } /^Free blocks/ { f = $2 } /^Block size/ { s = $2 }
		END { printf "%d", (n - f) * s }'
}

# value KEY
value() {
	jq -r ".guests[0].$1" "$T/out"
}

works "never seen" --json list
is "never seen: nothing is made up" "$(value root) $(value size) $(value used) $(value seen_at)" "null null null null"
begin=$(date +%s)
works "list -l" --json list -l
first=$(used)
is "list -l: root" "$(value root)" xvda
is "list -l: used" "$(value used)" "$first"
seen=$(date -d "$(value seen_at)" +%s)
check "list -l: seen now" test "$seen" -ge "$begin" -a "$seen" -le "$(date +%s)"

head -c 3000000 /dev/zero | tr '\0' x >"$T/file"
debugfs -w -R "write $T/file file" "$image" >"$T/debugfs" 2>&1
isnt_first=$(used)
check "the guest's use has grown" test "$isnt_first" -gt "$first"
then=$(date -d '3 days ago' +%s)
touch -d "@$then" "$DOMU_RESCUE_STATE_DIR"/seen/web
works "list" --json list
is "list: what was seen then" "$(value used)" "$first"
is "list: and when" "$(date -d "$(value seen_at)" +%s)" "$then"
works "list as text" list
has "list as text: its age" "$(out)" "^web .* 3 days"
works "list -l looks again" --json list -l
is "list -l: used now" "$(value used)" "$isnt_first"

# ---- and of a thousand configs none twice, whatever links there are
mkdir "$T/many"
for i in $(seq 1000); do
	printf 'name = "many%s"\ndisk = [ "%s,raw,xvda,w" ]\n' "$i" "$image" >"$T/many/many$i.cfg"
done
ln -s many7.cfg "$T/many/link.cfg"
mkdir "$T/many/folder.cfg"
mkfifo "$T/many/fifo"
works "many" --config-dir "$T/many" --json list
is "many: each once" "$(jq -r '.guests[].name' "$T/out" | sort -u | wc -l) $(jq '.guests | length' "$T/out")" "1000 1000"
done_testing
