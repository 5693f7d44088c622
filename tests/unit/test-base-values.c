/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-base-values.c - checksums, sizes, escapes, failures. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "base/ctx.h"
#include "base/escape.h"
#include "base/num.h"

/* RFC 3720, appendix B.4. */
Test(base, crc32c_has_the_values_of_the_rfc)
{
	uint8_t p[32];

	memset(p, 0, sizeof p);
	cr_assert_eq(~domu_crc32c(~0u, p, 32), 0x8a9136aau);
	memset(p, 0xff, sizeof p);
	cr_assert_eq(~domu_crc32c(~0u, p, 32), 0x62a8ab43u);
	for (unsigned i = 0; i < 32; i++)
		p[i] = (uint8_t)i;
	cr_assert_eq(~domu_crc32c(~0u, p, 32), 0x46dd794eu);
	for (unsigned i = 0; i < 32; i++)
		p[i] = (uint8_t)(31 - i);
	cr_assert_eq(~domu_crc32c(~0u, p, 32), 0x113fdb5cu);
	cr_assert_eq(~domu_crc32c(~0u, "123456789", 9), 0xe3069283u);
	/* In pieces, at every alignment. */
	for (unsigned i = 0; i <= 32; i++)
		cr_assert_eq(~domu_crc32c(domu_crc32c(~0u, p, i), p + i, 32 - i), 0x113fdb5cu);
}

/* Long ones are computed in parts: byte by byte is the same. */
Test(base, a_name_has_no_slash_and_no_nul_anywhere)
{
	char name[300];

	for (size_t len = 0; len < 300; len++) {
		memset(name, 0xae, sizeof name);
		cr_assert_eq(domu_name_sound(name, len), len > 0 && len < 256);
		for (size_t i = 0; i < len && len < 256; i++) {
			name[i] = '/';
			cr_assert_not(domu_name_sound(name, len), "/ at %zu of %zu", i, len);
			name[i] = '\0';
			cr_assert_not(domu_name_sound(name, len), "NUL at %zu of %zu", i, len);
			name[i] = i % 2 == 0 ? '.' : '0';
		}
		/* What stands behind it does not count. */
		name[len] = '/';
		cr_assert_eq(domu_name_sound(name, len), len > 0 && len < 256);
	}
}

Test(base, crc32c_of_much_is_that_of_its_bytes)
{
	static uint8_t p[9000];
	static const size_t lens[] = { 239,  240,  241,  256,  480,  512,  1024, 4079,
		                       4080, 4081, 4084, 4096, 8159, 8160, 8161, 9000 };

	for (size_t i = 0; i < sizeof p; i++)
		p[i] = (uint8_t)(i * i >> 5 ^ i * 131);
	for (size_t k = 0; k < sizeof lens / sizeof *lens; k++) {
		uint32_t crc = 0x12345678;

		for (size_t i = 0; i < lens[k]; i++)
			crc = domu_crc32c(crc, p + i, 1);
		cr_expect_eq(domu_crc32c(0x12345678, p, lens[k]), crc, "%zu bytes", lens[k]);
	}
}

Test(base, sizes_are_parsed_or_refused)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = { { "0", 0 },
		     { "4096", 4096 },
		     { "1K", 1024 },
		     { "20G", UINT64_C(20) << 30 },
		     { "20g", UINT64_C(20) << 30 },
		     { "3MiB", 3 << 20 },
		     { "3MB", 3 << 20 },
		     { "7B", 7 },
		     { "18446744073709551615", UINT64_MAX } };
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 G", "G", "1X", "1GG", "1iB", "1.5G", "0x10", "1Gi"
	};
	static const char *const big[] = { "18446744073709551616", "99999999999P", "16384P" };
	uint64_t v;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cr_assert_eq(domu_size_parse(good[i].text, &v), 0, "%s", good[i].text);
		cr_assert_eq(v, good[i].bytes, "%s", good[i].text);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_eq(domu_size_parse(bad[i], &v), -EINVAL, "%s", bad[i]);
	for (size_t i = 0; i < sizeof big / sizeof *big; i++)
		cr_assert_eq(domu_size_parse(big[i], &v), -ERANGE, "%s", big[i]);
}

