#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tour.sh - what ./bootstrap run shows on a machine without Xen.
. "$(dirname "$0")/../lib/functions.sh"
DOMU_RESCUE_STATE_DIR='' "$top/tests/demo/tour" "$T/demo" >"$T/out" 2>"$T/err" </dev/null
is "the tour ends with 0" "$?" 0
is "it complains of nothing" "$(err)" ""
has "broken1 was repaired" "$(out)" '1 repaired'
is "each guest is there" "$(out | grep -cE '^(broken1|db1|old1|web1) +stopped')" 4
is "the edit was undone" "$(out | grep -c '^PermitRootLogin no$')" 2
for f in web1 db1 old1 broken1; do
	DOMU_RESCUE_CONFIG_DIR=$T/demo/xen DOMU_RESCUE_STATE_DIR=$T/demo/state works "after it $f is clean" fsck -n $f
done
done_testing
