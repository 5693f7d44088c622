# SPDX-License-Identifier: GPL-3.0-or-later
# compare.sh - what differs between two states of a filesystem, as two mounts by the kernel show it.
# shellcheck shell=bash

# oracle BEFORE AFTER: "change<tab>path" by two listings.  A folder's times, links and size follow from its entries.
oracle() {
	awk -F'\t' '
	# Without the blocks: how the entries of a folder are stored.
	function stored(s,   w, n, i, out) { n = split(s, w, " "); for (i = 1; i <= n; i++) if (i != n - 2) out = out " " w[i]; return out }
	function dir(p) { sub(/\/[^\/]*$/, "", p); return p }
	FNR == 1 { side++ }
	{ fact[side, $1, $2] = $3; seen[$2] = 1 }
	$1 == "N" { there[side, $2] = 1 }
	$1 == "S" { split($3, w, " "); type[side, $2] = w[1]; known[side, $2] = 1 }
	END {
		for (p in seen) {
			for (i = 1; i <= 2; i++) {
				n = split(fact[i, "S", p], w, " ")
				ino[i, p] = w[n - 3] " " fact[i, "G", p]
			}
			if (!there[1, p] || !there[2, p] || ino[1, p] != ino[2, p])
				entries[dir(p)] = 1
		}
		for (p in seen) {
			if (!there[1, p] && !there[2, p]) continue
			if (there[1, p] && there[2, p] && !known[1, p] && !known[2, p]) continue
			change = ""
			if (!there[1, p]) change = "added"
			else if (!there[2, p]) change = "removed"
			else if (known[1, p] != known[2, p] || type[1, p] != type[2, p] || fact[1, "H", p] != fact[2, "H", p] || fact[1, "D", p] != fact[2, "D", p])
				change = "modified"
			else {
				a = fact[1, "S", p]; b = fact[2, "S", p]
				na = split(a, x, " "); nb = split(b, y, " ")
				if (type[1, p] == "l" && fact[1, "T", p] != fact[2, "T", p]) change = "modified"
				else if (type[1, p] == "d" && (p in entries)) {
					if (x[2] x[3] x[4] != y[2] y[3] y[4] && x[2] " " x[3] " " x[4] != y[2] " " y[3] " " y[4]) change = "metadata"
				} else if (type[1, p] == "d" ? stored(a) != stored(b) : a != b) change = "metadata"
				if (change == "" && (fact[1, "X", p] != fact[2, "X", p] || (type[1, p] != "d" && fact[1, "F", p] != fact[2, "F", p])))
					change = "metadata"
			}
			if (change != "") { sub(/^\./, "", p); print change "\t" (p == "" ? "/" : p) }
		}
	}' "$1" "$2" | LC_ALL=C sort
}

# kernel IMAGE FILE: its listing, with all names (also those whose inode cannot be read), link targets, device numbers,
# and generations by debugfs.
kernel() {
	kmount "$1" 0 0 "$T/mnt" "${3:-ro}" || return 1
	# What cannot be read is said on stderr, and expected on a damaged one.
	listing "$T/mnt" >"$2" 2>/dev/null
	(
		cd "$T/mnt" || exit
		perl -e 'sub walk { my $d = shift; opendir my $h, $d or return;
			for (readdir $h) { next if /^\.\.?$/; my $p = "$d/$_"; print "N\t", $p =~ tr/\n/\r/r, "\n"; walk($p) if -d $p && !-l $p } }
			print "N\t.\n"; walk(".")'
		find . -type l -printf 'T\t%p\t%l\n'
		find . \( -type b -o -type c \) -exec stat -c $'D\t%n\t%t:%T' {} +
	) >>"$2" 2>/dev/null
	find "$T/mnt" -printf '%i\t./%P\n' 2>/dev/null | sed 's,/$,,' >"$T/numbers"
	kumount "$T/mnt"
	sed 's/^\([0-9]*\).*/stat <\1>/' "$T/numbers" | debugfs -f - "$1" 2>/dev/null |
		awk 'FNR == NR && FS == " " { if ($1 == "Inode:") ino = $2; for (i = 1; i < NF; i++) if ($i == "Generation:") gen[ino] = $(i + 1); next }
			{ split($0, f, "\t"); print "G\t" f[2] "\t" gen[f[1]] }' - FS='\t' "$T/numbers" >>"$2"
}

# ours: what diff --json told into $T/json.
ours() {
	jq -j '.files[] | .change + "\t" + .path + "\u0000"' "$T/json" | tr '\n\0' '\r\n' | LC_ALL=C sort
}
