#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# source.sh - rules of the tree that need no build: licences, sizes, functions that are not used, names of machines.
. "$(dirname "$0")/../lib/functions.sh"
cd "$top" || exit 1

mapfile -t all < <(git ls-files 2>/dev/null || find . -type f -not -path './build*' -not -path './.git/*' | sed 's,^\./,,')
sources=() scripts=() texts=()
for f in "${all[@]}"; do
	[ -f "$f" ] || continue
	case $f in
	*.c | *.h) sources+=("$f") ;;
	*.sh | *.mk | bootstrap | .ci/run | tests/run | tests/check | tests/demo/make-farm | tests/demo/tour | tests/bench/run) scripts+=("$f") ;;
	esac
	case $f in
	COPYING* | *.gitkeep | tests/demo/sshd_config) ;;
	*) texts+=("$f") ;;
	esac
done

# none NAME LINES: nothing was found.
none() {
	if [ -z "$2" ]; then
		ok "$1"
	else
		not_ok "$1" "$2"
	fi
}

none "every source and script says its licence" \
	"$(grep -L 'SPDX-License-Identifier: \(GPL-3.0-or-later\|LGPL-2.1-or-later\)$' -- "${sources[@]}" "${scripts[@]}" |
		xargs -r grep -L 'SPDX-License-Identifier: \(GPL-3.0-or-later\|LGPL-2.1-or-later\) \*/$' --)"

none "every C file opens with one line that says what it is" \
	"$(for f in "${sources[@]}"; do
		sed -n 2p "$f" | grep -q "^/\* ${f##*/} - .* \*/\$" || echo "$f: $(sed -n 2p "$f")"
	done)"

none "what the shim is made of is LGPL" \
	"$(grep -L 'SPDX-License-Identifier: LGPL-2.1-or-later' -- src/base/{ctx,io,num,crc32c}.[ch] src/block/{block,raw,slice,overlay,log,stack,ext-io,ext_io}*.[ch] \
		plugins/*shim*.c plugins/*/*shim*.c 2>/dev/null)"

none "no file is longer than 600 lines" \
	"$(wc -l -- "${sources[@]}" "${scripts[@]}" | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 }')"

none "no function is longer than 60 lines" \
	"$(awk 'FNR == 1 { start = 0 }
		/^{/ { start = FNR }
		/^}/ { if (start && FNR - start - 1 > 60) print FILENAME ":" start ": " FNR - start - 1; start = 0 }' \
		$(printf '%s\n' "${sources[@]}" | grep -v '^tests/' | grep '\.c$'))"

none "no line is longer than 120 columns" \
	"$(for f in "${sources[@]}"; do expand -t8 "$f" | awk -v f="$f" 'length > 120 { print f ":" NR }'; done)"

none "functions that cannot be used safely are not used" \
	"$(grep -nE '\b(strcpy|strcat|sprintf|vsprintf|system|popen|gets|mktemp|tmpnam|tempnam|atoi|atol|atoll|strtok|alloca) *\(' -- \
		$(printf '%s\n' "${sources[@]}") | grep -vE '^[^:]*:[0-9]+:[[:space:]]*(/?\*|//)' | grep -v '^tests/')"

# Files of the host that the user named are written by treeio-host-* and tar-*; the others are in memory, without a name.
none "disks and state are written through the table of I/O functions alone" \
	"$(grep -nE '(^|[^>_.[:alnum:]])((p?write(v|64)?|rename(at2?)?|unlink(at)?|f?truncate|f(data)?sync|sync(fs|_file_range)?|mkdir(at)?|rmdir|(posix_)?fallocate|(sym)?link(at)?|creat|copy_file_range|sendfile) *\(|open *\(.*O_(RDWR|WRONLY|CREAT))' -- \
		$(printf '%s\n' "${sources[@]}" | grep -E '^src/(base|block|guest|task)/.*\.c$' |
			grep -vE '^src/(base/io|block/table-image|block/stack|task/treeio-host-.*|task/tar-(data|pack))\.c$') |
		grep -vE '^[^:]*:[0-9]+:[[:space:]]*(/?\*|//)')"

none "the library does not end the process" \
	"$(grep -nE '\b(exit|abort) *\(' -- $(printf '%s\n' "${sources[@]}" | grep '^src/.*\.c$') |
		grep -vE ':[[:space:]]*(/?\*|//)')"

none "nothing is left for later" \
	"$(grep -nE '\b(TODO|FIXME|XXX|HACK)\b|for now\b' -- "${sources[@]}" "${scripts[@]}" | grep -v '^tests/lint/source.sh')"

none "nothing names the machine it was written on" \
	"$(grep -nF -e "$top/" -- "${texts[@]}"
	grep -nE '/home/[a-z]+/' -- "${texts[@]}" | grep -vE '^tests/lint/source.sh|/home/(anna|user|alice|bob|in)')"

none "scripts pass bash -n" "$(for f in "${scripts[@]}"; do
	case $f in *.mk) ;; *) bash -n "$f" 2>&1 ;; esac
done)"

if command -v shellcheck >/dev/null; then
	none "scripts pass shellcheck" "$(for f in "${scripts[@]}"; do
		case $f in *.mk) ;; *) echo "$f" ;; esac
	done | xargs shellcheck -x -S warning -e SC1090,SC1091,SC2046,SC2154,SC2034 2>&1 | head -n 60)"
else
	skip "scripts pass shellcheck" "shellcheck is not installed"
fi

if command -v clang-format >/dev/null; then
	none "clang-format has nothing to change" "$(clang-format --dry-run -Werror "${sources[@]}" 2>&1 | grep -E 'error|warning' | head -n 40)"
else
	skip "clang-format has nothing to change" "clang-format is not installed"
fi
done_testing
