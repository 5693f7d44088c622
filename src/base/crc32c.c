/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crc32c.c - the Castagnoli checksum: the processor's instruction where there is one, else a table. */
#include "config.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__) && __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#endif

#include "base/crc32c.h"

#define POLY_REFLECTED UINT32_C(0x82f63b78)

static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = (c >> 1) ^ ((c & 1) ? POLY_REFLECTED : 0);
		table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int k = 1; k < 8; k++)
			table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 0xff];
}

static uint32_t crc_table(uint32_t crc, const unsigned char *p, size_t len)
{
	pthread_once(&once, make_table);
	for (; len >= 8; len -= 8, p += 8) {
		uint32_t lo = crc ^ (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);

		crc = table[7][lo & 0xff] ^ table[6][(lo >> 8) & 0xff] ^ table[5][(lo >> 16) & 0xff] ^
		      table[4][lo >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	while (len-- > 0)
		crc = (crc >> 8) ^ table[0][(crc ^ *p++) & 0xff];
	return crc;
}

#if defined(__x86_64__)
/*
 * The instruction gives a result after three cycles, and takes new bytes in
 * each: three parts of a block at once, put together by what as many zeros
 * after a part make of its checksum, which is linear in its bits.
 */
struct lanes {
	uint32_t past[4][256]; /* by the checksum's bytes */
};
#define WIDE   1360u /* three are a directory's block of 4 KiB but for its checksum */
#define NARROW 80u /* three are most of an inode of 256 bytes */

static struct lanes wide, narrow;
static pthread_once_t wide_once = PTHREAD_ONCE_INIT, narrow_once = PTHREAD_ONCE_INIT;

__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t crc, const unsigned char *p, size_t len)
{
	uint64_t c = crc;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t v;

		memcpy(&v, p, sizeof v);
		c = __builtin_ia32_crc32di(c, v);
	}
	crc = (uint32_t)c;
	while (len-- > 0)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}

static void make_lanes(struct lanes *l, size_t len)
{
	static const unsigned char zeros[WIDE];

	for (unsigned k = 0; k < 4; k++) {
		for (unsigned bit = 0; bit < 8; bit++)
			l->past[k][1u << bit] = crc_sse(UINT32_C(1) << (8 * k + bit), zeros, len);
		for (unsigned i = 1; i < 256; i++)
			l->past[k][i] = l->past[k][i & (i - 1)] ^ l->past[k][i & -i];
	}
}

static void make_wide(void)
{
	make_lanes(&wide, WIDE);
}

static void make_narrow(void)
{
	make_lanes(&narrow, NARROW);
}

static inline uint32_t after(const struct lanes *l, uint32_t crc)
{
	return l->past[0][crc & 0xff] ^ l->past[1][(crc >> 8) & 0xff] ^ l->past[2][(crc >> 16) & 0xff] ^
	       l->past[3][crc >> 24];
}

__attribute__((target("sse4.2"))) static inline uint32_t crc_lanes(const struct lanes *l, size_t len, uint32_t crc,
                                                                   const unsigned char *p)
{
	uint64_t a = crc, b = 0, c = 0;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t v[3];

		memcpy(&v[0], p + i, 8);
		memcpy(&v[1], p + len + i, 8);
		memcpy(&v[2], p + 2 * len + i, 8);
		a = __builtin_ia32_crc32di(a, v[0]);
		b = __builtin_ia32_crc32di(b, v[1]);
		c = __builtin_ia32_crc32di(c, v[2]);
	}
	return after(l, after(l, (uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
}

static bool instruction; /* the processor has it */
static pthread_once_t instruction_once = PTHREAD_ONCE_INIT;

/* What the C library has asked the processor already: under a hypervisor each question is a trap of 30 us. */
static void find_instruction(void)
{
#ifdef CPU_FEATURE_ACTIVE
	instruction = CPU_FEATURE_ACTIVE(SSE4_2);
#else
	instruction = __builtin_cpu_supports("sse4.2");
#endif
}

__attribute__((target("sse4.2"))) static uint32_t crc_instruction(uint32_t crc, const unsigned char *p, size_t len)
{
	if (len >= 3 * WIDE)
		pthread_once(&wide_once, make_wide);
	for (; len >= 3 * WIDE; len -= 3 * WIDE, p += 3 * WIDE)
		crc = crc_lanes(&wide, WIDE, crc, p);
	if (len >= 3 * NARROW)
		pthread_once(&narrow_once, make_narrow);
	for (; len >= 3 * NARROW; len -= 3 * NARROW, p += 3 * NARROW)
		crc = crc_lanes(&narrow, NARROW, crc, p);
	return crc_sse(crc, p, len);
}
#endif

uint32_t domu_crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
	pthread_once(&instruction_once, find_instruction);
	if (instruction)
		return crc_instruction(crc, data, len);
#endif
	return crc_table(crc, data, len);
}
