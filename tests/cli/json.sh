#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# json.sh - every command's --json is one object with the keys that the contract names.
. "$(dirname "$0")/../lib/functions.sh"
"$top/tests/demo/make-farm" "$T/farm" || exit 1
export DOMU_RESCUE_CONFIG_DIR=$T/farm/xen DOMU_RESCUE_STATE_DIR=$T/farm/state

# json NAME FILTER ARG...: the filter is true of what the command prints.
json() {
	local name=$1 filter=$2
	shift 2
	domu "$@" --json
	if [ "$(jq -s length "$T/out" 2>/dev/null)" != 1 ]; then
		not_ok "$name: one object" "\$ domu-rescue $* --json" "status $status" "$(head -c 600 "$T/out")" "$(err)"
	elif [ "$(jq -r '.schema' "$T/out")" != domu-rescue/1 ]; then
		not_ok "$name: its schema" "$(head -c 300 "$T/out")"
	elif [ "$(jq -r "$filter" "$T/out" 2>"$T/jq.err")" != true ]; then
		not_ok "$name" "\$ domu-rescue $* --json" "not true: $filter" "$(cat "$T/jq.err")" "$(jq -c . "$T/out" | head -c 1200)"
	else
		ok "$name"
	fi
}

# keys KEY...: a filter that is true of an object with these.
keys() {
	local k f=true
	for k in "$@"; do
		f+=" and has(\"$k\")"
	done
	echo "($f)"
}

json "list" ".command == \"list\" and ([.guests[] | $(keys name source state disks root size used seen_at recover_due)] | all)" list
json "list: four guests" '[.guests[].name] | sort == ["broken1", "db1", "old1", "web1"]' list
json "list: they are stopped" '[.guests[].state] | unique == ["stopped"]' list
json "list: disks" "[.guests[].disks[] | $(keys vdev path format size readonly)] | all" list
json "list: sizes are bytes" '[.guests[] | select(.name == "web1") | .disks[0].size] == [234881024]' list
json "list -l looks now" '[.guests[] | select(.name == "web1") | .root, (.size > 0), (.used > 0)] | .[0] != null and .[1] and .[2]' list -l
json "list of one" '[.guests[].name] == ["web1"]' list web1
json "info" "[.nodes[] | $(keys name parent kind content start size uuid label used mountpoint root)] | all" info web1
json "info: the tree" '[.nodes[].name] == ["xvda", "xvda1", "xvda2", "xvda3"]' info web1
json "info: kinds" '[.nodes[].kind] == ["disk", "partition", "partition", "partition"]' info web1
json "info: content" '[.nodes[].content] == ["gpt", "swap", "ext4", "ext4"]' info web1
json "info: parents" '.nodes[0].parent == null and .nodes[3].parent == "xvda"' info web1
json "info: start and size" '.nodes[1].start == 1048576 and .nodes[1].size == 16777216' info web1
json "info: mountpoints" '.nodes[2].mountpoint == "/srv" and .nodes[3].mountpoint == "/"' info web1
json "info: the root" '[.nodes[] | select(.root) | .name] == ["xvda3"]' info web1
json "info: uuid and label" '.nodes[3].uuid == "6e1c4e43-5d11-4a30-9f83-0d6e37a0b002" and .nodes[3].label == "web1-root"' info web1
json "info: a logical partition" '[.nodes[] | select(.root) | .name] == ["xvda6"] and .nodes[0].content == "dos"' info db1
json "info: disks without a table" '[.nodes[] | select(.root) | .name] == ["xvda2"]' info old1
json "status" ".verdict == \"free\" and ([.checks[] | $(keys check result detail)] | all) and (.reasons | type) == \"array\"" status web1
json "ls" "[.entries[] | $(keys path type mode nlink uid gid size mtime)] | all" ls web1:/etc
json "stat" '.entries | length == 2' stat web1:/etc/fstab web1:/etc
json "find" '[.entries[].path] | any(. == "/etc/fstab")' find web1:/etc
json "df" '.entries | length >= 2' df web1
json "a time is RFC 3339" '.entries[0].mtime | test("^2009-11-03T04:05:06([.]0+)?(Z|[+]00:00)$")' stat old1:/etc/fstab
json "fsck" ".exit == 0 and (.guests[0] | $(keys guest exit filesystems)) and ([.guests[0].filesystems[] | $(keys device type uuid result exit seconds log)] | all)" fsck -n web1
json "fsck: both filesystems" '[.guests[0].filesystems[].device] | sort == ["xvda2", "xvda3"]' fsck -n web1
json "fsck of a damaged one" '.exit == 4 and .guests[0].filesystems[0].result == "damaged"' fsck -n broken1
json "resize-root --plan" "$(keys guest device from to steps "done") and ([.steps[] | $(keys op device from to)] | all) and .done == false" resize-root web1 +16M --plan
json "resize-root: the steps" '[.steps[].op] - ["grow-backing", "shrink-backing", "write-table", "move-partition", "remake-swap", "check", "grow-filesystem", "shrink-filesystem", "resize-pv", "resize-lv"] == []' resize-root web1 +16M --plan
json "resize-root" '.done == true and .to - .from == 16777216' resize-root web1 +16M
json "history" "[.commits[] | $(keys id time command blocks bytes state undoable)] | length == 1 and all" history web1
json "history: state" '.commits[0].state == "committed" and .commits[0].undoable == true' history web1
works "undo" undo web1
json "history: undone" '[.commits[].state] | any(. == "undone")' history web1
json "a failure" ".error | $(keys message status) and .status == 4" cat web1:/none
json "a failure of usage" '.error.status == 2' ls --frobnicate web1:/
json "an unknown guest" '.error.status == 4' info nobody
json "diff of nothing" '.files == [] and .blocks == 0 and .bytes == 0' diff web1

# Names that are not UTF-8
mkdir -p "$T/tree"
: >"$T/tree/"$'caf\xe9'
: >"$T/tree/"$'new\nline'
: >"$T/tree/grün"
truncate -s 8M "$T/names.img"
mke2fs -q -F -t ext4 -d "$T/tree" "$T/names.img"
json "a name that is not UTF-8" '[.entries[] | select(.path_b64)] | length == 1' ls "$T/names.img:/"
json "its bytes" '[.entries[] | .path_b64 // empty] == ["L2NhZuk="]' ls "$T/names.img:/"
json "names that are" '[.entries[].path] | (any(. == "/new\nline") and any(. == "/grün"))' ls "$T/names.img:/"
done_testing
