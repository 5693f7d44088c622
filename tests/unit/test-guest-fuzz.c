/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-guest-fuzz.c - mutants of configs: each is a guest, an error in one line, or nothing; never more. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/guest-help.h"

#ifdef DOMU_SANITIZED
/* libxlutil does not free what it had read when it finds an error: not ours. */
DOMU_PUBLIC const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libxlutil\nleak:xlu_";
}
#endif

static const char seed[] = "# a guest\n"
                           "name = \"web1\"\n"
                           "memory = 512\n"
                           "disk = [ 'phy:/dev/vg/a,xvda,w', \"file:b.img,xvdb,r\",\n"
                           "  'format=qcow2,vdev=xvdc,access=ro,target=/c=d,e', ',hdc:cdrom,r' ]\n"
                           "vif = [ 'bridge=br0', \"mac=00:16:3e:00:00:01\" ]\n"
                           "root = '/dev/xvda2 ro'\nextra = \"quiet \\101\\n root=LABEL=r\"\n"
                           "on_crash = 'preserve'; builder += 'x'\n";

static uint32_t state = 4711;

static uint32_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static size_t mutate(char *text, size_t len, size_t cap)
{
	static const char *const pieces[] = { "'",    "\"",     "[",       "]",      "\\x",   "\\",      "=",
		                              ",",    "\"\"\"", "\n",      "disk=[", "name=", "target=", ":cdrom",
		                              "tap:", "\xff",   "\x1b[2J", "%s%n",   "(",     "#" };
	unsigned n = 1 + next_random() % 6;

	while (n-- > 0) {
		size_t at = next_random() % (len + 1), piece_len, cut;
		const char *piece = pieces[next_random() % (sizeof pieces / sizeof *pieces)];

		switch (next_random() % 4) {
		case 0:
			if (at < len)
				text[at] = (char)(next_random() % 256);
			break;
		case 1:
			piece_len = strlen(piece);
			if (len + piece_len < cap) {
				memmove(text + at + piece_len, text + at, len - at);
				memcpy(text + at, piece, piece_len);
				len += piece_len;
			}
			break;
		case 2:
			cut = next_random() % 40;
			if (cut > len - at)
				cut = len - at;
			memmove(text + at, text + at + cut, len - at - cut);
			len -= cut;
			break;
		default:
			if (next_random() % 8 == 0)
				len = at;
		}
	}
	return len;
}

Test(fuzz, mutants_are_guests_or_errors, .timeout = 600)
{
	struct bench b;
	char text[8192];
	unsigned good = 0, bad = 0;

	bench_open(&b);
	for (int i = 0; i < 3000; i++) {
		struct domu_guest *g = NULL;
		size_t len = sizeof seed - 1;
		const char *path = bench_path(&b, "x.cfg");
		FILE *f = fopen(path, "we");

		memcpy(text, seed, len);
		len = mutate(text, len, sizeof text);
		fwrite(text, 1, len, f);
		fclose(f);
		domu_error_clear(&b.ctx);
		if (domu_guest_find(&b.ctx, &b.where, path, &g) == 0) {
			cr_assert_not_null(g->name);
			cr_assert_null(g->error);
			cr_assert_gt(g->n_disks, 0);
			cr_assert_null(strpbrk(g->name, "/\n\x1b"));
			domu_guest_free(g);
			good++;
		} else {
			cr_assert_not_null(b.ctx.error.message);
			cr_assert_null(strpbrk(b.ctx.error.message, "\n\x1b"), "%s", b.ctx.error.message);
			bad++;
		}
	}
	cr_assert_gt(good, 100);
	cr_assert_gt(bad, 100);
	bench_close(&b);
}
