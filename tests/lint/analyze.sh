#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# analyze.sh clang-tidy|cppcheck - static analysis of everything but the tests, with the flags of the build.
. "$(dirname "$0")/../lib/functions.sh"
cd "$top/build" 2>/dev/null || skip_all "there is no build folder"
command -v "$1" >/dev/null || skip_all "$1 is not installed"
flags=$(make -s lint-flags) || exit 1
mapfile -t sources < <(cd "$top" && git ls-files '*.c' | grep -v '^tests/' | sed 's,^,../,')

case $1 in
clang-tidy)
	printf '%s\0' "${sources[@]}" | xargs -0 -P2 -n2 bash -c '
		flags=$1 out=$2; shift 2
		case $* in */base/ctx.c*) ;; *) flags+=" -include ../tests/lint/analyzer.h" ;; esac
		clang-tidy --quiet "$@" -- $flags -Xclang -analyzer-config -Xclang mode=shallow >"$out/$$.txt" 2>"$out/$$.err" || echo "$? $*" >>"$out/failed"
	' bash "$flags" "$T"
	found=$(cat "$T"/*.txt | grep -E 'warning:|error:' | sort -u)
	[ -z "$found" ] && [ -s "$T/failed" ] && found=$(cat "$T/failed" "$T"/*.err | tail -n 20)
	;;
cppcheck)
	# shellcheck disable=SC2086
	found=$(cppcheck -q -j2 --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=0 \
		--suppress=missingInclude --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=uninitvar --suppress=legacyUninitvar --suppress=objectIndex \
		--template='{file}:{line}: {severity}: {message} [{id}]' \
		$(tr ' ' '\n' <<<"$flags" | grep -E '^-(D|I\.\.|I\.$)' | tr '\n' ' ') "${sources[@]}" 2>&1)
	;;
esac
if [ -z "$found" ]; then
	ok "$1 finds nothing in ${#sources[@]} files"
else
	not_ok "$1 finds nothing in ${#sources[@]} files" "$found"
fi
done_testing