Test(base, arithmetic_sees_overflow)
{
	uint64_t v;

	cr_assert(domu_add(1, 2, &v) && v == 3);
	cr_assert_not(domu_add(UINT64_MAX, 1, &v));
	cr_assert_not(domu_mul(UINT64_MAX / 2, 3, &v));
	cr_assert(domu_inside(0, 0, 0));
	cr_assert(domu_inside(5, 5, 10));
	cr_assert_not(domu_inside(5, 6, 10));
	cr_assert_not(domu_inside(11, 0, 10));
	cr_assert_not(domu_inside(UINT64_MAX, 2, 10));
	cr_assert_not(domu_inside(2, UINT64_MAX, 10));
}

static void expect_escaped(const char *bytes, size_t len, bool lines, const char *wanted)
{
	char *got = domu_escape(bytes, len, lines);

	cr_assert_str_eq(got, wanted);
	free(got);
}

Test(base, nothing_that_steers_a_terminal_gets_through)
{
	expect_escaped("plain", 5, false, "plain");
	expect_escaped("\033[2J", 4, false, "\\033[2J");
	expect_escaped("a\nb\tc", 5, false, "a\\012b\\011c");
	expect_escaped("a\nb\tc\r", 6, true, "a\nb\tc\\015");
	expect_escaped("\\", 1, false, "\\\\");
	expect_escaped("\0\177", 2, false, "\\000\\177");
	expect_escaped("\303\266", 2, false, "\303\266");
	expect_escaped("\303", 1, false, "\\303");
	expect_escaped("\302\233m", 3, false, "\\302\\233m"); /* C1: CSI */
	expect_escaped("\300\257", 2, false, "\\300\\257"); /* overlong */
	expect_escaped("\355\240\200", 3, false, "\\355\\240\\200"); /* a surrogate */
}

Test(base, every_byte_pair_is_escaped_to_printable_utf8)
{
	for (unsigned i = 0; i < 65536; i++) {
		char in[2] = { (char)(i >> 8), (char)i };
		char *got = domu_escape(in, 2, false), *utf8 = domu_to_utf8(in, 2);

		cr_assert(domu_is_utf8(got, strlen(got)));
		cr_assert(domu_is_utf8(utf8, strlen(utf8)) || memchr(in, 0, 2) != NULL);
		for (char *p = got; *p != '\0'; p++)
			cr_assert((unsigned char)*p >= 32 && *p != 127, "%04x", i);
		free(got);
		free(utf8);
	}
}

Test(base, the_first_failure_is_kept)
{
	struct domu_ctx ctx;

	domu_ctx_init(&ctx);
	cr_assert_eq(domu_fail(&ctx, DOMU_NOTFOUND, -ENOENT, "no %s", "disk"), -ENOENT);
	cr_assert_eq(domu_fail(&ctx, DOMU_FAILED, -EIO, "later"), -EIO);
	cr_assert_str_eq(ctx.error.message, "no disk");
	cr_assert_eq(domu_error_status(&ctx), DOMU_NOTFOUND);
	domu_error_clear(&ctx);
	cr_assert_eq(domu_error_status(&ctx), DOMU_FAILED);
	cr_assert_eq(domu_fail(NULL, DOMU_FAILED, -EIO, "nobody listens"), -EIO);
	domu_ctx_free(&ctx);
}

Test(array, grows_and_keeps_what_is_there)
{
	uint64_t *v = NULL;
	size_t cap = 0;

	for (size_t n = 0; n < 5000; n++) {
		cr_assert(DOMU_ARRAY_ROOM(v, cap, n + 1));
		cr_assert(cap > n && cap <= 2 * n + 128);
		v[n] = n;
	}
	for (size_t n = 0; n < 5000; n++)
		cr_assert_eq(v[n], n);
	cr_assert(DOMU_ARRAY_ROOM(v, cap, 1000000));
	cr_assert_eq(cap, 1000000);
	cr_assert_eq(v[4999], 4999);
	free(v);
}

/* Asked by ASAN, which otherwise ends the program instead of giving it NULL. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

Test(array, more_than_there_can_be_changes_nothing)
{
	volatile size_t huge = SIZE_MAX / sizeof(uint64_t) + 2; /* unknown to the compiler, which would warn */
	uint64_t *v = NULL, *before;
	size_t cap = 0, first;

	cr_assert(DOMU_ARRAY_ROOM(v, cap, 1));
	before = v;
	first = cap;
	cr_assert_not(DOMU_ARRAY_ROOM(v, cap, huge));
	huge = SIZE_MAX;
	cr_assert_not(DOMU_ARRAY_ROOM(v, cap, huge));
	cr_assert_eq(v, before);
	cr_assert_eq(cap, first);
	free(v);
}
