#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# next-commands.sh - what messages say to type can be typed: "domu-rescue COMMAND -OPTION GUEST" in the source is what help knows.
. "$(dirname "$0")/../lib/functions.sh"
cd "$top" || exit 1

"$DOMU" help >"$T/help" || exit 1
# A file for each command: its help.
mkdir "$T/commands"
for c in $(sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' "$T/help"); do
	"$DOMU" help "$c" >"$T/commands/$c" 2>/dev/null || rm -f "$T/commands/$c"
done
check "help names the commands" test -s "$T/commands/fsck" -a -s "$T/commands/tar-out"

# Each string of the source as it is printed, "FILE: TEXT"; that of completion is a program.
perl -e 'local $/; for my $f (@ARGV) {
		open(my $h, "<", $f) or die "$f: $!"; my $s = <$h>;
		$s =~ s{/\*.*?\*/}{ }gs;
		while ($s =~ /((?:"(?:[^"\\\n]|\\.)*"\s*(?:PRI\w+\s*)?)+)/g) {
			my $text = join "", $1 =~ /"((?:[^"\\\n]|\\.)*)"/g;
			print "$f: $text\n" if $text =~ /domu-rescue /;
		}
	}' shell/*.c src/*/*.c plugins/*.c plugins/*/*.c | grep -v '^shell/manual\.c' >"$T/strings"
check "messages name commands" test "$(wc -l <"$T/strings")" -gt 60

# What cannot be typed, a line each.
untypable() {
	perl -e 'my ($help, $dir, $strings) = @ARGV;
		sub slurp { local $/; open(my $h, "<", $_[0]) or return ""; return <$h> }
		my $globals = slurp($help);
		sub knows { my ($text, $option) = @_; return $text =~ /(^|[\s,])\Q$option\E($|[\s,=\[])/m }
		open(my $in, "<", $strings) or die;
		while (my $line = <$in>) {
			chomp $line;
			my ($file, $text) = split /: /, $line, 2;
			while ($text =~ /(\w*) ?\bdomu-rescue ([^"]*)/g) {
				my ($before, $rest) = ($1, $2);
				pos($text) -= length $rest;
				# The program itself is meant.
				next if $before =~ /^(another|this|newer|earlier|of|when|for)$/ || $rest =~ /^(was|has|- )|\$\(/;
				my ($command, $operand);
				for my $word (split / /, $rest) {
					my ($whole, $ends) = ($word);
					$ends = $word =~ s/[,;:)]+$// || $word =~ s/\\n.*//;
					if ($word =~ /^-./) {
						my $known = knows($globals, $word) || (defined $command && knows(slurp("$dir/$command"), $word));
						print "$file: no option $word: $text\n" if !$known;
					} elsif (!defined $command) {
						# A guest, or what is put in, may stand there; --disk takes a word.
						last if $word =~ /^%|^[A-Z\[]/ && $rest !~ /^--/;
						next if $word =~ /^%|^[A-Z]|^\//;
						last if $word =~ /^(GUEST|COMMAND)$/;
						print "$file: no command $word: $text\n" if !-s "$dir/$word" && $word ne "help";
						$command = $word;
					} elsif ($whole =~ m{^%|^[A-Z@]+$|[:/.\d]|^\W}) {
						$operand = 1;
					} else {
						last;
					}
					last if $ends;
				}
				next if !defined $command || $command eq "help" || $rest =~ /^\S+ $/ || $rest =~ / -\w $/;
				my ($needs) = slurp("$dir/$command") =~ /^Usage: domu-rescue \S+ (?:\[OPTION\.\.\.\] )?([A-Z]\S*)/m;
				print "$file: $command wants $needs: $text\n" if defined $needs && !$operand && $rest !~ /^--disk/;
			}
		}' "$T/help" "$T/commands" "$1"
}
is "what messages say to type can be typed" "$(untypable "$T/strings")" ""
# It would find what is wrong.
printf 'x.c: see domu-rescue frobnicate %%s\nx.c: run domu-rescue fsck --yess %%s\nx.c: see domu-rescue status\nx.c: domu-rescue cat -Q %%s\n' >"$T/wrong"
is "what cannot is found" "$(untypable "$T/wrong" | wc -l)" 4
done_testing
