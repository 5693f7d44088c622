/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-shell-logs.c - fields of a journal as each of its compressors makes them, whole, cut short and damaged. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/num.h"
#include "shell/logs.h"
#include "task/tar.h"

#define LEN 20000u

static char text[LEN], got[65536];
static uint8_t packed[2 * LEN];

static void *library(const char *soname, const char *symbol)
{
	void *h = dlopen(soname, RTLD_NOW), *f = h != NULL ? dlsym(h, symbol) : NULL;

	cr_assert_not_null(f, "%s of %s, which libarchive needs too", symbol, soname);
	return f;
}

/* As systemd's compress_blob_lz4(), _xz() and _zstd(). */
static size_t pack(enum domu_journal_packing kind)
{
	size_t n = 0;

	if (kind == DOMU_JOURNAL_LZ4) {
		int (*f)(const char *, char *, int, int) = library("liblz4.so.1", "LZ4_compress_default");

		domu_put_le32(packed, LEN);
		domu_put_le32(packed + 4, 0);
		n = 8 + (size_t)f(text, (char *)packed + 8, LEN, (int)sizeof packed - 8);
	} else if (kind == DOMU_JOURNAL_XZ) {
		int (*f)(uint32_t, int, const void *, const void *, size_t, uint8_t *, size_t *, size_t) =
		    library("liblzma.so.5", "lzma_easy_buffer_encode");

		cr_assert_eq(f(1, 0, NULL, text, LEN, packed, &n, sizeof packed), 0);
	} else {
		size_t (*f)(void *, size_t, const void *, size_t, int) = library("libzstd.so.1", "ZSTD_compress");

		n = f(packed, sizeof packed, text, LEN, 3);
	}
	cr_assert(n > 8 && n < LEN);
	return n;
}

static void fill(void)
{
	for (size_t i = 0; i < LEN; i++)
		text[i] = "MESSAGE=a line that is much like others\n"[(i * i / 97 + i) % 40];
	if (domu_tar_lib(NULL) != 0)
		cr_skip("built without libarchive");
}

static const enum domu_journal_packing kinds[] = { DOMU_JOURNAL_XZ, DOMU_JOURNAL_LZ4, DOMU_JOURNAL_ZSTD };

Test(logs, a_field_of_each_compressor_is_what_it_was, .init = fill)
{
	struct domu_ctx ctx = { 0 };

	for (size_t i = 0; i < 3; i++) {
		size_t n = 0, len = pack(kinds[i]);

		cr_expect_eq(domu_logs_expand(&ctx, kinds[i], packed, len, got, sizeof got, &n), 0);
		cr_expect_eq(n, LEN, "kind %d: %zu bytes", kinds[i], n);
		cr_expect_eq(memcmp(got, text, LEN), 0);
	}
}

Test(logs, no_more_of_a_field_comes_than_there_is_room_for, .init = fill)
{
	struct domu_ctx ctx = { 0 };

	for (size_t i = 0; i < 3; i++) {
		size_t n = 0, len = pack(kinds[i]);

		got[100] = 'x';
		cr_expect_eq(domu_logs_expand(&ctx, kinds[i], packed, len, got, 100, &n), 0);
		cr_expect_eq(n, 100);
		cr_expect_eq(memcmp(got, text, 100), 0);
		cr_expect_eq(got[100], 'x');
	}
}

Test(logs, a_damaged_field_is_a_failure_or_other_bytes, .init = fill)
{
	for (size_t i = 0; i < 3; i++) {
		size_t len = pack(kinds[i]), n;
		uint8_t *own;

		for (size_t cut = 0; cut < 40; cut++) {
			struct domu_ctx ctx = { 0 };

			/* Of its own size, so that ASAN sees a read behind it. */
			own = malloc(cut + 1);
			memcpy(own, packed, cut);
			domu_logs_expand(&ctx, kinds[i], own, cut, got, sizeof got, &n);
			free(own);
			domu_error_clear(&ctx);
		}
		for (size_t at = 0; at < len; at += 7) {
			struct domu_ctx ctx = { 0 };

			packed[at] ^= 0x5a;
			domu_logs_expand(&ctx, kinds[i], packed, len, got, sizeof got, &n);
			cr_expect(n <= sizeof got);
			packed[at] ^= 0x5a;
			domu_error_clear(&ctx);
		}
	}
}
