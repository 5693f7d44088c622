#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# faults.sh EXPLORE - the explorer explored: with a mistake linked in, it has to find a state that is wrong.
set -uo pipefail
explore=${1:?}
test_number=0 found=0 harmless=0

# finds FAULT WORKLOAD: some state was judged wrong: said; with status 0, all were right.  Or the explorer did not go through.
finds() {
	local out status
	out=$("$explore" --limit 3000 --fault "$1" "$2" 2>&1)
	status=$?
	if [ "$status" = 0 ]; then
		return 0
	elif [ "$status" = 1 ] && grep -q '^not ok' <<<"$out" && ! grep -q '^Bail out' <<<"$out"; then
		grep -m 1 "^# $2: .*: " <<<"$out"
	else
		echo "the explorer ended with status $status: $(tail -n 1 <<<"$out")"
		return 1
	fi
}

while IFS=$'\t' read -r name workloads what why; do
	test_number=$((test_number + 1))
	said='' bad=''
	for w in $workloads; do
		said=$(finds "$name" "$w") || bad=$said
		[ -z "$said" ] || break
	done
	if [ -n "$bad" ]; then
		echo "not ok $test_number - $name: $what: $bad"
	elif [ -n "$said" ] && [ -z "$why" ]; then
		echo "ok $test_number - found: $what"
		echo "$said"
		found=$((found + 1))
	elif [ -z "$said" ] && [ -n "$why" ]; then
		echo "ok $test_number - harmless: $what: $why"
		harmless=$((harmless + 1))
	else
		echo "not ok $test_number - $name: $what: ${said:-is not found}"
	fi
done < <("$explore" --faults)
test_number=$((test_number + 1))
if [ "$found" -ge 14 ] && [ "$harmless" -le 2 ]; then
	echo "ok $test_number - enough of them"
else
	echo "not ok $test_number - $found faults found, $harmless harmless"
fi
echo "# figures: $((found + harmless)) faults: $found found, $harmless shown to be harmless"
echo "1..$test_number"
